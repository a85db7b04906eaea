"""The search for the lambda with which a file gets a size or a PSNR. Knows neither pixels nor bits, only trials."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

# Short trials first: their number, and their part of the schedule or of the time.
PROBES = 2
PROBE_SHARE = 0.1
# A probe that is as near as this to its goal, in log(lambda), needs no other.
PROBE_NEAR = 0.15
# Full trials at most; the part of the time left that one takes when it is not the last.
FITS = 3
FIT_SHARE = 0.6
# How far one trial may lead away from the next, in log(lambda), and what slopes are believed, as multiples of the
# usual one.
STRIDE_MAX = 3.0
SLOPES = (0.4, 2.5)


class Measured(Protocol):
    """A trial."""

    @property
    def rate_weight(self) -> float:
        """The lambda that it was made with."""


_Trial = TypeVar("_Trial", bound=Measured)


@dataclass(frozen=True)
class Goal(Generic[_Trial]):
    """What is searched for, as a figure of trials that falls as lambda rises."""

    figure: Callable[[_Trial], float]
    aim: float
    """Where the next trial is to come out."""
    met: Callable[[_Trial], bool]
    tolerance: float
    """A trial that meets the goal and is as near to the aim is good enough."""
    slope: float
    """What the figure usually falls by for each unit of log(lambda), negative."""
    badness: Callable[[_Trial], float]
    """Of several trials that meet the goal, or of several that do not, the one with the least is the best."""


def search(
    trial: Callable[[float, float, float | None], _Trial],
    goal: Goal[_Trial],
    rate_weight: float,
    bounds: tuple[float, float],
    deadline: float | None,
) -> _Trial:
    """The best of a few trials.

    Args:
        trial: makes one from lambda, its part of the schedule, and a reading of `time.perf_counter` to end at.
        rate_weight: lambda to begin with.
        bounds: of lambda.
    Returns:
        One that meets the goal, if there was one.
    """
    least, most = map(math.log, bounds)

    def next_position(made: Sequence[_Trial]) -> float:
        last = made[-1]
        stride = (goal.aim - goal.figure(last)) / _slope(made, goal)
        return min(max(math.log(last.rate_weight) + min(max(stride, -STRIDE_MAX), STRIDE_MAX), least), most)

    position = min(max(math.log(rate_weight), least), most)
    probes: list[_Trial] = []
    while len(probes) < PROBES:
        probes.append(trial(math.exp(position), PROBE_SHARE, _part(deadline, PROBE_SHARE)))
        before, position = position, next_position(probes)
        if abs(position - before) < PROBE_NEAR:
            break
    fits: list[_Trial] = []
    while len(fits) < FITS and not (fits and _is_over(deadline)):
        share = 1.0 if len(fits) + 1 == FITS else FIT_SHARE
        fits.append(trial(math.exp(position), 1.0, _part(deadline, share)))
        if goal.met(fits[-1]) and abs(goal.figure(fits[-1]) - goal.aim) <= goal.tolerance:
            break
        # One full trial tells where the line is; what its slope is, the short ones know.
        before, position = position, next_position(fits if len(fits) > 1 else [*probes, fits[0]][-1:])
        if position == before:
            break
    return best([*probes, *fits], goal)


def best(trials: Sequence[_Trial], goal: Goal[_Trial]) -> _Trial:
    """The best one of those that meet the goal, or else of all."""
    return min([trial for trial in trials if goal.met(trial)] or trials, key=goal.badness)


def _slope(made: Sequence[_Trial], goal: Goal[_Trial]) -> float:
    if len(made) < 2:
        return goal.slope
    (x0, y0), (x1, y1) = ((math.log(trial.rate_weight), goal.figure(trial)) for trial in made[-2:])
    ratio = (y1 - y0) / (x1 - x0) / goal.slope if x1 != x0 else 1.0
    return goal.slope * min(max(ratio, SLOPES[0]), SLOPES[1])


def _part(deadline: float | None, share: float) -> float | None:
    now = time.perf_counter()
    return None if deadline is None else now + share * (deadline - now)


def _is_over(deadline: float | None) -> bool:
    return deadline is not None and time.perf_counter() >= deadline
