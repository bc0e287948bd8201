"""Which GPU: machines whose drivers and torch are faked in the probe's own process get the right profile and reason."""

from __future__ import annotations

import importlib.util
import io
import json
import runpy
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipelines.models import devices, profiles
from pipelines.models.devices import Machine, detect_machine, find_cuda_devices
from pipelines.models.probes import gpu_child, gpu_probe, gpu_refusals, gpu_signs
from pipelines.models.probes.gpu_signs import GpuSigns, TorchBuild
from pipelines.models.profiles import KLEIN, choose_profile, select_cards
from ui import i18n
from ui.home_tab.cards import render_banner
from ui.settings_tab import render_about

GB = 10**9
FAKES = Path(__file__).parent / "support" / "fake_gpu"
HOST_BYTES = 128 * GB
CUDA, HIP, XPU, CPU_BUILD = (
    {name: "1" if name == kind else None for name in ("cuda", "hip", "xpu")} for kind in ("cuda", "hip", "xpu", "")
)
OLD_DRIVER = "The NVIDIA driver on your system is too old (found version 12040). Please update your GPU driver."
NO_KERNEL = "CUDA error: no kernel image is available for execution on the device\nSearch for more."
PC, WSL, WINDOWS, JETSON, AMD = "dev/nvidia0", "dev/dxg", "System32/nvcuda.dll", "dev/nvhost-gpu", "dev/kfd"


def card(name: str, total: int, free: float | None = None, **more: Any) -> dict[str, Any]:
    return {"name": name, "total": total * GB, "free": int((total - 0.7 if free is None else free) * GB), **more}


RTX_4090, RTX_3060, OLD_1080 = card("RTX 4090", 25), card("RTX 3060", 12), card("GTX 1080", 8, capability=(6, 1))


@dataclass(frozen=True)
class Case:
    """A machine: its device files, what drivers and torch answer, and what has to come of it."""

    files: tuple[str, ...] = ()
    build: Mapping[str, str | None] = field(default_factory=lambda: CUDA)
    cards: tuple[dict[str, Any], ...] = ()
    nvml: tuple[tuple[str, int], ...] | None = None  # default: as torch says
    system: str = "Linux"
    more: Mapping[str, Any] = field(default_factory=dict)
    amd: int = 0
    environment: Mapping[str, str] = field(default_factory=dict)
    device: str = "cpu"
    profile: str = "embedded"
    says: tuple[str, ...] = ()

    @property
    def answers(self) -> dict[str, Any]:
        nvml = [(row["name"], row["total"]) for row in self.cards] if self.nvml is None else self.nvml
        return {"build": dict(self.build), "cards": self.cards, "nvml": nvml, "driver": "580.95", **self.more}


MACHINES = {
    "no card": Case(says=("No graphics card (GPU) was found.",)),
    "WSL2": Case((WSL,), cards=(RTX_4090,), device="cuda", profile="klein", says=("RTX 4090 with 23 GB found",)),
    "WSL2 whose card is no NVIDIA": Case((WSL,), nvml=(), says=("No graphics card (GPU) was found.",)),
    "Windows": Case(
        (WINDOWS,), cards=(card("RTX 4060", 8),), system="Windows", device="cuda", profile="light",
        says=("RTX 4060 with 7 GB",),
    ),
    "unified memory, most of it holding files": Case(
        (PC,), cards=(card("NVIDIA GB10", 128, 8, integrated=True),), nvml=(("NVIDIA GB10", 0),),
        device="cuda", profile="quality", says=("shared with the processor",),
    ),
    "unified memory, said by NVML alone": Case(
        (JETSON,), cards=(card("Orin", 128, 8),), nvml=(("Orin", 0),), device="cuda", profile="quality",
    ),
    "driver too old": Case(
        (PC,), nvml=(("RTX 4090", 25 * GB),), more={"init_error": OLD_DRIVER, "driver": "550.54.15"},
        says=("RTX 4090 was found", "550.54.15", "580 or newer", "Update the driver", gpu_refusals.OLD_CUDA_INDEX_URL),
    ),
    "driver too old for any": Case(
        (PC,), nvml=(("RTX 2080", 8 * GB),), more={"init_error": OLD_DRIVER, "driver": "470.82"},
        says=("470.82", "Update the driver."),
    ),
    "card older than the code of torch": Case(
        (PC,), cards=({**OLD_1080, "error": NO_KERNEL},),
        says=("GTX 1080", "no code for it (sm_61)", gpu_refusals.OLD_CUDA_INDEX_URL),
    ),
    "card newer than the code of torch": Case(
        (PC,), cards=(card("RTX 7090", 48, capability=(13, 0), error=NO_KERNEL),),
        says=("no code for it (sm_130)", "pip install --upgrade torch"),
    ),
    "card that nobody builds for": Case(
        (PC,), cards=(card("GTX 780", 3, capability=(3, 5), error=NO_KERNEL),), says=("The card is too old.",),
    ),
    "small first, large second": Case(
        (PC,), cards=(card("GT 1030", 2, capability=(6, 1)), RTX_4090), device="cuda:1", profile="klein",
        says=("2 GPUs found, the best is RTX 4090",),
    ),
    "two equal": Case(
        (PC,), cards=(RTX_4090, RTX_4090), device="cuda:0", profile="klein", says=("2 GPUs found",),
    ),
    "first broken, second good": Case(
        (PC,), cards=({**OLD_1080, "error": NO_KERNEL}, RTX_3060), device="cuda:1", profile="sdxl",
        says=("RTX 3060 with 11 GB found", "Left out: GTX 1080"),
    ),
    "ROCm": Case(
        (AMD,), HIP, (card("Radeon RX 7900 XTX", 25),), (), device="cuda", profile="klein", says=("Radeon RX 7900",),
    ),
    "AMD card, torch without ROCm": Case((AMD,), amd=24 * GB, says=("AMD GPU with 22 GB", "ROCm")),
    "AMD inside the processor": Case((AMD,), amd=GB // 2, says=("No graphics card (GPU) was found.",)),
    "MPS": Case(
        (), CPU_BUILD, (card("Apple", 128),), (), "Darwin", {"recommended": 23 * GB}, device="mps", profile="klein",
        says=("Apple GPU with", "GB shared with the processor"),
    ),
    "XPU": Case((), XPU, (card("Intel Arc B580", 12),), (), says=("Intel Arc B580 was found", "NVIDIA, AMD and Apple")),
    "held by another program": Case(
        (PC,), cards=({**RTX_4090, "error": "CUDA error: out of memory\nmore"},), says=("other programs hold it",),
    ),
    "held exclusively": Case(
        (PC,), cards=({**RTX_4090, "error": "CUDA error: CUDA-capable device(s) is/are busy or unavailable"},),
        says=("other programs hold it",),
    ),
    "torch for processors": Case(
        (PC,), CPU_BUILD, nvml=(("RTX 4090", 25 * GB),),
        says=("RTX 4090 was found", "processor only", gpu_refusals.CUDA_INDEX_URL),
    ),
    "torch that cannot be imported": Case(
        (PC,), nvml=(("RTX 4090", 25 * GB),), more={"import_error": "libcudart.so.13: cannot open"},
        says=("torch cannot be imported: libcudart.so.13",),
    ),
    "driver that crashes": Case((PC,), cards=({**RTX_4090, "crash": True},), says=("RTX 4090", "crashed")),
    "driver updated while it ran": Case(
        (PC,), nvml=(), more={"nvml_error": "Driver/library version mismatch", "init_error": "CUDA unknown error"},
        says=("Restart the machine.",),
    ),
    "another error": Case(
        (PC,), cards=({**RTX_4090, "error": "CUDA error: an illegal instruction was encountered\nmore"},),
        says=("nothing can be computed on it: CUDA error: an illegal instruction was encountered.",),
    ),
    "hidden": Case(
        (PC,), cards=(RTX_4090,), environment={"CUDA_VISIBLE_DEVICES": ""}, says=("CUDA_VISIBLE_DEVICES hides",),
    ),
}  # fmt: skip


@pytest.fixture
def machine(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    case: Case = request.param
    (tmp_path / "answers.json").write_text(json.dumps(case.answers))
    for name in case.files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    for name, value in {
        "FAKE_GPU": str(tmp_path / "answers.json"),
        "PYTHONPATH": str(FAKES),
        **case.environment,
    }.items():
        monkeypatch.setenv(name, value)
    signs = gpu_signs.find_signs(tmp_path, case.system, "arm64" if case.system == "Darwin" else "x86_64")
    build = TorchBuild(is_installed=True, **{name: value or "" for name, value in case.build.items()})
    monkeypatch.setattr(gpu_signs, "find_signs", lambda: signs)
    monkeypatch.setattr(gpu_signs, "read_torch_build", lambda: build)
    monkeypatch.setattr(gpu_signs, "largest_amd_bytes", lambda: case.amd)
    memory = SimpleNamespace(total=HOST_BYTES, available=HOST_BYTES - 8 * GB)
    monkeypatch.setattr(devices, "psutil", SimpleNamespace(virtual_memory=lambda: memory))
    monkeypatch.setattr(profiles, "_absent_package", lambda row: dict(row.options).get("package", ""))
    devices.start_detection.cache_clear()
    devices._find_machines.cache_clear()
    yield detect_machine()
    devices.start_detection.cache_clear()
    devices._find_machines.cache_clear()


def never_cached(*_: object) -> bool:
    return False


def always(*_: object) -> bool:
    return True


@pytest.mark.parametrize(
    ("machine", "case"), [(row, row) for row in MACHINES.values()], indirect=["machine"], ids=list(MACHINES)
)
def test_each_machine_gets_its_profile_and_reason(machine: Machine, case: Case) -> None:
    profile, _ = choose_profile(None, machine, cached=never_cached, reachable=always)
    assert (machine.torch_device, profile.id) == (case.device, case.profile), machine
    for words in case.says:
        assert words in profile.reason
    is_refused = case.device == "cpu" and machine.reason != "No graphics card (GPU) was found."
    assert machine.is_refused == profile.is_fallback == is_refused
    assert escape(profile.reason) in render_about(profile, None)
    if is_refused:
        assert i18n.is_translated(profile.reason)
        assert f"<span>{profile.reason}</span>" in render_banner(profile), "the page says what is wrong with the GPU"
        asked, _ = choose_profile("klein", machine, cached=always)
        assert machine.reason in asked.reason, "also to somebody who asked for a profile"


@pytest.mark.parametrize("machine", [MACHINES["two equal"]], indirect=True)
def test_each_of_two_equal_cards_is_a_lane(machine: Machine) -> None:
    assert [lane.torch_device for lane in select_cards(KLEIN, find_cuda_devices())] == ["cuda:0", "cuda:1"]
    assert [lane.torch_device for lane in select_cards(KLEIN, find_cuda_devices(), 1)] == ["cuda:0"]


@pytest.mark.parametrize("machine", [MACHINES["small first, large second"]], indirect=True)
def test_a_card_for_the_screen_is_no_lane_wherever_it_stands(machine: Machine) -> None:
    assert [lane.torch_device for lane in find_cuda_devices()] == ["cuda:1"]


def test_a_card_that_does_not_hold_the_profile_is_no_lane() -> None:
    cards = tuple(Machine("cuda", n * GB, free_bytes=n * GB, number=k) for k, n in enumerate((16, 24, 30)))
    assert select_cards(KLEIN, cards) == cards[1:]
    assert select_cards(KLEIN, cards[:1]) == cards[:1], "somebody asked for more than fits: the best tries"
    assert select_cards(KLEIN, ()) == ()


def test_memory_that_is_shared_holds_also_what_would_stay_in_main_memory() -> None:
    card_of_its_own = Machine("cuda", 19 * GB, free_bytes=19 * GB)
    shared = Machine("mps", 32 * GB, free_bytes=19 * GB, is_unified=True)
    chosen = [
        choose_profile(None, row, cached=never_cached, reachable=always)[0].id for row in (card_of_its_own, shared)
    ]
    assert chosen == ["klein", "sdxl"]
    assert devices.divide_memory(shared).host_bytes == 0 < devices.divide_memory(card_of_its_own).host_bytes


class HangingProcess:
    """A process that waits for a driver: it neither ends nor can be killed."""

    def __init__(self) -> None:
        self.killed = False

    def wait(self, seconds: float) -> int:
        raise subprocess.TimeoutExpired("probe", seconds)

    def kill(self) -> None:
        self.killed = True


@pytest.mark.parametrize("answered", [0, 1])
def test_a_driver_that_hangs_costs_the_time_limit_and_what_came_before_counts(answered: int) -> None:
    lines = [
        {"kind": "nvml", "driver": "580.95", "cards": [["RTX 4090", 25 * GB], ["RTX 3060", 12 * GB]]},
        {"kind": "torch", "version": "2.15.0", "backend": "cuda", "arches": []},
        {"kind": "begin", "number": 0, "name": "RTX 4090"},
        {"kind": "card", "number": 0, "capability": [8, 9], "total": 25 * GB, "free": 24 * GB},
        {"kind": "begin", "number": 1, "name": "RTX 3060"},
    ][: 5 if answered else 3]
    process, output = HangingProcess(), io.BytesIO("\n".join(map(json.dumps, lines)).encode() + b'\n{"kind": "ca')
    report = gpu_probe.RunningProbe(process, output).wait()  # pyrefly: ignore[bad-argument-type]
    assert process.killed
    assert report.end == "hung"
    (found,) = devices.list_usable_gpus(report, TorchBuild(is_installed=True, cuda="13"), 0)
    assert "did not answer in time" in found.reason
    assert ("RTX 3060" if answered else "RTX 4090") in found.reason
    assert (found.device, found.is_refused) == (("cuda", False) if answered else ("cpu", True))


@pytest.mark.parametrize(
    ("signs", "build", "hidden", "question"),
    [
        (GpuSigns(), CUDA, False, ""),
        (GpuSigns(amd=True), CUDA, False, ""),
        (GpuSigns(nvidia=True), CUDA, False, gpu_child.ALWAYS),
        (GpuSigns(nvidia=True), CUDA, True, gpu_child.NEVER),
        (GpuSigns(nvidia=True), CPU_BUILD, False, gpu_child.NEVER),
        (GpuSigns(wsl=True), CUDA, False, gpu_child.WITH_NVML),
        (GpuSigns(wsl=True), HIP, False, gpu_child.ALWAYS),
        (GpuSigns(amd=True), HIP, False, gpu_child.ALWAYS),
        (GpuSigns(apple=True), CPU_BUILD, False, gpu_child.ALWAYS),
        (GpuSigns(), XPU, False, gpu_child.ALWAYS),
    ],
)
def test_no_more_is_asked_than_can_be_used(
    signs: GpuSigns, build: Mapping[str, str | None], hidden: bool, question: str
) -> None:
    built = TorchBuild(is_installed=True, **{name: value or "" for name, value in build.items()})
    assert gpu_probe.choose_torch_question(signs, built, hidden) == question


def test_without_torch_nothing_is_asked() -> None:
    assert gpu_probe.choose_torch_question(GpuSigns(nvidia=True), TorchBuild(), hidden=False) == ""


def test_the_installed_torch_says_what_it_was_built_for_as_its_files_say() -> None:
    spec = importlib.util.find_spec("torch")
    assert spec is not None
    assert spec.origin is not None
    version = runpy.run_path(str(Path(spec.origin).with_name("version.py")))  # without all of torch
    build = gpu_signs.read_torch_build()
    assert [build.cuda, build.hip, build.xpu] == [version[name] or "" for name in ("cuda", "hip", "xpu")]


def test_the_real_probe_ends_on_this_machine_without_a_card(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if gpu_signs.find_signs() != GpuSigns():
        pytest.skip("this machine has signs of a GPU")
    monkeypatch.setattr(sys, "argv", [gpu_child.__file__])
    runpy.run_path(gpu_child.__file__, run_name="__main__")  # here: a process of its own would import torch anew
    report = gpu_probe.read_report(capsys.readouterr().out.splitlines(), "done")
    assert report.end == "done"
    assert report.torch_version
    assert not report.cards
    assert gpu_refusals.describe_failure(report) == ""
