"""The package's functions for arrays, bytes and paths; `encode` returns bytes and `save` never leaves half a file."""

import io
import os
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from PIL import Image

from .errors import BackendError, FormatError
from .format import container, metadata
from .format.metadata import Metadata
from .options import EncodeOptions
from .plugins import pillow
from .storage import atomic

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .imaging.samples import Samples
    from .models.reader import Box, Size
    from .models.siren.initialization import Initialization
    from .models.siren.keras_model import ImageModel

    ImageLike = Image.Image | NDArray[np.generic]

Source = bytes | bytearray | memoryview | str | os.PathLike[str] | IO[bytes]
"""The bytes of a file, its path, or a file object open for reading."""


def encode(image: "ImageLike", **options: Any) -> bytes:
    """Fit a model to an image and return the .inr file.

    Args:
        image: a Pillow image, or an array of uint8, uint16 or float32 (float64 and float16 are stored as float32) of
            shape (height, width) or (height, width, 1..64).
        options: the fields of `EncodeOptions`, such as quality=40 or model="siren"; and exif, icc_profile, xmp,
            comment, dpi, which are those of a Pillow image unless given; None leaves them out.
    Raises:
        TypeError: there is no such option, or the image is a path or bytes.
        ValueError: an option's value or the array is not allowed.
        OSError: an .inr file cannot hold the image's mode.
        BackendError: TensorFlow is not there or not usable.
        FitError: the fit diverged.
    """
    named = {name: options.pop(name) for name in metadata.NAMES if name in options}
    checked = EncodeOptions(**{name: value for name, value in options.items() if value is not None})
    if isinstance(image, str | bytes | os.PathLike):
        raise TypeError(f"image must be a Pillow image or an array, got {image!r:.80}: open it first")
    from . import codec

    if isinstance(image, Image.Image):
        return codec.encode(pillow.to_samples(image), checked, pillow.metadata_of(image, named))
    import numpy as np

    return codec.encode(np.asarray(image), checked, Metadata.of(named, {}))


def decode(source: Source, *, size: "Size | None" = None, box: "Box | None" = None) -> "Samples":
    """Decode an .inr file, or a region of it at any resolution, to an array; needs no TensorFlow.

    Args:
        size: width and height of the result; by default one pixel for each of the image's in the box.
        box: left, upper, right and lower edge of the region in pixels of the image, fractions too; by default all.
    Returns:
        uint8, uint16 or float32, as was stored; shape (height, width), or (height, width, channels) of an image of
        several channels or an array that had this axis.
    Raises:
        FormatError: the file is damaged, or not an .inr file that this release reads.
        LimitError: it takes more work or memory than `pillow_inr.limits` allow.
        ValueError: the size is not two positive integers or larger than Pillow's limit, or the box is not a region
            within the image.
    """
    from .models import reader

    data = _read(source)
    header, _ = container.read_header(data)
    region = reader.check_box(box, header.size)
    chosen = reader.check_size(size, region)
    try:
        pillow.check_pixels(chosen, header.channels)
    except ValueError as error:
        # The whole image: it is the file that asks for too much.
        raise (FormatError(f"header: {error}") if size is None and box is None else error) from error
    samples = reader.decode(data, chosen, region)
    return samples.reshape(samples.shape[:2] + header.shape[2:])


def to_keras(source: Source) -> "ImageModel":
    """The function that a SIREN's .inr file stores, as a Keras model from positions to colours, with its derivatives.

    Raises:
        ValueError: the file holds a pyramid, which is no function of position.
        FormatError: the file is damaged, or not an .inr file that this release reads.
        BackendError: TensorFlow is not there, or Keras runs on another back end.
    """
    try:
        from .models.siren import keras_model
    except ImportError as error:
        raise BackendError(
            f"a Keras model needs Keras on TensorFlow, which cannot be imported here: {error}"
        ) from error
    from .imaging.samples import Scale
    from .models import reader

    network = reader.read_network(_read(source))
    if isinstance(network, reader.PyramidNetwork):
        raise ValueError(
            "the file holds a pyramid, grids of symbols that are no function of position: encode with model='siren' "
            "for a Keras model"
        )
    scale = Scale.of(network.header)
    limits = () if network.header.samples is None else (scale.low.tolist(), (scale.low + scale.span).tolist())
    return keras_model.image_model(network.architecture, network.weights, network.header.size, *limits)


def register_initialization(source: "str | os.PathLike[str] | Initialization") -> "Initialization":
    """Make files readable, in this process, whose weights are differences from this initialization.

    Args:
        source: the .npz file that `pillow-inr learn` wrote, or an `Initialization`.
    Raises:
        OSError: the file cannot be read.
        ValueError: it is not an initialization.
    """
    from .models.siren import initialization

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
    if isinstance(source, io.TextIOBase) or not hasattr(source, "read"):
        raise TypeError(f"expected the bytes of an .inr file, its path or a file open in binary mode, got {source!r}")
    return source.read(count)


def save(image: "ImageLike", path: str | os.PathLike[str], **options: Any) -> None:
    """Encode an image into a file, which appears whole or not at all: an older one stays until the new one is ready.

    Args and Raises: as `encode`; OSError also when the file cannot be written.
    """
    atomic.check_writable(Path(path))
    atomic.write_atomically(Path(path), encode(image, **options))
