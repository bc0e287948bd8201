"""The same tool, engine and queue with a diffusion model behind the `backdrop` verb instead of the built-in scenes."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.core.errors import JobCancelled
from pipelines.core.job import Job, Result, Step
from pipelines.core.stream import wait_for_result
from pipelines.models.diffusion import loader
from pipelines.models.families import FAMILIES
from pipelines.models.model_cache import CacheOptions, ModelCache
from pipelines.provenance.c2pa import read_source_type
from pipelines.runtime.progress import COMPILING_STAGE, LOADING_STAGE
from tests.models.support.tiny_checkpoints import tiny_family
from tests.support.examples import load_example
from tests.support.real_studio import RealStudio

DRAWS = "Setting the scene"


class DiffusionStudio(RealStudio):
    """A studio whose scenes are drawn by a tiny checkpoint."""

    def __init__(self, root: Path) -> None:
        cache = ModelCache((*FAMILIES, tiny_family(root / "models")))
        super().__init__(root, cache=cache)
        self.lora = root / "models" / "tiny-lora" / "pytorch_lora_weights.safetensors"

    def make_scene_job(self, *, seed: int = 3, adapters: dict[str, float] | None = None, **params: object) -> Job:
        """A background job whose scene is drawn."""
        return Job(
            id=f"job-{uuid.uuid4().hex}",
            tool="background",
            params={"prompt": "a harbour", "size": 256, **params},
            seed=seed,
            profile="tiny",
            specs={"backdrop": "tiny-sd", "matte": "u2netp"},
            owner=self.owner,
            created=time.time(),
            adapters=adapters or {},
            consent=time.time(),
        )


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DiffusionStudio]:
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with DiffusionStudio(tmp_path_factory.mktemp("studio")) as studio:
        yield studio
    torch.set_num_threads(threads)


def test_a_drawn_scene_comes_step_by_step_with_previews_and_a_receipt(studio: DiffusionStudio):
    watch = studio.jobs.submit_and_watch(studio.make_scene_job())
    events = list(watch)
    steps = [event for event in events if isinstance(event, Step) and event.stage == DRAWS]
    assert [(step.index, step.total) for step in steps][-1] == (4, 4)
    assert any(step.preview for step in steps)
    result = events[-1]
    assert isinstance(result, Result)
    assert (result.files[0].width, result.files[0].height) == (256, 256)
    assert [row["id"] for row in result.receipt["models"]] == ["tiny-sd"]


def test_the_subject_s_core_stays_exact_before_a_drawn_scene(studio: DiffusionStudio):
    photo = studio.add_image(load_example("astronaut"))
    result = studio.run_job(studio.make_scene_job(photo=photo))
    assert result.receipt["checks"]["core_changed_pixels"] == 0
    assert {"tiny-sd", "u2netp"} <= {row["id"] for row in result.receipt["models"]}


def test_same_job_same_pixels_and_the_second_loads_nothing(studio: DiffusionStudio):
    first, second = (studio.run_job(studio.make_scene_job(variations=2)) for _ in range(2))
    hashes = [[file.pixels_sha256 for file in result.files] for result in (first, second)]
    assert hashes[0] == hashes[1]
    assert len(set(hashes[0])) == 2
    assert studio.cache.load_counts["tiny-sd"] == 1


def test_a_cancelled_drawing_frees_model_and_lane_and_the_next_is_right(studio: DiffusionStudio):
    before = studio.run_job(studio.make_scene_job()).files[0].pixels_sha256
    with studio.cache.borrow_model("tiny-sd") as model:
        slow = model.pipe.unet.register_forward_hook(lambda *_: time.sleep(0.15))
    watch = studio.jobs.watch(job_id := studio.jobs.submit(studio.make_scene_job(variations=4)))
    next(event for event in watch if isinstance(event, Step) and event.stage == DRAWS)
    studio.jobs.cancel(job_id)
    with pytest.raises(JobCancelled):
        wait_for_result(watch)
    slow.remove()
    assert studio.run_job(studio.make_scene_job()).files[0].pixels_sha256 == before
    assert all(row["in_use"] == 0 for row in studio.cache.resident_models())


def test_a_team_stands_before_one_drawn_backdrop_and_keeps_its_pixels(studio: DiffusionStudio):
    photos = [studio.add_image(load_example(name)) for name in ("astronaut", "hopper")]
    params = {"photos": photos, "size": 384, "layout": "portraits", "background": "a harbour"}
    result = studio.run_job(studio.make_scene_job().model_copy(update={"tool": "business", "params": params}))
    assert result.receipt["checks"]["core_changed_pixels"] == 0
    assert "tiny-sd" in {row["id"] for row in result.receipt["models"]}
    one, other = (studio.files.open_image(file.id) for file in result.files[:2])
    assert np.abs(one[:20, :20].astype(int) - other[:20, :20]).mean() < 4, "the same backdrop, but for the grain"


def test_the_receipt_has_the_words_that_the_model_got_or_those_written_instead(studio: DiffusionStudio):
    written = studio.run_job(studio.make_scene_job())
    assert written.receipt["words"] == ["a harbour, background photograph, no people"]
    own = studio.run_job(studio.make_scene_job(model_words="a quiet harbour at dawn"))
    assert own.receipt["words"] == ["a quiet harbour at dawn"]
    assert own.files[0].pixels_sha256 != written.files[0].pixels_sha256


def test_a_lora_is_worn_for_its_job_alone(studio: DiffusionStudio):
    def drawn(**adapters: float) -> str:
        worn = {str(studio.lora): weight for weight in adapters.values()}
        return studio.run_job(studio.make_scene_job(adapters=worn)).files[0].pixels_sha256

    bare, worn = drawn(), drawn(a=1.0)
    assert worn != bare
    assert drawn() == bare
    assert drawn(a=0.3) != worn
    assert studio.cache.load_counts["tiny-sd"] == 1


def test_a_kept_style_is_the_one_that_its_lora_drew_and_says_what_drew_it(studio: DiffusionStudio):
    photo = studio.add_image(np.ascontiguousarray(load_example("coffee")[:256, :256]))
    steps: list[object] = []
    with studio.cache.borrow_model("tiny-sd") as model:
        counted = model.pipe.unet.register_forward_hook(lambda *_: steps.append(_))

    def drawn(strength: int = 100, **adapters: float) -> Result:
        params = {"photo": photo, "prompt": "ink on paper", "size": 256, "strength": strength, "face_lock": False}
        worn = {str(studio.lora): weight for weight in adapters.values()}
        job = studio.make_scene_job(adapters=worn).model_copy(update={"tool": "style", "params": params})
        return studio.run_job(job.model_copy(update={"specs": {"image": "tiny-sd", "matte": "u2netp"}}))

    def pixels(result: Result) -> str:
        return result.files[0].pixels_sha256

    try:
        first, bare, other = drawn(a=1.0), drawn(), drawn(b=0.3)
        assert len({pixels(result) for result in (first, bare, other)}) == 3
        before = len(steps)
        again, mixed = drawn(a=1.0), drawn(40, a=1.0)
        assert len(steps) == before, "both were laid from the kept picture"
    finally:
        counted.remove()
    assert pixels(again) == pixels(first) != pixels(mixed)
    for result in (again, mixed):
        assert result.receipt["models"] == first.receipt["models"]
        assert result.receipt["notices"] == first.receipt["notices"]
        said = read_source_type(studio.files.read_bytes(result.files[0].id, "me"))
        assert said == read_source_type(studio.files.read_bytes(first.files[0].id, "me"))
        assert said.endswith("compositeWithTrainedAlgorithmicMedia") or said.endswith("trainedAlgorithmicMedia")


def test_a_job_that_reads_its_checkpoint_says_so_and_the_next_does_not(studio: DiffusionStudio):
    for spec in studio.cache.resident_models():
        studio.cache.unload_model(spec["id"])
    for loads in (True, False):
        *steps, _ = studio.engine.run(studio.make_scene_job())
        stages = [step.stage for step in steps if isinstance(step, Step)]
        assert (LOADING_STAGE in stages) == loads
        assert DRAWS in stages
        told = [(step.index, step.total) for step in steps if isinstance(step, Step) and step.stage == LOADING_STAGE]
        assert told == ([(0, 1), (0, 3), (1, 3), (2, 3)] if loads else [])


def test_reading_ends_between_two_parts_where_nobody_waits_any_more(
    studio: DiffusionStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    studio.cache.unload_model("tiny-sd")
    read, is_stopped, load_component = list[str](), threading.Event(), loader._load_component

    def load_once_stopped(folder: Path, name: str, *args: Any, **arguments: Any) -> Any:
        read.append(name)
        assert is_stopped.wait(20)
        return load_component(folder, name, *args, **arguments)

    monkeypatch.setattr(loader, "_load_component", load_once_stopped)
    watch = studio.jobs.watch(job_id := studio.jobs.submit(studio.make_scene_job()))
    next(event for event in watch if isinstance(event, Step) and event.stage == LOADING_STAGE and event.total == 3)
    studio.jobs.cancel(job_id)
    with pytest.raises(JobCancelled):
        wait_for_result(watch)
    is_stopped.set()
    studio.engine._batcher._device_thread.submit(lambda: None).result(20)
    assert len(read) == 1
    studio.run_job(studio.make_scene_job())
    assert len(read) == 1 + 3


@pytest.mark.filterwarnings("ignore:Guards may run slower on Python 3.13.0:RuntimeWarning")
def test_a_job_whose_model_is_compiled_says_so_and_the_next_does_not(tmp_path: Path):
    """Here the blocks run as they are: `test_speed_ups` and `test_lora` look at what is traced of them."""
    import torch

    options = CacheOptions(extra_options=(("compile", "eager"),))
    cache = ModelCache((*FAMILIES, tiny_family(tmp_path / "models")), options)
    with torch.compiler.set_stance("force_eager"), RealStudio(tmp_path, cache=cache) as compiled:
        for compiles in (True, False):
            *steps, _ = compiled.engine.run(DiffusionStudio.make_scene_job(compiled, size=256))  # pyrefly: ignore[bad-argument-type]
            stages = [step.stage for step in steps if isinstance(step, Step)]
            assert (COMPILING_STAGE in stages) == compiles
