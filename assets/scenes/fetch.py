"""Download the panoramas of assets/scenes from their npm package.

    python assets/scenes/fetch.py

Needs npm. A file whose SHA-256 differs from manifest.json is not written.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import subprocess
import tarfile
import tempfile
from pathlib import Path

SCENES = Path(__file__).resolve().parent
PACKAGE = "@pmndrs/assets@1.7.0"


def download_tarball(work: Path) -> Path:
    """Download the package with npm and return the path of its tarball."""
    subprocess.run(["npm", "pack", "--silent", PACKAGE], cwd=work, check=True, stdout=subprocess.DEVNULL)
    (tarball,) = work.glob("*.tgz")
    return tarball


def read_panorama(archive: tarfile.TarFile, name: str) -> bytes:
    """Return the EXR file that the package stores as a data URL in a JavaScript module."""
    file = archive.extractfile(f"package/hdri/{name}.js")
    found = re.search(rb"base64,([A-Za-z0-9+/=]+)", file.read()) if file else None
    if not found:
        raise SystemExit(f"{name} is not in {PACKAGE}")
    return base64.b64decode(found.group(1))


def fetch_panoramas(folder: Path = SCENES) -> None:
    """Write every panorama of the manifest into `folder`. Each file is replaced atomically."""
    manifest = json.loads((SCENES / "manifest.json").read_text())
    with tempfile.TemporaryDirectory() as work, tarfile.open(download_tarball(Path(work))) as archive:
        for name, sha256 in manifest.items():
            data = read_panorama(archive, name)
            found = hashlib.sha256(data).hexdigest()
            if found != sha256:
                raise SystemExit(f"{name}: SHA-256 is {found}, not {sha256}")
            part = folder / f"{name}.part"
            part.write_bytes(data)
            os.replace(part, folder / name)
            print(f"{name}: {len(data):,} bytes, checksum right")


if __name__ == "__main__":
    fetch_panoramas()
