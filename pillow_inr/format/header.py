"""The header of an .inr file (docs/format.md section 2): the fields of every file, and a place for those of its model.

Standard library only, so that opening a file stays cheap. The fields of a model are read and written by the model's own
`header` module; this one knows them as a `ModelHeader`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from ..cost import Cost, may_name_transparent_pixels, of_transparency
from ..errors import FormatError, UnsupportedFileError
from .fields import FieldReader, check_field, pack_varint
from .pixel_format import MODES, PIXEL_FORMAT_SAMPLES, SampleFormat, read_sample_format
from .ranges import PART_BYTES_MAX, SIDE_MAX
from .signature import INRIMAGE, INRIMAGE_COMPLAINT, MAGIC

FORMAT_VERSION = 2
"""The newest version that this release reads. It writes version 1 unless the sample type is of version 2."""
# How much of a file is read for its header: the longest one has 549 bytes, most have 24.
HEADER_MAX_BYTES = 1024
CRC_BYTES = 4

Size = tuple[int, int]
"""Width and height in pixels."""
Box = tuple[float, float, float, float]
"""Left, upper, right and lower edge of a region in pixels of the image, fractions too."""


class ModelHeader(Protocol):
    """The header fields of one model, each within its range, and what they tell without the payload."""

    @property
    def number(self) -> int:
        """Number of the model in the file."""

    @property
    def name(self) -> str:
        """Name of the model, as the option `model` has it."""

    @property
    def label(self) -> str:
        """Name and shape in a few letters, for tables."""

    @property
    def coding(self) -> int:
        """Number of the entropy coding of the payload; each model counts its own."""

    @property
    def needs_whole_file(self) -> bool:
        """Whether nothing can be shown of a file that is cut off."""

    def pack(self) -> bytes:
        """Write the fields as bytes."""

    def check_size(self, size: Size) -> None:
        """Raise FormatError if no image of this size can have these fields."""

    def info(self, channels: int) -> dict[str, Any]:
        """What `Image.info` tells of the model, "model" first."""

    def cost(self, header: "Header[Any]", size: Size, box: Box) -> Cost:
        """Upper bounds of evaluating a region of the image at a size."""

    def opening_cost(self, header: "Header[Any]", size: Size) -> Cost:
        """What a result of this size takes at least, as far as it must be known before the payload is decoded."""


M = TypeVar("M", bound=ModelHeader, covariant=True)
F = TypeVar("F", bound=ModelHeader)
"""The same for functions, which take what they return."""


@dataclass(frozen=True, kw_only=True)
class Header(Generic[M]):
    """The fields of a header, each within its range.

    Raises:
        FormatError: a field is outside its range.
    """

    size: Size
    """Image width and height in pixels, each 1..16777215."""
    pixel_format: int
    """0..3, index into MODES, or PIXEL_FORMAT_SAMPLES."""
    samples: SampleFormat | None = None
    """Of PIXEL_FORMAT_SAMPLES, and of no other."""
    model: M
    """The fields of the model."""
    payload_bytes: int
    """A multiple of 4, below 1 GiB."""
    chunks_bytes: int
    """Below 1 GiB."""

    def __post_init__(self) -> None:
        check_field("image width", self.size[0], 1, SIDE_MAX)
        check_field("image height", self.size[1], 1, SIDE_MAX)
        check_field("pixel format", self.pixel_format, 0, PIXEL_FORMAT_SAMPLES)
        assert (self.samples is not None) == (self.pixel_format == PIXEL_FORMAT_SAMPLES)
        self.model.check_size(self.size)
        check_field("payload length", self.payload_bytes, 0, PART_BYTES_MAX)
        if self.payload_bytes % 4:
            raise FormatError(f"header: payload length is {self.payload_bytes}, expected a multiple of 4")
        check_field("chunks length", self.chunks_bytes, 0, PART_BYTES_MAX)

    @property
    def channels(self) -> int:
        """Samples per pixel, 1..64."""
        return len(MODES[self.pixel_format]) if self.samples is None else self.samples.channels or 1

    @property
    def format_version(self) -> int:
        """The format version: the lowest one that has the file's sample type."""
        return 1 if self.samples is None else self.samples.format_version

    @property
    def dtype(self) -> str:
        """NumPy's name of a sample's type, one of `pixel_format.DTYPES`."""
        return "uint8" if self.samples is None else self.samples.dtype

    @property
    def ranges(self) -> tuple[tuple[float, float], ...]:
        """Lowest and highest value: one pair for all samples, or one for each channel."""
        return ((0.0, 255.0),) if self.samples is None else self.samples.ranges

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the image as an array: (height, width) or (height, width, channels)."""
        rows = self.size[::-1]
        if self.samples is None:
            return rows if self.channels == 1 else (*rows, self.channels)
        return (*rows, self.channels) if self.samples.channels else rows

    @property
    def header_bytes(self) -> int:
        """Length of the header itself."""
        return len(self.pack())

    @property
    def file_bytes(self) -> int:
        """Length of the whole file that this header begins."""
        return self.header_bytes + self.payload_bytes + self.chunks_bytes + CRC_BYTES

    @property
    def bits_per_pixel(self) -> float:
        """Rate of the whole file, 8 * bytes / (width * height)."""
        return 8.0 * self.file_bytes / (self.size[0] * self.size[1])

    def cost(self, size: Size | None = None, box: Box | None = None) -> Cost:
        """Upper bounds of evaluating a region at a size; by default the whole image at its own."""
        cost = self.model.cost(self, size or self.size, box or (0, 0, *self.size))
        if may_name_transparent_pixels(self.channels, self.dtype):
            more = of_transparency(self.size, self.chunks_bytes)
            cost = Cost(cost.work + more.work, cost.memory + more.memory)
        return cost

    def pack(self) -> bytes:
        """Write the header as bytes."""
        return b"".join(
            (
                MAGIC,
                bytes([self.format_version, self.model.number]),
                pack_varint(self.size[0]),
                pack_varint(self.size[1]),
                bytes([self.pixel_format]),
                self.samples.pack() if self.samples else b"",
                self.model.pack(),
                pack_varint(self.payload_bytes),
                pack_varint(self.chunks_bytes),
            )
        )


ModelHeaderReader = Callable[[FieldReader], ModelHeader]
"""Reads the fields of one model."""


def read_header(prefix: bytes, model_reader: Callable[[int], Callable[[FieldReader], F]]) -> Header[F]:
    """Parse the header from the first HEADER_MAX_BYTES of a file, or all of it when it is shorter.

    Args:
        prefix: the bytes.
        model_reader: returns the reader for the model of a number; raises UnsupportedFileError if there is none.
    Raises:
        FormatError: not an .inr file, or a field is outside its range.
        DamagedFileError: the file ends inside its header.
        UnsupportedFileError: a newer format version, or a model or coding that this release does not know.
    """
    if not prefix.startswith(MAGIC):
        if prefix.startswith(INRIMAGE):
            raise FormatError(INRIMAGE_COMPLAINT)
        raise FormatError("not an .inr file: it does not start with the .inr signature")
    reader = FieldReader(prefix, "header")
    reader.take(len(MAGIC), "signature")
    version = reader.byte("format version")
    _check_version(version)
    read_model = model_reader(reader.byte("model"))
    size = reader.varint("image width"), reader.varint("image height")
    pixel_format = reader.byte("pixel format")
    check_field("pixel format", pixel_format, 0, PIXEL_FORMAT_SAMPLES)
    samples = read_sample_format(reader) if pixel_format == PIXEL_FORMAT_SAMPLES else None
    header = Header(
        size=size,
        pixel_format=pixel_format,
        samples=samples,
        model=read_model(reader),
        payload_bytes=reader.varint("payload length"),
        chunks_bytes=reader.varint("chunks length"),
    )
    if version != header.format_version:
        raise FormatError(
            f"header: format version is {version}, but its samples are of version {header.format_version}"
        )
    return header


def _check_version(version: int) -> None:
    if version > FORMAT_VERSION:
        raise UnsupportedFileError(
            f"the file has format version {version}, this release of pillow_inr reads versions up to {FORMAT_VERSION}: "
            "upgrade with 'pip install --upgrade pillow_inr'"
        )
    check_field("format version", version, 1, FORMAT_VERSION)
