"""Tests of content filter and prompt filter, with the real net, without it, and with a broken one."""

from __future__ import annotations

import io
import json
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import cv2
import numpy as np
import PIL.Image
import pytest
from sqlalchemy import select

from pipelines.batch.row_values import ingest_pictures
from pipelines.core import stream
from pipelines.core.errors import PolicyRefusal, StudioError
from pipelines.core.geometry import Image
from pipelines.core.job import Job, ProgressCallback, Result, Step
from pipelines.core.models import ModelSpec
from pipelines.core.params import Params, picture_field
from pipelines.core.rendering import ModelStep, RenderedImages, RenderRequest, ToolOutput
from pipelines.core.stream import wait_for_result
from pipelines.core.tools import Tool, ToolContext
from pipelines.engines.local import STARTING_STAGE
from pipelines.models import bundled_weights, nets
from pipelines.models.families import FAMILIES
from pipelines.models.hub_download import OnFileProgress
from pipelines.models.model_cache import ModelCache
from pipelines.models.nets.open_nsfw import OpenNsfw
from pipelines.security.content_filter import INPUT_REFUSED, NSFW_SCORE_LIMIT
from pipelines.security.prompt_filter import (
    MINORS_REFUSED,
    UNDRESS_REFUSED,
    find_refusal_message,
    fold_letters,
    neutralize_prompt,
)
from pipelines.settings import Settings
from pipelines.storage.schema import FILES
from pipelines.tools import TOOLS, background, business
from tests.support.examples import make_noise
from tests.support.real_studio import RealStudio
from ui import gradio_client_api

ROOT = Path(__file__).parents[2]
# Patches of colour on which the real net is wrong: found by climbing its score from a plain ground. They show nothing.
_PATCHES = (
    "b5a65ebd5529c68660c68660c68660c686607b004de08791c68660c68660c68660c68660c68660c68660c68660c68660c68660c68660c68660"
    "c68660c68660c68660c68660c68660ff4673a4a44ac68660c68660c68660c68660c68660c68660a8cf45c68660c68660c68660c68660c68660"
    "d44b88c58c59ff5b81c68660c68660c68660c68660c68660c68660c68660c68660d278b3c68660c68660c68660b87e86ff693cc68660dc7467"
    "d39f39c68660c68660cc6881c68660ada070c68660"
)


def blocked() -> Image:
    """An abstract picture that the net scores as nudity."""
    grid = np.frombuffer(bytes.fromhex(_PATCHES), np.uint8).reshape(8, 8, 3).astype(np.float32)
    return np.clip(cv2.resize(grid, (256, 256), interpolation=cv2.INTER_CUBIC), 0, 255).astype(np.uint8)


# ---------------------------------------------------------------- a house with a tool that shows what it is told to


class ShowForm(Params):
    """A form."""

    photo: str | None = picture_field("Photo", "What comes in.")


@dataclass
class ShowTool:
    """What the tool shows and hands over; `drawn` are frames of a generative model."""

    frames: Sequence[Image] = ()
    drawn: Sequence[Image] = ()
    result: Image = field(default_factory=lambda: make_noise(64, 64))
    prompts: list[str] = field(default_factory=list)

    def run(self, params: ShowForm, context: ToolContext, emit: ProgressCallback) -> ToolOutput:
        if params.photo is not None:
            context.open_image(params.photo)
        for frame in self.frames:
            emit("Showing", 1, 1, frame)
        if self.drawn:
            context.draw(RenderRequest(verb="text", prompt="a harbour", size=(64, 64), seeds=(1,)), emit)
        return ToolOutput(images=(self.result,))

    def tool(self) -> Tool:
        return Tool("stage", "Stage", "For tests.", ShowForm, self.run)


@dataclass
class PaintFamily:
    """A generative family: draws the stage's frames."""

    stage: ShowTool
    specs: tuple[ModelSpec, ...] = (ModelSpec("brush", "brush", ("text",), "MIT"),)

    def estimate_bytes(self, spec: ModelSpec) -> int:
        return 1

    def load(self, spec: ModelSpec, device: str) -> Any:
        self.spec = spec
        return self

    def draw(self, render: RenderRequest, on_step: Callable[[ModelStep], None]) -> RenderedImages:
        self.stage.prompts.append(render.prompt)
        for n, frame in enumerate(self.stage.drawn, 1):
            on_step(ModelStep(n, len(self.stage.drawn), lambda frame=frame: frame))
            time.sleep(0.05)  # a frame that nobody read before the next one is there is dropped
        return RenderedImages(tuple(self.stage.drawn[-1:]))

    def close(self) -> None:
        pass


@dataclass
class FixedScores:
    """A family in the net's place that answers what it is told to."""

    answer: float | Exception
    specs: tuple[ModelSpec, ...] = (ModelSpec("open-nsfw", "scores", (), "MIT"),)

    def estimate_bytes(self, spec: ModelSpec) -> int:
        return 1

    def load(self, spec: ModelSpec, device: str) -> Any:
        return self

    def score_images(self, images: Sequence[Image]) -> tuple[float, ...]:
        if isinstance(self.answer, Exception):
            raise self.answer
        return (0.0, self.answer) if len(images) > 1 else (self.answer,)

    def close(self) -> None:
        pass


class FilterStudio(RealStudio):
    """A studio whose only tool shows and returns the pictures that a test chooses."""

    def __init__(self, root: Path, families: Sequence[Any] = FAMILIES, **shown: Any) -> None:
        self.stage = ShowTool(**shown)
        cache = ModelCache((*families, PaintFamily(self.stage)))
        super().__init__(root, (self.stage.tool(),), cache=cache, owner="ann")

    def run(self, *, draft: bool = False, photo: Image | None = None) -> tuple[list[Step], Result | StudioError]:
        """The steps of one job, and how it ended."""
        file_id = None if photo is None else self.add_image(photo)
        job = Job(
            id=f"job-{uuid.uuid4().hex}",
            tool="stage",
            params={"photo": file_id},
            seed=1,
            profile="x",
            specs={"text": "brush"},
            owner="ann",
            created=time.time(),
            draft=draft,
        )
        events: list[Any] = []
        watch = self.jobs.watch(self.jobs.submit(job))
        try:
            events.extend(watch)
        except StudioError as error:
            events.append(error)
        return [event for event in events if isinstance(event, Step)], events[-1]

    def written(self) -> list[str]:
        """Roles of the files that the studio holds."""
        return [row.role for row in self.files._db.fetch_rows(select(FILES.c.role).order_by(FILES.c.created))]

    def audit(self) -> list[dict[str, Any]]:
        path = self.root / "audit.log"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def count_previews(steps: Sequence[Step]) -> int:
    return sum(step.preview is not None for step in steps)


def result_code(end: Result | StudioError) -> str:
    return end.code if isinstance(end, StudioError) else "done"


# ---------------------------------------------------------------- the real net


def harmless() -> Iterator[tuple[str, Image]]:
    """Every sixth picture in the repository, and every second cut-out of the bench before one of its grounds."""
    truth = ROOT / "tests" / "data" / "truth"
    paths = [*ROOT.glob("assets/examples/*.jpg"), *ROOT.glob("assets/tiles/*/*.webp"), *truth.glob("*/*.webp")]
    for path in paths[::6]:
        yield f"{path.parent.name}/{path.name}", composite_on(path, "white")
    grounds = sorted(truth.glob("grounds/*.webp"))
    for n, path in list(enumerate(sorted(truth.glob("objects/*.webp"))))[::2]:
        yield f"{path.name} composed", composite_on(path, grounds[n % len(grounds)])


def composite_on(path: Path, ground: str | Path) -> Image:
    with PIL.Image.open(path) as opened:
        top = opened.convert("RGBA")
    under = PIL.Image.new("RGB", top.size, ground) if isinstance(ground, str) else PIL.Image.open(ground)
    whole = under.convert("RGB").resize(top.size)
    whole.paste(top, mask=top.getchannel("A"))
    return np.asarray(whole)


def test_of_sixty_harmless_pictures_none_is_blocked() -> None:
    net = nets.load(nets.OPEN_NSFW, "cpu")
    scores = {name: net.score_images([image])[0] for name, image in harmless()}
    assert len(scores) >= 60
    assert not [name for name, score in scores.items() if score >= NSFW_SCORE_LIMIT]
    assert net.score_images([blocked()])[0] >= NSFW_SCORE_LIMIT


def test_a_large_photo_scores_like_the_same_photo_small() -> None:
    net: Any = nets.load(nets.OPEN_NSFW, "cpu")
    small = composite_on(ROOT / "assets/examples/hopper.jpg", "white")
    large = np.asarray(PIL.Image.fromarray(small).resize((small.shape[1] * 5, small.shape[0] * 5)))
    assert net.score_images([large])[0] == pytest.approx(net.score_images([small])[0], abs=0.05)


def test_a_score_is_remembered_for_exactly_the_picture_it_is_of() -> None:
    net: Any = nets.load(nets.OPEN_NSFW, "cpu")
    first, second = (net.score_images([blocked()])[0] for _ in range(2))
    assert first == second
    assert net._score_once.cache_info().hits == 1
    assert net.score_images([blocked()[:, ::-1].copy()])[0] != first
    assert net.score_images([make_noise(64, 64)])[0] < NSFW_SCORE_LIMIT <= first


def test_a_blocked_input_is_refused_before_anything_is_shown(tmp_path: Path) -> None:
    with FilterStudio(tmp_path, frames=[make_noise(64, 64)]) as here:
        steps, end = here.run(photo=blocked())
        assert result_code(end) == "content_policy"
        assert [step.stage for step in steps] == [STARTING_STAGE]
        assert count_previews(steps) == 0
        assert here.written() == ["upload"]


def test_what_hides_under_full_transparency_is_seen(tmp_path: Path) -> None:
    clear = np.dstack([blocked(), np.zeros((256, 256), np.uint8)])
    clear[:8, :8, 3] = 255
    with FilterStudio(tmp_path) as here:
        assert result_code(here.run(photo=clear)[1]) == "content_policy"


@pytest.mark.parametrize("draft", [False, True])
def test_a_blocked_result_is_neither_shown_nor_written(tmp_path: Path, draft: bool) -> None:
    with FilterStudio(tmp_path, result=blocked()) as here:
        steps, end = here.run(draft=draft)
        assert result_code(end) == "content_policy"
        assert count_previews(steps) == 0
        assert here.written() == []
        assert list((tmp_path / "files").iterdir()) == []


def test_frames_of_a_generative_model_are_shown_only_when_they_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "_without_preview", lambda step: step)  # a slow reader would miss an older one
    with FilterStudio(tmp_path, drawn=[blocked(), blocked()]) as here:
        assert count_previews(here.run(draft=True)[0]) == 1  # the finished picture, which passed
    with FilterStudio(tmp_path / "b", drawn=[make_noise(64, 64), make_noise(64, 64)]) as here:
        assert count_previews(here.run(draft=True)[0]) == 3


def test_the_receipt_says_how_the_picture_scored(tmp_path: Path) -> None:
    with FilterStudio(tmp_path) as here:
        _, end = here.run()
        assert isinstance(end, Result)
        assert 0 <= end.receipt["checks"]["content_score"] < NSFW_SCORE_LIMIT


@pytest.mark.parametrize(
    ("score", "has_photo", "drawn", "code"),
    [
        (0.7, True, (), "done"),  # the net reads the same person anew before each ground
        (0.8, True, (), "content_policy"),
        (0.7, False, (), "content_policy"),
        (0.7, True, (make_noise(64, 64, seed=5),), "content_policy"),  # a model drew
    ],
)
def test_a_result_of_pictures_that_passed_is_refused_only_when_the_net_is_certain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, score: float, has_photo: bool, drawn: tuple[Image, ...], code: str
) -> None:
    with FilterStudio(tmp_path, drawn=drawn) as here:
        content_filter = here.engine.resources.content_filter
        monkeypatch.setattr(content_filter, "check_input", lambda *_: 0.0)
        monkeypatch.setattr(content_filter, "_highest_score", lambda _: score)
        assert result_code(here.run(photo=make_noise(64, 64) if has_photo else None)[1]) == code


@pytest.mark.parametrize(("score", "code"), [(0.7, "done"), (0.8, "content_policy")])
def test_a_result_that_was_kept_may_be_worked_on_and_the_same_score_from_outside_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, score: float, code: str
) -> None:
    with FilterStudio(tmp_path) as here:
        monkeypatch.setattr(here.engine.resources.content_filter, "_highest_score", lambda _: score)
        made, foreign = make_noise(64, 64, seed=7), make_noise(64, 64, seed=8)
        kept = here.files.add_encoded(b"bytes", made, "png", "ann", "result")
        here.files.add_encoded(b"others", foreign, "png", "bob", "result")  # what others have kept helps nobody else
        assert result_code(here.run(photo=foreign)[1]) == "content_policy"
        assert result_code(here.run(photo=made)[1]) == code
        here.files.delete_file(kept)
        assert result_code(here.run(photo=made)[1]) == "content_policy"


def test_what_is_hidden_in_a_kept_result_is_no_way_round(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def score_images(images: Sequence[Image]) -> float:
        return 0.7 if any(image.mean() < 100 for image in images) else 0.1

    with FilterStudio(tmp_path) as here:
        monkeypatch.setattr(here.engine.resources.content_filter, "_highest_score", score_images)
        clear = np.zeros((64, 64, 4), np.uint8)  # white to look at, dark where nothing shows
        here.files.add_encoded(b"bytes", clear, "png", "ann", "result")
        assert result_code(here.run(photo=clear)[1]) == "content_policy"


def test_the_lane_is_free_after_a_refusal(tmp_path: Path) -> None:
    with FilterStudio(tmp_path) as here:
        assert result_code(here.run(photo=blocked())[1]) == "content_policy"
        assert result_code(here.run(photo=make_noise(64, 64))[1]) == "done"


# ---------------------------------------------------------------- closed when it cannot look


@pytest.mark.parametrize("answer", [float("nan"), 0.5, 1.0, RuntimeError("broken")], ids=str)
@pytest.mark.parametrize("way", ["input", "frame", "result"])
def test_an_odd_score_or_an_error_lets_nothing_out(tmp_path: Path, answer: float | Exception, way: str) -> None:
    drawn = [make_noise(64, 64)] if way == "frame" else ()
    photo = make_noise(64, 64, seed=3) if way == "input" else None
    with FilterStudio(tmp_path, [FixedScores(answer)], drawn=drawn) as here:
        steps, end = here.run(photo=photo, draft=way == "frame")
        assert result_code(end) == ("internal_error" if isinstance(answer, Exception) else "content_policy")
        assert count_previews(steps) == 0
        assert "result" not in here.written()


def test_without_the_net_nothing_comes_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundled_weights, "MODELS_FOLDER", tmp_path / "nowhere")
    with FilterStudio(tmp_path) as here:
        assert result_code(here.run()[1]) == "model_unavailable"
        assert here.written() == []


def test_with_a_damaged_net_nothing_comes_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / nets.OPEN_NSFW.files[0][0]
    path.parent.mkdir()
    whole = (bundled_weights.MODELS_FOLDER / nets.OPEN_NSFW.files[0][0]).read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    monkeypatch.setattr(bundled_weights, "MODELS_FOLDER", tmp_path)
    with FilterStudio(tmp_path) as here:
        assert result_code(here.run()[1]) == "model_unavailable"
        assert here.written() == []


# ---------------------------------------------------------------- the log, the switch


def test_a_refusal_leaves_one_line_without_names(tmp_path: Path) -> None:
    with FilterStudio(tmp_path, result=blocked()) as here:
        here.run(photo=make_noise(64, 64))
        here.run(photo=blocked())
        lines = here.audit()
        inputs = [
            here.files.get_info(here.files.add_image(image, "ann", "upload")).sha256
            for image in (make_noise(64, 64), blocked())
        ]
    assert [line["verdict"] for line in lines] == ["result", "input"]
    assert [line["sha256"] for line in lines] == [[sha256] for sha256 in inputs]
    assert len({line["owner"] for line in lines}) == 1
    assert "ann" not in (tmp_path / "audit.log").read_text()
    assert (tmp_path / "audit.log").stat().st_mode & 0o077 == 0
    assert (tmp_path / "audit.secret").stat().st_mode & 0o077 == 0


def test_nobody_can_switch_it_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit):
        Settings.from_args(["--gate", "off"])
    settings = Settings.from_args([])
    monkeypatch.setenv("DESIGNERBOX_GATE", "off")
    assert Settings.from_args([]) == settings
    with FilterStudio(tmp_path, result=blocked()) as here:
        assert result_code(here.run()[1]) == "content_policy"


# ---------------------------------------------------------------- words


@pytest.mark.parametrize(
    "text",
    [
        "nude", "NUDE woman", "n u d e", "n.u.d.e", "n_u_d_e", "nüde", "ｎｕｄｅ", "nud3", "n\u200bude", "ⓝⓤⓓⓔ", "𝓷𝓾𝓭𝓮",
        "nuuude", "nuude", "nаked", "na-ked", "n4k3d", "nackte Frau", "halbnackt", "splitternackt", "without clothes",
        "entblößt", "entbloesst", "ohne Kleidung", "s3xy", "p0rn", "undressing", "topless", "oben ohne", "deepnude",
        "nude tones on a naked back", "Aktfoto", "erotisch", "hüllenlos",
    ],
)  # fmt: skip
def test_words_of_undress_are_refused_however_they_are_spelt(text: str) -> None:
    assert find_refusal_message(text, people=False) == find_refusal_message(text, people=True) == UNDRESS_REFUSED
    assert find_refusal_message(f"a portrait, {text}, in a park", people=True) == UNDRESS_REFUSED


@pytest.mark.parametrize(
    "text",
    [
        "a teenager", "schoolgirl", "12 year old girl", "12-year-old", "twelve years old", "zwölfjährig",
        "12 Jahre alt", "16yo", "kleines Mädchen", "minderjährige", "underage", "ch1ld", "toddlers", "ein Kind",
        "T E E N",
    ],
)  # fmt: skip
def test_words_of_minors_are_refused_where_people_are_made(text: str) -> None:
    assert find_refusal_message(text, people=True) == MINORS_REFUSED
    assert find_refusal_message(text, people=False) is None


@pytest.mark.parametrize(
    "text",
    [
        "nude tones", "Nude-Töne", "nudefarben", "nude lipstick", "beige nude wall", "Nudeln auf Holz", "Essex, Sussex",
        "naked cake on oak", "baby blue paper", "kind eyes", "sextant on a map", "Nacken", "18 years old",
        "25-year-old man", "10 years of experience", "Tokyo at night", "Büro, hell, 3 Fenster", "minor retouching",
        "a bar", "b a r", "assam tea in a glass", "cumulus over grass", "Bratislava", "document", "analog film",
    ],
)  # fmt: skip
def test_ordinary_words_pass(text: str) -> None:
    assert find_refusal_message(text, people=True) is None


def test_the_words_of_every_look_pass() -> None:
    for row in TOOLS:
        for name in row.params.fields_of_kind("choice"):
            for value, label in row.params.schema_extra(name).get("x-labels", {}).items():
                assert find_refusal_message(value.replace("-", " "), people=row.person) is None, label
                assert find_refusal_message(label, people=row.person) is None


def test_the_desk_refuses_words_with_their_field_and_logs_no_word(tmp_path: Path) -> None:
    with RealStudio(tmp_path) as studio:
        here = studio.service
        photo = next(example.file_id for example in here.uploads.list_examples() if example.name == "hopper")
        with pytest.raises(StudioError) as caught:
            here.create_job("headshot", {"photo": photo, "background": "nackt am Strand"}, "ann")
        assert (caught.value.code, caught.value.param, caught.value.status) == ("content_policy", "background", 400)
        with pytest.raises(StudioError):
            here.create_job("background", {"prompt": "n u d e"}, "ann")
        assert here.create_job("headshot", {"photo": photo, "preset": "nude-tones", "background": "nude tones"}, "ann")
    log = (tmp_path / "audit.log").read_text()
    assert log.count('"words"') == 2
    assert "nackt" not in log


def portrait(seed: int = 1) -> bytes:
    out = io.BytesIO()
    PIL.Image.fromarray(make_noise(80, 80, seed=seed)).save(out, "PNG")
    return out.getvalue()


def _remove_model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(bundled_weights, "MODELS_FOLDER", tmp_path / "nowhere")


def _crash_model(monkeypatch: pytest.MonkeyPatch, _: Path) -> None:
    def scores(*_: Any) -> Any:
        raise RuntimeError("the net fell over")

    monkeypatch.setattr(OpenNsfw, "score_images", scores)


def _score_high(monkeypatch: pytest.MonkeyPatch, _: Path) -> None:
    monkeypatch.setattr(OpenNsfw, "score_images", lambda _, images: (0.9,) * len(images))


@pytest.mark.parametrize("fault", [_remove_model, _crash_model, _score_high], ids=lambda fault: fault.__name__[1:])
def test_a_picture_that_is_refused_at_the_door_never_becomes_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Any
) -> None:
    fault(monkeypatch, tmp_path)
    with RealStudio(tmp_path / "data") as studio:
        here = studio.service
        with pytest.raises(StudioError) as caught:
            here.uploads.ingest_picture(portrait(), "ann")
        assert not list(here.files.root.iterdir())
        assert here.files.list_files("ann", 10) == []
    assert caught.value.code == ("content_policy" if fault is _score_high else "model_unavailable")
    if fault is _score_high:
        assert (tmp_path / "data" / "audit.log").read_text().count('"input"') == 1


def test_a_picture_is_scored_once_at_the_door_and_in_no_tool_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scored: list[tuple[int, ...]] = []
    plain = OpenNsfw.score_images

    def counted(self: OpenNsfw, images: Any) -> Any:
        scored.extend(image.shape for image in images)
        return plain(self, images)

    monkeypatch.setattr(OpenNsfw, "score_images", counted)
    with RealStudio(tmp_path) as studio:
        here = studio.service
        first, again = (
            here.uploads.ingest_picture(portrait(), "ann")[0],
            here.uploads.ingest_picture(portrait(), "bob")[0],
        )
        assert first == again
        assert scored == [(80, 80, 3)]
        order = here.create_job("upscale", {"photo": first}, "ann")
        wait_for_result(here.jobs.watch(here.jobs.submit(order)))
        assert scored == [(80, 80, 3), (160, 160, 3)], "and the result"


def test_a_refused_picture_of_several_is_named_in_a_batch_and_by_gradio_s_client(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def ingest(name: str) -> str:
        if name == "bad":
            raise PolicyRefusal(INPUT_REFUSED)
        return f"file-{name}"

    (error,) = ingest_pictures(business.TOOL, {"photos": ["good", "bad"]}, ingest)
    assert (error.message, error.param) == (f"Photo 2: {INPUT_REFUSED}", "photos")
    (alone,) = ingest_pictures(background.TOOL, {"photo": "bad"}, ingest)
    assert (alone.message, alone.param) == (INPUT_REFUSED, "photo")

    monkeypatch.setattr(gradio_client_api.ToolCall, "_to_file_id", lambda _, value, *__: ingest(value))
    call: Any = gradio_client_api.ToolCall(Mock(), Mock())
    values = {**dict.fromkeys(business.Business.model_fields), "logo": "c", "backdrop": "d"}
    with pytest.raises(PolicyRefusal, match=f"^Photo 2: {INPUT_REFUSED}") as caught:
        call._ingest_pictures(business.Business, {**values, "photos": ["good", "bad"]}, "ann")
    assert caught.value.param == "photos"
    with pytest.raises(PolicyRefusal, match=f"^{INPUT_REFUSED}"):
        call._ingest_pictures(business.Business, {**values, "photos": ["bad"]}, "ann")


# ---------------------------------------------------------------- the word that no model is sent


@pytest.mark.parametrize(
    "text", ["nude tones", "NUDE-Töne, Nudefarben", "nüde lips", "ｎｕｄｅ palette", "n\u200bude wall"]
)
def test_the_colour_nude_is_beige_to_a_model(text: str) -> None:
    assert "nude" not in fold_letters(neutralize_prompt(text)).replace("nudel", "")
    assert "beige" in neutralize_prompt(text)


def test_other_words_reach_a_model_as_they_are() -> None:
    assert neutralize_prompt("Nudeln auf Holz, Müsli, 東京") == "Nudeln auf Holz, Müsli, 東京"


class ListeningCache(ModelCache):
    """A cache whose backdrop model keeps what it is told."""

    heard: list[str]

    @contextmanager
    def borrow_model(self, spec_id: str, on_file: OnFileProgress | None = None) -> Iterator[Any]:
        with super().borrow_model(spec_id, on_file) as model:
            if not spec_id.startswith("backdrops"):
                yield model
                return
            yield _ListeningModel(model, self.heard)


@dataclass
class _ListeningModel:
    model: Any
    heard: list[str]

    @property
    def spec(self) -> ModelSpec:
        return self.model.spec

    def draw(self, render: RenderRequest, on_step: Callable[[ModelStep], None]) -> RenderedImages:
        self.heard += [render.prompt, render.negative_prompt]
        return self.model.draw(render, on_step)


def test_no_look_of_any_tool_sends_the_word_nude(tmp_path: Path) -> None:
    cache = ListeningCache(FAMILIES)
    cache.heard = []
    with RealStudio(tmp_path, cache=cache) as studio:
        photo = studio.photos["hopper"]
        orders = [("headshot", {"photo": photo, "preset": "nude-tones"})]
        orders += [("headshot", {"photo": photo, "preset": "nude-tones", "background": "nude tones"})]
        orders += [("background", {"prompt": "nude tones, soft"})]
        for tool, values in orders:
            studio.make(tool, draft=True, size=256, **values)
    assert len(cache.heard) == 6
    assert any("beige" in text for text in cache.heard)
    assert not any("nude" in text.lower() for text in cache.heard)
