"""A pyramid's schedule, prior and tiles for one image, from the options of an encode."""

import math
from dataclasses import dataclass

from ...format.container import PRIOR_COUNT, TILE_MAX, TILE_NONE
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
PRIOR_RATE_WEIGHTS = (1.6e-2, 4e-3, 1e-3, 2.5e-4)[:PRIOR_COUNT]
# Larger images are tiled: so memory has a bound, regions and cores are served.
WHOLE_PIXELS = 1 << 21
WHOLE_SIDE = 1 << TILE_MAX
TILE = 10
PRESET = 0
# Bits per pixel of photographs at lambda 1e-3, and the power of lambda by which they fall: where a search begins.
BITS_AT_1E3 = 0.5
BITS_POWER = -0.45
RATE_WEIGHT_RANGE = (1e-6, 1.0)


@dataclass(frozen=True, kw_only=True)
class PyramidPlan:
    """Options made definite for one image."""

    preset: int
    prior: int
    tile: int
    """As in the header: TILE_NONE, or the binary logarithm of a tile's side."""
    steps: int
    """Of each tile."""
    rate_weight: float
    """lambda of mean squared error + lambda * bits per pixel, samples in 0..1."""


def make_plan(
    options: EncodeOptions, size: tuple[int, int], rate_weight: float, milliseconds: float, share: float = 1.0
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
        prior=prior_for(rate_weight),
        tile=TILE_NONE if whole else TILE,
        steps=max(round(share * steps), min(steps, PART_STEPS)),
        rate_weight=rate_weight,
    )


def prior_for(rate_weight: float) -> int:
    """The prior that was trained with the nearest lambda, in its logarithm."""
    return min(range(PRIOR_COUNT), key=lambda prior: abs(math.log(PRIOR_RATE_WEIGHTS[prior] / rate_weight)))


def rate_weight_for(bits_per_pixel: float) -> float:
    """lambda at which a photograph takes about so many bits."""
    return within(1e-3 * math.pow(bits_per_pixel / BITS_AT_1E3, 1 / BITS_POWER))


def within(rate_weight: float) -> float:
    """lambda, or the nearest one that a search may try."""
    return min(max(rate_weight, RATE_WEIGHT_RANGE[0]), RATE_WEIGHT_RANGE[1])


def _steps(options: EncodeOptions, pixels: int, milliseconds: float) -> int:
    """Steps that fit into the seconds of the effort; as many as are of use where only a time limit is given."""
    if options.effort is None and options.time_limit is not None:
        return EFFORT_STEPS[1]
    seconds = EFFORT_SECONDS[DEFAULT_EFFORT if options.effort is None else options.effort]
    small_steps = seconds * 1000 / (milliseconds * SMALL_PIXELS / 1e6)
    steps = max(small_steps * min(1.0, SMALL_PIXELS / pixels), min(small_steps, LARGE_STEPS))
    return round(min(max(steps, EFFORT_STEPS[0]), EFFORT_STEPS[1]))
