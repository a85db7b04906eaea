import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pillow_inr.entropy.distributions import Model, generalized_normal, laplace, onesided, uniform
from pillow_inr.entropy.range_coder import Decoder, Encoder, MeteredDecoder
from pillow_inr.errors import FormatError
from pillow_inr.models.pyramid import frequency_tables


def test_integers_come_back_in_order() -> None:
    symbols = np.array([[-7, 0, 3], [1, 7, -2]], np.int32)
    encoder = Encoder()
    encoder.encode(11, uniform(16))
    encoder.encode(symbols, laplace(20, 3))
    encoder.encode(np.zeros(0, np.int32), laplace(20, 3))
    encoder.encode(5, onesided(20, 3))
    decoder = Decoder(encoder.to_bytes())
    assert decoder.decode_one(uniform(16)) == 11
    decoded = decoder.decode(laplace(20, 3), 6)
    assert decoded.dtype == np.int32
    assert decoded.tolist() == symbols.ravel().tolist()
    assert decoder.decode(laplace(20, 3), 0).tolist() == []
    assert decoder.decode_one(onesided(20, 3)) == 5
    decoder.finish()


def test_streams_that_no_encoder_writes_are_refused() -> None:
    with pytest.raises(FormatError, match="does not fit"):
        Decoder(b"\xff" * 8).decode(uniform(16), 1)
    with pytest.raises(FormatError, match="data is left"):
        Decoder(bytes(range(1, 13))).finish()


small = st.integers(1, 6)
scales = st.integers(0, 63)
# A model, the lowest and the highest of its integers.
models = st.one_of(
    st.builds(lambda j, m, h: (generalized_normal(j, m, h), 1 - 2**m, 2**m - 1), scales, small, st.integers(0, 4)),
    st.builds(lambda j, m: (onesided(j, m), 0, 2**m - 1), scales, small),
    st.integers(2, 16).map(lambda n: (uniform(n), 0, n - 1)),
)
runs = models.flatmap(lambda model: st.tuples(st.just(model[0]), st.lists(st.integers(*model[1:]), max_size=20)))


@given(st.lists(runs, max_size=12), st.binary(min_size=8, max_size=16))
def test_any_integers_under_any_models_come_back(parts: list[tuple[Model, list[int]]], rest: bytes) -> None:
    encoder = Encoder()
    for model, values in parts:
        encoder.encode(np.array(values, np.int32), model)
    data = encoder.to_bytes()
    assert len(data) % 4 == 0
    for decoder in (Decoder(data), MeteredDecoder(data)):
        for model, values in parts:
            assert decoder.decode(model, len(values)).tolist() == values
        decoder.finish()
    decoder = Decoder(data + b"\xff" * 8 + rest[: len(rest) // 4 * 4])
    for model, values in parts:
        decoder.decode(model, len(values))
    with pytest.raises(FormatError, match="data is left"):
        decoder.finish()


@given(
    st.lists(st.tuples(st.integers(0, 73 * 16 - 1), st.integers(0, 34)), min_size=1, max_size=40), st.integers(0, 39)
)
def test_symbols_under_rows_of_frequencies_come_back_in_any_parts(symbols: list[tuple[int, int]], cut: int) -> None:
    rows, bins = np.array(symbols, np.int32).T
    encoder = Encoder()
    encoder.encode_rows(bins, frequency_tables.frequencies()[rows])
    decoder = Decoder(encoder.to_bytes())
    parts = [part for part in (rows[:cut], rows[cut:]) if len(part)]
    decoded = [decoder.decode_rows(frequency_tables.frequencies()[part]) for part in parts]
    assert np.concatenate(decoded).tolist() == bins.tolist()
    decoder.finish()


@given(st.binary(max_size=60).map(lambda data: data[: len(data) // 4 * 4]), st.lists(models, max_size=20))
def test_any_words_are_decoded_or_refused(data: bytes, chosen: list[tuple[Model, int, int]]) -> None:
    decoder = Decoder(data)
    try:
        for model, low, high in chosen:
            assert low <= decoder.decode_one(model) <= high
        decoder.finish()
    except FormatError:
        pass
