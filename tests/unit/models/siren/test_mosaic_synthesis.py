"""Pixels of mosaics: against a direct evaluation in double precision, in regions and at other resolutions."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pillow_inr.imaging.coordinates import Axis
from pillow_inr.imaging.samples import Scale
from pillow_inr.models.siren import layout
from pillow_inr.models.siren import synthesis as siren_synthesis
from pillow_inr.models.siren.architecture import Architecture
from pillow_inr.models.siren.division import divided
from pillow_inr.models.siren.synthesis import Grid, Network
from tests.support import container, mosaics, plain_mosaic
from tests.support.checks import VECTORS
from tests.support.networks import exact

pytestmark = pytest.mark.decoding

TAPERED = Architecture(width=9, depth=3, channels=3, frequencies=3, frequency_ratio=150, taper=70)
FLOATS = Scale("float32", 3, ((0.0, 1.0),))
SIZE, OVERLAP = (41, 29), 2
SPLITS = [True, True, True, False, False, True, False, False, False]


def _networks(
    architecture: Architecture = TAPERED,
    size: tuple[int, int] = SIZE,
    overlap: int = OVERLAP,
    splits: list[bool] = SPLITS,
    seed: int = 0,
) -> list[Network]:
    rng = np.random.default_rng(seed)
    networks = []
    for part in divided(size, overlap, mosaics.recalled(splits)):
        weights = [rng.normal(0, 0.1, shape).astype(np.float32) for shape in architecture.shapes]
        weights[-1] += np.float32(0.5)
        networks.append(Network(part, weights))
    return networks


def _direct(
    architecture: Architecture, networks: list[Network], size: tuple[int, int], overlap: int, grid: Grid
) -> np.ndarray:
    """Values at all points of the grid, following docs/format.md section 11.3; shape (rows, columns, channels)."""
    values = np.zeros((grid.down.count, grid.across.count, architecture.channels))
    for network in networks:
        part = plain_mosaic.Part(*network.part.core)
        for row, q in enumerate(grid.down.centres(0, grid.down.count).tolist()):
            down = plain_mosaic.weight(q, part.top, part.bottom, size[1], overlap)
            for column, p in enumerate(grid.across.centres(0, grid.across.count).tolist() if down else ()):
                across = plain_mosaic.weight(p, part.left, part.right, size[0], overlap)
                if across:
                    own = np.array([part.place(p, q)])
                    values[row, column] += across * down * exact(architecture, network.weights, own)[0]
    return values.clip(0, 1)


def _grid(
    size: tuple[int, int], box: tuple[float, float, float, float], counts: tuple[int, int], points: int = 1
) -> Grid:
    longer = max(size)
    across = Axis(size[0], longer, box[0], box[2], counts[0] * points)
    return Grid(across, Axis(size[1], longer, box[1], box[3], counts[1] * points), points)


def _check(grid: Grid, overlap: int = OVERLAP) -> None:
    networks = _networks(overlap=overlap)
    ours = siren_synthesis.synthesize(TAPERED, networks, grid, FLOATS)
    theirs = _direct(TAPERED, networks, SIZE, overlap, grid)
    points = grid.points
    means = theirs.reshape(ours.shape[0], points, ours.shape[1], points, -1).mean(axis=(1, 3))
    assert np.abs(ours - means).max() <= 1e-4


@pytest.mark.parametrize("overlap", [0, 1, 2])
@pytest.mark.parametrize(
    ("box", "counts", "points"),
    [
        ((0, 0, *SIZE), SIZE, 1),
        ((7, 3, 31, 20), (24, 17), 1),  # across edges
        ((12, 16, 17, 24), (5, 8), 1),  # in one part
        ((19, 13, 21, 15), (40, 40), 1),  # where edges cross, twentyfold
        ((0, 0, *SIZE), (57, 33), 1),  # a little larger
        ((0.5, 0.25, 40.5, 28.75), (20, 19), 1),
        ((0, 0, *SIZE), (9, 7), 3),  # reduced: means of several points
        ((20, 0, 41, 29), (3, 3), 1),  # fewer points than parts
    ],
)
def test_pixels_are_those_of_a_direct_evaluation(
    box: tuple[float, float, float, float], counts: tuple[int, int], points: int, overlap: int
) -> None:
    _check(_grid(SIZE, box, counts, points), overlap)


@pytest.mark.parametrize("block", [1, 7, 50, 333])
def test_pixels_do_not_depend_on_the_blocks(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    grid = _grid(SIZE, (0, 0, *SIZE), SIZE)
    whole = siren_synthesis.synthesize(TAPERED, _networks(), grid, FLOATS)
    monkeypatch.setattr(siren_synthesis, "LEAST_POINTS", block)
    monkeypatch.setattr(siren_synthesis, "BLOCK_POINTS", block)
    blocks = siren_synthesis.synthesize(TAPERED, _networks(), grid, FLOATS)
    assert np.abs(whole - blocks).max() <= 1e-5


def test_parts_of_single_pixels() -> None:
    size = (7, 5)
    networks = _networks(size=size, overlap=0, splits=[True] * 34)
    assert len(networks) == 35
    for grid in (
        _grid(size, (0, 0, *size), size),
        _grid(size, (0, 0, *size), (21, 15)),
        _grid(size, (1, 1, 6, 4), (2, 2)),
    ):
        ours = siren_synthesis.synthesize(TAPERED, networks, grid, FLOATS)
        assert np.abs(ours - _direct(TAPERED, networks, size, 0, grid)).max() <= 1e-4


def test_points_on_an_edge_belong_to_the_part_behind_it() -> None:
    """Without overlap: every point is one part's, also where rounding could lose it."""
    weights = [np.zeros(shape, np.float32) for shape in TAPERED.shapes]
    parts = divided((6, 1), 0, mosaics.recalled([True, False, False]))
    networks = [
        Network(part, [*weights[:-1], np.full(3, level, np.float32)])
        for part, level in zip(parts, (0.25, 0.75), strict=True)
    ]
    for count in range(1, 60):
        for start in (0.0, 0.1, 0.5):
            grid = _grid((6, 1), (start, 0, 6.0 - start, 1), (count, 1))
            shown = siren_synthesis.synthesize(TAPERED, networks, grid, FLOATS)[0, :, 0]
            np.testing.assert_array_equal(shown, np.where(grid.across.centres(0, count) < 3, 0.25, 0.75), f"{count}")


def test_values_are_limited_after_they_are_blended() -> None:
    weights = [np.zeros(shape, np.float32) for shape in TAPERED.shapes]
    networks = [
        Network(part, [*weights[:-1], np.full(3, level, np.float32)])
        for part, level in zip(divided((16, 1), 2, mosaics.recalled([True, False, False])), (-1.0, 2.0), strict=True)
    ]
    grid = _grid((16, 1), (0, 0, 16, 1), (16, 1))
    shown = siren_synthesis.synthesize(TAPERED, networks, grid, FLOATS)[0, :, 0]
    t = (np.arange(6, 10) + 0.5 - 6) / 4
    blend = -1 + 3 * t**3 * (10 - 15 * t + 6 * t**2)
    np.testing.assert_allclose(shown, np.clip([-1] * 6 + [*blend] + [2] * 6, 0, 1), atol=1e-6)


@settings(max_examples=30)
@given(
    st.sampled_from(["mosaic", "mosaic_alpha", "mosaic_hard", "mosaic_int16"]),
    st.tuples(*[st.floats(0, 1)] * 4),
)
def test_a_region_is_the_crop_of_the_whole(name: str, corners: tuple[float, ...]) -> None:
    data = (VECTORS / "siren" / f"{name}.inr").read_bytes()
    whole = container.decode(data)
    height, width = whole.shape[:2]
    left, right = sorted(int(corner * (width - 1)) for corner in corners[:2])
    top, bottom = sorted(int(corner * (height - 1)) for corner in corners[2:])
    region = container.decode(data, box=(left, top, right + 1, bottom + 1))
    cropped = whole[top : bottom + 1, left : right + 1]
    assert np.abs(region.astype(float) - cropped).max() <= 1


@pytest.mark.parametrize("width", [1, 90, 91, 145, 300, 1024])
@pytest.mark.parametrize("taper", [1, 30, 75, 99, 100])
def test_layers_of_any_width_are_laid_out(width: int, taper: int) -> None:
    """Within the work of a tile and without much padding: its memory is what the cost announces."""
    architecture = Architecture(width=width, depth=15, channels=3, frequencies=2, frequency_ratio=150, taper=taper)
    tile, parts, units = layout.layout(architecture)
    for inputs, wanted, count, padded in zip([1, *units], architecture.widths, parts, units, strict=False):
        assert padded % count == 0 and tile * inputs * (padded // count) <= layout.TILE_WORK
        assert wanted <= padded <= max(wanted + 16, 1.6 * wanted)


@pytest.mark.parametrize("taper", [1, 40])
def test_wide_layers_that_taper(taper: int) -> None:
    architecture = Architecture(width=300, depth=3, channels=2, frequencies=1, frequency_ratio=150, taper=taper)
    networks = _networks(architecture, (9, 7), 1, [True, False, False])
    for network in networks:
        network.weights[2] *= np.float32(0.1)
    grid = _grid((9, 7), (0, 0, 9, 7), (9, 7))
    ours = siren_synthesis.synthesize(architecture, networks, grid, Scale("float32", 2, ((0.0, 1.0),)))
    assert np.abs(ours - _direct(architecture, networks, (9, 7), 1, grid)).max() <= 2e-4


def test_a_network_is_laid_out_only_where_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    laid_out: list[Any] = []

    class Counted(layout.Layers):
        def __init__(self, architecture: Architecture, weights: Any) -> None:
            laid_out.append(weights)
            super().__init__(architecture, weights)

    monkeypatch.setattr(siren_synthesis, "Layers", Counted)
    siren_synthesis.synthesize(TAPERED, _networks(), _grid(SIZE, (25, 3, 40, 20), (15, 17)), FLOATS)
    assert len(laid_out) == 1
