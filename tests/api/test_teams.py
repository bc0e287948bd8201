"""Teams: five colleagues send a portrait by link, one is refused, one is asked again, and the page is made.

Attacks on the links are in tests/security/test_attacks.py, deletion and both databases in tests/service/test_teams.py.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from pipelines.compositing.team_pages import Brand, draw_sheet, parse_name_labels
from pipelines.core.job import ProgressCallback
from pipelines.core.rendering import ToolOutput
from pipelines.core.tools import ToolContext
from pipelines.imaging.resize import resize_image
from pipelines.security.audit_log import AuditLog
from pipelines.settings import Settings
from pipelines.storage.schema import FILES
from pipelines.tools import business
from tests.api.support.calls import read_failure
from tests.api.support.portraits import make_cat, make_group, make_portrait, send_portrait
from tests.support.served_app import ServedApp, serve_app

NAMES = ("Ada King", "Grace Hopper", "Ann Lee", "Eve Roy", "Joe Doe")


def lay_out_page(params: business.Business, context: ToolContext, emit: ProgressCallback) -> ToolOutput:
    """Draw the page without cutting anybody out: tests/tools/test_business.py sees what that makes."""
    portraits = [resize_image(context.open_image(photo), (64, 80)) for photo in params.photos]
    labels = parse_name_labels(params.names, len(portraits))
    sheet = draw_sheet(portraits, labels, Brand(None, None, params.company), 480, headed=True)
    names = ("company-page", *(str(n) for n in range(1, len(portraits) + 1)))
    return ToolOutput(images=(sheet, *portraits), names=names, archive_name="team")


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedApp]:
    root = tmp_path_factory.mktemp("teams")
    tool = replace(business.TOOL, run=lay_out_page)
    with serve_app(root, settings=Settings(data=root, require_key=True), tools=(tool,)) as built:
        yield built


@pytest.fixture(scope="module")
def mine(studio: ServedApp) -> Iterator[httpx.Client]:
    with studio.open_client(headers={"X-API-Key": studio.keys.create_key("mine")}) as client:
        yield client


def make_team(client: httpx.Client, **values: Any) -> dict[str, Any]:
    answer = client.post("/v1/teams", json={"name": "Acme", **values})
    assert answer.status_code == 200, answer.text
    return answer.json()


def decide(client: httpx.Client, team: dict[str, Any], member: dict[str, Any], action: str, note: str = "") -> Any:
    address = f"/v1/teams/{team['id']}/members/{member['id']}"
    answer = client.post(address, json={"action": action, "note": note})
    assert answer.status_code == 200, answer.text
    return answer.json()


def read_team(client: httpx.Client, team: dict[str, Any]) -> dict[str, Any]:
    return client.get(f"/v1/teams/{team['id']}").json()


def list_guest_files(studio: ServedApp) -> list[str]:
    """Files that belong to nobody but a team: photos on their way in."""
    return [row.id for row in studio.service.files._db.fetch_rows(select(FILES).where(FILES.c.owner.like("team:%")))]


def test_five_portraits_come_by_link_one_is_refused_one_asked_again_and_the_page_is_made(
    studio: ServedApp, mine: httpx.Client
) -> None:
    team = make_team(mine, settings={"preset": "company-page", "size": 512})
    sent = [send_portrait(team["url"], name, make_portrait(n)) for name, n in zip(NAMES, (0, 1, 2, 0, 0), strict=True)]
    assert [answer.status_code for answer in sent] == [200] * 5
    assert all("Thank you" in answer.text for answer in sent)
    members = read_team(mine, team)["members"]
    assert [(row["name"], row["role"], row["state"]) for row in members] == [(n, "Engineer", "received") for n in NAMES]
    assert all("18 or over" in row["consent"] and row["consented_at"] > time.time() - 600 for row in members)
    assert all(mine.get(f"/v1/files/{row['photo']}/content").status_code == 200 for row in members)

    refused = decide(mine, team, members[1], "refuse")
    assert (refused["state"], refused["photo"]) == ("refused", None)
    assert mine.get(f"/v1/files/{members[1]['photo']}").status_code == 404
    asked = decide(mine, team, members[2], "ask_again", "Without the hat, please.")
    schemas = mine.get("/v1/openapi.json").json()["components"]["schemas"]
    assert (set(team), set(asked)) == tuple(set(schemas[name]["properties"]) for name in ("Team", "TeamMember"))
    page = httpx.get(asked["url"]).text
    assert "Without the hat, please." in page
    assert 'value="Ann Lee"' in page
    assert send_portrait(asked["url"], "Ann Lee", make_portrait(3)).status_code == 200
    again = read_team(mine, team)["members"][2]
    assert (again["id"], again["state"], again["url"]) == (members[2]["id"], "received", None)
    assert again["photo"] != members[2]["photo"]
    assert mine.get(f"/v1/files/{members[2]['photo']}").status_code == 404
    assert read_failure(mine.post(f"/v1/teams/{team['id']}/page", json={}))[:2] == (400, "invalid_request")

    chosen = (members[0], again, *members[3:])
    for row in chosen:
        decide(mine, team, row, "approve")
    made = mine.post(f"/v1/teams/{team['id']}/page", json={"params": {"company": "Acme"}}).json()
    assert made["status"] == "done"
    params = made["receipt"]["params"]
    assert params["names"].splitlines() == [f"{row['name']}, Engineer" for row in chosen]
    assert params["photos"] == [row["photo"] for row in chosen]
    assert (params["preset"], params["company"], params["consent"]) == ("company-page", "Acme", True)
    assert [file["format"] for file in made["files"]] == ["png"] * 5 + ["zip"]
    consents = [row for row in AuditLog(studio.service.settings.data).read_entries() if row["verdict"] == "consent"]
    assert [row["subject"] for row in consents] == [*(row["id"] for row in members), again["id"]]
    assert list_guest_files(studio) == []
    order = [chosen[3]["id"], chosen[0]["id"]]
    two = mine.post(f"/v1/teams/{team['id']}/page?wait=false", json={"members": order})
    assert two.status_code == 202
    assert two.headers["location"].startswith("/v1/jobs/job-")
    for wrong in ({"members": []}, {"members": [members[1]["id"]]}):
        answer = mine.post(f"/v1/teams/{team['id']}/page", json=wrong)
        assert read_failure(answer) == (400, "invalid_request", "members")


def test_a_photo_that_is_no_portrait_is_refused_and_nothing_is_lost(studio: ServedApp, mine: httpx.Client) -> None:
    link = make_team(mine)["url"]
    wrong = {
        "No face was found": send_portrait(link, photo=make_cat()),
        "2 people are in this photo": send_portrait(link, photo=make_group()),
        "This file is not a picture": send_portrait(link, photo=b"hello"),
        "Choose a photo": send_portrait(link, photo=b""),
        "confirm that you have": send_portrait(link, consent=""),
        "no font here can draw": send_portrait(link, "Ada \U00013000 King"),
        "A name has 1 to 50 letters": send_portrait(link, name=" ,"),
    }
    for sentence, answer in wrong.items():
        assert answer.status_code in (400, 422), sentence
        assert sentence in answer.text, re.findall('"alert".*?</p>', answer.text)
        assert 'value="Engineer"' in answer.text, "what was typed is still there"
    assert 'value="Ada King"' in wrong["No face was found"].text
    assert "Es wurde kein Gesicht" in send_portrait(link, photo=make_cat(), language="de-AT,de").text
    assert list_guest_files(studio) == []
    assert 200 not in [row["width"] for row in mine.get("/v1/files?limit=100").json()["data"]], "not kept"


def test_words_on_the_page_are_words_and_a_comma_is_no_role(mine: httpx.Client) -> None:
    team = make_team(mine, name="<b>Acme</b>")
    page = httpx.get(team["url"])
    assert "&lt;b&gt;Acme" in page.text
    assert "<b>" not in page.text
    assert "script" not in page.text
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    assert (page.headers["referrer-policy"], page.headers["cache-control"]) == ("no-referrer", "no-store")
    assert send_portrait(team["url"], "King, Ada;\tPhD").status_code == 200
    assert read_team(mine, team)["members"][0]["name"] == "King Ada PhD"
    refused = send_portrait(team["url"], "nude girl")
    assert (refused.status_code, 'role="alert"' in refused.text) == (400, True)


def test_the_page_is_german_for_a_german_browser(mine: httpx.Client) -> None:
    page = httpx.get(make_team(mine)["url"], headers={"Accept-Language": "de-DE,de;q=0.9,en;q=0.8"}).text
    assert '<html lang="de">' in page
    assert "Dein Porträt für Acme" in page
    assert not re.search(r">(Send|Role|Photo|This is me.*)<", page)


def test_who_sent_a_portrait_can_delete_it(mine: httpx.Client) -> None:
    team = make_team(mine)
    own = send_portrait(team["url"], photo=make_portrait(7)).url
    (member,) = read_team(mine, team)["members"]
    assert "Thank you" in httpx.get(own).text
    decide(mine, team, member, "refuse")
    assert "was not taken" in httpx.get(own).text
    asked = decide(mine, team, member, "ask_again")
    own = send_portrait(asked["url"], photo=make_portrait(7)).url
    (member,) = read_team(mine, team)["members"]
    assert "were deleted" in httpx.post(own).text
    assert read_team(mine, team)["members"] == []
    assert mine.get(f"/v1/files/{member['photo']}").status_code == 404
    assert httpx.get(own).status_code == 410


def test_teams_are_listed_newest_first_with_their_brand(mine: httpx.Client) -> None:
    brand = mine.post("/v1/brands", json={"name": "Acme", "colour": "#0b5c52"}).json()
    made = [make_team(mine, brand="Acme")["id"] for _ in range(2)]
    first = mine.get("/v1/teams?limit=1").json()
    assert (first["data"][0]["id"], first["data"][0]["brand"], first["has_more"]) == (made[1], brand["id"], True)
    assert mine.get(f"/v1/teams?limit=1&after={made[1]}").json()["data"][0]["id"] == made[0]
    for wrong, status in (
        ({"brand": "none"}, (400, "invalid_request", "brand")),
        ({"settings": {"preset": "x"}}, (422, "invalid_request", "preset")),
        ({"settings": {"unknown": 1}}, (422, "invalid_request", None)),
        ({"days": 0}, (422, "invalid_request", "days")),
    ):
        assert read_failure(mine.post("/v1/teams", json={"name": "Acme", **wrong})) == status
    assert read_failure(mine.post("/v1/teams", json={"name": " "}))[0] == 422
