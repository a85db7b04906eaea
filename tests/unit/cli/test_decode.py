"""`pillow-inr decode`: formats, regions, metadata, arrays."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

import pillow_inr
from pillow_inr.format.metadata import Metadata
from tests.support.checks import VECTORS, as_samples
from tests.support.cli_checks import RGB, exif, run, tree, with_chunks
from tests.support.container import SampleFormat
from tests.support.fits import no_fit  # noqa: F401

GREY = VECTORS / "grey.inr"
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>made here</x:xmpmeta>"


@pytest.fixture
def rich(tmp_path: Path) -> Path:
    """A file with metadata of every kind, whose orientation turns it on its side."""
    path = tmp_path / "rich.inr"
    kept = Metadata(exif=exif(6), icc_profile=PROFILE, xmp=XMP, comment=b"hello", dpi=(300.0, 300.0))
    path.write_bytes(with_chunks(RGB.read_bytes(), kept))
    return path


def test_pixels(tmp_path: Path) -> None:
    result = run("decode", RGB, "--out", tmp_path / "copy.png")
    assert result.exit_code == 0
    with Image.open(tmp_path / "copy.png") as copy, Image.open(RGB) as original:
        np.testing.assert_array_equal(np.asarray(copy), np.asarray(original))
    assert run("decode", RGB, "--out", tmp_path / "copy.png").exit_code == 1
    assert run("decode", RGB, "--out", tmp_path / "copy.png", "--force").exit_code == 0
    result = run("decode", RGB, "-o", tmp_path / "copy.strange")
    assert result.exit_code == 1
    assert ".strange" in result.output
    assert not (tmp_path / "copy.strange").exists()


def test_regions_and_sizes(tmp_path: Path) -> None:
    box, size = (2.5, 3.0, 20.0, 19.5), (35, 33)
    result = run("decode", RGB, "--box", "2.5,3,20,19.5", "--size", "35x33", "-o", tmp_path / "part.png")
    assert result.exit_code == 0
    assert "35×33 RGB" in result.output
    with Image.open(tmp_path / "part.png") as part:
        np.testing.assert_array_equal(np.asarray(part), pillow_inr.decode(RGB, size=size, box=box))
    assert run("decode", RGB, "--size", "8X6", "-o", tmp_path / "small.npy").exit_code == 0
    assert np.load(tmp_path / "small.npy").shape == (6, 8, 3)
    result = run("decode", RGB, "--box", "0,0,1000,10", "-o", tmp_path / "x.png")
    assert result.exit_code == 1
    assert "within the image of 32x20 pixels" in result.output


@pytest.mark.parametrize(
    ("ending", "kept"),
    [
        ("png", {"exif", "icc_profile", "xmp", "dpi"}),
        ("jpg", {"exif", "icc_profile", "xmp", "comment", "dpi"}),
        ("tif", {"exif", "icc_profile", "xmp", "dpi"}),
        ("webp", {"exif", "icc_profile", "xmp"}),
    ],
)
def test_metadata(tmp_path: Path, rich: Path, ending: str, kept: set[str]) -> None:
    target = tmp_path / f"copy.{ending}"
    assert run("decode", rich, "-o", target).exit_code == 0
    with Image.open(target) as image, Image.open(rich) as original:
        image.load()
        assert image.size == original.size[::-1]
        tags = image.getexif()
        assert "exif" not in kept or (tags[0x010F] == "Maker" and 0x0112 not in tags)
        assert image.info.get("icc_profile") == PROFILE
        assert b"made here" in bytes(image.info["xmp"])
        assert "comment" not in kept or image.info["comment"] == b"hello"
        assert "dpi" not in kept or image.info["dpi"] == pytest.approx((300, 300), abs=0.01)
        if ending == "png":
            assert image.info["Comment"] == "hello"
        if ending == "tif":
            assert tags[270] == "hello"


def test_into_a_folder_it_goes_on_after_an_error(tmp_path: Path) -> None:
    (tmp_path / "text.inr").write_text("hello")
    result = run("decode", tmp_path / "text.inr", RGB, tmp_path / "missing.inr", "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert "missing.inr: No such file or directory" in result.output
    assert "text.inr: not an .inr file" in result.output
    assert tree(tmp_path / "out") == {"rgb.png"}


def test_folders(tmp_path: Path) -> None:
    below = tmp_path / "in" / "below"
    below.mkdir(parents=True)
    (below / "a.INR").write_bytes(RGB.read_bytes())
    (tmp_path / "in" / "b.inr").write_bytes(GREY.read_bytes())
    (tmp_path / "in" / "c.png").write_bytes(b"not asked for")
    assert run("decode", tmp_path / "in", "--out", tmp_path / "out", "--format", "jpg").exit_code == 0
    assert tree(tmp_path / "out") == {"below/a.jpg", "b.jpg"}
    assert run("decode", below).exit_code == 0
    assert (below / "a.png").exists()


def test_a_failing_decode_keeps_the_older_file(tmp_path: Path) -> None:
    target = tmp_path / "copy.jpg"
    target.write_bytes(b"older")
    result = run("decode", VECTORS / "rgba.inr", "-o", target, "--force")
    assert result.exit_code == 1
    assert "cannot write mode RGBA as JPEG: .png, .webp and .tif hold transparency" in result.output
    assert target.read_bytes() == b"older"


def test_a_folder_that_is_missing_is_named_before_any_work(tmp_path: Path) -> None:
    result = run("decode", RGB, "-o", tmp_path / "no" / "x.png")
    assert result.exit_code == 1
    assert "No such file or directory" in result.output


@pytest.mark.parametrize(("dtype", "mode"), [("uint16", "I;16"), ("float32", "F")])
def test_deep_grey(tmp_path: Path, dtype: str, mode: str) -> None:
    path = tmp_path / "deep.inr"
    path.write_bytes(as_samples(GREY.read_bytes(), SampleFormat(dtype, 0, ((100.0, 40000.0),))))
    expected = pillow_inr.decode(path)
    assert run("decode", path, "-o", tmp_path / "deep.tif").exit_code == 0
    with Image.open(tmp_path / "deep.tif") as image:
        assert image.mode == mode
        np.testing.assert_array_equal(np.asarray(image), expected)
    # 8-bit formats refuse such samples, also those for which Pillow would convert silently.
    for ending in ("jpg", "webp"):
        result = run("decode", path, "-o", tmp_path / f"deep.{ending}")
        assert result.exit_code == 1
        assert f"cannot write mode {mode} as" in result.output and ".npy" in result.output
        assert not (tmp_path / f"deep.{ending}").exists()
    assert run("decode", path, "-o", tmp_path / "deep.npz").exit_code == 0
    np.testing.assert_array_equal(np.load(tmp_path / "deep.npz")["pixels"], expected)


def test_samples_that_pillow_has_no_mode_for(tmp_path: Path) -> None:
    path = tmp_path / "deep.inr"
    path.write_bytes(as_samples(RGB.read_bytes(), SampleFormat("uint16", 3, ((0.0, 65535.0),))))
    result = run("decode", path)
    assert result.exit_code == 0
    assert "8 bits a sample are left of its uint16" in result.output and "npy" in result.output
    assert run("decode", path, "--format", "npy").exit_code == 0
    assert np.load(tmp_path / "deep.npy").dtype == np.uint16


@pytest.mark.usefixtures("no_fit")
def test_arrays_go_there_and_back(tmp_path: Path) -> None:
    ramp = np.linspace(0, 60000, 12 * 9 * 6).reshape(9, 12, 6).astype(np.uint16)
    np.save(tmp_path / "stack.npy", ramp)
    np.savez(tmp_path / "two.npz", a=ramp, b=ramp)
    assert run("encode", tmp_path / "stack.npy", "--width", 8, "--depth", 2, "--steps", 20).exit_code == 0
    result = run("decode", tmp_path / "stack.inr")
    assert result.exit_code == 1
    assert "6 channels of uint16, for which Pillow has no mode: use --format npy" in result.output
    assert run("decode", tmp_path / "stack.inr", "--format", "npy", "--force").exit_code == 0
    back = np.load(tmp_path / "stack.npy")
    assert (back.dtype, back.shape) == (ramp.dtype, ramp.shape)
    assert "6×uint16" in run("info", tmp_path / "stack.inr", tmp_path / "stack.inr").output
    assert "it holds 2 arrays" in run("encode", tmp_path / "two.npz").output
    (tmp_path / "text.npy").write_text("hello")
    assert "cannot be read" in run("encode", tmp_path / "text.npy").output


@pytest.mark.parametrize("ending", ["png", "tif", "npy"])
def test_damaged_exif_data_spoil_no_image(tmp_path: Path, ending: str) -> None:
    path = tmp_path / "a.inr"
    path.write_bytes(with_chunks(RGB.read_bytes(), Metadata(exif=b"no tags")))
    assert run("decode", path, "--format", ending).exit_code == 0
    if ending != "npy":
        with Image.open(tmp_path / f"a.{ending}") as decoded, Image.open(RGB) as original:
            np.testing.assert_array_equal(np.asarray(decoded), np.asarray(original))


def test_metadata_that_a_format_cannot_hold_are_reported(tmp_path: Path) -> None:
    path = tmp_path / "a.inr"
    path.write_bytes(with_chunks(RGB.read_bytes(), Metadata(dpi=(3e38, 3e38))))
    result = run("decode", path)
    assert result.exit_code == 0
    assert "PNG cannot hold its resolution, left out" in " ".join(result.output.split())
