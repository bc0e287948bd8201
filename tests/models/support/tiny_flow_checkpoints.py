"""Tiny checkpoints of the flow-matching pipelines, of the real classes with random weights.

As in `tiny_checkpoints`, everything is written with `save_pretrained` and read with `from_pretrained`.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.models.support.write_once import copy_when_written

TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPECIAL = (
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>",
    "<|video_pad|>", "<|vision_pad|>",
)  # fmt: skip


_KLEIN_LAYERS, _TINY_KLEIN_LAYERS = (9, 18, 27), (1, 2, 3)
"""Layers of the text encoder whose states klein's pipelines read, and those which they read of the tiny one."""


@copy_when_written
def tiny_klein(folder: Path, *, distilled: bool = True) -> Path:
    """A `Flux2KleinPipeline` whose text encoder has 4 layers; from then on this process's pipelines read these."""
    import torch
    from diffusers.models.autoencoders.autoencoder_kl_flux2 import AutoencoderKLFlux2
    from diffusers.models.transformers.transformer_flux2 import Flux2Transformer2DModel
    from diffusers.pipelines.flux2.pipeline_flux2_klein import Flux2KleinPipeline

    _read_early_layers()
    torch.manual_seed(0)
    vae_kind, kind, transformer_kind = (
        _untyped(AutoencoderKLFlux2),
        _untyped(Flux2KleinPipeline),
        _untyped(Flux2Transformer2DModel),
    )
    vae = vae_kind(
        block_out_channels=(8, 8, 8, 8),
        norm_num_groups=4,
        layers_per_block=1,
        latent_channels=4,
        sample_size=64,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
    )
    # Real checkpoints have running statistics that are not the defaults.
    vae.bn.running_mean.normal_()
    vae.bn.running_var.uniform_(0.5, 2.0)
    transformer = transformer_kind(
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=3 * 16,
        timestep_guidance_channels=16,
        axes_dims_rope=(4, 4, 4, 4),
        guidance_embeds=False,
    )
    pipe = kind(
        scheduler=_tiny_scheduler(),
        vae=vae,
        text_encoder=_tiny_qwen3(layers=_TINY_KLEIN_LAYERS[-1] + 1),
        tokenizer=qwen_byte_tokenizer(),
        transformer=transformer,
        is_distilled=distilled,
    )
    pipe.save_pretrained(folder)
    return folder


@functools.cache
def _read_early_layers() -> None:
    """Let klein's pipelines read the tiny text encoder: 28 layers took half of the time of loading and drawing."""
    from diffusers.pipelines.flux2.pipeline_flux2_klein import Flux2KleinPipeline
    from diffusers.pipelines.flux2.pipeline_flux2_klein_inpaint import Flux2KleinInpaintPipeline

    for kind in (Flux2KleinPipeline, Flux2KleinInpaintPipeline):
        for method in (kind.__call__, kind.encode_prompt):
            plain: Any = inspect.unwrap(method)
            assert _KLEIN_LAYERS in plain.__defaults__
            plain.__defaults__ = tuple(
                _TINY_KLEIN_LAYERS if each == _KLEIN_LAYERS else each for each in plain.__defaults__
            )


def _tiny_scheduler() -> Any:
    from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler

    return _untyped(FlowMatchEulerDiscreteScheduler)(shift=3.0, use_dynamic_shifting=True)


def _tiny_qwen3(*, layers: int) -> Any:
    """A text encoder whose layers are next to nothing."""
    from transformers import Qwen3Config, Qwen3ForCausalLM

    config = Qwen3Config(
        vocab_size=256 + len(SPECIAL),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=layers,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=8,
        tie_word_embeddings=True,
        bos_token_id=256,
        eos_token_id=258,
        pad_token_id=256,
    )
    return Qwen3ForCausalLM(config).eval()


def qwen_byte_tokenizer() -> Any:
    """The byte alphabet without merges, with the special tokens and a small chat template."""
    from transformers import Qwen2Tokenizer

    tokenizer = Qwen2Tokenizer(
        vocab={letter: number for number, letter in enumerate(_byte_alphabet())},
        merges=[],
        additional_special_tokens=list(SPECIAL[1:]),
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        unk_token="<|endoftext|>",
    )
    tokenizer.chat_template = TEMPLATE
    return tokenizer


def _byte_alphabet() -> list[str]:
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    return [chr(code) for code in printable] + [chr(256 + n) for n in range(256 - len(printable))]


def _untyped(kind: Callable[..., Any]) -> Any:
    """diffusers' config decorator hides what a class takes from the type checker."""
    return kind


@copy_when_written
def tiny_z_image(folder: Path) -> Path:
    """A `ZImagePipeline`."""
    import torch
    from diffusers.models.transformers.transformer_z_image import ZImageTransformer2DModel
    from diffusers.pipelines.z_image.pipeline_z_image import ZImagePipeline

    torch.manual_seed(0)
    vae = _tiny_flux_vae(channels=4)
    transformer = _untyped(ZImageTransformer2DModel)(
        in_channels=4,
        dim=32,
        n_layers=2,
        n_refiner_layers=1,
        n_heads=2,
        n_kv_heads=2,
        cap_feat_dim=16,
        axes_dims=[4, 6, 6],
        axes_lens=[1024, 64, 64],
    )
    _randomise_zeros(transformer)
    pipe = _untyped(ZImagePipeline)(
        scheduler=_tiny_scheduler(),
        vae=vae,
        text_encoder=_tiny_qwen3(layers=2).model,
        tokenizer=qwen_byte_tokenizer(),
        transformer=transformer,
    )
    pipe.save_pretrained(folder)
    return folder


def _tiny_flux_vae(*, channels: int) -> Any:
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

    return _untyped(AutoencoderKL)(
        block_out_channels=(8, 8, 8, 8),
        norm_num_groups=4,
        layers_per_block=1,
        latent_channels=channels,
        sample_size=64,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        scaling_factor=0.36,
        shift_factor=0.12,
        use_quant_conv=False,
        use_post_quant_conv=False,
    )


@copy_when_written
def tiny_longcat(folder: Path) -> Path:
    """A `LongCatImageEditPipeline`; it has sixteen latent channels, which the pipeline takes for granted."""
    import torch
    from diffusers.models.transformers.transformer_longcat_image import LongCatImageTransformer2DModel
    from diffusers.pipelines.longcat_image.pipeline_longcat_image_edit import LongCatImageEditPipeline

    torch.manual_seed(0)
    transformer = _untyped(LongCatImageTransformer2DModel)(
        in_channels=64,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=16,
        pooled_projection_dim=16,
        axes_dims_rope=[4, 6, 6],
    )
    pipe = _untyped(LongCatImageEditPipeline)(
        scheduler=_tiny_scheduler(),
        vae=_tiny_flux_vae(channels=16),
        text_encoder=_tiny_qwen_vl(),
        tokenizer=qwen_byte_tokenizer(),
        text_processor=qwen_processor(),
        transformer=transformer,
    )
    pipe.save_pretrained(folder)
    return folder


@copy_when_written
def tiny_z_control(folder: Path) -> Path:
    """A `ZImageControlNetModel` for `tiny_z_image` whose connections are not the zeros that training starts from."""
    import torch
    from diffusers.models.controlnets.controlnet_z_image import ZImageControlNetModel

    torch.manual_seed(1)
    net = _untyped(ZImageControlNetModel)(
        control_layers_places=[0], control_in_dim=4, dim=32, n_refiner_layers=1, n_heads=2, n_kv_heads=2
    )
    _randomise_zeros(net)
    net.save_pretrained(folder)
    return folder


@copy_when_written
def tiny_qwen_edit(folder: Path) -> Path:
    """A `QwenImageEditPlusPipeline` with a text encoder that sees."""
    import torch
    from diffusers.models.transformers.transformer_qwenimage import QwenImageTransformer2DModel
    from diffusers.pipelines.qwenimage.pipeline_qwenimage_edit_plus import QwenImageEditPlusPipeline

    torch.manual_seed(0)
    vae = _tiny_qwen_vae()
    transformer = _untyped(QwenImageTransformer2DModel)(
        in_channels=16,
        out_channels=4,
        num_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=16,
        axes_dims_rope=(4, 6, 6),
    )
    pipe = _untyped(QwenImageEditPlusPipeline)(
        scheduler=_tiny_scheduler(),
        vae=vae,
        text_encoder=_tiny_qwen_vl(),
        tokenizer=qwen_byte_tokenizer(),
        processor=qwen_processor(),
        transformer=transformer,
    )
    pipe.save_pretrained(folder)
    return folder


def _tiny_qwen_vae() -> Any:
    import torch
    from diffusers.models.autoencoders.autoencoder_kl_qwenimage import AutoencoderKLQwenImage

    rng = torch.Generator().manual_seed(2)
    return _untyped(AutoencoderKLQwenImage)(
        base_dim=4,
        z_dim=4,
        dim_mult=[1, 1, 1, 1],
        num_res_blocks=1,
        latents_mean=torch.randn(4, generator=rng).tolist(),
        latents_std=(torch.rand(4, generator=rng) + 1).tolist(),
    )


@copy_when_written
def tiny_krea(folder: Path) -> Path:
    """A `Krea2Pipeline` that reads three layers of its text encoder."""
    import torch
    from diffusers.models.transformers.transformer_krea2 import Krea2Transformer2DModel
    from diffusers.pipelines.krea2.pipeline_krea2 import Krea2Pipeline

    torch.manual_seed(0)
    transformer = _untyped(Krea2Transformer2DModel)(
        in_channels=16,
        num_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        num_key_value_heads=1,
        intermediate_size=16,
        timestep_embed_dim=16,
        text_hidden_dim=16,
        num_text_layers=3,
        text_num_attention_heads=2,
        text_num_key_value_heads=2,
        text_intermediate_size=16,
        num_layerwise_text_blocks=1,
        num_refiner_text_blocks=1,
        axes_dims_rope=(4, 6, 6),
    )
    _randomise_zeros(transformer)
    pipe = _untyped(Krea2Pipeline)(
        scheduler=_tiny_scheduler(),
        vae=_tiny_qwen_vae(),
        text_encoder=_tiny_qwen3_vl(),
        tokenizer=qwen_byte_tokenizer(),
        transformer=transformer,
        text_encoder_select_layers=(0, 1, 2),
        is_distilled=True,
    )
    pipe.save_pretrained(folder)
    return folder


@copy_when_written
def tiny_joyimage(folder: Path) -> Path:
    """A `JoyImageEditPipeline`."""
    import torch
    from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan
    from diffusers.models.transformers.transformer_joyimage import JoyImageEditTransformer3DModel
    from diffusers.pipelines.joyimage.pipeline_joyimage_edit import JoyImageEditPipeline
    from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler

    torch.manual_seed(0)
    vae = _untyped(AutoencoderKLWan)(
        base_dim=4,
        z_dim=4,
        dim_mult=[1, 1, 1, 1],
        num_res_blocks=1,
        latents_mean=[0.1 * n - 0.2 for n in range(4)],
        latents_std=[0.6 + 0.1 * n for n in range(4)],
    )
    transformer = _untyped(JoyImageEditTransformer3DModel)(
        in_channels=4,
        out_channels=4,
        hidden_size=32,
        num_attention_heads=2,
        text_dim=16,
        num_layers=1,
        rope_dim_list=[4, 6, 6],
        theta=10000,
    )
    _randomise_zeros(transformer)
    pipe = _untyped(JoyImageEditPipeline)(
        scheduler=_untyped(FlowMatchEulerDiscreteScheduler)(shift=3.0),
        vae=vae,
        text_encoder=_tiny_qwen3_vl_reader(),
        tokenizer=qwen_byte_tokenizer(),
        processor=qwen3_processor(),
        transformer=transformer,
    )
    pipe.save_pretrained(folder)
    return folder


@copy_when_written
def tiny_qwen_21(folder: Path) -> Path:
    """A `QwenImage21Pipeline`, whose autoencoder has an opacity and covers 16 pixels with a latent."""
    import torch
    from diffusers.models.autoencoders.autoencoder_kl_qwenimage21 import AutoencoderKLQwenImage21
    from diffusers.models.transformers.transformer_qwenimage21 import QwenImage21Transformer2DModel
    from diffusers.pipelines.qwenimage21.pipeline_qwenimage21 import QwenImage21Pipeline

    torch.manual_seed(0)
    vae = _untyped(AutoencoderKLQwenImage21)(
        base_dim=4,
        decoder_base_dim=6,
        z_dim=8,
        dim_mult=[1, 1, 2, 2, 2],
        num_res_blocks=1,
        latents_mean=[0.1 * n - 0.4 for n in range(8)],
        latents_std=[0.6 + 0.1 * n for n in range(8)],
    )
    transformer = _untyped(QwenImage21Transformer2DModel)(
        in_channels=8,
        out_channels=8,
        num_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        context_in_dim=16,
        axes_dims_rope=(4, 6, 6),
    )
    _randomise_zeros(transformer)
    pipe = _untyped(QwenImage21Pipeline)(
        scheduler=_tiny_scheduler(),
        vae=vae,
        text_encoder=_tiny_qwen3_vl_reader(),
        processor=qwen21_processor(),
        transformer=transformer,
    )
    pipe.save_pretrained(folder)
    return folder


@copy_when_written
def tiny_wan(folder: Path) -> Path:
    """A `WanPipeline` as Wan 2.2 TI2V 5B is one: its autoencoder has residual blocks and patches of two pixels."""
    import torch
    from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan
    from diffusers.models.transformers.transformer_wan import WanTransformer3DModel
    from diffusers.pipelines.wan.pipeline_wan import WanPipeline
    from diffusers.schedulers.scheduling_unipc_multistep import UniPCMultistepScheduler
    from transformers import UMT5Config, UMT5EncoderModel

    torch.manual_seed(0)
    vae = _untyped(AutoencoderKLWan)(
        base_dim=4,
        decoder_base_dim=4,
        z_dim=8,
        dim_mult=[1, 1, 1, 1],
        num_res_blocks=1,
        temperal_downsample=[False, True, True],
        is_residual=True,
        in_channels=12,
        out_channels=12,
        patch_size=2,
        scale_factor_spatial=16,
        latents_mean=[0.1 * n - 0.3 for n in range(8)],
        latents_std=[0.5 + 0.1 * n for n in range(8)],
    )
    transformer = _untyped(WanTransformer3DModel)(
        num_attention_heads=2,
        attention_head_dim=12,
        in_channels=8,
        out_channels=8,
        text_dim=16,
        freq_dim=16,
        ffn_dim=32,
        num_layers=2,
    )
    _randomise_zeros(transformer)
    encoder = UMT5EncoderModel(
        UMT5Config(
            vocab_size=256, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2, feed_forward_proj="gated-gelu"
        )
    )
    pipe = _untyped(WanPipeline)(
        tokenizer=t5_letter_tokenizer(),
        text_encoder=encoder.eval(),
        vae=vae,
        scheduler=_untyped(UniPCMultistepScheduler)(
            flow_shift=5.0, prediction_type="flow_prediction", use_flow_sigmas=True
        ),
        transformer=transformer,
        expand_timesteps=True,
    )
    pipe.save_pretrained(folder)
    return folder


def t5_letter_tokenizer() -> Any:
    """A tokenizer of T5's class with a token for each letter."""
    from transformers import T5Tokenizer

    begin = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("\u2581", -2.0)]
    return T5Tokenizer(vocab=[*begin, *((chr(code), -3.0) for code in range(33, 127))], extra_ids=0)


_TINY_QWEN3_VL_TEXT = {
    "vocab_size": 256 + len(SPECIAL),
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 8,
    "rope_parameters": {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 10000.0},
}
_TINY_QWEN3_VL_VISION = {
    "depth": 1,
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_heads": 2,
    "out_hidden_size": 16,
    "deepstack_visual_indexes": [0],
    "num_position_embeddings": 16,
}


def _tiny_qwen3_vl() -> Any:
    from transformers import Qwen3VLConfig, Qwen3VLModel

    return Qwen3VLModel(Qwen3VLConfig(text_config=_TINY_QWEN3_VL_TEXT, vision_config=_TINY_QWEN3_VL_VISION)).eval()


def _tiny_qwen3_vl_reader() -> Any:
    from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration

    names = {name: 256 + number for number, name in enumerate(SPECIAL)}
    config = Qwen3VLConfig(
        text_config=_TINY_QWEN3_VL_TEXT,
        vision_config=_TINY_QWEN3_VL_VISION,
        image_token_id=names["<|image_pad|>"],
        video_token_id=names["<|video_pad|>"],
        vision_start_token_id=names["<|vision_start|>"],
        vision_end_token_id=names["<|vision_end|>"],
    )
    return Qwen3VLForConditionalGeneration(config).eval()


def _tiny_qwen_vl() -> Any:
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    ids = {token: 256 + number for number, token in enumerate(SPECIAL)}
    config = Qwen2_5_VLConfig(
        text_config={
            "vocab_size": 256 + len(SPECIAL),
            "hidden_size": 16,
            "intermediate_size": 16,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "bos_token_id": 256,
            "eos_token_id": 258,
            "pad_token_id": 256,
            "tie_word_embeddings": True,
            "rope_parameters": {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 10000.0},
        },
        vision_config={
            "depth": 1,
            "hidden_size": 16,
            "intermediate_size": 16,
            "num_heads": 2,
            "out_hidden_size": 16,
            "fullatt_block_indexes": [0],
        },
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
        tie_word_embeddings=True,
    )
    return Qwen2_5_VLForConditionalGeneration(config).eval()


def qwen_processor() -> Any:
    """A processor of pictures and of the byte tokenizer's words."""
    from transformers import Qwen2VLImageProcessor, Qwen2VLProcessor, Qwen2VLVideoProcessor

    return Qwen2VLProcessor(
        image_processor=Qwen2VLImageProcessor(),
        tokenizer=qwen_byte_tokenizer(),
        video_processor=Qwen2VLVideoProcessor(),
    )


def qwen3_processor() -> Any:
    """A processor of pictures and of the byte tokenizer's words, as Qwen3-VL's."""
    from transformers import Qwen2VLImageProcessor, Qwen3VLProcessor, Qwen3VLVideoProcessor

    return Qwen3VLProcessor(
        image_processor=Qwen2VLImageProcessor(patch_size=16),
        tokenizer=qwen_byte_tokenizer(),
        video_processor=Qwen3VLVideoProcessor(),
    )


def qwen21_processor() -> Any:
    """The same with a chat template, which Qwen-Image 2.1's pipeline reads."""
    processor = qwen3_processor()
    processor.chat_template = (
        "{%- for message in messages %}{{- '<|im_start|>' + message.role + '\\n' + message.content[0].text + "
        "'<|im_end|>\\n' }}{%- endfor %}"
    )
    return processor


def _randomise_zeros(net: Any) -> None:
    """Zeros that training starts from become noise, and empty memory too: else a test of them would prove nothing."""
    import torch

    for _, weight in net.named_parameters():
        if not torch.isfinite(weight).all() or not weight.any():
            torch.nn.init.normal_(weight, std=0.2)
