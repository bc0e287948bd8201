"""Files on a store that several machines reach, with a folder of this one as a cache; knows no row and no picture."""

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

CACHE_BYTES = 4 << 30
"""What lies in the cache at most; half of what the disk can spare where that is less."""
MIN_CACHE_SECONDS = 60.0
"""Seconds after its last use for which a file stays in the cache: somebody may be about to open it."""
RECHECK_SECONDS = 600.0
"""Seconds without use after which a file is looked up that another studio may have deleted."""
RETRY_SECONDS = 5.0
"""Seconds after a failure for which the store is not asked: a library that finds that out has waited long enough."""
WRONG_STORE_MESSAGE = (
    "--files names another store than before, or a share that is not mounted. To use it all the same, delete {}"
)

_FILE_ID = re.compile(r"file-[0-9a-f]{40}")
_FILE_ID_CHARS = len("file-") + 40
_MARK_NAME, _SEEN_MARK_NAME, _PENDING_DELETE_PREFIX, _PARTS_FOLDER = "designerbox.id", ".store", ".owed-", ".parts"


def open_store(url: str, data: Path) -> LocalStore:
    """Where files lie: in the studio's folder `data` alone, or at `url` as well.

    Raises `BadInput` where that is no store, `storage_unavailable` where it cannot be reached.
    """
    folder = data / "files"
    if url:
        return CachedStore(url, folder)
    (folder / _SEEN_MARK_NAME).unlink(missing_ok=True)  # what is written from here on is on no store
    return LocalStore(folder)


class CachedStore(LocalStore):
    """What a name stands for is on the store before `put` returns, and fetched from there where it is not here.

    Each file's bytes, and what its owners' uploads said, lie in a folder of the store that is called as its id.
    """

    def __init__(self, url: str, folder: Path, room: int = CACHE_BYTES) -> None:
        super().__init__(folder)
        self._lock = threading.Lock()
        self._name_locks: WeakValueDictionary[str, threading.Lock] = WeakValueDictionary()
        self._unreachable_until = 0.0
        self._fs, self._root = open_filesystem(url)
        self._cached_bytes = sum(size for _, size, _ in self._list_cached())
        self._capacity_bytes = min(room, (shutil.disk_usage(folder).free + self._cached_bytes) // 2)
        self._verify_store()

    def put(self, name: str, data: bytes, *, defer_sync: bool = False) -> Path:
        """See `Folder`. `later` spares the disk of this machine alone: another may be asked for the file at once."""
        self._upload_file(name, data)
        (self.folder / f"{_PENDING_DELETE_PREFIX}{name}").unlink(missing_ok=True)
        path = super().put(name, data, defer_sync=defer_sync)
        self._evict_to_capacity(len(data))
        return path

    def fetch(self, name: str, size: int | None = None) -> Path:
        """See `Folder`; it stays for `YOUNG` seconds at least."""
        path = self.folder / name
        if not _touch_if_present(path, size):
            with self._lock_name(name):
                if not _touch_if_present(path, size):
                    self._download_file(name, path, size)
        return path

    def read_if_present(self, name: str) -> bytes | None:
        """See `Folder`. Asked of the store each time: unlike a file, this may be written anew."""
        with suppress(NotFound), self._translate_errors(missing=True):
            return self._fs.cat_file(self._remote_path(name))
        return None

    def delete_all_of(self, file_id: str) -> None:
        """See `Folder`. Where the store cannot be reached it is done by `clear`, once it can."""
        super().delete_all_of(file_id)
        if _FILE_ID.fullmatch(file_id):  # of a shorter name more would be deleted
            self._delete_remote(file_id, lambda: self._fs.rm(self._remote_path(file_id), recursive=True))

    def delete_one(self, name: str) -> None:
        """See `drop`."""
        super().delete_one(name)
        self._delete_remote(name, lambda: self._fs.rm_file(self._remote_path(name)))

    def is_lost(self, name: str, size: int) -> bool:
        """No power cut here takes what is on the store."""
        return False

    def delete_stale_files(self, seconds: float, known: Callable[[str], bool]) -> None:
        """See `Folder`. Also what is owed to the store, and what other studios have deleted."""
        super().delete_stale_files(seconds, known)
        for debt in self.folder.glob(f"{_PENDING_DELETE_PREFIX}*"):
            name = debt.name.removeprefix(_PENDING_DELETE_PREFIX)
            if not _FILE_ID.fullmatch(name):
                self.delete_one(name)
            elif known(name):  # somebody brought it anew
                debt.unlink(missing_ok=True)
            else:
                self.delete_all_of(name)
        for used, _, path in self._list_cached():
            if used < time.time() - RECHECK_SECONDS and not known(path.name[:_FILE_ID_CHARS]):
                path.unlink(missing_ok=True)
        with suppress(StudioError), self._translate_errors():  # the log says so, and the next look is soon
            self._delete_remote_partials(seconds)

    # ------------------------------------------------------------ on the store

    def _remote_path(self, name: str) -> str:
        folder = posixpath.join(self._root, name[:_FILE_ID_CHARS])
        return folder if len(name) == _FILE_ID_CHARS else posixpath.join(folder, name)

    def _partial_path(self) -> str:
        return posixpath.join(self._root, _PARTS_FOLDER, uuid.uuid4().hex)

    @contextmanager
    def _translate_errors(self, *, missing: bool = False) -> Iterator[None]:
        """As `Told`; where the store could not be reached a moment ago, it is told at once."""
        if time.monotonic() < self._unreachable_until:
            raise StudioError(UNREACHABLE_MESSAGE, code="storage_unavailable")
        try:
            with StoreErrorTranslator(missing=missing):
                yield
        except StudioError as error:
            if error.code == "storage_unavailable":
                self._unreachable_until = time.monotonic() + RETRY_SECONDS
            raise

    def _verify_store(self) -> None:
        """Know the store again by its mark; one that is new to this machine is brought what lies here."""
        seen, mark = self.folder / _SEEN_MARK_NAME, posixpath.join(self._root, _MARK_NAME)
        before = seen.read_text() if seen.exists() else ""
        with StoreErrorTranslator():
            if not before and not self._fs.exists(mark):
                write_file(self._fs, mark, uuid.uuid4().hex.encode(), self._partial_path())
            there = self._fs.cat_file(mark).decode() if self._fs.exists(mark) else ""
        if before not in ("", there):
            raise BadInput(WRONG_STORE_MESSAGE.format(seen))
        ours = [] if before else [path for _, _, path in self._list_cached()]
        for path in ours:
            self._upload_file(path.name, path.read_bytes())
        if ours:
            log.info("%d files of this machine were brought to the store", len(ours))
        seen.write_text(there)

    def _check_mark(self) -> None:
        """Raises `storage_unavailable` where what answers has no mark: a share not mounted is an empty folder."""
        with self._translate_errors():
            self._fs.info(posixpath.join(self._root, _MARK_NAME))

    def _upload_file(self, name: str, data: bytes) -> None:
        if not writes_atomically(self._fs):
            self._check_mark()
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
            if size is not None:  # a row says that it is there
                self._check_mark()
            raise
        self._evict_to_capacity(found)

    def _delete_remote(self, name: str, act: Callable[[], object]) -> None:
        """Delete it there, or remember to."""
        debt = self.folder / f"{_PENDING_DELETE_PREFIX}{name}"
        debt.touch()
        with suppress(StudioError):
            with suppress(NotFound), self._translate_errors(missing=True):
                act()
            debt.unlink(missing_ok=True)

    def _delete_remote_partials(self, seconds: float) -> None:
        """Delete what a killed process left half written on a store that shows it."""
        parts = posixpath.join(self._root, _PARTS_FOLDER)
        with suppress(FileNotFoundError, NotImplementedError):  # not every store tells ages
            for part in [] if writes_atomically(self._fs) else self._fs.ls(parts, detail=False):
                if self._fs.modified(part).timestamp() < time.time() - seconds:
                    self._fs.rm_file(part)

    # ------------------------------------------------------------ the cache

    @contextmanager
    def _lock_name(self, name: str) -> Iterator[None]:
        """One at a time for each name: whoever comes second finds the file."""
        with self._lock:
            turn = self._name_locks.setdefault(name, threading.Lock())
        with turn:
            yield

    def _list_cached(self) -> list[tuple[float, int, Path]]:
        """When each file was used last, its bytes, and where it lies; oldest use first."""
        found = []
        for path in self.folder.glob("file-*"):
            with suppress(FileNotFoundError):  # deleted meanwhile
                found.append((path.stat().st_mtime, path.stat().st_size, path))
        return sorted(found)

    def _evict_to_capacity(self, size: int) -> None:
        """By so many bytes. Beyond its room it gives up a tenth, so that it seldom has to be looked through.

        Other processes may write here, so the files are counted anew.
        """
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
    """Whether it lies here, `size` bytes of it; it is the youngest then."""
    with suppress(FileNotFoundError):
        if size in (None, path.stat().st_size):
            os.utime(path)
            return True
    return False
