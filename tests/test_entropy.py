import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pillow_inr import entropy
from pillow_inr.entropy import CodedTensor, decode_tensors, encode_tensors
from pillow_inr.errors import FormatError

tensors = st.lists(
    st.builds(
        CodedTensor,
        hnp.arrays(
            np.int32,
            hnp.array_shapes(max_dims=2, max_side=12),
            elements=st.one_of(st.integers(-3, 3), st.integers(-32767, 32767)),
        ),
        st.integers(0, 255),
    ),
    min_size=1,
    max_size=6,
)


def _scale(index: int) -> float:
    return (4 + index % 4) * 2.0 ** (index // 4) / 64


def test_decays_are_those_of_the_scales() -> None:
    for index, decay in enumerate(entropy.DECAYS):
        # To the last integer but one: math.exp itself is good to 2^-52.
        assert abs(decay - 2**32 * math.exp(-1 / (2 * _scale(index)))) <= 0.51


def test_counts_by_hand() -> None:
    # Scale index 16: b = 4 * 2^4 / 64 = 1, so the decay is round(2^32 e^-1/2) = 2605029347.
    decay = 2605029347
    ratio = decay * decay >> 32
    first = decay * (2**32 + decay) >> 32
    second = first * ratio >> 32
    third = second * ratio >> 32
    assert entropy.laplace_counts(16, 2).tolist() == [third, second, first, 2 * 2**32, first, second, third]


@pytest.mark.parametrize("index", [8, 16, 24, 40])
def test_counts_follow_the_quantized_laplace_distribution(index: int) -> None:
    scale = _scale(index)
    counts = entropy.laplace_counts(index, 12)
    probability = counts / counts.sum()
    middle = len(counts) // 2
    assert probability[middle] == pytest.approx(1 - math.exp(-0.5 / scale), rel=1e-3)
    assert probability[middle + 1] == pytest.approx(0.5 * (math.exp(-0.5 / scale) - math.exp(-1.5 / scale)), rel=1e-3)
    assert (counts == counts[::-1]).all()
    assert (counts >= 1).all()


def test_smallest_stream_by_hand() -> None:
    # One tensor of one weight, 0, whose step index is the predicted 144: the stream holds the difference 0 under the
    # parameter model and the magnitude 0 of sixteen.
    #
    # Difference: the 511 counts of scale index 22 (b = 3), each at least 1; the middle one is 2^33 of a total of
    # 55963906438, so its interval in 24 bits starts where the 255 counts below it end and is 2575106 wide.
    counts = entropy.laplace_counts(22, 8)
    free = 2**24 - len(counts)
    low = int(counts[:255].sum() * (free / counts.sum())) + 255
    high = int(counts[:256].sum() * (free / counts.sum())) + 256
    # Magnitude: the first of sixteen intervals of 2^20. So the stream names a number, as a fraction of 2^64, in
    start = low << 40
    length = (high - low) << 40
    length = (length >> 24) * 2**20
    # The coder keeps one word if a number with 32 zero bits below lies inside.
    payload = encode_tensors([CodedTensor(np.zeros(1, np.int32), 144)])
    number = int.from_bytes(payload[:4], "little") << 32
    assert len(payload) == 4
    assert start <= number < start + length


@given(tensors)
def test_round_trip(original: list[CodedTensor]) -> None:
    payload = encode_tensors(original)
    decoded = list(decode_tensors(payload, [tensor.symbols.shape for tensor in original]))
    for before, after in zip(original, decoded, strict=True):
        assert after.step_index == before.step_index
        assert after.symbols.dtype == np.int32
        np.testing.assert_array_equal(after.symbols, before.symbols)


@given(st.integers(0, 2**32 - 1), st.floats(0.3, 200))
def test_length_is_the_ideal_rate(seed: int, scale: float) -> None:
    symbols = np.rint(np.random.default_rng(seed).laplace(0, scale, 3000)).astype(np.int32)
    ideal = entropy.best_scale_index(symbols)[1] if symbols.any() else 0.0
    parameters = 24
    assert 8 * len(encode_tensors([CodedTensor(symbols, 144)])) <= (ideal + parameters) * 1.001 + 64


@pytest.mark.parametrize("magnitude", [1, 15])
def test_symbols_at_the_ends_of_the_alphabet(magnitude: int) -> None:
    largest = 2**magnitude - 1
    symbols = np.array([-largest, 0, largest], np.int32)
    (decoded,) = decode_tensors(encode_tensors([CodedTensor(symbols, 0)]), [(3,)])
    assert decoded.symbols.tolist() == symbols.tolist()


def test_best_scale_is_the_best_of_all() -> None:
    rng = np.random.default_rng(1)
    for scale in (0.02, 0.4, 3.0, 900.0):
        symbols = np.rint(rng.laplace(0, scale, 500)).astype(np.int32)
        symbols[0] = 1
        offset = 2 ** entropy.magnitude_of(symbols) - 1
        histogram = np.bincount(symbols + offset, minlength=2 * offset + 1)
        best = min(entropy.ideal_bits(histogram, index) for index in range(64))
        assert entropy.best_scale_index(symbols)[1] == pytest.approx(best)


def test_data_after_the_last_tensor_is_refused() -> None:
    payload = encode_tensors([CodedTensor(np.arange(-50, 50, dtype=np.int32), 144)])
    with pytest.raises(FormatError, match="data is left"):
        list(decode_tensors(payload + bytes(range(1, 9)), [(100,)]))


@given(st.binary(max_size=64).map(lambda data: data[: len(data) // 4 * 4]))
def test_any_bytes_decode_or_are_refused(payload: bytes) -> None:
    try:
        for tensor in decode_tensors(payload, [(3, 4), (4,), (4, 2), (2,)]):
            assert 0 <= tensor.step_index <= 255
    except FormatError:
        pass
