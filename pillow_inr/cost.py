"""What evaluating a file takes, known from its header alone; compared with `limits` before any of it is spent.

Standard library only: opening a file may ask for it. The figures are upper bounds; benchmarks/cost.py holds them
against measured ones. Each model knows its own (`models/*/cost.py`).
"""

import math
from dataclasses import dataclass
from typing import Protocol

from . import limits
from .errors import LimitError
from .runtime.threads import THREADS_MAX, cores

# Bytes for modules and tables, and for a block of pixels on each thread.
_BASE_BYTES = 24 << 20
THREAD_BYTES = 8 << 20
_CHANNEL_BYTES = 1 << 20
# Transparent pixels: a row takes as long as this many multiplications; bytes of memory for a row, for a byte of the
# unpacked chunk, and for a change in the longest row. zlib unpacks a byte to at most 1032.
_ROW_WORK = 300_000
_ROW_BYTES, _UNPACKED_BYTES, _CHANGE_BYTES = 8, 6, 56
_ZLIB_RATIO = 1032
_BLOCKS_BYTES = 64 << 20
# This module has no NumPy to ask.
_SAMPLE_BYTES = {"uint8": 1, "int8": 1, "uint16": 2, "int16": 2, "float32": 4, "int32": 4, "uint32": 4}


@dataclass(frozen=True)
class Cost:
    """Upper bounds of what an evaluation takes."""

    work: int
    """Multiplications, or what takes as long."""
    memory: int
    """Bytes beside the file's own, the result included."""

    def check(self) -> None:
        """Compare it with `limits`.

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


class _Costed(Protocol):
    """A header, as `pillow_inr.read_header` returns it."""

    def cost(self) -> Cost: ...


def of_file(header: _Costed) -> Cost:
    """Upper bounds of evaluating a whole image at its own resolution."""
    return header.cost()


def fixed_bytes(payload_bytes: int, channels: int, thread_bytes: int = THREAD_BYTES) -> int:
    """Memory that every evaluation takes: two copies of the payload, and threads that evaluate blocks of pixels."""
    threads = min(cores(), THREADS_MAX)
    return _BASE_BYTES + 2 * payload_bytes + threads * (thread_bytes + _CHANNEL_BYTES * channels)


def result_bytes(size: tuple[int, int], channels: int, dtype: str) -> int:
    """Memory of a result of this width and height."""
    return math.prod(size) * channels * _SAMPLE_BYTES[dtype]


def may_name_transparent_pixels(channels: int, dtype: str) -> bool:
    """Whether a file with such samples may have a chunk that names transparent pixels (docs/format.md section 10)."""
    return channels in (2, 4) and dtype in ("uint8", "uint16")


def transparency_bytes_max(size: tuple[int, int]) -> int:
    """Most bytes to which the chunk unpacks: a row has at most one number more than pixels, each of up to 4 bytes."""
    return min(limits.METADATA_MAX, 4 * size[1] * (size[0] + 1))


def of_transparency(size: tuple[int, int], chunk_bytes: int) -> Cost:
    """Upper bounds of reading a chunk of this length, or one of several chunks, that names transparent pixels."""
    unpacked = min(transparency_bytes_max(size), _ZLIB_RATIO * chunk_bytes)
    if not unpacked:
        return Cost(0, 0)
    blocks = min(_BLOCKS_BYTES, 64 * unpacked)
    memory = _ROW_BYTES * size[1] + _UNPACKED_BYTES * unpacked + _CHANGE_BYTES * min(size[0], unpacked) + blocks
    return Cost(_ROW_WORK * size[1], memory)
