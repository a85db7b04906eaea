"""A detail of an .inr rendered four times as large, beside the JPEG of equal size enlarged by bicubic and Lanczos."""

import argparse
import io
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from common import jpeg_of_size, rgb_image
from PIL import Image

import pillow_inr  # registers with Pillow

SAMPLES = Path(__file__).parent.parent / "samples"
FACTOR = 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--image", type=Path, default=SAMPLES / "kodim15.png")
    parser.add_argument("--inr", type=Path, default=SAMPLES / "kodim15.inr")
    parser.add_argument("--box", type=int, nargs=4, default=(330, 150, 450, 230), help="left, top, right, bottom")
    arguments = parser.parse_args()
    original = rgb_image(arguments.image)
    box = tuple(arguments.box)
    size = FACTOR * (box[2] - box[0]), FACTOR * (box[3] - box[1])
    data = arguments.inr.read_bytes()
    coded = jpeg_of_size(original, len(data))
    with Image.open(io.BytesIO(data)) as inr, Image.open(io.BytesIO(coded)) as jpeg:
        panels = [
            (f".inr, {len(data):,} bytes, rendered at {FACTOR}×", inr.render(size, box)),
            (f"JPEG, {len(coded):,} bytes, bicubic", jpeg.resize(size, Image.Resampling.BICUBIC, box)),
            ("the same, Lanczos", jpeg.resize(size, Image.Resampling.LANCZOS, box)),
            ("original, its own pixels", original.crop(box)),
        ]
    figure, axes = plt.subplots(2, 2, figsize=(11, 7.9), layout="constrained")
    for axis, (title, panel) in zip(axes.flat, panels, strict=True):
        axis.imshow(np.asarray(panel), interpolation="nearest")
        axis.set_title(title)
        axis.set_axis_off()
    figure.savefig(arguments.out, dpi=80)
    print(f"{arguments.out}: {pillow_inr.__name__} {len(data)} bytes, JPEG {len(coded)} bytes")


if __name__ == "__main__":
    main()
