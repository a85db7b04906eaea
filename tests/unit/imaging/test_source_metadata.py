"""Where `encode` finds metadata: each format's own place, other spellings, damaged ones; the orientation among them."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps, PsdImagePlugin
from PIL.PngImagePlugin import PngInfo
from PIL.TiffImagePlugin import ImageFileDirectory_v2

import pillow_inr
from pillow_inr.format.metadata import Metadata
from pillow_inr.imaging.exif import ExifData, wide_text
from pillow_inr.imaging.orientation import orientation_of, samples_upright, upright
from pillow_inr.imaging.source_metadata import metadata_of
from pillow_inr.inputs import originals, sources
from tests.support import container
from tests.support.checks import gradient
from tests.support.cli_checks import RGB, exif, run, with_chunks
from tests.support.exif import exif_data, text
from tests.support.fits import no_fit  # noqa: F401

ORIENTATION = 274
DAMAGED = "\nexif\n       5\nno hexadecimal digits\n"


def _xmp(orientation: int, element: bool = False) -> bytes:
    value = f"<tiff:Orientation>{orientation}</tiff:Orientation>" if element else ""
    attribute = "" if element else f' tiff:Orientation="{orientation}"'
    return f'<x xmlns:tiff="http://ns.adobe.com/tiff/1.0/"{attribute}>{value}</x>'.encode()


def _reopened(image: Image.Image, file_format: str, **keywords: Any) -> Image.Image:
    stream = io.BytesIO()
    image.save(stream, file_format, **keywords)
    opened = Image.open(stream)
    opened.load()
    return opened


def _png(texts: dict[str, str], image: Image.Image | None = None) -> Image.Image:
    info = PngInfo()
    for name, value in texts.items():
        info.add_itxt(name, value)
    return _reopened(image or Image.new("RGB", (8, 6)), "PNG", pnginfo=info)


def _stored(image: Image.Image, **keywords: Any) -> Image.Image:
    return Image.open(io.BytesIO(pillow_inr.encode(image, **keywords)))


def test_texts_of_png_go_to_their_places() -> None:
    texts = {
        "Comment": "hello",
        "Title": "Straße",
        "Author": "Jürgen",
        "Description": "a face",
        "Copyright": "(c) me",
        "Software": "program",
        "parameters": "steps: 20",
        "date:create": "2020-01-02",
    }
    stored = _stored(_png(texts))
    assert stored.info["comment"] == b"hello\nparameters: steps: 20"
    tags = stored.getexif()
    assert (tags[270], tags[33432], tags[305]) == ("a face", "(c) me", "program")
    assert tags[315].encode("latin-1").decode() == "Jürgen"
    assert tags[0x9C9B].decode("utf-16-le") == "Straße\0"


def test_texts_of_png_come_back(tmp_path: Path) -> None:
    texts = {"Comment": "hello", "Title": "Straße", "Author": "Jürgen", "Description": "a face"}
    (tmp_path / "a.inr").write_bytes(pillow_inr.encode(_png(texts)))
    assert run("decode", tmp_path / "a.inr").exit_code == 0
    with Image.open(tmp_path / "a.png") as image:
        assert {name: image.info[name] for name in texts} == texts
        again = _stored(image)
    assert again.info["comment"] == b"hello"
    assert again.getexif()[270] == "a face"


def test_exif_data_win_over_texts() -> None:
    image = _png({"Author": "another", "Software": "program"})
    image.info["exif"] = exif_data([text(315, b"someone")])
    tags = _stored(image).getexif()
    assert (tags[315], tags[305]) == ("someone", "program")


@pytest.mark.parametrize(
    "keywords", [{}, {"big_tiff": True}, {"save_all": True, "append_images": [Image.new("L", (3, 2))]}], ids=str
)
def test_every_directory_of_a_tiff_file_is_read(tmp_path: Path, keywords: dict[str, Any]) -> None:
    tags = Image.Exif()
    tags[315], tags[306], tags[282], tags[296] = "someone", "2020:01:02 03:04:05", 3.0, 1
    below = {34665: {36867: "then", 37386: 50.0}, 34853: {1: "N", 2: (1.0, 2.0, 3.0)}}
    for tag, values in below.items():
        tags.get_ifd(tag).update(values)
        tags[tag] = tags.get_ifd(tag)
    Image.new("RGB", (8, 6)).save(tmp_path / "a.tif", exif=tags, **keywords)
    for image in (sources.load(tmp_path / "a.tif"), sources.load(io.BytesIO((tmp_path / "a.tif").read_bytes()))):
        stored = _stored(image).getexif()
        assert {tag: stored[tag] for tag in (315, 306, 282, 296)} == {tag: tags[tag] for tag in (315, 306, 282, 296)}
        assert {tag: stored.get_ifd(tag) for tag in below} == below


def test_a_tiff_file_of_either_byte_order_keeps_other_alphabets() -> None:
    for prefix in (b"II", b"MM"):
        tags = ImageFileDirectory_v2(prefix=prefix)
        tags[315] = "Jürgen".encode()
        image = _reopened(Image.new("I;16B" if prefix == b"MM" else "I;16", (8, 6)), "TIFF", tiffinfo=tags)
        assert image.tag_v2.prefix == prefix  # type: ignore[attr-defined]
        exif_bytes = metadata_of(image, {}, has_colours=False).exif
        assert exif_bytes is not None and "Jürgen".encode() in exif_bytes


def test_app1_profiles_are_exif_or_xmp() -> None:
    for kind, data in (("exif", exif(6)), ("xmp", b"http://ns.adobe.com/xap/1.0/\0" + _xmp(6))):
        stored = _stored(_png({"Raw profile type APP1": f"\ngeneric profile\n{len(data):8}\n{data.hex()}\n"}))
        assert stored.info.keys() & {"exif", "xmp"} == {kind}
        assert orientation_of(stored.info.get("exif"), stored.info.get("xmp")) == 6


def test_a_photoshop_file_has_its_metadata_in_resources() -> None:
    image = PsdImagePlugin.PsdImageFile.__new__(PsdImagePlugin.PsdImageFile)
    Image.Image.__init__(image)
    image.resources = [(1058, b"", exif_data([text(315, b"someone")])), (1060, b"", b"<x/>")]
    metadata = metadata_of(image, {}, has_colours=True)
    assert metadata.xmp == b"<x/>"
    assert metadata.exif is not None and b"someone" in metadata.exif


@pytest.mark.parametrize(
    "info",
    [
        {"exif": b"no tags"},
        {"exif": b"Exif\0\0"},
        {"exif": "a text"},
        {"exif": 7},
        {"Raw profile type exif": DAMAGED},
        {"Raw profile type exif": 7},
        {"Raw profile type xmp": "no digits\n\n\nxyz"},
        {"xmp": 7, "icc_profile": "a text", "comment": 3.5, "dpi": "many"},
        {"dpi": (0, 0)},
        {"dpi": (0, 96)},
        {"dpi": 96},
        {"comment": ["a", b"b"], "Comment": [1, 2]},
        {"Title": 7, "Author": ("x",)},
    ],
    ids=str,
)
@pytest.mark.filterwarnings("ignore:the EXIF data are damaged")
def test_odd_metadata_never_stop_a_save(info: dict[str, Any]) -> None:
    image = Image.new("RGB", (8, 6), "red")
    image.info = dict(info)
    for keywords in ({}, dict(info)):
        stream = io.BytesIO()
        image.save(stream, "INR", **keywords)
        stored = Image.open(stream)
        assert stored.getpixel((0, 0)) == (255, 0, 0)
        assert not stored.getexif()
        assert stored.info.get("dpi", (96, 96)) == (96, 96)


def test_damaged_exif_data_are_named() -> None:
    with pytest.warns(UserWarning, match="the EXIF data are damaged and left out"):
        stored = _stored(_png({"Raw profile type exif": DAMAGED}))
    assert "exif" not in stored.info
    assert not stored.getexif()


@pytest.mark.usefixtures("no_fit")
@pytest.mark.parametrize("strip", [[], ["--strip"]])
def test_a_picture_with_damaged_exif_data_is_encoded(tmp_path: Path, strip: list[str]) -> None:
    texts = PngInfo()
    texts.add_text("Raw profile type exif", DAMAGED)
    Image.fromarray(gradient(12, 9)).save(tmp_path / "a.png", pnginfo=texts)
    result = run("encode", tmp_path / "a.png", *strip)
    assert result.exit_code == 0
    assert ("EXIF data are damaged" in " ".join(result.output.split())) == (not strip)


def test_an_array_that_is_saved_with_the_info_of_a_picture_gets_its_metadata() -> None:
    info = _png({"Comment": "hello", "Author": "someone", "XML:com.adobe.xmp": "<x/>"}).info
    stream = io.BytesIO()
    Image.new("RGB", (8, 6)).save(stream, "INR", **info)
    stored = Image.open(stream)
    assert (stored.info["comment"], stored.info["xmp"]) == (b"hello", b"<x/>")
    assert stored.getexif()[315] == "someone"


def test_resolution_stands_in_exif_data_where_a_format_has_no_other_place() -> None:
    tags = Image.Exif()
    tags[282], tags[283], tags[296] = 118.11, 59.055, 3
    image = _reopened(Image.new("RGB", (8, 6)), "WEBP", exif=tags)
    assert _stored(image).info["dpi"] == pytest.approx((300, 150), abs=0.01)


# Orientation


def _pillow_reads_xmp() -> bool:
    image = Image.new("L", (1, 1))
    image.info["xmp"] = _xmp(6)
    return image.getexif().get(ORIENTATION) == 6


PILLOW_READS_XMP = _pillow_reads_xmp()


def _turned(file_format: str, xmp: bytes, exif_bytes: bytes) -> Image.Image:
    image = Image.fromarray(gradient(8, 6))
    if file_format == "PNG":
        texts = PngInfo()
        texts.add_itxt("XML:com.adobe.xmp", xmp.decode())
        return _reopened(image, "PNG", pnginfo=texts, exif=exif_bytes)
    if file_format == "TIFF":
        tags = Image.Exif()
        tags.load(exif_bytes)
        tags[700] = xmp
        return _reopened(image, "TIFF", exif=tags)
    return _reopened(image, file_format, xmp=xmp, exif=exif_bytes)


@pytest.mark.parametrize("element", [False, True])
@pytest.mark.parametrize("with_exif", [False, True])
@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_what_is_stored_turns_the_picture_as_pillow_does(
    file_format: str, orientation: int, with_exif: bool, element: bool
) -> None:
    if not (with_exif or file_format == "PNG" or PILLOW_READS_XMP):
        pytest.skip("this version of Pillow looks for an orientation in the XMP of PNG alone")
    # EXIF data without an orientation leave it to XMP; an orientation in both is that of the EXIF data.
    exif_bytes = exif(orientation) if with_exif else exif_data([text(271, b"Maker")])
    image = _turned(file_format, _xmp(1 if with_exif else orientation, element), exif_bytes)
    stored = metadata_of(image, {}, has_colours=True)
    pixels = samples_upright(np.asarray(image), orientation_of(stored.exif, stored.xmp))
    expected = np.asarray(ImageOps.exif_transpose(image))
    np.testing.assert_array_equal(pixels, expected)
    turned = upright(image)
    np.testing.assert_array_equal(np.asarray(turned), expected)
    assert turned.getexif().get(ORIENTATION, 1) == 1
    again = metadata_of(turned, {}, has_colours=True)
    assert orientation_of(again.exif, again.xmp) == 1


@pytest.mark.parametrize("exif_bytes", [None, b"no tags", exif_data([text(271, b"Maker")])])
def test_an_orientation_in_xmp_alone(tmp_path: Path, exif_bytes: bytes | None) -> None:
    path, original = tmp_path / "a.inr", tmp_path / "a.png"
    path.write_bytes(with_chunks(RGB.read_bytes(), Metadata(exif=exif_bytes, xmp=_xmp(6))))
    texts = PngInfo()
    texts.add_itxt("XML:com.adobe.xmp", _xmp(6).decode())
    with Image.open(RGB) as stored:
        stored.save(original, pnginfo=texts)
    assert run("decode", path, "-o", tmp_path / "upright.png").exit_code == 0
    with Image.open(tmp_path / "upright.png") as image:
        assert image.size == (20, 32)
        assert b"Orientation" not in image.info["xmp"]
        assert np.array_equal(np.asarray(image), np.asarray(ImageOps.exif_transpose(image)))
        decoded = np.asarray(image)
    pixels = originals.upright_pixels(container.open_model(path.read_bytes()), whole=True)
    np.testing.assert_array_equal(pixels, decoded)
    np.testing.assert_array_equal(originals.read_original(original, pixels.shape), decoded)
    result = run("view", path, "--original", original, "-o", tmp_path / "view.png")
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("name", ["Raw profile type exif", "Raw profile type APP1"])
def test_the_orientation_in_a_raw_profile_turns_the_picture(name: str) -> None:
    turned = upright(_png({name: _profile("APP1", exif(6))}, Image.new("RGB", (4, 2))))
    assert turned.size == (2, 4)
    assert ORIENTATION not in turned.getexif()
    assert turned.getexif()[0x010F] == "Maker"


@pytest.mark.parametrize("name", ["Raw profile type xmp", "Raw profile type APP1"])
def test_the_orientation_in_a_raw_profile_of_xmp_turns_the_picture(name: str) -> None:
    packet = (b"http://ns.adobe.com/xap/1.0/\0" if name.endswith("APP1") else b"") + _xmp(8)
    turned = upright(_png({name: _profile("xmp", packet)}, Image.new("RGB", (4, 2))))
    assert turned.size == (2, 4)
    assert b"Orientation" not in turned.info["xmp"]


def _profile(name: str, data: bytes) -> str:
    """A raw profile as ImageMagick writes it."""
    return f"\n{name}\n{len(data):8d}\n{data.hex()}\n"


def test_texts_that_are_no_unicode_stop_no_save() -> None:
    image = Image.new("RGB", (2, 2))
    image.info |= {"Title": "a\ud800", "Description": "b\udfff", "Comment": "c\ud800"}
    metadata = metadata_of(image, {}, has_colours=True)
    assert metadata.comment == b"c?"
    data = ExifData(metadata.exif or b"")
    assert data.value(270) == b"b?\0"
    assert wide_text(data.value(0x9C9B)) == "a?"
