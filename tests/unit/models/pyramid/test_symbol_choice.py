"""RDOQ of latents on costs that are known: each symbol has its own, or changes those near it."""

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from pillow_inr.models.pyramid.structure import LEVELS, grid_sizes

pytestmark = pytest.mark.keras

SIZE = (150, 90)


class _Measured:
    """Costs in which each symbol takes `bits` of its own and each pixel has the squared distance of a wish."""

    def __init__(self, wishes: Sequence[NDArray[np.float32]], bits_of_one: Sequence[NDArray[np.float32]]) -> None:
        self.wishes = wishes
        self.bits_of_one = bits_of_one
        self.calls = 0

    def __call__(self, symbols: Sequence[NDArray[np.float32]]):  # type: ignore[no-untyped-def]
        from pillow_inr.models.pyramid.training.trainer import Costs

        self.calls += 1
        assert all(grid.dtype == np.float32 and np.array_equal(grid, np.rint(grid)) for grid in symbols)
        bits = [np.abs(grid) * ones for grid, ones in zip(symbols, self.bits_of_one, strict=True)]
        return Costs(np.square(symbols[0] - self.wishes[0]), bits)


def _loss(costs, lambda_per_bit: float) -> float:  # type: ignore[no-untyped-def]
    return float(costs.squared_errors.sum() + lambda_per_bit * sum(part.sum() for part in costs.bits))


@pytest.mark.parametrize("trials", [0, 1, 500])
def test_of_independent_symbols_each_takes_the_cheaper_of_its_two_neighbours(trials: int) -> None:
    from pillow_inr.models.pyramid.training.symbol_choice import UNDECIDED, choose_symbols, round_to_nearest

    rng = np.random.default_rng(0)
    latents = [rng.normal(0, 1.5, shape).astype(np.float32) for shape in grid_sizes(SIZE)]
    measure = _Measured(latents, [rng.random(grid.shape).astype(np.float32) for grid in latents])
    found = choose_symbols(latents, measure, 0.3, trials)
    nearest = round_to_nearest(latents)
    assert measure.calls <= trials + 2
    if not trials:
        assert all(np.array_equal(grid, near) for grid, near in zip(found, nearest, strict=True))
        return
    assert _loss(measure(found), 0.3) < _loss(measure(nearest), 0.3)
    if trials < 500:
        return
    for level, (grid, near, latent) in enumerate(zip(found, nearest, latents, strict=True)):
        other = near + np.sign(latent - near)
        bits = 0.3 * measure.bits_of_one[level]
        gain = bits * (np.abs(near) - np.abs(other))
        if level == 0:
            gain += np.square(near - latent) - np.square(other - latent)
        wanted = np.where((np.abs(latent - near) > UNDECIDED) & (gain > 0), other, near)
        np.testing.assert_array_equal(grid, wanted)


def test_no_result_costs_more_than_rounding_where_blocks_do_not_show_it() -> None:
    """Pixels far from a symbol that changes: the whole image gets worse, its block better."""
    from pillow_inr.models.pyramid.training.symbol_choice import choose_symbols, round_to_nearest
    from pillow_inr.models.pyramid.training.trainer import Costs

    latents = [np.full(shape, 0.45, np.float32) for shape in grid_sizes(SIZE)]

    def measure(symbols: Sequence[NDArray[np.float32]]) -> Costs:
        changed = float(sum(np.abs(grid).sum() for grid in symbols))
        far = np.full(symbols[0].shape, 100.0 * changed, np.float32)
        return Costs(far - far.mean() * 2e-3 * symbols[0], [np.zeros_like(grid) for grid in symbols])

    found = choose_symbols(latents, measure, 1.0, 20)
    assert all(np.array_equal(grid, near) for grid, near in zip(found, round_to_nearest(latents), strict=True))


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (129, 2)])
def test_images_of_any_size(size: tuple[int, int]) -> None:
    from pillow_inr.models.pyramid.training.symbol_choice import choose_symbols

    latents = [np.full(shape, -1.48, np.float32) for shape in grid_sizes(size)]
    measure = _Measured([np.full_like(grid, -2.0) for grid in latents], [np.zeros_like(grid) for grid in latents])
    found = choose_symbols(latents, measure, 1.0, 1000)
    assert len(found) == LEVELS and (found[0] == -2.0).all()


def test_symbols_stay_within_their_range() -> None:
    from pillow_inr.models.pyramid.structure import SYMBOL_MAX
    from pillow_inr.models.pyramid.training.symbol_choice import choose_symbols

    latents = [np.full(shape, SYMBOL_MAX + 0.45, np.float32) for shape in grid_sizes(SIZE)]
    measure = _Measured([grid + 10 for grid in latents], [np.zeros_like(grid) for grid in latents])
    assert all((grid == SYMBOL_MAX).all() for grid in choose_symbols(latents, measure, 1.0, 5))
