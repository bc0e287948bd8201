"""Content credentials (C2PA): signs what is made, keeps what an upload says, reads what any file says; knows no job.

Nothing here goes to a network: no remote manifest, no revocation list, no time stamp is fetched. Files of strangers
are read in the door's worker process only (`parts/ingest.py`), so this module imports neither numpy nor the studio.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

from pipelines.codecs import file_signatures
from pipelines.provenance import jumbf

if TYPE_CHECKING:
    import c2pa

    from pipelines.provenance.signing_key import Pair

NAME = "DesignerBox"
PHOTO = "photo"
MARK = b"c2pa"
"""In the bytes of every file with credentials inside."""
MAX_PARENT = 4_000_000
"""Bytes of an upload's credentials that are kept; larger ones hold pictures."""
SPILLS = 32
"""MB from which the library works on a file in the folder for temporary files instead of in memory."""
_MIME = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp", "AVIF": "image/avif", "HEIF": "image/heic"}
_SOURCE = re.compile(rb"DigitalSourceType(?:>|=[\"'])[^<\"']{0,120}?/([A-Za-z]{1,60})[<\"']")
_KEPT = re.compile(rb'"archive::ingredient_id":"([a-z0-9-]{1,40})"')
_RECEIPT = re.compile(rb"<dbx:receipt>([^<]*)</dbx:receipt>")

Credentials = Literal["none", "ours", "valid", "tampered", "unreadable"]


# ---------------------------------------------------------------- what leaves


@dataclass(frozen=True)
class Ingredient:
    """A picture that went in: a name of its own among them, the SHA-256 of its pixels, and what `past` kept of it.

    The past of what was placed is another than that of the photo, since its relation is written in it.
    """

    name: str
    sha256: str
    past: bytes | None = None


@dataclass(frozen=True)
class Made:
    """`source` is the IPTC digital source type, a URI; `photo` is what was worked on, `placed` what went in beside.

    C2PA knows one parent, the photo; the others are components. The past of each is told on, as far as all of them
    together are no larger than `MAX_PARENT`.
    """

    source: str
    photo: Ingredient | None = None
    placed: tuple[Ingredient, ...] = ()


def sign(data: bytes, mime: str, made: Made, pair: Pair) -> bytes:
    """The file with a signed manifest inside, which must be the last change to it. Its pixels stay as they are."""
    out = io.BytesIO()
    sign_stream(io.BytesIO(data), out, mime, made, pair)
    return out.getvalue()


def sign_stream(data: BinaryIO, out: BinaryIO, mime: str, made: Made, pair: Pair) -> None:
    """The same from file to file; `out` can be read too. Memory stays bounded: see `SPILLS`."""
    import c2pa

    made = _bounded(made)
    builder = c2pa.Builder(json.dumps(_manifest(made)), context=_context())
    every = (*([made.photo] if made.photo else []), *made.placed)
    for kept in dict.fromkeys(each.past for each in every if each.past is not None):
        builder.add_ingredient_from_archive(io.BytesIO(kept))
    builder.sign(_signer(pair), mime, data, out)


def _bounded(made: Made) -> Made:
    """With no more pasts than a file should carry."""
    left, placed = MAX_PARENT - len((made.photo.past if made.photo else None) or b""), []
    for each in made.placed:
        left -= len(each.past or b"")
        placed.append(each if left >= 0 else replace(each, past=None))
    return replace(made, placed=tuple(placed))


@lru_cache(maxsize=1)
def _signer(pair: Pair) -> c2pa.Signer:
    import c2pa

    return c2pa.Signer.from_info(
        c2pa.C2paSignerInfo(pair.algorithm.encode(), pair.chain.encode(), pair.key.encode(), None)
    )


def _manifest(made: Made) -> dict[str, Any]:
    agent = {"name": NAME}
    actions: list[dict[str, Any]] = []
    if made.photo is None:
        actions.append({"action": "c2pa.created", "digitalSourceType": made.source, "softwareAgent": agent})
    else:
        actions.append({"action": "c2pa.opened", "parameters": {"ingredientIds": [PHOTO]}})
        actions.append({"action": "c2pa.edited", "digitalSourceType": made.source, "softwareAgent": agent})
    names = dict.fromkeys(each.name if each.past is None else _named(each.past) for each in made.placed)
    actions += [{"action": "c2pa.placed", "parameters": {"ingredientIds": [name]}} for name in names]
    return {
        "claim_generator_info": [agent],
        "ingredients": list(_plain(made)),
        "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": actions}}],
    }


def _plain(made: Made) -> Iterator[dict[str, str]]:
    """Ingredients that came without credentials of their own."""
    if made.photo is not None and made.photo.past is None:
        yield _row(PHOTO, "parentOf", made.photo.sha256)
    for each in made.placed:
        if each.past is None:
            yield _row(each.name, "componentOf", each.sha256)


def _row(name: str, relation: str, sha256: str) -> dict[str, str]:
    row = {"title": name, "label": name, "relationship": relation, "format": "image/png"}
    return {**row, "instance_id": f"sha256:{sha256}"}


def _named(past: bytes) -> str:
    """The name that `past` wrote into what it kept."""
    found = _KEPT.search(past)
    return found[1].decode() if found else PHOTO


# ---------------------------------------------------------------- what comes in


def past(data: bytes, placed: bool = False) -> bytes | None:
    """What an upload says of itself, for `Made.photo`, or for `Made.placed`; None where that cannot be read.

    Holds the manifests, not the picture.
    """
    import c2pa

    try:
        mime = _MIME[file_signatures.kind(data)]
        builder = c2pa.Builder("{}", context=_context())
        name = f"placed-{hashlib.sha256(data).hexdigest()[:16]}" if placed else PHOTO
        row = {"title": name, "label": name, "relationship": "componentOf" if placed else "parentOf"}
        builder.add_ingredient(json.dumps(row), mime, io.BytesIO(data))
        kept = io.BytesIO()
        builder.write_ingredient_archive(name, kept)
    except (c2pa.C2paError, file_signatures.Unfit):
        return None
    return kept.getvalue() if len(kept.getvalue()) <= MAX_PARENT else None


# ---------------------------------------------------------------- what any file says


@dataclass(frozen=True)
class Said:
    """What a file says about itself.

    `credentials`: none; ours (signed by this studio, unchanged); valid (unchanged, signed by somebody unknown here);
    tampered (changed since it was signed); unreadable. `actions` and `parents` are of the latest manifest. `source` is
    the last word of the IPTC digital source type of its XMP. `receipt` is ours, and only a claim unless signed. `mark`
    says whose invisible mark is in the pixels: ours, another studio's, or "" for none.
    """

    credentials: Credentials
    signer: str = ""
    actions: tuple[str, ...] = ()
    parents: tuple[str, ...] = ()
    source: str = ""
    receipt: dict[str, Any] | None = None
    mark: Literal["", "ours", "another"] = ""


def verify(data: bytes, anchor: str = "") -> Said | file_signatures.Unfit:
    """Read a picture's credentials, source type and receipt without decoding it. `anchor` is our root, as PEM."""
    try:
        mime = _MIME[file_signatures.kind(data)]
    except file_signatures.Unfit as refusal:
        return file_signatures.Unfit(refusal.code, refusal.message)
    rest = {"source": source_of(data), "receipt": _receipt(data)}
    if MARK not in data:
        return Said("none", **rest)
    return _read(data, mime, anchor, rest)


def source_of(data: bytes) -> str:
    """The last word of the IPTC digital source type in a file's XMP, or ""."""
    found = _SOURCE.search(data)
    return found[1].decode() if found else ""


def trained(past: bytes) -> bool:
    """Whether an upload's credentials name a generative model among what made it."""
    return b"rainedAlgorithmicMedia" in past


def _read(data: bytes, mime: str, anchor: str, rest: dict[str, Any]) -> Said:
    import c2pa

    try:
        reader = c2pa.Reader.try_create(mime, io.BytesIO(data), context=_context(anchor))
        if reader is None:
            return Said("none", **rest)
        with reader:
            state, store = reader.get_validation_state(), json.loads(reader.json())
    except c2pa.C2paError:
        return Said("unreadable", **rest)
    manifest = store.get("manifests", {}).get(store.get("active_manifest"))
    if manifest is None:
        return Said("unreadable", **rest)
    standing: Credentials = "valid" if state in ("Valid", "Trusted") else "tampered"
    if anchor and state == "Trusted":
        standing = "ours" if _untouched(data) else "tampered"
    signature = manifest.get("signature_info") or {}
    return Said(
        standing,
        signer=str(signature.get("common_name") or signature.get("issuer") or ""),
        actions=tuple(str(action.get("action", "")) for action in _actions(manifest)),
        parents=tuple(str(row.get("title", "")) for row in manifest.get("ingredients", ())),
        **rest,
    )


def _untouched(data: bytes) -> bool:
    """Whether a file of ours is as it was written also where the signature does not look."""
    format = file_signatures.kind(data)
    try:
        file_signatures.check(data, format)
    except file_signatures.Unfit:
        return False
    store = jumbf.store(data, format) if format in jumbf.FORMATS else None
    return store is not None and jumbf.as_written(store)


def _actions(manifest: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for row in manifest.get("assertions", ()):
        if str(row.get("label", "")).startswith("c2pa.actions"):
            yield from row.get("data", {}).get("actions", ())


def _receipt(data: bytes) -> dict[str, Any] | None:
    found = _RECEIPT.search(data)
    if found is None:
        return None
    text = found[1].replace(b"&lt;", b"<").replace(b"&gt;", b">").replace(b"&amp;", b"&")
    try:
        receipt = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return receipt if isinstance(receipt, dict) else None


@lru_cache(maxsize=2)
def _context(anchor: str = "") -> c2pa.Context:
    """Settings of the library: no thumbnails (they cost more than the signature), nothing from a network.

    Nor is what was just signed read again, which costs more than the signature too: the library's own test of its work.
    """
    import c2pa

    settings: dict[str, Any] = {
        "core": {"backing_store_memory_threshold_in_mb": SPILLS},
        "builder": {"thumbnail": {"enabled": False}},
        "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False, "verify_after_sign": False},
    }
    if anchor:
        settings["trust"] = {"trust_anchors": anchor}
    return c2pa.Context.from_dict(settings)
