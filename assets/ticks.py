"""Write the table of docs/tools.md and its pictures with the tools themselves: `python -m assets.ticks`."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import PIL.Image

from assets.tiles import badge_mask
from pipelines.core.geometry import Image
from pipelines.imaging.color import to_linear, to_srgb
from tests.support.real_studio import RealStudio

ROOT = Path(__file__).parent.parent
PICTURES = ROOT / "docs" / "pictures" / "ticks"
TOOLS_PAGE = ROOT / "docs" / "tools.md"
BEGIN, END = "<!-- ticks -->", "<!-- /ticks -->"
PICTURE_HEIGHT_PX, MAX_PICTURE_WIDTH_PX = 168, 300


@dataclass(frozen=True)
class Tick:
    """One promise of a tool, and the settings that show it. `file` is the index of the result's file.

    `part` crops the picture: left, top, width, height, as shares of 1.
    """

    words: str
    tool: str
    photo: str
    values: dict[str, object] = field(default_factory=dict[str, object])
    file: int = 0
    part: tuple[float, float, float, float] | None = None


_TEAM_VALUES = {"names": "Grace Hopper, Rear Admiral\nEileen Collins, Commander", "company": "Northwind"}

TICKS: dict[str, tuple[Tick, ...]] = {
    "Professional Headshots": (
        Tick("photorealism", "headshot", "astronaut", {"preset": "lobby", "framing": "classic"}),
        Tick("consistent character: one crop, four looks", "headshot", "astronaut", {"looks": "four"}, 2),
        Tick("high resolution (2048 px, a part)", "headshot", "hopper", {"size": 2048, "preset": "academic"}, 0,
             (0.3, 0.3, 0.4, 0.4)),
        Tick("maintains ethnicity: own pixels", "headshot", "hopper", {"preset": "corporate-grey"}),
        Tick("nude tones", "headshot", "astronaut", {"preset": "nude-tones", "framing": "classic"}),
        Tick("zoom out, as far as the photo goes", "headshot", "astronaut", {"preset": "park", "framing": "wide"}),
        Tick("no video: Motion Portrait", "motion", "astronaut", {"size": 480, "seconds": 3, "preset": "orbit"}),
    ),
    "Product Photos": (
        Tick("commercial quality", "product", "coffee", {"preset": "amazon"}),
        Tick("clean backgrounds", "product", "coffee", {"preset": "shopify"}),
        Tick("multiple angles: own photos (here a farther, darker one) as one set", "product", "coffee",
             {"preset": "shopify", "angles": ("farther", "darker")}, 1),
        Tick("high resolution (2048 px, a part)", "product", "coffee", {"preset": "marble", "size": 2048}, 0,
             (0.4, 0.3, 0.35, 0.35)),
        Tick("brand consistency", "product", "coffee", {"preset": "brand-colour", "colour": "#1c4a80"}),
        Tick("lifestyle shots", "product", "coffee", {"preset": "shopify", "background": "workshop"}),
    ),
    "Background Generator": (
        Tick("custom environments", "background", "astronaut", {"preset": "night"}),
        Tick("seamless blending", "background", "astronaut", {"preset": "forest"}, 0, (0.25, 0.0, 0.5, 0.5)),
        Tick("any style or theme: four at once", "background", "hopper", {"contact_sheet": True}),
        Tick("own backdrop", "background", "hopper", {"preset": "my-backdrop", "backdrop": "chelsea"}),
        Tick("needs a good source: a dark one is mended", "background", "dark", {"preset": "lobby", "mend": True}),
    ),
    "Style Transfer": (
        Tick("artistic filters", "style", "astronaut", {"preset": "oil"}),
        Tick("multiple styles", "style", "hopper", {"preset": "riso"}),
        Tick("preserves details", "style", "chelsea", {"preset": "pencil", "detail": 90}),
        Tick("creative control: one side only", "style", "hopper", {"preset": "watercolour", "where": "background"}),
        Tick("may alter faces: face lock", "style", "astronaut", {"preset": "mosaic"}),
    ),
    "Character Creator": (
        Tick("unique designs", "character", "", {"preset": "mage", "art": "notionists", "seed": 5}),
        Tick("customizable traits", "character", "",
             {"preset": "chef", "skin": "dark", "hair": "curly", "glasses": "glasses"}),
        Tick("multiple poses", "character", "", {"preset": "pilot", "art": "notionists", "layout": "sheet"}),
        Tick("consistent style, commercial use", "character", "", {"preset": "scientist", "mood": "laughing"}),
    ),
    "Fashion Photos": (
        Tick("lifestyle imagery", "fashion", "hopper", {"preset": "street"}),
        Tick("brand alignment", "fashion", "astronaut", {"preset": "clean-grey", "title": "Northwind"}),
        Tick("seasonal themes", "fashion", "astronaut", {"preset": "autumn"}),
        Tick("high-fashion looks", "fashion", "hopper", {"preset": "cover", "title": "Grace"}),
    ),
    "Business Photos": (
        Tick("professional settings", "business", "", {"preset": "lobby", "layout": "portraits"}),
        Tick("corporate style", "business", "", {"preset": "speaker-card"}),
        Tick("team photos", "business", "", {"preset": "team-grid"}),
        Tick("office environments", "business", "", {"preset": "hall", "layout": "portraits"}, 1),
        Tick("brand consistency", "business", "", {"preset": "company-page", "colour": "#0b5c52"}),
    ),
    "Beside them": (
        Tick("cut-out", "cutout", "coffee"),
        Tick("upscale (a part)", "upscale", "chelsea", {"factor": "2"}, 0, (0.25, 0.2, 0.5, 0.5)),
        Tick("expand", "expand", "coffee", {"ratio": "16:9"}),
        Tick("retouch: the badge is gone", "retouch", "hopper", {"mask": "spot"}),
        Tick("every platform", "kit", "coffee", {"preset": "linkedin", "headline": "Good morning"}),
        Tick("a crop by hand", "kit", "astronaut", {"preset": "x", "focus_x": 0.6, "focus_y": 0.25, "zoom": 1.5}),
        Tick("stickers from words", "kit", "hopper", {"preset": "x", "sticker": "a rocket", "headline": "Grace"}),
    ),
}  # fmt: skip

WORDS = {
    "Batch Processing": "multiple images, automated workflow, consistent results, time efficient, bulk operations: see "
    "*Batch Processing* below.",
    "API Access": "developer friendly, custom integration, scalable, real-time, documentation: see [api.md](api.md).",
    "Needs a model (not run at full size yet)": "expression and outfit, completed frames, invented angles, a garment "
    "on models of a stated cast, poses by map, styles and scenes from words.",
}


def picture_name(tick: Tick) -> str:
    """Return the file name of the picture."""
    word = "".join(c if c.isalnum() else "-" for c in tick.words.split(":")[0].split("(")[0].strip().lower())
    return f"{tick.tool}-{word}.webp"


def build_table() -> str:
    """Return the table as HTML inside Markdown."""
    rows = []
    for tool, ticks in TICKS.items():
        cells = "".join(
            f'<td align="center"><img src="pictures/ticks/{picture_name(tick)}" alt="{tool}: {tick.words}" '
            f'height="84"><br><sub>{tick.words}</sub></td>'
            for tick in ticks
        )
        rows.append(f"<tr><th>{tool}</th>{cells}</tr>")
    rows += [f'<tr><th>{tool}</th><td colspan="7">{words}</td></tr>' for tool, words in WORDS.items()]
    return "<table>\n" + "\n".join(rows) + "\n</table>"


def make_pictures(studio: RealStudio) -> None:
    """Write the small picture of every tick."""
    _add_prepared_photos(studio)
    PICTURES.mkdir(parents=True, exist_ok=True)
    for tick in (tick for ticks in TICKS.values() for tick in ticks):
        path = PICTURES / picture_name(tick)
        _shrink_to_tick(_make_picture(studio, tick)).save(path, quality=80, method=6)
        print(path.name, path.stat().st_size)


def _add_prepared_photos(studio: RealStudio) -> None:
    """Add photos with a known fault and a mask to the studio, made from the example photos."""
    cup, woman = (studio.files.open_image(studio.photos[name]) for name in ("coffee", "astronaut"))
    height, width = cup.shape[:2]
    move = np.array([[0.85, 0, 0.075 * width], [0, 0.85, 0.075 * height]])
    farther = cv2.warpAffine(cup, move, (width, height), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REFLECT)
    made = {
        "farther": np.asarray(farther, np.uint8),
        "darker": _change_exposure(cup, 0.55),
        "dark": _change_exposure(woman, 0.1),
        "spot": badge_mask(),
    }
    for name, image in made.items():
        studio.photos[name] = studio.files.add_image(image, "bench", "upload")


def _change_exposure(image: Image, gain: float) -> Image:
    return np.clip(to_srgb(to_linear(image) * np.float32(gain)) + 0.5, 0, 255).astype(np.uint8)


def _make_picture(studio: RealStudio, tick: Tick) -> PIL.Image.Image:
    fields = studio.service.find_tool(tick.tool).params.model_fields
    values: dict[str, object] = {"size": 768, "seed": 1, "consent": True}
    if tick.tool == "business":
        values |= {**_TEAM_VALUES, "photos": [studio.photos[name] for name in ("hopper", "astronaut")]}
    if tick.photo:
        values["photo"] = studio.photos[tick.photo]
    for key, value in tick.values.items():
        is_file = key in ("backdrop", "mask")
        values[key] = studio.photos[str(value)] if is_file else value
    if "angles" in tick.values:
        values["angles"] = [studio.photos[name] for name in ("farther", "darker")]
    values = {
        key: value for key, value in values.items() if key in fields and not (tick.tool == "retouch" and key == "size")
    }
    result = studio.make(tick.tool, **values)
    with PIL.Image.open(studio.files.local_path(result.files[tick.file].id)) as picture:
        picture = picture.convert("RGBA")
        if tick.part:
            left, top, wide, tall = tick.part
            w, h = picture.size
            picture = picture.crop((round(left * w), round(top * h), round((left + wide) * w), round((top + tall) * h)))
        ground = PIL.Image.new("RGB", picture.size, "#eef1f0")
        ground.paste(picture, mask=picture.getchannel("A"))
        return ground


def _shrink_to_tick(picture: PIL.Image.Image) -> PIL.Image.Image:
    scale = min(PICTURE_HEIGHT_PX / picture.height, MAX_PICTURE_WIDTH_PX / picture.width)
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    return picture.resize(size, PIL.Image.Resampling.LANCZOS)


def insert_table(text: str) -> str:
    """Return the page's text with the new table in place of the old one."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{build_table()}\n{END}{after}"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as data:
        built = RealStudio(Path(data), owner="bench")
        try:
            make_pictures(built)
        finally:
            built.close()
    TOOLS_PAGE.write_text(insert_table(TOOLS_PAGE.read_text()))
