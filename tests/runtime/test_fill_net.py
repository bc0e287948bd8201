"""A net that fills what was erased, from the hub: taken by itself, named in the receipt, marked in the file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pipelines.core.errors import ModelUnavailable
from pipelines.models.families.hub_nets import LAMA
from pipelines.models.nets import matting_choice
from pipelines.tools.retouch import CONTINUED_NOTICE, NET_NOTICE
from tests.models.support import tiny_fill_nets
from tests.provenance.conftest import SignedStudio
from tests.support.examples import make_blob, make_noise


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[SignedStudio]:
    with SignedStudio(tmp_path / "studio", owner="ann") as made:
        yield made


def test_retouch_takes_it_by_itself_and_receipt_and_file_say_so(
    studio: SignedStudio, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    busy = np.kron(make_noise(30, 40, 128, 50), np.ones((10, 10, 1), np.uint8))
    files = studio.service.files
    photo = files.add_image(busy, "ann", "upload")
    blob = (make_blob(300, 400, (200, 150), (60, 60)) * 255).astype(np.uint8)
    mask = files.add_image(np.repeat(blob[..., None], 3, axis=2), "ann", "upload")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(matting_choice, "total_host_bytes", lambda: 10**12)
    without = studio.make("retouch", photo=photo, mask=mask)
    assert CONTINUED_NOTICE in without.receipt["notices"]
    path = tiny_fill_nets.put_into_cache(LAMA, tmp_path, monkeypatch)
    assert "fill" not in studio.create_job("cutout", photo=photo).specs
    made = studio.make("retouch", photo=photo, mask=mask)
    assert {"id": LAMA.id, "revision": LAMA.revision, "licence": "Apache-2.0"} in made.receipt["models"]
    assert NET_NOTICE in made.receipt["notices"]
    sources = []
    for result in (without, made):
        sources.append(studio.service.uploads.verify_picture(studio.read_files(result)[0]).source_type)
    assert sources == ["compositeCapture", "compositeWithTrainedAlgorithmicMedia"]
    studio.cache.unload_model(LAMA.id)
    path.write_bytes(b"broken")
    with pytest.raises(ModelUnavailable, match="delete it"):
        studio.make("retouch", photo=photo, mask=mask)
