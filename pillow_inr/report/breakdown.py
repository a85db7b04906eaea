"""What a file consists of: the bytes of its parts, the bits and symbols of its model. Makes no pixels."""

from dataclasses import dataclass

from ..format.chunks import CHUNK_NAMES, Chunk
from ..format.file import File
from ..format.header import CRC_BYTES, Header, ModelHeader
from ..models import reader
from ..models.base import Breakdown

_LABELS = {"exif": "EXIF", "icc_profile": "ICC profile", "xmp": "XMP", "psnr": "PSNR"}


@dataclass(frozen=True)
class Part:
    """A piece of a file."""

    name: str
    bytes: int
    """Length; of a chunk with its kind and its length field."""

    @property
    def label(self) -> str:
        """The name as it is written in text."""
        return _LABELS.get(self.name, self.name)


@dataclass(frozen=True)
class FileBreakdown:
    """A file taken apart."""

    header: Header[ModelHeader]
    chunks: tuple[Chunk, ...]
    parts: tuple[Part, ...]
    """Header, payload, each chunk, checksum: together the whole file. The payload has the name `model.part`."""
    model: Breakdown


def of_file(file: File[ModelHeader]) -> FileBreakdown:
    """Measure the parts of a file. Reference weights that it needs are not looked for.

    Raises:
        FormatError: the payload is damaged.
        LimitError: decoding its symbols takes more than `limits` allow.
    """
    model = reader.breakdown(file)
    parts = (
        Part("header", file.header.header_bytes),
        Part(model.part, len(file.payload)),
        *(Part(CHUNK_NAMES.get(chunk.kind, f"chunk {chunk.kind}"), len(chunk.pack())) for chunk in file.chunks),
        Part("checksum", CRC_BYTES),
    )
    return FileBreakdown(file.header, file.chunks, parts, model)
