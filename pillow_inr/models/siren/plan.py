"""A SIREN's shape and schedule for one image, from the options of an encode."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...options import DEFAULT_EFFORT, STEPS_MAX, EncodeOptions, budget_bytes, lambda_divisor, rd_lambda
from .architecture import TAPER_NONE
from .header import CODING_GENERALIZED_NORMAL, CODING_MOSAIC, SirenHeader

if TYPE_CHECKING:
    from .architecture import Architecture

# Target time in seconds of effort 0..9 on four cores of 2024, without compiling and TensorFlow's import. The cost of a
# step turns it into a number of steps, so that the file does not depend on the machine's load.
EFFORT_SECONDS = (1, 3, 9, 18, 36, 72, 144, 288, 576, 1_152)
# Milliseconds per step on those cores: a constant part, and a part per thousand weights at a full batch.
STEP_COST = 1.0
WEIGHT_COST = 0.13
FULL_BATCH = 8192
# A small image would get very many steps in that time, without gain.
STEPS_PER_SECOND_MAX = 400
# Fourier frequencies per axis. Strümpler et al. (2022, section 4.1) use 16 with ratio 1.4 on Kodak; fewer cost less.
FREQUENCIES = 12
# Highest frequency in periods per pixel: a higher one adds noise between pixels, a lower one blurs edges.
HIGHEST_FREQUENCY = 0.16
# Above this side length images get no higher frequencies: a network at their rate cannot use them.
FREQUENCY_SIDE_MAX = 4096
# The rate-distortion hull on Kodak: weights per pixel and lambda at one of its points; along the hull lambda is
# proportional to weights^-RD_LAMBDA_POWER (docs/experiments.md section 9).
WEIGHTS_PER_PIXEL = 0.0245
RD_LAMBDA = 8e-3
RD_LAMBDA_POWER = 0.6
# Approximate coded bits per weight on that hull, with which a file of a given size is planned.
BITS_PER_WEIGHT = 4.4
QUALITY_WIDTHS = (8, 192)
# A small budget may need a narrower network than any quality uses.
TARGET_WIDTHS = (2, 512)
DEFAULT_DEPTH = 4
# Sine layers of each network of a mosaic, which taper.
MOSAIC_DEPTH = 5
# Networks of at most this width for images of at most this many pixels and channels share a compiled program: to
# compile one takes longer than the whole fit of an icon (docs/experiments.md section 16).
SHARED_WIDTH = 32
SHARED_PIXELS = 128 * 128
SHARED_CHANNELS = 4


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The shape and schedule of a fit, with nothing left open."""

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
    """Number of weights, without the output's biases; of all networks together."""
    budget_bytes: int | None
    """Size that the file must not exceed, None if there is no limit; with one, the fit adapts `rd_lambda` to it."""
    taper: int = TAPER_NONE
    """Ratio of a layer's units to those of the layer before, in hundredths."""
    splits: tuple[bool, ...] = ()
    """Whether each region is halved, as `division.divided` asks: a mosaic has several networks."""
    overlap: int = 0
    """Pixels by which the parts of a mosaic overlap."""
    shares: tuple[float, ...] = (1.0,)
    """How the parts share a budget: in proportion to these."""

    @property
    def header(self) -> SirenHeader:
        """The network's fields in the file."""
        return SirenHeader(
            width=self.width,
            depth=self.depth,
            frequencies=self.frequencies,
            frequency_ratio=self.frequency_ratio,
            coding=CODING_MOSAIC if self.is_mosaic else CODING_GENERALIZED_NORMAL,
            taper=self.taper,
            networks=1 + sum(self.splits),
            overlap=self.overlap,
        )

    @property
    def is_mosaic(self) -> bool:
        """Whether the file needs the coding of a mosaic."""
        return self.taper != TAPER_NONE or any(self.splits)

    def weight_count(self, channels: int) -> int:
        """Weights of each network, without the output's biases."""
        return self.header.architecture(channels).weight_count - channels


def make_plan(options: EncodeOptions, size: tuple[int, int], channels: int) -> Plan:
    """Choose what the options leave open. `psnr` is ignored, because it takes a search.

    Args:
        options: of the encode.
        size: width and height of the image in pixels.
        channels: samples per pixel.
    Raises:
        ValueError: the options' initialization is for another number of channels.
    """
    budget = budget_bytes(options, size)
    if budget is None:
        # The point of the hull that has the options' lambda.
        ratio = RD_LAMBDA / lambda_divisor(channels) / rd_lambda(options, channels)
        weights = usual_weights(math.prod(size), channels) * math.pow(ratio, 1 / RD_LAMBDA_POWER)
    else:
        weights = 8 * budget / BITS_PER_WEIGHT
    return plan_for_weights(options, size, channels, weights, budget)


def plan_for_weights(
    options: EncodeOptions, size: tuple[int, int], channels: int, weights: float, budget_bytes: int | None = None
) -> Plan:
    """Plan a network of about `weights` weights, unless the options fix its shape; arguments as for `make_plan`."""
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
    count, least_count = ((depth - 1) * units**2 + linear * units for units in (width, fixed or widths[0]))
    usual = usual_weights(pixels, channels)
    # If the network is larger than the image warrants (a width was asked for, or the image is tiny), divide lambda by
    # the excess. Relative to the image, not to `weights`: otherwise a better quality could come out worse.
    excess = max(1.0, least_count / (usual if budget_bytes is None else weights))
    return Plan(
        width=width,
        depth=depth,
        frequencies=frequencies,
        frequency_ratio=frequency_ratio,
        steps=options.steps or steps_for(options, max(step_milliseconds(count, pixels), 1000 / STEPS_PER_SECOND_MAX)),
        rd_lambda=RD_LAMBDA / lambda_divisor(channels) / (weights / usual) ** RD_LAMBDA_POWER / excess,
        weights=count,
        budget_bytes=budget_bytes,
    )


def usual_weights(pixels: int, channels: int) -> float:
    """Weights of the network to which RD_LAMBDA belongs: WEIGHTS_PER_PIXEL * pixels * lambda_divisor(channels)."""
    return WEIGHTS_PER_PIXEL * pixels * lambda_divisor(channels)


def learned_architecture(options: EncodeOptions) -> "Architecture | None":
    """Architecture of the options' initialization; None if they have none."""
    architecture: Architecture | None = getattr(options.init, "architecture", None)
    return architecture


def steps_for(options: EncodeOptions, milliseconds: float) -> int:
    """Optimizer steps that take the seconds of the effort; STEPS_MAX if only a time limit is given.

    Args:
        milliseconds: of a step of all networks on the cores of EFFORT_SECONDS.
    """
    if options.effort is None and options.time_limit is not None:
        return STEPS_MAX
    seconds = EFFORT_SECONDS[DEFAULT_EFFORT if options.effort is None else options.effort]
    return max(1, round(1000 * seconds / milliseconds))


def step_milliseconds(weights: int, pixels: int, constant: float = STEP_COST) -> float:
    """What a step takes on the cores of EFFORT_SECONDS.

    Args:
        weights: of the network.
        pixels: of its region.
        constant: what it takes whatever the network.
    """
    return constant + WEIGHT_COST * weights / 1000 * min(1.0, pixels / FULL_BATCH)


def _width_for(weights: float, linear: int, depth: int, widths: tuple[int, int]) -> int:
    """Solve weights = (depth - 1) * width^2 + linear * width for the width, rounded and limited to `widths`."""
    square = depth - 1
    width = (math.sqrt(linear**2 + 4 * square * weights) - linear) / (2 * square) if square else weights / linear
    multiple = 4 if width > 16 else 2
    return min(max(multiple * round(width / multiple), widths[0]), widths[1])


def _frequency_ratio(longer_side: int) -> int:
    """Ratio of successive frequencies, in hundredths, with which the last one is HIGHEST_FREQUENCY."""
    # The first frequency, pi, has one period over the longer side, the last one this many.
    periods: float = max(1.0, HIGHEST_FREQUENCY * min(longer_side, FREQUENCY_SIDE_MAX))
    return round(100 * math.pow(periods, 1 / (FREQUENCIES - 1)))
