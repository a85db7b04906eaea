"""Integers under models <-> 32-bit words: the range coder, and its complaints as ours. Knows no tensor."""

import math
from typing import Any

import constriction
import numpy as np
from numpy.typing import NDArray

from .. import limits
from ..errors import FormatError, LimitError
from .distributions import Model

# A stream counts as this many bytes less than it has, but as no fewer than these: tiny files, of which anyone can send
# many, must be quick, and 65,536 symbols are 20 milliseconds of a pyramid's.
_BYTES_LESS = 36
_BYTES_LEAST = 4
# Values of a model whose table takes as long as a symbol.
_VALUES_PER_SYMBOL = 4
# Makes a model of every row of counts.
_ROWS = constriction.stream.model.Categorical(perfect=False)


class Encoder:
    """Appends integers to one stream."""

    def __init__(self) -> None:
        self._coder = constriction.stream.queue.RangeEncoder()

    def encode(self, values: int | NDArray[np.int32], model: Model) -> None:
        """Code one integer or an array of them, row by row, each in the range of the model."""
        self._coder.encode(np.atleast_1d(np.asarray(values, np.int32)).ravel() - np.int32(model.lowest), model.table)

    def encode_rows(self, indices: NDArray[np.int32], counts: NDArray[np.float64]) -> None:
        """Code each integer under counts of its own (docs/format.md section 4.2).

        Args:
            indices: shape (integers,), at least one.
            counts: shape (integers, n), of 0..n - 1.
        """
        self._coder.encode(indices, _ROWS, counts)

    def to_bytes(self) -> bytes:
        """What was coded so far, as little-endian 32-bit words."""
        words: NDArray[np.uint32] = self._coder.get_compressed()
        return words.astype("<u4").tobytes()


class Decoder:
    """Takes integers from the front of a stream.

    Args:
        payload: a multiple of 4 bytes whose checksum was compared before: the coder itself turns damaged bytes into
            plausible integers without complaint.
    """

    def __init__(self, payload: bytes) -> None:
        self._coder = constriction.stream.queue.RangeDecoder(np.frombuffer(payload, "<u4").astype(np.uint32))
        self._bytes = len(payload)
        self._symbols = 0
        self._models: set[Model] = set()

    def charge_symbols(self, symbols: int) -> None:
        """Note that so many symbols, or what takes as long, are decoded next.

        Raises:
            LimitError: they are more than a stream of this length may hold.
        """
        self._symbols += symbols
        allowed = limits.SYMBOLS_PER_BYTE * max(_BYTES_LEAST, self._bytes - _BYTES_LESS)
        if self._symbols > allowed:
            raise LimitError(
                f"payload: {self._bytes} bytes stand for {self._symbols} symbols, more than the {allowed} allowed: "
                "raise pillow_inr.limits.SYMBOLS_PER_BYTE for files that you trust"
            )

    def decode(self, model: Model, count: int) -> NDArray[np.int32]:
        """The next `count` integers.

        Raises:
            FormatError: no encoder wrote the stream.
            LimitError: as `charge_symbols`.
        """
        if model not in self._models:
            self._models.add(model)
            self.charge_symbols(model.values // _VALUES_PER_SYMBOL)
        self.charge_symbols(count)
        return self._decoded(model.table, count) + np.int32(model.lowest)

    def decode_rows(self, counts: NDArray[np.float64]) -> NDArray[np.int32]:
        """The next integers, each in 0..n - 1 under counts of its own, shape (integers, n), at least one.

        What they take is the caller's to `charge_symbols`.

        Raises:
            FormatError: no encoder wrote the stream.
        """
        return self._decoded(_ROWS, counts)

    def _decoded(self, *models: Any) -> NDArray[np.int32]:
        try:
            indices: NDArray[np.int32] = self._coder.decode(*models)
        except AssertionError as error:  # what constriction raises for a stream that no encoder wrote
            raise FormatError("payload: the data does not fit the entropy model") from error
        return indices

    def decode_one(self, model: Model) -> int:
        """As `decode`, one integer."""
        return int(self.decode(model, 1)[0])

    def finish(self) -> None:
        """Raise FormatError if the stream goes on."""
        if not self._coder.maybe_exhausted():
            raise FormatError("payload: data is left after the last tensor")


class MeteredDecoder(Decoder):
    """A decoder that knows how many bits the integers it gave take in the stream."""

    def __init__(self, payload: bytes) -> None:
        super().__init__(payload)
        # constriction tells how far an encoder is, not a decoder; one that gets the same integers is as far.
        self._echo = constriction.stream.queue.RangeEncoder()

    def decode(self, model: Model, count: int) -> NDArray[np.int32]:
        """As `Decoder.decode`."""
        values = super().decode(model, count)
        self._echo.encode(values - np.int32(model.lowest), model.table)
        return values

    @property
    def bits_taken(self) -> float:
        """Bits up to here, fractions of a bit too: 2 to minus this is the part of the first range that is left."""
        words, (_, left) = self._echo.pos()
        return float(32 * words + 64 - math.log2(left))
