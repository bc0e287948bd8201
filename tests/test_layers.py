"""Imports point one way, heavy libraries come late, threads start in five rooms, and nothing is swallowed."""

from __future__ import annotations

import ast
import gc
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HEAVY = {"torch", "torchvision", "diffusers", "transformers", "accelerate", "controlnet_aux", "spaces", "ray"}
STARTERS = {"multiprocessing", "pebble", "concurrent", "subprocess", "_thread"}

# app -> ui -> batch -> desk -> jobs -> engines -> (tools, studio) -> parts -> models -> types, the longest that fits.
RANK = {
    "app": 10,
    "ui": 9,
    "pipelines.batch": 8,
    "pipelines.service.orders": 7,
    "pipelines.jobs.queue": 6,
    "pipelines.engines": 5,
    "pipelines.runtime.context": 4,
    "pipelines.tools": 4,
    "pipelines.settings": 4,
    "pipelines.storage.file_index": 4,
    "pipelines.jobs.table": 4,
    "pipelines.jobs.subscribers": 5,
    "pipelines.jobs.workers": 5,
    "pipelines.jobs.retention": 5,
    "pipelines.service.saved_items": 5,
    "pipelines.jobs.search": 5,
    "pipelines.security.ssrf_guard": 4,
    "pipelines.jobs.webhooks": 5,
    "pipelines.core.stream": 4,
    "pipelines.runtime.progress": 4,  # lies among the parts and works for the studio: it writes to the stream
    "pipelines.parts": 3,
    "pipelines.storage.cached_store": 3,
    "pipelines.storage.fsspec_store": 3,
    "pipelines.storage.local_store": 3,
    "pipelines.storage.disk_space": 2,
    "pipelines.storage.database": 1,
    "pipelines.storage.postgres": 1,
    "pipelines.core.malloc": 3,
    "pipelines.models": 2,
    "pipelines.core.types": 1,
}
# Rooms of one rank that may look at each other. No tool is among them: it knows the studio as a protocol in types only.
BESIDE = {
    ("pipelines.runtime.context", "pipelines.settings"),
    ("pipelines.runtime.context", "pipelines.storage.file_index"),
    ("pipelines.runtime.context", "pipelines.core.stream"),
    ("pipelines.runtime.context", "pipelines.runtime.progress"),
    ("pipelines.runtime.progress", "pipelines.core.stream"),
    ("pipelines.jobs.workers", "pipelines.jobs.subscribers"),
    ("pipelines.storage.fsspec_store", "pipelines.storage.local_store"),
    ("pipelines.storage.cached_store", "pipelines.storage.local_store"),
    ("pipelines.storage.cached_store", "pipelines.storage.fsspec_store"),
    ("pipelines.storage.database", "pipelines.storage.postgres"),
    ("pipelines.storage.postgres", "pipelines.storage.database"),
}
THREADS_START_IN = (
    "pipelines.core.stream", "pipelines.jobs.workers", "pipelines.engines", "pipelines.ingest.decoder_pool", "pipelines.jobs.webhooks",
)  # fmt: skip
# Shapes the processes that parts.ingest starts, and starts none itself.
SPAWNING = (*THREADS_START_IN, "pipelines.core.isolated_process")


@dataclass(frozen=True)
class Source:
    """One file: its dotted name, its syntax tree, and the line for a message."""

    name: str
    path: Path
    tree: ast.Module

    def at(self, node: ast.AST) -> str:
        return f"{self.path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"


def dotted(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def sources() -> tuple[Source, ...]:
    paths = [ROOT / "app.py", *sorted((ROOT / "ui").rglob("*.py")), *sorted((ROOT / "pipelines").rglob("*.py"))]
    # Python 3.11 loses count of its depth when garbage is collected in the middle of a parse.
    gc.disable()
    try:
        return tuple(Source(dotted(p), p, ast.parse(p.read_text("utf-8"))) for p in paths if p.exists())
    finally:
        gc.enable()


def imported(node: ast.AST, module: str) -> Iterator[str]:
    """Dotted names that one import statement of `module` may load; `from a import b` gives a and a.b."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        above = module.split(".")[: -node.level] if node.level else []
        base = ".".join([*above, *([node.module] if node.module else [])])
        yield base
        yield from (f"{base}.{alias.name}" for alias in node.names)


def room(name: str) -> str | None:
    fits = [known for known in RANK if name == known or name.startswith(known + ".")]
    return max(fits, key=len, default=None)


def within(name: str, rooms: tuple[str, ...]) -> bool:
    return any(name == known or name.startswith(known + ".") for known in rooms)


def allowed(importer: str, target: str) -> bool:
    return importer == target or RANK[importer] > RANK[target] or (importer, target) in BESIDE


def wrong_way(source: Source) -> Iterator[str]:
    here = room(source.name)
    for node in ast.walk(source.tree):
        for name in imported(node, source.name):
            there = room(name)
            if here and there and not allowed(here, there):
                yield f"{source.at(node)} imports {name}"


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)


def run_on_import(tree: ast.AST) -> Iterator[ast.AST]:
    """Nodes that are executed when the module is imported: not those in functions or for the type checker."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            continue
        if is_type_checking(node):
            assert isinstance(node, ast.If)
            yield from (n for branch in node.orelse for n in (branch, *run_on_import(branch)))
            continue
        yield node
        yield from run_on_import(node)


def heavy(node: ast.AST, source: Source) -> list[str]:
    return [name for name in imported(node, source.name) if name.split(".")[0] in HEAVY]


def starts_threads(source: Source) -> Iterator[str]:
    for node in ast.walk(source.tree):
        if any(name.split(".")[0] in STARTERS for name in imported(node, source.name)):
            yield source.at(node)
        named = node.attr if isinstance(node, ast.Attribute) else None
        if named in ("Thread", "Timer") or {"threading.Thread", "threading.Timer"} & set(imported(node, source.name)):
            yield source.at(node)


def catches_all(handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return True
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(isinstance(kind, ast.Name) and kind.id in ("Exception", "BaseException") for kind in kinds)


# ---------------------------------------------------------------- the rules


def test_every_room_has_a_rank() -> None:
    assert [s.name for s in sources() if room(s.name) is None and s.name != "pipelines"] == []


def test_imports_point_one_way() -> None:
    assert [line for source in sources() for line in wrong_way(source)] == []


def test_types_know_no_room() -> None:
    (types,) = (s for s in sources() if s.name == "pipelines.core.types")
    names = {name for node in ast.walk(types.tree) for name in imported(node, types.name)}
    assert not {name for name in names if name.split(".")[0] in ("pipelines", "ui", "app", "fastapi", "cv2")}


def test_heavy_libraries_are_never_imported_with_a_module() -> None:
    found = [s.at(n) for s in sources() for n in run_on_import(s.tree) if heavy(n, s)]
    assert found == []


def test_heavy_libraries_are_imported_by_models_and_engines_only() -> None:
    outside = [s for s in sources() if not within(s.name, ("pipelines.models", "pipelines.engines"))]
    assert [s.at(n) for s in outside for n in ast.walk(s.tree) if heavy(n, s)] == []


def test_importing_the_house_loads_no_torch() -> None:
    names = [s.name for s in sources() if s.name.startswith("pipelines") and not s.name.endswith("zerogpu")]
    code = f"import sys, importlib\nfor name in {names!r}: importlib.import_module(name)\n"
    code += f"print(sorted({HEAVY!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_threads_and_processes_start_in_five_rooms() -> None:
    assert [line for s in sources() if not within(s.name, SPAWNING) for line in starts_threads(s)] == []


def test_nothing_in_the_pipelines_catches_everything() -> None:
    handlers = [(s, n) for s in sources() for n in ast.walk(s.tree) if isinstance(n, ast.ExceptHandler)]
    assert [s.at(n) for s, n in handlers if s.name.startswith("pipelines") and catches_all(n)] == []


# ---------------------------------------------------------------- the rules can be broken


def written(name: str, code: str) -> Source:
    return Source(name, ROOT / "made_up.py", ast.parse(code))


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("pipelines.tools.headshot", "from pipelines.runtime.context import LocalStudio"),
        ("pipelines.tools.headshot", "from pipelines import files"),
        ("pipelines.matting.cutout", "from pipelines.tools import TOOLS"),
        ("pipelines.models.model_cache", "def f():\n    import pipelines.ingest.decoder_pool"),
        ("pipelines.ingest.decoder_pool", "from ..desk import Desk"),
        ("pipelines.storage.file_index", "import ui.api.auth.access"),
    ],
)
def test_a_wrong_import_is_seen(name: str, code: str) -> None:
    assert list(wrong_way(written(name, code)))


@pytest.mark.parametrize("code", ["import torch", "try:\n    from torch import nn\nexcept ImportError: pass"])
def test_a_heavy_import_is_seen(code: str) -> None:
    source = written("pipelines.models.x", code)
    assert any(heavy(n, source) for n in run_on_import(source.tree))
    late = written("pipelines.models.x", "def f():\n    import torch\nif TYPE_CHECKING:\n    import torch")
    assert not any(heavy(n, late) for n in run_on_import(late.tree))


@pytest.mark.parametrize(
    "code",
    [
        "import threading\nthreading.Thread(target=f).start()",
        "from threading import Thread",
        "from concurrent.futures import ThreadPoolExecutor",
        "import subprocess",
    ],
)
def test_a_started_thread_is_seen(code: str) -> None:
    assert list(starts_threads(written("ui.tool_tab.layout", code)))
    assert not list(starts_threads(written("ui.tool_tab.layout", "import threading\nlock = threading.Lock()")))


@pytest.mark.parametrize("kind", ["", " Exception", " (OSError, BaseException)"])
def test_a_broad_catch_is_seen(kind: str) -> None:
    tree = ast.parse(f"try:\n    f()\nexcept{kind}:\n    pass")
    assert any(catches_all(n) for n in ast.walk(tree) if isinstance(n, ast.ExceptHandler))
