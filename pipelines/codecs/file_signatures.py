"""What a file's bytes claim to be, read without decoding them; knows neither Pillow nor the studio."""

from __future__ import annotations

import re
import zlib

PNG_HEAD = b"\x89PNG\r\n\x1a\n"
MAX_SCANS = 100
"""A progressive JPEG has about ten scans. 58 kB with 1,000 of them takes seconds and passes every pixel limit."""

_ACCEPTED = "JPEG, PNG, WebP, AVIF or HEIC"
_HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")
_OTHERS = (
    (b"GIF8", "a GIF"),
    (b"BM", "a BMP"),
    (b"II*\x00", "a TIFF or a camera's raw file"),
    (b"MM\x00*", "a TIFF or a camera's raw file"),
    (b"8BPS", "a Photoshop file"),
    (b"%PDF", "a PDF"),
    (b"%!PS", "PostScript"),
    (b"<", "SVG, HTML or other text"),
)
# One 0xFF, not a run: a run would make the search quadratic on a file of nothing else. 0x00 is stuffing inside a scan,
# 0xD0 to 0xD7 are restart marks; neither ends it.
_MARKER = re.compile(rb"\xff([^\x00\xd0-\xd7\xff])", re.DOTALL)
_START_OF_SCAN, _END_OF_IMAGE, _BARE = 0xDA, 0xD9, (0x01, 0xD8)


class Unfit(Exception):
    """The bytes are no picture that the studio takes. Crosses the process border, so it holds two strings only."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message


def corrupt(message: str) -> Unfit:
    """An `Unfit` for a file of a known format that is damaged."""
    return Unfit("corrupt_image", message)


def kind(data: bytes) -> str:
    """Pillow's name of the format, by magic bytes alone. Raises `Unfit` for all but the five formats."""
    if not data:
        raise corrupt("The file is empty.")
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if data.startswith(PNG_HEAD):
        return "PNG"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data[4:8] == b"ftyp":
        return _kind_of_box(data)
    raise _unsupported(data)


def _kind_of_box(data: bytes) -> str:
    # An AVIF may call itself mif1 or msf1 and name avif only among the compatible brands.
    brands = data[8 : min(int.from_bytes(data[:4], "big"), 256)]
    names = [brands[at : at + 4] for at in range(0, len(brands), 4)]
    if b"avif" in names or b"avis" in names:
        return "AVIF"
    if any(brand in names for brand in _HEIF_BRANDS):
        return "HEIF"
    raise _unsupported(data)


def _unsupported(data: bytes) -> Unfit:
    head = data.lstrip(b"\xef\xbb\xbf \t\r\n")[:8]
    named = next((name for magic, name in _OTHERS if head.startswith(magic)), None)
    what = f"This file is {named}" if named else "This file is not a picture that can be read here"
    return Unfit("unsupported_image", f"{what}. Save the picture as {_ACCEPTED}.")


def check(data: bytes, format: str) -> None:
    """Refuse, before any decoder sees them, what decoders take too long over or wave through. Raises `Unfit`."""
    if format == "JPEG" and scans(data) > MAX_SCANS:
        raise corrupt(f"This JPEG has more than {MAX_SCANS} scans, which no camera writes. Save it again.")
    if format == "PNG":
        check_png(data)


def scans(data: bytes) -> int:
    """Start-of-scan markers of a JPEG's first image, found as libjpeg finds them; what follows its end is not read."""
    count, at = 0, 2
    while found := _MARKER.search(data, at):
        marker, at = found[1][0], found.end()
        if marker == _END_OF_IMAGE:
            break
        count += marker == _START_OF_SCAN
        if marker not in _BARE:
            at += max(2, int.from_bytes(data[at : at + 2], "big"))
    return count


def check_png(data: bytes) -> None:
    """Every chunk up to IEND is whole and its checksum holds (Pillow skips that of pixels). Raises `Unfit`."""
    at, view = len(PNG_HEAD), memoryview(data)
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        body, after = view[at + 4 : at + 8 + length], at + 12 + length
        if after > len(data):
            break
        if zlib.crc32(body) != int.from_bytes(data[after - 4 : after], "big"):
            raise corrupt("This PNG is damaged: a checksum does not match.")
        if body[:4] == b"IEND":
            return
        at = after
    raise corrupt("This PNG ends too early. It may have been cut off while being copied.")
