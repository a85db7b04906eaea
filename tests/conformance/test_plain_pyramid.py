"""The decoder of pyramids written from docs/format.md agrees with the package: the document is enough."""

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pillow_inr.errors import FormatError
from pillow_inr.models.pyramid import frequency_tables, latent_coding, structure
from pillow_inr.models.pyramid.model import StoredPyramid
from tests.support import container, plain_file, plain_pyramid
from tests.support.checks import any_number_of_symbols, check_pixels
from tests.support.container import PIXEL_FORMAT_SAMPLES, SampleFormat, open_model
from tests.support.pyramids import draw_file, draw_stream
from tests.vectors import inventory
from tests.vectors.inventory import BASE_WEIGHTS, Vector, name_of

FILES = {
    "escapes": lambda: draw_file((9, 14), seed=1, base_index=3, spread=40.0),
    "bands": lambda: draw_file(
        (4, 5), pixel_format=PIXEL_FORMAT_SAMPLES, samples=SampleFormat("uint16", 5, ((3.0, 9000.0),))
    ),
    "tiles": lambda: draw_file((258, 2), tile=8),
}
PYRAMIDS = [vector for vector in inventory.VECTORS if vector.is_pyramid]


def _compare(data: bytes, decoded: plain_pyramid.Decoded) -> None:
    network = open_model(data)
    assert isinstance(network, StoredPyramid)
    for tile, theirs in zip(network.tiles.all(), decoded.pyramids, strict=True):
        ours = network.tiles.decode_tile(tile)
        assert {name: values.ravel().tolist() for name, values in ours.tensors.items()} == theirs.tensors
        assert [grid.tolist() for grid in ours.grids] == theirs.grids
    pixels = network.pixels()
    file = decoded.file
    assert pixels.shape == (file.height, file.width, file.channels)
    expected = np.array(decoded.pixels).reshape(pixels.shape)
    if network.header.samples is None:
        # With so few pixels one that is rounded differently is already more than one in a thousand.
        assert np.abs(pixels - expected).max() <= 1
    else:
        check_pixels(expected, pixels, network.header)


@pytest.mark.parametrize("name", FILES)
def test_files_decode_alike(name: str) -> None:
    data = FILES[name]()
    _compare(data, plain_pyramid.decode(data, BASE_WEIGHTS))


def _parameter(vector: Vector) -> Any:
    """A vector; the tiled one takes the second decoder a dozen seconds."""
    name = name_of(vector.path)
    return pytest.param(vector, id=name, marks=[pytest.mark.slow] if name == "pyramid/tiled" else [])


@pytest.mark.parametrize("vector", [_parameter(vector) for vector in PYRAMIDS])
def test_vectors_decode_alike(vector: Vector) -> None:
    _compare(vector.data, vector.pyramid)
    small = plain_pyramid.preview(vector.data, BASE_WEIGHTS)
    if small:
        ours = open_model(vector.data).preview()  # type: ignore[union-attr]
        assert ours is not None
        theirs = np.array(small.pixels).reshape(small.file.height, small.file.width, -1)
        assert np.abs(ours.pixels() - theirs).max() <= 1


@settings(max_examples=25)
@given(
    st.tuples(st.integers(1, 6), st.integers(1, 6)),
    st.integers(0, 3),
    st.sampled_from([None, ("uint8", 1), ("uint16", 0), ("uint16", 2), ("float32", 5)]),
    st.sampled_from([0, 8, 12]),
    st.sampled_from([(0, 0), (0, 3), (1, 0), (1, 6)]),
    st.sampled_from([0.2, 1.5, 30.0]),
    st.integers(0, 2**32 - 1),
)
def test_drawn_files_decode_alike(
    size: tuple[int, int],
    mode: int,
    samples: tuple[str, int] | None,
    tile: int,
    networks: tuple[int, int],
    spread: float,
    seed: int,
) -> None:
    fields: dict[str, Any] = {"pixel_format": mode}
    if samples:
        ranges = tuple((float(channel), 200.0 + channel) for channel in range(max(1, samples[1] * (seed % 2))))
        fields = {"pixel_format": 4, "samples": SampleFormat(*samples, ranges)}
    preset, base_index = networks
    data = draw_file(size, seed, spread, tile=tile, preset=preset, base_index=base_index, **fields)
    _compare(data, plain_pyramid.decode(data, BASE_WEIGHTS))


def test_the_document_and_the_code_have_one_table() -> None:
    assert tuple(plain_pyramid.SCALES) == frequency_tables.DECAYS


def _outcomes(stream: bytes, size: tuple[int, int]) -> tuple[Any, Any]:
    """Tensors and grids from both decoders; None from one that refuses the stream."""
    try:
        with any_number_of_symbols():
            decoded = latent_coding.decode(stream, 0, structure.base_weights(0, 0, 3), size)
        ours = {name: values.ravel().tolist() for name, values in decoded.tensors.items()}, decoded.grids
        ours = ours[0], [grid.tolist() for grid in ours[1]]
    except FormatError:
        ours = None
    try:
        found = plain_pyramid.decode_pyramid(stream, 0, plain_pyramid.prior(0, 0, 3, BASE_WEIGHTS), *size)
        theirs = found.tensors, found.grids
    except plain_file.InvalidError:
        theirs = None
    return ours, theirs


def test_damaged_streams_are_read_or_refused_alike() -> None:
    stream = draw_stream(np.random.default_rng(0), (4, 3), spread=3.0)
    refused = set()
    for bit in np.random.default_rng(1).integers(0, 8 * len(stream), 60):
        damaged = bytearray(stream)
        damaged[bit // 8] ^= 1 << bit % 8
        ours, theirs = _outcomes(bytes(damaged), (4, 3))
        assert ours == theirs
        refused.add(ours is None)
    assert refused == {True, False}


@example(b"\xdd\xab\x1b\x01\xdfI\x95\xd2\xd0\xdd\x03\x01", False)  # more symbols than the package allows 12 bytes
@given(st.binary(max_size=120).map(lambda data: data[: len(data) // 4 * 4]), st.booleans())
def test_any_stream_is_read_or_refused_alike(stream: bytes, plain_tensors: bool) -> None:
    """The stream as it is, or after tensors without differences, for which its first 68 bits are 0."""
    ours, theirs = _outcomes(bytes(8 * plain_tensors) + stream, (3, 2))
    assert ours == theirs


def test_both_have_as_many_priors() -> None:
    assert list(container.BASE_WEIGHTS_COUNTS) == plain_file.BASE_WEIGHTS_COUNTS
