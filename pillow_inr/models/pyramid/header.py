"""The header fields of a pyramid (docs/format.md sections 2 and 9.1), and what they tell. Standard library only."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ...cost import Cost
from ...errors import FormatError
from ...format.fields import FieldReader, check_field, unknown_field
from .cost import evaluation_cost

if TYPE_CHECKING:
    from ...format.header import Box, Header, Size

CODING_PYRAMID = 0
"""Each tile's networks are differences from base weights."""
CODING_CHAINED = 1
"""Most tiles' networks are differences from those of the tile beside them."""
# A chain of such tiles is bounded, so that a region needs the networks of few tiles beyond its own.
CHAIN_SIDE = 16
# Here, not beside their numbers in `structure`: opening a file tells that loading it takes a newer release.
BASE_WEIGHTS_COUNTS = (4, 14)
"""Sets of base weights in the package's data, for each preset."""
PRESET_COUNT = len(BASE_WEIGHTS_COUNTS)
# Sides of tiles are 2^8 to 2^12, so that the memory and time for one tile are bounded.
TILE_NONE = 0
TILE_MIN = 8
TILE_MAX = 12


@dataclass(frozen=True, kw_only=True)
class PyramidHeader:
    """The networks of a pyramid, and its tiles.

    Raises:
        FormatError: a field is outside its range.
    """

    number: ClassVar[int] = 1
    name: ClassVar[str] = "pyramid"
    label: ClassVar[str] = "pyramid"
    needs_whole_file: ClassVar[bool] = False

    preset: int = 0
    """Sizes of the networks, 0 to below PRESET_COUNT."""
    base_index: int = 0
    """Set of base weights from which the networks are stored as residuals, 0 to below BASE_WEIGHTS_COUNTS[preset].
    Files and `Image.info` call it "prior"."""
    tile: int = TILE_NONE
    """TILE_NONE, or TILE_MIN..TILE_MAX, the binary logarithm of the side of square tiles."""
    coding: int = CODING_PYRAMID
    """CODING_PYRAMID or, with tiles, CODING_CHAINED."""

    def __post_init__(self) -> None:
        check_field("preset", self.preset, 0, PRESET_COUNT - 1)
        check_field("prior", self.base_index, 0, BASE_WEIGHTS_COUNTS[self.preset] - 1)
        check_field("coding", self.coding, CODING_PYRAMID, CODING_PYRAMID if self.tile == TILE_NONE else CODING_CHAINED)
        if self.tile != TILE_NONE:
            check_field("tile", self.tile, TILE_MIN, TILE_MAX)

    @property
    def tile_side(self) -> int | None:
        """Side of a tile in pixels; None if the image is one pyramid."""
        return 1 << self.tile if self.tile != TILE_NONE else None

    def tiles(self, size: "Size") -> tuple[int, int]:
        """Number of tiles across and down an image of this size; smaller ones at the edges count."""
        if self.tile == TILE_NONE:
            return 1, 1
        return -(-size[0] >> self.tile), -(-size[1] >> self.tile)

    def reference(self, row: int, column: int) -> tuple[int, int] | None:
        """Row and column of the tile whose networks those of a tile are coded against; None: the base weights.

        Within CHAIN_SIDE x CHAIN_SIDE tiles it is the tile to the left, in the first column that above.
        """
        if self.coding != CODING_CHAINED:
            return None
        if column % CHAIN_SIDE:
            return row, column - 1
        return (row - 1, column) if row % CHAIN_SIDE else None

    def pack(self) -> bytes:
        """Write the fields as bytes."""
        return bytes([self.preset, self.base_index, self.tile, self.coding])

    def check_size(self, size: "Size") -> None:
        """Raise FormatError if an image without tiles is larger than the largest tile."""
        if self.tile == TILE_NONE and max(size) > 1 << TILE_MAX:
            raise FormatError(
                f"header: the image has {size[0]}x{size[1]} pixels in one pyramid, expected at most "
                f"{1 << TILE_MAX} a side without tiles"
            )

    def info(self, channels: int) -> dict[str, Any]:
        """What `Image.info` tells of the model; "tile" is a side in pixels, 0 without tiles."""
        return {"model": self.name, "preset": self.preset, "prior": self.base_index, "tile": self.tile_side or 0}

    def cost(self, header: "Header[PyramidHeader]", size: "Size", box: "Box") -> Cost:
        """Upper bounds of evaluating a region at a size."""
        left, upper, right, lower = box
        edges = math.floor(left), math.floor(upper), math.ceil(right), math.ceil(lower)
        side = self.tile_side or max(header.size)
        chain = CHAIN_SIDE if self.coding == CODING_CHAINED else 0
        return evaluation_cost(
            header.size, side, chain, header.channels, header.dtype, header.payload_bytes, edges, size
        )

    def opening_cost(self, header: "Header[PyramidHeader]", size: "Size") -> Cost:
        """Nothing: what a result takes depends on the file's preview, and is checked before a tile is decoded."""
        return Cost(0, 0)


def read(reader: FieldReader) -> PyramidHeader:
    """Read the fields of a pyramid.

    Raises:
        FormatError: a field is outside its range.
        UnsupportedFileError: only a newer release knows the preset, the base weights or the coding.
    """
    preset, prior, tile, coding = (reader.byte(name) for name in ("preset", "prior", "tile", "coding"))
    _check_known("preset", preset, PRESET_COUNT)
    _check_known("prior", prior, BASE_WEIGHTS_COUNTS[preset])
    _check_known("coding", coding, 2)
    return PyramidHeader(preset=preset, base_index=prior, tile=tile, coding=coding)


def _check_known(name: str, value: int, count: int) -> None:
    if value >= count:
        raise unknown_field(name, value, f"0 to {count - 1}")
