"""Whether what is installed has known weaknesses. Exit status 1 for a weakness only.

Needs an index of weaknesses that answers within a minute or two. Where it does not, a sentence says that nothing was
looked at: an answer that never came is no finding. `python .ci/audit.py SITE_PACKAGES`
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

SECONDS = 45
"""For each of installing and asking."""
NOT_LOOKED = "not looked at: "


def main(installed: str) -> int:
    """Install pip-audit apart from what it judges, ask, and say what came of it."""
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder) / "told.json"
        try:
            venv.create(Path(folder) / "venv", with_pip=True)
            python = str(Path(folder) / "venv" / "bin" / "python")
            subprocess.run([python, "-m", "pip", "install", "-q", "pip-audit>=2.9,<3"], timeout=SECONDS, check=True)
            ask = [python, "-m", "pip_audit", "--progress-spinner", "off", "--timeout", "10", "--format", "json"]
            subprocess.run([*ask, "--output", str(told), "--path", installed], timeout=SECONDS, check=False)
        except subprocess.TimeoutExpired:
            return _say(f"{NOT_LOOKED}the index of weaknesses did not answer within {SECONDS} s")
        except (subprocess.CalledProcessError, OSError):
            return _say(f"{NOT_LOOKED}pip-audit cannot be installed here")
        return judged(told.read_text() if told.exists() else "")


def judged(told: str) -> int:
    """0, or 1 with a line for each weakness in pip-audit's JSON; text that is none is no finding."""
    try:
        rows = json.loads(told)["dependencies"]
    except (ValueError, KeyError, TypeError):
        return _say(f"{NOT_LOOKED}the index of weaknesses does not answer here")
    weak = [(row, found) for row in rows for found in row.get("vulns", ())]
    for row, found in weak:
        mended = ", ".join(found["fix_versions"]) or "no version"
        _say(f"{row['name']} {row['version']}: {found['id']}, mended in {mended}")
    _say(f"{len(rows)} packages, {len(weak)} known weaknesses")
    return 1 if weak else 0


def _say(sentence: str) -> int:
    sys.stdout.write(sentence + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
