"""The tab that verifies: each standing has its own sentence, and a stranger's words stay words."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest

from pipelines.codecs.encode import Origin, encode, source_type, xmp
from pipelines.ingest.decoder_pool import Ingest
from pipelines.provenance.c2pa import Credentials, Made, Said, sign
from pipelines.provenance.signing_key import Seal
from tests.support.examples import noisy
from ui import verify_tab

XSS = "<img src=x onerror=alert(1)>"


class Door:
    """As much of a desk as the tab uses."""

    def __init__(self, root: Path) -> None:
        self.ingest, self.seal = Ingest(workers=1), Seal(root)

    def verify(self, data: bytes) -> Said:
        return self.ingest.said(data, self.seal.pair().root)


def test_every_standing_has_a_sentence_of_its_own() -> None:
    sentences = {verify_tab.said(Said(standing)) for standing in get_args(Credentials)}
    assert len(sentences) == len(get_args(Credentials))


@pytest.mark.parametrize(
    "found",
    [
        Said("valid", signer=XSS),
        Said("tampered", actions=(XSS,), parents=(XSS,), source=XSS),
        Said("none", receipt={XSS: [XSS, {"a": XSS}]}),
    ],
    ids=["signer", "history", "receipt"],
)
def test_whatever_a_file_says_is_text(found: Said) -> None:
    html = verify_tab.said(found)
    assert "&lt;img" in html
    assert "<img" not in html


def test_a_signed_file_is_known_and_its_upload_is_gone(tmp_path: Path) -> None:
    door: Any = Door(tmp_path / "seal")
    plain = encode(noisy(40, 40), "png", xmp({"tool": XSS}, Origin(photographed=True)))
    made = Made(source_type(Origin(photographed=True)))
    path = tmp_path / "upload.png"
    try:
        path.write_bytes(sign(plain, "image/png", made, door.seal.pair()))
        html = verify_tab.report(door, str(path))
        assert 'data-standing="ours"' in html
        assert "no generative model drew" in html
        assert "<img" not in html
        assert not path.exists()
        path.write_bytes(b"<svg onload=alert(1)>")
        assert "dbx-alert" in verify_tab.report(door, str(path))
        assert not path.exists()
    finally:
        door.ingest.close()
