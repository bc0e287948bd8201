"""One file of each kind as exiftool reads it, a program of others: profile, dpi, credentials, size."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.codecs.containers import encode_animation, encode_gif, encode_pdf, encode_video
from pipelines.codecs.encode import (
    C2PA_MIME_TYPES,
    FILE_EXTENSIONS,
    MIME_TYPES,
    STILL_FORMATS,
    PixelOrigin,
    build_xmp,
    encode_image,
    source_type_uri,
)
from pipelines.codecs.master_files import encode_master, has_sixteen_bits, master_format
from pipelines.provenance.c2pa import Provenance, sign
from pipelines.provenance.signing_key import SigningKeyStore
from tests.support.examples import make_noise

EXIFTOOL = shutil.which("exiftool")
pytestmark = pytest.mark.skipif(EXIFTOOL is None, reason="Debian's libimage-exiftool-perl is not here")
HEIGHT, WIDTH = 48, 64
ORIGIN = PixelOrigin(photographed=True)
RECEIPT = {"tool": "cutout", "seed": 7}
PROFILES = {"srgb": "sRGB built-in", "p3": "sP3"}
"""What the profiles call themselves."""
MASTERS: tuple[Any, ...] = ("png", "jpeg", "avif", "tiff", "png16", "tiff16")
DOTS_PER_METRE = 11811  # 300 dpi in a PNG


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, dict[str, Any]]:
    """What exiftool says of each file, by the file's stem."""
    folder, key = tmp_path_factory.mktemp("files"), SigningKeyStore(tmp_path_factory.mktemp("seal")).load_key()
    image = np.dstack([make_noise(HEIGHT, WIDTH), np.full((HEIGHT, WIDTH), 200, np.uint8)])
    frames, packet = tuple(make_noise(HEIGHT, WIDTH, seed=n) for n in range(3)), build_xmp(RECEIPT, ORIGIN)
    files: dict[str, tuple[str, bytes]] = {
        **{f"still-{kind}": (kind, encode_image(image, kind, packet)) for kind in STILL_FORMATS},
        "film-webp": ("webp", encode_animation(frames, 8)),
        "film-gif": ("gif", encode_gif(frames, 1)),
        "film-mp4": ("mp4", encode_video(frames, 8)),
        "pages": ("pdf", encode_pdf(frames, "Lookbook")),
        "print": ("pdf", encode_master(image, "cmyk", "srgb", packet, 95)),
    }
    for kind in MASTERS:
        pixels = image.astype(np.uint16) * 257 if has_sixteen_bits(kind) else image
        for space in ("srgb", "p3"):
            files[f"{kind}-{space}"] = (master_format(kind), encode_master(pixels, kind, space, packet, 95))
    provenance = Provenance(source_type_uri(ORIGIN))
    for name, (kind, data) in files.items():
        path = folder / f"{name}.{FILE_EXTENSIONS.get(kind, kind)}"
        path.write_bytes(sign(data, C2PA_MIME_TYPES[kind], provenance, key))
    command = [str(EXIFTOOL), "-json", "-G1", "-n", "-struct", "-all", "-validate", *map(str, sorted(folder.iterdir()))]
    rows = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return {Path(row["SourceFile"]).stem: {tag.split(":")[-1]: row[tag] for tag in reversed(row)} for row in rows}


def has_300_dpi(row: dict[str, Any]) -> bool:
    if "PixelsPerUnitX" in row:
        return row["PixelsPerUnitX"] == row["PixelsPerUnitY"] == DOTS_PER_METRE
    return row["XResolution"] == row["YResolution"] == 300


@pytest.mark.parametrize("name", [f"still-{kind}" for kind in STILL_FORMATS])
def test_a_picture_tells_another_program_profile_dpi_source_and_receipt(
    read: Mapping[str, dict[str, Any]], name: str
) -> None:
    row = read[name]
    assert row["MIMEType"] == MIME_TYPES[name.removeprefix("still-")]
    assert row["ImageSize"] == f"{WIDTH} {HEIGHT}"
    assert row["ProfileDescription"] == PROFILES["srgb"]
    assert has_300_dpi(row)
    assert row["JUMDLabel"] == "c2pa"
    assert row["DigitalSourceType"].endswith("/compositeCapture")
    assert json.loads(row["Receipt"]) == RECEIPT


@pytest.mark.parametrize("space", PROFILES)
@pytest.mark.parametrize("kind", MASTERS)
def test_a_master_file_tells_the_same_in_each_colour_space(
    read: Mapping[str, dict[str, Any]], kind: Any, space: str
) -> None:
    row = read[f"{kind}-{space}"]
    assert row["ProfileDescription"] == PROFILES[space]
    assert row["ImageSize"] == f"{WIDTH} {HEIGHT}"
    assert has_300_dpi(row)
    assert row["JUMDLabel"] == "c2pa"
    assert row["DigitalSourceType"].endswith("/compositeCapture")
    bits = str(row.get("BitDepth", row.get("BitsPerSample", 8))).split()
    assert set(bits) == {"16" if has_sixteen_bits(kind) else "8"}


@pytest.mark.parametrize("name", ["film-webp", "film-gif", "film-mp4", "pages", "print"])
def test_films_and_pages_carry_credentials(read: Mapping[str, dict[str, Any]], name: str) -> None:
    row = read[name]
    assert row["JUMDLabel"] == "c2pa"
    if name.startswith("film"):
        assert row["ImageSize"] == f"{WIDTH} {HEIGHT}"
    else:
        assert row["PageCount"] == (3 if name == "pages" else 1)
    assert (row.get("ProfileDescription") == PROFILES["srgb"]) == (name == "film-webp")


def test_it_finds_nothing_wrong_with_any_file(read: Mapping[str, dict[str, Any]]) -> None:
    warned = {name: row["Warning"] for name, row in read.items() if row["Validate"] != "0 0 0"}
    assert set(warned) == {f"{kind}-{space}" for kind in ("tiff", "tiff16") for space in PROFILES}
    assert set(warned.values()) == {"Invalid value for IFD0 tag 0x0103 Compression"}, "deflate is younger than TIFF 6.0"
