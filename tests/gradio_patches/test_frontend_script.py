"""Gradio's script with its slow places mended."""

from __future__ import annotations

import re

from starlette.applications import Starlette
from starlette.testclient import TestClient

from ui.gradio_patches import frontend_script

SCRIPT = "find_attached_events(e,t){return e}async set_event_args(a,b){let n={}}this.find_attached_events(e,this.#n)"


def test_all_places_are_found_in_the_installed_gradio() -> None:
    scripts = frontend_script.read_patched_scripts()
    assert sum(text.count("dbxHeard(") for text in scripts.values()) == 2, "one call and the function"
    assert sum(text.count("return()=>{};let n={},") for text in scripts.values()) == 1
    clock = r"\(\)\{setTimeout\(\(\)=>\{[^{}]*performance\.now\(\)[^{}]*\},100\)\}"
    assert sum(len(re.findall(clock, text)) for text in scripts.values()) == 1, "the clock of an event that runs"
    assert sum(text.count("{return dbxFind(") for text in scripts.values()) == 1
    assert sum(text.count("dbxNews(Object.entries(this.loading_stati.current)).map(") for text in scripts.values()) == 1
    assert sum(len(re.findall(r"if\(dbxIsNew\((\w+)\)\)return;\1\.reload\(", text)) for text in scripts.values()) == 1
    others = r"\.fn_index&&\([\w.!=|$]+used_cache!=null[\w.!=|$]*\)&&\(this\.current\["
    assert sum(len(re.findall(others, text)) for text in scripts.values()) == 1


def test_what_was_there_still_is() -> None:
    light = frontend_script.patch_script(SCRIPT)
    mended = "find_attached_events(e,t){e.props.shared_props.attached_events=dbxHeard(t,e.id);return e;return e}"
    assert light.startswith(mended)
    assert "async set_event_args(a,b){if(!Object.keys(b).length)return()=>{};let n={}}" in light
    assert "this.find_attached_events(e,this.#n)\n" in light


def test_a_running_events_seconds_are_counted_ten_times_a_second() -> None:
    counted = "function ze(){me(()=>{F(Pe,(performance.now()-w(de))/1e3),W&&ze()})}"
    assert frontend_script.patch_script(counted) == (
        "function ze(){setTimeout(()=>{F(Pe,(performance.now()-w(de))/1e3),W&&ze()},100)}"
    )


def test_a_tree_that_was_built_a_moment_ago_is_not_built_again() -> None:
    effect = "le(()=>{v(),oe(()=>{O.reload(r.components,r.layout),R.reload(r.app)})})"
    mended = "le(()=>{v(),oe(()=>{if(dbxIsNew(O))return;O.reload(r.components,r.layout),R.reload(r.app)})})"
    assert frontend_script.patch_script(effect) == mended + frontend_script.FIRST_RELOAD_SCRIPT


def test_a_script_without_them_stays_as_it_is() -> None:
    other = "export function traverse(e,t){return e}"
    assert frontend_script.patch_script(other) == other


def test_the_lightened_script_is_what_is_handed_out_and_a_browser_asks_again_within_an_hour() -> None:
    with TestClient(Starlette(routes=frontend_script.build_script_routes())) as client:
        for name, text in frontend_script.read_patched_scripts().items():
            answer = client.get(f"/assets/{name}")
            assert answer.text == text
            assert answer.headers["content-type"].startswith("text/javascript")
            assert answer.headers["cache-control"] == "max-age=3600"
