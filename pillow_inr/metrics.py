"""Rate and distortion figures; knows neither files nor networks."""

import math


def psnr_db(mse: float, peak: float = 1.0) -> float:
    """Peak signal-to-noise ratio in dB of a mean squared error, for samples in 0..peak; inf for no error."""
    return 10.0 * math.log10(peak * peak / mse) if mse > 0 else math.inf


def bits_per_pixel(file_bytes: int, width: int, height: int) -> float:
    """Rate in bits per pixel of a whole file, container included."""
    return 8.0 * file_bytes / (width * height)
