"""Asks whether the model hub answers, within a few seconds whatever the network does; knows no models."""

from __future__ import annotations

import os
import subprocess
import sys

from pipelines.models.profiles import hub

_PROBE = """
import sys, urllib.error, urllib.request
try:
    urllib.request.urlopen(urllib.request.Request(sys.argv[1], method="HEAD"), timeout=30)
except urllib.error.HTTPError:
    pass
"""


def reachable(url: str = "", seconds: float = 3.0) -> bool:
    """Whether the hub answers within `seconds`, with whatever status. Honours HF_ENDPOINT and HF_HUB_OFFLINE.

    The question is put in a process of its own: looking up a name can hang for half a minute and takes no time limit.
    """
    if os.environ.get("HF_HUB_OFFLINE", "0").upper() in {"1", "TRUE", "YES", "ON"}:
        return False
    command = [sys.executable, "-c", _PROBE, url or hub()]
    try:
        return subprocess.run(command, timeout=seconds, capture_output=True, check=False).returncode == 0
    except subprocess.TimeoutExpired:
        return False
