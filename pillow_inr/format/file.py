"""Header, payload and chunks <-> the bytes of an .inr file: lengths and checksum (docs/format.md section 1).

Standard library only. Knows no entropy model and no pixels.
"""

import io
import zlib
from collections.abc import Callable, Sequence
from typing import IO, Generic, NamedTuple

from ..errors import DamagedFileError
from .chunks import Chunk, pack_chunks, read_chunks
from .header import CRC_BYTES, HEADER_MAX_BYTES, F, Header, M, ModelHeader


class File(NamedTuple, Generic[M]):
    """The parts of a whole file, its checksum compared."""

    header: Header[M]
    payload: bytes
    chunks: tuple[Chunk, ...]
    """Required chunks, all of known kinds, and optional ones, known or not."""


class Outline(NamedTuple):
    """What a file tells without its payload."""

    header: Header[ModelHeader]
    chunks: tuple[Chunk, ...]


def pack(header: Header[ModelHeader], payload: bytes, chunks: Sequence[Chunk] = ()) -> bytes:
    """Assemble a file: header, payload, chunks, CRC-32; the header's lengths must be those of the parts."""
    body = header.pack() + payload + pack_chunks(chunks)
    return body + zlib.crc32(body).to_bytes(CRC_BYTES, "little")


def unpack(data: bytes, header: Header[F]) -> File[F]:
    """Take a whole file apart; the checksum is compared before a byte of the payload is used.

    Args:
        data: the whole file.
        header: what its first bytes were parsed to.
    Raises:
        DamagedFileError: the file is longer or shorter than its header says, or its checksum differs.
        FormatError, UnsupportedFileError: as `read_chunks`.
    """
    expected = header.file_bytes
    if len(data) < expected:
        raise DamagedFileError(f"the file is cut off: {len(data)} bytes of {expected}")
    if len(data) > expected:
        raise DamagedFileError(f"{len(data) - expected} bytes follow the end of the file at byte {expected}")
    if zlib.crc32(data[:-CRC_BYTES]) != int.from_bytes(data[-CRC_BYTES:], "little"):
        raise DamagedFileError("the file is damaged: its checksum does not fit its bytes")
    start = header.header_bytes
    end = start + header.payload_bytes
    return File(header, data[start:end], read_chunks(data[end:-CRC_BYTES]))


def payload_of_cut(data: bytes, header: Header[ModelHeader]) -> bytes:
    """What is there of the payload of a file whose end is missing; no checksum vouches for it."""
    start = header.header_bytes
    return data[start : start + header.payload_bytes]


def too_short(header: Header[ModelHeader], payload: bytes) -> DamagedFileError:
    """Return the error for a file of which too little is there to show anything."""
    there = header.header_bytes + len(payload)
    return DamagedFileError(f"the file is cut off: {there} bytes of {header.file_bytes}, too few for any pixel")


def read_outline(file: IO[bytes], read_header: Callable[[bytes], Header[ModelHeader]]) -> Outline:
    """Read header and chunks of a file without its payload; the checksum, which covers that, is not compared.

    Args:
        file: open for reading and seekable; the .inr file begins at 0.
        read_header: parses a header.
    Raises:
        FormatError, DamagedFileError, UnsupportedFileError: as `read_header` and `read_chunks`; or the file is cut off.
    """
    file.seek(0)
    header = read_header(file.read(HEADER_MAX_BYTES))
    start = header.header_bytes + header.payload_bytes
    # A header may claim gigabytes: do not ask for more than there is.
    file.seek(0, io.SEEK_END)
    available = file.tell() - start
    file.seek(start)
    if max(available, 0) < header.chunks_bytes:
        raise DamagedFileError(f"the file is cut off: {start + available} bytes of {header.file_bytes}")
    return Outline(header, read_chunks(file.read(header.chunks_bytes)))
