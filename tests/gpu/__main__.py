"""Draws every verb of every model once at full size and writes a page of figures with the card's name.

`python -m tests.gpu [NAME…]` draws with random weights, and with trained ones where they are on this machine. On a
processor or a small card `--shared-layers` lets layers of one shape share their weights: the real shapes and times in a
fraction of the memory. On a processor `--mapped FOLDER` keeps each weight in a file that is read as it is used: the
real bytes where memory is short.
"""

from __future__ import annotations

import argparse
import datetime
import gc
import importlib.metadata
import logging
import platform
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from pipelines.core.errors import JobCancelled, StudioError
from pipelines.core.models import ModelSpec
from pipelines.core.params import Verb
from pipelines.core.rendering import ModelStep, RenderRequest
from pipelines.core.thread_waiting import limit_spinning
from pipelines.models.devices import create_memory_gauge, detect_machine
from pipelines.models.diffusion.pipeline import DiffusionModel
from pipelines.models.families import FAMILIES, qwen_image_21
from pipelines.models.families.fashn.model import TryOnModel
from pipelines.models.families.joyimage import JOYIMAGE, JoyImageModel
from pipelines.models.families.krea import KREA, KreaModel
from pipelines.models.families.longcat import LONGCAT, LongCatModel
from pipelines.models.families.qwen_image import QWEN_EDIT, QwenModel
from pipelines.models.families.qwen_image_21 import QWEN_21, Qwen21Model
from pipelines.models.families.stable_diffusion import SD15_LCM, StableDiffusionModel
from pipelines.models.families.wan import WAN, WanModel
from pipelines.models.model_cache import CacheOptions, ModelCache
from pipelines.models.one_module import OneModuleModel
from pipelines.models.profiles import is_cached
from pipelines.models.registry import list_all_specs
from tests.gpu import sizes
from tests.gpu.test_full_size import CASES as TESTED
from tests.gpu.test_full_size import assemble_model
from tests.models.support.family_checks import make_request

CASES = {
    "sd15": (SD15_LCM, StableDiffusionModel, sizes.SD15),
    **TESTED,
    "qwen": (QWEN_EDIT, QwenModel, sizes.QWEN),
    "longcat": (LONGCAT, LongCatModel, sizes.LONGCAT),
    "joyai": (JOYIMAGE, JoyImageModel, sizes.JOYIMAGE),
    "qwen-2.1": (QWEN_21, Qwen21Model, sizes.QWEN_21),
    "krea": (KREA, KreaModel, sizes.KREA),
    "wan": (WAN, WanModel, sizes.WAN),
}
log = logging.getLogger("designerbox")


@dataclass(frozen=True)
class Figure:
    """What one verb of one model took."""

    model: str
    weights: str
    verb: Verb
    side: int
    steps: int
    seconds: float
    step_seconds: float
    first_preview_seconds: float
    cancel_seconds: float
    peak_bytes: int

    def to_row(self) -> str:
        """Return the figure as a row of a Markdown table."""
        return (
            f"| {self.model} | {self.weights} | {self.verb} | {self.side} | {self.steps} | {self.seconds:.2f} | "
            f"{self.step_seconds:.2f} | {self.first_preview_seconds:.2f} | {self.cancel_seconds:.2f} | "
            f"{self.peak_bytes / 1e9:.2f} |"
        )


def main(arguments: Sequence[str]) -> int:
    """Draw, and write the page; return the number of models that failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.gpu", description="Draw every verb once at full size.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(CASES)}; without any, all of them")
    parser.add_argument("--device", default=detect_machine().device, help="as torch names it")
    parser.add_argument("--side", type=int, default=1024, metavar="PX", help="side of the pictures (default 1024)")
    parser.add_argument("--steps", type=int, metavar="N", help="steps (default: those of the model)")
    parser.add_argument("--frames", type=int, default=121, help="pictures of a film, 4 n + 1 (default: 121)")
    parser.add_argument("--verbs", nargs="+", metavar="VERB", help="these alone (default: all of the model)")
    parser.add_argument("--shared-layers", action="store_true", help="layers of one shape share their weights")
    parser.add_argument("--mapped", type=Path, metavar="FOLDER", help="weights lie in files there, for a processor")
    parser.add_argument("--out", type=Path, metavar="FILE", help="where the page goes (default: the terminal)")
    args = parser.parse_args(arguments)
    limit_spinning()  # as app.py does
    rows, failures = [describe_machine(args.device), "", *TABLE_HEAD], 0
    for name in args.names or CASES:
        try:
            rows += [figure.to_row() for figure in measure_random(name, args)]
        except (StudioError, RuntimeError, MemoryError) as error:  # the other models are measured all the same
            failures += 1
            rows.append(f"| {name} | random | {type(error).__name__}: {str(error).splitlines()[0]} ||||||||")
        log.warning("%s", rows[-1])
    for spec in list_all_specs():
        if not args.names and spec.repo and spec.verbs and spec.family not in ("maps", "fill-nets") and is_cached(spec):
            rows += [figure.to_row() for figure in measure_trained(spec, args)]
    page = "\n".join(rows) + "\n"
    if args.out is None:
        sys.stdout.write(page)
    else:
        args.out.write_text(page, "utf-8")
    return failures


TABLE_HEAD = (
    "| model | weights | verb | side px | steps | seconds | net s a step | first preview s | stop s | "
    "memory beside the weights GB |",
    "|---|---|---|---|---|---|---|---|---|---|",
)


def describe_machine(device: str) -> str:
    """Name the card or processor, the day, and the versions."""
    import torch

    card = torch.cuda.get_device_name(device) if device.startswith("cuda") else _processor_name()
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("torch", "diffusers"))
    return f"{card}, {datetime.date.today().isoformat()}, {versions}, Python {platform.python_version()}"


def measure_random(name: str, args: argparse.Namespace) -> Iterator[Figure]:
    """Measure a model with random weights at full size."""
    spec, kind, architecture = CASES[name]
    defaults = {**dict(spec.defaults), "side": args.side, "side_min": args.side}  # else small pictures are enlarged
    spec = replace(spec, dtype="bfloat16", defaults=tuple(defaults.items()))
    pipe, net = architecture.build_pipeline(args.device, shared_layers=args.shared_layers, mapped=args.mapped)
    model = assemble_model(spec, kind, pipe, args.device)
    weights = "random, shared layers" if args.shared_layers else "random, mapped" if args.mapped else "random"
    with model.using_control_net(OneModuleModel(spec, net, args.device)), _edits_are_drawn_at(args.side):
        yield from _measure_verbs(model, weights, args)
    model.close()
    del pipe, net, model
    gc.collect()


def measure_trained(spec: ModelSpec, args: argparse.Namespace) -> Iterator[Figure]:
    """Measure a model whose weights are on this machine."""
    cache = ModelCache(FAMILIES, CacheOptions(device=args.device))
    for verb in spec.verbs:
        with cache.borrow_for_verb(spec.id, verb) as model:
            yield from _measure_verbs(model, "trained", args, (verb,))
    cache.close()


def _measure_verbs(
    model: DiffusionModel | TryOnModel, weights: str, args: argparse.Namespace, verbs: Sequence[Verb] = ()
) -> Iterator[Figure]:
    for verb in verbs or model.spec.verbs:
        if verb != "backdrop" and verb in (args.verbs or model.spec.verbs):  # a backdrop is drawn as text
            with _current_device(args.device):
                yield _measure_verb(model, weights, verb, args)


def _measure_verb(model: DiffusionModel | TryOnModel, weights: str, verb: Verb, args: argparse.Namespace) -> Figure:
    """Draw with previews, then draw and stop after the first step, then draw again: the pictures must be equal."""
    steps = args.steps or int(dict(model.spec.defaults)["num_inference_steps"])
    clip = {"frame_count": args.frames} if verb == "video" else {}
    render = make_request(verb, size=(args.side, args.side), num_inference_steps=steps, strength=1.0, **clip)
    gauge = create_memory_gauge(args.device) or HostMemoryGauge()
    before = gauge.reset_peak()
    seen: list[float] = []
    since = time.perf_counter()

    def watch(step: ModelStep) -> None:
        assert step.preview is not None
        assert step.preview().ndim == 3
        seen.append(time.perf_counter() - since)

    with _timing_net(model, args.device) as in_net:
        first = model.draw(render, watch).images[-1]
        seconds = time.perf_counter() - since
        peak = gauge.peak_bytes() - before
        of_steps = [sum(in_net) / steps]
        stopped = _measure_stop(model, render)
        in_net.clear()
        again = model.draw(render, lambda _: None).images[-1]
        of_steps.append(sum(in_net) / steps)
    if not np.array_equal(first, again):
        raise RuntimeError(f"{model.spec.id} {verb}: another picture after a stop")
    return Figure(model.spec.id, weights, verb, args.side, steps, seconds, min(of_steps), seen[0], stopped, peak)


@contextmanager
def _timing_net(model: DiffusionModel | TryOnModel, device: str) -> Iterator[list[float]]:
    """Note the seconds of each call of the transformer or UNet."""
    import torch

    net = model.module if isinstance(model, TryOnModel) else getattr(model.pipe, "transformer", None) or model.pipe.unet
    seconds: list[float] = []

    def now() -> float:
        if device.startswith("cuda"):
            torch.cuda.synchronize(device)
        return time.perf_counter()

    def end(*_: Any) -> None:
        seconds[-1] += now()

    hooks = (
        net.register_forward_pre_hook(lambda *_: seconds.append(-now())),
        net.register_forward_hook(end),
    )
    try:
        yield seconds
    finally:
        for hook in hooks:
            hook.remove()


class HostMemoryGauge:
    """Samples the memory of this process; what is mapped from files, which the system may drop, does not count."""

    def __init__(self) -> None:
        self._peak = 0
        self._is_read = threading.Event()

    def reset_peak(self) -> int:
        """See `MemoryGauge.reset_peak`."""
        self._peak = now = _own_bytes()
        threading.Thread(target=self._sample, name="memory-gauge", daemon=True).start()
        return now

    def peak_bytes(self) -> int:
        """See `MemoryGauge.peak_bytes`. It ends the measurement."""
        self._is_read.set()
        return max(self._peak, _own_bytes())

    def _sample(self) -> None:
        while not self._is_read.wait(_SAMPLE_SECONDS):
            self._peak = max(self._peak, _own_bytes())


_SAMPLE_SECONDS = 0.02


def _own_bytes() -> int:
    memory = psutil.Process().memory_info()
    return memory.rss - getattr(memory, "shared", 0)


def _measure_stop(model: DiffusionModel | TryOnModel, render: RenderRequest) -> float:
    """Stop a drawing at its first step; return the seconds from there until the model is free."""
    at: list[float] = []

    def stop(step: ModelStep) -> None:
        at.append(time.perf_counter())
        raise JobCancelled

    try:
        model.draw(render, stop)
    except JobCancelled:
        return time.perf_counter() - at[0]
    raise RuntimeError(f"{model.spec.id} did not stop")


def _current_device(device: str) -> AbstractContextManager[Any]:
    import torch

    return torch.cuda.device(device) if device.startswith("cuda") else nullcontext()


@contextmanager
def _edits_are_drawn_at(side: int) -> Iterator[None]:
    """Let the pipelines that edit draw at `side`, where they would scale everything to a megapixel."""
    from diffusers.pipelines.joyimage import image_processor
    from diffusers.pipelines.longcat_image import pipeline_longcat_image_edit as longcat
    from diffusers.pipelines.qwenimage import pipeline_qwenimage_edit_plus as qwen

    before, sides_of = (qwen.VAE_IMAGE_SIZE, qwen.CONDITION_IMAGE_SIZE), longcat.calculate_dimensions
    qwen.VAE_IMAGE_SIZE, qwen.CONDITION_IMAGE_SIZE = side * side, min(before[1], side * side)  # pyrefly: ignore[bad-assignment]
    edit_side, qwen_image_21.EDIT_SIDE_PX = qwen_image_21.EDIT_SIDE_PX, side
    buckets, image_processor.BUCKETS[1024] = image_processor.BUCKETS[1024], [(side, side)]
    longcat.calculate_dimensions = lambda area, ratio: sides_of(side * side, ratio)  # pyrefly: ignore[bad-assignment]
    try:
        yield
    finally:
        qwen.VAE_IMAGE_SIZE, qwen.CONDITION_IMAGE_SIZE = before
        longcat.calculate_dimensions = sides_of
        image_processor.BUCKETS[1024] = buckets
        qwen_image_21.EDIT_SIDE_PX = edit_side


def _processor_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "processor")


if __name__ == "__main__":
    logging.basicConfig(format="%(message)s")
    sys.exit(main(sys.argv[1:]))
