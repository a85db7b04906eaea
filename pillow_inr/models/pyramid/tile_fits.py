"""Fits the tiles of an image one after another: each fit uses all cores, and the memory is that of one tile."""

import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...encoding.deadline import Deadline
from ...encoding.progress import Report, begun
from ...encoding.source_image import SourceImage
from ...imaging.metrics import psnr_db
from ...options import EncodeOptions
from ...runtime.tensorflow import needs_keras
from ...runtime.threads import cores
from . import instant, latent_coding, structure
from .plan import ANALYSED_BASES, STEP_CORE_SECONDS, PyramidPlan
from .weight_quantization import Tensors

if TYPE_CHECKING:
    from .training.fit import Fitted

# What the first fit of a process takes before its first step, in seconds on four cores of 2024.
START_SECONDS = 8.0


class _Networks(NamedTuple):
    """Of a tile, for the tiles that are coded against it."""

    tensors: structure.Tensors
    """Integers in the file."""
    start: Tensors | None
    """Where fits start: the weights before they were rounded; None: at the integers."""


def streams(
    source: SourceImage, options: EncodeOptions, plan: PyramidPlan, boxes: instant.Boxes, deadline: Deadline
) -> list[bytes]:
    """Fit and code the tiles of an image.

    Networks start from those of the tile that they are coded against, which are nearer to what a tile needs than the
    base weights (docs/experiments.md section 25).

    Args:
        source: the image.
        options: of the encode: seed, device and progress.
        plan: for the image; latents start from the analysis network if it has the base weights of that.
        boxes: of its tiles.
        deadline: the schedules shrink to what fits before it.
    Returns:
        Each tile's stream.
    """
    header, result = plan.header, list[bytes]()
    report = begun(options.progress, _expected_seconds(source, plan))
    analysed = header.base_index >= ANALYSED_BASES
    columns, _ = header.tiles(source.size)
    networks = dict[tuple[int, int], _Networks]()
    first = _Networks(structure.base_weights(header.preset, header.base_index, source.channels), None)
    fit = latents = None
    left_pixels = source.pixels
    for left, top, right, bottom in boxes:
        samples = source.samples[top:bottom, left:right]
        pixels = (right - left) * (bottom - top)
        if analysed:
            values = source.scale.to_normalized(samples)
            latents = instant.latents(values, plan)
            if not result:
                first = first._replace(start=_first_networks(values, latents, plan, len(boxes), report))
        place = divmod(len(result), columns)
        reference = header.reference(*place)
        base, start = first if reference is None else networks[reference]
        # Imported when there is something to show: TensorFlow takes some seconds.
        fit = fit or _load_fit()
        fitted = fit(
            samples,
            scale=source.scale,
            hidden=None if source.transparent is None else source.transparent[top:bottom, left:right],
            preset=header.preset,
            base_index=header.base_index,
            rd_lambda=plan.rd_lambda,
            steps=plan.steps,
            base=base,
            latents=latents,
            networks=start,
            seed=options.seed,
            deadline=deadline.part(pixels / left_pixels).at,
            device=options.device,
            report=report and partial(_report_of_all, report, len(result), len(boxes)),
        )
        networks[place] = _Networks(fitted.tensors, fitted.networks)
        left_pixels -= pixels
        result.append(latent_coding.encode(header.preset, base, fitted.weight_residuals, fitted.grids))
    return result


def _first_networks(
    values: NDArray[np.float32],
    latents: Sequence[NDArray[np.float32]],
    plan: PyramidPlan,
    tiles: int,
    report: Report | None,
) -> Tensors:
    """Networks for the first tile; and a report of how good it is without an optimizer step."""
    tile = instant.tile_of(values, latents, plan)
    if report is not None:
        height, width, _ = values.shape
        psnr = psnr_db(tile.squared_error / values.size)
        report(0, plan.steps * tiles, psnr, 8 * len(tile.stream) / (height * width))
    return tile.networks


def _expected_seconds(source: SourceImage, plan: PyramidPlan) -> float:
    """Seconds that the fits take, as far as can be told before the first one."""
    first = 0.0 if "tensorflow" in sys.modules else START_SECONDS
    return first + plan.steps * STEP_CORE_SECONDS * source.pixels / 1e6 / cores()


def _report_of_all(
    report: Report, done: int, tiles: int, step: int, steps: int, psnr_db: float, bits_per_pixel: float
) -> None:
    """Report a step of one tile as one of all tiles."""
    report(done * steps + step, tiles * steps, psnr_db, bits_per_pixel)


def _load_fit() -> "Callable[..., Fitted]":
    """Import the fit, and TensorFlow with it, when one is made."""
    with needs_keras("fitting a pyramid"):
        from .training.fit import fit
    return fit
