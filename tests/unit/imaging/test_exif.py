"""EXIF data edited in place, and what `decode` and `encode` leave out of them."""

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

import pillow_inr
from pillow_inr.format.metadata import Metadata
from pillow_inr.imaging.exif import PREFIX, STRUCTURAL, ExifData
from pillow_inr.imaging.export import export
from pillow_inr.imaging.target_metadata import adapted
from tests.support.checks import gradient
from tests.support.cli_checks import RGB, run, with_chunks
from tests.support.exif import SIZES, Tag, exif_data, short, text

EXIF, MAKER_NOTE, WIDTH, HEIGHT = 34665, 37500, 40962, 40963
# The values that tags of another file would have: another size, palette, 16 bits, strips elsewhere, tiles.
OTHER_FILE = [
    *(short(tag, 77) for tag in (254, 256, 257, 259, 266, 277, 278, 279, 280, 281, 284, 297, 317, 322, 323, 338, 339)),
    short(258, 16, 16, 16),
    short(262, 6),
    (273, 4, 1, b"\x10\0\0\0"),
    (320, 3, 12, bytes(24)),
    (324, 4, 2, bytes(8)),
    (330, 4, 1, b"\x08\0\0\0"),
    (347, 7, 6, b"tables"),
    (50706, 1, 4, b"\1\4\0\0"),
]


def _tags(data: bytes) -> Image.Exif:
    tags = Image.Exif()
    tags.load(data)
    return tags


@pytest.mark.parametrize("order", ["<", ">"])
def test_leaving_out_tags_moves_nothing(order: str) -> None:
    note = b"maker's note that points to itself"
    size = [short(tag, 4000, order=order) for tag in (WIDTH, HEIGHT)]
    tags = [text(271, b"Maker"), short(256, 9, order=order), short(274, 6, order=order)]
    data = exif_data(tags, {EXIF: [(MAKER_NOTE, 7, len(note), note), *size]}, b"JPEG", order)
    edited = ExifData(PREFIX + data)
    edited.drop(STRUCTURAL | {274})
    edited.drop_size(None)
    result = edited.tobytes()
    assert len(result) == len(PREFIX + data)
    left = _tags(result)
    assert dict(left) == {271: "Maker", EXIF: left[EXIF]}
    assert left.get_ifd(EXIF) == {MAKER_NOTE: note}
    assert result.index(note) == (PREFIX + data).index(note)
    assert left.get_ifd(Image.ExifTags.IFD.IFD1)[514] == 4


def test_a_thumbnail_leaves_no_bytes() -> None:
    for tail in (b"", b"more"):
        edited = ExifData(exif_data([text(271, b"Maker")], thumbnail=b"SECRET THUMBNAIL") + tail)
        edited.drop_thumbnail()
        assert b"SECRET" not in edited.tobytes()
        assert _tags(edited.tobytes()).get_ifd(Image.ExifTags.IFD.IFD1) == {}
        assert edited.tobytes().endswith(tail)


@pytest.mark.parametrize("order", ["<", ">"])
def test_added_tags_stand_beside_the_others(order: str) -> None:
    main = [text(271, b"Maker"), short(274, 6, order=order)]
    edited = ExifData(exif_data(main, {EXIF: [text(36867, b"then")]}, b"JPEG", order))
    edited.add_text(315, "Jürgen")
    edited.add_text(271, "another maker")
    edited.add_wide_text(0x9C9B, "Straße")
    edited.add_dpi((300, 72.5))
    tags = _tags(edited.tobytes())
    assert (tags[271], tags[274], tags[282], tags[283], tags[296]) == ("Maker", 6, 300, 72.5, 2)
    assert tags[315].encode("latin-1").decode() == "Jürgen"
    assert tags[0x9C9B].decode("utf-16-le") == "Straße\0"
    assert tags.get_ifd(EXIF)[36867] == "then"
    assert tags.get_ifd(Image.ExifTags.IFD.IFD1)[514] == 4


def test_data_without_structural_tags_stay_as_they_are() -> None:
    data = PREFIX + exif_data([text(271, b"Maker"), short(274, 6)], {EXIF: [short(WIDTH, 8)]}, b"JPEG")
    image = Image.new("RGB", (8, 6))
    image.info["exif"] = data
    stored = pillow_inr.encode(image)
    assert Image.open(io.BytesIO(stored)).info["exif"] == data


def test_no_structural_tag_is_stored() -> None:
    image = Image.new("RGB", (8, 6))
    image.info["exif"] = exif_data([text(271, b"Maker"), *OTHER_FILE])
    for given_exif in ({}, {"exif": exif_data([text(271, b"Maker"), *OTHER_FILE])}):
        stored = Image.open(io.BytesIO(pillow_inr.encode(image, **given_exif)))
        assert dict(stored.getexif()) == {271: "Maker"}


def test_a_tiff_files_structure_is_not_stored(tmp_path: Path) -> None:
    image = Image.new("RGB", (8, 6), "green")
    image.save(tmp_path / "a.tif", compression="tiff_lzw", artist="Jürgen", software="program")
    with Image.open(tmp_path / "a.tif") as opened:
        for keywords in ({}, {"exif": opened.getexif()}):
            stored = Image.open(io.BytesIO(pillow_inr.encode(opened, **keywords)))
            assert stored.getexif()[305] == "program"
            assert not STRUCTURAL & set(stored.getexif())


@pytest.mark.parametrize("tag", OTHER_FILE, ids=lambda tag: str(tag[0]))
@pytest.mark.parametrize("ending", ["tif", "png"])
def test_metadata_is_never_structure(tmp_path: Path, ending: str, tag: Tag) -> None:
    path, target = tmp_path / "a.inr", tmp_path / f"a.{ending}"
    path.write_bytes(with_chunks(RGB.read_bytes(), Metadata(exif=exif_data([text(271, b"Maker"), tag]))))
    assert run("decode", path, "-o", target).exit_code == 0
    with Image.open(target) as image, Image.open(RGB) as original:
        assert image.mode == "RGB"
        np.testing.assert_array_equal(np.asarray(image), np.asarray(original))
        assert image.getexif()[271] == "Maker"


@pytest.mark.parametrize("ending", ["tif", "jpg", "png", "webp"])
def test_sizes_and_thumbnails_of_another_picture_are_left_out(tmp_path: Path, ending: str) -> None:
    data = exif_data([text(271, b"Maker")], {EXIF: [short(WIDTH, 32), short(HEIGHT, 20), short(34850, 2)]}, b"SECRET")
    xmp = b'<x xmlns:exif="e" exif:PixelXDimension="32"><exif:PixelYDimension>20</exif:PixelYDimension></x>'
    path, target = tmp_path / "a.inr", tmp_path / f"a.{ending}"
    path.write_bytes(with_chunks(RGB.read_bytes(), Metadata(exif=data, xmp=xmp)))
    assert run("decode", path, "-o", target).exit_code == 0
    with Image.open(target) as image:
        assert image.getexif().get_ifd(EXIF)[WIDTH] == 32
        assert b"PixelXDimension" in bytes(image.info["xmp"])
    for arguments in (("--size", "16x10"), ("--box", "4,4,20,14")):
        assert run("decode", path, "-o", target, "--force", *arguments).exit_code == 0
        with Image.open(target) as image:
            assert image.getexif().get_ifd(EXIF) == {34850: 2}
            assert bytes(image.info["xmp"]) == b'<x xmlns:exif="e"></x>'
        assert b"SECRET" not in target.read_bytes()


def _value(kind: int) -> st.SearchStrategy[tuple[int, int, bytes]]:
    counts = st.integers(0, 20)
    return counts.flatmap(
        lambda count: st.binary(min_size=count * SIZES[kind], max_size=count * SIZES[kind]).map(
            lambda data: (kind, count, data)
        )
    )


ANY_TAG = st.tuples(
    st.sampled_from(sorted(STRUCTURAL)) | st.integers(0, 65535) | st.sampled_from([EXIF, 34853, 274, 282, 296]),
    st.sampled_from(sorted(SIZES)).flatmap(_value),
).map(lambda tag: (tag[0], *tag[1]))


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    tags=st.lists(ANY_TAG, max_size=8, unique_by=lambda tag: tag[0]),
    order=st.sampled_from("<>"),
    mode=st.sampled_from(["L", "LA", "RGB", "RGBA", "I;16", "F"]),
    file_format=st.sampled_from(["TIFF", "TIFF", "PNG", "JPEG", "WEBP"]),
)
def test_any_tags_leave_the_pixels_as_they_are(tags: list[Tag], order: str, mode: str, file_format: str) -> None:
    if file_format != "TIFF":
        mode = "RGB"
    samples = gradient(7, 5, 1 if mode in ("L", "I;16", "F") else len(mode)).squeeze()
    image = Image.fromarray(samples.astype({"I;16": np.uint16, "F": np.float32}.get(mode, np.uint8)))
    assert image.mode == mode
    stored = Metadata(exif=exif_data(tags, order=order), comment=b"hello", dpi=(300.0, 300.0))
    data, _ = export(image, adapted(stored, image.size, changed=False), file_format)
    with Image.open(io.BytesIO(data)) as written:
        written.load()
        assert (written.size, written.mode) == (image.size, mode)
        if file_format in ("TIFF", "PNG"):
            np.testing.assert_array_equal(np.asarray(written), np.asarray(image))
        assert written.info.get("comment", b"hello") == b"hello"


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=60), start=st.sampled_from([b"", b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08", PREFIX]))
def test_any_bytes_are_edited_or_refused(data: bytes, start: bytes) -> None:
    try:
        edited = ExifData(start + data)
    except ValueError:
        return
    edited.drop(STRUCTURAL)
    edited.drop_size((3, 4))
    edited.drop_thumbnail()
    edited.add_text(270, "text")
    edited.add_dpi((72.0, 72.0))
    assert 270 in edited.tags()
    assert edited.value(270) is not None or edited.tags()
    assert edited.number(271) is None or edited.ratio(271) is None
