"""Why a picture looks as it does, in three sentences; and the licences of the assets that are in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipelines.core.geometry import DOUBTFUL_UNCERTAINTY
from pipelines.core.rendering import CC0_LICENCE, OWN_LICENCE, Asset, ToolOutput
from pipelines.models.families.scenes.catalog.plates import RENDERED_IDS as SET_IDS
from pipelines.runtime.context import JobContext

_PROFILE_FILES = {"p3": "DisplayP3-v4.icc", "cmyk": "FOGRA39L_coated.icc"}


def list_assets(context: JobContext, output: ToolOutput, params: Mapping[str, Any]) -> list[dict[str, str]]:
    """List what of this program's stock is in the picture, and LoRAs, each with `kind`, `id` and `licence`."""
    usage = context.usage
    is_photographed = bool(usage.scenery & {"photographed", "mixed"})
    assets = [
        Asset("scene", scene, CC0_LICENCE if is_photographed or scene in SET_IDS else OWN_LICENCE)
        for scene in sorted(usage.scenes)
    ]
    assets += output.assets
    chosen = {params.get("pdf_colours"), params.get("master")}
    if params.get("master", "none") != "none":
        chosen.add(params.get("master_profile"))
    assets += [Asset("profile", file, CC0_LICENCE) for key, file in _PROFILE_FILES.items() if key in chosen]
    assets += [Asset("lora", source, "unknown") for source in context.job.adapters]
    return [asset._asdict() for asset in assets]


def explain_picture(
    context: JobContext, output: ToolOutput, params: Mapping[str, Any], checks: Mapping[str, float]
) -> list[str]:
    """Return three sentences: what became of the subject, where the scene comes from, how it is made again."""
    again = f"The same settings and the seed {context.job.seed} make it again; checks measured: {len(checks)}."
    return [_explain_subject(context, output, params, checks), _explain_scene(context, output, params), again]


def _explain_subject(
    context: JobContext, output: ToolOutput, params: Mapping[str, Any], checks: Mapping[str, float]
) -> str:
    drawn_by = [spec.id for spec in context.usage.models.values() if spec.verbs and "backdrop" not in spec.verbs]
    if output.exact and output.source is not None:
        count = round(checks.get("core_changed_pixels", 0))
        doubt = (context.usage.cutout_uncertainty or 0) > DOUBTFUL_UNCERTAINTY
        unsure = " Whether the cut-out is the whole subject is not sure." if doubt else ""
        return f"What was cut out has the photo's own pixels: {count} of its core were changed.{unsure}"
    if output.exact:
        return "Nothing of your pictures was redrawn; the rest was drawn by rules."
    if params.get("light") == "relit":
        return "The subject keeps its shape, and its light was fitted to the scene."
    if context.usage.is_generative:
        return f"It was drawn by a model: {', '.join(drawn_by) or 'see the list of models'}."
    if output.is_procedural:
        return "It was drawn by rules, not by a model."
    changed = "The photo's pixels were changed as this tool does it"
    return f"{changed}; the notices say how." if output.notices else f"{changed}."


def _explain_scene(context: JobContext, output: ToolOutput, params: Mapping[str, Any]) -> str:
    match = context.usage.scene_match
    if params.get("backdrop"):
        return "Behind it is your own picture."
    if match is not None and match.found:
        return f"Of the scenes here '{match.title}' fits the words '{match.wish}' best ({100 * match.score:.0f} %)."
    if match is not None:
        return f"No scene here shows '{match.wish}', so a neutral paper stands behind it."
    if output.transparent:
        return "There is no background, so that it can stand on any."
    if context.usage.scenes:
        return f"The scene is the look's own: {', '.join(sorted(context.usage.scenes))}."
    return "There is no scene of ours in it."
