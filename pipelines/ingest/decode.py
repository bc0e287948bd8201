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
from pipelines.codecs.file_signatures import Unfit, corrupt

MAX_SIDE = 8192
"""Pixels. The longest side of the 48 and 50 MP photos that phones make; panoramas beyond it are for other tools."""
MAX_PIXELS = 8192 * 6144
"""50.3 megapixels: a 4:3 photo of the longest side. About 800 MB while it is being turned, the most a worker takes."""
MIN_SIDE = 16
"""Pixels. Below it there is nothing to cut out; a favicon still passes."""
MAX_ASPECT = 20
"""Longer to shorter side. The widest banner that is made here has 4."""
FAINTEST = 8
"""Of 255. A picture whose most opaque pixel lies below is seen by nobody."""
THREADS = 2
"""Of the AVIF and HEIF decoders, which would take one per core and 8 MB of stack each."""

_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# What Pillow and its codecs raise over damaged bytes. Anything else is reported by the parent as a decoder's bug.
_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, LookupError, ArithmeticError, struct.error, zlib.error)
_ANIMATED = "Only the first frame of the animation was used."


@dataclass(frozen=True)
class Decoded:
    """Interleaved 8-bit sRGB, `channels` 3 or 4 (straight alpha), rows from the top without padding."""

    width: int
    height: int
    channels: int
    pixels: bytes
    notices: tuple[str, ...]


def start(memory: int) -> None:
    """Prepare a worker: formats, decoder threads, and a ceiling of `memory` bytes of address space (POSIX)."""
    pillow_heif.register_heif_opener(thumbnails=False, decode_threads=THREADS)
    AvifImagePlugin.DEFAULT_MAX_THREADS = THREADS
    Image.MAX_IMAGE_PIXELS = MAX_PIXELS
    _limit(memory)


def _limit(memory: int) -> None:
    try:
        import resource
    except ImportError:  # Windows: the time limit and the pixel limits still hold
        return
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def decode(data: bytes) -> Decoded | Unfit:
    """The picture in `data`: upright, 8 bit, sRGB, RGB or RGBA where anything is see-through, and nothing but pixels.

    EXIF, GPS, XMP, ICC, text and whatever follows the picture stay behind, since only pixels are returned.
    A refusal is returned rather than raised: a raised one would hold on to the pixels by its traceback, in a worker
    whose memory is bounded.
    """
    try:
        format = file_signatures.kind(data)
        file_signatures.check(data, format)
        return _decode(data, format)
    except Unfit as refusal:
        return Unfit(refusal.code, refusal.message)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        return _too_large()
    except MemoryError:
        return Unfit("too_many_pixels", "Reading this picture takes too much memory. Make it smaller.")
    except _DAMAGE:
        return corrupt("This picture is damaged or cut off and cannot be read.")


def _decode(data: bytes, format: str) -> Decoded:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        opened = Image.open(io.BytesIO(data), formats=(format,))
        check_size(*opened.size)
        opened.load()
        notices = (_ANIMATED,) if format != "JPEG" and getattr(opened, "is_animated", False) else ()
        image = _visible(_colours(_eight_bit(_upright(opened)), opened.info.get("icc_profile")))
    return Decoded(*image.size, len(image.getbands()), image.tobytes(), notices)


def _too_large() -> Unfit:
    return Unfit(
        "too_many_pixels",
        f"The picture is too large: at most {MAX_PIXELS / 1e6:.0f} megapixels and {MAX_SIDE} pixels a side.",
    )


def check_size(width: int, height: int) -> None:
    """Sides, area and ratio are bearable. Raises `Unfit`."""
    short, long = sorted((width, height))
    if (long > MAX_SIDE and long <= MAX_ASPECT * short) or width * height > MAX_PIXELS:
        raise _too_large()
    if short < MIN_SIDE:
        raise Unfit("invalid_request", f"The picture is {width} x {height}: each side needs {MIN_SIDE} pixels.")
    if long > MAX_ASPECT * short:
        raise Unfit("invalid_request", f"The picture is {width} x {height}: too narrow, at most {MAX_ASPECT} to 1.")


def _upright(image: Image.Image) -> Image.Image:
    # Pillow's exif_transpose also rewrites the EXIF block and fails where that is damaged; only the turn is wanted.
    try:
        turn = _TURNS.get(image.getexif().get(_ORIENTATION, 1))
    except (*_DAMAGE, TypeError):  # TypeError: the value is of another kind than a number
        return image
    return image if turn is None else image.transpose(turn)


def _eight_bit(image: Image.Image) -> Image.Image:
    if not image.mode.startswith("I"):
        return image
    # Pillow clips 16 bits to 255 instead of scaling. In big-endian order every first byte is the high one.
    deep = image.convert("I;16") if image.mode == "I" else image
    return Image.frombytes("L", image.size, deep.tobytes("raw", "I;16B")[::2])


def _colours(image: Image.Image, profile: bytes | None) -> Image.Image:
    """RGB or RGBA in sRGB."""
    if profile:
        image = _to_srgb(image, profile)
    return image if image.mode in ("RGB", "RGBA") else image.convert("RGBA" if _has_alpha(image) else "RGB")


def _has_alpha(image: Image.Image) -> bool:
    return image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info


def _to_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """`image` through its own profile; as it is when the profile is garbage or not for these channels."""
    # Palettes, grey with alpha and RGB with a transparent colour are spelt out first: lcms knows none of them.
    if _has_alpha(image) or image.mode == "P":
        image = image.convert("RGBA" if _has_alpha(image) else "RGB")
    mode = "RGBA" if image.mode == "RGBA" else "RGB"
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        transform = ImageCms.buildTransform(source, _SRGB, image.mode, mode)
        if image.mode == mode and _changes_nothing(transform, mode):
            return image
        return ImageCms.applyTransform(image, transform) or image
    except (ImageCms.PyCMSError, *_DAMAGE):
        return image


def _changes_nothing(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Whether 512 colours come out within one level: most photos carry sRGB, and 12 MP of it take a while."""
    levels = (0, 36, 73, 109, 146, 182, 219, 255)
    cube = bytes(v for r in levels for g in levels for b in levels for v in (r, g, b))
    swatch = Image.frombytes("RGB", (64, 8), cube).convert(mode)
    after = ImageCms.applyTransform(swatch, transform)
    return after is not None and all(abs(a - b) <= 1 for a, b in zip(after.convert("RGB").tobytes(), cube, strict=True))


def _visible(image: Image.Image) -> Image.Image:
    """RGB where the alpha is full everywhere. Raises `Unfit` where it is empty everywhere."""
    if image.mode == "RGB":
        return image
    least, most = image.getchannel("A").getextrema()
    if isinstance(most, (int, float)) and most < FAINTEST:
        raise Unfit("nothing_visible", "The picture is fully transparent: there is nothing to see in it.")
    return image.convert("RGB") if least == 255 else image


_SRGB = ImageCms.createProfile("sRGB")
