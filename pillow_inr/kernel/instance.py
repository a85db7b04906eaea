"""An instance of the kernel: its calls and its memory, as arrays. One thread at a time may use it."""

import atexit
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import IntEnum
from threading import Lock
from typing import Any

import numpy as np
import wasmtime
from numpy.typing import NDArray

from ..entropy.symbol_budget import over_budget
from ..errors import FormatError, LimitError
from .module import Kernel, kernel

# A tile of 4096x4096 pixels takes some 200 MB.
MEMORY_MAX = 1 << 30
"""Bytes of an instance's memory."""
# Idle instances above this size are given up: memory of an instance does not shrink.
_KEPT_BYTES = 32 << 20
_KEPT = 16


class Status(IntEnum):
    """What a call answers (kernel/platform.h)."""

    OK = 0
    BAD_STREAM = 1
    BAD_SCALE = 2
    BAD_TENSOR = 3
    BAD_SYMBOL = 4
    LEFT_OVER = 5
    OVER_BUDGET = 6
    NO_MEMORY = 7
    BAD_CALL = 8


_DAMAGE = {
    Status.BAD_STREAM: "the data does not fit the entropy model",
    Status.BAD_SCALE: "a scale index is outside 0..63",
    Status.BAD_TENSOR: "an integer of a tensor exceeds its limit",
    Status.BAD_SYMBOL: "a symbol of a grid is outside -4095..4095",
    Status.LEFT_OVER: "data is left after the last tensor",
}


class Instance:
    """A store and an instance of the kernel, which holds one pyramid at a time.

    Args:
        compiled: the compiled kernel.
    """

    def __init__(self, compiled: Kernel) -> None:
        self._store = wasmtime.Store(compiled.engine)
        self._store.set_limits(memory_size=MEMORY_MAX)
        exports = wasmtime.Instance(self._store, compiled.module, []).exports(self._store)
        self._functions: dict[str, Any] = dict(exports.items())
        self._stream_bytes = 0
        self._memory: wasmtime.Memory = self._functions.pop("memory")

    @property
    def memory_bytes(self) -> int:
        """Size of its memory."""
        return self._memory.data_len(self._store)

    def begin(
        self, preset: int, channels: int, size: tuple[int, int], stream: bytes, tensors: NDArray[np.int32]
    ) -> None:
        """Take a pyramid of this width and height: its stream and its base weights, or the tensors of a decoded one.

        Raises:
            LimitError: it takes more than MEMORY_MAX.
        """
        self._stream_bytes = len(stream)
        self._check("begin", preset, channels, *size, len(stream))
        assert len(tensors) == self._call("tensor_count")
        self._view("stream", len(stream), np.dtype(np.uint8))[:] = np.frombuffer(stream, np.uint8)
        self._view("tensors", len(tensors), tensors.dtype)[:] = tensors

    def decode(self, levels: int, budget: int, force_wide: bool = False) -> None:
        """Decode its stream.

        Args:
            levels: number of grids.
            budget: symbols that it may have.
            force_wide: compute in double precision even where integers do.
        Raises:
            FormatError: no encoder writes such a stream.
            LimitError: it has more symbols.
        """
        self._check("decode_tensors", budget, int(force_wide))
        for level in reversed(range(levels)):  # between calls, Python sees to Ctrl-C
            self._check("decode_grid", level)
        self._check("finish")

    def tensors(self) -> NDArray[np.int32]:
        """A copy of the integers of all tensors."""
        return self._view("tensors", self._call("tensor_count"), np.dtype(np.int32)).copy()

    def grid(self, level: int, shape: tuple[int, int]) -> NDArray[np.int16]:
        """A level's grid in the instance's memory, to be read or written before the next call."""
        rows, columns = shape
        pitch = self._call("grid_pitch", level)
        cells = self._view("grid", (rows - 1) * pitch + columns, np.dtype(np.int16), level)
        return np.lib.stride_tricks.as_strided(cells, shape, (2 * pitch, 2))

    def synthesize(
        self, region: Sequence[int], channels: int, dtype: type[np.uint8] | type[np.float32]
    ) -> NDArray[Any]:
        """Samples of a region, top, bottom, left, right; uint8 in 0..255 or float32 in 0..1, in the instance's memory.

        Returns:
            Shape (rows, columns, channels), to be read before the next call.
        Raises:
            LimitError: it takes more than MEMORY_MAX.
        """
        top, bottom, left, right = map(int, region)
        self._check("synthesize", top, bottom, left, right, int(dtype is np.uint8))
        shape = (bottom - top, right - left, channels)
        return self._view("samples", shape[0] * shape[1] * channels, np.dtype(dtype)).reshape(shape)

    def is_narrow(self) -> bool:
        """Whether the last stream was decoded with products of 16-bit numbers."""
        return bool(self._call("is_narrow"))

    def _check(self, name: str, *arguments: int) -> None:
        status = Status(self._call(name, *arguments))
        if status == Status.OK:
            return
        if status in _DAMAGE:
            raise FormatError(f"payload: {_DAMAGE[status]}")
        if status == Status.OVER_BUDGET:
            raise over_budget(self._stream_bytes)
        if status == Status.NO_MEMORY:
            raise LimitError(f"payload: decoding it takes more than the {MEMORY_MAX / 1e6:.0f} MB that a tile may take")
        raise ValueError(f"kernel: {name}{arguments} is not a call that it knows")

    def _call(self, name: str, *arguments: int) -> int:
        try:
            result: int = self._functions[name](self._store, *arguments)
        except wasmtime.Trap as trap:  # no stream may lead there, but if one does it is its fault
            raise FormatError(f"payload: the kernel stopped: {trap.message}") from trap
        return result

    def _view(self, name: str, count: int, dtype: np.dtype[Any], *arguments: int) -> NDArray[Any]:
        """Numbers at the address that a call returns. They move when the memory grows: do not keep them."""
        memory = np.ctypeslib.as_array(self._memory.data_ptr(self._store), (self.memory_bytes,))
        start = self._call(name, *arguments)
        return memory[start : start + count * dtype.itemsize].view(dtype)


_idle: list[Instance] = []
_lock = Lock()


@contextmanager
def borrowed() -> Iterator[Instance]:
    """An instance for this thread; give it back in the state in which you like."""
    with _lock:
        instance = _idle.pop() if _idle else None
    if instance is None:
        compiled = kernel()
        assert compiled is not None
        instance = Instance(compiled)
    yield instance
    # Not after an error: a trap may leave anything behind.
    if instance.memory_bytes <= _KEPT_BYTES:
        with _lock:
            if len(_idle) < _KEPT:
                _idle.append(instance)


def _forget() -> None:
    global _lock
    _lock = Lock()
    _idle.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
# wasmtime's own objects complain when they are released after their modules.
atexit.register(_forget)
