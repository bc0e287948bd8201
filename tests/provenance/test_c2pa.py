"""Tests of C2PA: every file names its origin, a changed byte is detected, credentials of uploads are kept."""

from __future__ import annotations

import contextlib
import io
import json
import os
import struct
import subprocess
import sys
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

import c2pa
import numpy as np
import PIL.Image
import pytest

from pipelines.codecs import file_signatures
from pipelines.codecs.color_profiles import display_p3_profile
from pipelines.codecs.containers import encode_animation, encode_gif, encode_pdf, encode_video
from pipelines.codecs.encode import (
    C2PA_MIME_TYPES,
    MIME_TYPES,
    STILL_FORMATS,
    PixelOrigin,
    build_xmp,
    build_zip,
    encode_image,
    source_type_uri,
)
from pipelines.codecs.master_files import encode_tiff
from pipelines.core.errors import BadInput, StudioError
from pipelines.provenance import c2pa as provenance_c2pa
from pipelines.provenance.c2pa import (
    CredentialReport,
    Ingredient,
    Provenance,
    read_ingredient_archive,
    sign,
    verify_credentials,
)
from pipelines.provenance.signing_key import SigningKeyStore
from pipelines.service.uploads import CREDENTIALS_KEPT_NOTICE
from pipelines.storage.file_index import pixels_sha256
from tests.provenance.conftest import SignedStudio
from tests.support.download_doors import read_validation_state
from tests.support.examples import EXAMPLES, make_noise
from tests.support.hostile_pictures import HOSTILE_PICTURES

CAPTURE = source_type_uri(PixelOrigin(photographed=True))
MADE = Provenance(CAPTURE, photo=Ingredient("photo", "ab" * 32), placed=(Ingredient("backdrop-1", "cd" * 32),))
FORMATS: tuple[Any, ...] = STILL_FORMATS


@pytest.fixture(scope="module")
def seal(tmp_path_factory: pytest.TempPathFactory) -> SigningKeyStore:
    return SigningKeyStore(tmp_path_factory.mktemp("seal"))


def write_picture(format: Any = "png", receipt: dict[str, Any] | None = None) -> bytes:
    packet = build_xmp(receipt or {"tool": "headshot"}, PixelOrigin(photographed=True))
    return encode_image(make_noise(64, 80), format, packet)


def sign_picture(seal: SigningKeyStore, format: Any = "png", made: Provenance = MADE) -> bytes:
    return sign(write_picture(format), f"image/{format}", made, seal.load_key())


def read_report(data: bytes, seal: SigningKeyStore | None = None) -> CredentialReport:
    found = verify_credentials(data, seal.load_key().root_certificate if seal else "")
    assert isinstance(found, CredentialReport)
    return found


def decode_pixels(data: bytes) -> np.ndarray:
    with PIL.Image.open(io.BytesIO(data)) as picture:
        return np.asarray(picture)


# ---------------------------------------------------------------- a signature


@pytest.mark.parametrize("format", FORMATS)
def test_a_signed_file_verifies_and_keeps_its_pixels(seal: SigningKeyStore, format: Any) -> None:
    data = sign_picture(seal, format)
    found = read_report(data, seal)
    assert (found.status, found.source_type) == ("ours", "compositeCapture")
    assert found.actions == ("c2pa.opened", "c2pa.edited", "c2pa.placed")
    assert found.parents == ("photo", "backdrop-1")
    assert found.receipt == {"tool": "headshot"}
    assert found.signer.startswith("DesignerBox installation")
    assert np.array_equal(decode_pixels(data), decode_pixels(write_picture(format)))
    assert len(data) - len(write_picture(format)) < 6000


def is_sound(data: bytes, seal: SigningKeyStore) -> bool:
    found = verify_credentials(data, seal.load_key().root_certificate)
    return isinstance(found, CredentialReport) and found.status in ("ours", "valid")


def flip_byte(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


@pytest.mark.parametrize("format", FORMATS)
def test_a_changed_byte_anywhere_is_never_called_sound(seal: SigningKeyStore, format: Any) -> None:
    data = sign_picture(seal, format)
    assert is_sound(data, seal)
    for at in range(0, len(data), max(1, len(data) // 40)):
        assert not is_sound(flip_byte(data, at), seal), at


@pytest.mark.parametrize("format", FORMATS)
def test_a_change_where_c2pa_signs_nothing_is_seen_in_a_file_of_ours(
    seal: SigningKeyStore, tmp_path: Path, format: Any
) -> None:
    """Names and lengths of boxes and the zeros that keep a place: other programs call such a file unchanged."""
    kept = read_ingredient_archive(sign_picture(SigningKeyStore(tmp_path), format))
    data = sign_picture(seal, format, Provenance(CAPTURE, photo=Ingredient("photo", "ab" * 32, kept)))
    box = data.rindex(b"c2pa.claim.v2") - 400
    places = [data.rindex(word) for word in (b"c2pa.claim.v2", b"c2pa.assertions", b"c2pa.signature", b"c2cs", b"pad")]
    zeros = data.index(bytes(900), box)
    for at in (*places, zeros, zeros + 17, zeros + 899):
        assert not is_sound(flip_byte(data, at), seal), data[at - 8 : at + 8]
    whole = data.replace(bytes(900), b"a hidden message".ljust(900, b"\0"), 1)
    assert not is_sound(whole, seal)
    assert read_report(whole).status in ("valid", "tampered")  # without our eyes: PNG has sums of its own


def test_a_changed_byte_at_the_start_of_an_avif_is_seen_in_a_file_of_ours(seal: SigningKeyStore) -> None:
    data = sign_picture(seal, "avif")
    assert all(not is_sound(flip_byte(data, at), seal) for at in range(80))


@pytest.mark.parametrize("kind", [b"free", b"skip", b"mfra", b"uuid", b"ftyp"])
def test_a_box_that_c2pa_lets_into_an_avif_unsigned_is_seen_in_a_file_of_ours(
    seal: SigningKeyStore, kind: bytes
) -> None:
    data = sign_picture(seal, "avif")
    added = struct.pack(">I", 24) + kind + b"a hidden message"
    others = {b"uuid": "tampered", b"mfra": "unreadable"}
    assert read_report(data + added).status == others.get(kind, "valid"), "other programs"
    assert not is_sound(data + added, seal)
    assert not is_sound(data[:32] + added + data[32:], seal)


@pytest.mark.parametrize("word", [b"c2pa.edited", b"compositeCapture", b"DesignerBox installation", b"backdrop-1"])
def test_a_changed_word_of_the_manifest_is_never_called_sound(seal: SigningKeyStore, word: bytes) -> None:
    data = sign_picture(seal)
    box = data.index(b"jumb")
    at = data.index(word, box) + len(word) - 1
    assert at < box + 4200
    assert read_report(data[:at] + b"x" + data[at + 1 :], seal).status in ("tampered", "unreadable")


def test_pixels_that_were_repainted_under_the_same_manifest_are_tampered(seal: SigningKeyStore) -> None:
    data = sign_picture(seal, "jpeg")
    at = data.rindex(b"\xff\xda") + 40
    assert read_report(data[:at] + bytes([data[at] ^ 2]) + data[at + 1 :], seal).status == "tampered"


def test_a_receipt_that_was_rewritten_is_tampered(seal: SigningKeyStore) -> None:
    data = sign_picture(seal, "webp").replace(b"headshot", b"portrait")
    found = read_report(data, seal)
    assert found.receipt == {"tool": "portrait"}
    assert found.status == "tampered"


def test_the_file_of_another_studio_is_sound_and_not_ours(seal: SigningKeyStore, tmp_path: Path) -> None:
    assert read_report(sign_picture(SigningKeyStore(tmp_path)), seal).status == "valid"
    assert read_report(sign_picture(seal)).status == "valid"


def test_a_picture_without_credentials_says_so(seal: SigningKeyStore) -> None:
    assert read_report(write_picture(), seal) == CredentialReport(
        "none", source_type="compositeCapture", receipt={"tool": "headshot"}
    )


@pytest.mark.parametrize(
    ("generative", "subject", "kind"),
    [
        (False, True, "compositeCapture"),
        (True, True, "compositeWithTrainedAlgorithmicMedia"),
        (True, False, "trainedAlgorithmicMedia"),
    ],
)
def test_manifest_and_xmp_name_the_same_source(
    seal: SigningKeyStore, generative: bool, subject: bool, kind: str
) -> None:
    data = encode_image(make_noise(40, 40), "png", build_xmp({}, PixelOrigin(generative, subject)))
    data = sign(data, "image/png", Provenance(source_type_uri(PixelOrigin(generative, subject))), seal.load_key())
    assert read_report(data).source_type == kind
    (action,) = read_manifest(data)["assertions"][0]["data"]["actions"]
    assert action["action"] == "c2pa.created"
    assert action["digitalSourceType"].endswith(f"/{kind}")


def read_manifest(data: bytes, mime: str = "image/png") -> dict[str, Any]:
    with c2pa.Reader(mime, io.BytesIO(data)) as reader:
        return reader.get_active_manifest() or {}


# ---------------------------------------------------------------- the key


def test_a_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    first, second = SigningKeyStore(tmp_path).load_key(), SigningKeyStore(tmp_path).load_key()
    assert first == second
    assert (tmp_path / "signing" / "key.pem").stat().st_mode & 0o077 == 0
    assert first.chain.count("BEGIN CERTIFICATE") == 2
    assert "PRIVATE" not in first.chain


def test_an_owner_s_own_pair_is_used(tmp_path: Path, seal: SigningKeyStore) -> None:
    (tmp_path / "signing").mkdir()
    (tmp_path / "signing" / "chain.pem").write_text(seal.load_key().chain)
    (tmp_path / "signing" / "key.pem").write_text(seal.load_key().key)
    assert read_report(sign_picture(SigningKeyStore(tmp_path)), seal).status == "ours"


def test_a_pair_that_does_not_belong_together_is_refused(tmp_path: Path, seal: SigningKeyStore) -> None:
    SigningKeyStore(tmp_path).load_key()
    (tmp_path / "signing" / "key.pem").write_text(seal.load_key().key)
    with pytest.raises(StudioError):
        SigningKeyStore(tmp_path).load_key()
    (tmp_path / "signing" / "key.pem").unlink()
    with pytest.raises(StudioError):
        SigningKeyStore(tmp_path).load_key()


# ---------------------------------------------------------------- what an upload says


@pytest.mark.parametrize("format", FORMATS)
def test_the_past_of_an_upload_is_told_on(seal: SigningKeyStore, tmp_path: Path, format: Any) -> None:
    kept = read_ingredient_archive(sign_picture(SigningKeyStore(tmp_path), format))
    assert kept is not None
    assert len(kept) < 20_000
    data = sign(
        write_picture(), "image/png", Provenance(CAPTURE, photo=Ingredient("photo", "ab" * 32, kept)), seal.load_key()
    )
    assert read_report(data, seal).status == "ours"
    (parent,) = read_manifest(data)["ingredients"]
    assert (parent["relationship"], bool(parent["active_manifest"])) == ("parentOf", True)


def test_a_tampered_past_is_told_on_as_tampered(seal: SigningKeyStore, tmp_path: Path) -> None:
    forged = bytearray(sign_picture(SigningKeyStore(tmp_path)))
    forged[-30] ^= 1
    kept = read_ingredient_archive(bytes(forged))
    assert kept is not None
    data = sign(
        write_picture(), "image/png", Provenance(CAPTURE, photo=Ingredient("photo", "ab" * 32, kept)), seal.load_key()
    )
    with c2pa.Reader("image/png", io.BytesIO(data)) as reader:
        told = reader.json()
    assert "assertion.dataHash.mismatch" in told


@pytest.mark.parametrize("data", [b"", b"c2pa", b"\x89PNG\r\n\x1a\nc2pa" * 9, b"\xff\xd8\xffc2pa" * 99], ids=range(4))
def test_garbage_with_the_mark_has_no_past_and_raises_nothing(data: bytes) -> None:
    assert read_ingredient_archive(data) is None
    assert isinstance(verify_credentials(data), (CredentialReport, file_signatures.RejectedImage))


@pytest.mark.parametrize(
    "row", [row for row in HOSTILE_PICTURES if row.number not in (6, 7, 25, 28)], ids=lambda row: row.id
)
def test_reading_what_a_hostile_file_says_raises_nothing(row: Any) -> None:
    assert isinstance(verify_credentials(row.data()), (CredentialReport, file_signatures.RejectedImage))


@pytest.mark.parametrize("text", [b"[" * 100_000, b'{"a":', b"[1]", b"\xff\xfe"], ids=range(4))
def test_a_hostile_receipt_is_no_receipt(text: bytes) -> None:
    data = b"\x89PNG\r\n\x1a\n<dbx:receipt>" + text + b"</dbx:receipt>"
    assert read_report(data).receipt is None


# ---------------------------------------------------------------- through the doors


@pytest.mark.parametrize("format", FORMATS)
def test_every_file_of_a_job_verifies_as_ours(studio: SignedStudio, format: Any) -> None:
    result = studio.make("headshot", photo=studio.photos["hopper"], format=format, size=256, variations=2)
    assert [file.role for file in result.files] == ["result", "result", "matte"]
    for data in studio.read_files(result):
        assert studio.service.uploads.verify_picture(data).status == "ours"
    first = studio.service.uploads.verify_picture(studio.read_files(result)[0])
    assert (first.source_type, first.parents) == ("compositeSynthetic", ("photo",)), "a grey paper is computed"
    assert first.receipt is not None
    assert first.receipt["tool"] == "headshot"


def test_a_scene_alone_is_created_and_not_edited(studio: SignedStudio) -> None:
    (data,) = studio.read_files(studio.make("background", prompt="forest", size=256))
    found = studio.service.uploads.verify_picture(data)
    assert (found.actions, found.parents) == (("c2pa.created",), ())


def test_pixels_are_the_same_under_another_signature(studio: SignedStudio) -> None:
    one, two = (studio.make("background", prompt="forest", size=256, seed=4).files[0] for _ in range(2))
    assert one.pixels_sha256 == two.pixels_sha256
    assert pixels_sha256(np.asarray(decode_pixels(studio.files.local_path(two.id).read_bytes()))) == one.pixels_sha256


def test_an_upload_s_credentials_pass_the_door_and_stand_in_what_is_made(studio: SignedStudio, tmp_path: Path) -> None:
    with PIL.Image.open(EXAMPLES / "coffee.jpg") as picture:
        plain = encode_image(np.asarray(picture.convert("RGB").resize((300, 200))), "jpeg", b"")
    upload = sign(plain, "image/jpeg", Provenance(CAPTURE), SigningKeyStore(tmp_path).load_key())
    file_id, notices = studio.service.uploads.ingest_picture(upload, "ann")
    assert notices == (CREDENTIALS_KEPT_NOTICE,)
    assert b"c2pa" not in studio.files.local_path(file_id).read_bytes()
    data = studio.read_files(studio.make("style", photo=file_id, size=256))[0]
    (parent,) = read_manifest(data)["ingredients"]
    assert parent["active_manifest"]
    assert studio.files.load_provenance(file_id, "bob") is None


@pytest.mark.parametrize(
    ("values", "photo", "source"),
    [
        ({"preset": "studio-grey"}, "", "algorithmicMedia"),
        ({"preset": "forest"}, "", "compositeCapture"),
        ({"preset": "studio-grey"}, "hopper", "compositeSynthetic"),
        ({"preset": "forest"}, "hopper", "compositeCapture"),
        ({"prompt": "oak"}, "coffee", "compositeSynthetic"),
    ],
)
def test_computed_scenery_is_told_apart_from_photographs(
    studio: SignedStudio, values: dict[str, Any], photo: str, source: str
) -> None:
    own: dict[str, Any] = {"photo": studio.photos[photo]} if photo else {}
    data = studio.read_files(studio.make("background", size=256, **values, **own))[0]
    assert studio.service.uploads.verify_picture(data).source_type == source
    actions = read_manifest(data)["assertions"][0]["data"]["actions"]
    assert [each["digitalSourceType"].split("/")[-1] for each in actions if "digitalSourceType" in each] == [source]


def test_whatever_went_in_says_what_it_is_in_what_is_made_of_it(studio: SignedStudio, tmp_path: Path) -> None:
    """A figure of rules or of the drawing model, over nothing, a photo, a drawing and an upload that says trained."""
    drawn = studio.make("character", size=256).files[0].id
    by_model = studio.make("character", art="model", size=256).files[0].id
    data = encode_image(make_noise(64, 80), "png", b"")
    upload = sign(
        data,
        "image/png",
        Provenance(source_type_uri(PixelOrigin(generative=True))),
        SigningKeyStore(tmp_path).load_key(),
    )
    learned, photo = studio.service.uploads.ingest_picture(upload, "ann")[0], studio.photos["coffee"]
    mine = {"preset": "my-backdrop", "size": 256}
    noise = make_noise(48, 48)
    small = studio.files.add_image(noise, "ann", "upload")
    trained = encode_image(noise, "png", build_xmp({}, PixelOrigin(generative=True)))
    small_by_model = studio.files.add_encoded(trained, noise, "png", "ann", "result")
    rows: tuple[tuple[str, str, dict[str, Any]], ...] = (
        ("algorithmicMedia", "character", {}),
        ("algorithmicallyEnhanced", "upscale", {"photo": small}),
        ("trainedAlgorithmicMedia", "upscale", {"photo": small_by_model}),
        ("algorithmicMedia", "character", {"backdrop": drawn}),
        ("compositeSynthetic", "character", {"backdrop": photo}),
        ("algorithmicMedia", "character", {"reference": photo}),
        ("trainedAlgorithmicMedia", "character", {"backdrop": by_model}),
        ("compositeWithTrainedAlgorithmicMedia", "character", {"backdrop": learned}),
        ("compositeWithTrainedAlgorithmicMedia", "character", {"art": "model", "backdrop": photo}),
        ("compositeCapture", "background", {**mine, "backdrop": photo}),
        ("compositeWithTrainedAlgorithmicMedia", "background", {**mine, "photo": photo, "backdrop": by_model}),
        ("compositeWithTrainedAlgorithmicMedia", "background", {**mine, "photo": photo, "backdrop": learned}),
    )
    for source, tool, values in rows:
        agreed = {"consent": True} if tool == "character" else {}
        asked: dict[str, Any] = {**({} if tool == "upscale" else {"size": 256}), **values, **agreed}
        data = studio.read_files(studio.make(tool, **asked))[0]
        assert (studio.service.uploads.verify_picture(data).source_type, tool, values) == (source, tool, values)


def test_every_picture_that_went_in_keeps_its_past(studio: SignedStudio, tmp_path: Path) -> None:
    def upload(seed: int) -> str:
        data = sign(
            encode_image(make_noise(160, 200, seed=seed), "png", b""),
            "image/png",
            Provenance(CAPTURE),
            SigningKeyStore(tmp_path).load_key(),
        )
        return studio.service.uploads.ingest_picture(data, "ann")[0]

    made = studio.make("background", prompt="oak", size=256).files[0].id  # what was made here has a past in its file
    cases: tuple[tuple[str, dict[str, Any]], ...] = (
        ("style", {"photo": made, "reference": upload(2), "size": 256}),
        ("background", {"photo": studio.photos["coffee"], "backdrop": upload(3), "preset": "my-backdrop", "size": 256}),
        ("kit", {"photo": upload(1), "logo": made, "preset": "post"}),
        ("kit", {"photo": upload(1), "logo": upload(1), "preset": "post"}),
    )
    for tool, values in cases:
        data = studio.read_files(studio.make(tool, **values))[0]
        assert studio.service.uploads.verify_picture(data).status == "ours"
        rows = {row["relationship"]: row.get("active_manifest") for row in read_manifest(data)["ingredients"]}
        assert rows["componentOf"], tool
        assert bool(rows["parentOf"]) == (tool != "background"), "an example says nothing of itself"


def test_pasts_that_together_are_too_large_are_left_out(seal: SigningKeyStore, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = read_ingredient_archive(sign_picture(seal, "png"), True)
    assert kept is not None
    monkeypatch.setattr(provenance_c2pa, "MAX_PARENT_BYTES", len(kept) + 10)
    two = (
        Ingredient("a-1", "00", kept),
        Ingredient("b-2", "11", read_ingredient_archive(sign_picture(seal, "jpeg"), True)),
    )
    rows = read_manifest(sign(write_picture("png"), "image/png", Provenance(CAPTURE, placed=two), seal.load_key()))[
        "ingredients"
    ]
    assert [bool(row.get("active_manifest")) for row in rows] == [False, True]
    assert {row["title"] for row in rows} >= {"b-2"}


def test_verifying_happens_at_the_door_and_keeps_nothing(studio: SignedStudio) -> None:
    before = sorted(path.name for path in studio.files.root.iterdir())
    assert studio.service.uploads.verify_picture((EXAMPLES / "coffee.jpg").read_bytes()).status == "none"
    with pytest.raises(BadInput) as caught:
        studio.service.uploads.verify_picture(b"<svg/>")
    assert caught.value.code == "unsupported_image"
    with pytest.raises(BadInput):
        studio.service.uploads.verify_picture(bytes(26 * 10**6))
    assert sorted(path.name for path in studio.files.root.iterdir()) == before


def test_a_manifest_elsewhere_is_not_fetched(seal: SigningKeyStore) -> None:
    """The address of a remote manifest is a caller's address: it must never be asked."""
    import socket
    import threading

    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(1.5)

        def listen() -> None:
            with contextlib.suppress(TimeoutError):
                asked.append(server.accept()[0].recv(100))

        thread = threading.Thread(target=listen)
        thread.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/manifest.c2pa"
        packet = (
            '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
            f'<rdf:Description xmlns:dcterms="http://purl.org/dc/terms/" dcterms:provenance="{url}"/></rdf:RDF>'
            "</x:xmpmeta><!-- c2pa -->"
        )
        for format in FORMATS:
            data = encode_image(make_noise(40, 40), format, packet.encode())
            assert read_report(data, seal).status in ("none", "unreadable")
            read_ingredient_archive(data)
        thread.join()
    assert asked == []


def test_the_manifest_holds_no_name_and_no_words(studio: SignedStudio) -> None:
    data = studio.read_files(studio.make("background", prompt="quiet harbour", size=256))[0]
    text = json.dumps(read_manifest(data))
    assert "harbour" not in text
    assert "ann" not in text.replace("annotation", "")


# ---------------------------------------------------------------- every kind of file


@cache
def sample_files() -> dict[str, bytes]:
    """One small file of every format that a tool can hand over beside pictures."""
    frames = tuple(make_noise(48, 64, seed=n) for n in range(3))
    still = encode_image(frames[0], "png", b"")
    return {
        "webp": encode_animation(frames, 8),
        "gif": encode_gif(frames, 1),
        "mp4": encode_video(frames, 8),
        "tiff": encode_tiff(frames[0], display_p3_profile(), b"<x/>"),
        "pdf": encode_pdf(frames, "Lookbook"),
        "zip": build_zip([("a.png", still), ("b.png", still)]),
        "ora": build_zip([("mimetype", b"image/openraster"), ("mergedimage.png", still)]),
    }


@pytest.mark.parametrize("format", ["webp", "gif", "mp4", "tiff", "pdf", "zip", "ora"])
def test_every_kind_of_file_verifies_and_shows_a_changed_byte(seal: SigningKeyStore, format: str) -> None:
    assert set(MIME_TYPES) == {*sample_files(), *STILL_FORMATS}
    data = sign(sample_files()[format], C2PA_MIME_TYPES[format], MADE, seal.load_key())
    assert read_validation_state(data, C2PA_MIME_TYPES[format], seal.load_key().root_certificate) == "Trusted"
    for at in payload_offsets(data, format):
        assert read_validation_state(
            flip_byte(data, at), C2PA_MIME_TYPES[format], seal.load_key().root_certificate
        ) not in ("Trusted", "Valid"), at


def payload_offsets(data: bytes, format: str) -> list[int]:
    """Places in what the file is for: pixels, frames, entries."""
    marks = {"webp": b"ANMF", "gif": b"\x21\xf9", "mp4": b"mdat", "pdf": b"stream", "zip": b"IDAT", "ora": b"IDAT"}
    marks["tiff"] = b"\x78\x9c"  # how the compressed rows begin
    mark = marks[format]
    first, last = data.index(mark), data.rindex(mark)
    return [first + 20, last + 24, (first + last) // 2 if first != last else first + 40]


SIGNS_A_LARGE_ONE = """
import resource, sys
from pathlib import Path
from pipelines.provenance.c2pa import Provenance, sign_stream
from pipelines.provenance.signing_key import SigningKeyStore
from pipelines.codecs.encode import COLLECTION_SOURCE_TYPE

def peak_memory():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

folder = Path(sys.argv[1])
provenance, key, before = Provenance(COLLECTION_SOURCE_TYPE), SigningKeyStore(folder).load_key(), peak_memory()
with (folder / "a.zip").open("rb") as data, (folder / "b.zip").open("w+b") as out:
    sign_stream(data, out, "application/x-zip", provenance, key)
print(peak_memory() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory is told in other units elsewhere")
def test_a_large_archive_is_signed_without_being_held_in_memory(tmp_path: Path) -> None:
    picture = os.urandom(4 * 2**20)
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_STORED) as packed:
        for n in range(6):
            packed.writestr(f"{n}.png", picture)
    told = subprocess.run(
        [sys.executable, "-c", SIGNS_A_LARGE_ONE, str(tmp_path)], check=True, capture_output=True, text=True
    )
    assert int(told.stdout) < 16, "of 24 MB"
    assert read_validation_state((tmp_path / "b.zip").read_bytes(), C2PA_MIME_TYPES["zip"]) == "Valid"
