"""What is kept comes back by its name, in every tool and at every door, and to nobody else."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from sqlalchemy import update

from pipelines.avatars.traits import parse_character
from pipelines.core.errors import BadInput, InvalidParams, NotFound, PolicyRefusal
from pipelines.core.params import Params, choice_field, colour_field, picture_field, prompt_field
from pipelines.core.stream import wait_for_result
from pipelines.jobs.retention import RetentionPolicy, apply_retention, delete_jobs
from pipelines.service import form_filling, saved_items
from pipelines.service.saved_items import BrandKit, SavedItemStore
from pipelines.storage.schema import FILES, JOBS
from pipelines.tools import TOOLS, character, product, social_kit
from tests.support.served_app import ServedApp, serve_app
from tests.support.shipped_tools import SHIPPED_TOOL_IDS

pytestmark = pytest.mark.usefixtures("each_database")

OTHER = "somebody-else"


class Poster(Params):
    """A tool's form with everything that a kit has."""

    photo: str | None = picture_field("Photo", "One.")
    colour: str | None = colour_field("Colour", "One.")
    logo: str | None = picture_field("Logo", "One.")
    framing: str = choice_field("Framing", "One.", "classic", labels={"classic": "Classic", "wide": "Wide"})
    brand: str = prompt_field("Brand kit", "One.", saved_kind="brand")


def png(level: int = 60, side: int = 48) -> bytes:
    out = io.BytesIO()
    PIL.Image.fromarray(np.full((side, side, 3), level, np.uint8)).save(out, "PNG")
    return out.getvalue()


@pytest.fixture(scope="module")
def here(each_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedApp]:
    with serve_app(tmp_path_factory.mktemp("kept"), tools=(character.TOOL, social_kit.TOOL, product.TOOL)) as made:
        yield made


@pytest.fixture
def shelf(here: ServedApp) -> Iterator[SavedItemStore]:
    yield here.service.saved_items
    for what in ("brand", "character", "look"):
        for row in here.service.saved_items.list_items("local", what):
            here.service.saved_items.delete_item("local", what, row.id)


# ---------------------------------------------------------------- the shelf


def test_a_name_holds_one_thing_and_keeps_its_id(shelf: SavedItemStore) -> None:
    first = shelf.save_item("local", "brand", "  North   wind ", {"colour": "#112233"})
    again = shelf.save_item("local", "brand", "North wind", {"colour": "#445566"})
    assert (first.id, first.name) == (again.id, "North wind")
    assert shelf.find_item("local", "brand", first.id) == shelf.find_item("local", "brand", "North wind") == again
    assert [row.value["colour"] for row in shelf.list_items("local", "brand")] == ["#445566"]


def test_nobody_sees_what_is_anothers(shelf: SavedItemStore) -> None:
    mine = shelf.save_item("local", "brand", "Mine", {})
    for key in (mine.id, "Mine"):
        with pytest.raises(NotFound):
            shelf.find_item(OTHER, "brand", key)
        with pytest.raises(NotFound):
            shelf.delete_item(OTHER, "brand", key)
        with pytest.raises(NotFound):
            shelf.find_item("local", "character", key)
    assert shelf.list_items(OTHER, "brand") == []


@pytest.mark.parametrize("name", ["", "  ", "a=b", "x" * 61, "a\x00b", "file-1", "char-1", "brand-1"])
def test_a_name_is_a_name(shelf: SavedItemStore, name: str) -> None:
    with pytest.raises(BadInput) as caught:
        shelf.save_item("local", "brand", name, {})
    assert caught.value.param == "name"


def test_only_so_many_are_kept(shelf: SavedItemStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saved_items, "MAX_SAVED_COUNT", 2)
    shelf.save_item("local", "brand", "One", {})
    shelf.save_item("local", "brand", "Two", {})
    shelf.save_item("local", "brand", "Two", {"colour": "#000000"})
    with pytest.raises(BadInput, match="delete one"):
        shelf.save_item("local", "brand", "Three", {})


# ---------------------------------------------------------------- into a form


def test_a_kit_fills_what_the_form_leaves_open_and_nothing_else(shelf: SavedItemStore) -> None:
    shelf.save_item(
        "local", "brand", "Acme", {"colour": "#112233", "logo": "file-l", "light": "relit", "framing": "wide"}
    )
    made = form_filling.fill_form(Poster, {"brand": "Acme"}, "local", shelf.find_item)
    assert made.values == {"brand": "", "colour": "#112233", "logo": "file-l", "framing": "wide"}
    assert made.notices == ("Brand kit 'Acme': colour, logo, framing.",)
    made = form_filling.fill_form(
        Poster, {"brand": "Acme", "colour": "#ffffff", "logo": None}, "local", shelf.find_item
    )
    assert (made.values["colour"], made.values["logo"]) == ("#ffffff", "file-l")


def test_a_value_that_the_tool_does_not_offer_is_left(shelf: SavedItemStore) -> None:
    shelf.save_item("local", "brand", "Acme", {"framing": "tight", "light": "any"})
    assert form_filling.fill_form(Poster, {"brand": "Acme"}, "local", shelf.find_item).values == {"brand": ""}


def test_a_kit_that_is_not_kept_is_said(shelf: SavedItemStore) -> None:
    with pytest.raises(BadInput) as caught:
        form_filling.fill_form(Poster, {"brand": "Nobody"}, "local", shelf.find_item)
    assert caught.value.param == "brand"


def test_a_picture_may_be_named_by_a_character(shelf: SavedItemStore) -> None:
    mira = shelf.save_item("local", "character", "Mira", {"params": {}, "picture": "file-m"})
    assert form_filling.fill_form(Poster, {"photo": mira.id}, "local", shelf.find_item).values["photo"] == "file-m"
    with pytest.raises(BadInput) as caught:
        form_filling.fill_form(Poster, {"photo": mira.id}, OTHER, shelf.find_item)
    assert caught.value.param == "photo"


def test_every_tool_that_has_a_kits_fields_takes_a_kit() -> None:
    common = set(BrandKit.model_fields) - {"behind_colour"}
    for tool in TOOLS:
        fields = set(tool.params.model_fields)
        if len(fields & common) > 0 and tool.id not in ("style",):
            assert tool.params.schema_extra("brand")["x-kept"] == "brand", tool.id


def test_a_job_says_all_of_a_kit_so_that_no_later_kit_changes_it(here: ServedApp, shelf: SavedItemStore) -> None:
    photo, logo = (
        here.service.uploads.ingest_picture(png(), "local")[0],
        here.service.uploads.ingest_picture(png(200), "local")[0],
    )
    here.service.saved_items.save_brand_kit("Acme", {"colour": "#112233", "logo": logo}, "local")
    job = here.service.create_job("kit", {"photo": photo, "brand": "Acme"}, "local")
    assert (job.params["colour"], job.params["logo"], job.params["brand"]) == ("#112233", logo, "")
    here.service.saved_items.save_brand_kit("Acme", {"colour": "#445566"}, "local")
    assert here.service.create_job("kit", job.params, "local").params == job.params


def test_a_kit_is_checked_as_a_form_is(here: ServedApp, shelf: SavedItemStore) -> None:
    with pytest.raises(InvalidParams):
        here.service.saved_items.save_brand_kit("Acme", {"colour": "red"}, "local")
    with pytest.raises(BadInput, match="logo"):
        here.service.saved_items.save_brand_kit("Acme", {"logo": "file-of-somebody"}, "local")


# ---------------------------------------------------------------- characters


def made(here: ServedApp, **values: object) -> str:
    """A finished character; its job's id."""
    job = here.service.create_job("character", {"size": 256, "preset": "anyone", **values}, "local")
    wait_for_result(here.service.jobs.watch(here.service.jobs.submit(job)))
    return job.id


def test_a_character_comes_back_in_its_tool_and_as_a_picture_in_any(here: ServedApp, shelf: SavedItemStore) -> None:
    job = made(here, art="lorelei", colour="#2255aa", seed=3)
    row = here.service.jobs.get_job(job)
    assert row is not None
    assert row.result is not None
    line = row.result.receipt["params"]["character"]
    mira = here.service.saved_items.save_character(job, "Mira", "local")
    for key in ("Mira", mira.id):
        again = here.service.create_job("character", {"character": key}, "local")
        assert (again.params["character"], again.params["art"], again.params["colour"]) == (line, "lorelei", "#2255aa")
        assert again.params["preset"] == "anyone"
    sad = here.service.create_job("character", {"character": "Mira", "mood": "sad", "art": "pixel"}, "local")
    assert (sad.params["mood"], sad.params["art"]) == ("sad", "pixel")
    elsewhere = here.service.create_job("kit", {"photo": mira.id}, "local")
    image = here.service.files.open_image(elsewhere.params["photo"])
    assert image.shape == (256, 256, 4), "it comes with its transparency, so that no cut-out is guessed"
    assert (image[..., 3].min(), image[..., 3].max()) == (0, 255)


def test_only_ones_own_finished_character_is_kept(here: ServedApp, shelf: SavedItemStore) -> None:
    job = made(here, seed=3)
    with pytest.raises(NotFound):
        here.service.saved_items.save_character(job, "Mira", OTHER)
    with pytest.raises(NotFound):
        here.service.saved_items.save_character("job-none", "Mira", "local")


def test_what_is_kept_outlives_the_job_that_made_it(here: ServedApp, shelf: SavedItemStore) -> None:
    job = made(here, seed=4)
    mira = here.service.saved_items.save_character(job, "Mira", "local")
    jobs = here.service.jobs
    jobs.table.db.execute(update(JOBS).where(JOBS.c.id == job).values(finished=0))
    here.service.files._db.execute(update(FILES).where(FILES.c.owner == "local").values(created=0))
    apply_retention(jobs.table, here.service.files, RetentionPolicy(max_days=1))
    assert jobs.get_job(job) is None
    assert here.service.files.open_image(mira.value["picture"]).shape[2] == 4
    job = made(here, seed=4)
    mira = here.service.saved_items.save_character(job, "Mira", "local")
    assert delete_jobs(jobs.table, here.service.files, "local", [job]) == 1
    assert here.service.files.open_image(mira.value["picture"]).shape[2] == 4


# ---------------------------------------------------------------- over HTTP


def test_kits_are_kept_listed_used_and_forgotten_over_the_api(here: ServedApp, shelf: SavedItemStore) -> None:
    with here.open_client() as client:
        sent = client.post("/v1/brands", data={"name": "Acme", "colour": "#0b5c52"}, files={"logo": png(20)})
        assert sent.status_code == 200, sent.text
        row = sent.json()
        assert (row["object"], row["name"], row["colour"]) == ("brand", "Acme", "#0b5c52")
        assert client.get("/v1/brands").json()["data"] == [row]
        assert client.get("/v1/brands/Acme").json() == client.get(f"/v1/brands/{row['id']}").json() == row
        answer = client.post("/v1/tools/character", json={"preset": "anyone", "size": 256, "brand": "Acme", "seed": 1})
        assert answer.status_code == 200, answer.text
        receipt = answer.json()["receipt"]
        assert receipt["params"]["colour"] == "#0b5c52"
        assert "Brand kit 'Acme': clothes." in receipt["notices"]
        refused = client.post("/v1/tools/character", json={"brand": "Nobody"})
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, "brand")
        assert client.delete(f"/v1/brands/{row['id']}").json()["deleted"] is True
        assert client.get("/v1/brands/Acme").status_code == 404


def test_what_is_kept_is_listed_page_by_page(here: ServedApp, shelf: SavedItemStore) -> None:
    names = sorted(f"Kit {n}" for n in range(5))
    ids = [shelf.save_item("local", "brand", name, {}).id for name in names]
    theirs = shelf.save_item(OTHER, "brand", "Theirs", {}).id
    with here.open_client() as client:
        seen: list[str] = []
        page = client.get("/v1/brands?limit=2").json()
        while True:
            seen += [row["id"] for row in page["data"]]
            assert (page["first_id"], page["last_id"]) == (page["data"][0]["id"], page["data"][-1]["id"])
            if not page["has_more"]:
                break
            page = client.get(f"/v1/brands?limit=2&after={page['last_id']}").json()
        assert seen == ids
        assert client.get(f"/v1/brands?after={ids[-1]}").json()["data"] == []
        for path in (f"/v1/brands?after={theirs}", f"/v1/characters?after={ids[0]}"):
            assert client.get(path).status_code == 404
        assert client.get("/v1/characters?limit=101").status_code == 422
        described = client.get("/v1/openapi.json").json()["paths"]
        for path in ("/brands", "/characters"):
            assert {row["name"] for row in described[path]["get"]["parameters"]} == {"limit", "after"}


def test_a_passport_travels(here: ServedApp, shelf: SavedItemStore, tmp_path: Path) -> None:
    job = made(here, art="thumbs", seed=8, name="Bo")
    with here.open_client() as client:
        row = client.post("/v1/characters", json={"job": job, "name": "Bo"}).json()
        passport = client.get(f"/v1/characters/{row['id']}/passport")
        assert passport.headers["content-disposition"].endswith('.json"')
        with serve_app(tmp_path, tools=(character.TOOL,)) as other, other.open_client() as there:
            back = there.post("/v1/characters", json=passport.json())
            assert back.status_code == 200, back.text
            assert (back.json()["name"], back.json()["params"]) == ("Bo", row["params"])
            again = there.post("/v1/tools/character", json={"character": "Bo", "size": 256})
            first = client.get(f"/v1/jobs/{job}").json()
            assert again.json()["receipt"]["files"][0]["pixels_sha256"] == first["receipt"]["files"][0]["pixels_sha256"]
        answer = client.post("/v1/tools/kit?wait=false", json={"photo": row["id"], "preset": "post"})
        assert answer.status_code == 202
        assert client.delete("/v1/characters/Bo").status_code == 200


FORGERIES: tuple[dict[str, object], ...] = (
    {"params": {"character": "nobody"}},
    {"params": {}},
    {"params": "x"},
    {"name": ""},
    {"name": 7},
    {"picture": None},
    {"picture": "https://elsewhere"},
    {"picture": "data:image/png;base64,AAAA"},
    {"params": {"character": "../../etc/passwd"}},
)
"""What is changed in a passport that is right."""


def test_a_forged_passport_is_refused(here: ServedApp, shelf: SavedItemStore) -> None:
    job = made(here, art="thumbs", seed=8)
    with here.open_client() as client:
        row = client.post("/v1/characters", json={"job": job, "name": "Bo"}).json()
        passport = client.get(f"/v1/characters/{row['id']}/passport").json()
        for change in FORGERIES:
            answer = client.post("/v1/characters", json={**passport, **change})
            assert answer.status_code in (400, 422), change
            # The shelf is as it was, so each of them is refused for its own change.
            assert client.get("/v1/characters").json()["data"] == [row], change


def test_words_in_a_passport_pass_the_same_door(here: ServedApp, shelf: SavedItemStore) -> None:
    line = here.service.jobs.get_job(made(here, art="thumbs", seed=8))
    assert line is not None
    assert line.result is not None
    params = {"character": line.result.receipt["params"]["character"], "prompt": "a naked man"}
    with pytest.raises(PolicyRefusal):
        here.service.saved_items.import_character("Bo", params, "file-x", "local")
    assert parse_character(params["character"]).art == "thumbs"


# ---------------------------------------------------------------- looks


def test_a_look_is_the_forms_own_choices_and_what_a_call_says_wins(here: ServedApp, shelf: SavedItemStore) -> None:
    saved = here.service.saved_items
    photo = here.service.uploads.ingest_picture(png(side=160), "local")[0]
    form = {"photo": photo, "preset": "amazon", "size": 512, "fill": 60, "seed": 4, "consent": True, "quality": 95}
    look = saved.save_look("Shop white", "product", form, "local")
    assert look.value == {"tool": "product", "params": {"preset": "amazon", "size": 512, "fill": 60}, "picture": None}
    for key in ("Shop white", look.id):
        job = here.service.create_job("product", {"photo": photo, "look": key, "size": 768}, "local")
        assert (job.params["preset"], job.params["size"], job.params["fill"]) == ("amazon", 768, 60)
        assert job.params["look"] == ""
        assert job.notices == ("Your look 'Shop white': look, fill.",)
    with pytest.raises(BadInput, match="look of another tool") as caught:
        here.service.create_job("kit", {"photo": photo, "look": "Shop white"}, "local")
    assert caught.value.param == "look"
    with pytest.raises(BadInput):
        here.service.create_job("product", {"photo": photo, "look": "Shop white"}, OTHER)


@pytest.mark.parametrize("params", [{"preset": "moon"}, {"size": 9_999}, {"no_field": 1}])
def test_a_look_is_checked_as_a_form_is(here: ServedApp, shelf: SavedItemStore, params: dict[str, object]) -> None:
    with pytest.raises(InvalidParams):
        here.service.saved_items.save_look("Bad", "product", params, "local")


def test_what_a_call_says_wins_over_a_look_and_what_a_page_began_with_gives_way(
    here: ServedApp, shelf: SavedItemStore
) -> None:
    photo = here.service.uploads.ingest_picture(png(side=160), "local")[0]
    here.service.saved_items.save_look("Stories", "kit", {"preset": "story"}, "local")
    for chosen, used in (("usual", "usual"), ("all", "story"), ("pin", "pin")):  # "all" is the default
        job = here.service.create_job("kit", {"photo": photo, "look": "Stories", "preset": chosen}, "local")
        assert job.params["preset"] == used
    named = {"look": "Stories", "preset": "usual", "headline": ""}
    assert form_filling.list_untouched_fields(social_kit.Kit, named) == {"preset"}
    assert form_filling.list_untouched_fields(social_kit.Kit, {**named, "preset": "pin"}) == set()
    assert form_filling.list_untouched_fields(social_kit.Kit, {**named, "look": ""}) == set()


def test_every_tool_that_is_shipped_takes_a_look() -> None:
    for tool in (tool for tool in TOOLS if tool.id in SHIPPED_TOOL_IDS):
        assert tool.params.schema_extra("look")["x-kept"] == "look", tool.id


def test_looks_are_kept_used_and_forgotten_over_the_api(here: ServedApp, shelf: SavedItemStore) -> None:
    body = {"name": "Green", "tool": "character", "params": {"colour": "#2f7d4f", "mood": "happy", "size": 256}}
    with here.open_client() as client:
        row = client.post("/v1/looks", json=body).json()
        assert (row["object"], row["name"], row["params"]) == ("look", "Green", body["params"])
        assert row["link"] == "/?tool=character&mood=happy&size=256&colour=%232f7d4f"
        assert client.get("/v1/looks").json()["data"] == [row]
        assert client.get("/v1/looks/Green").json() == row
        made = client.post("/v1/tools/character", json={"look": "Green", "preset": "anyone", "seed": 1}).json()
        assert made["receipt"]["params"]["colour"] == "#2f7d4f"
        again = client.post("/v1/looks", json={"name": "Green too", "job": made["id"]}).json()
        assert again["params"] == {**body["params"], "preset": "anyone"}
        assert again["picture"].startswith("data:image/jpeg;base64,")
        refused = client.post("/v1/tools/character", json={"look": "Nobody"})
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, "look")
        assert client.delete("/v1/looks/Green").json()["deleted"] is True
        assert client.get("/v1/looks/Green").status_code == 404


def test_looks_travel_as_one_file(here: ServedApp, shelf: SavedItemStore) -> None:
    job = made(here, seed=6, mood="calm")
    first = here.service.saved_items.save_look_of_job("Calm", job, "local")
    here.service.saved_items.save_look("Shop", "product", {"preset": "amazon"}, "local")
    with here.open_client() as client:
        file = client.get("/v1/looks-file")
        assert file.headers["content-disposition"].endswith('filename="looks.json"')
        assert [row["name"] for row in file.json()["looks"]] == ["Calm", "Shop"]
        assert [row["name"] for row in client.get("/v1/looks-file?key=Shop").json()["looks"]] == ["Shop"]
        for name in ("Calm", "Shop"):
            client.delete(f"/v1/looks/{name}")
        assert client.post("/v1/looks", json=file.json()).status_code == 200
        back = {row["name"]: row for row in client.get("/v1/looks").json()["data"]}
        assert back["Calm"]["params"] == first.value["params"]
        assert back["Calm"]["picture"].startswith("data:image/jpeg")
        for wrong in ({"looks": []}, {"looks": [1]}, {"looks": [{"name": "x", "tool": "no", "params": {}}]}):
            answer = client.post("/v1/looks", json={"format": "designerbox-looks", **wrong})
            assert answer.status_code in (400, 404), answer.text
        large = {"name": "x", "tool": "product", "params": {}, "picture": "data:image/png;base64," + "A" * 300_000}
        assert client.post("/v1/looks", json=large).json()["error"]["param"] == "picture"


def test_a_strangers_job_makes_no_look(here: ServedApp, shelf: SavedItemStore) -> None:
    with pytest.raises(NotFound):
        here.service.saved_items.save_look_of_job("Mine", made(here, seed=9), OTHER)
