"""Makes .inr files that hold a SIREN: fits, quantizes and codes; searches for a PSNR, rounds to a budget."""

import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np

from ...encoding.bisection import last_that_fits
from ...encoding.deadline import Deadline
from ...encoding.progress import begun
from ...encoding.source_image import Encoded, SourceImage
from ...entropy import quantization
from ...errors import LimitError
from ...format.chunks import CHUNK_INITIALIZATION, Chunk
from ...format.ranges import PART_BYTES_MAX
from ...options import EncodeOptions
from ...runtime.tensorflow import needs_keras
from ..base import EncodeJob
from . import canonical, initialization, reference_store, weight_coding
from .architecture import Architecture
from .fitted import Budget, Fitted
from .header import SirenHeader
from .initialization import Initialization
from .model import FORMAT, PSNR_PIXELS
from .plan import QUALITY_WIDTHS, Plan, make_plan, plan_for_weights, usual_weights

# Part of a time limit that is kept for measuring the PSNR: multiplications a second, on one slow core or several.
PSNR_SPEED = 3e10
# The search for a PSNR: fits at most, dB above the goal that are near enough, dB that twice the weights bring on
# photographs, and doublings by which one fit may lead away from the next at most.
PSNR_FITS = 4
PSNR_TOLERANCE = 0.25
DB_PER_DOUBLING = 2.3
PSNR_DOUBLINGS_MAX = 3.0
# Quantization step of a single colour, normalized samples: 64 steps between two levels of 8 bits.
FLAT_STEP = 2.0**-14
# Ways to code a network in fewer bytes, in order: first more weights are rounded towards zero, for other quantization
# steps than those it was trained for cost a dB; then steps are coarser.
_CODINGS = [
    *((rounding / 100, 0) for rounding in range(50, 100, 2)),
    *((1.0, coarser) for coarser in range(quantization.STEP_INDEX_MAX + 1)),
]


def encode(job: EncodeJob) -> Encoded:
    """Fit a SIREN to an image and pack it (`models.base.Encoder`).

    Returns:
        The file; of a search for a PSNR the smallest that reached it, or else the best.
    """
    job = job._replace(options=reference_store.resolved(job.options))
    source, options, deadline = job
    if options.psnr is not None:
        return _search(job, options.psnr)
    return encode_plan(source, make_plan(options, source.size, source.channels), options, deadline).file


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
    weights: float
    """Number of the network's weights."""


def _search(job: EncodeJob, goal: float) -> Encoded:
    """The smallest of a few files whose PSNR reaches the goal; else the best."""
    source, options, deadline = job
    below: _Trial | None = None
    above: _Trial | None = None
    weights = usual_weights(source.pixels, source.channels)
    widths: set[int] = set()
    for left in range(PSNR_FITS, 0, -1):
        plan = plan_for_weights(options, source.size, source.channels, weights)
        # Widths are few: one that missed the goal by little comes up again. Take the next one then.
        most = above.weights if above else math.inf
        while plan.width in widths and plan.weights < most and plan.width < QUALITY_WIDTHS[1]:
            weights *= 1.1
            plan = plan_for_weights(options, source.size, source.channels, weights)
        if plan.width in widths:
            break
        widths.add(plan.width)
        trial = encode_plan(source, plan, options, deadline.part(1 / left))
        if trial.file.psnr_db < goal:
            below = trial if below is None or trial.file.psnr_db > below.file.psnr_db else below
        else:
            above = trial if above is None or len(trial.file.data) < len(above.file.data) else above
            if trial.file.psnr_db < goal + PSNR_TOLERANCE:
                break
        weights = _next_weights(below, above, goal + PSNR_TOLERANCE / 2)
    best = above or below
    assert best is not None
    return best.file


def _next_weights(below: _Trial | None, above: _Trial | None, goal: float) -> float:
    """Weights at which the PSNR should meet the goal: on the line in log(weights) through the trials beside it."""
    if below is not None and above is not None:
        share = (goal - below.file.psnr_db) / (above.file.psnr_db - below.file.psnr_db)
        return float(below.weights * (above.weights / below.weights) ** min(max(share, 0.1), 0.9))
    trial = below or above
    assert trial is not None
    doublings = (goal - trial.file.psnr_db) / DB_PER_DOUBLING
    return float(trial.weights * 2 ** min(max(doublings, -PSNR_DOUBLINGS_MAX), PSNR_DOUBLINGS_MAX))


def encode_plan(source: SourceImage, plan: Plan, options: EncodeOptions, deadline: Deadline) -> _Trial:
    """Fit the network of a plan and pack it."""
    header = plan.header
    architecture = header.architecture(source.channels)
    _check_cost(source, header)
    init = options.init if isinstance(options.init, Initialization) else None
    every = _chunks(init, [True] * len(init.weights)) if init else []
    frame_bytes = source.frame_bytes(header, every, plan.budget_bytes or PART_BYTES_MAX)
    budget = _payload_budget(source, architecture, plan, frame_bytes, init)
    fit = _load_fit()
    fitted = fit(
        source.samples,
        architecture,
        scale=source.scale,
        steps=plan.steps,
        rd_lambda=plan.rd_lambda,
        seed=options.seed,
        deadline=deadline.earlier(architecture.weight_count * min(source.pixels, PSNR_PIXELS) / PSNR_SPEED).at,
        initial=init.weights if init else None,
        hidden=source.hidden,
        device=options.device,
        overhead_bytes=frame_bytes + weight_coding.side_information_bytes(architecture.shapes),
        budget=budget,
        report=begun(options.progress),
    )
    payload = _coded(fitted, init) if budget is None else _coded_within(fitted, init, budget.bytes)
    return _Trial(source.pack(header, payload, _chunks(init, fitted.differences), FORMAT.open), plan.weights)


def _check_cost(source: SourceImage, header: SirenHeader) -> None:
    """Refuse a network whose file no reader would open."""
    try:
        source.header(header).cost().check()
    except LimitError as error:
        width, height = source.size
        raise ValueError(
            f"a network of {header.width}x{header.depth} is too large for an image of {width}x{height} pixels: {error}"
        ) from error


def _payload_budget(
    source: SourceImage, architecture: Architecture, plan: Plan, frame_bytes: int, init: Initialization | None
) -> Budget | None:
    """What a plan's budget leaves for the payload; None if the plan has none.

    Raises:
        BudgetError: not even a network of zeros fits.
    """
    if plan.budget_bytes is None:
        return None
    room = plan.budget_bytes - frame_bytes
    least = len(_coded(_blank(architecture), coarser=quantization.STEP_INDEX_MAX))
    if room < least:
        raise source.too_small(frame_bytes + least, plan.budget_bytes)
    return Budget(room, lambda fitted: len(_coded(fitted, init)))


def _chunks(init: Initialization | None, differences: Sequence[bool]) -> list[Chunk]:
    """The chunk that names an initialization; a file without any residual tensor does not need one."""
    if init is None or not any(differences):
        return []
    data = initialization.pack_reference(init.identity, differences)
    return [Chunk(CHUNK_INITIALIZATION, data, required=True)]


def _coded(fitted: Fitted, init: Initialization | None = None, rounding: float = 0.5, coarser: int = 0) -> bytes:
    """Quantize and code a network.

    Args:
        fitted: the network.
        init: the initialization from which some tensors may be stored as differences.
        rounding: fraction of a quantization step from which a weight's magnitude is rounded up, 0.5..1.
        coarser: number by which step indices are raised.
    """
    steps = [quantization.step_index(step) + coarser for step in fitted.steps]
    indices = [min(index, quantization.STEP_INDEX_MAX) for index in steps]
    references = init.references(fitted.differences) if init else [np.float32(0)] * len(indices)
    symbols = [
        quantization.quantize(weights - reference, quantization.step_size(index), rounding)
        for weights, reference, index in zip(fitted.weights, references, indices, strict=True)
    ]
    # Differences hold for a unit of the initialization at its own place and sign.
    if not any(fitted.differences):
        symbols = canonical.normalize(symbols)
    return weight_coding.encode_tensors(list(map(weight_coding.CodedTensor, symbols, indices)))


def _coded_within(fitted: Fitted, init: Initialization | None, limit: int) -> bytes:
    """Code a network in at most `limit` bytes, by the first of _CODINGS that is short enough.

    The last coding, of zeros alone, must be.
    """

    @cache
    def coded(index: int) -> bytes:
        return _coded(fitted, init, *_CODINGS[index])

    if len(coded(0)) <= limit:
        return coded(0)
    # Counted from the shortest, the first coding that fits is the last.
    shortest = len(_CODINGS) - 1
    longest = last_that_fits(shortest, lambda index: len(coded(shortest - index)) <= limit)
    return coded(shortest - max(longest, 0))


def _blank(architecture: Architecture) -> Fitted:
    """A network of zeros, the shortest there is."""
    weights = [np.zeros(shape, np.float32) for shape in architecture.shapes]
    return Fitted(weights, [1.0] * len(weights), 0.0, 0.0, [False] * len(weights))


def _load_fit() -> Callable[..., Fitted]:
    """Import the fit, and TensorFlow with it, when one is made."""
    with needs_keras("fitting a network"):
        from .training.fit import fit
    return fit
