"""Scene model: studio backdrops, tabletops, photographed places and the user's own backdrop, without a neural network.

Scenes are computed or photographed, in linear light, and dithered to 8 bits.
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
from pipelines.models.families.scenes import panorama, podium, studio_backdrops, tabletop, user_backdrop
from pipelines.models.families.scenes.keyword_search import (
    PAPER_SCENE_ID,
    SCENES,
    SceneChoice,
    choose_scene,
    find_scene,
)
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

SCENES_FOLDER = Path(__file__).resolve().parents[4] / "assets" / "scenes"
PANORAMA_BYTES = 256 * 512 * 3 * 4
LOWEST_CONTACT_RATIO = 0.97
"""Contact line, from the top, below which the subject is cut by the picture\'s edge and gets no table."""
SOFT_BACKDROP_NOTICE = "My backdrop is smaller than the picture and will look soft."
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
    """Draws backdrops. Panoramas are decoded when they are first needed and kept. Thread-safe."""

    def __init__(self, spec: ModelSpec) -> None:
        self.spec = spec
        self._panoramas: dict[str, LinearLight] = {}
        self._sha256: dict[str, str] = json.loads((SCENES_FOLDER / "manifest.json").read_text())

    def draw(self, render: RenderRequest, on_step: Callable[[ModelStep], None]) -> RenderedImages:
        """Draw one picture per seed: the scene, then the same with other lights, material layouts or views.

        The scene is `render.backdrop.picture`, else its `scene`, else chosen by `render.prompt`. The same request gives
        the same pixels. Raises `BadInput` for an unknown scene and `ModelUnavailable` for a missing or damaged
        panorama.
        """
        request = render.backdrop or Backdrop()
        choice = _select_scene(request, render)
        row, notices = choice.scene, [choice.notice] if choice.notice else []
        if choice.colour is not None and request.colour is None:
            request = replace(request, colour=choice.colour)
        images: list[Image] = []
        for index, seed in enumerate(render.seeds):
            image, new_notices = self._draw_picture(row, request, render.size, index, seed)
            images.append(image)
            notices.extend(notice for notice in new_notices if notice not in notices)
            on_step(ModelStep(index + 1, len(render.seeds), lambda image=image: image))
        return RenderedImages(
            tuple(images), tuple(notices), scenery=_classify_scenery(row, request), scene_match=choice.match
        )

    def close(self) -> None:
        """Free the panoramas."""
        self._panoramas.clear()

    def _draw_picture(
        self, row: Scene, request: Backdrop, size: Size, variant: int, seed: int
    ) -> tuple[Image, list[str]]:
        if isinstance(row.look, StudioPaper) and row.look.flat:
            colour = np.array(request.colour or row.look.colour, np.uint8)
            return np.broadcast_to(colour, (size[1], size[0], 3)).copy(), []
        request = replace(request, blur_ratio=request.blur_ratio or row.blur)
        light = self._render_light(row, request, size, variant, seed) * np.float32(request.light_level)
        notices: list[str] = []
        if request.colour is None or isinstance(row.look, PanoramaPlace):
            light = add_lamp_pool(match_black_point(match_white_point(light, row, request), row, request), row, request)
            light = match_monochrome(light, request)
            light = light * np.float32(exposure_gain(light, row, request))
            gain = separation_gain(light, row, request)
            light = light * np.float32(gain)
            if gain != 1.0:
                notices.append(
                    f"{row.title} was made {'lighter' if gain > 1 else 'darker'} so that the subject stands out."
                )
        return develop_image(light, size, seed), notices

    def _render_light(self, row: Scene, request: Backdrop, size: Size, variant: int, seed: int) -> LinearLight:
        look = row.look
        if request.picture is not None:
            return user_backdrop.render_user_backdrop(request.picture, request, size, variant)
        if isinstance(look, StudioPaper):
            return studio_backdrops.render_studio_backdrop(look, request, size, variant, seed)
        if isinstance(look, TabletopSurface):
            return _render_surface(look, request, size, variant, seed)
        return self._render_place(look, request, size, variant, seed)

    def _render_place(self, look: PanoramaPlace, request: Backdrop, size: Size, variant: int, seed: int) -> LinearLight:
        """Render a place: behind a person as it is, behind a product with a table that its light falls on."""
        view = panorama.render_place(look, self._load_panorama(look.file), request, size, variant, seed)
        if not _has_table(request):
            return view
        return tabletop.render_tabletop(look.table, view, request, size, variant, seed)

    def _load_panorama(self, name: str) -> LinearLight:
        panorama_light = self._panoramas.get(name)
        if panorama_light is None:
            panorama_light = self._panoramas[name] = panorama.read_panorama(_verify_panorama(name, self._sha256))
        return panorama_light


def _has_table(request: Backdrop) -> bool:
    return (
        request.subject == "product" and request.floor_ratio is not None and request.floor_ratio <= LOWEST_CONTACT_RATIO
    )


def _classify_scenery(row: Scene, request: Backdrop) -> Scenery | None:
    if request.picture is not None:  # nothing has to be said about the user's own picture
        return None
    if isinstance(row.look, PanoramaPlace):
        return "mixed" if _has_table(request) or row.look.has_street_lamps else "photographed"
    return "plain" if isinstance(row.look, StudioPaper) and row.look.flat else "computed"


def _select_scene(request: Backdrop, render: RenderRequest) -> SceneChoice:
    if request.picture is not None:
        is_soft = user_backdrop.enlargement_ratio(request.picture, render.size) > user_backdrop.SOFT_ENLARGEMENT_RATIO
        return SceneChoice(_USER_BACKDROP_SCENE, SOFT_BACKDROP_NOTICE if is_soft else "")
    if request.scene:
        try:
            return SceneChoice(find_scene(request.scene))
        except KeyError:
            raise BadInput(f"There is no built-in scene '{request.scene}'.", param="scene") from None
    if not render.prompt.strip() and request.colour is not None:
        return SceneChoice(find_scene(PAPER_SCENE_ID))
    return choose_scene(render.prompt, request.subject)


def _render_surface(look: TabletopSurface, request: Backdrop, size: Size, variant: int, seed: int) -> LinearLight:
    wall = request.colour or look.wall
    if look.material in ("podium", "blocks"):
        tint = request.colour or look.tint or look.wall
        return podium.render_podium(look.material == "blocks", wall, tint, request, size, variant)
    return tabletop.render_tabletop(look.material, wall, request, size, variant, seed)


def _verify_panorama(name: str, sha256: dict[str, str]) -> Path:
    path = SCENES_FOLDER / name
    if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != sha256.get(name):
        raise ModelUnavailable(f"The panorama {name} is missing or damaged. `python assets/scenes/fetch.py` brings it.")
    return path


def load(spec: ModelSpec, device: str) -> SceneModel:
    """Load the model, which runs on the processor whatever `device` is."""
    return SceneModel(spec)


def estimate_bytes(spec: ModelSpec) -> int:
    """Bytes of all decoded panoramas."""
    return spec.bytes
