"""Files for tests: headers from flat fields of either model, whole files put together and taken apart in one call."""

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

from pillow_inr.format import file
from pillow_inr.format.chunks import (
    CHUNK_INITIALIZATION,
    CHUNK_PREVIEW,
    CHUNKS_MAX,
    Chunk,
    pack_chunks,
    read_chunks,
)
from pillow_inr.format.fields import FieldReader, pack_varint
from pillow_inr.format.file import Outline
from pillow_inr.format.header import CRC_BYTES, HEADER_MAX_BYTES, Header
from pillow_inr.format.pixel_format import DTYPES, MODES, PIXEL_FORMAT_SAMPLES, SampleFormat
from pillow_inr.format.ranges import SIDE_MAX
from pillow_inr.format.signature import MAGIC
from pillow_inr.imaging.region import check_box, check_size
from pillow_inr.models import reader
from pillow_inr.models.pyramid.header import (
    BASE_WEIGHTS_COUNTS,
    CODING_PYRAMID,
    PRESET_COUNT,
    TILE_NONE,
    PyramidHeader,
)
from pillow_inr.models.reader import read_file, read_outline
from pillow_inr.models.siren import mosaic_coding
from pillow_inr.models.siren.header import (
    CODING_GENERALIZED_NORMAL,
    CODING_LAPLACE,
    CODING_MOSAIC,
    ENCODING_FOURIER,
    ENCODING_NONE,
    SirenHeader,
)
from pillow_inr.models.siren.weight_coding import CodedTensor
from pillow_inr.report.breakdown import FileBreakdown, of_file

MODEL_SIREN, MODEL_PYRAMID = SirenHeader.number, PyramidHeader.number
_MODELS = {MODEL_SIREN: SirenHeader, MODEL_PYRAMID: PyramidHeader}


def header(model: int = MODEL_SIREN, **given: Any) -> Header[Any]:
    """A header from the fields of the file and those of its model."""
    kind = _MODELS[model]
    given.pop("encoding", None)  # follows from the frequencies
    names = {field.name for field in fields(kind)}
    own = {name: given.pop(name) for name in list(given) if name in names}
    return Header(model=kind(**own), **given)


def changed(header: Header[Any], **given: Any) -> Header[Any]:
    """The header with some fields of the file or of its model changed."""
    names = {field.name for field in fields(header.model)}
    own = {name: given.pop(name) for name in list(given) if name in names}
    return replace(header, model=replace(header.model, **own), **given)


def read_header(prefix: bytes) -> tuple[Header[Any], int]:
    """The header and its length in bytes."""
    header = reader.read_header(prefix)
    return header, header.header_bytes


def unpack(data: bytes) -> tuple[Header[Any], bytes, tuple[Chunk, ...]]:
    """Header, payload and chunks of a whole file."""
    return tuple(reader.read_file(data))  # type: ignore[return-value]


def pack(header: Header[Any], payload: bytes, chunks: bytes | Sequence[Chunk] = ()) -> bytes:
    """The file of these parts; chunks may be packed already."""
    import zlib

    if not isinstance(chunks, bytes):
        return file.pack(header, payload, chunks)
    body = header.pack() + payload + chunks
    return body + zlib.crc32(body).to_bytes(CRC_BYTES, "little")


def open_model(data: bytes) -> Any:
    """The model in a whole file."""
    return reader.open_model(reader.read_file(data))


def siren_tensors(header: Header[Any], payload: bytes) -> list[CodedTensor]:
    """The tensors of a SIREN's payload, one network after another."""
    shapes = header.model.architecture(header.channels).shapes
    return list(mosaic_coding.decode_networks(payload, header.size, header.model, shapes)[1])


def take_apart(data: bytes) -> FileBreakdown:
    """Where the bytes and bits of a whole file are."""
    return of_file(reader.read_file(data))


def decode(data: bytes, size: Any = None, box: Any = None) -> Any:
    """Pixels of a whole file, or of a region of it, as `StoredModel.pixels` returns them; limits come first."""
    header = reader.read_header(data)
    return reader.evaluate(reader.open_for(data, header, check_size(size, check_box(box, header.size))), size, box)


__all__ = [
    "BASE_WEIGHTS_COUNTS",
    "CHUNKS_MAX",
    "CHUNK_INITIALIZATION",
    "CHUNK_PREVIEW",
    "CODING_GENERALIZED_NORMAL",
    "CODING_LAPLACE",
    "CODING_MOSAIC",
    "CODING_PYRAMID",
    "CRC_BYTES",
    "DTYPES",
    "ENCODING_FOURIER",
    "ENCODING_NONE",
    "HEADER_MAX_BYTES",
    "MAGIC",
    "MODEL_PYRAMID",
    "MODEL_SIREN",
    "MODES",
    "PIXEL_FORMAT_SAMPLES",
    "PRESET_COUNT",
    "SIDE_MAX",
    "TILE_NONE",
    "Chunk",
    "FieldReader",
    "Outline",
    "SampleFormat",
    "pack_chunks",
    "pack_varint",
    "read_chunks",
    "read_file",
    "read_outline",
]
