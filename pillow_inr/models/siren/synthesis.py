"""The SIREN's forward pass in NumPy: synthesis of pixels from weights. Knows no bits and no training.

All in float32. The pixel grid is evaluated in fixed blocks on threads of this package, so memory stays bounded. A BLAS
that started threads inside each product would compete with them, and its thread count is for the host to set:
therefore matrix products are stacks of tiles that are too small for a BLAS to split.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...imaging.coordinates import Axis, encode_axis
from ...imaging.samples import Samples, Scale
from ...runtime import threads
from .architecture import W0, Architecture

# Points that a thread evaluates at once: 1 MB for a layer of 64 units, which stays in a core's cache.
BLOCK_POINTS = 4096
# Small images are divided into about 64 blocks, so that all threads have work, but into none below 1024 points.
BLOCKS = 64
LEAST_POINTS = 1024
# OpenBLAS computes a product of up to TILE_WORK multiplications on the calling thread. A tile has at most 256 rows and
# at least 32 (16 in the widest layers): with 7 rows a core reaches 44 GFLOP/s, with 32 or more 108 to 126. Wide layers
# are split by columns instead, into multiples of 16.
TILE_WORK = 1 << 18
TILE_ROWS = (16, 32, 256)
TILE_COLUMNS = 16


class Grid(NamedTuple):
    """Where to evaluate the network: the product of two axes of points."""

    across: Axis
    """Points along x, `points` of them for each column of pixels."""
    down: Axis
    """Points along y, `points` of them for each row of pixels."""
    points: int = 1
    """Supersampling factor per axis: each pixel is the mean of `points` x `points` points."""


class _Block(NamedTuple):
    """A rectangle of pixels."""

    left: int
    right: int
    top: int
    bottom: int


def synthesize(architecture: Architecture, weights: Sequence[NDArray[np.float32]], grid: Grid, scale: Scale) -> Samples:
    """Evaluate the network on a grid of points.

    With h_0 the Fourier features of a point (`encode_axis`, x before y), kernels K and biases b,

        h_l = sin(w0 (h_(l-1) K_l + b_l)),  l = 1..depth,  w0 = 30;    output = h_depth K_(depth+1) + b_(depth+1).

    The output is clipped to 0..1 before points are averaged, then mapped to samples.

    Args:
        weights: kernels and biases as `Architecture.shapes` lists them, float32.
        grid: points to evaluate.
        scale: maps normalized samples, 0..1, to the type and range of the image.
    Returns:
        Shape (height, width, channels), of the scale's dtype.
    Source: Sitzmann et al. 2020, section 3; docs/format.md section 5.
    """
    width, height = grid.across.count // grid.points, grid.down.count // grid.points
    pixels: Samples = np.empty((height, width, architecture.channels), scale.dtype)
    layers = _Layers(architecture, weights, scale)
    most = min(max(LEAST_POINTS, width * height * grid.points**2 // BLOCKS), BLOCK_POINTS) // grid.points**2
    blocks = list(_blocks((width, height), most))
    threads.share(blocks, lambda left: layers.fill(pixels, grid, left))
    return pixels


def _blocks(size: tuple[int, int], most: int) -> Iterator[_Block]:
    """Divide the image into blocks of at most max(1, most) pixels, one column of blocks after another."""
    width, height = size
    columns = max(1, min(width, most))
    rows = max(1, most // columns)
    for left in range(0, width, columns):
        for top in range(0, height, rows):
            yield _Block(left, min(left + columns, width), top, min(top + rows, height))


class _Layers:
    """A network prepared for evaluation.

    The factor w0 is multiplied into the weights. Products are stacks of tiles of `tile` rows, each small enough for one
    thread. Wide layers are also split into parts of equally many columns, padded with units that stay zero.
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
        """Fill blocks of `pixels`, shape (height, width, channels), until the iterator ends."""
        shape = (-(-BLOCK_POINTS // self.tile), self.tile, self.units)
        values, spare = np.zeros(shape, np.float32), np.empty(shape, np.float32)
        output = np.empty((*shape[:2], len(self.output[1])), np.float32)
        column_terms: dict[int, NDArray[np.float32]] = {}
        for block in blocks:
            # A point's features are those of its column followed by those of its row, so the first affine map is the
            # sum of a term for each: columns + rows products instead of columns * rows.
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
            normalized = result.reshape(-1, result.shape[-1])[: rows * columns, : pixels.shape[2]]
            np.clip(normalized, 0.0, 1.0, out=normalized)
            means = _means(normalized.reshape(rows, columns, -1), grid.points)
            pixels[block.top : block.bottom, block.left : block.right] = self.scale.to_samples(means)

    def _terms(self, positions: NDArray[np.float64], kernel: NDArray[np.float32]) -> NDArray[np.float32]:
        """Share of one axis in the first layer's affine map, shape (positions, units)."""
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
        """Outputs of points whose first affine map is in `values`; overwrites all three, returns `output`."""
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
    """Rows of a tile, number of parts of a layer of this width, and columns of a part."""
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
    """Pad a kernel with zeros and split its columns: shape (parts, inputs, columns)."""
    padded = np.zeros((inputs, parts * columns), np.float32)
    padded[: kernel.shape[0], : kernel.shape[1]] = kernel
    return np.ascontiguousarray(padded.reshape(inputs, parts, columns).swapaxes(0, 1))


def _padded(bias: NDArray[np.float32], units: int) -> NDArray[np.float32]:
    return np.pad(bias, (0, units - len(bias)))


def _product(values: NDArray[np.float32], kernel: NDArray[np.float32], out: NDArray[np.float32]) -> None:
    """Multiply tiles (tiles, rows, inputs) by a kernel in parts, into `out` (tiles, rows, parts * columns).

    One call for all tiles, since threads wait for the interpreter's lock after each call.
    """
    parts, _, columns = kernel.shape
    np.matmul(values[:, None], kernel, out=out.reshape(*out.shape[:2], parts, columns).swapaxes(1, 2))


def _means(values: NDArray[np.float32], points: int) -> NDArray[np.float32]:
    """Means over squares of `points` x `points` along the first two axes."""
    if points == 1:
        return values
    rows, columns, channels = values.shape
    squares = values.reshape(rows // points, points, columns // points, points, channels)
    means: NDArray[np.float32] = squares.mean(axis=(1, 3))
    return means
