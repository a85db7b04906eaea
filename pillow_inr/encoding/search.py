"""The search for the lambda with which a file gets a size or a PSNR. Knows neither pixels nor bits, only trials."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from .deadline import Deadline

# Probes, short trials, come first: their number at most, their part of the schedule or of the time. There is a second
# one only if the first is this far from the target, in log(lambda).
PROBES = 2
PROBE_SHARE = 0.1
PROBE_FAR = 0.7
# Full trials at most, and how many more if none of them met the goal; the part of the remaining time that each takes.
FITS = 3
MORE_FITS = 2
FIT_SHARE = 0.6
# Largest stride from one trial to the next, in log(lambda); measured slopes that are believed, as multiples of the
# usual one; where between two trials the next may lie, as parts of the distance.
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
    """What is searched for: a target for a metric of trials that falls as lambda rises."""

    metric: Callable[[_Trial], float]
    target: float
    """Value of the metric to aim at."""
    met: Callable[[_Trial], bool]
    tolerance: float
    """A trial that meets the goal and whose metric is this near to the target is good enough."""
    slope: float
    """Usual change of the metric for each unit of log(lambda), negative."""
    gain: float | None
    """Usual difference of the metric between a full trial and a probe; None if a probe would take as long."""
    cost: Callable[[_Trial], float]
    """Ranks trials that meet the goal, and those that do not, among themselves: the least is the best."""


def search(
    trial: Callable[[float, float, Deadline], _Trial],
    goal: Goal[_Trial],
    rd_lambda: float,
    bounds: tuple[float, float],
    deadline: Deadline,
) -> _Trial:
    """The best of a few trials.

    Args:
        trial: makes one from lambda, its part of the schedule and its deadline.
        goal: what is searched for.
        rd_lambda: lambda to begin with.
        bounds: least and largest lambda.
        deadline: after it no further full trial begins.
    Returns:
        The best trial that meets the goal; if there is none, the best of all.
    """
    line = _Line(goal, *map(math.log, bounds))
    position = min(max(math.log(rd_lambda), line.least), line.most)
    probes: list[_Trial] = []
    while goal.gain is not None and len(probes) < PROBES:
        probes.append(trial(math.exp(position), PROBE_SHARE, deadline.part(PROBE_SHARE)))
        # Each by itself: of two short trials the slope is not that of full ones.
        before, position = position, line.onward(position, goal.metric(probes[-1]) + goal.gain)
        if abs(position - before) < PROBE_FAR:
            break
    fits: list[_Trial] = []
    while len(fits) < FITS or (len(fits) < FITS + MORE_FITS and not any(map(goal.met, fits))):
        if fits and deadline.is_over:
            break
        share = 1.0 if len(fits) + 1 == FITS + MORE_FITS else FIT_SHARE
        fits.append(trial(math.exp(position), 1.0, deadline.part(share)))
        if goal.met(fits[-1]) and abs(goal.metric(fits[-1]) - goal.target) <= goal.tolerance:
            break
        before, position = position, line.next([(math.log(fit.rd_lambda), goal.metric(fit)) for fit in fits])
        if position == before:
            break
    return best([*probes, *fits], goal)


class _Line(Generic[_Trial]):
    """The metric as a function of log(lambda), as far as trials have told."""

    def __init__(self, goal: Goal[_Trial], least: float, most: float) -> None:
        self.goal = goal
        self.least = least
        self.most = most

    def onward(self, position: float, metric: float, steepness: float = 1.0) -> float:
        """log(lambda) at which the target should lie, extrapolated from one point."""
        stride = (self.goal.target - metric) / (self.goal.slope * steepness)
        return min(max(position + min(max(stride, -STRIDE_MAX), STRIDE_MAX), self.least), self.most)

    def next(self, points: Sequence[tuple[float, float]]) -> float:
        """log(lambda) at which the target should lie: between the nearest points beside it, or beyond the last one."""
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
