"""The autoregressive context model (ARM): neighbouring symbols -> distribution of a symbol; and the wavefront order.

A small integer network predicts mean and scale of a Laplace distribution for each symbol from symbols decoded before
(Minnen et al. 2018; Cool-chic, Ladune et al. 2023). Encoder and decoder must agree exactly, so all numbers are
integers, or integers over a power of two, that float64 represents exactly: neither the order of a sum nor the number
of BLAS threads matters (docs/format.md section 9.5). Codes nothing itself.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .frequency_tables import FRACTION_MIN, FRACTIONS, SCALE_MAX, SCALE_MIN
from .structure import CONTEXT_BITS, NEIGHBOURS, PRESETS, SYMBOL_MAX, Grid, Tensors

_UNIT = 1 << CONTEXT_BITS
_HIDDEN_MAX = float(1 << 24)
# Outputs have 24 fractional bits; these divisors leave sixteenths for the mean and eighths for the log-scale.
_MEAN_DIVISOR = float(1 << 20)
_SCALE_DIVISOR = float(1 << 21)
# Zeros around a grid, so that a neighbour lies at a fixed distance in memory from its symbol.
_MARGIN = 3
# Symbols evaluated at once if the whole grid is known: their hidden units fill a core's cache.
_BATCH = 1 << 12
# OpenBLAS computes a product of up to this many multiplications on the calling thread. Waiting for its own threads
# thousands of times would take many times as long on a busy machine.
_PRODUCT_MAX = 1 << 18


class Predictions(NamedTuple):
    """Distributions of symbols: each residual, symbol - mean, follows a row of `frequency_tables.frequencies`."""

    means: NDArray[np.int64]
    """Means rounded to integers, -4095..4095, shape (symbols,)."""
    rows: NDArray[np.int64]
    """Index of the row, which stands for scale and fraction of the mean, shape (symbols,)."""


class ContextModel:
    """The autoregressive context model (ARM) of a pyramid, prepared for evaluation.

    Inputs v are the contexts of a symbol: `spatial` earlier symbols of its own grid, then symbols of coarser grids
    (`Preset.cross`). With the weights' integers a1 … as, whose unit is 2^-12,

        h1 = clip(a1 v + a1b, 0, 2^24)
        h2 = clip(floor((a2 h1) / 2^12 + a2b), 0, 2^24)
        o  = a3 h2 + 2^12 (as v + a3b[level])
        n  = clip(floor(o[0] / 2^20 + 1/2), -65520, 65520)    the mean in sixteenths
        t  = clip(floor(o[1] / 2^21 + 1/2), -32, 40)          the log-scale in eighths: b = exp(t / 8)

    Divisions, halves and offsets are folded into the weights and biases, which float64 still represents exactly.

    Args:
        tensors: integers of a pyramid, within the limits of `structure.check_tensors`.
        preset: index into `structure.PRESETS`.
    Source: docs/format.md section 9.5.
    """

    def __init__(self, tensors: Tensors, preset: int) -> None:
        spatial = PRESETS[preset].spatial
        self.neighbours = np.array(NEIGHBOURS[:spatial])
        self.cross_sides = PRESETS[preset].cross
        self.units = PRESETS[preset].context_width
        # One product for the first hidden layer and the skip connection to the two outputs.
        divisors = np.array([[_MEAN_DIVISOR], [_SCALE_DIVISOR]])
        first = np.concatenate([tensors["a1"], tensors["as"] * _UNIT / divisors])
        self.own, self.cross = np.ascontiguousarray(first[:, :spatial]), np.ascontiguousarray(first[:, spatial:])
        self.first_bias = tensors["a1b"].astype(np.float64)
        self.second = tensors["a2"] / _UNIT
        self.second_bias = tensors["a2b"].astype(np.float64)[:, None]
        self.third = tensors["a3"] / divisors
        # Shifts the mean's fraction to 0..15 and the log-scale to a row number of the tables.
        self.offsets = np.array([[-FRACTION_MIN], [-SCALE_MIN]])
        self.level_biases = tensors["a3b"] * _UNIT / divisors + 0.5 + self.offsets
        limit = FRACTIONS * SYMBOL_MAX
        self.lowest = np.array([[-limit], [SCALE_MIN]]) + self.offsets.astype(np.float64)
        self.highest = np.array([[limit], [SCALE_MAX]]) + self.offsets.astype(np.float64)

    def cross_terms(self, level: int, contexts: NDArray[np.float64]) -> NDArray[np.float64]:
        """Share of the coarser grids in the first product, biases included.

        The up to four symbols that lie in one cell of the next coarser grid have it in common.

        Args:
            level: of the symbols' grid, 0 for the finest.
            contexts: shape (contexts from coarser grids, cells).
        Returns:
            Shape (units + 2, cells).
        """
        bias = np.concatenate([self.first_bias, self.level_biases[:, level]])
        terms = _product(self.cross, contexts)
        terms += bias[:, None]
        return terms

    def predict(self, contexts: NDArray[np.float64], cross: NDArray[np.float64]) -> Predictions:
        """Distributions of symbols.

        Args:
            contexts: symbols of their own grid, shape (spatial, symbols).
            cross: `cross_terms` of the cell of each symbol, shape (units + 2, symbols).
        """
        first = _product(self.own, contexts)
        first += cross
        hidden, skip = first[: self.units], first[self.units :]
        np.maximum(hidden, 0.0, out=hidden)
        np.minimum(hidden, _HIDDEN_MAX, out=hidden)
        hidden = _product(self.second, hidden)
        hidden += self.second_bias
        np.floor(hidden, out=hidden)
        np.maximum(hidden, 0.0, out=hidden)
        np.minimum(hidden, _HIDDEN_MAX, out=hidden)
        output = _product(self.third, hidden)
        output += skip
        np.floor(output, out=output)
        np.maximum(output, self.lowest, out=output)
        np.minimum(output, self.highest, out=output)
        mean, scale = output.astype(np.int64)
        scale *= FRACTIONS
        scale += mean & (FRACTIONS - 1)
        mean >>= 4
        return Predictions(mean, scale)


def _product(kernel: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Matrix product in parts that the BLAS does not split: shape (rows of the kernel, columns of the values)."""
    most = max(1, _PRODUCT_MAX // kernel.size)
    product = np.empty((len(kernel), values.shape[1]))
    for start in range(0, values.shape[1], most):
        np.matmul(kernel, values[:, start : start + most], out=product[:, start : start + most])
    return product


class _PaddedGrid:
    """A grid surrounded by zeros, as float64 for products, or as int16, which holds all symbols, for less memory."""

    def __init__(self, shape: tuple[int, int], dtype: type[np.number[Any]] = np.float64) -> None:
        self.rows, self.columns = shape
        self.pitch = self.columns + 2 * _MARGIN
        self.values: NDArray[Any] = np.zeros((self.rows + 2 * _MARGIN, self.pitch), dtype)
        self.flat = self.values.ravel()
        self.inner = self.values[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN]

    def distances(self, offsets: NDArray[np.int64]) -> NDArray[np.int64]:
        """Distances in `flat` of offsets (down, right), shape (offsets, 1)."""
        return (offsets[:, :1] * self.pitch + offsets[:, 1:]).astype(np.intp)

    def place(self, row: int, column: int) -> int:
        """Index of a cell in `flat`."""
        return (row + _MARGIN) * self.pitch + column + _MARGIN


class _CoarserGrids:
    """All coarser grids of a level: contexts for each cell of the next one. Missing grids are all zero.

    Each is enlarged to the cells of the next one and surrounded by zeros, so that a context lies at a fixed distance in
    memory from its cell.
    """

    def __init__(self, shape: tuple[int, int], coarser: Sequence[Grid], sides: Sequence[int]) -> None:
        self.rows, self.columns = shape[0] + 1 >> 1, shape[1] + 1 >> 1
        # One row and column more: an enlarged grid may have as many more than the next one.
        planes = [_PaddedGrid((self.rows + 1, self.columns + 1), np.int16) for _ in sides]
        distances = []
        for index, (plane, side) in enumerate(zip(planes, sides, strict=True)):
            scale = 1 << index
            if index < len(coarser):
                enlarged = coarser[index].repeat(scale, axis=0).repeat(scale, axis=1)
                enlarged = enlarged[: plane.rows, : plane.columns]
                plane.inner[: enlarged.shape[0], : enlarged.shape[1]] = enlarged
            offsets = scale * (np.indices((side, side)).reshape(2, -1).T - side // 2)
            distances.append(index * plane.flat.size + plane.distances(offsets))
        self.flat = np.concatenate([plane.flat for plane in planes])
        self.distances = np.concatenate(distances)
        self.pitch, self.place = planes[0].pitch, planes[0].place

    def contexts(self, places: NDArray[np.intp]) -> NDArray[np.float64]:
        """Contexts of the cells at these places, shape (contexts, places)."""
        return self.flat.take(self.distances + places, mode="clip").astype(np.float64)


def wavefronts(shape: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """First row and row after the last of each wavefront x + 2 y = 0, 1, … of a grid.

    All contexts of a symbol lie in earlier wavefronts, so the symbols of one wavefront can be decoded together. In a
    single column every second wavefront is empty.

    Args:
        shape: rows and columns of the grid.

    >>> list(wavefronts((2, 3)))  # wavefront 2: column 2 of row 0, column 0 of row 1
    [(0, 1), (0, 1), (0, 2), (1, 2), (1, 2)]
    """
    rows, columns = shape
    for wavefront in range(columns + 2 * rows - 2):
        yield max(0, wavefront - columns + 2 >> 1), min(rows, (wavefront >> 1) + 1)


def decode_grid(
    model: ContextModel,
    level: int,
    shape: tuple[int, int],
    coarser: Sequence[Grid],
    decode_wavefront: Callable[[Predictions], NDArray[np.int64]],
) -> Grid:
    """Decode a grid wavefront by wavefront, so that all contexts of a symbol are known before it.

    Args:
        model: context model of the pyramid.
        level: of the grid, 0 for the finest.
        shape: rows and columns of the grid.
        coarser: the grids of all coarser levels, the next one first.
        decode_wavefront: returns the symbols of a wavefront, in rising order of rows, from their distributions.
    """
    grid = _PaddedGrid(shape)
    coarse = _CoarserGrids(shape, coarser, model.cross_sides)
    distances = grid.distances(model.neighbours)
    # Within a wavefront the next symbol lies one row down and two columns to the left.
    step = grid.pitch - 2
    steps = np.arange(shape[0], dtype=np.intp) * step + distances
    coarse_steps = np.arange(coarse.rows, dtype=np.intp) * (coarse.pitch - 2)
    cross = np.empty((model.units + 2, 2 * coarse.rows))
    coarse_wavefronts = wavefronts((coarse.rows, coarse.columns))
    for wavefront, (first, last) in enumerate(wavefronts(shape)):
        if not wavefront & 1:
            # The coarse cell (x >> 1, y >> 1) of a symbol in an even row is in coarse wavefront (x + 2 y) >> 1, that of
            # a symbol in an odd row in the one before: so the previous terms move to the odd rows.
            cross[:, 1::2] = cross[:, ::2]
            top, bottom = next(coarse_wavefronts, (0, 0))
            if top < bottom:
                places = coarse_steps[: bottom - top] + coarse.place(top, (wavefront >> 1) - 2 * top)
                cross[:, 2 * top : 2 * bottom : 2] = model.cross_terms(level, coarse.contexts(places))
        if first == last:
            continue
        start = grid.place(first, wavefront - 2 * first)
        contexts = grid.flat.take(steps[:, : last - first] + start, mode="clip")
        symbols = decode_wavefront(model.predict(contexts, cross[:, first:last]))
        grid.flat[start : start + (last - first - 1) * step + 1 : step] = symbols
    return grid.inner.astype(np.int32)


def predict_grid(model: ContextModel, level: int, grid: Grid, coarser: Sequence[Grid]) -> Predictions:
    """Distributions of all symbols of a known grid, row by row: what an encoder needs.

    Args:
        model: context model of the pyramid.
        level: of the grid, 0 for the finest.
        grid: symbols of the grid.
        coarser: the grids of all coarser levels, the next one first.
    """
    rows, columns = grid.shape
    padded = _PaddedGrid((rows, columns))
    padded.inner[:] = grid
    coarse = _CoarserGrids((rows, columns), coarser, model.cross_sides)
    means, indices = np.empty((2, rows, columns), np.int64)
    distances = padded.distances(model.neighbours)
    band = max(2, _BATCH // columns & ~1)
    for top in range(0, rows, band):
        bottom = min(rows, top + band)
        down, across = np.arange(top + 1 >> 1, bottom + 1 >> 1), np.arange(coarse.columns)
        cells = (coarse.place(0, 0) + down[:, None] * coarse.pitch + across).ravel()
        terms = model.cross_terms(level, coarse.contexts(cells)).reshape(-1, len(down), len(across))
        cross = terms.repeat(2, axis=1).repeat(2, axis=2)[:, : bottom - top, :columns].reshape(len(terms), -1)
        places = padded.place(0, 0) + np.arange(top, bottom)[:, None] * padded.pitch + np.arange(columns)
        predicted = model.predict(padded.flat[distances + places.ravel()], cross)
        means[top:bottom] = predicted.means.reshape(-1, columns)
        indices[top:bottom] = predicted.rows.reshape(-1, columns)
    return Predictions(means.ravel(), indices.ravel())
