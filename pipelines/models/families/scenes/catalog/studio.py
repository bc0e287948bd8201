"""The studio scenes: seamless papers, painted canvases, gradients and coloured light."""

from __future__ import annotations

from pipelines.models.families.scenes.scene_types import Scene, StudioPaper

STUDIO: tuple[Scene, ...] = (
    Scene(
        "studio-grey", "Studio Grey", StudioPaper((128, 131, 135), spot=0.45, radius=0.7),
        "studio grey gray seamless paper neutral corporate business professional plain simple classic backdrop"
        " medium portrait headshot formal company profile",
        "studio grau neutral hintergrundpapier papier geschäftlich firma beruflich professionell schlicht klassisch"
        " mittelgrau portrait bewerbung bewerbungsfoto förmlich unternehmen profil hintergrund einfach",
    ),
    Scene(
        "studio-light", "Light Grey", StudioPaper((218, 219, 221), spot=0.34, radius=0.85),
        "light bright pale soft grey gray linkedin clean airy modern minimal minimalist fresh silver high key studio"
        " friendly shop catalog",
        "hell hellgrau helles licht luftig sauber modern minimal minimalistisch frisch silber freundlich weich studio"
        " katalog leicht duftig klar dezent zart",
    ),
    Scene(
        "pure-white", "Pure White", StudioPaper((255, 255, 255), flat=True),
        "pure white blank amazon marketplace cutout empty isolated 255 packshot plain google ebay",
        "reinweiss rein weiss weiß leer freigestellt marktplatz packshot ausgestanzt blank isoliert schneeweiss",
    ),
    Scene(
        "studio-white", "Off-White", StudioPaper((240, 245, 248), spot=0.12, radius=1.0),
        "white medical clinic clinical doctor health healthcare sterile hygienic"
        " coat",
        "weiss weiß medizin medizinisch klinik arzt ärztin pflege gesundheit"
        " steril hygienisch kittel schwester therapie",
    ),
    Scene(
        "studio-dark", "Executive Dark", StudioPaper((52, 56, 64), spot=0.6, radius=0.62),
        "dark studio executive charcoal anthracite low key moody ceo board director serious power elegant"
        " graphite lawyer"
        " premium luxury shadow dramatic",
        "dunkel studio dunkelgrau anthrazit geschäftsführer vorstand direktor ernst elegant graphit anwalt edel luxus"
        " schatten dramatisch führung kanzlei düster stimmungsvoll chef",
    ),
    Scene(
        "studio-black", "Black", StudioPaper((20, 20, 22), spot=0.5, radius=0.6),
        "black pitch noir darkness void velvet jet ebony onyx",
        "schwarz pechschwarz finster finsternis samt tiefschwarz nachtschwarz ebenholz leere",
    ),
    Scene(
        "spotlight", "Spotlight", StudioPaper((104, 106, 112), spot=0.82, radius=0.5),
        "spotlight spot light halo glow behind head actor vignette pool beam theatrical performer circle"
        " drama lamp",
        "scheinwerfer spot lichtkegel lichtkreis lichtschein heiligenschein schauspieler vignette strahler"
        " rampenlicht kegel glanz schauspielerin lichtpunkt",
    ),
    Scene(
        "canvas", "Painted Canvas", StudioPaper((118, 98, 78), spot=0.5, radius=0.68, painted=1.0),
        "canvas painted hand brown academic professor old master masters oil classic muslin texture warm"
        " scholar vintage heritage renaissance",
        "leinwand gemalt handgemalt braun akademisch professor professorin alte meister altmeister"
        " klassisch warm gelehrt vintage stoffhintergrund tradition renaissance",
    ),
    Scene(
        "canvas-olive", "Olive Canvas", StudioPaper((98, 102, 84), spot=0.5, radius=0.68, painted=1.0),
        "olive green canvas painted khaki sage moss editorial fine art painterly muted earthy vogue studio",
        "oliv olivgrün grün leinwand gemalt khaki salbei moos kunst malerisch gedeckt erdig redaktionell",
    ),
    Scene(
        "canvas-blue", "Blue Canvas", StudioPaper((84, 100, 122), spot=0.5, radius=0.68, painted=0.9),
        "blue canvas painted steel slate yearbook portrait mottled denim smoky navy",
        "blau leinwand gemalt stahlblau schieferblau jahrbuch abschluss meliert jeans rauchblau schulfoto",
    ),
    Scene(
        "gradient", "Gradient", StudioPaper((96, 112, 138), second=(206, 212, 220), spot=0.1, radius=1.2),
        "gradient fade blend transition ombre smooth blue grey cool tech technology startup software digital",
        "verlauf farbverlauf übergang sanft blau grau kühl technik technologie gründer software digital stufenlos",
    ),
    Scene(
        "nude-tones", "Nude Tones", StudioPaper((206, 183, 163), spot=0.32, radius=0.85),
        "nude tones beige skin neutral warm sand cream natural soft styling beauty cosmetics skincare ecru tan makeup"
        " spa",
        "nude hauttöne beige haut neutral warm sand creme natürlich weich schönheit kosmetik pflege ecru hautfarben"
        " schminke wellness puder",
    ),
    Scene(
        "taupe", "Taupe", StudioPaper((146, 130, 119), spot=0.42, radius=0.75),
        "taupe mocha mushroom greige stone earth brown warm coffee clay muted cashmere suede truffle",
        "taupe mokka greige stein erde erdton braungrau kaffee lehm gedeckt kaschmir wildleder trüffel pilz",
    ),
    Scene(
        "blush", "Blush", StudioPaper((228, 190, 186), spot=0.3, radius=0.85),
        "blush pink rose pastel powder romantic feminine baby valentine sweet peony soft bridal wedding",
        "rosa rosé altrosa pastell puder romantisch feminin baby valentinstag süß pfingstrose braut hochzeit zart",
    ),
    Scene(
        "studio-colour", "Creative Colour", StudioPaper((28, 122, 128), spot=0.4, radius=0.8),
        "colour color colourful creative teal turquoise petrol brand vivid bold agency artist designer paper bright"
        " cyan aqua",
        "farbe farbig bunt kreativ türkis petrol marke kräftig mutig agentur künstler designer papier leuchtend"
        " cyan markenfarbe blaugrün",
    ),
    Scene(
        "coral", "Coral", StudioPaper((232, 112, 88), spot=0.38, radius=0.8),
        "coral red orange salmon tomato vivid warm energetic summer peach papaya pop",
        "koralle rot orange lachs tomate kräftig warm energie pfirsich papaya knallig korallenrot",
    ),
    Scene(
        "mustard", "Mustard", StudioPaper((222, 170, 58), spot=0.38, radius=0.8),
        "mustard yellow gold golden ochre honey saffron sunny happy lemon curry amber",
        "senf gelb gold golden ocker honig safran sonnig fröhlich zitrone curry bernstein senfgelb",
    ),
    Scene(
        "violet", "Violet", StudioPaper((112, 92, 168), spot=0.42, radius=0.8),
        "violet purple lavender lilac plum amethyst magic mystic royal indigo grape mauve heather",
        "violett lila lavendel flieder pflaume amethyst magisch mystisch königlich indigo traube purpur malve heide",
    ),
    Scene(
        "gel", "Coloured Light", StudioPaper((196, 48, 128), second=(32, 72, 190), spot=0.3, radius=0.9, gel=True),
        "gel neon duotone cyberpunk synthwave magenta music retro wave gaming gamer rgb"
        " futuristic",
        "neon zweifarbig cyberpunk magenta musik retro gaming zocker futuristisch buntes farblicht"
        " tanz",
    ),
    Scene(
        "studio-badge", "Badge", StudioPaper((202, 216, 230), spot=0.0, radius=1.0),
        "badge id pass identity card employee staff access pale blue plain even document",
        "ausweis dienstausweis mitarbeiterausweis mitarbeiter karte zugang blassblau hellblau gleichmäßig dokument"
        " personal namensschild",
    ),
    Scene(
        "spring", "Spring", StudioPaper((214, 226, 196), second=(238, 226, 222), spot=0.25, radius=0.9),
        "spring easter fresh mint pistachio tender april may pastel green springlike seasonal",
        "frühling frühjahr ostern frisch mint minze pistazie zart april mai hellgrün frühlingshaft jahreszeit",
    ),
    Scene(
        "summer", "Summer", StudioPaper((120, 184, 216), second=(240, 222, 184), spot=0.2, radius=1.0),
        "summer azure sunny july summery fresh seasonal airy",
        "sommer himmelblau sonnig juli sommerlich frisch jahreszeit luftig",
    ),
    Scene(
        "autumn", "Autumn", StudioPaper((158, 92, 52), spot=0.5, radius=0.72, painted=0.8),
        "autumn fall rust october copper terracotta cinnamon harvest burnt autumnal seasonal warm",
        "herbst rost oktober kupfer terrakotta zimt ernte erntedank rostbraun herbstlich jahreszeit warm",
    ),
    Scene(
        "winter", "Winter", StudioPaper((196, 210, 224), second=(232, 238, 244), spot=0.3, radius=0.9),
        "winter frost frosty cold january wintry cool seasonal pale",
        "winter frost frostig kalt januar winterlich kühl jahreszeit blass",
    ),
)  # fmt: skip
