"""Pictures with transparent parts, as pyramids: what it saves to name transparent pixels instead of fitting them.

Each is encoded as an image, whose transparent pixels a chunk names; without the chunk, their colours filled in; and as
an array, all of whose samples are fitted. Errors are of samples premultiplied by alpha, as they appear on black.
"""

import argparse
from pathlib import Path

import numpy as np
from common import machine
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from pillow_inr import codec
from pillow_inr.encoding.source_image import SourceImage
from pillow_inr.format.metadata import Metadata
from pillow_inr.imaging.transparency import transparent_pixels
from pillow_inr.options import EncodeOptions, image_rd_lambda

PHOTOGRAPH = Path("samples/kodim15.png")
# Drawn this much larger and averaged, where edges are smooth.
FINER = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--effort", type=int, default=1)
    options = EncodeOptions(model="pyramid", effort=parser.parse_args().effort)
    print(f"{machine()}; effort {options.effort}; bytes, dB of premultiplied samples, 1000 * loss\n")
    print(f"{'picture':<24}{'mask':>6}{'named':>26}{'filled':>26}{'all samples':>26}")
    for name, image in pictures().items():
        samples = np.asarray(image)
        named = SourceImage.of(samples, Metadata(), transparent_pixels(samples))
        variants = [named, named.without_chunk(), SourceImage.of(samples, Metadata())]
        mask = len(named.transparency_chunks[0].data)
        print(f"{name:<24}{mask:>6}" + "".join(f"{_figures(source, samples, options):>26}" for source in variants))


def _figures(source: SourceImage, samples: NDArray[np.uint8], options: EncodeOptions) -> str:
    file = codec.encode_source(source, options)
    mse = float(((_premultiplied(file.model.pixels()) - _premultiplied(samples)) ** 2).mean())
    loss = mse + image_rd_lambda(options, 4, source.pixels) * 8 * len(file.data) / source.pixels
    return f"{len(file.data):,} {-10 * np.log10(mse):.2f} {1000 * loss:.3f}"


def _premultiplied(samples: NDArray[np.uint8]) -> NDArray[np.float64]:
    values = samples / 255.0
    return np.concatenate([values[..., :3] * values[..., 3:], values[..., 3:]], axis=-1)


def pictures() -> dict[str, Image.Image]:
    return {
        "icon 64, hard edges": _icon(64, 1),
        "icon 64, smooth edges": _icon(64, FINER),
        "icon 128, smooth edges": _icon(128, FINER),
        "cut-out, hard edge": _cut_out(0),
        "cut-out, edge of 1": _cut_out(1),
        "cut-out, edge of 6": _cut_out(6),
    }


def _icon(side: int, finer: int) -> Image.Image:
    image = Image.new("RGBA", (side * finer, side * finer))
    draw, scale = ImageDraw.Draw(image), side * finer / 96
    draw.ellipse([10 * scale, 10 * scale, 80 * scale, 70 * scale], fill=(200, 40, 30, 255))
    draw.rectangle([40 * scale, 40 * scale, 90 * scale, 90 * scale], fill=(20, 90, 200, 255))
    corners = (5, 90, 30, 50, 50, 85)
    draw.polygon([corner * scale for corner in corners], fill=(240, 220, 40, 255))
    return image.convert("RGBa").resize((side, side), Image.Resampling.BOX).convert("RGBA")


def _cut_out(blur: float) -> Image.Image:
    """A part of a photograph; its colours go on below the transparent pixels."""
    with Image.open(PHOTOGRAPH) as opened:
        image = opened.convert("RGB").resize((384, 256))
    mask = Image.new("L", image.size, 0)
    ImageDraw.Draw(mask).ellipse((60, 20, 330, 240), fill=255)
    image.putalpha(mask.filter(ImageFilter.GaussianBlur(blur)))
    return image


if __name__ == "__main__":
    main()
