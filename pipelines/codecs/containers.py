"""Encode finished pictures as animated WebP, GIF, MP4, PDF, PNG layers or OpenRaster.

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
import PIL.Image
from PIL import ImageCms, PdfParser

from pipelines.codecs.color_profiles import ColorSpace, coated_paper_profile, get_profile, srgb_profile
from pipelines.codecs.encode import build_zip, encode_png
from pipelines.compositing.compose import add_background_grain
from pipelines.compositing.relighting import relight_subject
from pipelines.compositing.shadows import Shadow, compute_ground_light_share
from pipelines.core.errors import StudioError
from pipelines.core.geometry import Alpha, Float32Array, Image, PlacedSubject, Side
from pipelines.core.rendering import EncodedFile
from pipelines.imaging.resize import size_within

THUMBNAIL_PX = 256  # largest thumbnail that OpenRaster allows
PDF_DPI = 150
PDF_JPEG_QUALITY = 92
_VIDEO_FOURCC = "vp09"
# Environment variable that makes OpenCV's encoder fast. Its default takes ten times as long and looks the same.
_FAST_ENCODER_OPTION = ("OPENCV_FFMPEG_WRITER_OPTIONS", "deadline;realtime|cpu-used;7")
_LAYER_TOLERANCE_LEVELS = 1  # 8-bit steps by which the merged layers may differ from the flat picture


def encode_animation(frames: Sequence[Image], fps: float) -> bytes:
    """Encode frames of one size (H x W x 3) as an animated WebP in sRGB that loops without end."""
    first, *rest = [PIL.Image.fromarray(frame) for frame in frames]
    out = io.BytesIO()
    duration = round(1000 / fps)
    options = {"loop": 0, "quality": 80, "method": 2, "minimize_size": False, "icc_profile": srgb_profile()}
    first.save(out, "WEBP", save_all=True, append_images=rest, duration=duration, **options)
    return out.getvalue()


def encode_gif(frames: Sequence[Image], seconds: float) -> bytes:
    """Encode frames of one size (H x W x 3) as a GIF that loops without end and takes `seconds` for one turn.

    GIF has 256 colours and counts time in hundredths of a second: each frame gets the nearest such delay.
    Equal frames in a row become one with the delay of both.
    """
    first, *rest = [
        PIL.Image.fromarray(frame).quantize(256, dither=PIL.Image.Dither.FLOYDSTEINBERG) for frame in frames
    ]
    out = io.BytesIO()
    delay_ms = max(20, 10 * round(100 * seconds / len(frames)))
    # `disposal` 1 and `optimize` off keep every frame whole, so that players and editors show the same.
    first.save(out, "GIF", save_all=True, append_images=rest, duration=delay_ms, loop=0, disposal=1, optimize=False)
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
            raise StudioError("This machine writes no MP4. Take WebP instead.", code="model_unavailable")
        for frame in frames:
            writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
        writer.release()
        return path.read_bytes()


def encode_pdf(
    images: Sequence[Image], title: str, dpi: int = PDF_DPI, *, cmyk_from: ColorSpace | None = None
) -> bytes:
    """Encode pictures (H x W x 3) as a PDF, one on each page, without margins.

    With `cmyk_from`, the colour space of the pictures, it is in CMYK for coated paper and names that profile.
    """
    pages = [PIL.Image.fromarray(image) for image in images]
    if cmyk_from is not None:
        pages = [_to_coated_paper(page, cmyk_from) for page in pages]
    out = io.BytesIO()
    metadata = {"title": title, "producer": "DesignerBox", "creationDate": None, "modDate": None}
    options = {"resolution": dpi, "quality": PDF_JPEG_QUALITY}
    pages[0].save(out, "PDF", save_all=True, append_images=pages[1:], **options, **metadata)
    if cmyk_from is not None:
        _add_output_intent(out, coated_paper_profile())
    return out.getvalue()


def _to_coated_paper(page: PIL.Image.Image, space: ColorSpace) -> PIL.Image.Image:
    """Convert to CMYK, relative colorimetric with black point compensation, as printers do with photographs."""
    converted = ImageCms.profileToProfile(
        page,
        io.BytesIO(get_profile(space)),
        io.BytesIO(coated_paper_profile()),
        ImageCms.Intent.RELATIVE_COLORIMETRIC,
        "CMYK",
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
    assert converted is not None  # only a conversion in place returns None
    return converted


def _add_output_intent(pdf: io.BytesIO, profile: bytes) -> None:
    """Append the profile to a PDF, and name it as what its DeviceCMYK means (ISO 32000-1, 14.11.5)."""
    parser = PdfParser.PdfParser(f=pdf, mode="r+b")
    parser.start_writing()
    stream = parser.write_obj(None, stream=profile, N=4)
    intent = PdfParser.PdfDict(
        {
            b"Type": PdfParser.PdfName("OutputIntent"),
            b"S": PdfParser.PdfName("GTS_PDFX"),
            b"OutputConditionIdentifier": b"FOGRA39",
            b"Info": b"Coated FOGRA39 (ISO 12647-2:2004)",
            b"RegistryName": b"http://www.color.org",
            b"DestOutputProfile": stream,
        }
    )
    parser.write_obj(parser.root_ref, PdfParser.PdfDict({**parser.root, b"OutputIntents": [intent]}))
    parser.write_xref_and_trailer()


def encode_layers(
    flat: Image,
    placed: PlacedSubject,
    plate: Image,
    *,
    seed: int,
    key_side: Side = "none",
    shadow: Shadow | None = None,
    relit: bool = False,
    clean: bool = False,
    name: str = "layers",
) -> tuple[EncodedFile, EncodedFile]:
    """Return the composite `flat` as OpenRaster and as a ZIP of PNG layers. `compose` got the same arguments.

    The files' `frames` include the backdrop: the content filter must see what is behind the subject, too.
    """
    subject = replace(placed, colour=relight_subject(placed, plate)) if relit else placed
    light_share = None if shadow is None else compute_ground_light_share(placed.alpha, shadow, key_side)
    layers = split_layers(flat, add_background_grain(placed, plate, seed=seed, clean=clean), subject, light_share)
    return encode_layer_files(layers, flat, (flat, plate), name)


class Layer(NamedTuple):
    """One layer, H x W x 4, straight alpha. Editors composite it on the layers before it in sRGB."""

    name: str
    image: Image


def split_layers(
    flat: Image, ground: Image, placed: PlacedSubject, light_share: Float32Array | None
) -> tuple[Layer, ...]:
    """Split `flat` (H x W x 3) into backdrop, shadow, subject and light. Merged again they equal `flat` within 1/255.

    `ground` is the scene without the subject (H x W x 3), `light_share` the light that it keeps under the shadow
    (H x W, 0 to 1; None: no shadow). The light layer is the rest: light wrap on the subject's edge, and the difference
    between compositing in linear light, as here, and in sRGB, as editors do.
    """
    opaque = np.full(flat.shape[:2], 255, np.uint8)
    layers = [Layer("backdrop", np.dstack([ground, opaque]))]
    if light_share is not None:
        layers.append(Layer("shadow", _make_shadow_layer(light_share)))
    layers.append(Layer("subject", np.dstack([placed.colour, _alpha_to_uint8(placed.alpha)])))
    layers.append(Layer("light", _light_layer(flat, merge_layers(layers))))
    return tuple(layers)


def merge_layers(layers: Sequence[Layer]) -> Image:
    """Composite the layers with the "over" operator in 8-bit sRGB. Returns H x W x 3."""
    out = layers[0].image[..., :3].astype(np.float32)
    for layer in layers[1:]:
        alpha = layer.image[..., 3:].astype(np.float32) / 255
        out += alpha * (layer.image[..., :3] - out)
    return np.clip(out + 0.5, 0, 255).astype(np.uint8)


def _alpha_to_uint8(alpha: Alpha) -> Image:
    return np.clip(alpha * 255 + 0.5, 0, 255).astype(np.uint8)


def _make_shadow_layer(light_share: Float32Array) -> Image:
    """Return black with the alpha that darkens sRGB as `light_share` darkens linear light (gamma is about 2.4)."""
    out = np.zeros((*light_share.shape, 4), np.uint8)
    out[..., 3] = _alpha_to_uint8(1 - np.power(np.clip(light_share, 0, 1), 1 / 2.4).astype(np.float32))
    return out


def _light_layer(flat: Image, merged_layers: Image) -> Image:
    """Return the most transparent layer (H x W x 4) that turns `merged_layers` into `flat`."""
    target, merged = flat.astype(np.float32), merged_layers.astype(np.float32)
    difference = target - merged
    headroom = np.where(difference > 0, 255 - merged, merged)
    min_alpha = np.max(np.abs(difference) / np.maximum(headroom, 1), axis=2)
    alpha = np.ceil(np.clip(min_alpha, 0, 1) * 255) * (np.abs(difference).max(axis=2) > _LAYER_TOLERANCE_LEVELS)
    colour = merged + difference * 255 / np.maximum(alpha, 1)[..., None]
    colour = np.where(alpha[..., None] > 0, np.clip(colour + 0.5, 0, 255), 0)
    return np.dstack([colour, alpha]).astype(np.uint8)


def encode_layer_files(
    layers: Sequence[Layer], flat: Image, frames: tuple[Image, ...], name: str = "layers"
) -> tuple[EncodedFile, EncodedFile]:
    """Return the layers of `flat` as OpenRaster and as a ZIP of PNGs, numbered from back to front."""
    pngs = [
        (layer.name, f"{n:02d}-{layer.name}.png", encode_png(layer.image)) for n, layer in enumerate(layers, 1)
    ]  # once for both files
    return (
        EncodedFile("layers", "ora", _build_openraster(pngs, flat), frames, name),
        EncodedFile("layers", "zip", build_zip([(file_name, png) for _, file_name, png in pngs]), frames, name),
    )


def _build_openraster(pngs: Sequence[tuple[str, str, bytes]], flat: Image) -> bytes:
    """Pack layers (name, file name, PNG) as OpenRaster 0.0.5 (freedesktop.org), which Krita, GIMP and MyPaint open."""
    height, width = flat.shape[:2]
    rows = [
        f'<layer name={quoteattr(name)} src={quoteattr(f"data/{file_name}")} x="0" y="0" opacity="1.0" '
        'visibility="visible" composite-op="svg:src-over"/>'
        for name, file_name, _ in pngs
    ]
    # The topmost layer comes first.
    stack = f'<image version="0.0.5" w="{width}" h="{height}"><stack>{"".join(reversed(rows))}</stack></image>\n'
    thumbnail = cv2.resize(flat, size_within(flat.shape, THUMBNAIL_PX), interpolation=cv2.INTER_AREA)
    members = [
        ("mimetype", b"image/openraster"),  # must be the first member and uncompressed
        ("stack.xml", f'<?xml version="1.0" encoding="UTF-8"?>\n{stack}'.encode()),
        *((f"data/{file_name}", png) for _, file_name, png in pngs),
        ("mergedimage.png", encode_png(flat)),
        ("Thumbnails/thumbnail.png", encode_png(np.asarray(thumbnail, np.uint8))),
    ]
    return build_zip(members)
