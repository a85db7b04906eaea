"""Deep and grey images against JPEG 2000 (9/7, irreversible) and JPEG XL of their own depth: rate at equal PSNR.

    python benchmarks/deep.py flower_rgb16.ppm --psnrs 36 41 45 50 --steps 923

PSNR is of the range of the image's values (of 255 for uint8). pillow_inr encodes at the qualities given; its rate at a
PSNR, and those of the others, are interpolated (PCHIP, logarithm of the rate). Needs the package imagecodecs.
"""

import argparse
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import imagecodecs
import numpy as np
from common import machine, table
from curves import Curve, rate_at
from numpy.typing import NDArray
from PIL import Image

import pillow_inr
from pillow_inr.inputs import deep

QUALITIES = (30, 50, 70, 85, 92, 96, 100)
JPEG2000_LEVELS = tuple(range(26, 66, 2))
JPEG_XL_DISTANCES = (8.0, 5.0, 3.5, 2.5, 1.8, 1.2, 0.8, 0.5, 0.3, 0.2, 0.1, 0.05)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path, nargs="+")
    parser.add_argument("--psnrs", type=float, nargs="+", default=[30, 36, 41, 45, 50])
    parser.add_argument("--qualities", type=int, nargs="+", default=QUALITIES)
    parser.add_argument("--steps", type=int, default=923)
    arguments = parser.parse_args()
    print(machine(), "imagecodecs", imagecodecs.__version__)
    for path in arguments.images:
        samples = _samples(path)
        print(f"\n{path.name}: {samples.shape} {samples.dtype}, {arguments.steps} steps")
        ours = list(_ours(samples, arguments.qualities, arguments.steps))
        others = {"JPEG 2000": list(_jpeg2000(samples)), "JPEG XL": list(_jpeg_xl(samples))}
        lines = []
        for psnr in arguments.psnrs:
            rate = rate_at(ours, psnr)
            cells = [f"{psnr:g}", _number(rate)]
            for curve in others.values():
                other = rate_at(curve, psnr)
                cells += [_number(other), f"{100 * (rate / other - 1):+.1f} %" if rate and other else ""]
            lines.append(cells)
        headings = [cell for name in others for cell in (f"{name}, bpp", "pillow_inr over it")]
        print(table(["PSNR dB", "pillow_inr, bpp", *headings], lines))


def _samples(path: Path) -> NDArray[np.uint16] | NDArray[np.uint8]:
    with Image.open(path) as image:
        found = deep.samples_of(image, path.read_bytes())
        return np.asarray(image) if found is None else found.samples


def _psnr(samples: NDArray[np.generic], decoded: NDArray[np.generic]) -> float:
    values = samples.astype(np.float64)
    most = 255.0 if samples.dtype == np.uint8 else values.max() - values.min()
    return float(10 * np.log10(most**2 / np.square(values - decoded.astype(np.float64)).mean()))


def _point(samples: NDArray[np.generic], data: bytes, decoded: NDArray[np.generic]) -> tuple[float, float]:
    return 8 * len(data) / (samples.shape[0] * samples.shape[1]), _psnr(samples, decoded)


def _ours(samples: NDArray[np.generic], qualities: Sequence[int], steps: int) -> Iterator[tuple[float, float]]:
    for quality in qualities:
        began = time.perf_counter()
        data = pillow_inr.encode(samples, model="pyramid", quality=quality, steps=steps)
        took = time.perf_counter() - began
        point = _point(samples, data, pillow_inr.decode(data))
        print(f"quality {quality}: {len(data)} bytes, {point[1]:.2f} dB, {took:.0f} s", flush=True)
        yield point


def _jpeg2000(samples: NDArray[np.generic]) -> Curve:
    return [
        _point(samples, data, imagecodecs.jpeg2k_decode(data))
        for level in JPEG2000_LEVELS
        for data in [imagecodecs.jpeg2k_encode(samples, level=level, codecformat="j2k", reversible=False)]
    ]


def _jpeg_xl(samples: NDArray[np.generic]) -> Curve:
    return [
        _point(samples, data, imagecodecs.jpegxl_decode(data))
        for distance in JPEG_XL_DISTANCES
        for data in [imagecodecs.jpegxl_encode(samples, distance=distance, effort=7)]
    ]


def _number(rate: float | None) -> str:
    return "" if rate is None else f"{rate:.3f}"


if __name__ == "__main__":
    main()
