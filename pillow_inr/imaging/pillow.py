"""Pillow image <-> samples: modes, Pillow's limit on pixels.

NumPy is imported inside functions only, because opening a file must take milliseconds.
"""

from typing import TYPE_CHECKING

from PIL import Image, UnidentifiedImageError

from ..errors import warn_caller
from ..format.header import Header, ModelHeader, Size
from ..format.pixel_format import MODES

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .samples import Samples

# Modes that are stored as they are, and the modes that others are converted to. A mode in neither is one that this
# release does not know, and is refused.
_STORED = (*MODES, "I;16", "I", "F")
_CONVERTED = {
    "P": "RGB",
    "1": "L",
    "I;16B": "I;16",
    "I;16L": "I;16",
    "I;16N": "I;16",
    "La": "LA",
    "PA": "RGBA",
    "RGBa": "RGBA",
    "RGBX": "RGB",
    "CMYK": "RGB",
    "YCbCr": "RGB",
    "LAB": "RGB",
    "HSV": "RGB",
}
# NumPy's types of the modes of more than 8 bits.
_EXACT_TYPES = {"I;16": "uint16", "I": "int32", "F": "float32"}
_WITH_ALPHA = {"L": "LA", "RGB": "RGBA"}
# The largest value of Pillow's mode I.
_I_MAX = 2**31 - 1
# Number of samples converted to 8 bits at a time.
_BLOCK_SAMPLES = 1 << 20


def mode_of(header: Header[ModelHeader]) -> str:
    """Pillow's mode for a file. It has none for colours of more than 8 bits, which are shown with 8 bits.

    Raises:
        UnidentifiedImageError: the file has more channels, or larger values, than any mode of Pillow.
    """
    mode = _mode_or_none(header)
    if mode is None:
        # On this error imageio goes on to our own plugin.
        raise UnidentifiedImageError(
            f"the file holds {header.channels} channels of {header.dtype}, for which Pillow has no mode: "
            "pillow_inr.decode and imageio give them as an array"
        )
    return mode


def _mode_or_none(header: Header[ModelHeader]) -> str | None:
    if header.channels > len(MODES):
        return None
    if header.channels > 1:
        return MODES[header.channels - 1]
    if header.dtype == "uint32" and header.ranges[0][1] > _I_MAX:
        return None
    return {"uint8": "L", "uint16": "I;16", "float32": "F"}.get(header.dtype, "I")


def as_mode(samples: "Samples", mode: str, header: Header[ModelHeader]) -> "Samples":
    """Convert samples of a file to those of its mode, contiguous, same shape."""
    import numpy as np

    if mode in _EXACT_TYPES:
        return samples.astype(_EXACT_TYPES[mode], copy=False)
    if samples.dtype == np.uint8:
        return samples
    levels = np.empty(samples.shape, np.uint8)
    rows = max(1, _BLOCK_SAMPLES // samples[0].size)
    for top in range(0, len(samples), rows):
        levels[top : top + rows] = _levels(samples[top : top + rows], header)
    return levels


def _levels(samples: "Samples", header: Header[ModelHeader]) -> "Samples":
    """Convert samples of more than 8 bits to 8 bits."""
    import numpy as np

    if samples.dtype == np.uint16:
        return (samples // 257).astype(np.uint8)  # black to black, white to white
    low, high = (pick(bounds) for pick, bounds in zip((min, max), zip(*header.ranges, strict=True), strict=True))
    if samples.dtype == np.float32:  # 0..1 by custom; a wider range is shown from its lowest to its highest value
        low, high = min(0.0, low), max(1.0, high)
    factor = 255.0 / ((high - low) or 1.0)
    # Multiplied first, because samples - low may overflow float32.
    levels: Samples = np.rint(samples * factor - low * factor).astype(np.uint8)
    return levels


def check_pixels(size: Size, channels: int) -> None:
    """Apply Pillow's limit on pixels to a size; channels beyond the four of Pillow's modes count as more pixels.

    Raises:
        ValueError: there are more than 2 * PIL.Image.MAX_IMAGE_PIXELS pixels, where Image.open refuses as well.
    """
    limit = Image.MAX_IMAGE_PIXELS
    most_channels = len(MODES)
    if limit is not None and size[0] * size[1] * max(channels, most_channels) > 2 * limit * most_channels:
        raise ValueError(
            f"{size[0]}x{size[1]} pixels of {channels} channels are more than {2 * limit} of {most_channels} "
            "(twice PIL.Image.MAX_IMAGE_PIXELS, which can be raised or set to None)"
        )


def to_samples(image: Image.Image) -> "NDArray[np.generic]":
    """The samples of an image, shape (height, width) or (height, width, 2..4), converted to a mode that can be stored.

    Raises:
        OSError: an .inr file cannot hold the image's mode.
        ValueError: the image has no pixels.
    """
    import numpy as np

    from .transparency import with_transparent_colour

    if not (image.width and image.height):
        raise ValueError("cannot write empty image as INR")
    mode = _stored_mode(image)
    if mode not in _STORED:
        raise OSError(f"cannot write mode {image.mode} as INR")
    samples = np.asarray(image if mode in (image.mode, "I;16") else image.convert(mode))
    key = image.info.get("transparency")
    if mode in ("I;16", "I") and isinstance(key, int):
        if samples.min() < 0 or samples.max() > 0xFFFF:
            warn_caller(f"its transparent value {key} is left out: .inr files have alpha for 8 and 16 bits only")
            return samples
        return with_transparent_colour(samples, key)
    return samples


def _stored_mode(image: Image.Image) -> str:
    mode = _CONVERTED.get(image.mode, image.mode)
    if mode in _WITH_ALPHA and _has_transparency(image):
        mode = _WITH_ALPHA[mode]  # one colour, or some entries of the palette, are transparent
    return mode


def _has_transparency(image: Image.Image) -> bool:
    # Pillow's property needs the palette, which an image of mode P may lack.
    has_palette = image.mode != "P" or image.palette is not None
    return "transparency" in image.info or (has_palette and image.has_transparency_data)
