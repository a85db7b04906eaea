"""Fields of header and chunks <-> bytes: bytes, varints, ranges (docs/format.md section 1). Knows no field by name."""

from ..errors import DamagedFileError, FormatError, UnsupportedFileError

VARINT_BYTES_MAX = 5


def pack_varint(value: int) -> bytes:
    """Write an unsigned integer as little-endian groups of 7 bits, in the shortest form.

    Source: docs/format.md section 1.

    >>> pack_varint(300).hex()
    'ac02'
    """
    groups = bytearray()
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    groups.append(value)
    return bytes(groups)


class FieldReader:
    """Reads fields from the front of a byte string.

    Args:
        data: the bytes; more may follow the last field.
        part: what they are, "header" or "chunks", for error messages.
    """

    def __init__(self, data: bytes, part: str) -> None:
        self.data = data
        self.part = part
        self.position = 0

    def take(self, count: int, field: str) -> bytes:
        """Read `count` bytes; raise DamagedFileError if the data ends before."""
        end = self.position + count
        if end > len(self.data):
            raise DamagedFileError(f"{self.part}: the file is cut off in {field} (byte {len(self.data)})")
        taken = self.data[self.position : end]
        self.position = end
        return taken

    def byte(self, field: str) -> int:
        """Read one byte as 0..255."""
        return self.take(1, field)[0]

    def varint(self, field: str) -> int:
        """Undo `pack_varint`; raise FormatError if it is longer than 5 bytes or than it must be."""
        value = 0
        for shift in range(0, 7 * VARINT_BYTES_MAX, 7):
            group = self.byte(field)
            value |= (group & 0x7F) << shift
            if group < 0x80:
                if shift and not group:
                    raise FormatError(f"{self.part}: {field} is not in its shortest form")
                return value
        raise FormatError(f"{self.part}: {field} is longer than {VARINT_BYTES_MAX} bytes")


def check_field(field: str, value: int, low: int, high: int) -> None:
    """Raise FormatError unless low <= value <= high."""
    if not low <= value <= high:
        raise FormatError(f"header: {field} is {value}, expected {low}..{high}")


def unknown_field(field: str, value: int, known: str) -> UnsupportedFileError:
    """Return the error for a value that only a newer release may know."""
    return UnsupportedFileError(
        f"header: {field} {value} is not known to this release, which reads {known}: "
        "upgrade with 'pip install --upgrade pillow_inr'"
    )
