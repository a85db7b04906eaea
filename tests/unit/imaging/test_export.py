"""Decoded images in other formats: what these cannot hold is left out and named, or refused."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PIL.PdfParser import PdfParser

from pillow_inr.format.metadata import Metadata
from pillow_inr.imaging import export as exporting
from pillow_inr.imaging.exif import ExifData
from pillow_inr.imaging.export import can_write, export
from pillow_inr.imaging.target_metadata import adapted
from tests.support.checks import VECTORS, gradient
from tests.support.cli_checks import RGB, run, with_chunks
from tests.support.exif import exif_data, text

LONG = b"x" * 70000
EXIF = exif_data([text(271, b"Maker")])


def _opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


@pytest.mark.parametrize(
    ("ending", "odd", "named"),
    [
        ("png", {"dpi": (4e9, 4e9)}, "resolution"),
        ("png", {"dpi": (1e-9, 1e-9)}, "resolution"),
        ("png", {"xmp": b"\xff\x00not a text"}, "XMP packet"),
        ("png", {"exif": b"no tags"}, "EXIF data"),
        ("tif", {"dpi": (3e38, 3e38)}, "resolution"),
        ("bmp", {"dpi": (3e38, 3e38)}, "resolution"),
        ("jpg", {"dpi": (7e4, 7e4)}, "resolution"),
        ("jpg", {"xmp": LONG}, "XMP packet"),
        ("jpg", {"comment": LONG}, "comment"),
        ("jpg", {"exif": exif_data([text(270, LONG)])}, "EXIF data"),
        ("jpg", {"xmp": LONG, "comment": LONG}, "XMP packet and comment"),
        ("jp2", {"comment": LONG}, "comment"),
        ("jpg", {"icc_profile": b"x" * 65519 * 256}, "colour profile"),
    ],
)
def test_odd_metadata_are_left_out_and_named(tmp_path: Path, ending: str, odd: dict[str, Any], named: str) -> None:
    kept = {"exif": EXIF, "xmp": b"<x/>", "comment": b"hello", "dpi": (300.0, 300.0), **odd}
    path = tmp_path / "a.inr"
    path.write_bytes(with_chunks(RGB.read_bytes(), Metadata(**kept)))
    result = run("decode", path, "--format", ending)
    assert result.exit_code == 0
    assert f"cannot hold its {named}, left out" in " ".join(result.output.split())
    with Image.open(tmp_path / f"a.{ending}") as image, Image.open(RGB) as original:
        assert image.size == original.size
        if ending in ("png", "tif", "bmp"):
            np.testing.assert_array_equal(np.asarray(image), np.asarray(original))
        if ending in ("png", "jpg"):
            assert ("exif" in image.info) == ("exif" not in odd)
            assert ("xmp" in image.info) == ("xmp" not in odd)


@pytest.mark.parametrize(
    ("mode", "file_format", "hint"),
    [
        ("L", "XBM", ".png, .tif and .npy hold it"),
        ("RGB", "MSP", ".png, .tif and .npy hold it"),
        ("RGB", "PALM", ".png, .tif and .npy hold it"),
        ("RGB", "BLP", ".png, .tif and .npy hold it"),
        ("RGBA", "XBM", ".png, .tif and .npy hold it"),
        ("RGBA", "JPEG", ".png, .webp and .tif hold transparency"),
        ("LA", "JPEG", ".png, .webp and .tif hold transparency"),
        ("I;16", "WEBP", ".tif and .npy hold such samples"),
        ("F", "PNG", ".tif and .npy hold such samples"),
    ],
)
def test_a_mode_that_a_format_cannot_hold_is_named(mode: str, file_format: str, hint: str) -> None:
    image = Image.new(mode, (3, 2))
    with pytest.raises(OSError, match=f"cannot write mode {mode} as {file_format}: {hint}"):
        export(image, Metadata(comment=b"hello"), file_format)


def test_formats_that_other_programs_would_write_are_refused_at_once(tmp_path: Path) -> None:
    for ending in ("h5", "grib", "wmf", "bufr", "strange"):
        result = run("decode", RGB, "--format", ending)
        assert result.exit_code == 2
        assert f"no format with the ending '.{ending}' can be written" in " ".join(result.output.split())
        assert run("decode", RGB, "-o", tmp_path / f"a.{ending}").exit_code == 1
    assert not list(tmp_path.iterdir())
    assert not can_write("INR")


def test_every_format_holds_the_picture_or_refuses_it() -> None:
    """Each mode to each format of this Pillow: the same size, no lost colours, no lost transparency, or an OSError."""
    Image.init()
    # SPIDER has no ending; saving one without a name registers "" as its ending in older versions of Pillow.
    for file_format in filter(can_write, sorted(Image.SAVE.keys() - {"SPIDER"})):
        for mode in ("L", "LA", "RGB", "RGBA", "I;16", "F"):
            samples = gradient(16, 16, 1 if mode in ("L", "I;16", "F") else len(mode)).squeeze()
            dtype = {"I;16": np.uint16, "F": np.float32}.get(mode, np.uint8)
            image = Image.fromarray(samples.astype(dtype) * (3 if mode in ("I;16", "F") else 1))
            try:
                data, notes = export(image, Metadata(), file_format)
            except OSError as error:
                assert "cannot write mode" in str(error) or "pixels instead of" in str(error), (file_format, mode)
                continue
            if file_format not in Image.OPEN or file_format in ("EPS", "ICNS"):
                continue
            written = _opened(data)
            assert written.size == image.size
            if mode in ("I;16", "F"):
                np.testing.assert_array_equal(np.asarray(written), np.asarray(image))
            elif not notes:
                difference = np.asarray(written.convert(mode)).astype(int) - np.asarray(image)
                assert np.abs(difference).mean() < 12, (file_format, mode)


def test_a_palette_is_noted() -> None:
    many, few = Image.fromarray(gradient(40, 30)), Image.new("RGB", (40, 30), "red")
    assert "256 colours" in export(many, Metadata(), "GIF").notes[0]
    assert export(few, Metadata(), "GIF").notes == ()


def test_icons_have_the_size_of_the_picture() -> None:
    assert _opened(export(Image.new("RGB", (100, 37)), Metadata(), "ICO").data).size == (100, 37)
    with pytest.raises(OSError, match="at most 256x256"):
        export(Image.new("RGB", (300, 37)), Metadata(), "ICO")
    assert export(Image.new("RGB", (64, 64)), Metadata(), "ICNS").data
    with pytest.raises(OSError, match="pixels instead of 60x60"):
        export(Image.new("RGB", (60, 60)), Metadata(), "ICNS")


def test_a_changed_picture_is_no_success(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "_is_equal", lambda *images: False)
    with pytest.raises(OSError, match="TIFF would change its pixels"):
        export(Image.new("RGB", (3, 2)), Metadata(comment=b"hello"), "TIFF")


def test_what_an_image_knows_of_another_format_is_not_used() -> None:
    image = Image.new("RGB", (3, 2))
    image.info = {"icc_profile": b"other", "comment": b"other", "compression": "jpeg", "transparency": (0, 0, 0)}
    for file_format in ("PNG", "TIFF", "JPEG", "GIF"):
        written = _opened(export(image, Metadata(), file_format).data)
        assert written.info.get("icc_profile") is None
        assert written.info.get("comment") is None
        assert not written.has_transparency_data
    assert image.info["comment"] == b"other"


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "GIF", "JPEG2000", "TGA", "TIFF"])
def test_comments_are_not_cut_off(file_format: str) -> None:
    written = _opened(export(Image.new("RGB", (3, 2)), Metadata(comment=b"one\0two" + b"x" * 200), file_format).data)
    info = written.info
    comment = info.get("comment") or info.get("Comment") or info.get("id_section") or written.getexif()[270]
    text = comment.decode() if isinstance(comment, bytes) else comment
    assert text.replace("\0", " ") == "one two" + "x" * 200


@pytest.mark.parametrize("comment", ["naïve".encode(), "naïve".encode("latin-1")])
def test_comments_are_texts_in_utf_8_or_latin_1(comment: bytes) -> None:
    metadata = adapted(Metadata(comment=comment), (3, 2), changed=False)
    image = Image.new("RGB", (3, 2))
    assert _opened(export(image, metadata, "PNG").data).info["Comment"] == "naïve"
    tag = _opened(export(image, metadata, "TIFF").data).getexif()[270]
    assert tag.encode("latin-1").decode() == "naïve"
    assert _opened(export(image, metadata, "JPEG").data).info["comment"] == comment


def test_texts_of_other_alphabets_keep_their_bytes(tmp_path: Path) -> None:
    data = exif_data([text(270, "Größe".encode()), text(315, "Jürgen".encode("latin-1"))])
    path = tmp_path / "a.inr"
    path.write_bytes(with_chunks((VECTORS / "grey.inr").read_bytes(), Metadata(exif=data)))
    for ending in ("tif", "png", "jpg"):
        assert run("decode", path, "--format", ending).exit_code == 0
        with Image.open(tmp_path / f"a.{ending}") as image:
            assert image.getexif()[270].encode("latin-1").decode() == "Größe"
            assert image.getexif()[315] == "Jürgen"
            if ending == "png":
                assert (image.info["Description"], image.info["Author"]) == ("Größe", "Jürgen")


def test_texts_that_other_formats_have_names_for() -> None:
    data = ExifData(exif_data([text(270, b"a face"), text(315, b"someone")]))
    data.add_wide_text(0x9C9B, "Titel")
    metadata = Metadata(exif=data.tobytes())
    pdf = PdfParser(buf=export(Image.new("RGB", (8, 6)), metadata, "PDF").data)
    assert (pdf.info.Subject, pdf.info.Author, pdf.info.Title) == ("a face", "someone", "Titel")
    for file_format in ("GIF", "JPEG2000"):
        assert _opened(export(Image.new("RGB", (8, 6)), metadata, file_format).data).info["comment"] == b"a face"
    note = export(Image.new("RGB", (8, 6)), Metadata(comment=b"x" * 256), "TGA").notes[0]
    assert "comment, left out" in note


def test_places_on_the_map_are_left_out_of_a_part() -> None:
    data = exif_data([(33550, 12, 3, bytes(24)), text(271, b"Maker")])
    xmp = b"<x><xmp:Thumbnails><a>SECRET</a></xmp:Thumbnails></x>"
    whole, part = (adapted(Metadata(exif=data, xmp=xmp), (3, 2), changed=changed) for changed in (False, True))
    assert whole == Metadata(exif=data, xmp=xmp)
    assert part.xmp == b"<x></x>"
    assert ExifData(part.exif or b"").tags() == {271}


@pytest.mark.parametrize("ending", ["png", "jp2", "tif", "pgm"])
@pytest.mark.parametrize("high", [5, 300, 0xFFFF])
def test_mode_i_is_written_with_16_bits_where_these_hold_its_values(ending: str, high: int) -> None:
    samples = np.linspace(0, high, 12).astype(np.int32).reshape(3, 4)
    data = export(Image.fromarray(samples), Metadata(), Image.registered_extensions()[f".{ending}"]).data
    assert np.array_equal(np.asarray(_opened(data)), samples)


@pytest.mark.parametrize("values", [(-1, 5), (0, 0x10000), (70000, 70005), (-(2**31), 2**31 - 1)])
def test_mode_i_is_refused_where_16_bits_do_not_hold_its_values(values: tuple[int, int]) -> None:
    image = Image.fromarray(np.array([values], np.int32))
    with pytest.raises(OSError, match=r"cannot write mode I as PNG: \.tif and \.npy hold such samples"):
        export(image, Metadata(), "PNG")


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_transparent_pixels_of_each_mode_stay_so_in_a_gif(mode: str) -> None:
    image = Image.new("LA", (4, 3), (200, 255)).convert(mode)
    image.putpixel((1, 1), (0,) * len(mode))
    alpha = np.asarray(_opened(export(image, Metadata(), "GIF").data).convert("RGBA"))[..., 3]
    assert np.array_equal(alpha, np.asarray(image.getchannel("A")))


def test_padding_and_unfinished_properties_of_xmp_take_no_time_of_their_square() -> None:
    """A megabyte of either would take hours."""
    fillers = (b" ", b"<xmp:Thumbnails ", b"<tiff:Orientation>", b"tiff:Orientation=")
    for filler in (2**20 // len(part) * part for part in fillers):
        for xmp in (filler, b"<x>" + filler + b"</x>", b"<xmp:Thumbnails/></xmp:Thumbnails>" + filler):
            kept = adapted(Metadata(xmp=xmp), (3, 2), True).xmp
            assert kept == xmp.removeprefix(b"<xmp:Thumbnails/></xmp:Thumbnails>")


@pytest.mark.parametrize("text", ["ImageJ=1.11a\nimages=3\n", '{"shape": [3, 4, 5]}'])
def test_a_description_of_another_files_stack_is_not_written(text: str) -> None:
    tags = Image.Exif()
    tags[270], tags[315] = text, "me"
    data = export(Image.new("L", (4, 3)), Metadata(exif=tags.tobytes()), "TIFF").data
    assert dict(_opened(data).getexif()).get(315) == "me"
    assert 270 not in _opened(data).getexif()


def test_a_picture_that_a_fit_left_all_but_opaque_is_written_as_gif() -> None:
    picture = Image.new("RGBA", (4, 3), (200, 100, 50, 253))
    assert _opened(export(picture, Metadata(), "GIF").data).size == (4, 3)
    with pytest.raises(OSError, match=r"cannot write mode RGBA as JPEG: .* hold transparency"):
        export(Image.new("RGBA", (4, 3), (200, 100, 50, 100)), Metadata(), "JPEG")
