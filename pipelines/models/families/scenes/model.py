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
from pipelines.core.rendering import Backdrop, Images, ModelStep, Render, Scenery
from pipelines.models.families.scenes import panorama, panorama_view, podium, studio_backdrops, tabletop, user_backdrop
from pipelines.models.families.scenes.keyword_search import SCENES, choose, scene
from pipelines.models.families.scenes.scene_types import Paper, Place, Scene, Surface
from pipelines.models.families.scenes.subject_matching import (
    apart,
    deepened,
    exposed,
    pooled,
    uncoloured,
    white_balanced,
)
from pipelines.models.families.scenes.tone_mapping import Linear, developed

__all__ = ["SCENES", "Backdrops", "choose", "load", "scene", "size_of", "specs"]

FOLDER = Path(__file__).resolve().parents[4] / "assets" / "scenes"
PANORAMA_BYTES = 256 * 512 * 3 * 4
# Lower than this the subject is cut by the picture's edge rather than standing, so no table is drawn under it.
STANDS = 0.97
_MINE = Scene("my-backdrop", "My Backdrop", Place("", (0.0,), 1.0), "", "", blur=0.0, own_light=True)

BACKDROPS = ModelSpec(
    id="backdrops",
    family="backdrops",
    verbs=("backdrop",),
    licence="Apache-2.0; panoramas CC0-1.0",
    bytes=PANORAMA_BYTES * len({row.look.file for row in SCENES if isinstance(row.look, Place)}),
)

specs = (BACKDROPS,)


class Backdrops:
    """The loaded family; panoramas are decoded when first asked for and kept. May be called from several threads."""

    def __init__(self, spec: ModelSpec) -> None:
        self.spec = spec
        self._panoramas: dict[str, Linear] = {}
        self._sha256: dict[str, str] = json.loads((FOLDER / "manifest.json").read_text())

    def draw(self, render: Render, on_step: Callable[[ModelStep], None]) -> Images:
        """One picture per seed: the scene asked for, then its next lights, lays or views. Same render, same pixels.

        The scene is `render.backdrop.picture`, else its `scene`, else chosen by `render.prompt`. Raises `BadInput`
        for an unknown scene and `ModelUnavailable` when a panorama is missing or damaged.
        """
        asked = render.backdrop or Backdrop()
        row, notices = _chosen(asked, render)
        images: list[Image] = []
        for index, seed in enumerate(render.seeds):
            image, said = self._picture(row, asked, render.size, index, seed)
            images.append(image)
            notices.extend(note for note in said if note not in notices)
            on_step(ModelStep(index + 1, len(render.seeds), lambda image=image: image))
        return Images(tuple(images), tuple(notices), scenery=_scenery(row, asked))

    def close(self) -> None:
        """Lets go of the panoramas."""
        self._panoramas.clear()

    def _picture(self, row: Scene, asked: Backdrop, size: Size, variant: int, seed: int) -> tuple[Image, list[str]]:
        if isinstance(row.look, Paper) and row.look.flat:
            return _plain(asked.colour or row.look.colour, size), []
        asked = replace(asked, blur=asked.blur or row.blur)
        light = self._light(row, asked, size, variant, seed) * np.float32(asked.light)
        said: list[str] = []
        if asked.colour is None or isinstance(row.look, Place):
            light = pooled(deepened(white_balanced(light, row, asked), row, asked), row, asked)
            light = uncoloured(light, asked)
            light = light * np.float32(exposed(light, row, asked))
            gain = apart(light, row, asked)
            light = light * np.float32(gain)
            if gain != 1.0:
                said.append(
                    f"{row.title} was made {'lighter' if gain > 1 else 'darker'} so that the subject stands out."
                )
        return developed(light, size, seed), said

    def _light(self, row: Scene, asked: Backdrop, size: Size, variant: int, seed: int) -> Linear:
        look = row.look
        if asked.picture is not None:
            return user_backdrop.backdrop(asked.picture, asked, size, variant)
        if isinstance(look, Paper):
            return studio_backdrops.paper(look, asked, size, variant, seed)
        if isinstance(look, Surface):
            return _surface(look, asked, size, variant, seed)
        return self._place(look, asked, size, variant, seed)

    def _place(self, look: Place, asked: Backdrop, size: Size, variant: int, seed: int) -> Linear:
        """A person stands in a place; a product stands on a table before it, lit by what the place has."""
        seen = panorama_view.place(look, self._panorama(look.file), asked, size, variant, seed)
        if not _on_table(asked):
            return seen
        return tabletop.tabletop(look.table, seen, asked, size, variant, seed)

    def _panorama(self, name: str) -> Linear:
        found = self._panoramas.get(name)
        if found is None:
            found = self._panoramas[name] = panorama.read(_verified(name, self._sha256))
        return found


def _on_table(asked: Backdrop) -> bool:
    return asked.subject == "product" and asked.floor is not None and asked.floor <= STANDS


def _scenery(row: Scene, asked: Backdrop) -> Scenery | None:
    if asked.picture is not None:  # it speaks for itself
        return None
    if isinstance(row.look, Place):
        return "mixed" if _on_table(asked) or row.look.lamps else "photographed"
    return "plain" if isinstance(row.look, Paper) and row.look.flat else "computed"


def _chosen(asked: Backdrop, render: Render) -> tuple[Scene, list[str]]:
    if asked.picture is not None:
        soft = user_backdrop.enlarged(asked.picture, render.size) > user_backdrop.SOFT
        return _MINE, ["My backdrop is smaller than the picture and will look soft."] if soft else []
    if asked.scene:
        try:
            return scene(asked.scene), []
        except KeyError:
            raise BadInput(f"There is no built-in scene '{asked.scene}'.", param="scene") from None
    if not render.prompt.strip() and asked.colour is not None:
        return scene("studio-colour"), []
    row, notice = choose(render.prompt, asked.subject)
    return row, [notice] if notice else []


def _surface(look: Surface, asked: Backdrop, size: Size, variant: int, seed: int) -> Linear:
    wall = asked.colour or look.wall
    if look.material in ("podium", "blocks"):
        tint = asked.colour or look.tint or look.wall
        return podium.podium(look.material == "blocks", wall, tint, asked, size, variant)
    return tabletop.tabletop(look.material, wall, asked, size, variant, seed)


def _plain(colour: tuple[int, int, int], size: Size) -> Image:
    return np.broadcast_to(np.array(colour, np.uint8), (size[1], size[0], 3)).copy()


def _verified(name: str, sha256: dict[str, str]) -> Path:
    path = FOLDER / name
    if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != sha256.get(name):
        raise ModelUnavailable(f"The panorama {name} is missing or damaged. `python assets/scenes/fetch.py` brings it.")
    return path


def load(spec: ModelSpec, device: str) -> Backdrops:
    """Ready at once, on the processor whatever `device` says."""
    return Backdrops(spec)


def size_of(spec: ModelSpec) -> int:
    """Bytes of all panoramas decoded."""
    return spec.bytes
