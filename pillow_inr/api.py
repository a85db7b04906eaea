"""The package's functions for arrays, bytes and paths; `encode` returns bytes and `save` never leaves half a file."""

import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from PIL import Image

from .errors import FormatError
from .format.header import HEADER_MAX_BYTES, Box, Header, ModelHeader, Size
from .format.metadata import NAMES, Metadata
from .format.signature import EXTENSION
from .imaging.pillow import check_pixels, to_samples
from .imaging.region import check_box, check_size
from .models import reader
from .options import EncodeOptions, wishes
from .storage import atomic

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .encoding.source_image import Encoded, SourceImage
    from .imaging.samples import Samples
    from .models.siren.initialization import Initialization
    from .models.siren.keras_model import ImageModel

    ImageLike = Image.Image | NDArray[np.generic]

Source = bytes | bytearray | memoryview | str | os.PathLike[str] | IO[bytes]
"""The bytes of a file, its path, or a file object open for reading."""


def encode(image: "ImageLike", **options: Any) -> bytes:
    """Fit a model to an image and return the .inr file.

    Args:
        image: a Pillow image, or an array of integers of 8 or 16 bits, of 32 bits whose values differ by at most 65535,
            or of floating point (stored as float32); shape (height, width) or (height, width, 1..64).
        options: the fields of `EncodeOptions`, such as quality=40 or model="siren"; and exif, icc_profile, xmp,
            comment, dpi, which are those of a Pillow image unless given; None leaves them out.
    Raises:
        TypeError: there is no such option, or the image is a path or bytes.
        ValueError: the value of an option or the array is not allowed.
        OSError: an .inr file cannot hold the image's mode, or the file of `init` cannot be read.
        BackendError: TensorFlow is missing or not usable.
        FitError: the fit diverged.
    """
    options = wishes(options, image.info if isinstance(image, Image.Image) else {})
    metadata = {name: options.pop(name) for name in NAMES if name in options}
    checked = EncodeOptions(**{name: value for name, value in options.items() if value is not None})
    if isinstance(image, Image.Image):
        from .imaging.depth import warn_if_reduced

        warn_if_reduced(image)
    return encode_source(source_image(image, metadata), checked).data


def source_image(image: "ImageLike", metadata: Mapping[str, Any], *, has_alpha: bool = False) -> "SourceImage":
    """Convert an image to what encoders work on.

    Args:
        image: as for `encode`.
        metadata: exif, icc_profile, xmp, comment, dpi, as for `encode`; other names are ignored.
        has_alpha: whether the last channel of an array is alpha, as that of an image is by its mode.
    Raises:
        TypeError, ValueError, OSError: as `encode`, of the image and its metadata.
    """
    if isinstance(image, str | bytes | os.PathLike):
        raise TypeError(f"image must be a Pillow image or an array, got {image!r:.80}: open it first")
    from .encoding.source_image import SourceImage
    from .imaging.samples import as_samples
    from .imaging.transparency import transparent_pixels

    if isinstance(image, Image.Image):
        from .imaging.source_metadata import metadata_of

        samples = as_samples(to_samples(image))
        has_colours = samples.ndim == 3 and samples.shape[2] >= 3
        kept = metadata_of(image, metadata, has_colours=has_colours)
        return SourceImage.of(samples, kept, transparent_pixels(samples))
    import numpy as np

    samples = as_samples(np.asarray(image))
    return SourceImage.of(samples, Metadata.of(metadata, {}), transparent_pixels(samples) if has_alpha else None)


def encode_source(source: "SourceImage", options: EncodeOptions) -> "Encoded":
    """As `encode`, of a converted image and checked options; the file comes with its PSNR and its model."""
    from . import codec

    return codec.encode_source(source, options)


def decode(source: Source, *, size: Size | None = None, box: Box | None = None) -> "Samples":
    """Decode an .inr file, or a region of it at any resolution, to an array; needs no TensorFlow.

    Args:
        source: the file.
        size: width and height of the result; by default one pixel for each of the image's in the box.
        box: left, upper, right and lower edge of the region in pixels of the image, fractions too; by default all.
    Returns:
        The type that was stored (`format.pixel_format.DTYPES`); shape (height, width), or (height, width, channels) of
        an image of several channels or an array that had this axis.
    Raises:
        FormatError: the file is damaged, or not an .inr file that this release reads.
        LimitError: it takes more work or memory than `pillow_inr.limits` allow.
        ValueError: the size is not two positive integers or larger than Pillow's limit, or the box is not a region
            within the image.
    """
    data = _read(source)
    return decode_bytes(data, reader.read_header(data), size, box)


def decode_bytes(data: bytes, header: Header[ModelHeader], size: Size | None, box: Box | None) -> "Samples":
    """As `decode`, of a whole file whose header is parsed."""
    region = check_box(box, header.size)
    chosen = check_size(size, region)
    try:
        check_pixels(chosen, header.channels)
    except ValueError as error:
        # The whole image: it is the file that asks for too much.
        raise (FormatError(f"header: {error}") if size is None and box is None else error) from error
    samples = reader.evaluate(reader.open_for(data, header, chosen), chosen, region)
    return samples.reshape(samples.shape[:2] + header.shape[2:])


def to_keras(source: Source) -> "ImageModel":
    """The function that a SIREN's .inr file stores, as a Keras model from positions to colours, with its derivatives.

    Raises:
        ValueError: the file holds a pyramid, which is no function of position.
        FormatError: the file is damaged, or not an .inr file that this release reads.
        BackendError: TensorFlow is missing, or Keras runs on another back end.
    """
    model: ImageModel = reader.open_model(reader.read_file(_read(source))).to_keras()
    return model


def register_initialization(source: "str | os.PathLike[str] | Initialization") -> "Initialization":
    """Make files readable, in this process, whose weights are differences from this initialization.

    Args:
        source: the .npz file that `pillow-inr learn` wrote, or an `Initialization`.
    Raises:
        OSError: the file cannot be read.
        ValueError: it is not an initialization.
    """
    from .models.siren import reference_store

    return reference_store.register(source)


def read_header(source: Source) -> Header[ModelHeader]:
    """The header of an .inr file, without decoding it.

    Raises:
        FormatError: not an .inr file that this release reads.
    """
    return reader.read_header(_read(source, HEADER_MAX_BYTES))


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

    Args:
        path: of the file, which ends in .inr or has no ending.
        image, options: as for `encode`.
    Raises:
        As `encode`; ValueError also for another ending, by which other programs would take the file for what it is not;
        OSError also when the file cannot be written.
    """
    ending = Path(path).suffix
    if ending.lower() not in ("", EXTENSION):
        raise ValueError(f"{os.fspath(path)} must end in {EXTENSION}, not in {ending}: other programs go by the ending")
    atomic.check_writable(Path(path))
    atomic.write_atomically(Path(path), encode(image, **options))
