"""Rate-distortion curves: Bjøntegaard delta rate by the package `bjontegaard`, rates and PSNRs between points.

A curve is a list of (bits per pixel, PSNR in dB).
"""

from collections.abc import Sequence

import numpy as np
from bjontegaard import bd_rate as bjontegaard_rate
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

Curve = Sequence[tuple[float, float]]

# A BD-rate over a shorter range of PSNR, in dB, says nothing.
SHORTEST_OVERLAP = 0.2
# A point counts if its PSNR is at least this much higher, in dB, than that of all cheaper points.
LEAST_GAIN = 1e-6


def pareto_front(curve: Curve) -> NDArray[np.float64]:
    """The points that no cheaper point equals in PSNR, by rising rate; shape (n, 2), bits per pixel and dB."""
    front: list[tuple[float, float]] = []
    for rate, psnr in sorted(curve):
        usable = rate > 0 and np.isfinite(psnr)
        if usable and (not front or psnr > front[-1][1] + LEAST_GAIN):
            front.append((rate, psnr))
    return np.array(front).reshape(-1, 2)


def overlap(reference: Curve, curve: Curve, window: tuple[float, float]) -> tuple[float, float] | None:
    """The part of a PSNR window in dB that both curves cover; None if it is shorter than SHORTEST_OVERLAP."""
    fronts = pareto_front(reference), pareto_front(curve)
    if min(map(len, fronts)) < 2:
        return None
    low = max(window[0], *(front[0, 1] for front in fronts))
    high = min(window[1], *(front[-1, 1] for front in fronts))
    return (float(low), float(high)) if high - low > SHORTEST_OVERLAP else None


def bd_rate(reference: Curve, curve: Curve, window: tuple[float, float]) -> float | None:
    """Mean difference in rate at equal PSNR, in percent of the reference's; negative if the curve needs less.

    With r(q) the logarithm to base 10 of the rate at a PSNR q, by Akima's interpolation, and l..h the `overlap`:
    100 * (10 ** (integral over l..h of (r_curve - r_reference) dq / (h - l)) - 1). None without an overlap.
    """
    covered = overlap(reference, curve, window)
    if covered is None:
        return None
    points = *pareto_front(reference).T, *pareto_front(curve).T
    options = {"method": "akima", "require_matching_points": False, "min_overlap": 0.0}
    # The package integrates over all that the curves share; its interpolants also do over the window.
    _, before, after = bjontegaard_rate(*points, **options, interpolators=True)
    difference = (after.integrate(*covered) - before.integrate(*covered)) / (covered[1] - covered[0])
    return 100.0 * float(10.0**difference - 1.0)


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
