import numpy as np
import pytest

from pillow_inr.distributions import laplace, onesided, uniform
from pillow_inr.errors import FormatError
from pillow_inr.range_coder import Decoder, Encoder


def test_integers_come_back_in_order() -> None:
    symbols = np.array([[-7, 0, 3], [1, 7, -2]], np.int32)
    encoder = Encoder()
    encoder.put(11, uniform(16))
    encoder.put(symbols, laplace(20, 3))
    encoder.put(np.zeros(0, np.int32), laplace(20, 3))
    encoder.put(5, onesided(20, 3))
    decoder = Decoder(encoder.to_bytes())
    assert decoder.take_one(uniform(16)) == 11
    taken = decoder.take(laplace(20, 3), 6)
    assert taken.dtype == np.int32
    assert taken.tolist() == symbols.ravel().tolist()
    assert decoder.take(laplace(20, 3), 0).tolist() == []
    assert decoder.take_one(onesided(20, 3)) == 5
    decoder.finish()


def test_words_that_no_encoder_writes_are_refused() -> None:
    with pytest.raises(FormatError, match="does not fit"):
        Decoder(b"\xff" * 8).take(uniform(16), 1)
    with pytest.raises(FormatError, match="data is left"):
        Decoder(bytes(range(1, 13))).finish()
