"""Laplace frequency tables for the residuals of a pyramid's symbols, identical on every machine.

Each row is the distribution for one scale and one fraction of the mean. Knows neither the context model that picks a
row nor the range coder.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from ...entropy.distributions import code_lengths

# B[t] = round(2^32 exp(-1 / (16 b))) for the Laplace scale b = exp(t / 8), t = -32..40: scales of 0.018 to 148 symbols.
# Shipped as data, since exp differs between platforms in its last bit (docs/format.md section 9.6).
DECAYS = (
    141572909,
    211406026,
    301156961,
    411539095,
    542117882,
    691374388,
    856884361,
    1035568444,
    1223967808,
    1418507033,
    1615718013,
    1812411093,
    2005790141,
    2193515739,
    2373725000,
    2545018319,
    2706423265,
    2857344640,
    2997507991,
    3126902041,
    3245723793,
    3354328649,
    3453186770,
    3542846103,
    3623901930,
    3696972476,
    3762679889,
    3821635868,
    3874431187,
    3921628407,
    3963757157,
    4001311421,
    4034748382,
    4064488418,
    4090915943,
    4114380850,
    4135200330,
    4153660949,
    4170020832,
    4184511893,
    4197342034,
    4208697266,
    4218743737,
    4227629636,
    4235486959,
    4242433152,
    4248572608,
    4253998038,
    4258791718,
    4263026613,
    4266767392,
    4270071344,
    4272989197,
    4275565850,
    4277841028,
    4279849872,
    4281623453,
    4283189244,
    4284571525,
    4285791755,
    4286868892,
    4287819687,
    4288658937,
    4289399708,
    4290053542,
    4290630632,
    4291139976,
    4291589521,
    4291986282,
    4292336453,
    4292645502,
    4292918255,
    4293158973,
)
SCALE_MIN = -32
"""Log-scale t of the first decay, in eighths."""
SCALE_MAX = SCALE_MIN + len(DECAYS) - 1
# A mean is an integer plus f / 16, with f in FRACTION_MIN..FRACTION_MIN + FRACTIONS - 1.
FRACTIONS = 16
FRACTION_MIN = -8
# Residuals in -REACH..REACH have bins of their own. The first and last bin are escapes: a number with the rest follows.
REACH = 16
BINS = 2 * REACH + 3
_ONE = 1 << 32


@cache
def frequencies() -> NDArray[np.float64]:
    """Integer frequencies of all distributions, in units of 2^-32.

    Row (t - SCALE_MIN) * FRACTIONS + f - FRACTION_MIN is the Laplace distribution with scale b = exp(t / 8) around
    f / 16, quantized to bins of width 1: with its distribution function F, residual e has the probability

        P(e) = F((e + 1/2 - f / 16) / b) - F((e - 1/2 - f / 16) / b).

    The two escape bins hold the tails. No frequency is below 1, so that every symbol stays codable.

    Returns:
        float64 holding integers, shape (1168, 35): residuals below -REACH, -REACH..REACH, above REACH. Read-only.
    Source: docs/format.md section 9.6.
    """
    # Number of tail values on each side of the mean, in sixteenths.
    furthest = FRACTIONS * (REACH + 1)
    tails = np.empty((len(DECAYS), furthest + 1), np.int64)
    for row, decay in zip(tails, DECAYS, strict=True):
        tail = _ONE >> 1
        for distance in range(furthest + 1):
            row[distance] = tail
            tail = tail * decay >> 32
    # The mass above each edge between bins, as a part of _ONE; the edges' distance to the mean depends on the fraction.
    edges = FRACTIONS * np.arange(-REACH, REACH + 2) - FRACTIONS // 2
    distances = edges - np.arange(FRACTION_MIN, FRACTION_MIN + FRACTIONS)[:, None]
    sides = tails[:, np.abs(distances)]
    above = np.where(distances >= 0, sides, _ONE - sides)
    whole = np.full((*above.shape[:2], 1), _ONE)
    rows = np.maximum(-np.diff(above, axis=2, prepend=whole, append=0 * whole), 1)
    result = rows.reshape(-1, BINS).astype(np.float64)
    result.flags.writeable = False
    return result


@cache
def bits() -> NDArray[np.float64]:
    """Code length in bits of each bin (column) of each row of `frequencies`."""
    return code_lengths(frequencies())
