"""The second decoder, of SIRENs: written from docs/format.md alone, plain Python, no NumPy, no constriction, slow.

It shows that the document is enough to read a file; test_plain_decoder.py compares it with the package.
"""

import ast
import hashlib
import io
import math
import re
import struct
import zipfile
from bisect import bisect_right
from functools import cache
from itertools import accumulate, pairwise
from operator import mul
from pathlib import Path
from typing import NamedTuple

from .plain_file import File, checked, parse, pixels_of, reference, refuse, single
from .plain_mosaic import Part, divide, weight

MASK = 2**64 - 1
FIRST, KERNEL, BIAS, LAST = range(4)  # coding 1 predicts the scale indices of each separately


def table(begin: str, end: str) -> list[int]:
    """Read a table of the document that lies between two headings or words."""
    text = (Path(__file__).parents[2] / "docs" / "format.md").read_text(encoding="utf-8")
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


@cache
def shape_frequencies(h: int, j: int, m: int) -> list[int]:
    return cumulative(shape(h, j, m))


@cache
def onesided_frequencies(j: int, m: int) -> list[int]:
    return cumulative(onesided(j, m))


@cache
def equal_frequencies(n: int) -> list[int]:
    return cumulative([1] * n)


class RangeDecoder:
    def __init__(self, payload: bytes) -> None:
        self.words = struct.unpack(f"<{len(payload) // 4}I", payload)
        self.read = 0
        self.lower, self.range, self.point = 0, MASK, 0
        # Name and parameters of each symbol's table, then its number: all that is needed to code it again.
        self.decoded: list[tuple[str | int, ...]] = []
        for _ in range(2):
            self.point = self.point << 32 | self.next_word()

    def next_word(self) -> int:
        self.read += 1
        return self.words[self.read - 1] if self.read <= len(self.words) else 0

    def symbol(self, c: list[int], *table: str | int) -> int:
        scale = self.range >> 24
        q = (self.point - self.lower & MASK) // scale
        if q >= 2**24:
            refuse("the data fits no symbol")
        s = bisect_right(c, q) - 1
        self.lower = self.lower + scale * c[s] & MASK
        self.range = scale * (c[s + 1] - c[s])
        if self.range < 2**32:
            self.lower = self.lower << 32 & MASK
            self.range <<= 32
            self.point = (self.point << 32 & MASK) | self.next_word()
        self.decoded.append((*table, s))
        return s

    def equal(self, n: int) -> int:
        return self.symbol(equal_frequencies(n), "equal", n)

    def laplace(self, j: int, m: int) -> int:
        return self.shape(0, j, m)

    def shape(self, h: int, j: int, m: int) -> int:
        return self.symbol(shape_frequencies(h, j, m), "shape", h, j, m) + 1 - 2**m

    def onesided(self, j: int, m: int) -> int:
        return self.symbol(onesided_frequencies(j, m), "onesided", j, m)

    def finish(self) -> None:
        if self.read < len(self.words) or (self.point - self.lower & MASK) >= 2**33 - 1:
            refuse("data is left")


def decode_weights(
    decoder: RangeDecoder, shapes: list[tuple[int, ...]], coding: int, networks: int = 1
) -> list[tuple[int, list[int]]]:
    """Step index and symbols of every tensor, row by row; one network after another."""
    rest = [Coding0, Coding1, Coding2][coding](decoder, len(shapes))
    step = [144] * len(shapes)
    tensors = []
    for _ in range(networks):
        for position, size in enumerate(shapes):
            kind = position if coding == 2 else position % 2
            step[kind] = checked("step index", step[kind] + decoder.laplace(22, 8), 0, 255)
            m = decoder.equal(16)
            tensors.append((step[kind], rest.symbols(position, size, m) if m else [0] * math.prod(size)))
    decoder.finish()
    return tensors


def decode_parts(decoder: RangeDecoder, file: File) -> list[Part]:
    """The parts of the image: one, if it is no mosaic."""
    image = Part(0, 0, file.width, file.height)
    if file.fields["coding"] != 2:
        return [image]
    networks = file.fields["M"]
    parts = divide(image, file.fields["O"], lambda: decoder.equal(2), networks)
    if len(parts) < networks:
        refuse("fewer parts than networks")
    return parts


class Coding0:
    def __init__(self, decoder: RangeDecoder, _: int) -> None:
        self.decoder = decoder
        self.predicted = {0: 24, 1: 24}

    def scale(self, kind: int) -> int:
        self.predicted[kind] = checked("scale index", self.predicted[kind] + self.decoder.laplace(22, 8), 0, 63)
        return self.predicted[kind]

    def symbols(self, position: int, size: tuple[int, ...], m: int) -> list[int]:
        j = self.scale(position % 2)
        return [self.decoder.laplace(j, m) for _ in range(math.prod(size))]


class Coding1(Coding0):
    def __init__(self, decoder: RangeDecoder, tensors: int) -> None:
        self.decoder = decoder
        self.tensors = tensors
        self.predicted = {FIRST: 24, KERNEL: 24, BIAS: 8, LAST: 24}

    def symbols(self, position: int, size: tuple[int, ...], m: int) -> list[int]:
        if position == 0:
            return self.first_kernel(*size, m)
        if position == self.tensors - 1:
            return self.one_shape(LAST, size[0], m)
        return self.bias(size[0], m) if position % 2 else self.kernel(*size, m)

    def first_kernel(self, rows: int, columns: int, m: int) -> list[int]:
        j = [self.scale(FIRST)]
        h = self.decoder.equal(5)
        for _ in range((rows - 2) // 4):
            j.append(j[-1] + self.decoder.laplace(14, 6))
        for index in j:
            checked("scale index", index, 0, 63)
        scales = [j[0], *j[1:], *j[1:]] * 2
        return [self.decoder.shape(h, scale, m) for scale in scales for _ in range(columns)]

    def kernel(self, rows: int, columns: int, m: int) -> list[int]:
        j = self.scale(KERNEL)
        h = self.decoder.equal(5)
        flag = self.decoder.equal(2)
        offsets = [self.decoder.laplace(10, 3) if flag else 0 for _ in range(columns)]
        scales = [min(63, max(0, j + 3 * c)) for c in offsets]
        by_column = [[self.decoder.shape(h, scale, m) for _ in range(rows)] for scale in scales]
        return [by_column[column][row] for row in range(rows) for column in range(columns)]

    def bias(self, size: int, m: int) -> list[int]:
        if not self.decoder.equal(2):
            return self.one_shape(BIAS, size, m)
        j = self.scale(BIAS)
        sums = list(accumulate(self.decoder.onesided(j, m) for _ in range(size)))
        checked("bias", sums[-1], 0, 32767)
        return sums

    def one_shape(self, role: int, size: int, m: int) -> list[int]:
        j = self.scale(role)
        h = self.decoder.equal(5)
        return [self.decoder.shape(h, j, m) for _ in range(size)]


class Coding2(Coding1):
    """Predicts each tensor from the same one of the network before."""

    def __init__(self, decoder: RangeDecoder, tensors: int) -> None:
        super().__init__(decoder, tensors)
        self.first = self.predicted
        self.position = 0
        self.by_position: dict[int, int] = {}

    def scale(self, kind: int) -> int:
        predicted = self.first[kind] if kind == FIRST else self.by_position.get(self.position, self.first[kind])
        j = checked("scale index", predicted + self.decoder.laplace(22, 8), 0, 63)
        self.by_position[self.position] = j
        return j

    def symbols(self, position: int, size: tuple[int, ...], m: int) -> list[int]:
        self.position = position
        return super().symbols(position, size, m)


class Initialization(NamedTuple):
    architecture: list[int]
    """N, D, C, F, G."""
    tensors: list[list[float]]

    @property
    def identity(self) -> bytes:
        digest = hashlib.sha256(struct.pack("<5I", *self.architecture))
        for tensor in self.tensors:
            digest.update(struct.pack(f"<{len(tensor)}e", *tensor))
        return digest.digest()[:8]


def shapes_of(units: int, depth: int, channels: int, frequencies: int, taper: int = 100) -> list[tuple[int, ...]]:
    powers = [(taper**layer, 100**layer) for layer in range(depth)]
    widths = [max(1, (2 * units * p + q) // (2 * q)) for p, q in powers]
    sides = [2 + 4 * frequencies, *widths, channels]
    return [size for rows, columns in pairwise(sides) for size in ((rows, columns), (columns,))]


def load_initialization(data: bytes) -> Initialization:
    """An initialization from its .npz file."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        arrays = {name.removesuffix(".npy"): npy(archive.read(name)) for name in archive.namelist()}
    letter, shape, numbers = arrays.pop("architecture")
    if (letter, shape) != ("<i8", (5,)):
        refuse("architecture")
    architecture = [int(number) for number in numbers]
    units, depth, channels, frequencies, _ = architecture
    shapes = shapes_of(units, depth, channels, frequencies)
    names = [f"{kind}_{layer}" for layer in range(1, depth + 2) for kind in ("kernel", "bias")]
    if sorted(arrays) != sorted(names):
        refuse("arrays")
    tensors = []
    for name, size in zip(names, shapes, strict=True):
        letter, shape, numbers = arrays[name]
        if letter not in ("<f2", "<f4") or shape != size:
            refuse(name)
        try:
            halves = struct.unpack(f"<{len(numbers)}e", struct.pack(f"<{len(numbers)}e", *numbers))
        except OverflowError:
            refuse(name)
        if not all(map(math.isfinite, halves)):
            refuse(name)
        tensors.append(list(halves))
    return Initialization(architecture, tensors)


def npy(data: bytes) -> tuple[str, tuple[int, ...], tuple[float, ...]]:
    """Type, shape and numbers of a member in NumPy's format, version 1.0, in row-major order."""
    if data[:8] != b"\x93NUMPY\x01\x00":
        refuse("array")
    start = 10 + int.from_bytes(data[8:10], "little")
    head = ast.literal_eval(data[10:start].decode("latin-1"))
    letter = {"<f2": "e", "<f4": "f", "<i8": "q"}.get(head["descr"]) or refuse("type of an array")
    if head["fortran_order"]:
        refuse("array stored column by column")
    return head["descr"], head["shape"], struct.unpack(f"<{math.prod(head['shape'])}{letter}", data[start:])


class Decoded(NamedTuple):
    file: File
    tensors: list[tuple[int, list[int]]]
    """Step index and symbols of each tensor, one network after another."""
    parts: list[Part]
    """Where each network is."""
    decoded: list[tuple[str | int, ...]]
    """All symbols of the stream, as in `RangeDecoder.decoded`."""
    values: list[list[float]]
    """Outputs for each pixel, row by row."""
    pixels: list[list[float]]
    """Samples of each pixel."""


def decode(data: bytes, initializations: list[Initialization] | None = None) -> Decoded:
    """A file of model 0."""
    file = parse(data)
    if file.model:
        raise ValueError("this is a pyramid")
    units, depth, frequencies, taper = (file.fields[name] for name in "NDFT")
    sizes = shapes_of(units, depth, file.channels, frequencies, taper)
    decoder = RangeDecoder(file.payload)
    parts = decode_parts(decoder, file)
    tensors = decode_weights(decoder, sizes, file.fields["coding"], len(parts))
    exact = [[s * math.ldexp(8 + k % 8, k // 8 - 29) for s in symbols] for k, symbols in tensors]
    weights = [list(map(single, tensor)) for tensor in added(file, exact, initializations or [])]
    networks = [weights[at : at + len(sizes)] for at in range(0, len(weights), len(sizes))]
    values = evaluate(file, parts, networks)
    return Decoded(file, tensors, parts, decoder.decoded, values, pixels_of(file, values))


def added(file: File, weights: list[list[float]], initializations: list[Initialization]) -> list[list[float]]:
    """Add the initialization that the file names to the weights."""
    named = reference(file)
    if named is None:
        return weights
    identity, differences = named
    init = next((init for init in initializations if init.identity == identity), None) or refuse(identity.hex())
    if init.architecture != [file.fields["N"], file.fields["D"], file.channels, file.fields["F"], file.fields["G"]]:
        refuse("the initialization is for another network")
    return [
        [w + r for w, r in zip(tensor, learned, strict=True)] if difference else tensor
        for tensor, learned, difference in zip(weights, init.tensors, differences, strict=True)
    ]


def evaluate(file: File, parts: list[Part], networks: list[list[list[float]]]) -> list[list[float]]:
    """Outputs for all pixels, row by row: the networks' blended."""
    values = [[0.0] * file.channels for _ in range(file.width * file.height)]
    for part, weights in zip(parts, networks, strict=True):
        add(file, part, weights, values)
    return values


def add(file: File, part: Part, weights: list[list[float]], values: list[list[float]]) -> None:
    """Add the output of a part's network, times its weights, to the values of all pixels."""
    w = [math.pi * (file.fields["G"] / 100) ** i for i in range(file.fields["F"])]

    def features(u: float) -> list[float]:
        return [single(v) for v in (u, *(math.sin(wi * u) for wi in w), *(math.cos(wi * u) for wi in w))]

    layers = [
        ([kernel[o :: len(bias)] for o in range(len(bias))], bias)
        for kernel, bias in zip(weights[::2], weights[1::2], strict=True)
    ]
    overlap = file.fields["O"]
    across = [weight(column + 0.5, part.left, part.right, file.width, overlap) for column in range(file.width)]
    columns = [features(part.place(column + 0.5, 0.5)[0]) if across[column] else [] for column in range(file.width)]
    for row in range(file.height):
        down = weight(row + 0.5, part.top, part.bottom, file.height, overlap)
        lower = features(part.place(0.5, row + 0.5)[1])
        for column in range(file.width if down else 0):
            if across[column]:
                h = output(layers, columns[column] + lower)
                pixel = values[row * file.width + column]
                pixel[:] = [v + across[column] * down * o for v, o in zip(pixel, h, strict=True)]


def output(layers: list[tuple[list[list[float]], list[float]]], h: list[float]) -> list[float]:
    """Output of a network for one position's features."""
    for number, (kernel, bias) in enumerate(layers):
        h = [b + dot(h, k) for k, b in zip(kernel, bias, strict=True)]
        if number < len(layers) - 1:
            h = [math.sin(30 * value) for value in h]
    return h


def dot(a: list[float], b: list[float]) -> float:
    return sum(map(mul, a, b))
