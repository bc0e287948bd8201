"""Gradio components for pictures that do not re-encode them, and JPEG previews for the page."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from abc import ABCMeta
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import gradio as gr
import numpy as np
import numpy.typing as npt
from gradio.component_meta import ComponentMeta
from gradio.components.gallery import GalleryData, GalleryImage
from gradio.data_classes import ImageData

from pipelines.batch.manifest import link_or_copy
from pipelines.core.errors import BadInput
from pipelines.core.geometry import Image, Size
from pipelines.imaging.color import flatten_on_white
from pipelines.imaging.resize import resize_image, size_within
from pipelines.runtime.progress import encode_data_url, encode_preview
from pipelines.storage.local_store import atomic_write

CHECKER_PX = 8
CHECKER_LEVELS = (233, 201)
"""Grey levels of the checkerboard under what is transparent, as in the large picture."""
_PATH_SECRET = secrets.token_bytes(32)
"""Key of this process for the folder names of published files."""
UPLOAD_GONE_MESSAGE = "This upload is no longer here: please add it again."
DELETE_CACHE_SECONDS = (600, 86400)
"""Interval at which Gradio deletes published files, and the age at which it deletes one."""


class NamedFile(NamedTuple):
    """A file on disk and the name under which a visitor saves it."""

    path: Path
    name: str


def publish_file(named: NamedFile, cache: str) -> str:
    """Link a file into Gradio's folder `cache` under its visible name, and return that path.

    Gradio serves that folder to everybody, so the path contains a secret: file ids are in receipts and in copied code,
    and must not be enough to fetch a file.
    """
    folder = hmac.new(_PATH_SECRET, str(named.path).encode(), hashlib.sha256).hexdigest()
    target = Path(cache) / folder / named.name
    if target.exists():
        os.utime(target)  # Gradio deletes by age
        return str(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(target) as part:
        link_or_copy(named.path, part)
    return str(target)


class _UnreadPicture:
    """Passes an upload on as a path without decoding it, which is the work of ingest. Shows JPEG bytes."""

    def get_block_name(self) -> str:
        return "image"

    def preprocess(self, payload: ImageData | None) -> str | None:
        """Return the path of the upload."""
        return payload.path if payload is not None else None

    def postprocess(self, value: bytes | None) -> ImageData | None:
        """Encode JPEG bytes as a data URL."""
        return None if value is None else ImageData(url=encode_data_url(value))


class _LivePicture(_UnreadPicture):
    """Shows JPEG previews while a job runs, then the file itself, so that a saved picture keeps its metadata."""

    GRADIO_CACHE: str

    def postprocess(self, value: bytes | NamedFile | None) -> ImageData | None:
        """Encode a preview as a data URL; publish a file as a path."""
        if isinstance(value, NamedFile):
            return ImageData(path=publish_file(value, self.GRADIO_CACHE), orig_name=value.name)
        return super().postprocess(value)


class PictureTile(NamedTuple):
    """One picture of several: the JPEG that is shown, and its file id."""

    jpeg: bytes
    file_id: str


class SentPicture(NamedTuple):
    """One picture of several as the page sends it: the path of a new upload, or the file id of an earlier one."""

    path: str
    file_id: str


class _UnreadPictures:
    """Passes new uploads on as paths, in their order among the earlier pictures."""

    def get_block_name(self) -> str:
        return "gallery"

    def preprocess(self, payload: GalleryData | None) -> list[SentPicture]:
        """Return uploads and earlier pictures in the order of the page."""
        rows = payload.root if payload is not None else []
        images = [row.image for row in rows if isinstance(row, GalleryImage)]
        return [SentPicture(image.path or "", "" if image.path else image.orig_name or "") for image in images]

    def postprocess(self, value: Sequence[PictureTile] | None) -> GalleryData:
        """Encode JPEG bytes as data URLs; the file id is sent as the picture's name."""
        tiles = [
            GalleryImage(image=ImageData(url=encode_data_url(tile.jpeg), orig_name=tile.file_id))
            for tile in value or ()
        ]
        return GalleryData(root=list(tiles))


def make_component(name: str, mixin: type, base: type) -> Any:
    """Make a component class from a mixin and one of Gradio's components.

    Not a class statement: that would run Gradio's metaclass, which writes a `.pyi` file beside the source.
    """
    body = {"__module__": __name__, "__doc__": mixin.__doc__}
    return ABCMeta.__new__(ComponentMeta, name, (mixin, base), body)


PhotoUpload: type[gr.Image] = make_component("Photo", _UnreadPicture, gr.Image)
LivePicture: type[gr.Image] = make_component("Live", _LivePicture, gr.Image)
PhotosUpload: type[gr.Gallery] = make_component("Photos", _UnreadPictures, gr.Gallery)


def build_photo_upload(
    label: str, placeholder: str, elem_id: str, *classes: str, alt_text: str | None = None
) -> gr.Image:
    """Build the upload field for one picture inside the open Gradio layout."""
    return PhotoUpload(
        label=label,
        alt_text=alt_text or label,
        placeholder=placeholder,
        sources=["upload"],
        buttons=[],
        interactive=True,
        elem_id=elem_id,
        elem_classes=["dbx-photo", *classes],
    )


def build_live_picture(label: str, elem_id: str, *classes: str, fullscreen: bool = True) -> gr.Image:
    """Build the display of previews and results inside the open Gradio layout."""
    return LivePicture(
        label=label,
        alt_text=label,
        show_label=False,
        interactive=False,
        buttons=["fullscreen"] if fullscreen else [],
        container=False,
        elem_id=elem_id,
        elem_classes=["dbx-live", *classes],
    )


def read_upload(path: str) -> bytes:
    """Read an upload and delete its file, which may have EXIF and GPS data. Raises `BadInput` where it is gone."""
    file = Path(path)
    try:
        data = file.read_bytes()
    except FileNotFoundError as error:
        raise BadInput(UPLOAD_GONE_MESSAGE) from error
    delete_upload(path)
    return data


def delete_upload(path: str) -> None:
    """Delete an upload with its folder, which has no other file; one that is gone already is no error."""
    file = Path(path)
    file.unlink(missing_ok=True)
    with suppress(OSError):  # it is gone, or no folder of an upload
        file.parent.rmdir()


def encode_page_jpeg(image: Image, side: int = 1024, *, shows_transparency: bool = False) -> bytes:
    """Encode a picture as JPEG for the page, longer side at most `side` pixels.

    What is transparent is white, or with `shows_transparency` a checkerboard: white things are seen before that.
    """
    if shows_transparency and image.shape[2] == 4:
        small = resize_image(image, size_within(image.shape, side))
        squares = np.indices(small.shape[:2]) // CHECKER_PX
        ground = np.where(squares.sum(axis=0)[..., None] % 2, *CHECKER_LEVELS)
        weight = small[..., 3:] / np.float32(255)
        image = np.rint(small[..., :3] * weight + ground * (1 - weight)).astype(np.uint8)
    return encode_preview(flatten_on_white(image), side)


def render_before(photo: Image, receipt: Mapping[str, Any], size: Size, number: int = 0, side: int = 1024) -> bytes:
    """Warp the photo so that its subject lies where the result's does, for a before/after slider; return JPEG bytes.

    `size` (width, height) is that of the result's picture `number`, and of the JPEG but for `side`. If nothing was
    placed, the whole photo is scaled to fit.
    """
    shrink = min(1.0, side / max(size))
    shape = round(size[0] * shrink), round(size[1] * shrink)
    height, width = photo.shape[:2]
    placement = receipt.get("placement") or {}
    box, scale, roll = placement.get("box"), placement.get("scale"), placement.get("roll") or 0.0
    if box and scale:
        scale, centre = scale * shrink, np.array([(box[0] + box[2]) / 2, (box[1] + box[3]) / 2]) * shrink
    elif receipt.get("crops"):
        scale, centre = _read_crop_transform(receipt["crops"][number], (width, height), shape)
    else:
        scale, centre = min(shape[0] / width, shape[1] / height), np.array(shape) / 2
    source = flatten_on_white(photo)
    if scale < 1:  # warpAffine does not average, so a smaller picture is resized first
        source = cv2.resize(source, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_AREA)
        scale, (height, width) = scale * width / source.shape[1], source.shape[:2]
    # Rotate about pixel centres, as cv2.resize does.
    middle = ((width - 1) / 2, (height - 1) / 2)
    matrix = cv2.getRotationMatrix2D(middle, roll, scale)
    matrix[:, 2] += centre - 0.5 - np.array(middle)
    warped = cv2.warpAffine(source, matrix, shape, flags=cv2.INTER_LINEAR, borderValue=(128, 128, 128))
    return encode_preview(np.asarray(warped, np.uint8), side)


def _read_crop_transform(crop: Mapping[str, Any], photo: Size, shape: Size) -> tuple[float, npt.NDArray[np.float64]]:
    """Return the photo's scale, and the position of its centre in a picture of `shape` that shows a crop of it."""
    box, at = np.array(crop["box"]), np.array(crop["at"])
    scale = (at[2:] - at[:2]) * shape / ((box[2:] - box[:2]) * photo)
    middle = (at[:2] + at[2:]) / 2 * shape + (1 - box[:2] - box[2:]) / 2 * photo * scale
    return float(scale[0]), middle
