"""Metadata of a decoded image -> keywords of `Image.save`, in the spelling of the format that is written."""

import contextlib
import math
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

# Formats that have EXIF data but no comment, and those that have a comment but no EXIF data.
_WITHOUT_COMMENT = ("TIFF", "WEBP", "AVIF")
_COMMENT_ALONE = ("GIF", "JPEG2000")
# Formats that Pillow writes EXIF data to but no resolution.
_DPI_IN_EXIF = ("WEBP", "AVIF")
# Tags of EXIF data that a TIFF file of other samples must not have, besides structural ones; the last two it has apart.
_NOT_FOR_TIFF = STRUCTURAL | {Base.Orientation, Base.YCbCrPositioning, TAG_XMP, TAG_ICC_PROFILE}
# Least and greatest pixels per inch that a format can hold: as pixels per metre of 31 bits, as fractions of 32 bits, as
# integers of 16 bits.
_METRIC, _FRACTIONS, _INTEGERS = (0.0254, 2**31 * 0.0254), (1e-3, 2.0**32), (0.5, 65535.0)
_DPI_LIMITS = {
    **dict.fromkeys(("PNG", "BMP", "DIB"), _METRIC),
    **dict.fromkeys(("TIFF", *_DPI_IN_EXIF), _FRACTIONS),
    **dict.fromkeys(("JPEG", "MPO", "PDF"), _INTEGERS),
}
# What a comment segment of JPEG 2000 can hold: its length of 16 bits counts itself and the registration, 2 bytes each.
_JPEG2000_COMMENT_BYTES = 65531
# Properties of XMP that are wrong once a picture has been turned, cropped or scaled.
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
    exif = metadata.exif
    if exif is not None:
        with contextlib.suppress(ValueError):  # damaged data are reported when they are to be written
            data = ExifData(exif)
            data.drop(STRUCTURAL | {Base.Orientation})
            data.drop_size(size)
            if changed:
                data.drop_thumbnail()
            exif = data.tobytes()
    return replace(metadata, exif=exif, xmp=xmp)


def keywords_of(metadata: Metadata, file_format: str) -> dict[str, Any]:
    """Keywords of `Image.save` for metadata; a format ignores those that it cannot hold.

    Raises:
        ValueError: the format can hold such metadata, but not these values.
    """
    keywords: dict[str, Any] = metadata.info()
    low, high = _DPI_LIMITS.get(file_format, (0.0, math.inf))
    if not all(low <= number < high for number in metadata.dpi or ()):
        raise ValueError(f"dpi must be in {low:g}..{high:g}")
    keywords["exif"] = _exif(metadata, file_format)
    if file_format == "PNG":
        keywords["pnginfo"] = _png_texts(metadata)
    if file_format == "TIFF":
        keywords["tiffinfo"] = _tiff_tags(keywords["exif"], metadata.xmp)
        del keywords["exif"]
    if file_format in _COMMENT_ALONE:
        keywords["comment"] = metadata.comment or _described(metadata).encode()
        if file_format == "JPEG2000" and len(keywords["comment"]) > _JPEG2000_COMMENT_BYTES:
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


def _png_texts(metadata: Metadata) -> PngInfo:
    texts = PngInfo()
    if metadata.xmp:
        texts.add_itxt("XML:com.adobe.xmp", _xmp_text(metadata.xmp))
    if metadata.comment:
        texts.add_itxt("Comment", decoded(metadata.comment))
    if metadata.exif:
        data = ExifData(metadata.exif)
        for name, tag in TEXT_TAGS.items():
            text = decoded((data.value(tag) or b"").rstrip(b"\0"))
            if text:
                texts.add_itxt(name, text)
        title = wide_text(data.value(TITLE_TAG))
        if title:
            texts.add_itxt("Title", title)
    return texts


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
        tags[tag] = value
    if xmp:
        tags[TAG_XMP] = xmp
    return tags


def _described(metadata: Metadata) -> str:
    """The description in EXIF data, for formats that have only a comment."""
    if not metadata.exif:
        return ""
    return decoded((ExifData(metadata.exif).value(Base.ImageDescription) or b"").rstrip(b"\0"))


def decoded(text: bytes) -> str:
    """A text in UTF-8, or else in Latin-1, as older programs write it."""
    try:
        return text.decode()
    except UnicodeDecodeError:
        return text.decode("latin-1")
