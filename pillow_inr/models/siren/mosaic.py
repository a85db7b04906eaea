"""Shares an image out among several networks: how many, of what width, and where each one is.

Each network gets a region that needs about as many bits as it holds: detailed regions get smaller ones. A network's
step takes less time the smaller it is, so several small ones come nearer to their best in the same time than one large
one does (docs/experiments.md section 18).
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
    make_plan,
    step_milliseconds,
    steps_for,
)

# Width of a network at effort 0..9: the more time there is, the larger networks pay. Taper in hundredths.
WIDTHS = (48, 48, 48, 56, 72, 96, 112, 128, 128, 128)
TAPER = 75
# Pixels by which a part extends beyond each edge that it shares. A larger overlap hides edges better and costs rate.
OVERLAP = 4
# Shortest side of a part in pixels: below, its network's own side information weighs too much.
LEAST_SIDE = 32
# Bits that the networks take for each bit of the estimate, at effort 0..9: likewise, the more time there is, the more
# weights pay.
BITS_PER_ESTIMATE = (1.5, 1.5, 1.5, 1.5, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0)
# Bits that a network takes for each of its weights.
BITS_PER_WEIGHT = 5.2
# Milliseconds per step on four cores apart from those for weights.
STEP_COST = 0.3
# Effort where only a shape is asked for: some 20 seconds on two cores.
SHAPE_EFFORT = 2
# A width that was asked for may be more than the image needs: lambda then falls, to this part of its value at least.
LEAST_LAMBDA = 1 / 16
_BISECTIONS = 24


def suits(source: SourceImage, options: EncodeOptions) -> bool:
    """Whether a mosaic is made: not of small images, for plain coordinates or from an initialization."""
    return source.pixels > SHARED_PIXELS and options.encoding != "none" and options.init is None


class Planner:
    """Plans mosaics of an image. Its spectra are computed once for all plans."""

    def __init__(self, source: SourceImage, options: EncodeOptions) -> None:
        """Look at the image.

        Args:
            source: the image.
            options: of the encode; they may fix width, depth, steps and a budget.
        """
        self.source = source
        self.options = _patient(options)
        effort = DEFAULT_EFFORT if self.options.effort is None else self.options.effort
        self.usual_width = WIDTHS[effort]
        self.bits_per_estimate = BITS_PER_ESTIMATE[effort]
        self.single = make_plan(options, source.size, source.channels)
        """The plan for one network; its budget and frequencies hold for mosaics, too."""
        self.detail = Detail(source)

    def plan(self, given_lambda: float | None = None) -> Plan:
        """A plan; `given_lambda` takes the place of the lambda of the options' quality."""
        options, budget, channels = self.options, self.single.budget_bytes, self.source.channels
        if budget is None:
            lam = given_lambda or rd_lambda(options, channels)
            wanted = self.bits_per_estimate * self.detail.bits(lam).total
        else:
            wanted = 8.0 * budget
            lam = self._lambda_for(wanted)
        width = options.width or self.usual_width
        depth = options.depth or MOSAIC_DEPTH
        shape = replace(self.single, width=width, depth=depth, taper=TAPER, overlap=OVERLAP)
        each = BITS_PER_WEIGHT * shape.weight_count(channels)
        # A width that was asked for is not to become a larger file than the image needs: round down.
        count = max(1, round(wanted / each) if options.width is None else int(wanted / each))
        if options.width is None:
            shape = _of_weights(shape, wanted / count / BITS_PER_WEIGHT, channels)
        elif budget is None and each > wanted:
            lam = max(lam * LEAST_LAMBDA, min(lam, self._lambda_for(each)))
        bits = self.detail.bits(lam)
        splits, parts = _division(self.source.size, bits, count)
        weights = shape.weight_count(channels)
        milliseconds = len(parts) * step_milliseconds(weights, self.source.pixels // len(parts), STEP_COST)
        return replace(
            shape,
            splits=splits,
            # A part that needs nothing gets a third of the mean: its network has parameters and biases, too.
            shares=tuple(bits.of(part.core) + 0.5 * bits.total / len(parts) + 1.0 for part in parts),
            weights=len(parts) * weights,
            rd_lambda=lam,
            steps=options.steps or steps_for(options, milliseconds),
        )

    def _lambda_for(self, wanted: float) -> float:
        """The lambda at which the estimate is as many bits: by bisection of its logarithm."""
        low, high = math.log(1e-7), math.log(1.0)
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            if self.bits_per_estimate * self.detail.bits(math.exp(middle)).total > wanted:
                low = middle
            else:
                high = middle
        return math.exp(high)


def _patient(options: EncodeOptions) -> EncodeOptions:
    """The options with the effort that a person waits for, if they give a shape and nothing else."""
    no_shape = options.width is None and options.depth is None
    if no_shape or options.effort is not None or options.time_limit is not None:
        return options
    return replace(options, effort=SHAPE_EFFORT)


def parts_of(plan: Plan, size: tuple[int, int]) -> list[Part]:
    """The parts of a plan's mosaic."""
    return divided(size, plan.overlap, _recalled(plan.splits))


def _recalled(splits: tuple[bool, ...]) -> Callable[[Region], bool]:
    remaining = iter(splits)
    return lambda _: next(remaining, False)


def _of_weights(plan: Plan, weights: float, channels: int) -> Plan:
    """The plan with a width, a multiple of 2 and at most twice the plan's, that has about as many weights."""
    least = (QUALITY_WIDTHS if plan.budget_bytes is None else TARGET_WIDTHS)[0]
    widths = [replace(plan, width=width) for width in range(least, 2 * plan.width + 1, 2)]
    return min(widths, key=lambda one: abs(math.log(one.weight_count(channels) / max(weights, 1.0))))


def _division(size: tuple[int, int], bits: BitMap, count: int) -> tuple[tuple[bool, ...], list[Part]]:
    """Divide an image into at most `count` parts: the region with most bits is halved, again and again.

    Returns:
        Whether each region is halved, as `divided` asks, and the parts.
    """
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

    parts = divided(size, OVERLAP, is_split)
    return tuple(answers), parts
