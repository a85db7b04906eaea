"""Metadata from each format that Pillow writes, through an .inr file, to each: a table against the real Pillow."""

import io
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

import pillow_inr
from pillow_inr.format.metadata import NAMES
from pillow_inr.imaging.export import can_write
from tests.support.cli_checks import run

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description rdf:about="" xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6">made here'
    b"</rdf:Description></rdf:RDF></x:xmpmeta>"
)
DATE = "2020:01:02 03:04:05"
TAGS = {270: "a face", 271: "Maker", 306: DATE, 315: "someone", 33432: "(c) someone"}
EXIF, DATE_TAKEN, ORIENTATION = 34665, 36867, 274
SIZE = (8, 6)

# What each format can hold of an image's metadata, as Pillow writes it.
ALL = {"exif", "icc_profile", "xmp", "comment", "dpi"}
HELD = {
    "jpg": ALL,
    "mpo": ALL,
    "png": ALL,
    "tif": ALL,
    "webp": ALL,
    "avif": ALL,
    "gif": {"comment"},
    "jp2": {"comment"},
    "bmp": {"dpi"},
    "tga": {"comment"},
}
# A second spelling of PNG's, that of ImageMagick.
RAW_PNG = "raw.png"
SOURCES = [*HELD, RAW_PNG]
UNAVAILABLE = {
    ending for ending in HELD if not can_write(Image.registered_extensions().get(f".{ending}", "not in this Pillow"))
}
# Formats where a comment stands in the EXIF data, and their places for it.
DESCRIPTION, WINDOWS_COMMENT = 270, 0x9C9C


def _exif() -> Image.Exif:
    tags = Image.Exif()
    for tag, value in TAGS.items():
        tags[tag] = value
    tags[ORIENTATION] = 6
    below = tags.get_ifd(EXIF)
    below[DATE_TAKEN] = DATE
    tags[EXIF] = below
    return tags


def _raw(kind: str, data: bytes) -> str:
    """A profile as ImageMagick writes it."""
    digits = "\n".join(data.hex()[start : start + 72] for start in range(0, 2 * len(data), 72))
    return f"\n{kind}\n{len(data):8}\n{digits}\n"


def _keywords(ending: str) -> dict[str, Any]:
    keywords: dict[str, Any] = {"icc_profile": PROFILE, "xmp": XMP, "comment": "hello", "dpi": (300, 300)}
    texts = PngInfo()
    texts.add_text("Comment", "hello")
    if ending == RAW_PNG:
        texts.add_text("Raw profile type exif", _raw("exif", _exif().tobytes()), zip=True)
        texts.add_text("Raw profile type xmp", _raw("xmp", XMP), zip=True)
        return {**keywords, "pnginfo": texts}
    if ending == "png":
        texts.add_itxt("XML:com.adobe.xmp", XMP.decode())
        keywords["pnginfo"] = texts
    if ending == "tga":
        return {"id_section": b"hello"}
    if ending == "tif":
        tags = _exif()
        tags[700] = XMP
        tags[WINDOWS_COMMENT] = "hello".encode("utf-16-le")
        return {**keywords, "exif": tags}
    return {**keywords, "exif": _exif().tobytes()}


@cache
def _stored(ending: str) -> bytes:
    """The .inr file of an image of one colour in a format."""
    stream = io.BytesIO()
    file_format = Image.registered_extensions()[f".{ending.split('.')[-1]}"]
    Image.new("RGB", SIZE, (200, 30, 40)).save(stream, file_format, **_keywords(ending))
    with Image.open(stream) as source:
        return pillow_inr.encode(source)


def _check_tags(tags: Image.Exif) -> None:
    assert {tag: tags.get(tag) for tag in TAGS} == TAGS
    assert tags.get_ifd(EXIF)[DATE_TAKEN] == DATE


@pytest.mark.parametrize("ending", [ending for ending in SOURCES if ending.split(".")[-1] not in UNAVAILABLE])
def test_metadata_find_their_way_in(ending: str) -> None:
    held = HELD.get(ending, ALL) - ({"comment", "dpi"} if ending in ("webp", "avif") else set())
    with Image.open(io.BytesIO(_stored(ending))) as stored:
        assert stored.info.keys() & set(NAMES) == held
        if "exif" in held:
            _check_tags(stored.getexif())
            # Pillow turns TIFF images when it loads them.
            assert stored.getexif().get(ORIENTATION) == (None if ending == "tif" else 6)
            assert b"made here" in stored.info["xmp"]
            assert stored.info["icc_profile"] == PROFILE
        if "comment" in held:
            assert stored.info["comment"] == b"hello"
        if "dpi" in held:
            assert stored.info["dpi"] == pytest.approx((300, 300), abs=0.01)


@pytest.mark.parametrize("target", [ending for ending in HELD if ending not in UNAVAILABLE])
@pytest.mark.parametrize("source", [ending for ending in SOURCES if ending.split(".")[-1] not in UNAVAILABLE])
def test_metadata_find_their_way_out(tmp_path: Path, source: str, target: str) -> None:
    (tmp_path / "a.inr").write_bytes(_stored(source))
    result = run("decode", tmp_path / "a.inr", "-o", tmp_path / f"copy.{target}")
    assert result.exit_code == 0, result.output
    assert "left out" not in result.output
    has = HELD.get(source, ALL) - ({"comment", "dpi"} if source in ("webp", "avif") else set())
    with Image.open(tmp_path / f"copy.{target}") as copy:
        copy.load()
        assert copy.size == (SIZE[::-1] if "exif" in has else SIZE)
        assert copy.getexif().get(ORIENTATION) is None
        if "exif" in has & HELD[target]:
            _check_tags(copy.getexif())
            assert b"made here" in bytes(copy.info["xmp"])
            assert b"Orientation" not in bytes(copy.info["xmp"])
            assert copy.info["icc_profile"] == PROFILE
        if "comment" in has & HELD[target]:
            assert _comment(copy, target) == "hello"
        if "dpi" in has & HELD[target]:
            assert _dpi(copy) == pytest.approx((300, 300), abs=0.01)


def _comment(image: Image.Image, ending: str) -> Any:
    if ending in ("tif", "webp", "avif"):
        tags = image.getexif()
        wide = tags.get(WINDOWS_COMMENT)
        return wide.decode("utf-16-le").rstrip("\0") if wide else tags[DESCRIPTION]
    comment = image.info[{"png": "Comment", "tga": "id_section"}.get(ending, "comment")]
    return comment.decode() if isinstance(comment, bytes) else comment


def _dpi(image: Image.Image) -> Any:
    if "dpi" in image.info:
        return image.info["dpi"]
    tags = image.getexif()
    assert tags[296] == 2
    return tags[282], tags[283]
