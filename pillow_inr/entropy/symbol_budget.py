"""How many symbols a stream may claim: nearly certain ones take no bytes, but time. Standard library only."""

from .. import limits
from ..errors import LimitError

# The budget is SYMBOLS_PER_BYTE * max(4, bytes - 36). Anyone can send many tiny files, so these must be quick to
# decode: the 65,536 symbols allowed for 4 bytes take a pyramid 20 milliseconds in NumPy.
_UNCOUNTED_BYTES = 36
_LEAST_COUNTED_BYTES = 4


def symbol_budget(stream_bytes: int) -> int:
    """Symbols, or work that takes as long, that a stream of this length may ask for."""
    return limits.SYMBOLS_PER_BYTE * max(_LEAST_COUNTED_BYTES, stream_bytes - _UNCOUNTED_BYTES)


def over_budget(stream_bytes: int) -> LimitError:
    """The error for a stream that asks for more."""
    return LimitError(
        f"payload: {stream_bytes} bytes stand for more than the {symbol_budget(stream_bytes)} symbols allowed: raise "
        "pillow_inr.limits.SYMBOLS_PER_BYTE for files that you trust"
    )
