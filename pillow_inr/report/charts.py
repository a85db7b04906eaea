"""Charts of the report as plain geometry, which its template draws: axes with ticks, histograms, a scatter plot."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# A drawing in units that are pixels on a phone: text of 11 of them is readable there, and larger elsewhere.
WIDTH, HEIGHT = 340, 220
LEFT, RIGHT, TOP, BOTTOM = 50, 12, 22, 38
# More of them say no more and blur small samples.
BINS_MAX = 30
# From this ratio of largest to smallest value on, an axis is logarithmic: most images would be in its first bins.
LOG_RATIO = 40
TICKS_MAX = 7
# Values that differ less than by this part are drawn as one: no label would tell them apart.
ALIKE = 1e-5


@dataclass(frozen=True)
class Tick:
    """A labelled place on an axis."""

    at: float
    label: str


@dataclass(frozen=True)
class Axis:
    """Values on a stretch of the drawing."""

    low: float
    high: float
    start: float
    """Where `low` is, in units of the drawing."""
    end: float
    log: bool = False

    @classmethod
    def spanning(cls, values: Sequence[float], start: float, end: float) -> "Axis":
        """An axis on which all values have a place, its ends a little beyond them."""
        low, high = min(values), max(values)
        if low > 0 and high / low >= LOG_RATIO:
            margin = (high / low) ** 0.05
            return cls(low / margin, high * margin, start, end, log=True)
        margin = (0.05 * abs(high) or 1.0) if _alike(low, high) else 0.05 * (high - low)
        return cls(max(0.0, low - margin) if low >= 0 else low - margin, high + margin, start, end)

    def at(self, value: float) -> float:
        """Where a value is, in units of the drawing."""
        low, high, value = (math.log(number) if self.log else number for number in (self.low, self.high, value))
        return round(self.start + (value - low) / (high - low) * (self.end - self.start), 1)

    @property
    def ticks(self) -> list[Tick]:
        """Round values between the ends, at most some seven."""
        return [Tick(self.at(value), f"{value:,.6g}") for value in (self._decades() if self.log else self._steps())]

    def _steps(self, least: float = 0.0) -> list[float]:
        rough = max((self.high - self.low) / TICKS_MAX, least)
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [round(number * step, 12) for number in range(first, last + 1)]

    def _decades(self) -> list[float]:
        powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        for factors in ((1, 2, 5), (1, 3), (1,)):
            values = [factor * 10.0**power for power in powers for factor in factors]
            inside = [value for value in values if self.low <= value <= self.high]
            if len(inside) <= TICKS_MAX:
                return inside
        return inside[:: -(-len(inside) // TICKS_MAX)]


class CountAxis(Axis):
    """An axis of whole numbers from zero."""

    def _steps(self, least: float = 0.0) -> list[float]:
        return super()._steps(1.0)


@dataclass(frozen=True)
class Bar:
    """A bin of a histogram."""

    x: float
    y: float
    width: float
    height: float
    text: str


@dataclass(frozen=True)
class Point:
    """An image in a scatter plot."""

    x: float
    y: float
    text: str
    anchor: str | None
    """Where on the page the image is shown."""
    kind: str
    """"worst", "best" or "other"."""


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A drawing, empty of bars or of points."""

    title: str
    across: str
    """What stands below the horizontal axis, with its unit."""
    down: str
    x: Axis
    y: Axis
    bars: Sequence[Bar] = ()
    points: Sequence[Point] = ()
    note: str = ""


def histogram(values: Sequence[float], title: str, across: str, unit: str) -> Chart | None:
    """How many images have which value; None without values.

    Args:
        values: finite.
        unit: of the values in texts.
    """
    if not values:
        return None
    x = Axis.spanning(values, LEFT, WIDTH - RIGHT)
    counts, edges = _bins(np.asarray(values, np.float64), x.log)
    y = CountAxis(0, counts.max() * 1.05, HEIGHT - BOTTOM, TOP)
    bars = [
        _bar(x, y, (low, high), int(count), unit)
        for count, low, high in zip(counts, edges[:-1], edges[1:], strict=True)
        if count
    ]
    low, middle, high = (f"{value:,.4g}" for value in np.quantile(values, (0.1, 0.5, 0.9)))
    note = f"median {middle} {unit}; 80 % of the images between {low} and {high}"
    return Chart(title=title, across=across, down="images", x=x, y=y, bars=bars, note=note)


def _bins(values: NDArray[np.float64], log: bool) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    number = min(BINS_MAX, max(5, math.ceil(math.sqrt(values.size))))
    low, high = values.min(), values.max()
    if _alike(low, high):
        margin = 0.02 * abs(high) or 0.5
        return np.array([values.size]), np.array([low - margin, high + margin])
    edges = np.geomspace(low, high, number + 1) if log else np.linspace(low, high, number + 1)
    edges[0], edges[-1] = low, high
    return np.histogram(values, edges)[0], edges


def _alike(low: float, high: float) -> bool:
    return high - low <= ALIKE * abs(high)


def _bar(x: Axis, y: Axis, edges: tuple[float, float], count: int, unit: str) -> Bar:
    left, right, top = max(x.at(edges[0]), x.start), min(x.at(edges[1]), x.end), y.at(count)
    text = f"{edges[0]:,.4g} to {edges[1]:,.4g} {unit}: {count:,} {'image' if count == 1 else 'images'}"
    return Bar(left, top, max(right - left - 0.8, 0.8), HEIGHT - BOTTOM - top, text)


@dataclass(frozen=True)
class Place:
    """Rate and distortion of an image."""

    bpp: float
    psnr_db: float
    text: str
    anchor: str | None = None
    kind: str = "other"


def scatter(places: Sequence[Place], note: str = "") -> Chart | None:
    """PSNR over bits per pixel; None without images. Those that are shown on the page are drawn last."""
    if not places:
        return None
    x = Axis.spanning([place.bpp for place in places], LEFT, WIDTH - RIGHT)
    y = Axis.spanning([place.psnr_db for place in places], HEIGHT - BOTTOM, TOP)
    ordered = sorted(places, key=lambda place: place.anchor is not None)
    points = [Point(x.at(one.bpp), y.at(one.psnr_db), one.text, one.anchor, one.kind) for one in ordered]
    return Chart(
        title="Rate and distortion", across="bits per pixel", down="PSNR in dB", x=x, y=y, points=points, note=note
    )
