"""A pyramid's schedule, prior and tiles for one image, from the options of an encode."""

import math
from dataclasses import dataclass

from ...format.container import BASE_WEIGHTS_COUNT, TILE_MAX, TILE_NONE
from ...options import DEFAULT_EFFORT, EncodeOptions

# Seconds that effort 0..9 is to take for 768x512 pixels on four cores of 2024, compiling and TensorFlow's import aside.
# They become numbers of steps by the cost of a step, so that a fit gives the same file on any load.
EFFORT_SECONDS = (2, 5, 10, 20, 35, 60, 120, 240, 480, 900)
# Smaller images take as many steps as one of so many pixels, and less time.
SMALL_PIXELS = 768 * 512
# Fewer leave a photograph where its prior began; more gain nothing.
EFFORT_STEPS = (50, 10_000)
# Larger ones take longer than the effort's seconds rather than fewer steps than that: with less, JPEG is better.
LARGE_STEPS = 150
# A part of a schedule has at least so many: from fewer nothing follows for more.
PART_STEPS = 60
# lambda with which each prior was trained, as far as this release has them.
BASE_RD_LAMBDAS = (1.6e-2, 4e-3, 1e-3, 2.5e-4)[:BASE_WEIGHTS_COUNT]
# Larger images are tiled: so memory has a bound, regions and cores are served.
WHOLE_PIXELS = 1 << 21
WHOLE_SIDE = 1 << TILE_MAX
TILE = 10
PRESET = 0
# Bits per pixel of photographs at lambda 1e-3, and the power of lambda by which they fall: where a search begins.
BITS_AT_1E3 = 0.5
BITS_POWER = -0.45
RD_LAMBDA_RANGE = (1e-6, 1.0)


@dataclass(frozen=True, kw_only=True)
class PyramidPlan:
    """Options made definite for one image."""

    preset: int
    base_index: int
    tile: int
    """As in the header: TILE_NONE, or the binary logarithm of a tile's side."""
    steps: int
    """Of each tile."""
    rd_lambda: float
    """lambda of mean squared error + lambda * bits per pixel, samples in 0..1."""


def make_plan(
    options: EncodeOptions, size: tuple[int, int], rd_lambda: float, milliseconds: float, share: float = 1.0
) -> PyramidPlan:
    """Choose what the options leave open for an image of this size in pixels.

    Args:
        milliseconds: cost of a step for a megapixel.
        share: part of the schedule; a short one tells about how large the file will be.
    """
    whole = math.prod(size) <= WHOLE_PIXELS and max(size) <= WHOLE_SIDE
    steps = options.steps or _steps(options, math.prod(size), milliseconds)
    return PyramidPlan(
        preset=PRESET,
        base_index=base_index_for(rd_lambda),
        tile=TILE_NONE if whole else TILE,
        steps=max(round(share * steps), min(steps, PART_STEPS)),
        rd_lambda=rd_lambda,
    )


def base_index_for(rd_lambda: float) -> int:
    """The prior that was trained with the nearest lambda, in its logarithm."""
    return min(range(BASE_WEIGHTS_COUNT), key=lambda base_index: abs(math.log(BASE_RD_LAMBDAS[base_index] / rd_lambda)))


def rd_lambda_for(bits_per_pixel: float) -> float:
    """lambda at which a photograph takes about so many bits."""
    return within(1e-3 * math.pow(bits_per_pixel / BITS_AT_1E3, 1 / BITS_POWER))


def within(rd_lambda: float) -> float:
    """lambda, or the nearest one that a search may try."""
    return min(max(rd_lambda, RD_LAMBDA_RANGE[0]), RD_LAMBDA_RANGE[1])


def _steps(options: EncodeOptions, pixels: int, milliseconds: float) -> int:
    """Steps that fit into the seconds of the effort; as many as are of use where only a time limit is given."""
    if options.effort is None and options.time_limit is not None:
        return EFFORT_STEPS[1]
    seconds = EFFORT_SECONDS[DEFAULT_EFFORT if options.effort is None else options.effort]
    small_steps = seconds * 1000 / (milliseconds * SMALL_PIXELS / 1e6)
    steps = max(small_steps * min(1.0, SMALL_PIXELS / pixels), min(small_steps, LARGE_STEPS))
    return round(min(max(steps, EFFORT_STEPS[0]), EFFORT_STEPS[1]))
