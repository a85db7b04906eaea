"""Files of all models: parses their headers and opens them. A model's own modules are imported when it is met.

Standard library only until pixels are asked for: opening a file with Pillow must stay cheap.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import IO, TYPE_CHECKING, Any

from ..errors import FormatError, LimitError, UnsupportedFileError
from ..format import file as file_format
from ..format.chunks import CHUNK_PREVIEW, Chunk, first_chunk
from ..format.fields import unknown_field
from ..format.file import File, Outline
from ..format.header import HEADER_MAX_BYTES, Box, Header, ModelHeader, ModelHeaderReader, Size
from ..format.header import read_header as parse_header
from .registry import AUTO, MODELS, Entry

if TYPE_CHECKING:
    from ..imaging.samples import Samples
    from .base import Breakdown, Encoder, ModelFormat, StoredModel


def read_header(prefix: bytes) -> Header[ModelHeader]:
    """Parse the header from the first HEADER_MAX_BYTES of a file, or all of it when it is shorter.

    Raises:
        FormatError, DamagedFileError, UnsupportedFileError: as `format.header.read_header`.
    """
    return parse_header(prefix, _header_reader)


def read_outline(file: IO[bytes]) -> Outline:
    """Read header and chunks of a file without its payload (`format.file.read_outline`)."""
    return file_format.read_outline(file, read_header)


def preview_size(header: Header[ModelHeader], chunks: Sequence[Chunk]) -> Size | None:
    """Width and height of a version of the whole image, nowhere larger, among a file's chunks; None without one."""
    data = first_chunk(chunks, CHUNK_PREVIEW)
    try:
        size = None if data is None else read_header(data[:HEADER_MAX_BYTES]).size
    except FormatError:
        return None
    return size if size is not None and size[0] <= header.size[0] and size[1] <= header.size[1] else None


def read_file(data: bytes) -> File[ModelHeader]:
    """Parse a whole file and compare its checksum.

    Raises:
        FormatError, DamagedFileError, UnsupportedFileError: as `read_header` and `format.file.unpack`.
    """
    return file_format.unpack(data, read_header(data))


def open_model(file: File[ModelHeader]) -> "StoredModel":
    """Open the model in a file (`ModelFormat.open`)."""
    return _format(file.header).open(file)


def breakdown(file: File[ModelHeader]) -> "Breakdown":
    """Where the payload's bits are (`ModelFormat.breakdown`)."""
    return _format(file.header).breakdown(file)


def open_for(data: bytes, header: Header[ModelHeader], size: Size, *, cut: bool = False) -> "StoredModel":
    """Open the model in a file for results of a size; limits come first.

    Args:
        data: the whole file.
        header: what its first bytes were parsed to.
        size: width and height of the first result.
        cut: whether the end of the file may be missing (`ModelFormat.open_truncated`).
    Raises:
        FormatError: as `ModelFormat.open`.
        LimitError: also when there is not as much memory as it takes.
    """
    # Before weights are made of symbols, of which a few bytes may hold millions.
    header.model.opening_cost(header, size).check()
    with _enough_memory():
        if cut:
            return _format(header).open_truncated(header, file_format.payload_of_cut(data, header))
        return open_model(file_format.unpack(data, header))


def evaluate(model: "StoredModel", size: Size | None, box: Box | None) -> "Samples":
    """`StoredModel.pixels`; LimitError also when there is not as much memory as it takes."""
    with _enough_memory():
        return model.pixels(size, box)


@contextmanager
def _enough_memory() -> Iterator[None]:
    try:
        yield
    except MemoryError as error:
        raise LimitError("there is not enough memory to decode the file") from error


def encoder(name: str) -> "Encoder":
    """The encoder of the model of this name, or of "auto", which chooses by the image (`registry.model_names`)."""
    if name == AUTO:
        module = import_module(".selection", __package__)
    else:
        module = _part(next(entry for entry in MODELS if entry.name == name), "encoder")
    found: Encoder = module.encode
    return found


def _header_reader(number: int) -> ModelHeaderReader:
    read: ModelHeaderReader = _part(_entry(number), "header").read
    return read


def _format(header: Header[ModelHeader]) -> "ModelFormat":
    found: ModelFormat = _part(_entry(header.model.number), "model").FORMAT
    return found


def _entry(number: int) -> Entry:
    for entry in MODELS:
        if entry.number == number:
            return entry
    raise _unknown_model(number)


def _unknown_model(number: int) -> UnsupportedFileError:
    return unknown_field("model", number, " and ".join(entry.name for entry in MODELS))


def _part(entry: Entry, name: str) -> Any:
    return import_module(f"{entry.package}.{name}")
