"""EXIF data as bytes: reading single tags, leaving out tags, adding some, without moving anything else.

A camera's maker notes point to places in the EXIF data, so whoever writes the data anew loses them. Here tags are left
out where they stand, and what is added goes to the end. Knows no image.
"""

import re
import struct
from collections.abc import Container, Mapping
from typing import NamedTuple

from PIL.ExifTags import IFD, Base

PREFIX = b"Exif\0\0"
"""What JPEG files, and no others, have before EXIF data."""
TAG_XMP = 700
TAG_ICC_PROFILE = 34675

_BYTE, _ASCII, _SHORT, _LONG, _RATIONAL, _IFD = 1, 2, 3, 4, 5, 13
_TYPE_BYTES = (0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4)
_THUMBNAIL, _THUMBNAIL_BYTES = 513, 514
_STRIPS, _STRIP_BYTES = 273, 279

# Tags of TIFF files that say how the pixels of that very file are stored. In another file they are wrong.
_TIFF6 = {
    *range(254, 260),  # NewSubfileType, SubfileType, width, height, BitsPerSample, Compression
    *range(262, 267),  # PhotometricInterpretation, Threshholding, cells, FillOrder
    *(273, 277, 278, 279, 280, 281, 284),  # strips, samples per pixel, least and greatest sample, planes
    *range(288, 294),  # free bytes, curve of greys, options of facsimile
    *(297, 301, 317, 320, 321),  # PageNumber, TransferFunction, Predictor, ColorMap, HalftoneHints
    *range(322, 329),  # tiles, lines lost by facsimile
    *(330, 332, 333, 334, 336),  # SubIFDs, inks, DotRange
    *range(338, 348),  # ExtraSamples, SampleFormat, bounds of samples, clip paths, Indexed, JPEGTables
    *(351, 400, 401, 402, 403, 404, 405, 433, 434, 435),  # OPIProxy, facsimile profiles
    *range(512, 522),  # old JPEG
    *(529, 530, 532, 559),  # YCbCr, ReferenceBlackWhite, StripRowCounts
}
_PRIVATE = {
    *range(32995, 32999),  # Matteing, DataType, ImageDepth, TileDepth
    *(33421, 33422, 34412, 34732, 37724),  # mosaic of a sensor, stacks of microscopes, layers
    *range(48129, 48324),  # JPEG XR
    *range(50674, 50676),
    *range(50706, 50785),  # DNG: how to develop the samples of a sensor
    *range(50829, 50835),
    *(50838, 50839),  # ImageJ: its slices
    *range(50878, 50983),
    *range(51008, 51023),
    *range(51041, 51044),
    *range(51105, 51113),
    *range(52525, 52554),
}
STRUCTURAL = frozenset(_TIFF6 | _PRIVATE)
"""Tags that describe the pixels of the file in which they stand, and nothing of the picture."""

_PICTURE_SIZE = (Base.ExifImageWidth, Base.ExifImageHeight)


class _Entry(NamedTuple):
    tag: int
    type: int
    length: int
    """Number of its values."""
    position: int
    """Where its value, or the offset of its value, stands."""


class ExifData:
    """The directories in EXIF data.

    Args:
        data: EXIF data with or without `PREFIX`; none at all for empty data.
    Raises:
        ValueError: the data do not begin like EXIF data.
    """

    def __init__(self, data: bytes = b"") -> None:
        self._prefix = data[: _prefix_bytes(data)]
        self._body = bytearray(data[len(self._prefix) :] or b"II*\0\x08\0\0\0\0\0\0\0\0\0")
        orders = {b"II*\0": "<", b"MM\0*": ">"}
        if bytes(self._body[:4]) not in orders or len(self._body) < 8:
            raise ValueError("this does not begin like EXIF data")
        self._order = orders[bytes(self._body[:4])]

    def tobytes(self) -> bytes:
        """The data, with their prefix if they had one."""
        return self._prefix + bytes(self._body)

    def tags(self) -> set[int]:
        """The tags of the main directory."""
        return {entry.tag for entry in self._all()}

    def value(self, tag: int) -> bytes | None:
        """The bytes of a tag's value in the main directory; None if it has no such tag or they are cut off."""
        found = self._find(self._first, tag)
        return None if found is None else self._bytes(found)

    def number(self, tag: int) -> int | None:
        """The value of a tag that is an integer."""
        found = self._find(self._first, tag)
        return None if found is None else self._integer(found)

    def ratio(self, tag: int) -> float | None:
        """The value of a tag that is a fraction."""
        data = self.value(tag)
        found = self._find(self._first, tag)
        if data is None or found is None or found.type != _RATIONAL or len(data) < 8:
            return None
        numerator, denominator = struct.unpack_from(f"{self._order}II", data)
        return numerator / denominator if denominator else None

    def drop(self, tags: Container[int]) -> None:
        """Leave out tags of the main directory."""
        self._drop(self._first, tags)

    def drop_size(self, size: tuple[int, int] | None) -> None:
        """Leave out width and height of the picture if they are not these; None leaves them out at any rate."""
        pointer = self.number(IFD.Exif)
        if pointer is not None:
            found = [self._find(pointer, tag) for tag in _PICTURE_SIZE]
            numbers = tuple(self._integer(entry) for entry in found if entry is not None)
            if numbers != size:
                self._drop(pointer, _PICTURE_SIZE)

    def drop_thumbnail(self) -> None:
        """Leave out the thumbnail, and blank its bytes, which may show what was cut off from the picture."""
        link = self._link(self._first)
        if link is None or not any(self._body[link : link + 4]):
            return
        (second,) = self._unpack("I", link)
        start, length = self._thumbnail(second)
        self._body[link : link + 4] = bytes(4)
        if start is not None and length is not None and 8 <= start < len(self._body):
            end = min(len(self._body), start + length)
            self._body[start:end] = bytes(end - start) if end < len(self._body) else b""

    def add(self, values: Mapping[int, tuple[int, int, bytes]]) -> None:
        """Add tags that the main directory does not have; others stay as they are.

        Args:
            values: by tag, its type, its count and its bytes in this byte order (`text`, `ratios`).
        """
        entries = {entry.tag: bytes(self._body[entry.position - 8 : entry.position + 4]) for entry in self._all()}
        new = {tag: value for tag, value in values.items() if tag not in entries}
        if not new:
            return
        link = self._link(self._first)
        following = bytes(4) if link is None else bytes(self._body[link : link + 4]).ljust(4, b"\0")
        for tag, (kind, count, data) in new.items():
            if len(data) > 4:
                data, place = struct.pack(f"{self._order}I", self._end()), data
                self._body += place
            entries[tag] = struct.pack(f"{self._order}HHI", tag, kind, count) + data.ljust(4, b"\0")
        start = self._end()
        rows = b"".join(entries[tag] for tag in sorted(entries))
        self._body += struct.pack(f"{self._order}H", len(entries)) + rows + following
        struct.pack_into(f"{self._order}I", self._body, 4, start)

    def add_text(self, tag: int, text: str) -> None:
        """Add a tag that is a text, in UTF-8; nothing if there is one."""
        data = text.replace("\0", " ").encode(errors="replace") + b"\0"
        self.add({tag: (_ASCII, len(data), data)})

    def add_wide_text(self, tag: int, text: str) -> None:
        """Add a text of Windows, in UTF-16; nothing if there is one."""
        data = text.replace("\0", " ").encode("utf-16-le", "replace") + b"\0\0"
        self.add({tag: (_BYTE, len(data), data)})

    def add_dpi(self, dpi: tuple[float, float]) -> None:
        """Add horizontal and vertical resolution in pixels per inch; nothing if there is a resolution."""
        tags = (Base.XResolution, Base.YResolution)
        if self.tags().isdisjoint((*tags, Base.ResolutionUnit)):
            ratios = (self._ratio(number) for number in dpi)
            unit = struct.pack(f"{self._order}H", 2)
            self.add({tag: (_RATIONAL, 1, ratio) for tag, ratio in zip(tags, ratios, strict=True)})
            self.add({Base.ResolutionUnit: (_SHORT, 1, unit)})

    def _ratio(self, number: float) -> bytes:
        scale = 10000 if number < 400000 else 1
        return struct.pack(f"{self._order}II", min(2**32 - 1, round(number * scale)), scale)

    def _end(self) -> int:
        self._body += bytes(len(self._body) % 2)  # directories and values begin at even places
        return len(self._body)

    @property
    def _first(self) -> int:
        return int(self._unpack("I", 4)[0])

    def _unpack(self, form: str, position: int) -> tuple[int, ...]:
        return struct.unpack_from(self._order + form, self._body, position)

    def _all(self) -> list[_Entry]:
        return self._entries(self._first)

    def _entries(self, offset: int) -> list[_Entry]:
        """The entries of a directory that are there as a whole."""
        if offset < 8 or offset + 2 > len(self._body):
            return []
        count = min(self._unpack("H", offset)[0], (len(self._body) - offset - 2) // 12)
        positions = range(offset + 2, offset + 2 + 12 * count, 12)
        found = []
        for position in positions:
            tag, kind, length = self._unpack("HHI", position)
            found.append(_Entry(tag, kind, length, position + 8))
        return found

    def _link(self, offset: int) -> int | None:
        """Where a directory names the next one; None if the data end before."""
        link = offset + 2 + 12 * len(self._entries(offset))
        whole = offset + 2 <= len(self._body) and self._unpack("H", offset)[0] == len(self._entries(offset))
        return link if whole and link + 4 <= len(self._body) else None

    def _find(self, offset: int, tag: int) -> _Entry | None:
        return next((entry for entry in self._entries(offset) if entry.tag == tag), None)

    def _bytes(self, entry: _Entry) -> bytes | None:
        length = entry.length * (_TYPE_BYTES[entry.type] if entry.type < len(_TYPE_BYTES) else 0)
        start = entry.position if length <= 4 else self._unpack("I", entry.position)[0]
        return bytes(self._body[start : start + length]) if start + length <= len(self._body) else None

    def _integer(self, entry: _Entry) -> int | None:
        form = {_SHORT: "H", _LONG: "I", _IFD: "I"}.get(entry.type)
        return self._unpack(form, entry.position)[0] if form and entry.length else None

    def _drop(self, offset: int, tags: Container[int]) -> None:
        entries = self._entries(offset)
        kept = [entry for entry in entries if entry.tag not in tags]
        if len(kept) == len(entries):
            return
        link = self._link(offset)
        following = bytes(4) if link is None else bytes(self._body[link : link + 4])
        rows = b"".join(self._body[entry.position - 8 : entry.position + 4] for entry in kept)
        end = offset + 2 + 12 * len(entries) + (0 if link is None else 4)
        directory = struct.pack(f"{self._order}H", len(kept)) + rows + following
        self._body[offset:end] = directory.ljust(end - offset, b"\0")

    def _thumbnail(self, offset: int) -> tuple[int | None, int | None]:
        for start, length in ((_THUMBNAIL, _THUMBNAIL_BYTES), (_STRIPS, _STRIP_BYTES)):
            found = self._find(offset, start), self._find(offset, length)
            if found[0] is not None and found[1] is not None:
                return self._integer(found[0]), self._integer(found[1])
        return None, None


def wide_text(value: bytes | None) -> str:
    """The text in the value of a tag of Windows, which is in UTF-16."""
    return (value or b"").decode("utf-16-le", "replace").rstrip("\0")


def without_prefix(data: bytes) -> bytes:
    """EXIF data without `PREFIX`, which some files have twice."""
    return data[_prefix_bytes(data) :]


def _prefix_bytes(data: bytes) -> int:
    found = re.match(b"(Exif\0\0){1,2}", data)
    return found.end() if found else 0
