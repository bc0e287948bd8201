"""Parse the JUMBF and CBOR bytes of C2PA credentials and check the parts that no signature covers.

C2PA does not sign the labels and lengths of its boxes, nor the zero padding that reserves space for the signature. In
our own files all of these are known, so that a change can be detected (boxes: ISO 19566-5, signature: RFC 9052).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from pipelines.codecs.file_signatures import PNG_SIGNATURE

_UUID_SUFFIX = bytes.fromhex("00110010800000aa00389b71")
_STORE_TYPE, _MANIFEST_TYPE = b"c2pa", b"c2ma"
_MANIFEST_BOXES = {b"c2as": b"c2pa.assertions", b"c2cl": b"c2pa.claim.v2", b"c2cs": b"c2pa.signature"}
_LABEL_TOGGLES = 3  # toggle bits of a description box: requestable, and has a label
_COSE_SIGN1 = b"\xd2\x84"
_CBOR_PAD_KEY = b"\xa1\x63pad"  # CBOR bytes that begin a map with the one key "pad"
# C2PA signs neither this box of an AVIF nor what stands before the store in its own one.
_AVIF_FILE_TYPE = b"avif\0\0\0\0avifmif1miafMA1A"
_AVIF_STORE_HEAD = bytes.fromhex("d8fec3d61b0e483c92975828877ec481") + bytes(4) + b"manifest\0" + bytes(8)
_AVIF_BOXES = (b"ftyp", b"uuid", b"meta", b"mdat")


class Box(NamedTuple):
    """A JUMBF box: type and content."""

    kind: bytes
    body: bytes


def read_manifest_store(data: bytes, format: str) -> bytes | None:
    """Return the manifest store of a picture, None unless there is exactly one. HEIF, never written here, has none."""
    readers = {
        "JPEG": _read_jpeg_stores, "PNG": _read_png_stores, "WEBP": _read_webp_stores, "AVIF": _read_avif_stores,
    }  # fmt: skip
    stores = list(readers[format](data)) if format in readers else []
    return stores[0] if len(stores) == 1 else None


def has_written_layout(store: bytes) -> bool:
    """Return whether the newest manifest has the layout that this studio writes, including the unsigned bytes."""
    try:
        (outer,) = _iterate_jumbf_boxes(store)
        parts = _open_superbox(_open_superbox(outer, _STORE_TYPE, _STORE_TYPE)[-1], _MANIFEST_TYPE, None)
        known = _MANIFEST_BOXES.items()
        content = [_open_superbox(part, kind, label) for part, (kind, label) in zip(parts, known, strict=True)]
        (signature,) = content[-1]
        return signature.kind == b"cbor" and _signature_has_written_layout(signature.body)
    except (ValueError, IndexError):
        return False


def _signature_has_written_layout(cose: bytes) -> bool:
    """Check the COSE_Sign1 array: signed header, unsigned header with zero padding only, null, signature."""
    if not cose.startswith(_COSE_SIGN1):
        return False
    _, offset = _read_cbor_bytes(cose, len(_COSE_SIGN1))
    if not cose.startswith(_CBOR_PAD_KEY, offset):
        return False
    zeros, offset = _read_cbor_bytes(cose, offset + len(_CBOR_PAD_KEY))
    if any(zeros) or cose[offset : offset + 1] != b"\xf6":
        return False
    return _read_cbor_bytes(cose, offset + 1)[1] == len(cose)


def _read_cbor_bytes(data: bytes, offset: int) -> tuple[bytes, int]:
    """Return the CBOR byte string at `offset` and its end. Raises `ValueError` for anything else."""
    head = data[offset]
    width = {0x58: 1, 0x59: 2}.get(head)
    if width is None and not 0x40 <= head <= 0x57:
        raise ValueError("no byte string")
    length = head - 0x40 if width is None else int.from_bytes(data[offset + 1 : offset + 1 + width], "big")
    start = offset + 1 + (width or 0)
    if start + length > len(data):
        raise ValueError("cut off")
    return data[start : start + length], start + length


def _open_superbox(box: Box, kind: bytes, label: bytes | None) -> list[Box]:
    """Return the content boxes of a superbox. Raises `ValueError` unless its type and label match."""
    content = list(_iterate_jumbf_boxes(box.body)) if box.kind == b"jumb" else []
    if not content or content[0].kind != b"jumd":
        raise ValueError("no superbox")
    description = content[0].body
    name, terminator, _ = description[17:].partition(b"\0")
    if description[:16] != kind + _UUID_SUFFIX or description[16] & _LABEL_TOGGLES != _LABEL_TOGGLES or not terminator:
        raise ValueError("another kind")
    if label is not None and (name != label or len(description) != 18 + len(name)):
        raise ValueError("another name")
    return content[1:]


def _iterate_jumbf_boxes(data: bytes) -> Iterator[Box]:
    """Yield the boxes in `data`. Raises `ValueError` unless they fill it without a gap."""
    offset = 0
    while offset < len(data):
        length = int.from_bytes(data[offset : offset + 4], "big")
        if length < 8 or offset + length > len(data):
            raise ValueError("a box that does not fit")
        yield Box(data[offset + 4 : offset + 8], data[offset + 8 : offset + length])
        offset += length


def _read_png_stores(data: bytes) -> Iterator[bytes]:
    offset = len(PNG_SIGNATURE)
    while offset + 12 <= len(data):
        length = int.from_bytes(data[offset : offset + 4], "big")
        if data[offset + 4 : offset + 8] == b"caBX":
            yield data[offset + 8 : offset + 8 + length]
        offset += 12 + length


def _read_webp_stores(data: bytes) -> Iterator[bytes]:
    offset = 12
    if int.from_bytes(data[4:8], "little") + 8 != len(data):
        return
    while offset + 8 <= len(data):
        length = int.from_bytes(data[offset + 4 : offset + 8], "little")
        if data[offset : offset + 4] == b"C2PA":
            yield data[offset + 8 : offset + 8 + length]
        offset += 8 + length + length % 2


def _read_avif_stores(data: bytes) -> Iterator[bytes]:
    """Yield the store of a file with exactly the boxes that are written here: C2PA lets others in unsigned."""
    try:
        boxes = list(_iterate_jumbf_boxes(data))
    except ValueError:
        return
    if tuple(box.kind for box in boxes) == _AVIF_BOXES:
        file_type, store = boxes[0].body, boxes[1].body
        if file_type == _AVIF_FILE_TYPE and store.startswith(_AVIF_STORE_HEAD):
            yield store[len(_AVIF_STORE_HEAD) :]


def _read_jpeg_stores(data: bytes) -> Iterator[bytes]:
    """Join the APP11 segments. They are numbered, and all but the first repeat the header of the box."""
    offset, box, number = 2, b"", 0
    while data[offset : offset + 1] == b"\xff" and offset + 4 <= len(data) and data[offset + 1] not in (0xDA, 0xD9):
        length = int.from_bytes(data[offset + 2 : offset + 4], "big")
        segment = data[offset + 4 : offset + 2 + length]
        if data[offset + 1] == 0xEB and segment[:2] == b"JP":
            number += 1
            if int.from_bytes(segment[4:8], "big") != number:
                return
            box += segment[8:] if number == 1 else segment[16:]
        offset += 2 + length
    if box:
        yield box
