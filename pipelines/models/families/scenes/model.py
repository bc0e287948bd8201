"""Scene model: studio backdrops, tabletops, photographed places and the user's own backdrop, without a neural network.

Scenes are computed or photographed, in linear light, and dithered to 8 bits.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from pipelines.core.errors import BadInput, ModelUnavailable
from pipelines.core.geometry import Image, Size
from pipelines.core.lru_cache import LruCache
from pipelines.core.models import ModelSpec
from pipelines.core.rendering import Backdrop, ModelStep, RenderedImages, RenderRequest, SceneGround, Scenery
from pipelines.models.bundled_weights import compute_sha256
from pipelines.models.families.scenes import (
    ground_texture,
    panorama,
    plates,
    podium,
    studio_backdrops,
    tabletop,
    user_backdrop,
)
from pipelines.models.families.scenes.keyword_search import (
    PAPER_SCENE_ID,
    SCENES,
    SceneChoice,
    choose_scene,
    find_scene,
)
from pipelines.models.families.scenes.scene_types import PanoramaPlace, Plate, Scene, StudioPaper, TabletopSurface
from pipelines.models.families.scenes.subject_matching import (
    add_lamp_pool,
    exposure_gain,
    is_subject_in_more_light,
    limit_gain,
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
TABLE_BLUR_RATIO = 0.03  # least blur of a place behind a table, as a share of the height
MIN_TOLD_CHANGE = 0.05  # a change of light that is smaller is not worth a sentence
FLASH_NOTICE_START, FLASH_NOTICE_END = (
    "Your subject is lit like at noon or by flash, and",
    "is dim: choose Subject: Relit, or a brighter scene.",
)
PITCH_NOTICE_START, PITCH_NOTICE_END = (
    "Your photo was taken from another height than",
    "was: a surface such as Oak, Marble or Linen tilts to your photo.",
)
SOFT_BACKDROP_NOTICE = "My backdrop is smaller than the picture and will look soft."
_USER_BACKDROP_SCENE = Scene(
    "my-backdrop", "My Backdrop", PanoramaPlace("", (0.0,), 1.0), "", "", blur=0.0, keeps_white_point=True
)

SCENES_SPEC = ModelSpec(
    id="backdrops",
    family="backdrops",
    verbs=("backdrop",),
    licence="Apache-2.0; panoramas, photographs and sets CC0-1.0",
    bytes=PANORAMA_BYTES * len({row.look.file for row in SCENES if isinstance(row.look, PanoramaPlace)})
    + plates.MAX_DECODED_BYTES,
)

specs = (SCENES_SPEC,)


class SceneModel:
    """Draws backdrops. Panoramas are decoded when they are first needed and kept. Thread-safe."""

    def __init__(self, spec: ModelSpec) -> None:
        self.spec = spec
        self._panoramas: dict[str, LinearLight] = {}
        self._plates = LruCache[tuple[str, str], Image](plates.MAX_DECODED_BYTES)
        self._sha256: dict[str, str] = json.loads((SCENES_FOLDER / "manifest.json").read_text("utf-8"))

    def draw(self, render: RenderRequest, on_step: Callable[[ModelStep], None]) -> RenderedImages:
        """Draw one picture per seed: the scene, then the same with other lights, material layouts or views.

        The scene is `render.backdrop.picture`, else its `scene`, else chosen by `render.prompt`. The same request gives
        the same pixels. Raises `BadInput` for an unknown scene and `ModelUnavailable` for a missing or damaged
        panorama.
        """
        request = render.backdrop or Backdrop()
        choice = _select_scene(request, render)
        row, notices = choice.scene, [choice.notice] if choice.notice else []
        if (surface := _surface_for_camera(row, request)) is not None:
            notices.append(
                f"{row.title} was seen from another height than your photo: {surface.title} tilts to it and stands in."
            )
            row = surface
        if choice.colour is not None and request.colour is None:
            request = replace(request, colour=choice.colour)
        images: list[Image] = []
        grounds: list[SceneGround | None] = []
        for index, seed in enumerate(render.seeds):
            image, ground, new_notices = self._draw_picture(row, request, render.size, index, seed)
            images.append(image)
            grounds.append(ground)
            notices.extend(notice for notice in new_notices if notice not in notices)
            # A paper alone would be seen as an empty picture for a moment.
            is_empty = isinstance(row.look, StudioPaper) and request.picture is None
            preview = None if is_empty else lambda image=image: image
            on_step(ModelStep(index + 1, len(render.seeds), preview))
        return RenderedImages(
            tuple(images),
            tuple(notices),
            scenery=_classify_scenery(row, request),
            scene_match=choice.match,
            grounds=tuple(grounds),
        )

    def close(self) -> None:
        """Free the panoramas and the plates."""
        self._panoramas.clear()
        self._plates.clear()

    def _draw_picture(
        self, row: Scene, request: Backdrop, size: Size, variant: int, seed: int
    ) -> tuple[Image, SceneGround | None, list[str]]:
        if isinstance(row.look, StudioPaper) and row.look.flat:
            colour = np.array(request.colour or row.look.colour, np.uint8)
            return np.broadcast_to(colour, (size[1], size[0], 3)).copy(), None, []
        request = replace(request, blur_ratio=request.blur_ratio or row.blur)
        light, ground, notices = self._render_light(row, request, size, variant, seed)
        if request.colour is None or isinstance(row.look, (PanoramaPlace, Plate)):
            light = add_lamp_pool(match_black_point(match_white_point(light, row, request), row, request), row, request)
            light = match_monochrome(light, request)
            exposure = exposure_gain(light, row, request)
            separation = separation_gain(light * np.float32(exposure), row, request)
            gain = limit_gain(light, row, exposure * separation)
            light = light * np.float32(gain)
            if separation != 1.0 and abs(gain / exposure - 1) > MIN_TOLD_CHANGE:
                notices.append(
                    f"{row.title} was made {'lighter' if gain > exposure else 'darker'} so that the subject stands out."
                )
            if is_subject_in_more_light(light, row, request):
                notices.append(f"{FLASH_NOTICE_START} {row.title} {FLASH_NOTICE_END}")
        return develop_image(light, size, seed), ground, notices

    def _render_light(
        self, row: Scene, request: Backdrop, size: Size, variant: int, seed: int
    ) -> tuple[LinearLight, SceneGround | None, list[str]]:
        look = row.look
        if request.picture is not None:
            return user_backdrop.render_user_backdrop(request.picture, request, size, variant), None, []
        if isinstance(look, StudioPaper):
            return studio_backdrops.render_studio_backdrop(look, request, size, variant, seed), None, []
        if isinstance(look, TabletopSurface):
            if row.plate is not None and variant == 0 and self._suits_plate(row.plate, request, size):
                view = self._render_plate(row.plate, request, size, variant)
                return view.light, view.ground, []
            return _render_surface(look, request, size, variant, seed), None, []
        if isinstance(look, Plate):
            return self._render_plate_scene(row, look, request, size, variant, seed)
        return self._render_place(look, request, size, variant, seed), None, []

    def _suits_plate(self, look: Plate, request: Backdrop, size: Size) -> bool:
        """Whether a set can stand in for a computed surface: its camera agrees, and it is large enough."""
        if request.colour is not None or not _has_table(request) or not plates.agrees_with_camera(look, request):
            return False
        truth, shape = plates.read_truths(look.source)[look.id], self._read_plate(look).shape[:2]
        _, _, _, height = plates.fit_crop(look, truth, shape, request, size, 0)
        return size[1] / (height * shape[0]) <= plates.MAX_ENLARGEMENT_RATIO

    def _read_plate(self, look: Plate) -> Image:
        key = (look.source, look.id)
        return self._plates.get_or_create(key, lambda: plates.decode_plate(look), lambda image: image.nbytes)

    def _render_plate(self, look: Plate, request: Backdrop, size: Size, variant: int) -> plates.PlateView:
        return plates.render_plate(look, self._read_plate(look), request, size, variant)

    def _render_plate_scene(
        self, row: Scene, look: Plate, request: Backdrop, size: Size, variant: int, seed: int
    ) -> tuple[LinearLight, SceneGround | None, list[str]]:
        """A place behind a person as it is, under feet with a terrace where it has no ground, behind a product with a
        table; a set's own table under a product."""
        notices: list[str] = []
        if look.stands and request.subject == "product" and not plates.agrees_with_camera(look, request):
            notices.append(f"{PITCH_NOTICE_START} {row.title} {PITCH_NOTICE_END}")
        if look.stands or not _has_table(request):
            view = self._render_plate(look, request, size, variant)
            if view.enlargement > plates.MAX_ENLARGEMENT_RATIO:
                notices.append(f"{row.title} is smaller than the picture and looks soft.")
            if not look.has_ground and _stands_in_place(request):
                camera = ground_texture.GroundCamera(view.horizon, plates.ROOM_FOCAL_HEIGHTS)
                return ground_texture.lay_terrace(view.light, request, camera, seed), view.ground, notices
            return view.light, view.ground if _has_table(request) or _stands_in_place(request) else None, notices
        wall = self._render_plate(
            look, replace(request, blur_ratio=max(request.blur_ratio, TABLE_BLUR_RATIO)), size, variant
        )
        return tabletop.render_tabletop(look.table, wall.light, request, size, variant, seed), None, notices

    def _render_place(self, look: PanoramaPlace, request: Backdrop, size: Size, variant: int, seed: int) -> LinearLight:
        """Render a place: behind a bust as it is, under feet with detail, behind a product with a table in it."""
        view = panorama.render_place(look, self._load_panorama(look.file), request, size, variant, seed)
        if _stands_in_place(request):
            lens = panorama.choose_lens(look, request, size, variant)
            camera = ground_texture.GroundCamera(lens.horizon, lens.focal_length)
            return ground_texture.add_ground_texture(view, look.ground, request, size, camera, seed)
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


def _stands_in_place(request: Backdrop) -> bool:
    """Whether a whole figure, or what has legs or wheels, stands on the ground of the place itself."""
    return request.subject != "product" and request.floor_ratio is not None


def _surface_for_camera(row: Scene, request: Backdrop) -> Scene | None:
    """The computed surface that takes a set's place where the photo's camera looks down otherwise than the set's."""
    if not isinstance(row.look, Plate) or not row.look.surface or not _has_table(request):
        return None
    return None if plates.agrees_with_camera(row.look, request) else find_scene(row.look.surface)


def _classify_scenery(row: Scene, request: Backdrop) -> Scenery | None:
    if request.picture is not None:  # nothing has to be said about the user's own picture
        return None
    has_computed_ground = _has_table(request) or _stands_in_place(request)
    if isinstance(row.look, PanoramaPlace):
        return "mixed" if has_computed_ground or row.look.has_street_lamps else "photographed"
    if isinstance(row.look, Plate) and row.look.source == "photo":
        is_whole = row.look.has_ground and not _has_table(request)
        return "mixed" if has_computed_ground and not is_whole else "photographed"
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
    if not path.is_file() or compute_sha256(path) != sha256.get(name):
        raise ModelUnavailable(f"The panorama {name} is missing or damaged. `python assets/scenes/fetch.py` brings it.")
    return path


def load(spec: ModelSpec, device: str) -> SceneModel:
    """Load the model, which runs on the processor whatever `device` is."""
    return SceneModel(spec)


def estimate_bytes(spec: ModelSpec) -> int:
    """Bytes of all decoded panoramas and of the plates that are kept."""
    return spec.bytes
