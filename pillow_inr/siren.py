"""The SIREN in NumPy: synthesis of pixels from weights.

Knows no bits and no training. float32 throughout; the pixel grid is evaluated in fixed blocks, so that memory stays
bounded. The matrix products run on NumPy's own threads. Threads of ours beside them cost 25 % (they would pay only
with the BLAS held to one thread, a setting of the host's that a plugin must not touch).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .architecture import W0, Architecture
from .pixels import axis_coordinates, encode_axis, to_levels

# Pixels evaluated at once. A tenth costs 15 to 40 % in calls, four times as many 20 % in cache misses.
BLOCK_PIXELS = 16384


def synthesize(
    architecture: Architecture, weights: Sequence[NDArray[np.float32]], size: tuple[int, int]
) -> NDArray[np.uint8]:
    """Evaluate the network on the pixel grid of an image.

    Args:
        weights: kernels and biases as `Architecture.shapes` lists them, float32.
        size: image width and height in pixels.
    Returns:
        uint8, shape (height, width, channels).
    Source: docs/format.md section 5.
    """
    width, height = size
    pixels = np.empty((height, width, architecture.channels), np.uint8)
    across, down = _first_layer(architecture, weights, size)
    columns = min(width, BLOCK_PIXELS)
    rows = max(1, BLOCK_PIXELS // width)
    for top in range(0, height, rows):
        for left in range(0, width, columns):
            block = slice(top, top + rows), slice(left, left + columns)
            pixels[block] = to_levels(_evaluate(weights, across[block[1]] + down[block[0], None]))
    return pixels


def _first_layer(
    architecture: Architecture, weights: Sequence[NDArray[np.float32]], size: tuple[int, int]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The first layer's affine map, split into a column term (width, units) and a row term (height, units).

    The features of a pixel are those of its column beside those of its row, so its affine map is a sum of one
    term each: width + height products instead of width * height.
    """
    longer = max(size)
    kernel, bias = weights[0], weights[1]
    across, down = (
        encode_axis(axis_coordinates(length, longer), architecture.frequencies, architecture.growth) for length in size
    )
    split = architecture.axis_features
    return across @ kernel[:split], down @ kernel[split:] + bias


def _evaluate(weights: Sequence[NDArray[np.float32]], values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Network values of the pixels whose first affine map is given; overwrites `values`."""
    shape = values.shape[:-1]
    values = values.reshape(-1, values.shape[-1])
    for kernel, bias in zip(weights[2::2], weights[3::2], strict=True):
        values *= W0
        np.sin(values, out=values)
        values = values @ kernel
        values += bias
    return values.reshape(*shape, -1)
