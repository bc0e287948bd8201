"""A finished picture to bytes, with what it is and how it was made inside; knows formats, not files or jobs."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple
from xml.sax.saxutils import escape

import cv2
import PIL.Image
from PIL.PngImagePlugin import PngInfo

from pipelines.core.geometry import Image

Format = Literal["png", "jpeg", "webp"]
STILLS = ("png", "jpeg", "webp")
"""Formats that a browser shows in a picture's place; an animated WebP is one of them."""
MIME: dict[str, str] = {
    "png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp", "mp4": "video/mp4", "pdf": "application/pdf",
    "zip": "application/zip", "ora": "image/openraster",
}  # fmt: skip
# OpenRaster is a ZIP, and C2PA's library knows ZIP by this name only.
SIGNED_AS: dict[str, str] = {**MIME, "zip": "application/x-zip", "ora": "application/x-zip"}
ENDING: dict[str, str] = {"jpeg": "jpg"}
"""Where a file's ending is not its format's name."""
PNG_LEVEL = 1  # about 9 % larger than level 6 and several times faster
JPEG_QUALITY = 95
# IPTC digital source types: https://cv.iptc.org/newscodes/digitalsourcetype/
_SOURCE = "http://cv.iptc.org/newscodes/digitalsourcetype/"
COMPUTED_SOURCE = _SOURCE + "algorithmicMedia"
MATTE_SOURCE = COMPUTED_SOURCE
COLLECTION_SOURCE = _SOURCE + "composite"
"""Of several files in one, each of which says its own."""

_XMP = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
 xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:dbx="https://designerbox.invalid/ns/1.0/">
<xmp:CreatorTool>DesignerBox</xmp:CreatorTool>
<Iptc4xmpExt:DigitalSourceType>{source}</Iptc4xmpExt:DigitalSourceType>
<dbx:receipt>{receipt}</dbx:receipt>
</rdf:Description></rdf:RDF></x:xmpmeta>
<?xpacket end="w"?>"""


class Origin(NamedTuple):
    """What made pixels: `generative`: a generative model drew; `photographed`: photographed pixels are in the picture;
    `computed`: something in it was drawn by rules.
    """

    generative: bool = False
    photographed: bool = False
    computed: bool = False

    def __or__(self, other: Origin) -> Origin:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Of both laid together."""
        return Origin(*(one or another for one, another in zip(self, other, strict=True)))


_ORIGINS = {
    "compositeCapture": Origin(photographed=True),
    "compositeSynthetic": Origin(photographed=True, computed=True),
    "algorithmicMedia": Origin(computed=True),
    "compositeWithTrainedAlgorithmicMedia": Origin(generative=True, photographed=True),
    "trainedAlgorithmicMedia": Origin(generative=True),
}


def origin_of(word: str) -> Origin:
    """What the last word of a digital source type says; one that is not ours is a photograph's."""
    return _ORIGINS.get(word, Origin(photographed=True))


def xmp(receipt: dict[str, Any], origin: Origin) -> bytes:
    """The XMP packet: what made the pixels and the receipt."""
    return packet(source_type(origin), receipt)


def packet(source: str, receipt: dict[str, Any]) -> bytes:
    """The same where the URI of what made the pixels is known."""
    packed = json.dumps(receipt, ensure_ascii=True, separators=(",", ":"))
    return _XMP.format(source=source, receipt=escape(packed)).encode()


def source_type(origin: Origin) -> str:
    """The URI of what made the pixels, the same in XMP and in the signed manifest.

    It is trained media where a generative model drew and only there; what rules drew beside it is then not told.
    """
    if origin.generative:
        origin = origin._replace(computed=False)
    elif not origin.photographed:
        origin = Origin(computed=True)
    return _SOURCE + next(word for word, known in _ORIGINS.items() if known == origin)


def source_named(word: str) -> str:
    """The URI of a digital source type by its last word, "" for none."""
    return _SOURCE + word if word else ""


def encode(image: Image, format: Format, packet: bytes, quality: int = JPEG_QUALITY) -> bytes:
    """Bytes of an RGB or RGBA picture. PNG is lossless, WebP too; JPEG lays transparency on white.

    `quality` 1 to 100 is JPEG's; WebP is lossless at 100 and lossy below.
    """
    out = io.BytesIO()
    picture = PIL.Image.fromarray(image)
    if format == "png":
        info = PngInfo()
        info.add_itxt("XML:com.adobe.xmp", packet.decode())
        picture.save(out, "PNG", compress_level=PNG_LEVEL, pnginfo=info)
    elif format == "jpeg":
        _on_white(picture).save(out, "JPEG", quality=quality, subsampling=0, xmp=packet)
    else:
        picture.save(out, "WEBP", lossless=quality >= 100, quality=min(quality, 100), method=2, exact=True, xmp=packet)
    return out.getvalue()


def encode_png(image: Image) -> bytes:
    """PNG of RGB or RGBA pixels and nothing else, at level 1: about 9 % larger than the best and ten times faster."""
    code = cv2.COLOR_RGBA2BGRA if image.shape[2] == 4 else cv2.COLOR_RGB2BGR
    return cv2.imencode(".png", cv2.cvtColor(image, code), [cv2.IMWRITE_PNG_COMPRESSION, PNG_LEVEL])[1].tobytes()


def archive(members: Sequence[tuple[str, bytes]]) -> bytes:
    """A ZIP of finished files as they are, in this order and with no times in it, so that it is the same each time."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as packed:
        for name, data in members:
            packed.writestr(zipfile.ZipInfo(name), data)
    return out.getvalue()


def _on_white(picture: PIL.Image.Image) -> PIL.Image.Image:
    if picture.mode != "RGBA":
        return picture
    ground = PIL.Image.new("RGB", picture.size, "white")
    ground.paste(picture, mask=picture.getchannel("A"))
    return ground


def read_receipt(data: bytes) -> dict[str, Any] | None:
    """The receipt inside a picture of ours, or None."""
    with PIL.Image.open(io.BytesIO(data), formats=("PNG", "JPEG", "WEBP")) as picture:
        picture.load()
        packet = picture.info.get("xmp") or picture.info.get("XML:com.adobe.xmp")
    if not packet:
        return None
    text = packet.decode() if isinstance(packet, bytes) else str(packet)
    start, end = text.find("<dbx:receipt>"), text.find("</dbx:receipt>")
    if start < 0 or end < 0:
        return None
    packed = text[start + len("<dbx:receipt>") : end]
    return json.loads(packed.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))
