"""The range coder: integers, each under a probability model, <-> a stream of 32-bit words.

Wraps constriction's range coder (Bamler 2022, arXiv:2201.01741; range coding: Martin 1979), turns its failures into
`FormatError`, and limits how many symbols a short stream may claim. Knows no tensor.
"""

import math
from typing import Any

import constriction
import numpy as np
from numpy.typing import NDArray

from ..errors import FormatError
from .distributions import Model
from .symbol_budget import over_budget, symbol_budget

# Building a model's table takes as long for 4 values as decoding one symbol.
_VALUES_PER_SYMBOL = 4
# A family of models: one for each row of frequencies.
_ROWS = constriction.stream.model.Categorical(perfect=False)


class Encoder:
    """Appends integers to one range-coded stream."""

    def __init__(self) -> None:
        self._coder = constriction.stream.queue.RangeEncoder()

    def encode(self, values: int | NDArray[np.int32], model: Model) -> None:
        """Append one integer, or an array in row-major order, all under one model and within its alphabet."""
        self._coder.encode(np.atleast_1d(np.asarray(values, np.int32)).ravel() - np.int32(model.lowest), model.table)

    def encode_rows(self, values: NDArray[np.int32], frequencies: NDArray[np.float64]) -> None:
        """Append integers, each under a distribution of its own.

        Args:
            values: shape (integers,), at least one, each in 0..n - 1.
            frequencies: shape (integers, n); row i belongs to values[i].
        Source: docs/format.md section 4.2.
        """
        self._coder.encode(values, _ROWS, frequencies)

    def to_bytes(self) -> bytes:
        """The stream so far as little-endian 32-bit words."""
        words: NDArray[np.uint32] = self._coder.get_compressed()
        return words.astype("<u4").tobytes()


class Decoder:
    """Reads integers from a range-coded stream in the order in which they were written.

    Args:
        payload: a multiple of 4 bytes. Compare its checksum first: the coder turns damaged bytes into plausible
            integers without complaint.
    """

    def __init__(self, payload: bytes) -> None:
        self._coder = constriction.stream.queue.RangeDecoder(np.frombuffer(payload, "<u4").astype(np.uint32))
        self._bytes = len(payload)
        self._symbols = 0
        self._models: set[Model] = set()

    def charge_symbols(self, symbols: int) -> None:
        """Deduct symbols, or work that takes as long, from the budget of the stream before doing the work.

        The budget, `symbol_budget`, stops a file of a few bytes from claiming millions of symbols.

        Raises:
            LimitError: the budget is exceeded.
        """
        self._symbols += symbols
        if self._symbols > symbol_budget(self._bytes):
            raise over_budget(self._bytes)

    def decode(self, model: Model, count: int) -> NDArray[np.int32]:
        """The next `count` integers, all under one model; int32, shape (count,).

        Raises:
            FormatError: no encoder writes such a stream.
            LimitError: as `charge_symbols`.
        """
        if model not in self._models:
            self._models.add(model)
            self.charge_symbols(model.values // _VALUES_PER_SYMBOL)
        self.charge_symbols(count)
        return self._decoded(model.table, count) + np.int32(model.lowest)

    def decode_rows(self, frequencies: NDArray[np.float64]) -> NDArray[np.int32]:
        """The next integers, each under a distribution of its own; the caller calls `charge_symbols` for them.

        Args:
            frequencies: shape (integers, n), at least one row.
        Returns:
            int32 in 0..n - 1, shape (integers,).
        Raises:
            FormatError: no encoder writes such a stream.
        """
        return self._decoded(_ROWS, frequencies)

    def _decoded(self, *models: Any) -> NDArray[np.int32]:
        try:
            indices: NDArray[np.int32] = self._coder.decode(*models)
        except AssertionError as error:  # constriction's answer to a stream that no encoder writes
            raise FormatError("payload: the data does not fit the entropy model") from error
        return indices

    def decode_one(self, model: Model) -> int:
        """The next integer: `decode` with a count of 1."""
        return int(self.decode(model, 1)[0])

    def finish(self) -> None:
        """Raise FormatError if data is left after the last symbol."""
        if not self._coder.maybe_exhausted():
            raise FormatError("payload: data is left after the last tensor")


class MeteredDecoder(Decoder):
    """A decoder that measures how many bits the integers decoded so far take in the stream."""

    def __init__(self, payload: bytes) -> None:
        super().__init__(payload)
        # constriction reports the position of an encoder only: so every integer is encoded again.
        self._echo = constriction.stream.queue.RangeEncoder()

    def decode(self, model: Model, count: int) -> NDArray[np.int32]:
        """As `Decoder.decode`."""
        values = super().decode(model, count)
        self._echo.encode(values - np.int32(model.lowest), model.table)
        return values

    @property
    def bits_taken(self) -> float:
        """Information in bits, fractions included: -log2 of the current range relative to the first one."""
        words, (_, width) = self._echo.pos()
        return float(32 * words + 64 - math.log2(width))
