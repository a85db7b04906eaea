"""Thumbnails and regions of a large .inr: time, memory, agreement with the full decode.

Without --file it encodes a photograph enlarged to 6000x4000 in few steps: the cost of evaluating a network does not
depend on how well it was fitted. The first thumbnail of a process also imports NumPy and the entropy coder.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from common import machine, psnr, rgb_image, seconds
from PIL import Image

import pillow_inr

SAMPLE = Path(__file__).parent.parent / "samples" / "kodim15.png"

# Runs in a fresh process, so that time and memory are those of the thumbnail.
CHILD = """
import json, sys, time
from PIL import Image
import pillow_inr
def peak_mb():
    for line in open("/proc/self/status"):
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
def thumbnail():
    start = time.perf_counter()
    with Image.open(sys.argv[1]) as image:
        image.thumbnail((128, 128))
    return time.perf_counter() - start
before = peak_mb()
first = thumbnail()
mb = peak_mb() - before
print(json.dumps({"first": first, "later": sorted(thumbnail() for _ in range(5))[2], "mb": mb}))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--image", type=Path, default=SAMPLE)
    parser.add_argument("--size", type=int, nargs=2, default=(6000, 4000))
    parser.add_argument("--networks", nargs="+", default=["64x5", "siren", "pyramid"], help="WIDTHxDEPTH or a model")
    parser.add_argument("--steps", type=int, default=1500, help="steps of a SIREN; a pyramid takes a hundredth of them")
    parser.add_argument("--file", type=Path, help="an .inr to measure, instead of encoding one")
    parser.add_argument("--runs", type=int, default=9)
    arguments = parser.parse_args()
    print(machine())
    if arguments.file:
        _measure(arguments.file, arguments.runs)
        return
    large = rgb_image(arguments.image).resize(tuple(arguments.size), Image.Resampling.LANCZOS)
    with tempfile.TemporaryDirectory() as folder:
        for network in arguments.networks:
            path = Path(folder) / "large.inr"
            if network in ("siren", "pyramid"):
                steps = arguments.steps // (100 if network == "pyramid" else 1)
                pillow_inr.save(large, path, steps=steps, model=network)
            else:
                width, depth = map(int, network.split("x"))
                pillow_inr.save(large, path, steps=arguments.steps, width=width, depth=depth)
            _measure(path, arguments.runs)


def _measure(path: Path, runs: int) -> None:
    with Image.open(path) as image:
        width, height = image.size
        info = image.info
        kind = f"{info['width']}x{info['depth']}, {info['weights']:,} weights" if "width" in info else "tiles"
        print(f"\n{width}x{height}, {info['model']}, {kind}, {path.stat().st_size:,} bytes")
        children = [_child(path) for _ in range(runs)]
        first, later, memory = (statistics.median(child[key] for child in children) for key in ("first", "later", "mb"))
        print(
            f"thumbnail((128, 128)): {1000 * first:.0f} ms the first in a process, {1000 * later:.0f} ms later ones; "
            f"memory {memory:.0f} MB above the interpreter with Pillow"
        )
        box = (width * 0.45, height * 0.45, width * 0.55, height * 0.55)
        image.render(size=(8, 8))
        region = [seconds(lambda: image.render(box=box)) for _ in range(runs)]
        full = [seconds(lambda: image.render()) for _ in range(3)]
        ratio = statistics.median(region) / statistics.median(full)
        print(
            f"render of 1 % of the pixels: {1000 * statistics.median(region):.0f} ms; full decode "
            f"{statistics.median(full):.2f} s; ratio {100 * ratio:.2f} %"
        )
        whole = image.render()
        for reduction in (4, 8):
            size = -(-width // reduction), -(-height // reduction)
            with Image.open(path) as drafted:
                drafted.draft(None, size)
                took = seconds(drafted.load)
            box_db = psnr(np.asarray(whole.reduce(reduction)), np.asarray(drafted))
            lanczos_db = psnr(np.asarray(whole.resize(size, Image.Resampling.LANCZOS)), np.asarray(drafted))
            print(
                f"draft to 1/{reduction}: {took:.2f} s; PSNR against the full decode reduced by means {box_db:.1f} dB, "
                f"by Lanczos {lanczos_db:.1f} dB"
            )
        expected = whole.copy()
        expected.thumbnail((128, 128))
        with Image.open(path) as small:
            small.thumbnail((128, 128))
        print(f"thumbnail against the full decode's: PSNR {psnr(np.asarray(expected), np.asarray(small)):.1f} dB")


def _child(path: Path) -> dict[str, float]:
    done = subprocess.run([sys.executable, "-c", CHILD, str(path)], stdout=subprocess.PIPE, check=True, text=True)
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


if __name__ == "__main__":
    main()
