"""The pyramid's synthesis in NumPy: latent grids -> normalized samples. Knows no bits and no training.

All in float32, in blocks on threads of this package, so memory stays bounded. Matrix products are stacks of rows of
pixels, each too small for a BLAS to split (see `siren.synthesis`).
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ...runtime import threads
from .region import Region
from .structure import KERNEL_SIDE, LEVELS, PRESETS, Grid, Preset, Tensors, as_floats

# Pixels of a block. Each level also needs a few cells around it.
BLOCK_ROWS = 64
BLOCK_COLUMNS = 256
# Rows whose hidden units are computed at once: 48 units of 8 rows of a block, 0.4 MB, stay in a core's cache.
_ROWS = 8
# OpenBLAS computes a product of up to this many multiplications on the calling thread (see `siren.synthesis`).
_PRODUCT_MAX = 1 << 18


def synthesize(
    tensors: Tensors,
    grids: Sequence[Grid],
    size: tuple[int, int],
    channels: int,
    preset: int,
    region: Region | None = None,
) -> NDArray[np.float32]:
    """Normalized samples of an image or of a region of it.

    Every latent grid is upsampled, level by level, to the resolution of the finest with symmetric kernels of 8 taps,
    separately along rows and columns; a preset may smooth each grid first, and apply 5x5 kernels to the finest. The
    channels x of a pixel then pass through an MLP with a skip connection, and the result through 3x3 residual
    convolutions (*):

        o = s2 relu(s1 x + s1b) + s2b + ss x
        o = o + relu(r_i * o + r_ib),    i = 0, 1, …; the last one without relu

    Args:
        tensors: integers in units of 2^-synthesis_bits, as `latent_coding.apply` returns them.
        grids: symbols of each latent grid, finest first.
        size: width and height of the image in pixels.
        channels: samples per pixel.
        preset: index into `structure.PRESETS`.
        region: pixels to compute; by default all. Only what it depends on is evaluated.
    Returns:
        float32, shape (rows, columns, channels), not clipped to 0..1, and not finite if a file's weights overflow.
    Source: docs/format.md section 9.7; Cool-chic 5 (Orange), upsampling and synthesis.
    """
    whole = region or Region(0, size[1], 0, size[0])
    values = np.empty((whole.bottom - whole.top, whole.right - whole.left, channels), np.float32)
    layers = _Layers(as_floats(preset, tensors), grids, PRESETS[preset])

    def fill(blocks: Iterator[Region]) -> None:
        # A file may hold weights that overflow. Its pixels are then meaningless, but that is not an error.
        with np.errstate(over="ignore", invalid="ignore"):
            for block in blocks:
                values[block.within(whole)] = layers.evaluate(block).swapaxes(1, 2)

    threads.share(list(_blocks(whole)), fill)
    return values


def last_inputs(
    weights: Mapping[str, NDArray[np.float32]], grids: Sequence[Grid], preset: int, regions: Sequence[Region]
) -> NDArray[np.float32]:
    """What s2, ss and s2b of some regions' pixels are multiplied by: hidden units, features, and ones.

    Args:
        weights: of all tensors, float32.
        grids: symbols of each latent grid, finest first.
        preset: index into `structure.PRESETS`.
        regions: pixels, also beyond the image's edges; all of one shape.
    Returns:
        Shape (units + features + 1, regions, rows, columns).
    """
    layers = _Layers(weights, grids, PRESETS[preset])

    def inputs(region: Region) -> NDArray[np.float32]:
        features = layers._features(region)
        hidden = np.maximum(_product(layers.first, features), 0.0)
        return np.moveaxis(np.concatenate([hidden, features], axis=1), 1, 0)

    return np.stack([inputs(region) for region in regions], 1)


def _blocks(whole: Region) -> Iterator[Region]:
    for top in range(whole.top, whole.bottom, BLOCK_ROWS):
        for left in range(whole.left, whole.right, BLOCK_COLUMNS):
            yield Region(top, min(top + BLOCK_ROWS, whole.bottom), left, min(left + BLOCK_COLUMNS, whole.right))


class _Layers:
    """A pyramid prepared for evaluation.

    Blocks have the shape (rows, channels, columns), so that a product is a stack of one for each row. The MLP's biases
    are one more column of its weights, for a channel of ones.
    """

    def __init__(self, weights: Mapping[str, NDArray[np.float32]], grids: Sequence[Grid], preset: Preset) -> None:
        self.grids = grids
        self.preset = preset
        self.upsampling = weights["up"]
        self.smoothing = weights.get("pf")
        self.kernels = weights.get("kf")
        self.first = _with_bias(weights["s1"], weights["s1b"])
        self.second = weights["s2"]
        self.skip = _with_bias(weights["ss"], weights["s2b"])
        self.residual_convolutions = [
            (weights[f"r{index}"], weights[f"r{index}b"]) for index in range(preset.residual_convolutions)
        ]

    def evaluate(self, block: Region) -> NDArray[np.float32]:
        """Normalized samples of a block of pixels, shape (rows, channels, columns)."""
        features = self._features(block.grown(len(self.residual_convolutions)))
        values: NDArray[np.float32] = np.empty((len(features), len(self.second), features.shape[2]), np.float32)
        for top in range(0, len(features), _ROWS):
            rows = features[top : top + _ROWS]
            hidden = _product(self.first, rows)
            np.maximum(hidden, 0.0, out=hidden)
            values[top : top + _ROWS] = _product(self.second, hidden)
        values += _product(self.skip, features)
        for index, (kernel, bias) in enumerate(self.residual_convolutions):
            residual = _product(kernel, _patches(values, 3))
            residual += bias[:, None]
            if index + 1 < len(self.residual_convolutions):
                np.maximum(residual, 0.0, out=residual)
            residual += values[1:-1, :, 1:-1]
            values = residual
        return values

    def _features(self, region: Region) -> NDArray[np.float32]:
        """All grids upsampled to the finest resolution, and ones: shape (rows, features + 1, columns)."""
        regions = [region]
        for _ in range(LEVELS - 1):
            regions.append(regions[-1].coarser())
        values = self._own(LEVELS - 1, regions[-1])[:, None]
        for level in reversed(range(LEVELS - 1)):
            kernel, wanted = self.upsampling[level], regions[level]
            rows, columns = wanted.shape
            channels = values.shape[1]
            further = self.preset.kernels + 1 if level == 0 else 0
            finer = np.empty((rows, 1 + channels + further, columns), np.float32)
            finer[:, 0] = self._own(level, wanted)
            wider = _upsampled(values, kernel, 2)[:, :, wanted.left & 1 :][:, :, :columns]
            finer[:, 1 : 1 + channels] = _upsampled(wider, kernel, 0)[wanted.top & 1 :][:rows]
            values = finer
        if self.kernels is not None:
            finest = _extended(self.grids[0], region.grown(KERNEL_SIDE // 2))[:, None]
            values[:, LEVELS:-1] = _product(self.kernels, _patches(finest, KERNEL_SIDE))
        values[:, -1] = 1.0
        return values

    def _own(self, level: int, region: Region) -> NDArray[np.float32]:
        """A region of a grid, smoothed if the preset does so, shape (rows, columns)."""
        if self.smoothing is None:
            return _extended(self.grids[level], region)
        taps = self.smoothing[level]
        return _smoothed(_smoothed(_extended(self.grids[level], region.grown(len(taps) - 1)), taps).T, taps).T


def _product(kernel: NDArray[np.float32], values: NDArray[np.float32]) -> NDArray[np.float32]:
    """A kernel times each of a stack of rows (rows, channels, columns), in parts that the BLAS does not split."""
    columns = values.shape[2]
    most = max(1, _PRODUCT_MAX // kernel.size)
    if columns <= most:
        return kernel @ values
    product = np.empty((len(values), len(kernel), columns), np.float32)
    for start in range(0, columns, most):
        np.matmul(kernel, values[:, :, start : start + most], out=product[:, :, start : start + most])
    return product


def _with_bias(kernel: NDArray[np.float32], bias: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.concatenate([kernel, bias[:, None]], axis=1)


def _extended(grid: Grid, region: Region) -> NDArray[np.float32]:
    """A region of a grid; beyond the edges of the grid their cells are repeated."""
    rows = np.arange(region.top, region.bottom).clip(0, grid.shape[0] - 1)
    columns = np.arange(region.left, region.right).clip(0, grid.shape[1] - 1)
    extended: NDArray[np.float32] = grid[rows[:, None], columns].astype(np.float32)
    return extended


def _upsampled(values: NDArray[np.float32], kernel: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    """Upsample by 2 along an axis; two cells at each end are only neighbours of the others.

    out[2 m]     = w0 x[m - 2] + w1 x[m - 1] + w2 x[m] + w3 x[m + 1]
    out[2 m + 1] = w3 x[m - 1] + w2 x[m] + w1 x[m + 1] + w0 x[m + 2]
    """
    count = values.shape[axis] - 4
    moved = np.moveaxis(values, axis, 0)
    taps = [moved[start : start + count] for start in range(5)]
    shape = list(values.shape)
    shape[axis] = 2 * count
    upsampled = np.empty(shape, np.float32)
    target = np.moveaxis(upsampled, axis, 0)
    w0, w1, w2, w3 = kernel
    target[::2] = w0 * taps[0] + w1 * taps[1] + w2 * taps[2] + w3 * taps[3]
    target[1::2] = w3 * taps[1] + w2 * taps[2] + w1 * taps[3] + w0 * taps[4]
    return upsampled


def _smoothed(values: NDArray[np.float32], taps: NDArray[np.float32]) -> NDArray[np.float32]:
    """Filter along the first axis: out[m] = w0 x[m] + w1 (x[m - 1] + x[m + 1]) + …; as many cells less at each end."""
    reach = len(taps) - 1
    count = len(values) - 2 * reach
    smoothed: NDArray[np.float32] = taps[0] * values[reach : reach + count]
    for away in range(1, reach + 1):
        before, behind = reach - away, reach + away
        smoothed += taps[away] * (values[before : before + count] + values[behind : behind + count])
    return smoothed


def _patches(values: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """The neighbourhood of each inner pixel, shape (rows - side + 1, side^2 * channels, columns - side + 1)."""
    rows, channels, columns = values.shape
    rows, columns = rows - side + 1, columns - side + 1
    patches = np.empty((rows, side**2, channels, columns), np.float32)
    for down in range(side):
        for right in range(side):
            patches[:, side * down + right] = values[down : down + rows, :, right : right + columns]
    return patches.reshape(rows, side**2 * channels, columns)
