"""The distributions of a pyramid's symbols, each a row of integer counts, the same on every machine.

Knows neither what the contexts of a symbol are nor how rows are coded.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from ...entropy.distributions import code_lengths

# round(2^32 * exp(-1 / (16 b))) for the Laplace scale b = exp(t / 8), t = -32..40. Shipped, not computed, because exp
# differs between platforms in its last bit (docs/format.md section 9.6).
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
"""Logarithm of the smallest scale, in eighths; the largest is that of the last decay."""
SCALE_MAX = SCALE_MIN + len(DECAYS) - 1
# Means are multiples of 1/16: their fractions are FRACTION_MIN / 16 to below that plus 1.
FRACTIONS = 16
FRACTION_MIN = -8
# Residuals of -REACH..REACH have counts of their own; those beyond are an escape and a number.
REACH = 16
BINS = 2 * REACH + 3
_ONE = 1 << 32


@cache
def frequencies() -> NDArray[np.float64]:
    """All rows: of scale t and fraction f of the mean, row (t - SCALE_MIN) * FRACTIONS + f - FRACTION_MIN.

    Returns:
        float64 holding integers, shape (1168, 35): first below -REACH, then -REACH..REACH, then above REACH. Shared:
        not to be written to.
    Source: docs/format.md section 9.6.
    """
    # Each side of the distribution reaches this far, in sixteenths.
    furthest = FRACTIONS * (REACH + 1)
    tails = np.empty((len(DECAYS), furthest + 1), np.int64)
    for row, decay in zip(tails, DECAYS, strict=True):
        tail = _ONE >> 1
        for distance in range(furthest + 1):
            row[distance] = tail
            tail = tail * decay >> 32
    # Above each edge between bins lies a part of _ONE; the edges depend on the fraction.
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
    """Bits of each bin in each row, as `frequencies`."""
    return code_lengths(frequencies())
