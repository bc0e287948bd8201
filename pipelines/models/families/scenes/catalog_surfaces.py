"""The surfaces: tables, cloths and podiums that a product stands on."""

from __future__ import annotations

from pipelines.models.families.scenes.scene_types import Scene, TabletopSurface

SURFACES: tuple[Scene, ...] = (
    Scene(
        "oak", "Oak", TabletopSurface("oak", (214, 206, 196)),
        "oak wood wooden table tabletop desk timber plank board natural rustic kitchen breakfast cafe bakery coffee"
        " organic light",
        "eiche holz hölzern holztisch tisch tischplatte schreibtisch brett diele natürlich rustikal küche frühstück"
        " café bäckerei kaffee bio eichenholz",
        blur=0.05,
    ),
    Scene(
        "walnut", "Walnut", TabletopSurface("walnut", (96, 88, 82)),
        "walnut dark wood mahogany whisky bar cigar leather premium brown gentleman pub rosewood barber",
        "nussbaum walnuss dunkles holz mahagoni whisky bar zigarre leder edel braun kneipe palisander barbier",
        blur=0.05,
    ),
    Scene(
        "marble", "Marble", TabletopSurface("marble", (226, 226, 226)),
        "marble carrara white stone veined luxury cosmetics perfume jewellery jewelry bathroom countertop elegant"
        " skincare ring",
        "marmor carrara stein geädert luxus kosmetik parfüm schmuck bad badezimmer arbeitsplatte edel elegant ring"
        " weißer marmorplatte",
        blur=0.05,
    ),
    Scene(
        "slate", "Black Marble", TabletopSurface("slate", (44, 45, 48)),
        "slate black marble dark stone granite watch premium onyx basalt nero marquina men",
        "schwarzer marmor dunkler stein schiefer granit uhr edel onyx basalt herren schieferplatte",
        blur=0.05,
    ),
    Scene(
        "concrete", "Concrete", TabletopSurface("concrete", (176, 175, 173)),
        "concrete cement industrial raw urban loft brutalist grey architecture sneaker street garage beton",
        "beton zement industriell roh urban loft brutalismus grau architektur turnschuh straße garage sichtbeton",
        blur=0.05,
    ),
    Scene(
        "linen", "Linen", TabletopSurface("linen", (226, 220, 210)),
        "linen cloth fabric textile cotton tablecloth natural handmade craft etsy ceramic pottery boho cozy soft woven"
        " napkin",
        "leinen tuch stoff textil baumwolle tischdecke handgemacht handwerk keramik töpfern gemütlich gewebt"
        " serviette natur leinentuch",
        blur=0.05,
    ),
    Scene(
        "plaster", "Plaster", TabletopSurface("plaster", (222, 212, 200)),
        "plaster stucco limewash clay wall mediterranean greek earthy sand adobe chalk gypsum",
        "putz gips kalk lehmputz wand mediterran griechisch erdig kreide stuck kalkputz weich",
        blur=0.05,
    ),
    Scene(
        "podium", "Podium", TabletopSurface("podium", (222, 206, 196), tint=(236, 224, 214)),
        "podium pedestal plinth stage cylinder round display stand pastel presentation launch showcase",
        "podest sockel säule zylinder rund bühne ständer präsentation vorstellung schaufenster auslage podium",
        blur=0.05,
    ),
    Scene(
        "blocks", "Blocks", TabletopSurface("blocks", (196, 208, 206), tint=(214, 222, 218)),
        "blocks block cube cubes box boxes geometric steps square abstract shapes minimal set",
        "block blöcke würfel quader kiste geometrisch stufen quadratisch abstrakt formen treppe klotz",
        blur=0.05,
    ),
)  # fmt: skip
