"""A second decoder, written from docs/format.md alone: plain Python, no NumPy, no constriction, slow.

It shows that the document is enough to read a file; test_plain_decoder.py compares it with the package.
"""

import hashlib
import math
import re
import struct
import zlib
from itertools import accumulate, pairwise
from pathlib import Path

MASK = 2**64 - 1
FIRST, KERNEL, BIAS, LAST = range(4)  # whose scale indices coding 1 predicts apart


def table(begin: str, end: str) -> list[int]:
    """A table between two headings or words, read out of the document."""
    text = (Path(__file__).parent.parent / "docs" / "format.md").read_text(encoding="utf-8")
    section = text.split(begin)[1].split(end)[0].split(":\n", 1)[1]
    return [int(number) for number in re.findall(r"\d+", section)]


TABLE = table("### 4.6", "### 4.7")


def laplace(j: int, m: int) -> list[int]:
    a = TABLE[j]
    r = a * a >> 32
    t = a * (2**32 + a) >> 32
    side = []
    for _ in range(2**m - 1):
        side.append(max(1, t))
        t = t * r >> 32
    return [*side[::-1], 2**33, *side]


def shape(h: int, j: int, m: int) -> list[int]:
    if h == 0:
        return laplace(j, m)
    p, s = [(1, 9), (2, 13), (4, 16), (7, 18)][h - 1]
    a, g = TABLE[min(63, j + p)], TABLE[min(63, max(0, 2 * j - s))]
    r = (a * a >> 32) * g >> 32
    e = g * g >> 32
    t = 2**32
    side = []
    for _ in range(2**m - 1):
        t = t * r >> 32
        r = r * e >> 32
        side.append(max(1, t))
    return [*side[::-1], 2**32, *side]


def onesided(j: int, m: int) -> list[int]:
    return [2**32, *laplace(j, m)[2**m :]]


def cumulative(counts: list[int]) -> list[int]:
    factor = (2**24 - len(counts)) / sum(float(count) for count in counts)
    c, partial = [0], 0.0
    for i, count in enumerate(counts[:-1], start=1):
        partial += count
        c.append(i + int(partial * factor))
    return [*c, 2**24]


class RangeDecoder:
    def __init__(self, payload: bytes) -> None:
        self.words = list(struct.unpack(f"<{len(payload) // 4}I", payload))
        self.lower, self.range, self.point = 0, MASK, 0
        for _ in range(2):
            self.point = self.point << 32 | self.next_word()

    def next_word(self) -> int:
        return self.words.pop(0) if self.words else 0

    def symbol(self, c: list[int]) -> int:
        scale = self.range >> 24
        q = (self.point - self.lower & MASK) // scale
        if q >= 2**24:
            raise ValueError("invalid data")
        s = next(i for i in range(len(c) - 1) if c[i] <= q < c[i + 1])
        self.lower = self.lower + scale * c[s] & MASK
        self.range = scale * (c[s + 1] - c[s])
        if self.range < 2**32:
            self.lower = self.lower << 32 & MASK
            self.range <<= 32
            self.point = (self.point << 32 & MASK) | self.next_word()
        return s

    def finish(self) -> None:
        if self.words or (self.point - self.lower & MASK) >= 2**33 - 1:
            raise ValueError("data is left")


def checked(field: str, value: int, high: int) -> int:
    if not 0 <= value <= high:
        raise ValueError(field)
    return value


def decode_weights(payload: bytes, shapes: list[tuple[int, ...]], coding: int) -> list[tuple[int, list[int]]]:
    """Step index and symbols, row by row, of every tensor."""
    decoder = RangeDecoder(payload)
    rest = [Coding0, Coding1][coding](decoder, len(shapes))
    step = [144, 144]
    tensors = []
    for position, size in enumerate(shapes):
        kind = position % 2
        step[kind] = checked("step index", step[kind] + decoder.symbol(cumulative(laplace(22, 8))) - 255, 255)
        m = decoder.symbol(cumulative([1] * 16))
        tensors.append((step[kind], rest.symbols(position, size, m) if m else [0] * math.prod(size)))
    decoder.finish()
    return tensors


class Coding0:
    def __init__(self, decoder: RangeDecoder, _: int) -> None:
        self.decoder = decoder
        self.predicted = {0: 24, 1: 24}

    def scale(self, kind: int) -> int:
        difference = self.decoder.symbol(cumulative(laplace(22, 8))) - 255
        self.predicted[kind] = checked("scale index", self.predicted[kind] + difference, 63)
        return self.predicted[kind]

    def under(self, counts: list[int], number: int, lowest: int) -> list[int]:
        c = cumulative(counts)
        return [self.decoder.symbol(c) + lowest for _ in range(number)]

    def symbols(self, position: int, size: tuple[int, ...], m: int) -> list[int]:
        return self.under(laplace(self.scale(position % 2), m), math.prod(size), 1 - 2**m)


class Coding1(Coding0):
    def __init__(self, decoder: RangeDecoder, tensors: int) -> None:
        self.decoder = decoder
        self.tensors = tensors
        self.predicted = {FIRST: 24, KERNEL: 24, BIAS: 8, LAST: 24}

    def symbols(self, position: int, size: tuple[int, ...], m: int) -> list[int]:
        if position == 0:
            return self.first_kernel(*size, m)
        if position == self.tensors - 1:
            return self.shaped(LAST, size[0], m)
        return self.bias(size[0], m) if position % 2 else self.kernel(*size, m)

    def one(self, counts: list[int], lowest: int = 0) -> int:
        return self.under(counts, 1, lowest)[0]

    def first_kernel(self, rows: int, columns: int, m: int) -> list[int]:
        j = [self.scale(FIRST)]
        h = self.one([1] * 5)
        frequencies = (rows - 2) // 4
        for _ in range(frequencies):
            j.append(j[-1] + self.one(laplace(14, 6), -63))
        for index in j:
            checked("scale index", index, 63)
        scales = [j[0], *j[1:], *j[1:]] * 2
        return [symbol for scale in scales for symbol in self.under(shape(h, scale, m), columns, 1 - 2**m)]

    def kernel(self, rows: int, columns: int, m: int) -> list[int]:
        j = self.scale(KERNEL)
        h = self.one([1] * 5)
        offsets = self.under(laplace(10, 3), columns, -7) if self.one([1, 1]) else [0] * columns
        by_column = [self.under(shape(h, min(63, max(0, j + 3 * c)), m), rows, 1 - 2**m) for c in offsets]
        return [by_column[column][row] for row in range(rows) for column in range(columns)]

    def bias(self, size: int, m: int) -> list[int]:
        if not self.one([1, 1]):
            return self.shaped(BIAS, size, m)
        sums = list(accumulate(self.under(onesided(self.scale(BIAS), m), size, 0)))
        checked("bias", sums[-1], 32767)
        return sums

    def shaped(self, role: int, size: int, m: int) -> list[int]:
        j = self.scale(role)
        h = self.one([1] * 5)
        return self.under(shape(h, j, m), size, 1 - 2**m)


def varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at


def chunks_by_kind(data: bytes) -> dict[int, bytes]:
    """Data of the first chunk of each kind, bit 7 of which is kept; none that must be understood is unknown."""
    kept: dict[int, bytes] = {}
    at = 0
    while at < len(data):
        kind = data[at]
        assert kind in {0x81, *range(1, 0x80)}
        length, at = varint(data, at + 1)
        kept.setdefault(kind, data[at : at + length])
        at += length
        assert at <= len(data)
    return kept


def identity(architecture: list[int], tensors: list[list[float]]) -> bytes:
    digest = hashlib.sha256(struct.pack("<5I", *architecture))
    for tensor in tensors:
        digest.update(struct.pack(f"<{len(tensor)}e", *tensor))
    return digest.digest()[:8]


def image_fields(data: bytes, model: int) -> tuple[tuple[int, int, int], str, list[tuple[float, float]], int]:
    """Width, height and samples per pixel; struct's letter of a sample and the range of each; where the model's are."""
    assert data[:8] == bytes.fromhex("89494E520D0A 01") + bytes([model])
    assert zlib.crc32(data[:-4]) == int.from_bytes(data[-4:], "little")
    width, at = varint(data, 8)
    height, at = varint(data, at)
    pixel_format = data[at]
    at += 1
    channels, code, ranges = pixel_format + 1, "B", [(0, 255)]
    if pixel_format == 4:
        code, channels = "BHf"[data[at]], data[at + 1] or 1
        count = channels if data[at + 2] else 1
        bounds = struct.unpack_from(f"<{2 * count}{code}", data, at + 3)
        ranges = list(zip(bounds[::2], bounds[1::2], strict=True))
        at += 3 + 2 * count * struct.calcsize(code)
    return (width, height, channels), code, ranges * (channels // len(ranges)), at


def samples_of(values: list[float], code: str, ranges: list[tuple[float, float]]) -> list[float]:
    limited = [min(max(value, 0), 1) for value in values]
    samples = [low + v * (high - low) for v, (low, high) in zip(limited, ranges, strict=True)]
    return samples if code == "f" else [round(sample) for sample in samples]


def decode(
    data: bytes, initialization: tuple[list[int], list[list[float]]]
) -> tuple[tuple[int, int, int], list[tuple[int, list[int]]], list[list[float]]]:
    """Width, height and samples per pixel; the tensors; the pixels, row by row."""
    (width, height, channels), code, ranges, at = image_fields(data, 0)
    frequencies, growth = 0, 100
    encoding = data[at]
    at += 1
    if encoding:
        frequencies, growth = data[at], 100 + data[at + 1]
        at += 2
    units, at = varint(data, at)
    depth, coding = data[at], data[at + 1]
    payload_length, at = varint(data, at + 2)
    chunks_length, at = varint(data, at)
    assert len(data) == at + payload_length + chunks_length + 4

    sides = [2 + 4 * frequencies, *[units] * depth, channels]
    shapes = [(rows, columns) for rows, columns in pairwise(sides)]
    sizes = [size for rows, columns in shapes for size in ((rows, columns), (columns,))]
    tensors = decode_weights(data[at : at + payload_length], sizes, coding)
    weights = [[s * math.ldexp(8 + k % 8, k // 8 - 29) for s in symbols] for k, symbols in tensors]
    kept = chunks_by_kind(data[at + payload_length : -4])
    if 0x81 in kept:
        reference = kept[0x81]
        bits = int.from_bytes(reference[8:], "little")
        assert len(reference) == 8 + -(-len(tensors) // 8)
        assert reference[:8] == identity(*initialization)
        assert initialization[0] == [units, depth, channels, frequencies, growth]
        weights = [
            [w + r for w, r in zip(weight, learned, strict=True)] if bits >> t & 1 else weight
            for t, (weight, learned) in enumerate(zip(weights, initialization[1], strict=True))
        ]

    def features(index: int, length: int) -> list[float]:
        u = (2 * index + 1 - length) / max(width, height)
        angles = [math.pi * (growth / 100) ** i * u for i in range(frequencies)]
        return [u, *map(math.sin, angles), *map(math.cos, angles)]

    pixels = []
    for row in range(height):
        for column in range(width):
            h = features(column, width) + features(row, height)
            for layer, (_, columns) in enumerate(shapes):
                kernel, bias = weights[2 * layer], weights[2 * layer + 1]
                h = [
                    bias[o] + sum(value * kernel[i * columns + o] for i, value in enumerate(h)) for o in range(columns)
                ]
                if layer < depth:
                    h = [math.sin(30 * value) for value in h]
            pixels.append(samples_of(h, code, ranges))
    return (width, height, channels), tensors, pixels
