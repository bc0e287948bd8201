"""The places: CC0 panoramas with directions and exposures that were chosen by eye."""

from __future__ import annotations

from pipelines.models.families.scenes.scene_types import PanoramaPlace, Scene

PLACES: tuple[Scene, ...] = (
    Scene(
        "apartment", "Apartment", PanoramaPlace("apartment.exr", (-30, 160, -155, -10), 1.0, floor_degrees=32),
        "apartment home living room flat house interior cosy cozy indoor door lounge bedroom family residential"
        " remote homeoffice real estate",
        "wohnung zuhause wohnzimmer haus innen innenraum gemütlich tür schlafzimmer familie wohnen homeoffice zimmer"
        " stube immobilie makler daheim",
        mired=172,
    ),
    Scene(
        "lobby", "Lobby", PanoramaPlace("lobby.exr", (70, 55, 90, 15), 0.85, floor_degrees=15),
        "lobby office zoom hotel lobby office reception company workplace corporate foyer entrance modern"
        " building coworking",
        "lobby büro zoom hotel lobby büro empfang firma arbeitsplatz foyer eingang eingangshalle modern gebäude"
        " bürogebäude"
        " konzern",
        mired=165,
    ),
    Scene(
        "esplanade", "Hotel", PanoramaPlace("esplanade.exr", (-125, 150, -165, 45), 2.0, table="walnut"),
        "hotel lobby hotel mall shopping restaurant lights bokeh luxury gala dinner evening event",
        "hotel lobby hotel einkaufszentrum einkaufen restaurant lichter bokeh luxus abendessen"
        " gala abend veranstaltung feier",
        mired=168,
    ),
    Scene(
        "workshop", "Workshop", PanoramaPlace("workshop.exr", (128, -20, 105, 15), 1.7, floor_degrees=18),
        "workshop car auto workshop craftsman tools machine industry industrial manufacturing engineer garage"
        " carpenter mechanic"
        " maker production metal",
        "werkstatt auto autowerkstatt werkstatt handwerker handwerk werkzeug maschine industrie fertigung"
        " ingenieur garage schreiner tischler"
        " mechaniker produktion metall halle betrieb",
        mired=172,
    ),
    Scene(
        "warehouse", "Warehouse",
        PanoramaPlace(
            "warehouse.exr", (125, 105, -60, 75), 1.3, table="concrete", ground="stone", floor_degrees=15
        ),
        "warehouse storage logistics depot abandoned empty hall shipping delivery hangar industrial grunge",
        "lager lagerhalle lagerhaus logistik speicher leer verlassen versand lieferung hangar industriehalle depot",
        mired=162,
    ),
    Scene(
        "hall", "Hall", PanoramaPlace("hall.exr", (148, -45, -150, 55), 1.3, table="walnut"),
        "hall lecture university hall ballroom event conference congress keynote speaker ceremony talk",
        "saal hörsaal vortragssaal universität saal festsaal ballsaal halle veranstaltung konferenz kongress"
        " redner rednerin vortrag"
        " aula hörsaal feier",
        mired=158,
    ),
    Scene(
        "lab", "Lab", PanoramaPlace("lab.exr", (138, 45, -75, 0), 3.2, table="concrete", floor_degrees=28),
        "lab laboratory science scientist research engineer electronics technology chemistry physics"
        " experiment instrument",
        "labor laboratorium wissenschaft wissenschaftler forschung forscherin elektronik technik chemie physik"
        " experiment versuch messgerät institut",
        mired=156,
    ),
    Scene(
        "bridge", "Glass Bridge", PanoramaPlace("bridge.exr", (-130, 60, -40, 150), 3.1, table="concrete"),
        "bridge glass skywalk airport terminal station modern architecture windows walkway travel futuristic campus",
        "brücke glas glasbrücke flughafen terminal bahnhof modern architektur fenster übergang reise futuristisch",
        mired=148,
    ),
    Scene(
        "city", "City", PanoramaPlace("city.exr", (68, 25, -175, 135), 2.6, table="concrete", ground="stone"),
        "city street urban downtown town road building skyscraper berlin london new york paris square avenue sidewalk"
        " fashion alley",
        "stadt straße urban innenstadt city gebäude hochhaus berlin london new york paris platz allee gehweg"
        " großstadt gasse fußgängerzone",
        mired=155,
    ),
    Scene(
        "night", "Night",
        PanoramaPlace(
            "city.exr", (60, 15, 135, -165), 1.6, table="walnut", night=1.0, has_street_lamps=True, ground="stone"
        ),
        "night tokyo alley neon lights nightlife evening dark street midnight hongkong shanghai vegas cinema bokeh city"
        " lamps traffic cyberpunk",
        "nacht nachts tokio tokyo gasse neon lichter nachtleben abends dunkle straße mitternacht großstadt kino bokeh"
        " laternen verkehr leuchtreklame nachtstadt",
        blur=0.07, mired=160,
    ),
    Scene(
        "dusk", "Dusk", PanoramaPlace("night.exr", (-62, -165, 0, 60), 1.0, ground="grass"),
        "dusk twilight savanna safari africa afterglow campfire wild steppe bush nightfall silhouette camping",
        "dämmerung abenddämmerung savanne safari afrika abendrot lagerfeuer wildnis steppe busch zelten dämmerlicht",
        mired=170, keeps_white_point=True,
    ),
    Scene(
        "forest", "Forest",
        PanoramaPlace("forest.exr", (0, 115, 35, -150), 2.1, has_point_lights=False, ground="earth"),
        "forest wood woods woodland tree trees nature jungle hiking green outdoor pine trail fairy wilderness",
        "wald wälder baum bäume natur dschungel wandern grün draußen kiefer pfad märchenwald wildnis"
        " waldweg tannen",
        mired=166,
    ),
    Scene(
        "park", "Park", PanoramaPlace("park.exr", (-60, 112, -175, -128), 1.45, has_point_lights=False, ground="grass"),
        "park meadow grass lawn summer picnic green field sunny outdoor countryside nature",
        "park wiese gras rasen sommer picknick grün feld sonnig draußen freien land natur"
        " stadtpark",
        mired=137,
    ),
    Scene(
        "sunrise", "Golden Morning",
        PanoramaPlace("sunrise.exr", (-68, 95, 0, -150), 1.6, has_point_lights=False, ground="grass"),
        "sunrise morning golden hour field fog mist meadow country harvest",
        "sonnenaufgang morgen morgens goldene stunde feld nebel wiese land ernte acker",
        mired=160, keeps_white_point=True,
    ),
    Scene(
        "sunset", "Sunset", PanoramaPlace("sunset.exr", (28, 75, -25, -170), 0.75, table="concrete", ground="earth"),
        "sunset evening dusk golden romantic sundown warm sky horizon",
        "sonnenuntergang abend golden romantisch abendsonne warm abendhimmel horizont abendstimmung",
        mired=172, keeps_white_point=True,
    ),
    Scene(
        "venice", "Venice", PanoramaPlace("venice.exr", (160, -100, -8, 128), 0.9, table="marble", ground="stone"),
        "venice italy italian europe old town historic lagoon waterfront harbour blue hour palace mediterranean"
        " vacation",
        "venedig italien italienisch europa altstadt historisch lagune ufer hafen blaue stunde palast mittelmeer"
        " urlaub",
        mired=136,
    ),
    Scene(
        "dawn", "Desert Dawn",
        PanoramaPlace("dawn.exr", (-150, 112, -75, 180), 0.95, table="plaster", has_point_lights=False, ground="earth"),
        "desert dawn canyon rock rocks arizona morocco hills landscape adventure",
        "wüste morgengrauen schlucht fels felsen marokko hügel landschaft abenteuer",
        mired=142,
    ),
    Scene(
        "sky", "Sky", PanoramaPlace("sky.exr", (-100, 125, -60, 175), 1.5, table="marble", has_point_lights=False),
        "sky clouds cloud heaven air aviation pilot flight flying angel blue",
        "himmel wolken wolke luft luftfahrt pilot pilotin flug fliegen engel blau",
        mired=142,
    ),
    Scene(
        "photo-studio", "Photo Studio",
        PanoramaPlace("studio.exr", (97, -68, 132, 20), 4.0, table="concrete", brightest=1.5),
        "photo photographer studio softbox backstage behind scenes shooting curtain film set fotostudio camera video",
        "fotostudio fotograf fotografin studio softbox kulissen fotoshooting vorhang filmset kamera video dreh",
        mired=150,
    ),
)  # fmt: skip
