"""The plot of a file: `plots.view` and `pillow-inr view`."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("matplotlib")

import pillow_inr
from pillow_inr.format.metadata import Metadata
from pillow_inr.inputs import originals
from pillow_inr.models.siren import reference_store
from pillow_inr.report import plots
from tests.support import container
from tests.support.checks import SAMPLES, VECTORS, as_samples
from tests.support.cli_checks import RGB, exif, run, tree, with_chunks
from tests.support.container import SampleFormat

FILES = sorted(path for path in VECTORS.glob("*.inr") if not path.stem.startswith("difference"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
@pytest.mark.parametrize("with_original", [False, True])
def test_every_file_can_be_drawn(path: Path, with_original: bool) -> None:
    data = path.read_bytes()
    pixels = container.open_model(data).pixels()
    plot = plots.view(container.take_apart(data), pixels, pixels // 2 if with_original else None, title=path.name)
    with Image.open(io.BytesIO(plot)) as image:
        assert image.format == "PNG"
        assert 800 < image.width < 2000 and 500 < image.height < 2500


def test_pictures_of_other_samples() -> None:
    wide = np.linspace(-5, 5, 4 * 6 * 3).reshape(4, 6, 3).astype(np.float32)
    shown, done = plots.displayed(wide)
    assert (shown.min(), shown.max()) == (0, 1)
    assert "-5 (black) to 5 (white)" in done
    shown, done = plots.displayed(np.zeros((4, 6, 7), np.uint16))
    assert shown.shape == (4, 6)
    assert "mean of 7 channels" in done
    shown, done = plots.displayed(np.full((4, 6, 2), 255, np.uint8))
    assert shown.shape == (4, 6) and shown.max() == 1
    assert "without alpha" in done
    assert plots.displayed(np.zeros((4, 6, 4), np.uint8))[0].shape == (4, 6, 4)


def test_command(tmp_path: Path) -> None:
    path = tmp_path / "a.inr"
    path.write_bytes(RGB.read_bytes())
    result = run("view", path)
    assert result.exit_code == 0
    assert "a.view.png" in result.output
    assert run("view", path).exit_code == 1
    assert run("view", path, "--force", "--quiet").output == ""
    assert run("decode", path).exit_code == 0
    assert run("view", path, "--original", tmp_path / "a.png", "-o", tmp_path / "b.png").exit_code == 0
    assert tree(tmp_path) == {"a.inr", "a.png", "a.view.png", "b.png"}


def test_a_name_is_no_formula(tmp_path: Path) -> None:
    path = tmp_path / "$\\none$.inr"
    path.write_bytes(RGB.read_bytes())
    assert run("view", path).exit_code == 0


def test_complaints_name_the_file(tmp_path: Path) -> None:
    run("decode", RGB, "-o", tmp_path / "a.png")
    for original, complaint in (
        (SAMPLES / "kodim15.png", "kodim15.png: it has height×width×channels 512×768×3, the .inr file 20×32×3"),
        (tmp_path / "missing.png", "missing.png: No such file"),
        (RGB.with_name("make.py"), "make.py: not an image"),
    ):
        result = run("view", RGB, "--original", original, "-o", tmp_path / "b.png")
        assert result.exit_code == 1
        assert complaint in result.output
    assert "not an .inr file" in run("view", tmp_path / "a.png", "-o", tmp_path / "b.png").output
    assert "difference" not in tree(tmp_path)


def test_initializations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference_store, "_registered", {})
    path, init = VECTORS / "difference.inr", VECTORS / "inits" / "small.npz"
    assert "differences from the initialization" in run("view", path, "-o", tmp_path / "a.png").output
    assert run("view", path, "-o", tmp_path / "a.png", "--init", init).exit_code == 0


@pytest.mark.parametrize("orientation", range(1, 9))
def test_both_are_turned_upright(tmp_path: Path, orientation: int) -> None:
    path, original = tmp_path / "a.inr", tmp_path / "a.png"
    path.write_bytes(with_chunks(RGB.read_bytes(), Metadata(exif=exif(orientation))))
    with Image.open(RGB) as stored:
        stored.save(original, exif=exif(orientation))
    assert run("decode", path, "-o", tmp_path / "upright.png").exit_code == 0
    with Image.open(tmp_path / "upright.png") as image:
        upright = np.asarray(image)
    pixels = originals.upright_pixels(container.open_model(path.read_bytes()), whole=True)
    np.testing.assert_array_equal(pixels, upright)
    np.testing.assert_array_equal(originals.read_original(original, pixels.shape), upright)


def test_large_images_are_drawn_from_fewer_points(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(originals, "VIEW_SIDE", 16)
    network = container.open_model(RGB.read_bytes())
    assert originals.upright_pixels(network, whole=False).shape == (10, 16, 3)
    assert originals.upright_pixels(network, whole=True).shape == (20, 32, 3)


def test_arrays_as_originals(tmp_path: Path) -> None:
    path = tmp_path / "deep.inr"
    path.write_bytes(as_samples(RGB.read_bytes(), SampleFormat("uint16", 3, ((0.0, 65535.0),))))
    np.save(tmp_path / "deep.npy", pillow_inr.decode(path))
    result = run("view", path, "--original", tmp_path / "deep.npy")
    assert result.exit_code == 0


def test_the_colours_of_transparent_pixels_are_no_error(tmp_path: Path) -> None:
    picture = Image.new("RGBA", (6, 5), (10, 20, 30, 255))
    picture.paste((200, 200, 200, 0), (0, 0, 3, 5))
    picture.save(tmp_path / "original.png")
    decoded = pillow_inr.decode(pillow_inr.encode(picture))
    np.testing.assert_array_equal(originals.read_original(tmp_path / "original.png", decoded.shape), decoded)
