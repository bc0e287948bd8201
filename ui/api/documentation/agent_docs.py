"""What agents read: workflows as MCP prompts, `/llms.txt` and `/skill.md`, all made from the tools that are here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from pipelines.core.errors import BadInput, NotFound
from pipelines.service.studio_service import StudioService
from pipelines.tools.shared.form_fields import CONSENT_HELP, OPTIONAL_CONSENT_HELP

LLMS_PATH = "/llms.txt"
SKILL_PATH = "/skill.md"
_INTRODUCTION = (
    "An image studio that runs on its owner's machine. The subject of a photo keeps its own pixels unless a receipt "
    "says otherwise. Every picture carries signed content credentials."
)
CONSENT_RULE = (
    f"In tools for people: {CONSENT_HELP} In other tools: {OPTIONAL_CONSENT_HELP} Ask the user whether the person "
    "agreed; never assume it."
)
_RULES = [
    "- Pictures go in as file ids (`file-…`) or data URLs. Addresses are never fetched.",
    f"- `consent: true`: {CONSENT_RULE}",
    "- Read the notices of every answer and repeat doubts to the user, such as a cut-out that may be wrong.",
    "- An error has a code, a sentence and the field's name: change that field and call again.",
    "- The same seed and fields make the same picture. Leave `seed` out for another one.",
]


class WorkflowArgument(NamedTuple):
    """An argument of a workflow."""

    name: str
    description: str
    required: bool = False


class Workflow(NamedTuple):
    """A task in a few calls. `steps` is a template with the arguments' names; `tools` are the tools that it needs."""

    name: str
    title: str
    description: str
    tools: tuple[str, ...]
    arguments: tuple[WorkflowArgument, ...]
    steps: str


_PHOTO = WorkflowArgument("photo", "A file id or a data URL; empty: the newest upload.")
WORKFLOWS: tuple[Workflow, ...] = (
    Workflow(
        "headshot_for_profile",
        "A headshot for a profile page",
        "A portrait becomes a headshot for LinkedIn or a company page.",
        ("headshot",),
        (_PHOTO, WorkflowArgument("look", "For example linkedin, corporate-grey or actor.")),
        "Make a professional headshot of {photo}. Ask the user whether the person agreed, then call `headshot` with "
        "consent=true and the look '{look}' as preset (linkedin, where none is named). If a notice doubts the cut-out "
        "or the face is small, tell the user and offer another photo. Show the result.",
    ),
    Workflow(
        "product_for_marketplace",
        "A product photo that a marketplace takes",
        "A product on the ground, in the size and fill that a marketplace asks for.",
        ("product",),
        (_PHOTO, WorkflowArgument("marketplace", "amazon, google, ebay, etsy or shopify.", True)),
        "Make a product photo of {photo} for {marketplace}: call `product` with preset={marketplace}. The "
        "lines under `Notices:` in the answer say whether the marketplace's rule is kept, or what it asks for. Tell "
        "the user, and what photo would do.",
    ),
    Workflow(
        "replace_background",
        "Another background",
        "The subject stays, the background becomes what the words say.",
        ("background",),
        (_PHOTO, WorkflowArgument("words", "The place, surface, season or colour.", True)),
        "Put the subject of {photo} before '{words}': call `background` with prompt='{words}'. If the notices say that "
        "there is no such scene, show the user the closest ones and let them choose. Show the result.",
    ),
    Workflow(
        "social_posts",
        "Posts for every platform",
        "One photo, cropped around the subject for each platform, with a headline.",
        ("kit",),
        (_PHOTO, WorkflowArgument("headline", "Words on the picture; empty: none.")),
        "Make pictures for social media of {photo} with the headline '{headline}': call `kit`, with the platforms that "
        "the user named in `formats`, or with all. Look at each result: head and headline must not overlap. Name every "
        "file with its platform.",
    ),
    Workflow(
        "erase_something",
        "Something erased",
        "What a mask covers is filled from its surroundings.",
        ("retouch",),
        (_PHOTO, WorkflowArgument("what", "What to erase, and where it is.", True)),
        "Erase '{what}' from {photo}: paint a mask of the photo's size, white where it is, as a data URL, and call "
        "`retouch`. Show the user the result beside the photo and say that large things are filled by guessing.",
    ),
)


def list_workflows(service: StudioService) -> list[Workflow]:
    """List the workflows whose tools this studio has."""
    here = {row.id for row in service.tools}
    return [row for row in WORKFLOWS if here.issuperset(row.tools)]


def prompt_rows(service: StudioService) -> list[dict[str, Any]]:
    """List the workflows as the JSON of MCP prompts."""
    return [
        {
            "name": row.name,
            "title": row.title,
            "description": row.description,
            "arguments": [argument._asdict() for argument in row.arguments],
        }
        for row in list_workflows(service)
    ]


def render_prompt(service: StudioService, name: str, values: Mapping[str, str]) -> dict[str, Any]:
    """Fill a workflow as the JSON of a `GetPromptResult`. Raises `NotFound`, and `BadInput` for a missing argument."""
    row = next((row for row in list_workflows(service) if row.name == name), None)
    if row is None:
        raise NotFound("There is no such prompt.", param="name")
    filled = {argument.name: values.get(argument.name, "").strip() for argument in row.arguments}
    for argument in row.arguments:
        if argument.required and not filled[argument.name]:
            raise BadInput(f"'{argument.name}' is missing: {argument.description}", param=argument.name)
    filled["photo"] = filled["photo"] or "the newest upload of `list_pictures`"
    text = row.steps.format_map(filled)
    message = {"role": "user", "content": {"type": "text", "text": text}}
    return {"description": row.description, "messages": [message]}


def render_llms_txt(service: StudioService, base: str) -> str:
    """Render `/llms.txt` (llmstxt.org): the studio's tools and addresses. `base` is the studio's own address."""
    tools = [f"- [{row.title}]({base}/v1/tools): `{row.id}`. {row.summary}" for row in service.tools]
    links = [
        f"- [MCP]({base}/mcp): every tool with a schema, over streamable HTTP",
        f"- [REST]({base}/v1/docs): all routes and error codes; the schema is {base}/v1/openapi.json",
        f"- [OpenAI's client]({base}/v1): images.generate, images.edit, files and batches work unchanged",
        f"- [Skill]({base}{SKILL_PATH}): how to work with it, in a page",
    ]
    return _join("# DesignerBox", f"> {_INTRODUCTION}", "## Addresses", links, "## Tools", tools, "## Rules", _RULES)


def render_skill(service: StudioService, base: str) -> str:
    """Render `/skill.md`: a page that tells an agent when to use the studio and how."""
    titles = ", ".join(row.title for row in service.tools)
    head = f'---\nname: designerbox\ndescription: "Make pictures with a self-hosted image studio: {titles}."'
    calls = [
        f"1. Connect an MCP client to {base}/mcp, or send `POST {base}/v1/tools/{{id}}` with the fields as JSON.",
        "2. `upload_picture` (or `POST /v1/files`) gives a picture a file id; `list_pictures` names the ids there are.",
        "3. Call one tool. The answer has the picture, its file id, the receipt and its notices.",
        "4. Give the file id to the next tool, or its link to the user.",
    ]
    flows = [f"- **{row.title}** (`{', '.join(row.tools)}`): {row.description}" for row in list_workflows(service)]
    return _join(
        f"{head}\n---", "# DesignerBox", _INTRODUCTION, "## Steps", calls, "## Tasks", flows, "## Rules", _RULES
    )


def _join(*parts: str | list[str]) -> str:
    return "\n\n".join(part if isinstance(part, str) else "\n".join(part) for part in parts) + "\n"
