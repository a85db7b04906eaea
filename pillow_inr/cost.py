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
_THREAD_BYTES = 8 << 20
_CHANNEL_BYTES = 1 << 20
# Standard library only, so not NumPy's itemsize.
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


def fixed_bytes(payload_bytes: int, channels: int) -> int:
    """Memory that every evaluation takes: two copies of the payload, and threads that evaluate blocks of pixels."""
    threads = min(cores(), THREADS_MAX)
    return _BASE_BYTES + 2 * payload_bytes + threads * (_THREAD_BYTES + _CHANNEL_BYTES * channels)


def result_bytes(size: tuple[int, int], channels: int, dtype: str) -> int:
    """Memory of a result of this width and height."""
    return math.prod(size) * channels * _SAMPLE_BYTES[dtype]
