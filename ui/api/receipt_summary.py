"""A receipt in a few plain lines, for agents whose clients show the text of an answer and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipelines.core.errors import ModelUnavailable
from pipelines.core.geometry import DOUBTFUL_UNCERTAINTY
from pipelines.models.registry import get_spec
from pipelines.runtime.receipt import OTHER_DOUBTS

_MARKS = {
    "compositeCapture": "photographs only, no model drew",
    "compositeSynthetic": "photographs with something drawn by rules, no model drew",
    "algorithmicallyEnhanced": "with detail that a trained net added in enlarging, no generative model drew",
    "algorithmicMedia": "drawn by rules, no model drew",
    "compositeWithTrainedAlgorithmicMedia": "photographs with what a model drew",
    "trainedAlgorithmicMedia": "drawn by a model",
}
_IN_PLACE_OF_LOOK = ("prompt", "backdrop", "formats", "reference")
_SUBJECTS = {
    "exact": "the photo's own pixels",
    "relit": "fitted to the scene's light",
    "redrawn": "not pixel for pixel (resized, changed or drawn)",
}


def summarise_receipt(receipt: Mapping[str, Any], source_type: str, seconds: float | None = None) -> str:
    """Return the lines: tool and look, models, seed, character, the file's mark, commercial use, doubt of the cut-out.

    `source_type` is the last word of the file's digital source type, "" where it has none.
    """
    params: Mapping[str, Any] = receipt.get("params", {})
    look = None if any(params.get(name) for name in _IN_PLACE_OF_LOOK) else params.get("preset")
    made = [str(receipt.get("tool"))]
    made += [f"look {look}"] if look else []
    made += [f"{seconds:.1f} s"] if seconds is not None else []
    models: Sequence[Mapping[str, str]] = receipt.get("models", ())
    named = [f"{row['id']} ({row['licence']})" for row in models]
    lines = ["Receipt:", f"- Made by: {', '.join(made)}", f"- Models: {', '.join(named) or 'none'}"]
    told_seed = f"- Seed: {receipt.get('seed')} (sent again with the same arguments, it makes the same picture)"
    lines += [told_seed] if "seed" in receipt else []
    lines += [f"- Character: {receipt['character']}"] if receipt.get("character") else []
    subject = _SUBJECTS.get(receipt.get("mode", ""))
    lines += [f"- Subject: {subject}"] if subject else []
    lines += [f"- Marked in the file as {source_type}: {_MARKS[source_type]}"] if source_type in _MARKS else []
    lines.append(f"- Commercial use: {_describe_use(models, receipt.get('assets', ()))}")
    uncertainty = receipt.get("cutout_uncertainty")
    if uncertainty is not None:
        is_doubtful = uncertainty > DOUBTFUL_UNCERTAINTY or receipt.get("cutout_doubts")
        told = "it may be wrong: look at it" if is_doubtful else "no doubt"
        lines.append(f"- Cut-out: uncertainty {uncertainty} (doubtful above {DOUBTFUL_UNCERTAINTY}), {told}")
    lines += [f"- Look at it: {doubt}" for kind in OTHER_DOUBTS for doubt in receipt.get(kind, ())]
    return "\n".join(lines)


def _describe_use(models: Sequence[Mapping[str, str]], assets: Sequence[Mapping[str, str]]) -> str:
    """Say what the licences of models and assets allow; what is not known is named."""
    limits = [_describe_licence_limit(row) for row in models]
    limits += [f"the licence of {row['id']} is not known here" for row in assets if row["licence"] == "unknown"]
    return "; ".join(limit for limit in limits if limit) or "allowed by the licences of all models and assets"


def _describe_licence_limit(row: Mapping[str, str]) -> str:
    try:
        spec = get_spec(row["id"])
    except ModelUnavailable:
        return f"the licence of {row['id']} is not known here"
    if spec.licence_state == "not-commercial":
        return f"not allowed by {spec.id} ({spec.licence})"
    return f"{spec.id} ({spec.licence}) allows it up to {spec.revenue_cap}" if spec.licence_state == "capped" else ""
