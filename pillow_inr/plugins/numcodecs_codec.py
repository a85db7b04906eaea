"""The codec "inr" for numcodecs, found through the package's entry point. Zarr uses it for arrays of its format 2.

A codec's contract is a buffer: what it gives back is taken for the bytes that it was given. An .inr file knows neither
byte order nor memory order. So the chunk of an array that is big-endian or in Fortran order begins with six bytes,
"inr:", then < or > for the byte order, then C or F for the memory order; the file follows. All other chunks are the
file alone, little-endian and in C order.
"""

import struct
from itertools import dropwhile
from typing import Any, NoReturn

import numpy as np
from numcodecs.abc import Codec
from numcodecs.compat import ensure_bytes, ensure_ndarray_like
from numcodecs.registry import register_codec

from .. import api
from ..errors import FormatError
from ..imaging.samples import Samples
from ..options import EncodeOptions
from . import array_chunks

_LAYOUT = struct.Struct("<4scc")
_LAYOUT_MAGIC = b"inr:"


class InrCodec(Codec):  # type: ignore[misc]  # numcodecs has no types
    """Lossy compression of chunks that are images, of shape (1, …, height, width) or (1, …, height, width, channels).

    Args:
        axes: "yx" or "yxc", what the last axes of a chunk are, where its shape does not tell: without this, the last
            of three axes is taken for channels if there are 1..4 of them, or fewer than rows and columns.
        **options: fields of `pillow_inr.EncodeOptions` with values that JSON can hold.
    Raises:
        TypeError: there is no such option.
        ValueError: an option is outside its range.
    """

    codec_id = "inr"

    def __init__(self, *, axes: str | None = None, **options: Any) -> None:
        array_chunks.check_axes(axes)
        self.axes = axes
        self._checked = EncodeOptions(**options)
        self.options = options

    def encode(self, buf: Any) -> bytes:
        """Compress an array.

        Args:
            buf: an image of the shape given above, of a type that an .inr file holds; any byte order and memory layout.
        Raises:
            ValueError: the array has another shape or dtype, is empty, or holds infinities or NaN.
            BackendError: TensorFlow is missing or not usable.
            FitError: the fit diverged.
        """
        array = np.asarray(ensure_ndarray_like(buf))
        return _pack_layout(array) + array_chunks.encode(array, self.axes, self._checked)

    def decode(self, buf: Any, out: Any = None) -> Any:
        """Decompress to an array of the original's dtype, byte order and memory order; leading axes of length 1 drop.

        Args:
            buf: what `encode` returned.
            out: a writeable buffer of the same number of bytes, which is filled and returned. An array of the chunk's
                type and shape, of any byte order and memory layout, gets its samples; any other buffer its memory.
        Raises:
            FormatError: the chunk is damaged.
            LimitError: decoding it takes more than `pillow_inr.limits` allow.
            ValueError: `out` has another number of bytes or is read-only.
        """
        samples = _restored(ensure_bytes(buf))
        if out is None:
            return samples
        target = np.asarray(ensure_ndarray_like(out))
        _fill(target, samples)
        return target

    def get_config(self) -> dict[str, Any]:
        """The codec's id and options, from which numcodecs builds an equal codec."""
        axes = {} if self.axes is None else {"axes": self.axes}
        return {"id": self.codec_id, **axes, **self.options}

    def __getitem__(self, index: object) -> NoReturn:
        # Zarr iterates over what it is given as `compressors` of an array of its format 3.
        raise TypeError(
            "InrCodec is for Zarr format 2: for format 3 pass serializer=pillow_inr.zarr_codec.InrZarrCodec(...), "
            "compressors=None"
        )


def _pack_layout(array: Samples) -> bytes:
    """What stands before the file: nothing for a little-endian array in C order, or in none."""
    big = array.dtype.str.startswith(">")
    fortran = array.flags.f_contiguous and not array.flags.c_contiguous
    if not (big or fortran):
        return b""
    return _LAYOUT.pack(_LAYOUT_MAGIC, b">" if big else b"<", b"F" if fortran else b"C")


def _restored(data: bytes) -> Samples:
    """Decode a chunk, in the byte order and memory order of the array that it was."""
    byte_order, memory_order = "<", "C"
    if data.startswith(_LAYOUT_MAGIC):
        byte_order, memory_order = data[4:5].decode("latin-1"), data[5:6].decode("latin-1")
        if byte_order not in ("<", ">") or memory_order not in ("C", "F"):
            raise FormatError(f"chunk: its layout is {data[4:6]!r}, expected < or > and C or F")
        data = data[_LAYOUT.size :]
    samples = api.decode(data)
    dtype = samples.dtype.newbyteorder(byte_order)  # type: ignore[arg-type]
    return np.asarray(samples, dtype, order=memory_order)  # type: ignore[call-overload,no-any-return]


def _fill(target: Samples, samples: Samples) -> None:
    """Write samples into an array: by position if it has their type and shape, otherwise in the order of memory.

    Axes of length 1 before the image's do not count: the file does not have them.
    """
    if target.nbytes != samples.nbytes:
        raise ValueError(f"out must have the {samples.nbytes} bytes of the chunk, got {target.nbytes}")
    alike = target.dtype.newbyteorder("=") == samples.dtype.newbyteorder("=")
    if alike and _without_leading_ones(target.shape) == _without_leading_ones(samples.shape):
        target[...] = samples.reshape(target.shape)
        return
    memory = samples.reshape(-1, order="A")
    if not alike:
        memory = memory.view(target.dtype)
    target[...] = memory.reshape(target.shape, order="F" if target.flags.f_contiguous else "C")


def _without_leading_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(dropwhile(lambda length: length == 1, shape))


# Also where no entry point is found, as in frozen programs.
register_codec(InrCodec)
