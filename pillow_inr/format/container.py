"""Header, payload and chunks <-> the bytes of an .inr file: magic, ranges, lengths, checksum.

Moves plain integers and bytes. Knows no network, no entropy model and no pixels, and needs the standard library
only, so that opening a file stays cheap. Every rule here is one of docs/format.md, whose sections are cited.
"""

import io
import math
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO

from ..errors import DamagedFileError, FormatError, UnsupportedFileError
from .signature import INRIMAGE, INRIMAGE_COMPLAINT, MAGIC

FORMAT_VERSION = 1
# What is read of a file for its header: the longest one has 549 bytes, most have 24.
HEADER_MAX_BYTES = 1024
CRC_BYTES = 4

MODEL_SIREN = 0
MODEL_PYRAMID = 1
_MODEL_NAMES = ("siren", "pyramid")
ENCODING_NONE = 0
ENCODING_FOURIER = 1
CODING_LAPLACE = 0
CODING_GENERALIZED_NORMAL = 1
CODING_PYRAMID = 0  # the pyramid model counts its codings apart
# Presets and priors of pyramids that this release has (docs/format.md section 9). Here, not beside their numbers in
# `pyramid`, so that opening a file tells that loading it takes a newer release.
PRESET_COUNT = 1
BASE_WEIGHTS_COUNT = 4

# Sides above 2^24 - 1 would give neighbouring pixels the same float32 coordinate.
SIDE_MAX = (1 << 24) - 1
WIDTH_MAX = 1024
DEPTH_MAX = 15
FREQUENCIES_MAX = 32
FREQUENCY_RATIO_MIN = 100
FREQUENCY_RATIO_MAX = 355
# Sides of tiles are 2^8 to 2^12, so that what decoding a tile takes in memory and time has a bound.
TILE_NONE = 0
TILE_MIN = 8
TILE_MAX = 12
# Part lengths stay below 1 GiB.
PART_BYTES_MAX = (1 << 30) - 1

MODES = ("L", "LA", "RGB", "RGBA")  # pixel format 0..3 (format.md section 3); the band count of each is its length
PIXEL_FORMAT_SAMPLES = 4
DTYPES = ("uint8", "uint16", "float32")  # sample types 0..2 of pixel format 4
_SAMPLE_STRUCTS = ("<B", "<H", "<f")
CHANNELS_MAX = 64
CHUNKS_MAX = 1024
_REQUIRED_CHUNK = 0x80
CHUNK_INITIALIZATION = 1  # required: without it the weights mean nothing (docs/format.md section 7)
CHUNK_PREVIEW = 8
_KNOWN_REQUIRED = frozenset({CHUNK_INITIALIZATION})


@dataclass(frozen=True)
class SampleFormat:
    """What pixel format 4 says of its samples (docs/format.md section 3).

    Raises:
        FormatError: a field is outside its range.
    """

    dtype: str
    """One of DTYPES."""
    channels: int
    """1..64, or 0 for an array of shape (height, width) without an axis of channels."""
    ranges: tuple[tuple[float, float], ...]
    """Lowest and highest value: of all samples, or of each channel in turn."""

    def __post_init__(self) -> None:
        _check("channels", self.channels, 0, CHANNELS_MAX)
        for low, high in self.ranges:
            if not -math.inf < low <= high < math.inf:
                raise FormatError(f"header: the samples range from {low} to {high}, expected finite and rising numbers")

    def pack(self) -> bytes:
        """The fields as bytes."""
        number = struct.Struct(_SAMPLE_STRUCTS[DTYPES.index(self.dtype)])
        several = len(self.ranges) > 1
        exact = float if self.dtype == "float32" else int
        bounds = b"".join(number.pack(exact(bound)) for pair in self.ranges for bound in pair)
        return bytes([DTYPES.index(self.dtype), self.channels, several]) + bounds


@dataclass(frozen=True, kw_only=True)
class Header:
    """The fields of a version 1 header, each within its range (docs/format.md section 2).

    Raises:
        FormatError: a field is outside its range.
    """

    size: tuple[int, int]
    """Image width and height in pixels, each 1..16777215."""
    pixel_format: int
    """0..3, index into MODES, or PIXEL_FORMAT_SAMPLES."""
    payload_bytes: int
    chunks_bytes: int
    model: int = MODEL_SIREN
    """MODEL_SIREN or MODEL_PYRAMID; fields of the other keep their defaults."""
    encoding: int = ENCODING_NONE
    """SIREN: ENCODING_NONE or ENCODING_FOURIER."""
    frequencies: int = 0
    """SIREN with Fourier encoding: frequencies per axis, 1..32. Otherwise 0."""
    frequency_ratio: int = FREQUENCY_RATIO_MIN
    """SIREN with Fourier encoding: ratio of successive frequencies in hundredths, 100..355. Otherwise 100."""
    width: int = 0
    """SIREN: units of each sine layer, 1..1024."""
    depth: int = 0
    """SIREN: number of sine layers, 1..15."""
    preset: int = 0
    """Pyramid: sizes of its networks, 0 to below PRESET_COUNT."""
    prior: int = 0
    """Pyramid: what its networks are differences from, 0 to below PRIOR_COUNT."""
    tile: int = TILE_NONE
    """Pyramid: TILE_NONE, or TILE_MIN..TILE_MAX, binary logarithm of the side of square tiles."""
    coding: int = CODING_GENERALIZED_NORMAL
    """SIREN: CODING_LAPLACE, as releases before it wrote, or CODING_SHAPED. Pyramid: CODING_PYRAMID."""
    samples: SampleFormat | None = None
    """Of pixel format 4, and of no other."""

    def __post_init__(self) -> None:
        _check("image width", self.size[0], 1, SIDE_MAX)
        _check("image height", self.size[1], 1, SIDE_MAX)
        _check("pixel format", self.pixel_format, 0, PIXEL_FORMAT_SAMPLES)
        assert (self.samples is not None) == (self.pixel_format == PIXEL_FORMAT_SAMPLES)
        _check("model", self.model, MODEL_SIREN, MODEL_PYRAMID)
        if self.model == MODEL_PYRAMID:
            self._check_pyramid()
        else:
            self._check_siren()
        _check("payload length", self.payload_bytes, 0, PART_BYTES_MAX)
        if self.payload_bytes % 4:
            raise FormatError(f"header: payload length is {self.payload_bytes}, expected a multiple of 4")
        _check("chunks length", self.chunks_bytes, 0, PART_BYTES_MAX)

    def _check_siren(self) -> None:
        _check("encoding", self.encoding, ENCODING_NONE, ENCODING_FOURIER)
        fourier = self.encoding == ENCODING_FOURIER
        _check("frequencies", self.frequencies, *((1, FREQUENCIES_MAX) if fourier else (0, 0)))
        _check(
            "growth", self.frequency_ratio, FREQUENCY_RATIO_MIN, FREQUENCY_RATIO_MAX if fourier else FREQUENCY_RATIO_MIN
        )
        _check("width", self.width, 1, WIDTH_MAX)
        _check("depth", self.depth, 1, DEPTH_MAX)
        _check("coding", self.coding, CODING_LAPLACE, CODING_GENERALIZED_NORMAL)

    def _check_pyramid(self) -> None:
        _check("preset", self.preset, 0, PRESET_COUNT - 1)
        _check("prior", self.prior, 0, BASE_WEIGHTS_COUNT - 1)
        _check("coding", self.coding, CODING_PYRAMID, CODING_PYRAMID)
        if self.tile != TILE_NONE:
            _check("tile", self.tile, TILE_MIN, TILE_MAX)
        elif max(self.size) > 1 << TILE_MAX:
            raise FormatError(
                f"header: the image has {self.size[0]}x{self.size[1]} pixels in one pyramid, expected at most "
                f"{1 << TILE_MAX} a side without tiles"
            )

    @property
    def tiles(self) -> tuple[int, int]:
        """Pyramid: number of tiles across and down, edge tiles that are smaller included."""
        if self.tile == TILE_NONE:
            return 1, 1
        return -(-self.size[0] >> self.tile), -(-self.size[1] >> self.tile)

    @property
    def channels(self) -> int:
        """Samples per pixel."""
        return len(MODES[self.pixel_format]) if self.samples is None else self.samples.channels or 1

    @property
    def dtype(self) -> str:
        """NumPy's name of a sample's type: "uint8", "uint16" or "float32"."""
        return "uint8" if self.samples is None else self.samples.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the image as an array: (height, width) or (height, width, channels)."""
        rows = self.size[::-1]
        if self.samples is None:
            return rows if self.channels == 1 else (*rows, self.channels)
        return (*rows, self.channels) if self.samples.channels else rows

    @property
    def file_bytes(self) -> int:
        """Length of the whole file that this header begins."""
        return len(self.pack()) + self.payload_bytes + self.chunks_bytes + CRC_BYTES

    def pack(self) -> bytes:
        """The header as bytes (docs/format.md section 2)."""
        return b"".join(
            (
                MAGIC,
                bytes([FORMAT_VERSION, self.model]),
                pack_varint(self.size[0]),
                pack_varint(self.size[1]),
                bytes([self.pixel_format]),
                self.samples.pack() if self.samples else b"",
                self._pack_model(),
                pack_varint(self.payload_bytes),
                pack_varint(self.chunks_bytes),
            )
        )

    def _pack_model(self) -> bytes:
        if self.model == MODEL_PYRAMID:
            return bytes([self.preset, self.prior, self.tile, self.coding])
        fourier = bytes([self.frequencies, self.frequency_ratio - FREQUENCY_RATIO_MIN]) if self.encoding else b""
        return bytes([self.encoding]) + fourier + pack_varint(self.width) + bytes([self.depth, self.coding])


@dataclass(frozen=True)
class Chunk:
    """A piece of data beside the image (docs/format.md section 6)."""

    kind: int
    """1..127."""
    data: bytes
    required: bool = False
    """A reader that does not know this kind must refuse the file instead of skipping the chunk."""


def pack_varint(value: int) -> bytes:
    """An unsigned integer as little-endian groups of 7 bits, shortest form (docs/format.md section 1)."""
    groups = bytearray()
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    groups.append(value)
    return bytes(groups)


class _Reader:
    """Takes fields from the front of a byte string; running out of it is damage."""

    def __init__(self, data: bytes, part: str) -> None:
        self.data = data
        self.part = part
        self.position = 0

    def take(self, count: int, field: str) -> bytes:
        end = self.position + count
        if end > len(self.data):
            raise DamagedFileError(f"{self.part}: the file is cut off in {field} (byte {len(self.data)})")
        taken = self.data[self.position : end]
        self.position = end
        return taken

    def byte(self, field: str) -> int:
        return self.take(1, field)[0]

    def varint(self, field: str) -> int:
        value = 0
        for shift in range(0, 35, 7):
            group = self.byte(field)
            value |= (group & 0x7F) << shift
            if group < 0x80:
                if shift and not group:
                    raise FormatError(f"{self.part}: {field} is not in its shortest form")
                return value
        raise FormatError(f"{self.part}: {field} is longer than 5 bytes")


def _check(field: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise FormatError(f"header: {field} is {value}, expected {low}..{high}")


def read_header(prefix: bytes) -> tuple[Header, int]:
    """Parse the header from the first HEADER_MAX_BYTES of a file, or all of it when it is shorter.

    Returns:
        The header and its length in bytes.
    Raises:
        FormatError: not an .inr file, or a field is outside its range.
        DamagedFileError: the file ends inside its header.
        UnsupportedFileError: a newer format version, or a model or coding this release does not know.
    """
    if not prefix.startswith(MAGIC):
        if prefix.startswith(INRIMAGE):
            raise FormatError(INRIMAGE_COMPLAINT)
        raise FormatError("not an .inr file: it does not start with the .inr signature")
    reader = _Reader(prefix, "header")
    reader.take(len(MAGIC), "signature")
    version = reader.byte("format version")
    if version > FORMAT_VERSION:
        raise UnsupportedFileError(
            f"the file has format version {version}, this release of pillow_inr reads version {FORMAT_VERSION}: "
            "upgrade with 'pip install --upgrade pillow_inr'"
        )
    _check("format version", version, 1, FORMAT_VERSION)
    model = reader.byte("model")
    if model >= len(_MODEL_NAMES):
        raise _unknown("model", model, " and ".join(_MODEL_NAMES))
    size = reader.varint("image width"), reader.varint("image height")
    pixel_format = reader.byte("pixel format")
    _check("pixel format", pixel_format, 0, PIXEL_FORMAT_SAMPLES)
    samples = _read_samples(reader) if pixel_format == PIXEL_FORMAT_SAMPLES else None
    fields = _read_pyramid(reader) if model == MODEL_PYRAMID else _read_siren(reader)
    header = Header(
        size=size,
        pixel_format=pixel_format,
        model=model,
        samples=samples,
        payload_bytes=reader.varint("payload length"),
        chunks_bytes=reader.varint("chunks length"),
        **fields,
    )
    return header, reader.position


def _read_siren(reader: _Reader) -> dict[str, int]:
    fields = {"encoding": reader.byte("encoding")}
    # At once: what follows depends on it.
    _check("encoding", fields["encoding"], ENCODING_NONE, ENCODING_FOURIER)
    if fields["encoding"] == ENCODING_FOURIER:
        fields["frequencies"] = reader.byte("frequencies")
        fields["growth"] = FREQUENCY_RATIO_MIN + reader.byte("growth")
    fields["width"] = reader.varint("width")
    fields["depth"] = reader.byte("depth")
    fields["coding"] = reader.byte("coding")
    if fields["coding"] > CODING_GENERALIZED_NORMAL:
        raise _unknown("coding", fields["coding"], f"0 to {CODING_GENERALIZED_NORMAL}")
    return fields


def _read_pyramid(reader: _Reader) -> dict[str, int]:
    fields = {name: reader.byte(name) for name in ("preset", "prior", "tile", "coding")}
    for name, last in (("preset", PRESET_COUNT - 1), ("prior", BASE_WEIGHTS_COUNT - 1), ("coding", CODING_PYRAMID)):
        if fields[name] > last:
            raise _unknown(name, fields[name], f"0 to {last}")
    return fields


def _unknown(field: str, value: int, known: str) -> UnsupportedFileError:
    return UnsupportedFileError(
        f"header: {field} {value} is not known to this release, which reads {known}: "
        "upgrade with 'pip install --upgrade pillow_inr'"
    )


def read_outline(file: IO[bytes]) -> tuple[Header, tuple[Chunk, ...]]:
    """Header and chunks of a file, without its payload; the checksum, which covers that, is not compared.

    Args:
        file: open for reading and seekable; the .inr file begins at 0.
    Raises:
        FormatError, DamagedFileError, UnsupportedFileError: as `unpack`.
    """
    file.seek(0)
    header, header_bytes = read_header(file.read(HEADER_MAX_BYTES))
    start = header_bytes + header.payload_bytes
    # A header may claim gigabytes: no more than there is shall be asked for.
    file.seek(0, io.SEEK_END)
    available = file.tell() - start
    file.seek(start)
    if max(available, 0) < header.chunks_bytes:
        raise DamagedFileError(f"the file is cut off: {start + available} bytes of {header.file_bytes}")
    return header, read_chunks(file.read(header.chunks_bytes))


def _read_samples(reader: _Reader) -> SampleFormat:
    sample_type = reader.byte("sample type")
    _check("sample type", sample_type, 0, len(DTYPES) - 1)
    channels = reader.byte("channels")
    _check("channels", channels, 0, CHANNELS_MAX)
    several = reader.byte("ranges")
    _check("ranges", several, 0, 1 if channels > 1 else 0)
    number = struct.Struct(_SAMPLE_STRUCTS[sample_type])
    bounds = [number.unpack(reader.take(number.size, "range"))[0] for _ in range(2 * (channels if several else 1))]
    return SampleFormat(DTYPES[sample_type], channels, tuple(zip(bounds[::2], bounds[1::2], strict=True)))


def read_cut(data: bytes) -> tuple[Header, bytes]:
    """Header of a file whose end is missing, and what is there of its payload; no checksum vouches for them.

    Raises:
        FormatError, DamagedFileError, UnsupportedFileError: as `read_header`.
    """
    header, start = read_header(data)
    return header, data[start : start + header.payload_bytes]


def pack_chunks(chunks: Sequence[Chunk]) -> bytes:
    """Chunks as bytes, in order (docs/format.md section 6)."""
    return b"".join(
        bytes([chunk.kind | (_REQUIRED_CHUNK if chunk.required else 0)]) + pack_varint(len(chunk.data)) + chunk.data
        for chunk in chunks
    )


def read_chunks(data: bytes) -> tuple[Chunk, ...]:
    """Undo `pack_chunks`.

    Raises:
        FormatError, DamagedFileError, UnsupportedFileError: as `unpack`.
    """
    reader = _Reader(data, "chunks")
    chunks: list[Chunk] = []
    while reader.position < len(data):
        if len(chunks) == CHUNKS_MAX:
            raise FormatError(f"chunks: there are more than {CHUNKS_MAX}")
        first = reader.byte("chunk kind")
        kind, required = first & ~_REQUIRED_CHUNK, first >= _REQUIRED_CHUNK
        if not kind:
            raise FormatError("chunks: chunk kind is 0, expected 1..127")
        if required and kind not in _KNOWN_REQUIRED:
            raise UnsupportedFileError(
                f"chunks: the file cannot be shown without its chunk of kind {kind}, "
                "which this release of pillow_inr does not know: upgrade it"
            )
        length = reader.varint("chunk length")
        chunks.append(Chunk(kind, reader.take(length, "chunk data"), required))
    return tuple(chunks)


def pack(header: Header, payload: bytes, chunks: bytes = b"") -> bytes:
    """Assemble a file: header, payload, packed chunks, CRC-32 (docs/format.md section 1)."""
    body = header.pack() + payload + chunks
    return body + zlib.crc32(body).to_bytes(CRC_BYTES, "little")


def unpack(data: bytes) -> tuple[Header, bytes, tuple[Chunk, ...]]:
    """Take a whole file apart; the checksum is compared before a byte of the payload is used.

    Returns:
        Header, payload and the chunks: required ones, all of known kinds, and optional ones, known or not.
    Raises:
        FormatError, DamagedFileError, UnsupportedFileError: as `read_header`; also when the file is longer or shorter
            than its header says, its checksum differs, or a required chunk is not known.
    """
    header, start = read_header(data)
    expected = start + header.payload_bytes + header.chunks_bytes + CRC_BYTES
    if len(data) < expected:
        raise DamagedFileError(f"the file is cut off: {len(data)} bytes of {expected}")
    if len(data) > expected:
        raise DamagedFileError(f"{len(data) - expected} bytes follow the end of the file at byte {expected}")
    if zlib.crc32(data[:-CRC_BYTES]) != int.from_bytes(data[-CRC_BYTES:], "little"):
        raise DamagedFileError("the file is damaged: its checksum does not fit its bytes")
    end = start + header.payload_bytes
    return header, data[start:end], read_chunks(data[end:-CRC_BYTES])
