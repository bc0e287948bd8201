"""A text encoder in 8 bits: chosen by free memory, its size estimated before it is read, its output close."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pipelines.core.errors import ModelUnavailable
from pipelines.core.models import ModelSpec
from pipelines.models import profiles
from pipelines.models.devices import Machine
from pipelines.models.diffusion import loader
from pipelines.models.diffusion.loader import CheckpointFamily
from pipelines.models.families.flux2 import VERBS, Flux2Model
from pipelines.models.model_cache import ModelCache
from pipelines.models.profiles import choose_profile, download_bytes, profile_models
from pipelines.models.registry import get_spec
from tests.models.support import family_checks
from tests.models.support.family_checks import are_identical, draw_pictures, make_request
from tests.models.support.tiny_flow_checkpoints import tiny_klein

GB = 10**9
needs_torchao = pytest.mark.skipif(importlib.util.find_spec("torchao") is None, reason="torchao is not installed")


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ModelSpec, ModelSpec]]:
    """One tiny checkpoint, as it is and with its text encoder in 8 bits."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    plain = family_checks.tiny_row("flux2", str(tiny_klein(tmp_path_factory.mktemp("klein"))), VERBS)
    yield plain, replace(plain, id="tiny-int8", options=(("text_encoder", "int8"), ("package", "torchao")))
    torch.set_num_threads(threads)


def count_weight_bytes(encoder: Any) -> int:
    """Count the bytes of its weights by the tensors that they consist of."""
    found: dict[int, int] = {}
    for weight in encoder.state_dict().values():
        names = weight.__tensor_flatten__()[0] if hasattr(weight, "__tensor_flatten__") else ()
        for part in [getattr(weight, name) for name in names] or [weight]:
            found[part.data_ptr()] = part.nbytes
    return sum(found.values())


@needs_torchao
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_its_size_by_the_headers_is_what_it_takes(rows: tuple[ModelSpec, ModelSpec], dtype: str) -> None:
    plain, quantized = (replace(row, dtype=dtype) for row in rows)
    family = CheckpointFamily(Flux2Model, (plain, quantized))
    model = family.load(quantized, "cpu")
    assert model.pipe.text_encoder.layers[0].mlp.up_proj.weight.qdata.nbytes == 16 * 16
    others = sum(count_weight_bytes(part) for part in (model.pipe.transformer, model.pipe.vae))
    assert family.estimate_bytes(quantized) == count_weight_bytes(model.pipe.text_encoder) + others
    assert family.estimate_bytes(quantized) < family.estimate_bytes(plain)


@needs_torchao
def test_it_reads_nearly_the_same_words_and_draws_the_same_seed_the_same(rows: tuple[ModelSpec, ModelSpec]) -> None:
    cache = ModelCache((CheckpointFamily(Flux2Model, rows),))
    embeds, pictures = [], []
    for row in rows:
        with cache.borrow_model(row.id) as model:
            ids = np.arange(24)[None]
            embeds.append(encode_ids(model, ids))
            pictures.append(draw_pictures(model, make_request("text", 1)))
            model.to_host()
            model.to_device()
            assert are_identical(draw_pictures(model, make_request("text", 1)), pictures[-1]), (
                "also after it has left and come back"
            )
    apart = np.linalg.norm(embeds[0] - embeds[1]) / np.linalg.norm(embeds[0])
    assert 0 < apart < 0.03
    assert not are_identical(*pictures)
    assert np.abs(pictures[0][0].astype(int) - pictures[1][0]).mean() < 8
    cache.close()


def encode_ids(model: Any, ids: np.ndarray) -> np.ndarray:
    import torch

    with torch.no_grad():
        return model.pipe.text_encoder(torch.from_numpy(ids)).last_hidden_state.float().numpy()


def set_packages_installed(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    found = profiles.importlib.util.find_spec
    ours = ("torchao", "sdnq")
    monkeypatch.setattr(
        profiles.importlib.util,
        "find_spec",
        lambda name: (object() if name in names else None) if name in ours else found(name),
    )


@pytest.mark.parametrize(
    ("profile", "memory", "with_it", "without"),
    [
        ("klein", 24, "klein", "klein"),
        ("klein", 20, "klein-int8", "klein-streamed"),
        ("klein", 16, "klein-streamed", "klein-streamed"),
        ("control", 26, "z-image-turbo", "z-image-turbo"),
        ("control", 24, "z-image-turbo-int8", "z-image-turbo-streamed"),
        ("control", 16, "z-image-turbo-streamed", "z-image-turbo-streamed"),
    ],
)
def test_it_is_taken_where_it_fits_and_its_package_is_here(
    profile: str, memory: int, with_it: str, without: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Machine("cuda", memory * GB, "GPU found.")
    for names, wanted in ((("torchao",), with_it), ((), without)):
        set_packages_installed(monkeypatch, *names)
        taken, _ = choose_profile(profile, machine, cached=lambda _: True)
        assert set(taken.specs.values()) == {wanted}
        helps = wanted != with_it
        assert ("pip install torchao" in taken.reason) == helps
        whole = get_spec(with_it.removesuffix("-int8").removesuffix("-streamed"))
        assert {download_bytes(row) for row in profile_models(taken)} == {download_bytes(whole)}, "the same download"


def test_without_the_package_the_model_says_what_to_install(
    rows: tuple[ModelSpec, ModelSpec], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loader.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModelUnavailable, match="pip install torchao"):
        CheckpointFamily(Flux2Model, rows).load(rows[1], "cpu")


def test_the_rows_count_the_encoder_of_their_checkpoint_in_8_bits() -> None:
    """Qwen3 4B by its published shape."""
    hidden, layers, words = 2560, 36, 151_936
    shapes = [(4096, hidden), (1024, hidden), (1024, hidden), (hidden, 4096)] + [(9728, hidden)] * 2 + [(hidden, 9728)]
    linear, lines = (layers * sum(each) for each in zip(*((a * b, a) for a, b in shapes), strict=True))
    rest = words * hidden + layers * (2 * hidden + 2 * 128) + hidden
    assert linear + rest == 4_022_468_096
    for name in ("klein", "z-image-turbo"):
        assert get_spec(name).bytes - get_spec(f"{name}-int8").bytes == 2 * linear - (linear + 5 * lines)
        assert download_bytes(get_spec(f"{name}-int8")) == download_bytes(get_spec(name))
