"""The second decoder, of pyramids: written from docs/format.md alone, plain Python, no NumPy, no constriction, slow."""

import struct
from functools import cache
from operator import mul
from typing import NamedTuple

from . import plain_file
from .plain_decoder import RangeDecoder, cumulative, table
from .plain_file import File, checked, parse, pixels_of, reference, refuse

SCALES = table("B[0] … B[72]", "### 9.7")
NEIGHBOURS = [
    *((0, -1), (-1, 0), (-1, -1), (-1, 1), (0, -2), (-2, 0), (-1, -2), (-2, 1)),
    *((-2, -1), (0, -3), (-3, 0), (-2, 2), (-2, -2), (-1, -3)),
]
PRESETS = [(12, 10, 24, 48, 2, 0, 0, 14), (12, 22, 24, 48, 2, 3, 4, 18)]

Matrix = list[list[int]]
Tensors = dict[str, list[int]]


def clip(value: int, low: int, high: int) -> int:
    return min(max(value, low), high)


def shapes(preset: int, channels: int) -> dict[str, tuple[int, int]]:
    """Rows and columns of each tensor; a vector has one column."""
    ns, nc, d, s, r, p, f, _ = PRESETS[preset]
    context = {"a1": (d, ns + nc), "a1b": (d, 1), "a2": (d, d), "a2b": (d, 1), "a3": (2, d), "a3b": (2, 7)}
    filters = {"pf": (7, p + 1), "kf": (f, 25)} if p else {}
    synthesis = {"s1": (s, 7 + f), "s1b": (s, 1), "s2": (channels, s), "s2b": (channels, 1), "ss": (channels, 7 + f)}
    named = {**context, "as": (2, ns + nc), "up": (6, 4), **filters, **synthesis}
    for i in range(r):
        named |= {f"r{i}": (channels, 9 * channels), f"r{i}b": (channels, 1)}
    return named


def prior(preset: int, number: int, channels: int, priors: list[bytes]) -> Tensors:
    stored = {}
    of_three = shapes(preset, 3)
    at = 2 * number * sum(rows * columns for rows, columns in of_three.values())
    for name, (rows, columns) in of_three.items():
        factor = 1 if name[0] == "a" else 2 ** (PRESETS[preset][-1] - 14)
        stored[name] = [factor * n for n in struct.unpack_from(f"<{rows * columns}h", priors[preset], at)]
        at += 2 * rows * columns
    if channels == 3:
        return stored
    colours = channels - (channels in (2, 4))
    adapted = {}
    for name, (rows, columns) in shapes(preset, channels).items():
        old = stored[name]
        if rows != channels or name not in ("s2", "s2b", "ss", *(f"r{i}{b}" for i in range(9) for b in ("", "b"))):
            adapted[name] = old
        elif name[0] == "r" and name[-1] != "b":
            adapted[name] = [0] * (rows * columns)
            for c in range(colours):
                for t in range(9):
                    if channels == 4:
                        for d in range(3):
                            adapted[name][c * columns + t * channels + d] = old[c * 27 + t * 3 + d]
                    else:
                        mean = sum(old[e * 27 + t * 3 + e] for e in range(3)) // 3
                        adapted[name][c * columns + t * channels + c] = mean
        else:
            means = [sum(old[e * columns + i] for e in range(3)) // 3 for i in range(columns)]
            rest = (channels - colours) * columns
            opaque = 2 ** PRESETS[preset][-1] if name == "s2b" else 0
            adapted[name] = (old if channels == 4 else means * colours) + [opaque] * rest
    return adapted


class Decoder(RangeDecoder):
    def bin(self, t: int, f: int) -> int:
        return self.symbol(bins(t, f), "bin", t, f)


@cache
def bins(t: int, f: int) -> list[int]:
    tails = [2**31]
    for _ in range(300):
        tails.append(tails[-1] * SCALES[t + 32] >> 32)

    def above(u: int) -> int:
        return tails[u] if u >= 0 else 2**32 - tails[-u]

    middle = [above(16 * (i - 17) - 8 - f) - above(16 * (i - 17) + 8 - f) for i in range(1, 34)]
    counts = [2**32 - above(-264 - f), *middle, above(264 - f)]
    return cumulative([max(1, count) for count in counts])


Differences = dict[str, tuple[int, list[int]]]
"""Exponent and differences of each tensor."""


def decode_differences(decoder: Decoder, tensors: Tensors) -> Differences:
    j = 24
    result = {}
    for name, values in tensors.items():
        m = decoder.equal(16)
        result[name] = 0, [0] * len(values)
        if m:
            e = decoder.equal(16)
            j = checked("scale index", j + decoder.laplace(22, 8), 0, 63)
            result[name] = e, [decoder.laplace(j, m) for _ in values]
    return result


def added(tensors: Tensors, differences: Differences) -> Tensors:
    result = {}
    for name, values in tensors.items():
        e, d = differences[name]
        result[name] = [value + (difference << e) for value, difference in zip(values, d, strict=True)]
        checked(name, max(map(abs, result[name])), 0, (2**20 if name[0] == "a" else 2**24) - 1)
    return result


def times(kernel: list[int], vector: list[int]) -> list[int]:
    width = len(vector)
    rows = range(0, len(kernel), width)
    return [sum(map(mul, kernel[at : at + width], vector)) for at in rows]


def distribution(tensors: Tensors, k: int, v: list[int]) -> tuple[int, int, int]:
    """Integer part of the mean, its fraction, log-scale."""
    h1 = [clip(s + b, 0, 2**24) for s, b in zip(times(tensors["a1"], v), tensors["a1b"], strict=True)]
    sums = times(tensors["a2"], h1)
    h2 = [clip(s + b * 2**12 >> 12, 0, 2**24) for s, b in zip(sums, tensors["a2b"], strict=True)]
    direct = times(tensors["as"], v)
    o = [s + direct[i] * 2**12 + tensors["a3b"][7 * i + k] * 2**12 for i, s in enumerate(times(tensors["a3"], h2))]
    n = clip(o[0] + 2**19 >> 20, -65520, 65520)
    t = clip(o[1] + 2**20 >> 21, -32, 40)
    return n + 8 >> 4, n - 16 * (n + 8 >> 4), t


def decode_grid(decoder: Decoder, tensors: Tensors, preset: int, grids: list[Matrix], k: int) -> None:
    def at(level: int, y: int, x: int) -> int:
        if level > 6 or not (0 <= y < len(grids[level]) and 0 <= x < len(grids[level][0])):
            return 0
        return grids[level][y][x]

    rows, columns = len(grids[k]), len(grids[k][0])
    for wavefront in range(columns + 2 * rows):
        found = []
        for y in range(rows):
            x = wavefront - 2 * y
            if not 0 <= x < columns:
                continue
            v = [at(k, y + dy, x + dx) for dy, dx in NEIGHBOURS[: PRESETS[preset][0]]]
            v += [at(k + 1, (y >> 1) + dy, (x >> 1) + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
            if PRESETS[preset][1] == 10:
                v.append(at(k + 2, y >> 2, x >> 2))
            else:
                v += [at(k + 2, (y >> 2) + dy, (x >> 2) + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
                v += [at(k + j, y >> j, x >> j) for j in (3, 4, 5, 6)]
            mean, f, t = distribution(tensors, k, v)
            found.append((y, x, mean, decoder.bin(t, f)))
        for y, x, mean, i in found:
            symbol = mean + i - 17
            if i in (0, 34):
                r = decoder.onesided(32, 13)
                symbol += r if i else -r
            checked("symbol", symbol, -4095, 4095)
            grids[k][y][x] = symbol


class Pyramid(NamedTuple):
    differences: Differences
    tensors: Tensors
    grids: list[Matrix]
    """Finest first."""
    decoded: list[tuple[str | int, ...]]
    """All symbols of the stream, as in `RangeDecoder.decoded`."""


def decode_pyramid(stream: bytes, preset: int, tensors: Tensors, width: int, height: int) -> Pyramid:
    """Decode the pyramid of a stream, given the tensors of its prior."""
    decoder = Decoder(stream)
    differences = decode_differences(decoder, tensors)
    tensors = added(tensors, differences)
    grids = [[[0] * -(-width // 2**k) for _ in range(-(-height // 2**k))] for k in range(7)]
    coded = [decoder.equal(2) for _ in range(7)][::-1]
    for k in range(6, -1, -1):
        if coded[k]:
            decode_grid(decoder, tensors, preset, grids, k)
    decoder.finish()
    return Pyramid(differences, tensors, grids, decoder.decoded)


def synthesize(tensors: Tensors, preset: int, channels: int, grids: list[Matrix]) -> list[list[list[float]]]:
    """Outputs of the network, row by row: rows of pixels of values."""
    convolutions, p, kernels, bits = PRESETS[preset][4:]
    w = {name: [value / 2 ** (12 if name[0] == "a" else bits) for value in values] for name, values in tensors.items()}
    # A channel is a dict from (row, column) to its value.
    x: list[dict[tuple[int, int], float]] = []
    for k in range(6, -1, -1):
        rows, columns = len(grids[k]), len(grids[k][0])
        cells = [(y, c) for y in range(-4, rows + 4) for c in range(-4, columns + 4)]
        if x:
            up = w["up"][4 * k : 4 * k + 4]
            coarse = sorted({y for y, _ in x[0]})
            x = [
                {
                    (y, c): upsampled(lambda c, y=y, old=old: old[y, c], c, up)
                    for y in coarse
                    for c in range(-4, columns + 4)
                }
                for old in x
            ]
            x = [{(y, c): upsampled(lambda y, c=c, old=old: old[y, c], y, up) for y, c in cells} for old in x]

        def edge(y: int, c: int, k: int = k) -> float:
            return float(grids[k][clip(y, 0, len(grids[k]) - 1)][clip(c, 0, len(grids[k][0]) - 1)])

        taps = w["pf"][(p + 1) * k : (p + 1) * (k + 1)] if p else [1.0]
        lines = {
            (y, c): symmetric(lambda y, c=c: edge(y, c), y, taps)
            for y in range(-4, rows + 4)
            for c in range(-4 - p, columns + 4 + p)
        }
        x = [{(y, c): symmetric(lambda c, y=y, lines=lines: lines[y, c], c, taps) for y, c in cells}, *x]
    for i in range(kernels):
        kernel = w["kf"][25 * i : 25 * i + 25]
        x.append(
            {
                (y, c): sum(kernel[5 * j + m] * edge(y + j - 2, c + m - 2, 0) for j in range(5) for m in range(5))
                for y, c in cells
            }
        )
    o = {}
    for y in range(-convolutions, rows + convolutions):
        for c in range(-convolutions, columns + convolutions):
            v = [channel[y, c] for channel in x]
            h = [max(s + b, 0) for s, b in zip(times(w["s1"], v), w["s1b"], strict=True)]
            parts = zip(times(w["s2"], h), w["s2b"], times(w["ss"], v), strict=True)
            o[y, c] = [sum(part) for part in parts]
    for i in range(convolutions):
        margin = convolutions - 1 - i
        new = {}
        for y in range(-margin, rows + margin):
            for c in range(-margin, columns + margin):
                p = [value for dy in (-1, 0, 1) for dx in (-1, 0, 1) for value in o[y + dy, c + dx]]
                residual = [s + b for s, b in zip(times(w[f"r{i}"], p), w[f"r{i}b"], strict=True)]
                if i < convolutions - 1:
                    residual = [max(value, 0) for value in residual]
                new[y, c] = [a + b for a, b in zip(o[y, c], residual, strict=True)]
        o = new
    return [[o[y, c] for c in range(columns)] for y in range(rows)]


def symmetric(x, index: int, w: list[float]) -> float:
    return w[0] * x(index) + sum(w[i] * (x(index - i) + x(index + i)) for i in range(1, len(w)))


def upsampled(x, index: int, w: list[float]) -> float:
    m = index >> 1
    if index & 1:
        return w[3] * x(m - 1) + w[2] * x(m) + w[1] * x(m + 1) + w[0] * x(m + 2)
    return w[0] * x(m - 2) + w[1] * x(m - 1) + w[2] * x(m) + w[3] * x(m + 1)


class Decoded(NamedTuple):
    file: File
    pyramids: list[Pyramid]
    """The pyramid of each tile, row by row."""
    values: list[list[float]]
    """Outputs of the network for each pixel, row by row."""
    pixels: list[list[float]]
    """Samples of each pixel."""


def decode(data: bytes, priors: list[bytes]) -> Decoded:
    """Decode a file of model 1. Of its preview only the header is checked."""
    file = parse(data)
    if not file.model:
        raise ValueError("this is a SIREN")
    if reference(file):
        refuse("initialization")
    plain_file.preview(file)
    return decode_tiles(file, priors)


def preview(data: bytes, priors: list[bytes]) -> Decoded | None:
    """Decode the preview of a file."""
    inner = plain_file.preview(parse(data))
    return inner and decode_tiles(inner, priors)


def decode_tiles(file: File, priors: list[bytes]) -> Decoded:
    preset, tile = file.fields["preset"], file.fields["tile"]
    base = prior(preset, file.fields["prior"], file.channels, priors)
    side = 2**tile if tile else max(file.width, file.height)
    found = streams(file, -(-file.width // side) * -(-file.height // side))
    places = [(top, left) for top in range(0, file.height, side) for left in range(0, file.width, side)]
    pyramids = []
    values: list[list[list[float]]] = [[[] for _ in range(file.width)] for _ in range(file.height)]
    columns = -(-file.width // side)
    for (top, left), stream in zip(places, found, strict=True):
        size = min(side, file.width - left), min(side, file.height - top)
        i, j = top // side, left // side
        given = base
        if file.fields["coding"] and j % 16:
            given = pyramids[i * columns + j - 1].tensors
        elif file.fields["coding"] and i % 16:
            given = pyramids[(i - 1) * columns + j].tensors
        pyramids.append(decode_pyramid(stream, preset, given, *size))
        for y, row in enumerate(synthesize(pyramids[-1].tensors, preset, file.channels, pyramids[-1].grids)):
            values[top + y][left : left + size[0]] = row
    flat = [value for row in values for value in row]
    return Decoded(file, pyramids, flat, pixels_of(file, flat))


def streams(file: File, tiles: int) -> list[bytes]:
    """The stream of each tile."""
    if not file.fields["tile"]:
        return [file.payload]
    if 4 * tiles > len(file.payload):
        refuse("the table of the tiles is longer than the payload")
    found, at = [], 4 * tiles
    for words in struct.unpack_from(f"<{tiles}I", file.payload):
        found.append(file.payload[at : at + 4 * words])
        at += 4 * words
    if at != len(file.payload):
        refuse("the streams do not end with the payload")
    return found
