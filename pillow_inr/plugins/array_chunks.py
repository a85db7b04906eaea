"""Chunks of arrays as images: what the codecs for numcodecs and Zarr share. Imports neither of them."""

from threading import Lock

import numpy as np

from .. import codec
from ..format.pixel_format import DTYPES
from ..format.ranges import CHANNELS_MAX
from ..imaging.samples import Samples
from ..options import EncodeOptions

AXES = ("yx", "yxc")
"""What the last axes of a chunk may be: rows and columns, and the channels of a pixel."""
# A last axis this short holds the channels of a pixel, even of an image that is narrower still.
_COLOURS_MAX = 4
# A fit uses all cores. Fits side by side would each compile their own program, and take memory for it.
_fitting = Lock()


def check_axes(axes: str | None) -> None:
    """Raise ValueError unless the axes are None or one of AXES."""
    if axes not in (None, *AXES):
        raise ValueError(f"axes must be {' or '.join(map(repr, AXES))}, got {axes!r}")


def check_type(dtype: np.dtype[np.generic]) -> None:
    """Raise ValueError if a file cannot give samples of this type back."""
    if dtype.newbyteorder("=").name not in DTYPES:
        raise ValueError(
            f"codec inr stores {', '.join(DTYPES)} and gives them back as they were; got {dtype}: convert the array"
        )


def image_shape(shape: tuple[int, ...], axes: str | None = None) -> tuple[int, ...]:
    """Shape of the image in a chunk, (height, width) or (height, width, channels).

    Args:
        shape: of the chunk; axes before the image's must have length 1.
        axes: one of AXES. None leaves out leading axes of length 1 down to two axes. Of three that remain, the last
            holds channels if it has 1..4 of them, or is shorter than both others and has at most 64.
    Raises:
        ValueError: a chunk of this shape is not one image, or it is unclear whether its last axis holds channels.
    """
    count = len(axes) if axes else _guessed_axes(shape)
    image = shape[-count:]
    if len(image) != count or count not in (2, 3) or set(shape[:-count]) - {1}:
        raise _not_an_image(shape)
    if count == 3 and not 1 <= image[2] <= CHANNELS_MAX:
        raise _not_an_image(shape)
    return image


def encode(chunk: Samples, axes: str | None, options: EncodeOptions) -> bytes:
    """Compress a chunk into an .inr file. Chunks are fitted one after another, from whatever threads they come.

    Args:
        chunk: of one of DTYPES, any byte order and memory layout; a shape that `image_shape` takes.
        axes: as for `image_shape`.
        options: of the encode.
    Raises:
        ValueError: the chunk has another type or shape, is empty, or holds infinities or NaN.
        BackendError, FitError: as `codec.encode`.
    """
    check_type(chunk.dtype)
    image = chunk.reshape(image_shape(chunk.shape, axes))
    if image.dtype.kind == "f" and not np.isfinite(image).all():
        raise ValueError(
            "codec inr stores finite numbers only, got infinities or NaN: replace them, also as the array's fill value"
        )
    # One layout, so that the same values give the same file.
    image = np.ascontiguousarray(image, image.dtype.newbyteorder("="))
    with _fitting:
        return codec.encode(image, options)


def _guessed_axes(shape: tuple[int, ...]) -> int:
    """Number of axes of the image in a chunk, if nothing tells which they are; 0 if they cannot be told."""
    longer = list(shape)
    while len(longer) > 2 and longer[0] == 1:
        del longer[0]
    if len(longer) == 3 and not (longer[2] <= _COLOURS_MAX or longer[2] < min(longer[:2])):
        return 0
    return len(longer)


def _not_an_image(shape: tuple[int, ...]) -> ValueError:
    message = (
        "codec inr takes chunks of one image, of shape (1, ..., height, width) or "
        f"(1, ..., height, width, 1..{CHANNELS_MAX}), got {shape}"
    )
    if len(shape) > 2:
        message += f": make chunks of {(1,) * (len(shape) - 2) + shape[-2:]}"
        if 1 <= shape[-1] <= CHANNELS_MAX and not set(shape[:-3]) - {1}:
            message += ", or give the codec axes='yxc' if the last axis holds channels"
    return ValueError(message)
