"""Payload of a pyramid file -> normalized samples of any region of its image. A tile is decoded when it is needed."""

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
# Pixels synthesized at a time: 12 MB with three channels.
_PART_PIXELS = 1 << 20


class Tile(NamedTuple):
    """A part of the image that is a pyramid of its own."""

    number: int
    """Counted row by row, from 0."""
    region: Region
    """Its pixels in the image."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.region.right - self.region.left, self.region.bottom - self.region.top


def pack_streams(header: PyramidHeader, streams: Sequence[bytes]) -> bytes:
    """Join the streams of the tiles, in order, to a payload (docs/format.md section 9.1)."""
    if header.tile == TILE_NONE:
        return streams[0]
    words = np.array([len(stream) // _ENTRY_BYTES for stream in streams], "<u4")
    return words.tobytes() + b"".join(streams)


class Tiles:
    """The pyramids of a file, each decoded at its first use. Decoded ones are kept, up to KEPT_BYTES.

    Args:
        header: of the file.
        payload: of the file; its end may be missing if `cut`.
        cut: whether the payload may be truncated; incomplete tiles are then left out.
    Raises:
        FormatError: the table of the tiles does not match the payload.
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
        """Number of complete tiles, which are the first ones."""
        self._kept: OrderedDict[int, Pyramid] = OrderedDict()
        self._kept_bytes = 0
        self._lock = Lock()

    def within(self, region: Region) -> Iterator[Tile]:
        """The complete tiles that overlap a region of the image, row by row."""
        (width, height), side = self.header.size, self.side
        for row in range(region.top // side, (region.bottom - 1) // side + 1):
            for column in range(region.left // side, (region.right - 1) // side + 1):
                top, left = row * side, column * side
                place = Region(top, min(top + side, height), left, min(left + side, width))
                number = row * self.across + column
                if number < self.whole:
                    yield Tile(number, place)

    def all(self) -> Iterator[Tile]:
        """All complete tiles, row by row."""
        return self.within(Region(0, self.header.size[1], 0, self.header.size[0]))

    def stream(self, tile: Tile) -> bytes:
        """The bytes of a tile's pyramid."""
        start = self.ends[tile.number - 1] if tile.number else self.start
        return self.payload[start : self.ends[tile.number]]

    def pyramid(self, tile: Tile) -> Pyramid:
        """Decode a tile's pyramid, or take the one kept from an earlier call.

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
            if tile.number not in self._kept:  # another thread may have decoded it meanwhile
                self._kept[tile.number] = decoded
                self._kept_bytes += _held_bytes(decoded)
            while self._kept_bytes > KEPT_BYTES and len(self._kept) > 1:
                self._kept_bytes -= _held_bytes(self._kept.popitem(last=False)[1])
        return decoded

    def decode_ahead(self, region: Region) -> None:
        """Decode the tiles of a region, as many as can be kept, so that damage shows before memory for pixels is taken.

        Raises:
            FormatError: a tile's stream does not fit the entropy models.
        """
        for tile in self.within(region):
            if self._kept_bytes + _held_bytes(self.pyramid(tile)) > KEPT_BYTES:
                break  # the next one might evict the first

    def values(self, region: Region) -> Iterator[tuple[Region, NDArray[np.float32]]]:
        """Normalized samples of a region of the image, limited to 0..1.

        Yields:
            Parts of the region, and their samples, float32, shape (height, width, channels).
        Raises:
            FormatError: a tile's stream does not fit the entropy models.
        """
        # Not on threads: the many small steps of a pyramid would wait for the interpreter's lock and take longer.
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
                # fmax turns NaN into 0.
                np.fmax(values, 0.0, out=values)
                np.minimum(values, 1.0, out=values)
                yield part, values


def _held_bytes(pyramid: Pyramid) -> int:
    """Memory that a pyramid takes in bytes; a grid that is not coded is a broadcast zero and takes none."""
    coded = sum(grid.nbytes for grid in pyramid.grids if grid.strides[0])
    return coded + sum(tensor.nbytes for tensor in pyramid.tensors.values())
