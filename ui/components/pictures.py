"""Gradio components that carry pictures without re-encoding them; knows no tool, no job and no owner."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
from abc import ABCMeta
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import gradio as gr
import numpy as np
import numpy.typing as npt
from gradio.component_meta import ComponentMeta
from gradio.components.gallery import GalleryData, GalleryImage
from gradio.data_classes import ImageData

from pipelines.batch.manifest import link_or_copy, write_beside
from pipelines.core.geometry import Image, Size
from pipelines.runtime.progress import encode_preview

_PATH_SECRET = secrets.token_bytes(32)
"""Of this process. A copy from before a restart is found by nobody again, and deleted by its age."""
DELETE_CACHE_SECONDS = (600, 86400)
"""How often, in seconds, Gradio looks for copies to delete, and the age at which it deletes them."""


class NamedFile(NamedTuple):
    """A file on disk and the name a visitor sees when saving it."""

    path: Path
    name: str


def encode_data_url(jpeg: bytes) -> str:
    """A picture inside the page: no second request, no file on disk."""
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()


def publish_file(named: NamedFile, cache: str) -> str:
    """Put a file where Gradio may serve it, byte for byte, under its visible name; returns that path.

    Gradio asks nobody who fetches an address, so it must be one that only this process can name: an id, which stands
    in receipts and copied code, does not tell it.
    """
    folder = hmac.new(_PATH_SECRET, str(named.path).encode(), hashlib.sha256).hexdigest()
    target = Path(cache) / folder / named.name
    if target.exists():
        os.utime(target)  # Gradio clears by age, and this one is in use again
        return str(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    write_beside(
        target, lambda part: link_or_copy(named.path, part)
    )  # a second name for the same bytes, where the disk knows it
    return str(target)


class _UnreadPicture:
    """Takes any upload as a path, unread: judging bytes is the work of ingest. Shows JPEG bytes."""

    def get_block_name(self) -> str:
        return "image"

    def preprocess(self, payload: ImageData | None) -> str | None:
        """The path of what was sent."""
        return payload.path if payload is not None else None

    def postprocess(self, value: bytes | None) -> ImageData | None:
        """JPEG bytes as a data URL."""
        return None if value is None else ImageData(url=encode_data_url(value))


class _LivePicture:
    """Shows JPEG bytes while work goes on, and at the end the file itself, so that saving it keeps its metadata."""

    GRADIO_CACHE: str

    def get_block_name(self) -> str:
        return "image"

    def preprocess(self, payload: ImageData | None) -> None:
        """It is never read."""
        return None

    def postprocess(self, value: bytes | NamedFile | None) -> ImageData | None:
        """A preview as a data URL, a file as a path."""
        if isinstance(value, NamedFile):
            return ImageData(path=publish_file(value, self.GRADIO_CACHE), orig_name=value.name)
        return None if value is None else ImageData(url=encode_data_url(value))


class PictureTile(NamedTuple):
    """One picture of several: what is shown, JPEG bytes, and its file id."""

    jpeg: bytes
    file_id: str


class SentPicture(NamedTuple):
    """One picture of several as the page hands it over: an upload's path, or the id of one that was taken before."""

    path: str
    file_id: str


class _UnreadPictures:
    """Takes any uploads as paths, unread, in order, between pictures that were taken before."""

    def get_block_name(self) -> str:
        return "gallery"

    def preprocess(self, payload: GalleryData | None) -> list[SentPicture]:
        """Uploads and earlier pictures, in the order of the page."""
        rows = payload.root if payload is not None else []
        images = [row.image for row in rows if isinstance(row, GalleryImage)]
        return [SentPicture(image.path or "", "" if image.path else image.orig_name or "") for image in images]

    def postprocess(self, value: Sequence[PictureTile] | None) -> GalleryData:
        """JPEG bytes as data URLs; the file id travels as the picture's name."""
        tiles = [
            GalleryImage(image=ImageData(url=encode_data_url(tile.jpeg), orig_name=tile.file_id))
            for tile in value or ()
        ]
        return GalleryData(root=list(tiles))


def make_component(name: str, behaviour: type, base: type) -> Any:
    """A component of Gradio's with other manners.

    A class statement would run Gradio's metaclass, which writes a `.pyi` beside the source of every component; a
    running studio writes nothing there.
    """
    body = {"__module__": __name__, "__doc__": behaviour.__doc__}
    return ABCMeta.__new__(ComponentMeta, name, (behaviour, base), body)


PhotoUpload: type[gr.Image] = make_component("Photo", _UnreadPicture, gr.Image)
LivePicture: type[gr.Image] = make_component("Live", _LivePicture, gr.Image)
PhotosUpload: type[gr.Gallery] = make_component("Photos", _UnreadPictures, gr.Gallery)


def read_upload(path: str) -> bytes:
    """The bytes of an upload, which is deleted: nothing should be kept that still carries EXIF and GPS."""
    file = Path(path)
    data = file.read_bytes()
    file.unlink(missing_ok=True)
    return data


def flatten_on_white(image: Image) -> Image:
    """H x W x 3 of an H x W x 3 or 4 picture; what is see-through lies on white."""
    if image.shape[2] == 3:
        return image
    alpha = image[..., 3:].astype(np.float32) / 255
    return np.asarray(image[..., :3] * alpha + 255 * (1 - alpha) + 0.5, np.uint8)


def small(image: Image, side: int = 1024) -> bytes:
    """JPEG bytes for the page, longer side at most `side` pixels."""
    return encode_preview(flatten_on_white(image), side)


def render_before(photo: Image, receipt: Mapping[str, Any], size: Size, number: int = 0, side: int = 1024) -> bytes:
    """The photo laid where the result's subject stands, as JPEG bytes in the result's shape, for before and after.

    `size` is that of picture `number` of the result. Where nothing was placed, the whole photo, as large as fits: over
    a result of the photo's own shape it lies exactly.
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
    if scale < 1:  # warpAffine does not average: what becomes smaller is made so first
        source = cv2.resize(source, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_AREA)
        scale, (height, width) = scale * width / source.shape[1], source.shape[:2]
    # Turned about the middles of pixels, as resize counts.
    middle = ((width - 1) / 2, (height - 1) / 2)
    matrix = cv2.getRotationMatrix2D(middle, roll, scale)
    matrix[:, 2] += centre - 0.5 - np.array(middle)
    laid = cv2.warpAffine(source, matrix, shape, flags=cv2.INTER_LINEAR, borderValue=(128, 128, 128))
    return encode_preview(np.asarray(laid, np.uint8), side)


def _read_crop_transform(crop: Mapping[str, Any], photo: Size, shape: Size) -> tuple[float, npt.NDArray[np.float64]]:
    """The photo's scale, and where its middle lies in a picture of `shape` that shows a window of it."""
    box, at = np.array(crop["box"]), np.array(crop["at"])
    scale = (at[2:] - at[:2]) * shape / ((box[2:] - box[:2]) * photo)
    middle = (at[:2] + at[2:]) / 2 * shape + (1 - box[:2] - box[2:]) / 2 * photo * scale
    return float(scale[0]), middle
