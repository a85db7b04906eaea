"""Makes the conformance vectors at the edges of docs/format.md: `python -m tests.vectors.make_edges`.

Run it from the repository. The symbols are drawn, not fitted. Vectors are frozen: every later release must decode them,
so this makes those that are missing and touches no other. Each is drawn again, from the next seed, until no sample lies
near a tie of rounding: its pixels are the same on every machine. `SHA256SUMS` lists all vectors, by name; a new one
needs a line (`sha256sum`).
"""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import pillow_inr
from pillow_inr.entropy.quantization import step_index
from pillow_inr.format.header import Header
from pillow_inr.format.metadata import Metadata, psnr_chunk
from pillow_inr.imaging import transparency
from pillow_inr.models.pyramid import latent_coding, structure
from pillow_inr.models.pyramid.latent_coding import WeightResidual
from pillow_inr.models.siren import initialization
from pillow_inr.models.siren.architecture import Architecture
from pillow_inr.models.siren.weight_coding import CodedTensor, encode_tensors
from tests.support import any_choice, coding0, container, plain_decoder, plain_pyramid
from tests.support.container import Chunk, SampleFormat
from tests.support.pyramids import draw_grids, draw_weight_residuals, header_of, joined
from tests.vectors.inventory import BASE_WEIGHTS

FOLDER = Path(__file__).parent
# Least distance of every sample from a tie of rounding.
MARGIN = 0.004
FOURIER = {"encoding": container.ENCODING_FOURIER}

Draw = Callable[[np.random.Generator], bytes]


def samples(dtype: str, channels: int, *ranges: tuple[float, float]) -> dict[str, Any]:
    """Header fields of pixel format 4."""
    return {"pixel_format": 4, "samples": SampleFormat(dtype, channels, ranges)}


def pack(header: Header[Any], payload: bytes, chunks: Sequence[Chunk] = ()) -> bytes:
    packed = container.pack_chunks(chunks)
    return container.pack(replace(header, payload_bytes=len(payload), chunks_bytes=len(packed)), payload, packed)


def tensors_of(rng: np.random.Generator, architecture: Architecture, sparse: float = 0.0) -> list[CodedTensor]:
    """Weights of a moderate network: sines of a few periods, outputs around the middle of the range."""
    tensors = []
    shapes = architecture.shapes
    for position, shape in enumerate(shapes):
        inputs, last = (shape[0] if len(shape) == 2 else shapes[position - 1][0]), position >= len(shapes) - 2
        deviation = {0: 0.4 / inputs, 1: 0.05}.get(position, (1 / inputs) ** 0.5 / (3 if last else 25))
        weights = rng.normal(0.5 if last and len(shape) == 1 else 0.0, deviation, shape)
        step = deviation / float(rng.uniform(2, 12))
        symbols = np.rint(weights / step) * (rng.random(shape) >= sparse)
        tensors.append(CodedTensor(symbols.astype(np.int32), step_index(step)))
    return tensors


def siren(
    size: tuple[int, int],
    *,
    chunks: Sequence[Chunk] = (),
    change: Callable[[list[CodedTensor]], object] = lambda tensors: None,
    sparse: float = 0.0,
    any_choices: bool = False,
    **fields: Any,
) -> Draw:
    """A SIREN. `change` may alter its tensors; with `any_choices` its parameters are random, not the writer's."""
    header = container.header(
        size=size, payload_bytes=0, chunks_bytes=0, **{"pixel_format": 2, "width": 5, "depth": 2, **fields}
    )

    def draw(rng: np.random.Generator) -> bytes:
        tensors = tensors_of(rng, header.model.architecture(header.channels), sparse)
        change(tensors)
        if any_choices:
            return pack(header, any_choice.encode_tensors(rng, tensors, header.model.coding), chunks)
        return pack(header, (encode_tensors if header.model.coding else coding0.encode_tensors)(tensors), chunks)

    return draw


def sorted_biases(tensors: list[CodedTensor]) -> None:
    for position in range(1, len(tensors) - 2, 2):
        tensors[position] = replace(tensors[position], symbols=np.sort(np.abs(tensors[position].symbols)))


def no_high_frequencies(tensors: list[CodedTensor]) -> None:
    """Zero the weights of frequencies so high that double precision does not determine their sines."""
    frequencies = (len(tensors[0].symbols) - 2) // 4
    rows = np.arange(len(tensors[0].symbols)) % (1 + 2 * frequencies)
    tensors[0].symbols[(rows - 1) % frequencies * (rows > 0) > 5] = 0


def largest(tensors: list[CodedTensor]) -> None:
    """Symbols and step indices at both ends, tensors that are all zero, biases whose differences sum up to 32767."""
    tensors[0] = CodedTensor(np.resize([32767, -32767, 0], tensors[0].symbols.shape).astype(np.int32), 60)
    units = len(tensors[1].symbols)
    tensors[1] = CodedTensor(np.linspace(0, 32767, units).astype(np.int32), 40)
    tensors[2] = CodedTensor(np.zeros_like(tensors[2].symbols), 255)
    tensors[3] = CodedTensor(np.resize([32767, -32767], units).astype(np.int32), 0)
    tensors[-1] = CodedTensor(np.array([1, -1, 0], np.int32), 255)


def differences(init: initialization.Initialization, which: Sequence[int]) -> Sequence[Chunk]:
    flags = [position in which for position in range(len(init.weights))]
    return [Chunk(1, initialization.pack_reference(init.identity, flags), required=True)]


def small_init() -> initialization.Initialization:
    return initialization.load(FOLDER / "inits" / "small.npz")


def plain_init() -> initialization.Initialization:
    """An initialization for plain coordinates with two bytes of flags; its file is float32, which readers round."""
    architecture = Architecture(width=3, depth=7, channels=1, frequencies=0, frequency_ratio=100)
    path = FOLDER / "inits" / "plain.npz"
    if not path.exists():
        rng = np.random.default_rng(1)
        numbers = (3, 7, 1, 0, 100)
        names = [f"{kind}_{layer}" for layer in range(1, 9) for kind in ("kernel", "bias")]
        drawn = [rng.normal(0, 0.1, shape).astype(np.float32) for shape in architecture.shapes]
        arrays: dict[str, Any] = dict(zip(names, drawn, strict=True))
        np.savez_compressed(path, architecture=np.array(numbers, "<i8"), **arrays)
    return initialization.load(path)


def all_chunks(inner: bytes) -> list[Chunk]:
    """Every known kind but the initialization, unknown kinds, and several chunks of one kind."""
    described = Metadata(
        exif=b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0",
        icc_profile=b"profile",
        xmp=b"<x/>",
        comment=b"one",
        dpi=(72.0, 0.5),
    )
    return [
        Chunk(9, b""),
        Chunk(127, bytes(range(200))),
        *described.to_chunks(),
        Chunk(5, zlib.compress(b"two")),
        Chunk(6, b"what counts came before"),
        psnr_chunk(float("inf")),
        Chunk(7, b""),
        Chunk(container.CHUNK_PREVIEW, inner),
        Chunk(9, b"again"),
        Chunk(container.CHUNK_PREVIEW, b"what counts came before"),
    ]


def holes(rows: int, columns: int) -> list[Chunk]:
    """A transparent disc whose right part has stripes: rows with as many changes as the one above, and with others."""
    y, x = np.mgrid[:rows, :columns]
    disc = (y - rows / 2) ** 2 + (x - columns / 3) ** 2 < rows**2 / 5
    return [transparency.to_chunk(disc | (x % 4 == 3) & (y > rows // 2))]


def moderate_residuals(rng: np.random.Generator, preset: int, channels: int) -> dict[str, WeightResidual]:
    """Weight residuals that still leave an image: small ones, and none for some tensors."""
    drawn = draw_weight_residuals(rng, channels, preset=preset)
    return {
        name: WeightResidual(residual.exponent, residual.symbols * int(rng.integers(3) > 0))
        if name[0] == "a"
        else WeightResidual(int(rng.integers(3)), residual.symbols)
        for name, residual in drawn.items()
    }


def no_residuals(rng: np.random.Generator, preset: int, channels: int) -> dict[str, WeightResidual]:
    return latent_coding.no_residuals(preset, channels)


def limit_residuals(rng: np.random.Generator, preset: int, channels: int) -> dict[str, WeightResidual]:
    """Exponents and magnitudes of 15, and integers one below their limits."""
    weight_residuals = moderate_residuals(rng, preset, channels)
    base = structure.base_weights(preset, 1, channels)
    weight_residuals["a2"] = WeightResidual(0, np.resize([32767, -32767], base["a2"].shape).astype(np.int32))
    weight_residuals["a1b"] = WeightResidual(15, np.resize([1, -1, 0], base["a1b"].shape).astype(np.int32))
    ends = np.zeros(base["a3b"].shape, np.int32)
    # With the exponents 6 and 10 most base integers cannot reach 2^20 - 1 and 2^24 - 1: take the nearest value below.
    ends[0] = (2**20 - 1 - base["a3b"][0]) // 64
    weight_residuals["a3b"] = WeightResidual(6, ends)
    bias = np.zeros(base["r1b"].shape, np.int32)
    bias[0] = (2**24 - 1 - base["r1b"][0]) // 1024
    weight_residuals["r1b"] = WeightResidual(10, bias)
    return weight_residuals


def drawn_pyramid(
    size: tuple[int, int],
    *,
    spread: float = 1.5,
    coded: Sequence[int] = range(7),
    weight_residuals: Callable[[np.random.Generator, int, int], dict[str, WeightResidual]] = moderate_residuals,
    largest: bool = False,
    chunks: Sequence[Chunk] = (),
    **fields: Any,
) -> Draw:
    """A pyramid whose grids outside `coded` are 0; with `largest`, its symbols are at both ends of the alphabet."""

    def draw(rng: np.random.Generator) -> bytes:
        header = header_of(size, **fields)
        preset = header.model.preset

        def stream(size: tuple[int, int], base: structure.Tensors) -> bytes:
            grids = [grid * (level in coded) for level, grid in enumerate(draw_grids(rng, size, spread))]
            if largest:
                grids = [rng.choice(np.array([-4095, 4095, 0], np.int32), grid.shape) for grid in grids]
            return latent_coding.encode(preset, base, weight_residuals(rng, preset, header.channels), grids)

        return pack(header, joined(header, stream), chunks)

    return draw


def nothing_at_all(rng: np.random.Generator) -> bytes:
    """Zero bytes of payload: words beyond the end are 0, and so is every symbol."""
    return pack(header_of((5, 4)), b"")


def sirens() -> dict[str, Draw]:
    one, wide = {"width": 1, "depth": 1}, {"width": 1024, "depth": 1}
    bands = tuple((-(2.0**index), 2.0**index) for index in range(3))
    far = ((70000.0, 70009.0), (-2147483648.0, -2147418113.0), (0.0, 0.0))
    chunks = all_chunks(b"of a SIREN: skipped")
    deep = {"width": 3, "depth": 15}
    plain = {"width": 3, "depth": 7, "pixel_format": 0}
    small = {**FOURIER, "width": 6, "depth": 2, "frequencies": 4, "frequency_ratio": 150}
    return {
        "pixel": siren((1, 1), pixel_format=0, **one),
        "row": siren((300, 1), frequencies=1, frequency_ratio=100, **FOURIER, **one),
        "column": siren(
            (1, 140), pixel_format=1, frequencies=32, frequency_ratio=355, change=no_high_frequencies, **FOURIER
        ),
        "one_frequency": siren((6, 9), frequencies=32, frequency_ratio=100, **FOURIER),
        "deep": siren((6, 5), pixel_format=3, change=sorted_biases, **deep),
        "deep_coding0": siren((5, 6), coding=0, **samples("uint8", 3, (3.0, 200.0), (0.0, 255.0), (9.0, 9.0)), **deep),
        "wide": siren((4, 2), pixel_format=0, sparse=0.9, **wide),
        "grey_alpha_coding1": siren((9, 11), pixel_format=1, frequencies=5, frequency_ratio=170, **FOURIER),
        "choices": siren((7, 6), depth=6, width=9, frequencies=4, frequency_ratio=140, any_choices=True, **FOURIER),
        "choices_sorted": siren((6, 7), depth=6, width=9, change=sorted_biases, any_choices=True),
        "choices_coding0": siren((7, 5), depth=4, coding=0, any_choices=True),
        "largest": siren((5, 4), width=7, change=largest),
        "largest_coding0": siren((4, 5), width=7, coding=0, change=largest),
        "uint8_plane": siren((8, 5), **samples("uint8", 0, (10.0, 250.0))),
        "uint8_one": siren((8, 5), **samples("uint8", 1, (0.0, 255.0))),
        "uint8_four": siren((5, 5), **samples("uint8", 4, (0.0, 200.0))),
        "uint16_pair": siren((6, 5), **samples("uint16", 2, (0.0, 65535.0), (700.0, 700.0))),
        "uint16_64": siren((2, 2), **samples("uint16", 64, (100.0, 900.0))),
        "uint16_coding0": siren((5, 3), coding=0, **samples("uint16", 3, (0.0, 65535.0))),
        "float_plane": siren((7, 6), **samples("float32", 0, (-1.0, 1.5))),
        "float_one": siren((7, 6), **samples("float32", 1, (0.0, 0.0))),
        "float_bands": siren((5, 6), **samples("float32", 3, *bands)),
        "float_four": siren((3, 4), **samples("float32", 4, (-3.4028234663852886e38, 3.4028234663852886e38))),
        "float_64": siren((3, 2), **samples("float32", 64, *((-float(index), 1.0) for index in range(64)))),
        "difference_coding1": siren((9, 8), chunks=differences(small_init(), range(6)), **small),
        "difference_last": siren((7, 8), chunks=differences(small_init(), [5]), **small),
        "difference_plain": siren((6, 9), chunks=differences(plain_init(), [0, 3, 8, 14]), **plain),
        "chunks": siren((8, 8), chunks=chunks),
        "int8_plane": siren((8, 7), **samples("int8", 0, (-128.0, 127.0))),
        "int16_plane": siren((9, 7), **samples("int16", 0, (-1024.0, 3071.0))),
        "int32_bands": siren((6, 7), **samples("int32", 3, *far)),
        "uint32_one": siren((7, 6), **samples("uint32", 1, (4294901760.0, 4294967295.0))),
        "transparent": siren((11, 9), pixel_format=3, chunks=holes(9, 11)),
        "transparent_grey": siren((1, 6), pixel_format=1, chunks=holes(6, 1)),
        "transparent_16": siren((9, 8), chunks=holes(8, 9), **samples("uint16", 2, (0.0, 65535.0))),
        "chunks_1024": siren((4, 4), chunks=[Chunk(10 + index % 118, b"") for index in range(1024)], **one),
    }


def pyramids() -> dict[str, Draw]:
    bands = tuple((-float(index), 10.0**index) for index in range(4))
    inner = drawn_pyramid((4, 3), **samples("uint8", 1, (5.0, 250.0)))(np.random.default_rng(7))
    chunks = all_chunks(inner)
    return {
        "pixel": drawn_pyramid((1, 1)),
        "row": drawn_pyramid((140, 1), pixel_format=3),
        "column": drawn_pyramid((1, 40), pixel_format=1, base_index=1),
        "grey_alpha": drawn_pyramid((9, 7), pixel_format=1, base_index=3),
        "nothing": nothing_at_all,
        "nothing_coded": drawn_pyramid((5, 4), weight_residuals=no_residuals, coded=()),
        "prior": drawn_pyramid((12, 10), base_index=3, weight_residuals=no_residuals),
        "some_grids": drawn_pyramid((14, 9), coded=(1, 4, 5)),
        "finest_grid": drawn_pyramid((6, 9), coded=(0,), base_index=1),
        "escapes": drawn_pyramid((9, 6), spread=60.0),
        "largest": drawn_pyramid((5, 7), largest=True, base_index=2),
        "limits": drawn_pyramid((6, 5), weight_residuals=limit_residuals, base_index=1),
        "tiles_9": drawn_pyramid((514, 1), tile=9, pixel_format=0),
        "tiles_10": drawn_pyramid((7, 5), tile=10),
        "tiles_11": drawn_pyramid((5, 7), tile=11, base_index=1),
        "tiles_12": drawn_pyramid((8, 5), tile=12, base_index=3),
        "chained_across": drawn_pyramid(
            (514, 2), tile=8, coding=1, base_index=2, **samples("uint16", 3, (0.0, 4095.0))
        ),
        "chained_down": drawn_pyramid((1, 514), tile=8, coding=1, preset=1, **samples("uint16", 1, (0.0, 999.0))),
        "chained_anew": drawn_pyramid((4098, 1), tile=8, coding=1, **samples("float32", 0, (0.0, 1.0))),
        "tiles_down": drawn_pyramid((3, 257), tile=8, **samples("uint16", 2, (0.0, 65535.0))),
        "uint8_plane": drawn_pyramid((7, 5), **samples("uint8", 0, (10.0, 250.0))),
        "uint8_three": drawn_pyramid((5, 5), base_index=1, **samples("uint8", 3, (0.0, 9.0), (7.0, 7.0), (0.0, 255.0))),
        "uint16_pair": drawn_pyramid((5, 6), **samples("uint16", 2, (0.0, 65535.0), (700.0, 700.0))),
        "uint16_four": drawn_pyramid((6, 5), base_index=2, **samples("uint16", 4, (0.0, 4095.0))),
        "float_plane": drawn_pyramid((7, 6), **samples("float32", 0, (-1.0, 1.5))),
        "float_one": drawn_pyramid((6, 6), base_index=3, **samples("float32", 1, (0.25, 0.25))),
        "float_four": drawn_pyramid((4, 5), **samples("float32", 4, *bands)),
        "float_64": drawn_pyramid((2, 1), weight_residuals=no_residuals, **samples("float32", 64, (0.0, 1.0))),
        "int8_four": drawn_pyramid((5, 4), **samples("int8", 4, (-100.0, 100.0))),
        "int16_plane": drawn_pyramid((9, 7), base_index=1, **samples("int16", 0, (-1024.0, 3071.0))),
        "int32_one": drawn_pyramid((6, 7), **samples("int32", 1, (-2147483648.0, -2147418113.0))),
        "uint32_bands": drawn_pyramid(
            (6, 5), base_index=2, **samples("uint32", 3, (4294900000.0, 4294960000.0), (0.0, 9.0), (0.0, 9.0))
        ),
        "transparent": drawn_pyramid((13, 10), pixel_format=3, chunks=holes(10, 13)),
        "transparent_tiles": drawn_pyramid(
            (259, 5), tile=8, chunks=holes(5, 259), **samples("uint16", 2, (0.0, 65535.0))
        ),
        "chunks": drawn_pyramid((11, 8), chunks=chunks, **samples("uint8", 1, (5.0, 250.0))),
        **pyramids_of_preset_1(),
    }


def pyramids_of_preset_1() -> dict[str, Draw]:
    """Each set of its base weights, as it is and with residuals; and what differs from preset 0: edges, limits."""
    as_they_are = {
        f"one_prior_{index}": drawn_pyramid(
            (11, 9), preset=1, base_index=index, weight_residuals=no_residuals, spread=1.5 * 2.0 ** max(0, index - 3)
        )
        for index in range(7)
    }
    return {
        **as_they_are,
        "one_pixel": drawn_pyramid((1, 1), preset=1),
        "one_row": drawn_pyramid((135, 1), preset=1, base_index=4, pixel_format=3),
        "one_column": drawn_pyramid((1, 37), preset=1, base_index=5, pixel_format=1),
        "one_grey": drawn_pyramid((19, 14), preset=1, base_index=2, pixel_format=0),
        "one_rgb": drawn_pyramid((16, 9), preset=1, base_index=2),
        "one_wide": drawn_pyramid((70, 67), preset=1, base_index=2, **samples("float32", 3, (0.0, 1.0))),
        "one_rgba": drawn_pyramid((9, 8), preset=1, base_index=3, pixel_format=3),
        "one_bands": drawn_pyramid((6, 5), preset=1, **samples("float32", 5, *((-1.0, float(n)) for n in range(5)))),
        "one_uint16": drawn_pyramid(
            (13, 8), preset=1, base_index=6, spread=20.0, **samples("uint16", 0, (0.0, 65535.0))
        ),
        "one_some_grids": drawn_pyramid((18, 11), preset=1, base_index=1, coded=(0, 2, 6)),
        "one_nothing_coded": drawn_pyramid((5, 4), preset=1, weight_residuals=no_residuals, coded=()),
        "one_escapes": drawn_pyramid((9, 6), preset=1, base_index=3, spread=60.0),
        "one_largest": drawn_pyramid((5, 7), preset=1, base_index=2, largest=True),
        "one_limits": drawn_pyramid((6, 5), preset=1, base_index=1, weight_residuals=limit_residuals),
        "one_tiles": drawn_pyramid((259, 4), preset=1, base_index=2, tile=8, **samples("uint16", 2, (0.0, 65535.0))),
    }


def far_from_ties(decoded: plain_decoder.Decoded | plain_pyramid.Decoded) -> bool:
    file = decoded.file
    if file.code != "B":  # the rule of section 5 leaves room for them
        return True
    low, high = np.array(file.ranges).T
    exact = low + np.clip(np.array(decoded.values), 0, 1) * (high - low)
    return bool((np.abs(exact - np.floor(exact) - 0.5) >= MARGIN).all())


def settled(name: str, draw: Draw, decode: Callable[[bytes], Any]) -> tuple[bytes, Any]:
    """The first drawn file that has no sample near a tie."""
    for seed in count(zlib.crc32(name.encode())):
        data = draw(np.random.default_rng(seed))
        decoded = decode(data)
        if far_from_ties(decoded):
            return data, decoded
    raise AssertionError


def write(path: Path, data: bytes, arrays: dict[str, NDArray[Any]]) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    np.savez_compressed(path.with_suffix(".npz"), **arrays)
    print(f"{path}: {len(data)} bytes")


def main() -> None:
    inits = [plain_init(), small_init()]
    for init in inits:
        pillow_inr.register_initialization(init)
    plain_inits = [plain_decoder.load_initialization(path.read_bytes()) for path in (FOLDER / "inits").glob("*.npz")]
    for name, draw in sirens().items():
        path = FOLDER / "siren" / f"{name}.inr"
        if path.exists():
            continue
        data, decoded = settled(name, draw, lambda data: plain_decoder.decode(data, plain_inits))
        arrays = {
            "pixels": pillow_inr.decode(data),
            "step_indices": np.array([step for step, _ in decoded.tensors]),
            "symbols": np.concatenate([symbols for _, symbols in decoded.tensors]).astype(np.int32),
        }
        write(path, data, arrays)
    for name, draw in pyramids().items():
        path = FOLDER / "pyramid" / f"{name}.inr"
        if path.exists():
            continue
        data, decoded = settled(name, draw, lambda data: plain_pyramid.decode(data, BASE_WEIGHTS))
        tensors = [values for tile in decoded.pyramids for values in tile.tensors.values()]
        grids = [row for tile in decoded.pyramids for grid in tile.grids for row in grid]
        arrays = {
            "pixels": pillow_inr.decode(data),
            "tensors": np.concatenate(tensors).astype(np.int64),
            "symbols": np.concatenate(grids).astype(np.int32),
        }
        small = plain_pyramid.preview(data, BASE_WEIGHTS)
        if small:
            arrays["preview"] = pillow_inr.decode(data, size=(small.file.width, small.file.height))
        write(path, data, arrays)


if __name__ == "__main__":
    main()
