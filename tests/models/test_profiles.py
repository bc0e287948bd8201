"""The choice of a profile, and the sentence for weights that cannot be reached."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from html import escape
from pathlib import Path

import pytest

from pipelines.core.errors import BadInput, ModelUnavailable
from pipelines.core.models import ModelSpec
from pipelines.models import profiles
from pipelines.models.devices import Machine, divide_memory
from pipelines.models.diffusion.loader import list_sources
from pipelines.models.pinned_revisions import PINS
from pipelines.models.profiles import PROFILES, choose_profile
from pipelines.models.registry import get_spec, list_all_specs
from ui.home_tab.cards import render_banner

GB = 10**9
CPU = Machine("cpu", 16 * GB, "No graphics card (GPU) was found.")


def make_gpu(size: int) -> Machine:
    return Machine("cuda", size * GB, "GPU found.")


def always(*_: ModelSpec) -> bool:
    return True


def never_cached(*_: ModelSpec) -> bool:
    return False


def fail_if_called(*_: ModelSpec) -> bool:
    raise AssertionError("nobody asked for the hub")


def test_without_a_gpu_embedded_serves_and_no_hub_is_asked():
    profile, device = choose_profile(None, CPU, cached=fail_if_called, reachable=fail_if_called)
    assert (profile.id, device) == ("embedded", "cpu")
    assert "No graphics card" in profile.reason


@pytest.mark.parametrize(
    ("memory", "wanted"),
    [
        (80, "quality"),
        (24, "klein"),
        (16, "klein"),
        (12, "klein"),
        (11, "sdxl"),
        (10, "sdxl"),
        (9, "light"),
        (8, "light"),
        (4, "light"),
        (2, "embedded"),
    ],
)
def test_the_largest_profile_that_fits_the_gpu_is_taken(memory: int, wanted: str, monkeypatch: pytest.MonkeyPatch):
    set_package_installed(monkeypatch, False)
    profile, device = choose_profile(None, make_gpu(memory), cached=never_cached, reachable=always)
    assert (profile.id, device) == (wanted, "cuda")


@pytest.mark.parametrize("wanted", [None, "sdxl"])
def test_weights_that_cannot_be_had_fall_back_to_embedded_with_one_sentence(wanted: str | None):
    profile, _ = choose_profile(wanted, make_gpu(24), cached=never_cached, reachable=never_cached)
    assert profile.id == "embedded"
    assert ("stable-diffusion-xl" if wanted else "FLUX.2-klein") in profile.reason
    assert profile.reason.count(". ") == 0
    assert profile.is_fallback
    assert escape(profile.reason) in render_banner(profile)


def test_cached_weights_need_no_hub():
    profile, _ = choose_profile("light", CPU, cached=always, reachable=fail_if_called)
    assert profile.id == "light"
    assert "on this machine" in profile.reason


def test_asking_for_embedded_asks_no_hub():
    assert choose_profile("embedded", make_gpu(24), cached=fail_if_called, reachable=fail_if_called)[0].id == "embedded"


def test_a_name_that_no_profile_has_is_refused_with_those_there_are():
    with pytest.raises(BadInput, match=r"'best'.*embedded, klein, .*light"):
        choose_profile("best", CPU)


def set_package_installed(monkeypatch: pytest.MonkeyPatch, there: bool) -> None:
    monkeypatch.setattr(profiles.importlib.util, "find_spec", lambda name: object() if there else None)


@pytest.mark.parametrize(
    ("memory", "model"), [(80, "klein"), (24, "klein"), (16, "klein-streamed"), (12, "klein-streamed")]
)
def test_a_card_that_is_short_gets_the_lighter_twin(memory: int, model: str):
    profile, _ = choose_profile("klein", make_gpu(memory), cached=never_cached, reachable=always)
    assert set(profile.specs.values()) == {model}
    assert profile.id == "klein"


def test_the_download_is_told_with_size_and_licence_before_it_begins():
    for memory in (16, 24):
        profile, _ = choose_profile("klein", make_gpu(memory), cached=never_cached, reachable=always)
        assert "16 GB (Apache-2.0)" in profile.reason
    rows = {row.profile.id: row for row in profiles.list_offers(make_gpu(24), commercial=False)}
    assert {row.id for row in PROFILES} == set(rows)
    assert rows["klein"].bytes == pytest.approx(16e9, rel=0.05)
    assert rows["embedded"].bytes == 0
    assert all(row.licences and row.min_vram for name, row in rows.items() if name != "embedded")


def test_only_what_the_next_job_needs_is_promised_with_it():
    profile, _ = choose_profile("quality", make_gpu(80), cached=never_cached, reachable=always)
    assert "With the first job, 16 GB (Apache-2.0) are downloaded." in profile.reason
    assert "With the first that needs 'edit', 58 GB (Apache-2.0) are downloaded." in profile.reason
    half, _ = choose_profile("quality", make_gpu(80), cached=lambda row: row.id == "klein", reachable=always)
    assert "With the first job" not in half.reason
    assert "58 GB" in half.reason


def test_a_model_that_is_here_is_preferred_to_a_better_one_that_is_not():
    profile, _ = choose_profile(None, make_gpu(80), cached=lambda row: row.id == "klein", reachable=fail_if_called)
    assert profile.id == "klein"
    assert "on this machine" in profile.reason
    assert "'quality' would be better" in profile.reason


def test_a_large_card_keeps_the_text_encoder_of_its_edits():
    for memory, model in ((80, "qwen-image-edit"), (60, "qwen-image-edit-streamed")):
        profile, _ = choose_profile("quality", make_gpu(memory), cached=never_cached, reachable=always)
        assert profile.specs["edit"] == model
    budget = divide_memory(Machine("cuda", 80 * GB, free_bytes=80 * GB)).model_bytes
    assert budget is not None
    assert sum(row.bytes for row in profiles.profile_models(PROFILES_BY_ID["quality"])) <= budget, "both at once"


def test_the_real_autoencoder_draws_on_a_gpu_and_a_small_one_on_a_processor():
    for machine, decoder in ((make_gpu(8), None), (CPU, "madebyollin/taesd")):
        profile, _ = choose_profile("light", machine, cached=always)
        assert {dict(row.options).get("decoder") for row in profiles.profile_models(profile)} == {decoder}


def test_a_control_net_comes_with_the_first_request_that_follows_a_map():
    for name in ("sdxl", "lightning", "control"):
        profile = PROFILES_BY_ID[name]
        (net,) = profiles.profile_control_nets(profile)
        assert net.repo not in {repo for row in profiles.profile_models(profile) for repo, _, _ in list_sources(row)}
    assert profiles.profile_control_nets(PROFILES_BY_ID["klein"]) == ()


PROFILES_BY_ID = {profile.id: profile for profile in PROFILES}


def test_what_stays_in_main_memory_is_downloaded_too():
    rows = {row.profile.id: row for row in profiles.list_offers(make_gpu(80))}
    assert rows["quality"].bytes == pytest.approx(41.1e9 + 16.6e9 + 16e9, rel=0.01), "two models, each with its encoder"
    assert rows["control"].bytes == pytest.approx(39.5e9, rel=0.005), "the transformer lies at the hub in float32"
    assert rows["sdxl"].bytes == pytest.approx(6.94e9 + 2.51e9, rel=0.01), "with the ControlNet"
    small = {row.profile.id: row for row in profiles.list_offers(make_gpu(24))}
    assert small["control"].bytes == pytest.approx(35.9e9, rel=0.005), (
        "the same transformer, with the smaller ControlNet"
    )


@pytest.mark.parametrize("row", [row for row in list_all_specs() if row.min_vram], ids=lambda row: row.id)
def test_a_card_of_the_memory_that_a_model_is_said_to_need_holds_it(row: ModelSpec):
    budget = divide_memory(Machine("cuda", row.min_vram, free_bytes=row.min_vram)).model_bytes
    assert budget is not None
    assert budget >= row.bytes > 0


def test_a_card_that_others_use_is_as_large_as_what_they_leave():
    shared = Machine("cuda", 24 * GB, "GPU found.", free_bytes=9 * GB)
    profile, _ = choose_profile(None, shared, cached=never_cached, reachable=always)
    assert profile.id in ("klein-4bit", "light")
    assert "Others take 14 GB" in profile.reason
    assert (
        choose_profile("klein", replace(shared, free_bytes=15 * GB), cached=never_cached, reachable=always)[0].specs[
            "text"
        ]
        == "klein-streamed"
    )
    crowded, _ = choose_profile(None, replace(shared, free_bytes=GB), cached=never_cached, reachable=always)
    assert crowded.id == "embedded"
    assert crowded.is_fallback


def test_what_is_cached_serves_where_the_hub_is_silent():
    def here(row: ModelSpec) -> bool:
        return row.id == "sd15-lcm"

    profile, _ = choose_profile(None, make_gpu(24), cached=here, reachable=never_cached)
    assert profile.id == "light"
    assert "on this machine" in profile.reason


def test_commercial_use_hides_what_may_not_be_used():
    assert all(row.commercial_ok for row in profiles.list_offers(make_gpu(24)))
    assert "turbo" in {row.profile.id for row in profiles.list_offers(make_gpu(24), commercial=False)}
    with pytest.raises(BadInput, match="forbids commercial"):
        choose_profile("turbo", make_gpu(24), cached=always)
    assert choose_profile("turbo", make_gpu(24), cached=always, commercial=False)[0].id == "turbo"


def test_a_profile_whose_package_is_missing_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    set_package_installed(monkeypatch, False)
    with pytest.raises(BadInput, match="pip install sdnq"):
        choose_profile("klein-4bit", make_gpu(8), cached=always)
    assert choose_profile(None, make_gpu(8), cached=always)[0].id == "light"
    set_package_installed(monkeypatch, True)
    assert choose_profile(None, make_gpu(8), cached=always)[0].id == "klein-4bit"


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.id)
def test_every_profile_can_be_served_by_the_families_there_are(profile: profiles.Profile):
    for verb, spec_id in profile.specs.items():
        assert verb in get_spec(spec_id).verbs


def test_nothing_of_ours_is_cached_here_offline(monkeypatch: pytest.MonkeyPatch, tmp_path: object):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert not profiles.is_cached(get_spec("sdxl"))
    with pytest.raises(ModelUnavailable, match="stable-diffusion-xl"):
        profiles.loader.ensure_checkpoint(get_spec("sdxl"))


@pytest.mark.parametrize(("zerogpu", "here"), [("true", True), ("", False)])
def test_weights_that_zerogpu_packed_and_deleted_are_here(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, zerogpu: str, here: bool
):
    row = replace(get_spec("sd15-lcm"), options=(("preview", "madebyollin/taesd"),))
    for repo, files in (
        (row.repo, ["unet", "vae", "text_encoder"]),
        ("madebyollin/taesd", [""]),
    ):
        folder = tmp_path / f"models--{repo.replace('/', '--')}" / "snapshots" / PINS[repo]
        for part in files:
            (folder / part).mkdir(parents=True)
            (folder / part / "config.json").write_text("{}")
            stem = "model" if part == "text_encoder" else "diffusion_pytorch_model"
            (folder / part / f"{stem}.safetensors").symlink_to(tmp_path / "blobs" / "deleted")
    parts = {part: ["diffusers", "AnyModel"] for part in ("unet", "vae", "text_encoder")}
    index = tmp_path / f"models--{row.repo.replace('/', '--')}" / "snapshots" / PINS[row.repo] / "model_index.json"
    index.write_text(json.dumps({"_class_name": "StableDiffusionPipeline", **parts}))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("SPACES_ZERO_GPU", zerogpu)
    assert profiles.is_cached(row) == here


def test_without_a_way_to_ask_only_cached_weights_count():
    assert choose_profile("sdxl", CPU, cached=never_cached)[0].id == "embedded"


def test_choosing_listing_nets_and_listing_scenes_import_nothing_that_computes_or_reads_panoramas():
    code = (
        "import sys; import pipelines.models.nets;"
        "from pipelines.models.families.scenes.keyword_search import SCENES; assert len(SCENES) > 40;"
        "import pipelines.models.model_cache;"
        "from pipelines.models.profiles import choose_profile; choose_profile();"
        "print(*{'torch', 'diffusers', 'transformers', 'onnxruntime', 'OpenEXR'} & set(sys.modules))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == ""


def test_a_transformer_in_main_memory_is_for_those_who_ask_for_it() -> None:
    card = Machine("cuda", 24 * 10**9, "GPU found.")
    assert choose_profile(None, card, lambda _: True)[0].id == "klein"
    for name, model in (("quality", "qwen"), ("firered", "firered"), ("joyai", "joyai")):
        chosen, _ = choose_profile(name, card, lambda _: True)
        assert chosen.specs["edit"] == f"{model}-image-edit-offloaded"
        assert get_spec(chosen.specs["edit"]).host_bytes > 49e9
