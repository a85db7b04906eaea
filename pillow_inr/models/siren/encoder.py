"""Makes .inr files that hold SIRENs: plans, fits, codes; searches for a PSNR."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ...encoding.deadline import Deadline
from ...encoding.progress import begun
from ...encoding.source_image import Encoded, SourceImage
from ...entropy import quantization
from ...errors import LimitError
from ...format.chunks import CHUNK_INITIALIZATION, Chunk
from ...format.ranges import PART_BYTES_MAX
from ...options import EncodeOptions
from ..base import EncodeJob
from . import initialization, mosaic, reference_store, weight_coding
from .architecture import Architecture
from .header import SirenHeader
from .initialization import Initialization
from .model import FORMAT
from .networks import NetworksJob, fit_networks
from .packing import Packing
from .plan import QUALITY_WIDTHS, Plan, make_plan, plan_for_weights, usual_weights

# The search for a PSNR: fits at most, dB above the goal that are near enough, dB that twice the weights of a single
# network and half the lambda of a mosaic bring on photographs, and doublings by which one fit may lead away from the
# next at most.
PSNR_FITS = 4
PSNR_TOLERANCE = 0.25
DB_PER_DOUBLING = 2.3
DB_PER_HALF_LAMBDA = 1.5
PSNR_DOUBLINGS_MAX = 3.0
# Where the search for a mosaic begins, lambda relative to the mean squared error that is asked for, and its bounds.
LAMBDA_PER_MSE = 1.6
LAMBDA_RANGE = (1e-6, 0.5)
# Quantization step of a single colour, normalized samples: 64 steps between two levels of 8 bits.
FLAT_STEP = 2.0**-14


def encode(job: EncodeJob) -> Encoded:
    """Fit a SIREN to an image and pack it (`models.base.Encoder`).

    Returns:
        The file; of a search for a PSNR the smallest that reached it, or else the best.
    """
    job = job._replace(options=reference_store.resolved(job.options))
    source, options, deadline = job
    if options.psnr is not None:
        return _search(job, options.psnr)
    if mosaic.suits(source, options):
        plan = mosaic.Planner(source, options).plan()
    else:
        plan = make_plan(options, source.size, source.channels)
    return encode_plan(source, plan, options, deadline)


def encode_flat(source: SourceImage) -> Encoded:
    """Pack a network of one unit that shows one colour, the mean; there is nothing to fit."""
    header = SirenHeader(width=1, depth=1)
    *zeros, bias = (np.zeros(shape, np.float32) for shape in header.architecture(source.channels).shapes)
    colour = source.mean().astype(np.float32).reshape(bias.shape)
    step = quantization.step_index(FLAT_STEP)
    tensors = [weight_coding.CodedTensor(zero.astype(np.int32), step) for zero in zeros]
    tensors.append(weight_coding.CodedTensor(quantization.quantize(colour, FLAT_STEP), step))
    return source.pack(header, weight_coding.encode_tensors(tensors), (), FORMAT.open)


class _Trial(NamedTuple):
    """One fit, packed."""

    file: Encoded
    position: float
    """Where the search for a PSNR tried it: the binary logarithm of the weights, or of 1 / lambda."""


def _search(job: EncodeJob, goal: float) -> Encoded:
    """The smallest of a few files whose PSNR reaches the goal; else the best."""
    source, options, deadline = job
    ladder = _Slopes(source, options, goal) if mosaic.suits(source, options) else _Widths(source, options)
    below: _Trial | None = None
    above: _Trial | None = None
    position = ladder.first
    slope = ladder.db_per_doubling
    last: _Trial | None = None
    for left in range(PSNR_FITS, 0, -1):
        step = ladder.step(position, above.position if above else math.inf)
        if step is None:
            break
        trial = _Trial(encode_plan(source, step.plan, options, deadline.part(1 / left)), step.position)
        slope = _measured_slope(last, trial, ladder.db_per_doubling)
        last = trial
        if trial.file.psnr_db < goal:
            below = trial if below is None or trial.file.psnr_db > below.file.psnr_db else below
        else:
            above = trial if above is None or len(trial.file.data) < len(above.file.data) else above
            if trial.file.psnr_db < goal + PSNR_TOLERANCE:
                break
        position = _next_position(below, above, goal + PSNR_TOLERANCE / 2, slope)
    best = above or below
    assert best is not None
    return best.file


class _Step(NamedTuple):
    """What to try next in the search for a PSNR."""

    position: float
    plan: Plan


class _Widths:
    """Plans of single networks by the logarithm of their weights."""

    db_per_doubling = DB_PER_DOUBLING

    def __init__(self, source: SourceImage, options: EncodeOptions) -> None:
        self.source = source
        self.options = options
        self.first = math.log2(usual_weights(source.pixels, source.channels))
        self.tried: set[int] = set()

    def step(self, position: float, most: float) -> _Step | None:
        """A plan of another width than those before; None if there is none below `most`."""
        source, weights = self.source, 2.0**position
        plan = plan_for_weights(self.options, source.size, source.channels, weights)
        # Widths are few: one that missed the goal by little comes up again. Take the next one then.
        while plan.width in self.tried and math.log2(plan.weights) < most and plan.width < QUALITY_WIDTHS[1]:
            weights *= 1.1
            plan = plan_for_weights(self.options, source.size, source.channels, weights)
        if plan.width in self.tried:
            return None
        self.tried.add(plan.width)
        return _Step(math.log2(plan.weights), plan)


class _Slopes:
    """Plans of mosaics by the logarithm of 1 / lambda."""

    db_per_doubling = DB_PER_HALF_LAMBDA

    def __init__(self, source: SourceImage, options: EncodeOptions, goal: float) -> None:
        self.planner = mosaic.Planner(source, options)
        self.first = -math.log2(LAMBDA_PER_MSE) + goal / 10 * math.log2(10)

    def step(self, position: float, most: float) -> _Step:
        """The plan for a lambda."""
        del most
        low, high = LAMBDA_RANGE
        rd_lambda = min(max(2.0**-position, low), high)
        return _Step(-math.log2(rd_lambda), self.planner.plan(rd_lambda))


def _measured_slope(last: _Trial | None, trial: _Trial, usual: float) -> float:
    """dB per unit between two trials, within a factor of 2 of what is usual."""
    if last is None or last.position == trial.position:
        return usual
    measured = (trial.file.psnr_db - last.file.psnr_db) / (trial.position - last.position)
    return min(max(measured, usual / 2), usual * 2)


def _next_position(below: _Trial | None, above: _Trial | None, goal: float, db_per_doubling: float) -> float:
    """Where the PSNR should meet the goal: on the line through the trials beside it."""
    if below is not None and above is not None:
        share = (goal - below.file.psnr_db) / (above.file.psnr_db - below.file.psnr_db)
        share = min(max(share, 0.1), 0.9)
        return below.position + share * (above.position - below.position)
    trial = below or above
    assert trial is not None
    doublings = (goal - trial.file.psnr_db) / db_per_doubling
    return trial.position + min(max(doublings, -PSNR_DOUBLINGS_MAX), PSNR_DOUBLINGS_MAX)


def encode_plan(source: SourceImage, plan: Plan, options: EncodeOptions, deadline: Deadline) -> Encoded:
    """Fit the networks of a plan and pack them."""
    header = plan.header
    architecture = header.architecture(source.channels)
    _check_cost(source, header)
    init = options.init if isinstance(options.init, Initialization) else None
    every = _chunks(init, [True] * len(init.weights)) if init else []
    frame_bytes = source.frame_bytes(header, every, plan.budget_bytes or PART_BYTES_MAX)
    packing = Packing(plan.splits if plan.is_mosaic else None, init)
    room = _payload_room(source, architecture, plan, frame_bytes, packing)
    report = begun(options.progress)
    networks = fit_networks(NetworksJob(source, plan, options, deadline, packing, frame_bytes, room, report))
    payload = packing.coded(networks) if room is None else packing.coded_within(networks, room)
    return source.pack(header, payload, _chunks(init, networks[0].differences), FORMAT.open)


def _check_cost(source: SourceImage, header: SirenHeader) -> None:
    """Refuse a network whose file no reader would open."""
    try:
        source.header(header).cost().check()
    except LimitError as error:
        width, height = source.size
        raise ValueError(
            f"a network of {header.width}x{header.depth} is too large for an image of {width}x{height} pixels: {error}"
        ) from error


def _payload_room(
    source: SourceImage, architecture: Architecture, plan: Plan, frame_bytes: int, packing: Packing
) -> int | None:
    """Bytes that a plan's budget leaves for the payload; None if the plan has none.

    Raises:
        BudgetError: not even networks of zeros fit.
    """
    if plan.budget_bytes is None:
        return None
    room = plan.budget_bytes - frame_bytes
    least = packing.least_bytes(architecture, plan.header.networks)
    if room < least:
        raise source.too_small(frame_bytes + least, plan.budget_bytes)
    return room


def _chunks(init: Initialization | None, differences: Sequence[bool]) -> list[Chunk]:
    """The chunk that names an initialization; a file without any residual tensor does not need one."""
    if init is None or not any(differences):
        return []
    data = initialization.pack_reference(init.identity, differences)
    return [Chunk(CHUNK_INITIALIZATION, data, required=True)]
