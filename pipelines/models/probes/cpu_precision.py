"""The faster way to compute on a processor, measured: in float32 or bfloat16, by torch's layers or `cpu_layers`.

What a processor says of itself does not tell: with avx512_bf16 and without AMX, bfloat16 is twice as fast as float32 in
one version of torch and slower in another.
"""

from __future__ import annotations

import logging
import os
import platform
import re
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from pipelines.models.diffusion import cpu_layers
from pipelines.models.peak_memory import read_rows, write_rows

MIN_GAIN_RATIO = 1.1  # bfloat16 is less exact, so that it has to gain something, as do layers that are not torch's own
_ROUND_COUNT = 3  # the fastest counts, since other programs only ever slow a round down
_FINE_CLOCK_SECONDS = 1e-4

log = logging.getLogger("designerbox")


@dataclass(frozen=True)
class PrecisionTimes:
    """Seconds of the same layers in both types, on this processor with this torch and number of threads.

    The ratios: how many times as fast as torch's own layers those of `cpu_layers` are in the faster type.
    """

    processor: str
    torch: str
    threads: int
    float32_seconds: float
    bfloat16_seconds: float
    attention_ratio: float
    convolution_ratio: float

    @property
    def speed_ratio(self) -> float:
        """How many times as fast bfloat16 is as float32."""
        return self.float32_seconds / self.bfloat16_seconds

    @property
    def dtype(self) -> str:
        """The type to compute in."""
        return _faster_type(self.float32_seconds, self.bfloat16_seconds)

    @property
    def attends_by_products(self) -> bool:
        """Whether `cpu_layers.attend` is the faster attention."""
        return self.attention_ratio >= MIN_GAIN_RATIO

    @property
    def convolves_by_products(self) -> bool:
        """Whether `cpu_layers.convolve` is the faster convolution of few pixels and many channels."""
        return self.convolution_ratio >= MIN_GAIN_RATIO


def _faster_type(float32_seconds: float, bfloat16_seconds: float) -> str:
    return "bfloat16" if float32_seconds / bfloat16_seconds >= MIN_GAIN_RATIO else "float32"


class CpuPrecision:
    """Measures once for a processor, torch and number of threads. Safe from any thread."""

    def __init__(
        self,
        measure: Callable[[], tuple[float, float]] | None = None,
        measure_gains: Callable[[str], tuple[float, float]] | None = None,
    ) -> None:
        self._measure = measure or measure_layers
        self._measure_gains = measure_gains or measure_product_gains
        self._lock = threading.Lock()
        self._file: Path | None = None
        self._rows: list[PrecisionTimes] = []

    def remember_in(self, file: Path) -> None:
        """Read what was measured before a restart from `file`, and write there what will be measured."""
        with self._lock:
            self._file, self._rows = file, read_rows(file, _times_from_row)

    def choose_dtype(self) -> str:
        """Return "bfloat16" or "float32"; see `measure_once`."""
        return self.measure_once().dtype

    def measure_once(self) -> PrecisionTimes:
        """Return what was measured here; the first call on a machine measures, for about half a second."""
        import torch

        key = processor_name(), torch.__version__, torch.get_num_threads()
        with self._lock:
            known = next((row for row in self._rows if (row.processor, row.torch, row.threads) == key), None)
            if known is None:
                times = self._measure()
                known = PrecisionTimes(*key, *times, *self._measure_gains(_faster_type(*times)))
                self._rows = [*self._rows, known]
                log.info("%s", _describe_times(known))
                if self._file is not None:
                    write_rows(self._file, [asdict(row) for row in self._rows])
            return known

    def describe_choice(self) -> str:
        """Return what was chosen and why, in a sentence; what will be done where nothing was measured yet."""
        rows = [row for row in self._rows if row.processor == processor_name()]
        return _describe_times(rows[-1]) if rows else "The first downloaded model measures which type is faster here."


def _describe_times(row: PrecisionTimes) -> str:
    other = "float32" if row.dtype == "bfloat16" else "bfloat16"
    ratio = row.speed_ratio if row.dtype == "bfloat16" else 1 / row.speed_ratio
    return f"Downloaded models compute in {row.dtype}: measured, {ratio:.1f} times as fast as {other} here."


def measure_layers() -> tuple[float, float]:
    """Time layers as they are in Stable Diffusion's UNet and decoder; return seconds in float32 and in bfloat16."""
    import torch

    with torch.inference_mode():
        return _time_pair(*(_make_layers(torch, dtype) for dtype in (torch.float32, torch.bfloat16)))


def measure_product_gains(dtype: str) -> tuple[float, float]:
    """Time attention and a convolution as a UNet has them; return how many times as fast `cpu_layers` computes each."""
    import torch

    functional, kind = torch.nn.functional, getattr(torch, dtype)
    with torch.inference_mode():
        tokens, heads = torch.rand(1, 1024, 320).to(kind), 5
        parts = tokens.unflatten(2, (heads, -1)).transpose(1, 2)
        own, product = _time_pair(
            lambda: functional.scaled_dot_product_attention(parts, parts, parts),
            lambda: cpu_layers.attend(tokens, tokens, tokens, heads),
        )
        attention_ratio = own / product
        pixels, weight = torch.rand(1, 1280, 8, 8).to(kind), torch.full((1280, 1280, 3, 3), 0.01, dtype=kind)
        own, product = _time_pair(
            lambda: functional.conv2d(pixels, weight, padding=1), lambda: cpu_layers.convolve(pixels, weight, None)
        )
    return attention_ratio, own / product


def _time_pair(first: Callable[[], object], second: Callable[[], object]) -> tuple[float, float]:
    """Return the seconds of each, the best of some rounds after a first call, which prepares the kernels."""
    best = [float("inf"), float("inf")]
    first()
    second()
    for _ in range(_ROUND_COUNT):
        for n, run in enumerate((first, second)):  # in turn, so that whatever else the machine does falls on both
            best[n] = min(best[n], _time_call(run))
    return best[0], best[1]


def _make_layers(torch: Any, dtype: Any) -> Callable[[], object]:
    """Make a function that runs a convolution, a linear layer and an attention, in about the shares of a UNet."""
    functional = torch.nn.functional
    wide, tall = torch.rand(1, 320, 32, 32).to(dtype), torch.rand(1, 64, 96, 96).to(dtype)
    wide_weight, tall_weight = torch.rand(320, 320, 3, 3).to(dtype), torch.rand(64, 64, 3, 3).to(dtype)
    tokens, weight = torch.rand(1024, 320).to(dtype), torch.rand(2560, 320).to(dtype)
    heads = torch.rand(1, 5, 1024, 64).to(dtype)

    def run() -> None:
        functional.conv2d(wide, wide_weight, padding=1)
        functional.conv2d(tall, tall_weight, padding=1)
        functional.linear(tokens, weight)
        functional.scaled_dot_product_attention(heads, heads, heads)

    return run


def _time_call(run: Callable[[], object]) -> float:
    # The processor's own time, where it is counted finely, says nothing of what other programs take meanwhile.
    is_fine = time.get_clock_info("process_time").resolution <= _FINE_CLOCK_SECONDS and os.name != "nt"
    clock = time.process_time if is_fine else time.perf_counter
    start = clock()
    run()
    return max(clock() - start, 1e-9)


@lru_cache(maxsize=1)
def processor_name() -> str:
    """Return the name of the processor, so that times measured on one are not used for another."""
    try:
        found = re.search(r"^model name\s*:\s*(.*)$", Path("/proc/cpuinfo").read_text("utf-8"), re.MULTILINE)
    except OSError:  # not Linux
        found = None
    return found.group(1) if found else platform.processor() or platform.machine()


def _times_from_row(row: dict[str, Any]) -> PrecisionTimes:
    names = "float32_seconds", "bfloat16_seconds", "attention_ratio", "convolution_ratio"
    values = [float(row[name]) for name in names]
    assert min(values) > 0
    return PrecisionTimes(str(row["processor"]), str(row["torch"]), int(row["threads"]), *values)


THIS_PROCESSOR = CpuPrecision()
"""Of this process: whatever is loaded on the processor is loaded in the same type."""
