"""JoyAI-Image-Edit on a tiny random checkpoint: it draws what diffusers draws, is watched, and can be stopped."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

from pipelines.core.errors import BadInput, ModelUnavailable
from pipelines.core.rendering import Adapter, Caption
from pipelines.models.diffusion.captions import write_caption
from pipelines.models.diffusion.loader import CheckpointFamily
from pipelines.models.families.joyimage import VERBS, JoyImageModel, use_mean_latents
from tests.models.support import family_checks
from tests.models.support.family_checks import SIZE, draw_pictures, make_request, noise_photo
from tests.models.support.tiny_flow_checkpoints import tiny_joyimage


@pytest.fixture(scope="module", autouse=True)
def small() -> Iterator[None]:
    """The pipeline draws a megapixel whatever it is given; here the area of `SIZE`."""
    import torch
    from diffusers.pipelines.joyimage import image_processor

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(image_processor.BUCKETS, 1024, [(SIZE[1], SIZE[0]), (SIZE[0], SIZE[1])])
        yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory) -> CheckpointFamily:
    folder = tiny_joyimage(tmp_path_factory.mktemp("joyimage"))
    return CheckpointFamily(JoyImageModel, (family_checks.tiny_row("joyimage", str(folder), VERBS, guidance=3.0),))


@pytest.fixture(scope="module")
def model(family: CheckpointFamily) -> JoyImageModel:
    model = family.load(family.specs[0], "cpu")
    assert isinstance(model, JoyImageModel)
    return model


def test_size_from_headers_is_the_bytes_loaded(family: CheckpointFamily, model: JoyImageModel) -> None:
    family_checks.check_size_estimate(family, model)


@pytest.fixture(scope="module")
def plain_pipe(family: CheckpointFamily) -> Any:
    """The pipeline of diffusers on components of its own."""
    from diffusers.pipelines.joyimage.pipeline_joyimage_edit import JoyImageEditPipeline

    pipe = JoyImageEditPipeline.from_pretrained(family.specs[0].repo)
    use_mean_latents(pipe.vae)
    return pipe


@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_a_watched_run_is_byte_equal_to_plain_diffusers(model: JoyImageModel, plain_pipe: Any, guidance: float) -> None:
    plain = family_checks.draw_with_diffusers(
        plain_pipe, (5, 6), image=Pillow.fromarray(noise_photo(7)), prompt="a red cup", guidance_scale=guidance
    )
    family_checks.check_watched_run(model, replace(make_request("edit", 5, 6), guidance_scale=guidance), plain)


def test_seeds_words_and_cancel(model: JoyImageModel) -> None:
    alone = family_checks.check_seeds(model, make_request("edit"))
    family_checks.check_prompt_encoded_once(model, make_request("edit"))
    family_checks.check_cancel(model, make_request("edit", 2), alone)
    renders = [make_request("edit", 2), make_request("edit", 3, prompt="a boat")]
    family_checks.check_threads(model, renders, meet=False, alone=[alone])


def test_previews_end_with_the_picture(model: JoyImageModel) -> None:
    def decode(latents: Any) -> Any:
        return model.pipe.vae.decode(latents[None, :, None]).sample[0, :, 0]

    family_checks.check_last_estimate(model, make_request("edit", 3), decode)


def test_what_reaches_the_autoencoder_is_the_photo_at_one_scale(
    model: JoyImageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[np.ndarray] = []
    encode = model.pipe.vae.encode

    def watched(pixels: Any, *args: Any) -> Any:
        seen.append((pixels[0, :, 0].permute(1, 2, 0).numpy() + 1) * 127.5)
        return encode(pixels, *args)

    monkeypatch.setattr(model.pipe.vae, "encode", watched)
    render = make_request("edit", 1, size=(70, 90))
    assert draw_pictures(model, render)[0].shape == (90, 70, 3)
    assert np.allclose(seen[0], model.canvas_for(render).pad_onto(render.images[0]), atol=0.01)


def test_it_reads_one_picture_takes_no_lora_and_edits_alone(model: JoyImageModel) -> None:
    two = replace(make_request("edit", 1), images=(noise_photo(7), noise_photo(9)))
    assert "reads one picture" in model.draw(two, lambda _: None).notices[0]
    with pytest.raises(BadInput, match="LoRA"):
        draw_pictures(model, make_request("edit", adapters=(Adapter("some/lora", 1.0),)))
    with pytest.raises(ModelUnavailable):
        draw_pictures(model, make_request("text"))


def test_a_side_of_a_product_is_asked_for_in_its_authors_words_and_others_get_ours() -> None:
    caption = Caption(own="The same product, seen from behind. Its label stays.", side="rear")
    assert write_caption(caption, "joyimage") == "Rotate the product to show the rear side view."
    for family in ("qwen_image", "longcat", "flux2"):
        assert write_caption(caption, family) == caption.own
    assert write_caption(Caption(changes=(("outfit", "a coat"),)), "joyimage") == "Change the outfit to a coat."
