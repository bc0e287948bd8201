"""Detect image formats by magic bytes and check JPEG and PNG structure without decoding."""

from __future__ import annotations

import re
import zlib

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
MAX_JPEG_SCAN_COUNT = 100
"""Scans of a JPEG. A normal one has about ten. A 58 kB file with 1,000 scans takes seconds to decode."""

_ACCEPTED_FORMATS = "JPEG, PNG, WebP, AVIF or HEIC"
_HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")
_REJECTED_SIGNATURES = (
    (b"GIF8", "a GIF"),
    (b"BM", "a BMP"),
    (b"II*\x00", "a TIFF or a camera's raw file"),
    (b"MM\x00*", "a TIFF or a camera's raw file"),
    (b"8BPS", "a Photoshop file"),
    (b"%PDF", "a PDF"),
    (b"%!PS", "PostScript"),
    (b"<", "SVG, HTML or other text"),
)
# Matches one 0xFF, not a run, because a run makes the search quadratic on a file of 0xFF bytes. 0x00 is stuffing
# inside a scan and 0xD0 to 0xD7 are restart markers: neither ends a scan.
_JPEG_MARKER = re.compile(rb"\xff([^\x00\xd0-\xd7\xff])", re.DOTALL)
_START_OF_SCAN, _END_OF_IMAGE, _MARKERS_WITHOUT_LENGTH = 0xDA, 0xD9, (0x01, 0xD8)


class RejectedImage(Exception):
    """The bytes are not an accepted picture. It is sent between processes, so it holds two strings only."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message


def corrupt_image(message: str) -> RejectedImage:
    """Return the error for a damaged file of a known format."""
    return RejectedImage("corrupt_image", message)


def detect_format(data: bytes) -> str:
    """Return Pillow's name of the format by magic bytes. Raises `RejectedImage` for all but the five formats."""
    if not data:
        raise corrupt_image("The file is empty.")
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if data.startswith(PNG_SIGNATURE):
        return "PNG"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data[4:8] == b"ftyp":
        return _detect_heif_format(data)
    raise _unsupported_image(data)


def _detect_heif_format(data: bytes) -> str:
    # The major brand of an AVIF may be mif1 or msf1, with avif only among the compatible brands.
    brands = data[8 : min(int.from_bytes(data[:4], "big"), 256)]
    names = [brands[offset : offset + 4] for offset in range(0, len(brands), 4)]
    if b"avif" in names or b"avis" in names:
        return "AVIF"
    if any(brand in names for brand in _HEIF_BRANDS):
        return "HEIF"
    raise _unsupported_image(data)


def _unsupported_image(data: bytes) -> RejectedImage:
    head = data.lstrip(b"\xef\xbb\xbf \t\r\n")[:8]
    format_name = next((name for magic, name in _REJECTED_SIGNATURES if head.startswith(magic)), None)
    subject = f"This file is {format_name}" if format_name else "This file is not a picture that can be read here"
    return RejectedImage("unsupported_image", f"{subject}. Save the picture as {_ACCEPTED_FORMATS}.")


def check_container(data: bytes, format: str) -> None:
    """Reject files on which decoders take too long, or whose damage they ignore. Raises `RejectedImage`."""
    if format == "JPEG" and count_jpeg_scans(data) > MAX_JPEG_SCAN_COUNT:
        raise corrupt_image(
            f"This JPEG has more than {MAX_JPEG_SCAN_COUNT} passes, which no camera writes. Save it again."
        )
    if format == "PNG":
        check_png_chunks(data)


def count_jpeg_scans(data: bytes) -> int:
    """Count the start-of-scan markers of a JPEG's first image, as libjpeg finds them. Stops at its end."""
    count, offset = 0, 2
    while match := _JPEG_MARKER.search(data, offset):
        marker, offset = match[1][0], match.end()
        if marker == _END_OF_IMAGE:
            break
        count += marker == _START_OF_SCAN
        if marker not in _MARKERS_WITHOUT_LENGTH:
            offset += max(2, int.from_bytes(data[offset : offset + 2], "big"))
    return count


def check_png_chunks(data: bytes) -> None:
    """Check length and CRC of every chunk up to IEND (Pillow skips the CRC of pixels). Raises `RejectedImage`."""
    offset, buffer = len(PNG_SIGNATURE), memoryview(data)
    while offset + 12 <= len(data):
        length = int.from_bytes(data[offset : offset + 4], "big")
        body, after = buffer[offset + 4 : offset + 8 + length], offset + 12 + length
        if after > len(data):
            break
        if zlib.crc32(body) != int.from_bytes(data[after - 4 : after], "big"):
            raise corrupt_image("This PNG is damaged: its content is not what was saved.")
        if body[:4] == b"IEND":
            return
        offset = after
    raise corrupt_image("This PNG ends too early. It may have been cut off while being copied.")
