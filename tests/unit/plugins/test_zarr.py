"""Arrays of Zarr, in formats 2 and 3, whose chunks are .inr files; also through dask."""

import importlib.metadata
import itertools
import pickle
import threading
import time
import tomllib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import pillow_inr
from pillow_inr import codec
from pillow_inr.encoding.source_image import Encoded, SourceImage
from pillow_inr.errors import BackendError, FitError
from pillow_inr.models.selection import encode_single_colour
from pillow_inr.options import EncodeOptions
from tests.support import pyramids
from tests.support.checks import QUICK, ROOT, VECTORS
from tests.support.fits import drawn  # noqa: F401

pytest.importorskip("numcodecs")
zarr = pytest.importorskip("zarr", minversion="3.1")

from pillow_inr.numcodecs_codec import InrCodec  # noqa: E402
from pillow_inr.plugins import zarr_codec  # noqa: E402
from pillow_inr.zarr_codec import InrZarrCodec  # noqa: E402

SHAPE, CHUNKS = (2, 18, 24), (1, 9, 12)


def _store() -> Any:
    return zarr.storage.MemoryStore()


def _create(store: Any = None, **changes: Any) -> Any:
    fields = {"shape": SHAPE, "chunks": CHUNKS, "dtype": "u1", "serializer": InrZarrCodec(), "compressors": None}
    return zarr.create_array(store=_store() if store is None else store, **{**fields, **changes})


def _create_v2(store: Any = None, **changes: Any) -> Any:
    codecs = {"serializer": "auto", "compressors": InrCodec()}
    return _create(store, zarr_format=2, **{**codecs, **changes})


def _ramp(shape: tuple[int, ...], dtype: str) -> np.ndarray[Any, Any]:
    return np.arange(np.prod(shape)).reshape(shape).astype(dtype)


def _by_chunk(array: np.ndarray[Any, Any], chunk: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """What must be read: each chunk as the package itself encodes and decodes it."""
    expected = np.empty_like(array, order="C")
    starts = [range(0, length, step) for length, step in zip(array.shape, chunk, strict=True)]
    for corner in itertools.product(*starts):
        place = tuple(slice(first, first + step) for first, step in zip(corner, chunk, strict=True))
        image = np.ascontiguousarray(array[place].reshape(chunk[1:]), array.dtype.newbyteorder("="))
        expected[place] = pillow_inr.decode(codec.encode(image, EncodeOptions()))
    return expected


@pytest.mark.usefixtures("drawn")
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["u1", "<u2", ">u2", "<f4", ">f4"])
def test_format_2_keeps_byte_order_and_memory_order(dtype: str, order: str) -> None:
    values = _ramp(SHAPE, dtype)
    store = _store()
    array = _create_v2(store, dtype=dtype, order=order)
    array[:] = values
    expected = _by_chunk(values, CHUNKS)
    assert array.metadata.order == order
    np.testing.assert_array_equal(array[:], expected)
    again = zarr.open_array(store, mode="r")
    np.testing.assert_array_equal(again[1, 3:15, ::5], expected[1, 3:15, ::5])
    assert again.dtype == dtype


@pytest.mark.usefixtures("drawn")
@pytest.mark.parametrize("order", ["C", "F"])
def test_format_2_with_the_codec_as_a_filter_and_colours(order: str) -> None:
    values = _ramp((2, 9, 12, 3), ">u2")
    chunk = (1, 9, 12, 3)
    fields = {"shape": values.shape, "chunks": chunk, "dtype": ">u2", "order": order}
    array = _create_v2(filters=[InrCodec()], **{**fields, "compressors": "auto"})
    array[:] = values
    np.testing.assert_array_equal(array[:], _by_chunk(values, chunk))


@pytest.mark.usefixtures("drawn")
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["u1", ">u2", "<f4"])
def test_format_3(dtype: str, order: str) -> None:
    values = _ramp(SHAPE, dtype)
    store = _store()
    array = _create(store, dtype=dtype, config={"order": order})
    array[:] = np.asarray(values, order=order)  # type: ignore[call-overload]
    expected = _by_chunk(values, CHUNKS)
    np.testing.assert_array_equal(array[:], expected)
    np.testing.assert_array_equal(zarr.open_array(store, mode="r")[0, ::2, 7], expected[0, ::2, 7])


@pytest.mark.usefixtures("drawn")
def test_transposed_chunks() -> None:
    values = _ramp((3, 9, 12), "u1")
    filters = [zarr.codecs.TransposeCodec(order=(1, 2, 0))]
    fields = {"shape": values.shape, "chunks": values.shape, "filters": filters}
    with pytest.raises(ValueError, match="takes chunks of one image"):
        _create(**fields)
    array = _create(serializer=InrZarrCodec(axes="yxc"), **fields)
    array[:] = values
    expected = pillow_inr.decode(codec.encode(np.moveaxis(values, 0, 2).copy(), EncodeOptions()))
    np.testing.assert_array_equal(array[:], np.moveaxis(expected, 2, 0))


@pytest.mark.usefixtures("drawn")
@pytest.mark.parametrize("compressors", [None, zarr.codecs.ZstdCodec()])
def test_shards(compressors: Any) -> None:
    values = _ramp(SHAPE, "u2")
    store = _store()
    array = _create(store, dtype="u2", shards=(2, 18, 12), compressors=compressors)
    array[:] = values
    expected = _by_chunk(values, CHUNKS)
    again = zarr.open_array(store, mode="r")
    np.testing.assert_array_equal(again[:], expected)
    np.testing.assert_array_equal(again[1, 8:11, 11:13], expected[1, 8:11, 11:13])
    np.testing.assert_array_equal(again.vindex[[0, 1], [3, 9], [4, 20]], expected[[0, 1], [3, 9], [4, 20]])


def test_types_of_shards_are_refused_at_creation() -> None:
    with pytest.raises(ValueError, match="got float64: convert"):
        _create(dtype="f8", shards=(2, 18, 12))


@pytest.mark.parametrize("create", [_create, _create_v2])
def test_chunks_at_the_edge_are_filled_up(create: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def encode(source: SourceImage, options: EncodeOptions) -> Encoded:
        seen.append(source.samples[..., 0])
        return encode_single_colour(source)

    monkeypatch.setattr(codec, "encode_source", encode)
    array = create(shape=(10, 12), chunks=(8, 12), fill_value=7)
    array[8:] = 9
    (chunk,) = seen
    assert (chunk[:2] == 9).all() and (chunk[2:] == 7).all() and chunk.shape == (8, 12)


@pytest.mark.parametrize("create", [_create, _create_v2])
def test_a_fill_value_that_no_file_holds(create: Callable[..., Any]) -> None:
    array = create(shape=(10, 12), chunks=(8, 12), dtype="f4", fill_value=np.nan)
    with pytest.raises(ValueError, match="fill value"):
        array[8:] = 9


@pytest.mark.parametrize("dtype", ["?", "f2", "f8", "i8", "u8", "c8"])
def test_types_that_never_work_are_refused_at_creation(dtype: str) -> None:
    with pytest.raises(ValueError, match="convert the array"):
        _create(dtype=dtype)


@pytest.mark.parametrize("shape", [(12,), (3, 9, 12), (2, 9, 12, 3), (9, 12, 65)])
def test_chunks_that_never_work_are_refused_at_creation(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="takes chunks of one image"):
        _create(shape=shape, chunks=shape)


def test_format_3_names_its_codec_to_who_passes_that_of_format_2() -> None:
    with pytest.raises(TypeError, match=r"serializer=pillow_inr\.zarr_codec\.InrZarrCodec"):
        _create(serializer="auto", compressors=InrCodec())


def test_configuration() -> None:
    codec = InrZarrCodec(axes="yx", quality=60, seed=0)
    entry = {"name": "inr", "configuration": {"axes": "yx", "quality": 60}}
    assert codec.to_dict() == entry
    assert codec == InrZarrCodec.from_dict(entry) == pickle.loads(pickle.dumps(codec))
    assert InrZarrCodec.from_dict({"name": "inr"}) == InrZarrCodec()
    with pytest.raises(ValueError, match="quality must be in"):
        InrZarrCodec(quality=0)
    with pytest.raises(TypeError, match="unexpected keyword"):
        InrZarrCodec(qualty=60)


def test_entry_points_name_the_codecs() -> None:
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    for group, expected in (("zarr.codecs", InrZarrCodec), ("numcodecs.codecs", InrCodec)):
        assert importlib.metadata.EntryPoint("inr", groups[group]["inr"], group).load() is expected
    assert zarr.registry.get_codec_class("inr") is InrZarrCodec


SELECTIONS = [
    np.s_[:, :, :, :],
    np.s_[0, 5:20, 30:40, :],
    np.s_[0, 250:260, ::7, 1],
    np.s_[0, 300, 299, 2],
    np.s_[:, 519:, :3, 0:1],
    np.s_[0, 5:5, :, :],
]


@pytest.fixture(params=["u1", "f4"])
def tiled(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, np.ndarray[Any, Any]]:
    """An array of one chunk, a tiled image, and its samples."""

    def encode(source: SourceImage, options: EncodeOptions) -> Encoded:
        data = pyramids.draw_file(
            source.size, tile=8, pixel_format=source.pixel_format, samples=source.sample_format, spread=3.0
        )
        return encode_single_colour(source)._replace(data=data)

    monkeypatch.setattr(codec, "encode_source", encode)
    array = _create(shape=(1, 520, 300, 3), chunks=(1, 520, 300, 3), dtype=request.param)
    array[:] = _ramp(array.shape, request.param)
    return array, array[:]


def test_regions_equal_slices_of_the_whole(tiled: tuple[Any, np.ndarray[Any, Any]]) -> None:
    array, whole = tiled
    for selection in SELECTIONS:
        np.testing.assert_array_equal(array[selection], whole[selection])
    points = [0, 0, 0], [5, 300, 519], [299, 7, 260], [0, 1, 2]
    np.testing.assert_array_equal(array.vindex[points], whole[points])
    rows, columns = [300, 270, 515], np.arange(300) % 50 == 3
    np.testing.assert_array_equal(
        array.oindex[0, rows, columns, [2, 0]], whole[0][np.ix_(rows, np.flatnonzero(columns), [2, 0])]
    )
    mask = np.zeros(array.shape, bool)
    mask[0, 260:270, 20, 1] = True
    np.testing.assert_array_equal(array[mask], whole[mask])


def test_a_region_decodes_the_tiles_that_it_needs(
    tiled: tuple[Any, np.ndarray[Any, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    array, _ = tiled
    boxes = []
    decode = pillow_inr.api.decode_bytes

    def recorded(data: bytes, header: Any, size: Any, box: Any) -> Any:
        boxes.append(box)
        return decode(data, header, size, box)

    monkeypatch.setattr(zarr_codec.api, "decode_bytes", recorded)
    array[0, 260:270, 5]
    array[0, 500:513:3, 257]
    array.vindex[[0, 0], [1, 2], [3, 299], [0, 0]]
    assert boxes == [(0, 256, 256, 512), (256, 256, 300, 520), (0, 0, 300, 256)]


@pytest.mark.parametrize("name", ["rgb", "pyramid/rgb"])
def test_a_chunk_may_be_any_file_of_its_shape_and_type(name: str) -> None:
    path = VECTORS / f"{name}.inr"
    expected = pillow_inr.decode(path)
    store = _store()
    array = _create(store, shape=expected.shape, chunks=expected.shape)
    zarr.core.sync.sync(store.set("c/0/0/0", zarr.core.buffer.cpu.Buffer.from_bytes(path.read_bytes())))
    np.testing.assert_array_equal(array[2:9, 4:6], expected[2:9, 4:6])
    wrong = _create(store, shape=(6, 5), chunks=(6, 5), chunk_key_encoding={"name": "v2"}, overwrite=True)
    zarr.core.sync.sync(store.set("0.0", zarr.core.buffer.cpu.Buffer.from_bytes(path.read_bytes())))
    with pytest.raises(ValueError, match=r"holds an image of uint8 and shape"):
        wrong[:]


@pytest.mark.parametrize("error", [FitError("the fit diverged"), BackendError("TensorFlow is missing")])
def test_errors_of_the_fit_reach_the_writer(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(source: SourceImage, options: EncodeOptions) -> Encoded:
        raise error

    monkeypatch.setattr(codec, "encode_source", fail)
    for array in (_create(), _create_v2()):
        with pytest.raises(type(error), match=str(error)):
            array[:] = 1


def test_chunks_are_fitted_one_after_another(monkeypatch: pytest.MonkeyPatch) -> None:
    fitting = threading.Semaphore(1)

    def encode(source: SourceImage, options: EncodeOptions) -> Encoded:
        assert fitting.acquire(blocking=False), "two fits at a time"
        time.sleep(0.001)
        fitting.release()
        return encode_single_colour(source)

    monkeypatch.setattr(codec, "encode_source", encode)
    for array in (_create(), _create_v2()):
        array[:] = 3
        assert (array[:] == 3).all()


def _pyramid_of_arrays(group: Any, create: Callable[..., Any]) -> list[np.ndarray[Any, Any]]:
    """Write a multiscale image as OME-Zarr has it: levels of axes tczyx, in chunks of (1, 1, 1, y, x)."""
    names = "tczyx"
    levels = [
        {
            "path": str(level),
            "coordinateTransformations": [{"type": "scale", "scale": [1, 1, 1, 2.0**level, 2.0**level]}],
        }
        for level in range(3)
    ]
    group.attrs["multiscales"] = [{"version": "0.5", "axes": [{"name": name} for name in names], "datasets": levels}]
    written = []
    for level in range(3):
        shape = (2, 2, 3, 32 >> level, 48 >> level)
        # A colour for each chunk: what a file holds without a fit.
        blocks = np.arange(2 * 2 * 3 * 4, dtype="u2").reshape(2, 2, 3, 2, 2) * 100 + 1
        values = blocks.repeat(shape[3] // 2, axis=3).repeat(shape[4] // 2, axis=4)
        array = create(
            group.store_path.store,
            name=str(level),
            shape=shape,
            chunks=(1, 1, 1, shape[3] // 2, shape[4] // 2),
            dtype="u2",
        )
        array[:] = values
        written.append(values)
    return written


@pytest.mark.parametrize(("zarr_format", "create"), [(2, _create_v2), (3, _create)])
def test_hierarchy_of_resolutions_through_dask(zarr_format: int, create: Callable[..., Any], tmp_path: Any) -> None:
    pytest.importorskip("dask", minversion="2025.1")  # older ones know Zarr 2 alone
    dask_array = pytest.importorskip("dask.array")
    group = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=zarr_format)
    written = _pyramid_of_arrays(group, create)
    again = zarr.open_group(tmp_path / "a.zarr", mode="r")
    for level, values in zip(again.attrs["multiscales"][0]["datasets"], written, strict=True):
        lazy = dask_array.from_zarr(str(tmp_path / "a.zarr"), component=level["path"])
        assert lazy.chunksize[:3] == (1, 1, 1)
        np.testing.assert_array_equal(lazy.compute(scheduler="threads"), values)
        np.testing.assert_array_equal(lazy[1, :, 2, 7:9, ::3].compute(scheduler="threads"), values[1, :, 2, 7:9, ::3])
        copy = create(tmp_path / "b.zarr", name=level["path"], shape=values.shape, chunks=lazy.chunksize, dtype="u2")
        (lazy + 1).to_zarr(copy, compute=True)
        np.testing.assert_array_equal(copy[:], values + 1)


@pytest.mark.keras
@pytest.mark.parametrize("create", [_create, _create_v2])
def test_chunks_written_at_once_equal_chunks_encoded_alone(create: Callable[..., Any]) -> None:
    key = "serializer" if create is _create else "compressors"
    array = create(**{key: (InrZarrCodec if create is _create else InrCodec)(**QUICK)})
    rng = np.random.default_rng(1)
    values = rng.integers(0, 256, SHAPE).astype("u1")
    array[:] = values
    for plane, top, left in itertools.product(range(2), (0, 9), (0, 12)):
        place = np.s_[plane, top : top + 9, left : left + 12]
        alone = pillow_inr.decode(pillow_inr.encode(values[place], **QUICK))
        np.testing.assert_array_equal(array[place], alone)
