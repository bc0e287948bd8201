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


_DIM_SETS = frozenset(("walnut-evening", "slate-rim", "stage"))


def _make_table_scene(
    scene_id: str, title: str, surface: str, english: str, german: str, mired: float = 156, *, keeps: bool = False
) -> Scene:
    """A set on whose ground a product stands."""
    look = Plate(scene_id, stands=True, surface=surface)
    return Scene(
        scene_id,
        title,
        look,
        english,
        german,
        blur=0.0,
        mired=mired,
        keeps_white_point=keeps,
        is_dim=scene_id in _DIM_SETS,
    )


def _make_room_scene(
    scene_id: str, title: str, english: str, german: str, mired: float = 156, *, keeps: bool = False, table: str = "oak"
) -> Scene:
    """A set in which a person stands."""
    look = Plate(scene_id, table=table)  # pyright: ignore[reportArgumentType]
    dim = scene_id in _DIM_SETS
    return Scene(scene_id, title, look, english, german, blur=0.0, mired=mired, keeps_white_point=keeps, is_dim=dim)


_ALL_SETS: tuple[Scene, ...] = (
    _make_table_scene("oak-window", "Oak by a Window", "oak",
           "oak table window wood wooden tabletop morning plant light kitchen breakfast natural",
           "eiche eichentisch holztisch fenster tisch holz morgen pflanze licht frühstück natürlich"),
    _make_table_scene("walnut-evening", "Walnut, Evening", "walnut",
           "walnut table dark wood bar whisky bottles evening pub candle brown night warm lights",
           "nussbaum tisch dunkles holz bar whisky flaschen abend kneipe kerze braun", 190, keeps=True),
    _make_table_scene("kitchen-counter", "Kitchen Counter", "marble",
           "kitchen counter worktop countertop white tiles tile tiled cooking food herbs lemons",
           "küche küchentheke arbeitsplatte weiße fliesen gefliest kochen essen kräuter zitronen küchenzeile"),
    _make_table_scene("marble-bath", "Marble Bath", "marble",
           "bathroom marble bath spa white towels cosmetics countertop skincare wellness vanity",
           "badezimmer marmor bad spa weißer handtücher kosmetik waschtisch pflege wellness"),
    _make_table_scene("cafe-bar", "Cafe Bar", "walnut",
           "cafe coffee shop bar counter espresso barista bistro brick warm lights restaurant",
           "café cafe kaffee bar theke espresso barista bistro kaffeehaus restaurant", 185, keeps=True),
    _make_table_scene("concrete-leaves", "Concrete, Leaf Shadows", "concrete",
           "concrete leaf leaves shadow shadows palm wall sun plaster sunlight minimal",
           "beton blatt blätter schatten palme palmen palmenschatten blattschatten wand sonne putz"),
    _make_table_scene("linen-morning", "Linen, Morning", "linen",
           "linen cloth morning light fabric tablecloth textile soft folds boho vase",
           "leinen leinentuch tuch morgenlicht morgen stoff tischdecke falten vase", 175, keeps=True),
    _make_table_scene("garden-stone", "Garden Stone", "concrete",
           "garden stone slab outdoor patio hedge flowers green nature rock summer",
           "garten stein steinplatte platte draußen hecke blumen grün natur sommer gartenstein"),
    _make_table_scene("sand", "Sand", "",
           "sand sandy ripples dune dunes desert dry hot sun",
           "sand sandig wellen düne dünen sanddünen wüste trocken sonne", 175, keeps=True),
    _make_table_scene("snow", "Snow", "",
           "snow snowy winter cold frost ice fir christmassy white",
           "schnee verschneit winter kalt frost eis tannen weiß", 140, keeps=True),
    _make_table_scene("slate-rim", "Dark Slate", "slate",
           "slate dark stone rim light black moody rock backlight night luxury",
           "schiefer dunkler stein streiflicht schwarz gegenlicht düster fels", 145, keeps=True),
    _make_table_scene("pastel-podiums", "Pastel Podiums", "podium",
           "pastel podium podiums pedestal round pink arch peach mint plinth cylinder display stage3d",
           "pastell podest podeste sockel rund rosa bogen zylinder ständer bühnenpodest"),
    _make_table_scene("shelf", "Shelf", "oak",
           "shelf wall shelves oak board books bookshelf frame plant",
           "regal wandregal wand brett bücher bücherregal bilderrahmen pflanze"),
    _make_table_scene("desk", "Desk", "oak",
           "desk computer office screen monitor workspace home homeoffice keyboard notebook study",
           "schreibtisch computer büro bildschirm monitor arbeitsplatz homeoffice tastatur notizbuch arbeitszimmer"),
    _make_room_scene("office", "Bright Office",
          "office bright window windows workplace company coworking co working space zoom work business modern",
          "büro helles büro fenster arbeitsplatz firma coworking arbeit großraumbüro zoom", 152),
    _make_room_scene("meeting-room", "Meeting Room",
          "meeting room glass wall walls conference boardroom table business screen presentation",
          "besprechungsraum besprechung glaswand glas konferenz konferenzraum sitzungszimmer tisch präsentation"),
    _make_room_scene("library", "Library",
          "library books book shelves bookshelf bookshelves bookcase reading old study academic scholar",
          "bibliothek bücher buch regale bücherregal bücherwand lesen lesesaal studium gelehrt", 185, keeps=True,
          table="walnut"),
    _make_room_scene("loft", "Brick Loft",
          "loft brick wall walls industrial bricks sofa apartment urban interior studio",
          "loft backstein backsteinwand ziegel ziegelwand ziegelmauer mauer industriell sofa wohnung wand", 165,
          table="walnut"),
    _make_room_scene("hallway", "Hallway",
          "hallway corridor passage aisle doors bright indoor building",
          "flur gang korridor türen durchgang bürogang hell innen gebäude", 152, table="concrete"),
    _make_room_scene("studio-room", "Studio",
          "photo studio softbox falloff sweep cyclorama backdrop grey seamless",
          "fotostudio studio softbox hohlkehle lichtabfall grau neutral hintergrund", 154, table="concrete"),
    _make_room_scene("terrace", "Terrace",
          "terrace balcony rooftop deck patio summer outdoor plants roof hills view",
          "terrasse balkon dachterrasse dach holzterrasse sommer draußen pflanzen hügel ausblick", 145),
    _make_room_scene("stage", "Stage",
          "stage theatre theater concert spotlights spotlight curtain performance show auditorium speaker keynote",
          "bühne theater konzert scheinwerfer vorhang auftritt show rednerin redner rampenlicht", 175, keeps=True,
          table="walnut"),
    _make_room_scene("autumn-wood", "Autumn Forest",
          "autumn forest fall leaves golden trees october wood woods woodland foliage november park",
          "herbst wald herbstwald herbstlaub laub blätter golden bäume oktober november", 180, keeps=True),
    _make_room_scene("winter-light", "Winter Light",
          "winter snow snowy landscape forest trees cold frost christmassy december january",
          "winter schnee verschneit winterlandschaft winterwald landschaft wald bäume kalt frost dezember januar", 150,
          keeps=True),
    _make_room_scene("spring-garden", "Spring Garden",
          "spring garden cherry blossom blossoms blooming flowers trees may april park path fresh",
          "frühling frühlingsgarten garten kirschblüten kirschblüte blüten blühend blumen bäume mai april weg", 150),
    _make_room_scene("summer-wall", "Summer Wall",
          "summer wall sunlit leaf shadows white mediterranean bougainvillea plaster greece sun vacation",
          "sommer wand sonnenwand blattschatten schatten weiß mediterran mauer griechenland sonne urlaub", 160),
)  # fmt: skip
RENDERED_IDS = frozenset(
    (
        "autumn-wood",
        "cafe-bar",
        "concrete-leaves",
        "desk",
        "garden-stone",
        "hallway",
        "kitchen-counter",
        "library",
        "linen-morning",
        "loft",
        "marble-bath",
        "meeting-room",
        "oak-window",
        "office",
        "pastel-podiums",
        "sand",
        "slate-rim",
        "snow",
        "spring-garden",
        "stage",
        "studio-room",
        "terrace",
        "walnut-evening",
        "winter-light",
    )
)
"""Sets of `assets/sets` whose plates are here."""
SETS: tuple[Scene, ...] = tuple(row for row in _ALL_SETS if row.id in RENDERED_IDS)
