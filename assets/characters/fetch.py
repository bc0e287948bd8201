"""Makes the parts of assets/characters again from their npm packages; knows nothing of the studio.

    python assets/characters/fetch.py

Needs npm and node, once: what is written is data that Python draws. A file whose SHA-256 is not that of manifest.json
is never put in place.
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
# Each part is drawn with words in the places of its colours and of the parts inside it; then the whole is drawn with
# words in the places of its parts.
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


def fetch(folder: Path = HERE) -> None:
    """Puts every style of the manifest into `folder`, each whole or not at all."""
    manifest = json.loads((HERE / "manifest.json").read_text())
    with tempfile.TemporaryDirectory() as made:
        work = Path(made)
        for package in ("core", *STYLES):
            unpack(work, package)
        (work / "extract.mjs").write_text(EXTRACT)
        for style in STYLES:
            data = parts_of(work, style)
            found = hashlib.sha256(data).hexdigest()
            if found != manifest[f"{style}.json"]:
                raise SystemExit(f"{style}: SHA-256 is {found}, not {manifest[f'{style}.json']}")
            part = folder / f"{style}.part"
            part.write_bytes(data)
            os.replace(part, folder / f"{style}.json")
            print(f"{style}: {len(data):,} bytes, checksum right")


def unpack(work: Path, package: str) -> None:
    """The package where node looks for it."""
    name = f"@dicebear/{package}@{VERSION}"
    subprocess.run(["npm", "pack", "--silent", name], cwd=work, check=True, stdout=subprocess.DEVNULL)
    with tarfile.open(work / f"dicebear-{package}-{VERSION}.tgz") as archive:
        archive.extractall(work / "node_modules" / "@dicebear" / package, _members(archive), filter="data")


def _members(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    for member in archive:
        member.name = member.name.removeprefix("package/")
        yield member


def parts_of(work: Path, style: str) -> bytes:
    """The style as JSON: its box, its layers from the ground up, and every part, one a line."""
    out = subprocess.run(["node", "extract.mjs", style], cwd=work, check=True, stdout=subprocess.PIPE).stdout
    made = json.loads(out)
    groups = []
    for group, variants in made["parts"].items():
        lines = ",\n".join(f"{json.dumps(key)}: {json.dumps(svg)}" for key, svg in variants.items())
        groups.append(f"{json.dumps(group)}: {{\n{lines}\n}}")
    box, layers = json.dumps(made["box"]), json.dumps(list(layers_of(made["body"])))
    return (f'{{\n"box": {box},\n"layers": {layers},\n"parts": {{\n' + ",\n".join(groups) + "\n}}\n").encode()


def layers_of(body: str) -> Iterator[list[str]]:
    """(name, SVG) of every outermost element; what has no part in it is called base, and neighbours of a name join."""
    name, svg = "", ""
    for element in _elements(body):
        part = re.search(r"\{\{@(\w+)\}\}", element)
        here = part[1] if part else "base"
        if here != name and svg:
            yield [name, svg]
            svg = ""
        name, svg = here, svg + element
    yield [name, svg]


def _elements(body: str) -> Iterator[str]:
    depth, start = 0, 0
    for token in re.finditer(r"<(/?)[^>]*?(/?)>|\{\{@\w+\}\}", body):
        alone = token[0].startswith("{{") or token[2]
        depth += 0 if alone else -1 if token[1] else 1
        if depth == 0:
            yield body[start : token.end()]
            start = token.end()


if __name__ == "__main__":
    fetch()
