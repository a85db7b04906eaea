"""The package's functions for arrays, bytes and paths; `encode` returns bytes and `save` never leaves half a file."""

import errno
import os
import tempfile
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from PIL import Image

from . import container, plugin
from .config import EncodeOptions
from .errors import BackendError, FormatError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .initialization import Initialization
    from .keras_model import ImageModel

    ImageLike = Image.Image | NDArray[np.uint8]

Source = bytes | bytearray | memoryview | str | os.PathLike[str] | IO[bytes]
"""The bytes of a file, its path, or a file object open for reading."""


def encode(image: "ImageLike", **options: Any) -> bytes:
    """Fit a network to an image and return the .inr file.

    Args:
        image: a Pillow image, or a uint8 array of shape (height, width) or (height, width, 1..4).
        options: the fields of `EncodeOptions`, such as width=48, depth=4.
    Raises:
        TypeError: there is no such option.
        ValueError: an option's value or the array is not allowed.
        OSError: an .inr file cannot hold the image's mode.
        BackendError: TensorFlow is not there or not usable.
        FitError: the fit diverged.
    """
    checked = EncodeOptions(**{name: value for name, value in options.items() if value is not None})
    from . import codec

    return codec.encode(_to_pixels(image), checked)


def _to_pixels(image: "ImageLike") -> "NDArray[np.uint8]":
    if isinstance(image, Image.Image):
        return plugin.to_pixels(image)
    import numpy as np

    array = np.asarray(image)
    return array[:, :, np.newaxis] if array.ndim == 2 else array


def decode(source: Source) -> "NDArray[np.uint8]":
    """Decode an .inr file to an array; needs NumPy and constriction, not TensorFlow.

    Returns:
        uint8, shape (height, width) for grey, else (height, width, channels): grey and alpha, RGB or RGBA.
    Raises:
        FormatError: the file is damaged, or not an .inr file that this release reads.
    """
    from . import codec

    data = _read(source)
    columns, rows = container.read_header(data)[0].size
    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and columns * rows > 2 * limit:  # where Image.open refuses, too
        raise FormatError(
            f"header: {columns}x{rows} pixels are more than {2 * limit} (twice PIL.Image.MAX_IMAGE_PIXELS, "
            "which can be raised or set to None)"
        )
    pixels = codec.decode(data)
    return pixels[:, :, 0] if pixels.shape[2] == 1 else pixels


def to_keras(source: Source) -> "ImageModel":
    """The function that an .inr file stores, as a Keras model from positions to colours, with its derivatives.

    Raises:
        FormatError: the file is damaged, or not an .inr file that this release reads.
        BackendError: TensorFlow is not there, or Keras runs on another back end.
    """
    try:
        from . import keras_model
    except ImportError as error:
        raise BackendError(
            f"a Keras model needs Keras on TensorFlow, which cannot be imported here: {error}"
        ) from error
    from . import codec

    header, architecture, weights = codec.read_network(_read(source))
    return keras_model.image_model(architecture, weights, header.size)


def register_initialization(source: "str | os.PathLike[str] | Initialization") -> "Initialization":
    """Make files readable, in this process, whose weights are differences from this initialization.

    Args:
        source: the .npz file that `pillow-inr learn` wrote, or an `Initialization`.
    Raises:
        OSError: the file cannot be read.
        ValueError: it is not an initialization.
    """
    from . import initialization

    return initialization.register(source)


def read_header(source: Source) -> container.Header:
    """The header of an .inr file, without decoding it.

    Raises:
        FormatError: not an .inr file that this release reads.
    """
    return container.read_header(_read(source, container.HEADER_MAX_BYTES))[0]


def _read(source: Source, count: int = -1) -> bytes:
    if isinstance(source, bytes | bytearray | memoryview):
        return bytes(source) if count < 0 else bytes(source[:count])
    if isinstance(source, str | os.PathLike):
        with Path(source).open("rb") as file:
            return file.read(count)
    return source.read(count)


def save(image: "ImageLike", path: str | os.PathLike[str], **options: Any) -> None:
    """Encode an image into a file, which appears whole or not at all: an older one stays until the new one is ready.

    Args and Raises: as `encode`; OSError also when the file cannot be written.
    """
    check_writable(Path(path))
    write_atomically(Path(path), encode(image, **options))


def check_writable(path: Path) -> None:
    """Find out before a long fit that its result could not be written.

    Raises:
        OSError: the folder does not exist or may not be written to, or the path is a folder.
    """
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not path.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path.parent))
    if not os.access(path.parent, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path.parent))


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file next to its final name, then move it there."""
    handle, part = tempfile.mkstemp(prefix=".", suffix=".part", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        # mkstemp makes files private; a saved image gets the permissions that open() would give it.
        mask = os.umask(0)
        os.umask(mask)
        Path(part).chmod(0o666 & ~mask)
        Path(part).replace(path)
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise
