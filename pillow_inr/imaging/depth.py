"""Whether Pillow shows the samples of a file with fewer bits than they have."""

import contextlib
from typing import Any

from PIL import Image, ImageFile
from PIL.ExifTags import Base

from ..errors import warn_caller

_MAY_BE_REDUCED = ("PNG", "PPM", "TIFF", "JPEG2000")
_SAMPLE_FORMAT = 339
_UNSIGNED, _SIGNED = 1, 2
WHITE_IS_ZERO = 0
"""A value of the TIFF tag PhotometricInterpretation."""
# Modes whose samples have 8 bits, and that stand for grey or RGB: others, such as CMYK, are converted at any rate.
_SHALLOW = ("L", "LA", "RGB", "RGBA", "RGBX")


def is_reduced(image: Image.Image) -> bool:
    """Whether Pillow shows samples of another type than an opened file, not yet loaded, has."""
    if image.format == "TIFF":
        return _is_reduced_tiff(image)
    if not isinstance(image, ImageFile.ImageFile):
        return False
    arguments = image.tile[0].args if image.tile else None
    if image.format == "PNG":
        return image.mode in _SHALLOW and isinstance(arguments, str) and arguments.endswith(";16B")
    if image.format == "PPM":
        return image.mode in _SHALLOW and isinstance(arguments, tuple) and ppm_maximum(arguments) > 0xFF
    return image.format == "JPEG2000" and image.mode in _SHALLOW and _jpeg2000_bits(image) > 8


def grey_factor(image: Image.Image) -> int:
    """By what Pillow multiplies the samples of an opened PNG, not yet loaded, of 2 or 4 bits; 1 for other images."""
    if isinstance(image, ImageFile.ImageFile) and image.format == "PNG" and image.tile:
        return {"L;2": 85, "L;4": 17}.get(str(image.tile[0].args), 1)
    return 1


def warn_if_reduced(image: Image.Image) -> None:
    """Warn at the caller's line that an image which is to be saved was read with fewer bits than its file has.

    A loaded image knows no more of that, so its file is looked into, if it has a name.
    """
    if isinstance(image, ImageFile.ImageFile) and _file_is_reduced(image):
        warn_caller(
            "Pillow has changed the type of its samples, most often to 8 bits: "
            "'pillow-inr encode' keeps those of PNG, PPM and TIFF files"
        )


def _file_is_reduced(image: ImageFile.ImageFile) -> bool:
    if image.format in _MAY_BE_REDUCED and image.filename:
        with contextlib.suppress(Exception), Image.open(image.filename, formats=[image.format]) as again:
            return is_reduced(again)
    return False


def _is_reduced_tiff(image: Image.Image) -> bool:
    tags: Any = getattr(image, "tag_v2", {})
    bits: int = max(tags.get(Base.BitsPerSample, (1,)))
    kind: int = tags.get(_SAMPLE_FORMAT, (_UNSIGNED,))[0]
    if image.mode == "I":
        return bits == 32 and kind == _UNSIGNED
    if image.mode.startswith("I;16"):  # Pillow shows 16 bits as they are, also where 0 is white
        return bool(tags.get(Base.PhotometricInterpretation) == WHITE_IS_ZERO)
    return image.mode in _SHALLOW and (bits > 8 or (kind == _SIGNED and image.mode == "L"))


def ppm_maximum(arguments: Any) -> int:
    """The value of white in a PPM file, which stands beside the mode in Pillow's arguments of its decoder."""
    return next((argument for argument in arguments if isinstance(argument, int)), 0)


def _jpeg2000_bits(image: ImageFile.ImageFile) -> int:
    """Bits of a sample: in the box ihdr, of which 1 is subtracted (ISO 15444-1, annex I.5.3.1)."""
    assert image.fp is not None
    position = image.fp.tell()
    image.fp.seek(0)
    _, _, box = image.fp.read(256).partition(b"ihdr")
    image.fp.seek(position)
    return (box[10] & 0x7F) + 1 if len(box) > 10 else 8
