"""imageio, versions 2 and 3 of its interface."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import pillow_inr
from pillow_inr import codec
from pillow_inr.plugins import imageio_support

iio = pytest.importorskip("imageio.v3")
v2 = pytest.importorskip("imageio.v2")

from tests.support.checks import QUICK, VECTORS, gradient, psnr  # noqa: E402
from tests.support.fits import no_fit  # noqa: E402, F401

RGB = VECTORS / "rgb.inr"


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    return pillow_inr.decode(RGB)


@pytest.mark.parametrize("read", [iio.imread, v2.imread])
@pytest.mark.parametrize(
    "source", [str, Path, lambda path: path.read_bytes(), lambda path: io.BytesIO(path.read_bytes())]
)
def test_read(read, source, pixels: np.ndarray) -> None:  # type: ignore[no-untyped-def]
    np.testing.assert_array_equal(np.asarray(read(source(RGB))), pixels)


@pytest.mark.parametrize("path", sorted(VECTORS.rglob("*.inr")), ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_vectors(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PILLOW_INR_INITS", str(VECTORS / "inits"))
    np.testing.assert_array_equal(iio.imread(path.read_bytes()), pillow_inr.decode(path))


def test_properties_and_metadata(pixels: np.ndarray) -> None:
    properties = iio.improps(RGB)
    assert (properties.shape, properties.dtype) == (pixels.shape, pixels.dtype)
    metadata = iio.immeta(RGB)
    assert (metadata["model"], metadata["mode"]) == ("siren", "RGB")
    assert v2.get_reader(RGB).get_meta_data()["model"] == "siren"


def test_registering_twice_adds_one_entry() -> None:
    from imageio.config import known_extensions

    imageio_support.register()
    assert len(known_extensions[".inr"]) == 1


@pytest.mark.keras
@pytest.mark.parametrize("write", [iio.imwrite, v2.imwrite])
def test_write_a_path(write, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "x.inr"
    image = gradient(12, 9)
    write(path, image, **{**QUICK, "steps": 300})
    with Image.open(path) as opened:
        assert (opened.info["width"], opened.info["depth"]) == (8, 2)
    assert psnr(image, np.asarray(iio.imread(path))) > 30


@pytest.mark.keras
def test_write_bytes_and_file_objects() -> None:
    image = gradient(12, 9)
    data = iio.imwrite("<bytes>", image, extension=".inr", **QUICK)
    assert pillow_inr.decode(data).shape == image.shape
    for write, keyword in ((iio.imwrite, {"extension": ".inr"}), (v2.imwrite, {"format": "inr"})):
        stream = io.BytesIO()
        write(stream, image, **keyword, **QUICK)
        assert pillow_inr.decode(stream.getvalue()).shape == image.shape


@pytest.mark.usefixtures("no_fit")
def test_grey_arrays(tmp_path: Path) -> None:
    iio.imwrite(tmp_path / "x.inr", gradient(12, 9, 1)[:, :, 0], **QUICK)
    assert iio.imread(tmp_path / "x.inr").shape == (9, 12)


def test_bad_options_reach_the_caller(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="width must be in"):
        iio.imwrite(tmp_path / "x.inr", gradient(9, 7), width=0)


@pytest.mark.parametrize("write", [v2.volwrite, v2.mvolwrite])
def test_a_volume_is_not_taken_for_channels(tmp_path: Path, write) -> None:  # type: ignore[no-untyped-def]
    volume = np.zeros((5, 32, 32), np.uint8)
    with pytest.raises(ValueError, match="holds an image and no volume: write each plane"):
        write(tmp_path / "x.inr", volume if write is v2.volwrite else [volume])
    assert not (tmp_path / "x.inr").exists()


def test_a_file_object_that_takes_no_bytes_is_refused_before_the_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("this is the fit")

    monkeypatch.setattr(codec, "encode_source", never)
    with (tmp_path / "x.inr").open("w") as file, pytest.raises(TypeError, match="binary mode"):
        iio.imwrite(file, gradient(12, 9), plugin="inr", extension=".inr")
