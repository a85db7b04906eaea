"""Rate and distortion: MSE, PSNR, bits per pixel. Knows neither files nor networks."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


# A fit has failed if MSE > FAILED_FACTOR * (variance + COLOUR_BITS * lambda / pixels) + FAILED_MSE. The slack covers
# short fits, rounding, and the bits of a file that shows one colour.
FAILED_FACTOR = 1.25
FAILED_MSE = 1e-3
COLOUR_BITS = 512


def psnr_db(mse: float, peak: float = 1.0) -> float:
    """Peak signal-to-noise ratio, 10 * log10(peak^2 / MSE) dB, for samples in 0..peak; inf for no error.

    An MSE that is infinite or NaN gives -inf: a fit that diverged must not look like one without any error.
    """
    if mse == 0:
        return math.inf
    return 10.0 * math.log10(peak * peak / mse) if math.isfinite(mse) else -math.inf


def psnr_text(psnr_db: float) -> str:
    """A PSNR as users see it, such as "31.02 dB"; "exact" for no error."""
    return "exact" if psnr_db == math.inf else f"{psnr_db:.2f} dB"


def is_failed_fit(psnr_db_reached: float, variance: float, lambda_per_bit: float = 0.0) -> bool:
    """Whether a fit is worse than a single colour would be: MSE > 1.25 * (variance + 512 * lambda_per_bit) + 1e-3.

    Args:
        psnr_db_reached: PSNR of the fit.
        variance: mean squared error of the image's mean colour, samples in 0..1.
        lambda_per_bit: lambda / pixels, the increase in mean squared error that saving one bit is worth.
    """
    return psnr_db_reached < psnr_db(FAILED_FACTOR * (variance + COLOUR_BITS * lambda_per_bit) + FAILED_MSE)


def bits_per_pixel(file_bytes: int, width: int, height: int) -> float:
    """Rate of a whole file, header and padding included, in bits per pixel."""
    return 8.0 * file_bytes / (width * height)


def mse(
    reference: "NDArray[Any]", decoded: "NDArray[Any]", to_normalized: "Callable[[NDArray[Any]], NDArray[np.float32]]"
) -> float:
    """Mean squared error over all samples of two images of the same shape, (height, ...).

    Args:
        reference: any dtype that `to_normalized` accepts.
        decoded: same shape and dtype.
        to_normalized: maps a row of samples to normalized samples, in whose squared unit the error is.
    """
    # Row by row: a float copy of a 50-megapixel image would take over a gigabyte.
    pairs = zip(reference, decoded, strict=True)
    total = sum(float(((to_normalized(a) - to_normalized(b)) ** 2).sum(dtype="f8")) for a, b in pairs)
    return total / decoded.size
