"""One real fit of each model from end to end, and every public function: what the quick run asks of the whole."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import pillow_inr
from pillow_inr import cost
from tests.support.checks import QUICK, VECTORS, gradient, psnr

pytestmark = [pytest.mark.keras, pytest.mark.quick]
IMAGE = gradient(12, 9)


@pytest.fixture(scope="module")
def siren(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("siren") / "a.inr"
    pillow_inr.save(IMAGE, path, **QUICK)
    return path


def test_a_siren_is_saved_and_opened(siren: Path) -> None:
    iio = pytest.importorskip("imageio.v3")
    decoded = pillow_inr.decode(siren)
    assert psnr(IMAGE, decoded) > 11  # the mean colour has 9.5
    with Image.open(siren) as image:
        assert image.info["psnr"] == pytest.approx(psnr(IMAGE, decoded), abs=0.006)
        np.testing.assert_array_equal(np.asarray(image), decoded)
    np.testing.assert_array_equal(iio.imread(siren), decoded)
    assert pillow_inr.decode(siren, box=(2, 2, 8, 8), size=(30, 20)).shape == (20, 30, 3)
    header = pillow_inr.read_header(siren)
    assert header.model.info(3)["width"] == QUICK["width"]
    assert cost.of_file(header).memory > decoded.nbytes
    # The same seed, options and machine make the same bytes.
    assert pillow_inr.encode(IMAGE, **QUICK) == siren.read_bytes()


def test_a_siren_is_a_function(siren: Path) -> None:
    model = pillow_inr.to_keras(siren)
    colours = model(model.positions()).numpy().reshape(IMAGE.shape)
    assert np.abs(np.rint(255 * colours.clip(0, 1)) - pillow_inr.decode(siren)).max() <= 1
    assert model.gradient(model.positions((3, 2))).shape == (6, 3, 2)
    assert model.laplacian(model.positions((3, 2))).shape == (6, 3)


def test_a_pyramid_is_saved_and_opened(tmp_path: Path) -> None:
    path = tmp_path / "a.inr"
    Image.fromarray(IMAGE).save(path, model="pyramid", steps=20, comment="quick")
    decoded = pillow_inr.decode(path)
    assert psnr(IMAGE, decoded) > 15
    with Image.open(path) as image:
        assert (image.info["model"], image.info["comment"]) == ("pyramid", b"quick")
        image.thumbnail((4, 4))
        assert image.size == (4, 3)
    with pytest.raises(ValueError, match="no function of position"):
        pillow_inr.to_keras(path)


def test_the_command_line_encodes(tmp_path: Path) -> None:
    from tests.support.cli_checks import run

    Image.fromarray(IMAGE).save(tmp_path / "a.png")
    arguments = [f"--{name}={value}" for name, value in QUICK.items()]
    result = run("encode", tmp_path / "a.png", *arguments)
    assert result.exit_code == 0, result.output
    assert "SIREN, 2 sine layers of 8 units" in run("info", tmp_path / "a.inr").output


def test_the_other_public_functions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pillow_inr.batch import encode_many

    pillow_inr.unregister()
    assert ".inr" not in Image.registered_extensions()
    pillow_inr.register()
    assert Image.registered_extensions()[".inr"] == "INR"
    monkeypatch.setattr("pillow_inr.models.siren.reference_store._registered", {})
    with pytest.raises(pillow_inr.MissingInitializationError):
        pillow_inr.decode(VECTORS / "difference.inr")
    for path in (VECTORS / "inits").glob("*.npz"):
        pillow_inr.register_initialization(path)
    assert pillow_inr.decode(VECTORS / "difference.inr").any()
    with pytest.raises(ValueError, match="quality"):
        pillow_inr.EncodeOptions(quality=0)
    (record,) = encode_many([tmp_path / "missing.png"], tmp_path / "out")
    assert not record.done and "No such file" in str(record.error)
    for name in pillow_inr.__all__:
        assert hasattr(pillow_inr, name)
