"""EXIF tags as Pillow's `Image.Exif`: from bytes, and copied in a form that Pillow can write."""

import contextlib
from collections.abc import Container
from typing import Any

from PIL import Image
from PIL.ExifTags import IFD

_DIRECTORIES = (IFD.Exif, IFD.GPSInfo)


def exif_tags(data: bytes | None) -> Image.Exif:
    """The tags in EXIF data; none if the data are damaged."""
    tags = Image.Exif()
    with contextlib.suppress(Exception):  # on damaged data Pillow raises all kinds of exceptions
        tags.load(data or b"")
    return tags


def read_directories(image: Image.Image) -> None:
    """Read the EXIF tags that an image would read from its file only when they are asked for, before it is closed."""
    with contextlib.suppress(Exception):  # as above
        tags = image.getexif()
        for tag in (*_DIRECTORIES, IFD.Interop):
            tags.get_ifd(tag)


def copied(tags: Image.Exif, left_out: Container[int]) -> Image.Exif:
    """The tags without some of the main directory, and without those that Pillow cannot write."""
    kept = Image.Exif()
    kept.endian = tags.endian
    for tag in dict.fromkeys([*tags, *_DIRECTORIES]):
        if tag not in left_out:
            with contextlib.suppress(Exception):  # on damaged data Pillow raises all kinds of exceptions
                value = _plain(_directory(tags, tag) if tag in _DIRECTORIES else tags[tag])
                single = Image.Exif()
                single[tag] = value
                single.tobytes()
                if value != {}:
                    kept[tag] = value
    return kept


def _directory(tags: Image.Exif, tag: int) -> dict[int, Any]:
    """The tags of a directory below the main one, with those of the one below it instead of where they stood."""
    value = tags.get(tag)
    found = dict(value if isinstance(value, dict) else tags.get_ifd(tag))
    if tag == IFD.Exif and not isinstance(found.get(IFD.Interop, {}), dict):
        found[IFD.Interop] = dict(tags.get_ifd(IFD.Interop))
    return found


def _plain(value: Any) -> Any:
    """A tag's value with its text as bytes if Pillow would write question marks for some of its characters."""
    if isinstance(value, dict):
        return {tag: _plain(entry) for tag, entry in value.items()}
    if isinstance(value, str) and not value.isascii():
        try:
            return value.encode("latin-1")  # how Pillow has read it
        except UnicodeEncodeError:
            return value.encode()
    return value
