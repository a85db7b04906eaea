"""What evaluating a SIREN takes, from numbers in its header. Standard library only."""

import math

from ...cost import THREAD_BYTES, Cost, fixed_bytes, result_bytes
from .architecture import Architecture

Size = tuple[int, int]

# Networks that are blended at one point at most: where two edges cross.
OVERLAPPING_MAX = 4

# What takes as long as this many multiplications: a symbol, of which a core decodes 30 million a second; a point of the
# image plane, however small the network is; a sine; the conversion of a network's output to a sample.
SYMBOL_WORK = 2000
_POINT_WORK = 256
_SINE_WORK = 16
_SAMPLE_WORK = 32
# Of a mosaic: what Python does for each tensor that it decodes and lays out, and for each part that a block meets; a
# look at where a network is, which each block takes at all of them.
_TENSOR_WORK = 3 * 10**6
_MEETING_WORK = 10**7
_LOOK_WORK = 600
# Blocks of points are squares of 1024 points or more, apart from what edges cut off and from about 64 in small images.
_BLOCK_POINTS = 1024
_BLOCKS = 64
# Parts are at most twice as long as wide and overlap fourfold at most, so that there are fewer pairs of a part and a
# block that it meets than this many times the parts and blocks together.
_MEETINGS = 8
# Bytes of a weight: its symbol, and four times as a number while layers are laid out; of the objects around the weights
# of a tensor, and of a network.
_WEIGHT_BYTES = 24
_TENSOR_BYTES = 1024
_NETWORK_BYTES = 2048
# Bytes of a thread for each unit of the widest layer: two buffers for a block of 4096 points, and the terms of its
# columns.
_UNIT_BYTES = 3 * 4096 * 4


def evaluation_cost(
    architecture: Architecture,
    dtype: str,
    payload_bytes: int,
    points: Size,
    size: Size,
    networks: int = 1,
    overlap: int = 0,
) -> Cost:
    """Upper bounds for a result of `size` pixels, evaluated at `points` points across and down.

    Args:
        networks: number of networks that the image is divided among.
        overlap: pixels by which their regions overlap.
    """
    a, weights = architecture, architecture.weight_count
    work_per_point = _POINT_WORK + weights + _SINE_WORK * sum(a.widths) + _SAMPLE_WORK * a.channels
    work = work_per_point * math.prod(points) + SYMBOL_WORK * weights
    memory = _WEIGHT_BYTES * weights
    if networks > 1:
        tensors, blocks = networks * len(a.shapes), blocks_max(points)
        evaluations = math.prod(points) * (OVERLAPPING_MAX if overlap else 1)
        work = work_per_point * evaluations + (SYMBOL_WORK * weights + _LOOK_WORK * blocks) * networks
        work += _TENSOR_WORK * tensors + _MEETING_WORK * min(meetings_max(points, networks), evaluations)
        memory = _WEIGHT_BYTES * weights * networks + _TENSOR_BYTES * tensors + _NETWORK_BYTES * networks
    fixed = fixed_bytes(payload_bytes, a.channels, max(THREAD_BYTES, _UNIT_BYTES * a.width))
    return Cost(work, fixed + memory + result_bytes(size, a.channels, dtype))


def blocks_max(points: Size) -> int:
    """Most blocks in which a mosaic is evaluated at so many points across and down."""
    return math.prod(points) // _BLOCK_POINTS + _BLOCKS


def meetings_max(points: Size, networks: int) -> int:
    """Most pairs of a part and a block that it meets."""
    return _MEETINGS * (blocks_max(points) + networks)
