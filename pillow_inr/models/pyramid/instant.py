"""Pyramids without a fit: latents from the analysis network, last layers from least squares. Needs NumPy alone."""

import math
import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...encoding.progress import Report
from ...encoding.source_image import SourceImage
from ...imaging import metrics
from ...runtime import threads
from . import analysis, latent_coding, output_layers, structure
from .analysis import COLOURS
from .header import CODING_PYRAMID
from .plan import ANALYSED_BASES, ANALYSED_STEPS, BASE_RD_LAMBDAS, TRAINED_RD_LAMBDAS, PyramidPlan
from .structure import SYMBOL_MAX
from .weight_quantization import Tensors

# Left, upper, right, lower edges in pixels.
Boxes = Sequence[tuple[int, int, int, int]]

# lambda is at most this far from that of its base weights, in powers of 4, where the analysis network was trained.
_OFFSET_MAX = 0.5
# Below it a fit begins with larger symbols than the network was trained for: at 1e-4 they do not pay, at 3e-5 they do.
_FINE_RD_LAMBDA = 8e-5

# Part of an image's pixels, in so many of its rows, that are equal to the one before if the image is drawn: 0.9 of
# screenshots and line art. Of 156 photographs four have more, half of them white, and the median has 0.07.
_DRAWN = 0.6
_DRAWN_ROWS = 256


def serves(source: SourceImage) -> bool:
    """Whether the analysis network knows such images: grey or of three colours, without transparency."""
    colours = source.channels - (source.channels in (2, 4))
    return colours in (1, COLOURS) and (colours == source.channels or source.is_opaque)


def knows(source: SourceImage, plan: PyramidPlan) -> bool:
    """Whether an image gains by what the network finds: without a fit, or in a short fit of a photograph.

    The network has seen photographs; fits of drawn images are far worse with it (docs/experiments.md section 26).
    """
    return plan.steps == 0 or (plan.steps <= ANALYSED_STEPS and not is_drawn(source))


def is_drawn(source: SourceImage) -> bool:
    """Whether an image is a drawing, a screenshot or flat: most pixels are equal to those beside them."""
    rows, columns, _ = source.samples.shape
    some = source.samples[:: max(1, rows // _DRAWN_ROWS)]
    return columns > 1 and bool((some[:, 1:] == some[:, :-1]).all(axis=2).mean() > _DRAWN)


def planned(plan: PyramidPlan) -> PyramidPlan:
    """A plan with the base weights that were trained together with the analysis network.

    Tiles without a fit are coded side by side: none waits for another one's networks. Base weights for larger symbols
    than the trained ones pay in a fit alone, and at low lambdas: the network is not as exact.
    """
    header, base_index = plan.header, plan.header.base_index
    if plan.steps == 0 or plan.rd_lambda > _FINE_RD_LAMBDA:
        base_index = min(base_index, len(TRAINED_RD_LAMBDAS) - 1)
    coding = header.coding if plan.steps else CODING_PYRAMID
    return replace(plan, header=replace(header, base_index=base_index + ANALYSED_BASES, coding=coding))


def streams(source: SourceImage, plan: PyramidPlan, boxes: Boxes, report: Report | None) -> list[bytes]:
    """Analyse and code the tiles of an image.

    Args:
        source: the image, which `serves` has agreed to.
        plan: for the image, from `planned`; its steps do not count.
        boxes: of its tiles.
        report: called after each tile, as for an optimizer step.
    Returns:
        Each tile's stream.
    """
    # Imported here: programs that never encode need no pools.
    from concurrent.futures import ThreadPoolExecutor

    progress = None if report is None else _Progress(len(boxes), report)

    def coded(values: NDArray[np.float32], found: list[NDArray[np.float32]]) -> bytes:
        tile = tile_of(values, found, plan)
        if progress is not None:
            progress.add(values.shape, tile.squared_error, len(tile.stream))
        return tile.stream

    # The analysis of a tile uses all cores, coding it one: it goes on beside the next ones.
    with ThreadPoolExecutor(threads.cores()) as pool:
        tasks = []
        try:
            for left, top, right, bottom in boxes:
                values = source.scale.to_normalized(source.samples[top:bottom, left:right])
                tasks.append(pool.submit(coded, values, latents(values, plan)))
                if len(tasks) > threads.cores():
                    tasks[-threads.cores() - 1].result()  # no more tiles than that are in memory
            return [task.result() for task in tasks]
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
        finally:
            tasks.clear()  # an error holds this frame, and would be held by its task: a circle


def latents(values: NDArray[np.float32], plan: PyramidPlan) -> list[NDArray[np.float32]]:
    """What the analysis network finds, finest grid first, in units of symbols.

    Args:
        values: normalized samples, shape (height, width, channels).
        plan: from `planned`.
    """
    index = plan.header.base_index - ANALYSED_BASES
    offset = math.log(plan.rd_lambda / BASE_RD_LAMBDAS[index], 4)
    return analysis.analyse(values, index, min(max(offset, -_OFFSET_MAX), _OFFSET_MAX))


class Tile(NamedTuple):
    """A tile without a fit."""

    networks: Tensors
    """Base weights, but for what least squares give."""
    squared_error: float
    """Summed over normalized samples."""
    stream: bytes


def tile_of(values: NDArray[np.float32], found: Sequence[NDArray[np.float32]], plan: PyramidPlan) -> Tile:
    """Round the latents found for a tile, find its last layers and code it; arguments as for `latents`."""
    preset, base_index, channels = plan.header.preset, plan.header.base_index, values.shape[2]
    grids = [np.clip(np.rint(latent), -SYMBOL_MAX, SYMBOL_MAX).astype(np.int16) for latent in found]
    adapted = output_layers.adapted(values, grids, preset, base_index, plan.rd_lambda)
    base = structure.base_weights(preset, base_index, channels)
    weights = latent_coding.apply(base, adapted.weight_residuals)
    stream = latent_coding.encode(preset, base, adapted.weight_residuals, grids)
    return Tile(structure.as_floats(preset, weights), adapted.squared_error, stream)


class _Progress:
    """Reports of tiles that several threads have done."""

    def __init__(self, tiles: int, report: Report) -> None:
        self.tiles = tiles
        self.report = report
        self.done = self.pixels = self.bits = 0
        self.squared_error = 0.0
        self.lock = threading.Lock()

    def add(self, shape: tuple[int, ...], squared_error: float, stream_bytes: int) -> None:
        """Report a tile: its height, width and channels, squared error and the length of its stream."""
        height, width, channels = shape
        with self.lock:
            self.done += 1
            self.pixels += height * width
            self.bits += 8 * stream_bytes
            self.squared_error += squared_error
            mse = self.squared_error / (self.pixels * channels)
            self.report(self.done, self.tiles, metrics.psnr_db(mse), self.bits / self.pixels)
