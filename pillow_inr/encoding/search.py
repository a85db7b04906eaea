"""The search for the lambda with which a file gets a size or a PSNR. Knows neither pixels nor bits, only trials."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

# Short trials first: their part of the schedule or of the time. A second one only if the first is as far as this from
# its goal, in log(lambda).
PROBES = 2
PROBE_SHARE = 0.1
PROBE_FAR = 0.7
# Full trials, and how many more if none of them met the goal; the part of the time left that one takes.
FITS = 3
MORE_FITS = 2
FIT_SHARE = 0.6
# How far one trial may lead away from the next, in log(lambda); what slopes are believed, as multiples of the usual
# one; how near to one of two trials the next may lie between them.
STRIDE_MAX = 3.0
SLOPES = (0.5, 2.0)
BETWEEN = (0.1, 0.9)


class Measured(Protocol):
    """A trial."""

    @property
    def rd_lambda(self) -> float:
        """The lambda that it was made with."""


_Trial = TypeVar("_Trial", bound=Measured)


@dataclass(frozen=True)
class Goal(Generic[_Trial]):
    """What is searched for, as a figure of trials that falls as lambda rises."""

    metric: Callable[[_Trial], float]
    target: float
    """Where the next trial is to come out."""
    met: Callable[[_Trial], bool]
    tolerance: float
    """A trial that meets the goal and is as near to the aim is good enough."""
    slope: float
    """What the figure usually falls by for each unit of log(lambda), negative."""
    gain: float
    """What a full trial usually adds to the figure of a short one."""
    cost: Callable[[_Trial], float]
    """Of several trials that meet the goal, or of several that do not, the one with the least is the best."""


def search(
    trial: Callable[[float, float, float | None], _Trial],
    goal: Goal[_Trial],
    rd_lambda: float,
    bounds: tuple[float, float],
    deadline: float | None,
) -> _Trial:
    """The best of a few trials.

    Args:
        trial: makes one from lambda, its part of the schedule, and a reading of `time.perf_counter` to end at.
        rd_lambda: lambda to begin with.
        bounds: of lambda.
    Returns:
        One that meets the goal, if there was one.
    """
    line = _Line(goal, *map(math.log, bounds))
    position = min(max(math.log(rd_lambda), line.least), line.most)
    probes: list[_Trial] = []
    while len(probes) < PROBES:
        probes.append(trial(math.exp(position), PROBE_SHARE, _part(deadline, PROBE_SHARE)))
        # Each by itself: of two short trials the slope is not that of full ones.
        before, position = position, line.onward(position, goal.metric(probes[-1]) + goal.gain)
        if abs(position - before) < PROBE_FAR:
            break
    fits: list[_Trial] = []
    while len(fits) < FITS or (len(fits) < FITS + MORE_FITS and not any(map(goal.met, fits))):
        if fits and _is_over(deadline):
            break
        share = 1.0 if len(fits) + 1 == FITS + MORE_FITS else FIT_SHARE
        fits.append(trial(math.exp(position), 1.0, _part(deadline, share)))
        if goal.met(fits[-1]) and abs(goal.metric(fits[-1]) - goal.target) <= goal.tolerance:
            break
        before, position = position, line.next([(math.log(fit.rd_lambda), goal.metric(fit)) for fit in fits])
        if position == before:
            break
    return best([*probes, *fits], goal)


class _Line(Generic[_Trial]):
    """The figure over log(lambda), as far as trials have told."""

    def __init__(self, goal: Goal[_Trial], least: float, most: float) -> None:
        self.goal = goal
        self.least = least
        self.most = most

    def onward(self, position: float, metric: float, steepness: float = 1.0) -> float:
        """Where the aim lies, from one point of the line."""
        stride = (self.goal.target - metric) / (self.goal.slope * steepness)
        return min(max(position + min(max(stride, -STRIDE_MAX), STRIDE_MAX), self.least), self.most)

    def next(self, points: Sequence[tuple[float, float]]) -> float:
        """Where the aim lies: between the nearest points on either side, or beyond the last one."""
        above = [point for point in points if point[1] >= self.goal.target]
        below = [point for point in points if point[1] < self.goal.target]
        if above and below:
            (x0, y0), (x1, y1) = max(above), min(below)
            share = (y0 - self.goal.target) / (y0 - y1)
            return x0 + (x1 - x0) * min(max(share, BETWEEN[0]), BETWEEN[1])
        if len(points) == 1:
            return self.onward(*points[0])
        (x0, y0), (x1, y1) = points[-2:]
        steepness = (y1 - y0) / (x1 - x0) / self.goal.slope
        return self.onward(x1, y1, min(max(steepness, SLOPES[0]), SLOPES[1]))


def best(trials: Sequence[_Trial], goal: Goal[_Trial]) -> _Trial:
    """The best one of those that meet the goal, or else of all."""
    return min([trial for trial in trials if goal.met(trial)] or trials, key=goal.cost)


def _part(deadline: float | None, share: float) -> float | None:
    now = time.perf_counter()
    return None if deadline is None else now + share * (deadline - now)


def _is_over(deadline: float | None) -> bool:
    return deadline is not None and time.perf_counter() >= deadline
