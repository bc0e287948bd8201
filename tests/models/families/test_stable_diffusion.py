"""Stable Diffusion and SDXL on tiny random checkpoints: same picture watched or not, alone or beside others."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.core.errors import BadInput, JobCancelled, ModelUnavailable, OutOfMemory
from pipelines.core.geometry import Image
from pipelines.core.rendering import Backdrop, ModelStep, RenderRequest
from pipelines.models import latent_preview, oom_fallback
from pipelines.models.diffusion.loader import CheckpointFamily
from pipelines.models.diffusion.pipeline import DiffusionModel, prompt_text
from pipelines.models.model_cache import CacheOptions, ModelCache
from tests.models.support import family_checks
from tests.models.support.tiny_checkpoints import SIDE_PX, tiny_family

# diffusers' Euler scheduler hands a torch tensor to np.array in a way that numpy 2 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

ALL = ("tiny-sd", "tiny-sdxl", "tiny-fast")
SIZE = (SIDE_PX, SIDE_PX)
PHOTO: Image = np.random.default_rng(7).integers(0, 256, (96, 96, 3), dtype=np.uint8)
MASK = np.zeros((96, 96), np.float32)
MASK[:, 60:] = 1


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CheckpointFamily]:
    import torch

    # Threads of torch cost tiny tensors more than they give, above all beside other work.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield tiny_family(tmp_path_factory.mktemp("checkpoints"))
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def cache(family: CheckpointFamily) -> Iterator[ModelCache]:
    cache = ModelCache((family,))
    yield cache
    cache.close()


def text(*seeds: int, prompt: str = "a red cup", **kwargs: Any) -> RenderRequest:
    return RenderRequest("text", prompt, SIZE, seeds or (1,), **kwargs)


def unwatched(step: ModelStep) -> None:
    pass


def looked_at(seen: list[Image]) -> Callable[[ModelStep], None]:
    def on_step(step: ModelStep) -> None:
        assert step.preview is not None
        seen.append(step.preview())

    return on_step


def draw(
    cache: ModelCache, spec_id: str, render: RenderRequest, on_step: Callable[[ModelStep], None] = unwatched
) -> list[Image]:
    with cache.borrow_model(spec_id) as model:
        return list(model.draw(render, on_step).images)


def same(one: list[Image], other: list[Image]) -> bool:
    return len(one) == len(other) and all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def plain(family: CheckpointFamily, spec_id: str, *seeds: int) -> list[Image]:
    """What diffusers alone draws for `text`, several pictures decoded one by one as ours are.

    Two at a time, a convolution of torch 2.8 adds in another order: 103.49998 instead of 103.5, and a byte differs.
    """
    import torch
    from diffusers.pipelines.pipeline_utils import DiffusionPipeline

    row = next(row for row in family.specs if row.id == spec_id)
    pipe: Any = DiffusionPipeline.from_pretrained(row.repo)
    pipe.vae.enable_slicing()
    pipe.set_progress_bar_config(disable=True)
    defaults = dict(row.defaults)
    pictures = pipe(
        prompt="a red cup",
        num_images_per_prompt=len(seeds),
        generator=[torch.Generator().manual_seed(seed) for seed in seeds],
        num_inference_steps=int(defaults["num_inference_steps"]),
        guidance_scale=defaults["guidance_scale"],
        width=SIDE_PX,
        height=SIDE_PX,
    ).images
    return [np.asarray(picture) for picture in pictures]


# ---------------------------------------------------------------- bytes


def weight_bytes(model: DiffusionModel) -> int:
    parts = (part for part in model.pipe.components.values() if hasattr(part, "parameters"))
    return sum(tensor.nbytes for part in parts for tensor in part.parameters())


@pytest.mark.parametrize("spec_id", ALL)
def test_size_from_headers_is_the_bytes_loaded(family: CheckpointFamily, cache: ModelCache, spec_id: str):
    with cache.borrow_model(spec_id) as model:
        assert family.estimate_bytes(model.spec) == weight_bytes(model) > 0


def test_size_from_headers_is_the_bytes_loaded_in_another_type(family: CheckpointFamily):
    row = replace(next(row for row in family.specs if row.id == "tiny-fast"), dtype="bfloat16")
    assert family.estimate_bytes(row) == weight_bytes(family.load(row, "cpu")) > 0


def test_second_job_loads_nothing(family: CheckpointFamily):
    cache = ModelCache((family,))
    assert same(draw(cache, "tiny-sd", text()), draw(cache, "tiny-sd", text()))
    assert cache.load_counts == {"tiny-sd": 1}


def test_model_that_was_dropped_draws_the_same_when_it_is_back(family: CheckpointFamily):
    sizes = [family.estimate_bytes(row) for row in family.specs]
    cache = ModelCache((family,), CacheOptions(budget_bytes=max(sizes)))
    first = draw(cache, "tiny-sd", text())
    draw(cache, "tiny-sdxl", text())
    assert [row["id"] for row in cache.resident_models()] == ["tiny-sdxl"]
    assert same(first, draw(cache, "tiny-sd", text()))


@pytest.mark.parametrize("spec_id", ALL)
def test_views_share_the_weights_and_have_schedulers_of_their_own(cache: ModelCache, spec_id: str):
    with cache.borrow_model(spec_id) as model:
        views = [
            model.build_view(verb, latent_preview.CleanEstimateRecorder(model.pipe.scheduler).scheduler)
            for verb in ("text", "image")
        ]
        for name in ("unet", "vae", "text_encoder"):
            addresses = [[p.data_ptr() for p in getattr(view, name).parameters()] for view in (model.pipe, *views)]
            assert addresses[0] == addresses[1] == addresses[2]
        assert len({id(view.scheduler) for view in (model.pipe, *views)}) == 3


def test_view_keeps_the_config_of_the_checkpoint(cache: ModelCache):
    with cache.borrow_model("tiny-sdxl") as model:
        model.pipe.register_to_config(force_zeros_for_empty_prompt=False)
        try:
            view = model.build_view("image", model.pipe.scheduler)
            assert view.config.force_zeros_for_empty_prompt is False
        finally:
            model.pipe.register_to_config(force_zeros_for_empty_prompt=True)


# ---------------------------------------------------------------- pictures


@pytest.mark.parametrize("spec_id", ["tiny-sd", "tiny-sdxl"])
def test_a_watched_run_is_byte_equal_to_plain_diffusers(cache: ModelCache, family: CheckpointFamily, spec_id: str):
    seen: list[Image] = []
    watched = draw(cache, spec_id, text(1, 2), looked_at(seen))
    assert same(watched, plain(family, spec_id, 1, 2))
    assert len(seen) >= 3
    assert not same(seen[:1], seen[-1:])


@pytest.mark.parametrize("spec_id", ALL)
def test_same_seed_same_picture_and_another_seed_another(cache: ModelCache, spec_id: str):
    one, two = draw(cache, spec_id, text(1, 2))
    assert same([one, two], draw(cache, spec_id, text(1, 2)))
    assert not np.array_equal(one, two)


def test_a_variation_is_the_picture_of_its_seed_alone(cache: ModelCache):
    together = draw(cache, "tiny-sd", text(1, 2))
    alone = draw(cache, "tiny-sd", text(2))[0]
    assert np.abs(together[1].astype(int) - alone).max() <= 1


def test_the_adapter_changes_the_picture_and_leaves_no_adapter(cache: ModelCache, family: CheckpointFamily):
    with cache.borrow_model("tiny-fast") as model:
        fused = model.draw(text(), unwatched).images[0]
        assert not any("lora" in name for name, _ in model.pipe.unet.named_parameters())
    row = model.spec
    bare = replace(row, options=tuple(option for option in row.options if option[0] != "adapter"))
    assert not np.array_equal(fused, family.load(bare, "cpu").draw(text(), unwatched).images[0])


def test_a_prompt_that_was_read_is_not_read_again(cache: ModelCache):
    with cache.borrow_model("tiny-sd") as model:
        calls = []
        hook = model.pipe.text_encoder.register_forward_hook(lambda *_: calls.append(1))
        try:
            first = model.draw(text(prompt="a tall vase"), unwatched)
            read = len(calls)
            second = model.draw(text(prompt="a tall vase"), unwatched)
            assert read == len(calls) == 2  # the words, and the empty words that guidance compares with
            model.draw(text(prompt="a tall vase", negative_prompt="cup"), unwatched)
            assert len(calls) == 4
        finally:
            hook.remove()
    assert same(list(first.images), list(second.images))


@pytest.mark.parametrize("spec_id", ALL)
def test_pictures_have_the_size_that_was_asked_for(cache: ModelCache, spec_id: str):
    for size in ((200, 100), (64, 64), (41, 97)):
        assert draw(cache, spec_id, RenderRequest("backdrop", "oak", size, (1,)))[0].shape == (size[1], size[0], 3)


@pytest.mark.parametrize("spec_id", ALL)
def test_image_follows_its_start_the_more_the_less_strength(cache: ModelCache, spec_id: str):
    def drawn(strength: float) -> Image:
        render = RenderRequest(
            "image", "a cup", (96, 96), (1,), images=(PHOTO,), strength=strength, num_inference_steps=10
        )
        return draw(cache, spec_id, render)[0]

    weak, strong = drawn(0.1), drawn(1.0)
    assert weak.shape == PHOTO.shape
    assert not np.array_equal(weak, strong)


@pytest.mark.parametrize("spec_id", ALL)
def test_a_strength_that_leaves_no_step_still_draws_one(cache: ModelCache, spec_id: str):
    steps: list[tuple[int, int]] = []
    render = RenderRequest("image", "a cup", (96, 96), (1, 2), images=(PHOTO,), strength=0.05, num_inference_steps=2)
    pictures = draw(cache, spec_id, render, lambda step: steps.append((step.index, step.total)))
    assert len(pictures) == 2
    assert steps[-1] == (1, 1)


@pytest.mark.parametrize("spec_id", ALL)
def test_inpaint_keeps_the_bytes_outside_the_mask(cache: ModelCache, spec_id: str):
    render = RenderRequest("inpaint", "a cup", (96, 96), (1, 2), images=(PHOTO,), mask=MASK)
    for picture in draw(cache, spec_id, render):
        assert np.array_equal(picture[:, :60], PHOTO[:, :60])
        assert not np.array_equal(picture[:, 60:], PHOTO[:, 60:])


def test_own_backdrop_is_kept_unless_a_strength_was_asked_for(cache: ModelCache):
    backdrop = Backdrop(picture=PHOTO)
    kept = draw(cache, "tiny-sd", RenderRequest("backdrop", "", (96, 96), (1, 2), backdrop=backdrop))
    assert same(kept, [PHOTO, PHOTO])
    redrawn = draw(cache, "tiny-sd", RenderRequest("backdrop", "oak", (96, 96), (1,), backdrop=backdrop, strength=0.8))
    assert not np.array_equal(redrawn[0], PHOTO)


def test_a_backdrop_without_words_is_asked_for_by_its_scene():
    render = RenderRequest("backdrop", "", SIZE, (1,), backdrop=Backdrop(scene="studio-grey"))
    assert prompt_text(render).startswith("studio grey")
    assert prompt_text(text(prompt="oak")) == "oak"


@pytest.mark.parametrize(
    ("backdrop", "soft"),
    [
        (Backdrop(blur_ratio=0.06), True),
        (Backdrop(blur_ratio=0.02, subject="person"), False),
        (Backdrop(blur_ratio=0.0, subject="person"), True),
        (Backdrop(blur_ratio=0.0, subject="product"), False),
    ],
)
def test_a_backdrop_is_asked_for_as_soft_as_its_blur(backdrop: Backdrop, soft: bool):
    assert ("out of focus" in prompt_text(RenderRequest("backdrop", "oak", SIZE, (1,), backdrop=backdrop))) is soft


def test_words_beyond_the_limit_are_said_to_have_had_no_effect(cache: ModelCache):
    with cache.borrow_model("tiny-sd") as model:
        assert model.draw(text(), unwatched).notices == ()
        assert "first 75" in model.draw(text(prompt="cup " * 80), unwatched).notices[0]


def test_what_is_missing_is_said(cache: ModelCache):
    with pytest.raises(BadInput, match="picture"):
        draw(cache, "tiny-sd", RenderRequest("image", "", SIZE, (1,)))
    with pytest.raises(BadInput, match="paint over"):
        draw(cache, "tiny-sd", RenderRequest("inpaint", "", SIZE, (1,), images=(PHOTO,)))
    with pytest.raises(ModelUnavailable):
        draw(cache, "tiny-sd", RenderRequest("edit", "", SIZE, (1,), images=(PHOTO,)))


def test_folder_without_a_checkpoint_is_unavailable(family: CheckpointFamily, tmp_path: Path):
    with pytest.raises(ModelUnavailable, match="model_index"):
        family.estimate_bytes(replace(family.specs[0], repo=str(tmp_path)))


# ---------------------------------------------------------------- stopping and threads


class Stopper:
    """Raises at its `at`-th step and counts the steps it was told of."""

    def __init__(self, at: int, error: BaseException) -> None:
        self.at = at
        self.error = error
        self.steps = 0

    def __call__(self, step: ModelStep) -> None:
        self.steps += 1
        if self.steps == self.at:
            raise self.error


@pytest.mark.parametrize("spec_id", ["tiny-sd", "tiny-sdxl"])
def test_cancel_stops_within_the_step_and_the_next_run_is_right(cache: ModelCache, spec_id: str):
    before = draw(cache, spec_id, text(5))
    for at in (1, 2, 3):
        stopper = Stopper(at, JobCancelled())
        with pytest.raises(JobCancelled):
            draw(cache, spec_id, text(6), stopper)
        assert stopper.steps == at
    assert same(before, draw(cache, spec_id, text(5)))
    assert all(row["in_use"] == 0 for row in cache.resident_models())


def test_out_of_memory_once_draws_one_by_one(cache: ModelCache):
    import torch

    together = draw(cache, "tiny-sd", text(1, 2))
    stopper = Stopper(1, torch.OutOfMemoryError())
    with cache.borrow_model("tiny-sd") as model:
        one_by_one = oom_fallback.draw_with_fallback(cache, model, text(1, 2), stopper)
    assert stopper.steps == 1 + 4 + 4
    assert max(np.abs(a.astype(int) - b).max() for a, b in zip(together, one_by_one.images, strict=True)) <= 1
    assert "one at a time" in one_by_one.notices[-1]


def test_out_of_memory_twice_is_said(cache: ModelCache):
    import torch

    def always(step: ModelStep) -> None:
        raise torch.OutOfMemoryError

    with cache.borrow_model("tiny-sd") as model, pytest.raises(OutOfMemory):
        oom_fallback.draw_with_fallback(cache, model, text(1, 2), always)


@pytest.mark.parametrize("spec_id", ALL)
def test_two_threads_on_one_model_draw_what_one_would(cache: ModelCache, spec_id: str):
    jobs = [text(1), RenderRequest("image", "a cup", SIZE, (2,), images=(PHOTO,), strength=1.0)]
    alone = [draw(cache, spec_id, job) for job in jobs]
    together = threading.Barrier(2)

    def run(job: RenderRequest) -> list[Image]:
        met: list[int] = []

        def on_step(step: ModelStep) -> None:
            if not met:
                met.append(together.wait(10))

        return draw(cache, spec_id, job, on_step)

    with ThreadPoolExecutor(2) as pool:
        drawn = list(pool.map(run, jobs))
    assert all(same(a, b) for a, b in zip(alone, drawn, strict=True))


@pytest.mark.parametrize("spec_id", ALL)
def test_orders_of_several_users_in_one_call_are_each_as_alone(cache: ModelCache, spec_id: str) -> None:
    with cache.borrow_model(spec_id) as model:
        family_checks.check_batched_like_alone(model)


def test_orders_with_pictures_are_drawn_alone(cache: ModelCache) -> None:
    with cache.borrow_model("tiny-sd") as model:
        family_checks.check_batch_keys(model, ("image", "inpaint"))
