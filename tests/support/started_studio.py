"""What `python app.py` imports until it serves, in its order, with the modules that were there after each step.

The fork server of `tests/support/forks.py` imports this, a fresh interpreter.
"""

from __future__ import annotations

import gc
import inspect
import os
import sys
from pathlib import Path
from typing import NoReturn

gc.disable()  # collections would look through all that is imported, again in each fork

import app  # noqa: E402
from ui.gradio_patches.light_start import import_gradio  # noqa: E402

_find_file = inspect.getfile
import_gradio()
IS_INSPECT_WHOLE = inspect.getfile is _find_file
NAMES_AFTER_GRADIO = frozenset(sys.modules)

import ui.api.routes.mcp  # noqa: E402
import ui.page  # noqa: E402
import ui.server.serve  # noqa: E402, F401

NAMES_AFTER_STUDIO = frozenset(sys.modules)
gc.freeze()
gc.enable()


def list_imported() -> tuple[bool, frozenset[str], frozenset[str]]:
    """Return whether `inspect` is as it was, the modules after the import of Gradio and those after the studio's."""
    return IS_INSPECT_WHOLE, NAMES_AFTER_GRADIO, NAMES_AFTER_STUDIO


def run_app(folder: Path, *flags: str) -> NoReturn:
    """Run `python app.py` with flags; it prints into the files `out` and `err` in a folder."""
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(folder / name, os.O_WRONLY | os.O_CREAT, 0o600), number)
    os.environ.pop("GRADIO_TEMP_DIR", None)
    sys.exit(app.main([*flags, "--log", "json"]))
