"""Metadata of a Pillow image -> what an .inr file stores, from wherever the plugin of each format leaves them.

Odd metadata never stop a save: what is damaged is left out, with a warning if it was EXIF data or a profile of EXIF.
"""

import contextlib
import struct
from collections.abc import Mapping
from typing import Any

from PIL import Image
from PIL.ExifTags import Base

from ..errors import warn_caller
from ..format.metadata import NAMES, Metadata, is_same
from .exif import PREFIX, STRUCTURAL, TAG_ICC_PROFILE, TAG_XMP, ExifData, wide_text, without_prefix
from .exif_tags import copied, exif_tags
from .orientation import RAW_PROFILES, raw_profile, raw_profiles

# Texts of PNG (PNG specification, section 11.3.3.2) that have a tag in EXIF.
TEXT_TAGS = {
    "Description": Base.ImageDescription,
    "Author": Base.Artist,
    "Copyright": Base.Copyright,
    "Software": Base.Software,
}
TITLE_TAG = Base.XPTitle
_RAW_EXIF = ("Raw profile type exif", "Raw profile type APP1")
_XMP_TEXT = "XML:com.adobe.xmp"
# Texts of other formats that are this image's comment: PNG and IM; TGA.
_COMMENTS = ("Comment", "id_section")
_SPELLINGS = {*NAMES, *RAW_PROFILES, _XMP_TEXT, *_COMMENTS, *TEXT_TAGS, "Title"}
# Texts that programs write by themselves, about the file and not the picture.
_ABOUT_THE_FILE = ("Raw profile type ", "date:", "png:", "exif:", "icc:", "signature", "Thumb::", _XMP_TEXT)
# Image resources of Photoshop (Adobe Photoshop File Formats Specification, "Image Resource IDs").
_PSD_EXIF, _PSD_XMP = 1058, 1060


def metadata_of(image: Image.Image, keywords: Mapping[str, Any], *, has_colours: bool) -> Metadata:
    """The metadata to store with an image: those in the keywords of a save, otherwise those of the image.

    Args:
        image: a loaded image; PNG and TIFF have some of their metadata only then.
        keywords: exif, icc_profile, xmp, comment, dpi; None drops what the image has. A value that the image's `info`
            has, too, was passed back (`**image.info`) and counts as the image's own.
        has_colours: whether the stored samples are colours and not grey, to which the colour profile must belong.
    Raises:
        ValueError: a keyword's value is of the wrong type, or there are more than `limits.METADATA_MAX` bytes.
    """
    spelled = {name: value for name, value in keywords.items() if name in _SPELLINGS and name not in NAMES}
    info: dict[Any, Any] = {**spelled, **image.info}
    given = {
        name: keywords[name] for name in NAMES if name in keywords and not _passed_back(keywords[name], info.get(name))
    }
    found: dict[str, Any] = {
        "xmp": _xmp_of(image, info),
        "comment": _comment_of(image, info),
        "icc_profile": _profile_of(info, has_colours),
    }
    if "exif" in given:
        given["exif"] = _without_structure(given["exif"])
    else:
        found["exif"] = _exif_of(image, info)
    found["dpi"] = _dpi_of(info, found.get("exif"))
    found["comment"] = found["comment"] or _comment_in_exif(found.get("exif"))
    return Metadata.of(given, found)


def metadata_of_tiff(data: bytes) -> Metadata:
    """The metadata in the tags of a TIFF file that Pillow does not open, but the orientation, which was acted on."""
    tags = exif_tags(data)
    tags.pop(Base.Orientation, None)
    exif = _rebuilt(tags)
    return Metadata.of({}, {"exif": exif, "dpi": dpi_in_exif(exif) if exif else None})


def _passed_back(value: Any, own: Any) -> bool:
    return value is not None and is_same(value, own)


def _exif_of(image: Image.Image, info: Mapping[Any, Any]) -> bytes | None:
    """EXIF data of the picture, together with texts of PNG that have a tag of their own; without structural tags."""
    try:
        exif = _stored_exif(image, info)
        data = None if exif is None else _checked(exif)
    except Exception as error:  # on damaged data Pillow raises all kinds of exceptions
        warn_caller(f"the EXIF data are damaged and left out: {error}")
        exif = data = None
    texts = {tag: info[name] for name, tag in TEXT_TAGS.items() if isinstance(info.get(name), str) and info[name]}
    title = info.get("Title")
    if texts or (isinstance(title, str) and title):
        data = data or ExifData()
        for tag, text in texts.items():
            data.add_text(tag, text)
        if isinstance(title, str) and title:
            data.add_wide_text(TITLE_TAG, title)
        return data.tobytes()
    return data.tobytes() if data else None


def _stored_exif(image: Image.Image, info: Mapping[Any, Any]) -> bytes | None:
    exif = info.get("exif")
    if exif:
        return _rebuilt(exif) if isinstance(exif, Image.Exif) else bytes(exif)
    for name in _RAW_EXIF:
        if isinstance(info.get(name), str):
            profile = raw_profile(info[name])
            if name != "Raw profile type APP1" or profile.startswith(PREFIX):
                return profile
    if hasattr(image, "tag_v2"):
        return _rebuilt(image.getexif())
    return _photoshop_resource(image, _PSD_EXIF)


def _checked(exif: bytes) -> ExifData | None:
    """The EXIF data without structural tags; None if nothing is left.

    Raises:
        Exception: they are damaged.
    """
    if not without_prefix(exif):
        return None
    tags = Image.Exif()
    tags.load(exif)
    try:
        data = ExifData(exif)
    except ValueError:  # one of the spellings of the byte order that Pillow accepts
        data = ExifData(_rebuilt(tags) or b"")
    data.drop(STRUCTURAL)
    return data


def _without_structure(exif: Any) -> Any:
    """EXIF data that a caller gave, without structural tags; data that cannot be read stay as they are."""
    if isinstance(exif, Image.Exif):
        return exif if STRUCTURAL.isdisjoint(exif) else _rebuilt(exif) or b""
    if not isinstance(exif, bytes | bytearray | memoryview):
        return exif
    try:
        data = ExifData(bytes(exif))
    except ValueError:
        return bytes(exif)
    data.drop(STRUCTURAL)
    return data.tobytes()


def _rebuilt(tags: Image.Exif) -> bytes | None:
    """Tags as EXIF data, without structural ones and those stored apart; None if there are none."""
    kept = copied(tags, STRUCTURAL | {TAG_XMP, TAG_ICC_PROFILE})
    return kept.tobytes() if kept else None


def _photoshop_resource(image: Image.Image, number: int) -> bytes | None:
    resources = getattr(image, "resources", None)
    if getattr(image, "format", None) != "PSD" or not isinstance(resources, list):
        return None
    return next((bytes(data) for kind, _, data in resources if kind == number), None)


def _xmp_of(image: Image.Image, info: Mapping[Any, Any]) -> bytes | str | None:
    text = info.get(_XMP_TEXT)
    found: bytes | str | None = info.get("xmp") or (text if isinstance(text, str) else None) or raw_profiles(info)[1]
    return found or _photoshop_resource(image, _PSD_XMP)


def _comment_of(image: Image.Image, info: Mapping[Any, Any]) -> bytes | None:
    """The image's comment; texts of PNG without a place of their own stand below it, each behind its name."""
    lines = [_as_bytes(info.get(name)) for name in ("comment", *_COMMENTS)]
    first = next((line for line in lines if line), b"")
    return b"\n".join(filter(None, [first, *_other_texts(image)])) or None


def _comment_in_exif(exif: bytes | None) -> bytes | None:
    """The comment of Windows, which is where `decode` puts a comment if EXIF data have a description as well."""
    with contextlib.suppress(ValueError):
        return wide_text(ExifData(exif or b"").value(Base.XPComment)).encode() or None
    return None


def _as_bytes(value: Any) -> bytes:
    if isinstance(value, list):
        return b"\n".join(_as_bytes(entry) for entry in value)
    if isinstance(value, str):
        return value.encode(errors="replace")
    return bytes(value) if isinstance(value, bytes | bytearray) else b""


def _other_texts(image: Image.Image) -> list[bytes]:
    texts = getattr(image, "text", None) if getattr(image, "format", None) == "PNG" else None
    if not isinstance(texts, dict):
        return []
    known = {*_SPELLINGS, "exif"}
    return [
        f"{name}: {text}".encode(errors="replace")
        for name, text in texts.items()
        if name not in known and not name.startswith(_ABOUT_THE_FILE)
    ]


def _profile_of(info: Mapping[Any, Any], has_colours: bool) -> bytes | None:
    profile = info.get("icc_profile")
    # A conversion does not change the profile. One for CMYK would spoil the colours of an RGB image.
    space = b"RGB " if has_colours else b"GRAY"
    return profile if isinstance(profile, bytes) and profile[16:20] == space else None


def _dpi_of(info: Mapping[Any, Any], exif: bytes | None) -> Any:
    dpi = info.get("dpi")
    if isinstance(dpi, int | float):
        return dpi, dpi
    return dpi or (dpi_in_exif(exif) if exif else None)


def dpi_in_exif(exif: bytes) -> tuple[float, float] | None:
    """Horizontal and vertical resolution in pixels per inch that EXIF data name; None if they name none."""
    with contextlib.suppress(ValueError, struct.error):
        data = ExifData(exif)
        factor = {2: 1.0, 3: 2.54}.get(data.number(Base.ResolutionUnit) or 0)
        ratios = data.ratio(Base.XResolution), data.ratio(Base.YResolution)
        if factor and ratios[0] and ratios[1]:
            return ratios[0] * factor, ratios[1] * factor
    return None
