"""Two places of Gradio's script that make a large page wait, mended as the script is handed out; knows no page.

When its page is built, Gradio goes through every listener for each component, and for each listener through the whole
tree to ask for arguments that hardly any listener has. On a page of 1,500 components and 500 listeners that is half of
the wait for the first sight. A script in which these places are not found is left to Gradio as it is.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

_NAME = r"([\w$]+)"
_FIND_EVENTS_PATTERN = re.compile(rf"(?<!\.)find_attached_events\({_NAME},{_NAME}\)\{{")
_SET_ARGUMENTS_PATTERN = re.compile(rf"async set_event_args\({_NAME},{_NAME}\)\{{")
EVENT_INDEX_SCRIPT = """
const dbxLists = new WeakMap();
function dbxHeard(listeners, id) {
  if (!dbxLists.has(listeners)) {
    const heard = new Map();
    for (const { targets } of listeners)
      for (const [to, event] of new Map([...targets].reverse()))
        if (event) heard.set(to, [...(heard.get(to) ?? []), event]);
    dbxLists.set(listeners, heard);
  }
  return dbxLists.get(listeners).get(id) ?? [];
}
"""
"""What the page heard of a component, listed once: the first event of each listener, in the listeners' order."""
CACHE_SECONDS = 3600


def patch_script(script: str) -> str:
    """The script with what it needlessly waits for left out; the same text where nothing is found."""
    script = _SET_ARGUMENTS_PATTERN.sub(r"\g<0>if(!Object.keys(\2).length)return()=>{};", script)
    heard = r"\g<0>\1.props.shared_props.attached_events=dbxHeard(\2,\1.id);return \1;"
    listed, found = _FIND_EVENTS_PATTERN.subn(heard, script)
    return listed + EVENT_INDEX_SCRIPT if found else script


def read_patched_scripts() -> dict[str, str]:
    """The lightened scripts of the installed Gradio by their file's name."""
    from gradio.route_utils import BUILD_PATH_LIB

    texts = {
        path.name: path.read_text(encoding="utf-8")
        for name in ("core", "Blocks")
        for path in Path(BUILD_PATH_LIB).glob(f"{name}-*.js")
    }
    return {name: light for name, text in texts.items() if (light := patch_script(text)) != text}


def build_script_routes() -> list[Route]:
    """To be asked before Gradio's own, which hand out the same files."""
    return [Route(f"/assets/{name}", partial(_send_script, script)) for name, script in read_patched_scripts().items()]


async def _send_script(script: str, request: Request) -> Response:
    # A year, as the name would allow, would outlive the next change of what is mended here.
    return Response(script, media_type="text/javascript", headers={"Cache-Control": f"max-age={CACHE_SECONDS}"})
