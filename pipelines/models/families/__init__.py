"""The families of models, as an explicit tuple; knows none of them beyond its name."""

from __future__ import annotations

from pipelines.models.families import backdrops, nets
from pipelines.models.families.stable_diffusion import STABLE_DIFFUSION
from pipelines.types import Family

FAMILIES: tuple[Family, ...] = (nets, backdrops, STABLE_DIFFUSION)
