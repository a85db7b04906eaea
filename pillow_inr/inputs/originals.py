"""The two images of a comparison, the decoded one and its original, as upright arrays of the same shape."""

from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from ..format.metadata import Metadata
from ..imaging.orientation import orientation_of, samples_upright
from ..imaging.pillow import check_pixels, to_samples
from . import sources

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..imaging.samples import Samples
    from ..models.base import StoredModel

# Longest side at which an image is evaluated when there is no original to compare with: plots show no more pixels.
VIEW_SIDE = 1600


def upright_pixels(model: "StoredModel", whole: bool) -> "Samples":
    """Decode an image upright, shape (height, width, channels).

    Args:
        model: of the file.
        whole: whether to decode all pixels; otherwise the longer side is at most VIEW_SIDE.
    Raises:
        ValueError: the image has more pixels than Pillow's limit allows.
        FormatError: the file is damaged, or decoding it takes more than `limits` allow.
    """
    size = model.header.size
    if not whole:
        scale = min(1.0, VIEW_SIDE / max(size))
        size = max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
    check_pixels(size, model.header.channels)
    metadata = Metadata.from_chunks(model.chunks)
    return samples_upright(model.pixels(size), orientation_of(metadata.exif, metadata.xmp))


def read_original(path: Path, shape: tuple[int, ...] | None = None) -> "NDArray[np.generic]":
    """Read an original upright, shape (height, width, channels); an image's transparent pixels are 0, as in .inr files.

    Args:
        path: an image, or an array in a .npy or .npz file.
        shape: shape of the decoded image, which the original must have; None if it is not known.
    Raises:
        OSError: the file cannot be read.
        ValueError: the original has another shape.
    """
    original = sources.read(path, path.suffix, upright=True)
    samples = _visible(to_samples(original)) if isinstance(original, Image.Image) else original
    samples = samples.reshape(*samples.shape, 1) if samples.ndim == 2 else samples
    if shape is not None and samples.shape != shape:
        actual, expected = ("×".join(map(str, shape)) for shape in (samples.shape, shape))
        raise ValueError(f"it has height×width×channels {actual}, the .inr file {expected}")
    return samples


def _visible(samples: "NDArray[np.generic]") -> "NDArray[np.generic]":
    from ..imaging.transparency import transparent_pixels

    mask = transparent_pixels(samples)
    if mask is not None:
        samples = samples.copy()
        samples[mask] = 0
    return samples
