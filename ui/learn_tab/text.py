"""Texts and figures of the tab "What is inference?" as escaped HTML: pipeline, steps, bars, plot."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from ui.components.model_names import name_model

TITLE = "What is inference?"
INTRO_TEXT = (
    "A trained model is shown a picture that it has never seen, and answers. Answering is called inference, and you "
    "can watch it here."
)
EXAMPLE_NOTE = (
    "Make a picture with any tool, then come back: this page shows that very one. Until then it is an example."
)
WHY_CARDS = (
    ("In real time", "A model learns once, for days. It answers every time somebody asks, while they wait."),
    (
        "Efficient",
        "Training is paid for once, each answer again and again: halving the cost of an answer halves it every time.",
    ),
    ("Scalable", "One loaded model serves everybody in turn. More people need more devices, not more learning."),
)
FASTER_CARDS = (
    ("Fewer steps", "Models that were taught to get there in 4 steps instead of 40 cost a tenth."),
    ("Smaller numbers", "16 bits instead of 32: half to read, and newer processors take more at once. Measured above."),
    ("Together", "A graphics card answers several pictures in one go; two cores are busy with one. Measured above."),
    ("Better hardware", "The same steps on a card that calculates a thousand times as fast. Computed above."),
    ("Stay loaded", "Loading a model takes longer than one answer, so it stays in memory between two pictures."),
)


@dataclass(frozen=True)
class Frame:
    """One step of a job: stage, number, total, seconds since the start, and its preview as a data URL."""

    stage: str
    index: int
    total: int
    at: float
    picture: str


@dataclass(frozen=True)
class Device:
    """A device with its reached `rate` in TFLOP/s, and the `source` of that number."""

    name: str
    rate: float
    source: str


DEVICES: tuple[Device, ...] = (
    Device("2 processor cores, 32 bits", 0.267, "counted from 10.2 TFLOP a step"),
    Device("2 processor cores, 16 bits", 0.443, "counted from 10.2 TFLOP a step"),
    Device("TPU v5e, 16 bits", 197 / 1.25, "its published peak of 197 TFLOP/s, less a fifth"),
    Device("GPU (H100), 16 bits", 750 / 1.25, "750 TFLOP/s, less a fifth; the best published runs reach 570 to 602"),
)
STEP_TFLOP = 10.2
"""TFLOP of one step of FLUX.2 klein 4B at 512 px; a multiply-add counts as two operations."""
STEPS = 4


def render_pipeline(before: str, after: str, models: Sequence[str], told: str) -> str:
    """Render input, model and output; the pictures are data URLs."""
    names = "".join(f"<li>{escape(name)}</li>" for name in dict.fromkeys(map(name_model, models)))
    arrow = '<svg class="dbx-arrow" viewBox="0 0 48 24" aria-hidden="true"><path d="M2 12h40m-9-8 9 8-9 8"/></svg>'
    return (
        f'<figure class="dbx-way"><div class="dbx-stop"><b>Input</b><img src="{before}" alt="The picture that went in">'
        f'</div>{arrow}<div class="dbx-stop"><b>Model</b>{_draw_net()}<ul>{names}</ul></div>{arrow}'
        f'<div class="dbx-stop"><b>Output</b><img src="{after}" alt="The picture that came out"></div>'
        f"<figcaption>{escape(told)}</figcaption></figure>"
    )


def _draw_net() -> str:
    """Draw three layers of a net as an SVG ornament."""
    columns = [[20, 50, 80], [8, 36, 64, 92], [35, 65]]
    at = [(24 + 56 * n, y) for n, column in enumerate(columns) for y in column]
    pairs = [(a, b) for a in at for b in at if b[0] - a[0] == 56]
    lines = "".join(f'<line x1="{a[0]}" y1="{a[1]}" x2="{b[0]}" y2="{b[1]}"/>' for a, b in pairs)
    dots = "".join(f'<circle cx="{x}" cy="{y}" r="6"/>' for x, y in at)
    return f'<svg class="dbx-net" viewBox="0 0 160 100" aria-hidden="true">{lines}{dots}</svg>'


def render_steps(frames: Sequence[Frame]) -> str:
    """Render the steps with a slider; the last one is shown."""
    if not frames:
        return ""
    last = len(frames) - 1
    images = "".join(
        f'<img src="{row.picture}" alt="{escape(_describe_frame(row))}"{"" if n == last else " hidden"}>'
        for n, row in enumerate(frames)
    )
    return (
        f'<figure class="dbx-film"><div class="dbx-frames">{images}</div>'
        f'<label><span>Step</span><input type="range" min="0" max="{last}" value="{last}" aria-label="Step to look at">'
        f'</label><figcaption role="status">{escape(_describe_frame(frames[last]))}</figcaption></figure>'
    )


def _describe_frame(row: Frame) -> str:
    step = f", step {row.index} of {row.total}" if row.total > 1 else ""
    return f"{row.stage}{step}, after {row.at:.2f} s"


def render_timings(timings: Mapping[str, float]) -> str:
    """Render the seconds of each stage as bars under a heading; empty if no stage took time."""
    rows = [(stage, seconds, f"{seconds:.2f} s") for stage, seconds in timings.items() if seconds >= 0.005]
    return f"<h2>Where the time went</h2>{render_bars(rows)}" if rows else ""


def render_bars(rows: Sequence[tuple[str, float, str]]) -> str:
    """Render rows of (name, length, label) as bars, relative to the longest."""
    longest = max((length for _, length, _ in rows), default=0.0) or 1.0
    each = "".join(
        f'<li><span>{escape(name)}</span><i style="--share:{max(length / longest, 0.004):.4f}"></i>'
        f"<b>{escape(said)}</b></li>"
        for name, length, said in rows
    )
    return f'<ol class="dbx-bars">{each}</ol>'


def render_measurements(found: Mapping[str, Any]) -> str:
    """The same work in two precisions and two batches, as bars."""
    rows = [
        (f"{row['bits']} bits, {row['batch']} at a time", row["seconds"], f"{row['seconds'] * 1000:.0f} ms each")
        for row in found["cases"]
    ]
    return render_bars(rows) + f"<p>{escape(describe_benchmark(found))}</p>"


def describe_benchmark(found: Mapping[str, Any]) -> str:
    """What the numbers say, whichever way they fell."""
    took = {(row["bits"], row["batch"]): row["seconds"] for row in found["cases"]}
    narrow, together = _compare_seconds(took[32, 1], took[16, 1]), _compare_seconds(took[32, 1], took[32, 4])
    why = " (a processor without arithmetic of that width works around it)" if took[16, 1] > 1.05 * took[32, 1] else ""
    return (
        f"A square of your photo, enlarged 4 times by Real-ESRGAN. 16 bits instead of 32: {narrow} here{why}, "
        f"half to keep in memory, and the two results differ by {found['difference']:.2f} of 255. Four at a time "
        f"instead of one: {together} here; a graphics card gets 2.8 times as many small pictures done that way."
    )


def _compare_seconds(before: float, after: float) -> str:
    """`after` against `before`, in words."""
    if after < 0.95 * before:
        return f"{before / after:.1f} times as fast"
    return f"{after / before:.1f} times as slow" if after > 1.05 * before else "as fast"


def render_devices(steps: int = STEPS) -> str:
    """Render seconds for one 512 px picture of a 4-billion model on each device, on a logarithmic scale."""
    marks = "".join(
        f'<g class="dbx-tick"><line x1="{_log_position(s)}" x2="{_log_position(s)}" y1="8" y2="176"/>'
        f'<text x="{_log_position(s)}" y="196">{s:g} s</text></g>'
        for s in (0.01, 0.1, 1, 10, 100, 1000)
    )
    rows = "".join(_draw_device(row, n, steps) for n, row in enumerate(DEVICES))
    sources = "".join(f"<li>{escape(row.name)}: {escape(row.source)}.</li>" for row in DEVICES)
    return (
        f'<figure class="dbx-plot" data-flop="{STEP_TFLOP}"><svg viewBox="0 0 640 204" role="img" '
        f'aria-label="Seconds for a picture on four devices">{marks}{rows}</svg>'
        f'<label><span>Steps</span><input type="range" min="1" max="50" '
        f'value="{steps}" aria-label="Steps of the drawing"><output>{steps}</output></label>'
        "<figcaption><b>Computed, not measured here:</b> steps × calculations in one step of FLUX.2 klein 4B at 512 px "
        f"(10.2 TFLOP: 10.2 trillion) ÷ what the device does in a second.</figcaption><ul>{sources}</ul></figure>"
    )


def _draw_device(row: Device, n: int, steps: int) -> str:
    seconds, y = steps * STEP_TFLOP / row.rate, 26 + 42 * n
    return (
        f'<g class="dbx-dot" data-rate="{row.rate:.3f}"><text x="0" y="{y}">{escape(row.name)}</text>'
        f'<line x1="0" x2="{_log_position(seconds):.1f}" y1="{y + 12}" y2="{y + 12}"/>'
        f'<circle cx="{_log_position(seconds):.1f}" cy="{y + 12}" r="7"/>'
        f'<text class="dbx-said" x="636" y="{y}">{float(f"{seconds:.2g}"):g} s</text></g>'
    )


def _log_position(seconds: float) -> float:
    """Map 0.01 to 1000 s to the x position 20 to 620, on a logarithmic scale."""
    return round(20 + 600 * (math.log10(min(max(seconds, 0.01), 1000)) + 2) / 5, 1)


def render_cards(rows: Sequence[tuple[str, str]]) -> str:
    """Render cards of a name and a sentence."""
    each = "".join(f"<li><h3>{escape(name)}</h3><p>{escape(text)}</p></li>" for name, text in rows)
    return f'<ul class="dbx-points">{each}</ul>'
