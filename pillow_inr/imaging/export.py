"""A decoded image -> a file of another format that Pillow writes: checked, with all metadata that it can hold."""

import io
import warnings
from dataclasses import replace
from functools import cache
from typing import Any, NamedTuple

from PIL import Image

from ..format.metadata import NAMES, Metadata
from ..format.signature import FORMAT
from .target_metadata import keywords_of

# Modes of more than 8 bits per sample.
_DEEP = ("I;16", "I", "F")
# Formats that keep every sample, where metadata taken for structure would show.
_LOSSLESS = ("TIFF", "PNG")
_WITH_PROFILE = ("TIFF", "PNG", "JPEG", "MPO", "WEBP", "AVIF")
# Formats that Pillow opens but leaves the pixels of to other programs.
_NOT_LOADED = ("EPS", "WMF")
# From this alpha on a picture counts as opaque: a fit may miss 255 by a few levels.
_OPAQUE = 250
# Longest side of an icon.
_ICO_SIDE = 256
_NAMED = {
    "exif": "EXIF data",
    "icc_profile": "colour profile",
    "xmp": "XMP packet",
    "comment": "comment",
    "dpi": "resolution",
}


class Exported(NamedTuple):
    """A file."""

    data: bytes
    notes: tuple[str, ...]
    """What was left out or reduced, as sentences for the user."""


def export(image: Image.Image, metadata: Metadata, file_format: str) -> Exported:
    """Save an image in another format.

    Args:
        image: the picture, upright; its `info` is not used.
        metadata: as `target_metadata.adapted` returns them. Those that make the format fail are left out, with a note.
        file_format: Pillow's name of the format.
    Raises:
        OSError: the format cannot hold the picture, or Pillow cannot write it.
    """
    picture = _in_mode_of(image.copy(), file_format)
    picture.info = {}
    try:
        return Exported(*_written(picture, metadata, file_format))
    except Exception as error:  # on unusual metadata Pillow's plugins raise all kinds
        problem = error
    kept = Metadata()
    try:
        data, notes = _written(picture, kept, file_format)
    except Exception as error:
        if not _can_hold(file_format, image.mode):
            raise OSError(_unsupported_mode(image.mode, file_format)) from error
        if isinstance(error, OSError):
            raise
        raise OSError(f"cannot be written as {file_format}: {error or type(error).__name__}") from error
    left_out = []
    for name in NAMES:
        if getattr(metadata, name) is not None:
            more = replace(kept, **{name: getattr(metadata, name)})
            try:
                data, notes = _written(picture, more, file_format)
                kept = more
            except Exception as error:
                problem = error
                left_out.append(_NAMED[name])
    if not left_out:
        return Exported(data, notes)
    note = f"{file_format} cannot hold its {' and '.join(left_out)}, left out: {problem or type(problem).__name__}"
    return Exported(data, (note, *notes))


@cache
def can_write(file_format: str) -> bool:
    """Whether Pillow writes a format of other programs: for some it has only a place for a program that would."""
    return file_format != FORMAT and any(_can_hold(file_format, mode) for mode in ("RGB", "L", "1", "P", "F", "RGBA"))


@cache
def _can_hold(file_format: str, mode: str) -> bool:
    try:
        Image.new(mode, (1, 1)).save(io.BytesIO(), file_format)
    except Exception:  # OSError, KeyError and others
        return False
    return True


def _in_mode_of(image: Image.Image, file_format: str) -> Image.Image:
    """The same picture in a mode that the format holds, where its own is not written or would lose something."""
    if file_format == "GIF" and image.mode == "LA":
        return image.convert("RGBA")  # of LA Pillow's plugin drops alpha
    if image.mode == "I" and _can_hold(file_format, "I;16") and not _can_hold(file_format, "I"):
        low, high = image.getextrema()
        if 0 <= low <= high <= 0xFFFF:  # type: ignore[operator]  # of one channel
            return image.convert("I;16")
    return image


def _written(image: Image.Image, metadata: Metadata, file_format: str) -> tuple[bytes, tuple[str, ...]]:
    """The file, opened again and compared with the image, and notes about it.

    Raises:
        OSError: the format cannot hold the picture.
        Exception: Pillow's plugin for the format failed.
    """
    keywords = keywords_of(metadata, file_format)
    if file_format == "ICO":
        if max(image.size) > _ICO_SIDE:
            raise OSError(
                f"ICO holds at most {_ICO_SIDE}x{_ICO_SIDE} pixels, not {_size(image)}: give a smaller --size"
            )
        keywords["sizes"] = [image.size]  # by default Pillow stores smaller ones alone
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image.save(stream, file_format, **keywords)
        return stream.getvalue(), _checked(image, metadata, stream, file_format)


def _checked(image: Image.Image, metadata: Metadata, stream: io.BytesIO, file_format: str) -> tuple[str, ...]:
    """Compare a written file with its image; returns notes about what it lacks.

    Raises:
        OSError: it holds another picture.
        ValueError: it lacks the colour profile. A JPEG file has room for 255 segments of one; Pillow writes more.
    """
    if file_format not in Image.OPEN:
        return ()
    stream.seek(0)
    with Image.open(stream) as written:
        sizes = [written.size]
        if file_format == "ICNS":  # an icon in several sizes, each with a factor for finer screens
            sizes += [(width * factor, height * factor) for width, height, factor in written.info["sizes"]]
        if image.size not in sizes:
            raise OSError(f"{file_format} would give it {_size(written)} pixels instead of {_size(image)}")
        if file_format in _NOT_LOADED or written.size != image.size:
            return ()
        written.load()
        if not _holds(written, image):
            raise OSError(_unsupported_mode(image.mode, file_format))
        if file_format in _WITH_PROFILE and written.info.get("icc_profile") != metadata.icc_profile:
            raise ValueError("the colour profile is too long")
        if (image.mode in _DEEP or file_format in _LOSSLESS) and not _is_equal(written, image):
            if image.mode in _DEEP:
                raise OSError(_unsupported_mode(image.mode, file_format))
            raise OSError(f"{file_format} would change its pixels")
        if written.mode == "P" and not _is_equal(written.convert(image.mode), image):
            return (f"{file_format} holds 256 colours at most, to which it was reduced",)
    return ()


def _size(image: Image.Image) -> str:
    return f"{image.width}x{image.height}"


def _holds(written: Image.Image, image: Image.Image) -> bool:
    """Whether the mode of a written image has all that the image shows: deep samples, colours, transparency."""
    if image.mode in _DEEP:
        return written.mode in _DEEP or written.mode.startswith("I;16")
    if written.mode == "1" or written.mode in _DEEP:
        return False
    if image.mode.startswith("RGB") and written.mode in ("L", "LA"):
        return False
    return _is_opaque(image) or written.has_transparency_data


def _is_opaque(image: Image.Image) -> bool:
    if not image.mode.endswith("A"):
        return True
    least: Any = image.getchannel("A").getextrema()[0]
    return bool(least >= _OPAQUE)


def _is_equal(written: Image.Image, image: Image.Image) -> bool:
    import numpy as np

    converted = written if image.mode in _DEEP or written.mode == image.mode else written.convert(image.mode)
    # Floating point has NaNs, which equal nothing.
    return np.array_equal(np.asarray(converted), np.asarray(image), equal_nan=image.mode == "F")


def _unsupported_mode(mode: str, file_format: str) -> str:
    refusal = f"cannot write mode {mode} as {file_format}"
    if mode in _DEEP:
        return f"{refusal}: .tif and .npy hold such samples"
    if mode.endswith("A") and _can_hold(file_format, mode.removesuffix("A")):
        return f"{refusal}: .png, .webp and .tif hold transparency"
    return f"{refusal}: .png, .tif and .npy hold it"
