"""Measure anyone's alpha mattes on a folder of photographs with true alphas: our truth set, P3M-500-NP or AIM-500.

    python -m tests.bench.pictures.matting_benchmark studio TRUTH            our cut-outs, on the written truth set
    python -m tests.bench.pictures.matting_benchmark MATTES IMAGES ALPHAS    mattes that lie in a folder

`MATTES` is a folder of grey or transparent pictures, or `studio`, or `small` for the small net alone. `IMAGES` and
`ALPHAS` are folders whose
files have the same stems: `original_image` and `mask` of P3M-500-NP (`validation/P3M-500-NP`), `original` and `mask` of
AIM-500. Both sets are to be had from their authors under their own terms and are not part of the project.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path

import cv2
import numpy as np
from PIL import Image as Pillow

from pipelines.core.errors import BadInput
from pipelines.core.geometry import Alpha, Image
from pipelines.matting.cutout import cut_out_subject, rescale_net_alpha
from pipelines.models import nets
from pipelines.models.model_cache import ModelCache
from pipelines.models.nets.isnet import IsNet
from pipelines.models.nets.u2net import U2Net
from tests.bench.pictures.alpha_metrics import AlphaErrors, mean_errors, measure_alpha
from tests.bench.pictures.truth_set import TruthPhoto, open_truth_photos

Matte = Callable[[TruthPhoto], Alpha]


def list_photos(images: Path, alphas: Path) -> Iterator[TruthPhoto]:
    """Yield the photographs of a public set; `kind` is the name of its folder."""
    for path in sorted(alphas.iterdir()):
        found = sorted(images.glob(f"{path.stem}.*"))
        if found:
            truth = np.asarray(Pillow.open(path).convert("L"), np.float32) / np.float32(255)
            yield TruthPhoto(path.stem, images.parent.name, np.asarray(Pillow.open(found[0]).convert("RGB")), truth)


def read_mattes(folder: Path) -> Matte:
    """Return a function that reads the mattes somebody else made, by name."""

    def read(photo: TruthPhoto) -> Alpha:
        (path,) = folder.glob(f"{photo.name}.*")
        with Pillow.open(path) as picture:
            grey = picture.getchannel("A") if picture.mode in ("RGBA", "LA") else picture.convert("L")
        alpha = np.asarray(grey, np.float32) / np.float32(255)
        return np.asarray(cv2.resize(alpha, photo.alpha.shape[::-1], interpolation=cv2.INTER_LINEAR), np.float32)

    return read


def make_mattes(cache: ModelCache, *, small_alone: bool) -> Matte:
    """Return a function that makes our own mattes; all subjects of a group count."""

    def make(photo: TruthPhoto) -> Alpha:
        with cache.borrow_model(nets.U2NETP.id) as net:
            if small_alone:
                return rescale_net_alpha(net.predict_alpha(photo.image))
            with cache.borrow_model(nets.ISNET.id) as detail_net:
                known = _Remembered(net, photo.image), _Remembered(detail_net, photo.image)
                return _cut_out(photo, *known)

    return make


class _Remembered:
    """A net that is asked once for the whole photo."""

    def __init__(self, net: U2Net | IsNet, photo: Image) -> None:
        self._alpha = net.predict_alpha(photo)

    def predict_alpha(self, image: Image) -> Alpha:
        return self._alpha


def _cut_out(photo: TruthPhoto, net: _Remembered, detail_net: _Remembered) -> Alpha:
    alpha = np.zeros_like(photo.alpha)
    for pick in range(8 if photo.kind == "group" else 1):
        try:
            alpha = np.maximum(alpha, cut_out_subject(photo.image, net, detail_nets=[detail_net], pick=pick).alpha)
        except BadInput:  # no further subject
            break
    return alpha


def print_errors(photos: Iterator[TruthPhoto], matte: Matte) -> None:
    """Print the mean of every measure by kind, and over all photographs."""
    rows: defaultdict[str, list[AlphaErrors]] = defaultdict(list)
    names = [field.name for field in fields(AlphaErrors)]
    for photo in photos:
        rows[photo.kind].append(measure_alpha(matte(photo), photo.alpha))
    print(f"{'kind':<12}{'count':>6}", *(f"{name:>10}" for name in names))
    for kind, errors in (*rows.items(), ("all", [row for each in rows.values() for row in each])):
        mean = mean_errors(errors)
        print(f"{kind:<12}{len(errors):>6}", *(f"{getattr(mean, name):>10.3f}" for name in names))


if __name__ == "__main__":
    which, *folders = sys.argv[1:]
    found = open_truth_photos(Path(folders[0])) if len(folders) == 1 else list_photos(*map(Path, folders))
    ours = which in ("studio", "small")
    print_errors(
        found, make_mattes(ModelCache((nets,)), small_alone=which == "small") if ours else read_mattes(Path(which))
    )
