"""Allowed hub repositories, and the pinned commit of each.

A name like "main" may mean other weights tomorrow, and a repository may change hands. So each repository is pinned to
a commit, and no other repository is ever requested, whatever a setting or a job says.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from pipelines.core.errors import ModelUnavailable

FIRST_SEEN: Final = ""  # instead of a commit that is not known: a machine stays with the commit that it fetched first

PINS: Mapping[str, str] = {
    "black-forest-labs/FLUX.2-klein-4B": "e7b7dc27f91deacad38e78976d1f2b499d76a294",
    "Disty0/FLUX.2-klein-4B-SDNQ-4bit-dynamic": "45e9cc76cb70f84473ce5c6c2e2282d0ef3c6ecd",
    "Tongyi-MAI/Z-Image-Turbo": "f332072aa78be7aecdf3ee76d5c247082da564a6",
    "alibaba-pai/Z-Image-Turbo-Fun-Controlnet-Union": FIRST_SEEN,
    "alibaba-pai/Z-Image-Turbo-Fun-Controlnet-Union-2.1": "5155fc56d17821007d6f62ac192c09e0f0e72016",
    "FireRedTeam/FireRed-Image-Edit-1.1": FIRST_SEEN,
    "meituan-longcat/LongCat-Image-Edit-Turbo": "6a7262de5549f0bf0ec54c08ef7d283ef41f3214",
    "Qwen/Qwen-Image-Edit-2511": "6f3ccc0b56e431dc6a0c2b2039706d7d26f22cb9",
    "Qwen/Qwen-Image-2.1": "d26bb61231c349cf6b7896fa83353113880e1ba3",
    "lightx2v/Qwen-Image-Edit-2511-Lightning": "d74eba145674fd7e31b949324e148e21e7118abd",
    "Wan-AI/Wan2.2-TI2V-5B-Diffusers": "b8fff7315c768468a5333511427288870b2e9635",
    "jdopensource/JoyAI-Image-Edit-Diffusers": FIRST_SEEN,
    "fashn-ai/fashn-vton-1.5": "7720683168567eb5a2a4c67f15116c6e29c83ded",
    "krea/Krea-2-Turbo": "98e0fe118d17c9e3547fbb2e25acdbae2cadf7c7",
    "stable-diffusion-v1-5/stable-diffusion-v1-5": "451f4fe16113bff5a5d2269ed5ad43b0592e9a14",
    "latent-consistency/lcm-lora-sdv1-5": "cf2fced511dbe7e26c8d1d397e728fbab875db4b",
    "stabilityai/stable-diffusion-xl-base-1.0": "462165984030d82259a11f4367a4eed129e94a7b",
    "stabilityai/sdxl-turbo": "71153311d3dbb46851df1931d3ca6e939de83304",
    "ByteDance/SDXL-Lightning": "c9a24f48e1c025556787b0c58dd67a091ece2e44",
    "xinsir/controlnet-union-sdxl-1.0": "801a4a3fa3d4c936f4feea95b98607bc6726f80c",
    "madebyollin/taesd": "614f76814bbe30edbe2e627ace1c2234c81a2c0e",
    "madebyollin/taesdxl": "b20258aaef75ef61e659c1e0f14f251cf0ad153e",
    "depth-anything/Depth-Anything-V2-Small-hf": "5426e4f0f36572d16453bbda7a8389317b1bef99",
    "usyd-community/vitpose-base-simple": "a93ac0c67e0b7e2c55287d21d4c460c8f3c54d45",
    "madebyollin/taef1": "b1b2d00e9e440cfbf3dedb34266864da86016ceb",
    "onnx-community/BiRefNet-ONNX": "534d3c82d3bb8b2f0867db6dfbc3a525b8e42f67",
    "onnx-community/BiRefNet_lite-ONNX": "de15b22ba131738a16dff04aab8bdf8dc32e3ac1",
    "onnx-community/BiRefNet-portrait-ONNX": "dd7167f6a8b54ff7efc29a4c988938d79866464f",
    "yzd-v/DWPose": "1a7144101628d69ee7a3768d1ee3a094070dc388",
    "hustvl/vitmatte-small-composition-1k": "6a58ad7646403c1df626fbd746900aec7361ea1d",
    "facebook/sam2.1-hiera-tiny": "de431c4043854a71d8101e17995dfe596bf101a5",
    "Carve/LaMa-ONNX": "c3c0c9e468934d62e79c329e35d82dd09ff8c444",
    "andraniksargsyan/migan": "406830d0fa60666da0071c342ad2fbc8f30c5c64",
}
"""Commits as other projects pin them, each found in at least two that do not copy from one another."""

FILE_SHA256: Mapping[tuple[str, str], str] = {
    ("alibaba-pai/Z-Image-Turbo-Fun-Controlnet-Union", "Z-Image-Turbo-Fun-Controlnet-Union.safetensors"): (
        "86c085c0d7853f12ce5183499934b54d08371c60f549c5a6b20615cd23989388"
    ),
    ("onnx-community/BiRefNet-ONNX", "onnx/model.onnx"): (
        "58f621f00f5d756097615970a88a791584600dcf7c45b18a0a6267535a1ebd3c"
    ),
    ("onnx-community/BiRefNet_lite-ONNX", "onnx/model.onnx"): (
        "5600024376f572a557870a5eb0afb1e5961636bef4e1e22132025467d0f03333"
    ),
    ("onnx-community/BiRefNet-portrait-ONNX", "onnx/model.onnx"): (
        "1ba1c8ff5a7bbfadc8d8d13fb11d7be793f91f23d9d466549e37a854f6668f99"
    ),
    ("Carve/LaMa-ONNX", "lama_fp32.onnx"): "1faef5301d78db7dda502fe59966957ec4b79dd64e16f03ed96913c7a4eb68d6",
    ("yzd-v/DWPose", "dw-ll_ucoco_384.onnx"): "724f4ff2439ed61afb86fb8a1951ec39c6220682803b4a8bd4f598cd913b1843",
    ("andraniksargsyan/migan", "migan_pipeline_v2.onnx"): (
        "6f1f3530a1a2324b19752018ce756088b07973cda8d7d890034ace5c8a48c40b"
    ),
}
"""Digests of weights in a repository whose commit is not known, and of ONNX files, which are checked whenever they are
loaded too. Each was found in two copies that do not name one another."""

FIRST_SEEN_FILE_NAME = "designerbox-first-seen"
COMMIT_PATTERN = re.compile(r"[0-9a-f]{40}", re.ASCII)


def pinned_commit(repo: str, revision: str = "") -> str:
    """Return the revision of `repo` to fetch: its commit, or "main" for the first fetch of a `FIRST_SEEN` one.

    `revision` is what the caller asks for: a name means the pinned commit. Raises `ModelUnavailable` for another commit
    or for a repository that is not listed.
    """
    if repo not in PINS:
        raise ModelUnavailable(f"Weights are not fetched from {repo}: it is not on the list of known repositories.")
    pin = PINS[repo] or _first_seen_commit(repo)
    if pin and COMMIT_PATTERN.fullmatch(revision) and revision != pin:
        raise ModelUnavailable(f"Of {repo} only the commit {pin[:8]} is fetched.")
    return pin or "main"


def _first_seen_commit(repo: str) -> str:
    """Return the commit first fetched here, noted in the hub's cache, whose own "main" may change; empty before."""
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    folder = Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=repo, repo_type="model")
    noted = folder / FIRST_SEEN_FILE_NAME
    if not (commit := _read_commit(noted)) and (commit := _read_commit(folder / "refs" / "main")):
        with suppress(OSError), noted.open("x") as file:  # of two processes that start at once, the first wins
            file.write(commit)
        commit = _read_commit(noted) or commit  # a read-only cache does not change either
    return commit


def _read_commit(path: Path) -> str:
    try:
        text = path.read_text("utf-8").strip()
    except OSError:
        return ""
    return text if COMMIT_PATTERN.fullmatch(text) else ""
