"""The SIREN in NumPy: synthesis of pixels from weights.

Knows no bits and no training. float32 throughout; the pixel grid is evaluated in fixed blocks, on threads of its own,
so that memory stays bounded. A BLAS that started threads inside each product would work against those, and its count
of threads is the host's to set: so products are made as stacks of tiles too small for a BLAS to split.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...imaging.coordinates import Axis, encode_axis
from ...imaging.samples import Samples, Scale
from ...runtime import threads
from .architecture import W0, Architecture

# Points evaluated at once by a thread: 1 MB for a layer of 64 units, which stays in a core's cache.
BLOCK_POINTS = 4096
# Small images are divided into about so many blocks all the same, for the sake of threads, but not into smaller ones.
BLOCKS = 64
LEAST_POINTS = 1024
# Multiplications up to which OpenBLAS makes a product on the calling thread. Tiles of wide layers keep at least so many
# rows (16 only in the widest) and split the columns, into multiples of 16, instead: with 7 rows a core makes 44
# GFLOP/s, with 32 or more 108 to 126.
TILE_WORK = 1 << 18
TILE_ROWS = (16, 32, 256)
TILE_COLUMNS = 16


class Grid(NamedTuple):
    """Points of the network's plane, as the product of two axes; each pixel is the mean of `points` x `points`."""

    across: Axis
    """Points along x, `points` for each column."""
    down: Axis
    """The same along y."""
    points: int = 1


class _Block(NamedTuple):
    """A rectangle of pixels."""

    left: int
    right: int
    top: int
    bottom: int


def synthesize(architecture: Architecture, weights: Sequence[NDArray[np.float32]], grid: Grid, scale: Scale) -> Samples:
    """Evaluate the network on a grid.

    Args:
        weights: kernels and biases as `Architecture.shapes` lists them, float32.
        scale: what makes samples of network values, which are limited to 0..1 first.
    Returns:
        Shape (height, width, channels), of the scale's type.
    Source: docs/format.md section 5.
    """
    width, height = grid.across.count // grid.points, grid.down.count // grid.points
    pixels: Samples = np.empty((height, width, architecture.channels), scale.dtype)
    layers = _Layers(architecture, weights, scale)
    most = min(max(LEAST_POINTS, width * height * grid.points**2 // BLOCKS), BLOCK_POINTS) // grid.points**2
    blocks = list(_blocks((width, height), most))
    threads.share(blocks, lambda left: layers.fill(pixels, grid, left))
    return pixels


def _blocks(size: tuple[int, int], most: int) -> Iterator[_Block]:
    """The image in blocks of at most `most` pixels, at least one, in reading order within its columns."""
    width, height = size
    columns = max(1, min(width, most))
    rows = max(1, most // columns)
    for left in range(0, width, columns):
        for top in range(0, height, rows):
            yield _Block(left, min(left + columns, width), top, min(top + rows, height))


class _Layers:
    """A network made ready for evaluation.

    The frequency factor is part of its weights. Its products are made as stacks of tiles, each small enough for one
    thread: of `tile` rows and, in wide layers, of parts of the columns, for which layers are padded with units that
    stay zero.
    """

    def __init__(self, architecture: Architecture, weights: Sequence[NDArray[np.float32]], scale: Scale) -> None:
        self.architecture = architecture
        self.scale = scale
        self.tile, parts, columns = _tiling(architecture.width)
        self.units = parts * columns
        sine = [np.float32(W0) * tensor for tensor in weights[:-2]]
        split = architecture.axis_features
        first = sine[0]
        self.across, self.down = (_in_parts(half, len(half), parts, columns) for half in (first[:split], first[split:]))
        self.bias = _padded(sine[1], self.units)
        self.hidden = [
            (_in_parts(kernel, self.units, parts, columns), _padded(bias, self.units))
            for kernel, bias in zip(sine[2::2], sine[3::2], strict=True)
        ]
        fitting = max(1, TILE_WORK // (self.tile * self.units))
        parts = -(-architecture.channels // fitting)
        columns = -(-architecture.channels // parts)
        self.output = _in_parts(weights[-2], self.units, parts, columns), _padded(weights[-1], parts * columns)

    def fill(self, pixels: Samples, grid: Grid, blocks: Iterator[_Block]) -> None:
        """Evaluate the network on blocks of `pixels`, shape (height, width, channels), until there are no more."""
        shape = (-(-BLOCK_POINTS // self.tile), self.tile, self.units)
        values, spare = np.zeros(shape, np.float32), np.empty(shape, np.float32)
        output = np.empty((*shape[:2], len(self.output[1])), np.float32)
        column_terms: dict[int, NDArray[np.float32]] = {}
        for block in blocks:
            # The features of a pixel are those of its column beside those of its row, so the first layer's affine map
            # is a sum of one term each: columns + rows products instead of columns * rows.
            if block.left not in column_terms:
                positions = grid.across.positions(block.left * grid.points, block.right * grid.points)
                column_terms = {block.left: self._terms(positions, self.across)}
            across = column_terms[block.left]
            down = self._terms(grid.down.positions(block.top * grid.points, block.bottom * grid.points), self.down)
            rows, columns = len(down), len(across)
            used = values.reshape(-1, self.units)[: rows * columns]
            np.add(across, (down + self.bias)[:, None], out=used.reshape(rows, columns, self.units))
            tiles = -(-rows * columns // self.tile)
            result = self._evaluate(values[:tiles], spare[:tiles], output[:tiles])
            colours = result.reshape(-1, result.shape[-1])[: rows * columns, : pixels.shape[2]]
            np.clip(colours, 0.0, 1.0, out=colours)
            means = _means(colours.reshape(rows, columns, -1), grid.points)
            pixels[block.top : block.bottom, block.left : block.right] = self.scale.to_samples(means)

    def _terms(self, positions: NDArray[np.float64], kernel: NDArray[np.float32]) -> NDArray[np.float32]:
        """What the positions along one axis add to the first layer, shape (positions, units)."""
        features = encode_axis(positions, self.architecture.frequencies, self.architecture.frequency_ratio)
        tiles = -(-len(features) // self.tile)
        padded = np.zeros((tiles, self.tile, features.shape[1]), np.float32)
        padded.reshape(-1, features.shape[1])[: len(features)] = features
        terms = np.empty((tiles, self.tile, self.units), np.float32)
        _product(padded, kernel, terms)
        return terms.reshape(-1, self.units)[: len(features)]

    def _evaluate(
        self, values: NDArray[np.float32], spare: NDArray[np.float32], output: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Network values of the points whose first affine map is given; overwrites all three, returns `output`."""
        for kernel, bias in self.hidden:
            np.sin(values, out=values)
            _product(values, kernel, spare)
            spare += bias
            values, spare = spare, values
        np.sin(values, out=values)
        kernel, bias = self.output
        _product(values, kernel, output)
        output += bias
        return output


def _tiling(width: int) -> tuple[int, int, int]:
    """Rows of a tile, parts of a layer of this width, and the columns of each."""
    rows = min(TILE_WORK // width**2, TILE_ROWS[2])
    if rows >= TILE_ROWS[1]:
        return rows, 1, width
    rows = TILE_ROWS[1] if width <= TILE_WORK // (TILE_ROWS[1] * 2 * TILE_COLUMNS) else TILE_ROWS[0]
    parts = 1
    while True:
        columns = TILE_COLUMNS * -(-width // (parts * TILE_COLUMNS))
        if rows * parts * columns * columns <= TILE_WORK:
            return rows, parts, columns
        parts += 1


def _in_parts(kernel: NDArray[np.float32], inputs: int, parts: int, columns: int) -> NDArray[np.float32]:
    """A kernel, padded with zeros, in parts: shape (parts, inputs, columns)."""
    padded = np.zeros((inputs, parts * columns), np.float32)
    padded[: kernel.shape[0], : kernel.shape[1]] = kernel
    return np.ascontiguousarray(padded.reshape(inputs, parts, columns).swapaxes(0, 1))


def _padded(bias: NDArray[np.float32], units: int) -> NDArray[np.float32]:
    return np.pad(bias, (0, units - len(bias)))


def _product(values: NDArray[np.float32], kernel: NDArray[np.float32], out: NDArray[np.float32]) -> None:
    """Stack of tiles (tiles, rows, inputs) times a kernel in parts, into shape (tiles, rows, parts * columns).

    In one call: threads wait for the interpreter's lock after each.
    """
    parts, _, columns = kernel.shape
    np.matmul(values[:, None], kernel, out=out.reshape(*out.shape[:2], parts, columns).swapaxes(1, 2))


def _means(values: NDArray[np.float32], points: int) -> NDArray[np.float32]:
    """Means over squares of `points` x `points` of the first two axes."""
    if points == 1:
        return values
    rows, columns, channels = values.shape
    squares = values.reshape(rows // points, points, columns // points, points, channels)
    means: NDArray[np.float32] = squares.mean(axis=(1, 3))
    return means
