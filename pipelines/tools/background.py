"""Background Generator: the subject stays, the world behind it changes; without a photo, the scene alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from pipelines.codecs.containers import layered
from pipelines.compositing.compose import compose
from pipelines.compositing.light_estimation import fallen, key_side, measured
from pipelines.compositing.shadows import Shadow, seen_from
from pipelines.compositing.team_pages import Brand, Label, sheet
from pipelines.core.errors import BadInput
from pipelines.core.geometry import Cutout, Image, PlacedSubject, Side, Size
from pipelines.core.job import Emit
from pipelines.core.params import MAX_SIDE, Subject, choice, flag, picture, seed
from pipelines.core.rendering import Backdrop, Draft, Extra, Images, Render
from pipelines.core.tools import Studio, Tool
from pipelines.framing.camera_pitch import UNTOLD, lies_flat, pitch_of, view_of
from pipelines.framing.framings import size_of
from pipelines.framing.head_framing import body_end
from pipelines.framing.placement import bounds, photo_frame, sides_cut
from pipelines.framing.resample import place
from pipelines.quality.photo_quality import findings, mended
from pipelines.tools.shared import form_fields, scene_edit

FROM_ABOVE = "Your photo looks down on the subject, and this scene does not: Studio Grey suits it better."
FOUR = 4
SHEET = 1600  # pixels across the contact sheet
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
    prompt: str = form_fields.words(
        "What stands behind the subject, for example: Tokyo at night, autumn forest, office."
    )
    preset: PresetId = choice(
        "Scene", "Used when there are no words.", "studio-grey",
        labels={key: scene.title for key, scene in SCENES.items()}, tiles=True,
    )  # fmt: skip
    backdrop: str | None = picture("My backdrop", "Your own picture as the scene.")
    ratio: RatioId = choice("Shape", "Width to height.", "photo", labels={"photo": "As the photo"})
    size: int = form_fields.size(1280)
    variations: int = form_fields.variations()
    contact_sheet: bool = flag(
        "Contact sheet of four", "Four scenes to choose from on one page, and each as a picture."
    )
    around: bool = scene_edit.field()
    mend: bool = flag(
        "Mend the photo", "Lifts a photo that is too dark and sharpens one that is soft, where the check found it so. "
        "Your pixels change then.",
    )  # fmt: skip
    colour: str | None = form_fields.scene_colour()
    blur: float = form_fields.blur()
    light: form_fields.Light = form_fields.light()
    brand: str = form_fields.brand()
    adapter: str = form_fields.adapter()
    adapter_weight: float = form_fields.adapter_weight()
    format: form_fields.FileFormat = form_fields.file_format()
    layers: bool = form_fields.layers()
    quality: int = form_fields.quality()
    seed: int | None = seed()
    consent: bool = form_fields.consent_if()


def run(params: Background, studio: Studio, emit: Emit) -> Draft:
    """Cut out, keep the place, check the source, set the scenes, compose; then the contact sheet."""
    if params.preset == "my-backdrop" and params.backdrop is None and not params.prompt:
        raise BadInput("Choose a picture for 'My backdrop', or another scene.", param="backdrop")
    if params.photo is None:
        return _bare(params, studio, emit)

    photo = studio.open(params.photo)
    cutout = studio.cutout(params, emit)
    emit("Cutting out", 2, 2)
    size = _photo_size(params, studio, photo)
    faces = studio.faces(params.photo)
    end = body_end(cutout.alpha, faces[params.pick]) if params.pick < len(faces) else None
    stands = not sides_cut(cutout.alpha) and not faces
    frame = photo_frame(cutout.alpha, size, params, end=end, stands=stands)
    placed = place(photo, cutout, frame)
    key: Side = key_side(photo, faces[0]) if faces else "none"
    found = findings(photo, cutout.alpha, placed, faces[params.pick : params.pick + 1])
    mends = params.mend and any(each.mended for each in found)
    stood = mended(placed, photo, found) if mends else placed

    told: list[str] = []
    asked = _asked(stood, photo, cutout, key, person=bool(faces), stands=stands)
    if stands and asked.seen_from == "above" and _level(params):
        asked, told = replace(asked, seen_from=UNTOLD), [FROM_ABOVE]
    shadow = replace(seen_from(Shadow(), asked.seen_from), toward=asked.fallen) if stands else None
    laid = Laid(stood, asked.key, shadow, params.light == "relit")
    lots, titles = _lots(params, studio)
    images: list[Image] = []
    extras: list[Extra] = []
    for form, count in lots:
        around_it = _around(form, studio, emit, photo, stood, count)
        scenes = _scene(form, studio, emit, size, asked, count) if None in around_it else Images(())
        told += [*scenes.notices, *_told(form, studio, around_it)]
        for n, made in enumerate(around_it):
            lot, name = studio.seed + len(images), f"layers-{len(images) + 1}"
            images.append(made.image if made else laid.on(scenes.images[n], lot))
            if params.layers and not studio.draft:
                extras += (
                    scene_edit.layers(made, stood, relit=laid.relit, name=name) if made
                    else laid.layers(images[-1], scenes.images[n], lot, name)
                )  # fmt: skip
            emit("Composing", len(images), len(titles), images[-1])
    said = (each.mended if mends and each.mended else each.sentence for each in found)
    draft = Draft(
        images=tuple(images),
        source=placed,
        alphas=(placed.alpha,),
        notices=(*cutout.notices, *frame.notices, *said, *dict.fromkeys(told)),
        exact=params.light == "exact" and not mends,
        extras=tuple(extras),
    )
    return _sheeted(draft, params, studio, titles)


@dataclass(frozen=True)
class Laid:
    """The subject in its place, and how it is laid on a scene."""

    placed: PlacedSubject
    key: Side
    shadow: Shadow | None
    relit: bool

    def on(self, plate: Image, seed: int) -> Image:
        """The finished picture."""
        return compose(self.placed, plate, seed=seed, key=self.key, shadow=self.shadow, relit=self.relit)

    def layers(self, image: Image, plate: Image, seed: int, name: str) -> tuple[Extra, ...]:
        """That picture taken apart."""
        return layered(
            image, self.placed, plate, seed=seed, key=self.key, shadow=self.shadow, relit=self.relit, name=name
        )


def _bare(params: Background, studio: Studio, emit: Emit) -> Draft:
    """The scenes alone."""
    lots, titles = _lots(params, studio)
    size = _scene_size(params, studio)
    drawn = [_scene(form, studio, emit, size, Backdrop(subject="any"), count) for form, count in lots]
    images = tuple(image for each in drawn for image in each.images)
    notices = dict.fromkeys(notice for each in drawn for notice in each.notices)
    return _sheeted(Draft(images=images, notices=tuple(notices)), params, studio, titles)


def _lots(params: Background, studio: Studio) -> tuple[list[tuple[Background, int]], tuple[str, ...]]:
    """Forms with how many scenes are drawn by each, one or four for the contact sheet; and a title for each scene."""
    sheeted = params.contact_sheet and not studio.draft
    if sheeted and not (params.prompt or params.backdrop):
        names = next_scenes(params.preset)
        forms = [(params.model_copy(update={"preset": name}), 1) for name in names]
        return forms, tuple(SCENES[name].title for name in names)
    # What was asked for is not swapped for another place.
    count = FOUR if sheeted else 1 if studio.draft else params.variations
    return [(params, count)], tuple(str(n + 1) for n in range(count))


def next_scenes(preset: str) -> tuple[str, ...]:
    """The scene and those that follow it in the list, four in all; the list goes round."""
    names = [name for name, row in SCENES.items() if row.scene]
    at = names.index(preset)
    return tuple(names[(at + step) % len(names)] for step in range(FOUR))


def _scene(params: Background, studio: Studio, emit: Emit, size: Size, asked: Backdrop, count: int) -> Images:
    scene = SCENES[params.preset]
    backdrop = replace(
        asked,
        scene="" if params.prompt else scene.scene,
        colour=form_fields.rgb(params.colour),
        picture=studio.open(params.backdrop) if params.backdrop else None,
        blur=params.blur / 100,
    )
    seeds = tuple(studio.seed + n for n in range(count))
    words = params.prompt or ("" if params.backdrop else scene.words)
    return studio.draw(Render(verb="backdrop", prompt=words, size=size, seeds=seeds, backdrop=backdrop), emit)


def _around(
    params: Background, studio: Studio, emit: Emit, photo: Image, placed: PlacedSubject, count: int
) -> tuple[scene_edit.Around | None, ...]:  # fmt: skip
    """What an edit model draws around the subject; None for each scene that is to be set behind it."""
    if not params.around or studio.draft or _own(params):
        return (None,) * count
    words = params.prompt or SCENES[params.preset].words
    seeds = tuple(studio.seed + n for n in range(count))
    return scene_edit.drawn(studio, emit, photo, placed, words, seeds, relit=params.light == "relit")


def _told(params: Background, studio: Studio, drawn: Sequence[scene_edit.Around | None]) -> tuple[str, ...]:
    if not params.around or studio.draft:
        return ()
    return (scene_edit.OWN,) if _own(params) else scene_edit.notices(drawn)


def _own(params: Background) -> bool:
    """Whether a picture, or a colour that words do not replace, is to be behind the subject exactly as it is."""
    return params.backdrop is not None or (params.colour is not None and not params.prompt)


def _sheeted(draft: Draft, params: Background, studio: Studio, titles: tuple[str, ...]) -> Draft:
    """With the contact sheet before the pictures that are on it, and all of them in one archive."""
    if studio.draft or not params.contact_sheet:
        return draft
    page = sheet(draft.images, [Label(title) for title in titles], Brand(), SHEET, headed=False, columns=2)
    own = None if draft.source is None or params.photo is None else (params.photo, draft.source)
    names = (f"{n}-{title.lower().replace(' ', '-')}" for n, title in enumerate(titles, 1))
    return replace(
        draft,
        images=(page, *draft.images),
        sources=() if own is None else (None, *(own for _ in draft.images)),
        names=("contact-sheet", *names),
        archive="scenes",
    )


def _asked(placed: PlacedSubject, photo: Image, cutout: Cutout, key: Side, *, person: bool, stands: bool) -> Backdrop:
    """A table is only under what stands whole in the photo: what is cut has no foot to stand on."""
    height = placed.alpha.shape[0]
    _, top, _, bottom = bounds(placed.alpha)
    fell = fallen(photo, cutout.alpha) if stands else None
    if fell is not None:
        key = "right" if fell[0] < 0 else "left"
    asked = Backdrop(
        horizon=(top + 0.2 * (bottom - top)) / height if person else 0.45,
        floor=bottom / height if stands else None,
        key=key,
        seen_from=view_of(cutout.alpha) if stands else "front",
        pitch=pitch_of(cutout.alpha) if stands else None,
        fallen=fell,
        subject="person" if person else "product",
    )
    return measured(asked, photo, placed, None if person else cutout.alpha)


def _level(params: Background) -> bool:
    """Whether the scene is one that nobody looks down on: a place, or a picture of one."""
    if params.prompt and not params.backdrop:
        return not lies_flat(params.prompt)
    return bool(params.backdrop or params.preset not in ("studio-grey", "spotlight"))


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
    strengths=(
        "Custom environments",
        "Seamless blending",
        "Any style or theme",
        "High resolution",
        "Fast",
        "Checks the source, and mends light and softness",
    ),
    limits=("Invented scenes need a GPU model; here they are chosen from built-in ones",),
    with_model=(("Invented scenes", "image"), ("Scenes drawn around the subject", "edit")),
    examples=("astronaut", "hopper", "coffee"),
)
