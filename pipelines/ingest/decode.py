"""Decode untrusted picture files to sRGB pixels, inside a worker process.

It imports only Pillow and pillow-heif, so that a worker needs less than 20 MB. Cheap checks come first: nothing is
decoded before its size was checked.
"""

from __future__ import annotations

import io
import struct
import sys
import warnings
import zlib
from dataclasses import dataclass

import pillow_heif
from PIL import AvifImagePlugin, Image, ImageChops, ImageCms

from pipelines.codecs import file_signatures
from pipelines.codecs.color_profiles import display_p3_profile
from pipelines.codecs.file_signatures import RejectedImage, corrupt_image

MAX_SIDE_PX = 8192  # longest side: that of the 48 and 50 MP photos of phones
MAX_PIXEL_COUNT = 8192 * 6144  # 50.3 megapixels: a 4:3 photo of the longest side. Rotating it needs about 800 MB.
MIN_SIDE_PX = 16  # shortest side, that of a favicon
MAX_ASPECT_RATIO = 20  # Longer over shorter side. The widest banner made here has 4.
MIN_VISIBLE_ALPHA = 8  # Alpha (of 255) that at least one pixel must have. Below it the picture is invisible.
DECODER_THREAD_COUNT = 2
"""Threads of the AVIF and HEIF decoders. Their default is one for each core, with 8 MB of stack each."""

MAX_WIDE_PIXEL_COUNT = 26_000_000  # A larger photo keeps no colours outside sRGB: they take a third more memory.
MIN_WIDE_LEVELS = 4  # steps of 8 bits by which a colour outside sRGB differs; less is rounding
MIN_WIDE_RATIO = 0.0005
"""Share of the pixels outside sRGB from which a photo is kept in Display P3, too."""
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
# Errors of Pillow and its codecs on damaged bytes. The parent process logs any other error as a bug.
_DECODE_ERRORS = (OSError, SyntaxError, ValueError, EOFError, LookupError, ArithmeticError, struct.error, zlib.error)
_ANIMATION_NOTICE = "Only the first frame of the animation was used."


@dataclass(frozen=True)
class DecodedImage:
    """Interleaved 8-bit sRGB with 3 or 4 channels (straight alpha), rows from the top without padding.

    `wide_pixels` is the same picture in Display P3 with 3 channels, where it has colours outside sRGB.
    """

    width: int
    height: int
    channels: int
    pixels: bytes
    notices: tuple[str, ...]
    wide_pixels: bytes | None = None


def init_worker(memory: int) -> None:
    """Initialise a worker: formats, decoder threads, and a limit of `memory` bytes of address space (POSIX)."""
    pillow_heif.register_heif_opener(thumbnails=False, decode_threads=DECODER_THREAD_COUNT)
    AvifImagePlugin.DEFAULT_MAX_THREADS = DECODER_THREAD_COUNT  # pyrefly: ignore[bad-assignment]
    Image.MAX_IMAGE_PIXELS = MAX_PIXEL_COUNT
    try:
        import resource
    except ImportError:  # Windows: the time limit and the pixel limits still hold
        return
    if sys.platform != "darwin":  # macOS refuses this limit, and the others still hold
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def decode_image(data: bytes) -> DecodedImage | RejectedImage:
    """Decode the picture in `data`: upright, 8 bit, sRGB, RGB, or RGBA if it has transparency.

    Only pixels are returned: no EXIF, GPS, XMP, ICC, text or trailing bytes. A refusal is returned and not raised,
    because the traceback of a raised one would keep the pixels in memory.
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
        upright, profile = _to_eight_bit(_apply_orientation(opened)), opened.info.get("icc_profile")
        image = _drop_opaque_alpha(_to_rgb_mode(upright, profile))
        wide = _to_display_p3(upright, profile, image) if profile else None
    return DecodedImage(*image.size, len(image.getbands()), image.tobytes(), notices, wide)


def _size_error() -> RejectedImage:
    return RejectedImage(
        "too_many_pixels",
        f"The picture is too large: at most {MAX_PIXEL_COUNT / 1e6:.0f} megapixels and {MAX_SIDE_PX} pixels a side.",
    )


def check_size(width: int, height: int) -> None:
    """Check sides, area and ratio. Raises `RejectedImage`."""
    short, long = sorted((width, height))
    if (long > MAX_SIDE_PX and long <= MAX_ASPECT_RATIO * short) or width * height > MAX_PIXEL_COUNT:
        raise _size_error()
    if short < MIN_SIDE_PX or long > MAX_ASPECT_RATIO * short:
        narrow = f"too narrow, at most {MAX_ASPECT_RATIO} to 1"
        fault = f"each side needs {MIN_SIDE_PX} pixels" if short < MIN_SIDE_PX else narrow
        raise RejectedImage("invalid_request", f"The picture is {width} x {height}: {fault}.")


def _apply_orientation(image: Image.Image) -> Image.Image:
    # Not Pillow's exif_transpose: it also rewrites the EXIF block and fails if that is damaged.
    try:
        transpose = _EXIF_TRANSPOSES.get(image.getexif().get(_EXIF_ORIENTATION_TAG, 1))
    except (*_DECODE_ERRORS, TypeError):  # TypeError: the value is not a number
        return image
    return image if transpose is None else image.transpose(transpose)


def _to_eight_bit(image: Image.Image) -> Image.Image:
    if not image.mode.startswith("I"):
        return image
    # Pillow clips 16 bits to 255 instead of scaling. In big-endian order the first byte of each pair is the high one.
    image16 = image.convert("I;16") if image.mode == "I" else image
    return Image.frombytes("L", image.size, image16.tobytes("raw", "I;16B")[::2])


def _to_rgb_mode(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Convert to RGB or RGBA in sRGB."""
    if profile:
        image = _convert_profile(image, profile)
    return image if image.mode in ("RGB", "RGBA") else image.convert("RGBA" if _has_alpha(image) else "RGB")


def _has_alpha(image: Image.Image) -> bool:
    return image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info


def _convert_profile(image: Image.Image, profile: bytes) -> Image.Image:
    """Convert `image` from its ICC profile to sRGB. It stays as it is if the profile is invalid or does not fit."""
    # lcms does not support palettes, grey with alpha, or RGB with a transparent colour.
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


def _to_display_p3(image: Image.Image, profile: bytes, converted: Image.Image) -> bytes | None:
    """Return the pixels of an RGB photo in Display P3, None where sRGB (`converted`) has all of its colours."""
    if image.mode not in ("RGB", "RGBA") or image.width * image.height > MAX_WIDE_PIXEL_COUNT:
        return None
    image = image.convert("RGB")
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        wide_profile = ImageCms.ImageCmsProfile(io.BytesIO(display_p3_profile()))
        to_wide = ImageCms.buildTransform(source, wide_profile, "RGB", "RGB")
        back = ImageCms.buildTransform(_SRGB_PROFILE, wide_profile, "RGB", "RGB")
        # Looked at on every fourth pixel first: most photos that name Display P3 have no such colour.
        small = max(1, image.width // 4), max(1, image.height // 4)
        sample, seen = (each.resize(small, Image.Resampling.NEAREST) for each in (image, converted.convert("RGB")))
        wide, narrow = ImageCms.applyTransform(sample, to_wide), ImageCms.applyTransform(seen, back)
        if wide is None or narrow is None or not _has_other_colours(wide, narrow):
            return None
        whole = ImageCms.applyTransform(image, to_wide)
        return None if whole is None else whole.tobytes()
    except (ImageCms.PyCMSError, *_DECODE_ERRORS):
        return None


def _has_other_colours(wide: Image.Image, narrow: Image.Image) -> bool:
    """Return whether `MIN_WIDE_RATIO` of the pixels differ by more than rounding."""
    bands = ImageChops.difference(wide, narrow).split()
    largest = ImageChops.lighter(ImageChops.lighter(bands[0], bands[1]), bands[2])
    counts = largest.histogram()
    return sum(counts[MIN_WIDE_LEVELS:]) >= MIN_WIDE_RATIO * sum(counts)


def _is_identity(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Return whether the transform changes 512 test colours by at most one level. Most photos are sRGB already."""
    levels = (0, 36, 73, 109, 146, 182, 219, 255)
    cube = bytes(v for r in levels for g in levels for b in levels for v in (r, g, b))
    swatch = Image.frombytes("RGB", (64, 8), cube).convert(mode)
    converted = ImageCms.applyTransform(swatch, transform)
    if converted is None:
        return False
    return all(abs(a - b) <= 1 for a, b in zip(converted.convert("RGB").tobytes(), cube, strict=True))


def _drop_opaque_alpha(image: Image.Image) -> Image.Image:
    """Drop the alpha channel if it is opaque everywhere. Raises `RejectedImage` if it is empty everywhere."""
    if image.mode == "RGB":
        return image
    min_alpha, max_alpha = image.getchannel("A").getextrema()
    if isinstance(max_alpha, (int, float)) and max_alpha < MIN_VISIBLE_ALPHA:
        raise RejectedImage("nothing_visible", "The picture is fully transparent: there is nothing to see in it.")
    return image.convert("RGB") if min_alpha == 255 else image


_SRGB_PROFILE = ImageCms.createProfile("sRGB")
