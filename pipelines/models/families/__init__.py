"""All model families, as an explicit tuple: a new one is a file here and a line in `FAMILIES`.

A tool uses it once a `Profile` names one of its specs (`pipelines/models/profiles.py`); docs/contributing.md has the
whole list.
"""

from __future__ import annotations

from pipelines.core.models import ModelFamily
from pipelines.models import nets
from pipelines.models.families.control_nets import CONTROL_NETS
from pipelines.models.families.fashn.model import DWPOSE_FAMILY, FASHN_FAMILY
from pipelines.models.families.flux2 import FLUX2_FAMILY
from pipelines.models.families.hub_nets import BIREFNET_FAMILY, FILL_NETS, SAM2_FAMILY, VITMATTE_FAMILY
from pipelines.models.families.joyimage import JOYIMAGE_FAMILY
from pipelines.models.families.krea import KREA_FAMILY
from pipelines.models.families.longcat import LONGCAT_FAMILY
from pipelines.models.families.mini import model as mini_model
from pipelines.models.families.qwen_image import QWEN_IMAGE_FAMILY
from pipelines.models.families.qwen_image_21 import QWEN_21_FAMILY
from pipelines.models.families.scenes import model as scene_model
from pipelines.models.families.stable_diffusion import STABLE_DIFFUSION_FAMILY
from pipelines.models.families.text_reader import TEXT_READER_FAMILY
from pipelines.models.families.wan import WAN_FAMILY
from pipelines.models.families.z_image import Z_IMAGE_FAMILY
from pipelines.models.nets.control_annotators import ANNOTATORS

FAMILIES: tuple[ModelFamily, ...] = (
    nets,
    scene_model,
    mini_model,
    STABLE_DIFFUSION_FAMILY,
    FLUX2_FAMILY,
    Z_IMAGE_FAMILY,
    QWEN_IMAGE_FAMILY,
    QWEN_21_FAMILY,
    LONGCAT_FAMILY,
    JOYIMAGE_FAMILY,
    KREA_FAMILY,
    WAN_FAMILY,
    FASHN_FAMILY,
    CONTROL_NETS,
    BIREFNET_FAMILY,
    VITMATTE_FAMILY,
    SAM2_FAMILY,
    FILL_NETS,
    DWPOSE_FAMILY,
    ANNOTATORS,
    TEXT_READER_FAMILY,
)
