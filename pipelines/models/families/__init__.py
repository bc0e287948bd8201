"""The families of models, as an explicit tuple; knows none of them beyond its name."""

from __future__ import annotations

from pipelines.models.families import backdrops, mini, nets
from pipelines.models.families.flux2 import FLUX2
from pipelines.models.families.maps import MAPS
from pipelines.models.families.qwen_image import QWEN_IMAGE
from pipelines.models.families.stable_diffusion import STABLE_DIFFUSION
from pipelines.models.families.z_image import Z_IMAGE_FAMILY
from pipelines.types import Family

FAMILIES: tuple[Family, ...] = (nets, backdrops, mini, STABLE_DIFFUSION, FLUX2, Z_IMAGE_FAMILY, QWEN_IMAGE, MAPS)
