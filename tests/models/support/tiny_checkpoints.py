"""Tiny checkpoints of the real classes with random weights, and a model family of them for tools and engines.

Everything is written with `save_pretrained` and read with `from_pretrained`; no file comes from a network.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipelines.core.models import ModelSpec
from pipelines.core.params import Verb
from pipelines.models.diffusion.loader import CheckpointFamily
from pipelines.models.families.stable_diffusion import StableDiffusionModel
from tests.models.support.write_once import copy_when_written

SIDE_PX = 64
VERBS: tuple[Verb, ...] = ("backdrop", "text", "image", "inpaint")


def tiny_family(folder: Path) -> CheckpointFamily:
    """A family over checkpoints built below `folder`: specs "tiny-sd", "tiny-sdxl" and "tiny-fast".

    "tiny-fast" is what "sd15-lcm" is: a Stable Diffusion with a fused LoRA, LCM's scheduler and a tiny decoder.
    """
    sd, xl = tiny_sd(folder / "tiny-sd"), tiny_sdxl(folder / "tiny-sdxl")
    adapter, decoder = tiny_lora(sd, folder / "tiny-lora"), tiny_decoder(folder / "tiny-decoder")
    fast = (
        ("adapter", f"{adapter}::pytorch_lora_weights.safetensors"),
        ("scheduler", "LCMScheduler"),
        ("decoder", str(decoder)),
    )
    return CheckpointFamily(
        StableDiffusionModel,
        (
            tiny_spec("tiny-sd", sd, steps=4, guidance=5.0),
            tiny_spec("tiny-sdxl", xl, steps=3, guidance=5.0),
            tiny_spec("tiny-fast", sd, steps=2, guidance=1.0, options=fast),
        ),
    )


def tiny_spec(
    spec_id: str, folder: Path, *, steps: int, guidance: float, options: tuple[tuple[str, str], ...] = ()
) -> ModelSpec:
    """A row for a tiny checkpoint; it draws pictures of 64 x 64 px."""
    defaults = (("num_inference_steps", steps), ("guidance_scale", guidance), ("strength", 0.6), ("side", SIDE_PX))
    return ModelSpec(
        spec_id, "stable_diffusion", VERBS, "Apache-2.0", repo=str(folder), defaults=defaults, options=options
    )


@copy_when_written
def tiny_sd(folder: Path, seed: int = 0) -> Path:
    """A `StableDiffusionPipeline` of about 0.2 M parameters."""
    import torch
    from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline

    torch.manual_seed(seed)
    kind: Any = StableDiffusionPipeline
    pipe = kind(
        vae=_tiny_vae(),
        text_encoder=tiny_text_encoder(),
        tokenizer=byte_tokenizer(),
        unet=_tiny_unet(),
        scheduler=_tiny_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipe.save_pretrained(folder)
    return folder


@copy_when_written
def tiny_sdxl(folder: Path, seed: int = 0) -> Path:
    """A `StableDiffusionXLPipeline` with two text encoders."""
    import torch
    from diffusers.pipelines.stable_diffusion_xl.pipeline_stable_diffusion_xl import StableDiffusionXLPipeline

    torch.manual_seed(seed)
    pipe = StableDiffusionXLPipeline(
        vae=_tiny_vae(),
        text_encoder=tiny_text_encoder(),
        text_encoder_2=tiny_text_encoder(projected=True),
        tokenizer=byte_tokenizer(),
        tokenizer_2=byte_tokenizer(),
        unet=_tiny_unet_xl(),
        scheduler=_tiny_scheduler(euler=True),
    )
    pipe.save_pretrained(folder)
    return folder


@copy_when_written
def tiny_union(folder: Path) -> Path:
    """A `ControlNetUnionModel` for `tiny_sdxl`, its zeros made noise: else a test of it would prove nothing."""
    import torch
    from diffusers.models.controlnets.controlnet_union import ControlNetUnionModel

    torch.manual_seed(5)
    kind: Any = ControlNetUnionModel
    net = kind(
        block_out_channels=(16, 32),
        layers_per_block=1,
        norm_num_groups=8,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        cross_attention_dim=64,
        attention_head_dim=(2, 4),
        use_linear_projection=True,
        transformer_layers_per_block=(1, 2),
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=6 * 8 + 32,
        conditioning_embedding_out_channels=(8, 8, 8, 8),
        num_trans_channel=16,
        num_trans_head=2,
        num_proj_channel=16,
    )
    for weight in net.parameters():
        if not weight.any():
            torch.nn.init.normal_(weight, std=0.2)
    net.save_pretrained(folder)
    return folder


@copy_when_written
def tiny_decoder(folder: Path) -> Path:
    """An `AutoencoderTiny` that enlarges 8 times."""
    import torch
    from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny

    torch.manual_seed(3)
    channels, blocks = (8, 8, 8, 8), (1, 1, 1, 1)
    AutoencoderTiny(
        encoder_block_out_channels=channels,
        decoder_block_out_channels=channels,
        num_encoder_blocks=blocks,
        num_decoder_blocks=blocks,
    ).save_pretrained(folder)
    return folder


def tiny_lora(checkpoint: Path, folder: Path) -> Path:
    """A LoRA of rank 2 for the UNet of `checkpoint`, large enough to change its pictures."""
    import torch
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
    from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline

    torch.manual_seed(4)
    unet = UNet2DConditionModel.from_pretrained(checkpoint, subfolder="unet")
    layers: dict[str, Any] = {}
    for name, module in unet.named_modules():
        if name.endswith(("to_q", "to_v")):
            assert isinstance(module, torch.nn.Linear)
            rows, columns = module.weight.shape
            layers[f"{name}.lora_A.weight"] = torch.randn(2, columns)
            layers[f"{name}.lora_B.weight"] = torch.randn(rows, 2)
    StableDiffusionPipeline.save_lora_weights(folder, unet_lora_layers=layers)
    return folder


def _tiny_vae() -> Any:
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

    kind: Any = AutoencoderKL
    return kind(
        block_out_channels=(8, 8, 8, 8),
        norm_num_groups=4,
        layers_per_block=1,
        latent_channels=4,
        sample_size=SIDE_PX,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
    )


def _tiny_unet() -> Any:
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    kind: Any = UNet2DConditionModel
    return kind(
        sample_size=SIDE_PX // 8,
        block_out_channels=(16, 32),
        layers_per_block=1,
        norm_num_groups=8,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=32,
        attention_head_dim=4,
    )


def _tiny_unet_xl() -> Any:
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    kind: Any = UNet2DConditionModel
    return kind(
        sample_size=SIDE_PX // 8,
        block_out_channels=(16, 32),
        layers_per_block=1,
        norm_num_groups=8,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=64,
        attention_head_dim=(2, 4),
        use_linear_projection=True,
        transformer_layers_per_block=(1, 2),
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=6 * 8 + 32,
    )


def _tiny_scheduler(*, euler: bool = False) -> Any:
    from diffusers.schedulers.scheduling_ddim import DDIMScheduler
    from diffusers.schedulers.scheduling_euler_discrete import EulerDiscreteScheduler

    kind: Any = EulerDiscreteScheduler if euler else DDIMScheduler
    extra: dict[str, Any] = {} if euler else {"clip_sample": False, "set_alpha_to_one": False}
    return kind(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1, **extra)


def tiny_text_encoder(*, projected: bool = False) -> Any:
    """A CLIP text encoder of width 32 for the tokens of `tokenizer`."""
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    config = CLIPTextConfig(
        vocab_size=514,
        hidden_size=32,
        intermediate_size=37,
        num_hidden_layers=2,
        num_attention_heads=4,
        projection_dim=32,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=1,
    )
    return (CLIPTextModelWithProjection if projected else CLIPTextModel)(config).eval()


def byte_tokenizer() -> Any:
    """CLIP's byte alphabet without merges: every byte is a token, and none needs a file."""
    from transformers import CLIPTokenizer

    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = [chr(code) for code in printable] + [chr(256 + n) for n in range(256 - len(printable))]
    tokens = ["<|startoftext|>", "<|endoftext|>", *letters, *(f"{letter}</w>" for letter in letters)]
    return CLIPTokenizer(vocab={token: number for number, token in enumerate(tokens)}, merges=[], model_max_length=77)
