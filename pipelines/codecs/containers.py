"""Finished pictures as other files: animated WebP, MP4, PDF pages, PNG layers, OpenRaster; knows no tool and no job.

The film is VP9 in MP4, written by the FFmpeg that OpenCV's wheel carries: LGPL, a codec without royalties, and no
further dependency. (PyAV's wheels carry x264 and x265 and are therefore GPL.)
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

from pipelines.codecs.encode import archive, encode_png
from pipelines.compositing.compose import ground_of, relight
from pipelines.compositing.shadows import Shadow, shade
from pipelines.core.errors import StudioError
from pipelines.core.geometry import Alpha, Image, PlacedSubject, Side
from pipelines.core.rendering import Extra

THUMBNAIL = 256  # pixels, OpenRaster's largest
PDF_DPI = 150
PDF_QUALITY = 92
_FOURCC = "vp09"
# The only way to tell OpenCV's encoder to hurry: its default takes ten times as long for nothing that is seen.
_FAST = ("OPENCV_FFMPEG_WRITER_OPTIONS", "deadline;realtime|cpu-used;7")
_TOLERANCE = 1  # 8-bit steps by which layers may miss the flat picture


# ---------------------------------------------------------------- what moves, and pages


def animation(frames: Sequence[Image], fps: float, quality: int = 80) -> bytes:
    """Frames of one size (H x W x 3) as an animated WebP that loops without end."""
    first, *rest = [PIL.Image.fromarray(frame) for frame in frames]
    out = io.BytesIO()
    first.save(
        out, "WEBP", save_all=True, append_images=rest, duration=round(1000 / fps), loop=0, quality=quality, method=2,
        minimize_size=False,
    )  # fmt: skip
    return out.getvalue()


def film(frames: Sequence[Image], fps: float) -> bytes:
    """Frames of one size with even sides (H x W x 3) as an MP4. Raises `StudioError` where OpenCV cannot write one."""
    height, width = frames[0].shape[:2]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "film.mp4"
        code = cv2.VideoWriter.fourcc(*_FOURCC)
        os.environ.setdefault(*_FAST)
        writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, code, fps, (width, height))
        if not writer.isOpened():
            raise StudioError("This machine's OpenCV writes no MP4. Take WebP instead.", code="model_unavailable")
        for frame in frames:
            writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
        writer.release()
        return path.read_bytes()


def pages(images: Sequence[Image], title: str) -> bytes:
    """A PDF, one picture (H x W x 3) a page, without margins, at 150 dots an inch."""
    first, *rest = [PIL.Image.fromarray(image) for image in images]
    out = io.BytesIO()
    first.save(
        out, "PDF", save_all=True, append_images=rest, resolution=PDF_DPI, quality=PDF_QUALITY, title=title,
        producer="DesignerBox", creationDate=None, modDate=None,
    )  # fmt: skip
    return out.getvalue()


# ---------------------------------------------------------------- layers


def layered(
    flat: Image, placed: PlacedSubject, plate: Image, *, seed: int, key: Side = "none", shadow: Shadow | None = None,
    relit: bool = False, clean: bool = False, name: str = "layers",
) -> tuple[Extra, Extra]:  # fmt: skip
    """`flat`, which `compose` made from the same arguments, as OpenRaster and as a ZIP of PNG layers.

    The backdrop is among their frames, which the gate looks at: what is behind the subject leaves the studio too.
    """
    subject = replace(placed, colour=relight(placed, plate)) if relit else placed
    kept = None if shadow is None else shade(placed.alpha, shadow, key)
    layers = layers_of(flat, ground_of(placed, plate, seed=seed, clean=clean), subject, kept)
    return (
        Extra("layers", "ora", openraster(layers, flat), (flat, plate), name),
        Extra("layers", "zip", png_layers(layers), (flat, plate), name),
    )


class Layer(NamedTuple):
    """One layer, H x W x 4, straight alpha; laid on those before it in sRGB, as every editor does by default."""

    name: str
    image: Image


def layers_of(
    flat: Image, ground: Image, placed: PlacedSubject, kept: npt.NDArray[np.float32] | None
) -> tuple[Layer, ...]:
    """`flat` (H x W x 3) taken apart: backdrop, shadow, subject, light. Together they are `flat` within 1/255.

    `ground` is the scene without the subject, `kept` what the ground keeps of its light under the subject's shadow
    (`compose.shade`; None: no shadow). Light is what is left: the scene's light on the subject's edge, and the
    difference between mixing in linear light, as here, and in sRGB, as editors do.
    """
    opaque = np.full(flat.shape[:2], 255, np.uint8)
    rows = [Layer("backdrop", np.dstack([ground, opaque]))]
    if kept is not None:
        rows.append(Layer("shadow", _shadow(kept)))
    rows.append(Layer("subject", np.dstack([placed.colour, _level(placed.alpha)])))
    rows.append(Layer("light", _light(flat, merged(rows))))
    return tuple(rows)


def merged(layers: Sequence[Layer]) -> Image:
    """The layers laid on each other, H x W x 3: the plain "over" of 8-bit sRGB."""
    out = layers[0].image[..., :3].astype(np.float32)
    for layer in layers[1:]:
        alpha = layer.image[..., 3:].astype(np.float32) / 255
        out += alpha * (layer.image[..., :3] - out)
    return np.clip(out + 0.5, 0, 255).astype(np.uint8)


def _level(alpha: Alpha) -> Image:
    return np.clip(alpha * 255 + 0.5, 0, 255).astype(np.uint8)


def _shadow(kept: npt.NDArray[np.float32]) -> Image:
    """Black that darkens sRGB as `kept` darkens linear light: a power of 2.4 lies between them but for deep blacks."""
    out = np.zeros((*kept.shape, 4), np.uint8)
    out[..., 3] = _level(1 - np.power(np.clip(kept, 0, 1), 1 / 2.4).astype(np.float32))
    return out


def _light(flat: Image, under: Image) -> Image:
    """The thinnest layer that turns `under` into `flat`: per pixel the least opacity that can reach its colour."""
    want, have = flat.astype(np.float32), under.astype(np.float32)
    apart = want - have
    room = np.where(apart > 0, 255 - have, have)
    least = np.max(np.abs(apart) / np.maximum(room, 1), axis=2)
    alpha = np.ceil(np.clip(least, 0, 1) * 255) * (np.abs(apart).max(axis=2) > _TOLERANCE)
    colour = have + apart * 255 / np.maximum(alpha, 1)[..., None]
    colour = np.where(alpha[..., None] > 0, np.clip(colour + 0.5, 0, 255), 0)
    return np.dstack([colour, alpha]).astype(np.uint8)


def png_layers(layers: Sequence[Layer]) -> bytes:
    """A ZIP of one PNG a layer, numbered from the ground up, each as large as the picture."""
    return archive([(f"{n:02d}-{layer.name}.png", encode_png(layer.image)) for n, layer in enumerate(layers, 1)])


def openraster(layers: Sequence[Layer], flat: Image) -> bytes:
    """OpenRaster 0.0.5 (freedesktop.org): opens in Krita, GIMP and MyPaint with every layer in place."""
    names = [f"data/{n:02d}-{layer.name}.png" for n, layer in enumerate(layers, 1)]
    members = [
        ("mimetype", b"image/openraster"),  # the first member and stored, so that it can be told by its bytes
        ("stack.xml", _stack(layers, names, flat.shape[1], flat.shape[0]).encode()),
        *((name, encode_png(layer.image)) for name, layer in zip(names, layers, strict=True)),
        ("mergedimage.png", encode_png(flat)),
        ("Thumbnails/thumbnail.png", encode_png(_thumbnail(flat))),
    ]
    return archive(members)


def _stack(layers: Sequence[Layer], names: Sequence[str], width: int, height: int) -> str:
    """The topmost layer comes first, as the format has it."""
    rows = [
        f'<layer name={quoteattr(layer.name)} src={quoteattr(name)} x="0" y="0" opacity="1.0" visibility="visible" '
        'composite-op="svg:src-over"/>'
        for layer, name in zip(layers, names, strict=True)
    ]
    head = '<?xml version="1.0" encoding="UTF-8"?>\n'
    return f'{head}<image version="0.0.5" w="{width}" h="{height}"><stack>{"".join(reversed(rows))}</stack></image>\n'


def _thumbnail(flat: Image) -> Image:
    height, width = flat.shape[:2]
    scale = min(1.0, THUMBNAIL / max(width, height))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(cv2.resize(flat, size, interpolation=cv2.INTER_AREA), np.uint8)
