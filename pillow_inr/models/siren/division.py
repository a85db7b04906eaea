"""Divides an image among several networks: halves of halves, with edges where neighbours are blended.

Source: docs/format.md section 11.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...imaging.coordinates import Axis


class Region(NamedTuple):
    """A rectangle of the image, in pixels from its upper left corner."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.right - self.left, self.bottom - self.top

    @property
    def longer(self) -> int:
        """The longer side."""
        return max(self.size)

    def halves(self) -> tuple["Region", "Region"]:
        """The left and right half, or the upper and lower one of a region higher than wide; the first is smaller."""
        width, height = self.size
        if width >= height:
            middle = self.left + width // 2
            return self._replace(right=middle), self._replace(left=middle)
        middle = self.top + height // 2
        return self._replace(bottom=middle), self._replace(top=middle)


class Part(NamedTuple):
    """The part of an image that a network shows.

    Its weight is the product of one for each axis: 1 within its core, and along an edge that it shares with neighbours
    a smooth step from 0 at the edge of its support to 1 as far inside its core. The weights of all parts sum to 1.
    """

    core: Region
    """Its share of the division. Its middle is the network's origin, its longer side spans -1..1."""
    support: Region
    """Where it is evaluated: the core, and the overlap beyond each edge that is not the image's."""

    def axes(self, across: Axis, down: Axis) -> tuple[Axis, Axis]:
        """The network's own axes for axes of the whole image."""
        (width, height), longer = self.core.size, self.core.longer
        return _shifted(across, self.core.left, width, longer), _shifted(down, self.core.top, height, longer)

    def pixel_axes(self) -> tuple[Axis, Axis]:
        """The network's own axes whose cells are the pixels of its support."""
        core, support = self.core, self.support
        return (
            _pixel_axis(support.left - core.left, support.right - core.left, core.size[0], core.longer),
            _pixel_axis(support.top - core.top, support.bottom - core.top, core.size[1], core.longer),
        )

    def edges(self, axis: int) -> tuple[int, int, int, int]:
        """Along x (0) or y (1): lower end of support and of core, upper end of core and of support."""
        core, support = self.core, self.support
        return support[axis], core[axis], core[axis + 2], support[axis + 2]


def _shifted(axis: Axis, origin: int, length: int, longer: int) -> Axis:
    return Axis(length, longer, axis.start - origin, axis.stop - origin, axis.count)


def _pixel_axis(first: int, last: int, length: int, longer: int) -> Axis:
    return Axis(length, longer, first, last, last - first)


def divided(size: tuple[int, int], overlap: int, is_split: Callable[[Region], bool]) -> list[Part]:
    """Halve the image, then its halves, for as long as `is_split` says so.

    Args:
        size: width and height of the image.
        overlap: pixels by which a part extends beyond each edge that it shares.
        is_split: whether to halve a region; asked in depth-first order, the first half before the second, and only
            about a region whose smaller half is at least 1 and twice the overlap long.
    """
    image = Region(0, 0, *size)
    parts: list[Part] = []
    waiting = [Part(image, image)]
    while waiting:
        core, support = part = waiting.pop()
        if core.longer // 2 < max(1, 2 * overlap) or not is_split(core):
            parts.append(part)
            continue
        first, second = core.halves()
        if first.right < core.right:
            supports = support._replace(right=first.right + overlap), support._replace(left=second.left - overlap)
        else:
            supports = support._replace(bottom=first.bottom + overlap), support._replace(top=second.top - overlap)
        waiting += [Part(second, supports[1]), Part(first, supports[0])]
    return parts


def blend_weights(edges: tuple[int, int, int, int], centres: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """A part's weight along one axis: S((p - a) / (b - a)) at its lower edge, 1 - S((p - c) / (d - c)) at the upper.

    With a and b the edge of the support and, as far inside the core as a is outside, the end of the blend, likewise c
    and d, and S(t) = t^3 (10 - 15 t + 6 t^2) for t clipped to 0..1, whose first and second derivatives are continuous.

    Args:
        edges: as `Part.edges`.
        centres: positions in pixels of the image, float64, shape (n,), ascending.
    Returns:
        float64, shape (n,); None if all are 1.
    """
    outer_low, low, high, outer_high = edges
    weights: NDArray[np.float64] | None = None
    if outer_low < low and len(centres) and centres[0] < 2 * low - outer_low:
        weights = smooth_step((centres - outer_low) / (2 * (low - outer_low)))
    if outer_high > high and len(centres) and centres[-1] > 2 * high - outer_high:
        falling = 1 - smooth_step((centres - (2 * high - outer_high)) / (2 * (outer_high - high)))
        weights = falling if weights is None else weights * falling
    return weights


def smooth_step(t: NDArray[np.float64]) -> NDArray[np.float64]:
    """t^3 (10 - 15 t + 6 t^2) for t clipped to 0..1: from 0 to 1 with two continuous derivatives.

    >>> smooth_step(np.array([-1.0, 0.25, 0.5, 0.75, 2.0])).tolist()
    [0.0, 0.103515625, 0.5, 0.896484375, 1.0]
    """
    t = t.clip(0.0, 1.0)
    return t**3 * (10 - 15 * t + 6 * t**2)
