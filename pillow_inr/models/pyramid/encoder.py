"""Pixels -> the bytes of an .inr file that holds a pyramid: fit, code, tile by tile; reach a size or a PSNR."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np

from ...encoding.progress import Report, reporting
from ...encoding.search import PROBE_SHARE, Goal, search
from ...encoding.source_image import Encoded, Picture
from ...errors import BackendError
from ...format import container
from ...imaging import metrics
from ...options import EncodeOptions, budget_bytes, image_rd_lambda
from . import latent_coding
from .plan import BITS_POWER, RD_LAMBDA_RANGE, PyramidPlan, make_plan, rd_lambda_for, within
from .structure import grid_sizes, shapes
from .tiles import pack_streams

# What of a time limit is kept for measuring the PSNR: seconds a megapixel on one slow core or several.
PSNR_SECONDS = 3.0
# Of a budget: what is aimed at, and how far below it a file is near enough.
BUDGET_AIM = 0.96
BUDGET_TOLERANCE = 0.08
# Of a PSNR in dB: the same above it, the usual fall for each unit of log(lambda), and what a full fit has beyond one of
# a tenth of its steps (measured on photographs at 28 to 36 dB).
PSNR_AIM = 0.15
PSNR_TOLERANCE = 0.3
PSNR_SLOPE = -2.5
PSNR_GAIN = 1.5
# The logarithm of what such a fit's bytes shrink by.
BYTES_GAIN = -0.18
# By how much lambda rises from trial to trial when no size so far was small enough.
EMERGENCY_FACTOR = 16.0
# Images of more pixels, whose tiles take seconds to decode, carry a preview; its longer side, and its steps at most.
PREVIEW_FROM = 1 << 22
PREVIEW_SIDE = 256
PREVIEW_STEPS = 200
# dB that a pyramid must be above the mean colour, where they pay.
COLLAPSE_DB = 3.0


@dataclass(frozen=True)
class Trial:
    """A fit, packed."""

    file: Encoded
    rd_lambda: float


def encode(picture: Picture, options: EncodeOptions, deadline: float | None) -> Trial:
    """Fit a pyramid to a picture and pack it.

    Args:
        deadline: reading of `time.perf_counter` at which the file should be there.
    Returns:
        The file; of a search for a PSNR the smallest that reached it, or else the best.
    Raises:
        BudgetError: the options ask for a size that nothing fits into.
        BackendError: TensorFlow is not there or not usable.
        FitError: the fit diverged.
    """
    found = _encode(picture, options, deadline)
    if has_collapsed(picture, found) and not (deadline is not None and time.perf_counter() >= deadline):
        again = _encode(picture, replace(options, seed=(options.seed + 1) % 2**31), deadline)
        found = max(found, again, key=lambda trial: trial.file.psnr_db)
    return found


def has_collapsed(picture: Picture, trial: Trial) -> bool:
    """Whether a fit got hardly beyond the mean colour, although that would pay.

    It costs at most half a bit a sample to halve the error, of whatever image: that is of Gaussian noise.
    """
    variance = picture.variance
    short = trial.file.psnr_db < metrics.psnr_db(variance) + COLLAPSE_DB
    return short and variance > trial.rd_lambda * picture.channels


def _encode(picture: Picture, options: EncodeOptions, deadline: float | None) -> Trial:
    if deadline is not None:
        deadline -= picture.pixels / 1e6 * PSNR_SECONDS
    fitting = _fitting()

    def trial(rd_lambda: float, share: float, end: float | None) -> Trial:
        plan = make_plan(options, picture.size, rd_lambda, float(fitting.MILLISECONDS_PER_MEGAPIXEL_STEP), share=share)
        chunks = [_preview(picture, plan, options, fitting)] if picture.pixels > PREVIEW_FROM else []
        payload = _fit_tiles(picture, plan, options, end, fitting)
        return Trial(picture.pack(_fields(plan), payload, chunks), rd_lambda)

    budget = budget_bytes(options, picture.size)
    if budget is not None:
        return _within_budget(picture, budget, trial, deadline)
    if options.psnr is not None:
        start = within(image_rd_lambda(options, picture.channels, picture.pixels))
        return search(trial, _psnr_goal(options.psnr), start, RD_LAMBDA_RANGE, deadline)
    return trial(image_rd_lambda(options, picture.channels, picture.pixels), 1.0, deadline)


def _psnr_goal(psnr_db: float) -> Goal[Trial]:
    return Goal(
        metric=lambda trial: min(trial.file.psnr_db, 200.0),  # a file without any error has an infinite one
        target=psnr_db + PSNR_AIM,
        met=lambda trial: trial.file.psnr_db >= psnr_db,
        tolerance=PSNR_TOLERANCE,
        slope=PSNR_SLOPE,
        gain=PSNR_GAIN,
        cost=lambda trial: float(len(trial.file.data)) if trial.file.psnr_db >= psnr_db else -trial.file.psnr_db,
    )


def _within_budget(
    picture: Picture, budget: int, trial: Callable[[float, float, float | None], Trial], deadline: float | None
) -> Trial:
    """The best of a few files that are not too long; the shortest possible, if no other is so short."""
    least = _blank(picture)
    if len(least.file.data) > budget:
        raise picture.too_small(len(least.file.data), budget)
    # What every file has beside its grids does not answer to lambda.
    fixed = len(least.file.data) - 4
    goal: Goal[Trial] = Goal(
        metric=lambda trial: math.log(max(len(trial.file.data) - fixed, 1)),
        target=math.log(max(BUDGET_AIM * (budget - fixed), 1)),
        met=lambda trial: len(trial.file.data) <= budget,
        tolerance=BUDGET_TOLERANCE,
        slope=BITS_POWER,
        gain=BYTES_GAIN,
        cost=lambda trial: -trial.file.psnr_db if len(trial.file.data) <= budget else float(len(trial.file.data)),
    )
    start = rd_lambda_for(8 * (budget - fixed) / picture.pixels)
    found = search(trial, goal, start, RD_LAMBDA_RANGE, deadline)
    rd_lambda = found.rd_lambda
    while not goal.met(found) and rd_lambda < RD_LAMBDA_RANGE[1]:
        rd_lambda = within(EMERGENCY_FACTOR * rd_lambda)
        found = trial(rd_lambda, PROBE_SHARE, deadline)
    return found if goal.met(found) else least


def _blank(picture: Picture) -> Trial:
    """The shortest file of a picture: the priors' networks, grids of zeros."""
    plan = make_plan(EncodeOptions(steps=1), picture.size, RD_LAMBDA_RANGE[1], 1.0)
    streams = [_blank_stream(picture, plan, region) for region in _regions(picture, plan)]
    payload = pack_streams(picture.header(_fields(plan)), streams)
    return Trial(picture.pack(_fields(plan), payload), plan.rd_lambda)


def _blank_stream(picture: Picture, plan: PyramidPlan, region: tuple[int, int, int, int]) -> bytes:
    left, top, right, bottom = region
    weight_residuals = {
        name: latent_coding.WeightResidual(0, np.zeros(shape, np.int32))
        for name, shape in shapes(plan.preset, picture.channels).items()
    }
    grids = [np.zeros(shape, np.int32) for shape in grid_sizes((right - left, bottom - top))]
    return latent_coding.encode(plan.preset, plan.base_index, picture.channels, weight_residuals, grids)


def _fit_tiles(
    picture: Picture, plan: PyramidPlan, options: EncodeOptions, deadline: float | None, fitting: ModuleType
) -> bytes:
    """The payload of a plan's fits, one after another: each uses all cores, and none but its own memory."""
    regions = _regions(picture, plan)
    streams: list[bytes] = []
    left_pixels = picture.pixels
    with reporting(options.progress) as report:
        for left, top, right, bottom in regions:
            now = time.perf_counter()
            pixels = (right - left) * (bottom - top)
            fitted = fitting.fit(
                picture.samples[top:bottom, left:right],
                scale=picture.scale,
                preset=plan.preset,
                base_index=plan.base_index,
                rd_lambda=plan.rd_lambda,
                steps=plan.steps,
                seed=options.seed,
                deadline=None if deadline is None else now + (deadline - now) * pixels / left_pixels,
                device=options.device,
                report=report and partial(_of_all, report, len(streams), len(regions)),
            )
            left_pixels -= pixels
            streams.append(
                latent_coding.encode(
                    plan.preset, plan.base_index, picture.channels, fitted.weight_residuals, fitted.grids
                )
            )
    return pack_streams(picture.header(_fields(plan)), streams)


def _preview(picture: Picture, plan: PyramidPlan, options: EncodeOptions, fitting: ModuleType) -> container.Chunk:
    """The picture as it serves thumbnails (docs/format.md section 9.8)."""
    shrink = max(1.0, max(picture.size) / PREVIEW_SIDE)
    # Rounded up, as sizes of drafts are, so that a thumbnail of the preview's width asks for no more rows than it has.
    width, height = (math.ceil(side / shrink - 1e-9) for side in picture.size)
    small = picture.reduced((width, height))
    whole = replace(plan, tile=container.TILE_NONE, steps=min(plan.steps, PREVIEW_STEPS))
    payload = _fit_tiles(small, whole, replace(options, progress=False), None, fitting)
    header = small.header(_fields(whole), len(payload))
    return container.Chunk(container.CHUNK_PREVIEW, container.pack(header, payload, b""))


def _of_all(report: Report, done: int, tiles: int, step: int, steps: int, psnr_db: float, bpp: float) -> None:
    """Report a step of one tile as one of all tiles."""
    report(done * steps + step, tiles * steps, psnr_db, bpp)


def _regions(picture: Picture, plan: PyramidPlan) -> list[tuple[int, int, int, int]]:
    side = 1 << plan.tile if plan.tile else max(picture.size)
    return list(picture.regions(side))


def _fields(plan: PyramidPlan) -> dict[str, Any]:
    """What the header says of a plan's pyramid."""
    return {
        "model": container.MODEL_PYRAMID,
        "preset": plan.preset,
        "prior": plan.base_index,
        "tile": plan.tile,
        "coding": container.CODING_PYRAMID,
    }


def _fitting() -> ModuleType:
    try:
        from .training import fit as pyramid_fit
    except ImportError as error:
        raise BackendError(
            f"fitting a pyramid needs Keras on TensorFlow, which cannot be imported here: {error}"
        ) from error
    return pyramid_fit
