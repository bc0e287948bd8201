"""The console of the API tab: a request as it is sent, and what comes back as it comes; knows no key and sends nothing.

The script beside it, `static/console.js`, sends what is in the box from the reader's own browser, so that what is
seen is what any caller would see.
"""

from __future__ import annotations

import json
from html import escape

from pipelines.core.tools import Tool
from pipelines.service.orders import StudioService
from ui.api.openapi_docs import examples


def render_console(service: StudioService) -> str:
    """The form, with a body that works as it stands for each tool."""
    bodies = {tool.id: _example_body(tool, service) for tool in service.tools}
    options = "".join(f'<option value="{escape(tool.id)}">{escape(tool.title)}</option>' for tool in service.tools)
    first = bodies[service.tools[0].id]
    return f"""\
<form class="dbx-console" data-bodies="{escape(json.dumps(bodies))}">
<h2>Try it</h2>
<p>The request goes from this page to <code>/v1</code>, as any program's would. It makes a real picture.</p>
<div class="dbx-console-row">
<label>Tool <select name="tool">{options}</select></label>
<label>Key <input name="key" type="password" autocomplete="off" placeholder="only where one is needed"></label>
</div>
<label>Body <textarea name="body" rows="8" spellcheck="false">{escape(first)}</textarea></label>
<div class="dbx-console-row">
<button type="submit" name="send">Send</button>
<button type="button" name="stop" disabled>Stop</button>
<output name="state" role="status"></output>
</div>
<img alt="The picture as it comes" hidden>
<ol class="dbx-console-log" aria-label="Events" tabindex="0"></ol>
</form>"""


def _example_body(tool: Tool, service: StudioService) -> str:
    return json.dumps(examples(tool, service)["least"]["value"], indent=2, ensure_ascii=False)
