"""What evaluating a SIREN takes, from numbers in its header. Standard library only."""

import math

from ...cost import Cost, fixed_bytes, result_bytes
from .architecture import Architecture

Size = tuple[int, int]

# What takes as long as this many multiplications: a symbol, of which a core decodes 30 million a second; a point of the
# image plane, however small the network is; a sine; the conversion of a network's output to a sample.
SYMBOL_WORK = 2000
_POINT_WORK = 256
_SINE_WORK = 16
_SAMPLE_WORK = 32
# Bytes of a weight: its symbol, and four times as a number while layers are laid out.
_WEIGHT_BYTES = 24


def evaluation_cost(architecture: Architecture, dtype: str, payload_bytes: int, points: Size, size: Size) -> Cost:
    """Upper bounds for a result of `size` pixels, evaluated at `points` points across and down."""
    a, weights = architecture, architecture.weight_count
    work_per_point = _POINT_WORK + weights + _SINE_WORK * a.width * a.depth + _SAMPLE_WORK * a.channels
    return Cost(
        work_per_point * math.prod(points) + SYMBOL_WORK * weights,
        fixed_bytes(payload_bytes, a.channels) + _WEIGHT_BYTES * weights + result_bytes(size, a.channels, dtype),
    )
