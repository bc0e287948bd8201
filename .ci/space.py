"""Resolves what the builder of a Gradio Space installs, and installs its `mcp` into a folder, to test /mcp with it.

    python .ci/space.py FOLDER [OPTION OF uv …]

The builder installs requirements.txt in one resolution with what it adds. No documentation says so: it is what the
builder's logs show.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
ADDED = ("gradio[oauth,mcp]=={sdk_version}", "uvicorn>=0.14", "websockets>=10.4", "spaces")
SHOWN = ("gradio", "mcp", "pydantic", "torch", "torchvision", "spaces")


def read_front_matter(name: str) -> str:
    """Return a value of the block at the top of the README."""
    block = (ROOT / "README.md").read_text("utf-8").split("---\n")[1]
    found = re.search(rf'^{name}: *"?([^"\n]+)"?$', block, re.MULTILINE)
    if found is None:
        sys.exit(f"The front matter of README.md has no {name}.")
    return found[1]


def run_uv(*arguments: str, given: str = "") -> str:
    """Run `uv pip …`; ends the program where it fails, and says whether that is the index's fault."""
    done = subprocess.run(["uv", "pip", *arguments], input=given, capture_output=True, text=True, check=False)
    if done.returncode:
        asked = "No solution found" in done.stderr or "Failed to fetch" not in done.stderr
        cause = "A Space cannot be built" if asked else "The package index does not answer, so nothing was checked"
        sys.exit(f"{cause}:\n{done.stderr}")
    return done.stdout


def main() -> None:
    """Resolve, print the versions that matter, and fill the folder."""
    folder, *options = sys.argv[1:]
    added = "\n".join(ADDED).format(sdk_version=read_front_matter("sdk_version"))
    requirements = f"-r {ROOT}/requirements.txt\n-r {ROOT}/pre-requirements.txt\n{added}\n"
    python = ("--python-version", read_front_matter("python_version"), "--python-platform", "x86_64-manylinux_2_28")
    lock = run_uv("compile", "-q", "--no-header", "--no-annotate", *python, *options, "-", given=requirements)
    versions = dict(line.split("==") for line in lock.splitlines() if "==" in line)
    sys.stdout.write(f"Python {python[1]}: {', '.join(f'{name} {versions[name]}' for name in SHOWN)}\n")
    constraint = Path(folder) / "space.txt"
    constraint.parent.mkdir(parents=True, exist_ok=True)
    constraint.write_text(lock)
    run_uv("install", "-q", "--target", folder, "--constraint", str(constraint), *options, "mcp", "pydantic")


if __name__ == "__main__":
    main()
