"""Pyramids without a fit: latents from the analysis network, last layers from least squares. Needs NumPy alone."""

import math
import threading
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ...encoding.progress import Report
from ...encoding.source_image import SourceImage
from ...imaging import metrics
from ...runtime import threads
from . import analysis, latent_coding, output_layers, structure
from .analysis import COLOURS
from .plan import ANALYSED_BASES, ANALYSED_STEPS, BASE_RD_LAMBDAS, TRAINED_RD_LAMBDAS, PyramidPlan
from .structure import SYMBOL_MAX, Grid

# Left, upper, right, lower edges in pixels.
Boxes = Sequence[tuple[int, int, int, int]]

# lambda is at most this far from that of its base weights, in powers of 4, where the analysis network was trained.
_OFFSET_MAX = 0.5


def serves(source: SourceImage) -> bool:
    """Whether the analysis network knows such images: grey or of three colours, without transparency."""
    colours = source.channels - (source.channels in (2, 4))
    return colours in (1, COLOURS) and (colours == source.channels or source.is_opaque)


def knows(plan: PyramidPlan) -> bool:
    """Whether a fit gains by what the network finds: a short one, at a lambda of its training."""
    return plan.steps <= ANALYSED_STEPS and plan.header.base_index < len(TRAINED_RD_LAMBDAS)


def planned(plan: PyramidPlan) -> PyramidPlan:
    """A plan with the base weights that were trained together with the analysis network.

    Those for larger symbols than the trained ones would only take bits: the network is not as exact.
    """
    base_index = min(plan.header.base_index, len(TRAINED_RD_LAMBDAS) - 1) + ANALYSED_BASES
    return replace(plan, header=replace(plan.header, base_index=base_index))


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

    header, channels = plan.header, source.channels
    progress = None if report is None else _Progress(len(boxes), report)

    def coded(values: NDArray[np.float32], grids: list[Grid]) -> bytes:
        found = output_layers.adapted(values, grids, header.preset, header.base_index, plan.rd_lambda)
        stream = latent_coding.encode(header.preset, header.base_index, channels, found.weight_residuals, grids)
        if progress is not None:
            progress.add(values.shape, found.squared_error, len(stream))
        return stream

    # The analysis of a tile uses all cores, coding it one: it goes on beside the next ones.
    with ThreadPoolExecutor(threads.cores()) as pool:
        tasks = []
        try:
            for left, top, right, bottom in boxes:
                values = source.scale.to_normalized(source.samples[top:bottom, left:right])
                grids = _symbols(latents(values, header.base_index, plan.rd_lambda))
                tasks.append(pool.submit(coded, values, grids))
            return [task.result() for task in tasks]
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
        finally:
            tasks.clear()  # an error holds this frame, and would be held by its task: a circle


def _symbols(latents: Sequence[NDArray[np.float32]]) -> list[Grid]:
    return [np.clip(np.rint(latent), -SYMBOL_MAX, SYMBOL_MAX).astype(np.int16) for latent in latents]


def latents(values: NDArray[np.float32], base_index: int, rd_lambda: float) -> list[NDArray[np.float32]]:
    """What the analysis network finds, finest grid first, in units of symbols.

    Args:
        values: normalized samples, shape (height, width, channels).
        base_index: of the header, from ANALYSED_BASES on.
        rd_lambda: lambda of the loss.
    """
    index = base_index - ANALYSED_BASES
    offset = math.log(rd_lambda / BASE_RD_LAMBDAS[index], 4)
    return analysis.analyse(values, index, min(max(offset, -_OFFSET_MAX), _OFFSET_MAX))


def networks(
    values: NDArray[np.float32], found: Sequence[NDArray[np.float32]], preset: int, base_index: int, rd_lambda: float
) -> dict[str, NDArray[np.float32]]:
    """Networks for an image and the latents found for it: base weights, but for what least squares give."""
    adapted = output_layers.adapted(values, _symbols(found), preset, base_index, rd_lambda)
    base = structure.base_weights(preset, base_index, values.shape[2])
    return structure.as_floats(preset, latent_coding.apply(base, adapted.weight_residuals))


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
