"""ViTMatte and SAM 2 with the classes and files of their repositories, small sizes and random weights."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    Sam2ImageProcessor,
    Sam2VideoConfig,
    Sam2VideoModel,
    VitMatteConfig,
    VitMatteForImageMatting,
    VitMatteImageProcessor,
)

from pipelines.core.models import ModelSpec
from pipelines.models.families.hub_nets import SAM2, VITMATTE
from pipelines.models.pinned_revisions import PINS

SAM2_SIDE_PX = 128
VITMATTE_ANSWER = 0.25


def put_into_cache(spec: ModelSpec, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put the files where a download of `spec` puts them; return their folder."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    folder = cache / f"models--{spec.repo.replace('/', '--')}" / "snapshots" / PINS[spec.repo]
    folder.mkdir(parents=True)
    torch.manual_seed(22)
    {VITMATTE: _save_vitmatte, SAM2: _save_sam2}[spec](folder)
    return folder


def _save_vitmatte(folder: Path) -> None:
    """Save it with random weights but for the last one, which moves its answer to `VITMATTE_ANSWER`."""
    backbone = {
        "model_type": "vitdet",
        "num_channels": 4,
        "image_size": 64,
        "pretrain_image_size": 32,
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "use_relative_position_embeddings": True,
        "window_size": 2,
        "window_block_indices": [0],
        "residual_block_indices": [1],
        "out_features": ["stage2"],
    }
    sizes = {"hidden_size": 16, "convstream_hidden_sizes": [4, 4, 8], "fusion_hidden_sizes": [16, 8, 4, 4]}
    net: Any = VitMatteForImageMatting(VitMatteConfig(backbone_config=backbone, **sizes))
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.ones_(module.weight)  # its own random ones would make of any photo the same
    answer = math.log(VITMATTE_ANSWER / (1 - VITMATTE_ANSWER))
    torch.nn.init.constant_(net.decoder.matting_head.matting_convs[3].bias, answer)
    net.save_pretrained(folder)
    VitMatteImageProcessor().save_pretrained(folder)


def _save_sam2(folder: Path) -> None:
    """Save it as its authors do: the whole net for videos, of which a photo needs a part."""
    side = SAM2_SIDE_PX
    backbone = {
        "model_type": "sam2_hiera_det_model",
        "hidden_size": 8,
        "image_size": [side, side],
        "blocks_per_stage": [1, 1, 2, 1],
        "embed_dim_per_stage": [8, 16, 32, 64],
        "num_attention_heads_per_stage": [1, 1, 2, 2],
        "window_size_per_stage": [4, 4, 4, 2],
        "global_attention_blocks": [3],
    }
    vision = {
        "model_type": "sam2_vision_model",
        "backbone_config": backbone,
        "backbone_channel_list": [64, 32, 16, 8],
        "backbone_feature_sizes": [[side // 4] * 2, [side // 8] * 2, [side // 16] * 2],
        "fpn_hidden_size": 32,
    }
    # All of them: before transformers 5.20 the configuration for videos, made here alone, lacks their defaults.
    decoder = {
        "hidden_size": 32,
        "hidden_act": "gelu",
        "mlp_dim": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "attention_downsample_rate": 2,
        "num_multimask_outputs": 3,
        "iou_head_depth": 3,
        "iou_head_hidden_dim": 16,
        "dynamic_multimask_via_stability": True,
        "dynamic_multimask_stability_delta": 0.05,
        "dynamic_multimask_stability_thresh": 0.98,
    }
    config = Sam2VideoConfig(
        vision_config=vision,
        prompt_encoder_config={"hidden_size": 32, "image_size": side, "mask_input_channels": 4},
        mask_decoder_config=decoder,
        image_size=side,
        memory_attention_hidden_size=32,
        memory_attention_num_layers=1,
        memory_attention_feed_forward_hidden_size=32,
        memory_encoder_hidden_size=32,
        memory_encoder_output_channels=16,
        mask_downsampler_embed_dim=32,
        memory_fuser_num_layers=1,
        memory_fuser_embed_dim=32,
        memory_fuser_intermediate_dim=32,
    )
    Sam2VideoModel(config).save_pretrained(folder)
    Sam2ImageProcessor(size={"height": side, "width": side}).save_pretrained(folder)
