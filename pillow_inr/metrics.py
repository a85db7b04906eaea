"""Rate and distortion figures; knows neither files nor networks."""

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def psnr_db(mse: float, peak: float = 1.0) -> float:
    """Peak signal-to-noise ratio in dB of a mean squared error, for samples in 0..peak; inf for no error."""
    return 10.0 * math.log10(peak * peak / mse) if mse > 0 else math.inf


def bits_per_pixel(file_bytes: int, width: int, height: int) -> float:
    """Rate in bits per pixel of a whole file, container included."""
    return 8.0 * file_bytes / (width * height)


def mse(reference: "NDArray[np.uint8]", decoded: "NDArray[np.uint8]") -> float:
    """Mean squared error over all samples of two uint8 images of one shape (height first), in squared levels."""
    # Row by row: a float copy of a 50-megapixel image would take over a gigabyte.
    pairs = zip(reference.reshape(decoded.shape), decoded, strict=True)
    total = sum(float(((a.astype("f4") - b.astype("f4")) ** 2).sum(dtype="f8")) for a, b in pairs)
    return total / decoded.size
