"""Windows and macOS: what only POSIX or Linux has may be missing, and the product still imports and works."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.core import isolated_process
from pipelines.ingest import decode

ROOT = Path(__file__).parents[2]
NO_POSIX = """
import os, pkgutil, sys
from pathlib import Path
import asyncio, psutil  # each has a way of its own for each system
for name in ("fcntl", "resource", "pwd", "grp", "termios", "pty", "readline"):
    sys.modules[name] = None
for name in ("sysconf", "getuid", "geteuid", "fork", "statvfs", "sched_getaffinity"):
    delattr(os, name)
"""


def run_without_posix(code: str, *arguments: str) -> str:
    """Run `code` in a process without the modules and functions that only POSIX has; return what it printed."""
    command = [sys.executable, "-W", "ignore", "-c", NO_POSIX + code, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def test_the_audit_log_is_written_and_a_decoder_starts_without_locks_and_limits(tmp_path: Path) -> None:
    code = """
from pipelines.security.audit_log import AuditLog
from pipelines.models.devices import total_host_bytes
from pipelines.ingest.decode import init_worker
root = Path(sys.argv[1])
for n in range(3):
    AuditLog(root).record_refusal("words", "me", [])
init_worker(2 << 30)
print(AuditLog(root).verify_chain().entry_count, total_host_bytes() > 2**30)
"""
    assert run_without_posix(code, str(tmp_path)) == "3 True"


def test_macos_takes_no_limit_of_address_space_and_decodes_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    resource = pytest.importorskip("resource")
    set_limits: list[int] = []
    monkeypatch.setattr(resource, "setrlimit", lambda limit, value: set_limits.append(limit))
    monkeypatch.setattr(decode.sys, "platform", "darwin")
    decode.init_worker(2 << 30)
    assert set_limits == [resource.RLIMIT_CORE]


def test_without_env_a_worker_starts_as_python_starts_it(monkeypatch: pytest.MonkeyPatch) -> None:
    spawn = isolated_process.util.spawnv_passfds
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with isolated_process._start_without_environment():
        assert isolated_process.util.spawnv_passfds is spawn
    monkeypatch.delattr(isolated_process.util, "spawnv_passfds")
    with isolated_process._start_without_environment():
        assert not hasattr(isolated_process.util, "spawnv_passfds")
