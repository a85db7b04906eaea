"""Pixels -> the bytes of an .inr file that holds a SIREN: fit, quantize, code, search for a PSNR."""

import math
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ... import cost
from ...encoding.progress import reporting
from ...encoding.source_image import PSNR_PIXELS, Encoded, Picture
from ...entropy import quantization
from ...errors import BackendError, LimitError
from ...format import container
from ...options import EncodeOptions
from ..reader import reference_weights
from . import canonical, initialization, weight_coding
from .architecture import Architecture
from .initialization import Initialization
from .plan import QUALITY_WIDTHS, Plan, make_plan, plan_for_weights, usual_weights

if TYPE_CHECKING:
    from .training.trainer import Fitted

# What of a time limit is kept for measuring the PSNR: multiplications a second of one slow core or several.
PSNR_SPEED = 3e10
# The search for a PSNR: how many fits it may take, how far above the goal is near enough, what twice the weights bring
# on photographs, and how far one fit may lead away from the next.
PSNR_FITS = 4
PSNR_TOLERANCE = 0.25
DB_PER_DOUBLING = 2.3
PSNR_DOUBLINGS_MAX = 3.0
# For pictures that may be simple: widths to be tried, the steps that show whether they suit, and how much more than
# another model's loss the first one's may be.
SIMPLE_WIDTHS = (8, 16, 32, 64, 96, 128, 192)
SIMPLE_STEPS = 600
SIMPLE_LOSS = 2.0
# Network values of a single colour: 64 steps between two levels of 8 bits.
FLAT_STEP = 2.0**-14


def encode(picture: Picture, options: EncodeOptions, deadline: float | None) -> Encoded:
    """Fit a SIREN to a picture and pack it.

    Args:
        deadline: reading of `time.perf_counter` at which the file should be there.
    Returns:
        The file; of a search for a PSNR the smallest that reached it, or else the best.
    Raises:
        ValueError: the options ask for what this image cannot have.
        BackendError: TensorFlow is not there or not usable.
        FitError: the fit diverged.
    """
    if options.psnr is not None:
        return _search(picture, options, options.psnr, deadline)
    return _encode_plan(picture, make_plan(options, picture.size, picture.channels), options, deadline).file


def encode_flat(picture: Picture) -> Encoded:
    """A network of one unit that shows one colour, the mean; there is nothing to fit."""
    fields = {"encoding": container.ENCODING_NONE, "frequencies": 0, "growth": 100, "width": 1, "depth": 1}
    *zeros, bias = (np.zeros(shape, np.float32) for shape in Architecture.of(picture.header(fields)).shapes)
    colour = picture.mean().astype(np.float32).reshape(bias.shape)
    step = quantization.step_index(FLAT_STEP)
    tensors = [weight_coding.CodedTensor(zero.astype(np.int32), step) for zero in zeros]
    tensors.append(weight_coding.CodedTensor(quantization.quantize(colour, FLAT_STEP), step))
    return picture.pack(fields, weight_coding.encode_tensors(tensors))


def may_be_simple(
    picture: Picture, options: EncodeOptions, rd_lambda: float, rival: float, deadline: float | None
) -> bool:
    """Whether the narrowest network, fitted briefly, comes near another file of the picture; see `encode_simple`."""
    file, _ = _brief(picture, options, SIMPLE_WIDTHS[0], rd_lambda, deadline)
    return file.loss(rd_lambda, picture.pixels) <= SIMPLE_LOSS * rival


def encode_simple(
    picture: Picture, options: EncodeOptions, rd_lambda: float, rival: float, deadline: float | None
) -> Encoded | None:
    """The best of a few SIRENs for a picture that may be simple: flat, smooth, an icon.

    Narrow networks come first, each fitted briefly; when twice the width no longer pays, the best is fitted in earnest.

    Args:
        rd_lambda: lambda, which takes the place of the options' quality and goals.
        rival: loss of another file of the picture.
        deadline: reading of `time.perf_counter` at which the file should be there.
    Returns:
        None if the picture is not simple: the narrowest network is no match for the rival at all.
    Raises:
        BackendError: TensorFlow is not there or not usable.
        FitError: a fit diverged.
    """
    best: tuple[float, Encoded, Plan] | None = None
    for width in SIMPLE_WIDTHS:
        file, plan = _brief(picture, options, width, rd_lambda, deadline)
        loss = file.loss(rd_lambda, picture.pixels)
        if best is None and loss > SIMPLE_LOSS * rival:
            return None
        if best is not None and loss >= best[0]:
            break
        best = loss, file, plan
    assert best is not None
    loss, file, plan = best
    if plan.steps <= SIMPLE_STEPS or (deadline is not None and time.perf_counter() >= deadline):
        return file
    longer = _encode_plan(picture, plan, options, deadline).file
    return min(file, longer, key=lambda file: file.loss(rd_lambda, picture.pixels))


def _brief(
    picture: Picture, options: EncodeOptions, width: int, rd_lambda: float, deadline: float | None
) -> tuple[Encoded, Plan]:
    """A network of this width after a few steps, and the plan of which these are a part."""
    options = replace(options, width=width, quality=None, target_bytes=None, bpp=None, psnr=None)
    usual = usual_weights(picture.pixels, picture.channels)
    plan = replace(plan_for_weights(options, picture.size, picture.channels, usual), rd_lambda=rd_lambda)
    now = time.perf_counter()
    end = None if deadline is None else now + (deadline - now) / 4
    return _encode_plan(picture, replace(plan, steps=min(plan.steps, SIMPLE_STEPS)), options, end).file, plan


class _Trial(NamedTuple):
    """One fit, packed."""

    file: Encoded
    weights: float
    """Number of the network's weights."""


def _search(picture: Picture, options: EncodeOptions, goal: float, deadline: float | None) -> Encoded:
    """The smallest of a few files whose PSNR reaches the goal; else the best."""
    below: _Trial | None = None
    above: _Trial | None = None
    weights = usual_weights(picture.pixels, picture.channels)
    widths: set[int] = set()
    for left in range(PSNR_FITS, 0, -1):
        plan = plan_for_weights(options, picture.size, picture.channels, weights)
        # Widths are few. One that missed the goal by little comes up again: the next one then.
        most = above.weights if above else math.inf
        while plan.width in widths and plan.weights < most and plan.width < QUALITY_WIDTHS[1]:
            weights *= 1.1
            plan = plan_for_weights(options, picture.size, picture.channels, weights)
        if plan.width in widths:
            break
        widths.add(plan.width)
        now = time.perf_counter()
        trial = _encode_plan(picture, plan, options, None if deadline is None else now + (deadline - now) / left)
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


def _encode_plan(picture: Picture, plan: Plan, options: EncodeOptions, deadline: float | None) -> _Trial:
    """Fit the network of a plan and pack it."""
    header = picture.header(_fields(plan))
    architecture = Architecture.of(header)
    width, height = picture.size
    try:
        cost.of_file(header).check()
    except LimitError as error:
        raise ValueError(
            f"a network of {plan.width}x{plan.depth} is too large for an image of {width}x{height} pixels: {error}"
        ) from error
    if deadline is not None:
        deadline -= architecture.weight_count * min(width * height, PSNR_PIXELS) / PSNR_SPEED
    init = options.init if isinstance(options.init, Initialization) else None
    fitting = _fitting()
    every = _chunks(init, [True] * len(init.weights)) if init else []
    overhead_bytes = picture.frame_bytes(_fields(plan), every, plan.budget_bytes or container.PART_BYTES_MAX)
    budget = None
    if plan.budget_bytes is not None:
        room = plan.budget_bytes - overhead_bytes
        least = len(_coded(_blank(fitting, architecture), coarser=quantization.STEP_INDEX_MAX))
        if room < least:
            raise picture.too_small(overhead_bytes + least, plan.budget_bytes)
        budget = fitting.Budget(room, lambda fitted: len(_coded(fitted, init)))
    with reporting(options.progress) as report:
        fitted = fitting.fit(
            picture.samples,
            architecture,
            scale=picture.scale,
            steps=plan.steps,
            rd_lambda=plan.rd_lambda,
            seed=options.seed,
            deadline=deadline,
            initial=init.weights if init else None,
            device=options.device,
            overhead_bytes=overhead_bytes + weight_coding.side_information_bytes(architecture.shapes),
            budget=budget,
            report=report,
        )
    payload = _coded(fitted, init) if budget is None else _coded_within(fitted, init, budget.bytes)
    return _Trial(picture.pack(_fields(plan), payload, _chunks(init, fitted.differences)), plan.weights)


def _fields(plan: Plan) -> dict[str, Any]:
    """What the header says of a plan's network."""
    return {
        "encoding": container.ENCODING_FOURIER if plan.frequencies else container.ENCODING_NONE,
        "frequencies": plan.frequencies,
        "growth": plan.frequency_ratio,
        "width": plan.width,
        "depth": plan.depth,
    }


def _chunks(init: Initialization | None, differences: Sequence[bool]) -> list[container.Chunk]:
    """The chunk of an initialization; a file none of whose tensors is differences does not need one."""
    if init is None or not any(differences):
        return []
    data = initialization.pack_reference(init.identity, differences)
    return [container.Chunk(container.CHUNK_INITIALIZATION, data, required=True)]


def _coded(fitted: "Fitted", init: Initialization | None = None, rounding: float = 0.5, coarser: int = 0) -> bytes:
    """Quantize and code a network.

    Args:
        rounding: fraction of a step from which a weight's magnitude is rounded up.
        coarser: by how much step indices are raised.
    """
    steps = [quantization.step_index(step) + coarser for step in fitted.steps]
    indices = [min(index, quantization.STEP_INDEX_MAX) for index in steps]
    references = reference_weights(init, fitted.differences)
    symbols = [
        quantization.quantize(weights - reference, quantization.step_size(index), rounding)
        for weights, reference, index in zip(fitted.weights, references, indices, strict=True)
    ]
    # Differences hold for a unit of the initialization at its own place and sign.
    if not any(fitted.differences):
        symbols = canonical.normalize(symbols)
    return weight_coding.encode_tensors(list(map(weight_coding.CodedTensor, symbols, indices)))


def _coded_within(fitted: "Fitted", init: Initialization | None, limit: int) -> bytes:
    """The same in at most `limit` bytes, as near to what was trained as that allows."""
    # A network is trained for its steps: other ones cost a dB. So what is too long by a percent rounds more weights
    # towards zero first.
    shrinking = ((rounding / 100, 0) for rounding in range(50, 100, 2))
    coarsening = ((1.0, coarser) for coarser in range(quantization.STEP_INDEX_MAX + 1))
    codings = (_coded(fitted, init, *change) for change in chain(shrinking, coarsening))
    return next(payload for payload in codings if len(payload) <= limit)


def _blank(fitting: ModuleType, architecture: Architecture) -> "Fitted":
    """A network of zeros, the shortest there is."""
    weights = [np.zeros(shape, np.float32) for shape in architecture.shapes]
    blank: Fitted = fitting.Fitted(weights, [1.0] * len(weights), 0.0, 0.0, [False] * len(weights))
    return blank


def _fitting() -> ModuleType:
    try:
        from .training import fit
    except ImportError as error:
        raise BackendError(
            f"fitting a network needs Keras on TensorFlow, which cannot be imported here: {error}"
        ) from error
    return fit
