"""Rate and distortion figures; knows neither files nor networks."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


# Beyond the error of its mean colour, a picture's error at which a fit has failed: by this factor and 30 dB, for a few
# steps and rounding may end as far from it; and by as many bits as a colour takes, which may be dearer than the colour.
FAILED_FACTOR = 1.25
FAILED_MSE = 1e-3
COLOUR_BITS = 512


def psnr_db(mse: float, peak: float = 1.0) -> float:
    """Peak signal-to-noise ratio in dB of a mean squared error, for samples in 0..peak; inf for no error.

    An error that is infinite or no number has -inf: a fit that diverged must not look like one without any error.
    """
    if mse == 0:
        return math.inf
    return 10.0 * math.log10(peak * peak / mse) if math.isfinite(mse) else -math.inf


def is_failed_fit(psnr_db_reached: float, variance: float, bit: float = 0.0) -> bool:
    """Whether a fit came out worse than a single colour would be.

    Args:
        variance: mean squared error of the picture's mean colour, for samples in 0..1.
        bit: mean squared error that a bit was worth.
    """
    return psnr_db_reached < psnr_db(FAILED_FACTOR * (variance + COLOUR_BITS * bit) + FAILED_MSE)


def bits_per_pixel(file_bytes: int, width: int, height: int) -> float:
    """Rate in bits per pixel of a whole file, container included."""
    return 8.0 * file_bytes / (width * height)


def mse(
    reference: "NDArray[Any]", decoded: "NDArray[Any]", to_normalized: "Callable[[NDArray[Any]], NDArray[np.float32]]"
) -> float:
    """Mean squared error over all samples of two images of one shape, height first.

    Args:
        to_values: what the samples of a row stand for; the error is in squares of its unit.
    """
    # Row by row: a float copy of a 50-megapixel image would take over a gigabyte.
    pairs = zip(reference, decoded, strict=True)
    total = sum(float(((to_normalized(a) - to_normalized(b)) ** 2).sum(dtype="f8")) for a, b in pairs)
    return total / decoded.size
