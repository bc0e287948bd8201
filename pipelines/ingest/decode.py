"""Bytes of strangers to plain sRGB pixels, inside the worker process; knows no numpy, no studio and no files.

It runs where a crash costs nothing, so it imports only Pillow and pillow-heif: a worker stays below 20 MB.
The order of the checks is the cheap ones first; nothing is decoded before its size is known to be bearable.
"""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from dataclasses import dataclass

import pillow_heif
from PIL import AvifImagePlugin, Image, ImageCms

from pipelines.codecs import file_signatures
from pipelines.codecs.file_signatures import RejectedImage, corrupt_image

MAX_SIDE_PX = 8192
"""Pixels. The longest side of the 48 and 50 MP photos that phones make; panoramas beyond it are for other tools."""
MAX_PIXEL_COUNT = 8192 * 6144
"""50.3 megapixels: a 4:3 photo of the longest side. About 800 MB while it is being turned, the most a worker takes."""
MIN_SIDE_PX = 16
"""Pixels. Below it there is nothing to cut out; a favicon still passes."""
MAX_ASPECT_RATIO = 20
"""Longer to shorter side. The widest banner that is made here has 4."""
MIN_VISIBLE_ALPHA = 8
"""Of 255. A picture whose most opaque pixel lies below is seen by nobody."""
DECODER_THREAD_COUNT = 2
"""Of the AVIF and HEIF decoders, which would take one per core and 8 MB of stack each."""

_EXIF_ORIENTATION_TAG = 0x0112
_EXIF_TRANSPOSES = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# What Pillow and its codecs raise over damaged bytes. Anything else is reported by the parent as a decoder's bug.
_DECODE_ERRORS = (OSError, SyntaxError, ValueError, EOFError, LookupError, ArithmeticError, struct.error, zlib.error)
_ANIMATION_NOTICE = "Only the first frame of the animation was used."


@dataclass(frozen=True)
class DecodedImage:
    """Interleaved 8-bit sRGB, `channels` 3 or 4 (straight alpha), rows from the top without padding."""

    width: int
    height: int
    channels: int
    pixels: bytes
    notices: tuple[str, ...]


def init_worker(memory: int) -> None:
    """Prepare a worker: formats, decoder threads, and a ceiling of `memory` bytes of address space (POSIX)."""
    pillow_heif.register_heif_opener(thumbnails=False, decode_threads=DECODER_THREAD_COUNT)
    AvifImagePlugin.DEFAULT_MAX_THREADS = DECODER_THREAD_COUNT
    Image.MAX_IMAGE_PIXELS = MAX_PIXEL_COUNT
    _limit_memory(memory)


def _limit_memory(memory: int) -> None:
    try:
        import resource
    except ImportError:  # Windows: the time limit and the pixel limits still hold
        return
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def decode_image(data: bytes) -> DecodedImage | RejectedImage:
    """The picture in `data`: upright, 8 bit, sRGB, RGB or RGBA where anything is see-through, and nothing but pixels.

    EXIF, GPS, XMP, ICC, text and whatever follows the picture stay behind, since only pixels are returned.
    A refusal is returned rather than raised: a raised one would hold on to the pixels by its traceback, in a worker
    whose memory is bounded.
    """
    try:
        format = file_signatures.detect_format(data)
        file_signatures.check_container(data, format)
        return _decode_format(data, format)
    except RejectedImage as refusal:
        return RejectedImage(refusal.code, refusal.message)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        return _size_error()
    except MemoryError:
        return RejectedImage("too_many_pixels", "Reading this picture takes too much memory. Make it smaller.")
    except _DECODE_ERRORS:
        return corrupt_image("This picture is damaged or cut off and cannot be read.")


def _decode_format(data: bytes, format: str) -> DecodedImage:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        opened = Image.open(io.BytesIO(data), formats=(format,))
        check_size(*opened.size)
        opened.load()
        notices = (_ANIMATION_NOTICE,) if format != "JPEG" and getattr(opened, "is_animated", False) else ()
        image = _drop_opaque_alpha(
            _to_rgb_mode(_to_eight_bit(_apply_orientation(opened)), opened.info.get("icc_profile"))
        )
    return DecodedImage(*image.size, len(image.getbands()), image.tobytes(), notices)


def _size_error() -> RejectedImage:
    return RejectedImage(
        "too_many_pixels",
        f"The picture is too large: at most {MAX_PIXEL_COUNT / 1e6:.0f} megapixels and {MAX_SIDE_PX} pixels a side.",
    )


def check_size(width: int, height: int) -> None:
    """Sides, area and ratio are bearable. Raises `Unfit`."""
    short, long = sorted((width, height))
    if (long > MAX_SIDE_PX and long <= MAX_ASPECT_RATIO * short) or width * height > MAX_PIXEL_COUNT:
        raise _size_error()
    if short < MIN_SIDE_PX:
        raise RejectedImage(
            "invalid_request", f"The picture is {width} x {height}: each side needs {MIN_SIDE_PX} pixels."
        )
    if long > MAX_ASPECT_RATIO * short:
        raise RejectedImage(
            "invalid_request", f"The picture is {width} x {height}: too narrow, at most {MAX_ASPECT_RATIO} to 1."
        )


def _apply_orientation(image: Image.Image) -> Image.Image:
    # Pillow's exif_transpose also rewrites the EXIF block and fails where that is damaged; only the turn is wanted.
    try:
        turn = _EXIF_TRANSPOSES.get(image.getexif().get(_EXIF_ORIENTATION_TAG, 1))
    except (*_DECODE_ERRORS, TypeError):  # TypeError: the value is of another kind than a number
        return image
    return image if turn is None else image.transpose(turn)


def _to_eight_bit(image: Image.Image) -> Image.Image:
    if not image.mode.startswith("I"):
        return image
    # Pillow clips 16 bits to 255 instead of scaling. In big-endian order every first byte is the high one.
    deep = image.convert("I;16") if image.mode == "I" else image
    return Image.frombytes("L", image.size, deep.tobytes("raw", "I;16B")[::2])


def _to_rgb_mode(image: Image.Image, profile: bytes | None) -> Image.Image:
    """RGB or RGBA in sRGB."""
    if profile:
        image = _convert_profile(image, profile)
    return image if image.mode in ("RGB", "RGBA") else image.convert("RGBA" if _has_alpha(image) else "RGB")


def _has_alpha(image: Image.Image) -> bool:
    return image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info


def _convert_profile(image: Image.Image, profile: bytes) -> Image.Image:
    """`image` through its own profile; as it is when the profile is garbage or not for these channels."""
    # Palettes, grey with alpha and RGB with a transparent colour are spelt out first: lcms knows none of them.
    if _has_alpha(image) or image.mode == "P":
        image = image.convert("RGBA" if _has_alpha(image) else "RGB")
    mode = "RGBA" if image.mode == "RGBA" else "RGB"
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        transform = ImageCms.buildTransform(source, _SRGB_PROFILE, image.mode, mode)
        if image.mode == mode and _is_identity(transform, mode):
            return image
        return ImageCms.applyTransform(image, transform) or image
    except (ImageCms.PyCMSError, *_DECODE_ERRORS):
        return image


def _is_identity(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Whether 512 colours come out within one level: most photos carry sRGB, and 12 MP of it take a while."""
    levels = (0, 36, 73, 109, 146, 182, 219, 255)
    cube = bytes(v for r in levels for g in levels for b in levels for v in (r, g, b))
    swatch = Image.frombytes("RGB", (64, 8), cube).convert(mode)
    after = ImageCms.applyTransform(swatch, transform)
    return after is not None and all(abs(a - b) <= 1 for a, b in zip(after.convert("RGB").tobytes(), cube, strict=True))


def _drop_opaque_alpha(image: Image.Image) -> Image.Image:
    """RGB where the alpha is full everywhere. Raises `Unfit` where it is empty everywhere."""
    if image.mode == "RGB":
        return image
    least, most = image.getchannel("A").getextrema()
    if isinstance(most, (int, float)) and most < MIN_VISIBLE_ALPHA:
        raise RejectedImage("nothing_visible", "The picture is fully transparent: there is nothing to see in it.")
    return image.convert("RGB") if least == 255 else image


_SRGB_PROFILE = ImageCms.createProfile("sRGB")
