"""Background Generator: the subject stays, the world behind it changes; without a photo, the scene alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from pipelines.parts.compose import Shadow, compose
from pipelines.parts.frame import bounds, photo_frame, place, sides_cut, size_of
from pipelines.parts.light import key_side, outline_colour, white_point
from pipelines.tools import fields
from pipelines.types import (
    MAX_SIDE,
    Backdrop,
    BadInput,
    Draft,
    Emit,
    Image,
    Images,
    Placed,
    Render,
    Side,
    Size,
    Studio,
    Subject,
    Tool,
    choice,
    picture,
    seed,
)

PresetId = Literal[
    "studio-grey", "spotlight", "apartment", "lobby", "workshop", "forest", "park", "night", "sunset", "venice",
    "my-backdrop",
]  # fmt: skip
RatioId = Literal["photo", "1:1", "4:5", "2:3", "3:2", "16:9", "9:16"]
RATIOS: dict[str, tuple[int, int]] = {
    "1:1": (1, 1), "4:5": (4, 5), "2:3": (2, 3), "3:2": (3, 2), "16:9": (16, 9), "9:16": (9, 16),
}  # fmt: skip


@dataclass(frozen=True)
class Scene:
    """A preset: a built-in scene, and the words for a model that draws."""

    title: str
    scene: str
    words: str


SCENES: dict[str, Scene] = {
    "studio-grey": Scene("Studio Grey", "studio-grey", "seamless grey studio paper"),
    "spotlight": Scene("Spotlight", "spotlight", "dark studio with a soft spot of light on the wall"),
    "apartment": Scene("Apartment", "apartment", "bright apartment, out of focus"),
    "lobby": Scene("Lobby", "lobby", "modern lobby, out of focus"),
    "workshop": Scene("Workshop", "workshop", "workshop with tools, out of focus"),
    "forest": Scene("Forest", "forest", "green forest, out of focus"),
    "park": Scene("Park", "park", "park in daylight, out of focus"),
    "night": Scene("Night", "night", "city street at night with lights, out of focus"),
    "sunset": Scene("Sunset", "sunset", "open landscape at sunset, out of focus"),
    "venice": Scene("Venice", "venice", "Venice at dusk, out of focus"),
    "my-backdrop": Scene("My Backdrop", "", ""),
}


class Background(Subject):
    """The form. `photo` may be left out: then only the scene is drawn."""

    photo: str | None = picture(  # pyright: ignore[reportIncompatibleVariableOverride]
        "Photo", "Your subject. Without one, only the scene is drawn."
    )
    prompt: str = fields.words("What stands behind the subject, for example: Tokyo at night, autumn forest, office.")
    preset: PresetId = choice(
        "Scene", "Used when there are no words.", "studio-grey",
        labels={key: scene.title for key, scene in SCENES.items()}, tiles=True,
    )  # fmt: skip
    backdrop: str | None = picture("My backdrop", "Your own picture as the scene.")
    ratio: RatioId = choice("Shape", "Width to height.", "photo", labels={"photo": "As the photo"})
    size: int = fields.size(1280)
    variations: int = fields.variations()
    colour: str | None = fields.scene_colour()
    blur: float = fields.blur()
    light: fields.Light = fields.light()
    format: fields.FileFormat = fields.file_format()
    quality: int = fields.quality()
    seed: int | None = seed()


def run(params: Background, studio: Studio, emit: Emit) -> Draft:
    """Cut out, keep the place, set the scene, compose."""
    if params.preset == "my-backdrop" and params.backdrop is None and not params.prompt:
        raise BadInput("Choose a picture for 'My backdrop', or another scene.", param="backdrop")
    if params.photo is None:
        scenes = _scenes(params, studio, emit, _scene_size(params, studio), Backdrop(subject="any"))
        return Draft(images=scenes.images, notices=scenes.notices)

    photo = studio.open(params.photo)
    cutout = studio.cutout(params, emit)
    emit("Cutting out", 2, 2)
    size = _photo_size(params, studio, photo)
    frame = photo_frame(cutout.alpha, size, params)
    placed = place(photo, cutout, frame)
    faces = studio.faces(params.photo)
    key: Side = key_side(photo, faces[0]) if faces else "none"

    scenes = _scenes(params, studio, emit, size, _asked(placed, photo, key, person=bool(faces)))
    stands = not sides_cut(cutout.alpha) and not faces
    images = []
    for n, plate in enumerate(scenes.images):
        shadow = Shadow() if stands else None
        relit = params.light == "relit"
        images.append(compose(placed, plate, seed=studio.seed + n, key=key, shadow=shadow, relit=relit))
        emit("Composing", n + 1, len(scenes.images), images[-1])
    return Draft(
        images=tuple(images),
        source=placed,
        alphas=(placed.alpha,),
        notices=(*cutout.notices, *frame.notices, *scenes.notices),
        exact=params.light == "exact",
    )


def _scenes(params: Background, studio: Studio, emit: Emit, size: Size, asked: Backdrop) -> Images:
    scene = SCENES[params.preset]
    backdrop = replace(
        asked,
        scene="" if params.prompt else scene.scene,
        colour=fields.rgb(params.colour),
        picture=studio.open(params.backdrop) if params.backdrop else None,
        blur=params.blur / 100,
    )
    seeds = tuple(studio.seed + n for n in range(1 if studio.draft else params.variations))
    words = params.prompt or ("" if params.backdrop else scene.words)
    return studio.draw(Render(verb="backdrop", prompt=words, size=size, seeds=seeds, backdrop=backdrop), emit)


def _asked(placed: Placed, photo: Image, key: Side, *, person: bool) -> Backdrop:
    height = placed.alpha.shape[0]
    _, top, _, bottom = bounds(placed.alpha)
    return Backdrop(
        horizon=(top + 0.2 * (bottom - top)) / height if person else 0.45,
        floor=None if person else bottom / height,
        key=key,
        mired=white_point(photo),
        subject="person" if person else "product",
        avoid=outline_colour(placed.colour, placed.alpha),
    )


def _scene_size(params: Background, studio: Studio) -> Size:
    ratio = RATIOS.get(params.ratio, (1, 1))
    return size_of(ratio, 512 if studio.draft else params.size)


def _photo_size(params: Background, studio: Studio, photo: Image) -> Size:
    """The photo's own size where the shape is kept and it is no larger than asked, so that nothing is resampled."""
    if params.ratio != "photo":
        return _scene_size(params, studio)
    rows, columns = photo.shape[:2]
    longer = 512 if studio.draft else min(params.size, MAX_SIDE)
    if max(rows, columns) <= longer:
        return columns, rows
    return size_of((columns, rows), longer)


TOOL = Tool(
    id="background",
    title="Background Generator",
    summary="Another place behind the same subject, in the photo's own light and framing.",
    params=Background,
    run=run,
    strengths=("Custom environments", "Seamless blending", "Any style or theme", "High resolution", "Fast"),
    limits=("Invented scenes need a GPU model; here they are chosen from built-in ones",),
    examples=("astronaut", "hopper", "coffee"),
)
