"""Twenty pictures of every tool, shuffled among six untouched photographs, for somebody who does not know how they were
made: `python -m tests.bench twenty` (it fetches some 20 MB of packages).

Whoever looks says of each number whether it is an ordinary photograph, retouched, artwork, or visibly pasted; `key.txt`
tells afterwards which is which. The looks are those a careful user would take: for people and things mostly one of
those in which `outline_delta_e` is lowest. Photographs: the studio's own examples, official portraits of the White
House (public domain, in the tests of `face_recognition` on PyPI), and those of SciPy, scikit-image and scikit-learn.
"""

from __future__ import annotations

import bz2
import io
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image

from assets.fetch import from_wheel
from assets.tiles import badge_mask
from pipelines.core.geometry import Image
from tests.bench.rows import Row, make_row
from tests.support.real_studio import RealStudio

PORTRAIT_PACKAGE = "face_recognition==1.3.0"
SHOWN_SIDE_PX = 1024  # pixels of the longer side at which they are looked at
SHUFFLE_SEED = 81
UNTOUCHED_PHOTOS = ("raccoon", "flower", "rocket", "china", "biden", "camera")
TEAM = ("hopper", "astronaut", "obama", "obama2")


@dataclass(frozen=True)
class PictureOrder:
    """A tool, its photo and what is asked of it; `team`: with the photos of all four."""

    tool: str
    photo: str
    values: Mapping[str, object] = field(default_factory=dict[str, object])
    team: bool = False


PICTURE_ORDERS = (
    PictureOrder("headshot", "obama", {"preset": "corporate-grey"}),
    PictureOrder("headshot", "hopper", {"preset": "black-and-white", "size": 768}),
    PictureOrder("headshot", "astronaut", {"preset": "black-and-white", "size": 640}),
    PictureOrder("headshot", "obama2", {"preset": "black-and-white", "size": 768}),
    PictureOrder("product", "coffee", {"preset": "oak"}),
    PictureOrder("product", "coffee", {"preset": "oak", "background": "walnut", "ratio": "4:3"}),
    PictureOrder("background", "obama", {"preset": "apartment"}),
    PictureOrder("background", "obama", {"preset": "spotlight"}),
    PictureOrder("fashion", "hopper", {"preset": "editorial-bw", "size": 960}),
    PictureOrder("fashion", "obama", {"preset": "clean-grey"}),
    PictureOrder(
        "business", "hopper", {"preset": "team-grid", "names": "Grace\nEileen\nBarack\nBarack (2009)"}, team=True
    ),
    PictureOrder("business", "obama", {"preset": "speaker-card", "names": "Barack Obama"}),
    PictureOrder("style", "coffee", {"preset": "oil"}),
    PictureOrder("style", "obama", {"preset": "film"}),
    PictureOrder("expand", "astronaut", {"ratio": "3:2"}),
    PictureOrder("upscale", "chelsea", {"factor": "2"}),
    PictureOrder("kit", "coffee", {"preset": "linkedin"}),
    PictureOrder("retouch", "hopper", {"keep": [[0.5, 0.5]]}),
    PictureOrder("motion", "obama2"),
    PictureOrder("character", "hopper", {"preset": "scientist", "art": "notionists", "seed": 4}),
)


def rows() -> Iterator[Row]:
    """How many pictures lie in the folder that is printed, and the worst change inside an exact subject's core."""
    folder = Path(tempfile.mkdtemp(prefix="twenty-"))
    with tempfile.TemporaryDirectory() as work:
        photos = _fetch_photographs(Path(work))
        studio = RealStudio(Path(work) / "room", owner="bench")
        try:
            pictures, changed = _make_pictures(studio, photos)
        finally:
            studio.close()
    pictures |= {f"untouched {name}": photos[name] for name in UNTOUCHED_PHOTOS}
    names = sorted(pictures)
    np.random.default_rng(SHUFFLE_SEED).shuffle(names)
    for n, name in enumerate(names, 1):
        image = PIL.Image.fromarray(pictures[name])
        image.thumbnail((SHOWN_SIDE_PX, SHOWN_SIDE_PX))
        image.save(folder / f"{n:02d}.png")
    (folder / "key.txt").write_text("\n".join(f"{n:02d} {name}" for n, name in enumerate(names, 1)) + "\n")
    print(folder, file=sys.stderr)
    yield make_row(
        "twenty_pictures", len(names), "pictures", len(PICTURE_ORDERS) + len(UNTOUCHED_PHOTOS), at_most=False
    )
    yield make_row("twenty_core_changed_pixels", changed, "pixels", 0)


def _make_pictures(studio: RealStudio, photos: Mapping[str, Image]) -> tuple[dict[str, Image], float]:
    """The tools' pictures by name, and the most pixels that changed inside the core of any that is exact."""
    for name in ("obama", "obama2"):
        studio.photos[name] = studio.files.add_image(photos[name], "bench", "upload")
    mask = studio.files.add_image(badge_mask(), "bench", "upload")
    pictures: dict[str, Image] = {}
    changed = 0.0
    for n, each in enumerate(PICTURE_ORDERS, 1):
        own = studio.photos[each.photo]
        team = tuple(studio.photos[name] for name in TEAM) if each.team else (own,)
        asked = {"photo": own, "photos": team, "mask": mask, "seed": 1, "consent": True, **each.values}
        takes = studio.service.find_tool(each.tool).params.model_fields
        asked: dict[str, Any] = {name: value for name, value in asked.items() if name in takes}
        if each.tool == "headshot":  # there they are photos to choose from
            del asked["photos"]
        result = studio.make(each.tool, **asked)
        with PIL.Image.open(studio.files.local_path(result.files[0].id)) as opened:
            pictures[f"{n:02d} {each.tool} {each.photo}"] = np.asarray(opened.convert("RGB"))
        changed = max(changed, result.receipt["checks"].get("core_changed_pixels", 0.0))
    return pictures, changed


def _fetch_photographs(work: Path) -> dict[str, Image]:
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary=:all:", "--dest", str(work)]
    subprocess.run([*pip, PORTRAIT_PACKAGE], check=True)
    (path,) = work.glob("face_recognition*.tar.gz")
    found: dict[str, Image] = {}
    with tarfile.open(path) as archive:
        for name in ("obama", "obama2", "biden"):
            file = archive.extractfile(f"{path.name.removesuffix('.tar.gz')}/tests/test_images/{name}.jpg")
            assert file is not None
            found[name] = _decode_picture(file.read())
    wheels = {
        "scikit-image==0.26.0": {"rocket": "skimage/data/rocket.jpg", "camera": "skimage/data/camera.png"},
        "scikit-learn==1.7.2": {name: f"sklearn/datasets/images/{name}.jpg" for name in ("china", "flower")},
        "scipy==1.9.3": {"raccoon": "scipy/misc/face.dat"},
    }
    for requirement, members in wheels.items():
        (own := work / requirement).mkdir()
        for name, data in zip(members, from_wheel(requirement, own, *members.values()), strict=True):
            found[name] = _decode_raccoon(data) if name == "raccoon" else _decode_picture(data)
    return found


def _decode_raccoon(data: bytes) -> Image:
    """SciPy keeps its raccoon as the bytes of an array, packed."""
    return np.frombuffer(bz2.decompress(data), np.uint8).reshape(768, 1024, 3)


def _decode_picture(data: bytes) -> Image:
    with PIL.Image.open(io.BytesIO(data)) as opened:
        return np.asarray(opened.convert("RGB"))
