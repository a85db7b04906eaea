"""Core-seconds a megapixel of a pyramid's efforts: CPU time of encodes of the middle of a photograph, after compiling.

python benchmarks/efforts.py PHOTOGRAPH --efforts 0 1 2 3 4
"""

import argparse
import time
from pathlib import Path

from common import machine, rgb_image, table

import pillow_inr

SIDE = 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photograph", type=Path, help=f"of {SIDE}x{SIDE} or more")
    parser.add_argument("--efforts", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    arguments = parser.parse_args()
    print(machine())
    image = rgb_image(arguments.photograph)
    left, top = (image.width - SIDE) // 2, (image.height - SIDE) // 2
    image = image.crop((left, top, left + SIDE, top + SIDE))
    pillow_inr.encode(image.crop((0, 0, 256, 256)), model="pyramid", steps=4)
    rows = []
    for effort in arguments.efforts:
        began, began_cpu = time.perf_counter(), time.process_time()
        data = pillow_inr.encode(image, model="pyramid", effort=effort)
        cpu, wall = time.process_time() - began_cpu, time.perf_counter() - began
        megapixels = SIDE**2 / 1e6
        rows.append([str(effort), f"{cpu / megapixels:.1f}", f"{wall / megapixels:.1f}", f"{len(data):,}"])
    print(table(["effort", "core-seconds a megapixel", "seconds a megapixel", "bytes"], rows))


if __name__ == "__main__":
    main()
