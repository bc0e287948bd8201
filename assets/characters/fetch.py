"""Download the DiceBear styles from npm and convert them to the JSON files of assets/characters.

    python assets/characters/fetch.py

Needs npm and node. The result is data that Python draws. A file whose SHA-256 differs from manifest.json is not
written.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
VERSION = "9.4.3"
STYLES = ("open-peeps", "lorelei", "notionists", "pixel-art", "thumbs")
# First draw each part with placeholders for its colours and its inner parts. Then draw the whole figure with
# placeholders for its parts.
EXTRACT = """
const [name] = process.argv.slice(2);
const style = await import(`@dicebear/${name}`);
const groups = await import(`./node_modules/@dicebear/${name}/lib/components/index.js`);
const colours = new Proxy({}, { get: (_, key) => `{{${key}}}` });
const parts = new Proxy({}, { get: (_, key) => ({ name: '', value: () => `{{@${key}}}` }) });
const drawn = {}, options = {};
for (const [group, variants] of Object.entries(groups)) {
  drawn[group] = {};
  for (const [key, draw] of Object.entries(variants)) {
    drawn[group][key] = draw(parts, colours);
    variants[key] = () => `{{@${group}}}`;
  }
  options[group] = Object.keys(variants);
}
for (const key of Object.keys(style.schema.properties))
  if (key.endsWith('Color')) options[key] = [`{{${key.slice(0, -5)}}}`];
const prng = { pick: (all) => all[0], bool: () => true, integer: (least) => least, next: () => 0 };
const { attributes, body } = style.create({ prng, options });
process.stdout.write(JSON.stringify({ box: attributes.viewBox, body: body.replaceAll('#{{', '{{'), parts: drawn }));
"""


def fetch_styles(folder: Path = HERE) -> None:
    """Write every style into `folder`. Each file is replaced atomically."""
    manifest = json.loads((HERE / "manifest.json").read_text())
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        for package in ("core", *STYLES):
            unpack_package(work, package)
        (work / "extract.mjs").write_text(EXTRACT)
        for style in STYLES:
            data = extract_style(work, style)
            found = hashlib.sha256(data).hexdigest()
            if found != manifest[f"{style}.json"]:
                raise SystemExit(f"{style}: SHA-256 is {found}, not {manifest[f'{style}.json']}")
            part = folder / f"{style}.part"
            part.write_bytes(data)
            os.replace(part, folder / f"{style}.json")
            print(f"{style}: {len(data):,} bytes, checksum right")


def unpack_package(work: Path, package: str) -> None:
    """Download an npm package and unpack it where node finds it."""
    name = f"@dicebear/{package}@{VERSION}"
    subprocess.run(["npm", "pack", "--silent", name], cwd=work, check=True, stdout=subprocess.DEVNULL)
    with tarfile.open(work / f"dicebear-{package}-{VERSION}.tgz") as archive:
        archive.extractall(work / "node_modules" / "@dicebear" / package, _package_members(archive), filter="data")


def _package_members(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    for member in archive:
        member.name = member.name.removeprefix("package/")
        yield member


def extract_style(work: Path, style: str) -> bytes:
    """Return a style as JSON: its view box, its layers from back to front, and its parts, one on a line."""
    out = subprocess.run(["node", "extract.mjs", style], cwd=work, check=True, stdout=subprocess.PIPE).stdout
    result = json.loads(out)
    groups = []
    for group, variants in result["parts"].items():
        lines = ",\n".join(f"{json.dumps(key)}: {json.dumps(svg)}" for key, svg in variants.items())
        groups.append(f"{json.dumps(group)}: {{\n{lines}\n}}")
    box, layers = json.dumps(result["box"]), json.dumps(list(split_layers(result["body"])))
    return (f'{{\n"box": {box},\n"layers": {layers},\n"parts": {{\n' + ",\n".join(groups) + "\n}}\n").encode()


def split_layers(body: str) -> Iterator[list[str]]:
    """Yield (name, SVG) of each layer, from back to front.

    A layer is named after the part in it, or `base` if it has none. Neighbours with the same name become one layer.
    """
    name, svg = "", ""
    for element in _outermost_elements(body):
        part = re.search(r"\{\{@(\w+)\}\}", element)
        group = part[1] if part else "base"
        if group != name and svg:
            yield [name, svg]
            svg = ""
        name, svg = group, svg + element
    yield [name, svg]


def _outermost_elements(body: str) -> Iterator[str]:
    """Yield the outermost SVG elements and placeholders."""
    depth, start = 0, 0
    for token in re.finditer(r"<(/?)[^>]*?(/?)>|\{\{@\w+\}\}", body):
        alone = token[0].startswith("{{") or token[2]
        depth += 0 if alone else -1 if token[1] else 1
        if depth == 0:
            yield body[start : token.end()]
            start = token.end()


if __name__ == "__main__":
    fetch_styles()
