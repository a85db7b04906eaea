"""Bisection for the best of many settings whose file is short enough. Standard library only."""

from collections.abc import Callable

# Sizes rise from setting to setting, but not at every step: this many settings above the one found are tried, too.
LOOK_AHEAD = 3


def last_that_fits(count: int, fits: Callable[[int], bool]) -> int:
    """Bisection for the last index in 0 … count - 1 that fits, then a look at the next LOOK_AHEAD; -1 if none fits.

    Args:
        count: number of indices.
        fits: nearly monotonic: true up to some index, then false. May be asked twice about an index.
    """
    low, high = -1, count
    while high - low > 1:
        middle = (low + high) // 2
        if fits(middle):
            low = middle
        else:
            high = middle
    beyond = range(min(low + LOOK_AHEAD, count - 1), low, -1)
    return next((index for index in beyond if fits(index)), low)
