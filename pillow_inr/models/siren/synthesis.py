"""The SIRENs' forward pass in NumPy: synthesis of pixels from weights. Knows no bits and no training.

All in float32. The pixel grid is evaluated in fixed blocks on threads of this package, so memory stays bounded.
"""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...imaging.coordinates import Axis, encode_axis
from ...imaging.samples import Samples, Scale
from ...runtime import threads
from .architecture import Architecture
from .division import Part, blend_weights
from .layout import Layers, layout, product

# Points that a thread evaluates at once: 1 MB for a layer of 64 units, which stays in a core's cache.
BLOCK_POINTS = 4096
# Small images are divided into about 64 blocks, so that all threads have work, but into none below 1024 points.
BLOCKS = 64
LEAST_POINTS = 1024


class Grid(NamedTuple):
    """Where to evaluate the network: the product of two axes of points."""

    across: Axis
    """Points along x, `points` of them for each column of pixels."""
    down: Axis
    """Points along y, `points` of them for each row of pixels."""
    points: int = 1
    """Supersampling factor per axis: each pixel is the mean of `points` x `points` points."""


class Network(NamedTuple):
    """A network, and the part of the image that it shows."""

    part: Part
    weights: Sequence[NDArray[np.float32]]
    """Kernels and biases as `Architecture.shapes` lists them, float32."""


class _Block(NamedTuple):
    """A rectangle of pixels."""

    left: int
    right: int
    top: int
    bottom: int


def synthesize(architecture: Architecture, networks: Sequence[Network], grid: Grid, scale: Scale) -> Samples:
    """Evaluate the networks on a grid of points.

    With h_0 the Fourier features of a point (`encode_axis`, x before y), kernels K and biases b,

        h_l = sin(w0 (h_(l-1) K_l + b_l)),  l = 1..depth,  w0 = 30;    output = h_depth K_(depth+1) + b_(depth+1).

    Where parts overlap, the output is the mean of their networks' by `division.blend_weights`. It is clipped to 0..1
    before points are averaged, then mapped to samples.

    Args:
        networks: of all parts of the image.
        grid: points to evaluate.
        scale: maps normalized samples, 0..1, to the type and range of the image.
    Returns:
        Shape (height, width, channels), of the scale's dtype.
    Source: Sitzmann et al. 2020, section 3; docs/format.md sections 5 and 11.
    """
    width, height = grid.across.count // grid.points, grid.down.count // grid.points
    pixels: Samples = np.empty((height, width, architecture.channels), scale.dtype)
    painter = _Painter(architecture, networks, grid, scale)
    most = min(max(LEAST_POINTS, width * height * grid.points**2 // BLOCKS), BLOCK_POINTS) // grid.points**2
    # A row of pixels would cross many parts, each for a few points; a square meets few.
    blocks = list(_blocks((width, height), most, most if len(networks) == 1 else math.isqrt(most)))
    threads.share(blocks, lambda left: painter.fill(pixels, left))
    return pixels


def _blocks(size: tuple[int, int], most: int, widest: int) -> Iterator[_Block]:
    """Divide the image into blocks of at most max(1, most) pixels, one column of blocks after another."""
    width, height = size
    columns = max(1, min(width, widest))
    rows = max(1, most // columns)
    for left in range(0, width, columns):
        for top in range(0, height, rows):
            yield _Block(left, min(left + columns, width), top, min(top + rows, height))


class _Painter:
    """Evaluates the networks on a grid, block by block."""

    def __init__(self, architecture: Architecture, networks: Sequence[Network], grid: Grid, scale: Scale) -> None:
        self.architecture = architecture
        self.networks = networks
        self.grid = grid
        self.scale = scale
        # First column and row of points of each network's support, and those after its last; shape (networks, 2).
        self.first, self.last = (
            np.array(
                [[_points_before(axis, edge) for axis, edge in _edges(network.part, grid, at)] for network in networks]
            )
            for at in (0, 2)
        )
        self.layers: list[Layers | None] = [None] * len(networks)

    def fill(self, pixels: Samples, blocks: Iterator[_Block]) -> None:
        """Fill blocks of `pixels`, shape (height, width, channels), until the iterator ends."""
        evaluator = _Evaluator(self.architecture)
        points = self.grid.points
        for block in blocks:
            left, right, top, bottom = (points * edge for edge in block)
            normalized = self._blended((left, top), (right, bottom), evaluator)
            np.clip(normalized, 0.0, 1.0, out=normalized)
            means = _means(normalized, points)
            pixels[block.top : block.bottom, block.left : block.right] = self.scale.to_samples(means)

    def _blended(self, first: tuple[int, int], last: tuple[int, int], evaluator: "_Evaluator") -> NDArray[np.float32]:
        """Outputs at the points from column and row `first` to before `last`; shape (rows, columns, channels)."""
        starts, stops = np.maximum(self.first, first), np.minimum(self.last, last)
        met = np.flatnonzero((starts < stops).all(axis=1)).tolist()
        if len(met) == 1:  # its weights are 1 then
            return self._outputs(met[0], first, last, evaluator)
        total = np.zeros((last[1] - first[1], last[0] - first[0], self.architecture.channels), np.float32)
        for index in met:
            (left, top), (right, bottom) = starts[index].tolist(), stops[index].tolist()
            values = self._outputs(index, (left, top), (right, bottom), evaluator)
            part = self.networks[index].part
            across = blend_weights(part.edges(0), self.grid.across.centres(left, right))
            down = blend_weights(part.edges(1), self.grid.down.centres(top, bottom))
            if across is not None:
                values *= across.astype(np.float32)[:, None]
            if down is not None:
                values *= down.astype(np.float32)[:, None, None]
            total[top - first[1] : bottom - first[1], left - first[0] : right - first[0]] += values
        return total

    def _outputs(
        self, index: int, first: tuple[int, int], last: tuple[int, int], evaluator: "_Evaluator"
    ) -> NDArray[np.float32]:
        """Outputs of one network, as `_blended`; they hold until the next call."""
        layers = self.layers[index]
        if layers is None:  # two threads may both make them: that does no harm
            layers = self.layers[index] = Layers(self.architecture, self.networks[index].weights)
        across, down = self.networks[index].part.axes(self.grid.across, self.grid.down)
        return evaluator.evaluate(
            layers, (index, first[0]), across.positions(first[0], last[0]), down.positions(first[1], last[1])
        )


def _edges(part: Part, grid: Grid, at: int) -> list[tuple[Axis, int]]:
    """The axes, each with the lower (0) or upper (2) edge of a part's support along it."""
    return [(axis, part.support[at + index]) for index, axis in enumerate((grid.across, grid.down))]


def _points_before(axis: Axis, edge: float) -> int:
    """Number of an axis's centres that lie before an edge, in pixels from the image's edge."""
    cell = (axis.stop - axis.start) / axis.count
    return min(max(math.ceil((edge - axis.start) / cell - 0.5), 0), axis.count)


class _Evaluator:
    """Evaluates networks of one architecture on blocks of points, in memory that it keeps."""

    def __init__(self, architecture: Architecture) -> None:
        self.architecture = architecture
        self.tile, _, self.units = layout(architecture)
        self.tiles = -(-BLOCK_POINTS // self.tile)
        self.buffers = [np.zeros(self.tiles * self.tile * max(self.units), np.float32) for _ in range(2)]
        self.column_terms: dict[tuple[int, int], NDArray[np.float32]] = {}

    def evaluate(
        self, layers: Layers, key: tuple[int, int], x: NDArray[np.float64], y: NDArray[np.float64]
    ) -> NDArray[np.float32]:
        """Outputs at the product of two axes' positions, shape (rows, columns, channels).

        Args:
            key: network and column of the first position along x; the columns' terms are kept for the next rows.
        """
        # A point's features are those of its column followed by those of its row, so the first affine map is the
        # sum of a term for each: columns + rows products instead of columns * rows.
        across = self.column_terms.get(key)
        if across is None or len(across) != len(x):
            across = self._terms(x, layers.across)
            self.column_terms = {key: across}
        down = self._terms(y, layers.down)
        rows, columns = len(down), len(across)
        used = self._buffer(0, self.tiles, self.units[0]).reshape(-1, self.units[0])[: rows * columns]
        np.add(across, (down + layers.bias)[:, None], out=used.reshape(rows, columns, self.units[0]))
        result = self._propagated(layers, -(-rows * columns // self.tile))
        return result.reshape(-1, result.shape[-1])[: rows * columns, : self.architecture.channels].reshape(
            rows, columns, -1
        )

    def _buffer(self, number: int, tiles: int, units: int) -> NDArray[np.float32]:
        return self.buffers[number][: tiles * self.tile * units].reshape(tiles, self.tile, units)

    def _terms(self, positions: NDArray[np.float64], kernel: NDArray[np.float32]) -> NDArray[np.float32]:
        """Share of one axis in the first layer's affine map, shape (positions, units)."""
        features = encode_axis(positions, self.architecture.frequencies, self.architecture.frequency_ratio)
        tiles = -(-len(features) // self.tile)
        padded = np.zeros((tiles, self.tile, features.shape[1]), np.float32)
        padded.reshape(-1, features.shape[1])[: len(features)] = features
        terms = np.empty((tiles, self.tile, self.units[0]), np.float32)
        product(padded, kernel, terms)
        return terms.reshape(-1, self.units[0])[: len(features)]

    def _propagated(self, layers: Layers, tiles: int) -> NDArray[np.float32]:
        """Outputs of points whose first affine map is in the first buffer; shape (tiles, tile, outputs)."""
        values = self._buffer(0, tiles, self.units[0])
        for number, (kernel, bias) in enumerate(layers.hidden, 1):
            np.sin(values, out=values)
            following = self._buffer(number % 2, tiles, self.units[number])
            product(values, kernel, following)
            following += bias
            values = following
        np.sin(values, out=values)
        kernel, bias = layers.output
        output = np.empty((tiles, self.tile, len(bias)), np.float32)
        product(values, kernel, output)
        output += bias
        return output


def _means(values: NDArray[np.float32], points: int) -> NDArray[np.float32]:
    """Means over squares of `points` x `points` along the first two axes."""
    if points == 1:
        return values
    rows, columns, channels = values.shape
    squares = values.reshape(rows // points, points, columns // points, points, channels)
    means: NDArray[np.float32] = squares.mean(axis=(1, 3))
    return means
