"""Pyramids without a fit: latents from the analysis network, networks that are base weights. Needs NumPy alone."""

import math
import threading
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ...encoding.progress import Report
from ...encoding.source_image import SourceImage
from ...imaging import metrics
from ...runtime import threads
from . import analysis, decoding, latent_coding, structure
from .analysis import COLOURS
from .header import PyramidHeader
from .latent_coding import WeightResidual
from .plan import ANALYSED_BASES, BASE_RD_LAMBDAS, PyramidPlan
from .region import Region
from .structure import SYMBOL_MAX, Grid, Pyramid

# Left, upper, right, lower edges in pixels.
Boxes = Sequence[tuple[int, int, int, int]]

# lambda is at most this far from that of its base weights, in powers of 4, where the analysis network was trained.
_OFFSET_MAX = 0.5
# Symbols of residuals have at most so many bits.
_RESIDUAL_BITS = 15


def serves(source: SourceImage) -> bool:
    """Whether the analysis network knows such images: grey or of three colours, without transparency."""
    colours = source.channels - (source.channels in (2, 4))
    return colours in (1, COLOURS) and (colours == source.channels or source.is_opaque)


def planned(plan: PyramidPlan) -> PyramidPlan:
    """A plan with the base weights that were trained together with the analysis network."""
    return replace(plan, header=replace(plan.header, base_index=plan.header.base_index + ANALYSED_BASES))


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
    residuals = weight_residuals(header.preset, header.base_index, channels)
    tensors = latent_coding.apply(structure.base_weights(header.preset, header.base_index, channels), residuals)
    progress = None if report is None else _Progress(len(boxes), report)

    def coded(values: NDArray[np.float32], pyramid: Pyramid) -> bytes:
        stream = latent_coding.encode(header.preset, header.base_index, channels, residuals, pyramid.grids)
        if progress is not None:
            progress.add(values, pyramid, header.preset, len(stream))
        return stream

    # The analysis of a tile uses all cores, coding it one: it goes on beside the next ones.
    with ThreadPoolExecutor(threads.cores()) as pool:
        tasks = []
        try:
            for left, top, right, bottom in boxes:
                values = source.scale.to_normalized(source.samples[top:bottom, left:right])
                pyramid = Pyramid(tensors, _analysed(values, header, plan.rd_lambda))
                tasks.append(pool.submit(coded, values, pyramid))
            return [task.result() for task in tasks]
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
        finally:
            tasks.clear()  # an error holds this frame, and would be held by its task: a circle


def _analysed(values: NDArray[np.float32], header: PyramidHeader, rd_lambda: float) -> list[Grid]:
    index = header.base_index - ANALYSED_BASES
    offset = math.log(rd_lambda / BASE_RD_LAMBDAS[index], 4)
    latents = analysis.analyse(values, index, min(max(offset, -_OFFSET_MAX), _OFFSET_MAX))
    return [np.clip(np.rint(latent), -SYMBOL_MAX, SYMBOL_MAX).astype(np.int16) for latent in latents]


@lru_cache(maxsize=8)
def weight_residuals(preset: int, base_index: int, channels: int) -> dict[str, WeightResidual]:
    """What the base weights of three colours lack for an image of other channels: residual convolutions of grey.

    Base weights for grey keep what leads from a colour to itself (docs/format.md section 9.3). Where all three colours
    are alike, what leads from the other two belongs to it: k[t] = mean over c of sum over d of k[c, t, d].
    """
    base = structure.base_weights(preset, base_index, channels)
    residuals = {name: WeightResidual(0, np.zeros(values.shape, np.int32)) for name, values in base.items()}
    if channels > 2:
        return residuals
    of_colours = structure.base_weights(preset, base_index, COLOURS)
    for index in range(structure.PRESETS[preset].residual_convolutions):
        name = f"r{index}"
        taps = of_colours[name].reshape(COLOURS, 9, COLOURS).sum(axis=(0, 2)) / COLOURS
        missing = np.zeros((channels, 9, channels))
        missing[0, :, 0] = taps - base[name].reshape(channels, 9, channels)[0, :, 0]
        exponent = max(0, int(np.abs(missing).max()).bit_length() - _RESIDUAL_BITS)
        symbols = np.rint(missing / 2.0**exponent).astype(np.int32)
        residuals[name] = WeightResidual(exponent, symbols.reshape(base[name].shape))
    return residuals


class _Progress:
    """Reports of tiles that several threads have done."""

    def __init__(self, tiles: int, report: Report) -> None:
        self.tiles = tiles
        self.report = report
        self.done = self.pixels = self.bits = 0
        self.squared_error = 0.0
        self.lock = threading.Lock()

    def add(self, values: NDArray[np.float32], pyramid: Pyramid, preset: int, stream_bytes: int) -> None:
        """Report a tile: its normalized samples, what stands for them, and the length of its stream."""
        height, width, channels = values.shape
        shown = decoding.synthesize(pyramid, (width, height), channels, preset, Region(0, height, 0, width))
        squared_error = float(np.square(values - shown).sum(dtype=np.float64))
        with self.lock:
            self.done += 1
            self.pixels += height * width
            self.bits += 8 * stream_bytes
            self.squared_error += squared_error
            mse = self.squared_error / (self.pixels * channels)
            self.report(self.done, self.tiles, metrics.psnr_db(mse), self.bits / self.pixels)
