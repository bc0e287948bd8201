"""Make the pictures of preset tiles, cards and docs with the tools themselves: `python -m assets.tiles`."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import get_args

import cv2
import numpy as np
import PIL.Image
from PIL import ImageDraw, ImageFont

from pipelines.core.geometry import Image
from tests.support.real_studio import RealStudio

ASSETS = Path(__file__).parent
TILE_PX = 240
CHEQUER_COUNT = 12  # squares along a side, of what shows that a picture is transparent
CHEQUER_GREY_LEVEL = 222
# The example photo of each tool.
TOOL_PHOTO = {
    "headshot": "hopper",
    "product": "coffee",
    "background": "astronaut",
    "style": "astronaut",
    "kit": "coffee",
    "fashion": "hopper",
    "business": "hopper",
    "character": "hopper",
}
TEAM = ("hopper", "astronaut")
TOOL_VALUES = {
    "headshot": {"framing": "classic"},
    "product": {},
    "background": {"ratio": "1:1"},
    "style": {},
    "fashion": {"title": ""},
    "kit": {"headline": "Good morning"},  # as it comes without a brand colour
    "character": {},
    "business": {"names": "Grace Hopper, Rear Admiral\nEileen Collins, Commander", "company": "Northwind"},
}
# Location presets are shown as one portrait, because they change the backdrop only.
BUSINESS_VALUES: dict[str, dict[str, object]] = {
    **{preset: {"layout": "portraits", "head": 50.0} for preset in ("lobby", "hall", "lab", "remote", "brand-wall")},
    "company-page": {"colour": "#0b5c52"},
}
# Traits of the character on each role's tile. Skin tones and figures alternate, so that no role shows a stereotype.
CHARACTER_VALUES: dict[str, dict[str, object]] = {
    preset: {"skin": skin, "figure": figure, "hair": hair, "palette": palette, "seed": seed}
    for seed, (preset, skin, figure, hair, palette) in enumerate(
        (
            ("astronaut", "medium-dark", "woman", "tied", "cool"),
            ("chef", "light", "man", "short", "warm"),
            ("detective", "dark", "woman", "curly", "earth"),
            ("superhero", "medium", "man", "short", "vivid"),
            ("mage", "medium-light", "woman", "long", "pastel"),
            ("firefighter", "dark", "woman", "short", "cool"),
            ("farmer", "light", "woman", "long", "warm"),
            ("teacher", "medium-dark", "man", "curly", "pastel"),
            ("artist", "medium-light", "man", "long", "earth"),
            ("pilot", "medium", "woman", "tied", "cool"),
            ("scientist", "dark", "man", "short", "mono"),
            ("doctor", "medium", "woman", "covered", "cool"),
            ("anyone", "medium-light", "person", "curly", "vivid"),
        ),
        20,
    )
}
EXAMPLE_PX = 160
EXAMPLE_TOP_RATIO = 0.1
"""Where the square of an example's thumbnail begins, of what is cut off: heads are at the top."""
UNCROPPED_TOOLS = ("kit", "business")  # their tiles show the whole picture


def make_tiles(studio: RealStudio) -> None:
    """Write one small WebP for each preset, `assets/tiles/<tool>/<preset>.webp`."""
    for tool in studio.service.tools:
        if tool.id not in TOOL_PHOTO:
            continue
        folder = ASSETS / "tiles" / tool.id
        folder.mkdir(parents=True, exist_ok=True)
        for preset in get_args(tool.params.model_fields["preset"].annotation):
            values = {
                "photo": studio.photos[TOOL_PHOTO[tool.id]],
                "preset": preset,
                "size": 512,
                "seed": 1,
                **TOOL_VALUES[tool.id],
            }
            if tool.id == "business":
                values |= {"photos": [studio.photos[name] for name in TEAM], **BUSINESS_VALUES.get(preset, {})}
            values = {name: value for name, value in values.items() if name in tool.params.model_fields}
            if tool.id == "character":
                values |= CHARACTER_VALUES[preset]
            if preset == "flat-lay":
                values["photo"] = studio.photos["coffee"]
            if preset == "cover":
                values["title"] = "Grace"
            if preset == "my-backdrop":
                values["backdrop"] = studio.photos["chelsea"]
            _save_tile(studio, tool.id, values, folder / f"{preset}.webp")


def make_example_thumbnails() -> None:
    """Write a small square of each example photo, `assets/tiles/examples/<name>.webp`."""
    folder = ASSETS / "tiles" / "examples"
    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted((ASSETS / "examples").glob("*.jpg")):
        with PIL.Image.open(path) as picture:
            side = min(picture.size)
            left, top = (picture.width - side) // 2, round(EXAMPLE_TOP_RATIO * (picture.height - side))
            square = picture.convert("RGB").crop((left, top, left + side, top + side))
        square.resize((EXAMPLE_PX, EXAMPLE_PX), PIL.Image.Resampling.LANCZOS).save(
            folder / f"{path.stem}.webp", quality=74, method=6
        )


THUMBNAIL_PX = 224
THUMBNAIL_TOP_RATIO = 0.06


def make_card_thumbnails() -> None:
    """Write a small square of each card's picture, `assets/tiles/<tool>/thumb.webp`."""
    for path in sorted((ASSETS / "tiles").glob("*/card.webp")):
        with PIL.Image.open(path) as picture:
            side = min(picture.size)
            left, top = (picture.width - side) // 2, round(THUMBNAIL_TOP_RATIO * (picture.height - side))
            square = picture.convert("RGB").crop((left, top, left + side, top + side))
        square.resize((THUMBNAIL_PX, THUMBNAIL_PX), PIL.Image.Resampling.LANCZOS).save(
            path.with_name("thumb.webp"), quality=72, method=6
        )


CARD_SIZE = (560, 420)
# Photo and settings of each tool's card on the Home tab.
CARDS: dict[str, tuple[str, dict[str, object]]] = {
    "headshot": ("astronaut", {"preset": "lobby", "framing": "classic"}),
    "product": ("coffee", {"preset": "marble", "ratio": "4:3"}),
    "background": ("hopper", {"preset": "night", "ratio": "1:1"}),
    "style": ("coffee", {"preset": "watercolour"}),
    "business": ("hopper", {"preset": "company-page", "colour": "#1c4a80"}),
    "character": ("hopper", {"art": "notionists", "preset": "anyone", "pose": "wave", "seed": 9}),
    "motion": ("astronaut", {"preset": "orbit", "seconds": 3}),
    "cutout": ("coffee", {}),
    "upscale": ("chelsea", {"factor": "2"}),
    "expand": ("astronaut", {"preset": "blur", "ratio": "3:2"}),
    "retouch": ("hopper", {"size": "photo"}),
}


def make_cards(studio: RealStudio) -> None:
    """Write one picture for each tool's card on the Home tab, `assets/tiles/<tool>/card.webp`."""
    for tool, (photo, values) in CARDS.items():
        fields = studio.service.find_tool(tool).params.model_fields
        team = (
            {"photos": [studio.photos[name] for name in TEAM], **TOOL_VALUES["business"]} if tool == "business" else {}
        )
        values_used = {"photo": studio.photos[photo], "size": 1024, "seed": 1, **team, **values}
        if tool == "retouch":
            values_used["mask"] = studio.files.add_image(badge_mask(), "bench", "upload")
        result = studio.make(tool, **{name: value for name, value in values_used.items() if name in fields})
        path = ASSETS / "tiles" / tool / "card.webp"
        path.parent.mkdir(parents=True, exist_ok=True)
        with PIL.Image.open(studio.files.local_path(result.files[0].id)) as picture:
            card = (
                _before_and_after(studio, photo, picture) if tool == "retouch" else _fill_card(picture.convert("RGBA"))
            )
            card.save(path, quality=74, method=6)
        print(path.relative_to(ASSETS), path.stat().st_size)


def badge_mask() -> Image:
    """Return a mask (H x W x 3, 0 or 255) over the name badge in the photo of Grace Hopper, at its size."""
    mask = np.zeros((600, 512, 3), np.uint8)
    cv2.ellipse(mask, (122, 499), (58, 27), 6, 0, 360, (255, 255, 255), -1)
    return mask


def _before_and_after(studio: RealStudio, photo: str, made: PIL.Image.Image) -> PIL.Image.Image:
    """Return a card with the same part of the photo before and after the edit, side by side."""
    card, gap = PIL.Image.new("RGB", CARD_SIZE, "white"), 6
    wide = (CARD_SIZE[0] - gap) // 2
    for n, picture in enumerate(
        (PIL.Image.fromarray(studio.files.open_image(studio.photos[photo])), made.convert("RGB"))
    ):
        part = picture.crop((40, 150, 40 + round(408 * wide / CARD_SIZE[1]), 558))
        card.paste(part.resize((wide, CARD_SIZE[1]), PIL.Image.Resampling.LANCZOS), (n * (wide + gap), 0))
    return card


def _fill_card(picture: PIL.Image.Image) -> PIL.Image.Image:
    """Return the picture cropped to the card, mostly from below, on pale grey where it is transparent."""
    scale = max(CARD_SIZE[0] / picture.width, CARD_SIZE[1] / picture.height)
    large = picture.resize((round(picture.width * scale), round(picture.height * scale)), PIL.Image.Resampling.LANCZOS)
    left, top = (large.width - CARD_SIZE[0]) // 2, (large.height - CARD_SIZE[1]) // 20
    part = large.crop((left, top, left + CARD_SIZE[0], top + CARD_SIZE[1]))
    ground = PIL.Image.new("RGB", CARD_SIZE, "#eef1f0")
    ground.paste(part, mask=part.getchannel("A"))
    return ground


# Photo and settings of each strip in the docs.
STRIPS: dict[str, tuple[str, tuple[dict[str, object], ...]]] = {
    "headshot": (
        "astronaut",
        tuple({"preset": p, "framing": "classic"} for p in ("academic", "lobby", "executive-dark", "black-and-white")),
    ),
    "headshot-2": (
        "hopper",
        tuple({"preset": p, "framing": "actor"} for p in ("actor", "academic", "nude-tones", "black-and-white")),
    ),
    "product": ("coffee", tuple({"preset": p, "ratio": "1:1"} for p in ("amazon", "oak", "marble", "podium"))),
    "background": (
        "astronaut",
        tuple({"preset": p, "ratio": "4:5"} for p in ("night", "forest", "sunset", "spotlight")),
    ),
    "style": ("astronaut", tuple({"preset": p} for p in ("oil", "watercolour", "ink", "riso", "pencil"))),
    "fashion": ("astronaut", tuple({"preset": p} for p in ("cover", "autumn", "street"))),
    "character-2": ("", ({"preset": "detective", "art": "notionists", "layout": "sheet", "seed": 14, "name": "Mira"},)),
    "character": (
        "",
        tuple(
            {"preset": p, "art": art, "seed": seed}
            for p, art, seed in (
                ("astronaut", "peeps", 3),
                ("mage", "lorelei", 8),
                ("doctor", "notionists", 5),
                ("pilot", "pixel", 12),
                ("superhero", "thumbs", 2),
                ("chef", "model", 7),
            )
        ),
    ),
}
STRIP_HEIGHT_PX = 420


def make_strips(studio: RealStudio) -> None:
    """Write one WebP strip for each tool of the docs: the photo and the tool's unedited results."""
    folder = ASSETS.parent / "docs" / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    for name, (photo, orders) in STRIPS.items():
        shown = [_open_strip_picture(studio, studio.photos[photo])] if photo else []
        for values in orders:
            tool = name.split("-")[0]
            values_used = {"photo": studio.photos.get(photo), "size": 1024, "seed": 1, **values}
            fields = studio.service.find_tool(tool).params.model_fields
            result = studio.make(tool, **{key: value for key, value in values_used.items() if key in fields})
            shown.append(_open_strip_picture(studio, result.files[0].id))
        width = sum(picture.width for picture in shown) + 6 * (len(shown) - 1)
        strip, x = PIL.Image.new("RGB", (width, STRIP_HEIGHT_PX), "white"), 0
        for picture in shown:
            strip.paste(picture, (x, 0))
            x += picture.width + 6
        strip.save(folder / f"{name}.webp", quality=86, method=6)
        print(f"docs/pictures/{name}.webp", (folder / f"{name}.webp").stat().st_size)


CONTACT_SHEET_PRESETS = ("amazon", "shopify", "marble", "oak", "podium", "linen", "concrete", "brand-colour", "google")
REQUEST_TEXT = """curl …/v1/tools/headshot
  -H "X-API-Key: $KEY"
  -F photo=@me.jpg
  -F preset=park"""


def make_api_cards() -> None:
    """Write the cards of the batch tab (a contact sheet) and the API (a request with its answer)."""
    sheet, gap = PIL.Image.new("RGB", CARD_SIZE, "#ffffff"), 8
    side = (CARD_SIZE[1] - 4 * gap) // 3
    across = (CARD_SIZE[0] - 3 * side) // 4
    for n, name in enumerate(CONTACT_SHEET_PRESETS):
        at = across + n % 3 * (side + across), gap + n // 3 * (side + gap)
        sheet.paste(_open_tile(f"product/{name}", side), at)
    request = PIL.Image.new("RGB", CARD_SIZE, "#12211f")
    font = ImageFont.truetype(str(ASSETS / "fonts" / "SourceSansPro-Regular.ttf"), 27)
    ImageDraw.Draw(request).text((30, 32), REQUEST_TEXT, "#d7efe9", font, spacing=10)
    request.paste(_open_tile("headshot/park", 206), (CARD_SIZE[0] - 206 - 24, CARD_SIZE[1] - 206 - 24))
    for name, card in (("batch", sheet), ("api", request)):
        path = ASSETS / "tiles" / name / "card.webp"
        path.parent.mkdir(parents=True, exist_ok=True)
        card.save(path, quality=74, method=6)


def _open_tile(name: str, side: int) -> PIL.Image.Image:
    with PIL.Image.open(ASSETS / "tiles" / f"{name}.webp") as picture:
        return picture.convert("RGB").resize((side, side), PIL.Image.Resampling.LANCZOS)


SOCIAL_CARD_SIZE = (1200, 630)
SOCIAL_TILES = ("headshot/card", "product/card", "style/watercolour", "background/night")


def make_social_card() -> None:
    """Write the preview picture of links to the page and the favicon. Uses the tiles made before."""
    card = PIL.Image.new("RGB", SOCIAL_CARD_SIZE, "#fafafa")
    for n, name in enumerate(SOCIAL_TILES):
        with PIL.Image.open(ASSETS / "tiles" / f"{name}.webp") as picture:
            side = min(picture.size)
            left = (picture.width - side) // 2
            square = picture.convert("RGB").crop((left, 0, left + side, side))
        card.paste(square.resize((262, 262), PIL.Image.Resampling.LANCZOS), (52 + 278 * n, 316))
    pen, font = ImageDraw.Draw(card), str(ASSETS / "fonts" / "SourceSansPro-Bold.ttf")
    _draw_logo(card, 52, 62, 44)
    pen.text((116, 52), "DesignerBox", "#1a1a19", ImageFont.truetype(font, 52))
    pen.text((50, 156), "Studio pictures\nfrom the photos you have", "#1a1a19", ImageFont.truetype(font, 60), spacing=2)
    card.save(ASSETS / "tiles" / "social.jpg", quality=86)
    sign = PIL.Image.new("RGBA", (256, 256))
    _draw_logo(sign, 16, 16, 224)
    sign.resize((64, 64), PIL.Image.Resampling.LANCZOS).save(ASSETS.parent / "ui" / "static" / "favicon.png")


def _draw_logo(ground: PIL.Image.Image, x: int, y: int, side: int) -> None:
    """Draw the logo: a frame with round corners."""
    ImageDraw.Draw(ground).rounded_rectangle(
        (x, y, x + side, y + side), radius=side // 4, outline="#0f6e65", width=round(side * 0.28)
    )


def _open_strip_picture(studio: RealStudio, file_id: str) -> PIL.Image.Image:
    with PIL.Image.open(studio.files.local_path(file_id)) as picture:
        size = round(picture.width * STRIP_HEIGHT_PX / picture.height), STRIP_HEIGHT_PX
        return picture.convert("RGB").resize(size, PIL.Image.Resampling.LANCZOS)


def _save_tile(studio: RealStudio, tool: str, values: dict[str, object], path: Path) -> None:
    result = studio.make(tool, **values)
    files = [file for file in result.files if file.format == result.files[0].format]
    if tool == "kit" and len(files) > 1:
        square = _lay_out_formats([PIL.Image.open(studio.files.local_path(file.id)) for file in files])
        square.save(path, quality=82, method=6)
        print(path.relative_to(ASSETS), path.stat().st_size)
        return
    with PIL.Image.open(studio.files.local_path(result.files[0].id)) as picture:
        shape = _fit_square if tool in UNCROPPED_TOOLS else _crop_square
        square = shape(picture.convert("RGBA"))
        square.resize((TILE_PX, TILE_PX), PIL.Image.Resampling.LANCZOS).save(path, quality=82, method=6)
    print(path.relative_to(ASSETS), path.stat().st_size)


def _lay_out_formats(pictures: list[PIL.Image.Image]) -> PIL.Image.Image:
    """Return several formats on one light grey square, in rows of two or three."""
    columns = 2 if len(pictures) < 5 else 3
    rows = -(-len(pictures) // columns)
    wide, tall = TILE_PX // columns, TILE_PX // rows
    ground = PIL.Image.new("RGB", (TILE_PX, TILE_PX), "#eef1f0")
    for n, picture in enumerate(pictures):
        picture = picture.convert("RGB")
        picture.thumbnail((wide - 8, tall - 8), PIL.Image.Resampling.LANCZOS)
        row, column = divmod(n, columns)
        width = TILE_PX // min(columns, len(pictures) - row * columns)
        ground.paste(
            picture, (column * width + (width - picture.width) // 2, row * tall + (tall - picture.height) // 2)
        )
    return ground


def _crop_square(picture: PIL.Image.Image) -> PIL.Image.Image:
    """Return the upper middle square, on a chequer where the picture is transparent."""
    side = min(picture.size)
    left, top = (picture.width - side) // 2, min((picture.height - side) // 2, round(0.06 * picture.height))
    rows, columns = np.indices((side, side)) * CHEQUER_COUNT // side
    levels = np.where((rows + columns) % 2, 255, CHEQUER_GREY_LEVEL).astype(np.uint8)
    ground = PIL.Image.fromarray(levels).convert("RGB")
    part = picture.crop((left, top, left + side, top + side))
    ground.paste(part, mask=part.getchannel("A"))
    return ground


def _fit_square(picture: PIL.Image.Image) -> PIL.Image.Image:
    """Return the whole picture on a light grey square."""
    side = round(max(picture.size) * 1.08)
    ground = PIL.Image.new("RGB", (side, side), (236, 236, 238))
    ground.paste(picture, ((side - picture.width) // 2, (side - picture.height) // 2), picture.getchannel("A"))
    return ground


if __name__ == "__main__":
    make_social_card()
    make_example_thumbnails()
    with tempfile.TemporaryDirectory() as data:
        built = RealStudio(Path(data), owner="bench")
        try:
            make_tiles(built)
            make_cards(built)
            make_strips(built)
        finally:
            built.close()
    make_api_cards()
    make_card_thumbnails()
