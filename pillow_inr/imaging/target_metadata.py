"""Metadata of a decoded image -> keywords of `Image.save`, in the spelling of the format that is written."""

import contextlib
import math
import re
from dataclasses import replace
from typing import Any

from PIL.ExifTags import Base
from PIL.PngImagePlugin import PngInfo
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from ..format.metadata import Metadata
from .exif import PREFIX, STRUCTURAL, TAG_ICC_PROFILE, TAG_XMP, ExifData, wide_text, without_prefix
from .exif_tags import copied, exif_tags
from .orientation import without_properties
from .source_metadata import TEXT_TAGS, TITLE_TAG

# Formats that have EXIF data but no comment.
_WITHOUT_COMMENT = ("TIFF", "WEBP", "AVIF")
# Formats that Pillow writes EXIF data to but no resolution.
_DPI_IN_EXIF = ("WEBP", "AVIF")
# Tags of EXIF data that a TIFF file of other samples must not have, besides structural ones; the last two it has apart.
_NOT_FOR_TIFF = STRUCTURAL | {Base.Orientation, Base.YCbCrPositioning, TAG_XMP, TAG_ICC_PROFILE}
# How descriptions begin in which ImageJ and tifffile keep the shape of another file's stack.
_STRUCTURE_AS_TEXT = ("ImageJ=", '{"shape":')
# Least and greatest pixels per inch that a format can hold: as pixels per metre of 31 bits, as fractions of 32 bits, as
# integers of 16 bits.
_METRIC, _FRACTIONS, _INTEGERS = (0.0254, 2**31 * 0.0254), (1e-3, 2.0**32), (0.5, 65535.0)
_DPI_LIMITS = {
    **dict.fromkeys(("PNG", "BMP", "DIB"), _METRIC),
    **dict.fromkeys(("TIFF", *_DPI_IN_EXIF), _FRACTIONS),
    **dict.fromkeys(("JPEG", "MPO", "PDF"), _INTEGERS),
}
# Longest comments: a segment of JPEG 2000, whose length of 16 bits counts itself and the registration, 2 bytes each; an
# identification of TGA, whose length has 8 bits.
_COMMENT_BYTES = {"JPEG2000": 2**16 - 5, "TGA": 255}
# Names of texts in PDF, and in PNG.
_PDF_TEXTS = {"title": "Title", "author": "Author", "subject": "Description", "creator": "Software"}
# Tags of GeoTIFF that tell where on the map pixels are, thumbnails and properties of XMP: wrong once a picture has been
# turned, cropped or scaled.
_ON_THE_MAP = (33550, 33922, 34264)
_XMP_THUMBNAILS = re.compile(rb"<xmp:Thumbnails\b.*?</xmp:Thumbnails>", re.DOTALL)
_XMP_THUMBNAILS_END = b"</xmp:Thumbnails>"
_XMP_SIZE = ("tiff:ImageWidth", "tiff:ImageLength", "exif:PixelXDimension", "exif:PixelYDimension")


def adapted(metadata: Metadata, size: tuple[int, int], changed: bool) -> Metadata:
    """The metadata of an upright picture: without an orientation, another size or the thumbnail of another picture.

    Args:
        metadata: as stored.
        size: width and height of the picture that is written.
        changed: whether the picture was turned, cropped or scaled.
    """
    xmp = metadata.xmp
    if xmp is not None:
        xmp = without_properties(xmp, ("tiff:Orientation", *(_XMP_SIZE if changed else ())))
        xmp = _without_thumbnails(xmp) if changed else xmp
    exif = metadata.exif
    if exif is not None:
        with contextlib.suppress(ValueError):  # damaged data are reported when they are to be written
            data = ExifData(exif)
            data.drop(STRUCTURAL | {Base.Orientation, *(_ON_THE_MAP if changed else ())})
            data.drop_size(size)
            if changed:
                data.drop_thumbnail()
            exif = data.tobytes()
    return replace(metadata, exif=exif, xmp=xmp)


def _without_thumbnails(xmp: bytes) -> bytes:
    # A search for an end that is not there, from each of many beginnings, would take the square of the length.
    head, end, rest = xmp.rpartition(_XMP_THUMBNAILS_END)
    return _XMP_THUMBNAILS.sub(b"", head + end) + rest


def keywords_of(metadata: Metadata, file_format: str) -> dict[str, Any]:
    """Keywords of `Image.save` for metadata; a format ignores those that it cannot hold.

    Raises:
        ValueError: the format can hold such metadata, but not these values.
    """
    low, high = _DPI_LIMITS.get(file_format, (0.0, math.inf))
    if not all(low <= number < high for number in metadata.dpi or ()):
        raise ValueError(f"dpi must be in {low:g}..{high:g}")
    exif = _exif(metadata, file_format)
    keywords: dict[str, Any] = {**metadata.info(), "exif": exif}
    match file_format:
        case "PNG":
            keywords["pnginfo"] = _png_texts(metadata)
        case "TIFF":
            del keywords["exif"]
            keywords["tiffinfo"] = _tiff_tags(exif, metadata.xmp)
        case "GIF" | "JPEG2000":
            comment = metadata.comment or _texts(metadata).get("Description", "").encode()
            # JPEG 2000's library ends a comment at a zero byte.
            keywords["comment"] = comment.replace(b"\0", b" ") if file_format == "JPEG2000" else comment
        case "TGA":
            keywords["id_section"] = metadata.comment
        case "PDF":
            texts = _texts(metadata)
            keywords |= {keyword: texts.get(name) for keyword, name in _PDF_TEXTS.items()}
    if len(keywords.get("comment", b"")) > _COMMENT_BYTES.get(file_format, math.inf):
        raise ValueError("the comment is too long")
    return {name: value for name, value in keywords.items() if value}


def _exif(metadata: Metadata, file_format: str) -> bytes:
    """EXIF data, with what the format has no other place for."""
    try:
        data = ExifData(without_prefix(metadata.exif or b""))
    except ValueError as error:
        raise ValueError(f"the EXIF data are damaged: {error}") from error
    if file_format in _WITHOUT_COMMENT and metadata.comment:
        comment = decoded(metadata.comment)
        if Base.ImageDescription in data.tags():
            data.add_wide_text(Base.XPComment, comment)
        else:
            data.add_text(Base.ImageDescription, comment)
    if file_format in _DPI_IN_EXIF and metadata.dpi is not None:
        data.add_dpi(metadata.dpi)
    if not data.tags():
        return b""
    return (PREFIX if file_format in ("JPEG", "MPO") else b"") + data.tobytes()


def _texts(metadata: Metadata) -> dict[str, str]:
    """The texts in EXIF data that PNG and PDF have names for, by the name in PNG."""
    data = ExifData(metadata.exif or b"")
    texts = {name: decoded((data.value(tag) or b"").rstrip(b"\0")) for name, tag in TEXT_TAGS.items()}
    return {name: text for name, text in {**texts, "Title": wide_text(data.value(TITLE_TAG))}.items() if text}


def _png_texts(metadata: Metadata) -> PngInfo:
    info = PngInfo()
    if metadata.xmp:
        info.add_itxt("XML:com.adobe.xmp", _xmp_text(metadata.xmp))
    if metadata.comment:
        info.add_itxt("Comment", decoded(metadata.comment))
    for name, text in _texts(metadata).items():
        info.add_itxt(name, text)
    return info


def _xmp_text(xmp: bytes) -> str:
    """An XMP packet as text; UTF-16 and UTF-32 begin with a byte order mark.

    Raises:
        ValueError: its encoding is unknown.
    """
    marks = {b"\xff\xfe\0\0": "utf-32", b"\0\0\xfe\xff": "utf-32", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
    encoding = next((name for mark, name in marks.items() if xmp.startswith(mark)), "utf-8")
    return xmp.decode(encoding)


def _tiff_tags(exif: bytes, xmp: bytes | None) -> ImageFileDirectory_v2:
    tags = ImageFileDirectory_v2()
    for tag, value in copied(exif_tags(exif), _NOT_FOR_TIFF).items():
        if not (tag == Base.ImageDescription and str(value).startswith(_STRUCTURE_AS_TEXT)):
            tags[tag] = value
    if xmp:
        tags[TAG_XMP] = xmp
    return tags


def decoded(text: bytes) -> str:
    """A text in UTF-8, or else in Latin-1, as older programs write it."""
    try:
        return text.decode()
    except UnicodeDecodeError:
        return text.decode("latin-1")
