"""Files that hold a pyramid, in Pillow, imageio, the functions of the package and on the command line."""

import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

pytest.importorskip("matplotlib")

import pillow_inr
from pillow_inr.format.metadata import Metadata
from pillow_inr.models.pyramid import plan as pyramid_plan
from pillow_inr.models.pyramid.breakdown import measure_grids
from pillow_inr.models.pyramid.header import PyramidHeader
from pillow_inr.report import plots
from tests.support import container
from tests.support.checks import gradient
from tests.support.cli_checks import RGB, exif, run, tree
from tests.support.pyramid_checks import pyramid_file


@pytest.fixture(scope="module")
def data() -> bytes:
    return pyramid_file(gradient(48, 36), Metadata(exif=exif(), comment=b"hello"))


@pytest.fixture(scope="module")
def tiled() -> bytes:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pyramid_plan, "WHOLE_PIXELS", 256 * 256)
        patch.setattr(pyramid_plan, "TILE_LOG2", 8)
        return pyramid_file(gradient(300, 260))


def test_info_tells_the_model(data: bytes, tiled: bytes) -> None:
    with Image.open(io.BytesIO(data)) as image:
        assert (image.mode, image.size) == ("RGB", (48, 36))
        known = image.info
    assert (known["model"], known["preset"], known["tile"]) == ("pyramid", 1, 0)
    # A short fit begins with what the analysis network finds, with its base weights.
    base_index = pyramid_plan.base_index_for(1e-3 * 48 * 36 / 4096)
    assert known["prior"] == pyramid_plan.ANALYSED_BASES + base_index
    assert not {"width", "depth", "encoding", "weights"} & known.keys()
    assert known["bits_per_pixel"] == pytest.approx(8 * len(data) / (48 * 36))
    assert {"psnr", "exif", "comment", "dtype", "channels", "format_version"} <= known.keys()
    with Image.open(io.BytesIO(tiled)) as image:
        assert image.info["tile"] == 256


def test_pixels_are_those_of_decode(data: bytes) -> None:
    whole = pillow_inr.decode(data)
    with Image.open(io.BytesIO(data)) as image:
        image.verify()
    with Image.open(io.BytesIO(data)) as image:
        np.testing.assert_array_equal(np.asarray(image), whole)
        np.testing.assert_array_equal(np.asarray(image.render(box=(8, 4, 40, 30))), whole[4:30, 8:40])
        assert image.render((96, 72)).size == (96, 72)


def test_thumbnails_and_drafts(data: bytes) -> None:
    with Image.open(io.BytesIO(data)) as image:
        assert image.draft("RGB", (12, 9)) is not None
        assert image.size == (12, 9)
        image.load()
        small = np.asarray(image, np.float64)
    with Image.open(io.BytesIO(data)) as image:
        reduced = np.asarray(image.resize((12, 9), Image.Resampling.BOX), np.float64)
        image.thumbnail((16, 16))
        assert image.size == (16, 12)
    assert np.abs(small - reduced).mean() < 16


@pytest.mark.parametrize(
    ("array", "mode"),
    [
        (gradient(9, 7, 1)[..., 0], "L"),
        (gradient(9, 7, 2), "LA"),
        (gradient(9, 7, 3), "RGB"),
        (gradient(9, 7, 4), "RGBA"),
        (gradient(9, 7, 1)[..., 0].astype(np.uint16) * 250, "I;16"),
        (gradient(9, 7, 1)[..., 0].astype(np.float32), "F"),
        (gradient(9, 7, 3).astype(np.float32), "RGB"),
    ],
    ids=["L", "LA", "RGB", "RGBA", "I;16", "F", "float RGB"],
)
def test_modes(array: NDArray[Any], mode: str) -> None:
    with Image.open(io.BytesIO(pyramid_file(array))) as image:
        assert image.mode == mode
        image.load()


def test_imageio(data: bytes, tmp_path: Path) -> None:
    iio = pytest.importorskip("imageio.v3")
    path = tmp_path / "a.inr"
    path.write_bytes(data)
    np.testing.assert_array_equal(iio.imread(path), pillow_inr.decode(data))
    assert iio.imread(path, size=(5, 4), box=(0, 0, 20, 16)).shape == (4, 5, 3)
    assert iio.immeta(path)["model"] == "pyramid"
    path.write_bytes(pyramid_file(np.repeat(gradient(9, 7, 1), 6, axis=2)))
    assert iio.imread(path).shape == (7, 9, 6)


@pytest.mark.keras
def test_a_pyramid_is_no_function_of_position(data: bytes) -> None:
    with pytest.raises(ValueError, match="a pyramid, grids of symbols that are no function of position"):
        pillow_inr.to_keras(data)


@pytest.mark.parametrize("name", ["data", "tiled"])
def test_parts_and_bits_add_up(name: str, request: pytest.FixtureRequest) -> None:
    data = request.getfixturevalue(name)
    file = container.take_apart(data)
    assert sum(part.bytes for part in file.parts) == len(data)
    assert sum(row.bits for row in file.model.rows) == pytest.approx(8 * file.header.payload_bytes)
    assert file.model.rows[-1].bits > 0
    grids = measure_grids(container.read_file(data))
    assert all((grid.bits > 0) == (grid.nonzero > 0) for grid in grids)
    assert sum(grid.symbols.size for grid in grids) > math.prod(file.header.size)
    assert grids[0].symbols.size == math.prod(file.header.size)
    assert [part.name for part in file.parts][:2] == ["header", "pyramid"]


@pytest.mark.parametrize("with_original", [False, True])
def test_a_pyramid_can_be_drawn(with_original: bool, data: bytes) -> None:
    pixels = container.open_model(data).pixels()
    plot = plots.view(container.take_apart(data), pixels, pixels // 2 if with_original else None, title="a")
    with Image.open(io.BytesIO(plot)) as image:
        assert image.format == "PNG"


def test_command_line(data: bytes, tiled: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.inr"
    path.write_bytes(data)
    (tmp_path / "tiled.inr").write_bytes(tiled)
    text = run("info", path).output
    for part in ("pyramid, preset 1, prior", "1/64", "networks", "EXIF"):
        assert part in text
    assert max(map(len, text.splitlines()[1:])) <= 80
    assert "2×2 of 256 pixels a side" in run("info", tmp_path / "tiled.inr").output
    _, *lines = run("info", path, RGB).output.splitlines()
    assert [line.split()[2] for line in lines] == ["pyramid", "8×2"]
    known = json.loads(run("info", path, "--json").stdout)[0]
    assert (known["model"], known["coding"]) == ("pyramid", 0)
    assert not {"width", "layers", "weights", "growth"} & known.keys()
    bits = sum(grid["bits"] for grid in known["grids"]) + known["network_bits"]
    size = next(part["bytes"] for part in known["parts"] if part["part"] == "pyramid")
    assert math.isclose(bits, 8 * size)
    assert run("view", path, "-o", tmp_path / "b.png").exit_code == 0
    assert run("decode", path, "--size", "20x30").exit_code == 0
    assert tree(tmp_path) == {"a.inr", "a.png", "b.png", "tiled.inr"}


def test_a_model_is_asked_for_on_the_command_line(tmp_path: Path) -> None:
    Image.fromarray(gradient(9, 7)).save(tmp_path / "a.png")
    result = run("encode", tmp_path / "a.png", "--model", "pyramid", "--width", 9)
    assert result.exit_code == 2
    assert "model is 'pyramid', which has no width" in result.output
    assert run("encode", tmp_path / "a.png", "--model", "hash").exit_code == 2


def test_the_header_tells_the_model(data: bytes) -> None:
    header = pillow_inr.read_header(data)
    assert isinstance(header.model, PyramidHeader)
    assert (header.model.name, header.model.tiles(header.size)) == ("pyramid", (1, 1))
