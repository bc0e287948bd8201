"""Records what the nets for cutting out say in the tests: `python -m tests.record_maps` runs all of them.

Run it when such a net, what it is shown or many of the tests' photos changed. What is not recorded is asked of the net
itself, which takes the tests longer.
"""

from __future__ import annotations

import os
import subprocess
import sys

from tests.support.recorded_maps import MAPS_FOLDER, RECORDING_VARIABLE


def main() -> int:
    """Replace every recorded map; return pytest's status."""
    for path in MAPS_FOLDER.glob("*.png"):
        path.unlink()
    command = [sys.executable, "-m", "pytest", "--ignore=tests/browser"]
    return subprocess.run(command, env={**os.environ, RECORDING_VARIABLE: "1"}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
