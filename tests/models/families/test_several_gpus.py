"""Several GPUs in one process: every family loads onto the device of its lane, and draws under it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.core.errors import ModelUnavailable
from pipelines.core.models import ModelSpec
from pipelines.core.rendering import RenderedImages, RenderRequest
from pipelines.core.stream import Stream
from pipelines.engines.cpu_slots import CpuSlots
from pipelines.engines.dynamic_batching import DynamicBatcher
from pipelines.models.checkpoint import find_component_class
from pipelines.models.diffusion import loader
from pipelines.models.families import qwen_image_21
from pipelines.models.model_cache import CacheOptions, ModelCache
from tests.models.families.test_families import VERBS, make_tiny_families
from tests.models.support.family_checks import are_identical, draw_pictures, ignore_step, make_request

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(scope="module")
def families(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Any]]:
    from diffusers.pipelines import pipeline_utils
    from diffusers.pipelines.joyimage import image_processor
    from diffusers.pipelines.longcat_image import pipeline_longcat_image_edit as longcat
    from diffusers.pipelines.qwenimage import pipeline_qwenimage_edit_plus as qwen

    patch = pytest.MonkeyPatch()
    # As on a machine with CUDA, where "cuda:1" is not among them, as "cpu:1" is not here.
    patch.setattr(pipeline_utils, "SUPPORTED_DEVICE_MAP", ["balanced", "cuda", "cpu"])
    patch.setattr(qwen, "VAE_IMAGE_SIZE", 96 * 96)
    patch.setattr(qwen, "CONDITION_IMAGE_SIZE", 64 * 64)
    patch.setattr(qwen_image_21, "EDIT_SIDE_PX", 96)
    patch.setitem(image_processor.BUCKETS, 1024, [(96, 96), (128, 96)])
    sides_of = longcat.calculate_dimensions
    patch.setattr(longcat, "calculate_dimensions", lambda area, ratio: sides_of(96 * 96, ratio))
    yield make_tiny_families(tmp_path_factory.mktemp("lanes"))
    patch.undo()


@pytest.mark.parametrize(
    ("name", "lanes"), [(name, (0, 1) if name in ("stable_diffusion", "flux2") else (1,)) for name in VERBS]
)  # the first lane, which is as on a machine with one device, for a UNet and for a transformer
def test_lanes_load_a_checkpoint_each_onto_their_own_device(
    families: list[Any], name: str, lanes: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []
    load = loader._load_component

    def note_device(folder: Path, part: str, row: ModelSpec, **arguments: Any) -> Any:
        asked.append(arguments["device_map"])
        return load(folder, part, row, **arguments)

    monkeypatch.setattr(loader, "_load_component", note_device)
    drawn = []
    for n in lanes:
        cache = ModelCache(families, CacheOptions(device=f"cpu:{n}"))
        with cache.borrow_for_verb(f"tiny-{name}", VERBS[name][-1]) as model:
            assert model.device == f"cpu:{n}"
            drawn.append(draw_pictures(model, make_request(VERBS[name][-1], num_inference_steps=1)))
        cache.close()
    assert are_identical(drawn[0], drawn[-1])
    count = len(asked) // len(lanes)
    assert asked == [f"cpu:{n}" for n in lanes for _ in range(count)]
    assert count >= 2, "transformer or UNet, decoder, and mostly a text encoder"


def test_a_component_of_a_foreign_library_is_not_imported(tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_text('{"vae": ["os", "system"], "unet": "text"}')
    for name in ("vae", "unet", "missing"):
        with pytest.raises(ModelUnavailable, match=name):
            find_component_class(tmp_path, name)


class NotedDevices:
    """Stands for torch.cuda: notes which device is the current one of the thread."""

    def __init__(self) -> None:
        self.current = "cuda:0"

    @contextlib.contextmanager
    def device(self, name: str) -> Iterator[None]:
        before, self.current = self.current, name
        yield
        self.current = before


class NotingFamily:
    """A checkpoint that notes the current device when it is loaded and when it draws."""

    specs = (ModelSpec("noting", "noting", ("text",), "Apache-2.0"),)

    def __init__(self, cuda: NotedDevices) -> None:
        self._cuda = cuda
        self.seen: list[str] = []

    def load(self, spec: ModelSpec, device: str) -> NotingFamily:
        self.spec = spec
        self.seen.append(self._cuda.current)
        return self

    def estimate_bytes(self, spec: ModelSpec) -> int:
        return 1

    def draw(self, render: RenderRequest, on_step: object) -> RenderedImages:
        self.seen.append(self._cuda.current)
        return RenderedImages((np.zeros((8, 8, 3), np.uint8),))

    def close(self) -> None: ...


@pytest.mark.parametrize(("device", "current"), [("cuda:1", "cuda:1"), ("cpu", "cuda:0")])
def test_a_lane_loads_and_draws_under_its_device(device: str, current: str, monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = NotedDevices()
    monkeypatch.setattr("torch.cuda.device", cuda.device)
    monkeypatch.setattr("pipelines.models.oom_fallback.create_memory_gauge", lambda device: None)
    family = NotingFamily(cuda)
    cache = ModelCache((family,), CacheOptions(device=device))
    batcher = DynamicBatcher(cache, 0)
    draw = batcher.make_draw(Stream(), None, CpuSlots(1))
    draw("noting", RenderRequest("text", "a cup", (8, 8), (1,)), ignore_step, lambda spec: None)
    batcher.close()
    cache.close()
    assert family.seen == [current, current]
    assert cuda.current == "cuda:0"
