"""The context network: integers around a symbol -> which distribution it has; and the order that makes them known.

Exact on every machine: all numbers are integers, or integers over a power of two, that float64 holds, so that neither
the order of a sum nor the number of a BLAS's threads matters (docs/format.md section 9.5). Codes nothing itself.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .frequency_tables import FRACTION_MIN, FRACTIONS, SCALE_MAX, SCALE_MIN
from .structure import CONTEXT_BITS, CROSS_CONTEXTS, NEIGHBOURS, PRESETS, Tensors

SYMBOL_MAX = 4095
"""Magnitude of the largest symbol, and of the largest mean."""
_UNIT = 1 << CONTEXT_BITS
_HIDDEN_MAX = float(1 << 24)
# What the outputs, with 24 fractional bits, are divided by: sixteenths for the mean, eighths for the scale.
_MEAN_DIVISOR = float(1 << 20)
_SCALE_DIVISOR = float(1 << 21)
# Zeros around a grid, so that a neighbour is a fixed distance in memory from its symbol.
_MARGIN = 3
# Symbols whose contexts are evaluated at once where all are known; their hidden units fill a core's cache.
_BATCH = 1 << 12
# Multiplications up to which OpenBLAS makes a product on the calling thread: waiting for threads of its own, some
# thousand times, would take many times as long on a busy machine.
_PRODUCT_MAX = 1 << 18

Grid = NDArray[np.int32]
"""Symbols of a level, shape (rows, columns)."""


class Predictions(NamedTuple):
    """Distributions of symbols: one of `symbol_rows.counts` each, about a whole number."""

    means: NDArray[np.int64]
    """What is subtracted from a symbol to have its residual, -4095..4095."""
    rows: NDArray[np.int64]
    """Index of the row for the residual."""


class ContextNetwork:
    """The network of a pyramid, made ready for evaluation.

    Divisions by powers of two are part of its weights, and so are the halves and offsets that rounding needs: exact in
    float64 as well.
    """

    def __init__(self, tensors: Tensors, preset: int) -> None:
        spatial = PRESETS[preset].spatial
        self.neighbours = np.array(NEIGHBOURS[:spatial])
        self.units = PRESETS[preset].context_width
        # The hidden units' first layer and the direct path to the two outputs in one product.
        divisors = np.array([[_MEAN_DIVISOR], [_SCALE_DIVISOR]])
        first = np.concatenate([tensors["a1"], tensors["as"] * _UNIT / divisors])
        self.own, self.cross = np.ascontiguousarray(first[:, :spatial]), np.ascontiguousarray(first[:, spatial:])
        self.first_bias = tensors["a1b"].astype(np.float64)
        self.second = tensors["a2"] / _UNIT
        self.second_bias = tensors["a2b"].astype(np.float64)[:, None]
        self.third = tensors["a3"] / divisors
        # The fraction of a mean is made nonnegative, the scale an index.
        self.offsets = np.array([[-FRACTION_MIN], [-SCALE_MIN]])
        self.level_biases = tensors["a3b"] * _UNIT / divisors + 0.5 + self.offsets
        limit = FRACTIONS * SYMBOL_MAX
        self.lowest = np.array([[-limit], [SCALE_MIN]]) + self.offsets.astype(np.float64)
        self.highest = np.array([[limit], [SCALE_MAX]]) + self.offsets.astype(np.float64)

    def cross_terms(self, level: int, contexts: NDArray[np.float64]) -> NDArray[np.float64]:
        """What the coarser grids add to the first product, its biases included.

        Args:
            contexts: shape (10, cells).
        Returns:
            Shape (units + 2, cells), one column for all symbols above a cell of the next coarser grid.
        """
        bias = np.concatenate([self.first_bias, self.level_biases[:, level]])
        terms = _product(self.cross, contexts)
        terms += bias[:, None]
        return terms

    def predict(self, contexts: NDArray[np.float64], cross: NDArray[np.float64]) -> Predictions:
        """Distributions of symbols.

        Args:
            contexts: shape (spatial contexts, symbols).
            cross: `cross_terms` of each symbol, shape (units + 2, symbols).
        """
        first = _product(self.own, contexts)
        first += cross
        hidden, direct = first[: self.units], first[self.units :]
        np.maximum(hidden, 0.0, out=hidden)
        np.minimum(hidden, _HIDDEN_MAX, out=hidden)
        hidden = _product(self.second, hidden)
        hidden += self.second_bias
        np.floor(hidden, out=hidden)
        np.maximum(hidden, 0.0, out=hidden)
        np.minimum(hidden, _HIDDEN_MAX, out=hidden)
        output = _product(self.third, hidden)
        output += direct
        np.floor(output, out=output)
        np.maximum(output, self.lowest, out=output)
        np.minimum(output, self.highest, out=output)
        mean, scale = output.astype(np.int64)
        scale *= FRACTIONS
        scale += mean & (FRACTIONS - 1)
        mean >>= 4
        return Predictions(mean, scale)


def _product(kernel: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Matrix product, shape (rows of the kernel, columns of the values)."""
    most = max(1, _PRODUCT_MAX // kernel.size)
    product = np.empty((len(kernel), values.shape[1]))
    for start in range(0, values.shape[1], most):
        np.matmul(kernel, values[:, start : start + most], out=product[:, start : start + most])
    return product


class _Padded:
    """A grid with zeros around it, as numbers for products."""

    def __init__(self, shape: tuple[int, int]) -> None:
        self.rows, self.columns = shape
        self.pitch = self.columns + 2 * _MARGIN
        self.values = np.zeros((self.rows + 2 * _MARGIN, self.pitch))
        self.flat = self.values.ravel()
        self.inner = self.values[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN]

    def distances(self, offsets: NDArray[np.int64]) -> NDArray[np.int64]:
        """How far in `flat` offsets (down, right) lie, shape (offsets, 1)."""
        return (offsets[:, :1] * self.pitch + offsets[:, 1:]).astype(np.intp)

    def place(self, row: int, column: int) -> int:
        """Index in `flat`."""
        return (row + _MARGIN) * self.pitch + column + _MARGIN


class _Coarser:
    """The two grids below a level: contexts for each cell of the next coarser one. None exists: all zero."""

    OFFSETS = np.array([(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1)])

    def __init__(self, shape: tuple[int, int], next_grid: Grid | None, second_grid: Grid | None) -> None:
        shape = (shape[0] + 1 >> 1, shape[1] + 1 >> 1)
        self.next, self.second = _Padded(shape), _Padded(shape)
        if next_grid is not None:
            self.next.inner[:] = next_grid
        if second_grid is not None:
            enlarged = second_grid.repeat(2, axis=0).repeat(2, axis=1)
            self.second.inner[:] = enlarged[: shape[0], : shape[1]]
        self.distances = self.next.distances(self.OFFSETS)

    def contexts(self, places: NDArray[np.intp]) -> NDArray[np.float64]:
        """Contexts of the cells at these places, shape (10, places)."""
        result = np.empty((CROSS_CONTEXTS, len(places)))
        np.take(self.next.flat, self.distances + places, out=result[:-1], mode="clip")
        np.take(self.second.flat, places, out=result[-1], mode="clip")
        return result


def wavefronts(shape: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """First row and the row after the last of each wavefront x + 2 y = 0, 1, … of a grid of this shape."""
    rows, columns = shape
    for wavefront in range(columns + 2 * rows - 2):
        yield max(0, wavefront - columns + 2 >> 1), min(rows, (wavefront >> 1) + 1)


def decode_grid(
    network: ContextNetwork,
    level: int,
    shape: tuple[int, int],
    coarser: tuple[Grid | None, Grid | None],
    take: Callable[[Predictions], NDArray[np.int64]],
) -> Grid:
    """Fill a grid wavefront by wavefront: what a symbol's distribution depends on is known before it.

    Args:
        network: the pyramid's.
        level: of the grid, 0 for the finest.
        shape: its rows and columns.
        coarser: the grids of the next two levels, None where there are none.
        take: makes symbols of the distributions of a front, in the order of its rows.
    """
    grid = _Padded(shape)
    below = _Coarser(shape, *coarser)
    distances = grid.distances(network.neighbours)
    # From one row of a front to the next: one down, two to the left.
    step = grid.pitch - 2
    steps = np.arange(shape[0], dtype=np.intp) * step + distances
    coarse_steps = np.arange(below.next.rows, dtype=np.intp) * (below.next.pitch - 2)
    cross = np.empty((network.units + 2, 2 * below.next.rows))
    coarse_wavefronts = wavefronts((below.next.rows, below.next.columns))
    for wavefront, (first, last) in enumerate(wavefronts(shape)):
        if not wavefront & 1:
            # A symbol in an even row lies above a cell of the coarse front of half its own front's number, one in an
            # odd row above a cell of the coarse front before.
            cross[:, 1::2] = cross[:, ::2]
            top, bottom = next(coarse_wavefronts, (0, 0))
            if top < bottom:
                places = coarse_steps[: bottom - top] + below.next.place(top, (wavefront >> 1) - 2 * top)
                cross[:, 2 * top : 2 * bottom : 2] = network.cross_terms(level, below.contexts(places))
        if first == last:
            continue  # in a single column every second front
        start = grid.place(first, wavefront - 2 * first)
        contexts = grid.flat.take(steps[:, : last - first] + start, mode="clip")
        symbols = take(network.predict(contexts, cross[:, first:last]))
        grid.flat[start : start + (last - first - 1) * step + 1 : step] = symbols
    return grid.inner.astype(np.int32)


def predict_grid(
    network: ContextNetwork, level: int, grid: Grid, coarser: tuple[Grid | None, Grid | None]
) -> Predictions:
    """Distributions of all symbols of a known grid, in reading order.

    Args:
        network: the pyramid's.
        level: of the grid, 0 for the finest.
        grid: its symbols.
        coarser: the grids of the next two levels, None where there are none.
    """
    rows, columns = grid.shape
    padded = _Padded((rows, columns))
    padded.inner[:] = grid
    below = _Coarser((rows, columns), *coarser)
    means, indices = np.empty((2, rows, columns), np.int64)
    distances = padded.distances(network.neighbours)
    band = max(2, _BATCH // columns & ~1)
    for top in range(0, rows, band):
        bottom = min(rows, top + band)
        down, across = np.arange(top + 1 >> 1, bottom + 1 >> 1), np.arange(below.next.columns)
        coarse = (below.next.place(0, 0) + down[:, None] * below.next.pitch + across).ravel()
        terms = network.cross_terms(level, below.contexts(coarse)).reshape(-1, len(down), len(across))
        cross = terms.repeat(2, axis=1).repeat(2, axis=2)[:, : bottom - top, :columns].reshape(len(terms), -1)
        places = padded.place(0, 0) + np.arange(top, bottom)[:, None] * padded.pitch + np.arange(columns)
        predicted = network.predict(padded.flat[distances + places.ravel()], cross)
        means[top:bottom] = predicted.means.reshape(-1, columns)
        indices[top:bottom] = predicted.rows.reshape(-1, columns)
    return Predictions(means.ravel(), indices.ravel())
