"""Wan on a tiny random checkpoint: it draws what diffusers draws, is watched, and can be stopped."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

from pipelines.core.errors import JobCancelled, ModelUnavailable
from pipelines.core.rendering import Adapter, ModelStep, RenderRequest
from pipelines.models.diffusion.loader import CheckpointFamily
from pipelines.models.diffusion.vae_tiling import enable_tiled_decoding
from pipelines.models.families.wan import _UNWANTED, VERBS, WanModel
from pipelines.models.latent_preview import preview_with_factors
from tests.models.support import family_checks, tiny_flow_checkpoints
from tests.models.support.family_checks import SIZE, are_identical, draw_pictures, make_request, noise_photo
from tests.models.support.tiny_flow_checkpoints import tiny_wan
from tests.models.test_lora import write_lora

FRAMES = 9


def make_clip_request(*seeds: int, **more: Any) -> RenderRequest:
    return make_request("video", *seeds, frame_count=FRAMES, **more)


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CheckpointFamily]:
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    folder = tiny_wan(tmp_path_factory.mktemp("wan"))
    row = family_checks.tiny_row("wan", str(folder), VERBS, ("vae_dtype", "float32"), guidance=3.0)
    yield CheckpointFamily(WanModel, (row,))
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def model(family: CheckpointFamily) -> WanModel:
    model = family.load(family.specs[0], "cpu")
    assert isinstance(model, WanModel)
    return model


def test_size_from_headers_is_the_bytes_loaded(family: CheckpointFamily, model: WanModel) -> None:
    family_checks.check_size_estimate(family, model)


def test_the_autoencoder_keeps_float32_beside_a_transformer_in_bfloat16(family: CheckpointFamily) -> None:
    import torch

    row = replace(family.specs[0], dtype="bfloat16")
    model = family.load(row, "cpu")
    assert (model.pipe.vae.dtype, model.pipe.transformer.dtype) == (torch.float32, torch.bfloat16)
    half = family.estimate_bytes(replace(row, options=()))
    assert family.estimate_bytes(row) - half == 2 * sum(each.numel() for each in model.pipe.vae.parameters())
    assert len(draw_pictures(model, make_clip_request(1))) == FRAMES


@pytest.fixture(scope="module")
def plain_pipe(family: CheckpointFamily) -> Any:
    """The pipeline of diffusers on components of its own."""
    from diffusers.pipelines.wan.pipeline_wan_i2v import WanImageToVideoPipeline

    return WanImageToVideoPipeline.from_pretrained(family.specs[0].repo, expand_timesteps=True)


@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_a_watched_run_is_byte_equal_to_plain_diffusers(
    model: WanModel, plain_pipe: Any, guidance: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch
    from diffusers.pipelines.wan import pipeline_wan_i2v as plain

    # Its pipeline calls ftfy without asking whether it is installed.
    monkeypatch.setattr(plain, "ftfy", SimpleNamespace(fix_text=lambda words: words), raising=False)
    plain_pipe.set_progress_bar_config(disable=True)
    clip = plain_pipe(
        image=Pillow.fromarray(noise_photo(7)),
        prompt="a  red cup",
        negative_prompt=_UNWANTED,
        width=SIZE[0],
        height=SIZE[1],
        num_frames=FRAMES,
        guidance_scale=guidance,
        num_inference_steps=family_checks.WATCHED_STEP_COUNT,
        generator=torch.Generator().manual_seed(5),
    ).frames[0]
    frames = [(frame * 255).round().astype(np.uint8) for frame in clip]
    family_checks.check_watched_run(model, replace(make_clip_request(5), guidance_scale=guidance), frames)
    assert len(frames) == FRAMES


def test_seeds_words_the_photo_and_cancel(model: WanModel) -> None:
    count = 5
    render = make_request("video", 1, frame_count=count)
    first = draw_pictures(model, render)
    assert are_identical(first, draw_pictures(model, render))
    two = draw_pictures(model, replace(render, seeds=(2, 1)))
    assert len(two) == 2 * count
    assert max(np.abs(a.astype(int) - b).max() for a, b in zip(two[count:], first, strict=True)) <= 1
    assert not are_identical(two[:count], first)
    assert not are_identical(first, draw_pictures(model, replace(render, images=(noise_photo(9),))))
    family_checks.check_prompt_encoded_once(model, render)
    family_checks.check_cancel(model, render, first)
    family_checks.check_threads(model, [render, replace(render, prompt="a boat")], meet=False, alone=[first])
    assert model.batch_key(render) is None
    with pytest.raises(ModelUnavailable):
        draw_pictures(model, make_request("text"))


def test_a_lora_is_worn_for_its_film_alone(model: WanModel, tmp_path: Path) -> None:
    file = write_lora(model.pipe.transformer, tmp_path / "lora", "transformer", 3)
    render = make_clip_request(1)
    bare = draw_pictures(model, render)
    assert not are_identical(draw_pictures(model, replace(render, adapters=(Adapter(str(file), 0.8),))), bare)
    assert are_identical(draw_pictures(model, render), bare)


def test_it_can_be_stopped_while_the_film_is_decoded(model: WanModel) -> None:
    render = make_clip_request(1)
    first, decoded = draw_pictures(model, render), list[int]()
    hook = model.pipe.vae.decoder.register_forward_hook(lambda *_: decoded.append(1))

    def stop(step: ModelStep) -> None:
        if decoded:
            raise JobCancelled

    with pytest.raises(JobCancelled):
        draw_pictures(model, render, stop)
    hook.remove()
    assert len(decoded) == 1, "of three latent frames"
    assert are_identical(draw_pictures(model, render), first)


def test_a_preview_shows_four_moments_of_the_clip(model: WanModel) -> None:
    import torch

    canvas = model.canvas_for(make_clip_request())
    clean = torch.arange(6.0)[None, None, :, None, None].expand(1, 8, 6, 2, 3)
    shown = model.preview_latents(clean, canvas)
    scale, shift = model.pipe.vae.config.latents_std[0], model.pipe.vae.config.latents_mean[0]
    moments = (shown[0, ::2, ::3] - shift) / scale
    assert shown.shape == (8, 4, 6)
    assert torch.allclose(moments, torch.tensor([[1.0, 2.0], [4.0, 5.0]]))
    still = model.preview_latents(clean[:, :, :1], canvas)
    assert torch.allclose(still[0], torch.full((4, 6), shift))


def test_the_last_preview_is_of_what_is_decoded(model: WanModel) -> None:
    import torch

    kept: list[Any] = []
    decode = model.pipe.vae.decode
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model.pipe.vae, "decode", lambda latents, **more: kept.append(latents) or decode(latents, **more))
        steps: list[ModelStep] = []
        draw_pictures(model, make_clip_request(3), steps.append)
    assert model._preview_factors is not None
    last = kept[0][0]
    tiles = [last[:, n] for n in (1, 1, 2, 2)]
    rows = [torch.cat(tiles[:2], dim=2), torch.cat(tiles[2:], dim=2)]
    wanted = preview_with_factors(torch.cat(rows, dim=1), model._preview_factors)
    preview = steps[-1].preview
    assert preview is not None
    assert np.abs(preview().astype(int) - wanted).max() <= 1


def test_long_words_are_cut_and_said(model: WanModel) -> None:
    drawn = model.draw(make_clip_request(1, prompt="x" * 600), lambda _: None)
    assert "first 512 word parts" in drawn.notices[-1]
    assert model.draw(make_clip_request(1), lambda _: None).notices == ()


def test_a_tile_lies_where_the_picture_decoded_at_once_has_it(model: WanModel) -> None:
    """Of the autoencoders made for video, which begin a tile at a whole latent pixel, 8 or 16 pixels apart."""
    import torch

    torch.manual_seed(0)
    for vae in (model.pipe.vae, tiny_flow_checkpoints._tiny_qwen_vae()):
        ratio = vae.spatial_compression_ratio
        width = 640 // ratio
        latents = torch.randn(1, vae.config.z_dim, 1, 4, width, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            tiled, whole = (each.decode(latents).sample[0, :, 0] for each in (tile_at_512(vae), vae))
        far = slice(540, 630)  # in the second tile alone
        apart = (tiled - whole)[..., far].abs().mean()
        assert apart < 0.5 * (whole[..., far] - whole[..., 541:631]).abs().mean()


def tile_at_512(vae: Any) -> Any:
    return enable_tiled_decoding(copy.copy(vae), 512)
