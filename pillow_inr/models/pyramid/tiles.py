"""The payload of a pyramid file -> values of any region of its image, tile by tile as they are needed."""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from threading import Lock
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...errors import FormatError
from ...format.header import Header
from . import latent_coding
from .cost import KEPT_BYTES
from .header import TILE_NONE, PyramidHeader
from .latent_coding import Pyramid
from .synthesis import Region, synthesize

_ENTRY_BYTES = 4
# Pixels synthesized at once: 12 MB of three channels.
_PART_PIXELS = 1 << 20


class Tile(NamedTuple):
    """A part of the image that is a pyramid of its own."""

    number: int
    """Row by row."""
    region: Region
    """Where it lies."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.region.right - self.region.left, self.region.bottom - self.region.top


def pack_streams(header: PyramidHeader, streams: Sequence[bytes]) -> bytes:
    """The payload of a file whose tiles, row by row, are these (docs/format.md section 9.1)."""
    if header.tile == TILE_NONE:
        return streams[0]
    words = np.array([len(stream) // _ENTRY_BYTES for stream in streams], "<u4")
    return words.tobytes() + b"".join(streams)


class Tiles:
    """The pyramids of a file, each decoded when it is needed first.

    Args:
        payload: of the file, or as much of it as there is, if it may be cut.
        cut: whether the payload may be cut: tiles that are not whole have no values then.
    Raises:
        FormatError: the table of the tiles does not fit the payload.
    """

    def __init__(self, header: Header[PyramidHeader], payload: bytes, cut: bool = False) -> None:
        self.header = header
        self.payload = payload
        self.side = header.model.tile_side or max(header.size)
        self.across, self.down = header.model.tiles(header.size)
        if header.model.tile == TILE_NONE:
            self.ends = np.array([header.payload_bytes])
            self.start = 0
        else:
            count = self.across * self.down
            self.start = _ENTRY_BYTES * count
            if self.start > len(payload):
                raise FormatError(
                    f"payload: it has {len(payload)} bytes, expected {self.start} or more for {count} tiles"
                )
            words = np.frombuffer(payload, "<u4", count)
            self.ends = self.start + _ENTRY_BYTES * np.cumsum(words, dtype=np.int64)
            if self.ends[-1] != header.payload_bytes:
                raise FormatError(f"payload: the tiles end at byte {self.ends[-1]}, expected {header.payload_bytes}")
        self.whole = np.count_nonzero(self.ends <= len(payload)) if cut else len(self.ends)
        """How many tiles are there, from the first on."""
        self._kept: OrderedDict[int, Pyramid] = OrderedDict()
        self._kept_bytes = 0
        self._lock = Lock()

    def within(self, region: Region) -> Iterator[Tile]:
        """The tiles that have a part in a region of the image and are there, row by row."""
        (width, height), side = self.header.size, self.side
        for row in range(region.top // side, (region.bottom - 1) // side + 1):
            for column in range(region.left // side, (region.right - 1) // side + 1):
                top, left = row * side, column * side
                place = Region(top, min(top + side, height), left, min(left + side, width))
                number = row * self.across + column
                if number < self.whole:
                    yield Tile(number, place)

    def all(self) -> Iterator[Tile]:
        """All tiles, row by row."""
        return self.within(Region(0, self.header.size[1], 0, self.header.size[0]))

    def stream(self, tile: Tile) -> bytes:
        """The bytes of a tile's pyramid."""
        start = self.ends[tile.number - 1] if tile.number else self.start
        return self.payload[start : self.ends[tile.number]]

    def pyramid(self, tile: Tile) -> Pyramid:
        """A tile's pyramid.

        Raises:
            FormatError: its stream does not fit the entropy models.
        """
        with self._lock:
            if tile.number in self._kept:
                self._kept.move_to_end(tile.number)
                return self._kept[tile.number]
        model, channels = self.header.model, self.header.channels
        decoded = latent_coding.decode(self.stream(tile), model.preset, model.base_index, channels, tile.size)
        with self._lock:
            if tile.number not in self._kept:  # by another thread meanwhile
                self._kept[tile.number] = decoded
                self._kept_bytes += _held_bytes(decoded)
            while self._kept_bytes > KEPT_BYTES and len(self._kept) > 1:
                self._kept_bytes -= _held_bytes(self._kept.popitem(last=False)[1])
        return decoded

    def decode_ahead(self, region: Region) -> None:
        """Decode the tiles of a region as far as they can be kept: what is damaged is seen before pixels are made.

        Raises:
            FormatError: a tile's stream does not fit the entropy models.
        """
        for tile in self.within(region):
            if self._kept_bytes + _held_bytes(self.pyramid(tile)) > KEPT_BYTES:
                break  # the next might push the first out again

    def values(self, region: Region) -> Iterator[tuple[Region, NDArray[np.float32]]]:
        """Network values of a region of the image, limited to 0..1, in parts: where each lies, and its values.

        Raises:
            FormatError: a tile's stream does not fit the entropy models.
        """
        # One after another: on threads the many small steps of several pyramids wait for the interpreter's lock, and
        # take longer together.
        for tile in self.within(region):
            pyramid, place = self.pyramid(tile), tile.region
            top, bottom = max(region.top, place.top), min(region.bottom, place.bottom)
            left, right = max(region.left, place.left), min(region.right, place.right)
            rows = max(1, _PART_PIXELS // (right - left))
            for first in range(top, bottom, rows):
                part = Region(first, min(first + rows, bottom), left, right)
                inner = Region(
                    part.top - place.top, part.bottom - place.top, part.left - place.left, part.right - place.left
                )
                header = self.header
                values = synthesize(*pyramid, tile.size, header.channels, header.model.preset, inner)
                # What is not a number becomes 0.
                np.fmax(values, 0.0, out=values)
                np.minimum(values, 1.0, out=values)
                yield part, values


def _held_bytes(pyramid: Pyramid) -> int:
    """Memory that a pyramid takes; a grid that is not coded takes none."""
    coded = sum(grid.nbytes for grid in pyramid.grids if grid.strides[0])
    return coded + sum(tensor.nbytes for tensor in pyramid.tensors.values())
