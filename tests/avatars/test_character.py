"""Tests of avatars: locked traits stay, a rerolled trait changes alone, and a code restores a character."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.avatars import svg_renderer
from pipelines.avatars.art_packs import ART_PACKS, HAIR_COLOURS, PALETTES, SKIN_COLOURS, ArtPack
from pipelines.avatars.character_request import read_character_request
from pipelines.avatars.character_sheet import View, compose_sheet, grid_size, view_side
from pipelines.avatars.outfits import ROLES
from pipelines.avatars.prompt_text import describe_character, take_traits
from pipelines.avatars.svg_renderer import choose_parts, omission_notices, render_figure, render_layers
from pipelines.avatars.traits import MOODS, TRAITS, Character, parse_character, roll_character
from pipelines.codecs.containers import merge_layers
from pipelines.core.errors import BadInput, ModelUnavailable
from pipelines.core.job import Result
from pipelines.core.models import ModelSpec, Profile
from pipelines.core.rendering import ModelStep, RenderedImages, RenderRequest
from pipelines.imaging.palette import COLOUR_NAMES, extract_main_colours, lightest_colour, most_colourful, name_colour
from pipelines.imaging.text import relative_luminance
from pipelines.models.families import FAMILIES
from pipelines.models.model_cache import ModelCache
from pipelines.models.profiles import EMBEDDED
from pipelines.tools.character import TOOL as CHARACTER
from pipelines.tools.character import Creator
from pipelines.tools.style import TOOL as STYLE
from tests.support.real_studio import RealStudio
from ui.tool_tab.state import TabState

SIDE = 48


def make_character(art: ArtPack, seed: int = 1, **locked: str) -> Character:
    return roll_character(art.id, seed, locked, lambda trait: art.offered_values(trait) or TRAITS[trait])


def reroll_trait(art: ArtPack, kept: Character, trait: str, seed: int = 1) -> Character:
    return roll_character(art.id, seed, {}, lambda name: art.offered_values(name) or TRAITS[name], kept, trait)


# ---------------------------------------------------------------- dice


@pytest.mark.parametrize("art", ART_PACKS.values(), ids=lambda art: art.id)
def test_the_same_seed_is_the_same_somebody(art: ArtPack) -> None:
    assert make_character(art, 7) == make_character(art, 7)
    assert np.array_equal(
        render_figure(make_character(art, 7), art, "chef", SIDE),
        render_figure(make_character(art, 7), art, "chef", SIDE),
    )
    assert len({make_character(art, seed).code for seed in range(50)}) == 50


@pytest.mark.parametrize("trait", [name for name in TRAITS if name != "face"])
def test_a_locked_trait_stays_and_the_others_are_drawn(trait: str) -> None:
    art = ART_PACKS["notionists"]
    value = (art.offered_values(trait) or TRAITS[trait])[-1]
    people = [make_character(art, seed, **{trait: value}) for seed in range(30)]
    assert {person[trait] for person in people} == {value}
    assert len({person["mood"] + person["skin"] + person["palette"] for person in people}) > 10


@pytest.mark.parametrize("trait", list(TRAITS))
@pytest.mark.parametrize("seed", [1, 2])
def test_one_trait_rolled_anew_changes_and_nothing_else_does(trait: str, seed: int) -> None:
    art = ART_PACKS["notionists"]
    kept = make_character(art, 40)
    other = reroll_trait(art, kept, trait, seed)
    assert other.traits[trait] != kept.traits[trait]
    assert {name: other.traits[name] for name in TRAITS if name != trait} == {
        name: kept.traits[name] for name in TRAITS if name != trait
    }
    if len(set(art.offered_values(trait))) > 1 and trait not in ("mood", "beard"):
        assert other[trait] != kept[trait]


def test_everything_rolled_anew_keeps_what_is_locked() -> None:
    art = ART_PACKS["peeps"]
    kept = make_character(art, 3)
    other = roll_character(
        "peeps", 4, {"skin": "dark"}, lambda name: art.offered_values(name) or TRAITS[name], kept, "all"
    )
    assert other["skin"] == "dark"
    assert sum(other.traits[name] != kept.traits[name] for name in TRAITS) > 8


def test_a_value_that_was_changed_by_hand_leaves_the_rest() -> None:
    art = ART_PACKS["peeps"]
    kept = make_character(art, 3)
    sad = roll_character("peeps", 9, {"mood": "sad"}, lambda name: art.offered_values(name) or TRAITS[name], kept)
    assert sad["mood"] == "sad"
    assert all(sad.traits[name] == kept.traits[name] for name in TRAITS if name != "mood")


def test_chance_meets_nobody_angry_and_gives_beards_to_men_only() -> None:
    people = [make_character(ART_PACKS["peeps"], seed) for seed in range(200)]
    assert not {person["mood"] for person in people} & {"angry", "sad"}
    assert {person["beard"] for person in people if person["figure"] != "man"} == {"none"}
    assert {person["hair_colour"] for person in people if person["age"] == "senior"} <= {"grey", "white"}


def test_every_tone_of_skin_is_as_likely_as_the_others() -> None:
    tones = [make_character(ART_PACKS["peeps"], seed)["skin"] for seed in range(1000)]
    assert all(abs(tones.count(tone) - 200) < 45 for tone in TRAITS["skin"])  # 3.5 standard deviations


# ---------------------------------------------------------------- the line that keeps somebody


def test_a_line_brings_anybody_back() -> None:
    for art in ART_PACKS.values():
        for seed in range(20):
            kept = make_character(art, seed)
            assert parse_character(f"  {kept.code} ") == kept
            assert len(kept.code) <= 600


@pytest.mark.parametrize(
    "line",
    [
        "",
        "me",
        "peeps",
        "peeps skin=dark.1",
        "peeps " + " ".join(f"{name}=x.1" for name in TRAITS),
        "peeps\x00",
        "../a",
    ],
)
def test_what_keeps_nobody_is_said(line: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_character(line)
    assert caught.value.param == "character"


# ---------------------------------------------------------------- parts


@pytest.mark.parametrize("art", ART_PACKS.values(), ids=lambda art: art.id)
def test_every_part_in_the_tables_is_there(art: ArtPack) -> None:
    parts = svg_renderer._load_art_pack(art.file)["parts"]
    rows = [(group, part) for groups in art.parts_by_trait.values() for group, by_value in groups.items()
            for row in by_value.values() for part in row if part]  # fmt: skip
    rows += [(group, part) for group, row in art.always_parts.items() for part in row]
    rows += [(group, part) for group, (_, row) in art.optional_parts.items() for part in row]
    assert [row for row in rows if row[1] not in parts[row[0]]] == []
    named = {part for _, part in rows}
    assert art.tinted_parts | art.veil_parts <= named
    for trait, groups in art.parts_by_trait.items():
        assert {value for by_value in groups.values() for value in by_value} <= set(TRAITS[trait])


@pytest.mark.parametrize("art", ART_PACKS.values(), ids=lambda art: art.id)
def test_every_value_that_is_offered_is_seen(art: ArtPack) -> None:
    where = {"figure": "person", "hair": "short"}
    where = {name: each for name, each in where.items() if each in (art.offered_values(name) or TRAITS[name])}
    for trait in TRAITS:
        locked = {name: each for name, each in where.items() if name != trait or trait == "figure"}
        one, seen = make_character(art, 5, **locked), set[bytes]()
        for value in art.offered_values(trait):
            shown = render_figure(one.with_value(trait, value), art, "", SIDE)
            assert shown[..., 3].max() == 255, (trait, value)
            assert shown.tobytes() not in seen or trait in ("age", "hair_colour"), (trait, value)
            seen.add(shown.tobytes())


@pytest.mark.parametrize(
    "art", [art for art in ART_PACKS.values() if "hair" in art.parts_by_trait], ids=lambda art: art.id
)
def test_hair_has_the_colour_that_was_asked_for(art: ArtPack) -> None:
    one = make_character(art, 8, hair="short", hair_colour="red", figure="person", beard="none")
    shown = render_figure(one, art, "", 256)
    red = [tuple(int(tone[n : n + 2], 16) for n in (1, 3, 5)) for tone in HAIR_COLOURS["red"]]
    assert max(np.all(shown[..., :3] == tone, axis=2).sum() for tone in red) > 300


@pytest.mark.parametrize("art", [art for art in ART_PACKS.values() if "skin" in art.colours], ids=lambda art: art.id)
def test_skin_has_the_tone_that_was_asked_for(art: ArtPack) -> None:
    for tone in TRAITS["skin"]:
        one = make_character(art, 8, skin=tone)
        shown = render_figure(one, art, "", 256)
        rows = [tuple(int(text[n : n + 2], 16) for n in (1, 3, 5)) for text in SKIN_COLOURS[tone]]
        near = [np.abs(shown[..., :3].astype(int) - row).max(axis=2) < 28 for row in rows]  # pixels are lightened
        assert max(mask.sum() for mask in near) > 2000


def test_tones_fall_evenly_from_light_to_dark() -> None:
    def hair_lightness(text: str) -> float:
        light = relative_luminance((int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)))
        return 116 * light ** (1 / 3) - 16

    levels = [hair_lightness(SKIN_COLOURS[tone][0]) for tone in TRAITS["skin"]]
    steps = -np.diff(levels)
    assert (steps > 8).all()
    assert (steps < 20).all()


def test_every_palette_has_three_colours_that_differ() -> None:
    for rows in PALETTES.values():
        for row in rows:
            assert len(set(row)) == 3


@cache
def draw_plain_figure(art_id: str) -> tuple[Character, np.ndarray]:
    """Somebody without a role, and their picture."""
    art = ART_PACKS[art_id]
    one = make_character(art, 12, hair="short", pose="still")
    return one, render_figure(one, art, "", SIDE)


@pytest.mark.parametrize("role", list(ROLES))
@pytest.mark.parametrize("art", ART_PACKS.values(), ids=lambda art: art.id)
def test_a_role_is_seen_in_every_art_or_it_is_said_why_not(art: ArtPack, role: str) -> None:
    one, plain = draw_plain_figure(art.id)
    dressed = render_figure(one, art, role, SIDE)
    changed = np.any(plain != dressed, axis=2).mean()
    assert changed > 0.02 or omission_notices(one, art, role)


def test_no_hat_goes_on_a_hijab_and_none_on_a_man() -> None:
    art = ART_PACKS["peeps"]
    one = make_character(art, 12, hair="covered")
    assert "hat is left out" in " ".join(omission_notices(one, art, "chef"))
    men = [make_character(art, seed, hair="covered", figure="man") for seed in range(30)]
    assert "hijab" not in {choose_parts(man, art, "")["head"] for man in men}
    women = [make_character(art, seed, hair="covered", figure="woman") for seed in range(30)]
    assert "hijab" in {choose_parts(woman, art, "")["head"] for woman in women}


def test_a_mood_changes_the_face_and_nothing_else() -> None:
    art = ART_PACKS["peeps"]
    one = make_character(art, 21)
    for mood in MOODS:
        now, then = choose_parts(one.with_value("mood", mood), art, ""), choose_parts(one, art, "")
        assert {group for group in now if now[group] != then[group]} <= {"face"}


@pytest.mark.parametrize("art", ART_PACKS.values(), ids=lambda art: art.id)
def test_the_layers_are_the_figure(art: ArtPack) -> None:
    one = make_character(art, 5)
    rows = render_layers(one, art, "detective", 128)
    assert len({row.name for row in rows}) == len(rows) >= 2
    ground = np.dstack([np.full((128, 128, 3), 200, np.uint8), np.full((128, 128), 255, np.uint8)])
    whole = render_figure(one, art, "detective", 128)
    together = merge_layers([svg_renderer.Layer("ground", ground), *rows]).astype(int)
    assert (
        np.abs(
            together - merge_layers([svg_renderer.Layer("ground", ground), svg_renderer.Layer("figure", whole)])
        ).max()
        <= 4
    )


def test_damaged_parts_are_not_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "manifest.json").write_text((svg_renderer.PARTS_FOLDER / "manifest.json").read_text())
    (tmp_path / "thumbs.json").write_text("{}")
    monkeypatch.setattr(svg_renderer, "PARTS_FOLDER", tmp_path)
    for file, word in (("thumbs", "damaged"), ("lorelei", "missing")):
        with pytest.raises(ModelUnavailable, match=word):
            svg_renderer._load_art_pack.__wrapped__(file)


# ---------------------------------------------------------------- words


@pytest.mark.parametrize(
    ("text", "traits"),
    [
        ("an older woman with curly red hair, smiling",
         {"figure": "woman", "age": "senior", "hair": "curly", "hair_colour": "red", "mood": "happy"}),
        ("bald man with a beard and medium-dark skin",
         {"figure": "man", "skin": "medium-dark", "hair": "bald", "beard": "beard"}),
        ("eine Frau mit schwarzen Haaren und Brille",
         {"figure": "woman", "hair_colour": "black", "glasses": "glasses"}),
        ("long blond hair", {"hair": "long", "hair_colour": "blond"}),
        ("a spaceship", {}),
        ("a man with no beard and brown hair", {"figure": "man", "hair_colour": "brown", "beard": "none"}),
        ("a scientist without glasses", {"glasses": "none"}),
        ("a punk with a pink mohawk", {"hair": "wild", "hair_colour": "dyed"}),
        ("eine lachende Oma mit blauen Haaren",
         {"figure": "woman", "age": "senior", "hair_colour": "dyed", "mood": "laughing"}),
    ],
)  # fmt: skip
def test_traits_are_heard_in_words(text: str, traits: dict[str, str]) -> None:
    assert take_traits(text)[0] == traits


def test_a_wish_names_its_role_its_colours_and_what_is_not_understood() -> None:
    wish = read_character_request(
        "a woman chef with red hair in a green jacket, juggling at night, on a yellow background"
    )
    assert (wish.role, wish.traits["hair_colour"]) == ("chef", "red")
    assert (wish.unknown, wish.subject) == (("juggling", "night"), "")
    assert (wish.clothes, wish.ground) == (COLOUR_NAMES["green"], COLOUR_NAMES["yellow"])
    assert (read_character_request("eine Köchin").role, read_character_request("eine Köchin").traits) == (
        "chef",
        {"figure": "woman"},
    )
    assert {read_character_request(f"a {role}").role for role in ROLES} == set(ROLES)


@pytest.mark.parametrize(
    ("text", "subject", "tail", "is_drawn"),
    [
        ("a dragon reading", "dragon", "reading", True),
        ("ein blauer Drache", "blue dragon", "", True),
        ("a flying dragon with wings", "flying dragon", "with wings", True),
        ("a knight", "knight", "", False),
        ("flurbel", "flurbel", "", False),
        ("three cats", "three cats", "", False),
        ("a woman reading a book", "", "reading a book", False),
    ],
)
def test_what_the_figure_is_called_is_told_from_what_it_does(
    text: str, subject: str, tail: str, is_drawn: bool
) -> None:
    wish = read_character_request(text)
    assert (wish.subject, wish.tail, wish.is_drawn_small) == (subject, tail, is_drawn)


def test_the_small_model_is_told_the_figure_and_its_colours_alone() -> None:
    assert read_character_request("a dog wearing sunglasses").small_words == "a dog"
    assert read_character_request("a princess with blond hair").small_words == "a princess with blond hair"


def test_everything_heard_is_a_value_of_its_trait() -> None:
    from pipelines.avatars import prompt_text as words

    pairs = [*words._WORD_TRAITS.values(), *(("hair_colour", value) for value in words._HAIR_COLOUR_WORDS.values())]
    assert [pair for pair in pairs if pair[1] not in TRAITS[pair[0]]] == []


def test_a_model_is_asked_for_what_was_named_only() -> None:
    one = make_character(
        ART_PACKS["peeps"], 1, figure="woman", skin="dark", hair="curly", hair_colour="red", mood="happy"
    )
    text = describe_character(one, "firefighter", (), "", "teal")
    assert text == "3d icon of a woman firefighter with dark skin, teal background"
    bald = describe_character(
        one.with_value("hair", "bald").with_value("age", "senior"), "", ("hair", "age"), "", "white"
    )
    assert bald == "3d icon of an old woman with dark skin, bald, white background"
    text = describe_character(one, "firefighter", ("hair", "hair_colour", "mood"), "in the rain.", "teal", styled=False)
    assert text == "a woman firefighter with dark skin and red curly hair, happy, in the rain, teal background"


# ---------------------------------------------------------------- colours and the page


def test_the_main_colours_of_a_picture_are_found_in_order() -> None:
    image = np.zeros((100, 100, 3), np.uint8)
    image[:60], image[60:90], image[90:] = (240, 230, 210), (30, 60, 120), (200, 40, 50)
    found = extract_main_colours(image, 3)
    assert np.abs(np.array(found) - [(240, 230, 210), (30, 60, 120), (200, 40, 50)]).max() <= 8
    assert extract_main_colours(image, 3) == found
    assert lightest_colour(found) == found[0]
    assert most_colourful(found) == found[2]
    assert (name_colour((38, 148, 152)), name_colour((250, 250, 250))) == ("teal", "white")


@pytest.mark.parametrize("count", [4, 6, 12])
def test_every_view_has_room_on_the_page(count: int) -> None:
    columns, rows = grid_size(count)
    assert columns * rows >= count
    side = view_side(count, 800)
    view = np.full((side, side, 3), (255, 0, 255), np.uint8)
    sheet = compose_sheet(
        np.zeros((64, 64, 3), np.uint8), [View("Word", view)] * count, [(1, 2, 3), (9, 8, 7)], "T", "words", 800
    )
    shown = np.all(sheet == (255, 0, 255), axis=2).sum()
    assert shown > 0.97 * count * side * side


# ---------------------------------------------------------------- the tool in a studio


class StubFamily:
    """A family with one model for words: draws a disc of one colour, and keeps what it was asked."""

    def __init__(self, *, alphas: bool, edits: bool = False) -> None:
        self.specs = (ModelSpec("stub", "stub", ("text", "edit") if edits else ("text",), "Apache-2.0"),)
        self.asked: list[RenderRequest] = []
        self._alphas = alphas

    def load(self, spec: ModelSpec, device: str) -> StubFamily:
        self.spec = spec
        return self

    def estimate_bytes(self, spec: ModelSpec) -> int:
        return 1

    def draw(self, render: RenderRequest, on_step: Callable[[ModelStep], None]) -> RenderedImages:
        self.asked.append(render)
        on_step(ModelStep(1, 1))
        y, x = np.mgrid[: render.size[1], : render.size[0]]
        disc = ((x - render.size[0] / 2) ** 2 + (y - render.size[1] / 2) ** 2 < (render.size[0] / 3) ** 2).astype(
            np.float32
        )
        image = np.full((render.size[1], render.size[0], 3), (200, 30, 40), np.uint8)
        count = len(render.seeds)
        return RenderedImages((image,) * count, (), (disc,) * count if self._alphas else ())

    def close(self) -> None:
        pass


class CharacterStudio(RealStudio):
    """A studio with the built-in models, and a stub for what they do not draw."""

    def __init__(self, root: Path, stub: StubFamily | None = None) -> None:
        families: Any = FAMILIES if stub is None else (*FAMILIES, stub)
        specs = {"backdrop": EMBEDDED.specs["backdrop"], **(dict.fromkeys(stub.specs[0].verbs, "stub") if stub else {})}
        profile = Profile("embedded", specs, "Embedded")  # pyrefly: ignore[bad-argument-type]
        super().__init__(root, (CHARACTER,), cache=ModelCache(families), profile=profile)

    def draw(self, **values: Any) -> Result:
        asked: dict[str, Any] = {"size": 256, **values}
        return self.make("character", **asked)


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CharacterStudio]:
    with CharacterStudio(tmp_path_factory.mktemp("character")) as studio:
        yield studio


def test_nothing_is_required_and_the_receipt_brings_it_back(studio: CharacterStudio) -> None:
    first = studio.draw(seed=6)
    params = first.receipt["params"]
    assert params["character"].startswith("peeps ")
    again = studio.draw(**{**params, "seed": 12345})  # whatever the seed: the line says it all
    assert again.files[0].pixels_sha256 == first.files[0].pixels_sha256


def test_four_variations_of_one_trait_are_four_of_one_somebody(studio: CharacterStudio) -> None:
    first = studio.draw(seed=6, preset="anyone", art="notionists")
    line = first.receipt["params"]["character"]
    result = studio.draw(preset="anyone", art="notionists", character=line, anew="outfit", variations=4, seed=1)
    made = [file for file in result.files if file.role == "result"]
    assert len({file.pixels_sha256 for file in made}) == 4
    kept, new = parse_character(line), parse_character(result.receipt["params"]["character"])
    assert [name for name in TRAITS if kept.traits[name] != new.traits[name]] == ["outfit"]
    assert result.receipt["params"]["anew"] == "nothing"


def test_somebody_comes_back_in_another_art(studio: CharacterStudio) -> None:
    line = studio.draw(seed=6).receipt["params"]["character"]
    there = parse_character(studio.draw(art="pixel", character=line).receipt["params"]["character"])
    assert {**there.traits} == {**parse_character(line).traits}
    assert there.art == "pixel"


def test_clothes_and_ground_have_the_colours_that_were_asked_for(studio: CharacterStudio) -> None:
    image = studio.open_result(studio.draw(preset="anyone", colour="#12ab34", behind_colour="#fedcba", seed=1))
    assert (image[0, 0] == (0xFE, 0xDC, 0xBA)).all()
    assert np.all(image == (0x12, 0xAB, 0x34), axis=2).mean() > 0.05


def test_transparent_is_the_figure_and_nothing_else(studio: CharacterStudio) -> None:
    result = studio.draw(behind="transparent", layers=True, seed=3)
    image = studio.open_result(result)
    assert (image.shape[2], image[0, 0, 3], image[..., 3].max()) == (4, 0, 255)
    assert [file.format for file in result.files if file.role == "layers"] == ["ora", "zip"]
    matte = next(file for file in result.files if file.role == "matte")
    assert np.abs(studio.files.open_image(matte.id)[..., 0].astype(int) - image[..., 3]).max() <= 1


def test_a_picture_gives_its_colours(studio: CharacterStudio) -> None:
    sent = np.full((80, 80, 3), (10, 60, 200), np.uint8)
    sent[:40] = (250, 245, 230)
    reference = studio.add_image(sent)
    image = studio.open_result(studio.draw(preset="anyone", reference=reference, consent=True, seed=1))
    assert np.abs(image[0, 0].astype(int) - (250, 245, 230)).max() <= 3
    assert (np.abs(image.astype(int) - (10, 60, 200)).max(axis=2) <= 3).mean() > 0.05


def test_a_backdrop_lies_behind(studio: CharacterStudio) -> None:
    scene = np.full((300, 300, 3), (20, 120, 60), np.uint8)
    backdrop = studio.add_image(scene)
    image = studio.open_result(studio.draw(backdrop=backdrop, consent=True, seed=1))
    assert np.abs(image[2, 2].astype(int) - (20, 120, 60)).max() <= 6


def test_the_sheet_shows_every_mood_and_pose(studio: CharacterStudio) -> None:
    result = studio.draw(layout="sheet", art="notionists", name="Mira", seed=2)
    assert studio.open_result(result).shape == (1024, 1600, 3)
    assert result.receipt["notices"][-1].endswith("Commercial use is free.")


def test_a_composed_picture_says_that_rules_drew_it(studio: CharacterStudio) -> None:
    path = studio.files.local_path(studio.draw(seed=1).files[0].id)
    assert b"digitalsourcetype/algorithmicMedia" in path.read_bytes()


def test_what_an_art_has_no_parts_for_is_said(studio: CharacterStudio) -> None:
    notices = " ".join(studio.draw(art="thumbs", hair="curly", seed=1).receipt["notices"])
    assert "Hair: Mascot has no parts for 'curly'." in notices


def test_words_choose_traits_where_no_field_does(studio: CharacterStudio) -> None:
    result = studio.draw(prompt="an angry bald man with a beard", beard="moustache", seed=1)
    one = parse_character(result.receipt["params"]["character"])
    assert (one["mood"], one["hair"], one["figure"], one["beard"]) == ("angry", "bald", "man", "moustache")


def test_words_choose_the_role_and_no_role_takes_the_place_of_what_is_not_understood(studio: CharacterStudio) -> None:
    chef = studio.draw(prompt="a woman chef with red hair", seed=1).receipt
    assert (chef["params"]["preset"], "Not understood" in " ".join(chef["notices"])) == ("chef", False)
    knight = studio.draw(prompt="a knight juggling", seed=1).receipt
    assert knight["params"]["preset"] == "anyone"
    assert "Not understood: 'knight', 'juggling'." in knight["notices"]
    assert "Ink draws people in twelve roles, and no role takes the place of 'knight'." in knight["notices"]
    held = studio.draw(prompt="a pilot", preset="teacher", seed=1).receipt
    assert held["params"]["preset"] == "teacher"
    assert "Role: Teacher is chosen, so 'pilot' of the words is left out." in held["notices"]


def test_a_hair_colour_of_the_words_is_seen_or_said_to_be_hidden(studio: CharacterStudio) -> None:
    for seed in range(4):
        receipt = studio.draw(prompt="a chef with red hair", seed=seed).receipt
        one = parse_character(receipt["params"]["character"])
        assert one["hair"] not in ("covered", "bald")
        assert svg_renderer.shows_hair_colour(one, ART_PACKS["peeps"], "chef")
    notices = studio.draw(prompt="a woman with red hair", hair="covered", seed=1).receipt["notices"]
    assert "Hair colour: under this hair or hat it is hardly seen." in notices


def test_a_hijab_is_a_hijab_and_blue_hair_is_blue(studio: CharacterStudio) -> None:
    for seed in range(3):
        veiled = parse_character(studio.draw(prompt="a doctor in a hijab", seed=seed).receipt["params"]["character"])
        assert choose_parts(veiled, ART_PACKS["peeps"], "doctor")["head"] == "hijab"
        blue = parse_character(studio.draw(prompt="blue hair", seed=seed).receipt["params"]["character"])
        assert svg_renderer.css_colours(blue, ART_PACKS["peeps"], "")["hair"] == HAIR_COLOURS["dyed"][1]


def test_a_model_draws_what_ink_has_no_parts_for_without_anybodys_skin_or_role(tmp_path: Path) -> None:
    stub = StubFamily(alphas=True)
    studio = CharacterStudio(tmp_path, stub)
    try:
        receipt = studio.draw(prompt="a dragon reading", behind_colour="#28969a", seed=4).receipt
        kept = studio.draw(prompt="a dragon reading", art="pixel", seed=4).receipt
    finally:
        studio.close()
    assert [render.prompt for render in stub.asked] == ["a dragon reading, teal background"]
    assert (receipt["params"]["art"], receipt["params"]["preset"]) == ("model", "anyone")
    assert "Art: a model draws this, for Ink has no parts for 'dragon'." in receipt["notices"]
    assert kept["params"]["art"] == "pixel"
    assert "Not understood: 'dragon', 'reading'." in kept["notices"]


def test_without_a_model_for_words_it_is_said_and_the_parts_stay(studio: CharacterStudio) -> None:
    with pytest.raises(ModelUnavailable) as caught:
        studio.draw(art="model")
    assert (caught.value.code, caught.value.param) == ("model_unavailable", "art")
    assert studio.draw(art="peeps").files


def test_a_reference_of_somebody_needs_their_consent(studio: CharacterStudio) -> None:
    reference = studio.add_image(np.full((60, 60, 3), 90, np.uint8))
    with pytest.raises(Exception, match="permission"):
        studio.create_job("character", reference=reference)
    assert studio.create_job("character").consent is None


def test_a_model_draws_from_the_traits_and_lies_on_the_ground(tmp_path: Path) -> None:
    stub = StubFamily(alphas=True)
    studio = CharacterStudio(tmp_path, stub)
    try:
        result = studio.draw(art="model", preset="chef", skin="dark", figure="woman", behind_colour="#28969a", seed=4)
        image = studio.open_result(result)
        clear = studio.open_result(studio.draw(art="model", behind="transparent", seed=4))
        line = result.receipt["params"]["character"]
        same = {"preset": "chef", "behind_colour": "#28969a", "character": line}
        sheet = studio.draw(art="model", layout="sheet", seed=9, **same)
    finally:
        studio.close()
    assert stub.asked[0].prompt == "3d icon of a woman chef with dark skin, teal background"
    assert (image[0, 0] == (0x28, 0x96, 0x9A)).all()
    assert (image[128, 128] == (200, 30, 40)).all()
    assert (clear[0, 0, 3], clear[128, 128, 3]) == (0, 255)
    assert "alike, not the same" in " ".join(sheet.receipt["notices"])
    first, again, takes = stub.asked[0], stub.asked[2], stub.asked[3]
    assert again.seeds == first.seeds, "one somebody, whatever the job's seed is"
    assert takes.prompt == first.prompt
    assert len({*first.seeds, *takes.seeds}) == 5


def test_a_model_that_edits_turns_the_figure_it_drew(tmp_path: Path) -> None:
    stub = StubFamily(alphas=False, edits=True)
    studio = CharacterStudio(tmp_path, stub)
    try:
        sheet = studio.draw(art="model", layout="sheet", preset="chef", colour="#28969a", seed=9)
    finally:
        studio.close()
    drawn, *edits = stub.asked
    assert "teal clothes" in drawn.prompt
    assert {render.verb for render in edits} == {"edit"}
    assert len({render.prompt for render in edits}) == len(edits) == 4
    assert all((render.images[0][8, 8] == (200, 30, 40)).all() for render in edits)
    assert "alike" not in " ".join(sheet.receipt["notices"])


def test_a_model_without_opacity_is_taken_as_it_is(tmp_path: Path) -> None:
    studio = CharacterStudio(tmp_path, StubFamily(alphas=False))
    try:
        result = studio.draw(art="model", behind="transparent", seed=4)
        image = studio.open_result(result)
    finally:
        studio.close()
    assert image.shape[2] == 3
    assert "no transparency" in " ".join(result.receipt["notices"])


# ---------------------------------------------------------------- the form


def test_the_form_offers_what_the_traits_have() -> None:
    for name, values in TRAITS.items():
        if name != "face":
            offered = Creator.schema_extra(name)["x-labels"]
            assert set(offered) == {"any", *values}


def test_generate_makes_the_draft_large_and_then_another() -> None:
    seat = TabState()
    form = {"seed": None, "skin": "dark"}
    seat.record_request(form, 77, draft=True)
    assert seat.with_last_seed(form) == {"seed": 77, "skin": "dark"}
    seat.record_request(seat.with_last_seed(form), 77, draft=False)
    assert seat.with_last_seed(form) == form  # asked again: another
    seat.record_request(form, 77, draft=True)
    assert seat.with_last_seed({"seed": None, "skin": "light"})["seed"] is None  # the form changed
    assert seat.with_last_seed({"seed": 5, "skin": "dark"})["seed"] == 5


def test_what_lays_a_drawing_otherwise_keeps_its_seed_and_nothing_else_does() -> None:
    seat = TabState()
    form = {"seed": None, "preset": "ink", "strength": 100, "where": "all"}
    for draft in (True, False):
        seat.record_request(form, 77, draft=draft)
        assert seat.with_last_seed({**form, "strength": 40}, STYLE.blend_only_fields)["seed"] == 77
        assert seat.with_last_seed({**form, "strength": 40, "preset": "oil"}, STYLE.blend_only_fields)["seed"] is None
        assert seat.with_last_seed({**form, "strength": 40, "seed": 5}, STYLE.blend_only_fields)["seed"] == 5
