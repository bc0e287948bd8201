"""Every family draws every verb it has through the same tools; what a checkpoint is changes no line of theirs."""

from __future__ import annotations

import functools
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from pipelines.core.errors import JobCancelled, ModelUnavailable
from pipelines.core.geometry import Image
from pipelines.core.job import Job, Result, Step
from pipelines.core.models import ModelSpec
from pipelines.core.params import Verb
from pipelines.core.rendering import ModelStep, RenderedImages, RenderRequest
from pipelines.core.stream import wait_for_result
from pipelines.models.diffusion import pipeline
from pipelines.models.diffusion.loader import CheckpointFamily
from pipelines.models.families import (
    FAMILIES,
    flux2,
    joyimage,
    krea,
    longcat,
    qwen_image,
    qwen_image_21,
    stable_diffusion,
    wan,
    z_image,
)
from pipelines.models.families.control_nets import ControlNetFamily
from pipelines.models.families.flux2 import Flux2Model
from pipelines.models.families.joyimage import JoyImageModel
from pipelines.models.families.krea import KreaModel
from pipelines.models.families.longcat import LongCatModel
from pipelines.models.families.qwen_image import QwenModel
from pipelines.models.families.qwen_image_21 import Qwen21Model
from pipelines.models.families.stable_diffusion import VERBS_WITH_CONTROL, StableDiffusionModel
from pipelines.models.families.wan import WanModel
from pipelines.models.families.z_image import ZImageModel
from pipelines.models.model_cache import ModelCache
from pipelines.provenance.c2pa import names_generative_model
from pipelines.tools import motion
from tests.models.support import family_checks
from tests.models.support.family_checks import are_identical, draw_pictures, make_request
from tests.models.support.tiny_checkpoints import tiny_sdxl, tiny_union
from tests.models.support.tiny_flow_checkpoints import (
    tiny_joyimage,
    tiny_klein,
    tiny_krea,
    tiny_longcat,
    tiny_qwen_21,
    tiny_qwen_edit,
    tiny_wan,
    tiny_z_control,
    tiny_z_image,
)
from tests.support.examples import load_example
from tests.support.gated_tool import UnfilteredEngine
from tests.support.real_studio import RealStudio

# diffusers' Euler scheduler hands a torch tensor to np.array in a way that numpy 2 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

# The tool and the fields by which a verb is reached.
TOOL_BY_VERB: dict[Verb, tuple[str, dict[str, Any]]] = {
    "text": ("character", {"art": "model", "prompt": "a diver", "size": 256}),
    "backdrop": ("background", {"prompt": "a harbour", "size": 256}),
    "image": ("style", {"prompt": "ink on paper", "size": 256, "face_lock": False}),
    "inpaint": ("retouch", {"prompt": "a blue door"}),
    "edit": ("headshot", {"outfit": "a navy blazer", "size": 256}),
    "control": ("style", {"prompt": "ink on paper", "size": 256, "face_lock": False, "follow": "edges"}),
    "video": ("motion", {"drawn": True, "seconds": 3, "size": 256}),
}
VERBS: dict[str, tuple[Verb, ...]] = {
    "stable_diffusion": VERBS_WITH_CONTROL,
    "flux2": flux2.VERBS,
    "z_image": z_image.VERBS,
    "qwen_image": qwen_image.VERBS,
    "longcat": longcat.VERBS,
    "joyimage": joyimage.VERBS,
    "qwen_image_21": qwen_image_21.VERBS,
    "krea": krea.VERBS,
    "wan": wan.VERBS,
}
CASES = [(family, verb) for family, verbs in VERBS.items() for verb in verbs]
# By which family a tool is run once more with the same and with another seed: that a family follows its seed is looked
# at in its own file.
SEED_FAMILY: dict[Verb, str] = {
    "text": "krea",
    "backdrop": "qwen_image_21",
    "image": "z_image",
    "inpaint": "flux2",
    "edit": "qwen_image",
    "control": "stable_diffusion",
    "video": "wan",
}
NO_PHOTO = ("background", "character")


class TinyFamilies(RealStudio):
    """A studio over a tiny checkpoint of each family, with a photo and a mask in `pictures`."""

    def __init__(self, root: Path) -> None:
        cache = ModelCache((*FAMILIES, *make_tiny_families(root)))
        super().__init__(root, cache=cache, engine=UnfilteredEngine)
        photo = np.asarray(cv2.resize(load_example("hopper"), (256, 300), interpolation=cv2.INTER_AREA), np.uint8)
        mask = np.zeros_like(photo)
        mask[20:80, 180:240] = 255
        self.pictures = {name: self.add_image(image) for name, image in (("photo", photo), ("mask", mask))}

    def make_job(self, family: str, verb: Verb, seed: int = 3) -> Job:
        tool, values = TOOL_BY_VERB[verb]
        specs = dict.fromkeys(VERBS[family], f"tiny-{family}")
        if verb == "image":
            specs.pop("edit", None)  # by which Style draws where it can
        specs.setdefault("backdrop", "backdrops")
        pictures = {name: self.pictures[name] for name in ("photo", "mask") if tool not in NO_PHOTO}
        if tool != "retouch":
            pictures.pop("mask", None)
        return Job(
            id=f"job-{uuid.uuid4().hex}",
            tool=tool,
            params={**values, **pictures},
            seed=seed,
            profile="tiny",
            specs={**specs, "matte": "u2netp"},
            owner="me",
            created=time.time(),
            consent=time.time(),
        )

    def run_to_steps(self, job: Job) -> tuple[Result, list[Step]]:
        *steps, result = self.engine.run(job)
        assert isinstance(result, Result)
        return result, [step for step in steps if isinstance(step, Step)]


def make_tiny_families(root: Path) -> list[Any]:
    """Every family with a tiny checkpoint, and the ControlNets of two."""
    nets = (
        family_checks.control_net_row(tiny_union(root / "tiny-union"), "ControlNetUnionModel"),
        family_checks.control_net_row(tiny_z_control(root / "tiny-z-net"), "ZImageControlNetModel"),
    )
    built = (
        (StableDiffusionModel, "stable_diffusion", tiny_sdxl(root / "xl"), "tiny-union", 3.0),
        (Flux2Model, "flux2", tiny_klein(root / "klein"), "", 1.0),
        (ZImageModel, "z_image", tiny_z_image(root / "z"), "tiny-z-net", 0.0),
        (QwenModel, "qwen_image", tiny_qwen_edit(root / "qwen"), "", 1.0),
        (LongCatModel, "longcat", tiny_longcat(root / "longcat"), "", 1.0),
        (JoyImageModel, "joyimage", tiny_joyimage(root / "joyimage"), "", 3.0),
        (Qwen21Model, "qwen_image_21", tiny_qwen_21(root / "qwen21"), "", 1.0),
        (KreaModel, "krea", tiny_krea(root / "krea"), "", 0.0),
        (WanModel, "wan", tiny_wan(root / "wan"), "", 3.0),
    )
    families: list[Any] = [ControlNetFamily(nets)]
    for kind, family, folder, net, guidance in built:
        row = family_checks.tiny_row(family, str(folder), VERBS[family], guidance=guidance, control_net=net)
        families.append(CheckpointFamily(kind, (row,)))
    return families


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TinyFamilies]:
    import torch
    from diffusers.pipelines.joyimage import image_processor
    from diffusers.pipelines.longcat_image import pipeline_longcat_image_edit as cat
    from diffusers.pipelines.qwenimage import pipeline_qwenimage_edit_plus as qwen

    threads, sides_of = torch.get_num_threads(), cat.calculate_dimensions
    torch.set_num_threads(1)
    small = pytest.MonkeyPatch()
    small.setattr(qwen, "VAE_IMAGE_SIZE", 96 * 96)  # a megapixel whatever it is given would take a minute
    small.setattr(qwen, "CONDITION_IMAGE_SIZE", 64 * 64)
    small.setattr(cat, "calculate_dimensions", lambda area, ratio: sides_of(96 * 96, ratio))
    small.setattr(qwen_image_21, "EDIT_SIDE_PX", 96)
    small.setitem(image_processor.BUCKETS, 1024, [(96, 96), (128, 96)])
    small.setattr(motion, "DRAWN_FPS", 2.0)  # nine pictures in place of 73
    with TinyFamilies(tmp_path_factory.mktemp("families")) as studio:
        yield studio
    small.undo()
    torch.set_num_threads(threads)


@pytest.mark.parametrize(("family", "verb"), CASES)
def test_a_verb_is_drawn_by_its_tool_and_the_same_seed_gives_the_same_picture(
    studio: TinyFamilies, family: str, verb: Verb, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Verb] = []
    draw = pipeline.DiffusionModel.draw

    def told(
        model: pipeline.DiffusionModel, render: RenderRequest, on_step: Callable[[ModelStep], None]
    ) -> RenderedImages:
        asked.append(render.verb)
        return draw(model, render, on_step)

    monkeypatch.setattr(pipeline.DiffusionModel, "draw", told)
    first, steps = studio.run_to_steps(studio.make_job(family, verb))
    assert f"tiny-{family}" in [row["id"] for row in first.receipt["models"]]
    assert [step.index for step in steps if step.stage in ("Drawing", "Setting the scene")][:1] == [1]
    assert verb in asked
    # Whatever was drawn, and however often: each checkpoint was read once.
    assert studio.cache.load_counts[f"tiny-{family}"] == 1
    if SEED_FAMILY[verb] != family:
        return
    studio.engine.resources.results.clear()  # a style that was drawn would be kept
    again, _ = studio.run_to_steps(studio.make_job(family, verb))
    assert first.files[0].pixels_sha256 == again.files[0].pixels_sha256
    other, _ = studio.run_to_steps(studio.make_job(family, verb, seed=4))
    assert other.files[0].pixels_sha256 != first.files[0].pixels_sha256
    assert studio.cache.load_counts[f"tiny-{family}"] == 1


def test_a_drawn_film_shows_moments_says_what_it_is_and_stops_within_a_step(studio: TinyFamilies) -> None:
    job = studio.make_job("wan", "video")
    result, steps = studio.run_to_steps(job)
    drawing = [step for step in steps if step.stage == "Drawing"]
    assert [(step.index, step.total) for step in drawing][:3] == [(1, 2), (2, 2), (2, 2)]
    assert drawing[0].preview
    row = next(row for row in result.receipt["models"] if row["id"] == "tiny-wan")
    assert row["licence"] == "Apache-2.0"
    assert result.receipt["mode"] == "redrawn"
    assert any("each drawn by a model" in notice for notice in result.receipt["notices"])
    assert result.receipt["words"][0].endswith("The camera drifts slowly to the side.")
    assert names_generative_model(studio.files.read_bytes(result.files[0].id, "me"))

    with studio.cache.borrow_model("tiny-wan") as model:
        slow = model.pipe.transformer.register_forward_hook(lambda *_: time.sleep(0.15))
    watch = studio.jobs.watch(job_id := studio.jobs.submit(job))
    step = next(event for event in watch if isinstance(event, Step) and event.stage == "Drawing")
    assert step.index < step.total
    studio.jobs.cancel(job_id)
    with pytest.raises(JobCancelled):
        wait_for_result(watch)
    slow.remove()
    again, _ = studio.run_to_steps(job)
    assert again.files[0].pixels_sha256 == result.files[0].pixels_sha256


def request_last_verb(family: str) -> RenderRequest:
    """A picture of one step: what is done to the model before it or after it shows in one as in several."""
    return make_request(VERBS[family][-1], num_inference_steps=1)


@pytest.fixture(scope="module")
def draw_last_verb(studio: TinyFamilies) -> Callable[[str], list[Image]]:
    """Returns what a family draws of its last verb, drawn at the first call: nothing was done to the model then."""

    @functools.cache
    def draw(family: str) -> list[Image]:
        with studio.cache.borrow_for_verb(f"tiny-{family}", VERBS[family][-1]) as model:
            return draw_pictures(model, request_last_verb(family))

    return draw


@pytest.mark.parametrize("family", list(VERBS))
def test_a_model_that_was_put_aside_comes_back_the_same(
    studio: TinyFamilies, family: str, draw_last_verb: Callable[[str], list[Image]]
) -> None:
    before = draw_last_verb(family)
    with studio.cache.borrow_for_verb(f"tiny-{family}", VERBS[family][-1]) as model:
        assert hasattr(model, "to_host")
        weights = weight_addresses(model)
        model.to_host()
        model.to_device()
        assert weight_addresses(model) == weights
        assert are_identical(draw_pictures(model, request_last_verb(family)), before)


@pytest.mark.parametrize(
    "family", [family for family in VERBS if family != "qwen_image"]
)  # its tiny picture has no whole tiles
def test_tiles_that_save_memory_touch_no_other_drawing(
    studio: TinyFamilies,
    family: str,
    draw_last_verb: Callable[[str], list[Image]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pipeline, "_LOW_MEMORY_TILE_PX", 32)
    before = draw_last_verb(family)
    with studio.cache.borrow_for_verb(f"tiny-{family}", VERBS[family][-1]) as model:
        render = request_last_verb(family)
        with model.saving_memory():
            spared = draw_pictures(model, render)
        assert not are_identical(spared, before)
        assert spared[0].shape == before[0].shape
        assert are_identical(draw_pictures(model, render), before)


@pytest.mark.parametrize("family", list(VERBS))
def test_numbers_that_are_no_picture_end_the_job_with_a_sentence(
    studio: TinyFamilies, family: str, draw_last_verb: Callable[[str], list[Image]]
) -> None:
    import torch

    before = draw_last_verb(family)
    with studio.cache.borrow_for_verb(f"tiny-{family}", VERBS[family][-1]) as model:
        net = getattr(model.pipe, "transformer", None) or model.pipe.unet
        decoded, drawn = "while the picture was decoded", "while it was drawn"
        render = request_last_verb(family)
        for broken, when in ((model.pipe.vae.decoder, decoded), (net, drawn)):
            weight = list(broken.parameters())[-1]
            kept = weight.data
            weight.data = torch.full_like(kept, torch.nan)
            try:
                with pytest.raises(ModelUnavailable, match=f"the numbers left the range of float32 {when}"):
                    draw_pictures(model, render)
            finally:
                weight.data = kept
        assert are_identical(draw_pictures(model, render), before)


@pytest.mark.parametrize("family", list(VERBS))
def test_several_pictures_are_decoded_one_by_one(studio: TinyFamilies, family: str) -> None:
    verb = VERBS[family][0]
    decoded: list[int] = []
    with studio.cache.borrow_for_verb(f"tiny-{family}", verb) as model:
        hook = model.pipe.vae.decoder.register_forward_pre_hook(lambda _, inputs: decoded.append(len(inputs[0])))
        draw_pictures(model, make_request(verb, 1, 2, num_inference_steps=1))
        hook.remove()
    assert set(decoded) == {1}
    assert len(decoded) >= 2


def weight_addresses(model: Any) -> list[int]:
    parts = model.pipe.components.values()
    return [row.data_ptr() for part in parts if hasattr(part, "parameters") for row in part.parameters()]


def test_a_streamed_text_encoder_is_not_moved(tmp_path: Path) -> None:
    spec = family_checks.tiny_row("flux2", str(tiny_klein(tmp_path / "klein")), ("text",), ("text_encoder", "streamed"))
    model = CheckpointFamily(Flux2Model, (spec,)).load(spec, "cpu")
    assert model.pipe.transformer in model._list_movable_parts()
    assert model.pipe.text_encoder not in model._list_movable_parts()


# ---------------------------------------------------------------- SDXL: every verb as diffusers alone draws it


@functools.cache
def load_plain_parts(repo: str) -> Mapping[str, Any]:
    """Return the components of SDXL as diffusers alone reads them."""
    from diffusers.pipelines.stable_diffusion_xl.pipeline_stable_diffusion_xl import StableDiffusionXLPipeline

    return StableDiffusionXLPipeline.from_pretrained(repo).components


def draw_with_diffusers(row: ModelSpec, verb: Verb) -> list[Image]:
    import diffusers
    from diffusers.models.controlnets.controlnet_union import ControlNetUnionModel
    from PIL import Image as Pillow

    parts = {**load_plain_parts(row.repo)}
    arguments: dict[str, Any] = {"prompt": "a red cup", "guidance_scale": 3.0}
    if verb in ("image", "inpaint"):
        arguments |= {"image": Pillow.fromarray(family_checks.noise_photo(7)), "strength": 0.8}
    if verb != "image":
        arguments |= {"width": family_checks.SIZE[0], "height": family_checks.SIZE[1]}
    if verb == "inpaint":
        arguments["mask_image"] = Pillow.fromarray((family_checks.right_half_mask() * 255).astype(np.uint8))
    if verb == "control":
        parts["controlnet"] = ControlNetUnionModel.from_pretrained(Path(row.repo).with_name("tiny-union"))
        arguments |= {"control_image": [Pillow.fromarray(family_checks.noise_photo(8))], "control_mode": [3]}
    stem = stable_diffusion._PIPELINE_SUFFIXES[verb]
    pipe = getattr(diffusers, f"StableDiffusionXL{stem}Pipeline")(**parts)
    (picture,) = family_checks.draw_with_diffusers(pipe, (1,), **arguments)
    return [
        np.where(family_checks.right_half_mask()[..., None] > 0, picture, family_checks.noise_photo(7))
        if verb == "inpaint"
        else picture
    ]


@pytest.mark.parametrize("verb", ["text", "image", "inpaint", "control"])
def test_a_watched_run_is_byte_equal_to_plain_diffusers(studio: TinyFamilies, verb: Verb) -> None:
    with studio.cache.borrow_for_verb("tiny-stable_diffusion", "control") as model:
        family_checks.check_watched_run(model, make_request(verb), draw_with_diffusers(model.spec, verb))


def test_a_picture_follows_its_map_and_its_kind(studio: TinyFamilies) -> None:
    with studio.cache.borrow_for_verb("tiny-stable_diffusion", "control") as model:
        edges = draw_pictures(model, make_request("control"))
        assert not are_identical(
            edges, draw_pictures(model, make_request("control", control=family_checks.noise_photo(9)))
        )
        assert not are_identical(edges, draw_pictures(model, make_request("control", control_kind="pose")))
        assert are_identical(edges, draw_pictures(model, make_request("control")))
