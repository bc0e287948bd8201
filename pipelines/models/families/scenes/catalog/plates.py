"""The plates: places that were photographed, and sets that were rendered for the studio."""

from __future__ import annotations

from pipelines.models.families.scenes.scene_types import Plate, Scene

PHOTOGRAPHS: tuple[Scene, ...] = (
    Scene(
        "mountain-lake", "Mountain Lake",
        Plate("mountain-lake", "photo", table="concrete", may_mirror=False, has_ground=False),
        "mountain lake mountains alpine alps peak peaks summit rocky water shore nature landscape national park scenic",
        "bergsee see gebirgssee berg berge gebirge alpen gipfel wasser ufer natur landschaft verschneit verschneite",
        blur=0.012, mired=150,
    ),
    Scene(
        "city-sunset", "City at Sunset", Plate("city-sunset", "photo", table="walnut", has_ground=False),
        "city sunset rooftops roofs street buildings skyline evening golden dusk urban brick sun roof",
        "stadt sonnenuntergang dächer straße gebäude abend golden abendrot häuser dach über den dächern",
        blur=0.012, mired=190, keeps_white_point=True, is_dim=True,
    ),
    Scene(
        "sand-dunes", "Sand Dunes", Plate("sand-dunes", "photo", table="plaster"),
        "sand dunes dune desert sahara blue sky arabia namibia hot orange safari adventure",
        "sanddünen sanddüne düne dünen wüste sahara blauer himmel sand heiß arabien orange abenteuer",
        blur=0.010, mired=155,
    ),
    Scene(
        "colosseum", "Roman Ruins", Plate("colosseum", "photo", table="concrete", may_mirror=False, has_ground=False),
        "colosseum rome roman ruins ancient ruin italy arena arches antique history stone monument",
        "kolosseum rom römisch ruinen ruine antike antik italien arena bögen geschichte stein denkmal",
        blur=0.012, mired=160,
    ),
    Scene(
        "skyline-night", "Skyline at Night",
        Plate("skyline-night", "photo", table="slate", may_mirror=False, has_ground=False),
        "skyline night city dusk manhattan singapore harbor harbour river reflection reflections skyscrapers skyscraper"
        " lights water downtown waterfront blue hour",
        "skyline nacht stadt großstadt abend wolkenkratzer hochhäuser hafen fluss spiegelung lichter"
        " wasser blaue stunde",
        blur=0.012, mired=165, keeps_white_point=True, is_dim=True,
    ),
    Scene(
        "tea-hills", "Green Hills", Plate("tea-hills", "photo", table="oak", has_ground=False),
        "green hills hill tea plantation fields field misty valley lush countryside nature landscape highlands fog",
        "grüne hügel hügel grün tee teeplantage plantage teefelder felder tal nebel natur landschaft hochland",
        blur=0.010, mired=150,
    ),
    Scene(
        "night-bridge", "Bridge at Night", Plate("night-bridge", "photo", table="slate", has_ground=False),
        "bridge night footbridge trail steel blue teal modern lights dark path futuristic walkway",
        "brücke nacht fußgängerbrücke steg stahl blau petrol modern lichter dunkel weg futuristisch nachts",
        blur=0.010, mired=130, keeps_white_point=True, is_dim=True,
    ),
    Scene(
        "blue-flowers", "Blue Flowers", Plate("blue-flowers", "photo", table="oak", has_ground=False),
        "blue flowers flower blossoms forget-me-not plants garden leaves macro bokeh botanical spring",
        "blaue blumen blume blüten vergissmeinnicht pflanzen garten blätter makro botanisch frühling",
        blur=0.012, mired=150,
    ),
)  # fmt: skip


def _make_set_scene(
    look: Plate, title: str, english: str, german: str, mired: float = 156, *, keeps: bool = False, is_dim: bool = False
) -> Scene:
    """Make the scene of a set: a product stands on its ground, or a person in it."""
    return Scene(look.id, title, look, english, german, blur=0.0, mired=mired, keeps_white_point=keeps, is_dim=is_dim)


SETS: tuple[Scene, ...] = (
    _make_set_scene(Plate("oak-window", stands=True, surface="oak"), "Oak by a Window",
           "oak table window wood wooden tabletop morning plant light kitchen breakfast natural",
           "eiche eichentisch holztisch fenster tisch holz morgen pflanze licht frühstück natürlich"),
    _make_set_scene(Plate("walnut-evening", stands=True, surface="walnut"), "Walnut, Evening",
           "walnut table dark wood bar whisky bottles evening pub candle brown night warm lights",
           "nussbaum tisch dunkles holz bar whisky flaschen abend kneipe kerze braun", 190, keeps=True, is_dim=True),
    _make_set_scene(Plate("kitchen-counter", stands=True, surface="marble"), "Kitchen Counter",
           "kitchen counter worktop countertop white tiles tile tiled cooking food herbs lemons",
           "küche küchentheke arbeitsplatte weiße fliesen gefliest kochen essen kräuter zitronen küchenzeile"),
    _make_set_scene(Plate("marble-bath", stands=True, surface="marble"), "Marble Bath",
           "bathroom marble bath spa white towels cosmetics countertop skincare wellness vanity",
           "badezimmer marmor bad spa weißer handtücher kosmetik waschtisch pflege wellness"),
    _make_set_scene(Plate("cafe-bar", stands=True, surface="walnut"), "Cafe Bar",
           "cafe coffee shop bar counter espresso barista bistro brick warm lights restaurant",
           "café cafe kaffee bar theke espresso barista bistro kaffeehaus restaurant", 185, keeps=True),
    _make_set_scene(Plate("concrete-leaves", stands=True, surface="concrete"), "Concrete, Leaf Shadows",
           "concrete leaf leaves shadow shadows palm wall sun plaster sunlight minimal",
           "beton blatt blätter schatten palme palmen palmenschatten blattschatten wand sonne putz"),
    _make_set_scene(Plate("linen-morning", stands=True, surface="linen"), "Linen, Morning",
           "linen cloth morning light fabric tablecloth textile soft folds boho vase",
           "leinen leinentuch tuch morgenlicht morgen stoff tischdecke falten vase", 175, keeps=True),
    _make_set_scene(Plate("garden-stone", stands=True, surface="concrete"), "Garden Stone",
           "garden stone slab outdoor patio hedge flowers green nature rock summer",
           "garten stein steinplatte platte draußen hecke blumen grün natur sommer gartenstein"),
    _make_set_scene(Plate("sand", stands=True), "Sand",
           "sand sandy ripples dune dunes desert dry hot sun",
           "sand sandig wellen düne dünen sanddünen wüste trocken sonne", 175, keeps=True),
    _make_set_scene(Plate("snow", stands=True), "Snow",
           "snow snowy winter cold frost ice fir christmassy white",
           "schnee verschneit winter kalt frost eis tannen weiß", 140, keeps=True),
    _make_set_scene(Plate("slate-rim", stands=True, surface="slate"), "Dark Slate",
           "slate dark stone rim light black moody rock backlight night luxury",
           "schiefer dunkler stein streiflicht schwarz gegenlicht düster fels", 145, keeps=True, is_dim=True),
    _make_set_scene(Plate("pastel-podiums", stands=True, surface="podium"), "Pastel Podiums",
           "pastel podium podiums pedestal round pink arch peach mint plinth cylinder display stage3d",
           "pastell podest podeste sockel rund rosa bogen zylinder ständer bühnenpodest"),
    _make_set_scene(Plate("desk", stands=True, surface="oak"), "Desk",
           "desk computer office screen monitor workspace home homeoffice keyboard notebook study",
           "schreibtisch computer büro bildschirm monitor arbeitsplatz homeoffice tastatur notizbuch arbeitszimmer"),
    _make_set_scene(Plate("office"), "Bright Office",
          "office bright window windows workplace company coworking co working space zoom work business modern",
          "büro helles büro fenster arbeitsplatz firma coworking arbeit großraumbüro zoom", 152),
    _make_set_scene(Plate("meeting-room"), "Meeting Room",
          "meeting room glass wall walls conference boardroom table business screen presentation",
          "besprechungsraum besprechung glaswand glas konferenz konferenzraum sitzungszimmer tisch präsentation"),
    _make_set_scene(Plate("library", table="walnut"), "Library",
          "library books book shelves bookshelf bookshelves bookcase reading old study academic scholar",
          "bibliothek bücher buch regale bücherregal bücherwand lesen lesesaal studium gelehrt", 185, keeps=True),
    _make_set_scene(Plate("loft", table="walnut"), "Brick Loft",
          "loft brick wall walls industrial bricks sofa apartment urban interior studio",
          "loft backstein backsteinwand ziegel ziegelwand ziegelmauer mauer industriell sofa wohnung wand", 165),
    _make_set_scene(Plate("hallway", table="concrete"), "Hallway",
          "hallway corridor passage aisle doors bright indoor building",
          "flur gang korridor türen durchgang bürogang hell innen gebäude", 152),
    _make_set_scene(Plate("studio-room", table="concrete"), "Studio",
          "photo studio softbox falloff sweep cyclorama backdrop grey seamless",
          "fotostudio studio softbox hohlkehle lichtabfall grau neutral hintergrund", 154),
    _make_set_scene(Plate("terrace"), "Terrace",
          "terrace balcony rooftop deck patio summer outdoor plants roof hills view",
          "terrasse balkon dachterrasse dach holzterrasse sommer draußen pflanzen hügel ausblick", 145),
    _make_set_scene(Plate("stage", table="walnut"), "Stage",
          "stage theatre theater concert spotlights spotlight curtain performance show auditorium speaker keynote",
          "bühne theater konzert scheinwerfer vorhang auftritt show rednerin redner rampenlicht", 175, keeps=True,
          is_dim=True),
    _make_set_scene(Plate("autumn-wood"), "Autumn Forest",
          "autumn forest fall leaves golden trees october wood woods woodland foliage november park",
          "herbst wald herbstwald herbstlaub laub blätter golden bäume oktober november", 180, keeps=True),
    _make_set_scene(Plate("winter-light"), "Winter Light",
          "winter snow snowy landscape forest trees cold frost christmassy december january",
          "winter schnee verschneit winterlandschaft winterwald landschaft wald bäume kalt frost dezember januar", 150,
          keeps=True),
    _make_set_scene(Plate("spring-garden"), "Spring Garden",
          "spring garden cherry blossom blossoms blooming flowers trees may april park path fresh",
          "frühling frühlingsgarten garten kirschblüten kirschblüte blüten blühend blumen bäume mai april weg", 150),
)  # fmt: skip
RENDERED_IDS = frozenset(row.id for row in SETS)
"""Sets of `assets/sets` whose plates are here."""
