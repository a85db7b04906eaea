"""A plot of a file: its image, the error against the original, histograms of its symbols, the bytes of its parts."""

import io
import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..models.base import Histogram, Row
from .breakdown import FileBreakdown

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import SubFigure

DPI = 110
INCHES = 12.0
# Smallest and largest height of the image's panel.
IMAGE_INCHES = (3.0, 7.0)
HISTOGRAM_COLUMNS = 6
HISTOGRAM_BINS = 61
COLOUR = "#31688e"


def view(
    file: FileBreakdown,
    pixels: NDArray[Any],
    original: NDArray[Any] | None,
    *,
    title: str,
    file_format: str = "png",
) -> bytes:
    """Draw a file as a picture.

    Args:
        file: its breakdown.
        pixels: the decoded image, shape (height, width, channels), possibly reduced.
        original: same shape, to show the error; None for no error.
        title: text at the top.
        file_format: matplotlib's name of the picture's format.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows, columns, _ = pixels.shape
    images = 1 if original is None else 2
    image_height = min(max(INCHES / images * rows / columns, IMAGE_INCHES[0]), IMAGE_INCHES[1])
    histograms = [row.histogram for row in file.model.rows if row.histogram is not None]
    symbols_height = 2.0 * -(-len(histograms) // HISTOGRAM_COLUMNS) + 0.3
    heights = [image_height + 0.4, *([symbols_height] if histograms else []), 2.4]
    figure = Figure(figsize=(INCHES, sum(heights) + 0.4), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=12, parse_math=False)  # a file name may contain dollar signs
    top, *middle, bottom = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
    _draw_images(top, pixels, original)
    if histograms:
        _draw_histograms(middle[0], histograms)
        middle[0].suptitle(file.model.histograms_title, fontsize=10)
    _draw_bits(bottom, file)
    stream = io.BytesIO()
    figure.savefig(stream, format=file_format)
    return stream.getvalue()


def _draw_images(figure: "SubFigure", pixels: NDArray[Any], original: NDArray[Any] | None) -> None:
    axes = figure.subplots(1, 1 if original is None else 2, squeeze=False)[0]
    shown, description = displayed(pixels)
    axes[0].imshow(shown, cmap="gray", vmin=0, vmax=1)
    axes[0].set_title(f"decoded{description}", fontsize=10)
    if original is not None:
        error = np.abs(pixels.astype(np.float64) - original).mean(axis=2)
        top = float(np.quantile(error, 0.995)) or 1.0
        drawn = axes[1].imshow(error, cmap="magma", vmin=0, vmax=top)
        unit = " in levels" if pixels.dtype.kind in "iu" else ""
        mean = ", mean over channels" if pixels.shape[2] > 1 else ""
        axes[1].set_title(f"absolute error{unit}{mean}", fontsize=10)
        scale = figure.colorbar(drawn, cax=axes[1].inset_axes((1.02, 0.0, 0.03, 1.0)), extend="max")
        scale.ax.tick_params(labelsize=8)
    for axis in axes:
        axis.set_axis_off()


def displayed(pixels: NDArray[Any]) -> tuple[NDArray[np.float64], str]:
    """Convert an image of any type for matplotlib, to grey, RGB or RGBA in 0..1; also describes the conversion."""
    channels = pixels.shape[2]
    values = pixels.astype(np.float64)
    description = ""
    if channels == 2:
        values, description = values[..., :1], ", without alpha"
    elif channels > 4:
        values, description = values.mean(axis=2, keepdims=True), f", mean of {channels} channels"
    if pixels.dtype == np.uint8:
        values /= 255
    else:
        low, high = values.min(), values.max()
        values = (values - low) / ((high - low) or 1.0)
        description += f", {low:.4g} (black) to {high:.4g} (white)"
    return values[..., 0] if values.shape[2] == 1 else values, description


def _draw_histograms(figure: "SubFigure", histograms: list[Histogram]) -> None:
    columns = min(len(histograms), HISTOGRAM_COLUMNS)
    axes = figure.subplots(-(-len(histograms) // columns), columns, squeeze=False).ravel()
    for axis in axes[len(histograms) :]:
        axis.set_axis_off()
    for axis, histogram in zip(axes, histograms, strict=False):
        _draw_histogram(axis, histogram.symbols.ravel())
        axis.set_title(histogram.title, fontsize=9)
        axis.set_xlabel(histogram.axis, fontsize=8)
    axes[0].set_ylabel("count", fontsize=8)


def _draw_histogram(axis: "Axes", symbols: NDArray[np.int32]) -> None:
    # Outliers are clipped; otherwise a single one would squeeze all others into one bar.
    limit = max(1, math.ceil(float(np.quantile(np.abs(symbols), 0.995))))
    per_bin = -(-(2 * limit + 1) // HISTOGRAM_BINS)
    edges = np.arange(-limit, limit + per_bin + 1, per_bin) - 0.5
    axis.hist(np.clip(symbols, edges[0], edges[-1]), bins=edges.tolist(), color=COLOUR)
    axis.tick_params(labelsize=7)
    axis.locator_params(axis="both", nbins=5, integer=True)


def _draw_bits(figure: "SubFigure", file: FileBreakdown) -> None:
    axis = figure.subplots()
    shares = [row for row in file.model.rows if row.share_label]
    others = [part for part in file.parts if part.name != file.model.part]
    names = [*(row.share_label for row in shares), *(part.label for part in others)]
    amounts = [*(row.bits / 8 for row in shares), *(part.bytes for part in others)]
    bars = axis.bar(names, amounts, color=[COLOUR] * len(shares) + ["#8a8a8a"] * len(others))
    labels = [f"{amount:,.0f}" for amount in amounts]
    crowded = len(names) > 12
    notes = [*(_note(row, file.model.element) for row in shares), *[""] * len(others)]
    texts = labels if crowded else ["\n".join(pair) for pair in zip(labels, notes, strict=True)]
    axis.bar_label(bars, texts, fontsize=8, padding=2)
    axis.margins(y=0.4)
    axis.set_ylabel("bytes", fontsize=8)
    axis.tick_params(labelsize=8, axis="y")
    axis.tick_params(labelsize=8, axis="x", rotation=30 if crowded else 0)
    axis.set_title(f"parts of the {file.header.file_bytes:,} bytes", fontsize=10)


def _note(row: Row, element: str) -> str:
    """Text above a bar: its bits per weight or cell."""
    return f"{row.bits / row.elements:.2g} bits\na {element}" if row.elements else ""
