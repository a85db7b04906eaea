"""Payload of a pyramid file -> normalized samples of any region of its image. A tile is decoded when it is needed."""

import math
import os
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from threading import Lock
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from ...errors import FormatError
from ...format.header import Header
from ...runtime import threads
from . import decoding
from .chain import Chain
from .cost import CACHE_BYTES, CACHED_BYTES
from .header import TILE_NONE, PyramidHeader
from .region import Region
from .structure import Pyramid, Tensors

_ENTRY_BYTES = 4
# Most samples of a part, which one thread holds; and most parts of a tile, if that makes them larger.
_PART_SAMPLES = 3 << 17
_PARTS_MAX = 16
# Fewer samples are not shared: starting threads takes longer.
_SHARED_SAMPLES = 1 << 17

_Item = TypeVar("_Item")


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


class Part(NamedTuple):
    """A part of a region of the image that lies in one tile."""

    tile: Tile
    region: Region
    """Its pixels in the image."""


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
        self._busy: dict[int, Lock] = {}
        self._chain = Chain(header, self._stream)
        self._process = os.getpid()
        self._lock, self._chain_lock = Lock(), Lock()

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
        return self._stream(tile.number)

    def _stream(self, number: int) -> bytes:
        return self.payload[self.starts[number] : self.ends[number]]

    def base(self, tile: Tile) -> Tensors:
        """The integers that the networks of a tile are differences from.

        Raises:
            FormatError: the stream of a tile before it does not fit the entropy model.
        """
        self._renew_locks()
        with self._chain_lock:
            return self._chain.base(tile.number)

    def decode_tile(self, tile: Tile) -> Pyramid:
        """Decode a tile's pyramid, or take the cached one.

        Raises:
            FormatError: its stream does not fit the entropy models.
        """
        self._renew_locks()
        with self._lock:
            busy = self._busy.setdefault(tile.number, Lock())
        with busy:  # another thread may be decoding it
            with self._lock:
                if tile.number in self._cache:
                    self._cache.move_to_end(tile.number)
                    return self._cache[tile.number]
            decoded = decoding.decode(self.stream(tile), self.header.model.preset, self.base(tile), tile.size)
            with self._lock:
                self._cache[tile.number] = decoded
                self._cached_bytes += _held_bytes(decoded)
                while self._cached_bytes > CACHE_BYTES and len(self._cache) > 1:
                    self._cached_bytes -= _held_bytes(self._cache.popitem(last=False)[1])
        return decoded

    def _renew_locks(self) -> None:
        if self._process != os.getpid():  # forked: another thread may have held the locks
            self._lock, self._chain_lock, self._busy, self._process = Lock(), Lock(), {}, os.getpid()

    def decode_ahead(self, region: Region) -> None:
        """Decode the tiles of a region, up to CACHE_BYTES, so that damage shows before memory for pixels is taken.

        Raises:
            FormatError: a tile's stream does not fit the entropy models.
        """
        self._decode_tiles(next(self._batches(region), []))

    def _batches(self, region: Region) -> Iterator[list[Tile]]:
        """The tiles of a region, as many at a time as the cache holds."""
        tiles = list(self.overlapping(region))
        largest = max((math.prod(tile.size) for tile in tiles), default=1)
        room = max(1, CACHE_BYTES // (CACHED_BYTES * largest))
        for first in range(0, len(tiles), room):
            yield tiles[first : first + room]

    def parts(self, region: Region) -> list[Part]:
        """Parts of a region of the image, each within a tile, which together are its complete tiles' pixels."""
        return [part for tile in self.overlapping(region) for part in self._parts_of(tile, region, 1)]

    def _parts_of(self, tile: Tile, region: Region, shared: int) -> list[Part]:
        """The parts of a region that lie in a tile, for so many threads to share."""
        place = tile.region
        top, bottom = max(region.top, place.top), min(region.bottom, place.bottom)
        left, right = max(region.left, place.left), min(region.right, place.right)
        # The kernel makes room for all of a tile with each part of it.
        most = max(_PART_SAMPLES, self.header.channels * math.prod(tile.size) // _PARTS_MAX)
        rows = _rows_of_part(bottom - top, self.header.channels * (right - left), most, shared)
        return [Part(tile, Region(row, min(row + rows, bottom), left, right)) for row in range(top, bottom, rows)]

    def for_each_part(self, region: Region, work: Callable[[Part], None]) -> None:
        """Call a function for each part of a region of the image, on several threads if that is faster.

        Raises:
            FormatError: a tile's stream does not fit the entropy models.
        """
        for tiles in self._batches(region):
            # Else all threads would wait for the one that decodes the tile of their parts.
            self._decode_tiles(tiles)
            share([part for tile in tiles for part in self._parts_of(tile, region, threads.cores())], work)

    def values(self, part: Part, *, as_bytes: bool = False) -> NDArray[Any]:
        """Samples of a part: float32 in 0..1, or uint8 in 0..255; shape (rows, columns, channels).

        Raises:
            FormatError: its tile's stream does not fit the entropy models.
        """
        place, wanted = part.tile.region, part.region
        inner = Region(
            wanted.top - place.top, wanted.bottom - place.top, wanted.left - place.left, wanted.right - place.left
        )
        header = self.header
        return decoding.synthesize(
            self.decode_tile(part.tile), part.tile.size, header.channels, header.model.preset, inner, as_bytes=as_bytes
        )

    def _decode_tiles(self, tiles: Sequence[Tile]) -> None:
        def work(tile: Tile) -> None:
            self.decode_tile(tile)

        share(tiles, work)


def share(items: Sequence[_Item], work: Callable[[_Item], None]) -> None:
    """Call a function for each item, on several threads if these decode faster than one."""

    def each(taken: Iterator[_Item]) -> None:
        for item in taken:
            work(item)

    if decoding.gains_by_threads():
        threads.share(items, each)
    else:
        each(iter(items))


def _rows_of_part(rows: int, row_samples: int, most: int, shared: int) -> int:
    """Rows of a part, so that each has at most so many samples, and large regions have a multiple of `shared` parts."""
    parts = -(-rows * row_samples // most)
    if rows * row_samples >= _SHARED_SAMPLES:
        parts = -(-parts // shared) * shared
    return max(1, -(-rows // parts))


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
