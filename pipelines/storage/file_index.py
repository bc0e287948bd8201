"""The index of stored files: content-addressed by the hash of the pixels, with owners."""

from __future__ import annotations

import hashlib
import io
import os
import time
from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Literal

import cv2
import numpy as np
import PIL.Image
from sqlalchemy import ColumnElement, bindparam, delete, func, or_, select

from pipelines.codecs.encode import encode_png
from pipelines.codecs.file_names import label_of_result
from pipelines.core.errors import NotFound
from pipelines.core.geometry import Image, PixelArray
from pipelines.imaging.wide_gamut import to_eight_bits
from pipelines.storage.connect import open_database
from pipelines.storage.database import Row
from pipelines.storage.disk_space import translate_disk_full
from pipelines.storage.local_store import LocalStore, translate_missing_file
from pipelines.storage.schema import FILE_TABLES, FILES, UPLOAD_LABELS, select_page

FileRole = Literal["upload", "example", "result", "matte", "layers", "master", "batch", "batch_output"]
PUBLIC_OWNER = "*"
UNSYNCED_SECONDS = 60.0  # seconds before the end of the last run in which writes may not have reached the disk
_PARENT_ENDING, _COMPONENT_ENDING, _WIDE_COPY_ENDING = ".c2pa", "-placed.c2pa", "-p3.png"
_OWNED_ENDINGS = (_PARENT_ENDING, _COMPONENT_ENDING, _WIDE_COPY_ENDING)  # of what is kept beside an upload


_ANYBODYS_FILE = select(FILES).where(FILES.c.id == bindparam("file_id")).limit(1)
_OWN_FILE = _ANYBODYS_FILE.where(or_(FILES.c.owner == bindparam("me"), FILES.c.owner == PUBLIC_OWNER))
_LABEL_QUERY = (
    select(UPLOAD_LABELS.c.label)
    .where(
        UPLOAD_LABELS.c.id == bindparam("file_id"),
        or_(UPLOAD_LABELS.c.owner == bindparam("me"), UPLOAD_LABELS.c.owner == PUBLIC_OWNER),
    )
    .order_by(UPLOAD_LABELS.c.owner.desc())  # the owner's own word before that of an example
    .limit(1)
)


@dataclass(frozen=True)
class FileInfo:
    """A row of the index. `path`: name of the stored bytes; `sha256`: of the decoded pixels (`pixels_sha256`)."""

    id: str
    owner: str
    role: str
    format: str
    path: PurePath
    width: int
    height: int
    bytes: int
    sha256: str
    created: float

    @property
    def download_name(self) -> str:
        """The file name for a download; the id where the file has no name."""
        return self.path.name.removeprefix(f"{self.id}-")


def pixels_sha256(image: PixelArray) -> str:
    """Return the SHA-256 of an image's shape and pixels, which is the same in every lossless format."""
    head = "x".join(str(n) for n in image.shape).encode()
    return hashlib.sha256(head + b":" + np.ascontiguousarray(image).tobytes()).hexdigest()


class FileIndex:
    """Stored files. The same pixels have one id and are stored once, visible to each owner who uploaded them."""

    def __init__(self, root: Path, database: str = "", *, store: LocalStore | None = None) -> None:
        """Open the index in `root` or at the URL `database`; the bytes are in `store`, else in a folder of `root`."""
        self.data = root
        self._store = store or LocalStore(root / "files")
        self.root = self._store.folder
        self._db = open_database(root / "files.sqlite3", FILE_TABLES, database)
        insertion = self._db.insert(FILES)
        self._insertion = insertion.on_conflict_do_update(
            index_elements=["id", "owner"], set_={"created": insertion.excluded.created}
        )
        labelling = self._db.insert(UPLOAD_LABELS)
        self._labelling = labelling.on_conflict_do_update(
            index_elements=["id", "owner"], set_={"label": labelling.excluded.label}
        )
        self._forget_torn_files()

    def add_image(self, image: Image, owner: str, role: FileRole) -> str:
        """Store an ingested picture (uint8, H x W x 3 or 4) losslessly and return its id. Raises `disk_full`."""
        digest = pixels_sha256(image)
        file_id = f"file-{digest[:40]}"
        path = self._store_if_missing(file_id, f"{file_id}.png", lambda: encode_png(image))
        self._record_file(file_id, owner, role, "png", path, image.shape[1], image.shape[0], digest)
        return file_id

    def add_encoded(
        self,
        data: bytes,
        image: PixelArray,
        format: str,
        owner: str,
        role: FileRole,
        name: str = "",
        *,
        defer_sync: bool = False,
    ) -> str:
        """Store encoded bytes unchanged, with their metadata; the id is a hash of these bytes.

        `image` is the picture or the first frame, which gives size and `sha256`. `name` is the file name for a
        download, with its extension. `defer_sync` does not wait for the disk: `flush_to_disk` does, within seconds.
        """
        file_id = f"file-{hashlib.sha256(data).hexdigest()[:40]}"
        path = self._store.put(f"{file_id}-{name}" if name else f"{file_id}.{format}", data, defer_sync=defer_sync)
        sha256 = pixels_sha256(image)
        with self._db.relaxed_durability() if defer_sync else nullcontext():
            self._record_file(file_id, owner, role, format, path, image.shape[1], image.shape[0], sha256)
        return file_id

    def import_file(self, info: FileInfo, data: bytes, *, defer_sync: bool = False) -> None:
        """Store a file of another index with its row; only the name in `info.path` is used."""
        path = self._store_if_missing(info.id, info.path.name, lambda: data, defer_sync=defer_sync)
        with self._db.relaxed_durability() if defer_sync else nullcontext():
            self._record_file(info.id, info.owner, info.role, info.format, path, info.width, info.height, info.sha256)

    def add_jsonl(self, data: bytes, owner: str, role: FileRole) -> str:
        """Store JSON lines and return their id. The id is a hash of owner and data, so no two owners share it."""
        digest = hashlib.sha256(owner.encode() + b":" + data).hexdigest()
        file_id = f"file-{digest[:40]}"
        path = self._store.put(f"{file_id}.jsonl", data)
        self._record_file(file_id, owner, role, "jsonl", path, 0, 0, digest)
        return file_id

    def _store_if_missing(
        self, file_id: str, name: str, make: Callable[[], bytes], *, defer_sync: bool = False
    ) -> Path:
        """Return the path of the bytes; `make` gives them when they are not stored under this name."""
        with suppress(NotFound):
            stored = self.get_info(file_id)
            if stored.path.name == name:
                return self._store.fetch(name, stored.bytes)
        return self._store.put(name, make(), defer_sync=defer_sync)

    def save_provenance(self, file_id: str, owner: str, as_parent: bytes, as_component: bytes | None = None) -> None:
        """Store an upload's Content Credentials as parent and component, for this owner: others may have others."""
        self._store.put(_owned_name(file_id, owner, _PARENT_ENDING), as_parent)
        if as_component is not None:
            self._store.put(_owned_name(file_id, owner, _COMPONENT_ENDING), as_component)

    def load_provenance(self, file_id: str, owner: str, *, as_component: bool = False) -> bytes | None:
        """Return the C2PA ingredient of this owner's upload, or None; see `save_provenance`."""
        ending = _COMPONENT_ENDING if as_component else _PARENT_ENDING
        return self._store.read_if_present(_owned_name(file_id, owner, ending))

    def save_wide_copy(self, file_id: str, owner: str, png: bytes) -> None:
        """Store an upload's pixels in Display P3, as a PNG, for this owner: another's may have clipped to the same."""
        self._store.put(_owned_name(file_id, owner, _WIDE_COPY_ENDING), png)

    def load_wide_copy(self, file_id: str, owner: str) -> bytes | None:
        """Return the PNG of `save_wide_copy`, None where the photo has no colours outside sRGB."""
        return self._store.read_if_present(_owned_name(file_id, owner, _WIDE_COPY_ENDING))

    def save_display_name(self, file_id: str, owner: str, label: str) -> None:
        """Store what this owner calls the picture, in place of an older label."""
        with translate_disk_full():
            self._db.execute(self._labelling, {"id": file_id, "owner": owner, "label": label})

    def find_label(self, file_id: str, owner: str) -> str:
        """Return what this owner calls the upload, or what a result of theirs is called after; "" where unknown."""
        row = self._db.fetch_row(_LABEL_QUERY, {"file_id": file_id, "me": owner})
        if row is not None:
            return str(row.label)
        with suppress(NotFound):
            return label_of_result(self.get_info(file_id, owner).download_name)
        return ""

    def flush_to_disk(self) -> int:
        """Sync files that were written with `defer_sync` to the disk, then their rows; return how many files."""
        count = self._store.flush_to_disk()
        if count:
            with suppress(FileNotFoundError), (self.data / "files.sqlite3-wal").open("rb") as file:
                os.fsync(file.fileno())
        return count

    def _forget_torn_files(self) -> None:
        """Delete the newest rows whose bytes a power cut destroyed, so that nobody gets a half-written file."""
        if self._db.is_shared:  # the bytes may be on another machine
            return
        since = select(func.max(FILES.c.created) - UNSYNCED_SECONDS).scalar_subquery()
        for row in self._db.fetch_rows(select(FILES.c.id, FILES.c.path, FILES.c.bytes).where(FILES.c.created > since)):
            if self._store.is_lost(row.path, row.bytes):
                self._db.execute(delete(FILES).where(FILES.c.id == row.id))

    def _record_file(
        self, file_id: str, owner: str, role: str, format: str, path: Path, w: int, h: int, sha: str
    ) -> None:
        sizes = {"width": w, "height": h, "bytes": path.stat().st_size}
        values = {"id": file_id, "owner": owner, "role": role, "format": format, "path": path.name, "sha256": sha}
        with translate_disk_full():
            self._db.execute(self._insertion, {**values, **sizes, "created": time.time()})

    def get_info(self, file_id: str, owner: str | None = None) -> FileInfo:
        """Return the row if `owner` (None: anybody) may see it. Raises `not_found`, also for another owner's file."""
        query = _ANYBODYS_FILE if owner is None else _OWN_FILE
        row = self._db.fetch_row(query, {"file_id": file_id, "me": owner})
        if row is None:
            raise NotFound("There is no such file, or it is not yours.")
        return _to_file_info(row)

    def list_files(self, owner: str, limit: int, after: str | None = None) -> list[FileInfo]:
        """Return the owner's files, newest first; `after` is the last id of the previous page."""
        return [_to_file_info(row) for row in self._db.fetch_rows(select_page(FILES, owner, limit, after))]

    def is_example(self, file_id: str) -> bool:
        """Say whether the picture is one of the built-in examples, which need no consent."""
        return self._has_row(FILES.c.id == file_id, FILES.c.owner == PUBLIC_OWNER)

    def is_result(self, sha256: str, owner: str) -> bool:
        """Say whether the owner has a result of these pixels."""
        return self._has_row(FILES.c.sha256 == sha256, FILES.c.role == "result", FILES.c.owner == owner)

    def _has_row(self, *clauses: ColumnElement[bool]) -> bool:
        return self._db.fetch_row(select(FILES.c.id).where(*clauses).limit(1)) is not None

    def open_image(self, file_id: str) -> Image:
        """Return the stored pixels, uint8, H x W x 3 or 4, RGB(A). Raises `not_found`."""
        return read_png(self.local_path(file_id))

    def read_bytes(self, file_id: str, owner: str | None = None) -> bytes:
        """Return the stored bytes if `owner` (None: anybody) may see them. Raises `not_found`."""
        with translate_missing_file():
            return self.local_path(file_id, owner).read_bytes()

    def local_path(self, file_id: str, owner: str | None = None) -> Path:
        """Return a local path of the bytes if `owner` (None: anybody) may see them, for a minute; else `not_found`."""
        info = self.get_info(file_id, owner)
        return self._store.fetch(info.path.name, info.bytes)

    def total_bytes(self) -> int:
        """Return the bytes that all files take."""
        sizes = select(func.max(FILES.c.bytes).label("bytes")).group_by(FILES.c.path).subquery()
        (row,) = self._db.fetch_rows(select(func.coalesce(func.sum(sizes.c.bytes), 0)))
        return int(row[0])  # a sum is a `Decimal` on Postgres

    def ids_older_than(self, seconds: float) -> set[str]:
        """Return the ids of files that nobody added within the last `seconds`, without examples."""
        is_public = func.count().filter(FILES.c.owner == PUBLIC_OWNER) > 0
        query = select(FILES.c.id).group_by(FILES.c.id).having(func.max(FILES.c.created) < time.time() - seconds)
        return {row.id for row in self._db.fetch_rows(query.having(~is_public))}

    def delete_file(self, file_id: str) -> None:
        """Delete a file and its provenance records for every owner."""
        for table in FILE_TABLES:
            self._db.execute(delete(table).where(table.c.id == file_id))
        self._store.delete_all_of(file_id)

    def remove_owner(self, file_id: str, owner: str) -> None:
        """Delete a file for one owner, and its bytes when nobody else has it."""
        for table in FILE_TABLES:
            self._db.execute(delete(table).where(table.c.id == file_id, table.c.owner == owner))
        if not self._has_row(FILES.c.id == file_id):
            return self.delete_file(file_id)
        for ending in _OWNED_ENDINGS:
            self._store.delete_one(_owned_name(file_id, owner, ending))
        return None

    def give_file(self, file_id: str, giver: str, receiver: str) -> None:
        """Make a file of one owner, with what is kept beside it, that of another. Raises `not_found`, `disk_full`."""
        info = self.get_info(file_id, giver)
        self._record_file(
            file_id, receiver, info.role, info.format, self.local_path(file_id), info.width, info.height, info.sha256
        )
        for ending in _OWNED_ENDINGS:
            data = self._store.read_if_present(_owned_name(file_id, giver, ending))
            if data is not None:
                self._store.put(_owned_name(file_id, receiver, ending), data)
        self.remove_owner(file_id, giver)

    def delete_partial_files(self, seconds: float) -> None:
        """Delete partial files of killed processes that are older than `seconds`."""
        self._store.delete_stale_files(seconds, lambda file_id: self._has_row(FILES.c.id == file_id))

    def close(self) -> None:
        """Sync pending files and close the index."""
        self.flush_to_disk()
        self._db.close()


def _to_file_info(row: Row) -> FileInfo:
    return FileInfo(**row._asdict() | {"path": PurePath(row.path)})


def read_png(path: Path) -> Image:
    """Return the pixels of a stored picture, uint8, H x W x 3 or 4, RGB(A). Raises `not_found`."""
    with translate_missing_file():
        return decode_png(np.fromfile(path, np.uint8))


def _owned_name(file_id: str, owner: str, ending: str) -> str:
    return f"{file_id}-{hashlib.sha256(owner.encode()).hexdigest()[:16]}{ending}"


def decode_png(data: np.ndarray[tuple[int], np.dtype[np.uint8]]) -> Image:
    """Decode a picture's bytes (uint8, one dimension) to RGB(A) pixels, uint8, H x W x 3 or 4. Raises `not_found`."""
    if data[4:12].tobytes() == b"ftypavif":  # OpenCV reads none
        return _decode_avif(data.tobytes())
    raw = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    if raw is None:
        raise NotFound("The stored file can no longer be read.")
    code = cv2.COLOR_BGRA2RGBA if raw.shape[2] == 4 else cv2.COLOR_BGR2RGB
    return to_eight_bits(np.asarray(cv2.cvtColor(raw, code), np.uint16 if raw.dtype == np.uint16 else np.uint8))


def _decode_avif(data: bytes) -> Image:
    try:
        with PIL.Image.open(io.BytesIO(data), formats=("AVIF",)) as picture:
            return np.asarray(picture if picture.mode == "RGBA" else picture.convert("RGB"), np.uint8)
    except (OSError, SyntaxError, ValueError) as error:
        raise NotFound("The stored file can no longer be read.") from error
