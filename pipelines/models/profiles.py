"""Model profiles: which model serves which verb, and the choice of a profile for this machine, without torch."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipelines.core.errors import BadInput, ModelUnavailable
from pipelines.core.models import ModelSpec, Profile
from pipelines.core.params import Verb
from pipelines.models import checkpoint
from pipelines.models.devices import DeviceKind, Machine, detect_machine
from pipelines.models.diffusion import loader
from pipelines.models.registry import get_spec


def _one_model_for(spec_id: str, *verbs: Verb) -> dict[Verb, str]:
    return dict.fromkeys(("backdrop", *verbs), spec_id)


EMBEDDED = Profile("embedded", {"backdrop": "backdrops", "text": "mini"}, "Embedded")
KLEIN = Profile("klein", _one_model_for("klein", "text", "edit", "image", "inpaint"), "FLUX.2 klein")
KLEIN_4BIT = Profile(
    "klein-4bit", _one_model_for("klein-4bit", "text", "edit", "image", "inpaint"), "FLUX.2 klein, 4 bit"
)
SDXL = Profile("sdxl", _one_model_for("sdxl", "text", "image", "inpaint", "control"), "Stable Diffusion XL")
QUALITY = Profile("quality", {**KLEIN.specs, "edit": "qwen-image-edit"}, "Qwen-Image-Edit and FLUX.2 klein")
FASHN = Profile("fashn", {**KLEIN.specs, "tryon": "fashn-vton-1.5"}, "FASHN VTON and FLUX.2 klein")
LIGHT = Profile("light", _one_model_for("sd15-lcm", "text", "image", "inpaint"), "Stable Diffusion 1.5")

PROFILES = (
    EMBEDDED,
    KLEIN,
    KLEIN_4BIT,
    Profile("control", _one_model_for("z-image-turbo-2.1", "text", "image", "inpaint", "control"), "Z-Image Turbo"),
    SDXL,
    Profile("lightning", _one_model_for("sdxl-lightning", "text", "image", "inpaint", "control"), "SDXL Lightning"),
    Profile("turbo", _one_model_for("sdxl-turbo", "text", "image", "inpaint"), "SDXL Turbo"),
    QUALITY,
    Profile("firered", {**KLEIN.specs, "edit": "firered-image-edit"}, "FireRed-Image-Edit and FLUX.2 klein"),
    Profile("longcat", {**KLEIN.specs, "edit": "longcat-image-edit-turbo"}, "LongCat-Image-Edit and FLUX.2 klein"),
    Profile("joyai", {**KLEIN.specs, "edit": "joyai-image-edit"}, "JoyAI-Image-Edit and FLUX.2 klein"),
    Profile("qwen-2.1", _one_model_for("qwen-image-2.1", "text", "edit"), "Qwen-Image 2.1"),
    Profile("krea", _one_model_for("krea-2-turbo", "text"), "Krea 2 Turbo"),
    Profile("wan", {**KLEIN.specs, "video": "wan-2.2-ti2v-5b"}, "Wan 2.2 and FLUX.2 klein"),
    FASHN,
    LIGHT,
)

# Profiles for a GPU, the best first. The others serve only on request: a CPU takes a minute a picture with `light`.
_BEST_GPU_PROFILES = (QUALITY, KLEIN, KLEIN_4BIT, SDXL, LIGHT)
_CHOICE_FILE_NAME = "profile.txt"
# What others use of the GPU, and is worth saying. Less than either goes to the screen, the driver and torch itself.
_NOTABLE_USE_RATIO, _NOTABLE_USE_BYTES = 0.1, 1.5e9


@dataclass(frozen=True)
class ProfileOffer:
    """What a profile needs, known before anything is downloaded.

    `bytes` is the size of all its weights, `min_vram` what the largest of its models needs; `missing` says why it
    cannot be used here, empty where it can.
    """

    profile: Profile
    bytes: int
    min_vram: int
    licences: tuple[str, ...]
    commercial_ok: bool
    missing: str = ""


def choose_profile(
    wanted: str | None = None,
    machine: Machine | None = None,
    cached: Callable[[ModelSpec], bool] | None = None,
    reachable: Callable[[], bool] | None = None,
    *,
    commercial: bool = True,
) -> tuple[Profile, DeviceKind]:
    """Choose the profile to serve with, its reason filled in, and the device to serve it on.

    Without `wanted` it is the best that fits the free memory of the GPU, or `embedded` without a GPU; one whose weights
    are on this machine is preferred to a better one that is not. A profile whose weights are neither cached nor
    reachable becomes `embedded`, and the reason says so. `reachable` tells whether the
    hub answers (`models.hub`); it is called only when there is a GPU or a profile was asked for, and without it only
    cached weights count. `machine` and `cached` default to what is found here. `commercial` excludes profiles whose
    licence forbids commercial use. Raises `BadInput` for an unknown profile, or one whose licence or missing package
    forbids its use.
    """
    machine = machine or detect_machine()
    is_available = cached or is_cached
    if wanted:
        row, reason = _find_profile(wanted, commercial), f"The set of models '{wanted}' was chosen by hand."
        reason += f" {machine.reason}" if machine.is_refused and row != EMBEDDED else ""
        rows = [choose_lighter_twins(row, machine)]
    else:
        rows, reason = _select_fitting(machine, commercial)
    if not rows or rows == [EMBEDDED]:
        short = not wanted and (machine.device != "cpu" or machine.is_refused)
        return replace(EMBEDDED, reason=_embedded_reason(wanted, machine, reason), is_fallback=short), machine.device
    for row in rows:
        if all(map(is_available, profile_models(row))):
            reason += " The models are on this machine."
            if row is not rows[0]:
                reason += f" The set '{rows[0].id}' would be better; Settings downloads it."
            return replace(row, reason=reason + _package_advice(row.id, machine)), machine.device
    if reachable is not None and reachable():
        reason += _download_summary(rows[0], is_available)
        return replace(rows[0], reason=reason + _package_advice(rows[0].id, machine)), machine.device
    return replace(EMBEDDED, reason=_unreachable_reason(rows[0]), is_fallback=True), machine.device


def list_offers(machine: Machine | None = None, *, commercial: bool = True) -> tuple[ProfileOffer, ...]:
    """List every profile that may be used, with the models that it would have on this machine."""
    machine = machine or detect_machine()
    rows = (_build_profile_offer(choose_lighter_twins(row, machine)) for row in PROFILES)
    return tuple(row for row in rows if row.commercial_ok or not commercial)


def read_saved_choice(data: Path) -> str:
    """Read the id of the profile that was chosen to start with; empty for the best that fits."""
    try:
        return (data / _CHOICE_FILE_NAME).read_text("utf-8").strip()
    except (OSError, ValueError):
        return ""


def save_choice(data: Path, profile_id: str) -> None:
    """Save the profile to use from the next start on; empty for the best that fits. Raises `BadInput`, `OSError`."""
    if profile_id:
        _find_profile(profile_id, commercial=False)
    part = data / f"{_CHOICE_FILE_NAME}.part"
    part.write_text(profile_id, "utf-8")
    os.replace(part, data / _CHOICE_FILE_NAME)


def profile_models(profile: Profile) -> tuple[ModelSpec, ...]:
    """List the specs of a profile, each once."""
    return tuple(get_spec(spec_id) for spec_id in dict.fromkeys(profile.specs.values()))


def profile_control_nets(profile: Profile) -> tuple[ModelSpec, ...]:
    """List the ControlNets of a profile, which come with the first request that follows a map."""
    row = get_spec(profile.specs["control"]) if "control" in profile.specs else None
    return (get_spec(row.control_net),) if row is not None and row.control_net else ()


def is_cached(row: ModelSpec) -> bool:
    """Tell whether every weight of a spec is on this machine."""
    if not row.repo:
        return True
    try:
        loader.ensure_checkpoint(row, offline=True)
    except ModelUnavailable:
        return False
    return True


def _find_profile(wanted: str, commercial: bool) -> Profile:
    allowed = [row for row in PROFILES if _allows_commercial_use(row) or not commercial]
    for row in allowed:
        if row.id == wanted:
            if missing := _missing_package_message(row):
                raise BadInput(missing, param="profile")
            return row
    if any(row.id == wanted for row in PROFILES):
        raise BadInput(f"The licence of the set of models '{wanted}' forbids commercial use.", param="profile")
    names = ", ".join(row.id for row in allowed)
    raise BadInput(f"There is no set of models '{wanted}'. There are: {names}.", param="profile")


def _select_fitting(machine: Machine, commercial: bool) -> tuple[list[Profile], str]:
    """List the profiles that fit, the best first, and the reason."""
    if machine.device == "cpu":
        return [], machine.reason
    rows = [
        choose_lighter_twins(row, machine)
        for row in _BEST_GPU_PROFILES
        if (_allows_commercial_use(row) or not commercial) and not _missing_package_message(row)
    ]
    used = machine.memory_bytes - machine.available_bytes
    is_notable = used >= max(_NOTABLE_USE_RATIO * machine.memory_bytes, _NOTABLE_USE_BYTES)
    others = f" Others take {used / 2**30:.0f} GB of it." if is_notable and not machine.is_unified else ""
    return [row for row in rows if _holds_profile(machine, row) and not _streams_all(row)], machine.reason + others


def select_cards(profile: Profile, cards: Sequence[Machine], count: int = 0) -> tuple[Machine, ...]:
    """Select the cards that hold every model of `profile`, at most `count` (0: all), else the one that it was made for.

    The profile is chosen for the card with most free memory; a smaller one beside it could not load its models.
    """
    ranked = sorted(cards, key=lambda card: -card.available_bytes)
    fitting = [card for card in ranked if _holds_profile(card, profile)] or ranked[:1]
    return tuple(sorted(fitting[: count or None], key=cards.index))


def _holds_profile(machine: Machine, profile: Profile) -> bool:
    return all(_needed_bytes(row, machine) <= machine.available_bytes for row in profile_models(profile))


def _streams_all(profile: Profile) -> bool:
    """Tell whether a model of a profile copies all its weights to the GPU in each step: slow, so only on request."""
    return any("transformer" in dict(row.options) for row in profile_models(profile))


def _needed_bytes(row: ModelSpec, machine: Machine) -> int:
    """Return the bytes that drawing with a model takes; memory that is shared with the host holds both parts."""
    return row.min_vram + (row.host_bytes if machine.is_unified else 0)


def choose_lighter_twins(profile: Profile, machine: Machine) -> Profile:
    """Replace the models of a profile by their lighter twins where they need more memory than `machine` has."""
    return replace(
        profile, specs={verb: _lighter_twin(get_spec(row), machine).id for verb, row in profile.specs.items()}
    )


def _lighter_twin(row: ModelSpec, machine: Machine, absent: Callable[[ModelSpec], str] | None = None) -> ModelSpec:
    """Return `row`, or the first of its lighter twins that fits and whose package is installed."""
    lighter = dict(row.options).get("lighter")
    if machine.device == "cpu":
        return get_spec(dict(row.options).get("on_cpu", row.id))
    fits = _needed_bytes(row, machine) <= machine.available_bytes and not (absent or _absent_package)(row)
    if lighter is None or fits:
        return row
    return _lighter_twin(get_spec(lighter), machine, absent)


def _package_advice(profile_id: str, machine: Machine) -> str:
    """Name the package that would keep more of this profile on the device; empty where none would."""
    base = next(row for row in PROFILES if row.id == profile_id)
    better = (_lighter_twin(get_spec(row), machine, lambda _: "") for row in base.specs.values())
    lacking = dict.fromkeys(_absent_package(row) for row in better if dict(row.options).get("text_encoder") == "int8")
    return "".join(
        f" With the package {name} (pip install {name}) more of it would stay on the graphics card."
        for name in lacking
        if name
    )


def _build_profile_offer(profile: Profile) -> ProfileOffer:
    rows = profile_models(profile)
    licences = tuple(dict.fromkeys(row.licence for row in rows))
    size = sum(download_bytes(row) for row in (*rows, *profile_control_nets(profile)))
    min_vram = max(row.min_vram for row in rows)
    missing = _missing_package_message(profile)
    return ProfileOffer(profile, size, min_vram, licences, _allows_commercial_use(profile), missing)


def download_bytes(row: ModelSpec) -> int:
    """Return the bytes that the hub sends for a model, including what stays in main memory."""
    return row.download_bytes or row.bytes + row.host_bytes if row.repo else 0


def _allows_commercial_use(profile: Profile) -> bool:
    return all(row.commercial_ok for row in profile_models(profile))


def _missing_package_message(profile: Profile) -> str:
    absent = next(filter(None, map(_absent_package, profile_models(profile))), "")
    return f"The set of models '{profile.id}' needs the package {absent}: pip install {absent}." if absent else ""


def _absent_package(row: ModelSpec) -> str:
    """Name the package that this model needs and that is not installed; empty where nothing is missing."""
    name = dict(row.options).get("package", "")
    return name if name and importlib.util.find_spec(name) is None else ""


def _download_summary(profile: Profile, is_available: Callable[[ModelSpec], bool]) -> str:
    """Say what comes from the hub and when: a job downloads the model that it draws with, and no other."""
    sentences = []
    for row in profile_models(profile):
        if not is_available(row):
            verb = next(verb for verb, spec_id in profile.specs.items() if spec_id == row.id)
            job = "the first job" if verb == "backdrop" else f"the first that needs '{verb}'"
            size = f"{download_bytes(row) / 1e9:.0f} GB ({row.licence})"
            sentences.append(f" With {job}, {size} are downloaded.")
    return "".join(sentences)


def _embedded_reason(wanted: str | None, machine: Machine, reason: str) -> str:
    if wanted or machine.is_refused:
        return reason
    if machine.device == "cpu":
        return f"{reason} What ships with the studio works; fields that need a larger model are grey."
    return f"{reason} That is less than the smallest model needs."


def _unreachable_reason(profile: Profile) -> str:
    names = " and ".join(row.repo for row in profile_models(profile) if row.repo)
    return (
        f"The set of models '{profile.id}' needs the files of {names}, which are not on this machine, "
        f"and {checkpoint.hub_url()} did not answer: what ships with the studio serves instead."
    )
