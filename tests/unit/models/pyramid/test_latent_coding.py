import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pillow_inr.entropy.distributions import uniform
from pillow_inr.entropy.range_coder import Encoder
from pillow_inr.errors import FormatError
from pillow_inr.models.pyramid import cost, latent_coding, structure
from pillow_inr.models.pyramid.latent_coding import WeightResidual
from tests.support.checks import fresh
from tests.support.pyramids import draw_grids, draw_stream, draw_weight_residuals

BASE = structure.base_weights(0, 0, 3)


def _none(channels: int) -> dict[str, WeightResidual]:
    return latent_coding.no_residuals(0, channels)


@settings(max_examples=40)
@given(
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.sampled_from([1, 2, 3, 4, 5]),
    st.sampled_from([0.0, 0.3, 2.0, 300.0, 10**6]),
    st.sampled_from([0.0, 2.0, 40.0]),
    st.lists(st.booleans(), min_size=7, max_size=7),
    st.sampled_from([0, 1]),
    st.integers(0, 2**32 - 1),
)
def test_decoding_undoes_encoding(
    size: tuple[int, int], channels: int, spread: float, change: float, coded: list[bool], preset: int, seed: int
) -> None:
    """Any symbols, with escapes up to the largest; grids that are all zero; any network."""
    rng = np.random.default_rng(seed)
    grids = [grid * flag for grid, flag in zip(draw_grids(rng, size, spread), coded, strict=True)]
    weight_residuals = draw_weight_residuals(rng, channels, change, preset)
    data = latent_coding.encode(preset, structure.base_weights(preset, 0, channels), weight_residuals, grids)
    decoded = latent_coding.decode(data, preset, structure.base_weights(preset, 0, channels), size)
    expected = latent_coding.apply(structure.base_weights(preset, 0, channels), weight_residuals)
    assert list(decoded.tensors) == list(expected)
    assert all((decoded.tensors[name] == values).all() for name, values in expected.items())
    for found, grid in zip(decoded.grids, grids, strict=True):
        assert found.dtype == np.int32
        assert found.shape == grid.shape
        assert (found == grid).all()


def test_the_furthest_escapes() -> None:
    """Means at one end of the range and symbols at the other."""
    weight_residuals = _none(3)
    bias = np.zeros((2, 7), np.int32)
    bias[0] = (structure.CONTEXT_LIMIT - 1 - np.abs(BASE["a3b"]).max()) // 32
    for sign in (-1, 1):
        changed = {**weight_residuals, "a3b": WeightResidual(5, sign * bias)}
        grids = [np.full(shape, -sign * 4095, np.int32) for shape in structure.grid_sizes((9, 5))]
        data = latent_coding.encode(0, BASE, changed, grids)
        decoded = latent_coding.decode(data, 0, BASE, (9, 5))
        assert all((a == b).all() for a, b in zip(decoded.grids, grids, strict=True))


def test_an_empty_pyramid_is_a_few_words() -> None:
    grids = [np.zeros(shape, np.int32) for shape in structure.grid_sizes((4096, 4096))]
    data = latent_coding.encode(0, BASE, _none(3), grids)
    # 17 magnitudes of 4 bits each, and 7 flags.
    assert len(data) <= 4 * math.ceil((17 * 4 + 7) / 32 + 1)
    assert not any(grid.any() for grid in latent_coding.decode(data, 0, BASE, (4096, 4096)).grids)


@pytest.mark.parametrize("preset", range(len(structure.PRESETS)))
def test_decoding_takes_no_more_memory_than_is_announced(preset: int) -> None:
    rng, size = np.random.default_rng(0), (768, 768)
    data = draw_stream(rng, size, spread=0.3, preset=preset)
    latent_coding.decode(data, preset, structure.base_weights(preset, 0, 3), size)  # fills what is cached
    tracemalloc.start()
    latent_coding.decode(data, preset, structure.base_weights(preset, 0, 3), size)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < cost._DECODING_BYTES * math.prod(size)


@pytest.mark.parametrize("spread", [0.5, 3.0, 60.0])
def test_code_lengths_are_those_of_the_stream(spread: float) -> None:
    rng = np.random.default_rng(0)
    weight_residuals, grids = draw_weight_residuals(rng, 3), draw_grids(rng, (97, 70), spread)
    tensors = latent_coding.apply(BASE, weight_residuals)
    bits = latent_coding.grid_bits(tensors, grids)
    empty = [0 * grid for grid in grids]
    networks = 8 * len(latent_coding.encode(0, BASE, weight_residuals, empty))
    for level, grid in enumerate(grids):
        alone = [grid if other == level else empty[other] for other in range(7)]
        bits_alone = 8 * len(latent_coding.encode(0, BASE, weight_residuals, alone)) - networks
        assert abs(latent_coding.grid_bits(tensors, alone)[level] - bits_alone) <= 40
    whole = 8 * len(latent_coding.encode(0, BASE, weight_residuals, grids)) - networks
    assert abs(sum(bits) - whole) <= 40
    assert latent_coding.grid_bits(tensors, empty) == [0.0] * 7
    tensor_bits = sum(map(latent_coding.weight_residual_bits, weight_residuals.values()))
    assert abs(tensor_bits - networks) <= 0.02 * networks + 64


def test_streams_do_not_depend_on_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    weight_residuals, grids = draw_weight_residuals(rng, 3), draw_grids(rng, (30, 21), 30.0)
    expected = latent_coding.encode(0, BASE, weight_residuals, grids)
    for batch in (1, 7, 100):
        monkeypatch.setattr(latent_coding, "_BATCH", batch)
        assert latent_coding.encode(0, BASE, weight_residuals, grids) == expected


_DECODE = """
import os, sys, zlib
os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "{threads}"
from pillow_inr.models.pyramid import context, latent_coding, structure
from tests.support.pyramids import draw_stream
import numpy as np
context._BATCH, context._PRODUCT_MAX = {batch}, {product}
data = draw_stream(np.random.default_rng(3), (700, 40), 3, 2.0)
pyramid = latent_coding.decode(data, 0, structure.base_weights(0, 0, 3), (700, 40))
print(zlib.crc32(data), *(zlib.crc32(grid.tobytes()) for grid in pyramid.grids))
"""


def test_symbols_do_not_depend_on_threads() -> None:
    """A BLAS splits products for 28,000 symbols among its threads unless they are split beforehand."""
    ways = ((1, 64, 1 << 18), (1, 1 << 16, 100), (2, 1 << 16, 1 << 60), (4, 1 << 16, 1 << 60))
    outcomes = {
        fresh(_DECODE.format(threads=threads, batch=batch, product=product)) for threads, batch, product in ways
    }
    assert len(outcomes) == 1


def test_symbols_and_exponents_that_do_not_fit_are_refused() -> None:
    grids = [np.zeros(shape, np.int32) for shape in structure.grid_sizes((3, 2))]
    grids[1][0, 0] = 4096
    with pytest.raises(ValueError, match=r"-4095\.\.4095"):
        latent_coding.encode(0, BASE, _none(3), grids)
    grids[1][0, 0] = 0
    large = WeightResidual(15, np.full((24, 24), 32767, np.int32))
    with pytest.raises(FormatError, match="tensor a2"):
        latent_coding.encode(0, BASE, {**_none(3), "a2": large}, grids)
    exponent = WeightResidual(16, np.ones((24, 24), np.int32))
    with pytest.raises(ValueError, match=r"exponent .* 0\.\.15"):
        latent_coding.encode(0, BASE, {**_none(3), "a2": exponent}, grids)


def test_a_stream_that_goes_on_is_refused() -> None:
    data = draw_stream(np.random.default_rng(0), (5, 4))
    with pytest.raises(FormatError, match="left"):
        latent_coding.decode(data + bytes(8), 0, BASE, (5, 4))
    with pytest.raises(FormatError):
        latent_coding.decode(data, 0, BASE, (2, 1))


def test_scale_indices_outside_their_range_are_refused() -> None:
    encoder = Encoder()
    encoder.encode(3, uniform(16))
    encoder.encode(0, uniform(16))
    encoder.encode(40, latent_coding.laplace(22, 8))
    with pytest.raises(FormatError, match=r"scale index is 64, expected 0\.\.63"):
        latent_coding.decode(encoder.to_bytes(), 0, BASE, (1, 1))


def test_flipped_bits_raise_nothing_else() -> None:
    data = draw_stream(np.random.default_rng(0), (6, 5), spread=20.0)
    rng = np.random.default_rng(1)
    for bit in rng.integers(0, 8 * len(data), 200):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        try:
            decoded = latent_coding.decode(bytes(damaged), 0, BASE, (6, 5))
            assert all(np.abs(grid).max() <= 4095 for grid in decoded.grids)
        except FormatError:
            continue
    for length in range(0, len(data), 16):
        with pytest.raises(FormatError):
            latent_coding.decode(data[:length] + bytes(rng.integers(0, 256, 400, np.uint8)), 0, BASE, (6, 5))


words = st.binary(max_size=160).map(lambda data: data[: len(data) // 4 * 4])


@given(words, st.booleans(), st.tuples(st.integers(1, 9), st.integers(1, 9)), st.sampled_from([1, 2, 3, 4, 5]))
def test_any_bytes_are_a_pyramid_or_refused(data: bytes, empty: bool, size: tuple[int, int], channels: int) -> None:
    """The bytes as they are, or after 17 tensors without differences, whose magnitudes are at least 64 zero bits."""
    try:
        decoded = latent_coding.decode(bytes(8 * empty) + data, 0, structure.base_weights(0, 0, channels), size)
    except FormatError:
        return
    structure.check_tensors(decoded.tensors)
    assert [grid.shape for grid in decoded.grids] == structure.grid_sizes(size)
    assert all(np.abs(grid).max() <= 4095 for grid in decoded.grids)


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 2**16), st.integers(0, 255)), min_size=1, max_size=3), st.integers(0, 8))
def test_changed_streams_are_read_or_refused(changes: list[tuple[int, int]], cut: int) -> None:
    data = bytearray(draw_stream(np.random.default_rng(0), (5, 3), spread=20.0))
    for place, byte in changes:
        data[place % len(data)] = byte
    try:
        decoded = latent_coding.decode(bytes(data[: len(data) - 4 * cut]), 0, BASE, (5, 3))
    except FormatError:
        return
    assert all(np.abs(grid).max() <= 4095 for grid in decoded.grids)


@pytest.mark.parametrize("largest", [1, 4095])
@settings(max_examples=20)
@given(st.data())
def test_any_grids_round_trip(largest: int, data: st.DataObject) -> None:
    size = data.draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    grids = [
        data.draw(hnp.arrays(np.int32, shape, elements=st.integers(-largest, largest), fill=st.just(0)))
        for shape in structure.grid_sizes(size)
    ]
    stream = latent_coding.encode(0, structure.base_weights(0, 1, 3), _none(3), grids)
    decoded = latent_coding.decode(stream, 0, structure.base_weights(0, 1, 3), size)
    assert all((a == b).all() for a, b in zip(decoded.grids, grids, strict=True))
