"""Rate-distortion optimized quantization (RDOQ) of latents: those near a decision threshold are tried on both sides.

Soft rounding leaves some latents halfway between two integers, where it has no preference, and which of the two costs
less is not known before one of them is taken. A trial takes the other integer of many latents at once, no two of them
near each other, so that a block of pixels and cells around each shows what it alone costs. Knows no networks.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..structure import SYMBOL_MAX
from .passes import Grids
from .trainer import Costs

# Latents further than this from their nearest integer are tried: nine tenths of the gain are above 0.45
# (docs/experiments.md section 20).
UNDECIDED = 0.4


class _Division(NamedTuple):
    """Division of a grid into square blocks, in each of which one symbol may change at a time."""

    side: int
    """Of a block, in cells."""
    first: int
    """Rows and columns of a block from here on ..."""
    width: int
    """... this many have the symbols that may change: what they change lies within the block."""

    def offsets(self) -> Iterator[tuple[int, int]]:
        """Displacements of all blocks with which each symbol may change in at least one of them."""
        steps = range(0, self.side, self.width)
        return ((down, right) for down in steps for right in steps)


# A symbol of the finest grid changes the pixels around it and, as a context, symbols up to three cells further on. One
# of a coarser grid is enlarged: it changes pixels up to four of its cells away. What smoothing carries beyond the block
# is little, and is counted when all trials are done.
_FINEST = _Division(side=8, first=2, width=3)
_COARSER = _Division(side=12, first=4, width=4)


def choose_symbols(
    latents: Grids, measure: Callable[[Grids], Costs], lambda_per_bit: float, trials: int
) -> list[NDArray[np.float32]]:
    """Round latents to integers so that squared error + lambda * bits is small.

    Args:
        latents: finest grid first, shape (rows, columns), float32, finite.
        measure: costs of symbols, with the networks that stay as they are.
        lambda_per_bit: squared error that a bit is worth.
        trials: how often `measure` may be called, besides the first time and the last.
    Returns:
        Symbols within -SYMBOL_MAX..SYMBOL_MAX, float32; each is the nearest integer of its latent or the one on the
        other side of it.
    """
    nearest = round_to_nearest(latents)
    symbols = [grid.copy() for grid in nearest]
    costs = first = measure(symbols)
    open_trials = {
        (level, offset): candidates
        for level, candidates in enumerate(map(_Candidates, latents, nearest))
        for offset in _division(level).offsets()
    }
    waiting = {key: candidates.count(_division(key[0]), key[1]) for key, candidates in open_trials.items()}
    for _ in range(trials):
        level, offset = key = max(waiting, key=lambda key: waiting[key])
        if not waiting[key]:
            break
        candidates, blocks = open_trials[key], _Blocks(level, offset, latents)
        tried = candidates.take(_division(level), offset)
        changed = list(symbols)
        changed[level] = symbols[level].copy()
        changed[level][tried.rows, tried.columns] = tried.others
        found = measure(changed)
        better = blocks.loss(found, lambda_per_bit) < blocks.loss(costs, lambda_per_bit)
        kept = better[blocks.of(tried.rows, tried.columns)]
        symbols[level][tried.rows[kept], tried.columns[kept]] = tried.others[kept]
        costs = blocks.mixed(better, found, costs)
        waiting[key] = candidates.count(_division(level), offset)
    # What changes beyond a block's edge is not seen above.
    return symbols if _loss(measure(symbols), lambda_per_bit) < _loss(first, lambda_per_bit) else nearest


def round_to_nearest(latents: Grids) -> list[NDArray[np.float32]]:
    """Round latents to the nearest integers within -SYMBOL_MAX..SYMBOL_MAX: the quantization step is 1.

    Args:
        latents: finest grid first, shape (rows, columns), float32.
    Returns:
        The symbols, still float32; NaN stays NaN.
    """
    return [np.clip(np.rint(values), -SYMBOL_MAX, SYMBOL_MAX) for values in latents]


def _division(level: int) -> _Division:
    return _COARSER if level else _FINEST


def _loss(costs: Costs, lambda_per_bit: float) -> float:
    bits = sum(part.sum(dtype=np.float64) for part in costs.bits)
    return float(costs.squared_errors.sum(dtype=np.float64) + lambda_per_bit * bits)


class _Tried(NamedTuple):
    """Symbols that change in a trial."""

    rows: NDArray[np.intp]
    columns: NDArray[np.intp]
    others: NDArray[np.float32]
    """What they change to."""


class _Candidates:
    """Undecided latents of a grid that were not tried yet."""

    def __init__(self, latents: NDArray[np.float32], nearest: NDArray[np.float32]) -> None:
        away = latents - nearest
        others = np.clip(nearest + np.sign(away), -SYMBOL_MAX, SYMBOL_MAX)
        self.rows, self.columns = np.nonzero((np.abs(away) > UNDECIDED) & (others != nearest))
        # Those nearest to the threshold come first.
        order = np.argsort(-np.abs(away[self.rows, self.columns]), kind="stable")
        self.rows, self.columns = self.rows[order], self.columns[order]
        self.others = others[self.rows, self.columns]

    def count(self, division: _Division, offset: tuple[int, int]) -> int:
        """Number of symbols that one trial can change."""
        return len(self._next(division, offset))

    def take(self, division: _Division, offset: tuple[int, int]) -> _Tried:
        """Remove and return one candidate of each block that has any."""
        chosen = self._next(division, offset)
        tried = _Tried(self.rows[chosen], self.columns[chosen], self.others[chosen])
        left = np.ones(len(self.rows), np.bool_)
        left[chosen] = False
        self.rows, self.columns, self.others = self.rows[left], self.columns[left], self.others[left]
        return tried

    def _next(self, division: _Division, offset: tuple[int, int]) -> NDArray[np.intp]:
        """Indices of the first candidate of each block."""
        down, right = self.rows - offset[0], self.columns - offset[1]
        inside = [(at % division.side - division.first) % division.side < division.width for at in (down, right)]
        (able,) = np.nonzero(inside[0] & inside[1])
        blocks = np.stack([down[able] // division.side, right[able] // division.side])
        _, first = np.unique(blocks, axis=1, return_index=True)
        return able[first]


class _Blocks:
    """Blocks of the cells of a grid, and what belongs to them: pixels, and symbols of it and of all finer grids, which
    may have its symbols as contexts."""

    def __init__(self, level: int, offset: tuple[int, int], grids: Grids) -> None:
        self.level = level
        self.starts = [
            np.unique(np.append(0, np.arange(begin, length, _division(level).side)))
            for begin, length in zip(offset, grids[level].shape, strict=True)
        ]

    def of(self, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Row and column of blocks that cells lie in."""
        down, right = (
            np.searchsorted(starts, at, "right") - 1 for starts, at in zip(self.starts, (rows, columns), strict=True)
        )
        return down, right

    def loss(self, costs: Costs, lambda_per_bit: float) -> NDArray[np.float64]:
        """Squared error + lambda * bits of each block, shape (blocks down, blocks right)."""
        total = self._sums(costs.squared_errors, self.level)
        for level in range(self.level + 1):
            total = total + lambda_per_bit * self._sums(costs.bits[level], self.level - level)
        return total

    def mixed(self, which: NDArray[np.bool_], chosen: Costs, others: Costs) -> Costs:
        """The costs of some blocks, and other costs everywhere else."""

        def mix(chosen: NDArray[np.float32], others: NDArray[np.float32], shift: int) -> NDArray[np.float32]:
            down, right = (
                np.searchsorted(starts << shift, np.arange(length), "right") - 1
                for starts, length in zip(self.starts, others.shape, strict=True)
            )
            return np.where(which[down][:, right], chosen, others)

        bits = list(others.bits)
        for level in range(self.level + 1):
            bits[level] = mix(chosen.bits[level], others.bits[level], self.level - level)
        return Costs(mix(chosen.squared_errors, others.squared_errors, self.level), bits)

    def _sums(self, values: NDArray[np.float32], shift: int) -> NDArray[np.float64]:
        """Sums over blocks of a grid that is 2^shift times as fine."""
        down, right = (starts << shift for starts in self.starts)
        lines = np.add.reduceat(values, down, axis=0, dtype=np.float64)
        return np.asarray(np.add.reduceat(lines, right, axis=1), np.float64)
