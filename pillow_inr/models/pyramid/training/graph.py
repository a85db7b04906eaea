"""The pyramid's synthesis and rate on one tile of an image, as TensorFlow graphs that XLA compiles.

A tile stays in a core's cache, and all images have tiles of one shape, so that this compiles once. Weights are floats
here; `context` and `synthesis` compute the same functions from integers, and tests compare the two.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from ..structure import CROSS_CONTEXTS, LEVELS, NEIGHBOURS, Preset

# Side of a tile in pixels, a multiple of 2^(LEVELS - 1): its values fit into a core's second-level cache.
TILE = 128
# Cells of a grid beyond a tile's edge that contexts and upsampling read.
MARGIN = 4
# log of the Laplace scale b, as in the file's frequency tables (docs/format.md section 9).
LOG_SCALE_RANGE = (-4.0, 5.0)
# A symbol takes at most 16 bits in the estimate: the file's escapes take about as many.
PROBABILITY_MIN = 2.0**-16

Tensors = Mapping[str, Any]


def patch_cells(tile: int, level: int) -> int:
    """Side of a tile with the margin around it, in cells of a grid."""
    return (tile >> level) + 2 * MARGIN


def inside(tile: int, place: tf.Tensor, size: tf.Tensor, level: int, margin: int = MARGIN) -> tf.Tensor:
    """Mask of a tile's cells and its margin: 1 for cells of the image's grid, 0 for those beyond its edges.

    Args:
        tile: its side in pixels.
        place: row and column of the tile's first pixel, shape (2,), int32.
        size: height and width of the image in pixels, shape (2,), int32.
        level: of the grid, 0 for the finest.
    Returns:
        float32, shape (side, side), side = tile / 2^level + 2 * margin.
    """
    at = tf.range(-margin, (tile >> level) + margin) + (place // 2**level)[:, None]
    within = tf.cast((at >= 0) & (at < -(-size // 2**level)[:, None]), tf.float32)
    return within[0][:, None] * within[1]


def synthesize(preset: Preset, weights: Tensors, patches: Sequence[tf.Tensor]) -> tf.Tensor:
    """Normalized samples of a tile, shape (channels, its pixels), float32.

    Args:
        weights: as `structure.shapes` lists them, float32.
        patches: for each grid, finest first, symbols of the tile and MARGIN cells around it, shape (side, side); cells
            beyond the image's edges repeat those at the edge.
    Source: docs/format.md section 9; Cool-chic 5 (Orange), synthesis and upsampling.
    """
    margin = preset.residual_convolutions
    features = patches[-1][None]
    for level in range(LEVELS - 2, -1, -1):
        kernel = weights["up"][level]
        features = _double(_double(features, kernel, 2), kernel, 1)
        side = _cells(patches[level]) + 2 * (margin if level == 0 else MARGIN)
        features = tf.concat([_centre(patches[level][None], side), _centre(features, side)], 0)
    flat = tf.reshape(features, [LEVELS, -1])
    hidden = tf.nn.relu(weights["s1"] @ flat + weights["s1b"][:, None])
    values = weights["s2"] @ hidden + weights["s2b"][:, None] + weights["ss"] @ flat
    for index in range(preset.residual_convolutions):
        side = _cells(patches[0]) + 2 * (margin - index)
        values = _residual(values, side, weights, index, index + 1 < preset.residual_convolutions)
    return values


def _cells(patch: tf.Tensor) -> int:
    """Side in cells of the tile in a patch."""
    return int(patch.shape[0]) - 2 * MARGIN


def _double(features: tf.Tensor, kernel: tf.Tensor, axis: int) -> tf.Tensor:
    """Upsample by two along an axis with the kernel's five taps, without padding: n cells -> 2 (n - 4)."""
    count = features.shape[axis] - 4
    taps = [features[:, at : at + count] if axis == 1 else features[:, :, at : at + count] for at in range(5)]
    even = taps[0] * kernel[0] + taps[1] * kernel[1] + taps[2] * kernel[2] + taps[3] * kernel[3]
    odd = taps[1] * kernel[3] + taps[2] * kernel[2] + taps[3] * kernel[1] + taps[4] * kernel[0]
    shape = features.shape.as_list()
    shape[axis] = 2 * count
    return tf.reshape(tf.stack([even, odd], axis + 1), shape)


def _centre(features: tf.Tensor, side: int) -> tf.Tensor:
    """The middle of shape (channels, more, more): shape (channels, side, side)."""
    cut = (features.shape[1] - side) // 2
    return features[:, cut : cut + side, cut : cut + side]


def _residual(values: tf.Tensor, side: int, weights: Tensors, index: int, rectified: bool) -> tf.Tensor:
    """A residual 3x3 convolution without padding; shape (channels, side * side) -> (channels, (side - 2)^2)."""
    channels, inner = values.shape[0], side - 2
    image = tf.reshape(values, [channels, side, side])
    patches = [
        tf.reshape(image[:, down : down + inner, across : across + inner], [channels, -1])
        for down in range(3)
        for across in range(3)
    ]
    change = weights[f"r{index}"] @ tf.concat(patches, 0) + weights[f"r{index}b"][:, None]
    return tf.reshape(image[:, 1:-1, 1:-1], [channels, -1]) + (tf.nn.relu(change) if rectified else change)


def rate_bits(preset: Preset, weights: Tensors, patches: Sequence[tf.Tensor], counted: tf.Tensor) -> tf.Tensor:
    """Bits of a tile's symbols under the autoregressive context model, a scalar.

    Args:
        weights: as `structure.shapes` lists them, float32.
        patches: as for `synthesize`, but 0 beyond the image's edges.
        counted: 1 for cells of the image, 0 for those beyond; of all grids, one after another, finest first.
    """
    inputs = tf.concat([_contexts(preset, patches, level) for level in range(LEVELS)], 1)
    symbols = tf.concat([tf.reshape(_cut(patch, 0, 0), [-1]) for patch in patches], 0)
    hidden = tf.nn.relu(weights["a1"] @ inputs + weights["a1b"][:, None])
    hidden = tf.nn.relu(weights["a2"] @ hidden + weights["a2b"][:, None])
    counts = [_cells(patch) ** 2 for patch in patches]
    levels = [tf.repeat(weights["a3b"][:, level, None], counts[level], axis=1) for level in range(LEVELS)]
    outputs = weights["a3"] @ hidden + weights["as"] @ inputs + tf.concat(levels, 1)
    return tf.reduce_sum(_bits(symbols, outputs[0], outputs[1]) * counted)


def _cut(patch: tf.Tensor, down: int, across: int) -> tf.Tensor:
    """The tile's cells, displaced by some cells."""
    side, top, left = _cells(patch), MARGIN + down, MARGIN + across
    return patch[top : top + side, left : left + side]


def _contexts(preset: Preset, patches: Sequence[tf.Tensor], level: int) -> tf.Tensor:
    """Inputs of the context model for a grid's cells in a tile, shape (spatial + CROSS_CONTEXTS, cells)."""
    spatial = [tf.reshape(_cut(patches[level], *at), [-1]) for at in NEIGHBOURS[: preset.spatial]]
    side = _cells(patches[level])
    if level + 1 == LEVELS:
        return tf.concat([tf.stack(spatial), tf.zeros([CROSS_CONTEXTS, side * side])], 0)
    half = _cells(patches[level + 1])
    coarse = [_cut(patches[level + 1], down, across) for down in (-1, 0, 1) for across in (-1, 0, 1)]
    if level + 2 < LEVELS:
        coarse.append(tf.reshape(_nearest(_cut(patches[level + 2], 0, 0)[None]), [half, half]))
    else:
        coarse.append(tf.zeros([half, half]))
    return tf.concat([tf.stack(spatial), tf.reshape(_nearest(tf.stack(coarse)), [CROSS_CONTEXTS, side * side])], 0)


def _nearest(grids: tf.Tensor) -> tf.Tensor:
    """Nearest-neighbour upsampling by two, shape (n, side, side) -> (n, side, 2, side, 2)."""
    return tf.tile(grids[:, :, None, :, None], [1, 1, 2, 1, 2])


def _bits(symbols: tf.Tensor, mean: tf.Tensor, log_scale: tf.Tensor) -> tf.Tensor:
    """Code length -log2 P(y), P(y) = F(y + 1/2) - F(y - 1/2) for the Laplace distribution F of mean and scale.

    With d = |y - mean| and b = exp(log_scale), P = (exp(-(d - 1/2) / b) - exp(-(d + 1/2) / b)) / 2 for d > 1/2, else
    1 - (exp((d - 1/2) / b) + exp(-(d + 1/2) / b)) / 2. P >= PROBABILITY_MIN bounds the length for d -> infinity.
    Source: docs/format.md section 9, which tabulates P for integers; here y may be a soft-rounded latent.
    """
    inverse = tf.exp(-tf.clip_by_value(log_scale, *LOG_SCALE_RANGE))
    distance = tf.abs(symbols - mean)
    far = tf.exp(-(distance + 0.5) * inverse)
    near = tf.exp(-tf.abs(distance - 0.5) * inverse)
    probability = tf.where(distance > 0.5, 0.5 * (near - far), 1.0 - 0.5 * (near + far))
    return -tf.math.log(tf.maximum(probability, PROBABILITY_MIN)) / math.log(2.0)
