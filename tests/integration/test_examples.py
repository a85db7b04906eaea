"""The programs in examples/ run on copies of a sample and decode the right regions."""

import importlib.util
import pickle
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import pillow_inr
from tests.support.checks import SAMPLES

EXAMPLES = Path(__file__).parents[2] / "examples"
SAMPLE = SAMPLES / "kodim15.inr"
COPIES = 5

torch = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="needs torch")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(COPIES):
        shutil.copy(SAMPLE, tmp_path / f"{number}.inr")
    return tmp_path


@pytest.fixture
def reading(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return importlib.import_module("inr_reader")


@pytest.fixture
def dataset(reading: ModuleType) -> ModuleType:
    return importlib.import_module("torch_dataset")


def run(name: str, *arguments: object) -> list[str]:
    """Run an example; returns its output for each epoch, without the speed."""
    command = [sys.executable, str(EXAMPLES / name), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=EXAMPLES.parent, timeout=120)
    assert done.returncode == 0, done.stderr
    return re.findall(r"^epoch \d: [\d.]+ images/s, (.*)$", done.stdout, re.MULTILINE)


def test_the_sequence_needs_no_framework(folder: Path) -> None:
    assert run("torch_dataset.py", folder, "--size", 48, 32, "--epochs", 1) == ["ndarray (3, 32, 48) uint8"]


@torch
@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_workers_of_torch(folder: Path, start: str) -> None:
    options = ["--size", 24, 16, "--crop", 0.5, 2, "--dtype", "float32", "--batch", 3, "--workers", 2, "--start", start]
    assert run("torch_dataset.py", folder, *options) == ["Tensor (2, 3, 16, 24) torch.float32"] * 2


@pytest.mark.keras
def test_tf_data(folder: Path) -> None:
    said = run("tf_dataset.py", folder, "--size", 48, 32, "--dtype", "float32", "--batch", 3, "--processes", 2)
    assert said == ["EagerTensor (2, 32, 48, 3) <dtype: 'float32'>"] * 2


def test_items(folder: Path, reading: ModuleType, dataset: ModuleType) -> None:
    images = dataset.InrImages(reading.inr_files(folder), reading.Reader(size=(48, 32)))
    expected = pillow_inr.decode(SAMPLE, size=(48, 32)).transpose(2, 0, 1)
    for image in pickle.loads(pickle.dumps(images)):
        np.testing.assert_array_equal(image, expected)
        assert image.flags.c_contiguous and image.flags.writeable  # torch requires both
    assert (len(images), len(list(images))) == (COPIES, COPIES)
    images = dataset.InrImages(images.paths, images.reader, "float32")
    assert images[0].dtype == np.float32
    np.testing.assert_allclose(images[0], expected / 255.0, atol=1e-6)


def test_a_seed_names_a_region(reading: ModuleType) -> None:
    reader = reading.Reader(size=(24, 16), crop=(1, 1))
    left, upper, right, lower = reader.random_region((768, 512), 3)
    assert (right - left, lower - upper) == (24, 16)
    expected = pillow_inr.decode(SAMPLE)[int(upper) : int(lower), int(left) : int(right)]
    pixels = reader.batch([SAMPLE, SAMPLE], [3, 4])
    assert np.abs(pixels[0].astype(int) - expected).max() <= 1
    assert not np.array_equal(*pixels)


@pytest.mark.parametrize("image", [(768, 512), (64, 48), (50, 400), (3, 5), (1, 1)])
def test_regions_lie_within_the_image(reading: ModuleType, image: tuple[int, int]) -> None:
    reader = reading.Reader(size=(63, 47), crop=(0.3, 2.7))
    for seed in range(200):
        left, upper, right, lower = reader.random_region(image, seed)
        assert 0 <= left < right <= image[0] and 0 <= upper < lower <= image[1]
        assert (right - left) / (lower - upper) == pytest.approx(63 / 47)


def test_errors_name_the_file(folder: Path, reading: ModuleType) -> None:
    (folder / "3.inr").write_bytes(SAMPLE.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"3\.inr: "):
        reading.Reader()(folder / "3.inr")
    with pytest.raises(ValueError, match=r"no \.inr files"):
        reading.inr_files(EXAMPLES)
    with pytest.raises(ValueError, match="needs size and crop"):
        reading.Reader(crop=(1, 1))(SAMPLE)


def test_grey_images_have_a_channel(tmp_path: Path, reading: ModuleType) -> None:
    grey = next(path for path in sorted((SAMPLES.parent / "tests" / "vectors").glob("*.inr")) if _is_grey(path))
    assert reading.Reader()(grey).shape[2] == 1


def _is_grey(path: Path) -> bool:
    return pillow_inr.read_header(path).shape[2:] == ()
