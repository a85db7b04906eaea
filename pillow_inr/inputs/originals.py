"""The two images that are compared, as arrays of one shape: what an .inr file holds, what was encoded; both upright."""

from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from ..format.metadata import Metadata
from ..imaging.pillow import check_pixels, samples_upright, to_samples
from . import sources

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..imaging.samples import Samples
    from ..models.base import StoredModel

# A plot is not larger: without an original to compare with, a larger image is evaluated at no more points.
VIEW_SIDE = 1600


def upright_pixels(model: "StoredModel", whole: bool) -> "Samples":
    """The image upright, shape (height, width, channels); evaluated at fewer points where it is large."""
    size = model.header.size
    if not whole:
        scale = min(1.0, VIEW_SIDE / max(size))
        size = max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
    check_pixels(size, model.header.channels)
    return samples_upright(model.pixels(size), Metadata.from_chunks(model.chunks).exif)


def read_original(path: Path, shape: tuple[int, ...] | None = None) -> "NDArray[np.generic]":
    """What was encoded, upright, shape (height, width, channels).

    Args:
        shape: what it must have, that of the decoded image; None if that is not known.

    Raises:
        OSError: it cannot be read.
        ValueError: it is of another shape.
    """
    found = sources.read(path, path.suffix, upright=True)
    samples = to_samples(found) if isinstance(found, Image.Image) else found
    samples = samples.reshape(*samples.shape, 1) if samples.ndim == 2 else samples
    if shape is not None and samples.shape != shape:
        its, expected = ("×".join(map(str, shape)) for shape in (samples.shape, shape))
        raise ValueError(f"it has height×width×channels {its}, the .inr file {expected}")
    return samples
