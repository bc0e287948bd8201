"""Runs `gpu_child` in a process of its own with a time limit, and reads what it found out about each GPU."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pipelines.models.probes import gpu_child
from pipelines.models.probes.gpu_signs import GpuSigns, TorchBuild

PROBE_SECONDS = 60.0
"""Time for all answers. Importing torch from a cold disk and starting eight cards takes about a third of it."""
_KILL_SECONDS = 1.0  # a process that waits for a driver cannot be killed: it is left behind

ProbeEnd = Literal["done", "hung", "crashed"]


@dataclass(frozen=True)
class ProbedCard:
    """A GPU as torch counts and names it. `error` is what torch said; it is empty where a kernel ran.

    `free_bytes` is what other programs leave of `total_bytes`, `is_unified` whether that is the host's own memory.
    """

    number: int
    name: str
    total_bytes: int = 0
    free_bytes: int = 0
    capability: tuple[int, int] = (0, 0)
    is_unified: bool = False
    error: str = ""


@dataclass(frozen=True)
class ProbeReport:
    """All that the probe found out.

    `driver_cards` are the names and bytes (0 where unknown) by NVIDIA's driver, `error` what stopped torch before it
    counted any card, `trying` the number of the card that was being tried when the process hung or crashed.
    """

    backend: str = ""
    cards: tuple[ProbedCard, ...] = ()
    arches: tuple[str, ...] = ()
    driver: str = ""
    driver_cards: tuple[tuple[str, int], ...] = ()
    driver_error: str = ""
    torch_version: str = ""
    error: str = ""
    trying: ProbedCard | None = None
    end: ProbeEnd = "done"


@dataclass
class RunningProbe:
    """A probe that was started. Thread-safe only in that one thread starts it and one waits."""

    _process: subprocess.Popen[bytes]
    _output: Any
    _ends_at: float = field(default=0.0)

    def wait(self) -> ProbeReport:
        """Wait for the end of the probe, at most until its time limit, and return what it found."""
        end: ProbeEnd = "done"
        try:
            if self._process.wait(max(0.0, self._ends_at - time.monotonic())):
                end = "crashed"
        except subprocess.TimeoutExpired:
            end = "hung"
            self._process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_KILL_SECONDS)
        with self._output as output:
            output.seek(0)
            return read_report(output.read().decode("utf-8", "replace").splitlines(), end)


def start_probe(ask_torch: str, seconds: float = PROBE_SECONDS) -> RunningProbe:
    """Start the process; `ask_torch` as in `gpu_child`. It goes on beside the caller until `wait`."""
    output = tempfile.TemporaryFile()  # noqa: SIM115 (closed in `wait`); a pipe would fill while nobody reads
    # The whole environment: what torch finds in the studio's own process depends on it.
    process = subprocess.Popen(
        [sys.executable, str(Path(gpu_child.__file__)), ask_torch],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.DEVNULL,
    )
    return RunningProbe(process, output, time.monotonic() + seconds)


def choose_torch_question(signs: GpuSigns, build: TorchBuild, hidden: bool) -> str:
    """Choose when the process asks torch, as in `gpu_child`; empty where nothing has to be asked at all."""
    if not build.is_installed:
        return ""
    # A build for AMD on Windows, or for Intel, is sign enough: nobody has one without such a GPU.
    other = signs.apple or build.xpu or (build.hip and (signs.amd or signs.wsl or os.name == "nt"))
    if other:
        return gpu_child.ALWAYS
    if not (signs.nvidia or signs.wsl):
        return ""
    if hidden or not build.cuda:
        return gpu_child.NEVER
    # A container may have the card's device file without NVML.
    return gpu_child.ALWAYS if signs.nvidia else gpu_child.WITH_NVML


def read_report(lines: Sequence[str], end: ProbeEnd) -> ProbeReport:
    """Read the lines of `gpu_child`; a damaged one, cut off by a crash, is left out."""
    rows = list(_parse_lines(lines))
    by_kind: dict[str, dict[str, Any]] = {row["kind"]: row for row in rows}
    nvml, torch = by_kind.get("nvml", {}), by_kind.get("torch", {})
    names = {row["number"]: row["name"] for row in rows if row["kind"] == "begin"}
    cards = tuple(_read_card(row, names[row["number"]]) for row in rows if row["kind"] == "card")
    open_numbers = set(names) - {card.number for card in cards}
    return ProbeReport(
        backend=torch.get("backend", ""),
        cards=cards,
        arches=tuple(torch.get("arches", ())),
        driver=nvml.get("driver", ""),
        driver_cards=tuple((name, size) for name, size in nvml.get("cards", ())),
        driver_error=nvml.get("error", ""),
        torch_version=torch.get("version", ""),
        error=by_kind.get("failed", {}).get("error") or torch.get("error", ""),
        trying=next((ProbedCard(number, names[number]) for number in open_numbers), None),
        end="done" if "end" in by_kind else end if end != "done" else "crashed",
    )


def _parse_lines(lines: Sequence[str]) -> Iterator[dict[str, Any]]:
    for line in lines:
        with contextlib.suppress(ValueError):
            row = json.loads(line)
            if isinstance(row, dict) and "kind" in row:  # a library may print a line of its own
                yield row


def _read_card(row: dict[str, Any], name: str) -> ProbedCard:
    major, minor = row.get("capability", (0, 0))
    return ProbedCard(
        row["number"],
        name,
        total_bytes=row.get("total", 0),
        free_bytes=row.get("free", 0),
        capability=(major, minor),
        is_unified=row.get("unified", False),
        error=row.get("error", ""),
    )
