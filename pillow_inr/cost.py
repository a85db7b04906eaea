"""What evaluating a file takes, known from its header alone; compared with `limits` before any of it is spent.

Standard library only: opening a file may ask for it. The figures are bounds, held against measured ones by
benchmarks/cost.py.
"""

import math
from dataclasses import dataclass

from . import limits
from .errors import LimitError
from .format.container import MODEL_SIREN, TILE_NONE, Header
from .models.siren.architecture import Architecture
from .runtime.threads import THREADS_MAX, cores

Size = tuple[int, int]

# What takes as long as so many multiplications: a symbol of a SIREN, of which a core decodes 30 million a second; a
# point, however small the network is; a sine in it; making a sample of a network's value.
SYMBOL_WORK = 2000
_POINT_WORK = 256
_SINE_WORK = 16
_SAMPLE_WORK = 32
# A pixel of a pyramid, for its symbols and the first layers of its synthesis.
PYRAMID_WORK = 1850
# A wavefront of a grid, and a tile, however few pixels they have: 60 microseconds, 3 milliseconds.
WAVEFRONT_WORK = 10**6
TILE_WORK = 10**8
# Bytes for a weight: its symbol, and four times as a number while layers are laid out.
_WEIGHT_BYTES = 24
# Bytes for a pixel of a pyramid while its grids are decoded, and for as long as they are kept.
_DECODING_BYTES = 20
_KEPT_BYTES = 6
_TENSORS_BYTES = 1 << 16
KEPT_BYTES = 90 << 20
"""Bytes of pyramids that are kept decoded, so that regions side by side decode a tile once: 16 million pixels."""
# Bytes for modules and tables, and for a block of pixels on each thread.
_BASE_BYTES = 24 << 20
_THREAD_BYTES = 8 << 20
_CHANNEL_BYTES = 1 << 20
# Samples of one part of a result while it is made: network values and double precision.
_PART_BYTES = 24 << 20


@dataclass(frozen=True)
class Cost:
    """Upper bounds of what an evaluation takes."""

    work: int
    """Multiplications, or what takes as long."""
    memory: int
    """Bytes beside the file's own, the result included."""

    def check(self) -> None:
        """Compare it with the limits.

        Raises:
            LimitError: it takes more than they allow.
        """
        if self.work > limits.WORK_MAX:
            raise LimitError(
                f"decoding takes {self.work:.1e} multiplications, more than the {limits.WORK_MAX:.1e} allowed: raise "
                "pillow_inr.limits.WORK_MAX for files that you trust"
            )
        if self.memory > limits.MEMORY_MAX:
            raise LimitError(
                f"decoding takes {self.memory / 1e6:.0f} MB, more than the {limits.MEMORY_MAX / 1e6:.0f} allowed: "
                "raise pillow_inr.limits.MEMORY_MAX for files that you trust"
            )


def of_file(header: Header) -> Cost:
    """Of a whole image at its own resolution."""
    if header.model == MODEL_SIREN:
        return of_siren(header, header.size, header.size)
    return of_pyramid(header, (0, 0, *header.size), header.size)


def of_siren(header: Header, points: Size, size: Size) -> Cost:
    """Of a result of some size, evaluated at so many points across and down."""
    weights = Architecture.of(header).weight_count
    a_point = _POINT_WORK + weights + _SINE_WORK * header.width * header.depth + _SAMPLE_WORK * header.channels
    return Cost(
        a_point * math.prod(points) + SYMBOL_WORK * weights,
        _fixed_bytes(header) + _WEIGHT_BYTES * weights + _result_bytes(header, size),
    )


def of_pyramid(header: Header, box: tuple[int, int, int, int], size: Size) -> Cost:
    """Of a result of some size that needs the pixels in a box: left, upper, right, lower."""
    side = max(header.size) if header.tile == TILE_NONE else 1 << header.tile
    across, down = (
        (min((last - 1) // side * side + side, length) - first // side * side, (last - 1) // side - first // side + 1)
        for first, last, length in zip(box[:2], box[2:], header.size, strict=True)
    )
    pixels, tiles = across[0] * down[0], across[1] * down[1]
    # The layers that mix samples: 60 multiplications for each and 20 for each pair.
    a_pixel = PYRAMID_WORK + 60 * header.channels + 20 * header.channels**2
    # Of all levels, fewer than twice those of the finest.
    wavefronts = 2 * (across[0] * down[1] + 2 * down[0] * across[1])
    largest = min(side, header.size[0]) * min(side, header.size[1])
    kept = min(_KEPT_BYTES * pixels + _TENSORS_BYTES * tiles, max(KEPT_BYTES, _KEPT_BYTES * largest))
    return Cost(
        a_pixel * pixels + WAVEFRONT_WORK * wavefronts + TILE_WORK * tiles,
        _fixed_bytes(header) + _PART_BYTES + _DECODING_BYTES * largest + kept + _result_bytes(header, size),
    )


def _fixed_bytes(header: Header) -> int:
    """What anything takes: two copies of the payload, and threads that evaluate blocks of pixels."""
    threads = min(cores(), THREADS_MAX)
    return _BASE_BYTES + 2 * header.payload_bytes + threads * (_THREAD_BYTES + _CHANNEL_BYTES * header.channels)


def _result_bytes(header: Header, size: Size) -> int:
    return math.prod(size) * header.channels * {"uint8": 1, "uint16": 2, "float32": 4}[header.dtype]
