"""Bjøntegaard delta rate, and rates and PSNRs read off a rate-distortion curve.

A curve is a list of (bits per pixel, PSNR in dB). Between its points the logarithm of the rate is interpolated.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import Akima1DInterpolator, PchipInterpolator

Curve = Sequence[tuple[float, float]]

# Of PSNR that two curves must share in dB: less says nothing.
SHORTEST_OVERLAP = 0.2
# A point must gain this much PSNR in dB over cheaper ones to count.
LEAST_GAIN = 1e-6


def pareto_front(curve: Curve) -> NDArray[np.float64]:
    """The points, by rising rate, that no cheaper point equals in PSNR; shape (n, 2), bits per pixel and dB."""
    wavefront: list[tuple[float, float]] = []
    for rate, psnr in sorted(curve):
        usable = rate > 0 and np.isfinite(psnr)
        if usable and (not wavefront or psnr > wavefront[-1][1] + LEAST_GAIN):
            wavefront.append((rate, psnr))
    return np.array(wavefront).reshape(-1, 2)


def overlap(reference: Curve, curve: Curve, window: tuple[float, float]) -> tuple[float, float] | None:
    """The part of a PSNR window in dB that both curves cover; None when they share too little."""
    wavefronts = pareto_front(reference), pareto_front(curve)
    if min(map(len, wavefronts)) < 2:
        return None
    low = max(window[0], *(wavefront[0, 1] for wavefront in wavefronts))
    high = min(window[1], *(wavefront[-1, 1] for wavefront in wavefronts))
    return (float(low), float(high)) if high - low > SHORTEST_OVERLAP else None


def bd_rate(reference: Curve, curve: Curve, window: tuple[float, float]) -> float | None:
    """Mean difference in rate at equal PSNR, in percent of the reference's; negative where the curve needs less.

    Only what both curves cover of the PSNR window counts (`overlap`); None when that is too little. Akima's spline
    of log-rate over PSNR, as most codec papers now use: it does not overshoot where points lie unevenly.
    """
    covered = overlap(reference, curve, window)
    if covered is None:
        return None
    difference = _mean_log_rate(curve, covered) - _mean_log_rate(reference, covered)
    return 100.0 * float(np.expm1(difference))


def _mean_log_rate(curve: Curve, window: tuple[float, float]) -> float:
    rates, psnrs = pareto_front(curve).T
    spline = Akima1DInterpolator(psnrs, np.log(rates))
    return float(spline.integrate(*window)) / (window[1] - window[0])


def psnr_at(curve: Curve, rate: float) -> float | None:
    """PSNR in dB at a rate in bits per pixel; None outside the curve."""
    rates, psnrs = pareto_front(curve).T
    return _interpolate(np.log(rates), psnrs, float(np.log(rate)))


def rate_at(curve: Curve, psnr: float) -> float | None:
    """Rate in bits per pixel at a PSNR in dB; None outside the curve."""
    rates, psnrs = pareto_front(curve).T
    log_rate = _interpolate(psnrs, np.log(rates), psnr)
    return None if log_rate is None else float(np.exp(log_rate))


def _interpolate(known: NDArray[np.float64], values: NDArray[np.float64], wanted: float) -> float | None:
    if len(known) < 2 or not known[0] <= wanted <= known[-1]:
        return None
    return float(PchipInterpolator(known, values)(wanted))
