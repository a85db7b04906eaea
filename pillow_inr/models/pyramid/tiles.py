"""Payload of a pyramid file -> normalized samples of any region of its image. A tile is decoded when it is needed."""

import math
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from threading import Lock
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...errors import FormatError
from ...format.header import Header
from . import latent_coding
from .cost import CACHE_BYTES
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
    """The pyramids of a file, each decoded at its first use. Decoded ones are cached, up to CACHE_BYTES.

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
        """Side of a tile in pixels."""
        self.columns, _ = header.model.tiles(header.size)
        """Tiles in a row."""
        self.starts, self.ends = _stream_bounds(header, payload)
        """First byte of each tile's stream in the payload, and the byte after its last, int64, shape (tiles,)."""
        self.complete = np.count_nonzero(self.ends <= len(payload)) if cut else len(self.ends)
        """Number of complete tiles, which are the first ones."""
        self._cache: OrderedDict[int, Pyramid] = OrderedDict()
        self._cached_bytes = 0
        self._lock = Lock()

    def overlapping(self, region: Region) -> Iterator[Tile]:
        """The complete tiles that overlap a region of the image, row by row."""
        (width, height), side = self.header.size, self.side
        for row in range(region.top // side, (region.bottom - 1) // side + 1):
            for column in range(region.left // side, (region.right - 1) // side + 1):
                top, left = row * side, column * side
                place = Region(top, min(top + side, height), left, min(left + side, width))
                number = row * self.columns + column
                if number < self.complete:
                    yield Tile(number, place)

    def all(self) -> Iterator[Tile]:
        """All complete tiles, row by row."""
        return self.overlapping(Region(0, self.header.size[1], 0, self.header.size[0]))

    def stream(self, tile: Tile) -> bytes:
        """The bytes of a tile's pyramid."""
        return self.payload[self.starts[tile.number] : self.ends[tile.number]]

    def decode_tile(self, tile: Tile) -> Pyramid:
        """Decode a tile's pyramid, or take the cached one.

        Raises:
            FormatError: its stream does not fit the entropy models.
        """
        with self._lock:
            if tile.number in self._cache:
                self._cache.move_to_end(tile.number)
                return self._cache[tile.number]
        model, channels = self.header.model, self.header.channels
        decoded = latent_coding.decode(self.stream(tile), model.preset, model.base_index, channels, tile.size)
        with self._lock:
            if tile.number not in self._cache:  # another thread may have decoded it meanwhile
                self._cache[tile.number] = decoded
                self._cached_bytes += _held_bytes(decoded)
            while self._cached_bytes > CACHE_BYTES and len(self._cache) > 1:
                self._cached_bytes -= _held_bytes(self._cache.popitem(last=False)[1])
        return decoded

    def decode_ahead(self, region: Region) -> None:
        """Decode the tiles of a region, up to CACHE_BYTES, so that damage shows before memory for pixels is taken.

        Raises:
            FormatError: a tile's stream does not fit the entropy models.
        """
        for tile in self.overlapping(region):
            decoded = self.decode_tile(tile)
            with self._lock:
                next_evicts = self._cached_bytes + _held_bytes(decoded) > CACHE_BYTES
            if next_evicts:
                break

    def decode_region(self, region: Region) -> Iterator[tuple[Region, NDArray[np.float32]]]:
        """Normalized samples of a region of the image, limited to 0..1.

        Yields:
            Parts of the region, and their samples, float32, shape (height, width, channels).
        Raises:
            FormatError: a tile's stream does not fit the entropy models.
        """
        # Not on threads: the many small steps of a pyramid would wait for the interpreter's lock and take longer.
        for tile in self.overlapping(region):
            pyramid, place = self.decode_tile(tile), tile.region
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


def _stream_bounds(header: Header[PyramidHeader], payload: bytes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where each tile's stream begins and ends in the payload (docs/format.md section 9.1).

    Raises:
        FormatError: the table of the tiles does not match the payload.
    """
    if header.model.tile == TILE_NONE:
        return np.array([0]), np.array([header.payload_bytes])
    count = math.prod(header.model.tiles(header.size))
    table_bytes = _ENTRY_BYTES * count
    if table_bytes > len(payload):
        raise FormatError(f"payload: it has {len(payload)} bytes, expected {table_bytes} or more for {count} tiles")
    lengths = _ENTRY_BYTES * np.frombuffer(payload, "<u4", count).astype(np.int64)
    ends = table_bytes + np.cumsum(lengths)
    if ends[-1] != header.payload_bytes:
        raise FormatError(f"payload: the tiles end at byte {ends[-1]}, expected {header.payload_bytes}")
    return ends - lengths, ends


def _held_bytes(pyramid: Pyramid) -> int:
    """Memory that a pyramid takes in bytes; a grid that is not coded is a broadcast zero and takes none."""
    coded = sum(grid.nbytes for grid in pyramid.grids if grid.strides[0])
    return coded + sum(tensor.nbytes for tensor in pyramid.tensors.values())
