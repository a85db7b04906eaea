import numpy as np
import pytest

from pillow_inr.models.pyramid import latent_coding, structure
from pillow_inr.models.pyramid import synthesis as pyramid_synthesis
from pillow_inr.models.pyramid.region import Region
from pillow_inr.models.pyramid.synthesis import synthesize
from tests.support import plain_pyramid
from tests.support.pyramids import draw_grids, draw_weight_residuals


def _drawn(size: tuple[int, int], channels: int = 3, preset: int = 0) -> tuple[dict[str, np.ndarray], list[np.ndarray]]:
    rng = np.random.default_rng(0)
    base = structure.base_weights(preset, 0, channels)
    tensors = latent_coding.apply(base, draw_weight_residuals(rng, channels, 60, preset))
    return tensors, draw_grids(rng, size)


@pytest.mark.parametrize("preset", range(len(structure.PRESETS)))
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (7, 6), (8, 13)])
def test_synthesis_agrees_with_plain_python(size: tuple[int, int], channels: int, preset: int) -> None:
    tensors, grids = _drawn(size, channels, preset)
    plain = {name: values.ravel().tolist() for name, values in tensors.items()}
    expected = np.array(plain_pyramid.synthesize(plain, preset, channels, [grid.tolist() for grid in grids]))
    values = synthesize(tensors, grids, size, channels, preset)
    assert values.dtype == np.float32
    assert values.shape == (size[1], size[0], channels)
    np.testing.assert_allclose(values, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("block", [(1, 1), (3, 5), (16, 7), (1000, 1000)])
@pytest.mark.parametrize(("threads", "preset"), [(1, 0), (3, 0), (3, 1)])
def test_values_do_not_depend_on_blocks_and_threads(
    block: tuple[int, int], threads: int, preset: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    tensors, grids = _drawn((23, 18), preset=preset)
    whole = synthesize(tensors, grids, (23, 18), 3, preset)
    monkeypatch.setattr("pillow_inr.runtime.threads.cores", lambda: threads)
    monkeypatch.setattr(pyramid_synthesis, "BLOCK_ROWS", block[0])
    monkeypatch.setattr(pyramid_synthesis, "BLOCK_COLUMNS", block[1])
    np.testing.assert_allclose(synthesize(tensors, grids, (23, 18), 3, preset), whole, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("region", [Region(0, 1, 0, 1), Region(7, 20, 11, 30), Region(40, 41, 0, 37)])
@pytest.mark.parametrize("preset", range(len(structure.PRESETS)))
def test_a_region_is_that_part(region: Region, preset: int) -> None:
    tensors, grids = _drawn((37, 41), preset=preset)
    whole = synthesize(tensors, grids, (37, 41), 3, preset)
    part = synthesize(tensors, grids, (37, 41), 3, preset, region)
    expected = whole[region.top : region.bottom, region.left : region.right]
    np.testing.assert_allclose(part, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("preset", range(len(structure.PRESETS)))
def test_a_flat_pyramid_is_flat_up_to_its_edges(preset: int) -> None:
    """Edges are repeated, so filters, upsampling and residual convolutions act there as they do inside."""
    tensors, grids = _drawn((30, 20), preset=preset)
    grids = [grid * 0 + 3 for grid in grids]
    values = synthesize(tensors, grids, (30, 20), 3, preset)
    np.testing.assert_allclose(values, np.broadcast_to(values[10, 15], values.shape), rtol=1e-4, atol=1e-5)


def test_smoothing_and_kernels_by_hand() -> None:
    """A single symbol; every weight but one is 0, and the image is one channel of the hidden layer's inputs."""
    shapes = structure.shapes(1, 1)
    grids = [np.zeros(shape, np.int32) for shape in structure.grid_sizes((9, 9))]
    grids[0][4, 4] = 2

    def shown(feature: int, **values: list[float]) -> np.ndarray:
        tensors = {name: np.zeros(shape, np.int64) for name, shape in shapes.items()}
        tensors["ss"][0, feature] = 1 << 18
        for name, row in values.items():
            tensors[name][0, : len(row)] = np.array(row) * (1 << 18)
        return synthesize(tensors, grids, (9, 9), 1, 1)[..., 0]

    smoothed = shown(0, pf=[1.0, 0.5, 0.0, 0.25])
    expected = np.array([0, 0.25, 0, 0.5, 1, 0.5, 0, 0.25, 0])
    np.testing.assert_array_equal(smoothed, 2 * np.outer(expected, expected))
    kernel = np.arange(25) / 64
    found = shown(7, kf=list(kernel))
    # The value at the symbol's upper left neighbour is that of the tap one below and one to the right of the middle.
    assert found[3, 3] == 2 * kernel[18] and found[4, 4] == 2 * kernel[12] and found[6, 2] == 2 * kernel[4]
    assert np.count_nonzero(found) == 24


def test_the_largest_integers_a_file_can_hold_raise_nothing() -> None:
    tensors = {name: np.full(shape, structure.SYNTHESIS_LIMIT - 1) for name, shape in structure.shapes(1, 3).items()}
    grids = [np.full(shape, 4095, np.int32) for shape in structure.grid_sizes((6, 5))]
    for sign in (1, -1):
        tensors["s2"] = sign * tensors["s2"]
        assert synthesize(tensors, grids, (6, 5), 3, 1).shape == (5, 6, 3)
