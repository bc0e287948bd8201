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
from pipelines.storage.fsspec_store import UNREACHABLE, Told, at, keep, shows_whole
from pipelines.storage.local_store import Folder, whole

log = logging.getLogger(__name__)

CACHE_BYTES = 4 << 30
"""What lies in the cache at most; half of what the disk can spare where that is less."""
YOUNG = 60.0
"""Seconds after its last use for which a file stays in the cache: somebody may be about to open it."""
IDLE = 600.0
"""Seconds without use after which a file is looked up that another studio may have deleted."""
AWAY = 5.0
"""Seconds after a failure for which the store is not asked: a library that finds that out has waited long enough."""
ANOTHER = "--files names another store than before, or a share that is not mounted. To use it all the same, delete {}"

_ID = re.compile(r"file-[0-9a-f]{40}")
_LONG = len("file-") + 40
_MARK, _SEEN, _OWED, _PARTS = "designerbox.id", ".store", ".owed-", ".parts"


def opened(url: str, data: Path) -> Folder:
    """Where files lie: in the studio's folder `data` alone, or at `url` as well.

    Raises `BadInput` where that is no store, `storage_unavailable` where it cannot be reached.
    """
    folder = data / "files"
    if url:
        return Cached(url, folder)
    (folder / _SEEN).unlink(missing_ok=True)  # what is written from here on is on no store
    return Folder(folder)


class Cached(Folder):
    """What a name stands for is on the store before `put` returns, and fetched from there where it is not here.

    Each file's bytes, and what its owners' uploads said, lie in a folder of the store that is called as its id.
    """

    def __init__(self, url: str, folder: Path, room: int = CACHE_BYTES) -> None:
        super().__init__(folder)
        self._lock = threading.Lock()
        self._turns: WeakValueDictionary[str, threading.Lock] = WeakValueDictionary()
        self._away = 0.0
        self._fs, self._root = at(url)
        self._held = sum(size for _, size, _ in self._cached())
        self._room = min(room, (shutil.disk_usage(folder).free + self._held) // 2)
        self._join()

    def put(self, name: str, data: bytes, *, later: bool = False) -> Path:
        """See `Folder`. `later` spares the disk of this machine alone: another may be asked for the file at once."""
        self._upload(name, data)
        (self.folder / f"{_OWED}{name}").unlink(missing_ok=True)
        path = super().put(name, data, later=later)
        self._grown(len(data))
        return path

    def fetch(self, name: str, size: int | None = None) -> Path:
        """See `Folder`; it stays for `YOUNG` seconds at least."""
        path = self.folder / name
        if not _used(path, size):
            with self._turn(name):
                if not _used(path, size):
                    self._download(name, path, size)
        return path

    def find(self, name: str) -> bytes | None:
        """See `Folder`. Asked of the store each time: unlike a file, this may be written anew."""
        with suppress(NotFound), self._reached(missing=True):
            return self._fs.cat_file(self._at(name))
        return None

    def drop(self, file_id: str) -> None:
        """See `Folder`. Where the store cannot be reached it is done by `clear`, once it can."""
        super().drop(file_id)
        if _ID.fullmatch(file_id):  # of a shorter name more would be deleted
            self._rid(file_id, lambda: self._fs.rm(self._at(file_id), recursive=True))

    def drop_one(self, name: str) -> None:
        """See `drop`."""
        super().drop_one(name)
        self._rid(name, lambda: self._fs.rm_file(self._at(name)))

    def lost(self, name: str, size: int) -> bool:
        """No power cut here takes what is on the store."""
        return False

    def clear(self, seconds: float, known: Callable[[str], bool]) -> None:
        """See `Folder`. Also what is owed to the store, and what other studios have deleted."""
        super().clear(seconds, known)
        for debt in self.folder.glob(f"{_OWED}*"):
            name = debt.name.removeprefix(_OWED)
            if not _ID.fullmatch(name):
                self.drop_one(name)
            elif known(name):  # somebody brought it anew
                debt.unlink(missing_ok=True)
            else:
                self.drop(name)
        for used, _, path in self._cached():
            if used < time.time() - IDLE and not known(path.name[:_LONG]):
                path.unlink(missing_ok=True)
        with suppress(StudioError), self._reached():  # the log says so, and the next look is soon
            self._clear_there(seconds)

    # ------------------------------------------------------------ on the store

    def _at(self, name: str) -> str:
        folder = posixpath.join(self._root, name[:_LONG])
        return folder if len(name) == _LONG else posixpath.join(folder, name)

    def _part(self) -> str:
        return posixpath.join(self._root, _PARTS, uuid.uuid4().hex)

    @contextmanager
    def _reached(self, *, missing: bool = False) -> Iterator[None]:
        """As `Told`; where the store could not be reached a moment ago, it is told at once."""
        if time.monotonic() < self._away:
            raise StudioError(UNREACHABLE, code="storage_unavailable")
        try:
            with Told(missing=missing):
                yield
        except StudioError as error:
            if error.code == "storage_unavailable":
                self._away = time.monotonic() + AWAY
            raise

    def _join(self) -> None:
        """Know the store again by its mark; one that is new to this machine is brought what lies here."""
        seen, mark = self.folder / _SEEN, posixpath.join(self._root, _MARK)
        before = seen.read_text() if seen.exists() else ""
        with Told():
            if not before and not self._fs.exists(mark):
                keep(self._fs, mark, uuid.uuid4().hex.encode(), self._part())
            there = self._fs.cat_file(mark).decode() if self._fs.exists(mark) else ""
        if before not in ("", there):
            raise BadInput(ANOTHER.format(seen))
        ours = [] if before else [path for _, _, path in self._cached()]
        for path in ours:
            self._upload(path.name, path.read_bytes())
        if ours:
            log.info("%d files of this machine were brought to the store", len(ours))
        seen.write_text(there)

    def _stands(self) -> None:
        """Raises `storage_unavailable` where what answers has no mark: a share not mounted is an empty folder."""
        with self._reached():
            self._fs.info(posixpath.join(self._root, _MARK))

    def _upload(self, name: str, data: bytes) -> None:
        if not shows_whole(self._fs):
            self._stands()
        with self._reached():
            keep(self._fs, self._at(name), data, self._part())

    def _download(self, name: str, path: Path, size: int | None) -> None:
        try:
            with whole(path) as part, self._reached(missing=True):
                self._fs.get_file(self._at(name), str(part))
                found = part.stat().st_size
                if size not in (None, found):
                    raise NotFound("The stored file can no longer be read.")
        except NotFound:
            if size is not None:  # a row says that it is there
                self._stands()
            raise
        self._grown(found)

    def _rid(self, name: str, act: Callable[[], object]) -> None:
        """Delete it there, or remember to."""
        debt = self.folder / f"{_OWED}{name}"
        debt.touch()
        with suppress(StudioError):
            with suppress(NotFound), self._reached(missing=True):
                act()
            debt.unlink(missing_ok=True)

    def _clear_there(self, seconds: float) -> None:
        """Delete what a killed process left half written on a store that shows it."""
        parts = posixpath.join(self._root, _PARTS)
        with suppress(FileNotFoundError, NotImplementedError):  # not every store tells ages
            for part in [] if shows_whole(self._fs) else self._fs.ls(parts, detail=False):
                if self._fs.modified(part).timestamp() < time.time() - seconds:
                    self._fs.rm_file(part)

    # ------------------------------------------------------------ the cache

    @contextmanager
    def _turn(self, name: str) -> Iterator[None]:
        """One at a time for each name: whoever comes second finds the file."""
        with self._lock:
            turn = self._turns.setdefault(name, threading.Lock())
        with turn:
            yield

    def _cached(self) -> list[tuple[float, int, Path]]:
        """When each file was used last, its bytes, and where it lies; oldest use first."""
        found = []
        for path in self.folder.glob("file-*"):
            with suppress(FileNotFoundError):  # deleted meanwhile
                found.append((path.stat().st_mtime, path.stat().st_size, path))
        return sorted(found)

    def _grown(self, size: int) -> None:
        """By so many bytes. Beyond its room it gives up a tenth, so that it seldom has to be looked through.

        Other processes may write here, so the files are counted anew.
        """
        with self._lock:
            self._held += size
            if self._held <= self._room:
                return
            rows = self._cached()
            self._held = sum(size for _, size, _ in rows)
            for used, size, path in rows:
                if self._held <= self._room * 0.9 or used > time.time() - YOUNG:
                    return
                path.unlink(missing_ok=True)
                self._held -= size


def _used(path: Path, size: int | None) -> bool:
    """Whether it lies here, `size` bytes of it; it is the youngest then."""
    with suppress(FileNotFoundError):
        if size in (None, path.stat().st_size):
            os.utime(path)
            return True
    return False
