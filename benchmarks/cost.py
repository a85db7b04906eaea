"""Memory and work that headers announce (`pillow_inr.cost`), beside the memory and seconds that decoding takes.

Files are made without a fit: networks of random weights and latent grids of random symbols. Each is decoded in a
process of its own, whose memory is read from the system. The first row is an ordinary file; later ones approach the
limits and, with --limits, reach them (15 minutes on four cores). Exits with 1 if a file takes more memory than
announced, or more than SLACK times the seconds per unit of work of the first file of its model.
"""

import argparse
import json
import math
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from common import machine

from pillow_inr import cost
from pillow_inr.format import file
from pillow_inr.format.header import Header, M
from pillow_inr.format.pixel_format import MODES, PIXEL_FORMAT_SAMPLES, SampleFormat
from pillow_inr.models import reader
from pillow_inr.models.pyramid import latent_coding, structure, tiles
from pillow_inr.models.pyramid.header import PyramidHeader
from pillow_inr.models.pyramid.plan import PRESET
from pillow_inr.models.siren import mosaic_coding, weight_coding
from pillow_inr.models.siren.division import Region, divided
from pillow_inr.models.siren.header import CODING_MOSAIC, SirenHeader
from pillow_inr.models.siren.weight_coding import CodedTensor

PIXEL_FORMAT_RGB = MODES.index("RGB")
SLACK = 5

CHILD = """
import json, sys, time
import numpy, constriction, pillow_inr
from PIL import Image
import pillow_inr.models.pyramid.model, pillow_inr.models.siren.model
def peak():
    for line in open("/proc/self/status"):
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
Image.MAX_IMAGE_PIXELS = None
data = open(sys.argv[1], "rb").read()
before = peak()
start = time.perf_counter()
pillow_inr.decode(data)
print(json.dumps({"seconds": time.perf_counter() - start, "memory": peak() - before}))
"""


def siren(size: tuple[int, int], width: int, depth: int, samples: SampleFormat | None = None) -> bytes:
    """A SIREN file of random weights."""
    header = _header(size, SirenHeader(width=width, depth=depth, frequencies=12, frequency_ratio=140), samples)
    return _packed(header, weight_coding.encode_tensors(_network(header)))


def mosaic(size: tuple[int, int], width: int, depth: int, pixels: int, overlap: int) -> bytes:
    """A SIREN file of random weights with a network for each region of at most this many pixels."""
    splits: list[bool] = []

    def is_split(region: Region) -> bool:
        splits.append(math.prod(region.size) > pixels)
        return splits[-1]

    networks = len(divided(size, overlap, is_split))
    model = SirenHeader(width=width, depth=depth, taper=75, coding=CODING_MOSAIC, networks=networks, overlap=overlap)
    header = _header(size, model, None)
    # All networks are equal: drawing many takes long.
    return _packed(header, mosaic_coding.encode_mosaic(splits, networks * [_network(header)]))


def _network(header: Header[SirenHeader]) -> list[CodedTensor]:
    """The random weights of a network, the same in each call."""
    rng = np.random.default_rng(0)
    return [
        CodedTensor(np.rint(rng.laplace(size=shape, scale=3)).astype(np.int32), 160)
        for shape in header.model.architecture(header.channels).shapes
    ]


def drawn_pyramid(size: tuple[int, int], tile: int = 0, samples: SampleFormat | None = None) -> bytes:
    """A pyramid file of random symbols; all tiles of one size are equal."""
    header = _header(size, PyramidHeader(preset=PRESET, tile=tile), samples)
    unchanged = latent_coding.no_residuals(PRESET, header.channels)
    streams: dict[tuple[int, int], bytes] = {}
    table_bytes = 4 * math.prod(header.model.tiles(size)) if tile else 0
    parts = list(tiles.Tiles(replace(header, payload_bytes=table_bytes), bytes(table_bytes)).all())
    for part in parts:
        if part.size not in streams:
            rng = np.random.default_rng(0)
            grids = [np.rint(rng.laplace(size=shape)).astype(np.int32) for shape in structure.grid_sizes(part.size)]
            base = structure.base_weights(PRESET, 0, header.channels)
            streams[part.size] = latent_coding.encode(PRESET, base, unchanged, grids)
    return _packed(header, tiles.pack_streams(header.model, [streams[part.size] for part in parts]))


def _header(size: tuple[int, int], model: M, samples: SampleFormat | None) -> Header[M]:
    pixel_format = PIXEL_FORMAT_RGB if samples is None else PIXEL_FORMAT_SAMPLES
    return Header(size=size, pixel_format=pixel_format, samples=samples, model=model, payload_bytes=0, chunks_bytes=0)


def _packed(header: Header[Any], payload: bytes) -> bytes:
    return file.pack(replace(header, payload_bytes=len(payload)), payload)


def _floats(channels: int) -> SampleFormat:
    return SampleFormat("float32", channels, ((0.0, 1.0),))


FILES = {
    "siren 64x5, 768x512": lambda: siren((768, 512), 64, 5),
    "siren 8x1, 12000x8000": lambda: siren((12000, 8000), 8, 1),
    "siren 64x5, 3000x2000 float32 x 4": lambda: siren((3000, 2000), 64, 5, samples=_floats(4)),
    "siren 64x3, 500x400 float32 x 64": lambda: siren((500, 400), 64, 3, samples=_floats(64)),
    "siren 1024x15, 16x16": lambda: siren((16, 16), 1024, 15),
    "siren 1024x4, 300x200": lambda: siren((300, 200), 1024, 4),
    "mosaic 56x5, 768x512": lambda: mosaic((768, 512), 56, 5, pixels=60_000, overlap=4),
    "mosaic 4x1, 3000x2000": lambda: mosaic((3000, 2000), 4, 1, pixels=64, overlap=4),
    "pyramid, 768x512": lambda: drawn_pyramid((768, 512)),
    "pyramid, 4096x1": lambda: drawn_pyramid((4096, 1)),
    "pyramid, 2000x1000": lambda: drawn_pyramid((2000, 1000)),
    "pyramid, 300x200 float32 x 64": lambda: drawn_pyramid((300, 200), samples=_floats(64)),
    "pyramid, 6000x4000 in tiles of 1024": lambda: drawn_pyramid((6000, 4000), 10),
    "pyramid, 3000x2000 in tiles of 256": lambda: drawn_pyramid((3000, 2000), 8),
}
LIMITS = {
    "siren 1024x15, 1150x1150": lambda: siren((1150, 1150), 1024, 15),
    "mosaic 56x5, 13000x13000": lambda: mosaic((13000, 13000), 56, 5, pixels=1_000_000, overlap=4),
    "siren 4x1, 13000x13000 float32 x 4": lambda: siren((13000, 13000), 4, 1, samples=_floats(4)),
    "pyramid, 4096x4096": lambda: drawn_pyramid((4096, 4096)),
    "pyramid, 13000x13000 in tiles of 4096": lambda: drawn_pyramid((13000, 13000), 12),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--limits", action="store_true", help="also decode files at the limits")
    arguments = parser.parse_args()
    print(machine())
    print(f"{'file':38} {'bytes':>9} {'work':>8} {'seconds':>8} {'work/s':>8} {'announced':>9} {'taken':>8}")
    slowest: dict[str, float] = {}
    missed = 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file.inr"
        for name, make in (FILES | LIMITS if arguments.limits else FILES).items():
            data = make()
            path.write_bytes(data)
            announced = cost.of_file(reader.read_header(data))
            child = subprocess.run([sys.executable, "-c", CHILD, path], capture_output=True, text=True, check=True)
            taken = json.loads(child.stdout)
            speed = announced.work / taken["seconds"]
            least = slowest.setdefault(name.split()[0].rstrip(","), speed / SLACK)
            wrong = (speed < least) * " slow" + (taken["memory"] > announced.memory) * " memory"
            missed += bool(wrong)
            print(
                f"{name:38} {len(data):9,} {announced.work:8.1e} {taken['seconds']:8.2f} {speed:8.1e} "
                f"{announced.memory / 1e6:6.0f} MB {taken['memory'] / 1e6:5.0f} MB{wrong}",
                flush=True,
            )
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
