"""Encode pictures as PNG, JPEG, WebP or AVIF with XMP metadata: digital source type and receipt."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Literal, NamedTuple
from xml.sax.saxutils import escape

import cv2
import PIL.Image
from PIL import ExifTags, features
from PIL.PngImagePlugin import PngInfo

from pipelines.codecs.color_profiles import srgb_profile
from pipelines.core.errors import StudioError
from pipelines.core.geometry import Image, PixelArray
from pipelines.imaging.color import flatten_on_white

ImageFormat = Literal["png", "jpeg", "webp", "avif"]
STILL_FORMATS = ("png", "jpeg", "webp", "avif")
"""Formats that a browser shows as an image. An animated WebP is one of them."""
MIME_TYPES: dict[str, str] = {
    "png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp", "avif": "image/avif",
    "gif": "image/gif", "mp4": "video/mp4", "tiff": "image/tiff",
    "pdf": "application/pdf", "zip": "application/zip", "ora": "image/openraster",
}  # fmt: skip
# MIME types for the C2PA library, which knows ZIP files (OpenRaster is one) by this name only.
C2PA_MIME_TYPES: dict[str, str] = {**MIME_TYPES, "zip": "application/x-zip", "ora": "application/x-zip"}
FILE_EXTENSIONS: dict[str, str] = {"jpeg": "jpg", "tiff": "tif"}  # file extensions that differ from the format's name
PNG_COMPRESSION_LEVEL: int = 1  # about 9 % larger files than level 6, but several times faster
JPEG_QUALITY = 95
AVIF_SPEED = 9  # of 10: about 14 % larger files than at 6, but five times faster
PRINT_DPI = 300
"""Dots per inch: what printers and picture libraries ask for. Layout programs take it as the first size."""
_EXIF_INCH = 2
# IPTC digital source types: https://cv.iptc.org/newscodes/digitalsourcetype/
_SOURCE_TYPE_PREFIX = "http://cv.iptc.org/newscodes/digitalsourcetype/"
COMPUTED_SOURCE_TYPE = _SOURCE_TYPE_PREFIX + "algorithmicMedia"
COLLECTION_SOURCE_TYPE = _SOURCE_TYPE_PREFIX + "composite"  # Source type of an archive. Each file in it has its own.

_XMP_TEMPLATE = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
 xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:dbx="https://designerbox.invalid/ns/1.0/">
<xmp:CreatorTool>DesignerBox</xmp:CreatorTool>
<Iptc4xmpExt:DigitalSourceType>{source}</Iptc4xmpExt:DigitalSourceType>
<dbx:receipt>{receipt}</dbx:receipt>
</rdf:Description></rdf:RDF></x:xmpmeta>
<?xpacket end="w"?>"""


class PixelOrigin(NamedTuple):
    """What made the pixels: a generative model, a camera, drawing by rules, or several of them.

    `enhanced`: a trained net that is no generative model added fine detail, as an enlargement does.
    """

    generative: bool = False
    photographed: bool = False
    computed: bool = False
    enhanced: bool = False

    def __or__(self, other: PixelOrigin) -> PixelOrigin:
        """Return the origin of a picture that contains both."""
        return PixelOrigin(*(one or another for one, another in zip(self, other, strict=True)))


_ORIGIN_BY_SOURCE_TYPE = {
    "compositeCapture": PixelOrigin(photographed=True),
    "compositeSynthetic": PixelOrigin(photographed=True, computed=True),
    "algorithmicallyEnhanced": PixelOrigin(photographed=True, enhanced=True),
    "algorithmicMedia": PixelOrigin(computed=True),
    "compositeWithTrainedAlgorithmicMedia": PixelOrigin(generative=True, photographed=True),
    "trainedAlgorithmicMedia": PixelOrigin(generative=True),
}


def parse_origin(word: str) -> PixelOrigin:
    """Return the origin that the last word of a digital source type names. An unknown word means a photograph."""
    return _ORIGIN_BY_SOURCE_TYPE.get(word, PixelOrigin(photographed=True))


def build_xmp(receipt: dict[str, Any], origin: PixelOrigin) -> bytes:
    """Return the XMP packet with the source type of `origin` and the receipt."""
    return build_xmp_packet(source_type_uri(origin), receipt)


def build_xmp_packet(source: str, receipt: dict[str, Any]) -> bytes:
    """Return the XMP packet with the source type URI `source` and the receipt."""
    archive_file = json.dumps(receipt, ensure_ascii=True, separators=(",", ":"))
    return _XMP_TEMPLATE.format(source=source, receipt=escape(archive_file)).encode()


def source_type_uri(origin: PixelOrigin) -> str:
    """Return the IPTC digital source type URI: "trained media" if and only if a generative model drew.

    The list has one word for a picture. An enhanced one is called so, whatever was enhanced: the other words say that
    nothing came from a trained net.
    """
    if origin.generative:
        origin = origin._replace(computed=False, enhanced=False)
    elif origin.enhanced:
        origin = PixelOrigin(photographed=True, enhanced=True)
    elif not origin.photographed:
        origin = PixelOrigin(computed=True)
    return _SOURCE_TYPE_PREFIX + next(word for word, known in _ORIGIN_BY_SOURCE_TYPE.items() if known == origin)


def source_type_from_word(word: str) -> str:
    """Return the digital source type URI that ends with `word`, "" for an empty word."""
    return _SOURCE_TYPE_PREFIX + word if word else ""


@lru_cache(maxsize=1)
def _resolution_exif() -> bytes:
    """Return EXIF data with `PRINT_DPI`, for WebP and AVIF, which have no place of their own for it."""
    exif = PIL.Image.Exif()
    exif[ExifTags.Base.XResolution] = exif[ExifTags.Base.YResolution] = PRINT_DPI
    exif[ExifTags.Base.ResolutionUnit] = _EXIF_INCH
    return exif.tobytes()


def encode_image(
    image: Image, format: ImageFormat, packet: bytes, quality: int = JPEG_QUALITY, profile: bytes | None = None
) -> bytes:
    """Encode a picture (H x W x 3 or 4, uint8; JPEG on white) with an ICC profile, by default sRGB's, and `PRINT_DPI`.

    `quality` is 1 to 100; WebP is lossless at 100. Raises `StudioError` if Pillow was built without AVIF.
    """
    out = io.BytesIO()
    picture = PIL.Image.fromarray(image)
    tags: dict[str, Any] = {"icc_profile": profile or srgb_profile(), "dpi": (PRINT_DPI, PRINT_DPI)}
    if format == "png":
        info = PngInfo()
        info.add_itxt("XML:com.adobe.xmp", packet.decode())
        picture.save(out, "PNG", compress_level=PNG_COMPRESSION_LEVEL, pnginfo=info, **tags)
    elif format == "jpeg":
        picture = PIL.Image.fromarray(flatten_on_white(image))
        picture.save(out, "JPEG", quality=quality, subsampling=0, xmp=packet, **tags)
    else:
        tags = {"icc_profile": profile or srgb_profile(), "exif": _resolution_exif(), "xmp": packet}
        if format == "avif":
            if not features.check("avif"):
                raise StudioError("This machine writes no AVIF. Take WebP instead.", code="model_unavailable")
            picture.save(out, "AVIF", quality=min(quality, 100), speed=AVIF_SPEED, subsampling="4:4:4", **tags)
        else:
            picture.save(out, "WEBP", lossless=quality >= 100, quality=min(quality, 100), method=2, exact=True, **tags)
    return out.getvalue()


def encode_png(image: PixelArray) -> bytes:
    """Encode RGB or RGBA pixels of 8 or 16 bits as PNG without metadata, at the fast compression level."""
    code = cv2.COLOR_RGBA2BGRA if image.shape[2] == 4 else cv2.COLOR_RGB2BGR
    options = [cv2.IMWRITE_PNG_COMPRESSION, PNG_COMPRESSION_LEVEL]
    return cv2.imencode(".png", cv2.cvtColor(image, code), options)[1].tobytes()


def build_zip(members: Sequence[tuple[str, bytes]]) -> bytes:
    """Return an uncompressed ZIP of (name, bytes). It has no timestamps, so that equal input gives equal bytes."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive_file:
        for name, data in members:
            archive_file.writestr(zipfile.ZipInfo(name), data)
    return out.getvalue()
