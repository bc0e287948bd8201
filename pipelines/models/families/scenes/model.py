"""The built-in scenes as a model: studios, surfaces, places, My backdrop; knows nothing of the subject's pixels.

Nothing here is drawn by a net: scenes are computed or photographed, in linear light, and dithered to 8 bit.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from pipelines.core.errors import BadInput, ModelUnavailable
from pipelines.core.geometry import Image, Size
from pipelines.core.models import ModelSpec
from pipelines.core.rendering import Backdrop, ModelStep, RenderedImages, RenderRequest, Scenery
from pipelines.models.families.scenes import panorama, panorama_view, podium, studio_backdrops, tabletop, user_backdrop
from pipelines.models.families.scenes.keyword_search import SCENES, choose_scene, find_scene
from pipelines.models.families.scenes.scene_types import PanoramaPlace, Scene, StudioPaper, TabletopSurface
from pipelines.models.families.scenes.subject_matching import (
    add_lamp_pool,
    exposure_gain,
    match_black_point,
    match_monochrome,
    match_white_point,
    separation_gain,
)
from pipelines.models.families.scenes.tone_mapping import LinearLight, develop_image

__all__ = ["SCENES", "SceneModel", "choose_scene", "load", "find_scene", "estimate_bytes", "specs"]

SCENES_FOLDER = Path(__file__).resolve().parents[4] / "assets" / "scenes"
PANORAMA_BYTES = 256 * 512 * 3 * 4
# Lower than this the subject is cut by the picture's edge rather than standing, so no table is drawn under it.
LOWEST_CONTACT_RATIO = 0.97
_USER_BACKDROP_SCENE = Scene(
    "my-backdrop", "My Backdrop", PanoramaPlace("", (0.0,), 1.0), "", "", blur=0.0, keeps_white_point=True
)

SCENES_SPEC = ModelSpec(
    id="backdrops",
    family="backdrops",
    verbs=("backdrop",),
    licence="Apache-2.0; panoramas CC0-1.0",
    bytes=PANORAMA_BYTES * len({row.look.file for row in SCENES if isinstance(row.look, PanoramaPlace)}),
)

specs = (SCENES_SPEC,)


class SceneModel:
    """The loaded family; panoramas are decoded when first asked for and kept. May be called from several threads."""

    def __init__(self, spec: ModelSpec) -> None:
        self.spec = spec
        self._panoramas: dict[str, LinearLight] = {}
        self._sha256: dict[str, str] = json.loads((SCENES_FOLDER / "manifest.json").read_text())

    def draw(self, render: RenderRequest, on_step: Callable[[ModelStep], None]) -> RenderedImages:
        """One picture per seed: the scene asked for, then its next lights, lays or views. Same render, same pixels.

        The scene is `render.backdrop.picture`, else its `scene`, else chosen by `render.prompt`. Raises `BadInput`
        for an unknown scene and `ModelUnavailable` when a panorama is missing or damaged.
        """
        asked = render.backdrop or Backdrop()
        row, notices = _select_scene(asked, render)
        images: list[Image] = []
        for index, seed in enumerate(render.seeds):
            image, said = self._draw_picture(row, asked, render.size, index, seed)
            images.append(image)
            notices.extend(note for note in said if note not in notices)
            on_step(ModelStep(index + 1, len(render.seeds), lambda image=image: image))
        return RenderedImages(tuple(images), tuple(notices), scenery=_classify_scenery(row, asked))

    def close(self) -> None:
        """Lets go of the panoramas."""
        self._panoramas.clear()

    def _draw_picture(
        self, row: Scene, asked: Backdrop, size: Size, variant: int, seed: int
    ) -> tuple[Image, list[str]]:
        if isinstance(row.look, StudioPaper) and row.look.flat:
            return _fill_colour(asked.colour or row.look.colour, size), []
        asked = replace(asked, blur_ratio=asked.blur_ratio or row.blur)
        light = self._render_light(row, asked, size, variant, seed) * np.float32(asked.light_level)
        said: list[str] = []
        if asked.colour is None or isinstance(row.look, PanoramaPlace):
            light = add_lamp_pool(match_black_point(match_white_point(light, row, asked), row, asked), row, asked)
            light = match_monochrome(light, asked)
            light = light * np.float32(exposure_gain(light, row, asked))
            gain = separation_gain(light, row, asked)
            light = light * np.float32(gain)
            if gain != 1.0:
                said.append(
                    f"{row.title} was made {'lighter' if gain > 1 else 'darker'} so that the subject stands out."
                )
        return develop_image(light, size, seed), said

    def _render_light(self, row: Scene, asked: Backdrop, size: Size, variant: int, seed: int) -> LinearLight:
        look = row.look
        if asked.picture is not None:
            return user_backdrop.render_user_backdrop(asked.picture, asked, size, variant)
        if isinstance(look, StudioPaper):
            return studio_backdrops.render_studio_backdrop(look, asked, size, variant, seed)
        if isinstance(look, TabletopSurface):
            return _render_surface(look, asked, size, variant, seed)
        return self._render_place(look, asked, size, variant, seed)

    def _render_place(self, look: PanoramaPlace, asked: Backdrop, size: Size, variant: int, seed: int) -> LinearLight:
        """A person stands in a place; a product stands on a table before it, lit by what the place has."""
        seen = panorama_view.render_place(look, self._load_panorama(look.file), asked, size, variant, seed)
        if not _has_table(asked):
            return seen
        return tabletop.render_tabletop(look.table, seen, asked, size, variant, seed)

    def _load_panorama(self, name: str) -> LinearLight:
        found = self._panoramas.get(name)
        if found is None:
            found = self._panoramas[name] = panorama.read_panorama(_verify_panorama(name, self._sha256))
        return found


def _has_table(asked: Backdrop) -> bool:
    return asked.subject == "product" and asked.floor_ratio is not None and asked.floor_ratio <= LOWEST_CONTACT_RATIO


def _classify_scenery(row: Scene, asked: Backdrop) -> Scenery | None:
    if asked.picture is not None:  # it speaks for itself
        return None
    if isinstance(row.look, PanoramaPlace):
        return "mixed" if _has_table(asked) or row.look.has_street_lamps else "photographed"
    return "plain" if isinstance(row.look, StudioPaper) and row.look.flat else "computed"


def _select_scene(asked: Backdrop, render: RenderRequest) -> tuple[Scene, list[str]]:
    if asked.picture is not None:
        soft = user_backdrop.enlargement_ratio(asked.picture, render.size) > user_backdrop.SOFT_ENLARGEMENT_RATIO
        return _USER_BACKDROP_SCENE, ["My backdrop is smaller than the picture and will look soft."] if soft else []
    if asked.scene:
        try:
            return find_scene(asked.scene), []
        except KeyError:
            raise BadInput(f"There is no built-in scene '{asked.scene}'.", param="scene") from None
    if not render.prompt.strip() and asked.colour is not None:
        return find_scene("studio-colour"), []
    row, notice = choose_scene(render.prompt, asked.subject)
    return row, [notice] if notice else []


def _render_surface(look: TabletopSurface, asked: Backdrop, size: Size, variant: int, seed: int) -> LinearLight:
    wall = asked.colour or look.wall
    if look.material in ("podium", "blocks"):
        tint = asked.colour or look.tint or look.wall
        return podium.render_podium(look.material == "blocks", wall, tint, asked, size, variant)
    return tabletop.render_tabletop(look.material, wall, asked, size, variant, seed)


def _fill_colour(colour: tuple[int, int, int], size: Size) -> Image:
    return np.broadcast_to(np.array(colour, np.uint8), (size[1], size[0], 3)).copy()


def _verify_panorama(name: str, sha256: dict[str, str]) -> Path:
    path = SCENES_FOLDER / name
    if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != sha256.get(name):
        raise ModelUnavailable(f"The panorama {name} is missing or damaged. `python assets/scenes/fetch.py` brings it.")
    return path


def load(spec: ModelSpec, device: str) -> SceneModel:
    """Ready at once, on the processor whatever `device` says."""
    return SceneModel(spec)


def estimate_bytes(spec: ModelSpec) -> int:
    """Bytes of all panoramas decoded."""
    return spec.bytes
