"""The SIREN in NumPy: synthesis of pixels from weights.

Knows no bits and no training. float32 throughout; the pixel grid is evaluated in fixed blocks, on threads of its own,
so that memory stays bounded. A BLAS that started threads inside each product would work against those, and its count
of threads is the host's to set: so products are made as stacks of tiles too small for a BLAS to split.
"""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .architecture import W0, Architecture
from .pixels import encode_axis
from .samples import Samples, Scale

# Points evaluated at once by a thread: 1 MB for a layer of 64 units, which stays in a core's cache.
BLOCK_POINTS = 4096
# Small images are divided into about so many blocks all the same, for the sake of threads, but not into smaller ones.
BLOCKS = 64
LEAST_POINTS = 1024
# Multiplications up to which OpenBLAS makes a product on the calling thread. Tiles of wide layers keep at least so many
# rows and split the columns instead: with 7 rows a core makes 44 GFLOP/s, with 32 or more 108 to 126.
TILE_WORK = 1 << 18
TILE_ROWS = (16, 32, 256)
TILE_COLUMNS = 16
# More threads than this do not pay: memory, at most a few blocks a thread, is bounded with them.
THREADS_MAX = 16


class Grid(NamedTuple):
    """Points of the network's plane, as the product of two axes; each pixel is the mean of `points` x `points`."""

    across: NDArray[np.float64]
    """Positions along x, as `pixels.axis_coordinates` gives them, `points` for each column."""
    down: NDArray[np.float64]
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
    width, height = len(grid.across) // grid.points, len(grid.down) // grid.points
    pixels: Samples = np.empty((height, width, architecture.channels), scale.dtype)
    layers = _Layers(architecture, weights, scale)
    most = min(max(LEAST_POINTS, width * height * grid.points**2 // BLOCKS), BLOCK_POINTS) // grid.points**2
    blocks = list(_blocks((width, height), most))
    threads = min(_cores(), THREADS_MAX, len(blocks))
    # Each thread takes the next block when it is ready for one: a core that is busy with something else holds up none
    # of the others. (An iterator of a list may be shared.)
    left = iter(blocks)
    if threads == 1:
        layers.fill(pixels, grid, left)
    else:
        with ThreadPoolExecutor(threads) as pool:
            for done in [pool.submit(layers.fill, pixels, grid, left) for _ in range(threads)]:
                done.result()
    return pixels


def _cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _blocks(size: tuple[int, int], most: int) -> Iterator[_Block]:
    """The image in blocks of at most `most` pixels, at least one, in reading order within its columns."""
    width, height = size
    columns = max(1, min(width, most))
    rows = max(1, most // columns)
    for left in range(0, width, columns):
        for top in range(0, height, rows):
            yield _Block(left, min(left + columns, width), top, min(top + rows, height))


class _Layers:
    """A network made ready for evaluation: the frequency factor is part of its weights."""

    def __init__(self, architecture: Architecture, weights: Sequence[NDArray[np.float32]], scale: Scale) -> None:
        self.architecture = architecture
        self.scale = scale
        sine = [np.float32(W0) * tensor for tensor in weights[:-2]]
        self.kernel, self.bias = sine[0], sine[1]
        units = len(self.bias)
        least, middle, most = TILE_ROWS
        self.tile = min(TILE_WORK // units**2, most)
        if self.tile < middle:
            self.tile = middle if middle * units * 2 * TILE_COLUMNS <= TILE_WORK else least
        kernels = [*sine[2::2], weights[-2]]
        self.others = list(zip(map(self._columns, kernels), [*sine[3::2], weights[-1]], strict=True))

    def _columns(self, kernel: NDArray[np.float32]) -> list[tuple[slice, NDArray[np.float32]]]:
        """A kernel in parts small enough for tiles, and where they belong."""
        rows, columns = kernel.shape
        most = max(1, TILE_WORK // (self.tile * rows * TILE_COLUMNS))
        sixteens = -(-columns // TILE_COLUMNS)
        count = TILE_COLUMNS * -(-sixteens // -(-sixteens // most))  # parts of like size
        places = [slice(start, min(start + count, columns)) for start in range(0, columns, count)]
        return [(place, np.ascontiguousarray(kernel[:, place])) for place in places]

    def fill(self, pixels: Samples, grid: Grid, blocks: Iterator[_Block]) -> None:
        """Evaluate the network on blocks of `pixels`, shape (height, width, channels), until there are no more."""
        channels = pixels.shape[2]
        units = len(self.bias)
        tile = self.tile
        shape = (-(-BLOCK_POINTS // tile), tile, units)
        values, spare = np.zeros(shape, np.float32), np.empty(shape, np.float32)
        output = np.empty((*shape[:2], channels), np.float32)
        column_terms: dict[int, NDArray[np.float32]] = {}
        features = self.architecture.axis_features
        for block in blocks:
            # The features of a pixel are those of its column beside those of its row, so the first layer's affine map
            # is a sum of one term each: columns + rows products instead of columns * rows.
            if block.left not in column_terms:
                positions = grid.across[block.left * grid.points : block.right * grid.points]
                column_terms = {block.left: self._features(positions) @ self.kernel[:features]}
            across = column_terms[block.left]
            positions = grid.down[block.top * grid.points : block.bottom * grid.points]
            down = self._features(positions) @ self.kernel[features:]
            rows, columns = len(down), len(across)
            used = values.reshape(-1, units)[: rows * columns]
            np.add(across, (down + self.bias)[:, None], out=used.reshape(rows, columns, units))
            tiles = -(-rows * columns // tile)
            result = self._evaluate(values[:tiles], spare[:tiles], output[:tiles])
            colours = result.reshape(-1, channels)[: rows * columns]
            np.clip(colours, 0.0, 1.0, out=colours)
            means = _means(colours.reshape(rows, columns, channels), grid.points)
            pixels[block.top : block.bottom, block.left : block.right] = self.scale.to_samples(means)

    def _features(self, positions: NDArray[np.float64]) -> NDArray[np.float32]:
        return encode_axis(positions, self.architecture.frequencies, self.architecture.growth)

    def _evaluate(
        self, values: NDArray[np.float32], spare: NDArray[np.float32], output: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Network values of the pixels whose first affine map is given; overwrites all three, returns `output`."""
        for index, (kernel, bias) in enumerate(self.others):
            np.sin(values, out=values)
            target = output if index == len(self.others) - 1 else spare
            for place, part in kernel:
                np.matmul(values, part, out=target[..., place])
            target += bias
            values, spare = target, values
        return output


def _means(values: NDArray[np.float32], points: int) -> NDArray[np.float32]:
    """Means over squares of `points` x `points` of the first two axes."""
    if points == 1:
        return values
    rows, columns, channels = values.shape
    squares = values.reshape(rows // points, points, columns // points, points, channels)
    means: NDArray[np.float32] = squares.mean(axis=(1, 3))
    return means
