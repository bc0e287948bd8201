"""An empty jobs file for a tool: its columns and one example row, all read from its Params; knows no batch."""

from __future__ import annotations

import csv
import io

from pipelines.batch.jobs_file import KEY
from pipelines.core.params import Params
from pipelines.core.tools import Tool

_EXAMPLES = {"picture": "photo.jpg", "pictures": "one.jpg|two.jpg"}


def template(tool: Tool) -> str:
    """CSV text; cells left empty take the batch's shared value, else the field's default."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow([KEY, *tool.params.model_fields])
    writer.writerow(["first", *(_example(tool.params, name) for name in tool.params.model_fields)])
    return out.getvalue()


def _example(params: type[Params], name: str) -> str:
    """Something that is valid: a picture's name where one is needed, else the default."""
    field = params.model_fields[name]
    if field.is_required():
        return _EXAMPLES.get(params.kind_of(name), "")
    if name == "consent":
        return "true"
    default = field.default
    if default is None or default == () or default == "":
        return ""
    return str(default).lower() if isinstance(default, bool) else str(default)
