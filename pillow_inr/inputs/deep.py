"""Samples of files that Pillow opens with fewer bits than they have, or not at all: read by other libraries.

PNG by TensorFlow, which every encode needs; TIFF by tifffile, if it is installed; PPM here, for it is not compressed.
"""

import io
import math
from typing import TYPE_CHECKING, Any, NamedTuple

from PIL import Image, ImageFile
from PIL.ExifTags import Base

from ..imaging import depth
from ..imaging.orientation import samples_upright
from ..imaging.pillow import check_pixels
from ..imaging.transparency import with_transparent_colour
from ..runtime.tensorflow import decode_png

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Values of the TIFF tag ExtraSamples: alpha by which colours are multiplied, and alpha by which they are not.
_ASSOCIATED, _UNASSOCIATED = 1, 2
# Values of the TIFF tag PhotometricInterpretation: 0 is white, 0 is black, RGB.
_GREY_OR_RGB = (0, 1, 2)


class Deep(NamedTuple):
    """The samples of a file."""

    samples: "NDArray[np.generic]"
    """As they stand in the file, shape (height, width) or (height, width, channels)."""
    has_alpha: bool
    """Whether the last channel is alpha, and the others are not multiplied by it."""
    orientation: int = 1
    """How the samples are to be turned, as in EXIF data."""

    @property
    def upright(self) -> "NDArray[np.generic]":
        """The samples, turned."""
        return samples_upright(self.samples, self.orientation)


def samples_of(image: ImageFile.ImageFile, data: bytes) -> Deep | None:
    """The samples of a file of which `is_reduced`.

    Returns:
        None if no library for it is here (`loss`).
    Raises:
        OSError: the file is damaged.
        BackendError: it is a PNG file, and TensorFlow is missing.
    """
    if image.format == "PNG":
        samples, colour = decode_png(data), image.info.get("transparency")
        if samples.shape[2] in (1, 3) and isinstance(colour, int | tuple):
            samples = with_transparent_colour(samples, colour)
        return Deep(samples, samples.shape[2] in (2, 4))
    if image.format == "PPM" and image.tile[0].codec_name == "ppm":
        return Deep(_ppm_samples(image, data), has_alpha=False)
    deep = tiff_samples(data) if image.format == "TIFF" else None
    # As Pillow turns a TIFF when it loads it: it looks into XMP as well.
    return None if deep is None else deep._replace(orientation=image.getexif().get(Base.Orientation, 1))


def loss(image: ImageFile.ImageFile) -> str:
    """What the user should know of an image of which `is_reduced` and `samples_of` has nothing."""
    changed = {
        "L": "its signed samples are read as unsigned",
        "I": "its unsigned samples are read as signed",
        **dict.fromkeys(("I;16", "I;16B"), "its samples are read with black and white exchanged"),
    }
    text = changed.get(image.mode if image.format == "TIFF" else "", "Pillow reads 8 bits of its deeper samples")
    return text + (": 'pip install tifffile' keeps them" if image.format == "TIFF" else "")


def tiff_samples(data: bytes) -> Deep | None:
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
            axes, extra = page.axes, page.extrasamples
            if page.photometric == depth.WHITE_IS_ZERO and samples.dtype.kind == "u":
                samples = np.invert(samples)
            orientation = page.tags.valueof(Base.Orientation, 1)
    except (OSError, Image.DecompressionBombError):
        raise
    except Exception as error:  # tifffile raises all kinds of errors for damaged files
        raise OSError(f"cannot be read: {str(error) or type(error).__name__}") from error
    samples = np.moveaxis(samples, 0, -1) if axes == "SYX" else samples
    has_alpha = samples.ndim == 3 and samples.shape[2] in (2, 4) and extra in ((_ASSOCIATED,), (_UNASSOCIATED,))
    samples = _divided_by_alpha(samples) if has_alpha and extra == (_ASSOCIATED,) else samples
    return Deep(samples, has_alpha, orientation)


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
    scaled = values * (0xFFFF / depth.ppm_maximum(image.tile[0].args))
    return np.minimum(np.rint(scaled, out=scaled), 0xFFFF).astype(np.uint16).reshape(shape)


def _divided_by_alpha(samples: "NDArray[Any]") -> "NDArray[Any]":
    """Samples whose colours are not multiplied by alpha, of samples whose are."""
    import numpy as np

    white = np.iinfo(samples.dtype).max if samples.dtype.kind in "iu" else 1.0
    alpha = samples[..., -1:].astype(np.float64)
    colours = np.divide(
        samples[..., :-1] * float(white), alpha, out=np.zeros(alpha.shape) + samples[..., :-1], where=alpha > 0
    )
    if samples.dtype.kind in "iu":
        colours = np.rint(np.minimum(colours, white))
    return np.concatenate([colours.astype(samples.dtype), samples[..., -1:]], axis=-1)
