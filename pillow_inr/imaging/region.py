"""Regions and sizes that callers ask for, checked. Standard library only."""

import operator

from ..format.header import Box, Size
from ..format.ranges import SIDE_MAX


def check_box(box: Box | None, size: Size) -> Box:
    """Return the region that a box names in an image of this size; None names all of it.

    Raises:
        ValueError: it is not four numbers, empty, or not within the image.
    """
    if box is None:
        return 0.0, 0.0, float(size[0]), float(size[1])
    try:
        x0, y0, x1, y1 = map(float, box)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"box must be four numbers (left, upper, right, lower), got {box!r}") from None
    if not (0 <= x0 < x1 <= size[0] and 0 <= y0 < y1 <= size[1]):
        raise ValueError(f"box must be a region within the image of {size[0]}x{size[1]} pixels, got {box!r}")
    return x0, y0, x1, y1


def check_size(size: Size | None, box: Box) -> Size:
    """Return width and height in pixels of what shows a box; by default one pixel for each of the image's.

    Raises:
        ValueError: they are not two positive integers that an image can have.
    """
    if size is None:
        return max(1, round(box[2] - box[0])), max(1, round(box[3] - box[1]))
    try:
        width, height = map(operator.index, size)
    except (TypeError, ValueError):
        raise ValueError(f"size must be two integers (width, height), got {size!r}") from None
    if not (1 <= width <= SIDE_MAX and 1 <= height <= SIDE_MAX):
        raise ValueError(f"size must be two integers in 1..{SIDE_MAX}, got {size!r}")
    return width, height
