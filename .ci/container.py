"""Does what the Containerfile says, without an image: installs, starts the studio, asks for its health and a headshot.

    python .ci/container.py FOLDER [OPTION OF uv …]

The packages are those of its RUN line in a fresh virtual environment, the files those that .containerignore leaves,
without the right to write to them. Not checked: the base image, and torch's own index, where it takes torch from.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx

ROOT = Path(__file__).parents[1]
START_SECONDS = 300
STOP_SECONDS = 60


def read_instructions() -> dict[str, list[str]]:
    """Return the arguments of each instruction of the Containerfile, with continued lines joined."""
    lines = [line for line in (ROOT / "Containerfile").read_text().splitlines() if not line.lstrip().startswith("#")]
    instructions: dict[str, list[str]] = {}
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        name, _, value = line.partition(" ")
        instructions.setdefault(name, []).append(value.strip())
    return instructions


def copy_files(target: Path, python: Path) -> None:
    """Copy what git knows and .containerignore leaves, compile it, and take the right to write away."""
    left_out = set((ROOT / ".containerignore").read_text().splitlines())
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if Path(name).parts[0] in left_out:
            continue
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, target / name)
    compiled = [str(target / name) for name in ("app.py", "pipelines", "ui")]
    subprocess.run([python, "-m", "compileall", "-q", *compiled], check=True)
    subprocess.run(["chmod", "-R", "a-w", str(target)], check=True)


def install_packages(run: str, folder: Path, options: list[str]) -> Path:
    """Run the `uv pip install` of the RUN line in a fresh environment, and return the folder of its programs."""
    (line,) = (part for part in run.split("&&") if "uv pip install" in part)
    install = re.sub(r"--system|--no-cache|--compile-bytecode|--torch-backend \S+", "", line)
    subprocess.run(["uv", "venv", "-q", "--python", sys.executable, str(folder)], check=True)
    environment = os.environ | {"VIRTUAL_ENV": str(folder)}
    subprocess.run([*shlex.split(install), "-q", *options], cwd=ROOT, env=environment, check=True)
    return folder / "bin"


def without_rights(command: list[str]) -> list[str]:
    """Return the command for a user who may write only where its files say so; root has to give up its capabilities."""
    return ["setpriv", "--bounding-set=-all", "--inh-caps=-all", *command] if os.getuid() == 0 else command


def main() -> None:
    """Install, copy, start, ask and stop; ends with a sentence where one of them fails."""
    folder, *options = Path(sys.argv[1]), *sys.argv[2:]
    instructions = read_instructions()
    (run,) = (each for each in instructions["RUN"] if "uv pip install" in each)
    programs = install_packages(run, folder / "venv", options)
    app, data = folder / "app", folder / "data"
    copy_files(app, programs / "python")
    data.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    settings = dict(pair.split("=", 1) for each in instructions["ENV"] for pair in shlex.split(each))
    settings = {name: value.replace("/data", str(data)) for name, value in settings.items()}
    environment = {"PATH": f"{programs}:{os.environ['PATH']}", "HOME": str(data), "DESIGNERBOX_PORT": port, **settings}
    start = without_rights(json.loads(instructions["ENTRYPOINT"][0]))
    check = json.loads(instructions["HEALTHCHECK"][0].partition(" CMD ")[2].replace("7860", port))

    made = subprocess.run([*start, "key", "new", "ci"], cwd=app, env=environment, capture_output=True, text=True)
    if made.returncode:
        sys.exit(f"No key was made:\n{made.stdout}{made.stderr}")
    begun = time.monotonic()
    with (
        (folder / "log.txt").open("w") as log,
        subprocess.Popen(start, cwd=app, env=environment, stdout=log, stderr=log) as studio,
    ):
        try:
            while subprocess.run(check, env=environment, capture_output=True).returncode:
                if studio.poll() is not None or time.monotonic() > begun + START_SECONDS:
                    sys.exit(f"The studio did not start:\n{(folder / 'log.txt').read_text()}")
                time.sleep(0.2)
            healthy = time.monotonic() - begun
            picture = draw_headshot(f"http://127.0.0.1:{port}", made.stdout.split()[-1])
            studio.send_signal(signal.SIGTERM)
            studio.wait(STOP_SECONDS)
        finally:
            studio.kill()
    sys.stdout.write(f"healthy after {healthy:.1f} s, a headshot of {picture} bytes, ended when told to\n")


def draw_headshot(studio: str, key: str) -> int:
    """Draw one headshot over REST, download it and return its length in bytes."""
    photo = (ROOT / "assets" / "examples" / "astronaut.jpg").read_bytes()
    with httpx.Client(base_url=studio, headers={"Authorization": f"Bearer {key}"}, timeout=120) as client:
        form = {"preset": "linkedin", "consent": "true"}
        answer = client.post("/v1/tools/headshot", data=form, files={"photo": photo}).raise_for_status()
        return len(client.get(answer.json()["files"][0]["url"]).raise_for_status().content)


if __name__ == "__main__":
    main()
