"""Exact gradient and Laplacian of an .inr, beside finite differences of its decoded pixels."""

import argparse
from pathlib import Path
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray
from PIL import Image

import pillow_inr

LUMINANCE = np.array([0.299, 0.587, 0.114])
LEVELS = 255
ENLARGEMENT = 4
BORDER = 8
Box = tuple[int, int, int, int]


class Panels(NamedTuple):
    """One column of the picture; derivatives of luminance, in levels per pixel and per pixel squared."""

    image: NDArray[np.uint8]
    magnitude: NDArray[np.float64]
    laplacian: NDArray[np.float64]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, help="an .inr of an RGB image")
    parser.add_argument("out", type=Path)
    parser.add_argument("--box", type=int, nargs=4, default=(290, 130, 482, 258), help="left, top, right, bottom")
    arguments = parser.parse_args()
    left, top, right, bottom = box = tuple(arguments.box)
    pixels = pillow_inr.decode(arguments.file)
    exact = exact_panels(arguments.file, (0, 0, pixels.shape[1], pixels.shape[0]))
    differences = difference_panels(pixels)
    for name, panels in (("exact", exact), ("differences", differences)):
        magnitude, laplacian = rms(panels.magnitude), rms(panels.laplacian)
        print(f"{name:12} rms of gradient {magnitude:.2f} levels/pixel, of Laplacian {laplacian:.2f} levels/pixel²")
    columns = {
        "exact, from the network": exact,
        f"exact, a part at {ENLARGEMENT}× the resolution": exact_panels(arguments.file, box, ENLARGEMENT),
        "finite differences of the decoded pixels": Panels(*(panel[top:bottom, left:right] for panel in differences)),
    }
    draw(columns, arguments.out)


def exact_panels(file: Path, box: Box, scale: int = 1) -> Panels:
    """Values and derivatives of the network in a box of pixels, at `scale` points per pixel in each direction."""
    model = pillow_inr.to_keras(file)
    left, top, right, bottom = box
    columns, rows = (right - left) * scale, (bottom - top) * scale
    # The middle of the grid's first cell, in pixels from the image's edge, is left + 0.5 / scale.
    x = left + (np.arange(columns) + 0.5) / scale - model.image_size[0] / 2
    y = top + (np.arange(rows) + 0.5) / scale - model.image_size[1] / 2
    positions = model.pixel_size * np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    colours = model.predict(positions, verbose=0)
    image = np.rint(LEVELS * np.clip(colours, 0, 1)).astype(np.uint8).reshape(rows, columns, -1)
    unit = LEVELS * model.pixel_size
    gradient = unit * np.einsum("ncd,c->nd", model.gradient(positions), LUMINANCE)
    laplacian = unit * model.pixel_size * (model.laplacian(positions) @ LUMINANCE)
    return Panels(image, np.hypot(*gradient.T).reshape(rows, columns), laplacian.reshape(rows, columns))


def difference_panels(pixels: NDArray[np.uint8]) -> Panels:
    """Values and derivatives by central differences of the pixels."""
    luminance = pixels @ LUMINANCE
    around = np.pad(luminance, 1, mode="edge")
    laplacian = around[:-2, 1:-1] + around[2:, 1:-1] + around[1:-1, :-2] + around[1:-1, 2:] - 4 * luminance
    return Panels(pixels, np.hypot(*np.gradient(luminance)), laplacian)


def rms(values: NDArray[np.float64]) -> float:
    """Root mean square without the border, whose few steep pixels would outweigh the image."""
    inner = values[BORDER:-BORDER, BORDER:-BORDER]
    return float(np.sqrt(np.mean(inner**2)))


def draw(columns: dict[str, Panels], out: Path) -> None:
    """Draw columns of panels; each row has one scale."""
    exact = next(iter(columns.values()))
    steepest, strongest = (np.quantile(np.abs(panel), 0.97) for panel in exact[1:])
    figure, axes = plt.subplots(3, len(columns), figsize=(11, 7), layout="constrained")
    for column, (title, panels) in enumerate(columns.items()):
        axes[0, column].set_title(title, fontsize=11)
        axes[0, column].imshow(panels.image)
        steep = axes[1, column].imshow(panels.magnitude, cmap="gray", vmin=0, vmax=steepest)
        bend = axes[2, column].imshow(panels.laplacian, cmap="RdBu_r", vmin=-strongest, vmax=strongest)
    for row, name in enumerate(("image", "|gradient|", "Laplacian")):
        axes[row, 0].set_ylabel(name, fontsize=11)
    for axis in axes.flat:
        without_ticks(axis)
    figure.colorbar(steep, ax=axes[1], label="levels per pixel", pad=0.01, extend="max")
    figure.colorbar(bend, ax=axes[2], label="levels per pixel²", pad=0.01, extend="both")
    figure.savefig(out, dpi=72)
    # A palette halves the file; without the dither, skin and colour bars would show its steps.
    with Image.open(out) as opened:
        colours = opened.convert("RGB")
    palette = colours.quantize(256, kmeans=3)
    colours.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG).save(out, optimize=True)


def without_ticks(axis: Axes) -> None:
    axis.set_xticks([])
    axis.set_yticks([])


if __name__ == "__main__":
    main()
