"""EXIF tags as Pillow's `Image.Exif`: from bytes, and copied in a form that Pillow can write."""

import contextlib
from collections.abc import Container
from typing import Any

from PIL import Image
from PIL.ExifTags import IFD


def exif_tags(data: bytes | None) -> Image.Exif:
    """The tags in EXIF data; none if the data are damaged."""
    tags = Image.Exif()
    with contextlib.suppress(Exception):  # on damaged data Pillow raises all kinds of exceptions
        tags.load(data or b"")
    return tags


def copied(tags: Image.Exif, left_out: Container[int]) -> Image.Exif:
    """The tags without some of the main directory, and without those that Pillow cannot write."""
    kept = Image.Exif()
    kept.endian = tags.endian
    for tag in tags:
        if tag not in left_out:
            with contextlib.suppress(Exception):  # on damaged data Pillow raises all kinds of exceptions
                value = _plain(_directory(tags, tag) if tag in (IFD.Exif, IFD.GPSInfo) else tags[tag])
                single = Image.Exif()
                single[tag] = value
                single.tobytes()
                kept[tag] = value
    return kept


def _directory(tags: Image.Exif, tag: int) -> dict[int, Any]:
    """The tags of a directory below the main one, with those of the one below it instead of where they stood."""
    found = dict(tags.get_ifd(tag))
    if tag == IFD.Exif and IFD.Interop in found:
        found[IFD.Interop] = dict(tags.get_ifd(IFD.Interop))
    return found


def _plain(value: Any) -> Any:
    """A tag's value with texts as bytes, because Pillow writes other than ASCII characters as question marks."""
    if isinstance(value, dict):
        return {tag: _plain(entry) for tag, entry in value.items()}
    if isinstance(value, str):
        try:
            return value.encode("latin-1")  # how Pillow has read it
        except UnicodeEncodeError:
            return value.encode()
    return value
