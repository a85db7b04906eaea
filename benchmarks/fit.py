"""Bytes, rate, PSNR and seconds of every image in a folder, beside a JPEG of the same size."""

import argparse
import time
from pathlib import Path

import numpy as np
from common import decoded, jpeg_of_size, machine, psnr
from PIL import Image

import pillow_inr


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--width", type=int)
    parser.add_argument("--depth", type=int)
    parser.add_argument("--quality", type=int, default=50)
    parser.add_argument("--effort", type=int, default=3)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--time-limit", type=float)
    options = vars(parser.parse_args())
    folder = options.pop("folder")

    start = time.perf_counter()
    import tensorflow  # noqa: F401  # imported before the clock of a fit starts

    given = {name: value for name, value in options.items() if value is not None}
    print(f"{machine()}; import tensorflow {time.perf_counter() - start:.1f} s; {given}")
    print(f"{'image':<16}{'bytes':>8}{'bpp':>8}{'PSNR dB':>9}{'fit s':>7}{'open s':>8}{'JPEG bytes':>12}{'JPEG dB':>9}")
    rows = []
    for path in sorted(folder.glob("*.png")):
        with Image.open(path) as opened:
            image = opened.convert("RGB")
        pixels = np.asarray(image)
        start = time.perf_counter()
        data = pillow_inr.encode(image, **given)
        fitted = time.perf_counter()
        quality = psnr(pixels, decoded(data))
        opening = time.perf_counter() - fitted
        jpeg = jpeg_of_size(image, len(data))
        rate = 8 * len(data) / (image.width * image.height)
        rows.append((len(data), rate, quality, fitted - start, opening, len(jpeg), psnr(pixels, decoded(jpeg))))
        print(_line(path.stem, rows[-1]), flush=True)
    print(_line("mean", tuple(np.mean(rows, axis=0))))


def _line(name: str, row: tuple[float, ...]) -> str:
    formats = (">8.0f", ">8.4f", ">9.2f", ">7.1f", ">8.3f", ">12.0f", ">9.2f")
    return f"{name:<16}" + "".join(format(value, width) for value, width in zip(row, formats, strict=True))


if __name__ == "__main__":
    main()
