"""Which model serves which verb, and why this set was taken; knows nothing of jobs, and does not import torch.

Rows that need a family which is not there yet are not listed: what can be chosen can be served.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace

from pipelines.models.devices import Device, Machine, find_machine
from pipelines.models.families import driver
from pipelines.models.specs import spec
from pipelines.types import BadInput, ModelSpec, ModelUnavailable, Profile

HUB = "https://huggingface.co"

EMBEDDED = Profile("embedded", {"backdrop": "backdrops"}, "Embedded")
LIGHT = Profile("light", dict.fromkeys(("backdrop", "text", "image", "inpaint"), "sd15-lcm"), "Stable Diffusion 1.5")
SDXL = Profile("sdxl", dict.fromkeys(("backdrop", "text", "image", "inpaint"), "sdxl"), "Stable Diffusion XL")

PROFILES = (EMBEDDED, LIGHT, SDXL)

# For a GPU, the largest first; `light` is also for a CPU, but only when it is asked for: it takes a minute there.
_BY_MEMORY = (SDXL, LIGHT)


def choose(
    wanted: str | None = None,
    machine: Machine | None = None,
    cached: Callable[[ModelSpec], bool] | None = None,
    reachable: Callable[[], bool] | None = None,
) -> tuple[Profile, Device]:
    """The profile to serve with, its reason filled in, and the device to serve it on.

    Without `wanted` the best that fits the GPU's memory, and `embedded` without a GPU. A profile whose weights are
    neither cached nor reachable becomes `embedded`, and the reason says so. `reachable` tells whether the hub answers
    (`engines.hub`); it is asked only when there is a GPU or a profile was asked for, and without it only cached weights
    count. `machine` and `cached` are what is found here unless given. Raises `BadInput` for a name no profile has.
    """
    machine = machine or find_machine()
    row, reason = _named(wanted) if wanted else _fitting(machine)
    if row is EMBEDDED:
        return replace(row, reason=reason), machine.device
    if (cached or is_cached)(_model(row)):
        return replace(row, reason=f"{reason} Its weights are on this machine."), machine.device
    if reachable is not None and reachable():
        return replace(row, reason=f"{reason} Its weights come from the hub with the first job."), machine.device
    return replace(EMBEDDED, reason=_unreachable(row)), machine.device


def is_cached(row: ModelSpec) -> bool:
    """Whether every weight of a diffusion spec lies on this machine."""
    try:
        driver.find(row, offline=True)
    except ModelUnavailable:
        return False
    return True


def hub() -> str:
    """Where weights come from, without a network call: HF_ENDPOINT or the public hub."""
    return os.environ.get("HF_ENDPOINT") or HUB


def _named(wanted: str) -> tuple[Profile, str]:
    for row in PROFILES:
        if row.id == wanted:
            return row, f"Profile '{wanted}' was asked for."
    names = ", ".join(row.id for row in PROFILES)
    raise BadInput(f"There is no profile '{wanted}'. There are: {names}.", param="profile")


def _fitting(machine: Machine) -> tuple[Profile, str]:
    if machine.device == "cpu":
        return EMBEDDED, f"{machine.reason} Everything embedded works."
    for row in _BY_MEMORY:
        if machine.memory >= _model(row).min_vram:
            return row, machine.reason
    return EMBEDDED, f"{machine.reason} That is less than the smallest diffusion model needs."


def _model(row: Profile) -> ModelSpec:
    return spec(row.specs["text"])


def _unreachable(row: Profile) -> str:
    return (
        f"Profile '{row.id}' needs the weights of {_model(row).repo}, which are not on this machine, "
        f"and {hub()} did not answer: the embedded models serve instead."
    )
