"""The box of content credentials inside a picture, byte by byte; knows the standard's layout, no key and no meaning.

C2PA signs what its box says, but not all that is written there: names of boxes, their lengths, and a thousand zeros
that keep a place for the signature are looked at by nobody. In a box of ours all of that is known beforehand, so a
change in it can be seen (ISO 19566-5 for the boxes, RFC 9052 for the signature).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from pipelines.codecs.file_signatures import PNG_HEAD

FORMATS = ("JPEG", "PNG", "WEBP")
_UUID_END = bytes.fromhex("00110010800000aa00389b71")
_STORE, _MANIFEST = b"c2pa", b"c2ma"
_PARTS = {b"c2as": b"c2pa.assertions", b"c2cl": b"c2pa.claim.v2", b"c2cs": b"c2pa.signature"}
_NAMED = 3
"""Toggles of a description: it may be asked for by its name, and has one."""
_COSE_SIGN1 = b"\xd2\x84"
_PAD = b"\xa1\x63pad"
"""CBOR: a map with one entry, whose name is pad."""


class Box(NamedTuple):
    """Type and content."""

    kind: bytes
    body: bytes


def store(data: bytes, format: str) -> bytes | None:
    """The manifest store of a picture in one of `FORMATS`; None where it has none, or not one, or ends early."""
    found = list({"JPEG": _of_jpeg, "PNG": _of_png, "WEBP": _of_webp}[format](data))
    return found[0] if len(found) == 1 else None


def as_written(store: bytes) -> bool:
    """Whether the newest manifest is laid out as this studio writes it, down to the bytes that nobody signs."""
    try:
        (outer,) = _boxes(store)
        _, manifests = _described(outer, _STORE, _STORE)
        return _manifest_as_written(manifests[-1])
    except (ValueError, IndexError):
        return False


def _manifest_as_written(manifest: Box) -> bool:
    _, parts = _described(manifest, _MANIFEST, None)
    inside = [_described(part, kind, label)[1] for part, (kind, label) in zip(parts, _PARTS.items(), strict=True)]
    (signature,) = inside[-1]
    return signature.kind == b"cbor" and _signature_as_written(signature.body)


def _signature_as_written(cose: bytes) -> bool:
    """A tagged array of four: signed header, unsigned header, nothing, signature. The second holds zeros alone."""
    if not cose.startswith(_COSE_SIGN1):
        return False
    _, at = _bytes_at(cose, len(_COSE_SIGN1))
    if not cose.startswith(_PAD, at):
        return False
    zeros, at = _bytes_at(cose, at + len(_PAD))
    if any(zeros) or cose[at : at + 1] != b"\xf6":
        return False
    return _bytes_at(cose, at + 1)[1] == len(cose)


def _bytes_at(data: bytes, at: int) -> tuple[bytes, int]:
    """The CBOR byte string that begins at `at`, and where it ends. Raises `ValueError` for anything else."""
    head = data[at]
    width = {0x58: 1, 0x59: 2}.get(head)
    if width is None and not 0x40 <= head <= 0x57:
        raise ValueError("no byte string")
    length = head - 0x40 if width is None else int.from_bytes(data[at + 1 : at + 1 + width], "big")
    start = at + 1 + (width or 0)
    if start + length > len(data):
        raise ValueError("cut off")
    return data[start : start + length], start + length


# ---------------------------------------------------------------- JUMBF


def _described(box: Box, kind: bytes, label: bytes | None) -> tuple[bytes, list[Box]]:
    """The label of a superbox of this kind, and what is in it. Raises `ValueError` where it is another."""
    inside = list(_boxes(box.body)) if box.kind == b"jumb" else []
    if not inside or inside[0].kind != b"jumd":
        raise ValueError("no superbox")
    about = inside[0].body
    name, ended, _ = about[17:].partition(b"\0")
    if about[:16] != kind + _UUID_END or about[16] & _NAMED != _NAMED or not ended:
        raise ValueError("another kind")
    if label is not None and (name != label or len(about) != 18 + len(name)):
        raise ValueError("another name")
    return name, inside[1:]


def _boxes(data: bytes) -> Iterator[Box]:
    """Boxes that fill `data` without a gap. Raises `ValueError`."""
    at = 0
    while at < len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        if length < 8 or at + length > len(data):
            raise ValueError("a box that does not fit")
        yield Box(data[at + 4 : at + 8], data[at + 8 : at + length])
        at += length


# ---------------------------------------------------------------- pictures


def _of_png(data: bytes) -> Iterator[bytes]:
    at = len(PNG_HEAD)
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        if data[at + 4 : at + 8] == b"caBX":
            yield data[at + 8 : at + 8 + length]
        at += 12 + length


def _of_webp(data: bytes) -> Iterator[bytes]:
    at = 12
    if int.from_bytes(data[4:8], "little") + 8 != len(data):
        return
    while at + 8 <= len(data):
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        if data[at : at + 4] == b"C2PA":
            yield data[at + 8 : at + 8 + length]
        at += 8 + length + length % 2


def _of_jpeg(data: bytes) -> Iterator[bytes]:
    """Pieces of at most 64 kB, each an APP11 segment with a number; all but the first repeat the box's head."""
    at, whole, number = 2, b"", 0
    while data[at : at + 1] == b"\xff" and at + 4 <= len(data) and data[at + 1] not in (0xDA, 0xD9):
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        piece = data[at + 4 : at + 2 + length]
        if data[at + 1] == 0xEB and piece[:2] == b"JP":
            number += 1
            if int.from_bytes(piece[4:8], "big") != number:
                return
            whole += piece[8:] if number == 1 else piece[16:]
        at += 2 + length
    if whole:
        yield whole
