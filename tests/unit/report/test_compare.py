"""Other formats at the size of an .inr file: the search, the results, the picture, the command."""

import io
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("matplotlib")

from pillow_inr.encoding import bisection
from pillow_inr.report import compare
from pillow_inr.report.compare import CODECS, JPEG, Codec
from tests.support.checks import SAMPLES, VECTORS, gradient, psnr
from tests.support.cli_checks import QUICK, RGB, exif, run, tree


@pytest.fixture(scope="module")
def photograph() -> Image.Image:
    with Image.open(SAMPLES / "kodim15.png") as image:
        return image.convert("RGB").resize((96, 64))


def _codecs() -> list[Codec]:
    return compare.available()


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.name)
def test_best_within(photograph: Image.Image, codec: Codec) -> None:
    if codec not in _codecs():
        pytest.skip(f"this Pillow does not write {codec.format}")
    found = compare.best_within(photograph, codec, 1500)
    assert found.bytes <= 1500 and not found.too_large
    assert found.psnr_db == pytest.approx(psnr(np.asarray(photograph), np.asarray(found.image)), abs=1e-3)
    value = next(value for value in codec.values if codec.setting(value) == found.setting)
    assert len(compare.save(photograph, codec, value)) == found.bytes
    # The next higher qualities do not fit.
    after = [*codec.values[codec.values.index(value) + 1 :]][: bisection.LOOK_AHEAD]
    assert after and all(len(compare.save(photograph, codec, better)) > 1500 for better in after)
    assert found.seconds is not None


def test_the_smallest_file_is_taken_and_marked(photograph: Image.Image) -> None:
    found = compare.best_within(photograph, JPEG, 10)
    assert found.too_large
    assert found.setting == "quality=1"
    assert found.bytes == len(compare.save(photograph, JPEG, 1)) > 10


def test_comparable() -> None:
    pixels = gradient(12, 9)
    turned = io.BytesIO()
    Image.fromarray(pixels).save(turned, "PNG", exif=exif(6))
    with Image.open(turned) as image:
        upright = compare.comparable(image)
    assert upright.size == (9, 12)
    assert upright.info == {}
    assert compare.comparable(Image.new("1", (3, 2))).mode == "L"
    assert compare.comparable(Image.new("CMYK", (3, 2))).mode == "RGB"
    assert compare.comparable(Image.new("RGBA", (3, 2), (255, 0, 0, 0))).getpixel((0, 0)) == (255, 255, 255)
    assert compare.comparable(Image.new("LA", (3, 2), (0, 255))).getpixel((0, 0)) == 0
    for mode in ("I;16", "F", "I"):
        with pytest.raises(ValueError, match="images of 8 bits"):
            compare.comparable(Image.new(mode, (3, 2)))


def test_detail_is_found_and_edges_are_not(photograph: Image.Image) -> None:
    pixels = np.full((200, 300), 128, np.uint8)
    pixels[60:100, 200:260] += np.random.default_rng(0).integers(0, 64, (40, 60), dtype=np.uint8)
    pixels[-1] = 0  # the hard edge of a scan
    left, top, right, bottom = compare.detailed_region(Image.fromarray(pixels))
    assert (right - left, bottom - top) == (60, 40)
    assert abs(left - 200) <= 2 and abs(top - 60) <= 2
    # A small image is its own crop.
    assert compare.detailed_region(Image.new("RGB", (5, 3))) == (0, 0, 5, 3)


@pytest.mark.parametrize("size", [(96, 64), (20, 90), (200, 10), (1, 1)])
def test_picture_of_any_shape(size: tuple[int, int]) -> None:
    original = Image.new("RGB", size, "teal")
    results = [compare.best_within(original, codec, 100_000) for codec in _codecs()]
    with Image.open(io.BytesIO(compare.picture(original, results))) as picture:
        assert picture.format == "PNG"
        assert 300 < picture.width < 4000 and 100 < picture.height < 4000


def test_command(tmp_path: Path) -> None:
    result = run("decode", RGB, "-o", tmp_path / "a.png")
    result = run("compare", tmp_path / "a.png", "--inr", RGB)
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert lines[0].split() == ["codec", "setting", "bytes", "bpp", "dB", "seconds"]
    # The image was decoded from the .inr file. No JPEG is as small.
    assert lines[1].split() == ["pillow_inr", "rgb.inr", str(RGB.stat().st_size), "5.500", "exact", "-"]
    assert any("*" in line for line in lines) == any(line.startswith("*") for line in lines)
    assert tree(tmp_path) == {"a.png", "a.compare.png"}
    assert run("compare", tmp_path / "a.png", "--inr", RGB).exit_code == 1
    assert run("compare", tmp_path / "a.png", "--inr", RGB, "--force", "--quiet").output == ""
    assert run("compare", tmp_path / "a.png", "--inr", RGB, "--out", tmp_path / "b.png").exit_code == 0


def test_complaints_name_the_file(tmp_path: Path) -> None:
    run("decode", RGB, "-o", tmp_path / "a.png")
    for inr, complaint in (
        (VECTORS / "grey.inr", "grey.inr: it is an image of 21×13 pixels, the original has 32×20"),
        (tmp_path / "missing.inr", "missing.inr: No such file"),
        (tmp_path / "a.png", "not an .inr file"),
    ):
        result = run("compare", tmp_path / "a.png", "--inr", inr)
        assert result.exit_code == 1
        assert complaint in result.output
    Image.new("F", (4, 4)).save(tmp_path / "deep.tif")
    assert "images of 8 bits" in run("compare", tmp_path / "deep.tif").output
    result = run("compare", tmp_path / "a.png", "--inr", RGB, "--effort", 3)
    assert result.exit_code == 2
    assert "effort=3" in result.output
    assert tree(tmp_path) == {"a.png", "deep.tif"}


@pytest.mark.keras
def test_command_with_a_fit(tmp_path: Path) -> None:
    Image.fromarray(gradient(12, 9)).save(tmp_path / "a.png", dpi=(300, 300))
    result = run("compare", tmp_path / "a.png", *QUICK)
    assert result.exit_code == 0
    line = next(line for line in result.output.splitlines() if line.startswith("pillow_inr"))
    assert "width=8 depth=2 steps=40" in line
    assert float(line.split()[-1]) > 0
    assert math.isfinite(float(line.split()[-2]))
    assert tree(tmp_path) == {"a.png", "a.compare.png"}
