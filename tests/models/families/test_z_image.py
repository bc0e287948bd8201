"""Z-Image on a tiny random checkpoint: every verb is what diffusers draws, and each seed starts from its own noise."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

from pipelines.core.errors import ModelUnavailable
from pipelines.models.families.z_image import VERBS, ZImage, ZImagePainter
from tests.models.support import family_checks
from tests.models.support.family_checks import SIZE, drawn, order, photo, right_half, same
from tests.models.support.tiny_flow_checkpoints import tiny_z_control, tiny_z_image

PLAIN = ("text", "image", "inpaint", "control")


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ZImage]:
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("z-image")
    net = ("controlnet", str(tiny_z_control(root / "net")))
    yield ZImage((family_checks.row("z_image", str(tiny_z_image(root / "model")), VERBS, net, guidance=0.0),))
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def model(family: ZImage) -> ZImagePainter:
    model = family.load(family.specs[0], "cpu")
    assert isinstance(model, ZImagePainter)
    return model


def plain(family: ZImage, verb: Any, *seeds: int, guidance: float = 0.0) -> family_checks.Drawn:
    """Diffusers' own pipeline on components read anew, one seed a call."""
    import diffusers
    from diffusers.models.controlnets.controlnet_z_image import ZImageControlNetModel
    from diffusers.pipelines.z_image.pipeline_z_image import ZImagePipeline

    names = {"text": "", "image": "Img2Img", "inpaint": "Inpaint", "control": "ControlNet"}
    parts: dict[str, Any] = ZImagePipeline.from_pretrained(family.specs[0].repo).components
    picture = Pillow.fromarray(photo(7))
    arguments: dict[str, Any] = {"width": SIZE[0], "height": SIZE[1]}
    if verb in ("image", "inpaint"):
        arguments |= {"image": picture, "strength": 0.8}
    if verb == "inpaint":
        arguments["mask_image"] = Pillow.fromarray((right_half() * 255).astype(np.uint8))
    if verb == "control":
        net = dict(family.specs[0].options)["controlnet"]
        parts["controlnet"] = ZImageControlNetModel.from_pretrained(net)
        arguments["control_image"] = Pillow.fromarray(photo(8))
    pipe = getattr(diffusers, f"ZImage{names[verb]}Pipeline")(**parts)
    pictures = [
        family_checks.plainly(pipe, (seed,), prompt="a red cup", guidance_scale=guidance, **arguments)[0]
        for seed in seeds
    ]
    if verb == "inpaint":
        return [np.where(right_half()[..., None] > 0, drawn, photo(7)) for drawn in pictures]
    return pictures


def test_size_from_headers_is_the_bytes_loaded(family: ZImage):
    family_checks.check_bytes(family, family.specs[0])


@pytest.mark.parametrize("verb", VERBS)
def test_same_seed_same_picture(model: ZImagePainter, verb: Any):
    family_checks.check_seeds(model, order(verb))


@pytest.mark.parametrize("verb", PLAIN)
def test_a_watched_run_is_byte_equal_to_plain_diffusers(model: ZImagePainter, family: ZImage, verb: Any):
    family_checks.check_watching(model, order(verb, 5), plain(family, verb, 5))


def test_a_guided_run_is_byte_equal_too_and_reads_what_is_unwanted(model: ZImagePainter, family: ZImage):
    render = order("text", 5, guidance_scale=3.0)
    family_checks.check_watching(model, render, plain(family, "text", 5, guidance=3.0))
    assert not same(drawn(model, render), drawn(model, replace(render, negative_prompt="cats")))


def test_the_last_estimate_is_the_picture(model: ZImagePainter):
    config = model.pipe.vae.config

    def decode(latents: Any) -> Any:
        return model.pipe.vae.decode(latents[None] / config.scaling_factor + config.shift_factor).sample[0]

    family_checks.check_last_estimate(model, order("text", 3), decode)


def test_cancel_leaves_nothing_behind(model: ZImagePainter):
    family_checks.check_cancel(model, order("control"))


@pytest.mark.parametrize("verb", PLAIN)
def test_words_are_read_once(model: ZImagePainter, verb: Any):
    family_checks.check_words_once(model, order(verb))


def test_two_threads_draw_what_one_would(model: ZImagePainter):
    family_checks.check_threads(model, [order("text", 1), order("control", 2)])


def test_inpaint_keeps_the_bytes_outside_the_mask(model: ZImagePainter):
    family_checks.check_inpaint(model)


def test_a_picture_follows_its_map(model: ZImagePainter):
    maps = [drawn(model, order("control", 1, control=photo(seed))) for seed in (1, 2)]
    assert not same(*maps)
    assert not same(maps[0], drawn(model, order("text", 1)))


def test_the_control_of_one_file_is_read_and_another_layout_refused(family: ZImage, tmp_path: Path):
    from pipelines.models.families import z_image

    row = family.specs[0]
    net = f"{dict(row.options)['controlnet']}::diffusion_pytorch_model.safetensors"
    spec = replace(row, options=(("controlnet", net),))
    with pytest.raises(ModelUnavailable, match="not the ControlNet"):
        family.load(spec, "cpu")
    layout = {"control_layers_places": [0], "control_in_dim": 4, "dim": 32, "n_refiner_layers": 1, "n_heads": 2}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(z_image, "_UNION_LAYOUT", {**layout, "n_kv_heads": 2})
        model = family.load(spec, "cpu")
    assert same(drawn(model, order("control", 5)), plain(family, "control", 5))


def test_orders_of_several_users_in_one_call_are_each_as_alone(model: ZImagePainter):
    family_checks.drawn_together_as_alone(model)


def test_orders_with_pictures_are_drawn_alone(model: ZImagePainter):
    family_checks.alone_with_pictures(model, ("image", "inpaint", "control"))
