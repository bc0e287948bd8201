"""The architectures of the real checkpoints at their full size, as parts on any device; weights are random.

The numbers are those of the checkpoints' own config files. On torch's `meta` device a part takes no memory, which is
how the suite counts them; on a GPU they cost what trained ones cost.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.models.support.tiny_checkpoints import byte_tokenizer
from tests.models.support.tiny_flow_checkpoints import qwen_byte_tokenizer

VAE = {
    "block_out_channels": (128, 256, 512, 512), "layers_per_block": 2, "norm_num_groups": 32, "sample_size": 1024,
    "down_block_types": ("DownEncoderBlock2D",) * 4, "up_block_types": ("UpDecoderBlock2D",) * 4,
}  # fmt: skip
XL = {
    "block_out_channels": (320, 640, 1280), "attention_head_dim": (5, 10, 20), "cross_attention_dim": 2048,
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "transformer_layers_per_block": (1, 2, 10), "use_linear_projection": True, "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256, "projection_class_embeddings_input_dim": 2816,
}  # fmt: skip


def _diffusers(name: str) -> Any:
    import diffusers

    return getattr(diffusers, name)


def xl_unet() -> Any:
    """2.57 B parameters."""
    ups = ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D")
    return _diffusers("UNet2DConditionModel")(sample_size=128, up_block_types=ups, **XL)


def xl_union() -> Any:
    """1.26 B."""
    return _diffusers("ControlNetUnionModel")(**XL)


def clip(*, large: bool) -> Any:
    """CLIP-L of 0.12 B, or the bigG of 0.69 B with its projection; both for the tests' byte tokenizer."""
    import transformers as t

    ids: dict[str, Any] = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}
    if large:
        config = t.CLIPTextConfig(
            hidden_size=1280, intermediate_size=5120, num_hidden_layers=32, num_attention_heads=20,
            projection_dim=1280, hidden_act="gelu", **ids,
        )  # fmt: skip
        return t.CLIPTextModelWithProjection(config)
    config = t.CLIPTextConfig(
        hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12, projection_dim=768, **ids
    )
    return t.CLIPTextModel(config)


def vae(channels: int) -> Any:
    """0.084 B: SDXL's of 4 channels, or Z-Image's of 16."""
    if channels == 4:
        return _diffusers("AutoencoderKL")(latent_channels=4, scaling_factor=0.13025, **VAE)
    return _diffusers("AutoencoderKL")(
        latent_channels=16, scaling_factor=0.3611, shift_factor=0.1159, use_quant_conv=False,
        use_post_quant_conv=False, **VAE,
    )  # fmt: skip


def klein_transformer() -> Any:
    """3.88 B."""
    return _diffusers("Flux2Transformer2DModel")(
        num_layers=5, num_single_layers=20, attention_head_dim=128, num_attention_heads=24, joint_attention_dim=7680,
        in_channels=128, mlp_ratio=3.0, guidance_embeds=False,
    )  # fmt: skip


def z_transformer() -> Any:
    """6.15 B, as the class has it by default."""
    return _diffusers("ZImageTransformer2DModel")()


def z_union() -> Any:
    """1.55 B."""
    return _diffusers("ZImageControlNetModel")(control_layers_places=[0, 5, 10, 15, 20, 25], control_in_dim=16)


def qwen_transformer() -> Any:
    """20.4 B, as the class has it by default."""
    return _diffusers("QwenImageTransformer2DModel")()


def qwen3() -> Any:
    """Qwen3-4B, 4.02 B, the text encoder of klein and Z-Image; reads the tests' byte tokenizer."""
    import transformers as t

    config = t.Qwen3Config(
        vocab_size=151936, hidden_size=2560, intermediate_size=9728, num_hidden_layers=36, num_attention_heads=32,
        num_key_value_heads=8, head_dim=128, tie_word_embeddings=True, bos_token_id=256, eos_token_id=258,
        pad_token_id=256,
    )  # fmt: skip
    return t.Qwen3ForCausalLM(config)


def flow() -> Any:
    """The scheduler of klein and Z-Image."""
    return _diffusers("FlowMatchEulerDiscreteScheduler")(shift=3.0, use_dynamic_shifting=True)


@dataclass(frozen=True)
class Architecture:
    """A pipeline class, what its parts are made by, and the parts that have no weights."""

    kind: str
    parts: dict[str, Callable[[], Any]]
    rest: dict[str, Callable[[], Any]]
    extra: dict[str, Callable[[], Any]]

    def pipe(self, device: str) -> tuple[Any, dict[str, Any]]:
        """The pipeline and its extra parts on `device`, in bfloat16."""
        made = {name: _on(device, make) for name, make in self.parts.items()}
        extra = {name: _on(device, make) for name, make in self.extra.items()}
        return _diffusers(self.kind)(**made, **{name: make() for name, make in self.rest.items()}), extra


def _on(device: str, make: Callable[[], Any]) -> Any:
    """Made on the device itself and in half the bytes: on the CPU it would take minutes."""
    import torch

    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.device(device):
            return make().eval()
    finally:
        torch.set_default_dtype(before)


def _euler() -> Any:
    return _diffusers("EulerDiscreteScheduler")(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1, timestep_spacing="trailing"
    )


SDXL = Architecture(
    "StableDiffusionXLPipeline",
    {"unet": xl_unet, "vae": lambda: vae(4), "text_encoder": lambda: clip(large=False),
     "text_encoder_2": lambda: clip(large=True)},
    {"tokenizer": byte_tokenizer, "tokenizer_2": byte_tokenizer, "scheduler": _euler},
    {"controlnet": xl_union},
)  # fmt: skip
KLEIN = Architecture(
    "Flux2KleinPipeline",
    {"transformer": klein_transformer, "vae": lambda: _diffusers("AutoencoderKLFlux2")(), "text_encoder": qwen3},
    {"tokenizer": qwen_byte_tokenizer, "scheduler": flow, "is_distilled": lambda: True},
    {},
)
Z_IMAGE = Architecture(
    "ZImagePipeline",
    {"transformer": z_transformer, "vae": lambda: vae(16), "text_encoder": lambda: qwen3().model},
    {"tokenizer": qwen_byte_tokenizer, "scheduler": flow},
    {"controlnet": z_union},
)
