"""Qwen-Image-Edit on a tiny random checkpoint: pictures keep their shape, words are read with what they speak of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

from pipelines.core.errors import BadInput, ModelUnavailable
from pipelines.models.diffusion import loader
from pipelines.models.diffusion.loader import CheckpointFamily
from pipelines.models.families.qwen_image import QwenModel
from tests.models.support import family_checks
from tests.models.support.family_checks import are_identical, draw_pictures, make_request, noise_photo
from tests.models.support.tiny_flow_checkpoints import tiny_qwen_edit

SIZE = (96, 64)


@pytest.fixture(scope="module", autouse=True)
def small() -> Iterator[None]:
    """The pipeline works on a megapixel whatever it is given; here on the area of `SIZE`."""
    import torch
    from diffusers.pipelines.qwenimage import pipeline_qwenimage_edit_plus as own

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(own, "VAE_IMAGE_SIZE", SIZE[0] * SIZE[1])
        patch.setattr(own, "CONDITION_IMAGE_SIZE", 64 * 64)
        yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory) -> CheckpointFamily:
    return CheckpointFamily(
        QwenModel,
        (family_checks.tiny_row("qwen_image", str(tiny_qwen_edit(tmp_path_factory.mktemp("qwen"))), ("edit",)),),
    )


@pytest.fixture(scope="module")
def model(family: CheckpointFamily) -> QwenModel:
    model = family.load(family.specs[0], "cpu")
    assert isinstance(model, QwenModel)
    return model


@pytest.fixture(scope="module")
def plain_pipe(family: CheckpointFamily) -> Any:
    """The pipeline of diffusers on components of its own."""
    from diffusers.pipelines.qwenimage.pipeline_qwenimage_edit_plus import QwenImageEditPlusPipeline

    return QwenImageEditPlusPipeline.from_pretrained(family.specs[0].repo)


def plain(pipe: Any, *seeds: int, images: int = 1, **arguments: Any) -> family_checks.Pictures:
    pictures = [Pillow.fromarray(noise_photo(7 + number)) for number in range(images)]
    sides = {"width": SIZE[0], "height": SIZE[1]}
    return family_checks.draw_with_diffusers(pipe, seeds, image=pictures, prompt="a red cup", **sides, **arguments)


def test_size_from_headers_is_the_bytes_loaded(family: CheckpointFamily, model: QwenModel):
    family_checks.check_size_estimate(family, model)


def test_seeds_cancel_and_threads(model: QwenModel):
    alone = family_checks.check_seeds(model, make_request("edit"))
    family_checks.check_cancel(model, make_request("edit", 2), alone)
    renders = [make_request("edit", 2), make_request("edit", 3, prompt="a boat")]
    family_checks.check_threads(model, renders, meet=False, alone=[alone])


@pytest.mark.parametrize("images", [1, 2])
def test_a_watched_run_is_byte_equal_to_plain_diffusers(model: QwenModel, plain_pipe: Any, images: int):
    render = make_request("edit", 5, 6, images=tuple(noise_photo(7 + number) for number in range(images)))
    family_checks.check_watched_run(model, render, plain(plain_pipe, 5, 6, images=images, true_cfg_scale=1.0))


def test_a_guided_run_is_byte_equal_too(model: QwenModel, plain_pipe: Any):
    render = make_request("edit", 5, guidance_scale=4.0, negative_prompt="cats")
    alone = plain(plain_pipe, 5, true_cfg_scale=4.0, negative_prompt="cats")
    family_checks.check_watched_run(model, render, alone)
    assert not are_identical(alone, draw_pictures(model, replace(render, negative_prompt="")))


def test_the_last_estimate_is_the_picture(model: QwenModel):
    def decode(latents: Any) -> Any:
        return model.pipe.vae.decode(latents[None, :, None]).sample[0, :, 0]

    family_checks.check_last_estimate(model, make_request("edit", 3), decode)


def test_words_are_read_once(model: QwenModel):
    family_checks.check_prompt_encoded_once(model, make_request("edit"))


def test_the_same_words_are_read_anew_for_another_picture(model: QwenModel):
    calls: list[int] = []
    hook = model.pipe.text_encoder.register_forward_hook(lambda *_: calls.append(1))
    try:
        for images in (
            (noise_photo(1),),
            (noise_photo(2),),
            (noise_photo(1), noise_photo(2)),
            (noise_photo(2), noise_photo(1)),
        ):
            draw_pictures(model, make_request("edit", prompt="as they are", images=images))
    finally:
        hook.remove()
    assert len(calls) == 4


@pytest.mark.parametrize("size", [(70, 90), (300, 200), (99, 40)])
def test_the_pipeline_has_nothing_left_to_bend(
    model: QwenModel, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]
):
    """What reaches the autoencoder is the photo at one scale, the rest of the canvas its border carried on."""
    seen: list[np.ndarray] = []
    encode = model.pipe.vae.encode

    def watched(pixels: Any, *args: Any) -> Any:
        seen.append((pixels[0, :, 0].permute(1, 2, 0).numpy() + 1) * 127.5)
        return encode(pixels, *args)

    monkeypatch.setattr(model.pipe.vae, "encode", watched)
    render = make_request("edit", 1, size=size)
    assert draw_pictures(model, render)[0].shape == (size[1], size[0], 3)
    laid = model.canvas_for(render)
    assert laid.content_size[0] / laid.content_size[1] == pytest.approx(size[0] / size[1], rel=0.03)
    assert np.allclose(seen[0], laid.pad_onto(render.images[0]), atol=0.01)


def test_real_sizes_are_kept_by_the_pipeline():
    from diffusers.pipelines.qwenimage import pipeline_qwenimage_edit_plus as own

    from pipelines.models.families.qwen_image import _choose_canvas

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(own, "VAE_IMAGE_SIZE", 1024 * 1024)
        for size in ((1024, 1024), (1080, 1350), (1584, 396), (3000, 2001), (640, 1137)):
            laid = _choose_canvas(size)
            assert (
                own.calculate_dimensions(own.VAE_IMAGE_SIZE, laid.padded_size[0] / laid.padded_size[1])
                == laid.padded_size
            )
            assert max(inner / side for inner, side in zip(laid.content_size, laid.padded_size, strict=True)) == 1
            assert min(inner / side for inner, side in zip(laid.content_size, laid.padded_size, strict=True)) > 0.92


def test_it_edits_and_does_nothing_else(model: QwenModel):
    with pytest.raises(BadInput, match="picture"):
        draw_pictures(model, make_request("edit", images=()))
    with pytest.raises(ModelUnavailable):
        draw_pictures(model, make_request("text"))


def test_a_transformer_that_is_streamed_draws_the_same_and_is_not_moved(family: CheckpointFamily) -> None:
    row = family.specs[0]
    offloaded = replace(row, options=(*row.options, ("text_encoder", "streamed"), ("transformer", "streamed")))
    whole, streamed = (family.load(each, "cpu") for each in (row, offloaded))
    vae_bytes = sum(each.nbytes for each in streamed.pipe.vae.parameters())
    assert family.estimate_bytes(offloaded) == vae_bytes
    assert streamed.pipe.transformer not in streamed._list_movable_parts()
    assert streamed.streamed_bytes() > whole.streamed_bytes() == 0
    render = make_request("edit", 1)
    pictures = draw_pictures(whole, render)
    assert are_identical(draw_pictures(streamed, render), pictures)
    streamed.to_host()
    streamed.to_device()
    assert are_identical(draw_pictures(streamed, render), pictures)


def test_a_machine_without_the_main_memory_for_it_says_so(
    family: CheckpointFamily, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loader, "total_host_bytes", lambda: 32 * 10**9)
    row = replace(family.specs[0], host_bytes=57 * 10**9)
    with pytest.raises(ModelUnavailable, match="keeps 57 GB in main memory; this machine has 32 GB"):
        family.load(row, "cpu")
