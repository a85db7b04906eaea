"""Chunks: data beside the image (docs/format.md section 6). Standard library only."""

from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import FormatError, UnsupportedFileError
from .fields import FieldReader, pack_varint

CHUNK_INITIALIZATION = 1
"""Reference weights (docs/format.md section 7); required: without them the payload means nothing."""
CHUNK_EXIF = 2
CHUNK_ICC_PROFILE = 3
CHUNK_XMP = 4
CHUNK_COMMENT = 5
CHUNK_DPI = 6
CHUNK_PSNR = 7
CHUNK_PREVIEW = 8
CHUNK_TRANSPARENCY = 9
"""Which pixels are fully transparent; required: the samples do not show it."""
CHUNK_NAMES = {
    CHUNK_INITIALIZATION: "initialization",
    CHUNK_EXIF: "exif",
    CHUNK_ICC_PROFILE: "icc_profile",
    CHUNK_XMP: "xmp",
    CHUNK_COMMENT: "comment",
    CHUNK_DPI: "dpi",
    CHUNK_PSNR: "psnr",
    CHUNK_PREVIEW: "preview",
    CHUNK_TRANSPARENCY: "transparency",
}
CHUNKS_MAX = 1024
_REQUIRED = 0x80
_KNOWN_REQUIRED = frozenset({CHUNK_INITIALIZATION, CHUNK_TRANSPARENCY})


@dataclass(frozen=True)
class Chunk:
    """A piece of data beside the image."""

    kind: int
    """1..127."""
    data: bytes
    required: bool = False
    """A reader that does not know this kind must refuse the file instead of skipping the chunk."""

    def pack(self) -> bytes:
        """Write kind, length and data as bytes."""
        return bytes([self.kind | (_REQUIRED if self.required else 0)]) + pack_varint(len(self.data)) + self.data


def pack_chunks(chunks: Sequence[Chunk]) -> bytes:
    """Write chunks as bytes, in order."""
    return b"".join(chunk.pack() for chunk in chunks)


def read_chunks(data: bytes) -> tuple[Chunk, ...]:
    """Undo `pack_chunks`: required chunks, all of known kinds, and optional ones, known or not.

    Raises:
        FormatError: a kind is 0, or there are more than CHUNKS_MAX.
        DamagedFileError: the data ends inside a chunk.
        UnsupportedFileError: this release does not know the kind of a required chunk.
    """
    reader = FieldReader(data, "chunks")
    chunks: list[Chunk] = []
    while reader.position < len(data):
        if len(chunks) == CHUNKS_MAX:
            raise FormatError(f"chunks: there are more than {CHUNKS_MAX}")
        first = reader.byte("chunk kind")
        kind, required = first & ~_REQUIRED, first >= _REQUIRED
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


def first_chunk(chunks: Sequence[Chunk], kind: int) -> bytes | None:
    """Data of the first chunk of a kind; None if there is none."""
    return next((chunk.data for chunk in chunks if chunk.kind == kind), None)
