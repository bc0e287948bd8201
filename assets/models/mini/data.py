"""Training data of the small text-to-image model: packs renders and makes captions.

    python -m assets.models.mini.data WORK

Fetches two npm packages (both MIT): `@lobehub/fluent-emoji-3d`, 3,391 renders of Microsoft's Fluent Emoji as 256 px
RGBA, and `emojibase-data`, their English names and keywords. Writes WORK/renders.npy (uint8, N x 256 x 256 x 4) and
WORK/rows.json. Deterministic: the same packages give the same bytes.
"""

from __future__ import annotations

import io
import json
import random
import re
import subprocess
import sys
import tarfile
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from PIL import Image

RENDERS_PACKAGE = "@lobehub/fluent-emoji-3d@1.1.0"
NAMES_PACKAGE = "emojibase-data@17.0.0"
RENDER_SIDE_PX = 256
TONES = ("light", "medium-light", "medium", "medium-dark", "dark")
TONE_WORDS = {
    "light": ("light skin", "light skin tone", "pale skin", "fair skin", "white skin"),
    "medium-light": ("medium-light skin", "medium-light skin tone", "cream skin", "light olive skin"),
    "medium": ("medium skin", "medium skin tone", "olive skin", "tan skin", "tanned skin"),
    "medium-dark": ("medium-dark skin", "medium-dark skin tone", "brown skin", "medium dark skin"),
    "dark": ("dark skin", "dark skin tone", "black skin", "dark brown skin", "very dark skin"),
}
GENDER_WORDS = {
    "woman": ("woman", "woman", "lady", "female"),
    "man": ("man", "man", "guy", "male", "gentleman"),
    "person": ("person", "person", "someone", "adult"),
    "girl": ("girl", "young girl", "little girl"),
    "boy": ("boy", "young boy", "little boy"),
    "child": ("child", "kid", "toddler"),
}
ROLES = (
    "health worker", "student", "teacher", "judge", "farmer", "cook", "mechanic", "factory worker", "office worker",
    "scientist", "technologist", "singer", "artist", "pilot", "astronaut", "firefighter", "police officer", "detective",
    "guard", "construction worker",
)  # fmt: skip
ROLE_WORDS = {
    "health worker": ("doctor", "nurse", "physician", "medic"),
    "student": ("graduate", "pupil"),
    "teacher": ("professor", "instructor"),
    "judge": ("magistrate", "justice"),
    "farmer": ("gardener", "peasant"),
    "cook": ("chef", "baker"),
    "mechanic": ("plumber", "electrician"),
    "factory worker": ("welder", "industrial worker"),
    "office worker": ("business person", "manager", "architect", "clerk"),
    "scientist": ("chemist", "biologist", "researcher", "engineer"),
    "technologist": ("programmer", "software developer", "coder"),
    "singer": ("rock star", "pop star", "musician"),
    "artist": ("painter",),
    "pilot": ("aviator", "flight captain"),
    "astronaut": ("cosmonaut", "space traveller"),
    "firefighter": ("fireman", "fire fighter"),
    "police officer": ("cop", "policeman"),
    "detective": ("private eye", "sleuth", "spy"),
    "guard": ("royal guard", "sentry"),
    "construction worker": ("builder", "hard hat worker"),
    "mage": ("wizard", "witch", "sorcerer"),
    "superhero": ("hero",),
    "supervillain": ("villain",),
}
DIRECTIONAL_WORDS = re.compile(r"\b(left|right|clock|button|arrow|keycap|flag|letter|input|o’clock|facing)\b", re.I)
PEOPLE_GROUP = 1
SKIPPED_GROUPS = {2, 9}  # components and flags


@dataclass(frozen=True)
class RenderRow:
    """One render: its name, keywords, and the person that it shows.

    `tone` is "" for yellow or no person. `turns`: it may be mirrored.
    """

    code: str
    label: str
    tags: tuple[str, ...]
    group: int
    subgroup: int
    base: str
    tone: str = ""
    gender: str = ""
    role: str = ""
    turns: bool = True
    held_out: bool = False


def fetch_package(package: str, work: Path) -> Path:
    """Return the npm package's tarball in `work`; download it once."""
    stem = package.removeprefix("@").replace("/", "-").replace("@", "-")
    path = work / f"{stem}.tgz"
    if not path.exists():
        subprocess.run(["npm", "pack", "--silent", package], cwd=work, check=True, stdout=subprocess.DEVNULL)
    return path


def read_rows(names: Path) -> list[RenderRow]:
    """Read every named emoji with each of its skins, in the order of the data."""
    with tarfile.open(names) as archive:
        file = archive.extractfile("package/en/data.json")
        assert file is not None
        data = json.load(file)
    rows = []
    for entry in data:
        if entry.get("group") in SKIPPED_GROUPS or "group" not in entry:
            continue
        for skin in (entry, *entry.get("skins", ())):
            rows.append(_make_row(skin, entry))
    return rows


def _make_row(skin: dict, entry: dict) -> RenderRow:
    tone = skin.get("tone", 0)
    one = TONES[tone - 1] if isinstance(tone, int) and tone else ""
    group, base = int(entry["group"]), str(entry["label"])
    gender, role = _split_gender_and_role(base)
    return RenderRow(
        skin["hexcode"].lower(), skin["label"], tuple(entry.get("tags", ())), group, int(entry["subgroup"]), base,
        one, gender, role, not DIRECTIONAL_WORDS.search(base), bool(one) and is_held_out(role, gender, one),
    )  # fmt: skip


def _split_gender_and_role(base: str) -> tuple[str, str]:
    head, _, rest = base.partition(":")[0].partition(" ")
    if head in GENDER_WORDS:
        return head, rest
    return "", base.partition(":")[0]


def is_held_out(role: str, gender: str, tone: str) -> bool:
    """Tell whether this combination is held out of training: one in five of role x gender x tone, spread evenly."""
    if role not in ROLES or gender not in ("woman", "man"):
        return False
    return (ROLES.index(role) * 2 + (gender == "man") * 3 + TONES.index(tone)) % 5 == 0


def write_dataset(work: Path) -> None:
    """Write renders.npy and rows.json. Renders without a name, and names without a render, are left out."""
    work.mkdir(parents=True, exist_ok=True)
    pictures, found = {}, []
    with tarfile.open(fetch_package(RENDERS_PACKAGE, work)) as archive:
        for member in archive:
            if member.name.endswith(".webp"):
                file = archive.extractfile(member)
                assert file is not None
                pictures[_normalise_code(Path(member.name).stem)] = file.read()
    for row in read_rows(fetch_package(NAMES_PACKAGE, work)):
        if (data := pictures.pop(_normalise_code(row.code), None)) is not None:
            found.append(
                (row, np.asarray(Image.open(io.BytesIO(data)).convert("RGBA").resize((RENDER_SIDE_PX, RENDER_SIDE_PX))))
            )
    np.save(work / "renders.npy", np.stack([picture for _, picture in found]))
    (work / "rows.json").write_text(json.dumps([asdict(row) for row, _ in found]))
    print(f"{len(found)} renders, {sum(row.held_out for row, _ in found)} held out, {len(pictures)} without a name")


def _normalise_code(code: str) -> str:
    return code.lower().replace("-fe0f", "")


def load_dataset(work: Path) -> tuple[np.ndarray, list[RenderRow]]:
    """Load renders (uint8, N x 256 x 256 x 4, memory-mapped) and their rows."""
    rows = [RenderRow(**{**row, "tags": tuple(row["tags"])}) for row in json.loads((work / "rows.json").read_text())]
    return np.load(work / "renders.npy", mmap_mode="r"), rows


def make_caption(row: RenderRow, dice: random.Random) -> str:
    """Make one of many captions for a render."""
    words = _describe_person(row, dice) if row.gender or row.tone else _describe_thing(row, dice)
    return dice.choice(("", "", "", "", "a ", "3d icon of a ", "3d character, ", "portrait of a ")) + words


def _describe_person(row: RenderRow, dice: random.Random) -> str:
    role = dice.choice(ROLE_WORDS[row.role]) if row.role in ROLE_WORDS and dice.random() < 0.5 else row.role
    gender = dice.choice(GENDER_WORDS[row.gender]) if row.gender else ""
    extra = row.label.partition(": ")[2].split(", ")
    extra = [part for part in extra if part and "skin tone" not in part]
    who = " ".join(part for part in (gender, role) if part)
    if gender and role and dice.random() < 0.15:
        who = f"{role}, {gender}"
    if row.tone:
        tone = dice.choice(TONE_WORDS[row.tone]) if dice.random() > 0.12 else ""
    elif "skin tone" in row.label:
        tone = row.label.partition(": ")[2]
    else:
        tone = "yellow skin" if row.group == PEOPLE_GROUP and row.subgroup not in (28,) else ""
    parts = extra + ([tone] if tone else [])
    dice.shuffle(parts)
    parts += [dice.choice(row.tags)] if row.tags and dice.random() < 0.25 else []
    if tone and not extra and dice.random() < 0.25:
        return f"{tone} {who}"
    joint = dice.choice((", ", " with ", " with "))
    return who + (joint + dice.choice((", ", " and ")).join(parts) if parts else "")


def _describe_thing(row: RenderRow, dice: random.Random) -> str:
    name = row.label.replace(": ", ", ")
    tags = [tag for tag in row.tags if tag not in name]
    if tags and dice.random() < 0.12:
        return dice.choice(tags)
    if tags and dice.random() < 0.35:
        return f"{name}, {', '.join(dice.sample(tags, min(len(tags), dice.choice((1, 1, 2)))))}"
    return name


def list_known_words(rows: list[RenderRow]) -> list[str]:
    """List every word that a caption can have, sorted."""
    dice = random.Random(0)
    said = " ".join(make_caption(row, dice) for row in rows for _ in range(24))
    return sorted(set(re.findall(r"[a-z]{3,}", said.lower())))


if __name__ == "__main__":
    write_dataset(Path(sys.argv[1]))
