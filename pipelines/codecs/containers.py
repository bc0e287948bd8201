"""Encode finished pictures as animated WebP, MP4, PDF, PNG layers or OpenRaster.

The MP4 holds VP9 video from the FFmpeg in OpenCV's wheel. That is LGPL, has no royalties and needs no further
package. (PyAV's wheels contain x264 and x265 and are therefore GPL.)
"""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple
from xml.sax.saxutils import quoteattr

import cv2
import numpy as np
import numpy.typing as npt
import PIL.Image

from pipelines.codecs.encode import build_zip, encode_png
from pipelines.compositing.compose import add_background_grain, relight_subject
from pipelines.compositing.shadows import Shadow, shadow_map
from pipelines.core.errors import StudioError
from pipelines.core.geometry import Alpha, Image, PlacedSubject, Side
from pipelines.core.rendering import EncodedFile

THUMBNAIL_PX = 256  # pixels, OpenRaster's largest
PDF_DPI = 150
PDF_JPEG_QUALITY = 92
_VIDEO_FOURCC = "vp09"
# Environment variable and value that make OpenCV's encoder fast. Its default takes ten times as long and looks the same.
_FAST_ENCODER_OPTION = ("OPENCV_FFMPEG_WRITER_OPTIONS", "deadline;realtime|cpu-used;7")
_LAYER_TOLERANCE_LEVELS = 1  # 8-bit steps by which layers may miss the flat picture


# ---------------------------------------------------------------- animation, video, PDF


def encode_animation(frames: Sequence[Image], fps: float, quality: int = 80) -> bytes:
    """Encode frames of one size (H x W x 3) as an animated WebP that loops without end."""
    first, *rest = [PIL.Image.fromarray(frame) for frame in frames]
    out = io.BytesIO()
    first.save(
        out, "WEBP", save_all=True, append_images=rest, duration=round(1000 / fps), loop=0, quality=quality, method=2,
        minimize_size=False,
    )  # fmt: skip
    return out.getvalue()


def encode_video(frames: Sequence[Image], fps: float) -> bytes:
    """Encode frames of one size (H x W x 3, even sides) as an MP4. Raises `StudioError` if OpenCV cannot write one."""
    height, width = frames[0].shape[:2]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "film.mp4"
        code = cv2.VideoWriter.fourcc(*_VIDEO_FOURCC)
        os.environ.setdefault(*_FAST_ENCODER_OPTION)
        writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, code, fps, (width, height))
        if not writer.isOpened():
            raise StudioError("This machine's OpenCV writes no MP4. Take WebP instead.", code="model_unavailable")
        for frame in frames:
            writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
        writer.release()
        return path.read_bytes()


def encode_pdf(images: Sequence[Image], title: str) -> bytes:
    """Encode pictures (H x W x 3) as a PDF, one on each page, without margins, at `PDF_DPI`."""
    first, *rest = [PIL.Image.fromarray(image) for image in images]
    out = io.BytesIO()
    first.save(
        out, "PDF", save_all=True, append_images=rest, resolution=PDF_DPI, quality=PDF_JPEG_QUALITY, title=title,
        producer="DesignerBox", creationDate=None, modDate=None,
    )  # fmt: skip
    return out.getvalue()


# ---------------------------------------------------------------- layers


def encode_layers(
    flat: Image, placed: PlacedSubject, plate: Image, *, seed: int, key: Side = "none", shadow: Shadow | None = None,
    relit: bool = False, clean: bool = False, name: str = "layers",
) -> tuple[EncodedFile, EncodedFile]:  # fmt: skip
    """Return the composite `flat` as OpenRaster and as a ZIP of PNG layers. `compose` got the same arguments.

    The files' `frames` include the backdrop: the content filter must see what is behind the subject, too.
    """
    subject = replace(placed, colour=relight_subject(placed, plate)) if relit else placed
    kept = None if shadow is None else shadow_map(placed.alpha, shadow, key)
    layers = split_layers(flat, add_background_grain(placed, plate, seed=seed, clean=clean), subject, kept)
    return (
        EncodedFile("layers", "ora", encode_openraster(layers, flat), (flat, plate), name),
        EncodedFile("layers", "zip", encode_png_layers(layers), (flat, plate), name),
    )


class Layer(NamedTuple):
    """One layer, H x W x 4, straight alpha. Editors composite it on the layers before it in sRGB."""

    name: str
    image: Image


def split_layers(
    flat: Image, ground: Image, placed: PlacedSubject, kept: npt.NDArray[np.float32] | None
) -> tuple[Layer, ...]:
    """Split `flat` (H x W x 3) into backdrop, shadow, subject and light. Merged again they equal `flat` within 1/255.

    `ground` is the scene without the subject (H x W x 3), `kept` the share of light that it keeps under the shadow
    (H x W, 0 to 1; None: no shadow). The light layer is the rest: light wrap on the subject's edge, and the difference
    between compositing in linear light, as here, and in sRGB, as editors do.
    """
    opaque = np.full(flat.shape[:2], 255, np.uint8)
    rows = [Layer("backdrop", np.dstack([ground, opaque]))]
    if kept is not None:
        rows.append(Layer("shadow", _shadow_layer(kept)))
    rows.append(Layer("subject", np.dstack([placed.colour, _alpha_to_uint8(placed.alpha)])))
    rows.append(Layer("light", _light_layer(flat, merge_layers(rows))))
    return tuple(rows)


def merge_layers(layers: Sequence[Layer]) -> Image:
    """Composite the layers with the "over" operator in 8-bit sRGB. Returns H x W x 3."""
    out = layers[0].image[..., :3].astype(np.float32)
    for layer in layers[1:]:
        alpha = layer.image[..., 3:].astype(np.float32) / 255
        out += alpha * (layer.image[..., :3] - out)
    return np.clip(out + 0.5, 0, 255).astype(np.uint8)


def _alpha_to_uint8(alpha: Alpha) -> Image:
    return np.clip(alpha * 255 + 0.5, 0, 255).astype(np.uint8)


def _shadow_layer(kept: npt.NDArray[np.float32]) -> Image:
    """Return black with the alpha that darkens sRGB as `kept` darkens linear light (sRGB is about a power of 2.4)."""
    out = np.zeros((*kept.shape, 4), np.uint8)
    out[..., 3] = _alpha_to_uint8(1 - np.power(np.clip(kept, 0, 1), 1 / 2.4).astype(np.float32))
    return out


def _light_layer(flat: Image, under: Image) -> Image:
    """Return the most transparent layer (H x W x 4) that turns `under` into `flat`."""
    want, have = flat.astype(np.float32), under.astype(np.float32)
    apart = want - have
    room = np.where(apart > 0, 255 - have, have)
    least = np.max(np.abs(apart) / np.maximum(room, 1), axis=2)
    alpha = np.ceil(np.clip(least, 0, 1) * 255) * (np.abs(apart).max(axis=2) > _LAYER_TOLERANCE_LEVELS)
    colour = have + apart * 255 / np.maximum(alpha, 1)[..., None]
    colour = np.where(alpha[..., None] > 0, np.clip(colour + 0.5, 0, 255), 0)
    return np.dstack([colour, alpha]).astype(np.uint8)


def encode_png_layers(layers: Sequence[Layer]) -> bytes:
    """Return a ZIP of one PNG for each layer, numbered from back to front, each as large as the picture."""
    return build_zip([(f"{n:02d}-{layer.name}.png", encode_png(layer.image)) for n, layer in enumerate(layers, 1)])


def encode_openraster(layers: Sequence[Layer], flat: Image) -> bytes:
    """Encode the layers as OpenRaster 0.0.5 (freedesktop.org), which Krita, GIMP and MyPaint open."""
    names = [f"data/{n:02d}-{layer.name}.png" for n, layer in enumerate(layers, 1)]
    members = [
        ("mimetype", b"image/openraster"),  # the first member and stored, so that it can be told by its bytes
        ("stack.xml", _stack_xml(layers, names, flat.shape[1], flat.shape[0]).encode()),
        *((name, encode_png(layer.image)) for name, layer in zip(names, layers, strict=True)),
        ("mergedimage.png", encode_png(flat)),
        ("Thumbnails/thumbnail.png", encode_png(_make_thumbnail(flat))),
    ]
    return build_zip(members)


def _stack_xml(layers: Sequence[Layer], names: Sequence[str], width: int, height: int) -> str:
    """Return `stack.xml`. The format lists the topmost layer first."""
    rows = [
        f'<layer name={quoteattr(layer.name)} src={quoteattr(name)} x="0" y="0" opacity="1.0" visibility="visible" '
        'composite-op="svg:src-over"/>'
        for layer, name in zip(layers, names, strict=True)
    ]
    head = '<?xml version="1.0" encoding="UTF-8"?>\n'
    return f'{head}<image version="0.0.5" w="{width}" h="{height}"><stack>{"".join(reversed(rows))}</stack></image>\n'


def _make_thumbnail(flat: Image) -> Image:
    height, width = flat.shape[:2]
    scale = min(1.0, THUMBNAIL_PX / max(width, height))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(cv2.resize(flat, size, interpolation=cv2.INTER_AREA), np.uint8)
