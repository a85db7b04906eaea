"""`pillow_inr.encode`, `decode`, `save` and `read_header`: sources, images, errors."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import pillow_inr
from pillow_inr import api, codec
from pillow_inr.errors import FormatError
from tests.support.checks import QUICK, VECTORS, gradient
from tests.support.fits import no_fit  # noqa: F401

RGB = VECTORS / "rgb.inr"


def test_sources_of_all_kinds_give_the_same() -> None:
    data = RGB.read_bytes()
    expected = pillow_inr.decode(data)
    assert expected.shape == (*reversed(pillow_inr.read_header(data).size), 3)
    for source in (bytearray(data), memoryview(data), RGB, str(RGB), io.BytesIO(data)):
        np.testing.assert_array_equal(pillow_inr.decode(source), expected)
    for source in (bytearray(data), memoryview(data), RGB, str(RGB), io.BytesIO(data)):
        assert pillow_inr.read_header(source).file_bytes == len(data)


def test_grey_decodes_to_two_dimensions() -> None:
    assert pillow_inr.decode(VECTORS / "grey.inr").ndim == 2
    assert pillow_inr.decode(VECTORS / "grey_alpha.inr").shape[2] == 2


def test_options_are_checked_before_the_image() -> None:
    with pytest.raises(ValueError, match="width"):
        pillow_inr.encode(None, width=0)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="widht"):
        pillow_inr.encode(gradient(4, 4), widht=8)


def test_sources_and_images_of_other_kinds_are_named(tmp_path: Path) -> None:
    with Image.open(RGB) as image, (tmp_path / "text").open("w+") as text:
        for source in (3, None, image, text):
            for reader in (pillow_inr.decode, pillow_inr.read_header):
                with pytest.raises(TypeError, match=r"expected the bytes of an \.inr file, its path or a file open"):
                    reader(source)  # type: ignore[arg-type]
    for name in ("photo.jpg", Path("photo.jpg"), b"JFIF"):
        with pytest.raises(TypeError, match=r"must be a Pillow image or an array, got .*open it first"):
            pillow_inr.encode(name)  # type: ignore[arg-type]


@pytest.mark.keras
def test_encode_takes_arrays_and_images() -> None:
    image = gradient(12, 9)
    data = pillow_inr.encode(image, **QUICK)
    assert data == pillow_inr.encode(Image.fromarray(image), **QUICK)
    assert pillow_inr.read_header(data).size == (12, 9)
    grey = pillow_inr.encode(image[:, :, 0], **QUICK)
    assert pillow_inr.decode(grey).shape == (9, 12)


@pytest.mark.parametrize("name", ["x.png", "x.jpg", "x.inr.bak", "x.INRX", "archive.2024"])
def test_save_refuses_other_endings_before_the_fit(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError("this is the fit")

    monkeypatch.setattr(codec, "encode_source", never)
    with pytest.raises(ValueError, match=r"must end in \.inr"):
        pillow_inr.save(gradient(12, 9), tmp_path / name)
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("no_fit")
@pytest.mark.parametrize("name", ["x.inr", "x.INR", "no_ending", "a.b.inr"])
def test_save_takes_its_own_ending_or_none(name: str, tmp_path: Path) -> None:
    pillow_inr.save(gradient(12, 9), tmp_path / name)
    assert pillow_inr.decode(tmp_path / name).shape == (9, 12, 3)


@pytest.mark.keras
def test_save_replaces_the_file_whole(tmp_path: Path) -> None:
    path = tmp_path / "x.inr"
    path.write_bytes(b"older")
    pillow_inr.save(gradient(12, 9), path, **QUICK)
    assert pillow_inr.decode(path).shape == (9, 12, 3)
    assert list(tmp_path.iterdir()) == [path]


def test_a_place_that_cannot_be_written_is_found_before_the_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "encode", lambda *_, **__: pytest.fail("fitted"))
    with pytest.raises(FileNotFoundError, match="missing"):
        pillow_inr.save(gradient(4, 4), tmp_path / "missing" / "x.inr")
    with pytest.raises(IsADirectoryError):
        pillow_inr.save(gradient(4, 4), tmp_path)


def test_too_many_pixels_are_refused_before_any_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 319)
    with pytest.raises(FormatError, match="MAX_IMAGE_PIXELS"):
        pillow_inr.decode(RGB)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    assert pillow_inr.decode(RGB).size


def test_a_failing_save_keeps_the_older_file(tmp_path: Path) -> None:
    path = tmp_path / "x.inr"
    path.write_bytes(b"older")
    with pytest.raises(ValueError, match="depth"):
        pillow_inr.save(gradient(12, 9), path, depth=99)
    assert path.read_bytes() == b"older"
