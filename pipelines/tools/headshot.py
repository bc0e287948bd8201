"""Professional Headshots: one portrait, framed by the table, before a scene; the person's pixels stay their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from pipelines.parts.compose import compose
from pipelines.parts.frame import framing, head_frame, over, place, size_of
from pipelines.parts.light import key_side, outline_colour, white_point
from pipelines.tools import fields
from pipelines.types import (
    Backdrop,
    BadInput,
    Colour,
    Draft,
    Emit,
    Face,
    Image,
    Placed,
    Render,
    Studio,
    Subject,
    Tool,
    choice,
    seed,
)

PresetId = Literal[
    "linkedin", "corporate-grey", "executive-dark", "lobby", "creative-colour", "academic", "medical-white", "actor",
    "park", "black-and-white", "nude-tones", "badge",
]  # fmt: skip
FramingId = Literal["auto", "tight", "classic", "wide", "actor", "badge"]


@dataclass(frozen=True)
class Look:
    """A preset: a scene, a framing, and whether the picture is developed in black and white."""

    title: str
    scene: str
    framing: str
    words: str
    colour: Colour | None = None
    monochrome: bool = False


LOOKS: dict[str, Look] = {
    "linkedin": Look("LinkedIn", "studio-light", "tight", "soft light grey studio background"),
    "corporate-grey": Look("Corporate Grey", "studio-grey", "classic", "seamless mid grey studio paper"),
    "executive-dark": Look("Executive Dark", "studio-dark", "classic", "dark charcoal studio background, soft spot"),
    "lobby": Look("Lobby", "lobby", "classic", "bright modern office lobby, out of focus"),
    "creative-colour": Look("Creative Colour", "studio-colour", "tight", "seamless teal studio paper", (28, 122, 128)),
    "academic": Look("Academic", "canvas", "classic", "hand painted brown canvas backdrop"),
    "medical-white": Look("Medical White", "studio-white", "classic", "clean white studio background"),
    "actor": Look("Actor", "spotlight", "actor", "dark grey studio background with a spot behind the head"),
    "park": Look("Park", "park", "classic", "green park in soft daylight, out of focus"),
    "black-and-white": Look(
        "Black & White", "studio-grey", "classic", "seamless grey studio paper", monochrome=True
    ),
    "nude-tones": Look("Nude Tones", "nude-tones", "classic", "beige and taupe studio paper, neutral styling"),
    "badge": Look("Badge", "studio-badge", "badge", "plain pale blue background"),
}  # fmt: skip


class Headshot(Subject):
    """The form."""

    preset: PresetId = choice(
        "Look", "Backdrop, framing and light in one.", "linkedin",
        labels={key: look.title for key, look in LOOKS.items()}, tiles=True,
    )  # fmt: skip
    framing: FramingId = choice(
        "Framing", "How much of you is seen; the head's height and the eye line follow a table.", "auto",
        labels={"auto": "As the look suggests", "tight": "Tight 1:1", "classic": "Classic 4:5", "wide": "Wide 3:2",
                "actor": "Actor 8x10", "badge": "Badge 1:1"},
    )  # fmt: skip
    background: str = fields.words("Takes the place of the look's backdrop, for example: workshop, forest, night.")
    size: int = fields.size()
    variations: int = fields.variations()
    backdrop: str | None = fields.my_backdrop()
    colour: str | None = fields.scene_colour()
    blur: float = fields.blur()
    light: fields.Light = fields.light()
    format: fields.FileFormat = fields.file_format()
    quality: int = fields.quality()
    seed: int | None = seed()
    consent: bool = fields.consent()


def run(params: Headshot, studio: Studio, emit: Emit) -> Draft:
    """Cut out, frame, set the scene, compose."""
    photo = studio.open(params.photo)
    cutout = studio.cutout(params, emit)
    face = _face(params, studio)
    emit("Cutting out", 2, 2, lambda: over(cutout.colour, cutout.alpha))

    look = LOOKS[params.preset]
    row = framing(look.framing if params.framing == "auto" else params.framing)
    frame = head_frame(cutout, face, row, size_of(row.ratio, 512 if studio.draft else params.size), params)
    placed = place(photo, cutout, frame)
    emit("Framing", 1, 1, lambda: over(placed.colour, placed.alpha))

    key = key_side(photo, face)
    render = Render(
        verb="backdrop",
        prompt=params.background or ("" if params.backdrop else look.words),
        size=frame.size,
        seeds=tuple(studio.seed + n for n in range(1 if studio.draft else params.variations)),
        backdrop=_backdrop(params, studio, look, placed, photo, key),
    )
    scenes = studio.draw(render, emit)

    images = []
    for n, plate in enumerate(scenes.images):
        image = compose(placed, plate, seed=render.seeds[n], key=key, relit=params.light == "relit")
        images.append(_monochrome(image) if look.monochrome else image)
        emit("Composing", n + 1, len(scenes.images), images[-1])
    return Draft(
        images=tuple(images),
        source=placed,
        alphas=(placed.alpha,),
        notices=(*cutout.notices, *frame.notices, *scenes.notices),
        exact=params.light == "exact" and not look.monochrome,
    )


def _face(params: Headshot, studio: Studio) -> Face:
    faces = studio.faces(params.photo)
    if not faces:
        raise BadInput(
            "No face was found. Take a photo in which the face is seen from the front.", code="no_face", param="photo"
        )
    if params.pick >= len(faces):
        raise BadInput(f"There is no face number {params.pick + 1} in this photo.", code="no_face", param="pick")
    return faces[params.pick]


def _backdrop(params: Headshot, studio: Studio, look: Look, placed: Placed, photo: Image, key: str) -> Backdrop:
    eye_line = placed.frame.eye_line or 0.4 * placed.frame.size[1]
    return Backdrop(
        scene="" if params.background else look.scene,
        colour=fields.rgb(params.colour) or (None if params.background else look.colour),
        picture=studio.open(params.backdrop) if params.backdrop else None,
        blur=params.blur / 100,
        horizon=eye_line / placed.frame.size[1],
        key=key,  # pyright: ignore[reportArgumentType]
        mired=white_point(photo),
        subject="person",
        avoid=outline_colour(placed.colour, placed.alpha),
    )


def _monochrome(image: Image) -> Image:
    """Black and white with the weights of panchromatic film, which renders skin a little lighter than luma does."""
    grey = image @ np.array([0.36, 0.54, 0.10], np.float32)
    return np.repeat(np.clip(grey + 0.5, 0, 255).astype(np.uint8)[..., None], 3, axis=2)


TOOL = Tool(
    id="headshot",
    title="Professional Headshots",
    summary="A portrait for LinkedIn, a team page or a casting, from a photo you have.",
    params=Headshot,
    run=run,
    strengths=(
        "Your own pixels, unchanged",
        "Consistent character",
        "Photorealism",
        "High resolution",
        "Maintains ethnicity",
        "Nude tones",
    ),
    limits=("New outfits and expressions need a GPU model",),
    person=True,
    popular=True,
    examples=("astronaut", "hopper"),
)
