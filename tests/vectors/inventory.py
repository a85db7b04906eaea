"""Which vector covers which case of docs/format.md: `python -m tests.vectors.inventory` in the repository lists them.

A class is a value of a field, or several values that one rule treats alike. `test_vectors.py` demands a vector of each.
"""

import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import takewhile
from pathlib import Path

from pillow_inr.models.pyramid import structure
from tests.support import plain_decoder, plain_file, plain_pyramid
from tests.support.plain_file import File

FOLDER = Path(__file__).parent
BASE_WEIGHTS = [structure.base_weights_path(preset).read_bytes() for preset in range(len(structure.PRESETS))]
PATHS = sorted(FOLDER.rglob("*.inr"))
# Sets of base weights of each preset that are final; those beyond may change (docs/format.md section 9.3).
FINAL_PRIORS = (4, 7)
# The second decoder takes 20 seconds for it; three others have tiles.
SLOW = "pyramid/tiled"


def name_of(path: Path) -> str:
    return path.relative_to(FOLDER).with_suffix("").as_posix()


def initializations() -> list[plain_decoder.Initialization]:
    """The initializations that some vectors need."""
    return [plain_decoder.load_initialization(path.read_bytes()) for path in sorted((FOLDER / "inits").glob("*.npz"))]


@dataclass(frozen=True)
class Vector:
    """A vector as the second decoder sees it."""

    path: Path

    @property
    def is_pyramid(self) -> bool:
        """Whether it lies in the folder of pyramids."""
        return self.path.parent.name == "pyramid"

    @cached_property
    def data(self) -> bytes:
        return self.path.read_bytes()

    @cached_property
    def file(self) -> File:
        return plain_file.parse(self.data)

    @cached_property
    def siren(self) -> plain_decoder.Decoded:
        return plain_decoder.decode(self.data, initializations())

    @cached_property
    def pyramid(self) -> plain_pyramid.Decoded:
        return plain_pyramid.decode(self.data, BASE_WEIGHTS)

    @property
    def decoded(self) -> Iterator[tuple[str | int, ...]]:
        """All symbols of all streams, with their tables."""
        if self.file.model:
            for tile in self.pyramid.pyramids if name_of(self.path) != SLOW else ():
                yield from tile.decoded
        else:
            yield from self.siren.decoded

    def uses(self, *table: str | int) -> bool:
        """Whether a symbol is coded under a table whose name and parameters begin like this."""
        return any(entry[: len(table)] == table for entry in self.decoded)


Check = Callable[[Vector], bool]


def _both() -> Iterator[tuple[str, Check]]:
    """Classes of both models."""
    for number, mode in enumerate(("L", "LA", "RGB", "RGBA")):
        yield f"pixel format {number}, {mode}", lambda v, n=number: v.file.samples_fields == bytes([n])
    stored = {"none": range(1), "1": [1], "2": [2], "3": [3], "4": [4], "5 to 64": range(5, 65), "64": [64]}
    for code, dtype in {
        "B": "uint8",
        "H": "uint16",
        "f": "float32",
        "b": "int8",
        "h": "int16",
        "i": "int32",
        "I": "uint32",
    }.items():
        yield f"samples of {dtype}", lambda v, c=code: v.file.code == c and len(v.file.samples_fields) > 1
    for text, numbers in stored.items():
        yield f"channels: {text}", lambda v, n=numbers: len(v.file.samples_fields) > 1 and v.file.samples_fields[2] in n
    yield "one range for several channels", lambda v: v.file.channels > 1 and v.file.samples_fields[3:4] == b"\0"
    yield "a range for each channel", lambda v: v.file.samples_fields[3:4] == b"\1"
    yield "lowest equals highest", lambda v: any(low == high for low, high in v.file.ranges)
    yield "an image of 1 by 1", lambda v: v.file.width == v.file.height == 1
    yield "an image of 1 row", lambda v: v.file.height == 1 < v.file.width
    yield "an image of 1 column", lambda v: v.file.width == 1 < v.file.height
    yield "a side of two bytes", lambda v: max(v.file.width, v.file.height) > 127
    yield "no chunks", lambda v: not v.file.chunks
    for kind in (2, 3, 4, 5, 6, 7):
        yield f"chunk of kind {kind}", lambda v, k=kind: v.file.chunk(k) is not None
    yield "chunks of unknown kinds", lambda v: any(8 < kind < 128 for kind, _ in v.file.chunks)
    yield "transparent pixels", lambda v: v.file.chunk(0x89) is not None
    yield "transparent pixels of 16 bits", lambda v: v.file.chunk(0x89) is not None and v.file.code == "H"
    for way, first in {"by its own changes": True, "by those of the row above": False}.items():
        yield f"a row of transparent pixels {way}", lambda v, f=first: f in _rows_coded_alone(v)
    yield "a chunk of kind 127", lambda v: v.file.chunk(127) is not None
    yield "an empty chunk", lambda v: any(not data for _, data in v.file.chunks)
    yield "a chunk whose length has two bytes", lambda v: any(len(data) > 127 for _, data in v.file.chunks)
    yield "several chunks of one kind", lambda v: len({kind for kind, _ in v.file.chunks}) < len(v.file.chunks)
    yield "PSNR: no error", lambda v: v.file.chunk(7) == b"\xff\xff"


def _rows_coded_alone(vector: Vector) -> set[bool]:
    """For the rows that have changes, whether they are coded by themselves."""
    data = vector.file.chunk(0x89)
    if data is None:
        return set()
    reader, changes, alone = plain_file.Reader(zlib.decompress(data)), [], set()
    for _ in range(vector.file.height):
        own = reader.data[reader.at] != 0
        changes = plain_file.row_changes(reader, changes)
        if changes:
            alone.add(own)
    return alone


def _siren() -> Iterator[tuple[str, Check]]:
    def field(name: str, *values: int) -> Check:
        return lambda v: v.file.fields[name] in values

    yield "encoding none", field("F", 0)
    yield "encoding Fourier", field("F", *range(1, 33))
    yield "1 frequency", field("F", 1)
    yield "32 frequencies", field("F", 32)
    yield "growth 100 of Fourier", lambda v: v.file.fields["F"] > 0 and v.file.fields["G"] == 100
    yield "growth 355", field("G", 355)
    for name, ends in (("N", (1, 1024)), ("D", (1, 15))):
        for end in ends:
            yield f"{'width' if name == 'N' else 'depth'} {end}", field(name, end)
    yield "a width of two bytes", field("N", *range(128, 1025))
    for coding in (0, 1, 2):
        yield f"coding {coding}", field("coding", coding)
        for number, mode in enumerate(("L", "LA", "RGB", "RGBA")):
            yield (
                f"coding {coding} of {mode}",
                lambda v, c=coding, n=number: v.file.fields["coding"] == c and v.file.samples_fields == bytes([n]),
            )
        yield (
            f"coding {coding} of samples",
            lambda v, c=coding: v.file.fields["coding"] == c and len(v.file.samples_fields) > 1,
        )
        yield (
            f"coding {coding}: a tensor of zeros",
            lambda v, c=coding: v.file.fields["coding"] == c and any(not any(s) for _, s in v.siren.tensors),
        )
        for symbol in (-32767, 32767):
            yield (
                f"coding {coding}: symbol {symbol}",
                lambda v, c=coding, s=symbol: (
                    v.file.fields["coding"] == c and any(s in symbols for _, symbols in v.siren.tensors)
                ),
            )
        for step in (0, 255):
            yield (
                f"coding {coding}: step index {step}",
                lambda v, c=coding, s=step: (
                    v.file.fields["coding"] == c and any(step == s for step, _ in v.siren.tensors)
                ),
            )
    for h in range(5):
        yield f"shape {h}", lambda v, h=h: v.file.fields["coding"] == 1 and v.uses("shape", h)
    yield "offsets of columns", lambda v: v.file.fields["coding"] == 1 and v.uses("shape", 0, 10, 3)
    yield from _mosaic()
    yield "sorted biases", lambda v: v.uses("onesided")
    yield (
        "biases that are not sorted",
        lambda v: v.file.fields["coding"] == 1 and any(min(s) < 0 for _, s in v.siren.tensors[1:-1:2]),
    )
    yield "a magnitude larger than the symbols need", _generous
    yield "without initialization", lambda v: plain_file.reference(v.file) is None
    yield "some tensors are differences", lambda v: not all(_differences(v)) and any(_differences(v))
    yield "all tensors are differences", lambda v: all(_differences(v)) and any(_differences(v))
    yield "only the last bias is differences", lambda v: _differences(v).count(True) == 1 and _differences(v)[-1]
    yield "flags of two bytes", lambda v: len(_differences(v)) > 8
    yield "differences in coding 0", lambda v: any(_differences(v)) and v.file.fields["coding"] == 0
    yield "differences in coding 1", lambda v: any(_differences(v)) and v.file.fields["coding"] == 1
    yield "a preview, which a SIREN has not", lambda v: v.file.chunk(8) is not None
    yield "1024 chunks", lambda v: len(v.file.chunks) == 1024


def _mosaic() -> Iterator[tuple[str, Check]]:
    def mosaic(check: Check) -> Check:
        return lambda v: v.file.fields["coding"] == 2 and check(v)

    for field, values in {
        "taper": {"1": [1], "2 to 99": range(2, 100), "100": [100]},
        "networks": {"1": [1], "2 to 127": range(2, 128), "128 to 16383": range(128, 16384)},
        "overlap": {"0": [0], "1 to 63": range(1, 64), "64": [64]},
    }.items():
        name = {"taper": "T", "networks": "M", "overlap": "O"}[field]
        for text, numbers in values.items():
            yield f"{field} {text}", mosaic(lambda v, f=name, n=numbers: v.file.fields[f] in n)
    yield "a sine layer of 1 unit behind wider ones", mosaic(lambda v: v.file.fields["N"] > 1 in _widths(v))
    for flag in (0, 1):
        yield f"a region with flag {flag}", mosaic(lambda v, f=flag: f in _flags(v))
    yield "a part without a flag", mosaic(lambda v: len(v.siren.parts) > _flags(v).count(0) and v.file.fields["O"] > 0)
    yield "a part of one pixel", mosaic(lambda v: any(p.right - p.left == p.bottom - p.top == 1 for p in v.siren.parts))
    yield "an edge that ends at another", mosaic(lambda v: v.file.fields["O"] > 0 and 2 in _corners(v))
    yield "edges that cross", mosaic(lambda v: v.file.fields["O"] > 0 and 4 in _corners(v))
    yield "transparent pixels in parts", mosaic(lambda v: v.file.chunk(0x89) is not None and v.file.fields["M"] > 1)
    yield "offsets of columns in a mosaic", mosaic(lambda v: v.uses("shape", 0, 10, 3))
    yield "sorted biases in a mosaic", mosaic(lambda v: v.uses("onesided"))


def _widths(vector: Vector) -> list[int]:
    """Units of the sine layers."""
    units, depth, frequencies, taper = (vector.file.fields[name] for name in "NDFT")
    shapes = plain_decoder.shapes_of(units, depth, vector.file.channels, frequencies, taper)
    return [shape[0] for shape in shapes[1:-1:2]]


def _flags(vector: Vector) -> list[int | str]:
    """The flags of the division."""
    return [entry[-1] for entry in takewhile(lambda entry: entry[:2] == ("equal", 2), vector.siren.decoded)]


def _corners(vector: Vector) -> list[int]:
    """For each corner of parts within the image, how many have theirs there."""
    counts: dict[tuple[int, int], int] = {}
    for part in vector.siren.parts:
        for x, y in (
            (part.left, part.top),
            (part.right, part.top),
            (part.left, part.bottom),
            (part.right, part.bottom),
        ):
            if 0 < x < vector.file.width and 0 < y < vector.file.height:
                counts[x, y] = counts.get((x, y), 0) + 1
    return list(counts.values())


def _differences(vector: Vector) -> list[bool]:
    named = plain_file.reference(vector.file)
    return named[1] if named else [False]


def _generous(vector: Vector) -> bool:
    """Whether the magnitude of a tensor is larger than its symbols need."""
    if vector.file.fields["coding"]:
        return False
    magnitudes = [entry[2] for entry in vector.decoded if entry[:2] == ("equal", 16)]
    largest = [max(map(abs, symbols)) for _, symbols in vector.siren.tensors]
    return any(size.bit_length() < m for size, m in zip(largest, magnitudes, strict=True))


def _pyramid() -> Iterator[tuple[str, Check]]:
    for preset, priors in enumerate(FINAL_PRIORS):
        yield from _presets(preset, priors)
    for tile in (0, *range(8, 13)):
        yield f"tile {tile}", lambda v, t=tile: v.file.fields["tile"] == t
    yield "several tiles across", lambda v: v.file.fields["tile"] > 0 and v.file.width > 2 ** v.file.fields["tile"]
    yield "several tiles down", lambda v: v.file.fields["tile"] > 0 and v.file.height > 2 ** v.file.fields["tile"]
    for coding in (0, 1):
        yield f"coding {coding}", lambda v, c=coding: v.file.fields["tile"] > 0 and v.file.fields["coding"] == c
    for side in ("width", "height"):
        yield f"networks after those of a tile, along the {side}", lambda v, s=side: _tiles_along(v, s) > 1
    yield "networks after base weights again", lambda v: _tiles_along(v, "width") > 16
    yield "no differences of any tensor", _tensors(lambda e, d: not any(d), every=True)
    yield "no differences of one tensor", _tensors(lambda e, d: not any(d))
    for exponent in (0, 15):
        yield f"exponent {exponent}", _tensors(lambda e, d, end=exponent: any(d) and e == end)
    for difference in (-32767, 32767):
        yield f"difference {difference}", _tensors(lambda e, d, end=difference: end in d)
    yield "all grids coded", lambda v: any(all(map(_any, tile.grids)) for tile in _tiles(v))
    yield "no grid coded", lambda v: any(not any(map(_any, tile.grids)) for tile in _tiles(v))
    for level in (0, 3, 6):
        yield (
            f"grid {level} not coded beside others that are",
            lambda v, k=level: any(any(map(_any, t.grids)) and not _any(t.grids[k]) for t in _tiles(v)),
        )
    yield "escapes", lambda v: v.uses("onesided", 32, 13)
    for i in (0, 34):
        yield f"bin {i}", lambda v, i=i: any(entry[0] == "bin" and entry[-1] == i for entry in v.decoded)
    for symbol in (-4095, 4095):
        yield f"symbol {symbol}", lambda v, s=symbol: any(s in row for t in _tiles(v) for g in t.grids for row in g)
    for t in (-32, 40):
        yield f"scale t = {t}", lambda v, t=t: v.uses("bin", t)
    yield "zero bytes of payload", lambda v: not v.file.payload
    yield "a preview", lambda v: plain_file.preview(v.file) is not None
    yield "a preview of pixel format 4", lambda v: v.file.chunk(8) is not None and len(v.file.samples_fields) > 1
    yield "several previews", lambda v: [kind for kind, _ in v.file.chunks].count(8) > 1


def _presets(preset: int, priors: int) -> Iterator[tuple[str, Check]]:
    """Classes that each preset has."""

    def of(check: Check) -> Check:
        return lambda v: v.file.fields["preset"] == preset and check(v)

    for number in range(priors):
        yield f"preset {preset}, prior {number}", of(lambda v, n=number: v.file.fields["prior"] == n)
        yield (
            f"preset {preset}, prior {number} as it is, C = 3",
            of(lambda v, n=number: v.file.fields["prior"] == n and v.file.channels == 3),
        )
    for channels in (1, 2, 3, 4, 5):
        yield f"preset {preset}, {channels} channels", of(lambda v, c=channels: v.file.channels == c)
    yield f"preset {preset}, tiles", of(lambda v: v.file.fields["tile"] > 0 and v.file.width > 256)
    yield f"preset {preset}, one pixel", of(lambda v: v.file.width == v.file.height == 1)
    yield (
        f"preset {preset}, a grid not coded between others",
        of(lambda v: any(re.search("CN+C", _coded(t)) for t in _tiles(v))),
    )
    yield f"preset {preset}, escapes", of(lambda v: v.uses("onesided", 32, 13))
    yield (
        f"preset {preset}, symbols at both ends",
        of(lambda v: any({-4095, 4095} <= {s for g in t.grids for row in g for s in row} for t in _tiles(v))),
    )
    yield f"preset {preset}, all grids coded", of(lambda v: any(all(map(_any, t.grids)) for t in _tiles(v)))


def _coded(tile: plain_pyramid.Pyramid) -> str:
    """A letter for each grid, finest first: C for one that is coded, N for one that is not."""
    return "".join("C" if _any(grid) else "N" for grid in tile.grids)


def _tiles_along(vector: Vector, side: str) -> int:
    """Tiles along a side of an image whose networks are chained; 0 of other images."""
    fields = vector.file.fields
    return fields["coding"] and -(-getattr(vector.file, side) // 2 ** fields["tile"])


def _tiles(vector: Vector) -> list[plain_pyramid.Pyramid]:
    return [] if name_of(vector.path) == SLOW else vector.pyramid.pyramids


def _any(grid: list[list[int]]) -> bool:
    return any(map(any, grid))


def _tensors(check: Callable[[int, list[int]], bool], every: bool = False) -> Check:
    """Whether some tensor of a tile, or every one, passes the check of its exponent and differences."""
    over = all if every else any
    return lambda v: any(over(check(*difference) for difference in tile.differences.values()) for tile in _tiles(v))


CLASSES: dict[str, tuple[int, Check]] = {
    **{f"siren: {text}": (0, check) for text, check in [*_both(), *_siren()]},
    **{f"pyramid: {text}": (1, check) for text, check in [*_both(), *_pyramid()]},
}
VECTORS = [Vector(path) for path in PATHS]


def covering(text: str) -> list[str]:
    """Names of the vectors of a class."""
    model, check = CLASSES[text]
    return [name_of(v.path) for v in VECTORS if v.file.model == model and check(v)]


if __name__ == "__main__":
    for text in CLASSES:
        print(f"{text}: {', '.join(covering(text)) or '-'}")
