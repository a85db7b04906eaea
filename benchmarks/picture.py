"""Draw an image, its .inr and a JPEG of equal size side by side, whole and enlarged."""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from common import decoded, jpeg_of_size, psnr
from PIL import Image

import pillow_inr


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("image", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--inr", type=Path, help="an .inr of the image; by default the image is encoded")
    parser.add_argument("--box", type=int, nargs=4, default=(290, 130, 482, 258), help="left, top, right, bottom")
    arguments = parser.parse_args()
    with Image.open(arguments.image) as opened:
        image = opened.convert("RGB")
    data = arguments.inr.read_bytes() if arguments.inr else pillow_inr.encode(image, width=48, depth=4)
    pixels = np.asarray(image)
    jpeg = jpeg_of_size(image, len(data))
    panels = [("original", pixels)]
    for name, coded in ((".inr", data), ("JPEG", jpeg)):
        result = decoded(coded)
        panels.append((f"{name}  {len(coded):,} bytes  {psnr(pixels, result):.1f} dB", result))
    left, top, right, bottom = arguments.box
    figure, axes = plt.subplots(2, 3, figsize=(13.5, 6.2), layout="constrained")
    for column, (title, panel) in enumerate(panels):
        axes[0, column].imshow(panel)
        axes[0, column].set_title(title)
        axes[1, column].imshow(panel[top:bottom, left:right], interpolation="nearest")
    for axis in axes.flat:
        axis.set_axis_off()
    figure.savefig(arguments.out, dpi=80)


if __name__ == "__main__":
    main()
