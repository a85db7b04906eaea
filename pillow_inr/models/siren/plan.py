"""A SIREN's shape and schedule for one image, from the options of an encode."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...options import DEFAULT_EFFORT, STEPS_MAX, EncodeOptions, budget_bytes, lambda_divisor, rd_lambda
from .header import SirenHeader

if TYPE_CHECKING:
    from .architecture import Architecture

# Seconds that effort 0..9 is to take on four cores of 2024, compiling and TensorFlow's import aside. They become
# numbers of steps by the cost of a step, so that a fit gives the same file on any load; README.md has them measured.
EFFORT_SECONDS = (1, 2, 4, 6, 10, 18, 32, 56, 115, 290)
# Milliseconds of a step on those cores: of each step, and of each thousand weights at a full batch.
STEP_COST = 1.0
WEIGHT_COST = 0.13
FULL_BATCH = 8192
# A small image would make very many steps in that time and gains nothing from them.
STEPS_PER_SECOND_MAX = 400
# Fourier frequencies per axis. Strümpler et al. (2022, section 4.1) take 16 with ratio 1.4 on Kodak; fewer cost less.
FREQUENCIES = 12
# Highest frequency in periods per pixel; a higher one adds noise between the pixels, a lower one blurs edges.
HIGHEST_FREQUENCY = 0.16
# Images above this side get no higher frequencies: a network of their rate cannot use them.
FREQUENCY_SIDE_MAX = 4096
# Weights per pixel and lambda of one of the best pairs on Kodak; in the others lambda falls by this power of the
# weights (docs/experiments.md section 9).
WEIGHTS_PER_PIXEL = 0.0245
RD_LAMBDA = 8e-3
RD_LAMBDA_POWER = 0.6
# Coded bits per weight on that hull, about; what a file of a given size is planned with.
BITS_PER_WEIGHT = 4.4
QUALITY_WIDTHS = (8, 192)
# A file of a given size may need a smaller network than any quality has.
TARGET_WIDTHS = (2, 512)
DEFAULT_DEPTH = 4


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Options made definite for one image."""

    width: int
    depth: int
    frequencies: int
    """Per axis; 0 for plain coordinates."""
    frequency_ratio: int
    """Ratio of successive frequencies in hundredths."""
    steps: int
    rd_lambda: float
    """lambda of mean squared error + lambda * bits per pixel, samples in 0..1."""
    weights: int
    """Number of the network's weights, biases aside."""
    budget_bytes: int | None
    """Size that the file must not exceed; the fit then starts with `rd_lambda` and moves it."""

    @property
    def header(self) -> SirenHeader:
        """The network's fields in the file."""
        return SirenHeader(
            width=self.width, depth=self.depth, frequencies=self.frequencies, frequency_ratio=self.frequency_ratio
        )


def make_plan(options: EncodeOptions, size: tuple[int, int], channels: int) -> Plan:
    """Choose what the options leave open for an image of this size in pixels; `psnr` aside, which takes a search."""
    budget = budget_bytes(options, size)
    if budget is None:
        dearness = RD_LAMBDA / lambda_divisor(channels) / rd_lambda(options, channels)
        weights = usual_weights(math.prod(size), channels) * math.pow(dearness, 1 / RD_LAMBDA_POWER)
    else:
        weights = 8 * budget / BITS_PER_WEIGHT
    return plan_for_weights(options, size, channels, weights, budget)


def plan_for_weights(
    options: EncodeOptions, size: tuple[int, int], channels: int, weights: float, budget_bytes: int | None = None
) -> Plan:
    """A plan whose network has about `weights` weights, where the options do not fix its shape."""
    pixels = size[0] * size[1]
    learned = learned_architecture(options)
    frequencies = 0 if options.encoding == "none" else FREQUENCIES
    frequency_ratio = _frequency_ratio(max(size)) if frequencies else 100
    depth = options.depth or DEFAULT_DEPTH
    if learned is not None:
        if learned.channels != channels:
            raise ValueError(f"the initialization is for {learned.channels} channels, the image has {channels}")
        frequencies, frequency_ratio, depth = learned.frequencies, learned.frequency_ratio, learned.depth
    linear = 2 * (1 + 2 * frequencies) + depth + channels
    widths = QUALITY_WIDTHS if budget_bytes is None else TARGET_WIDTHS
    fixed = learned.width if learned else options.width
    width = fixed or _width_for(weights, linear, depth, widths)
    count, least = ((depth - 1) * units**2 + linear * units for units in (width, fixed or widths[0]))
    usual = usual_weights(pixels, channels)
    # If the network is larger than the image warrants (a width was asked for, or the image is tiny), divide lambda by
    # the excess. Relative to the image, not to `weights`: otherwise a better quality could come out worse.
    excess = max(1.0, least / (usual if budget_bytes is None else weights))
    return Plan(
        width=width,
        depth=depth,
        frequencies=frequencies,
        frequency_ratio=frequency_ratio,
        steps=options.steps or _steps(options, count, pixels),
        rd_lambda=RD_LAMBDA / lambda_divisor(channels) / (weights / usual) ** RD_LAMBDA_POWER / excess,
        weights=count,
        budget_bytes=budget_bytes,
    )


def usual_weights(pixels: int, channels: int) -> float:
    """Weights of the network for which RATE_WEIGHT is right; more channels have more, by the root of their ratio."""
    return WEIGHTS_PER_PIXEL * pixels * lambda_divisor(channels)


def learned_architecture(options: EncodeOptions) -> "Architecture | None":
    """The network that the options' initialization is for."""
    architecture: Architecture | None = getattr(options.init, "architecture", None)
    return architecture


def _steps(options: EncodeOptions, weights: int, pixels: int) -> int:
    """Optimizer steps that fit into the seconds of the effort; any number where only a time limit is given."""
    if options.effort is None and options.time_limit is not None:
        return STEPS_MAX
    seconds = EFFORT_SECONDS[DEFAULT_EFFORT if options.effort is None else options.effort]
    milliseconds = STEP_COST + WEIGHT_COST * weights / 1000 * min(1.0, pixels / FULL_BATCH)
    return round(seconds * min(1000 / milliseconds, STEPS_PER_SECOND_MAX))


def _width_for(weights: float, linear: int, depth: int, widths: tuple[int, int]) -> int:
    """Width at which a network has about `weights` = (depth - 1) * width^2 + linear * width weights."""
    squares = depth - 1
    width = (math.sqrt(linear**2 + 4 * squares * weights) - linear) / (2 * squares) if squares else weights / linear
    multiple = 4 if width > 16 else 2
    return min(max(multiple * round(width / multiple), widths[0]), widths[1])


def _frequency_ratio(longer: int) -> int:
    """Ratio of successive frequencies, in hundredths, that takes the last one to HIGHEST_FREQUENCY."""
    # The first frequency, pi, has one period over the longer side; the last shall have this many.
    periods: float = max(1.0, HIGHEST_FREQUENCY * min(longer, FREQUENCY_SIDE_MAX))
    return round(100 * math.pow(periods, 1 / (FREQUENCIES - 1)))
