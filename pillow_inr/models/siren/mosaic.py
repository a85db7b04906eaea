"""Shares an image out among several networks: how many, of what width, and where each one is.

Each network gets a region that needs about as many bits as it holds: detailed regions get smaller ones. A network's
steps cost the less the smaller it is, so that several small ones come nearer to their best in the same time than one
large one does (docs/experiments.md section 18).
"""

import heapq
import math
from collections.abc import Callable
from dataclasses import replace

from ...encoding.source_image import SourceImage
from ...options import DEFAULT_EFFORT, EncodeOptions, rd_lambda
from .detail import BitMap, Detail
from .division import Part, Region, divided
from .plan import (
    MOSAIC_DEPTH,
    QUALITY_WIDTHS,
    SHARED_PIXELS,
    TARGET_WIDTHS,
    Plan,
    step_milliseconds,
    steps_for,
)

# Width of a network at effort 0..9: the more time there is, the larger networks pay. Taper in hundredths.
WIDTHS = (48, 48, 48, 48, 48, 56, 72, 96, 112, 128)
TAPER = 75
# Pixels by which a part extends beyond each edge that it shares. More hide edges better and cost rate.
OVERLAP = 4
# Shortest side of a part in pixels: below, its network's own side information weighs too much.
LEAST_SIDE = 32
# Bits that a network takes for each bit of the estimate, and for each of its weights.
BITS_PER_ESTIMATE = 1.5
BITS_PER_WEIGHT = 5.2
# Milliseconds per step on four cores apart from those for weights.
STEP_COST = 0.3
# Effort where only a shape is asked for: some 20 seconds on two cores.
SHAPE_EFFORT = 4
# A width that was asked for may be more than the image needs: lambda then falls, to this part of its value at least.
LEAST_LAMBDA = 1 / 16
_BISECTIONS = 24


def suits(source: SourceImage, options: EncodeOptions) -> bool:
    """Whether a mosaic is made: not of small images, for plain coordinates or from an initialization."""
    return source.pixels > SHARED_PIXELS and options.encoding != "none" and options.init is None


def divided_plan(plan: Plan, source: SourceImage, options: EncodeOptions, given_lambda: float | None = None) -> Plan:
    """A plan for a mosaic.

    Args:
        plan: for one network; its budget and frequencies hold for the mosaic.
        source: the image.
        options: of the encode; they may fix width, depth and steps.
        given_lambda: lambda, where it is not that of the options' quality.
    """
    detail = Detail(source)
    depth = options.depth or MOSAIC_DEPTH
    if plan.budget_bytes is not None:
        wanted = 8.0 * plan.budget_bytes
        lam = _lambda_for(detail, wanted)
    else:
        lam = given_lambda or rd_lambda(options, source.channels)
        wanted = BITS_PER_ESTIMATE * detail.bits(lam).total
    width = options.width or WIDTHS[DEFAULT_EFFORT if options.effort is None else options.effort]
    shape = replace(plan, width=width, depth=depth, taper=TAPER, overlap=OVERLAP)
    each = BITS_PER_WEIGHT * shape.weight_count(source.channels)
    # A width that was asked for is not to become a larger file than the image needs: round down.
    count = max(1, round(wanted / each) if options.width is None else int(wanted / each))
    if options.width is None:
        shape = _of_weights(shape, wanted / count / BITS_PER_WEIGHT, source.channels)
    elif plan.budget_bytes is None and each > wanted:
        lam = max(lam * LEAST_LAMBDA, min(lam, _lambda_for(detail, each)))
    splits = _splits(source.size, detail.bits(lam), count)
    networks = 1 + sum(splits)
    weights = shape.weight_count(source.channels)
    return replace(
        shape,
        splits=splits,
        weights=networks * weights,
        rd_lambda=lam,
        steps=options.steps
        or steps_for(_patient(options), networks * step_milliseconds(weights, source.pixels // networks, STEP_COST)),
    )


def _patient(options: EncodeOptions) -> EncodeOptions:
    """The options with the effort that a person waits for, if they give a shape and nothing else."""
    no_shape = options.width is None and options.depth is None
    if no_shape or options.effort is not None or options.time_limit is not None:
        return options
    return replace(options, effort=SHAPE_EFFORT)


def bit_map(source: SourceImage, rd_lambda: float) -> BitMap:
    """Bits that the regions of an image need at a slope."""
    return Detail(source).bits(rd_lambda)


def parts_of(plan: Plan, size: tuple[int, int]) -> list[Part]:
    """The parts of a plan's mosaic."""
    return divided(size, plan.overlap, _recalled(plan.splits))


def _recalled(splits: tuple[bool, ...]) -> Callable[[Region], bool]:
    remaining = iter(splits)
    return lambda _: next(remaining, False)


def _lambda_for(detail: Detail, wanted: float) -> float:
    """The lambda at which the estimate is as many bits: by bisection of its logarithm."""
    low, high = math.log(1e-7), math.log(1.0)
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        if BITS_PER_ESTIMATE * detail.bits(math.exp(middle)).total > wanted:
            low = middle
        else:
            high = middle
    return math.exp(high)


def _of_weights(plan: Plan, weights: float, channels: int) -> Plan:
    """The plan with a width, a multiple of 2 and at most twice the plan's, that has about as many weights."""
    least = (QUALITY_WIDTHS if plan.budget_bytes is None else TARGET_WIDTHS)[0]
    widths = [replace(plan, width=width) for width in range(least, 2 * plan.width + 1, 2)]
    return min(widths, key=lambda one: abs(math.log(one.weight_count(channels) / max(weights, 1.0))))


def _splits(size: tuple[int, int], bits: BitMap, count: int) -> tuple[bool, ...]:
    """Divide an image into at most `count` parts: the region with most bits is halved, again and again."""
    image = Region(0, 0, *size)
    heap = [(-bits.of(image), image)]
    halved: set[Region] = set()
    while heap and len(halved) < count - 1:
        _, region = heapq.heappop(heap)
        if region.longer // 2 < max(LEAST_SIDE, 2 * OVERLAP):
            continue
        halved.add(region)
        for half in region.halves():
            heapq.heappush(heap, (-bits.of(half), half))
    answers: list[bool] = []

    def is_split(region: Region) -> bool:
        answers.append(region in halved)
        return answers[-1]

    divided(size, OVERLAP, is_split)
    return tuple(answers)
