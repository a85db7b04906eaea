"""Makes .inr files that hold a pyramid: fits and codes tile by tile, searches lambda for a size or a PSNR."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from ...encoding.deadline import Deadline
from ...encoding.progress import begun
from ...encoding.search import PROBE_SHARE, Goal, search
from ...encoding.source_image import Encoded, SourceImage
from ...format import file as file_format
from ...format.chunks import CHUNK_PREVIEW, Chunk
from ...imaging import metrics
from ...options import EncodeOptions, budget_bytes
from ..base import EncodeJob
from . import instant, latent_coding, structure, tile_fits
from .header import CODING_PYRAMID, TILE_NONE
from .model import FORMAT
from .plan import (
    BITS_POWER,
    RD_LAMBDA_RANGE,
    UNANALYSED_STEPS,
    PyramidPlan,
    make_plan,
    quality_rd_lambda,
    rd_lambda_for,
    within,
)
from .tiles import pack_streams

# Part of a time limit that is kept for measuring the PSNR: seconds a megapixel, on one slow core or several.
PSNR_SECONDS = 3.0
# The search for a size aims at this part of the budget; a file is good enough if log(size) is this near to that.
BUDGET_TARGET = 0.96
BUDGET_TOLERANCE = 0.08
# The search for a PSNR aims this far above it, in dB, and is content this near to that. The usual slope over
# log(lambda).
PSNR_MARGIN = 0.15
PSNR_TOLERANCE = 0.3
PSNR_SLOPE = -2.5
# What a fit of twice as many steps gains on photographs at 28 to 36 dB: dB, and change of log(bytes).
PSNR_GAIN = 0.15
BYTES_GAIN = -0.07
# Factor by which lambda rises from trial to trial while no file is small enough.
EMERGENCY_FACTOR = 16.0
# Larger images, whose tiles take a second to decode, carry a preview with this longer side, fitted in at most so
# many optimizer steps and with so many times the image's lambda: it takes 3 % of a file's bytes, 6 % with the image's.
PREVIEW_FROM = 1 << 22
PREVIEW_SIDE = 512
PREVIEW_STEPS = 200
PREVIEW_RD_LAMBDA = 4.0
# dB above the mean colour below which a fit has collapsed.
COLLAPSE_DB = 3.0


@dataclass(frozen=True)
class Trial:
    """A fit, packed."""

    file: Encoded
    rd_lambda: float


class _Work(NamedTuple):
    """An image and how it is encoded."""

    source: SourceImage
    options: EncodeOptions
    analysed: bool = True
    """Whether to begin with what the analysis network finds, where it serves."""

    @property
    def is_instant(self) -> bool:
        return self.analysed and is_instant(self.source, self.options)

    def plan(self, rd_lambda: float, share: float = 1.0) -> PyramidPlan:
        """The plan for lambda and a part of the schedule."""
        plan = make_plan(self.options, self.source.size, rd_lambda, share)
        if self.analysed and instant.serves(self.source) and instant.knows(self.source, plan):
            return instant.planned(plan)
        return plan if self.options.steps else replace(plan, steps=max(plan.steps, UNANALYSED_STEPS))

    def gain(self, of_doubling: float, rd_lambda: float) -> float | None:
        """What a full fit gains over a probe, from what twice as many steps do; None if a probe has as many steps.

        Without a fit a probe takes no time.
        """
        if self.is_instant:
            return 0.0
        full, probe = (self.plan(rd_lambda, share).steps for share in (1.0, PROBE_SHARE))
        return of_doubling * math.log2(full / probe) if probe < full else None


def encode(job: EncodeJob) -> Encoded:
    """Fit a pyramid to an image and pack it (`models.base.Encoder`)."""
    return fit_and_pack(job).file


def fit_and_pack(job: EncodeJob) -> Trial:
    """Fit a pyramid to an image and pack it; once more, begun otherwise, if the first fit collapsed.

    Returns:
        The file; of a search for a PSNR the smallest that reached it, or else the best.
    """
    found = _fit_and_pack(_Work(job.source, job.options), job.deadline)
    if is_instant(job.source, job.options):
        # The analysis network knows photographs, not everything.
        if has_collapsed(job.source, found) or job.source.is_failed_fit(found.file, found.rd_lambda):
            return fit_and_pack(job._replace(options=replace(job.options, steps=UNANALYSED_STEPS)))
        return found
    if has_collapsed(job.source, found) and not job.deadline.is_over:
        other = replace(job.options, seed=(job.options.seed + 1) % 2**31)
        again = _fit_and_pack(_Work(job.source, other, analysed=False), job.deadline)
        found = max(found, again, key=lambda trial: trial.file.psnr_db)
    return found


def is_instant(source: SourceImage, options: EncodeOptions) -> bool:
    """Whether an image is encoded without a fit."""
    return options.effort == 0 and options.steps is None and instant.serves(source)


def steps(job: EncodeJob) -> int:
    """Optimizer steps of a full fit of an image, for a quality."""
    rd_lambda = quality_rd_lambda(job.options, job.source.channels, job.source.pixels)
    return _Work(job.source, job.options).plan(rd_lambda).steps


def has_collapsed(source: SourceImage, trial: Trial) -> bool:
    """Whether a fit got hardly beyond the mean colour although more would pay: variance > lambda * channels.

    To halve the error of any image costs at most half a bit a sample, which is what Gaussian noise costs.
    """
    variance = source.variance
    short = trial.file.psnr_db < metrics.psnr_db(variance) + COLLAPSE_DB
    return short and variance > trial.rd_lambda * source.channels


def _fit_and_pack(work: _Work, limit: Deadline) -> Trial:
    source, options = work.source, work.options
    deadline = limit.earlier(source.pixels / 1e6 * PSNR_SECONDS)
    budget = budget_bytes(options, source.size)
    if budget is not None:
        return _within_budget(work, budget, deadline)
    start = quality_rd_lambda(options, source.channels, source.pixels)
    if options.psnr is not None:
        start = within(start)
        trial = _trials(work, _preview(work, start))
        goal = _psnr_goal(options.psnr, work.gain(PSNR_GAIN, start))
        return search(trial, goal, start, RD_LAMBDA_RANGE, deadline)
    return _trials(work, _preview(work, start))(start, 1.0, deadline)


def _trials(work: _Work, chunks: Sequence[Chunk]) -> Callable[[float, float, Deadline], Trial]:
    """Return the function that makes a trial of lambda, a part of the schedule and a deadline."""

    def trial(rd_lambda: float, share: float, deadline: Deadline) -> Trial:
        plan = work.plan(rd_lambda, share)
        return Trial(work.source.pack(plan.header, _payload(work, plan, deadline), chunks, FORMAT.open), rd_lambda)

    return trial


def _psnr_goal(psnr_db: float, gain: float | None) -> Goal[Trial]:
    return Goal(
        metric=lambda trial: min(trial.file.psnr_db, 200.0),  # a file without any error has an infinite one
        target=psnr_db + PSNR_MARGIN,
        met=lambda trial: trial.file.psnr_db >= psnr_db,
        tolerance=PSNR_TOLERANCE,
        slope=PSNR_SLOPE,
        gain=gain,
        cost=lambda trial: float(len(trial.file.data)) if trial.file.psnr_db >= psnr_db else -trial.file.psnr_db,
    )


def _within_budget(work: _Work, budget: int, deadline: Deadline) -> Trial:
    """The best of a few files that are not too long; the shortest possible, if no other is so short."""
    source = work.source
    least = _blank(source)
    if len(least.file.data) > budget:
        raise source.too_small(len(least.file.data), budget)
    start = rd_lambda_for(8 * (budget - len(least.file.data) + 4) / source.pixels)
    preview = _preview(work, start)
    # Header, chunks and base weights do not answer to lambda.
    fixed = len(least.file.data) - 4 + sum(len(chunk.pack()) for chunk in preview)
    if fixed >= budget:
        fixed, preview = len(least.file.data) - 4, []
    goal: Goal[Trial] = Goal(
        metric=lambda trial: math.log(max(len(trial.file.data) - fixed, 1)),
        target=math.log(max(BUDGET_TARGET * (budget - fixed), 1)),
        met=lambda trial: len(trial.file.data) <= budget,
        tolerance=BUDGET_TOLERANCE,
        slope=BITS_POWER,
        gain=work.gain(BYTES_GAIN, start),
        cost=lambda trial: -trial.file.psnr_db if len(trial.file.data) <= budget else float(len(trial.file.data)),
    )
    trial = _trials(work, preview)
    found = search(trial, goal, rd_lambda_for(8 * (budget - fixed) / source.pixels), RD_LAMBDA_RANGE, deadline)
    rd_lambda = found.rd_lambda
    while not goal.met(found) and rd_lambda < RD_LAMBDA_RANGE[1]:
        rd_lambda = within(EMERGENCY_FACTOR * rd_lambda)
        found = trial(rd_lambda, PROBE_SHARE, deadline)
    return found if goal.met(found) else least


def _blank(source: SourceImage) -> Trial:
    """The shortest file of an image: base weights, grids of zeros, no preview."""
    plan = make_plan(EncodeOptions(steps=1), source.size, RD_LAMBDA_RANGE[1])
    streams = [_blank_stream(source.channels, plan, box) for box in _tile_boxes(source, plan)]
    payload = pack_streams(plan.header, streams)
    return Trial(source.pack(plan.header, payload, (), FORMAT.open), plan.rd_lambda)


def _blank_stream(channels: int, plan: PyramidPlan, box: tuple[int, int, int, int]) -> bytes:
    left, top, right, bottom = box
    header = plan.header
    base = structure.base_weights(header.preset, header.base_index, channels)
    residuals = latent_coding.no_residuals(header.preset, channels)
    grids = [np.zeros(shape, np.int32) for shape in structure.grid_sizes((right - left, bottom - top))]
    return latent_coding.encode(header.preset, base, residuals, grids)


def _payload(work: _Work, plan: PyramidPlan, deadline: Deadline) -> bytes:
    boxes = _tile_boxes(work.source, plan)
    if work.is_instant:
        streams = instant.streams(work.source, plan, boxes, begun(work.options.progress))
    else:
        streams = tile_fits.streams(work.source, work.options, plan, boxes, deadline)
    return pack_streams(plan.header, streams)


def _preview(work: _Work, rd_lambda: float) -> list[Chunk]:
    """The chunk that shows a large image smaller, for thumbnails (docs/format.md section 9.8); none of a small one."""
    source = work.source
    if source.pixels <= PREVIEW_FROM:
        return []
    shrink = max(1.0, max(source.size) / PREVIEW_SIDE)
    # Rounded up, as sizes of drafts are, so that a thumbnail of the preview's width asks for no more rows than it has.
    width, height = (math.ceil(side / shrink - 1e-9) for side in source.size)
    small = source.reduced((width, height))
    plan = work.plan(within(PREVIEW_RD_LAMBDA * rd_lambda))
    plan = replace(
        plan, header=replace(plan.header, tile=TILE_NONE, coding=CODING_PYRAMID), steps=min(plan.steps, PREVIEW_STEPS)
    )
    quiet = replace(work.options, progress=False)
    payload = _payload(work._replace(source=small, options=quiet), plan, Deadline())
    return [Chunk(CHUNK_PREVIEW, file_format.pack(small.header(plan.header, len(payload)), payload))]


def _tile_boxes(source: SourceImage, plan: PyramidPlan) -> list[tuple[int, int, int, int]]:
    return list(source.tile_boxes(plan.header.tile_side or max(source.size)))
