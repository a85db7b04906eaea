"""A pyramid's header fields and schedule for one image, from the options of an encode."""

import math
from dataclasses import dataclass

from ...options import DEFAULT_EFFORT, DEFAULT_QUALITY, EncodeOptions, image_rd_lambda
from ...runtime import threads
from .header import CODING_CHAINED, CODING_PYRAMID, TILE_MAX, TILE_NONE, PyramidHeader

# Optimizer steps of effort 0..9. Each effort takes about twice the core-seconds a megapixel of the one before, some 20
# at the default effort; 0 fits nothing.
EFFORT_STEPS = (0, 6, 12, 25, 50, 100, 200, 400, 800, 1_600)
# Images of fewer pixels than this get more steps, with the square root of how many times smaller they are, up to a
# factor: nobody notices what they take, and a step of an icon takes 8 ms however small it is.
SMALL_PIXELS = 768 * 512
SMALL_FACTOR_MAX = 8.0
# Fewest steps of a fit that does not begin with what the analysis network finds: fewer leave a photograph where the
# base weights began.
UNANALYSED_STEPS = 50
# If only a time limit is given: most steps, and the core-seconds a megapixel that a step takes on a core of 2024.
TIMED_STEPS_MAX = 10_000
STEP_CORE_SECONDS = 0.7
# Least steps of a part of a schedule: fewer do not tell how the whole will end.
PART_STEPS = 60
# The preset of new files, and lambda with which each set of its base weights is used. Four are trained, the others are
# the last of these for symbols 2, 4 and 8 times as large.
PRESET = 1
TRAINED_RD_LAMBDAS = (1.6e-2, 4e-3, 1e-3, 2.5e-4)
BASE_RD_LAMBDAS = (*TRAINED_RD_LAMBDAS, 2.5e-4 / 4, 2.5e-4 / 16, 2.5e-4 / 64)
# Sets of as many base weights follow, for the same lambdas: those trained together with the analysis network.
ANALYSED_BASES = len(BASE_RD_LAMBDAS)
# Fits of at most this many optimizer steps begin with them, too (docs/experiments.md section 23).
ANALYSED_STEPS = 200
# Larger images are tiled, so that memory is bounded and a region decodes its own tiles only.
WHOLE_PIXELS = 1 << 21
WHOLE_SIDE = 1 << TILE_MAX
TILE_LOG2 = 10
# A search begins at bits per pixel = BITS_AT_1E3 * (lambda / 1e-3)^BITS_POWER, as on photographs.
BITS_AT_1E3 = 0.5
BITS_POWER = -0.45
RD_LAMBDA_RANGE = (1e-7, 1.0)
# Above this quality lambda falls faster, to this part of it at quality 100; no SIREN could follow.
HIGH_QUALITY = 90
NEARLY_LOSSLESS = 1 / 32


@dataclass(frozen=True, kw_only=True)
class PyramidPlan:
    """Options made definite for one image."""

    header: PyramidHeader
    """Preset, base weights and tiles."""
    steps: int
    """Optimizer steps of each tile."""
    rd_lambda: float
    """lambda of the loss MSE + lambda * bits per pixel, samples in 0..1."""


def make_plan(options: EncodeOptions, size: tuple[int, int], rd_lambda: float, share: float = 1.0) -> PyramidPlan:
    """Choose what the options leave open.

    Args:
        options: of the encode.
        size: width and height of the image in pixels.
        rd_lambda: lambda of the loss.
        share: part of the schedule, above 0 to 1; a short fit tells about how large the file will be.
    """
    whole = math.prod(size) <= WHOLE_PIXELS and max(size) <= WHOLE_SIDE
    steps = options.steps or _steps(options, size)
    return PyramidPlan(
        header=PyramidHeader(
            preset=PRESET,
            base_index=base_index_for(rd_lambda),
            tile=TILE_NONE if whole else TILE_LOG2,
            coding=CODING_PYRAMID if whole else CODING_CHAINED,
        ),
        steps=max(round(share * steps), min(steps, PART_STEPS)),
        rd_lambda=rd_lambda,
    )


def quality_rd_lambda(options: EncodeOptions, channels: int, pixels: int) -> float:
    """lambda for the options' quality q: `image_rd_lambda` * NEARLY_LOSSLESS^((q - 90) / 10) above quality 90."""
    quality = DEFAULT_QUALITY if options.quality is None else options.quality
    beyond = max(0.0, (quality - HIGH_QUALITY) / (100 - HIGH_QUALITY))
    return image_rd_lambda(options, channels, pixels) * math.pow(NEARLY_LOSSLESS, beyond)


def base_index_for(rd_lambda: float) -> int:
    """Index of the base weights that are used with the nearest log(lambda)."""
    bases = range(len(BASE_RD_LAMBDAS))
    return min(bases, key=lambda base_index: abs(math.log(BASE_RD_LAMBDAS[base_index] / rd_lambda)))


def rd_lambda_for(bits_per_pixel: float) -> float:
    """lambda at which a photograph takes about this many bits per pixel."""
    return within(1e-3 * math.pow(bits_per_pixel / BITS_AT_1E3, 1 / BITS_POWER))


def within(rd_lambda: float) -> float:
    """Clip lambda to the range that a search may try."""
    return min(max(rd_lambda, RD_LAMBDA_RANGE[0]), RD_LAMBDA_RANGE[1])


def _steps(options: EncodeOptions, size: tuple[int, int]) -> int:
    """Steps of the effort; if only a time limit is given, as many as fit into it, or as are of use."""
    pixels = math.prod(size)
    if options.effort is None and options.time_limit is not None:
        steps = options.time_limit * threads.cores() / (STEP_CORE_SECONDS * pixels / 1e6)
        return round(min(max(steps, 1), TIMED_STEPS_MAX))
    effort = DEFAULT_EFFORT if options.effort is None else options.effort
    return round(EFFORT_STEPS[effort] * min(max(1.0, math.sqrt(SMALL_PIXELS / pixels)), SMALL_FACTOR_MAX))
