"""A finished picture to bytes, with what it is and how it was made inside; knows formats, not files or jobs."""

from __future__ import annotations

import io
import json
from typing import Any, Literal
from xml.sax.saxutils import escape

import PIL.Image
from PIL.PngImagePlugin import PngInfo

from pipelines.types import Image

Format = Literal["png", "jpeg", "webp"]
MIME: dict[str, str] = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}
PNG_LEVEL = 1  # about 9 % larger than level 6 and several times faster
JPEG_QUALITY = 95
# IPTC digital source types: https://cv.iptc.org/newscodes/digitalsourcetype/
_SOURCE = "http://cv.iptc.org/newscodes/digitalsourcetype/"
MATTE_SOURCE = _SOURCE + "algorithmicMedia"

_XMP = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
 xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:dbx="https://designerbox.invalid/ns/1.0/">
<xmp:CreatorTool>DesignerBox</xmp:CreatorTool>
<Iptc4xmpExt:DigitalSourceType>{source}</Iptc4xmpExt:DigitalSourceType>
<dbx:receipt>{receipt}</dbx:receipt>
</rdf:Description></rdf:RDF></x:xmpmeta>
<?xpacket end="w"?>"""


def xmp(receipt: dict[str, Any], *, generative: bool, subject: bool) -> bytes:
    """The XMP packet: what made the pixels (trained media only where a generative model drew) and the receipt."""
    packed = json.dumps(receipt, ensure_ascii=True, separators=(",", ":"))
    source = source_type(generative=generative, subject=subject)
    return _XMP.format(source=source, receipt=escape(packed)).encode()


def source_type(*, generative: bool, subject: bool) -> str:
    """The URI of what made the pixels, the same in XMP and in the signed manifest."""
    if not generative:
        return _SOURCE + "compositeCapture"
    return _SOURCE + ("compositeWithTrainedAlgorithmicMedia" if subject else "trainedAlgorithmicMedia")


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
