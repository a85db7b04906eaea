"""Streams of mosaics: round trips, wrong numbers of parts, what is left behind the last network."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pillow_inr.entropy.distributions import generalized_normal, laplace, onesided, uniform
from pillow_inr.entropy.range_coder import Decoder, Encoder
from pillow_inr.errors import FormatError
from pillow_inr.models.siren import mosaic_coding, weight_coding
from pillow_inr.models.siren.division import divided
from pillow_inr.models.siren.weight_coding import CodedTensor
from tests.support import container, mosaics
from tests.support.checks import VECTORS, any_number_of_symbols

pytestmark = pytest.mark.decoding


def _decoded(payload: bytes, header: container.Header) -> tuple[list, list[CodedTensor]]:
    shapes = header.model.architecture(header.channels).shapes
    parts, tensors = mosaic_coding.decode_networks(payload, header.size, header.model, shapes)
    return parts, list(tensors)


@given(
    st.tuples(st.integers(1, 30), st.integers(1, 30)),
    st.integers(0, 3),
    st.tuples(st.integers(1, 6), st.integers(1, 3), st.integers(1, 100)),
    st.sampled_from([0.0, 0.7, 3.0, 200.0]),
    st.integers(0, 2**32 - 1),
)
def test_round_trip(size: tuple[int, int], overlap: int, shape: tuple[int, int, int], spread: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    splits = mosaics.random_splits(rng, size, overlap, 0.5)
    width, depth, taper = shape
    header = mosaics.header_of(
        size, networks=1 + sum(splits), overlap=overlap, width=width, depth=depth, taper=taper, frequencies=1
    )
    networks = mosaics.drawn_networks(rng, header, spread)
    payload = mosaic_coding.encode_mosaic(splits, networks)
    with any_number_of_symbols():
        parts, tensors = _decoded(payload, header)
    assert parts == divided(size, overlap, mosaics.recalled(splits))
    for before, after in zip((tensor for network in networks for tensor in network), tensors, strict=True):
        assert after.step_index == before.step_index
        assert after.symbols.dtype == np.int32
        np.testing.assert_array_equal(after.symbols, before.symbols)
    # Measured, it is the same tensors, and all bits but the division's and the end of the stream.
    shapes = header.model.architecture(header.channels).shapes
    with any_number_of_symbols():
        measured = list(mosaic_coding.measure_networks(payload, size, header.model, shapes))
    assert all((a.symbols == b.symbols).all() for a, (b, _) in zip(tensors, measured, strict=True))
    assert 0 <= 8 * len(payload) - sum(bits for _, bits in measured) <= 64 + len(splits)


def test_tensors_are_predicted_from_the_same_one_of_the_network_before() -> None:
    """By hand: the parameters of three networks of one unit, whose third and first kernels are not all zero."""
    header = mosaics.header_of((9, 1), networks=3, width=1, depth=1, overlap=0, pixel_format=0)
    shapes = header.model.architecture(1).shapes
    steps = [(140, 150, 160, 170), (141, 149, 160, 255), (0, 149, 161, 254)]
    networks = [
        [CodedTensor(np.full(shape, value), step) for shape, step in zip(shapes, row, strict=True)]
        for value, row in zip(np.int32([1, 0, 1]), steps, strict=True)
    ]
    decoder = Decoder(mosaic_coding.encode_mosaic([True, False, True, False, False], networks))
    assert [decoder.decode_one(uniform(2)) for _ in range(5)] == [1, 0, 1, 0, 0]
    before = [144] * 4
    scales: list[list[int]] = [[], [], [], []]
    for value, row in zip([1, 0, 1], steps, strict=True):
        for position, step in enumerate(row):
            assert decoder.decode_one(laplace(22, 8)) == step - before[position]
            assert decoder.decode_one(uniform(16)) == value
            if not value:
                continue
            # A scale index, or behind a bias's flag, and the rest, which other tests cover.
            flag = decoder.decode_one(uniform(2)) if position == 1 else 0
            scales[position].append(decoder.decode_one(laplace(22, 8)))
            if not flag:
                shape = decoder.decode_one(uniform(5))
            _rest(decoder, position, flag, shape if not flag else 0, scales[position])
        before = list(row)
    decoder.finish()
    # The same symbols get the same scale: the difference to that of the first network is 0, but for the first kernel.
    assert [differences[1] for differences in scales[1:]] == [0, 0, 0]
    assert scales[0][1] == scales[0][0]


def _rest(decoder: Decoder, position: int, flag: int, shape: int, differences: list[int]) -> None:
    """Read the symbols, all 1."""
    predicted = 8 if position == 1 else 24
    scale = predicted + (differences[-1] if position == 0 else sum(differences))
    if position == 2:
        assert decoder.decode_one(uniform(2)) == 0  # no offsets
    model = onesided(scale, 1) if flag else generalized_normal(scale, 1, shape)
    count = 2 if position == 0 else 1
    assert decoder.decode(model, count).tolist() == [1] * count


def test_a_network_alone_takes_as_many_bits_as_in_coding_1_without_its_neighbours() -> None:
    header = mosaics.header_of((9, 6), networks=1, taper=100)
    network = mosaics.drawn_networks(np.random.default_rng(0), header)[0]
    alone, mosaic = weight_coding.encode_tensors(network), mosaic_coding.encode_mosaic([], [network])
    # The predictions differ: there from the other kernels and biases, here from constants.
    assert abs(len(alone) - len(mosaic)) <= 12


def test_several_like_networks_take_less_each() -> None:
    header = mosaics.header_of((8, 8), networks=4, taper=100)
    network = mosaics.drawn_networks(np.random.default_rng(0), header)[0]
    splits = [True, True, False, False, True, False, False]
    several = mosaic_coding.encode_mosaic(splits, [network] * 4)
    assert len(several) < 4 * len(weight_coding.encode_tensors(network))


@pytest.mark.parametrize(
    ("networks", "match"),
    [
        (2, r"payload: the image is divided into more than 2 parts"),
        (1, r"payload: the image is divided into more than 1 parts"),
        (4, r"payload: the image is divided into 3 parts, expected 4"),
        (1 << 20, r"payload: the image is divided into 3 parts, expected 1048576"),
    ],
)
def test_another_number_of_parts_is_refused(networks: int, match: str) -> None:
    header = mosaics.header_of((12, 9), networks=3)
    drawn = mosaics.drawn_networks(np.random.default_rng(0), header)
    payload = mosaic_coding.encode_mosaic([True, False, True, False, False], drawn)
    assert len(_decoded(payload, header)[0]) == 3
    with pytest.raises(FormatError, match=match):
        _decoded(payload, container.changed(header, networks=networks))


def test_more_parts_than_the_image_has_room_for_are_refused() -> None:
    encoder = Encoder()
    for _ in range(40):
        encoder.encode(1, uniform(2))
    header = mosaics.header_of((5, 4), networks=21, overlap=0)
    with pytest.raises(FormatError, match=r"divided into 20 parts, expected 21"):
        _decoded(encoder.to_bytes(), header)


@pytest.mark.parametrize("word", [b"\0\0\0\0", b"\1\0\0\0", b"\xff\xff\xff\xff"])
def test_words_behind_the_last_network_are_refused(word: bytes) -> None:
    header = mosaics.header_of((12, 9), networks=3)
    drawn = mosaics.drawn_networks(np.random.default_rng(0), header)
    payload = mosaic_coding.encode_mosaic([True, False, True, False, False], drawn)
    with pytest.raises(FormatError, match="left after the last tensor"):
        _decoded(payload + 2 * word, header)  # the coder may end with one word where it could with two


def test_other_codings_have_one_part() -> None:
    for vector, coding in (("rgb", 0), ("rgb_coding1", 1)):
        data = (VECTORS / f"{vector}.inr").read_bytes()
        header, payload, _ = container.unpack(data)
        parts, tensors = _decoded(payload, header)
        assert header.model.coding == coding and [part.core for part in parts] == [(0, 0, *header.size)]
        assert [tensor.symbols.shape for tensor in tensors] == list(header.model.architecture(header.channels).shapes)
