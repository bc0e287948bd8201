"""Sign and verify content credentials (C2PA), and archive those of uploads.

Nothing here uses the network: no remote manifests, revocation lists or time stamps. Files of strangers are read in a
worker process only (`ingest.decoder_pool`), so this module imports little.
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

    from pipelines.provenance.signing_key import SigningKey

GENERATOR_NAME = "DesignerBox"
PHOTO_INGREDIENT = "photo"
C2PA_MARKER = b"c2pa"  # bytes that every file with embedded credentials contains
MAX_PARENT_BYTES = 4_000_000  # Bytes of an upload's credentials that are kept. Larger ones contain pictures.
MEMORY_THRESHOLD_MB = 32  # size in MB from which the C2PA library uses a temporary file instead of memory
_MIME_TYPES = {
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "WEBP": "image/webp",
    "AVIF": "image/avif",
    "HEIF": "image/heic",
}
_SOURCE_TYPE_PATTERN = re.compile(rb"DigitalSourceType(?:>|=[\"'])[^<\"']{0,120}?/([A-Za-z]{1,60})[<\"']")
_INGREDIENT_ID_PATTERN = re.compile(rb'"archive::ingredient_id":"([a-z0-9-]{1,40})"')
_RECEIPT_PATTERN = re.compile(rb"<dbx:receipt>([^<]*)</dbx:receipt>")

CredentialStatus = Literal["none", "ours", "valid", "tampered", "unreadable"]


@dataclass(frozen=True)
class Ingredient:
    """An input picture: a unique name, the SHA-256 of its pixels, and its ingredient archive if it has credentials.

    The archive contains the relation to the result, so that the photo and placed pictures need different archives.
    """

    name: str
    sha256: str
    archive: bytes | None = None


@dataclass(frozen=True)
class Provenance:
    """What a file is made of: IPTC digital source type URI, the edited photo, and other pictures placed in it.

    C2PA allows one parent, the photo. The others are components. Their archives are embedded as long as all together
    are at most `MAX_PARENT_BYTES`.
    """

    source_type: str
    photo: Ingredient | None = None
    placed: tuple[Ingredient, ...] = ()


def sign(data: bytes, mime: str, provenance: Provenance, key: SigningKey) -> bytes:
    """Return the file with an embedded signed manifest. This must be the last change to it. Pixels do not change."""
    out = io.BytesIO()
    sign_stream(io.BytesIO(data), out, mime, provenance, key)
    return out.getvalue()


def sign_stream(data: BinaryIO, out: BinaryIO, mime: str, provenance: Provenance, key: SigningKey) -> None:
    """Sign from file to file with bounded memory (`MEMORY_THRESHOLD_MB`). `out` must be readable, too."""
    import c2pa

    provenance = _drop_archives_over_limit(provenance)
    builder = c2pa.Builder(json.dumps(_build_manifest(provenance)), context=_make_context())
    ingredients = (*([provenance.photo] if provenance.photo else []), *provenance.placed)
    for archive in dict.fromkeys(ingredient.archive for ingredient in ingredients if ingredient.archive is not None):
        builder.add_ingredient_from_archive(io.BytesIO(archive))
    builder.sign(_make_signer(key), mime, data, out)


def _drop_archives_over_limit(provenance: Provenance) -> Provenance:
    """Drop the archives of placed pictures beyond `MAX_PARENT_BYTES`."""
    bytes_left, placed = MAX_PARENT_BYTES - len((provenance.photo.archive if provenance.photo else None) or b""), []
    for ingredient in provenance.placed:
        bytes_left -= len(ingredient.archive or b"")
        placed.append(ingredient if bytes_left >= 0 else replace(ingredient, archive=None))
    return replace(provenance, placed=tuple(placed))


@lru_cache(maxsize=1)
def _make_signer(key: SigningKey) -> c2pa.Signer:
    import c2pa

    return c2pa.Signer.from_info(
        c2pa.C2paSignerInfo(key.algorithm.encode(), key.chain.encode(), key.key.encode(), None)
    )


def _build_manifest(provenance: Provenance) -> dict[str, Any]:
    """Return the manifest definition: actions, and the ingredients without an archive."""
    agent = {"name": GENERATOR_NAME}
    actions: list[dict[str, Any]] = []
    if provenance.photo is not None:
        actions.append({"action": "c2pa.opened", "parameters": {"ingredientIds": [PHOTO_INGREDIENT]}})
    action = "c2pa.edited" if actions else "c2pa.created"
    actions.append({"action": action, "digitalSourceType": provenance.source_type, "softwareAgent": agent})
    names = dict.fromkeys(_ingredient_id(ingredient) for ingredient in provenance.placed)
    actions += [{"action": "c2pa.placed", "parameters": {"ingredientIds": [name]}} for name in names]
    return {
        "claim_generator_info": [agent],
        "ingredients": list(_unsigned_ingredients(provenance)),
        "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": actions}}],
    }


def _unsigned_ingredients(provenance: Provenance) -> Iterator[dict[str, str]]:
    """Yield the ingredients that have no credentials of their own."""
    rows = [(PHOTO_INGREDIENT, "parentOf", provenance.photo)] if provenance.photo else []
    rows += [(ingredient.name, "componentOf", ingredient) for ingredient in provenance.placed]
    for name, relation, ingredient in rows:
        if ingredient.archive is None:
            entry = {"title": name, "label": name, "relationship": relation, "format": "image/png"}
            yield {**entry, "instance_id": f"sha256:{ingredient.sha256}"}


def _ingredient_id(ingredient: Ingredient) -> str:
    """Return the ingredient's name, or the id that `read_ingredient_archive` wrote into its archive."""
    if ingredient.archive is None:
        return ingredient.name
    found = _INGREDIENT_ID_PATTERN.search(ingredient.archive)
    return found[1].decode() if found else PHOTO_INGREDIENT


def read_ingredient_archive(data: bytes, placed: bool = False) -> bytes | None:
    """Return the upload's manifests as an archive (component if `placed`, else parent); None if unreadable or large."""
    import c2pa

    try:
        mime = _MIME_TYPES[file_signatures.detect_format(data)]
        builder = c2pa.Builder("{}", context=_make_context())
        name = f"placed-{hashlib.sha256(data).hexdigest()[:16]}" if placed else PHOTO_INGREDIENT
        entry = {"title": name, "label": name, "relationship": "componentOf" if placed else "parentOf"}
        builder.add_ingredient(json.dumps(entry), mime, io.BytesIO(data))
        archive = io.BytesIO()
        builder.write_ingredient_archive(name, archive)
    except (c2pa.C2paError, file_signatures.RejectedImage):
        return None
    return archive.getvalue() if len(archive.getvalue()) <= MAX_PARENT_BYTES else None


@dataclass(frozen=True)
class CredentialReport:
    """What a file says about itself.

    `status`: none; ours (signed by this studio, unchanged); valid (unchanged, signed by somebody else); tampered
    (changed after signing); unreadable. `actions` and `parents` come from the latest manifest. `source_type` is the
    last word of the IPTC digital source type in the XMP. `receipt` is only a claim unless `status` is ours.
    `watermark` says whose watermark is in the pixels: ours, another studio's, or "" for none.
    """

    status: CredentialStatus
    signer: str = ""
    actions: tuple[str, ...] = ()
    parents: tuple[str, ...] = ()
    source_type: str = ""
    receipt: dict[str, Any] | None = None
    watermark: Literal["", "ours", "another"] = ""


def verify_credentials(data: bytes, anchor: str = "") -> CredentialReport | file_signatures.RejectedImage:
    """Read credentials, source type and receipt of a file without decoding it. `anchor` is our root certificate."""
    try:
        mime = _MIME_TYPES[file_signatures.detect_format(data)]
    except file_signatures.RejectedImage as refusal:
        return file_signatures.RejectedImage(refusal.code, refusal.message)
    claims: dict[str, Any] = {"source_type": read_source_type(data), "receipt": read_receipt(data)}
    if C2PA_MARKER not in data:
        return CredentialReport("none", **claims)
    return _read_manifest(data, mime, anchor, claims)


def read_source_type(data: bytes) -> str:
    """Return the last word of the IPTC digital source type in a file's XMP, or ""."""
    found = _SOURCE_TYPE_PATTERN.search(data)
    return found[1].decode() if found else ""


def names_generative_model(archive: bytes) -> bool:
    """Return whether an ingredient archive says that a generative model was used."""
    return b"rainedAlgorithmicMedia" in archive


def _read_manifest(data: bytes, mime: str, anchor: str, claims: dict[str, Any]) -> CredentialReport:
    import c2pa

    try:
        reader = c2pa.Reader.try_create(mime, io.BytesIO(data), context=_make_context(anchor))
        if reader is None:
            return CredentialReport("none", **claims)
        with reader:
            validation_state, store = reader.get_validation_state(), json.loads(reader.json())
    except c2pa.C2paError:
        return CredentialReport("unreadable", **claims)
    manifest = store.get("manifests", {}).get(store.get("active_manifest"))
    if manifest is None:
        return CredentialReport("unreadable", **claims)
    status: CredentialStatus = "valid" if validation_state in ("Valid", "Trusted") else "tampered"
    if anchor and validation_state == "Trusted":
        status = "ours" if _is_untouched(data) else "tampered"
    signature = manifest.get("signature_info") or {}
    return CredentialReport(
        status,
        signer=str(signature.get("common_name") or signature.get("issuer") or ""),
        actions=tuple(str(action.get("action", "")) for action in _manifest_actions(manifest)),
        parents=tuple(str(entry.get("title", "")) for entry in manifest.get("ingredients", ())),
        **claims,
    )


def _is_untouched(data: bytes) -> bool:
    """Return whether the bytes of our file that the signature does not cover are unchanged, too."""
    format = file_signatures.detect_format(data)
    try:
        file_signatures.check_container(data, format)
    except file_signatures.RejectedImage:
        return False
    store = jumbf.read_manifest_store(data, format)
    return store is not None and jumbf.has_written_layout(store)


def _manifest_actions(manifest: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for entry in manifest.get("assertions", ()):
        if str(entry.get("label", "")).startswith("c2pa.actions"):
            yield from entry.get("data", {}).get("actions", ())


def read_receipt(data: bytes) -> dict[str, Any] | None:
    """Return the receipt in the XMP of a file of ours, or None."""
    found = _RECEIPT_PATTERN.search(data)
    if found is None:
        return None
    text = found[1].replace(b"&lt;", b"<").replace(b"&gt;", b">").replace(b"&amp;", b"&")
    try:
        receipt = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return receipt if isinstance(receipt, dict) else None


@lru_cache(maxsize=2)
def _make_context(anchor: str = "") -> c2pa.Context:
    """Return the library's context without network, thumbnails and verification, which take longer than signing."""
    import c2pa

    settings: dict[str, Any] = {
        "core": {"backing_store_memory_threshold_in_mb": MEMORY_THRESHOLD_MB},
        "builder": {"thumbnail": {"enabled": False}},
        "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False, "verify_after_sign": False},
    }
    if anchor:
        settings["trust"] = {"trust_anchors": anchor}
    return c2pa.Context.from_dict(settings)
