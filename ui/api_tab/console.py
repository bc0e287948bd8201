"""Console of the API tab: a form with an example request.

`static/console.js` sends the request from the visitor's browser and lists the events of the answer.
"""

from __future__ import annotations

import json
from html import escape

from pipelines.service.studio_service import StudioService
from ui.api.documentation.openapi_docs import build_examples


def render_console(service: StudioService) -> str:
    """Render the form, with a working example body for each tool."""
    examples = {tool.id: build_examples(tool, service)["least"]["value"] for tool in service.tools}
    bodies = {tool_id: json.dumps(value, indent=2, ensure_ascii=False) for tool_id, value in examples.items()}
    options = "".join(f'<option value="{escape(tool.id)}">{escape(tool.title)}</option>' for tool in service.tools)
    first = bodies[service.tools[0].id]
    return f"""\
<form class="dbx-console" data-bodies="{escape(json.dumps(bodies))}">
<h2>Try it</h2>
<p>The request goes from this page to <code>/v1</code>, as any program's would. It makes a real picture.</p>
<p>The photo and the consent in it are those of an example; for your own photo put in the id of its upload.</p>
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
