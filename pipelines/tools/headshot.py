"""Professional Headshots: one portrait, framed by the table, before a scene; the person's pixels stay their own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import cv2
import numpy as np

from pipelines.codecs.containers import layered
from pipelines.compositing.compose import compose, relight
from pipelines.compositing.light_estimation import key_side, measured
from pipelines.core.errors import BadInput
from pipelines.core.geometry import Alpha, Colour, Face, Image, PlacedSubject, Side
from pipelines.core.job import Emit
from pipelines.core.params import Subject, choice, flag, pictures, prompt, seed
from pipelines.core.rendering import Backdrop, Draft, Extra, Images, Render
from pipelines.core.tools import Studio, Tool
from pipelines.framing.framings import framing, size_of
from pipelines.framing.head_framing import body_end, head_frame
from pipelines.framing.placement import missing
from pipelines.framing.resample import over, place, resample
from pipelines.quality.portrait_ranking import ranked, sentences
from pipelines.tools.shared import form_fields

PresetId = Literal[
    "linkedin", "corporate-grey", "executive-dark", "lobby", "creative-colour", "academic", "medical-white", "actor",
    "park", "black-and-white", "nude-tones", "badge",
]  # fmt: skip
FramingId = Literal["auto", "tight", "classic", "wide", "actor", "badge"]
SetId = Literal["one", "four", "all"]
# Whatever a model is asked to draw on a person, this is asked with it.
DRESSED = "fully clothed, shoulders covered, professional"
SEAM = 0.012  # of the longer side, over which what is drawn meets the photo, outside it
COMPLETED = "What your photo cuts off was drawn by a model, around your own pixels, which are unchanged."

UNLAYERED = "No layers: a model drew over the finished picture."


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


SETS: dict[str, tuple[str, ...]] = {
    "one": (),
    "four": ("linkedin", "corporate-grey", "lobby", "executive-dark"),
    "all": tuple(key for key, look in LOOKS.items() if not look.monochrome),
}


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
    photos: tuple[str, ...] = pictures(
        "More photos to choose from", "Of the same person: the best of all is taken, and you are told why.",
        at_least=0, at_most=11, more=True,
    )  # fmt: skip
    looks: SetId = choice(
        "Set", "Several looks of one person, in one crop, one eye line and one light.", "one", more=True,
        labels={"one": "This look", "four": "Four looks", "all": "All colour looks"},
    )  # fmt: skip
    zoom_out: bool = flag(
        "Complete the frame", "Where the photo ends before the framing does: what is missing of you is drawn, around "
        "your own pixels. Without it the framing comes closer.", needs=("inpaint",),
    )  # fmt: skip
    background: str = form_fields.words("Takes the place of the look's backdrop, for example: workshop, forest, night.")
    expression: str = prompt("Expression", "For example: a calm smile.", max_length=80, more=True, needs=("edit",))
    outfit: str = prompt("Outfit", "For example: a navy blazer over a white shirt.", max_length=120, needs=("edit",))
    size: int = form_fields.size()
    variations: int = form_fields.variations()
    backdrop: str | None = form_fields.my_backdrop()
    colour: str | None = form_fields.scene_colour()
    blur: float = form_fields.blur()
    light: form_fields.Light = form_fields.light()
    layers: bool = form_fields.layers()
    brand: str = form_fields.brand()
    format: form_fields.FileFormat = form_fields.file_format()
    quality: int = form_fields.quality()
    seed: int | None = seed()
    consent: bool = form_fields.consent()


def run(params: Headshot, studio: Studio, emit: Emit) -> Draft:
    """Take the best photo, cut out, frame, set the scene, compose."""
    params, why = _best(params, studio, emit)
    photo = studio.open(params.photo)
    cutout = studio.cutout(params, emit)
    face = _face(params, studio)
    emit("Cutting out", 2, 2, lambda: over(cutout.colour, cutout.alpha))

    look = LOOKS[params.preset]
    row = framing(look.framing if params.framing == "auto" else params.framing)
    size = size_of(row.ratio, 512 if studio.draft else params.size)
    completes = params.zoom_out and not studio.draft
    frame = head_frame(cutout, face, row, size, params, closer=not completes)
    placed = place(photo, cutout, frame)
    lacks = (
        missing(cutout.alpha, frame, body_end(cutout.alpha, face))
        if completes
        else np.zeros(placed.alpha.shape, np.float32)
    )
    emit("Framing", 1, 1, lambda: over(placed.colour, placed.alpha))

    key = key_side(photo, face)
    images: list[Image] = []
    notices = [*why, *cutout.notices, *frame.notices]
    names = _names(params, studio)
    drawn = bool(_wishes(params))
    whole = params.layers and not (studio.draft or drawn or lacks.any())
    stood = placed
    extras: list[Extra] = []
    for name in dict.fromkeys(names):
        scenes = studio.draw(_render(params, studio, LOOKS[name], placed, photo, key), emit)
        notices += scenes.notices
        for plate in scenes.images:
            if params.light == "relit" and not images:  # once, by the first scene: a set has one light
                stood = replace(placed, colour=relight(placed, plate))
            image = compose(stood, plate, seed=studio.seed + len(images), key=key)
            extras += _layers(params, studio, LOOKS[name], image, stood, plate, key, len(images)) if whole else ()
            image = _completed(params, studio, image, photo, placed, lacks, emit)
            image = _monochrome(image) if LOOKS[name].monochrome else image
            edited = _edited(params, studio, image, emit)
            images += edited.images
            notices += edited.notices
            emit("Composing", len(images), len(names), images[-1])
    notices += [COMPLETED] if lacks.any() else []
    notices += [UNLAYERED] if params.layers and not (whole or studio.draft) else []
    return Draft(
        images=tuple(images),
        source=placed,
        alphas=() if drawn or lacks.any() else (placed.alpha,),
        notices=tuple(dict.fromkeys(notices)),
        exact=params.light == "exact" and not look.monochrome and not drawn,
        names=names if params.looks != "one" else (),
        archive="set" if params.looks != "one" and not studio.draft else "",
        extras=tuple(extras),
        settled={"photo": params.photo, "photos": []} if why else {},
    )


def _layers(
    params: Headshot, studio: Studio, look: Look, image: Image, stood: PlacedSubject, plate: Image, key: Side, n: int
) -> tuple[Extra, ...]:
    """Picture `n` taken apart, in black and white where it is."""
    if look.monochrome:
        stood, plate, image = replace(stood, colour=_monochrome(stood.colour)), _monochrome(plate), _monochrome(image)
    return layered(image, stood, plate, seed=studio.seed + n, key=key, name=f"layers-{n + 1}")


def _names(params: Headshot, studio: Studio) -> tuple[str, ...]:
    """The look of every picture: one look in its variations, or the looks of the set, the chosen one first."""
    if studio.draft:
        return (params.preset,)
    if params.looks == "one":
        return (params.preset,) * params.variations
    return tuple(dict.fromkeys((params.preset, *SETS[params.looks])))


def _best(params: Headshot, studio: Studio, emit: Emit) -> tuple[Headshot, tuple[str, ...]]:
    """The form with the best photo in it and nothing to choose from, and why; a cut-out by hand settles the choice."""
    if not params.photos or params.matte is not None:
        return params, ()
    ids = tuple(dict.fromkeys((params.photo, *params.photos)))
    seen = []
    for n, file_id in enumerate(ids, 1):
        seen.append((studio.open(file_id), studio.faces(file_id)))
        emit("Comparing the photos", n, len(ids))
    order = ranked(seen)
    return params.model_copy(update={"photo": ids[order[0].number - 1], "photos": ()}), sentences(order)


def _render(params: Headshot, studio: Studio, look: Look, placed: PlacedSubject, photo: Image, key: str) -> Render:
    count = 1 if studio.draft or params.looks != "one" else params.variations
    return Render(
        verb="backdrop",
        prompt=params.background or ("" if params.backdrop else look.words),
        size=placed.frame.size,
        seeds=tuple(studio.seed + n for n in range(count)),
        backdrop=measured(_backdrop(params, studio, look, placed, key), photo, placed),
    )


def _wishes(params: Headshot) -> str:
    """What an edit model is asked to change, as words; empty when nothing."""
    asked = (("facial expression", params.expression), ("outfit", params.outfit))
    return ", ".join(f"{what}: {words}" for what, words in asked if words)


def _edited(params: Headshot, studio: Studio, image: Image, emit: Emit) -> Images:
    """The portrait with another expression or outfit, by a model; as it is where nothing is asked for."""
    wishes = _wishes(params)
    if not wishes or studio.draft:
        return Images((image,))
    words = f"The same person, face, hair, pose, light and background; change only {wishes}. {DRESSED}."
    size = image.shape[1], image.shape[0]
    drawn = studio.draw(Render("edit", words, size, (studio.seed,), images=(image,)), emit)
    said = "A model drew this change. Skin and face were compared with your photo: the receipt says how far they moved."
    return Images(drawn.images, (said, *drawn.notices))


def _completed(
    params: Headshot, studio: Studio, image: Image, photo: Image, placed: PlacedSubject, lacks: Alpha, emit: Emit
) -> Image:  # fmt: skip
    """The portrait with what the photo cuts off drawn by a model; not one of the photo's own pixels is touched."""
    if not lacks.any():
        return image
    ours = lacks[..., None] == 0
    # The model begins with the photo's last rows drawn out: cloth goes on as cloth.
    start = np.where(ours, image, resample(photo, placed.frame))
    words = f"The same person, body and clothes continuing beyond the edge, {DRESSED}. {params.background}"
    size = image.shape[1], image.shape[0]
    render = Render("inpaint", words, size, (studio.seed,), images=(start,), mask=lacks, strength=1.0)
    drawn = studio.draw(render, emit).images[0]
    away = cv2.distanceTransform((lacks > 0).astype(np.uint8), cv2.DIST_L2, 5)
    weight = np.clip(away / (SEAM * max(size)), 0, 1)[..., None]
    return np.asarray(np.where(ours, image, start + weight * (drawn.astype(np.float32) - start) + 0.5), np.uint8)


def _face(params: Headshot, studio: Studio) -> Face:
    faces = studio.faces(params.photo)
    if not faces:
        raise BadInput(
            "No face was found. Take a photo in which the face is seen from the front.", code="no_face", param="photo"
        )
    if params.pick >= len(faces):
        raise BadInput(f"There is no face number {params.pick + 1} in this photo.", code="no_face", param="pick")
    return faces[params.pick]


def _backdrop(params: Headshot, studio: Studio, look: Look, placed: PlacedSubject, key: str) -> Backdrop:
    eye_line = placed.frame.eye_line or 0.4 * placed.frame.size[1]
    return Backdrop(
        scene="" if params.background else look.scene,
        colour=form_fields.rgb(params.colour) or (None if params.background else look.colour),
        picture=studio.open(params.backdrop) if params.backdrop else None,
        blur=params.blur / 100,
        horizon=eye_line / placed.frame.size[1],
        key=key,  # pyright: ignore[reportArgumentType]
        subject="person",
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
        "Zoom out, as far as the photo goes",
    ),
    limits=("New outfits and expressions need a GPU model",),
    person=True,
    popular=True,
    with_model=(
        ("AI-powered generation", "edit"),
        ("New outfits", "edit"),
        ("New expressions", "edit"),
        ("Zoom out beyond the photo", "inpaint"),
    ),
    examples=("astronaut", "hopper"),
)
