"""The codec "inr" for Zarr format 3, found through the package's entry point: an image in each chunk, or inner chunk.

Zarr hands over chunks as arrays and takes arrays back. So byte order and memory order are of no concern here.
"""

import asyncio
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray
from zarr.abc.codec import ArrayBytesCodec, ArrayBytesCodecPartialDecodeMixin
from zarr.registry import register_codec

from .. import api
from ..format.header import Box, Header, ModelHeader
from ..imaging.samples import Samples
from ..options import EncodeOptions
from . import array_chunks

_NAME = "inr"


@dataclass(frozen=True, init=False)
class InrZarrCodec(ArrayBytesCodec, ArrayBytesCodecPartialDecodeMixin):  # type: ignore[misc]  # zarr is not followed
    """Lossy compression of chunks that are images, of shape (1, …, height, width) or (1, …, height, width, channels).

    Args:
        axes: "yx" or "yxc", what the last axes of a chunk are; None as for `InrCodec`. Give it also where filters
            change the chunks' type or shape: only without it types and shapes are refused when the array is created,
            since a codec is not told of filters before chunks come.
        **options: fields of `pillow_inr.EncodeOptions` with values that JSON can hold.
    Raises:
        TypeError: there is no such option.
        ValueError: an option is outside its range.
    """

    is_fixed_size = False

    axes: str | None
    options: EncodeOptions

    def __init__(self, *, axes: str | None = None, **options: Any) -> None:
        array_chunks.check_axes(axes)
        object.__setattr__(self, "axes", axes)
        object.__setattr__(self, "options", EncodeOptions(**options))

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "InrZarrCodec":
        """Build the codec from its entry in an array's metadata."""
        return cls(**data.get("configuration") or {})

    def to_dict(self) -> dict[str, Any]:
        """The codec's entry in an array's metadata: its name, axes, and the options that are not the defaults."""
        axes = {} if self.axes is None else {"axes": self.axes}
        return {"name": _NAME, "configuration": {**axes, **self.options.given}}

    def validate(self, *, shape: tuple[int, ...], dtype: Any, chunk_grid: Any) -> None:
        """Refuse, when an array is created, a type or chunks that the codec cannot store; nothing if axes are given.

        Raises:
            ValueError: the type is not one that an .inr file gives back, or a chunk is not one image.
        """
        if self.axes is None:
            array_chunks.check_type(dtype.to_native_dtype())
            if hasattr(chunk_grid, "chunk_shape"):
                array_chunks.image_shape(chunk_grid.chunk_shape)

    def evolve_from_array_spec(self, array_spec: Any) -> "InrZarrCodec":
        """Return the codec unchanged; refuses the array's type as `validate`, which shards do not call."""
        if self.axes is None:
            array_chunks.check_type(array_spec.dtype.to_native_dtype())
        return self

    def compute_encoded_size(self, input_byte_length: int, chunk_spec: Any) -> NoReturn:
        """Raise NotImplementedError: the size depends on the image."""
        raise NotImplementedError

    async def _encode_single(self, chunk_data: Any, chunk_spec: Any) -> Any:
        chunk = chunk_data.as_numpy_array()
        data = await asyncio.to_thread(array_chunks.encode, chunk, self.axes, self.options)
        return chunk_spec.prototype.buffer.from_bytes(data)

    async def _decode_single(self, chunk_data: Any, chunk_spec: Any) -> Any:
        chunk = await asyncio.to_thread(_decode, chunk_data.to_bytes(), chunk_spec, ())
        return chunk_spec.prototype.nd_buffer.from_numpy_array(chunk)

    async def _decode_partial_single(self, byte_getter: Any, selection: Any, chunk_spec: Any) -> Any:
        data = await byte_getter.get(prototype=chunk_spec.prototype)
        if data is None:
            return None
        part = await asyncio.to_thread(_decode, data.to_bytes(), chunk_spec, selection)
        return chunk_spec.prototype.nd_buffer.from_numpy_array(part)


def _decode(data: bytes, chunk_spec: Any, selection: Any) -> Samples:
    """Decode what an index selects of a chunk, as from the whole chunk, to the bit."""
    header, dtype = api.read_header(data), chunk_spec.dtype.to_native_dtype()
    leading = len(chunk_spec.shape) - len(header.shape)
    if (1,) * leading + header.shape != chunk_spec.shape or dtype.newbyteorder("=") != header.dtype:
        raise ValueError(
            f"the chunk holds an image of {header.dtype} and shape {header.shape}, "
            f"the array has chunks of {dtype} and shape {chunk_spec.shape}"
        )
    box, selection = _region(header, leading, selection)
    samples = api.decode_bytes(data, header, None, box)
    chunk = samples.reshape((1,) * leading + samples.shape)
    return np.asarray(chunk[selection], dtype)


def _region(header: Header[ModelHeader], leading: int, selection: Any) -> tuple[Box | None, Any]:
    """The box to decode for a selection, and the selection within it; None for all of the image.

    A box covers whole tiles: there each pixel comes of the same arithmetic as in the whole image. In other boxes sums
    may be rounded otherwise, in their last bits.
    """
    tile = header.model.info(header.channels).get("tile")
    if not tile or not isinstance(selection, tuple) or len(selection) != leading + len(header.shape):
        return None, selection
    (width, height), inner = header.size, list(selection)
    rows, columns = (_tiles(selection[leading + axis], header.shape[axis], tile) for axis in (0, 1))
    if rows is None or columns is None:
        return None, selection
    for axis, edges in ((leading, rows), (leading + 1, columns)):
        inner[axis] = _moved(selection[axis], edges[0], header.shape[axis - leading])
    return (columns[0], rows[0], min(columns[1], width), min(rows[1], height)), tuple(inner)


def _tiles(index: Any, length: int, tile: int) -> tuple[int, int] | None:
    """First and last edge of the tiles that an index along an axis needs; None if it selects none, or backwards."""
    selected = np.arange(length)[index]
    if not selected.size or (isinstance(index, slice) and (index.step or 1) < 0):
        return None
    return int(selected.min()) // tile * tile, (int(selected.max()) // tile + 1) * tile


def _moved(index: Any, start: int, length: int) -> Any:
    """An index along an axis, counted from `start` instead of 0."""
    if isinstance(index, slice):
        first, last, step = index.indices(length)
        return slice(first - start, last - start, step)
    positions: NDArray[np.intp] = np.arange(length)[index]
    return positions - start


# Also where no entry point is found, as in frozen programs.
register_codec(_NAME, InrZarrCodec)
