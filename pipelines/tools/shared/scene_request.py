"""What tools ask of the scene behind a subject: the parts of the request that every form gives in the same way."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, Protocol

from pipelines.core.geometry import Colour
from pipelines.core.rendering import Backdrop, Caption
from pipelines.core.tools import ToolContext

Purpose = Literal["", "portrait", "product", "picture"]
_OUT_OF_FOCUS = ", out of focus"
_VISIBLE_BLUR_PERCENT = 3.0


class SceneForm(Protocol):
    """A form with the fields `backdrop`, `blur` and `colour` of `form_fields`."""

    @property
    def backdrop(self) -> str | None: ...
    @property
    def blur(self) -> float: ...
    @property
    def colour(self) -> str | None: ...


def with_form_scene(
    backdrop: Backdrop, params: SceneForm, context: ToolContext, words: str, scene_id: str, colour: Colour | None = None
) -> Backdrop:
    """Add the scene that the form asks for: a built-in one where there are no words, the user's picture, the blur."""
    return replace(
        backdrop,
        scene="" if words else scene_id,
        colour=colour,
        picture=context.open_image(params.backdrop) if params.backdrop else None,
        blur_ratio=params.blur / 100,
    )


def scene_prompt(params: SceneForm, words: str, default: str) -> str:
    """The user's words, else those of the look; none where the user's picture is the scene."""
    return words or ("" if params.backdrop else default)


def scene_caption(params: SceneForm, words: str, place: str, purpose: Purpose) -> Caption:
    """Say what the form asks of the scene: the user's words, else those of the look, blur and colour.

    A look that is out of focus stays so unless the form asks for a blur too small to be seen.
    """
    bare = place.removesuffix(_OUT_OF_FOCUS)
    is_soft_by_look = params.blur == 0 and not words and bare != place
    return Caption(
        own=words,
        place=bare,
        purpose=purpose,
        is_blurred=params.blur >= _VISIBLE_BLUR_PERCENT or is_soft_by_look,
        colour=params.colour or "",
    )


def consecutive_seeds(context: ToolContext, count: int) -> tuple[int, ...]:
    """One seed for each of `count` pictures, the job's own first."""
    return tuple(context.seed + n for n in range(count))
