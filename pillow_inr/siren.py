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
    kernel, bias = weights[0], weights[1]
    features = architecture.axis_features
    pixels = np.empty((height, width, architecture.channels), np.uint8)
    columns = min(width, BLOCK_PIXELS)
    rows = max(1, BLOCK_PIXELS // columns)
    for left in range(0, width, columns):
        # The features of a pixel are those of its column beside those of its row, so the first layer's affine map is
        # a sum of one term each: columns + rows products instead of columns * rows.
        across = _axis_features(architecture, range(left, min(left + columns, width)), width, size) @ kernel[:features]
        for top in range(0, height, rows):
            block = range(top, min(top + rows, height))
            down = _axis_features(architecture, block, height, size) @ kernel[features:] + bias
            values = _evaluate(weights, across + down[:, None])
            pixels[top : block.stop, left : left + columns] = to_levels(values)
    return pixels


def _axis_features(
    architecture: Architecture, indices: range, length: int, size: tuple[int, int]
) -> NDArray[np.float32]:
    positions = axis_coordinates(length, max(size), indices)
    return encode_axis(positions, architecture.frequencies, architecture.growth)


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
