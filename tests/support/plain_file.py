"""The second reader: the parts of a file. Written from docs/format.md sections 1 to 3 and 6 to 11 alone.

Plain Python: no NumPy, no constriction, nothing of the package. It refuses whatever the document calls invalid or
tells a reader to refuse. plain_decoder.py decodes the weights of a SIREN, plain_pyramid.py decodes pyramids.
"""

import math
import struct
import zlib
from dataclasses import dataclass
from typing import NoReturn

PART_MAX = 1073741823
BASE_WEIGHTS_COUNTS = [4, 14]  # of preset 0 and 1


class InvalidError(ValueError):
    """The document calls the file invalid, or tells this reader to refuse it."""


def refuse(what: str) -> NoReturn:
    raise InvalidError(what)


def checked(field: str, value: int, low: int, high: int) -> int:
    if not low <= value <= high:
        refuse(f"{field} is {value}")
    return value


class Reader:
    """Reads the fields of a file one after another."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, count: int) -> bytes:
        taken = self.data[self.at : self.at + count]
        if len(taken) < count:
            refuse("cut off")
        self.at += count
        return taken

    def byte(self, field: str, low: int, high: int) -> int:
        return checked(field, self.take(1)[0], low, high)

    def varint(self, field: str, low: int, high: int) -> int:
        value = 0
        for place in range(5):
            group = self.byte(field, 0, 255)
            value += (group & 127) << 7 * place
            if group < 128:
                if place and not group:
                    refuse(f"{field} is not in its shortest form")
                return checked(field, value, low, high)
        refuse(f"{field} is longer than 5 bytes")


@dataclass
class File:
    model: int
    width: int
    height: int
    channels: int
    """Samples of a pixel, C."""
    axis: bool
    """Whether the array has an axis of channels."""
    code: str
    """Format character of a sample in `struct`."""
    ranges: list[tuple[float, float]]
    """Lowest and highest value of each channel."""
    samples_fields: bytes
    """Pixel format and sample format as they stand in the header."""
    fields: dict[str, int]
    """Fields of the model."""
    payload: bytes
    chunks: list[tuple[int, bytes]]
    """First byte and data of each chunk."""

    def chunk(self, first_byte: int) -> bytes | None:
        """Data of the first chunk of a kind; bit 7 belongs to the kind."""
        return next((data for first, data in self.chunks if first == first_byte), None)


def parse(data: bytes) -> File:
    """Take a file apart."""
    reader = Reader(data)
    if reader.take(6) != b"\x89INR\r\n":
        refuse("signature")
    version = reader.byte("format version", 1, 2)
    model = reader.byte("model", 0, 1)
    width = reader.varint("image width", 1, 16777215)
    height = reader.varint("image height", 1, 16777215)
    start = reader.at
    pixel_format = reader.byte("pixel format", 0, 4)
    channels, code, ranges = pixel_format + 1, "B", [(0.0, 255.0)] * (pixel_format + 1)
    axis = channels > 1
    if pixel_format == 4:
        channels, code, ranges, axis = sample_format(reader)
    if version != (2 if code in "bhiI" else 1):
        refuse("format version of the sample type")
    samples_fields = data[start : reader.at]
    fields = pyramid_fields(reader, max(width, height)) if model else siren_fields(reader)
    payload_length = reader.varint("payload length", 0, PART_MAX)
    if payload_length % 4:
        refuse("payload length is no multiple of 4")
    chunks_length = reader.varint("chunks length", 0, PART_MAX)
    payload, chunks = reader.take(payload_length), reader.take(chunks_length)
    if int.from_bytes(reader.take(4), "little") != zlib.crc32(data[: reader.at - 4]):
        refuse("checksum")
    if reader.at != len(data):
        refuse("bytes behind the file")
    image = (width, height, channels, axis, code, ranges, samples_fields)
    return File(model, *image, fields, payload, read_chunks(chunks))


def sample_format(reader: Reader) -> tuple[int, str, list[tuple[float, float]], bool]:
    code = "BHfbhiI"[reader.byte("sample type", 0, 6)]
    stored = reader.byte("channels", 0, 64)
    channels = stored or 1
    several = reader.byte("ranges", 0, 1 if channels >= 2 else 0)
    ranges = []
    for _ in range(channels if several else 1):
        low, high = struct.unpack(f"<2{code}", reader.take(2 * struct.calcsize(code)))
        if not (math.isfinite(low) and math.isfinite(high) and low <= high):
            refuse("range")
        if code in "iI" and high - low > 65535:
            refuse("range of more than 16 bits")
        ranges.append((low, high))
    return channels, code, ranges * (channels // len(ranges)), stored > 0


def siren_fields(reader: Reader) -> dict[str, int]:
    fields = {"F": 0, "G": 100}
    if reader.byte("encoding", 0, 1):
        fields = {"F": reader.byte("frequencies", 1, 32), "G": 100 + reader.byte("growth", 0, 255)}
    fields["N"] = reader.varint("width", 1, 1024)
    fields["D"] = reader.byte("depth", 1, 15)
    fields["coding"] = reader.byte("coding", 0, 2)
    fields |= {"T": 100, "M": 1, "O": 0}
    if fields["coding"] == 2:
        fields["T"] = reader.byte("taper", 1, 100)
        fields["M"] = reader.varint("networks", 1, 1048576)
        fields["O"] = reader.byte("overlap", 0, 64)
    return fields


def pyramid_fields(reader: Reader, longer: int) -> dict[str, int]:
    preset = reader.byte("preset", 0, 1)
    fields = {"preset": preset, "prior": reader.byte("prior", 0, BASE_WEIGHTS_COUNTS[preset] - 1)}
    tile = reader.byte("tile", 0, 12)
    if 0 < tile < 8 or (tile == 0 and longer > 4096):
        refuse("tile")
    return {**fields, "tile": tile, "coding": reader.byte("coding", 0, 1 if tile else 0)}


def read_chunks(data: bytes) -> list[tuple[int, bytes]]:
    reader = Reader(data)
    chunks: list[tuple[int, bytes]] = []
    while reader.at < len(data):
        first = reader.byte("kind", 0, 255)
        if first in (0, 128):
            refuse("chunk of kind 0")
        if first > 128 and first not in (0x81, 0x89):
            refuse("a chunk that must be understood")
        chunks.append((first, reader.take(reader.varint("chunk length", 0, 2**35 - 1))))
        checked("chunks", len(chunks), 1, 1024)
    return chunks


def reference(file: File) -> tuple[bytes, list[bool]] | None:
    """Identity of the initialization, and which tensors are differences from it."""
    if file.chunk(0x01) is not None:
        refuse("initialization without bit 7")
    found = [data for first, data in file.chunks if first == 0x81]
    if not found:
        return None
    if file.model or file.fields["coding"] == 2 or len(found) > 1:
        refuse("initialization")
    tensors = 2 * file.fields["D"] + 2
    if len(found[0]) != 8 + (tensors + 7) // 8:
        refuse("length of the initialization")
    bits = checked("differences", int.from_bytes(found[0][8:], "little"), 1, 2**tensors - 1)
    return found[0][:8], [bool(bits >> tensor & 1) for tensor in range(tensors)]


def metadata(file: File) -> dict[str, bytes | tuple[float, float] | float]:
    """Metadata of section 8 under Pillow's names."""
    known: dict[str, bytes | tuple[float, float] | float] = {}
    left = 67108864
    for kind, name in ((2, "exif"), (3, "icc_profile"), (4, "xmp"), (5, "comment")):
        data = file.chunk(kind)
        if data is None:
            continue
        stream = zlib.decompressobj()
        try:
            text = stream.decompress(data, left + 1)
        except zlib.error:
            refuse(name)
        if len(text) > left or not stream.eof or stream.unused_data:
            refuse(name)
        left -= len(text)
        known[name] = text
    data = file.chunk(6)
    if data is not None:
        if len(data) != 8 or not all(0 < number < math.inf for number in struct.unpack("<2f", data)):
            refuse("resolution")
        known["dpi"] = struct.unpack("<2f", data)
    data = file.chunk(7)
    if data is not None:
        if len(data) != 2:
            refuse("PSNR")
        hundredths = int.from_bytes(data, "little")
        known["psnr"] = math.inf if hundredths == 65535 else hundredths / 100
    return known


def preview(file: File) -> File | None:
    """The file within the file (section 9.8)."""
    data = file.chunk(8) if file.model else None
    if data is None:
        return None
    inner = parse(data)
    if not inner.model or inner.fields["tile"] or inner.chunks or inner.samples_fields != file.samples_fields:
        refuse("preview")
    if inner.width > file.width or inner.height > file.height:
        refuse("preview is larger than the image")
    return inner


def transparent(file: File) -> list[list[bool]] | None:
    """Which pixels of each row are transparent (section 10)."""
    found = [data for first, data in file.chunks if first == 0x89]
    if not found:
        return None
    if len(found) > 1 or file.channels not in (2, 4) or file.code not in "BH" or file.ranges[-1][0] != 0:
        refuse("transparency")
    stream = zlib.decompressobj()
    try:
        text = stream.decompress(found[0], 67108865)
    except zlib.error:
        refuse("transparency")
    if len(text) > 67108864 or not stream.eof or stream.unused_data:
        refuse("transparency")
    reader = Reader(text)
    rows: list[list[bool]] = []
    changes: list[int] = []
    for _ in range(file.height):
        changes = row_changes(reader, changes)
        if any(not 0 <= column < file.width for column in changes) or sorted(set(changes)) != changes:
            refuse("changes of a row")
        rows.append([sum(change <= column for change in changes) % 2 == 1 for column in range(file.width)])
    if reader.at < len(text):
        refuse("bytes behind the last row")
    return rows


def row_changes(reader: Reader, above: list[int]) -> list[int]:
    count = reader.varint("changes", 0, 2**35)
    if count == 0:
        moves = [reader.varint("move", 0, 2**35) for _ in above]
        return [column + (m // 2 if m % 2 == 0 else -(m + 1) // 2) for column, m in zip(above, moves, strict=True)]
    changes: list[int] = []
    for _ in range(count - 1):
        changes.append((changes[-1] if changes else 0) + reader.varint("difference", 0, 2**35))
    return changes


def pixels_of(file: File, values: list[list[float]]) -> list[list[float]]:
    """The samples of all pixels from the outputs of the network, row by row."""
    rows = transparent(file)
    hidden = [pixel for row in rows for pixel in row] if rows else [False] * len(values)
    return [
        [0.0] * len(value) if hides else samples_of(file, value) for value, hides in zip(values, hidden, strict=True)
    ]


def samples_of(file: File, values: list[float]) -> list[float]:
    """The samples of a pixel from the outputs of the network."""
    limited = [min(max(value, 0.0), 1.0) for value in values]
    samples = [low + v * (high - low) for v, (low, high) in zip(limited, file.ranges, strict=True)]
    return [single(sample) if file.code == "f" else round(sample) for sample in samples]


def single(value: float) -> float:
    """Round to IEEE single precision."""
    return float(struct.unpack("<f", struct.pack("<f", value))[0])
