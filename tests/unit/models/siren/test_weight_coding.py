"""Streams of both codings: round trips, examples worked by hand, invalid streams, code lengths."""

import time
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pillow_inr.entropy import distributions, scale_search
from pillow_inr.entropy.distributions import laplace, onesided, uniform
from pillow_inr.entropy.range_coder import Decoder, Encoder
from pillow_inr.errors import FormatError
from pillow_inr.models.siren import weight_coding
from pillow_inr.models.siren.architecture import Architecture
from pillow_inr.models.siren.canonical import normalize
from pillow_inr.models.siren.weight_coders import DeltaCodedIndex, FirstKernel, GeneralizedNormal, Kernel, SineBias
from pillow_inr.models.siren.weight_coding import CodedTensor, decode_tensors, encode_tensors
from tests.support import any_choice, coding0
from tests.support.checks import any_number_of_symbols

WRITERS = {0: coding0.encode_tensors, 1: encode_tensors}
CODINGS = pytest.mark.parametrize("coding", WRITERS)
# Tensors of a network of 2 units, 1 sine layer, plain coordinates and 1 sample per pixel.
SMALL = [(2, 2), (2,), (2, 1), (1,)]


def _shapes(width: int = 4, depth: int = 2, channels: int = 3, frequencies: int = 2) -> tuple[tuple[int, ...], ...]:
    return Architecture(
        width=width, depth=depth, channels=channels, frequencies=frequencies, frequency_ratio=200
    ).shapes


@st.composite
def networks(draw: st.DrawFn) -> list[CodedTensor]:
    numbers = st.integers
    shapes = _shapes(draw(numbers(1, 6)), draw(numbers(1, 3)), draw(numbers(1, 4)), draw(numbers(0, 3)))
    elements = st.one_of(st.just(0), numbers(-3, 3), numbers(-300, 300), numbers(-32767, 32767))
    symbols = [draw(hnp.arrays(np.int32, shape, elements=elements)) for shape in shapes]
    if draw(st.booleans()):
        symbols = normalize(symbols)
    return [CodedTensor(tensor, draw(numbers(0, 255))) for tensor in symbols]


def _check_round_trip(tensors: Sequence[CodedTensor], coding: int) -> None:
    shapes = [tensor.symbols.shape for tensor in tensors]
    decoded = list(decode_tensors(WRITERS[coding](tensors), shapes, coding))
    for before, after in zip(tensors, decoded, strict=True):
        assert after.step_index == before.step_index
        assert after.symbols.dtype == np.int32
        np.testing.assert_array_equal(after.symbols, before.symbols)


@CODINGS
@given(networks())
def test_round_trip(coding: int, tensors: list[CodedTensor]) -> None:
    with any_number_of_symbols():  # the smallest networks with the largest symbols ask for large tables in few bytes
        _check_round_trip(tensors, coding)


@CODINGS
@pytest.mark.parametrize("largest", [1, 32767])
def test_symbols_at_the_ends_of_the_alphabet(coding: int, largest: int) -> None:
    drawn = np.random.default_rng(0).integers(-1, 1, 200, endpoint=True).astype(np.int32)
    symbols = [np.resize(drawn * largest, shape) for shape in _shapes()]
    _check_round_trip([CodedTensor(tensor, 255 * (index % 2)) for index, tensor in enumerate(symbols)], coding)
    _check_round_trip([CodedTensor(tensor, 0) for tensor in normalize(symbols)], coding)


class _ByHand:
    """The interval in which the stream's number must lie, narrowed as in docs/format.md section 4.1."""

    def __init__(self) -> None:
        self.start, self.length, self.bits = 0, 2**64 - 1, 64

    def narrow(self, frequencies: Sequence[float], symbol: int) -> None:
        below, free, total = sum(frequencies[:symbol]), 2**24 - len(frequencies), sum(frequencies)
        low = int(below * (free / total)) + symbol
        last = symbol + 1 == len(frequencies)
        high = 2**24 if last else int((below + frequencies[symbol]) * (free / total)) + symbol + 1
        unit = self.length >> 24
        self.start, self.length = self.start + unit * low, unit * (high - low)
        if self.length < 2**32:
            self.start, self.length, self.bits = self.start << 32, self.length << 32, self.bits + 32

    def check(self, payload: bytes) -> None:
        words = np.frombuffer(payload, "<u4").tolist()
        number = sum(word << self.bits - 32 * (place + 1) for place, word in enumerate(words))
        assert self.start <= number < self.start + self.length
        assert 32 * len(words) <= self.bits


def test_smallest_stream_of_coding_0_by_hand() -> None:
    # One tensor of one weight, 0, whose step index is the predicted 144: the stream holds the difference 0 under the
    # parameter model and the magnitude 0 of sixteen.
    #
    # Difference: the 511 frequencies of scale index 22 (b = 3), each at least 1; the middle one is 2^33 of a total of
    # 55953824414, so its interval in 24 bits starts where the 255 frequencies below it end and is 2575531 wide.
    # Magnitude: the first of sixteen intervals of 2^20. The coder keeps one word if a number with 32 zero bits below
    # lies inside.
    by_hand = _ByHand()
    by_hand.narrow(distributions.laplace_frequencies(22, 8).tolist(), 255)
    assert by_hand.length == (2**40 - 1) * 2575531
    by_hand.narrow([1] * 16, 0)
    payload = coding0.encode_tensors([CodedTensor(np.zeros(1, np.int32), 144)])
    assert len(payload) == 4
    by_hand.check(payload)


def test_small_stream_of_coding_1_by_hand() -> None:
    # All step indices are the predicted 144; the four units have the biases 0, 0, 0, 1, and all other weights are 0.
    tensors = [CodedTensor(np.zeros(shape, np.int32), 144) for shape in _shapes(4, 1, 1, 0)]
    tensors[1].symbols[3] = 1
    by_hand = _ByHand()
    indices = distributions.laplace_frequencies(22, 8).tolist()
    for magnitude in (0, 1, 0, 0):
        by_hand.narrow(indices, 255)  # difference 0 of the step index
        by_hand.narrow([1] * 16, magnitude)
        if magnitude:
            by_hand.narrow([1, 1], 1)  # flag: sorted
            # One difference of four is 1, so frequencies of 3 to 1 are best. Scale index 10 comes nearest:
            # A[10] * (2^32 + A[10]) >> 32 = 1430570238 against 2^32. The predicted index is 8.
            by_hand.narrow(indices, 255 + 10 - 8)
            for difference in (0, 0, 0, 1):
                by_hand.narrow([2**32, 1132141088 * (2**32 + 1132141088) >> 32], difference)
    by_hand.check(encode_tensors(tensors))


@given(st.integers(0, 2**32 - 1), st.floats(0.3, 200))
def test_length_is_the_ideal_rate(seed: int, spread: float) -> None:
    rng = np.random.default_rng(seed)
    shapes = _shapes(24, 1, 3, 4)
    symbols = [np.rint(rng.laplace(0, spread, shape)).astype(np.int32) for shape in shapes]
    ideal = 0.0
    for tensor in symbols:
        magnitude = int(np.abs(tensor).max()).bit_length()
        if magnitude:
            ideal += min(scale_search.scale_lengths([tensor], magnitude, shape).min() for shape in range(5))
    # Step and scale index, magnitude, shape and flag of each tensor; the differences of the F frequencies.
    parameters = 4 * 30 + 4 * 2
    payload = encode_tensors([CodedTensor(tensor, 144) for tensor in symbols])
    assert 8 * len(payload) <= (ideal + parameters) * 1.001 + 64


def test_networks_are_shorter_than_in_coding_0() -> None:
    rng = np.random.default_rng(7)
    symbols = [np.rint(rng.normal(0, 9, shape)).astype(np.int32) for shape in _shapes(48, 4, 3, 16)]
    plain = [CodedTensor(tensor, 144) for tensor in symbols]
    normal = [CodedTensor(tensor, 144) for tensor in normalize(symbols)]
    assert len(encode_tensors(normal)) < len(encode_tensors(plain)) < len(coding0.encode_tensors(plain))


def test_scales_follow_the_frequencies() -> None:
    rng = np.random.default_rng(8)
    falling = [40.0] + [40 * 0.8**k for k in range(16)] * 2
    kernel = np.rint(rng.laplace(0, np.array(falling * 2)[:, None], (66, 48))).astype(np.int32)
    ideal = sum(scale_search.scale_lengths([row], int(np.abs(kernel).max()).bit_length(), 0).min() for row in kernel)
    rest = [CodedTensor(np.zeros(shape, np.int32), 144) for shape in _shapes(48, 1, 3, 16)[1:]]
    assert 8 * len(encode_tensors([CodedTensor(kernel, 144), *rest])) < 1.03 * ideal


def test_expected_side_information() -> None:
    assert weight_coding.side_information_bytes(_shapes(48, 4, 3, 16)) == pytest.approx(30, abs=3)
    assert weight_coding.side_information_bytes(_shapes(8, 1, 3, 0)) == pytest.approx(11, abs=2)


@CODINGS
def test_data_after_the_last_tensor_is_refused(coding: int) -> None:
    symbols = [np.arange(np.prod(shape), dtype=np.int32).reshape(shape) for shape in SMALL]
    payload = WRITERS[coding]([CodedTensor(tensor, 144) for tensor in symbols])
    with pytest.raises(FormatError, match="data is left"):
        list(decode_tensors(payload + bytes(range(1, 9)), SMALL, coding))


def _begin(magnitude: int) -> Encoder:
    """A stream whose first tensor has the predicted step index."""
    encoder = Encoder()
    encoder.encode(0, laplace(22, 8))
    encoder.encode(magnitude, uniform(16))
    return encoder


@CODINGS
@pytest.mark.parametrize("difference", [-145, 112])
def test_a_step_index_outside_its_range_is_refused(coding: int, difference: int) -> None:
    encoder = Encoder()
    encoder.encode(difference, laplace(22, 8))
    with pytest.raises(FormatError, match=rf"step index is {144 + difference}, expected 0\.\.255"):
        list(decode_tensors(encoder.to_bytes(), SMALL, coding))


@CODINGS
@pytest.mark.parametrize("difference", [-25, 40])
def test_a_scale_index_outside_its_range_is_refused(coding: int, difference: int) -> None:
    encoder = _begin(1)
    encoder.encode(difference, laplace(22, 8))
    with pytest.raises(FormatError, match=rf"scale index is {24 + difference}, expected 0\.\.63"):
        list(decode_tensors(encoder.to_bytes(), SMALL, coding))


@pytest.mark.parametrize("differences", [[40, 0], [-25, 25]])
def test_a_scale_index_of_a_frequency_outside_its_range_is_refused(differences: list[int]) -> None:
    encoder = _begin(1)
    encoder.encode(0, laplace(22, 8))
    encoder.encode(0, uniform(5))
    encoder.encode(np.array(differences, np.int32), laplace(14, 6))
    with pytest.raises(FormatError, match="scale index is"):
        list(decode_tensors(encoder.to_bytes(), _shapes(frequencies=2), 1))


@pytest.mark.parametrize("last", [0, 1])
def test_biases_up_to_32767(last: int) -> None:
    encoder = _begin(0)
    encoder.encode(0, laplace(22, 8))
    encoder.encode(15, uniform(16))
    encoder.encode(1, uniform(2))
    encoder.encode(55, laplace(22, 8))
    encoder.encode(np.array([32767, last], np.int32), onesided(63, 15))
    for _ in range(2):
        encoder.encode(0, laplace(22, 8))
        encoder.encode(0, uniform(16))
    if last:
        with pytest.raises(FormatError, match=r"bias is 32768, expected 0\.\.32767"):
            list(decode_tensors(encoder.to_bytes(), SMALL, 1))
    else:
        assert list(decode_tensors(encoder.to_bytes(), SMALL, 1))[1].symbols.tolist() == [32767, 32767]


@CODINGS
@given(st.binary(max_size=64).map(lambda data: data[: len(data) // 4 * 4]))
def test_any_bytes_decode_or_are_refused(coding: int, payload: bytes) -> None:
    try:
        for tensor in decode_tensors(payload, _shapes(), coding):
            assert 0 <= tensor.step_index <= 255
            assert np.abs(tensor.symbols).max() <= 32767
    except FormatError:
        pass


def test_the_slowest_stream_takes_seconds() -> None:
    """As many different models of the largest magnitude as a stream can name, with few symbols for each."""
    encoder = _begin(15)
    encoder.encode(-24, laplace(22, 8))
    encoder.encode(4, uniform(5))
    encoder.encode(np.full(32, 1, np.int32), laplace(14, 6))
    shapes = _shapes(15, 15, 4, 32)
    for row in range(130):
        encoder.encode(
            np.zeros(15, np.int32),
            distributions.generalized_normal(([0, *range(1, 33), *range(1, 33)] * 2)[row], 15, 4),
        )
    for position in range(1, 32):
        encoder.encode(0, laplace(22, 8))
        kernel = position % 2 == 0
        encoder.encode(15 if kernel else 0, uniform(16))
        if kernel:
            scale = 2 * position
            encoder.encode(2 * position - 24 if position == 2 else 4, laplace(22, 8))
            encoder.encode(position % 5, uniform(5))
            encoder.encode(1, uniform(2))
            offsets = np.arange(-7, 8, dtype=np.int32)[: shapes[position][1]]
            encoder.encode(offsets, laplace(10, 3))
            for offset in offsets.tolist():
                model = distributions.generalized_normal(min(63, max(0, scale + 3 * offset)), 15, position % 5)
                encoder.encode(np.zeros(shapes[position][0], np.int32), model)
    distributions.generalized_normal.cache_clear()
    start = time.process_time()
    assert len(list(decode_tensors(encoder.to_bytes(), shapes, 1))) == 32
    assert time.process_time() - start < 30


@CODINGS
@given(networks(), st.integers(0, 2**32 - 1))
def test_any_choice_of_a_writer_is_read(coding: int, tensors: list[CodedTensor], seed: int) -> None:
    """Random scales, shapes, offsets, flags and magnitudes."""
    payload = any_choice.encode_tensors(np.random.default_rng(seed), tensors, coding)
    shapes = [tensor.symbols.shape for tensor in tensors]
    with any_number_of_symbols():  # many tables of the largest magnitude in a tiny stream
        decoded = list(decode_tensors(payload, shapes, coding))
        measured = list(weight_coding.measure_tensors(payload, shapes, coding))
    for before, after in zip(tensors, decoded, strict=True):
        assert after.step_index == before.step_index
        np.testing.assert_array_equal(after.symbols, before.symbols)
    assert all(bits > 0 for _, bits in measured)
    assert sum(bits for _, bits in measured) <= 8 * len(payload)


coder_symbols = st.sampled_from([1, 3, 300, 32767]).flatmap(
    lambda largest: st.tuples(st.integers(0, 2), st.integers(1, 5)).flatmap(
        lambda size: hnp.arrays(np.int32, (2 + 4 * size[0], size[1]), elements=st.integers(-largest, largest))
    )
)


@pytest.mark.parametrize("coder", [FirstKernel, Kernel, SineBias, GeneralizedNormal])
@settings(max_examples=30)
@given(st.lists(coder_symbols, min_size=1, max_size=3), st.booleans())
def test_each_coder_decodes_what_it_encoded(coder: type, tensors: list[np.ndarray], rising: bool) -> None:
    """Several tensors in a row, since the scale of each is predicted from the one before."""
    if coder in (SineBias, GeneralizedNormal):
        tensors = [np.sort(np.abs(tensor.ravel())) if rising else tensor.ravel() for tensor in tensors]
    writer, reader, encoder = coder(), coder(), Encoder()
    for tensor in tensors:
        writer.encode(encoder, tensor)
    decoder = Decoder(encoder.to_bytes())
    for tensor in tensors:
        decoded = reader.decode(decoder, tensor.shape)
        assert decoded.dtype == np.int32
        np.testing.assert_array_equal(decoded, tensor)
    decoder.finish()


@given(st.lists(st.integers(0, 63), max_size=20), st.integers(0, 63))
def test_delta_coded_indices_round_trip(indices: list[int], first: int) -> None:
    encoder = Encoder()
    writer, reader = DeltaCodedIndex("index", first, 63), DeltaCodedIndex("index", first, 63)
    for index in indices:
        writer.encode(encoder, index)
    decoder = Decoder(encoder.to_bytes())
    assert [reader.decode(decoder) for _ in indices] == indices
    decoder.finish()
