"""Files of all formats that Pillow writes go in and come out: no traceback, no silent loss, no wrong mode."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps

pytest.importorskip("click")

from click.testing import CliRunner, Result

import pillow_inr
from pillow_inr import codec
from pillow_inr.cli import main
from pillow_inr.encoding.source_image import Encoded, SourceImage
from pillow_inr.models.selection import encode_single_colour
from pillow_inr.options import EncodeOptions
from tests.support import real_files
from tests.support.real_files import File

pytestmark = pytest.mark.filterwarnings("ignore:.* deprecated:DeprecationWarning")


@pytest.fixture(scope="module")
def files() -> list[File]:
    return sorted(real_files.all_files(), key=lambda file: file.name)


def _run(*arguments: object) -> Result:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def _folder(path: Path, files: list[File]) -> Path:
    path.mkdir()
    for file in files:
        (path / file.name).write_bytes(file.data)
    return path


def _expected(file: File) -> NDArray[Any]:
    """The samples that an .inr file should hold: of an image those that Pillow converts it to."""
    if file.name.endswith(".npy"):
        array: NDArray[Any] = np.load(io.BytesIO(file.data))
        return array.astype(np.uint8) * 255 if array.dtype == bool else array.astype(file.mode)
    with Image.open(io.BytesIO(file.data)) as image:
        image.load()
        if image.mode == "I;16" and file.mode == "LA":
            values = np.asarray(image)
            shown = np.where(values == image.info["transparency"], 0, 65535)
            return np.stack([values, shown], axis=-1)
        return np.asarray(image if file.mode == "I;16" else image.convert(file.mode))


def _without_hidden_colours(samples: NDArray[Any], file: File) -> NDArray[Any]:
    """Samples with 0 where they are fully transparent: only there may colours be lost."""
    if not file.mode.endswith("A"):
        return samples
    return samples * (samples[..., -1:] > 0)


@dataclass(frozen=True)
class Stored:
    """What became of the files."""

    result: Result
    folder: Path
    sources: list[SourceImage]
    """What each encode was given, in the order of the files' names."""


@pytest.fixture(scope="module")
def stored(files: list[File], tmp_path_factory: pytest.TempPathFactory) -> Stored:
    """The files of a folder, encoded without a fit: to one colour each."""
    seen: list[SourceImage] = []

    def encode_source(source: SourceImage, options: EncodeOptions) -> Encoded:
        seen.append(source)
        return encode_single_colour(source)

    base = tmp_path_factory.mktemp("files")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(codec, "encode_source", encode_source)
        result = _run("encode", _folder(base / "in", files), "--out", base / "out")
    return Stored(result, base / "out", seen)


@pytest.mark.quick
def test_each_reaches_the_encoder_as_pillow_shows_it(files: list[File], stored: Stored) -> None:
    assert stored.result.exit_code == 0, stored.result.output
    assert f"{len(files)} written, 0 failed, 0 skipped" in stored.result.output.splitlines()[-1]
    assert len(files) == len(stored.sources) > 200
    for file, source in zip(files, stored.sources, strict=True):
        expected = _without_hidden_colours(_expected(file), file)
        shown = source.shown().reshape(expected.shape)
        np.testing.assert_array_equal(shown, expected, err_msg=file.name)
        assert shown.dtype == (expected.dtype if file.name.endswith(".npy") else shown.dtype), file.name
    _check_written(files, stored.folder)


def _check_written(files: list[File], folder: Path) -> None:
    for file in files:
        data = (folder / file.name).with_suffix(".inr").read_bytes()
        decoded = pillow_inr.decode(data)
        if file.name.endswith(".npy"):
            assert (decoded.dtype, decoded.shape) == (np.dtype(file.mode), _expected(file).shape), file.name
        else:
            with Image.open(io.BytesIO(data)) as image:
                assert (image.mode, image.size) == (file.mode, decoded.shape[1::-1]), file.name


@pytest.mark.quick
@pytest.mark.parametrize("ending", ["png", "tif", "jpg", "webp", "gif", "bmp", "ppm", "jp2", "npy"])
def test_each_is_decoded_or_refused_with_a_reason(stored: Stored, tmp_path: Path, ending: str) -> None:
    result = _run("decode", stored.folder, "--format", ending, "--out", tmp_path / "out")
    refused = [line for line in result.output.splitlines() if line.startswith("pillow-inr:")]
    assert all("cannot write mode" in line or "for which Pillow has no mode" in line for line in refused)
    written = sorted((tmp_path / "out").iterdir())
    assert len(written) + len(refused) == len(stored.sources), result.output
    assert result.exit_code == (1 if refused else 0)
    if ending == "npy":
        assert not refused
    for path in written:
        _check_decoded(path, stored.folder / f"{path.stem}.inr")


def _check_decoded(path: Path, source: Path) -> None:
    """The decoded file has the size and, as far as its format can, the samples of the .inr file."""
    if path.suffix == ".npy":
        np.testing.assert_array_equal(np.load(path), pillow_inr.decode(source))
        return
    with Image.open(path) as image, Image.open(source) as turned:
        original = ImageOps.exif_transpose(turned)
        assert image.size == original.size, path.name
        if path.suffix in (".png", ".tif"):
            mode = original.mode
            np.testing.assert_array_equal(
                np.asarray(image.convert(mode) if image.mode != "I;16" else image), np.asarray(original), path.name
            )
        if original.mode.endswith("A") and original.getchannel("A").getextrema()[0] < 255:
            assert image.has_transparency_data, path.name


def _is_fitted(file: File) -> bool:
    """Whether it is a variant, a plane of numbers, or a format in colours."""
    stem = file.name.partition(".")[0]
    return stem.endswith("_RGB") or (stem[0].islower() and not stem.endswith(("_3", "_7")))


@pytest.mark.keras
def test_fitted_pictures_come_back_the_same_way_round(files: list[File], tmp_path: Path) -> None:
    """A short fit of each kind: brighter to the lower right, as it was; turned ones as Pillow turns them."""
    chosen = [file for file in files if _is_fitted(file) and not file.name.startswith("one_")]
    assert len(chosen) > 45
    folder = _folder(tmp_path / "in", chosen)
    options = ("--model", "pyramid", "--steps", "40")
    result = _run("encode", folder, "--out", tmp_path / "out", *options)
    assert result.exit_code == 0, result.output
    for file in chosen:
        decoded = pillow_inr.decode((tmp_path / "out" / file.name).with_suffix(".inr")).astype(float)
        expected = _without_hidden_colours(_expected(file), file).astype(float)
        assert decoded.shape == expected.shape, file.name
        error = ((decoded - expected) ** 2).mean()
        assert error < 0.3 * expected.var() + 1e-9, (file.name, error, expected.var())
