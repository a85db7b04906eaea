"""The two images that are compared, as arrays of one shape: what an .inr file holds, what was encoded; both upright."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import ExifTags, Image

from ..format.metadata import Metadata
from ..plugins import pillow
from . import sources

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..imaging.samples import Samples
    from ..models.reader import Network, PyramidNetwork

# A plot is not larger: without an original to compare with, a larger image is evaluated at no more points.
VIEW_SIDE = 1600


def upright_pixels(network: "Network | PyramidNetwork", whole: bool) -> "Samples":
    """The image upright, shape (height, width, channels); evaluated at fewer points where it is large."""
    size = network.header.size
    if not whole:
        scale = min(1.0, VIEW_SIDE / max(size))
        size = max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
    pillow.check_pixels(size, network.header.channels)
    return _turned(network.pixels(size), Metadata.from_chunks(network.chunks).exif)


def read_original(path: Path, shape: tuple[int, ...] | None = None) -> "NDArray[np.generic]":
    """What was encoded, upright, shape (height, width, channels).

    Args:
        shape: what it must have, that of the decoded image; None if that is not known.

    Raises:
        OSError: it cannot be read.
        ValueError: it is of another shape.
    """
    found = sources.read(path, path.suffix, upright=True)
    samples = pillow.to_samples(found) if isinstance(found, Image.Image) else found
    samples = samples.reshape(*samples.shape, 1) if samples.ndim == 2 else samples
    if shape is not None and samples.shape != shape:
        its, expected = ("×".join(map(str, shape)) for shape in (samples.shape, shape))
        raise ValueError(f"it has height×width×channels {its}, the .inr file {expected}")
    return samples


def _turned(samples: "NDArray[Any]", exif: bytes | None) -> "NDArray[Any]":
    """Samples turned upright as EXIF data say."""
    turns: dict[Any, Callable[[NDArray[Any]], NDArray[Any]]] = {
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: np.swapaxes(a, 0, 1),
        6: lambda a: np.rot90(a, -1),
        7: lambda a: np.swapaxes(a[::-1, ::-1], 0, 1),
        8: lambda a: np.rot90(a, 1),
    }
    turn = turns.get(pillow.exif_tags(exif).get(ExifTags.Base.Orientation))
    return samples if turn is None else turn(samples)
