"""Rectangles of pixels and of cells."""

from typing import NamedTuple


class Region(NamedTuple):
    """A rectangle of pixels or of cells of a grid."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.bottom - self.top, self.right - self.left

    def within(self, whole: "Region") -> tuple[slice, slice]:
        """Its rows and columns in an array of the pixels of `whole`."""
        rows = slice(self.top - whole.top, self.bottom - whole.top)
        return rows, slice(self.left - whole.left, self.right - whole.left)

    def grown(self, margin: int) -> "Region":
        """The region with a margin added on each side."""
        return Region(self.top - margin, self.bottom + margin, self.left - margin, self.right + margin)

    def coarser(self) -> "Region":
        """The cells of the next coarser grid from which this region is upsampled: two on each side beyond its own."""
        return Region((self.top >> 1) - 2, (self.bottom - 1 >> 1) + 3, (self.left >> 1) - 2, (self.right - 1 >> 1) + 3)
