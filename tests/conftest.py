"""Isolation of every test run: Gradio's folder of uploads and downloads, and the handlers of the log."""

from __future__ import annotations

import os

# Nothing in the tests speaks TLS, and reading the certificates of the system takes 20 ms for each client of httpx: here
# in the commands that the tests start, below in the tests.
os.environ.setdefault("SSL_CERT_DIR", os.path.dirname(__file__))
# Before anything imports numpy, torch or OpenCV: the nets of the tests are small, and threads that wait for one another
# burn twice the processor time. Commands that the tests start inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENCV_FOR_THREADS_NUM", "1")
# The second matting net takes seconds for each photo: a test for which it matters asks for it (`Settings.matting`).
os.environ.setdefault("DESIGNERBOX_MATTING", "small")

# A picture is a block that glibc hands back to the system when it is freed, and takes page by page for the next one: a
# twentieth of the processor time. For the commands that the tests start here, for the tests themselves below.
os.environ.setdefault("MALLOC_TRIM_THRESHOLD_", str(1 << 30))
os.environ.setdefault("MALLOC_MMAP_THRESHOLD_", str(1 << 25))

import ctypes
import functools
import gc
import importlib.abc
import importlib.util
import logging
import ssl
import sys
import tempfile
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from uvicorn.config import LOGGING_CONFIG

from pipelines.core.malloc import M_ARENA_MAX
from tests.support.postgres import each_database as each_database
from tests.support.postgres import only_in_a_file as only_in_a_file
from tests.support.shared_resources import use_content_filter, use_upscaling_net
from tests.support.unsynced_disk import sync_to_disk

if sys.platform.startswith("linux") and hasattr(_libc := ctypes.CDLL(None), "malloc_trim"):
    _libc.mallopt(-1, int(os.environ["MALLOC_TRIM_THRESHOLD_"]))  # M_TRIM_THRESHOLD
    _libc.mallopt(-3, int(os.environ["MALLOC_MMAP_THRESHOLD_"]))  # M_MMAP_THRESHOLD; glibc takes 32 MiB at most
    # One heap for each of a hundred threads keeps what the others could take.
    _libc.mallopt(M_ARENA_MAX, 2)
ssl.create_default_context = functools.cache(ssl.create_default_context)
# A tenth of the processor time went into collections: the objects of torch and Gradio outlive each of them. What is
# frozen below stays so when the interpreter ends: it would look through three million objects before the system takes
# all memory back.
gc.set_threshold(400_000, 50, 100)

_FREEZE_MODULE_COUNT = 200
"""Modules imported since the last freeze that make another one worth it."""
_FILTERED_FILES = ("test_content_filter.py", "test_every_door.py")
"""Files of tests in which the content filter's net looks at pictures: elsewhere it would look at a thousand.

What every tool makes of the example photos passes it, which `test_tools.py` says in a test that asks for it.
"""
_MAX_REASON_CHARACTERS = 3_000
_FREEZE_FILE_COUNT = 20
"""Files of tests between two collections after which what is left is frozen."""


def _keep_bytecode() -> None:
    """Keep compiled modules in .pytest_cache if the environment forbids bytecode and the packages have none.

    Otherwise every process that a test starts compiles torch, Gradio and the product again.
    """
    if sys.dont_write_bytecode and not Path(importlib.util.cache_from_source(pytest.__file__)).exists():
        sys.dont_write_bytecode = False
        sys.pycache_prefix = str(Path(__file__).parents[1] / ".pytest_cache" / "bytecode")
        os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix
        del os.environ["PYTHONDONTWRITEBYTECODE"]


_keep_bytecode()


class _QuickGradioFinder(importlib.abc.MetaPathFinder):
    """Let whoever imports Gradio first import it as the product does: without writing stubs, a half of the time."""

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if fullname != "gradio":
            return None
        sys.meta_path.remove(self)
        from ui.gradio_patches.light_start import import_gradio

        import_gradio()
        spec = sys.modules["gradio"].__spec__
        assert spec is not None
        spec.loader = _LoadedModule(spec)
        return spec


class _LoadedModule(importlib.abc.Loader):
    """Hands over a module that was imported while it was looked for, and gives its spec its own loader back."""

    def __init__(self, spec: ModuleSpec) -> None:
        self._loader = spec.loader

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return sys.modules[spec.name]

    def exec_module(self, module: ModuleType) -> None:
        assert module.__spec__ is not None
        module.__spec__.loader = self._loader


sys.meta_path.insert(0, _QuickGradioFinder())


class _QuickManager:
    """The root logger's manager, whose loggers are those that hand nothing on: others reach the root logger's handlers.

    Pytest looks for them among all loggers six times for each test, and torch, Ray and transformers bring a thousand.
    """

    def __init__(self) -> None:
        self._found: dict[str, logging.Logger | logging.PlaceHolder] = {}
        self._looked_at_count = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(logging.Logger.manager, name)

    @property
    def loggerDict(self) -> dict[str, logging.Logger | logging.PlaceHolder]:  # noqa: N802
        """What pytest looks through, found anew when there are more loggers or another file of tests begins."""
        loggers = logging.Logger.manager.loggerDict
        if len(loggers) != self._looked_at_count:
            self._looked_at_count = len(loggers)
            self._found = {name: each for name, each in loggers.items() if not getattr(each, "propagate", True)}
        return self._found

    def look_again(self) -> None:
        """Look through all loggers the next time: one that is old may hand nothing on now."""
        self._looked_at_count = 0


_quick_manager = _QuickManager()
logging.root.manager = _quick_manager  # pyrefly: ignore[bad-assignment]


@pytest.fixture(autouse=True)
def _freeze_imports() -> None:
    """Take what was imported out of garbage collections: with torch and Gradio each of them takes half a second."""
    if len(sys.modules) - _frozen_module_counts[-1] > _FREEZE_MODULE_COUNT:
        _frozen_module_counts.append(len(sys.modules))
        gc.freeze()


_frozen_module_counts = [0]


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Between two files only what all tests share is alive: take that out of garbage collections too, now and then."""
    if item.path not in _seen_files:
        _seen_files.append(item.path)
        _quick_manager.look_again()
        use_content_filter(item.path.name in _FILTERED_FILES)
        use_upscaling_net(item.path.parent.name != "browser")  # the page shows what came, whatever drew it
        if len(_seen_files) % _FREEZE_FILE_COUNT == 0:
            gc.collect()
            gc.freeze()


_seen_files: list[Path] = []


def pytest_configure(config: pytest.Config) -> None:
    """Import the fuzzer as it is: pytest would rewrite the assertions of its 300 modules, which takes two seconds."""
    hook = getattr(config.pluginmanager, "rewrite_hook", None)
    if hook is not None:  # none with --assert=plain
        hook._must_rewrite -= {"hypothesis", "schemathesis"}  # pyrefly: ignore[missing-attribute]


def pytest_sessionfinish() -> None:
    """Leave little to the five collections by which pytest looks for errors of what was left over."""
    gc.collect()
    gc.freeze()


# By default a server's handlers keep the `sys.stderr` of the test that started it, which is closed after that test.
for handler in LOGGING_CONFIG["handlers"].values():
    handler.pop("stream", None)
    handler["class"] = "logging._StderrHandler"  # looks `sys.stderr` up at each record


@pytest.fixture(scope="session", autouse=True)
def _quick_nets() -> None:
    """Load the nets of ONNX once, with one thread each: threads that wait for another use twice the time."""
    from pipelines.models.nets import matting_net, open_nsfw
    from tests.support.shared_resources import remember_nets, remember_pngs

    remember_nets()
    remember_pngs()
    matting_net.THREAD_COUNT = open_nsfw.THREAD_COUNT = 1


@pytest.fixture(scope="session", autouse=True)
def _stored_pngs() -> None:
    """Packing the pictures that jobs make took a fiftieth of the time; unpacked they have the same pixels."""
    from pipelines.codecs import encode

    encode.PNG_COMPRESSION_LEVEL = 0


@pytest.fixture(scope="session", autouse=True)
def _unsynced_disk() -> None:
    """A third of the time of studios that write much went by in waiting for the disk."""
    sync_to_disk(False)


@pytest.fixture
def repeated_pixels() -> Iterator[None]:
    """Enlarged pictures repeat their pixels, where it does not matter what the net draws."""
    use_upscaling_net(False)
    yield
    use_upscaling_net(True)


@pytest.fixture
def content_filter() -> Iterator[None]:
    """Where the content filter's net is to look at pictures in a file of tests in which it looks at none else."""
    use_content_filter(True)
    yield
    use_content_filter(False)


@pytest.fixture
def synced_disk() -> Iterator[None]:
    """Where a test looks at what waits for the disk."""
    sync_to_disk(True)
    yield
    sync_to_disk(False)


@pytest.fixture(scope="session", autouse=True)
def _shared_decoders() -> Iterator[None]:
    """Let the studios of the tests share one worker."""
    from tests.support.shared_resources import share_decoder_pool

    with share_decoder_pool():
        yield


@pytest.fixture(scope="session", autouse=True)
def _stopped_fork_server() -> Iterator[None]:
    """End what `tests/support/forks.py` started, if a test did."""
    yield
    if "tests.support.forks" in sys.modules:
        sys.modules["tests.support.forks"].stop_fork_server()


@pytest.fixture(scope="session", autouse=True)
def _own_folder() -> Iterator[None]:
    """Two runs on one machine would take each other's files: they lie there by their content."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        os.environ["GRADIO_TEMP_DIR"] = str(Path(folder).resolve())
        yield
        del os.environ["GRADIO_TEMP_DIR"]


@pytest.fixture(autouse=True)
def _own_log_handlers() -> Iterator[None]:
    """Remove the handlers that a command set up within the test: they write to its captured stream, which is closed."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    yield
    for handler in root.handlers[:]:
        if handler not in before and type(handler) is logging.StreamHandler:
            root.removeHandler(handler)
    if root.level != level:  # setting it makes every logger forget what it knows
        root.setLevel(level)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print why a test failed the first time, since the summary only names it."""
    for report in terminalreporter.stats.get("rerun", []):
        terminalreporter.section(f"why {report.nodeid} ran again")
        terminalreporter.write_line(report.longreprtext[-_MAX_REASON_CHARACTERS:])
