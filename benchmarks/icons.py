"""Icons, logos and thumbnails of 16 to 128 pixels under "auto": CPU seconds, bytes and loss of each, in one process.

The loss is mean squared error + lambda * bits per pixel, samples in 0..1, with the lambda that the encoder uses. CPU
seconds are of all threads; those of the first images include compiling.
With --folder the icons are written as PNG files instead, for `pillow-inr encode FOLDER`.
"""

import argparse
import io
import json
import math
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from common import highest_resident_mb, machine, resident_mb
from PIL import Image, ImageDraw, ImageFilter

from pillow_inr.options import EncodeOptions, image_rd_lambda

PHOTOGRAPH = Path("samples/kodim15.png")
SIDES = (16, 24, 32, 48, 64, 96, 128)
MODES = ("RGB", "RGBA", "L", "LA", "P")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--effort", type=int, default=0)
    parser.add_argument("--images", type=int, default=30)
    parser.add_argument("--part", default="0/1", help="K/N: every N-th icon, from the K-th")
    parser.add_argument("--json", type=Path, help="write the rows here")
    parser.add_argument("--against", type=Path, nargs="+", help="files of --json to compare bytes and loss with")
    parser.add_argument("--folder", type=Path, help="write the icons here and encode nothing")
    arguments = parser.parse_args()
    first, every = map(int, arguments.part.split("/"))
    drawn = list(icons(arguments.images))[first::every]
    if arguments.folder:
        arguments.folder.mkdir(parents=True, exist_ok=True)
        for name, image in drawn:
            image.save(arguments.folder / f"{name}.png")
        return
    print(f"{machine()}; effort {arguments.effort}\n")
    rows = []
    for name, image in drawn:
        rows.append(_row(name, image, arguments.effort))
        print("{name:24} {model:8} {bytes:6} bytes {psnr:6.2f} dB loss {loss:.3e} CPU {cpu:6.2f} s".format(**rows[-1]))
        if arguments.json:
            arguments.json.write_text(json.dumps(rows, indent=0))
    took = statistics.median(row["cpu"] for row in rows)
    print(f"\nCPU in all {time.process_time():.0f} s, median of an image {took:.2f} s", end="")
    print(f"; resident {resident_mb():.0f} MB, at most {highest_resident_mb():.0f} MB")
    if arguments.against:
        _compare(rows, [row for path in arguments.against for row in json.loads(path.read_text())])


def _row(name: str, image: Image.Image, effort: int) -> dict[str, Any]:
    """Encode an icon: its figures."""
    began = time.process_time()
    file = io.BytesIO()
    image.save(file, "INR", effort=effort)
    cpu = time.process_time() - began
    with Image.open(file) as opened:
        decoded, model = np.asarray(opened, np.float64), opened.info["model"]
        mode = opened.mode
    wanted = np.asarray(image.convert(mode), np.float64)
    mse = float(np.mean(np.square(decoded - wanted))) / 255**2
    size = len(file.getvalue())
    pixels, channels = math.prod(image.size), wanted.size // math.prod(image.size)
    loss = mse + image_rd_lambda(EncodeOptions(), channels, pixels) * 8 * size / pixels
    psnr = -10 * math.log10(mse) if mse else math.inf
    return {"name": name, "model": model, "bytes": size, "psnr": min(psnr, 99.0), "loss": loss, "cpu": cpu}


def _compare(rows: list[dict[str, Any]], before: list[dict[str, Any]]) -> None:
    """Print by how much loss and bytes changed: geometric mean and worst."""
    known = {row["name"]: row for row in before}
    rows = [row for row in rows if row["name"] in known]
    for key in ("loss", "bytes"):
        changes = {row["name"]: math.log(row[key] / known[row["name"]][key]) for row in rows}
        worst = sorted(changes, key=lambda name: changes[name])[-3:]
        mean = 100 * math.expm1(statistics.fmean(changes.values()))
        named = ", ".join(f"{name} {100 * math.expm1(changes[name]):+.1f} %" for name in reversed(worst))
        print(f"{key} against before, {len(changes)} icons: mean {mean:+.2f} %; worst {named}")
    cpu = [sum(row["cpu"] for row in part) for part in (rows, [known[row["name"]] for row in rows])]
    print(f"CPU seconds: {cpu[0]:.0f}, before {cpu[1]:.0f}")


def icons(count: int) -> Iterator[tuple[str, Image.Image]]:
    """Icons with their names, of drawings, sides and modes in turn."""
    drawings = list(DRAWINGS.items())
    for index in range(count):
        name, draw = drawings[index % len(drawings)]
        side, mode = SIDES[index % len(SIDES)], MODES[(index + index // 10) % len(MODES)]
        width, height = (side, side) if index % 4 else (side, max(16, side * 2 // 3))
        image = draw(max(width, height), np.random.default_rng(index)).crop((0, 0, width, height))
        yield f"{index:02}-{name}-{width}x{height}-{mode}", _converted(image, mode)


def _converted(image: Image.Image, mode: str) -> Image.Image:
    if mode == "P":
        return image.convert("RGB").quantize(16)
    return image.convert(mode)


def _smooth(side: int, draw: Callable[[ImageDraw.ImageDraw, float], None], ground: str = "#00000000") -> Image.Image:
    """Draw at four times the size and reduce, for smooth edges; the second argument is a pixel's width."""
    image = Image.new("RGBA", (4 * side, 4 * side), ground)
    draw(ImageDraw.Draw(image), 4 * side)
    return image.resize((side, side), Image.Resampling.BOX)


def _logo(side: int, random: np.random.Generator) -> Image.Image:
    one, other = (tuple(int(level) for level in random.integers(0, 256, 3)) for _ in range(2))

    def draw(on: ImageDraw.ImageDraw, whole: float) -> None:
        on.ellipse((0.05 * whole, 0.05 * whole, 0.95 * whole, 0.95 * whole), fill=one)
        on.polygon([(0.5 * whole, 0.2 * whole), (0.8 * whole, 0.7 * whole), (0.2 * whole, 0.7 * whole)], fill=other)

    return _smooth(side, draw)


def _button(side: int, random: np.random.Generator) -> Image.Image:
    colour = tuple(int(level) for level in random.integers(40, 220, 3))

    def draw(on: ImageDraw.ImageDraw, whole: float) -> None:
        on.rounded_rectangle((0, 0, whole - 1, whole - 1), 0.2 * whole, fill=colour)
        for row in range(3):
            top = (0.25 + 0.2 * row) * whole
            on.rectangle((0.2 * whole, top, 0.8 * whole, top + 0.08 * whole), fill="white")

    return _smooth(side, draw)


def _text(side: int, random: np.random.Generator) -> Image.Image:
    image = Image.new("RGBA", (side, side), "white")
    draw = ImageDraw.Draw(image)
    for row in range(0, side, 11):
        word = "".join(map(chr, random.integers(97, 123, 24)))
        draw.text((1, row), word, fill=(20, 20, 60))
    return image


def _letter(side: int, random: np.random.Generator) -> Image.Image:
    small = Image.new("L", (8, 10))
    ImageDraw.Draw(small).text((1, -1), chr(int(random.integers(65, 91))), fill=255)
    mask = small.resize((side, side), Image.Resampling.BICUBIC)
    return Image.composite(Image.new("RGBA", (side, side), "#102030"), Image.new("RGBA", (side, side), "#f0c040"), mask)


def _gradient(side: int, random: np.random.Generator) -> Image.Image:
    down, across = np.mgrid[:side, :side] / side
    planes = [255 * across, 255 * down, 127 + 100 * np.sin(6 * across + 4 * down), 255 * (1 - across * down)]
    return Image.fromarray(np.stack(planes, 2).astype(np.uint8), "RGBA")


def _pixel_art(side: int, random: np.random.Generator) -> Image.Image:
    palette = random.integers(0, 256, (5, 4), np.uint8)
    palette[:, 3] = (0, 255, 255, 255, 255)
    half = palette[random.integers(0, 5, (8, 4))]
    return Image.fromarray(np.concatenate([half, half[:, ::-1]], 1), "RGBA").resize((side, side), 0)


def _photograph(side: int, random: np.random.Generator) -> Image.Image:
    with Image.open(PHOTOGRAPH) as opened:
        image = opened.convert("RGBA")
    left, top = (int(random.integers(0, length - 2 * side)) for length in image.size)
    return image.crop((left, top, left + 2 * side, top + 2 * side)).resize((side, side), Image.Resampling.LANCZOS)


def _noise(side: int, random: np.random.Generator) -> Image.Image:
    return Image.fromarray(random.integers(0, 256, (side, side, 4), np.uint8), "RGBA")


def _shadow(side: int, random: np.random.Generator) -> Image.Image:
    image = Image.new("RGBA", (side, side))
    ImageDraw.Draw(image).ellipse((side // 5, side // 5, 4 * side // 5, 4 * side // 5), fill=(0, 0, 0, 200))
    image = image.filter(ImageFilter.GaussianBlur(side / 12))
    ImageDraw.Draw(image).rectangle((side // 3, side // 4, side // 2, side // 2), fill=(220, 60, 40, 255))
    return image


DRAWINGS = {
    "logo": _logo,
    "photograph": _photograph,
    "button": _button,
    "gradient": _gradient,
    "text": _text,
    "pixels": _pixel_art,
    "letter": _letter,
    "shadow": _shadow,
    "crop": _photograph,
    "noise": _noise,
}


if __name__ == "__main__":
    main()
