"""Lays a SIREN's weights out for evaluation: products as stacks of small tiles, wide layers in parts.

A BLAS that started threads inside each product would compete with the threads that evaluate blocks of pixels, and its
thread count is for the host to set: therefore no tile is large enough for a BLAS to split.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .architecture import W0, Architecture

# OpenBLAS computes a product of up to TILE_WORK multiplications on the calling thread. A tile has at most 256 rows and
# at least 32 (16 in the widest layers): with 7 rows a core reaches 44 GFLOP/s, with 32 or more 108 to 126. Wide layers
# are split by columns instead, into multiples of 16.
TILE_WORK = 1 << 18
TILE_ROWS = (16, 32, 256)
TILE_COLUMNS = 16


class Layers:
    """A network prepared for evaluation.

    The factor w0 is multiplied into the weights. Products are stacks of tiles of `tile` rows, each small enough for one
    thread. Wide layers are also split into parts of equally many columns, padded with units that stay zero.
    """

    def __init__(self, architecture: Architecture, weights: Sequence[NDArray[np.float32]]) -> None:
        tile, parts, units = layout(architecture)
        sine = [np.float32(W0) * tensor for tensor in weights[:-2]]
        split = architecture.axis_features
        self.across, self.down = (
            _in_parts(half, len(half), parts[0], units[0] // parts[0]) for half in (sine[0][:split], sine[0][split:])
        )
        self.bias = _padded(sine[1], units[0])
        self.hidden = [
            (_in_parts(kernel, inputs, count, outputs // count), _padded(bias, outputs))
            for kernel, bias, inputs, outputs, count in zip(
                sine[2::2], sine[3::2], units[:-1], units[1:], parts[1:], strict=True
            )
        ]
        fitting = max(1, TILE_WORK // (tile * units[-1]))
        count = -(-architecture.channels // fitting)
        columns = -(-architecture.channels // count)
        self.output = _in_parts(weights[-2], units[-1], count, columns), _padded(weights[-1], count * columns)


def layout(architecture: Architecture) -> tuple[int, list[int], list[int]]:
    """Rows of a tile; of each sine layer the number of parts, and its units with the padding."""
    widest = architecture.width
    tile = min(TILE_WORK // widest**2, TILE_ROWS[2])
    if tile < TILE_ROWS[1]:
        tile = TILE_ROWS[1] if widest <= TILE_WORK // (TILE_ROWS[1] * 2 * TILE_COLUMNS) else TILE_ROWS[0]
    parts, units = [], [1]
    for width in architecture.widths:
        count, columns = _split(tile, units[-1], width)
        parts.append(count)
        units.append(count * columns)
    return tile, parts, units[1:]


def _split(tile: int, inputs: int, outputs: int) -> tuple[int, int]:
    """Number of parts into which a layer's columns are split, and the columns of each."""
    parts, columns = 1, outputs
    while tile * max(inputs, parts * columns) * columns > TILE_WORK:
        parts += 1
        columns = TILE_COLUMNS * -(-outputs // (parts * TILE_COLUMNS))
    return parts, columns


def _in_parts(kernel: NDArray[np.float32], inputs: int, parts: int, columns: int) -> NDArray[np.float32]:
    """Pad a kernel with zeros and split its columns: shape (parts, inputs, columns)."""
    padded = np.zeros((inputs, parts * columns), np.float32)
    padded[: kernel.shape[0], : kernel.shape[1]] = kernel
    return np.ascontiguousarray(padded.reshape(inputs, parts, columns).swapaxes(0, 1))


def _padded(bias: NDArray[np.float32], units: int) -> NDArray[np.float32]:
    return np.pad(bias, (0, units - len(bias)))


def product(values: NDArray[np.float32], kernel: NDArray[np.float32], out: NDArray[np.float32]) -> None:
    """Multiply tiles (tiles, rows, inputs) by a kernel in parts, into `out` (tiles, rows, parts * columns).

    One call for all tiles, since threads wait for the interpreter's lock after each call.
    """
    parts, _, columns = kernel.shape
    np.matmul(values[:, None], kernel, out=out.reshape(*out.shape[:2], parts, columns).swapaxes(1, 2))
