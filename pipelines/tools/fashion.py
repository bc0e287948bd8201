"""Lookbook: one photo in a season's scene, graded and laid out, dressing nobody; with a model, people who wear it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import cv2
import numpy as np

from pipelines.codecs.containers import pages
from pipelines.compositing.compose import compose
from pipelines.compositing.light_estimation import key_side, measured
from pipelines.compositing.shadows import Shadow
from pipelines.core.errors import BadInput
from pipelines.core.geometry import Alpha, Cutout, Face, Image, PlacedSubject, Side, Size
from pipelines.core.job import Emit
from pipelines.core.params import Subject, choice, number, prompt, seed
from pipelines.core.rendering import Backdrop, Draft, Extra, Render
from pipelines.core.tools import Studio, Tool
from pipelines.framing.framings import size_of
from pipelines.framing.head_framing import body_end
from pipelines.framing.placement import bounds, fill_frame, sides_cut
from pipelines.framing.resample import place
from pipelines.imaging.text import Box, Set, fitted, made_legible, write
from pipelines.tools.shared import form_fields
from pipelines.tools.shared.model_casting import POSES, cast, pose_map

PresetId = Literal[
    "clean-grey", "spring", "summer", "autumn", "winter", "street", "evening", "editorial-bw", "flat-lay", "cover",
]  # fmt: skip
RatioId = Literal["4:5", "2:3", "1:1", "9:16"]
PoseId = Literal["varied", "standing", "walking", "hand-on-hip", "arms-crossed", "turned", "seated"]
RATIOS: dict[str, tuple[int, int]] = {"4:5": (4, 5), "2:3": (2, 3), "1:1": (1, 1), "9:16": (9, 16)}
Triple = tuple[float, float, float]
_NONE: Triple = (0.0, 0.0, 0.0)
# Whatever a model is asked to draw on a person, this is asked with it.
DRESSED = "An adult, fully clothed."


@dataclass(frozen=True)
class Grade:
    """A look of the whole picture: steps of 8 bit added to shadows and to lights per channel, contrast, saturation."""

    shadows: Triple = _NONE
    lights: Triple = _NONE
    contrast: float = 0.0
    saturation: float = 1.0


@dataclass(frozen=True)
class Season:
    """A preset: a built-in scene, words for a model that draws, a grade, and whether it lies flat or is a cover.

    `turned` turns the scene's greens by so many degrees of hue: the same wood in another month.
    """

    title: str
    scene: str
    words: str
    grade: Grade
    turned: float = 0.0
    flat: bool = False
    cover: bool = False


SEASONS: dict[str, Season] = {
    "clean-grey": Season("Clean Grey", "studio-grey", "seamless grey studio paper", Grade(contrast=0.06)),
    "spring": Season("Spring", "park", "park in spring, fresh green, soft light",
                     Grade((2, 5, 3), (4, 5, -3), -0.04, 1.08)),
    "summer": Season("Summer", "sky", "open landscape under a summer sky", Grade((5, 2, -3), (8, 4, -6), 0.06, 1.12)),
    "autumn": Season("Autumn", "forest", "autumn forest in warm light", Grade((4, 0, -6), (10, 3, -10), 0.05, 0.96),
                     turned=58),
    "winter": Season("Winter", "dawn", "pale winter morning", Grade((-4, 0, 7), (-3, 1, 6), 0.03, 0.80)),
    "street": Season("Street", "city", "city street in daylight", Grade((-3, 2, 6), (5, 1, -3), 0.10, 0.94)),
    "evening": Season("Evening", "night", "city lights in the evening", Grade((-3, -1, 6), (7, 1, -4), 0.10, 1.02)),
    "editorial-bw": Season("Editorial B&W", "studio-dark", "dark studio", Grade(contrast=0.22, saturation=0.0)),
    "flat-lay": Season("Flat Lay", "linen", "natural linen cloth from above", Grade(contrast=0.03), flat=True),
    "cover": Season("Cover", "studio-light", "light studio background", Grade((0, 0, 2), (3, 1, -2), 0.05), cover=True),
}  # fmt: skip


class Fashion(Subject):
    """The form."""

    preset: PresetId = choice(
        "Look", "Scene, grading and layout in one.", "clean-grey",
        labels={key: row.title for key, row in SEASONS.items()}, tiles=True,
    )  # fmt: skip
    title: str = prompt("Title", "On the cover, and under the other looks where there is one.", max_length=40)
    background: str = form_fields.words(
        "Takes the place of the look's scene, for example: Venice, workshop, spotlight.", more=True
    )
    ratio: RatioId = choice("Shape", "Width to height.", "4:5")
    size: int = form_fields.size(1280)
    variations: int = form_fields.variations()
    pdf: Literal["none", "look", "book"] = choice(
        "PDF", "Pages to print or to send: this look, or every look there is with the cover first.", "none", more=True,
        labels={"none": "None", "look": "This look", "book": "All ten looks"},
    )  # fmt: skip
    models: int = number(
        "On models", "So many drawn people wear it; 0: the photo as it is. Who they are is stated on the result, and "
        "read from no photo.", 0, ge=0, le=4, needs=("edit", "control"), any_of=True, more=False,
    )  # fmt: skip
    who: str = prompt(
        "Who wears it", "Empty: a cast balanced in gender, age, complexion and build.", max_length=160, more=True,
        needs=("edit", "control"), any_of=True,
    )  # fmt: skip
    garment: str = prompt(
        "The garment in words", "Needed where the model follows poses and cannot wear what is in a photo.",
        max_length=160, more=True, needs=("edit", "control"), any_of=True,
    )  # fmt: skip
    pose: PoseId = choice(
        "Pose", "Followed as a map by a control model, told in words to others.", "varied", more=True,
        labels={"varied": "A different one each", **{key: row.title for key, row in POSES.items()}},
        needs=("edit", "control"), any_of=True,
    )  # fmt: skip
    grading: int = number("Grading", "0: the colours as they are.", 100, ge=0, le=100, unit="%")
    backdrop: str | None = form_fields.my_backdrop()
    colour: str | None = form_fields.scene_colour()
    blur: float = form_fields.blur()
    brand: str = form_fields.brand()
    format: form_fields.FileFormat = form_fields.file_format()
    quality: int = form_fields.quality()
    seed: int | None = seed()
    consent: bool = form_fields.consent()


@dataclass(frozen=True)
class Taken:
    """What of the photo is the same in every look."""

    photo: Image
    cutout: Cutout
    faces: tuple[Face, ...]
    key: Side


def run(params: Fashion, studio: Studio, emit: Emit) -> Draft:
    """Cut out, stand in the frame, set the season, grade, letter; then the pages. Or put it on models."""
    photo = studio.open(params.photo)
    cutout = studio.cutout(params, emit)
    faces = studio.faces(params.photo)
    emit("Cutting out", 1, 1)
    if params.models and not studio.draft:
        return _modelled(params, cutout, studio, emit)
    taken = Taken(photo, cutout, faces, key_side(photo, faces[0]) if faces else "none")
    images, placed, said = _looked(params, taken, studio, emit)
    return Draft(
        images=images,
        source=placed,
        alphas=(placed.alpha,),
        notices=(*cutout.notices, *placed.frame.notices, *said),
        exact=False,
        extras=_pages(params, images, taken, studio, emit),
    )


def _looked(
    params: Fashion, taken: Taken, studio: Studio, emit: Emit
) -> tuple[tuple[Image, ...], PlacedSubject, tuple[str, ...]]:
    """The pictures of one look, where the subject stands in them, and what the scenes had to say."""
    alpha, person = taken.cutout.alpha, bool(taken.faces)
    season = SEASONS[params.preset]
    size = size_of(RATIOS[params.ratio], 512 if studio.draft else params.size)
    lies = season.flat and not person
    stand, fill = ("centre", 0.86) if lies else ("floor", 1.08)
    end = body_end(alpha, taken.faces[params.pick]) if params.pick < len(taken.faces) else None
    floor = 1.0 if end is not None else _foot(alpha)
    frame = fill_frame(alpha, size, fill, params, stand=stand, floor=floor, end=end, held=False)
    placed = place(taken.photo, taken.cutout, frame)
    render = _render(params, studio, season, placed, taken.photo, taken.key, lies=lies, person=person)
    scenes = studio.draw(render, emit)

    shadow = _shadow(alpha, lies=lies, person=person)
    images = []
    for n, plate in enumerate(scenes.images):
        plate = greens_turned(plate, season.turned) if season.turned and not params.background else plate
        image = compose(placed, plate, seed=studio.seed + n, key=taken.key, shadow=shadow)
        image = graded(image, season.grade, params.grading / 100)
        _letter(image, params, season, placed.alpha)
        images.append(image)
        emit("Composing", n + 1, len(scenes.images), image)
    return tuple(images), placed, scenes.notices


def _pages(
    params: Fashion, images: tuple[Image, ...], taken: Taken, studio: Studio, emit: Emit
) -> tuple[Extra, ...]:  # fmt: skip
    """One PDF: the look's pictures, or the cover and then every other look."""
    if params.pdf == "none" or studio.draft:
        return ()
    if params.pdf == "book":
        names = ["cover", *(name for name in SEASONS if name != "cover")]
        looks = [params.model_copy(update={"preset": name, "variations": 1}) for name in names]
        images = tuple(_looked(look, taken, studio, emit)[0][0] for look in looks)
    return _bound(params, images)


def _bound(params: Fashion, images: tuple[Image, ...]) -> tuple[Extra, ...]:
    """These pictures as one PDF, where one is asked for."""
    if params.pdf == "none":
        return ()
    name = "lookbook" if params.pdf == "book" else params.preset
    return (Extra("result", "pdf", pages(images, params.title or "Lookbook"), images, name),)


# ---------------------------------------------------------------- on models


def _modelled(params: Fashion, cutout: Cutout, studio: Studio, emit: Emit) -> Draft:
    """Drawn people in the garment, one picture each, in the season's place; who was drawn is said."""
    if not studio.has("edit") and not params.garment:
        raise BadInput("This model follows poses and cannot wear what a photo shows: say the garment in words.",
                       param="garment")  # fmt: skip
    season, size = SEASONS[params.preset], size_of(RATIOS[params.ratio], params.size)
    people = [params.who] * params.models if params.who else [each.words for each in cast(params.models, studio.seed)]
    worn = _garment(cutout)
    images: list[Image] = []
    for n, person in enumerate(people):
        drawn = studio.draw(_worn(params, studio, season, size, person, n, worn), emit)
        image = graded(drawn.images[0], season.grade, params.grading / 100)
        _letter(image, params, season, np.zeros(image.shape[:2], np.float32))
        images.append(image)
        emit("Dressing", n + 1, len(people), image)
    stated = "; ".join(f"{n}: {person}" for n, person in enumerate(people, 1))
    how = ("The garment was drawn after your photo: compare cut, pattern and colour before you publish."
           if studio.has("edit") else "The garment was drawn from your words.")  # fmt: skip
    return Draft(
        images=tuple(images),
        notices=(*cutout.notices, f"The people are drawn and were asked for as {stated}.", how),
        exact=False,
        extras=_bound(params, tuple(images)),
        names=tuple(f"model-{n}" for n in range(1, len(images) + 1)),
        archive="models" if len(images) > 1 else "",
    )


def _worn(
    params: Fashion, studio: Studio, season: Season, size: Size, person: str, n: int, worn: Image
) -> Render:  # fmt: skip
    """What is asked of the model: by the photo where it takes one, by a pose map where it follows one."""
    poses = tuple(POSES.values())
    pose = poses[(studio.seed + n) % len(poses)] if params.pose == "varied" else POSES[params.pose]
    place = params.background or season.words
    who = f"Fashion photograph of {person}, whole figure, {pose.words}, {place}. {DRESSED}"
    if studio.has("edit"):
        words = f"{who} Wearing exactly the garment of the picture{': ' + params.garment if params.garment else ''}."
        return Render("edit", words, size, (studio.seed + n,), images=(worn,), anew=True)
    return Render(
        "control", f"{who} Wearing {params.garment}.", size, (studio.seed + n,), control=pose_map(pose, size),
        control_kind="pose",
    )  # fmt: skip


def _garment(cutout: Cutout) -> Image:
    """The garment on light grey: a model that sees no room draws none of it."""
    alpha = cutout.alpha[..., None]
    return np.asarray(cutout.colour * alpha + 236 * (1 - alpha) + 0.5, np.uint8)


def _foot(alpha: Alpha) -> float:
    """Whoever is cut by the photo's lower edge is cut by the frame's too; feet stand above it."""
    return 1.0 if "bottom" in sides_cut(alpha) else 0.94


def _shadow(alpha: Alpha, *, lies: bool, person: bool) -> Shadow | None:
    if lies:
        return replace(Shadow(), squash=1.0, tilt=0.0, contact=0.4)
    return None if person or "bottom" in sides_cut(alpha) else Shadow()


def _render(
    params: Fashion, studio: Studio, season: Season, placed: PlacedSubject, photo: Image, key: Side, *, lies: bool,
    person: bool,
) -> Render:  # fmt: skip
    _, top, _, bottom = bounds(placed.alpha)
    height = placed.frame.size[1]
    seeds = tuple(studio.seed + n for n in range(1 if studio.draft else params.variations))
    backdrop = Backdrop(
        scene="" if params.background else season.scene,
        colour=form_fields.rgb(params.colour),
        picture=studio.open(params.backdrop) if params.backdrop else None,
        blur=params.blur / 100,
        horizon=(top + 0.18 * (bottom - top)) / height,
        floor=bottom / height if not person else None,
        key=key,
        seen_from="above" if lies else "front",
        subject="person" if person else "product",
    )
    words = params.background or ("" if params.backdrop else season.words)
    return Render(verb="backdrop", prompt=words, size=placed.frame.size, seeds=seeds,
                  backdrop=measured(backdrop, photo, placed))  # fmt: skip


def greens_turned(plate: Image, degrees: float) -> Image:
    """Greens of the scene turned towards red by `degrees` of Lab hue, yellows and neutrals less and less."""
    lab = np.asarray(cv2.cvtColor(plate.astype(np.float32) / 255, cv2.COLOR_RGB2LAB), np.float32)
    hue = np.degrees(np.arctan2(lab[..., 2], lab[..., 1]))
    angle = np.radians(-degrees * np.clip((hue - 70) / 35, 0, 1) * (hue < 190))
    chroma = np.hypot(lab[..., 1], lab[..., 2]) * 1.15
    lab[..., 1] = chroma * np.cos(np.radians(hue) + angle)
    lab[..., 2] = chroma * np.sin(np.radians(hue) + angle)
    return np.clip(np.asarray(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)) * 255 + 0.5, 0, 255).astype(np.uint8)


def graded(image: Image, grade: Grade, share: float) -> Image:
    """The grade on the whole picture, by `share` 0 to 1; black stays near black and white near white."""
    values = image.astype(np.float32)
    light = (values @ np.array([0.2126, 0.7152, 0.0722], np.float32))[..., None]
    values = light + (values - light) * np.float32(1 + share * (grade.saturation - 1))
    tone = np.clip(light / 255, 0, 1)
    # Each end's tint is strongest a quarter in from that end, so that paper and ink stay neutral.
    dark, bright = np.sin(np.pi * np.clip(tone * 1.4, 0, 1)), np.sin(np.pi * np.clip((tone - 0.3) / 0.7, 0, 1))
    values += np.float32(share) * (dark * np.array(grade.shadows) + bright * np.array(grade.lights)).astype(np.float32)
    bend = 255 * np.float32(grade.contrast * share / 2) * np.sin(2 * np.pi * (tone - 0.5))
    return np.clip(values + bend + 0.5, 0, 255).astype(np.uint8)


def _letter(image: Image, params: Fashion, season: Season, alpha: Alpha) -> None:
    """A masthead across the top, behind nobody's face; or a line at the foot. Changes `image`."""
    if not params.title:
        return
    height, width = image.shape[:2]
    edge = round(0.05 * width)
    if not season.cover:
        box = Box(edge, height - edge - round(0.06 * height), width - 2 * edge, round(0.06 * height))
        _written(image, fitted(params.title, box.width, box.height, round(0.045 * height), "Regular"), box)
        return
    box = Box(edge, edge, width - 2 * edge, round(0.26 * height))
    made = fitted(params.title.upper(), box.width, box.height, round(0.40 * height))
    subject, covered = image.copy(), np.clip(alpha, 0, 1)[..., None]
    _written(image, made, Box(box.x, box.y, box.width, min(box.height, made.height)))
    # The masthead stands behind the head, as on a newsstand.
    image[...] = np.asarray(image + covered * (subject.astype(np.float32) - image) + 0.5, np.uint8)


def _written(image: Image, made: Set, box: Box) -> None:
    write(image, made, box, made_legible(image, box), "centre")


TOOL = Tool(
    id="fashion",
    title="Lookbook",
    summary="Your photo in a season's light, graded and laid out. It dresses nobody: the clothes are the photo's.",
    params=Fashion,
    run=run,
    strengths=(
        "Lifestyle imagery",
        "Seasonal themes",
        "High-fashion looks",
        "Brand alignment",
        "Cover layout",
        "PDF",
    ),
    limits=("Without a GPU model it dresses nobody: the clothes are the photo's",),
    with_model=(("Model variety", "edit"), ("Poses", "control")),
    person=True,
    examples=("astronaut", "hopper", "coffee"),
)
