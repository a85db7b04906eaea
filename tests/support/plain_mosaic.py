"""The second decoder, of mosaics: written from docs/format.md section 11 alone, plain Python, slow."""

from collections.abc import Callable
from typing import NamedTuple

from .plain_file import refuse


class Part(NamedTuple):
    left: int
    top: int
    right: int
    bottom: int

    def place(self, p: float, q: float) -> tuple[float, float]:
        """Coordinates of its network."""
        w, h = self.right - self.left, self.bottom - self.top
        return (2 * (p - self.left) - w) / max(w, h), (2 * (q - self.top) - h) / max(w, h)


def divide(region: Part, overlap: int, flag: Callable[[], int], most: int) -> list[Part]:
    """The parts of a region; refuses more than `most`."""
    left, top, right, bottom = region
    w, h = right - left, bottom - top
    if max(w, h) // 2 < max(1, 2 * overlap) or not flag():
        return [region]
    if w >= h:
        middle = left + w // 2
        halves = Part(left, top, middle, bottom), Part(middle, top, right, bottom)
    else:
        middle = top + h // 2
        halves = Part(left, top, right, middle), Part(left, middle, right, bottom)
    first = divide(halves[0], overlap, flag, most - 1)
    if len(first) >= most:
        refuse("more parts than networks")
    return first + divide(halves[1], overlap, flag, most - len(first))


def weight(place: float, low: int, high: int, length: int, overlap: int) -> float:
    """Weight across or down of a part from `low` to `high` in an image of this length."""
    rising = 1.0 if low == 0 else step(place - low, overlap)
    falling = 1.0 if high == length else 1 - step(place - high, overlap)
    return rising * falling


def step(distance: float, overlap: int) -> float:
    if not overlap:
        return 1.0 if distance >= 0 else 0.0
    u = min(max((distance + overlap) / (2 * overlap), 0.0), 1.0)
    return u**3 * (10 - 15 * u + 6 * u**2)
