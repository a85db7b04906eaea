"""The codec for numcodecs: what it gives back is the buffer that it was given, whatever its layout."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pillow_inr
from pillow_inr import codec
from pillow_inr.errors import FormatError
from pillow_inr.format.pixel_format import DTYPES

pytest.importorskip("numcodecs")

from pillow_inr.numcodecs_codec import InrCodec
from pillow_inr.plugins import array_chunks
from tests.support.fits import drawn, encode_drawn, no_fit  # noqa: F401

Array = np.ndarray[Any, Any]


def _strided(array: Array) -> Array:
    large = np.zeros([2 * length for length in array.shape], array.dtype)
    part = large[tuple(slice(None, None, 2) for _ in array.shape)]
    part[...] = array
    return part


def _permuted(array: Array) -> Array:
    """The same values, the axes in memory from the second to the first."""
    axes = [*range(1, array.ndim), 0]
    return np.ascontiguousarray(array.transpose(axes)).transpose(np.argsort(axes))


LAYOUTS: dict[str, Callable[[Array], Array]] = {
    "C": np.ascontiguousarray,
    "F": np.asfortranarray,
    "strided": _strided,
    "reversed": lambda array: np.ascontiguousarray(array[::-1])[::-1],
    "permuted": _permuted,
}


class Chunk(NamedTuple):
    plain: Array
    """Native and in C order."""
    given: Array
    """The same values in another layout and byte order."""


@st.composite
def chunks(draw: st.DrawFn) -> Chunk:
    shape = draw(
        st.tuples(st.integers(1, 7), st.integers(1, 7))
        | st.tuples(st.integers(1, 7), st.integers(1, 7), st.integers(1, 4))
    )
    shape = (1,) * draw(st.integers(0, 3)) + shape
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    plain = rng.integers(0, 100, shape).astype(draw(st.sampled_from(DTYPES)))
    given = LAYOUTS[draw(st.sampled_from(sorted(LAYOUTS)))](
        plain.astype(plain.dtype.newbyteorder(draw(st.sampled_from("<>"))), order="C")
    )
    given.flags.writeable = draw(st.booleans())
    return Chunk(plain, given)


def _round_trip(chunk: Chunk) -> tuple[bytes, Array]:
    """The given array encoded, and the samples that a file of the plain one has, in its shape."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(codec, "encode_source", encode_drawn)
        file = InrCodec().encode(chunk.plain)
        return InrCodec().encode(chunk.given), pillow_inr.decode(file).reshape(chunk.plain.shape)


def _as_zarr_reads(buffer: Array, chunk: Array) -> Array:
    """What Zarr makes of a chunk that is decoded without `out`."""
    order = "F" if chunk.flags.f_contiguous and not chunk.flags.c_contiguous else "C"
    return buffer.view(chunk.dtype).reshape(-1, order="A").reshape(chunk.shape, order=order)


@given(chunks())
def test_any_layout_comes_back(chunk: Chunk) -> None:
    data, expected = _round_trip(chunk)
    decoded = InrCodec().decode(data)
    assert decoded.dtype == chunk.given.dtype or chunk.given.dtype.byteorder == "|"
    np.testing.assert_array_equal(_as_zarr_reads(decoded, chunk.given), expected)


@given(chunks(), st.sampled_from(sorted(LAYOUTS)), st.sampled_from("<>"))
def test_an_array_of_any_layout_is_filled_by_position(chunk: Chunk, layout: str, byte_order: str) -> None:
    data, expected = _round_trip(chunk)
    out = LAYOUTS[layout](np.zeros_like(expected, dtype=expected.dtype.newbyteorder(byte_order), order="C"))
    assert InrCodec().decode(data, out=out) is out
    np.testing.assert_array_equal(out, expected)


@given(chunks(), st.sampled_from(["bytearray", "memoryview", "bytes", "items", "folded"]))
def test_a_buffer_of_another_kind_gets_the_memory(chunk: Chunk, kind: str) -> None:
    data, expected = _round_trip(chunk)
    order = "F" if chunk.given.flags.f_contiguous else "C"
    memory = expected.astype(chunk.given.dtype).tobytes(order)
    if kind in ("bytearray", "memoryview"):
        buffer = bytearray(len(memory))
        InrCodec().decode(data, out=buffer if kind == "bytearray" else memoryview(buffer))
        assert bytes(buffer) == memory
        return
    shape = (2, -1) if kind == "folded" and expected.size % 2 == 0 else (-1,)
    dtype = np.dtype("u1") if kind == "bytes" else chunk.given.dtype
    array = np.zeros(len(memory) // dtype.itemsize, dtype).reshape(shape)
    InrCodec().decode(data, out=array)
    if array.shape != expected.shape[-array.ndim :]:  # with the image's own shape it is filled by position
        assert array.tobytes() == memory


@pytest.mark.usefixtures("drawn")
def test_only_an_array_of_the_chunks_shape_is_filled_by_position() -> None:
    chunk = np.asfortranarray(np.arange(4, dtype="u1").reshape(2, 1, 2))
    data = InrCodec().encode(chunk)
    samples = InrCodec().decode(data)
    alike, other = np.zeros((1, 2, 1, 2), "u1"), np.zeros((2, 2), "u1")
    np.testing.assert_array_equal(InrCodec().decode(data, out=alike)[0], samples)
    assert InrCodec().decode(data, out=other).tobytes() == samples.tobytes("F") != samples.tobytes("C")


@pytest.mark.usefixtures("drawn")
def test_the_chunk_of_a_plain_array_is_the_file_alone() -> None:
    chunk = np.arange(12, dtype="<u2").reshape(1, 3, 4)
    assert InrCodec().encode(chunk) == codec.encode(chunk[0], pillow_inr.EncodeOptions())
    assert InrCodec().encode(chunk.astype(">u2")) == b"inr:>C" + InrCodec().encode(chunk)
    assert InrCodec().encode(np.asfortranarray(chunk)) == b"inr:<F" + InrCodec().encode(chunk)


@pytest.mark.usefixtures("no_fit")
def test_any_buffer_of_bytes_is_decoded() -> None:
    chunk = np.full((3, 4), 7, ">f4")
    data = InrCodec().encode(chunk)
    for kind in (bytes, bytearray, memoryview, lambda data: np.frombuffer(data, "u1")):
        np.testing.assert_array_equal(InrCodec().decode(kind(data)), chunk)


@pytest.mark.usefixtures("no_fit")
def test_a_buffer_that_does_not_fit_is_refused() -> None:
    data = InrCodec().encode(np.zeros((3, 4), ">u2"))
    with pytest.raises(ValueError, match=r"24 bytes of the chunk, got 12"):
        InrCodec().decode(data, out=bytearray(12))
    with pytest.raises(ValueError, match="read-only"):
        InrCodec().decode(data, out=bytes(24))
    with pytest.raises(FormatError, match="layout"):
        InrCodec().decode(data.replace(b">", b"=", 1))


@pytest.mark.parametrize("dtype", ["?", "f2", "f8", ">f8", "i8", "u8", "c8", "M8[s]", "S3", "u1,u1,u1", "O"])
def test_types_that_would_not_come_back_are_refused(dtype: str) -> None:
    with pytest.raises(ValueError, match="convert the array"):
        InrCodec().encode(np.zeros((3, 4), dtype))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="finite numbers only"):
        InrCodec().encode(np.array([[0, value]], ">f4"))


@pytest.mark.parametrize("shape", [(0, 4), (1, 3, 0), (4, 4, 0), (1, 0, 4, 3)])
def test_empty_chunks_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"empty|got \("):
        InrCodec().encode(np.zeros(shape, "u1"))


@pytest.mark.parametrize(
    ("shape", "axes", "image"),
    [
        ((5, 7), None, (5, 7)),
        ((1, 7), None, (1, 7)),
        ((1, 5, 7), None, (5, 7)),
        ((1, 1, 1, 32, 32), None, (32, 32)),
        ((1, 32, 32, 3), None, (32, 32, 3)),
        ((32, 32, 31), None, (32, 32, 31)),
        ((2, 2, 4), None, (2, 2, 4)),
        ((3, 32, 32), "yxc", (3, 32, 32)),
        ((1, 32, 3), "yxc", (1, 32, 3)),
        ((1, 32, 3), None, (32, 3)),
        ((1, 1, 3), "yx", (1, 3)),
    ],
)
def test_the_image_in_a_chunk(shape: tuple[int, ...], axes: str | None, image: tuple[int, ...]) -> None:
    assert array_chunks.image_shape(shape, axes) == image


@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((), None),
        ((5,), None),
        ((3, 32, 32), None),
        ((64, 64, 64), None),
        ((32, 32, 65), None),
        ((2, 1, 32, 32), None),
        ((3, 32, 32), "yx"),
        ((32, 32), "yxc"),
        ((32, 32, 65), "yxc"),
        ((5,), "yx"),
    ],
)
def test_chunks_that_are_no_image_are_refused(shape: tuple[int, ...], axes: str | None) -> None:
    with pytest.raises(ValueError, match="takes chunks of one image"):
        array_chunks.image_shape(shape, axes)


def test_a_stack_that_looks_like_channels_gets_a_hint() -> None:
    with pytest.raises(ValueError, match=r"make chunks of \(1, 32, 32\), or give the codec axes='yxc'"):
        InrCodec().encode(np.zeros((3, 32, 32), "u1"))


def test_configuration() -> None:
    codec = InrCodec(axes="yxc", quality=60)
    assert codec.get_config() == {"id": "inr", "axes": "yxc", "quality": 60}
    assert InrCodec.from_config({"axes": "yxc", "quality": 60}) == codec
    with pytest.raises(ValueError, match="axes must be 'yx' or 'yxc', got 'zyx'"):
        InrCodec(axes="zyx")
