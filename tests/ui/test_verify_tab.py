"""The tab that verifies: each standing has its own sentence, and a stranger's words stay words."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest

from pipelines.codecs.encode import PixelOrigin, build_xmp, encode_image, source_type_uri
from pipelines.core.geometry import Image
from pipelines.ingest.decoder_pool import DecoderPool
from pipelines.provenance.c2pa import CredentialReport, CredentialStatus, Provenance, sign
from pipelines.provenance.signing_key import SigningKeyStore
from tests.support.examples import make_noise
from ui import verify_tab

XSS = "<img src=x onerror=alert(1)>"


class FakeService:
    """As much of the service as the tab uses."""

    def __init__(self, root: Path) -> None:
        self.ingest, self.seal = DecoderPool(workers=1), SigningKeyStore(root)
        self.uploads = self

    def decode_picture(self, data: bytes) -> Image:
        return self.ingest.decode_picture(data).image

    def verify_picture(self, data: bytes) -> CredentialReport:
        return self.ingest.verify_credentials(data, self.seal.load_key().root_certificate)


def test_every_standing_has_a_sentence_of_its_own() -> None:
    sentences = {verify_tab.render_report(CredentialReport(standing)) for standing in get_args(CredentialStatus)}
    assert len(sentences) == len(get_args(CredentialStatus))


@pytest.mark.parametrize(
    "found",
    [
        CredentialReport("valid", signer=XSS),
        CredentialReport("tampered", actions=(XSS,), parents=(XSS,), source_type=XSS),
        CredentialReport("none", receipt={XSS: [XSS, {"a": XSS}]}),
    ],
    ids=["signer", "history", "receipt"],
)
def test_whatever_a_file_says_is_text(found: CredentialReport) -> None:
    html = verify_tab.render_report(found)
    assert "&lt;img" in html
    assert "<img" not in html


def test_a_signed_file_is_known_and_its_upload_is_gone(tmp_path: Path) -> None:
    door: Any = FakeService(tmp_path / "seal")
    plain = encode_image(make_noise(40, 40), "png", build_xmp({"tool": XSS}, PixelOrigin(photographed=True)))
    made = Provenance(source_type_uri(PixelOrigin(photographed=True)))
    path = tmp_path / "upload.png"
    try:
        path.write_bytes(sign(plain, "image/png", made, door.seal.load_key()))
        _, html = verify_tab.verify_upload(door, str(path))
        assert 'data-standing="ours"' in html
        assert "no AI drew" in html
        assert "<img" not in html
        assert not path.exists()
        path.write_bytes(b"<svg onload=alert(1)>")
        assert "dbx-alert" in verify_tab.verify_upload(door, str(path))[1]
        assert not path.exists()
    finally:
        door.ingest.close()
