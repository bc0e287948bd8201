"""A file store on a remote file system that several machines share, with a local folder as its cache."""

from __future__ import annotations

import logging
import os
import posixpath
import re
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from weakref import WeakValueDictionary

from pipelines.core.errors import BadInput, NotFound, StudioError
from pipelines.storage.fsspec_store import (
    UNREACHABLE_MESSAGE,
    StoreErrorTranslator,
    open_filesystem,
    write_file,
    writes_atomically,
)
from pipelines.storage.local_store import LocalStore, atomic_write

log = logging.getLogger(__name__)

CACHE_BYTES = 4 << 30  # bytes in the cache at most; half of the free disk space where that is less
MIN_CACHE_SECONDS = 60.0
"""Seconds after its last use for which a file stays in the cache, since somebody may be about to open it."""
RECHECK_SECONDS = 600.0  # seconds without use after which the cache checks whether another studio has deleted the file
RETRY_SECONDS = 5.0
"""Seconds after a failure without new requests, since a library that reports one has already waited for long."""
WRONG_STORE_MESSAGE = (
    "--files names another store than before, or a share that is not mounted. To use it all the same, delete {}"
)

_FILE_ID = re.compile(r"file-[0-9a-f]{40}")
_FILE_ID_CHARS = len("file-") + 40
_MARK_NAME = "designerbox.id"
_SEEN_MARK_NAME = ".store"
_PENDING_DELETE_PREFIX = ".owed-"
_PARTS_FOLDER = ".parts"


def open_store(url: str, data: Path) -> LocalStore:
    """Open the store of the folder `data`, or that at `url`, cached there. Raises `BadInput`, `storage_unavailable`."""
    folder = data / "files"
    if url:
        return CachedStore(url, folder)
    (folder / _SEEN_MARK_NAME).unlink(missing_ok=True)  # files written from now on are on no shared store
    return LocalStore(folder)


class CachedStore(LocalStore):
    """A remote store with a local cache: `put` uploads before it returns, `fetch` downloads what is not cached.

    The bytes of a file and its provenance records are in a remote folder that is named by the file's id.
    """

    def __init__(self, url: str, folder: Path, room: int = CACHE_BYTES) -> None:
        super().__init__(folder)
        self._lock = threading.Lock()
        self._name_locks: WeakValueDictionary[str, threading.Lock] = WeakValueDictionary()
        self._unreachable_until = 0.0
        self._fs, self._root = open_filesystem(url)
        self._cached_bytes = sum(size for _, size, _ in self._list_cached())
        self._capacity_bytes = min(room, (shutil.disk_usage(folder).free + self._cached_bytes) // 2)
        self._adopt_store()

    def put(self, name: str, data: bytes, *, defer_sync: bool = False) -> Path:
        """See `LocalStore`. `defer_sync` concerns only the local copy; the upload is never deferred."""
        self._upload_file(name, data)
        (self.folder / f"{_PENDING_DELETE_PREFIX}{name}").unlink(missing_ok=True)
        path = super().put(name, data, defer_sync=defer_sync)
        self._evict_to_capacity(len(data))
        return path

    def fetch(self, name: str, size: int | None = None) -> Path:
        """See `LocalStore`. The file stays in the cache for `MIN_CACHE_SECONDS` at least."""
        path = self.folder / name
        if not _touch_if_present(path, size):
            with self._lock_name(name):
                if not _touch_if_present(path, size):
                    self._download_file(name, path, size)
        return path

    def read_if_present(self, name: str) -> bytes | None:
        """See `LocalStore`. It reads the remote store each time, since a provenance record may be written again."""
        with suppress(NotFound), self._translate_errors(missing=True):
            return self._fs.cat_file(self._remote_path(name))
        return None

    def delete_all_of(self, file_id: str) -> None:
        """See `LocalStore`. While the store cannot be reached the deletion is left to `delete_stale_files`."""
        super().delete_all_of(file_id)
        if _FILE_ID.fullmatch(file_id):  # a shorter name would delete other files too
            self._delete_remote(file_id, lambda: self._fs.rm(self._remote_path(file_id), recursive=True))

    def delete_one(self, name: str) -> None:
        super().delete_one(name)
        self._delete_remote(name, lambda: self._fs.rm_file(self._remote_path(name)))

    def is_lost(self, name: str, size: int) -> bool:
        """Return False: a power cut on this machine does not destroy files of the remote store."""
        return False

    def delete_stale_files(self, seconds: float, is_known: Callable[[str], bool]) -> None:
        """See `LocalStore`. It also makes pending remote deletions, and drops files that other studios have deleted."""
        super().delete_stale_files(seconds, is_known)
        for pending in self.folder.glob(f"{_PENDING_DELETE_PREFIX}*"):
            name = pending.name.removeprefix(_PENDING_DELETE_PREFIX)
            if not _FILE_ID.fullmatch(name):
                self.delete_one(name)
            elif is_known(name):  # somebody uploaded it again
                pending.unlink(missing_ok=True)
            else:
                self.delete_all_of(name)
        for used, _, path in self._list_cached():
            if used < time.time() - RECHECK_SECONDS and not is_known(path.name[:_FILE_ID_CHARS]):
                path.unlink(missing_ok=True)
        with suppress(StudioError), self._translate_errors():  # the error is logged, and the next run is soon
            self._delete_remote_partials(seconds)

    def _remote_path(self, name: str) -> str:
        folder = posixpath.join(self._root, name[:_FILE_ID_CHARS])
        return folder if len(name) == _FILE_ID_CHARS else posixpath.join(folder, name)

    def _partial_path(self) -> str:
        return posixpath.join(self._root, _PARTS_FOLDER, uuid.uuid4().hex)

    @contextmanager
    def _translate_errors(self, *, missing: bool = False) -> Iterator[None]:
        """Translate errors like `StoreErrorTranslator`; shortly after a failure raise `storage_unavailable` at once."""
        if time.monotonic() < self._unreachable_until:
            raise StudioError(UNREACHABLE_MESSAGE, code="storage_unavailable")
        try:
            with StoreErrorTranslator(missing=missing):
                yield
        except StudioError as error:
            if error.code == "storage_unavailable":
                self._unreachable_until = time.monotonic() + RETRY_SECONDS
            raise

    def _adopt_store(self) -> None:
        """Check that the store is the same as before; upload the local files to one that is new to this machine."""
        seen, mark = self.folder / _SEEN_MARK_NAME, posixpath.join(self._root, _MARK_NAME)
        before = seen.read_text("utf-8") if seen.exists() else ""
        with StoreErrorTranslator():
            if not before and not self._fs.exists(mark):
                write_file(self._fs, mark, uuid.uuid4().hex.encode(), self._partial_path())
            remote_mark = self._fs.cat_file(mark).decode() if self._fs.exists(mark) else ""
        if before not in ("", remote_mark):
            raise BadInput(WRONG_STORE_MESSAGE.format(seen))
        ours = [] if before else [path for _, _, path in self._list_cached()]
        for path in ours:
            self._upload_file(path.name, path.read_bytes())
        if ours:
            log.info("%d files of this machine were brought to the store", len(ours))
        seen.write_text(remote_mark)

    def _require_store_mark(self) -> None:
        """Raise `storage_unavailable` when the mark is missing, as in the empty folder of an unmounted share."""
        with self._translate_errors():
            self._fs.info(posixpath.join(self._root, _MARK_NAME))

    def _upload_file(self, name: str, data: bytes) -> None:
        if not writes_atomically(self._fs):
            self._require_store_mark()
        with self._translate_errors():
            write_file(self._fs, self._remote_path(name), data, self._partial_path())

    def _download_file(self, name: str, path: Path, size: int | None) -> None:
        try:
            with atomic_write(path) as part, self._translate_errors(missing=True):
                self._fs.get_file(self._remote_path(name), str(part))
                found = part.stat().st_size
                if size not in (None, found):
                    raise NotFound("The stored file can no longer be read.")
        except NotFound:
            if size is not None:  # the index says that the file exists
                self._require_store_mark()
            raise
        self._evict_to_capacity(found)

    def _delete_remote(self, name: str, delete: Callable[[], object]) -> None:
        """Delete remotely, or leave a local note to do it later."""
        pending = self.folder / f"{_PENDING_DELETE_PREFIX}{name}"
        pending.touch()
        with suppress(StudioError):
            with suppress(NotFound), self._translate_errors(missing=True):
                delete()
            pending.unlink(missing_ok=True)

    def _delete_remote_partials(self, seconds: float) -> None:
        """Delete partial files of killed processes on a store that shows partial files."""
        parts = posixpath.join(self._root, _PARTS_FOLDER)
        with suppress(FileNotFoundError, NotImplementedError):  # not every store knows modification times
            for part in [] if writes_atomically(self._fs) else self._fs.ls(parts, detail=False):
                if self._fs.modified(part).timestamp() < time.time() - seconds:
                    self._fs.rm_file(part)

    @contextmanager
    def _lock_name(self, name: str) -> Iterator[None]:
        """Hold the lock of a name, so that two threads do not download the same file."""
        with self._lock:
            name_lock = self._name_locks.setdefault(name, threading.Lock())
        with name_lock:
            yield

    def _list_cached(self) -> list[tuple[float, int, Path]]:
        """Return the last use, size and path of each cached file, least recently used first."""
        found = []
        for path in self.folder.glob("file-*"):
            with suppress(FileNotFoundError):  # deleted meanwhile
                found.append((path.stat().st_mtime, path.stat().st_size, path))
        return sorted(found)

    def _evict_to_capacity(self, size: int) -> None:
        """Count `size` new bytes; beyond the capacity recount, as others write here too, and evict a tenth of it."""
        with self._lock:
            self._cached_bytes += size
            if self._cached_bytes <= self._capacity_bytes:
                return
            rows = self._list_cached()
            self._cached_bytes = sum(size for _, size, _ in rows)
            for used, size, path in rows:
                if self._cached_bytes <= self._capacity_bytes * 0.9 or used > time.time() - MIN_CACHE_SECONDS:
                    return
                path.unlink(missing_ok=True)
                self._cached_bytes -= size


def _touch_if_present(path: Path, size: int | None) -> bool:
    """Mark the file as just used; False when it is missing or has not `size` bytes."""
    with suppress(FileNotFoundError):
        if size in (None, path.stat().st_size):
            os.utime(path)
            return True
    return False
