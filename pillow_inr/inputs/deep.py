"""Samples of files that Pillow opens with fewer bits than they have, or not at all: read by other libraries.

PNG by TensorFlow, which every encode needs; TIFF by tifffile, if it is installed; PPM here, for it is not compressed.
"""

import io
import math
from typing import TYPE_CHECKING, Any

from PIL import Image, ImageFile
from PIL.ExifTags import Base

from ..imaging.orientation import samples_upright
from ..imaging.pillow import check_pixels
from ..runtime.tensorflow import decode_png

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_SAMPLE_FORMAT = 339
_UNSIGNED, _SIGNED = 1, 2
# Modes whose samples have 8 bits, and that stand for grey or RGB: others, such as CMYK, are converted at any rate.
_SHALLOW = ("L", "LA", "RGB", "RGBA", "RGBX")
# Values of the TIFF tag PhotometricInterpretation: 0 is white, 0 is black, RGB.
_GREY_OR_RGB = (0, 1, 2)


def is_reduced(image: ImageFile.ImageFile) -> bool:
    """Whether Pillow shows samples of another type than an opened file, not yet loaded, has."""
    if image.format == "TIFF":
        return _is_reduced_tiff(image)
    arguments = image.tile[0].args if image.tile else None
    if image.format == "PNG":
        return image.mode in _SHALLOW and isinstance(arguments, str) and arguments.endswith(";16B")
    if image.format == "PPM":
        return image.mode in _SHALLOW and isinstance(arguments, tuple) and _maximum(arguments) > 0xFF
    return image.format == "JPEG2000" and image.mode in _SHALLOW and _jpeg2000_bits(image) > 8


def samples_of(image: ImageFile.ImageFile, data: bytes) -> "NDArray[np.generic] | None":
    """The samples of a file of which `is_reduced`, shape (height, width) or (height, width, channels).

    Returns:
        None if no library for it is here (`loss`).
    Raises:
        OSError: the file is damaged.
        BackendError: it is a PNG file, and TensorFlow is missing.
    """

    if image.format == "PNG":
        return _with_transparent_colour(decode_png(data), image.info.get("transparency"))
    if image.format == "PPM" and image.tile[0].codec_name == "ppm":
        return _ppm_samples(image, data)
    samples = tiff_samples(data) if image.format == "TIFF" else None
    # Pillow turns a TIFF upright as it loads it.
    return None if samples is None else samples_upright(samples, image.getexif().get(Base.Orientation, 1))


def loss(image: ImageFile.ImageFile) -> str:
    """What the user should know of an image of which `is_reduced` and `samples_of` has nothing."""
    changed = {"L": "its signed samples are read as unsigned", "I": "its unsigned samples are read as signed"}
    text = changed.get(image.mode if image.format == "TIFF" else "", "Pillow reads 8 bits of its deeper samples")
    return text + (": 'pip install tifffile' keeps them" if image.format == "TIFF" else "")


def tiff_samples(data: bytes) -> "NDArray[np.generic] | None":
    """The samples of a TIFF's first page; None if tifffile is not installed.

    Raises:
        OSError: it is damaged, or not grey, RGB or bands.
        Image.DecompressionBombError: it has more samples than Pillow's limit on pixels allows.
    """
    try:
        import tifffile
    except ImportError:
        return None
    import numpy as np

    try:
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            page: Any = file.pages[0]
            if page.photometric not in _GREY_OR_RGB:
                raise OSError(f"its samples are {page.photometric.name}, neither grey nor RGB nor bands")
            _check_pixels(page)
            samples: NDArray[np.generic] = page.asarray()
            axes = page.axes
    except (OSError, Image.DecompressionBombError):
        raise
    except Exception as error:  # tifffile raises all kinds of errors for damaged files
        raise OSError(f"cannot be read: {str(error) or type(error).__name__}") from error
    return np.moveaxis(samples, 0, -1) if axes == "SYX" else samples


def _check_pixels(page: Any) -> None:
    """Apply Pillow's limit: of what Pillow does not open, it has not seen the size."""
    try:
        check_pixels((page.imagewidth, page.imagelength * page.imagedepth), page.samplesperpixel)
    except ValueError as error:
        raise Image.DecompressionBombError(str(error)) from error


def _ppm_samples(image: ImageFile.ImageFile, data: bytes) -> "NDArray[np.uint16]":
    """The samples of a PPM file, scaled as Pillow does: values above the file's maximum are white."""
    import numpy as np

    shape = image.height, image.width, 3
    if len(data) - image.tile[0].offset < 2 * math.prod(shape):
        raise OSError("the file is cut off")
    values = np.frombuffer(data, ">u2", math.prod(shape), image.tile[0].offset)
    scaled = values * (0xFFFF / _maximum(image.tile[0].args))
    return np.minimum(np.rint(scaled, out=scaled), 0xFFFF).astype(np.uint16).reshape(shape)


def _is_reduced_tiff(image: ImageFile.ImageFile) -> bool:
    tags: Any = getattr(image, "tag_v2", {})
    bits: int = max(tags.get(Base.BitsPerSample, (1,)))
    kind: int = tags.get(_SAMPLE_FORMAT, (_UNSIGNED,))[0]
    if image.mode == "I":
        return bits == 32 and kind == _UNSIGNED
    return image.mode in _SHALLOW and (bits > 8 or (kind == _SIGNED and image.mode == "L"))


def _maximum(arguments: Any) -> int:
    """The value of white in a PPM file, which stands beside the mode in Pillow's arguments of its decoder."""
    return next((argument for argument in arguments if isinstance(argument, int)), 0)


def _jpeg2000_bits(image: ImageFile.ImageFile) -> int:
    """Bits of a sample: in the box ihdr, of which 1 is subtracted (ISO 15444-1, annex I.5.3.1)."""
    assert image.fp is not None
    position = image.fp.tell()
    image.fp.seek(0)
    _, _, box = image.fp.read(256).partition(b"ihdr")
    image.fp.seek(position)
    return (box[10] & 0x7F) + 1 if len(box) > 10 else 8


def _with_transparent_colour(samples: "NDArray[Any]", colour: Any) -> "NDArray[Any]":
    """Samples with alpha, if a PNG names one colour as transparent."""
    import numpy as np

    if samples.shape[-1] not in (1, 3) or not isinstance(colour, int | tuple):
        return samples
    opaque = (samples != np.asarray(colour)).any(axis=-1, keepdims=True)
    return np.concatenate([samples, opaque.astype(samples.dtype) * np.array(0xFFFF, samples.dtype)], axis=-1)
