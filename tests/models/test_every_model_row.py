"""Every row of a diffusion model: its bytes by the architecture on the meta device, and how its pipelines are called.

A row that nothing here knows fails.
"""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipelines.core.models import ModelSpec
from pipelines.core.params import Verb
from pipelines.models.checkpoint import _UNQUANTIZED_NAMES
from pipelines.models.diffusion import loader
from pipelines.models.families import FAMILIES
from pipelines.models.families.control_nets import CONTROL_NETS, ControlNetFamily
from pipelines.models.families.fashn.model import FASHN_VTON
from pipelines.models.profiles import download_bytes
from pipelines.models.registry import get_spec
from tests.gpu import sizes
from tests.gpu.sizes import count_bytes, make_on_meta
from tests.models.support import family_checks, tiny_checkpoints, tiny_flow_checkpoints
from tests.models.support.family_checks import ignore_step, make_request

DIFFUSION_FAMILIES = tuple(family for family in FAMILIES if isinstance(family, loader.CheckpointFamily))
ROWS = tuple(row for family in DIFFUSION_FAMILIES for row in family.specs)
# By the beginning of a row's id: the architecture, and a tiny checkpoint of the same pipeline class.
KINDS: Mapping[str, tuple[sizes.Architecture, Callable[[Path], Path]]] = {
    "sd15-": (sizes.SD15, tiny_checkpoints.tiny_sd),
    "sdxl": (sizes.SDXL, tiny_checkpoints.tiny_sdxl),
    "klein": (sizes.KLEIN, tiny_flow_checkpoints.tiny_klein),
    "z-image-": (sizes.Z_IMAGE, tiny_flow_checkpoints.tiny_z_image),
    "qwen-image-edit": (sizes.QWEN, tiny_flow_checkpoints.tiny_qwen_edit),
    "qwen-image-2.1": (sizes.QWEN_21, tiny_flow_checkpoints.tiny_qwen_21),
    "firered-": (sizes.QWEN, tiny_flow_checkpoints.tiny_qwen_edit),
    "longcat-": (sizes.LONGCAT, tiny_flow_checkpoints.tiny_longcat),
    "joyai-": (sizes.JOYIMAGE, tiny_flow_checkpoints.tiny_joyimage),
    "krea-": (sizes.KREA, tiny_flow_checkpoints.tiny_krea),
    "wan-": (sizes.WAN, tiny_flow_checkpoints.tiny_wan),
}
NOT_COMPUTED = {"klein-4bit": "the bits of each layer stand in a file of its repository that was seen nowhere"}


def kind_of(row: ModelSpec) -> tuple[sizes.Architecture, Callable[[Path], Path]]:
    (found,) = (kind for begin, kind in KINDS.items() if row.id.startswith(begin))
    return found


def make_tiny_row(row: ModelSpec) -> ModelSpec:
    """Return what the call of a row's pipeline depends on, with a kind of tiny checkpoint in place of its weights.

    Rows that only keep their text encoder or their weights otherwise become the same: sizes, steps and guidance do not.
    """
    kept = tuple(each for each in row.options if each[0] in ("scheduler", "scheduler_config"))
    here = replace(row, id=row.family, repo=kind_of(row)[1].__name__, revision="", options=kept, dtype="float32")
    return replace(here, bytes=0, min_vram=0, host_bytes=0, download_bytes=0)


CALLS = {(make_tiny_row(row), verb): row.id for row in reversed(ROWS) for verb in row.verbs}


build_control_net = functools.cache(sizes.build_on_meta)


@functools.cache
def count_int8_bytes(make: Callable[[], Any]) -> int:
    """Bytes of a text encoder with its linear layers in 8 bits: per output a scale and a zero point beside them."""
    import torch

    module = make_on_meta(make)
    linear = [
        each.weight
        for name, each in module.named_modules()
        if isinstance(each, torch.nn.Linear) and not _UNQUANTIZED_NAMES.search(name)
    ]
    count = sum(each.numel() for each in linear)
    rest = sum(each.numel() for each in module.parameters()) - count
    return count + 5 * sum(each.shape[0] for each in linear) + 2 * rest


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_a_row_has_the_bytes_of_its_architecture(row: ModelSpec) -> None:
    if row.id in NOT_COMPUTED:
        pytest.skip(NOT_COMPUTED[row.id])
    from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny

    makes = dict(kind_of(row)[0].components)
    options = dict(row.options)
    if "decoder" in options:
        makes["vae"] = AutoencoderTiny
    encoder = makes.pop("text_encoder")
    on_device, mode = sum(map(count_bytes, makes.values())), options.get("text_encoder", "")
    whole_vae = count_bytes(makes["vae"]) if options.get("vae_dtype") == "float32" else 0  # twice what is counted
    on_device += whole_vae
    on_device += {"": count_bytes(encoder), "int8": count_int8_bytes(encoder), "streamed": 0}[mode]
    on_host = count_bytes(encoder) if mode == "streamed" else 0
    if options.get("transformer") == "streamed":
        on_device, on_host = (
            total + sign * count_bytes(makes["transformer"]) for total, sign in ((on_device, -1), (on_host, 1))
        )
    assert row.bytes == pytest.approx(on_device, rel=0.001)
    assert row.host_bytes == on_host
    whole = sum(map(count_bytes, [*makes.values(), encoder])) + whole_vae
    lies_in_float32 = row.family in ("z_image", "wan")
    sent = whole + count_bytes(makes["transformer"]) if lies_in_float32 else whole
    sent += count_bytes(makes["vae"]) if row.family == "qwen_image_21" else 0
    assert download_bytes(row) == pytest.approx(sent, rel=0.001)


@pytest.mark.parametrize("row", CONTROL_NETS.specs, ids=lambda row: row.id)
def test_a_control_net_has_the_bytes_of_its_architecture(row: ModelSpec) -> None:
    options = dict(row.options)
    if "layout" in options:
        import diffusers

        made = make_on_meta(lambda: getattr(diffusers, options["class"])(**json.loads(options["layout"])))
    else:
        made = make_on_meta(sizes.make_sdxl_control_net)
    assert type(made).__name__ == options["class"]
    assert row.bytes == pytest.approx(2 * sum(each.numel() for each in made.parameters()), rel=0.002)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_every_verb_s_pipeline_takes_the_components_of_its_row(row: ModelSpec) -> None:
    """Components at full size, without memory; a class that lacks or does not know one would raise."""
    import diffusers

    architecture, _ = kind_of(row)
    parts = {name: make_on_meta(make) for name, make in architecture.components.items()}
    weightless = {name: make() for name, make in architecture.weightless_components.items()}
    pipe = getattr(diffusers, architecture.pipeline_class)(**parts, **weightless)
    (family,) = (each for each in DIFFUSION_FAMILIES if row in each.specs)
    assert architecture.pipeline_class in family.model_class.pipeline_classes
    model = family.model_class(replace(row, dtype="bfloat16"), pipe, "meta")
    make_net = architecture.make_control_net
    # Not the one that is counted: Z-Image's pipeline hangs layers of the transformer into the net that it is given.
    net = build_control_net(make_net) if make_net is not None else None
    with model.using_control_net(type("Net", (), {"module": net})()):
        for verb in row.verbs:
            if verb != "backdrop":
                view = model.build_view(verb, pipe.scheduler)
                assert all(view.components[name] is part for name, part in parts.items())


# ---------------------------------------------------------------- the call


class Called(Exception):
    """Raised in place of drawing, with the arguments."""

    def __init__(self, arguments: dict[str, Any]) -> None:
        super().__init__()
        self.arguments = arguments


@pytest.fixture(scope="module")
def load_tiny(tmp_path_factory: pytest.TempPathFactory) -> Callable[[ModelSpec], Any]:
    """Loads what `make_tiny_row` returns."""
    root = tmp_path_factory.mktemp("rows")
    writers = {write.__name__: write for _, write in KINDS.values()}

    @functools.cache
    def make(name: str) -> Path:
        return writers[name](root / name)

    @functools.cache
    def load(row: ModelSpec) -> Any:
        (family,) = (each for each in DIFFUSION_FAMILIES if any(spec.family == row.family for spec in each.specs))
        here = replace(row, repo=str(make(row.repo)))
        return loader.CheckpointFamily(family.model_class, (here,)).load(here, "cpu")

    return load


@pytest.fixture(scope="module")
def load_tiny_net(tmp_path_factory: pytest.TempPathFactory) -> Callable[[ModelSpec], Any]:
    """Loads a tiny ControlNet of the class that a row names."""
    root = tmp_path_factory.mktemp("nets")
    writers = {"stable_diffusion": tiny_checkpoints.tiny_union, "z_image": tiny_flow_checkpoints.tiny_z_control}

    @functools.cache
    def load(family: str) -> Any:
        kind = dict(get_spec(next(row.control_net for row in ROWS if row.family == family and row.control_net)).options)
        row = family_checks.control_net_row(writers[family](root / family), kind["class"])
        return ControlNetFamily((row,)).load(row, "cpu")

    return lambda row: load(row.family)


@pytest.mark.parametrize(("row", "verb"), CALLS, ids=(f"{name}-{verb}" for (_, verb), name in CALLS.items()))
def test_a_pipeline_is_called_with_arguments_that_its_signature_names(
    row: ModelSpec,
    verb: Verb,
    load_tiny: Callable[[ModelSpec], Any],
    load_tiny_net: Callable[[ModelSpec], Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = load_tiny(row)
    build = model.build_view
    signatures: list[inspect.Signature] = []

    def build_noting(wanted: Verb, scheduler: Any) -> Any:
        view = build(wanted, scheduler)
        call = type(view).__call__
        signatures.append(inspect.signature(call))

        @functools.wraps(call)
        def note(_: Any, **arguments: Any) -> None:
            raise Called(arguments)

        view.__class__ = type(type(view).__name__, (type(view),), {"__call__": note})
        return view

    monkeypatch.setattr(model, "build_view", build_noting)
    with model.using_control_net(load_tiny_net(row)) if verb == "control" else nullcontext():
        for guidance in (None, 4.0):
            render = make_request(verb, 1, 2, size=(256, 192), guidance_scale=guidance, negative_prompt="people")
            with pytest.raises(Called) as caught:
                model.draw(render, ignore_step)
            known = dict(signatures[-1].parameters)
            known.pop("kwargs", None)  # by which a pipeline would drop an argument that it does not know
            sent = set(caught.value.arguments)
            assert sent <= set(known)
            assert {"generator", "num_inference_steps", "output_type"} <= sent
            assert {name for name, each in known.items() if each.default is each.empty} - {"self"} <= sent


def test_every_row_of_a_profile_is_among_them() -> None:
    from pipelines.models.profiles import PROFILES

    ids = {spec_id for profile in PROFILES for spec_id in profile.specs.values() if get_spec(spec_id).repo}
    assert ids - {FASHN_VTON.id} <= {row.id for row in ROWS}  # no pipeline of diffusers: it has a test of its own
    assert {row.control_net for row in ROWS if row.control_net} <= {row.id for row in CONTROL_NETS.specs}
