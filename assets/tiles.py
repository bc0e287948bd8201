"""Makes the pictures of preset tiles and of the README with the tools themselves: `python -m assets.tiles`."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import get_args

import cv2
import numpy as np
import PIL.Image
from PIL import ImageDraw, ImageFont

from pipelines.core.geometry import Image
from tests.bench.house import Room

HERE = Path(__file__).parent
SIDE = 240
# The example that shows a tool best.
PHOTO = {
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
FACE = {
    "headshot": {"framing": "classic"},
    "product": {},
    "background": {"ratio": "1:1"},
    "style": {},
    "fashion": {"title": ""},
    "kit": {"headline": "Good morning", "colour": "#1c4a80"},
    "character": {},
    "business": {"names": "Grace Hopper, Rear Admiral\nEileen Collins, Commander", "company": "Northwind"},
}
# Places are shown as one portrait, since that is what they change.
BUSINESS: dict[str, dict[str, object]] = {
    **{preset: {"layout": "portraits", "head": 50.0} for preset in ("lobby", "hall", "lab", "remote", "brand-wall")},
    "company-page": {"colour": "#0b5c52"},
}
# Whom each role's tile shows: tones and figures in turn, so that no role is one kind of person's.
CHARACTERS: dict[str, dict[str, object]] = {
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
WHOLE = ("kit", "business")  # tools whose tile shows the picture's shape


def tiles(room: Room) -> None:
    """One small WebP a preset, `assets/tiles/<tool>/<preset>.webp`."""
    for tool in room.desk.tools:
        if tool.id not in PHOTO:
            continue
        folder = HERE / "tiles" / tool.id
        folder.mkdir(parents=True, exist_ok=True)
        for preset in get_args(tool.params.model_fields["preset"].annotation):
            values = {"photo": room.photos[PHOTO[tool.id]], "preset": preset, "size": 512, "seed": 1, **FACE[tool.id]}
            if tool.id == "business":
                values |= {"photos": [room.photos[name] for name in TEAM], **BUSINESS.get(preset, {})}
            values = {name: value for name, value in values.items() if name in tool.params.model_fields}
            if tool.id == "character":
                values |= CHARACTERS[preset]
            if preset == "flat-lay":
                values["photo"] = room.photos["coffee"]
            if preset == "cover":
                values["title"] = "Grace"
            if preset == "my-backdrop":
                values["backdrop"] = room.photos["chelsea"]
            _save(room, tool.id, values, folder / f"{preset}.webp")


CARD = (560, 420)
# What a tool's card on Home shows.
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


def cards(room: Room) -> None:
    """One picture a tool for Home, `assets/tiles/<tool>/card.webp`."""
    for tool, (photo, values) in CARDS.items():
        fields = room.desk.tool(tool).params.model_fields
        team = {"photos": [room.photos[name] for name in TEAM], **FACE["business"]} if tool == "business" else {}
        asked = {"photo": room.photos[photo], "size": 1024, "seed": 1, **team, **values}
        if tool == "retouch":
            asked["mask"] = room.files.add(badge(), "bench", "upload")
        result = room.make(tool, **{name: value for name, value in asked.items() if name in fields})
        path = HERE / "tiles" / tool / "card.webp"
        path.parent.mkdir(parents=True, exist_ok=True)
        with PIL.Image.open(room.files.path(result.files[0].id)) as picture:
            card = _halves(room, photo, picture) if tool == "retouch" else _filled(picture.convert("RGBA"))
            card.save(path, quality=74, method=6)
        print(path.relative_to(HERE), path.stat().st_size)


def badge() -> Image:
    """A mask over the name on Grace Hopper's jacket, at her photo's size."""
    mask = np.zeros((600, 512, 3), np.uint8)
    cv2.ellipse(mask, (122, 499), (58, 27), 6, 0, 360, (255, 255, 255), -1)
    return mask


def _halves(room: Room, photo: str, made: PIL.Image.Image) -> PIL.Image.Image:
    """The same part before and after, side by side: what is gone is seen only beside what was."""
    card, gap = PIL.Image.new("RGB", CARD, "white"), 6
    wide = (CARD[0] - gap) // 2
    for n, picture in enumerate((PIL.Image.fromarray(room.files.open(room.photos[photo])), made.convert("RGB"))):
        part = picture.crop((40, 150, 40 + round(408 * wide / CARD[1]), 558))
        card.paste(part.resize((wide, CARD[1]), PIL.Image.Resampling.LANCZOS), (n * (wide + gap), 0))
    return card


def _filled(picture: PIL.Image.Image) -> PIL.Image.Image:
    """The picture over the whole card, its upper part kept, on pale grey where there is nothing."""
    scale = max(CARD[0] / picture.width, CARD[1] / picture.height)
    large = picture.resize((round(picture.width * scale), round(picture.height * scale)), PIL.Image.Resampling.LANCZOS)
    left, top = (large.width - CARD[0]) // 2, (large.height - CARD[1]) // 20
    part = large.crop((left, top, left + CARD[0], top + CARD[1]))
    ground = PIL.Image.new("RGB", CARD, "#eef1f0")
    ground.paste(part, mask=part.getchannel("A"))
    return ground


# What the README shows: source photo, then these.
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
STRIP_HEIGHT = 420


def strips(room: Room) -> None:
    """One WebP a tool for the README: the photo, and what the tool made of it, untouched."""
    folder = HERE.parent / "docs" / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    for name, (photo, orders) in STRIPS.items():
        shown = [_opened(room, room.photos[photo])] if photo else []
        for values in orders:
            tool = name.split("-")[0]
            asked = {"photo": room.photos.get(photo), "size": 1024, "seed": 1, **values}
            fields = room.desk.tool(tool).params.model_fields
            result = room.make(tool, **{key: value for key, value in asked.items() if key in fields})
            shown.append(_opened(room, result.files[0].id))
        width = sum(picture.width for picture in shown) + 6 * (len(shown) - 1)
        strip, x = PIL.Image.new("RGB", (width, STRIP_HEIGHT), "white"), 0
        for picture in shown:
            strip.paste(picture, (x, 0))
            x += picture.width + 6
        strip.save(folder / f"{name}.webp", quality=86, method=6)
        print(f"docs/pictures/{name}.webp", (folder / f"{name}.webp").stat().st_size)


SHEET = ("amazon", "shopify", "marble", "oak", "podium", "linen", "concrete", "brand-colour", "google")
REQUEST = """curl …/v1/tools/headshot
  -H "X-API-Key: $KEY"
  -F photo=@me.jpg
  -F preset=park"""


def doors() -> None:
    """The cards of the batch tab and the API: a contact sheet, and a request with its answer."""
    sheet, gap = PIL.Image.new("RGB", CARD, "#ffffff"), 8
    side = (CARD[1] - 4 * gap) // 3
    across = (CARD[0] - 3 * side) // 4
    for n, name in enumerate(SHEET):
        at = across + n % 3 * (side + across), gap + n // 3 * (side + gap)
        sheet.paste(_tile(f"product/{name}", side), at)
    request = PIL.Image.new("RGB", CARD, "#12211f")
    font = ImageFont.truetype(str(HERE / "fonts" / "SourceSansPro-Regular.ttf"), 27)
    ImageDraw.Draw(request).text((30, 32), REQUEST, "#d7efe9", font, spacing=10)
    request.paste(_tile("headshot/park", 206), (CARD[0] - 206 - 24, CARD[1] - 206 - 24))
    for name, card in (("batch", sheet), ("api", request)):
        path = HERE / "tiles" / name / "card.webp"
        path.parent.mkdir(parents=True, exist_ok=True)
        card.save(path, quality=74, method=6)


def _tile(name: str, side: int) -> PIL.Image.Image:
    with PIL.Image.open(HERE / "tiles" / f"{name}.webp") as picture:
        return picture.convert("RGB").resize((side, side), PIL.Image.Resampling.LANCZOS)


SOCIAL = (1200, 630)
SHOWN = ("headshot/card", "product/card", "style/watercolour", "background/night")


def social() -> None:
    """What a link to the page looks like elsewhere, and the page's own small sign, from pictures that are there."""
    card = PIL.Image.new("RGB", SOCIAL, "#fafafa")
    for n, name in enumerate(SHOWN):
        with PIL.Image.open(HERE / "tiles" / f"{name}.webp") as picture:
            side = min(picture.size)
            left = (picture.width - side) // 2
            square = picture.convert("RGB").crop((left, 0, left + side, side))
        card.paste(square.resize((262, 262), PIL.Image.Resampling.LANCZOS), (52 + 278 * n, 316))
    pen, font = ImageDraw.Draw(card), str(HERE / "fonts" / "SourceSansPro-Bold.ttf")
    _sign(card, 52, 62, 44)
    pen.text((116, 52), "DesignerBox", "#1a1a19", ImageFont.truetype(font, 52))
    pen.text((50, 156), "Studio pictures\nfrom the photos you have", "#1a1a19", ImageFont.truetype(font, 60), spacing=2)
    card.save(HERE / "tiles" / "social.jpg", quality=86)
    sign = PIL.Image.new("RGBA", (256, 256))
    _sign(sign, 16, 16, 224)
    sign.resize((64, 64), PIL.Image.Resampling.LANCZOS).save(HERE.parent / "ui" / "static" / "favicon.png")


def _sign(ground: PIL.Image.Image, x: int, y: int, side: int) -> None:
    """The page's box: a frame with round corners in its one colour."""
    ImageDraw.Draw(ground).rounded_rectangle(
        (x, y, x + side, y + side), radius=side // 4, outline="#0f6e65", width=round(side * 0.28)
    )


def _opened(room: Room, file_id: str) -> PIL.Image.Image:
    with PIL.Image.open(room.files.path(file_id)) as picture:
        size = round(picture.width * STRIP_HEIGHT / picture.height), STRIP_HEIGHT
        return picture.convert("RGB").resize(size, PIL.Image.Resampling.LANCZOS)


def _save(room: Room, tool: str, values: dict[str, object], path: Path) -> None:
    result = room.make(tool, **values)
    with PIL.Image.open(room.files.path(result.files[0].id)) as picture:
        shape = _fitted if tool in WHOLE else _square
        square = shape(picture.convert("RGBA"))
        square.resize((SIDE, SIDE), PIL.Image.Resampling.LANCZOS).save(path, quality=82, method=6)
    print(path.relative_to(HERE), path.stat().st_size)


def _square(picture: PIL.Image.Image) -> PIL.Image.Image:
    """The upper middle square, on white where there is nothing."""
    side = min(picture.size)
    left, top = (picture.width - side) // 2, min((picture.height - side) // 2, round(0.06 * picture.height))
    ground = PIL.Image.new("RGB", (side, side), "white")
    part = picture.crop((left, top, left + side, top + side))
    ground.paste(part, mask=part.getchannel("A"))
    return ground


def _fitted(picture: PIL.Image.Image) -> PIL.Image.Image:
    """All of it, on a square of light grey."""
    side = round(max(picture.size) * 1.08)
    ground = PIL.Image.new("RGB", (side, side), (236, 236, 238))
    ground.paste(picture, ((side - picture.width) // 2, (side - picture.height) // 2), picture.getchannel("A"))
    return ground


if __name__ == "__main__":
    social()
    with tempfile.TemporaryDirectory() as data:
        built = Room(Path(data))
        try:
            tiles(built)
            cards(built)
            strips(built)
        finally:
            built.close()
    doors()
