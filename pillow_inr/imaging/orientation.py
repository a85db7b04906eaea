"""How a picture is turned: by its EXIF data, or else by its XMP packet, as Pillow's `Image.getexif` has it."""

import contextlib
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from PIL import Image
from PIL.ExifTags import Base

from .exif import ExifData
from .exif_tags import exif_tags

if TYPE_CHECKING:
    from .samples import Samples

RAW_PROFILES = ("Raw profile type exif", "Raw profile type xmp", "Raw profile type APP1")
"""Names of ImageMagick's texts of a PNG that hold EXIF data or XMP."""
# What stands before an XMP packet in the segment APP1 of JPEG.
_XMP_HEADER = b"http://ns.adobe.com/xap/1.0/\0"
_XMP_ORIENTATION = re.compile(rb'tiff:Orientation(?:="|>)([0-9])')
_TRANSPOSITIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def orientation_of(exif: bytes | None, xmp: bytes | None) -> int:
    """The orientation in EXIF data or, if they have none, in an XMP packet: 1..8, 1 for an upright picture."""
    found: Any = exif_tags(exif).get(Base.Orientation)
    if found is None:
        match = _XMP_ORIENTATION.search(xmp or b"")
        found = int(match[1]) if match else 1
    return int(found) if found in _TRANSPOSITIONS else 1


def upright(image: Image.Image) -> Image.Image:
    """The image turned upright, its metadata without an orientation; damaged EXIF data do not count and are dropped."""
    image.load()
    orientation: Any = None
    with contextlib.suppress(Exception):  # on damaged data Pillow raises all kinds of exceptions
        orientation = image.getexif().get(Base.Orientation)
    if orientation is None:  # after damaged EXIF data Pillow does not look into XMP, and never into some raw profiles
        exif, xmp = raw_profiles(image.info)
        orientation = orientation_of(exif, _bytes(image.info.get("XML:com.adobe.xmp") or image.info.get("xmp")) or xmp)
    turned = image.transpose(_TRANSPOSITIONS[orientation]) if orientation in _TRANSPOSITIONS else image.copy()
    _forget_orientation(turned.info)
    return turned


def _forget_orientation(info: dict[Any, Any]) -> None:
    raw_exif, raw_xmp = raw_profiles(info)
    for name in RAW_PROFILES:
        info.pop(name, None)
    if raw_xmp and not (info.get("xmp") or info.get("XML:com.adobe.xmp")):
        info["xmp"] = raw_xmp
    with contextlib.suppress(Exception):  # as above
        exif = info.pop("exif", None) or raw_exif
        if exif:
            Image.Exif().load(_bytes(exif))
            info["exif"] = without_orientation(_bytes(exif))
    for name in ("xmp", "XML:com.adobe.xmp"):
        value = info.get(name)
        if value:
            changed = without_properties(_bytes(value), ("tiff:Orientation",))
            info[name] = changed.decode(errors="replace") if isinstance(value, str) else changed


def raw_profiles(info: Mapping[Any, Any]) -> tuple[bytes | None, bytes | None]:
    """EXIF data and the XMP packet in ImageMagick's texts of a PNG; what is damaged does not count."""
    exif = xmp = None
    for name in RAW_PROFILES:
        with contextlib.suppress(ValueError, AttributeError):
            profile = raw_profile(info[name]) if info.get(name) else b""
            if profile.startswith(_XMP_HEADER) or name.endswith("xmp"):
                xmp = xmp or profile.removeprefix(_XMP_HEADER)
            else:
                exif = exif or profile
    return exif or None, xmp or None


def _bytes(value: Any) -> bytes:
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, Image.Exif):
        return value.tobytes()
    return bytes(value) if isinstance(value, bytes | bytearray) else b""


def raw_profile(text: str) -> bytes:
    r"""The bytes of a profile as ImageMagick writes it into a text of PNG: "\nexif\n      20\n4578…".

    Raises:
        ValueError: the text is damaged.
    """
    return bytes.fromhex("".join(text.split("\n")[3:]))


def without_orientation(exif: bytes) -> bytes:
    """EXIF data without their orientation; unchanged if they are damaged."""
    try:
        data = ExifData(exif)
    except ValueError:
        return exif
    data.drop((Base.Orientation,))
    return data.tobytes()


def without_properties(xmp: bytes, names: tuple[str, ...]) -> bytes:
    """An XMP packet without some simple properties, such as "tiff:Orientation", in either of their spellings."""
    for name in names:
        key = re.escape(name.encode())
        # From the first blank only: a search from each blank of a long padding would take the square of its length.
        xmp = re.sub(rb"(?<!\s)\s*\b" + key + rb"\s*=\s*(?:\"[^\"<>]*\"|'[^'<>]*')", b"", xmp)
        xmp = re.sub(rb"<" + key + rb">[^<>]*</" + key + rb"\s*>", b"", xmp)
    return xmp


def samples_upright(samples: "Samples", orientation: int) -> "Samples":
    """Samples, shape (height, width, channels), turned upright from an orientation, as `upright` does."""
    import numpy as np

    turns: dict[int, Callable[[Samples], Samples]] = {
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: np.swapaxes(a, 0, 1),
        6: lambda a: np.rot90(a, -1),
        7: lambda a: np.swapaxes(a[::-1, ::-1], 0, 1),
        8: lambda a: np.rot90(a, 1),
    }
    turn = turns.get(orientation)
    return samples if turn is None else turn(samples)
