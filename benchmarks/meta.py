"""Gain of a learned initialization: PSNR over steps, seconds and bytes, with it and without.

    python benchmarks/meta.py INIT.npz IMAGE... [--steps 60,100,200,400,1000,3000]

Every fit is a whole file at the default quality; one of two steps before them compiles. Times are of the fit alone.
"""

import io
import math
import statistics
import time
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import click
from common import machine
from PIL import Image

import pillow_inr
from pillow_inr.models import reader
from pillow_inr.models.siren import initialization
from pillow_inr.models.siren.initialization import Initialization

# Photographs gain about this much at twice the rate (docs/experiments.md); it converts bytes to decibels.
DB_PER_DOUBLING = 3.0


class Point(NamedTuple):
    psnr_db: float
    file_bytes: int
    seconds: float
    differences: int
    """Number of tensors stored as residuals of the initialization."""


def encode(image: Image.Image, steps: int, init: Initialization, with_it: bool) -> Point:
    started = time.perf_counter()
    network = init.architecture
    options = {"init": init} if with_it else {"width": network.width, "depth": network.depth}
    data = pillow_inr.encode(image, steps=steps, **options)
    seconds = time.perf_counter() - started
    psnr = Image.open(io.BytesIO(data)).info["psnr"]
    chunks = reader.read_file(data).chunks
    flags = [initialization.read_reference(chunk.data, len(init.weights))[1] for chunk in chunks if chunk.required]
    return Point(psnr, len(data), seconds, sum(map(sum, flags)))


def gain_db(plain: Point, ahead: Point) -> float:
    """Approximate gain in decibels at equal bytes."""
    return ahead.psnr_db - plain.psnr_db - DB_PER_DOUBLING * math.log2(ahead.file_bytes / plain.file_bytes)


@click.command()
@click.argument("init", type=click.Path(path_type=Path, exists=True))
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@click.option("--steps", default="60,100,200,400,1000,3000", show_default=True)
def main(init: Path, images: tuple[Path, ...], steps: str) -> None:
    """Print the curve with and without the initialization INIT on IMAGES."""
    learned = pillow_inr.register_initialization(init)
    print(machine())
    print(f"initialization {learned.identity.hex()}, {learned.architecture}\n")
    print("| image | steps | without: dB, bytes, s | with: dB, bytes, s | differences | gain at equal bytes, dB |")
    print("|---|---|---|---|---|---|")
    gains: dict[int, list[float]] = defaultdict(list)
    for path in images:
        image = Image.open(path).convert("RGB")
        encode(image, 2, learned, with_it=True)
        for count in map(int, steps.split(",")):
            plain, ahead = (encode(image, count, learned, with_it) for with_it in (False, True))
            gains[count].append(gain_db(plain, ahead))
            cells = [f"{p.psnr_db:.2f}, {p.file_bytes}, {p.seconds:.1f}" for p in (plain, ahead)]
            last = f"{ahead.differences} of {len(learned.weights)} | {gains[count][-1]:+.2f}"
            print(f"| {path.stem} | {count} | {' | '.join(cells)} | {last} |", flush=True)
    print("\nmean gain: " + ", ".join(f"{count} steps {statistics.mean(own):+.2f}" for count, own in gains.items()))


if __name__ == "__main__":
    main()
