"""Small hostile files: time and memory that `Image.open` and `load` take until they refuse them.

    python -m tests.safety.hostile --files 20000

Files of 60 bytes whose headers ask for as much as a header can, whose checksums are right, and whose payloads go on as
long as possible before anything is wrong with them: beginnings of what a writer makes, random bytes, and both after
flips. A file that is in order is no finding, however long it takes: `pillow_inr.limits` bounds that.
"""

import argparse
import io
import random
import sys
import time
import tracemalloc
import warnings
from collections.abc import Iterator
from typing import NamedTuple
from unittest.mock import Mock

import numpy as np
from PIL import Image, UnidentifiedImageError

from pillow_inr.entropy.distributions import generalized_normal, laplace, uniform
from pillow_inr.entropy.range_coder import Encoder
from pillow_inr.models.pyramid import latent_coding, structure
from pillow_inr.models.pyramid.tiles import Tiles
from pillow_inr.models.siren import model as siren_model
from pillow_inr.models.siren import mosaic_coding, weight_coding
from pillow_inr.models.siren.architecture import Architecture
from pillow_inr.models.siren.weight_coding import CodedTensor
from tests.support import container

FILE_BYTES = 60
SECONDS_MAX = 0.05
BYTES_MAX = 50e6
# Sides of images: lines, the largest that are one pyramid, what Pillow just allows.
SIZES = ((1, 1), (16, 16), (256, 192), (4096, 1), (1, 4096), (4096, 4096), (13000, 13000), (16777215, 10))


class Refusal(NamedTuple):
    seconds: float
    memory: int
    error: str


def files(count: int, seed: int) -> Iterator[bytes]:
    """Files of FILE_BYTES with valid headers and checksums."""
    rng = random.Random(seed)
    streams = [*siren_streams(), *pyramid_streams()]
    for _ in range(count):
        header, frame = _header(rng)
        room = FILE_BYTES - frame & ~3
        stream = bytearray(rng.choice(streams) if rng.random() < 0.8 else rng.randbytes(room))
        if header["model"] == container.MODEL_PYRAMID and header["tile"]:
            stream = bytearray(_tiled(rng, stream, room))
        payload = bytearray((bytes(stream) + bytes(room))[:room])
        for _ in range(rng.choice((0, 0, 1, 3))):
            payload[rng.randrange(room)] ^= 1 << rng.randrange(8)
        yield container.pack(container.header(**{**header, "payload_bytes": room}), bytes(payload))


def _header(rng: random.Random) -> tuple[dict[str, object], int]:
    """Random header fields, and the bytes that a file with them has besides the payload."""
    fields: dict[str, object] = {"size": rng.choice(SIZES), "pixel_format": rng.randrange(4), "chunks_bytes": 0}
    if rng.random() < 0.5:
        fields |= {"model": container.MODEL_SIREN, "width": rng.choice((1, 64, 1024)), "depth": rng.choice((1, 3, 15))}
        fields |= {"coding": rng.randrange(3)}
        if fields["coding"] == container.CODING_MOSAIC:
            fields |= {"networks": rng.choice((1, 2, 100, 1 << 20)), "taper": rng.choice((1, 75, 100))}
            fields |= {"overlap": rng.choice((0, 4, 64))}
        if rng.random() < 0.5:
            fields |= {
                "encoding": container.ENCODING_FOURIER,
                "frequencies": rng.choice((1, 32)),
                "frequency_ratio": 140,
            }
    else:
        large = max(fields["size"]) > 4096  # type: ignore[call-overload]
        tile = rng.choice((8, 12) if large else (0, 8, 12))
        fields |= {"model": container.MODEL_PYRAMID, "coding": 0, "base_index": rng.randrange(4), "tile": tile}
    frame = len(container.header(**fields, payload_bytes=36).pack()) + container.CRC_BYTES  # type: ignore[arg-type]
    return fields, frame


def _tiled(rng: random.Random, stream: bytes, room: int) -> bytes:
    """A table of a few tiles, followed by the given stream."""
    count = rng.randrange(1, room // 4)
    words = [0] * count
    for _ in range((room - 4 * count) // 4):
        words[rng.randrange(count)] += 1
    return b"".join(number.to_bytes(4, "little") for number in words) + stream


def siren_streams() -> Iterator[bytes]:
    """Beginnings of SIREN payloads that claim as many symbols and tables as a few bytes can."""
    for width, depth, frequencies, count in ((1024, 15, 0, 3), (1024, 15, 32, 3), (64, 3, 32, 4), (1, 1, 32, 3)):
        architecture = Architecture(
            width=width,
            depth=depth,
            channels=count,
            frequencies=frequencies,
            frequency_ratio=140 if frequencies else 100,
        )
        # All zero, which takes half a byte a tensor; the first weight alone is not, or the last.
        for place in (None, 0, -1):
            tensors = [CodedTensor(np.zeros(shape, np.int32), 144) for shape in architecture.shapes]
            if place is not None:
                tensors[place].symbols.flat[0] = 1
            yield weight_coding.encode_tensors(tensors)
    # A mosaic of as many parts as fit, and one of a few whose weights are all zero.
    flags = Encoder()
    for _ in range(280):
        flags.encode(1, uniform(2))
    yield flags.to_bytes()
    zeros = [CodedTensor(np.zeros(shape, np.int32), 144) for shape in ((2, 1), 1, (1, 1), 1)]
    yield mosaic_coding.encode_mosaic([True, False, False], [zeros] * 8)
    # Tables of the largest magnitude, another for each frequency.
    encoder = Encoder()
    encoder.encode(0, laplace(22, 8))
    encoder.encode(15, uniform(16))
    encoder.encode(20, laplace(22, 8))
    encoder.encode(1, uniform(5))
    for index in range(32):
        encoder.encode(1 - 2 * (index & 1), laplace(14, 6))
    encoder.encode(0, generalized_normal(44, 15, 1))
    yield encoder.to_bytes()


def pyramid_streams() -> Iterator[bytes]:
    """Beginnings of pyramid streams that hold nothing but zeros, in part coded."""
    zeros = latent_coding.no_residuals(0, 3)
    for size in ((16, 16), (256, 192), (1024, 1), (1024, 512)):
        for level in (None, *range(structure.LEVELS)):
            grids = [np.zeros(shape, np.int32) for shape in structure.grid_sizes(size)]
            if level is not None:
                for grid in grids[level:]:
                    grid[-1, -1] = 1
            yield latent_coding.encode(0, structure.base_weights(0, 0, 3), zeros, grids)


class NothingWrongError(Exception):
    """The file is valid, and its evaluation, which `pillow_inr.limits` bounds, would begin."""


def refusal(data: bytes) -> Refusal | None:
    """Time and memory until a file is refused; None if it is valid."""
    start = time.perf_counter()
    error = _error(data)
    seconds = time.perf_counter() - start
    if error is None:
        return None
    # Once more: counting memory makes it slower.
    tracemalloc.start()
    _error(data)
    memory = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return Refusal(seconds, memory, error)


def _error(data: bytes) -> str | None:
    try:
        with Image.open(io.BytesIO(data), formats=["INR"]) as image:
            image.load()
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        return str(error)
    except NothingWrongError:
        pass
    return None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=20000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", Image.DecompressionBombWarning)
    slowest, largest, refused, valid = [], [], 0, 0
    siren_model.synthesize = Mock(side_effect=NothingWrongError)  # type: ignore[attr-defined]
    Tiles.values = Mock(side_effect=NothingWrongError)  # type: ignore[method-assign]
    for data in files(100, arguments.seed):  # imports and tables that stay
        _error(data)
    for data in files(arguments.files, arguments.seed):
        found = refusal(data)
        if found is None:
            valid += 1
            continue
        refused += 1
        slowest.append((found.seconds, found.error, data.hex()))
        largest.append((found.memory, found.error, data.hex()))
    slowest.sort(reverse=True)
    largest.sort(reverse=True)
    print(f"{arguments.files} files of at most {FILE_BYTES} bytes: {refused} refused, {valid} in order")
    print(f"slowest refusal {1e3 * slowest[0][0]:.1f} ms (99th percentile {1e3 * slowest[refused // 100][0]:.2f} ms)")
    print(f"most memory {largest[0][0] / 1e6:.1f} MB")
    for seconds, error, name in slowest[:3]:
        print(f"    {1e3 * seconds:.1f} ms: {error[:90]}\n      {name}")
    for memory, error, name in largest[:3]:
        print(f"    {memory / 1e6:.1f} MB: {error[:90]}\n      {name}")
    return int(slowest[0][0] > SECONDS_MAX or largest[0][0] > BYTES_MAX)


if __name__ == "__main__":
    sys.exit(main())
