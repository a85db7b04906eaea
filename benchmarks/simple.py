"""Images that are not photographs: does a fit fail, and is `auto` much larger than a SIREN of equal PSNR?

Each image is drawn here, encoded with model="auto", and then as a SIREN with the PSNR of that file as its target.
"""

import argparse
import io
import time
from collections.abc import Callable

import numpy as np
from common import decoded, machine, psnr
from numpy.typing import NDArray
from PIL import Image, ImageDraw

import pillow_inr

Pixels = NDArray[np.uint8]
# Tolerated excess of `auto` over the SIREN.
ALLOWED = 1.10
ROW = "{:<12}{:>9}{:>9}{:>9}{:>8}{:>9}{:>8}{:>9}{:>7}  {}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quality", type=int, default=50)
    parser.add_argument("--effort", type=int, default=1)
    parser.add_argument("--only", nargs="+", choices=list(IMAGES), default=list(IMAGES))
    arguments = parser.parse_args()
    print(machine())
    print(ROW.format("image", "size", "flat dB", "model", "bytes", "dB", "SIREN", "dB", "s", "ratio"))
    for name in arguments.only:
        print(ROW.format(name, *_row(IMAGES[name](), arguments.quality, arguments.effort)), flush=True)


def _row(image: Pixels, quality: int, effort: int) -> list[str]:
    began = time.perf_counter()
    data = pillow_inr.encode(image, quality=quality, effort=effort)
    seconds = time.perf_counter() - began
    reached = psnr(image, decoded(data))
    flat = np.broadcast_to(np.rint(image.mean(axis=(0, 1))), image.shape)
    # Nobody sees a difference above 60 dB; no search should look for more.
    siren = pillow_inr.encode(image, model="siren", psnr=min(reached, 60.0), effort=effort)
    other = psnr(image, decoded(siren))
    ratio = len(data) / len(siren)
    equal = other >= min(reached, 60.0) - 0.1
    judged = "no SIREN reaches it" if not equal else f"{ratio:.2f}" + (" LARGER" if ratio > ALLOWED else "")
    height, width = image.shape[:2]
    with Image.open(io.BytesIO(data)) as opened:
        model = opened.info["model"]
    return [
        f"{width}x{height}",
        f"{psnr(image, flat):.1f}",
        model,
        f"{len(data):,}",
        f"{reached:.2f}",
        f"{len(siren):,}",
        f"{other:.2f}",
        f"{seconds:.1f}",
        judged,
    ]


def _screenshot() -> Pixels:
    image = Image.new("RGB", (640, 400), "white")
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, 640, 28), fill=(0, 90, 158))
    for line in range(24):
        draw.text((12, 40 + 14 * line), f"{line:3}  The quick brown fox jumps over the lazy dog", fill=(20, 20, 30))
    draw.rectangle((420, 60, 620, 220), fill=(240, 240, 245), outline=(120, 120, 130))
    draw.ellipse((460, 250, 560, 350), fill=(200, 60, 40))
    return np.asarray(image)


def _gradient(width: int, height: int) -> Pixels:
    down, across = np.mgrid[:height, :width]
    planes = [255 * across / max(width - 1, 1), 255 * down / max(height - 1, 1), 127 + 100 * np.sin(across / 97)]
    return np.stack(planes, 2).astype(np.uint8)


def _bright() -> Pixels:
    down, across = np.mgrid[:320, :480]
    noise = np.random.default_rng(0).normal(0, 2, (320, 480))
    grey = np.clip(238 + 17 * np.sin(across / 19) * np.cos(down / 23) + noise, 0, 255)
    return np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2)


def _noise(width: int, height: int) -> Pixels:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def _flat(width: int, height: int, *colour: int) -> Pixels:
    return np.full((height, width, 3), colour, np.uint8)


def _icon() -> Pixels:
    image = Image.new("RGB", (48, 48), (250, 250, 250))
    ImageDraw.Draw(image).ellipse((6, 6, 42, 42), fill=(30, 120, 220), outline=(10, 40, 90), width=3)
    return np.asarray(image)


def _line_art() -> Pixels:
    image = Image.new("RGB", (400, 300), "white")
    draw = ImageDraw.Draw(image)
    for index in range(24):
        draw.line((10 + 15 * index, 10, 390 - 15 * index, 290), fill="black", width=1 + index % 3)
    return np.asarray(image)


IMAGES: dict[str, Callable[[], Pixels]] = {
    "flat": lambda: _flat(400, 300, 200, 30, 90),
    "white": lambda: _flat(800, 600, 255, 255, 255),
    "gradient": lambda: _gradient(768, 512),
    "bright": _bright,
    "screenshot": _screenshot,
    "line art": _line_art,
    "icon": _icon,
    "one column": lambda: _noise(1, 300),
    "one row": lambda: _gradient(400, 1),
    "one pixel": lambda: _flat(1, 1, 77, 77, 77),
    "3x3": lambda: _noise(3, 3),
    "noise 64x64": lambda: _noise(64, 64),
}


if __name__ == "__main__":
    main()
