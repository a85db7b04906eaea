"""The codec "inr" for numcodecs, found through the package's entry point."""

from typing import Any

import numpy as np
from numcodecs.abc import Codec
from numcodecs.compat import ensure_bytes, ensure_ndarray_like, ndarray_copy

from .. import api, codec
from ..format.pixel_format import DTYPES
from ..options import EncodeOptions


class InrCodec(Codec):  # type: ignore[misc]  # numcodecs has no types
    """Lossy compression of chunks that are images, of shape (..., height, width) or (..., height, width, 1..64).

    Leading axes must have length 1.

    Args:
        **options: fields of `pillow_inr.EncodeOptions` with values that JSON can hold.
    Raises:
        TypeError: there is no such option.
        ValueError: an option is outside its range.
    """

    codec_id = "inr"

    def __init__(self, **options: Any) -> None:
        self._checked = EncodeOptions(**options)
        self.options = options

    def encode(self, buf: Any) -> bytes:
        """Compress an array.

        Args:
            buf: an image of the shape given above; uint8, uint16 or float32.
        Raises:
            ValueError: the array has another shape or dtype.
        """
        array = np.asarray(ensure_ndarray_like(buf))
        if array.dtype.name not in DTYPES:
            raise ValueError(f"codec inr stores uint8, uint16 and float32, got {array.dtype}")
        while array.ndim > 2 and array.shape[0] == 1:
            array = array[0]
        return codec.encode(array, self._checked)

    def decode(self, buf: Any, out: Any = None) -> Any:
        """Decompress to an array of the original dtype, without leading axes of length 1; into `out` if given."""
        return ndarray_copy(api.decode(ensure_bytes(buf)), out)

    def get_config(self) -> dict[str, Any]:
        """The codec's id and options, from which numcodecs builds an equal codec."""
        return {"id": self.codec_id, **self.options}
