"""Packages import downwards only, heavy libraries are imported late, threads start in few places, no broad except."""

from __future__ import annotations

import ast
import gc
import importlib
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import pytest

from tests.support.forks import call_forked

ROOT = Path(__file__).parent.parent
HEAVY = {"torch", "torchvision", "diffusers", "transformers", "accelerate", "controlnet_aux", "spaces", "ray"}
LOOKED_AT = (ast.Import, ast.ImportFrom, ast.Attribute, ast.ExceptHandler)
STARTERS = {"multiprocessing", "pebble", "concurrent", "subprocess", "_thread"}

# Lowest first. A package imports only from rows above its own in this list, and within itself; a longer name wins, so
# that single modules of ui.api have rows of their own. Packages of one row do not import each other.
LAYERS: tuple[tuple[str, ...], ...] = (
    ("pipelines.core",),
    ("pipelines.imaging",),
    ("pipelines.matting",),
    ("pipelines.models",),
    ("pipelines.framing",),
    ("pipelines.compositing",),
    ("pipelines.codecs",),
    ("pipelines.storage",),
    ("pipelines.settings", "pipelines.security", "pipelines.styles", "pipelines.avatars", "pipelines.provenance"),
    ("pipelines.quality", "pipelines.ingest", "pipelines.jobs"),
    ("pipelines.runtime", "pipelines.tools"),
    ("pipelines.service", "pipelines.engines"),
    ("pipelines.batch",),
    ("ui.gradio_patches", "ui.theme", "ui.i18n", "ui.components", "ui.navigation"),
    ("ui.api",),
    ("ui.api.auth",),
    ("ui.api.dependencies", "ui.api.documentation.code_snippets"),
    ("ui.api.routes", "ui.api.documentation.openapi_docs"),
    ("ui.api.app",),
    ("ui.tool_tab",),
    ("ui.saved_looks",),
    (
        "ui.home_tab", "ui.batch_tab", "ui.library_tab", "ui.learn_tab", "ui.api_tab", "ui.saved_tab", "ui.verify_tab",
        "ui.settings_tab", "ui.gradio_client_api",
    ),
    ("ui.page",),
    ("ui.server",),
    ("app",),
)  # fmt: skip
RANKS = {package: rank for rank, row in enumerate(LAYERS) for package in row}
# Threads and processes start here and nowhere else.
THREADS_START_IN = (
    "pipelines.core.stream",
    "pipelines.core.isolated_process",
    "pipelines.jobs",
    "pipelines.engines",
    "pipelines.models.hub",
    "pipelines.models.probes.gpu_probe",
    "pipelines.ingest",
)
# The only packages that may import torch, diffusers, transformers and Ray, and only inside functions.
HEAVY_IN = ("pipelines.models", "pipelines.engines")


@dataclass(frozen=True)
class Source:
    """One file: its dotted name, its syntax tree, and the line for a message."""

    name: str
    path: Path
    tree: ast.Module

    @cached_property
    def imports(self) -> tuple[ast.AST, ...]:
        """Its import statements."""
        return tuple(node for node in self.nodes if isinstance(node, (ast.Import, ast.ImportFrom)))

    @cached_property
    def nodes(self) -> tuple[ast.AST, ...]:
        """Every node of its tree that a rule looks at."""
        return tuple(node for node in ast.walk(self.tree) if isinstance(node, LOOKED_AT))

    def location(self, node: ast.AST) -> str:
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


def layer(name: str) -> str | None:
    """The package of `LAYERS` that the module `name` belongs to."""
    return max((known for known in RANKS if within(name, (known,))), key=len, default=None)


def within(name: str, packages: tuple[str, ...]) -> bool:
    return any(name == known or name.startswith(known + ".") for known in packages)


def imports_upwards(source: Source) -> Iterator[str]:
    own = layer(source.name)
    for node in source.imports:
        names = list(imported(node, source.name))
        # `from a import b` may name the module a.b: then only its layer counts, not that of the package a.
        for name in names if len(names) == 1 or isinstance(node, ast.Import) else names[1:]:
            other = layer(name)
            if own and other and own != other and RANKS[own] <= RANKS[other]:
                yield f"{source.location(node)} imports {name}"


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
    for node in source.nodes:
        if any(name.split(".")[0] in STARTERS for name in imported(node, source.name)):
            yield source.location(node)
        named = node.attr if isinstance(node, ast.Attribute) else None
        if named in ("Thread", "Timer") or {"threading.Thread", "threading.Timer"} & set(imported(node, source.name)):
            yield source.location(node)


def catches_all(handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return True
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(isinstance(kind, ast.Name) and kind.id in ("Exception", "BaseException") for kind in kinds)


# ---------------------------------------------------------------- the rules


def test_every_module_has_a_layer() -> None:
    assert [s.name for s in sources() if layer(s.name) is None and s.name not in ("pipelines", "ui")] == []


def test_no_package_is_named_twice() -> None:
    assert sum(len(row) for row in LAYERS) == len(RANKS)


def test_imports_point_downwards() -> None:
    assert [line for source in sources() for line in imports_upwards(source)] == []


def test_core_imports_nothing_of_the_studio() -> None:
    core = [s for s in sources() if within(s.name, ("pipelines.core",))]
    names = {name for s in core for node in s.imports for name in imported(node, s.name)}
    outside = {n for n in names if n.split(".")[0] in ("ui", "app", "fastapi", "cv2")}
    assert not outside | {n for n in names if n.startswith("pipelines.") and not within(n, ("pipelines.core",))}


def test_heavy_libraries_are_never_imported_with_a_module() -> None:
    found = [s.location(n) for s in sources() for n in run_on_import(s.tree) if heavy(n, s)]
    assert found == []


def test_heavy_libraries_are_imported_by_models_and_engines_only() -> None:
    outside = [s for s in sources() if not within(s.name, HEAVY_IN)]
    assert [s.location(n) for s in outside for n in s.imports if heavy(n, s)] == []


def import_without_posix(names: list[str]) -> tuple[list[str], int]:
    """Import the modules, and once more as on Windows; the heavy ones that came, and how many of the second time.

    asyncio and psutil have a way of their own for each system, as have libraries that were imported the first time.
    """
    for name in names:
        importlib.import_module(name)
    heavy_names = sorted(HEAVY & set(sys.modules))
    for name in [name for name in sys.modules if name.split(".")[0] == "pipelines"]:
        del sys.modules[name]
    for name in ("fcntl", "resource", "pwd", "grp", "termios", "pty", "readline"):
        sys.modules[name] = None  # to import it is an ImportError now  # pyrefly: ignore[unsupported-operation]
    for name in ("sysconf", "getuid", "geteuid", "fork", "statvfs", "sched_getaffinity"):
        delattr(os, name)
    for name in names:
        if ".ray_cluster" not in name:
            importlib.import_module(name)
    return heavy_names, len([name for name in sys.modules if name.startswith("pipelines.")])


def test_every_module_is_imported_without_torch_and_without_what_only_posix_has() -> None:
    """In a process that has imported the page too."""
    names = [s.name for s in sources() if s.name.startswith("pipelines")]
    heavy_names, count = call_forked(import_without_posix, names)
    assert heavy_names == []
    assert count > 150


def test_threads_and_processes_start_in_these_packages_only() -> None:
    assert [line for s in sources() if not within(s.name, THREADS_START_IN) for line in starts_threads(s)] == []


def test_nothing_in_the_pipelines_catches_everything() -> None:
    handlers = [(s, n) for s in sources() for n in s.nodes if isinstance(n, ast.ExceptHandler)]
    assert [s.location(n) for s, n in handlers if s.name.startswith("pipelines") and catches_all(n)] == []


# ---------------------------------------------------------------- the rules can be broken


def written(name: str, code: str) -> Source:
    return Source(name, ROOT / "made_up.py", ast.parse(code))


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("pipelines.tools.headshot", "from pipelines.runtime.context import anything"),
        ("pipelines.tools.headshot", "from pipelines.engines import local"),
        ("pipelines.matting.cutout", "from pipelines.tools import TOOLS"),
        ("pipelines.models.model_cache", "def f():\n    import pipelines.ingest.decoder_pool"),
        ("pipelines.ingest.decoder_pool", "from ..service import studio_service"),
        ("pipelines.storage.file_index", "import ui.api.auth.access"),
        ("ui.api.errors", "from ui.api.auth import keys"),
        ("ui.home_tab.cards", "from ui import saved_tab"),
    ],
)
def test_an_upward_import_is_seen(name: str, code: str) -> None:
    assert list(imports_upwards(written(name, code)))


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
