"""Whether memory grows: many small images of all modes and networks, encoded one after another in one process.

Prints the resident memory after each image. Ends with status 1 when it grows by more than --limit megabytes over what
the first three images took, which share one small network. Linux only: it reads /proc.
"""

import argparse
import gc
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from common import machine
from PIL import Image

import pillow_inr

FIRST = 3
MODES = ("RGB", "L", "RGBA", "F", "LA", "I;16")
WIDTHS = (6, 8, 10, 12, 16, 20, 24, 32)
DEPTHS = (1, 2, 3, 4)
# One image in this many is a pyramid.
PYRAMID_EVERY = 4


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=60)
    parser.add_argument("--limit", type=float, default=500, help="megabytes of growth that are accepted")
    arguments = parser.parse_args()
    print(machine())
    random = np.random.default_rng(0)
    taken = []
    for index in range(arguments.images):
        image, options = picture(index, random), network(index, random)
        started = time.perf_counter(), time.process_time()
        data = pillow_inr.encode(image, **options)
        wall, cpu = time.perf_counter() - started[0], time.process_time() - started[1]
        taken.append(resident_megabytes())
        what = f"{image.mode:5} {image.width:3}x{image.height:<3} {described(options):14}"
        cost = f"{wall:5.1f} s, CPU {cpu:5.1f} s, resident {taken[-1]:5.0f} MB"
        print(f"{index + 1:3} {what} {len(data):5} bytes {cost}", flush=True)
    growth = max(taken) - max(taken[:FIRST])
    print(f"CPU in all {time.process_time():.0f} s; growth over the first {FIRST} images {growth:.0f} MB", end="")
    print(f" (limit {arguments.limit:.0f} MB)")
    return int(growth > arguments.limit)


def picture(index: int, random: np.random.Generator) -> Image.Image:
    """A smooth drawing of a random mode and size."""
    mode, (width, height) = str(random.choice(MODES)), (int(side) for side in random.integers(8, 200, 2))
    if index < FIRST:
        mode, (width, height) = "RGB", (64, 48)
    down, across = np.mgrid[:height, :width] / random.uniform(5, 30)
    planes = [np.sin(down), np.cos(across), np.sin(down + across), np.cos(down - across)]
    unit = np.float32(0.5 + 0.4 * np.stack(planes, axis=2))
    if mode == "F":
        return Image.fromarray(unit[..., 0])
    if mode == "I;16":
        return Image.fromarray((unit[..., 0] * 65535).astype(np.uint16))
    bands = len(mode)
    return Image.fromarray(np.rint(255 * unit[..., :bands]).astype(np.uint8).squeeze(), mode)


def network(index: int, random: np.random.Generator) -> dict[str, Any]:
    """Options of a short fit."""
    if index % PYRAMID_EVERY == PYRAMID_EVERY - 1:
        return {"model": "pyramid", "steps": 20}
    width, depth = int(random.choice(WIDTHS)), int(random.choice(DEPTHS))
    if index < FIRST:
        width, depth = 8, 2
    return {"model": "siren", "width": width, "depth": depth, "steps": 20}


def described(options: dict[str, Any]) -> str:
    return "pyramid" if options["model"] == "pyramid" else f"siren {options['width']}x{options['depth']}"


def resident_megabytes() -> float:
    gc.collect()
    fields = Path("/proc/self/status").read_text().split()
    return int(fields[fields.index("VmRSS:") + 1]) / 1024


if __name__ == "__main__":
    sys.exit(main())
