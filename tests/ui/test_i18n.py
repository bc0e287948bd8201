"""German covers the page, and its words can be looked up as Gradio and page.js do."""

from __future__ import annotations

import ast
import re
from dataclasses import replace
from functools import cache
from html import unescape
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from pipelines.engines.local import LocalEngine
from pipelines.framing.placement import find_cut_sides
from pipelines.jobs.queue import JobQueue
from pipelines.models import profiles
from pipelines.models.families import FAMILIES
from pipelines.models.model_cache import ModelCache
from pipelines.service.studio_service import StudioService
from pipelines.settings import Settings
from pipelines.storage.file_index import FileIndex
from pipelines.tools import TOOLS
from tests.support.gradio_loop import build_parts
from tests.support.shared_resources import take_decoder_pool
from tests.support.shipped_tools import SHIPPED_TOOL_IDS
from ui import page as ui_page
from ui.api.auth.access import AccessControl
from ui.api.auth.keys import SCOPES, ApiKey, KeyLimits, KeyStore
from ui.api_tab import page as api_tab_page
from ui.batch_tab.text import LARGER_SET_TEXT
from ui.i18n import GERMAN, is_translated, translate
from ui.tool_tab.form_controls import list_form_fields
from ui.tool_tab.text import list_doubts

MIN_TRANSLATED_SHARE = 0.8
"""Share of the page's words: tools come faster than words, and what has none yet stays English."""
TRANSLATED_PROPS = ("label", "info", "placeholder", "value", "choices")
UNTRANSLATED_TYPES = ("code", "dropdown", "radio", "textbox", "number", "slider", "checkboxgroup")


def list_words(component: dict[str, object]) -> list[str]:
    """The words of one component of the page's config."""
    props = component["props"]
    assert isinstance(props, dict)
    found = []
    for name in TRANSLATED_PROPS:
        value = props.get(name)
        if name == "choices":
            found += [row[0] for row in value or []]
        elif isinstance(value, str) and not (name == "value" and component["type"] in UNTRANSLATED_TYPES):
            plain = re.sub(r"<style>.*?</style>", "", value, flags=re.S)
            found += re.split(r"<[^>]*>", plain) if component["type"] == "html" else [value]
    return [unescape(text).strip() for text in found if re.search("[a-z]{2}", str(text))]


def test_german_covers_the_page(tmp_path: Path) -> None:
    files, ingest = FileIndex(tmp_path), take_decoder_pool()
    settings = Settings(data=tmp_path)
    jobs, keys = JobQueue(tmp_path, LocalEngine(ModelCache(FAMILIES), files)), KeyStore(tmp_path)
    tools = [tool for tool in TOOLS if tool.id in SHIPPED_TOOL_IDS]
    service = StudioService(settings, jobs, files, profiles.choose_profile("embedded")[0], ingest, tools)
    try:
        page = build_parts(lambda: ui_page.build_page(service, AccessControl(settings, keys)))
        components = page.get_config_file()["components"]
        words = {text for row in components for text in list_words(row)}
    finally:
        jobs.close()
        ingest.close()
        files.close()
        keys.close()
    assert len(words) > 300
    trade = r"\bmattes?\b|\binpaint|\bnets?\b|\btokens?\b|\bcheckpoint"
    assert not [text for text in words if re.search(trade, text)], "words of the trade"
    assert not [tool.id for tool in tools if not is_translated(tool.title)], "one name in the tabs and on the page"
    missing = sorted(text for text in words if not is_translated(text))
    console = next(row for row in components if row["props"].get("elem_id") == "api-console")
    assert not [text for text in list_words(console) if not is_translated(text) and not text.startswith("{")]
    assert len(missing) / len(words) < 1 - MIN_TRANSLATED_SHARE, missing


def test_german_covers_all_that_the_api_tab_says_later() -> None:
    """What is not in the page's config: what is filled in when the tab is opened, a key's row, what goes wrong."""
    key = ApiKey("0123456789", "Laptop", 0.0, None, SCOPES, KeyLimits(5, 6, 7))
    rows = [key, replace(key, used=1.0, revoked=1.0, limits=KeyLimits())]
    page = [api_tab_page.render_about("", True), api_tab_page.render_about("", False), api_tab_page.render_keys([])]
    page += [
        api_tab_page.render_keys(rows, {}),
        api_tab_page.NAME_MISSING_TEXT,
        api_tab_page.KEY_GONE_TEXT,
        api_tab_page.SCOPE_MISSING_TEXT,
    ]
    plain = [re.sub(r"<code.*?</code>", "<code>", text) for text in page]
    words = {unescape(word).strip() for text in plain for word in re.split(r"<[^>]*>", text)} - {"", "Laptop"}
    console = (Path(ui_page.__file__).parent / "static" / "console.js").read_text("utf-8")
    words |= set(re.findall(r'"(\w[\w ]+)"(?=;| :)', "".join(re.findall(r'"state"\)\.value = .*', console))))
    assert {"Sent", "Done", "Refused", "Stopped", "Broken off"} < words
    assert not [word for word in words if not is_translated(word)]


@pytest.mark.parametrize(
    ("english", "german"),
    [
        ("Done: {} of {}", "Fertig: {} von {}"),
        ("{}–{} of {}", "{}–{} von {}"),
        (", models may take up to {}.", ", Modelle dürfen bis zu {} nehmen."),
        ("in the middle", "in der Mitte"),
        (
            LARGER_SET_TEXT,
            "Die Größe ist auf {} px gestellt. Füge die Fotos noch einmal hinzu und drücke auf „Starten“: "
            "ein neuer Stapel, ohne die Ausbesserungen von diesem.",
        ),
        ("Seed", "Startzahl"),
        ("Seed {}", "Startzahl {}"),
        (
            "This file is no picture. JPEG, PNG, WebP, HEIC and others are taken.",
            "Diese Datei ist kein Bild. JPEG, PNG, WebP, HEIC und andere gehen.",
        ),
    ],
)
def test_what_was_left_in_english_is_german(english: str, german: str) -> None:
    assert GERMAN[english] == german


@pytest.mark.parametrize("package", ["matting", "tools"])
def test_refusals_that_stand_in_the_code_are_german(package: str) -> None:
    paths = (Path(__file__).parents[2] / "pipelines" / package).rglob("*.py")
    nodes = [node for path in paths for node in ast.walk(ast.parse(path.read_text("utf-8")))]
    calls = [node for node in nodes if isinstance(node, ast.Call) and ast.unparse(node.func) == "BadInput"]
    texts = [text for call in calls for text in call.args[:1]]
    parts = [part for text in texts for part in ((text.body, text.orelse) if isinstance(text, ast.IfExp) else (text,))]
    sentences = [part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)]
    assert sentences
    assert not [sentence for sentence in sentences if not is_translated(sentence)]


def test_every_gap_in_a_phrase_has_one_in_its_german() -> None:
    assert not [key for key, text in GERMAN.items() if key.count("{}") != text.count("{}")]
    assert not [key for key in GERMAN if re.sub(r"\{\}", "", key).count("{")]


def test_german_has_its_own_quotes_and_one_word_for_one_thing() -> None:
    """Words that were given up for another: Festplatte, Freisteller, Rahmen, Augenhöhe, Einwilligung, Reiter."""
    given_up = r"\bPlatte\b|Freistellung|\bKasten\b|Augenlinie|Einverständnis|\bTab\b|GPU-Modell|['\"]"
    assert not [text for text in GERMAN.values() if re.search(given_up, text)]


def test_no_german_is_english_that_means_something_else() -> None:
    """Gradio translates first and page.js what it finds then: a phrase must not be translated twice."""
    assert not {key: text for key, text in GERMAN.items() if GERMAN.get(text, text) != text}


def test_a_phrase_of_several_parts_is_covered_when_each_is() -> None:
    assert is_translated("Draft · Cutting out · step 1 of 2 · about 7 s left")
    assert not is_translated("Draft · Something new")


@cache
def list_shapes() -> list[re.Pattern[str]]:
    """What each key of the German fits, in their order."""
    return [re.compile(re.escape(key).replace(r"\{\}", "(.+?)")) for key in GERMAN]


def test_the_sides_of_a_cut_are_german_together() -> None:
    sides = find_cut_sides(np.ones((4, 4), np.float32))
    assert len(sides) == 4
    for count in range(1, 5):
        assert all(is_translated(", ".join(some)) for some in combinations(sides, count))


def test_no_value_of_a_choice_is_translated() -> None:
    """Gradio would send the German word, which is no value, wherever a form is filled with it."""
    values = {value for tool in TOOLS for field in list_form_fields(tool.params) for _, value in field.options}
    assert {"left", "top", "auto"} < values
    assert not [value for value in values if GERMAN.get(value, value) != value]
    assert translate("left") == "links"


@pytest.mark.parametrize(
    "sentence",
    [
        "Check this edge: the cut-out is half transparent at the top left. The brush mends it.",  # of older receipts
        "A part may be missing at the left. Point at it, or paint it in.",
        "A part may be missing at the top: the cut-out is half transparent there. Point at it, or paint it in.",
        "Background may be left at the bottom right. Point at it, or wipe it away.",
        "Doubtful part at the bottom right: too much or too little may be taken. Point at it, or wipe it away.",
        "A part stands alone at the top: it may not belong.",
        "Check the cut-out at the left: it is a guess there.",
        "Check the opening at the left: all in it counts as background.",
        "Check the border in the middle: something beside it may be taken too, or a part be missing.",
        "Check the edge at the right: it may be wrong.",
        "Check the edge at the bottom: it is half transparent, and a part may be missing. Point at it, or paint it in.",
        "Several things stand out; the one at the left is taken. Choose another, or keep more by pointing at them.",
        "Several things stand out; the largest one is taken. Choose another, or keep more by pointing at them.",
        "The photo cuts the top of the head. Use a photo with more room around it.",
        "The head stands at the picture's left edge. Use a photo with more room around it.",
    ],
)
def test_a_doubt_is_german_down_to_its_place(sentence: str) -> None:
    """The first key that matches is taken, as by the page, so that what it leaves open must be a place."""
    kind = "framing_doubts" if "more room" in sentence else "cutout_doubts"
    for told in (sentence, *list_doubts({kind: [sentence]})):
        first = next(found for shape in list_shapes() if (found := shape.fullmatch(told)))
        assert told in GERMAN or all(is_translated(place) for place in first.groups()), first
