"""Rows against the recorded configurations of their repositories: classes, sizes, file patterns, schedules.

Weights are sparse files here: true safetensors headers, and a hole where the numbers would be.
"""

from __future__ import annotations

import functools
import json
import math
import re
import struct
from collections.abc import Callable, Mapping
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest

from pipelines.core.models import ModelSpec
from pipelines.models import checkpoint
from pipelines.models.diffusion import loader
from pipelines.models.families import (
    FAMILIES,
    flux2,
    joyimage,
    krea,
    longcat,
    qwen_image,
    stable_diffusion,
    wan,
    z_image,
)
from pipelines.models.families.control_nets import CONTROL_NETS, Z_IMAGE_UNION, Z_IMAGE_UNION_2_1
from pipelines.models.model_cache import ModelCache
from pipelines.models.pinned_revisions import PINS
from pipelines.models.profiles import download_bytes
from pipelines.models.registry import list_all_specs
from tests import record_hub
from tests.gpu import sizes
from tests.gpu.sizes import make_on_meta
from tests.models.test_hub import COMMIT, FakeHub, fake

__all__ = ["fake"]
# diffusers' Euler scheduler hands a torch tensor to np.array in a way that numpy 2 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
CHECKPOINTS = (flux2.KLEIN, z_image.Z_IMAGE, qwen_image.QWEN_EDIT, longcat.LONGCAT, wan.WAN)


def read_record(repo: str, name: str) -> Any:
    return json.loads((record_hub.folder_of(repo) / name).read_text())


@functools.cache
def build_on_meta(repo: str, part: str) -> Any:
    """Build a component of diffusers from its recorded configuration once, without memory for its weights."""
    import diffusers
    import torch

    config = read_record(repo, f"{part}/config.json")
    with torch.device("meta"):
        return getattr(diffusers, config["_class_name"]).from_config(config)


def write_sparse(path: Path, state: Mapping[str, Any], kind: str = "BF16") -> None:
    """Write a safetensors file of such names and shapes; the numbers are a hole in the file."""
    header, offset = dict[str, Any](), 0
    for name, tensor in state.items():
        size = tensor.numel() * {"BF16": 2, "F32": 4}[kind]
        header[name] = {"dtype": kind, "shape": list(tensor.shape), "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + offset)


def copy_records(repo: str, folder: Path) -> Path:
    for path in record_hub.folder_of(repo).rglob("*.json"):
        target = folder / path.relative_to(record_hub.folder_of(repo))
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    for part in ("scheduler", "tokenizer", "processor"):
        (folder / part).mkdir(exist_ok=True)
        (folder / part / "config.json").write_text("{}")
    return folder


# ---------------------------------------------------------------- classes


@pytest.mark.parametrize("row", CHECKPOINTS, ids=lambda row: row.id)
def test_every_component_with_weights_is_loaded_by_a_class_that_is_installed(row: ModelSpec) -> None:
    import diffusers
    import transformers

    _, family = ModelCache(FAMILIES).resolve_spec(row.id, "cpu")
    assert isinstance(family, loader.CheckpointFamily)
    index = read_record(row.repo, "model_index.json")
    assert index["_class_name"] in family.model_class.pipeline_classes
    assert hasattr(diffusers, index["_class_name"])
    for name, value in index.items():
        if isinstance(value, list) and value != [None, None]:
            assert hasattr({"diffusers": diffusers, "transformers": transformers}[value[0]], value[1])
            assert name in loader._COMPONENTS or name.startswith(checkpoint._WEIGHTLESS_COMPONENTS), name


def test_no_field_of_a_recorded_configuration_is_dropped() -> None:
    """A diffusers that does not know `zero_cond_t` would drop it silently and edit worse."""
    for path in record_hub.HUB_FOLDER.rglob("config.json"):
        config = json.loads(path.read_text())
        built = build_on_meta(path.parents[1].name.replace("--", "/"), path.parent.name).config
        for name, value in config.items():
            if not name.startswith("_"):
                assert built[name] == (tuple(value) if isinstance(built[name], tuple) else value), (path, name)


# ---------------------------------------------------------------- sizes

SPARSE: dict[str, tuple[ModelSpec, dict[str, tuple[str, Callable[[], Any]]]]] = {
    "klein": (
        flux2.KLEIN,
        {"transformer": ("BF16", sizes.make_klein_transformer), "text_encoder": ("BF16", sizes.make_qwen3)},
    ),
    "z-image": (
        z_image.Z_IMAGE,
        {
            "transformer": ("F32", sizes.make_z_image_transformer),
            "text_encoder": ("BF16", lambda: sizes.make_qwen3().model),
        },
    ),
}


@pytest.mark.parametrize("name", list(SPARSE))
def test_a_row_knows_what_its_checkpoint_takes_and_what_the_hub_sends(name: str, tmp_path: Path) -> None:
    row, parts = SPARSE[name]
    folder = copy_records(row.repo, tmp_path / "checkpoint")
    for part, (kind, make) in parts.items():
        stem = "model" if part == "text_encoder" else "diffusion_pytorch_model"
        module = make_on_meta(make)
        if part == "text_encoder":
            module.tie_weights()
        state = {key: each for key, each in module.state_dict().items() if key != "lm_head.weight"}
        write_sparse(folder / part / f"{stem}.safetensors", state, kind)
    vae = build_on_meta(row.repo, "vae")
    write_sparse(folder / "vae" / "diffusion_pytorch_model.safetensors", vae.state_dict())
    here = replace(row, repo=str(folder), dtype="bfloat16", options=())
    _, family = ModelCache(FAMILIES).resolve_spec(row.id, "cpu")
    assert family.estimate_bytes(here) == pytest.approx(row.bytes, rel=0.001)
    sent = sum(path.stat().st_size for path in folder.rglob("*.safetensors"))
    assert download_bytes(row) == pytest.approx(sent, rel=0.001)
    listed = read_record(row.repo, "files.json")
    known = {file.split("/")[0] for file in listed if file.endswith(".safetensors")}
    for part in known:
        shown = sum(size for file, size in listed.items() if file.startswith(f"{part}/") and "safetensors" in file)
        written = sum(path.stat().st_size for path in (folder / part).glob("*.safetensors"))
        assert written == pytest.approx(shown, rel=0.005), part


def test_the_transformer_of_qwen_has_the_parameters_of_its_row() -> None:
    net = build_on_meta(qwen_image.QWEN_EDIT.repo, "transformer")
    assert net.config.zero_cond_t is True
    count = sum(each.numel() for each in net.parameters())
    listed = read_record(qwen_image.QWEN_EDIT.repo, "files.json")
    encoder = sum(size for file, size in listed.items() if file.startswith("text_encoder/"))
    assert qwen_image.QWEN_EDIT.bytes == pytest.approx(2 * count + encoder, rel=0.01)


def test_the_transformers_of_longcat_and_krea_have_the_parameters_of_their_rows() -> None:
    from diffusers.models.transformers.transformer_krea2 import Krea2Transformer2DModel

    net = build_on_meta(longcat.LONGCAT.repo, "transformer")
    vae = build_on_meta(longcat.LONGCAT.repo, "vae")
    listed = read_record(longcat.LONGCAT.repo, "files.json")
    counts = [sum(each.numel() for each in part.parameters()) for part in (net, vae)]
    assert longcat.LONGCAT_LIGHTER[1].bytes == 2 * sum(counts) == pytest.approx(sum(listed.values()), rel=0.002)
    turbo = make_on_meta(Krea2Transformer2DModel)
    assert krea.KREA_LIGHTER[0].bytes == 2 * (sum(each.numel() for each in turbo.parameters()) + 126_892_531)


def test_the_transformer_of_joyai_has_the_parameters_of_its_row() -> None:
    net = build_on_meta(joyimage.JOYIMAGE.repo, "transformer")
    listed = read_record(joyimage.JOYIMAGE.repo, "files.json")
    count = sum(each.numel() for each in net.parameters())
    assert 2 * count == pytest.approx(listed["transformer/diffusion_pytorch_model.safetensors"], rel=0.002)
    assert joyimage.JOYIMAGE_LIGHTER[1].bytes == 2 * (count + 126_892_531)


def test_wan_lets_a_photo_move_and_has_the_parameters_of_its_row() -> None:
    assert read_record(wan.WAN.repo, "model_index.json")["expand_timesteps"] is True
    net, vae = (build_on_meta(wan.WAN.repo, part) for part in ("transformer", "vae"))
    net_count, vae_count = (sum(each.numel() for each in part.parameters()) for part in (net, vae))
    assert wan.WAN_LIGHTER[0].bytes == 2 * net_count + 4 * vae_count
    listed = read_record(wan.WAN.repo, "files.json")
    encoder = sum(size for file, size in listed.items() if file.startswith("text_encoder/"))
    assert wan.WAN_LIGHTER[0].host_bytes == pytest.approx(encoder, rel=0.001)
    assert 4 * vae_count == pytest.approx(listed["vae/diffusion_pytorch_model.safetensors"], rel=0.001)


def test_firered_is_loaded_by_the_class_of_qwen() -> None:
    for row in (qwen_image.QWEN_EDIT, qwen_image.FIRERED):
        kind = read_record(row.repo, "model_index.json")["_class_name"]
        assert kind in qwen_image.QwenModel.pipeline_classes


def test_the_schedule_of_longcat_turbo_is_the_same_at_every_size() -> None:
    config = read_record(longcat.LONGCAT.repo, "scheduler/scheduler_config.json")
    assert config["base_shift"] == config["max_shift"]
    scheduler = scheduler_of(longcat.LONGCAT, config)
    scheduler.set_timesteps(sigmas=[1 - n / 8 for n in range(8)], mu=config["max_shift"])
    shift = math.exp(config["max_shift"])
    expected = [shift / (shift + 8 / (8 - n) - 1) for n in range(8)]
    assert scheduler.sigmas.tolist() == pytest.approx([*expected, 0], abs=0.001)


def test_the_net_of_sdxl_has_the_parameters_of_its_row() -> None:
    net = build_on_meta(stable_diffusion.SDXL.repo, "unet")
    assert sum(each.numel() for each in net.parameters()) == 2_567_463_684


def test_the_union_of_z_image_is_read_by_its_true_names(tmp_path: Path) -> None:
    name = dict(Z_IMAGE_UNION.options)["files"]
    write_sparse(tmp_path / name, make_on_meta(sizes.make_z_image_control_net).state_dict())
    shown = read_record(Z_IMAGE_UNION.repo, "files.json")[name]
    assert (tmp_path / name).stat().st_size == pytest.approx(shown, rel=1e-5)
    here = replace(Z_IMAGE_UNION, repo=str(tmp_path), dtype="bfloat16")
    assert CONTROL_NETS.estimate_bytes(here) == pytest.approx(Z_IMAGE_UNION.bytes, rel=0.001)


def test_the_newer_union_has_its_published_size() -> None:
    from diffusers.models.controlnets.controlnet_z_image import ZImageControlNetModel

    options = dict(Z_IMAGE_UNION_2_1.options)
    kind: Any = ZImageControlNetModel
    net = make_on_meta(lambda: kind(**json.loads(options["layout"])))
    assert Z_IMAGE_UNION_2_1.bytes == 2 * sum(each.numel() for each in net.parameters())
    shown = read_record(Z_IMAGE_UNION_2_1.repo, "files.json")[options["files"]]
    assert 0 < shown - Z_IMAGE_UNION_2_1.bytes < 50_000, "what is left is the file's header"


# ---------------------------------------------------------------- files


@pytest.mark.parametrize("repo", [row.repo for row in CHECKPOINTS])
def test_the_patterns_of_a_download_take_weights_and_configurations_and_nothing_else(repo: str) -> None:
    row = next(row for row in CHECKPOINTS if row.repo == repo)
    (patterns,) = (patterns for source, _, patterns in loader.list_sources(row) if source == repo)
    for name in read_record(repo, "files.json"):
        taken = any(fnmatch(name, pattern) for pattern in patterns)
        assert taken == name.endswith((".safetensors", ".json")), name


# ---------------------------------------------------------------- schedules


def scheduler_of(row: ModelSpec, config: dict[str, Any]) -> Any:
    import diffusers

    holder: Any = type("Pipe", (), {})()
    holder.scheduler = getattr(diffusers, config["_class_name"]).from_config(config)
    loader._replace_scheduler(holder, dict(row.options))
    return holder.scheduler


def test_lightning_takes_the_four_steps_that_it_was_distilled_for() -> None:
    config = read_record(stable_diffusion.SDXL.repo, "scheduler/scheduler_config.json")
    scheduler = scheduler_of(stable_diffusion.SDXL_LIGHTNING, config)
    scheduler.set_timesteps(4)
    assert scheduler.timesteps.tolist() == [999, 749, 499, 249]


def test_z_image_turbo_takes_its_eight_steps_with_the_recorded_schedule() -> None:
    scheduler = scheduler_of(z_image.Z_IMAGE, read_record(z_image.Z_IMAGE.repo, "scheduler/scheduler_config.json"))
    steps = int(dict(z_image.Z_IMAGE.defaults)["num_inference_steps"])
    scheduler.set_timesteps(sigmas=[1 - n / steps for n in range(steps)])
    assert scheduler.sigmas.tolist() == pytest.approx([1, 0.955, 0.9, 0.833, 0.75, 0.643, 0.5, 0.3, 0], abs=0.001)


def test_the_lightning_lora_of_qwen_takes_its_four_steps_with_a_shift_of_three() -> None:
    base = {"_class_name": "FlowMatchEulerDiscreteScheduler", "use_dynamic_shifting": True}  # as Qwen-Image's
    scheduler = scheduler_of(qwen_image.QWEN_EDIT, base)
    shift = scheduler.config.max_shift
    scheduler.set_timesteps(sigmas=[1, 0.75, 0.5, 0.25], mu=shift)
    assert scheduler.config.base_shift == shift == pytest.approx(math.log(3))
    assert scheduler.sigmas.tolist() == pytest.approx([1, 0.9, 0.75, 0.5, 0], abs=0.001)


# ---------------------------------------------------------------- recording


def test_recording_brings_configurations_and_sizes_and_no_weights(fake: FakeHub, tmp_path: Path) -> None:
    from huggingface_hub import constants

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        assert record_hub.main(["we/made", "--out", str(tmp_path / "out")]) == 0
    folder = record_hub.folder_of("we/made", tmp_path / "out")
    assert json.loads((folder / "files.json").read_text()) == {name: len(data) for name, data in fake.files.items()}
    assert (folder / "unet" / "config.json").read_bytes() == fake.files["unet/config.json"]
    assert sorted(name for name, _ in fake.served) == ["model_index.json", "unet/config.json"]
    assert all(COMMIT in path for path in fake.asked)


def test_every_recorded_repository_is_one_that_profiles_name() -> None:
    assert {path.name for path in record_hub.HUB_FOLDER.iterdir() if path.is_dir()} <= {
        repo.replace("/", "--") for repo in PINS
    }


def test_the_list_of_what_was_not_seen_is_whole() -> None:
    page = (record_hub.HUB_FOLDER / "README.md").read_text("utf-8")
    first_cells = re.findall(r"^\| ([^|]+) \|", page, re.MULTILINE)[1:]
    assert {name for cell in first_cells for name in cell.split(", ")} == {repo.partition("/")[2] for repo in PINS}
    rows = {
        row.id
        for row in list_all_specs()
        if row.family in DIFFUSION_FAMILIES and not record_hub.folder_of(row.repo).is_dir()
    }
    assert rows == set(re.findall(r"`([\w.-]+)`", page.split("no record at all:")[1].partition("All but")[0]))


DIFFUSION_FAMILIES = (
    "stable_diffusion",
    "flux2",
    "z_image",
    "qwen_image",
    "longcat",
    "joyimage",
    "qwen_image_21",
    "krea",
    "wan",
    "control_net",
)
