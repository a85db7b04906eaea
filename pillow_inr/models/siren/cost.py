"""What evaluating a SIREN takes, from numbers in its header. Standard library only."""

import math

from ...cost import Cost, fixed_bytes, result_bytes
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
# Bytes of a weight: its symbol, and four times as a number while layers are laid out.
_WEIGHT_BYTES = 24


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
    evaluations = math.prod(points) * (OVERLAPPING_MAX if networks > 1 and overlap else 1)
    return Cost(
        work_per_point * evaluations + SYMBOL_WORK * networks * weights,
        fixed_bytes(payload_bytes, a.channels)
        + _WEIGHT_BYTES * networks * weights
        + result_bytes(size, a.channels, dtype),
    )
