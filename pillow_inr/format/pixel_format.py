"""What a file says of its samples: pixel formats 0..4, sample types, ranges (docs/format.md section 3)."""

import math
import struct
from dataclasses import dataclass

from ..errors import FormatError
from .fields import FieldReader, check_field
from .ranges import CHANNELS_MAX

MODES = ("L", "LA", "RGB", "RGBA")
"""Pillow's modes of pixel formats 0..3, 8 bits a sample; the length of a name is the number of channels."""
PIXEL_FORMAT_SAMPLES = 4
"""The pixel format that a `SampleFormat` describes."""
DTYPES = ("uint8", "uint16", "float32", "int8", "int16", "int32", "uint32")
"""NumPy's names of sample types 0..6."""
VERSION_1_DTYPES = DTYPES[:3]
"""What files of format version 1 hold; a file with another type has version 2."""
SPAN_MAX = 0xFFFF
"""Largest difference of the highest and the lowest value of a range of WIDE_DTYPES."""
WIDE_DTYPES = ("int32", "uint32")
_STRUCTS = ("<B", "<H", "<f", "<b", "<h", "<i", "<I")


@dataclass(frozen=True)
class SampleFormat:
    """Type, channels and ranges of the samples of pixel format 4.

    Raises:
        FormatError: a field is outside its range.
    """

    dtype: str
    """One of DTYPES."""
    channels: int
    """1..64, or 0 for an array of shape (height, width) without an axis of channels."""
    ranges: tuple[tuple[float, float], ...]
    """Lowest and highest value: one pair for all samples, or one for each channel."""

    def __post_init__(self) -> None:
        check_field("channels", self.channels, 0, CHANNELS_MAX)
        for low, high in self.ranges:
            if not -math.inf < low <= high < math.inf:
                raise FormatError(f"header: the samples range from {low} to {high}, expected finite and rising numbers")
            if self.dtype in WIDE_DTYPES and high - low > SPAN_MAX:
                raise FormatError(f"header: samples of {self.dtype} range from {low} to {high}, more than {SPAN_MAX}")

    @property
    def format_version(self) -> int:
        """The format version that has this sample type, 1 or 2."""
        return 1 if self.dtype in VERSION_1_DTYPES else 2

    def pack(self) -> bytes:
        """Write the fields as bytes."""
        number = struct.Struct(_STRUCTS[DTYPES.index(self.dtype)])
        several = len(self.ranges) > 1
        exact = float if self.dtype == "float32" else int
        bounds = b"".join(number.pack(exact(bound)) for pair in self.ranges for bound in pair)
        return bytes([DTYPES.index(self.dtype), self.channels, several]) + bounds


def read_sample_format(reader: FieldReader) -> SampleFormat:
    """Undo `SampleFormat.pack`.

    Raises:
        FormatError: a field is outside its range.
        DamagedFileError: the header ends before.
    """
    sample_type = reader.byte("sample type")
    check_field("sample type", sample_type, 0, len(DTYPES) - 1)
    channels = reader.byte("channels")
    check_field("channels", channels, 0, CHANNELS_MAX)
    several = reader.byte("ranges")
    check_field("ranges", several, 0, 1 if channels > 1 else 0)
    number = struct.Struct(_STRUCTS[sample_type])
    bounds = [number.unpack(reader.take(number.size, "range"))[0] for _ in range(2 * (channels if several else 1))]
    return SampleFormat(DTYPES[sample_type], channels, tuple(zip(bounds[::2], bounds[1::2], strict=True)))
