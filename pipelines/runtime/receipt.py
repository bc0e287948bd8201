"""The receipt of a finished job: everything that says how its pictures were made, as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from pipelines.core.geometry import Box, Crop, PlacedSubject
from pipelines.core.models import ModelSpec
from pipelines.core.rendering import SceneMatch, ToolOutput
from pipelines.framing.placement import is_enlarged_too_far
from pipelines.framing.resample import describe_resampling
from pipelines.quality.label_words import LabelWords, describe_label_changes
from pipelines.quality.output_checks import explain_checks
from pipelines.runtime.context import JobContext
from pipelines.runtime.why_picture import explain_picture, list_assets

FACES_NOT_SEARCHED_NOTICE = "No permission of a person was given, so faces were not looked for."
OTHER_DOUBTS = ("framing_doubts", "fill_doubts", "layout_doubts")
"""Keys of doubts in sentences that are not of a cut-out: what the frame cuts, and what was filled."""
DOUBT_BOX_COUNT = 12
"""Largest places of one doubt that a receipt lists: fur may have hundreds."""
FLATTENED_NOTICE = "JPEG has no transparency: what is transparent is white. PNG and WebP keep it."
LOSSY_NOTICE = "This kind of file is compressed: its pixels differ a little from the checked ones."


def build_receipt(
    context: JobContext,
    output: ToolOutput,
    params: Mapping[str, Any],
    inputs: Sequence[Mapping[str, str]],
    checks: dict[str, float],
    labels: Sequence[LabelWords | None] = (),
) -> dict[str, Any]:
    """Describe a job whose pictures passed the checks (`inputs`: a row a picture); `timings`, `files` follow later.

    `labels` are the words that were read on each picture, None where nothing was read.
    """
    job, usage, face_counts = context.job, context.usage, context.face_counts.values()
    not_searched = (FACES_NOT_SEARCHED_NOTICE,) if context.faces_not_searched else ()
    receipt: dict[str, Any] = {
        "tool": job.tool,
        "params": dict(params),
        "seed": job.seed,
        "profile": job.profile,
        "models": [_describe_model(spec) for spec in usage.models.values()],
        "inputs": list(inputs),
    }
    if face_counts:
        receipt["faces"] = max(face_counts)  # in the photo that shows most
    placed = [*([output.source] if output.source else []), *(source[1] for source in output.sources if source)]
    hidden = _find_hidden_doubts(usage.cutout_doubts, placed)
    if usage.cutout_uncertainty is not None:
        receipt["cutout_uncertainty"] = round(usage.cutout_uncertainty, 3)
        receipt["cutout_doubts"] = [doubt for doubt in dict.fromkeys(usage.cutout_doubts) if doubt not in hidden]
    receipt["placement"] = _placement_row(output.source)
    framing_doubts = [doubt for each in placed for doubt in each.frame.doubts]
    if framing_doubts:
        receipt["framing_doubts"] = list(dict.fromkeys(framing_doubts))
    better_shape = next((each.frame.better_shape for each in placed if each.frame.better_shape), "")
    if better_shape:
        receipt["better_shape"] = better_shape
    if output.fill_doubts:
        receipt["fill_doubts"] = list(output.fill_doubts)
        receipt["fill_places"] = [list(box) for box in output.fill_places]
    if output.layout_doubts:
        receipt["layout_doubts"] = list(output.layout_doubts)
    if output.sources:
        receipt["placements"] = [_placement_row(source[1] if source else None) for source in output.sources]
    if output.is_sketch:
        receipt["sketch"] = True
    if output.draft_part:
        receipt["draft_part"] = output.draft_part
    if output.crops:
        receipt["crops"] = [_describe_crop(crop) for crop in output.crops]
    if usage.scene_match is not None:
        receipt["scene_match"] = _scene_match_row(usage.scene_match)
    told_labels = [label for label in labels if label is not None]
    label_notice = describe_label_changes(told_labels)
    if told_labels:
        receipt["label"] = [label and _label_row(label) for label in labels]
    if usage.words:
        receipt["words"] = list(dict.fromkeys(usage.words))
    if usage.largest_batch > 1:
        receipt["drawn_together"] = usage.largest_batch
    notices = (*job.notices, label_notice, *output.notices, *usage.notices, *not_searched)
    return {
        **receipt,
        "mode": "exact" if output.exact else "relit" if params.get("light") == "relit" else "redrawn",
        "checks": checks,
        "explained": explain_checks(checks),
        "why": explain_picture(context, output, params, checks),
        "assets": list_assets(context, output, params),
        "notices": list(dict.fromkeys(notice for notice in notices if notice and notice not in hidden)),
        "consent": job.consent,
        "timings": {},
        "files": [],
    }


def _describe_model(spec: ModelSpec) -> dict[str, Any]:
    weights_digest = spec.files[0][1][:12] if spec.files else ""
    return {"id": spec.id, "revision": spec.revision or weights_digest, "licence": spec.licence}


def _scene_match_row(match: SceneMatch) -> dict[str, Any]:
    """`closest` is empty where the wish was found."""
    closest = [{"id": scene_id, "title": title} for scene_id, title in match.closest]
    return {**asdict(match), "closest": closest}


def _label_row(label: LabelWords) -> dict[str, Any]:
    changes = [{"word": word, "reads": now} for word, now in label.list_changes()]
    return {"before": list(label.before), "after": list(label.after), "changes": changes}


def _find_hidden_doubts(doubts: Sequence[str], placed: Sequence[PlacedSubject]) -> set[str]:
    """Return those doubts about cut-outs whose place no picture shows; one of a cut-out placed elsewhere stays."""
    hidden = Counter[str]()
    shown = set[str]()
    for each in {id(each): each for each in placed}.values():  # one subject may stand in several pictures
        shown |= {doubt for doubt, boxes in each.doubt_boxes.items() if boxes}
        hidden.update(doubt for doubt, boxes in each.doubt_boxes.items() if not boxes)
    return {doubt for doubt, count in hidden.items() if doubt not in shown and count >= doubts.count(doubt)}


def _placement_row(placed: PlacedSubject | None) -> dict[str, Any]:
    frame = placed.frame if placed else None
    boxes_by_doubt = placed.doubt_boxes.items() if placed else ()
    doubts = [
        {"doubt": doubt, "boxes": [_round_box(box) for box in boxes[:DOUBT_BOX_COUNT]]}
        for doubt, boxes in boxes_by_doubt
        if boxes
    ]
    return {
        "box": [round(side, 2) for side in frame.box] if frame else None,
        "scale": round(frame.scale, 5) if frame else None,
        "roll": round(frame.roll, 3) if frame else None,
        "resampling": describe_resampling(frame) if frame else "none",
        "enlarged_too_far": bool(frame) and is_enlarged_too_far(frame.scale * frame.own_enlargement, max(frame.size)),
        **({"doubts": doubts} if doubts else {}),
    }


def _describe_crop(crop: Crop) -> dict[str, Any]:
    row: dict[str, Any] = {"box": _round_box(crop.box), "at": _round_box(crop.placed_box)}
    if crop.words_contrast is not None:
        row |= {"words": crop.words, "words_contrast": round(crop.words_contrast, 2)}
    return row


def _round_box(box: Box) -> list[float]:
    return [round(side, 6) for side in box]
