"""Captions say what a form says and nothing else, in the way of each family; the user's own words come first."""

from __future__ import annotations

import re
from typing import Any

import pytest

from pipelines.core.rendering import Caption
from pipelines.models.diffusion.captions import has_style, write_caption
from pipelines.tools import find_tool
from pipelines.tools.headshot import Headshot, _edit_caption
from pipelines.tools.shared.clothes_edit import ClothesId, write_clothes_prompt

DRAWING = ("flux2", "krea", "z_image", "stable_diffusion")
FORMS: list[tuple[str, dict[str, Any]]] = [
    ("headshot", {"preset": "linkedin"}),
    ("headshot", {"preset": "executive-dark"}),
    ("headshot", {"preset": "lobby"}),
    ("headshot", {"preset": "creative-colour", "colour": "#c83232"}),
    ("headshot", {"preset": "academic", "blur": 4.0}),
    ("headshot", {"preset": "park", "blur": 6.0}),
    ("headshot", {"preset": "black-and-white"}),
    ("headshot", {"background": "a workshop in warm evening light"}),
    ("headshot", {"background": "a crowd at a conference, sharp", "preset": "lobby"}),
    ("headshot", {"background": "rote Ziegelwand, Licht von links", "blur": 5.0}),
    ("background", {"preset": "forest"}),
    ("background", {"prompt": "Tokyo at night", "blur": 6.0}),
    ("background", {"preset": "studio-grey", "colour": "#c83232"}),
    ("background", {"preset": "sunset", "blur": 1.0}),
    ("background", {"prompt": "a white studio with a yellow podium", "colour": "#0b5c52"}),
    ("product", {"preset": "oak", "seen_from": "above", "key": "left", "placement": "left"}),
    ("product", {"preset": "marble", "seen_from": "front", "key": "right", "placement": "right"}),
    ("product", {"preset": "podium", "colour": "#1c4068"}),
    ("product", {"preset": "amazon"}),
    ("product", {"preset": "brand-colour", "colour": "#e0a010"}),
    ("product", {"background": "kitchen counter, the sun from the right", "key": "left", "seen_from": "three-quarter"}),
    ("product", {"preset": "linen", "blur": 3.0, "placement": "top"}),
    ("business", {"preset": "lobby"}),
    ("business", {"preset": "brand-wall", "colour": "#1c4068"}),
    ("business", {"setting": "bridge"}),
    ("business", {"preset": "team-grid", "background": "a glass office, people walking in the back"}),
    ("fashion", {"preset": "flat-lay"}),
    ("fashion", {"preset": "summer"}),
    ("fashion", {"preset": "street", "background": "a rainy street with neon lights, blurred"}),
    ("fashion", {"preset": "editorial-bw"}),
]


def caption_of(tool_id: str, **values: Any) -> Caption:
    tool = find_tool(tool_id)
    assert tool.caption is not None
    return tool.caption(tool.params.model_construct(None, **values))


@pytest.mark.parametrize("family", DRAWING)
@pytest.mark.parametrize(("tool_id", "values"), FORMS)
def test_every_caption_begins_with_own_words_or_the_look_s(tool_id: str, values: dict[str, Any], family: str) -> None:
    caption = caption_of(tool_id, **values)
    words = write_caption(caption, family)
    assert caption.words
    first = values.get("background") or values.get("prompt")
    if first:
        assert words.lower().removeprefix("scene: ").startswith(first.lower())
        assert caption.place.lower() not in words.lower()
    if family == "stable_diffusion":
        assert len(words.split()) < 60, "CLIP reads 75 tokens"
    assert "  " not in words
    assert ".." not in words
    assert len(re.findall(r"focus|blurred", words.removeprefix(caption.own))) <= (2 if family == "z_image" else 1)
    is_empty = bool(re.search(r"nobody in it|no people|nothing on the surface", words))
    assert is_empty != bool(re.search("crowd|people", str(first))), "own words may be full of people"
    assert len(set(re.findall(r"from the (left|right)", words))) <= 1
    if values.get("colour") and not caption.own and family == "flux2":
        assert f"in the colour {values['colour']}" in words
    assert not re.search(r"[#{}]", words) or family == "flux2"


def test_each_family_is_written_to_in_its_own_way() -> None:
    caption = caption_of("product", preset="oak", seen_from="above", key="left", placement="left")
    written = {family: write_caption(caption, family) for family in DRAWING}
    assert written["flux2"].startswith("Oak table top. A background photograph with nothing on the surface.")
    assert "Camera: Seen from above, at a steep angle. Light: From the left." in written["z_image"]
    assert written["stable_diffusion"].startswith("oak table top, background photograph, nothing on the surface, seen")
    assert written["krea"].endswith("The right side of the picture is empty.")
    assert not has_style("scenes")
    assert write_caption(caption, "scenes") == "oak table top"


def test_nothing_is_said_that_the_form_does_not_say() -> None:
    words = write_caption(caption_of("product", preset="oak"), "flux2")
    assert not re.search(r"light|seen from|focus|blur|colour|people|product", words)
    assert "out of focus" in write_caption(caption_of("headshot", preset="lobby"), "flux2")
    assert "focus" not in write_caption(caption_of("headshot", background="a workshop"), "flux2")
    assert "focus" not in write_caption(caption_of("background", preset="forest", blur=1.0), "flux2")


@pytest.mark.parametrize(
    ("own", "unsaid"),
    [
        ("a crowd at a conference, sharp", "nobody|without people|out of focus"),
        ("kitchen counter, the sun from the right", "light from the left"),
        ("a red brick wall", "0b5c52|teal"),
        ("Herbstwald, scharf", "out of focus"),
    ],
)
def test_own_words_are_not_contradicted(own: str, unsaid: str) -> None:
    caption = Caption(
        own=own, place="dark studio", purpose="portrait", is_blurred=True, light_side="left", colour="#0b5c52"
    )
    for family in DRAWING:
        assert not re.search(unsaid, write_caption(caption, family))


def test_a_chosen_colour_is_that_of_a_paper_and_replaces_the_look_s() -> None:
    caption = caption_of("background", preset="studio-grey", colour="#c83232")
    assert write_caption(caption, "flux2").startswith("Seamless studio paper in the colour #c83232.")
    assert write_caption(caption, "z_image").startswith("Scene: Red seamless studio paper.")
    wall = write_caption(caption_of("business", preset="brand-wall", colour="#1c4068"), "krea")
    assert wall.startswith("Navy wall.")
    assert "colour" not in write_caption(caption_of("product", preset="marble", colour="#c83232"), "flux2")
    assert "colour" not in write_caption(caption_of("business", preset="lobby", colour="#1c4068"), "flux2")


def test_a_team_s_setting_is_what_is_drawn() -> None:
    assert caption_of("business", setting="bridge").words == "glass bridge"
    assert caption_of("business", preset="lobby", setting="studio-dark").words == "dark studio background"


@pytest.mark.parametrize("family", ["qwen_image", "longcat", "flux2"])
def test_an_edit_says_what_changes_and_keeps_no_face_whose_expression_changes(family: str) -> None:
    dressed = write_caption(_edit_caption(Headshot.model_construct(None, outfit="a navy blazer")), family)
    assert dressed.startswith("Change the outfit to a navy blazer. Keep the same person, face, expression, hair")
    smiling = write_caption(_edit_caption(Headshot.model_construct(None, expression="a calm smile")), family)
    assert "Keep the same person, identity, hair, outfit, pose" in smiling
    assert "shoulders covered" in dressed
    both = Headshot.model_construct(None, outfit="dress uniform", expression="serious")
    told = write_caption(_edit_caption(both), family)
    assert told.startswith("Change the facial expression: serious; the outfit: dress uniform. Keep")


@pytest.mark.parametrize("family", ["qwen_image", "longcat", "joyimage", "flux2"])
@pytest.mark.parametrize(
    ("clothes", "said"), [("ghost-mannequin", "invisible mannequin"), ("flat-lay", "laid out flat")]
)
def test_a_garment_by_itself_is_asked_for_with_what_stays(family: str, clothes: ClothesId, said: str) -> None:
    words = write_caption(write_clothes_prompt(clothes, "a navy coat"), family)
    assert words.startswith("Show only the garment in the photo (a navy coat), ")
    assert said in words
    assert words.endswith(
        "Keep its cut, colours, pattern, cloth, print and details as they are. The background is plain light grey."
    )
    assert write_caption(write_clothes_prompt(clothes, ""), family).startswith("Show only the garment in the photo, ")
