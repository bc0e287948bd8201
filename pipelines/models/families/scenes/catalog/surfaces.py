"""The surfaces: tables, cloths and podiums that a product stands on."""

from __future__ import annotations

from pipelines.models.families.scenes.scene_types import Plate, Scene, TabletopSurface

SURFACES: tuple[Scene, ...] = (
    Scene(
        "oak", "Oak", TabletopSurface("oak", (214, 206, 196)),
        "oak wood wooden table tabletop timber plank board natural rustic breakfast coffee"
        " organic light",
        "eiche holz hölzern holztisch tisch tischplatte brett diele natürlich rustikal frühstück"
        " kaffee bio eichenholz",
        blur=0.05, plate=Plate("oak-window", stands=True),
    ),
    Scene(
        "walnut", "Walnut", TabletopSurface("walnut", (96, 88, 82)),
        "walnut dark wood mahogany whisky cigar leather premium brown gentleman rosewood",
        "nussbaum walnuss dunkles holz mahagoni whisky zigarre leder edel braun palisander",
        blur=0.05,
    ),
    Scene(
        "marble", "Marble", TabletopSurface("marble", (226, 226, 226)),
        "marble carrara white stone veined luxury cosmetics perfume jewellery jewelry countertop elegant"
        " skincare ring",
        "marmor carrara stein geädert luxus kosmetik parfüm schmuck arbeitsplatte edel elegant ring"
        " weißer marmorplatte",
        blur=0.05, plate=Plate("marble-bath", stands=True),
    ),
    Scene(
        "slate", "Black Marble", TabletopSurface("slate", (44, 45, 48)),
        "slate black marble dark stone granite watch premium onyx basalt nero marquina men",
        "schwarzer marmor dunkler stein schiefer granit uhr edel onyx basalt herren schieferplatte",
        blur=0.05,
    ),
    Scene(
        "concrete", "Concrete", TabletopSurface("concrete", (176, 175, 173)),
        "concrete floor concrete cement industrial raw urban brutalist grey architecture sneaker beton",
        "beton boden betonboden beton zement industriell roh urban brutalismus grau architektur turnschuh sichtbeton",
        blur=0.05, plate=Plate("concrete-leaves", stands=True),
    ),
    Scene(
        "linen", "Linen", TabletopSurface("linen", (226, 220, 210)),
        "linen cloth fabric textile cotton tablecloth natural handmade craft etsy ceramic pottery boho cozy soft woven"
        " napkin",
        "leinen tuch stoff textil baumwolle tischdecke handgemacht handwerk keramik töpfern gemütlich gewebt"
        " serviette natur leinentuch",
        blur=0.05, plate=Plate("linen-morning", stands=True),
    ),
    Scene(
        "plaster", "Plaster", TabletopSurface("plaster", (222, 212, 200)),
        "plaster stucco limewash clay mediterranean greek earthy sand adobe chalk gypsum",
        "putz gips kalk lehmputz mediterran griechisch erdig kreide stuck kalkputz weich",
        blur=0.05,
    ),
    Scene(
        "podium", "Podium", TabletopSurface("podium", (222, 206, 196), tint=(236, 224, 214)),
        "podium pedestal plinth cylinder round display stand pastel presentation launch showcase",
        "podest sockel säule zylinder rund ständer präsentation vorstellung schaufenster auslage podium",
        blur=0.05, plate=Plate("pastel-podiums", stands=True),
    ),
    Scene(
        "blocks", "Blocks", TabletopSurface("blocks", (196, 208, 206), tint=(214, 222, 218)),
        "blocks block cube cubes box boxes geometric steps square abstract shapes minimal set",
        "block blöcke würfel quader kiste geometrisch stufen quadratisch abstrakt formen treppe klotz",
        blur=0.05,
    ),
)  # fmt: skip
