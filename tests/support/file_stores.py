"""Where files may lie, for tests that hold over each kind; and a store that can be shut."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.memory import MemoryFileSystem

from pipelines.storage.cached_store import open_store
from pipelines.storage.file_index import FileIndex

STORE_KINDS = ("local", "file", "memory")
STORE_SECRET = "AKIAnobodysKeyAtAll"


def make_store_url(kind: str, root: Path) -> str:
    """A store of that kind that nobody has used, "" for the studio's own folder."""
    return {"local": "", "file": f"file://{root / 'mnt'}"}.get(kind, f"{kind}://{uuid.uuid4().hex}/files")


def open_files(root: Path, url: str, index: Path | None = None) -> FileIndex:
    """Files whose index lies in `index` and whose folder, or cache, in `root`."""
    root.mkdir(parents=True, exist_ok=True)
    return FileIndex(index or root, store=open_store(url, root))


def delete_local_files(files: FileIndex) -> None:
    """What a machine has left whose disk was replaced."""
    for path in files.root.iterdir():
        path.unlink()


class StoreClosed(Exception):
    """An error of a kind that only this store has; what it says holds a password."""


class ClosableStore(MemoryFileSystem):
    """A store in memory whose door can be shut, as `door://`."""

    protocol = "door"
    store: dict[str, Any] = {}
    pseudo_dirs = [""]
    shut: type[Exception] | None = None

    def _check_open(self) -> None:
        if ClosableStore.shut is not None:
            raise ClosableStore.shut(f"https://{STORE_SECRET}@store/ said no")

    def _open(self, path: str, mode: str = "rb", *rest: Any, **options: Any) -> Any:
        self._check_open()
        return super()._open(path, mode, *rest, **options)

    def cat_file(self, path: str, start: Any = None, end: Any = None, **options: Any) -> bytes:
        self._check_open()
        return super().cat_file(path, start, end, **options)

    def info(self, path: str, **options: Any) -> dict[str, Any]:
        self._check_open()
        return super().info(path, **options)

    def rm(self, path: Any, recursive: bool = False, maxdepth: Any = None) -> None:
        self._check_open()
        super().rm(path, recursive, maxdepth)

    def rm_file(self, path: str) -> None:  # pyrefly: ignore[bad-override]
        self._check_open()
        super().rm_file(path)


fsspec.register_implementation("door", ClosableStore, clobber=True)
