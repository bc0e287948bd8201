"""What all tests of models share: what earlier files left is out of collections, and colour factors are fitted once."""

from __future__ import annotations

import gc
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.models import latent_preview
from pipelines.models.diffusion.loader import CheckpointFamily
from pipelines.models.latent_preview import ColourFactors, make_pink_noise


@pytest.fixture(scope="module", autouse=True)
def _freeze_earlier_files() -> None:
    """Whoever puts a model away collects garbage: 0.2 s each time among all that other files loaded and compiled."""
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _remember_factors() -> Iterator[None]:
    """A fit takes half of the time in which a tiny checkpoint is loaded, and they have few autoencoders among them.

    It is made on an eighth of the pixels: `test_latent_preview` fits as the product does.
    """
    fit, known = CheckpointFamily._preview_factors, dict[str, ColourFactors]()

    def fit_once(family: CheckpointFamily, folder: Path, pipe: Any) -> ColourFactors:
        key = describe_weights(pipe.vae)
        if key not in known:
            with pytest.MonkeyPatch.context() as smaller:
                smaller.setattr(latent_preview, "make_pink_noise", lambda *_: make_pink_noise(4, 64))
                known[key] = fit(family, folder, pipe)
        return known[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CheckpointFamily, "_preview_factors", fit_once)
        yield


def describe_weights(net: Any) -> str:
    """Return a digest of the class, the settings and all numbers of a net."""
    import torch

    digest = hashlib.blake2b(f"{type(net)} {dict(net.config)}".encode())
    for name, row in net.state_dict().items():
        digest.update(f"{name} {row.dtype} {tuple(row.shape)}".encode())
        digest.update(row.detach().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
