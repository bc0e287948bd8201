"""Records what the nets for cutting out say in the tests: `python -m tests.record_maps` runs all of them.

Run it when such a net, what it is shown or many of the tests' photos changed. What is not recorded is asked of the net
itself, which takes the tests longer.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from tests.support import recorded_maps


def main() -> int:
    """Record anew, and replace the maps by that if all tests passed; return pytest's status."""
    maps = recorded_maps.MAPS_FOLDER
    new = maps.with_name(f"{maps.name}-new")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir()
    command = [sys.executable, "-m", "pytest", "--ignore=tests/browser"]
    environment = {**os.environ, recorded_maps.RECORDING_VARIABLE: str(new)}
    status = subprocess.run(command, env=environment, check=False).returncode
    if status == 0:
        shutil.rmtree(maps)
        new.rename(maps)
    else:
        sys.stderr.write(f"The maps stay as they were: not all tests passed. What was recorded is in {new}.\n")
    return status


if __name__ == "__main__":
    sys.exit(main())
