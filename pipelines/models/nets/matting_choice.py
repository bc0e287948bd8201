"""Which nets of the hub a job takes: those that cut out beside the ones that ship, and the one that fills holes."""

from __future__ import annotations

import time
from functools import lru_cache

import numpy as np

from pipelines.core.models import ModelSpec
from pipelines.models import nets
from pipelines.models.devices import total_host_bytes
from pipelines.models.families.hub_nets import FILL_NETS, GENERAL, LITE, PORTRAIT, SAM2, VITMATTE
from pipelines.models.profiles import is_cached

HUB_NETS = (LITE, GENERAL, PORTRAIT, VITMATTE, SAM2)
"""The nets of the hub that make cut-outs better, in the order in which they are offered."""
SMALLEST_NETS = (LITE, VITMATTE, SAM2)
"""The smallest of each kind: of whole subjects, of edges, and of what somebody points at."""
RUN_MEMORY_RATIO = 0.75  # of the machine's memory, at most: the studio and what else runs need the rest


def choose_hub_nets(*, for_portrait: bool) -> dict[str, str]:
    """Return the hub's nets that a job takes, by role: of those on this machine that fit its memory, the best."""
    ranked = {
        "matte-hub": (PORTRAIT, GENERAL, LITE) if for_portrait else (GENERAL, LITE),
        "matte-edge": (VITMATTE,),
        "point": (SAM2,),
    }
    found = {role: next(filter(_is_cached_and_fits, specs), None) for role, specs in ranked.items()}
    return {role: spec.id for role, spec in found.items() if spec is not None}


def find_fill_net() -> ModelSpec | None:
    """Return the best net that fills holes, is here and fits this machine's memory; None without one."""
    return next(filter(_is_cached_and_fits, FILL_NETS.specs), None)


def _is_cached_and_fits(spec: ModelSpec) -> bool:
    return fits_memory(spec) and is_cached(spec)


def fits_memory(spec: ModelSpec) -> bool:
    """Tell whether a run of a hub net fits the memory of this machine."""
    return run_bytes(spec) <= RUN_MEMORY_RATIO * total_host_bytes()


def run_bytes(spec: ModelSpec) -> int:
    """Return the bytes of memory that a run of a hub net takes at its highest, measured beforehand."""
    return int(dict(spec.options)["run_bytes"])


def estimate_run_seconds(spec: ModelSpec) -> float:
    """Estimate the seconds of a run of a hub net here: those of small U2-Net, measured once, times a known ratio."""
    return float(dict(spec.options)["u2net_runs"]) * _measure_u2net_seconds()


@lru_cache(maxsize=1)
def _measure_u2net_seconds() -> float:
    """Measure the seconds of a run of small U2-Net on as many threads as a hub net takes; the quickest of three."""
    from pipelines.models.nets.birefnet import BiRefNet
    from pipelines.models.nets.u2net import U2Net

    class TimedU2Net(U2Net):
        thread_count = BiRefNet.thread_count

    net, photo, seconds = TimedU2Net(nets.U2NETP), np.zeros((64, 64, 3), np.uint8), []
    for _ in range(3):
        started = time.perf_counter()
        net.predict_map(photo)
        seconds.append(time.perf_counter() - started)
    net.close()
    return min(seconds)
