"""Tiny transformers models of the real classes with random weights for annotators: depth and body joints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipelines.core.models import ModelSpec

FILES = ("files", "config.json,preprocessor_config.json,model.safetensors")


def annotator_row(makes: str, folder: Path) -> ModelSpec:
    """A row of the maps' family for what lies in `folder`."""
    return ModelSpec(f"tiny-{makes}", "maps", (), "Apache-2.0", repo=str(folder), options=(("makes", makes), FILES))


def tiny_depth(folder: Path) -> Path:
    """A `DepthAnythingForDepthEstimation`."""
    import torch
    from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation, Dinov2Config, DPTImageProcessor

    torch.manual_seed(0)
    stages = [f"stage{n}" for n in (1, 2, 3, 4)]
    kind: Any = Dinov2Config
    backbone = kind(
        hidden_size=16,
        num_hidden_layers=4,
        num_attention_heads=2,
        image_size=56,
        patch_size=14,
        mlp_ratio=2,
        out_features=stages,
        reshape_hidden_states=False,
    )
    config = DepthAnythingConfig(
        backbone_config=backbone,
        reassemble_hidden_size=16,
        patch_size=14,
        neck_hidden_sizes=[8, 8, 8, 8],
        fusion_hidden_size=8,
        head_hidden_size=4,
    )
    DepthAnythingForDepthEstimation(config).save_pretrained(folder)
    size = {"height": 56, "width": 56}
    DPTImageProcessor(size=size, keep_aspect_ratio=True, ensure_multiple_of=14).save_pretrained(folder)
    return folder


def tiny_vitpose(folder: Path) -> Path:
    """A `VitPoseForPoseEstimation` for the 17 joints of COCO."""
    import torch
    from transformers import VitPoseBackboneConfig, VitPoseConfig, VitPoseForPoseEstimation, VitPoseImageProcessor

    torch.manual_seed(0)
    backbone = VitPoseBackboneConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        image_size=[64, 48],
        patch_size=[16, 16],
        mlp_ratio=2,
    )
    kind: Any = VitPoseConfig
    config = kind(backbone_config=backbone, use_simple_decoder=True, scale_factor=4, num_labels=17)
    VitPoseForPoseEstimation(config).save_pretrained(folder)
    VitPoseImageProcessor(size={"height": 64, "width": 48}).save_pretrained(folder)
    return folder
