"""Patches Gradio's frontend script (the first tree, finding events and components, the status of running events).

Gradio's page goes through every listener for each component, and for each listener through the whole tree for arguments
that hardly any listener has: half of the time to the first paint. It builds the tree twice, another quarter. While an
event runs, each of its outputs counts the seconds in every frame, and each message tells every component that an event
ever had its status again, for which each is looked for in the whole tree. A script without these functions is served
unchanged.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

PATCHED_NAMES = ("gradio.route_utils:BUILD_PATH_LIB",)
_NAME = r"([\w$]+)"
_FIND_EVENTS_PATTERN = re.compile(rf"(?<!\.)find_attached_events\({_NAME},{_NAME}\)\{{")
_SET_ARGUMENTS_PATTERN = re.compile(rf"async set_event_args\({_NAME},{_NAME}\)\{{")
_CLOCK_PATTERN = re.compile(
    rf"function {_NAME}\(\)\{{{_NAME}\((\(\)=>\{{[^{{}}]*performance\.now\(\)[^{{}}]*&&\1\(\)\}})\)\}}"
)
_FIND_COMPONENT_PATTERN = re.compile(
    rf"function {_NAME}\({_NAME},{_NAME}\)\{{"
    rf"(?=if\(\2\.id===\3\)return \2;if\(\2\.children\)for\(let [^{{}}]*\{{let {_NAME}=\1\()"
)
_OTHER_STATUSES_PATTERN = re.compile(rf"{_NAME}\.fn_index!==[\w$]+\.fn_index&&(?=\(this\.current\[)")
_FIRST_RELOAD_PATTERN = re.compile(rf"\{{{_NAME}\(\),{_NAME}\(\(\)=>\{{(?=({_NAME})\.reload\([\w$]+\.components,)")
_ALL_STATUSES = "Object.entries(this.loading_stati.current)"
CLOCK_INTERVAL_MS = 100
"""Milliseconds between two counts of the seconds that an event takes; they are shown with one decimal."""
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
"""Script that indexes the listeners by component once: the first event of each listener, in the listeners' order."""
COMPONENT_INDEX_SCRIPT = """
const dbxPlaces = new WeakMap();
function dbxFind(root, id) {
  let places = dbxPlaces.get(root);
  if (places?.get(id) === null) return null;
  const follow = () => places?.get(id)?.reduce((node, n) => node?.children?.[n], root);
  const known = follow();
  if (known?.id === id) return known;
  dbxPlaces.set(root, places = new Map());
  const note = (node, place) => {
    places.set(node.id, place);
    node.children?.forEach((child, n) => note(child, [...place, n]));
  };
  note(root, []);
  if (!places.has(id)) places.set(id, null);
  return follow() ?? null;
}
"""
"""Script that notes the place of each component in the tree, and anew when one has moved; null is nowhere."""
STATUS_NEWS_SCRIPT = """
const dbxTold = new WeakSet();
const dbxNews = (rows) => rows.filter(([, row]) => !dbxTold.has(row) && dbxTold.add(row));
"""
"""Script that leaves the statuses out which were told before: a new status is a new object."""
FIRST_RELOAD_SCRIPT = """
const dbxBuilt = new WeakSet();
const dbxIsNew = (tree) => !dbxBuilt.has(tree) && dbxBuilt.add(tree);
"""
"""Script that tells whether a tree is asked for the first time: it was built a moment ago."""
CACHE_SECONDS = 3600
"""Time that a browser may cache the script. Gradio's own year would outlive the next change of the patch."""


def patch_script(script: str) -> str:
    """Patch the functions in the script; return it unchanged where they are not found."""
    script = _CLOCK_PATTERN.sub(rf"function \1(){{setTimeout(\3,{CLOCK_INTERVAL_MS})}}", script)
    script = _SET_ARGUMENTS_PATTERN.sub(r"\g<0>if(!Object.keys(\2).length)return()=>{};", script)
    caches = "used_cache", "cache_duration", "avg_time", "cache_event_id"
    has_any = "||".join(rf"\1.{name}!=null" for name in caches)
    script = _OTHER_STATUSES_PATTERN.sub(rf"\g<0>({has_any})&&", script)
    events = r"\g<0>\1.props.shared_props.attached_events=dbxHeard(\2,\1.id);return \1;"
    for pattern, replacement, helper in (
        (_FIND_EVENTS_PATTERN, events, EVENT_INDEX_SCRIPT),
        (_FIND_COMPONENT_PATTERN, r"\g<0>return dbxFind(\2,\3);", COMPONENT_INDEX_SCRIPT),
        (_FIRST_RELOAD_PATTERN, r"\g<0>if(dbxIsNew(\3))return;", FIRST_RELOAD_SCRIPT),
        (re.compile(re.escape(_ALL_STATUSES)), f"dbxNews({_ALL_STATUSES})", STATUS_NEWS_SCRIPT),
    ):
        script, found = pattern.subn(replacement, script)
        script += helper if found else ""
    return script


def read_patched_scripts() -> dict[str, str]:
    """Read the installed Gradio's scripts and return those that the patch changes, by file name."""
    from gradio.route_utils import BUILD_PATH_LIB

    texts = {
        path.name: path.read_text(encoding="utf-8")
        for name in ("core", "Blocks", "statustracker")
        for path in Path(BUILD_PATH_LIB).glob(f"{name}-*.js")
    }
    return {name: patched for name, text in texts.items() if (patched := patch_script(text)) != text}


def build_script_routes() -> list[Route]:
    """Build routes for the patched scripts. They must come before Gradio's routes for the same files."""
    return [Route(f"/assets/{name}", partial(_send_script, script)) for name, script in read_patched_scripts().items()]


async def _send_script(script: str, request: Request) -> Response:
    return Response(script, media_type="text/javascript", headers={"Cache-Control": f"max-age={CACHE_SECONDS}"})
