"""An instance of the kernel: its calls and its memory, as arrays. One thread at a time may use it."""

import atexit
import ctypes
import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import IntEnum
from threading import Lock
from typing import Any, ClassVar

import numpy as np
import wasmtime
from numpy.typing import NDArray

from ..entropy.symbol_budget import over_budget
from ..errors import FormatError, LimitError
from .module import Kernel, kernel

# A tile of 4096x4096 pixels takes some 200 MB.
MEMORY_MAX = 1 << 30
"""Bytes of an instance's memory."""
# Idle instances above this size are given up: memory of an instance does not shrink. So at most 256 MB stay held.
_KEPT_BYTES = 16 << 20
_KEPT = 16
_BUDGET_MAX = (1 << 63) - 1
# Of grids; the kernel lies below the model, which has the same number.
_LEVELS = 7


class _View(ctypes.LittleEndianStructure):
    """What `view` points to (kernel/kernel.c); addresses in the instance's memory."""

    _fields_: ClassVar = [
        ("stream", ctypes.c_uint32),
        ("tensors", ctypes.c_uint32),
        ("tensor_count", ctypes.c_uint32),
        ("samples", ctypes.c_uint32),
        ("is_narrow", ctypes.c_int32),
        ("grids", ctypes.c_uint32 * _LEVELS),
        ("pitches", ctypes.c_int32 * _LEVELS),
    ]


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
    MORE = 9


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
        self._channels = self._stream_bytes = 0
        self._store = wasmtime.Store(compiled.engine)
        self._store.set_limits(memory_size=MEMORY_MAX)
        exports = wasmtime.Instance(self._store, compiled.module, []).exports(self._store)
        self._functions: dict[str, Any] = dict(exports.items())
        self._memory: wasmtime.Memory = self._functions.pop("memory")
        self._view_start = self._call("view")

    @property
    def memory_bytes(self) -> int:
        """Size of its memory."""
        return self._memory.data_len(self._store)

    def begin(
        self, preset: int, channels: int, size: tuple[int, int], stream: bytes, tensors: NDArray[np.int32]
    ) -> None:
        """Take a pyramid of this width and height: its stream and its base weights, or the tensors of a decoded one.

        Args:
            preset: sizes of the networks.
            channels: samples per pixel.
            size: width and height in pixels.
            stream: as in the file; empty if it is not to be decoded.
            tensors: integers of all tensors, one behind another.
        Raises:
            LimitError: it takes more than MEMORY_MAX.
            ValueError: an argument is outside its range, or there are too many tensors or too few.
        """
        self._channels, self._stream_bytes = channels, len(stream)
        self._check("begin", preset, channels, *size, len(stream))
        memory = self._bytes()
        view = self._view(memory)
        if len(tensors) != view.tensor_count:
            raise ValueError(f"kernel: {len(tensors)} integers of tensors, expected {view.tensor_count}")
        memory[view.stream : view.stream + len(stream)] = np.frombuffer(stream, np.uint8)
        _numbers(memory, view.tensors, len(tensors), np.dtype(np.int32))[:] = tensors

    def decode(self, budget: float, force_wide: bool = False) -> None:
        """Decode its stream.

        Args:
            budget: symbols that it may have.
            force_wide: compute in double precision even where integers do.
        Raises:
            FormatError: no encoder writes such a stream.
            LimitError: it has more symbols.
        """
        status = self._begin_decoding(budget, force_wide)
        while status == Status.MORE:  # between calls, Python sees to Ctrl-C
            status = self._check("resume")

    def decode_tensors(self, budget: float) -> None:
        """Decode the tensors alone; arguments and errors as for `decode`."""
        self._begin_decoding(budget)

    def tensors(self) -> NDArray[np.int32]:
        """A copy of the integers of all tensors."""
        memory = self._bytes()
        view = self._view(memory)
        return _numbers(memory, view.tensors, view.tensor_count, np.dtype(np.int32)).copy()

    def grids(self, shapes: Sequence[tuple[int, int]]) -> list[NDArray[np.int16]]:
        """Grids of these shapes in the instance's memory, to be read or written before the next call."""
        memory = self._bytes()
        view = self._view(memory)
        found = []
        for shape, start, pitch in zip(shapes, view.grids, view.pitches, strict=True):
            if pitch < shape[1]:
                raise _nonsense()
            cells = _numbers(memory, start, (shape[0] - 1) * pitch + shape[1], np.dtype(np.int16))
            found.append(np.lib.stride_tricks.as_strided(cells, shape, (2 * pitch, 2)))
        return found

    def synthesize(self, region: Sequence[int], dtype: type[np.uint8] | type[np.float32]) -> NDArray[Any]:
        """Samples of a region, top, bottom, left, right; uint8 in 0..255 or float32 in 0..1, in the instance's memory.

        Returns:
            Shape (rows, columns, channels), to be read before the next call.
        Raises:
            LimitError: it takes more than MEMORY_MAX.
        """
        top, bottom, left, right = map(int, region)
        self._check("synthesize", top, bottom, left, right, int(dtype is np.uint8))
        memory = self._bytes()
        shape = (bottom - top, right - left, self._channels)
        return _numbers(memory, self._view(memory).samples, math.prod(shape), np.dtype(dtype)).reshape(shape)

    def is_narrow(self) -> bool:
        """Whether the last stream was decoded with products of 16-bit numbers."""
        return bool(self._view(self._bytes()).is_narrow)

    def _begin_decoding(self, budget: float, force_wide: bool = False) -> Status:
        return self._check("decode", int(min(budget, _BUDGET_MAX)), int(force_wide))

    def _check(self, name: str, *arguments: int) -> Status:
        """A call; returns OK or MORE."""
        status = Status(self._call(name, *arguments))
        if status in (Status.OK, Status.MORE):
            return status
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

    def _bytes(self) -> NDArray[np.uint8]:
        """The memory, which moves when it grows: not to be kept beyond the next call."""
        # Not `np.ctypeslib.as_array`, which keeps a type for each size for good.
        start = ctypes.addressof(self._memory.data_ptr(self._store).contents)
        memory = memoryview((ctypes.c_uint8 * self.memory_bytes).from_address(start))
        return np.frombuffer(memory, np.uint8)

    def _view(self, memory: NDArray[np.uint8]) -> _View:
        return _View.from_buffer(memory.data, self._view_start)


def _numbers(memory: NDArray[np.uint8], start: int, count: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Numbers at an address, a view. What the kernel says is not trusted: they must lie in its memory."""
    if start + count * dtype.itemsize > len(memory):
        raise _nonsense()
    return memory[start : start + count * dtype.itemsize].view(dtype)


def _nonsense() -> FormatError:
    return FormatError("payload: the kernel answered with an address outside its memory")


_idle: list[Instance] = []
_lock = Lock()


@contextmanager
def borrowed() -> Iterator[Instance]:
    """Borrow an idle instance, or make one. It may hold anything; after an exception it is dropped.

    Raises:
        LimitError: there is no memory for another one.
    """
    with _lock:
        instance = _idle.pop() if _idle else None
    if instance is None:
        compiled = kernel()
        assert compiled is not None
        try:
            instance = Instance(compiled)
        except wasmtime.WasmtimeError as error:  # each reserves some gigabytes of addresses
            raise LimitError(f"there is no memory for decoding: {error}") from error
    yield instance
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
