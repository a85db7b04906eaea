"""The pyramid's synthesis and rate on one tile of an image, in operations of Keras that XLA compiles.

A tile stays in a core's cache, and all images have tiles of one shape, so that this compiles once. Weights are floats
here; `context` and `synthesis` compute the same functions from integers, and tests compare the two. Fits run it on
TensorFlow, benchmarks/train_analysis.py on JAX, too.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

from keras import ops

from ..structure import KERNEL_SIDE, LEVELS, NEIGHBOURS, Preset

# Side of a tile in pixels, a multiple of 2^(LEVELS - 1): its values fit into a core's second-level cache.
TILE = 128
# Cells of a grid beyond a tile's edge that contexts and upsampling read; smoothing reads more.
_MARGIN = 4
# log of the Laplace scale b, as in the file's frequency tables (docs/format.md section 9).
LOG_SCALE_RANGE = (-4.0, 5.0)
# A symbol takes at most 16 bits in the estimate: the file's escapes take about as many.
PROBABILITY_MIN = 2.0**-16

Tensor = Any
"""A tensor of Keras's back end; float32."""
Tensors = Mapping[str, Tensor]


def margin_of(preset: Preset) -> int:
    """Cells of each grid around a tile that its patch has."""
    return _MARGIN + preset.smoothing


def inside(tile: int, place: Tensor, size: Tensor, level: int, margin: int) -> Tensor:
    """Mask of a tile's cells and a margin: 1 for cells of the image's grid, 0 for those beyond its edges.

    Args:
        tile: its side in pixels.
        place: row and column of the tile's first pixel, shape (2,), int32.
        size: height and width of the image in pixels, shape (2,), int32.
        level: of the grid, 0 for the finest.
    Returns:
        float32, shape (side, side), side = tile / 2^level + 2 * margin.
    """
    at = ops.arange(-margin, (tile >> level) + margin) + (place // 2**level)[:, None]
    within = ops.cast((at >= 0) & (at < -(-size // 2**level)[:, None]), "float32")
    return within[0][:, None] * within[1]


def synthesize(preset: Preset, weights: Tensors, patches: Sequence[Tensor]) -> Tensor:
    """Normalized samples of a tile, shape (channels, its pixels), float32.

    Args:
        weights: as `structure.shapes` lists them, float32.
        patches: for each grid, finest first, symbols of the tile and `margin_of` cells around it, shape (side, side);
            cells beyond the image's edges repeat those at the edge.
    Source: docs/format.md section 9; Cool-chic 5 (Orange), synthesis and upsampling.
    """
    tile, edge = _cells(preset, patches[0]), preset.residual_convolutions
    features = _features(preset, weights, patches)
    flat = ops.reshape(features, [features.shape[0], -1])
    hidden = ops.relu(weights["s1"] @ flat + weights["s1b"][:, None])
    values = weights["s2"] @ hidden + weights["s2b"][:, None] + weights["ss"] @ flat
    for index in range(edge):
        values = _residual(values, tile + 2 * (edge - index), weights, index, index + 1 < edge)
    return values


def _features(preset: Preset, weights: Tensors, patches: Sequence[Tensor]) -> Tensor:
    """The hidden layer's inputs for a tile and a margin for the residual convolutions, shape (features, side, side)."""
    own = [_smoothed(preset, weights, patch, level)[None] for level, patch in enumerate(patches)]
    features = own[-1]
    for level in range(LEVELS - 2, -1, -1):
        kernel = weights["up"][level]
        features = _double(_double(features, kernel, 2), kernel, 1)
        side = _cells(preset, patches[level]) + 2 * (preset.residual_convolutions if level == 0 else _MARGIN)
        features = ops.concatenate([_centre(own[level], side), _centre(features, side)], 0)
    if not preset.kernels:
        return features
    side = int(features.shape[1])
    finest = _centre(patches[0][None], side + KERNEL_SIDE - 1)
    taps = _displaced(finest, KERNEL_SIDE)
    parts = [
        weights["kf"][:, at : at + KERNEL_SIDE] @ ops.concatenate(taps[at : at + KERNEL_SIDE], 0)
        for at in range(0, KERNEL_SIDE**2, KERNEL_SIDE)
    ]
    return ops.concatenate([features, ops.reshape(sum(parts), [preset.kernels, side, side])], 0)


def _smoothed(preset: Preset, weights: Tensors, patch: Tensor, level: int) -> Tensor:
    """A patch after the preset's symmetric filter along both axes, which takes the filter's reach from each side."""
    for axis in range(2 if preset.smoothing else 0):
        taps = weights["pf"][level]
        count = patch.shape[axis] - 2 * preset.smoothing
        parts = [
            patch[start : start + count] if axis == 0 else patch[:, start : start + count]
            for start in range(2 * preset.smoothing + 1)
        ]
        middle = preset.smoothing
        sides = [taps[away] * (parts[middle - away] + parts[middle + away]) for away in range(1, middle + 1)]
        patch = sum(sides, taps[0] * parts[middle])
    return patch


def _cells(preset: Preset, patch: Tensor) -> int:
    """Side in cells of the tile in a patch."""
    return int(patch.shape[0]) - 2 * margin_of(preset)


def _double(features: Tensor, kernel: Tensor, axis: int) -> Tensor:
    """Upsample by two along an axis with the kernel's five taps, without padding: n cells -> 2 (n - 4)."""
    count = features.shape[axis] - 4
    taps = [features[:, at : at + count] if axis == 1 else features[:, :, at : at + count] for at in range(5)]
    even = taps[0] * kernel[0] + taps[1] * kernel[1] + taps[2] * kernel[2] + taps[3] * kernel[3]
    odd = taps[1] * kernel[3] + taps[2] * kernel[2] + taps[3] * kernel[1] + taps[4] * kernel[0]
    shape = list(features.shape)
    shape[axis] = 2 * count
    return ops.reshape(ops.stack([even, odd], axis + 1), shape)


def _centre(features: Tensor, side: int) -> Tensor:
    """The middle of shape (channels, more, more): shape (channels, side, side)."""
    cut = (features.shape[1] - side) // 2
    return features[:, cut : cut + side, cut : cut + side]


def _residual(values: Tensor, side: int, weights: Tensors, index: int, rectified: bool) -> Tensor:
    """A residual 3x3 convolution without padding; shape (channels, side * side) -> (channels, (side - 2)^2)."""
    channels = values.shape[0]
    image = ops.reshape(values, [channels, side, side])
    change = weights[f"r{index}"] @ ops.concatenate(_displaced(image, 3), 0) + weights[f"r{index}b"][:, None]
    return ops.reshape(image[:, 1:-1, 1:-1], [channels, -1]) + (ops.relu(change) if rectified else change)


def _displaced(image: Tensor, side: int) -> list[Tensor]:
    """The neighbours of each inner pixel, tap by tap: shape (channels, more, more) -> side^2 times (channels, pixels).

    Args:
        side: of the neighbourhood.
    """
    channels, inner = image.shape[0], image.shape[1] - side + 1
    return [
        ops.reshape(image[:, down : down + inner, across : across + inner], [channels, -1])
        for down in range(side)
        for across in range(side)
    ]


def symbol_bits(preset: Preset, weights: Tensors, patches: Sequence[Tensor]) -> Tensor:
    """Bits of each symbol of a tile under the autoregressive context model.

    Args:
        weights: as `structure.shapes` lists them, float32.
        patches: as for `synthesize`, but 0 beyond the image's edges.
    Returns:
        Shape (cells,): of all grids, one after another, finest first.
    """
    margin = margin_of(preset)
    symbols = ops.concatenate([ops.reshape(_cut(patch, margin, 0, 0), [-1]) for patch in patches], 0)
    # One product for the first hidden layer and the skip connection to the two outputs.
    first = _context_terms(preset, ops.concatenate([weights["a1"], weights["as"]], 0), patches)
    hidden = ops.relu(first[: preset.context_width] + weights["a1b"][:, None])
    hidden = ops.relu(weights["a2"] @ hidden + weights["a2b"][:, None])
    counts = [_cells(preset, patch) ** 2 for patch in patches]
    levels = [ops.repeat(weights["a3b"][:, level, None], counts[level], axis=1) for level in range(LEVELS)]
    outputs = weights["a3"] @ hidden + first[preset.context_width :] + ops.concatenate(levels, 1)
    return _bits(symbols, outputs[0], outputs[1])


def _context_terms(preset: Preset, kernel: Tensor, patches: Sequence[Tensor]) -> Tensor:
    """A kernel times the contexts of all symbols of a tile, shape (rows of the kernel, cells).

    The symbols that lie in one cell of the next coarser grid have the contexts from coarser grids in common.
    """
    margin = margin_of(preset)
    spatial = [
        [ops.reshape(_cut(patch, margin, *at), [-1]) for at in NEIGHBOURS[: preset.spatial]] for patch in patches
    ]
    own = kernel[:, : preset.spatial] @ ops.concatenate([ops.stack(contexts) for contexts in spatial], 1)
    sides = [_cells(preset, patch) for patch in patches]
    coarse = ops.concatenate([_cross_contexts(preset, patches, level) for level in range(LEVELS - 1)], 1)
    ends = list(accumulate(side**2 for side in sides[1:-1]))
    terms = ops.split(kernel[:, preset.spatial :] @ coarse, ends, 1)
    enlarged = [
        ops.reshape(_enlarged(ops.reshape(part, [-1, side, side]), 2), [-1, 4 * side**2])
        for part, side in zip(terms, sides[1:], strict=True)
    ]
    # The coarsest grid has no such contexts.
    return own + ops.concatenate([*enlarged, ops.zeros([kernel.shape[0], sides[-1] ** 2])], 1)


def _cross_contexts(preset: Preset, patches: Sequence[Tensor], level: int) -> Tensor:
    """Contexts from coarser grids for each cell of the next grid in a tile, shape (contexts, cells)."""
    margin = margin_of(preset)
    side = _cells(preset, patches[level + 1])
    planes = []
    for index, width in enumerate(preset.cross):
        around = range(-(width // 2), width // 2 + 1)
        if level + 1 + index < LEVELS:
            grids = ops.stack(
                [_cut(patches[level + 1 + index], margin, down, across) for down in around for across in around]
            )
            planes.append(ops.reshape(_enlarged(grids, 1 << index), [-1, side**2]))
        else:
            planes.append(ops.zeros([width**2, side**2]))
    return ops.concatenate(planes, 0)


def _cut(patch: Tensor, margin: int, down: int, across: int) -> Tensor:
    """The tile's cells, displaced by some cells."""
    side, top, left = patch.shape[0] - 2 * margin, margin + down, margin + across
    return patch[top : top + side, left : left + side]


def _enlarged(grids: Tensor, scale: int) -> Tensor:
    """Nearest-neighbour upsampling, shape (n, side, side) -> (n, side, scale, side, scale)."""
    return ops.tile(grids[:, :, None, :, None], [1, 1, scale, 1, scale])


def _bits(symbols: Tensor, mean: Tensor, log_scale: Tensor) -> Tensor:
    """Code length -log2 P(y), P(y) = F(y + 1/2) - F(y - 1/2) for the Laplace distribution F of mean and scale.

    With d = |y - mean| and b = exp(log_scale), P = (exp(-(d - 1/2) / b) - exp(-(d + 1/2) / b)) / 2 for d > 1/2, else
    1 - (exp((d - 1/2) / b) + exp(-(d + 1/2) / b)) / 2. P >= PROBABILITY_MIN bounds the length for d -> infinity.
    Source: docs/format.md section 9, which tabulates P for integers; here y may be a soft-rounded latent.
    """
    inverse = ops.exp(-ops.clip(log_scale, *LOG_SCALE_RANGE))
    distance = ops.abs(symbols - mean)
    far = ops.exp(-(distance + 0.5) * inverse)
    near = ops.exp(-ops.abs(distance - 0.5) * inverse)
    probability = ops.where(distance > 0.5, 0.5 * (near - far), 1.0 - 0.5 * (near + far))
    return -ops.log(ops.maximum(probability, PROBABILITY_MIN)) / math.log(2.0)
