"""Rate and distortion figures; knows neither files nor networks."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def psnr_db(mse: float, peak: float = 1.0) -> float:
    """Peak signal-to-noise ratio in dB of a mean squared error, for samples in 0..peak; inf for no error."""
    return 10.0 * math.log10(peak * peak / mse) if mse > 0 else math.inf


def bits_per_pixel(file_bytes: int, width: int, height: int) -> float:
    """Rate in bits per pixel of a whole file, container included."""
    return 8.0 * file_bytes / (width * height)


def mse(
    reference: "NDArray[Any]", decoded: "NDArray[Any]", to_values: "Callable[[NDArray[Any]], NDArray[np.float32]]"
) -> float:
    """Mean squared error over all samples of two images of one shape, height first.

    Args:
        to_values: what the samples of a row stand for; the error is in squares of its unit.
    """
    # Row by row: a float copy of a 50-megapixel image would take over a gigabyte.
    pairs = zip(reference, decoded, strict=True)
    total = sum(float(((to_values(a) - to_values(b)) ** 2).sum(dtype="f8")) for a, b in pairs)
    return total / decoded.size
