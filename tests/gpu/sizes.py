"""The architectures of the real checkpoints at full size with random weights, as components on any device.

The numbers are those of the checkpoints' own config files. On torch's `meta` device a component takes no memory, so the
suite counts its parameters there; on a GPU it costs what a trained one costs.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Any

from tests.models.support.tiny_checkpoints import byte_tokenizer
from tests.models.support.tiny_flow_checkpoints import (
    SPECIAL,
    qwen3_processor,
    qwen21_processor,
    qwen_byte_tokenizer,
    qwen_processor,
    t5_letter_tokenizer,
)

if TYPE_CHECKING:
    import torch

VAE_CONFIG = {
    "block_out_channels": (128, 256, 512, 512), "layers_per_block": 2, "norm_num_groups": 32, "sample_size": 1024,
    "down_block_types": ("DownEncoderBlock2D",) * 4, "up_block_types": ("UpDecoderBlock2D",) * 4,
}  # fmt: skip
SDXL_CONFIG = {
    "block_out_channels": (320, 640, 1280), "attention_head_dim": (5, 10, 20), "cross_attention_dim": 2048,
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "transformer_layers_per_block": (1, 2, 10), "use_linear_projection": True, "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256, "projection_class_embeddings_input_dim": 2816,
}  # fmt: skip


@functools.cache
def make_on_meta(make: Callable[[], Any]) -> Any:
    """Make a component that nobody changes, once in a process, since several files count the same ones."""
    return build_on_meta(make)


def build_on_meta(make: Callable[[], Any]) -> Any:
    """Make a component without memory for its weights."""
    import torch
    import torch._dynamo  # in torch 2.8 its first import fails where the meta device is the default

    with torch.device("meta"):
        return make()


@functools.cache
def count_bytes(make: Callable[[], Any]) -> int:
    """Count the bytes of a component in bfloat16."""
    return 2 * sum(each.numel() for each in make_on_meta(make).parameters())


def _diffusers_class(name: str) -> Any:
    import diffusers

    return getattr(diffusers, name)


def make_sd15_unet() -> Any:
    """The UNet of Stable Diffusion 1.5: 0.86 B parameters."""
    return _diffusers_class("UNet2DConditionModel")(sample_size=64, cross_attention_dim=768)


def make_sdxl_unet() -> Any:
    """SDXL's UNet: 2.57 B parameters."""
    ups = ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D")
    return _diffusers_class("UNet2DConditionModel")(sample_size=128, up_block_types=ups, **SDXL_CONFIG)


def make_sdxl_control_net() -> Any:
    """The ControlNet-Union of SDXL: 1.26 B."""
    return _diffusers_class("ControlNetUnionModel")(**SDXL_CONFIG)


def make_clip(*, large: bool) -> Any:
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


def make_vae(channels: int) -> Any:
    """0.084 B: SDXL's of 4 channels, or Z-Image's of 16."""
    if channels == 4:
        return _diffusers_class("AutoencoderKL")(latent_channels=4, scaling_factor=0.13025, **VAE_CONFIG)
    return _diffusers_class("AutoencoderKL")(
        latent_channels=16, scaling_factor=0.3611, shift_factor=0.1159, use_quant_conv=False,
        use_post_quant_conv=False, **VAE_CONFIG,
    )  # fmt: skip


def make_klein_transformer() -> Any:
    """The transformer of FLUX.2 klein 4B: 3.88 B."""
    return _diffusers_class("Flux2Transformer2DModel")(
        num_layers=5, num_single_layers=20, attention_head_dim=128, num_attention_heads=24, joint_attention_dim=7680,
        in_channels=128, mlp_ratio=3.0, guidance_embeds=False,
    )  # fmt: skip


def make_z_image_transformer() -> Any:
    """Z-Image's transformer with the defaults of its class: 6.15 B."""
    return _diffusers_class("ZImageTransformer2DModel")()


def make_z_image_control_net() -> Any:
    """The ControlNet-Union of Z-Image: 1.55 B."""
    return _diffusers_class("ZImageControlNetModel")(control_layers_places=[0, 5, 10, 15, 20, 25], control_in_dim=16)


def make_qwen_transformer() -> Any:
    """Qwen-Image's transformer with the defaults of its class: 20.4 B."""
    return _diffusers_class("QwenImageTransformer2DModel")()


def make_qwen3() -> Any:
    """Qwen3-4B, 4.02 B, the text encoder of klein and Z-Image; reads the tests' byte tokenizer."""
    import transformers as t

    config = t.Qwen3Config(
        vocab_size=151936, hidden_size=2560, intermediate_size=9728, num_hidden_layers=36, num_attention_heads=32,
        num_key_value_heads=8, head_dim=128, tie_word_embeddings=True, bos_token_id=256, eos_token_id=258,
        pad_token_id=256,
    )  # fmt: skip
    model = t.Qwen3ForCausalLM(config)
    model.tie_weights()  # transformers 5.0 does not do so on the meta device
    return model


def make_qwen_vl() -> Any:
    """Qwen2.5-VL 7B, 8.29 B, the text encoder of Qwen-Image-Edit; reads the tests' byte tokenizer."""
    import transformers as t

    ids = {token: 256 + number for number, token in enumerate(SPECIAL)}
    config = t.Qwen2_5_VLConfig(
        text_config={
            "vocab_size": 152064, "hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28,
            "num_attention_heads": 28, "num_key_value_heads": 4, "bos_token_id": 256, "eos_token_id": 258,
            "pad_token_id": 256,
            "rope_parameters": {"rope_type": "default", "mrope_section": [16, 24, 24], "rope_theta": 1e6},
        },
        vision_config={
            "depth": 32, "hidden_size": 1280, "intermediate_size": 3420, "num_heads": 16, "out_hidden_size": 3584,
        },
        image_token_id=ids["<|image_pad|>"], video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"], vision_end_token_id=ids["<|vision_end|>"],
    )  # fmt: skip
    return t.Qwen2_5_VLForConditionalGeneration(config)


def make_longcat_transformer() -> Any:
    """LongCat-Image-Edit's transformer: 6.27 B."""
    return _diffusers_class("LongCatImageTransformer2DModel")(num_layers=10, num_single_layers=20)


def make_krea_transformer() -> Any:
    """Krea 2's transformer with the defaults of its class: 12.8 B."""
    return _diffusers_class("Krea2Transformer2DModel")()


def make_qwen3_vl() -> Any:
    """Qwen3-VL 4B, 4.44 B, the text encoder of Krea 2; reads the tests' byte tokenizer."""
    import transformers as t

    text = {
        "vocab_size": 151936, "hidden_size": 2560, "intermediate_size": 9728, "num_hidden_layers": 36,
        "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128,
        "rope_parameters": {"rope_type": "default", "mrope_section": [24, 20, 20], "rope_theta": 5e6},
    }  # fmt: skip
    vision = {
        "depth": 24, "hidden_size": 1024, "intermediate_size": 4096, "num_heads": 16, "out_hidden_size": 2560,
        "deepstack_visual_indexes": [5, 11, 17], "num_position_embeddings": 2304,
    }  # fmt: skip
    return t.Qwen3VLModel(t.Qwen3VLConfig(text_config=text, vision_config=vision))


def make_joyimage_transformer() -> Any:
    """The transformer of JoyAI-Image-Edit: 16.3 B."""
    return _diffusers_class("JoyImageEditTransformer3DModel")(
        hidden_size=4096, num_attention_heads=32, num_layers=40, theta=10000, out_channels=16
    )


def make_qwen3_vl_8b() -> Any:
    """Qwen3-VL 8B, 8.77 B, the text encoder of JoyAI-Image-Edit; reads the tests' byte tokenizer."""
    import transformers as t

    ids = {token: 256 + number for number, token in enumerate(SPECIAL)}
    text = {
        "vocab_size": 151936, "hidden_size": 4096, "intermediate_size": 12288, "num_hidden_layers": 36,
        "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128,
        "rope_parameters": {"rope_type": "default", "mrope_section": [24, 20, 20], "rope_theta": 5e6},
    }  # fmt: skip
    vision = {
        "depth": 27, "hidden_size": 1152, "intermediate_size": 4304, "num_heads": 16, "out_hidden_size": 4096,
        "deepstack_visual_indexes": [8, 16, 24], "num_position_embeddings": 2304,
    }  # fmt: skip
    config = t.Qwen3VLConfig(
        text_config=text, vision_config=vision, tie_word_embeddings=False, image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"], vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
    )  # fmt: skip
    return t.Qwen3VLForConditionalGeneration(config)


def make_wan_transformer() -> Any:
    """The transformer of Wan 2.2 TI2V 5B: 5.00 B."""
    return _diffusers_class("WanTransformer3DModel")(
        num_attention_heads=24, in_channels=48, out_channels=48, ffn_dim=14336, num_layers=30
    )


def make_wan_vae() -> Any:
    """The autoencoder of Wan 2.2 TI2V 5B: 0.70 B."""
    return _diffusers_class("AutoencoderKLWan")(
        base_dim=160, decoder_base_dim=256, z_dim=48, is_residual=True, in_channels=12, out_channels=12, patch_size=2,
        scale_factor_spatial=16, latents_mean=[0.0] * 48, latents_std=[1.0] * 48,
    )  # fmt: skip


def make_umt5() -> Any:
    """UMT5-XXL's encoder, 5.68 B, the text encoder of Wan; reads the tests' letter tokenizer."""
    import transformers as t

    config = t.UMT5Config(
        vocab_size=256384, d_model=4096, d_kv=64, d_ff=10240, num_layers=24, num_heads=64,
        feed_forward_proj="gated-gelu",
    )  # fmt: skip
    return t.UMT5EncoderModel(config)


def make_unipc_scheduler() -> Any:
    """The scheduler of Wan 2.2 TI2V 5B."""
    return _diffusers_class("UniPCMultistepScheduler")(
        flow_shift=5.0, prediction_type="flow_prediction", use_flow_sigmas=True
    )


def make_flow_scheduler() -> Any:
    """The scheduler of klein and Z-Image."""
    return _diffusers_class("FlowMatchEulerDiscreteScheduler")(shift=3.0, use_dynamic_shifting=True)


def make_fixed_flow_scheduler() -> Any:
    """One whose shift does not follow the size, as JoyAI-Image-Edit's pipeline takes it for granted."""
    return _diffusers_class("FlowMatchEulerDiscreteScheduler")(shift=3.0)


@dataclass(frozen=True)
class Architecture:
    """A pipeline class and the functions that make its components, with and without weights, and its ControlNet."""

    pipeline_class: str
    components: dict[str, Callable[[], Any]]
    weightless_components: dict[str, Callable[[], Any]]
    make_control_net: Callable[[], Any] | None = None

    def build_pipeline(
        self, device: str, *, shared_layers: bool = False, mapped: Path | None = None
    ) -> tuple[Any, Any]:
        """Build the pipeline and its ControlNet, if it has one, on `device`, in bfloat16.

        shared_layers: layers of one shape share one set of weights, so that 41 GB fit into two.
        mapped: a folder for files that hold the weights and are mapped into the CPU's memory. They are read as they are
        used and left when memory is short, so that weights of 24 GB need no 24 GB of it.
        """

        def build(make: Callable[[], Any]) -> Any:
            if mapped is not None:
                return _make_mapped(mapped, make)
            return _make_with_shared_layers(device, make) if shared_layers else _make_on_device(device, make)

        made = {name: build(make) for name, make in self.components.items()}
        net = build(self.make_control_net) if self.make_control_net is not None else None
        return _diffusers_class(self.pipeline_class)(
            **made, **{name: make() for name, make in self.weightless_components.items()}
        ), net


@contextmanager
def _default_bfloat16() -> Iterator[None]:
    import torch

    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def _make_on_device(device: str, make: Callable[[], Any]) -> Any:
    """Make a component on the device itself, in bfloat16: on the CPU it would take minutes."""
    import torch

    with _default_bfloat16(), torch.device(device):
        return make().eval()


def _make_with_shared_layers(device: str, make: Callable[[], Any]) -> Any:
    """Make a component whose layers of one shape share their weights: random, small enough to stay finite."""
    import torch

    weights: dict[tuple[str, torch.Size], torch.nn.Parameter] = {}
    generator = torch.Generator().manual_seed(0)

    def share_weight(name: str, empty: torch.Tensor) -> torch.nn.Parameter:
        key = re.sub(r"(?<![^.])\d+(?=\.)", "N", name), empty.shape
        if key not in weights:
            drawn = torch.randn(empty.shape, generator=generator) * _WEIGHT_DEVIATION
            drawn = torch.ones(empty.shape) if _is_scale(name, empty) else drawn
            weights[key] = torch.nn.Parameter(drawn.to(device, torch.bfloat16), requires_grad=False)
        return weights[key]

    return _set_weights(_make_empty(make), share_weight).to(device)


def _make_mapped(folder: Path, make: Callable[[], Any]) -> Any:
    """Make a component each of whose weights has numbers of its own in a file, which is deleted when it is let go."""
    import torch

    module = _make_empty(make)
    sizes = [each.numel() for name, each in module.named_parameters() if not _is_scale(name, each)]
    starts = iter(accumulate((-(-size // _ALIGNED_COUNT) * _ALIGNED_COUNT for size in sizes), initial=0))
    noise = torch.randn(_NOISE_COUNT, generator=torch.Generator().manual_seed(0)) * _WEIGHT_DEVIATION
    block = noise.to(torch.bfloat16).view(torch.int16).numpy()
    count = sum(sizes) + len(sizes) * _ALIGNED_COUNT
    with NamedTemporaryFile(dir=folder) as file:
        for _ in range(0, count, len(block)):
            block.tofile(file)
        file.flush()
        numbers = torch.from_file(file.name, shared=True, size=count, dtype=torch.bfloat16)

    def take_weight(name: str, empty: torch.Tensor) -> torch.nn.Parameter:
        if _is_scale(name, empty):
            return torch.nn.Parameter(torch.ones(empty.shape, dtype=torch.bfloat16), requires_grad=False)
        start = next(starts)
        return torch.nn.Parameter(numbers[start : start + empty.numel()].view(empty.shape), requires_grad=False)

    return _set_weights(module, take_weight)


_WEIGHT_DEVIATION = 0.02
_NOISE_COUNT = 2**25 - 2**7  # no width of a layer divides it, so that rows differ
_ALIGNED_COUNT = 32  # numbers in 64 bytes


def _is_scale(name: str, weight: torch.Tensor) -> bool:
    return weight.ndim == 1 and name.endswith("weight")


def _make_empty(make: Callable[[], Any]) -> Any:
    """Make a component without memory for its weights."""
    from accelerate import init_empty_weights

    with _default_bfloat16(), init_empty_weights(include_buffers=False):
        return make().eval()


def _set_weights(module: Any, make_weight: Callable[[str, torch.Tensor], torch.nn.Parameter]) -> Any:
    for name, empty in list(module.named_parameters()):
        owner, _, leaf = name.rpartition(".")
        setattr(module.get_submodule(owner), leaf, make_weight(name, empty))
    if hasattr(module, "tie_weights"):
        module.tie_weights()
    return module


def _make_euler_scheduler() -> Any:
    return _diffusers_class("EulerDiscreteScheduler")(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1, timestep_spacing="trailing"
    )


SD15 = Architecture(
    "StableDiffusionPipeline",
    {"unet": make_sd15_unet, "vae": lambda: make_vae(4), "text_encoder": lambda: make_clip(large=False)},
    {"tokenizer": byte_tokenizer, "scheduler": _make_euler_scheduler, "safety_checker": lambda: None,
     "feature_extractor": lambda: None, "requires_safety_checker": lambda: False},
)  # fmt: skip
SDXL = Architecture(
    "StableDiffusionXLPipeline",
    {"unet": make_sdxl_unet, "vae": lambda: make_vae(4), "text_encoder": lambda: make_clip(large=False),
     "text_encoder_2": lambda: make_clip(large=True)},
    {"tokenizer": byte_tokenizer, "tokenizer_2": byte_tokenizer, "scheduler": _make_euler_scheduler},
    make_sdxl_control_net,
)  # fmt: skip
KLEIN = Architecture(
    "Flux2KleinPipeline",
    {
        "transformer": make_klein_transformer,
        "vae": lambda: _diffusers_class("AutoencoderKLFlux2")(),
        "text_encoder": make_qwen3,
    },
    {"tokenizer": qwen_byte_tokenizer, "scheduler": make_flow_scheduler, "is_distilled": lambda: True},
)
Z_IMAGE = Architecture(
    "ZImagePipeline",
    {"transformer": make_z_image_transformer, "vae": lambda: make_vae(16), "text_encoder": lambda: make_qwen3().model},
    {"tokenizer": qwen_byte_tokenizer, "scheduler": make_flow_scheduler},
    make_z_image_control_net,
)
QWEN = Architecture(
    "QwenImageEditPlusPipeline",
    {
        "transformer": make_qwen_transformer,
        "vae": lambda: _diffusers_class("AutoencoderKLQwenImage")(),
        "text_encoder": make_qwen_vl,
    },
    {"tokenizer": qwen_byte_tokenizer, "processor": qwen_processor, "scheduler": make_flow_scheduler},
)
LONGCAT = Architecture(
    "LongCatImageEditPipeline",
    {"transformer": make_longcat_transformer, "vae": lambda: make_vae(16), "text_encoder": make_qwen_vl},
    {"tokenizer": qwen_byte_tokenizer, "text_processor": qwen_processor, "scheduler": make_flow_scheduler},
)
KREA = Architecture(
    "Krea2Pipeline",
    {
        "transformer": make_krea_transformer,
        "vae": lambda: _diffusers_class("AutoencoderKLQwenImage")(),
        "text_encoder": make_qwen3_vl,
    },
    {"tokenizer": qwen_byte_tokenizer, "scheduler": make_flow_scheduler, "is_distilled": lambda: True},
)
WAN = Architecture(
    "WanPipeline",
    {"transformer": make_wan_transformer, "vae": make_wan_vae, "text_encoder": make_umt5},
    {"tokenizer": t5_letter_tokenizer, "scheduler": make_unipc_scheduler, "expand_timesteps": lambda: True},
)
JOYIMAGE = Architecture(
    "JoyImageEditPipeline",
    {
        "transformer": make_joyimage_transformer,
        "vae": lambda: _diffusers_class("AutoencoderKLWan")(),
        "text_encoder": make_qwen3_vl_8b,
    },
    {"tokenizer": qwen_byte_tokenizer, "processor": qwen3_processor, "scheduler": make_fixed_flow_scheduler},
)
QWEN_21 = Architecture(
    "QwenImage21Pipeline",
    {
        "transformer": lambda: _diffusers_class("QwenImage21Transformer2DModel")(),
        "vae": lambda: _diffusers_class("AutoencoderKLQwenImage21")(),
        "text_encoder": make_qwen3_vl_8b,
    },
    {"processor": qwen21_processor, "scheduler": make_flow_scheduler},
)
