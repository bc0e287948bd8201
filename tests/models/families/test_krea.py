"""Krea 2 on a tiny random checkpoint: it draws what diffusers draws, and nothing before its cap was confirmed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import gradio as gr
import pytest

import app
from pipelines.core.errors import ModelUnavailable
from pipelines.core.job import Job
from pipelines.core.models import Profile
from pipelines.core.rendering import RenderedImages, RenderRequest, ToolOutput
from pipelines.core.stream import Stream
from pipelines.jobs.table import JobTable
from pipelines.models.devices import Machine
from pipelines.models.diffusion.loader import CheckpointFamily
from pipelines.models.families import FAMILIES
from pipelines.models.families.krea import KREA, VERBS, KreaModel
from pipelines.models.model_cache import CacheOptions, ModelCache
from pipelines.models.profiles import _BEST_GPU_PROFILES, EMBEDDED, save_choice
from pipelines.models.registry import get_spec
from pipelines.provenance.signing_key import SigningKeyStore
from pipelines.runtime.context import EngineResources, JobContext
from pipelines.runtime.progress import StreamProgress
from pipelines.runtime.receipt import build_receipt
from pipelines.security.audit_log import AuditLog
from pipelines.security.content_filter import ContentFilter
from pipelines.service.licence_caps import LicenceConfirmations
from pipelines.service.studio_service import StudioService
from pipelines.settings import Settings
from pipelines.storage.file_index import FileIndex
from tests.models.support import family_checks
from tests.models.support.family_checks import SIZE, are_identical, draw_pictures, make_request, noise_photo
from tests.models.support.tiny_flow_checkpoints import tiny_krea
from ui.server import factory
from ui.tool_tab.events import ToolTabEvents


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CheckpointFamily]:
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    row = family_checks.tiny_row("krea", str(tiny_krea(tmp_path_factory.mktemp("krea"))), VERBS, guidance=0.0)
    yield CheckpointFamily(KreaModel, (row,))
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def model(family: CheckpointFamily) -> KreaModel:
    model = family.load(family.specs[0], "cpu")
    assert isinstance(model, KreaModel)
    return model


def test_size_from_headers_is_the_bytes_loaded(family: CheckpointFamily, model: KreaModel) -> None:
    family_checks.check_size_estimate(family, model)


@pytest.fixture(scope="module")
def plain_pipe(family: CheckpointFamily) -> Any:
    """The pipeline of diffusers on components of its own."""
    from diffusers.pipelines.krea2.pipeline_krea2 import Krea2Pipeline

    return Krea2Pipeline.from_pretrained(family.specs[0].repo)


@pytest.mark.parametrize("guidance", [0.0, 2.0])
def test_a_watched_run_is_byte_equal_to_plain_diffusers(model: KreaModel, plain_pipe: Any, guidance: float) -> None:
    plain = family_checks.draw_with_diffusers(
        plain_pipe, (5,), prompt="a red cup", guidance_scale=guidance, width=SIZE[0], height=SIZE[1]
    )
    render = replace(make_request("text", 5), guidance_scale=guidance)
    family_checks.check_watched_run(model, render, plain)
    if guidance:
        assert not are_identical(plain, draw_pictures(model, replace(render, negative_prompt="a blue boat")))


def test_seeds_words_and_cancel(model: KreaModel) -> None:
    family_checks.check_seeds(model, make_request("text"))
    family_checks.check_prompt_encoded_once(model, make_request("text"))
    family_checks.check_cancel(model, make_request("backdrop"))
    family_checks.check_batch_keys(model, ())
    with pytest.raises(ModelUnavailable):
        draw_pictures(model, make_request("edit"))


def test_previews_end_with_the_picture(model: KreaModel) -> None:
    family_checks.check_last_estimate(
        model, make_request("text", 3), lambda latents: model.pipe.vae.decode(latents[None, :, None]).sample[0, :, 0]
    )


# ---------------------------------------------------------------- the cap of its licence


def test_every_variant_has_the_licence_and_no_choice_of_ours_takes_it() -> None:
    assert KREA.licence_state == "capped"
    assert get_spec("klein").licence_state == "commercial"
    assert get_spec("sdxl-turbo").licence_state == "not-commercial"
    capped = {row.id for family in FAMILIES for row in family.specs if row.revenue_cap}
    assert capped == {"krea-2-turbo", "krea-2-turbo-streamed"}
    assert not capped & {row for profile in _BEST_GPU_PROFILES for row in profile.specs.values()}


@contextmanager
def open_service(root: Path, profile: Profile) -> Iterator[StudioService]:
    table, files = JobTable(root), FileIndex(root)
    nobody = cast(Any, SimpleNamespace(table=table))
    yield StudioService(Settings(data=root), nobody, files, profile, nobody)
    table.close()
    files.close()


def test_no_order_is_taken_and_no_model_lent_before_the_owner_confirmed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)  # else the real checkpoint would be asked for
    profile = Profile("krea", {"backdrop": KREA.id, "text": KREA.id}, "Krea")
    with open_service(tmp_path, profile) as service:
        cache = ModelCache(FAMILIES, CacheOptions(check_licence=service.licences.require_confirmed))
        with pytest.raises(ModelUnavailable, match="licence confirm krea-2-turbo"):
            service.create_job("background", {"prompt": "a harbour"}, "me")
        with pytest.raises(ModelUnavailable, match="US\\$ 1 million"), cache.borrow_model("krea-2-turbo-streamed"):
            pass
        assert app.main(["licence", "confirm", "krea-2-turbo", "--data", str(tmp_path)]) == 0
        assert service.create_job("background", {"prompt": "a harbour"}, "me").specs["text"] == KREA.id
        with pytest.raises(ModelUnavailable, match="not on this machine"), cache.borrow_model("krea-2-turbo-streamed"):
            pass


def test_every_order_is_made_where_the_confirmation_is_asked_for() -> None:
    """Page, REST, the OpenAI routes, MCP and batches: whoever makes a job elsewhere would pass the check by."""
    root = Path(app.__file__).parent
    makers = {
        path.relative_to(root).as_posix()
        for folder in ("ui", "pipelines")
        for path in (root / folder).rglob("*.py")
        if re.search(r"(?<![\w.])Job\(", path.read_text("utf-8").replace("class Job(", ""))
    }
    assert makers == {"pipelines/service/studio_service.py"}


def test_no_studio_starts_with_it_before_and_a_choice_on_the_page_falls_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(factory.hub, "is_hub_reachable", lambda: True)
    gpu = Machine("cuda", 80_000_000_000, "GPU found.")
    asked, chosen = Settings(data=tmp_path, profile="krea"), Settings(data=tmp_path)
    save_choice(tmp_path, "krea")
    with pytest.raises(ModelUnavailable, match="licence confirm krea-2-turbo"):
        factory._choose_profile(asked, gpu)
    assert factory._choose_profile(chosen, gpu)[0].id == "quality"
    LicenceConfirmations(tmp_path).confirm_cap(KREA)
    assert [factory._choose_profile(each, gpu)[0].id for each in (asked, chosen)] == ["krea", "krea"]


def test_the_receipt_names_a_control_net_with_its_licence_too(tmp_path: Path) -> None:
    job = Job(id="j", tool="style", params={}, seed=1, profile="p", specs={"control": "sdxl"}, owner="me", created=0.0)
    cache, files = ModelCache(FAMILIES), FileIndex(tmp_path)
    shared = EngineResources(cache, files, ContentFilter(cache, AuditLog(tmp_path)), SigningKeyStore(tmp_path))
    picture = noise_photo(1)

    def draw(spec_id: str, render: RenderRequest, on_step: Any, on_begin: Any) -> RenderedImages:
        on_begin(get_spec(spec_id))
        return RenderedImages((picture,))

    emit = StreamProgress(Stream())
    context = JobContext(job, shared, emit, draw)
    context.draw(RenderRequest("control", "ink", SIZE, (1,), control=picture), emit)
    receipt = build_receipt(context, ToolOutput((picture,), exact=False), {}, [], {})
    files.close()
    assert [(row["id"], row["licence"]) for row in receipt["models"]] == [
        ("sdxl", "OpenRAIL++-M, control: Apache-2.0"),
        ("sdxl-union", "Apache-2.0"),
    ]


def test_the_page_shows_the_words_of_the_family_that_draws(tmp_path: Path) -> None:
    written = list[str]()
    for profile in (Profile("krea", {"backdrop": KREA.id}, "Krea"), EMBEDDED):
        with open_service(tmp_path, profile) as service:
            written.append(service.write_model_words("headshot", {"preset": "lobby", "brand": ""}, "me"))
    assert written[0].startswith("Bright modern office lobby. A background photograph with nobody in it.")
    assert written[1] == ""


def test_a_field_that_was_only_looked_at_follows_the_form_again() -> None:
    """`show_model_words` fills the empty field, `keep_model_words` empties it where nothing was changed."""
    events = object.__new__(ToolTabEvents)
    events.tab = cast(
        Any,
        SimpleNamespace(
            read_form=lambda values: {"model_words": values[0]},
            leave_out_untouched=dict,
            tool=SimpleNamespace(id="x"),
        ),
    )
    events.service = cast(Any, SimpleNamespace(write_model_words=lambda *_: "A lobby."))
    events.access = cast(Any, SimpleNamespace(identify_visitor=lambda _: "me"))
    request: Any = None
    assert events.show_model_words(request, "") == "A lobby."
    assert events.keep_model_words(request, "A lobby.") == ""
    for handler in (events.show_model_words, events.keep_model_words):
        assert handler(request, "Mine.") == gr.skip()


def test_a_confirmation_is_of_one_cap_and_a_damaged_file_confirms_nothing(tmp_path: Path) -> None:
    licences = LicenceConfirmations(tmp_path / "data")
    licences.confirm_cap(KREA)
    assert LicenceConfirmations(tmp_path / "data").is_confirmed(KREA)
    assert not licences.is_confirmed(replace(KREA, revenue_cap="US$ 1"))
    assert not licences.is_confirmed(replace(KREA, licence="Krea 3"))
    (tmp_path / "data" / "licences.json").write_text("[1", "utf-8")
    assert licences.list_unconfirmed((KREA, get_spec("klein"))) == (KREA,)


def test_only_a_capped_model_is_confirmed_on_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.main(["licence", "confirm", "klein", "--data", str(tmp_path)]) == 2
    assert "krea-2-turbo" in capsys.readouterr().err
    assert app.main(["licence", "list", "--data", str(tmp_path)]) == 0
    assert "not confirmed" in capsys.readouterr().out
    assert not (tmp_path / "licences.json").exists()


def test_a_batch_asks_the_studio_whose_owner_confirmed(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path / "studio").model_copy(update={"data": tmp_path / "out" / ".batch"})
    assert settings.owner_data == tmp_path / "studio"
