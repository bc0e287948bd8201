"""Which net from the hub fills what is erased: the best that is on this machine and fits its memory."""

from __future__ import annotations

from pipelines.core.models import ModelSpec
from pipelines.models.families.hub_nets import FILL_NETS
from pipelines.models.nets.matting_choice import fits_memory
from pipelines.models.profiles import is_cached


def find_fill_net() -> ModelSpec | None:
    """Return the best net that fills holes and is here; None without one."""
    return next((spec for spec in FILL_NETS.specs if fits_memory(spec) and is_cached(spec)), None)
