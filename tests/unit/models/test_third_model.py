"""A model is a folder and a line in the registry: a constant colour goes everywhere that the others go."""

import io
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import pillow_inr
from pillow_inr import cost
from pillow_inr.errors import UnsupportedFileError
from pillow_inr.models import registry
from pillow_inr.models.registry import Entry
from tests.support.checks import gradient

ENTRY = Entry(2, "constant", "tests.support.constant_model")


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    registry.MODELS.append(ENTRY)
    yield
    registry.MODELS.remove(ENTRY)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    # So noisy that its mean colour counts as no failed fit.
    noise = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "mean.inr", model="constant", comment="noise")
    return tmp_path / "mean.inr"


def test_pillow_saves_opens_and_renders_it(path: Path) -> None:
    with Image.open(path) as image:
        assert (image.size, image.mode, image.info["model"], image.info["comment"]) == (
            (40, 30),
            "RGB",
            "constant",
            b"noise",
        )
        region = image.render(size=(7, 5), box=(1, 2, 8, 9))  # type: ignore[attr-defined]
        assert len(image.getcolors() or ()) == len(region.getcolors() or ()) == 1
        thumbnail = image.copy()
        thumbnail.thumbnail((8, 8))
        assert thumbnail.size == (8, 6)


def test_functions_decode_and_cost_it(path: Path) -> None:
    pixels = pillow_inr.decode(path)
    assert pixels.shape == (30, 40, 3)
    assert abs(int(pixels[0, 0, 0]) - 127) < 8
    assert pillow_inr.read_header(path).model.name == "constant"
    assert cost.of_file(pillow_inr.read_header(path)).work == 1200
    with pytest.raises(ValueError, match="no Keras model"):
        pillow_inr.to_keras(path)


def test_the_command_line_knows_it(path: Path) -> None:
    pytest.importorskip("click")
    from tests.support.cli_checks import run

    assert "one colour" in run("info", path).output
    (told,) = json.loads(run("info", path, "--json").stdout)
    assert (told["model"], told["colour_bits"]) == ("constant", 96)
    assert run("view", path, "-o", path.with_suffix(".view.png")).exit_code == 0
    assert run("decode", path, "-o", path.with_suffix(".png")).exit_code == 0


def test_options_name_it() -> None:
    with pytest.raises(ValueError, match="model must be 'auto', 'siren', 'pyramid' or 'constant', got 'mean'"):
        pillow_inr.encode(gradient(4, 3), model="mean")
    with pytest.raises(ValueError, match="'constant', which has no width"):
        pillow_inr.encode(gradient(4, 3), model="constant", width=4)


def test_a_release_without_it_says_so(path: Path) -> None:
    registry.MODELS.remove(ENTRY)
    try:
        with pytest.raises(UnsupportedFileError, match="model 2 is not known"):
            pillow_inr.decode(path)
        with pytest.raises(OSError, match="upgrade"):
            Image.open(io.BytesIO(path.read_bytes()))
    finally:
        registry.MODELS.append(ENTRY)
