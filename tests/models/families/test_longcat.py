"""LongCat-Image-Edit on a tiny random checkpoint: it draws what diffusers draws, is watched, and can be stopped."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

from pipelines.core.errors import BadInput, ModelUnavailable
from pipelines.core.rendering import Adapter
from pipelines.models.diffusion.loader import CheckpointFamily
from pipelines.models.diffusion.resolution import plan_fixed_area_canvas
from pipelines.models.families.longcat import LongCatModel
from tests.models.support import family_checks
from tests.models.support.family_checks import (
    SIZE,
    are_identical,
    draw_pictures,
    draw_with_diffusers,
    make_request,
    noise_photo,
)
from tests.models.support.tiny_flow_checkpoints import tiny_longcat


@pytest.fixture(scope="module", autouse=True)
def small() -> Iterator[None]:
    """The pipeline works on a megapixel whatever it is given; here on the area of `SIZE`."""
    import torch
    from diffusers.pipelines.longcat_image import pipeline_longcat_image_edit as own

    threads, real = torch.get_num_threads(), own.calculate_dimensions
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(own, "calculate_dimensions", lambda area, ratio: real(SIZE[0] * SIZE[1], ratio))
        yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory) -> CheckpointFamily:
    folder = tiny_longcat(tmp_path_factory.mktemp("longcat"))
    return CheckpointFamily(LongCatModel, (family_checks.tiny_row("longcat", str(folder), ("edit",)),))


@pytest.fixture(scope="module")
def model(family: CheckpointFamily) -> LongCatModel:
    model = family.load(family.specs[0], "cpu")
    assert isinstance(model, LongCatModel)
    return model


def test_size_from_headers_is_the_bytes_loaded(family: CheckpointFamily, model: LongCatModel) -> None:
    family_checks.check_size_estimate(family, model)


@pytest.fixture(scope="module")
def plain_pipe(family: CheckpointFamily) -> Any:
    """The pipeline of diffusers on components of its own."""
    from diffusers.pipelines.longcat_image.pipeline_longcat_image_edit import LongCatImageEditPipeline

    return LongCatImageEditPipeline.from_pretrained(family.specs[0].repo)


@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_a_watched_run_is_byte_equal_to_plain_diffusers(model: LongCatModel, plain_pipe: Any, guidance: float) -> None:
    plain = draw_with_diffusers(
        plain_pipe, (5, 6), image=Pillow.fromarray(noise_photo(7)), prompt="a red cup", guidance_scale=guidance
    )
    family_checks.check_watched_run(model, replace(make_request("edit", 5, 6), guidance_scale=guidance), plain)


def test_seeds_and_cancel(model: LongCatModel) -> None:
    alone = family_checks.check_seeds(model, make_request("edit"))
    family_checks.check_cancel(model, make_request("edit", 2), alone)
    renders = [make_request("edit", 2), make_request("edit", 3, prompt="a boat")]
    family_checks.check_threads(model, renders, alone=[alone])


def test_previews_end_with_the_picture(model: LongCatModel) -> None:
    def decode(latents: Any) -> Any:
        config = model.pipe.vae.config
        return model.pipe.vae.decode(latents[None] / config.scaling_factor + config.shift_factor).sample[0]

    family_checks.check_last_estimate(model, make_request("edit", 3), decode)


def test_what_reaches_the_autoencoder_is_the_photo_at_one_scale(
    model: LongCatModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[np.ndarray] = []
    encode = model.pipe.vae.encode

    def watched(pixels: Any, *args: Any) -> Any:
        seen.append((pixels[0].permute(1, 2, 0).numpy() + 1) * 127.5)
        return encode(pixels, *args)

    monkeypatch.setattr(model.pipe.vae, "encode", watched)
    render = make_request("edit", 1, size=(70, 90))
    assert draw_pictures(model, render)[0].shape == (90, 70, 3)
    assert np.allclose(seen[0], model.canvas_for(render).pad_onto(render.images[0]), atol=0.01)


def test_real_sizes_are_kept_by_the_pipeline() -> None:
    def sides_of(ratio: float) -> tuple[int, int]:
        width = (1024 * 1024 * ratio) ** 0.5
        return int(-(-width // 16) * 16), int(-(-width / ratio // 16) * 16)

    for size in ((1024, 1024), (1080, 1350), (1584, 396), (3000, 2001), (640, 1137)):
        canvas = plan_fixed_area_canvas(size, sides_of)
        assert sides_of(canvas.padded_size[0] / canvas.padded_size[1]) == canvas.padded_size
        assert min(inner / side for inner, side in zip(canvas.content_size, canvas.padded_size, strict=True)) > 0.95


def test_words_are_cut_where_the_pipeline_would_end_with_an_error(model: LongCatModel) -> None:
    long = ("a red cup " * 80).strip()
    drawn = model.draw(make_request("edit", 1, prompt=long), lambda _: None)
    assert "first 512 word parts" in drawn.notices[-1]
    cut = long[:513].rsplit(" ", 1)[0]  # the tokenizer of the test makes a token of each letter
    assert are_identical(list(drawn.images), draw_pictures(model, make_request("edit", 1, prompt=cut)))
    assert model.draw(make_request("edit", 1), lambda _: None).notices == ()


def test_it_reads_one_picture_takes_no_lora_and_edits_alone(model: LongCatModel) -> None:
    two = replace(make_request("edit", 1), images=(noise_photo(7), noise_photo(9)))
    assert "reads one picture" in model.draw(two, lambda _: None).notices[0]
    with pytest.raises(BadInput, match="LoRA"):
        draw_pictures(model, make_request("edit", adapters=(Adapter("some/lora", 1.0),)))
    with pytest.raises(ModelUnavailable):
        draw_pictures(model, make_request("text"))
