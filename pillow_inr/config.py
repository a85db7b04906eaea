"""What a caller may ask of an encode, checked once; and how it becomes a network's shape and a schedule.

Standard library only: importing the package and checking options stays cheap.
"""

import math
import operator
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from numbers import Real
from typing import TYPE_CHECKING, Any

from .container import DEPTH_MAX, WIDTH_MAX

if TYPE_CHECKING:
    from .architecture import Architecture
    from .initialization import Initialization

ENCODINGS = ("fourier", "none")
# Seconds that effort 0..9 is to take on four cores of 2024, compiling and TensorFlow's import aside. They become
# numbers of steps by the cost of a step, so that a fit gives the same file on any load; README.md has them measured.
EFFORT_SECONDS = (1, 2, 4, 6, 10, 18, 32, 56, 115, 290)
DEFAULT_EFFORT = 5
# Milliseconds of a step on those cores: of each step, and of each thousand weights at a full batch.
STEP_COST = 1.0
WEIGHT_COST = 0.13
FULL_BATCH = 8192
# A small image would make very many steps in that time and gains nothing from them.
STEPS_PER_SECOND_MAX = 400
STEPS_MAX = 10_000_000
# Fourier frequencies per axis. Strümpler et al. (2022, section 4.1) take 16 with ratio 1.4 on Kodak; fewer cost less.
FREQUENCIES = 12
# Highest frequency in periods per pixel; a higher one adds noise between the pixels, a lower one blurs edges.
HIGHEST_FREQUENCY = 0.16
# Images above this side get no higher frequencies: a network of their rate cannot use them.
FREQUENCY_SIDE_MAX = 4096
# Weights per pixel, and lambda, at quality 50; the first grows by a factor per 10 points, the second falls by a power
# of it: the convex hull of networks and lambdas measured on Kodak (docs/experiments.md section 9).
WEIGHTS_PER_PIXEL = 0.0245
RATE_WEIGHT = 8e-3
FACTOR_PER_10_POINTS = 1.5
RATE_WEIGHT_POWER = 0.6
# Channels beyond a picture's own: bands of a stack are alike, so that as many times their number would be too much and
# the same for all of them too little. The number of weights grows by the root of their ratio, lambda falls by it.
PICTURE_CHANNELS = 4
# Coded bits per weight on that hull, about; what a file of a given size is planned with.
BITS_PER_WEIGHT = 4.4
QUALITY_WIDTHS = (8, 192)
# A file of a given size may need a smaller network than any quality has.
TARGET_WIDTHS = (2, 512)
DEFAULT_DEPTH = 4

ProgressCallback = Callable[[int, int, float, float], object]
"""Called with step, steps, PSNR in dB and estimated bits per pixel."""


@dataclass(frozen=True, kw_only=True)
class EncodeOptions:
    """Options of an encode; every field has a default, and each value is checked at construction.

    Raises:
        ValueError: a value is outside its range; the message names the option, the value and what is allowed.
        OSError: the file of `init` cannot be read.
    """

    width: int | None = None
    """Units of each sine layer, 1..1024; by default chosen from `quality` and the image's size."""
    depth: int | None = None
    """Number of sine layers, 1..15; by default 4."""
    quality: int | None = None
    """1..100: size of the network where `width` is not given, and how finely its weights are stored; 50 by default."""
    target_bytes: int | None = None
    """Size in bytes that the file must not exceed, and comes near to, instead of `quality`."""
    bpp: float | None = None
    """The same in bits per pixel."""
    psnr: float | None = None
    """PSNR in dB to reach, instead of `quality`; several fits may be made, and a warning says when none reached it."""
    effort: int | None = None
    """0..9: how long to fit, from about 1 second to 5 minutes; by default 5, about 20 seconds on 4 cores, or what
    `time_limit` leaves time for."""
    steps: int | None = None
    """Optimizer steps, instead of those of `effort`."""
    time_limit: float | None = None
    """Seconds for the encode; with `effort` or `steps` it may end sooner."""
    seed: int = 0
    """Of the initial weights and the drawn pixels, 0..2147483647."""
    encoding: str = "fourier"
    """"fourier", or "none" for plain coordinates."""
    init: "str | os.PathLike[str] | Initialization | None" = None
    """Learned weights to start from, or the path of their .npz file; they fix width, depth and encoding."""
    device: str | None = None
    """TensorFlow device, such as "CPU:0" or "GPU:0"; by default the first GPU if there is one, else the CPU."""
    progress: bool | ProgressCallback = False
    """True for a progress bar, or a callable that gets step, steps, PSNR in dB, estimated bits per pixel."""

    def __post_init__(self) -> None:
        _optional(self, "width", 1, WIDTH_MAX)
        _optional(self, "depth", 1, DEPTH_MAX)
        _optional(self, "quality", 1, 100)
        _optional(self, "target_bytes", 1, 2**31 - 1)
        _optional(self, "effort", 0, len(EFFORT_SECONDS) - 1)
        _optional(self, "steps", 1, STEPS_MAX)
        _integer(self, "seed", 0, 2**31 - 1)
        _positive(self, "time_limit", "seconds")
        _positive(self, "bpp", "bits per pixel")
        _positive(self, "psnr", "dB")
        goals = [name for name in ("quality", "target_bytes", "bpp", "psnr") if getattr(self, name) is not None]
        if len(goals) > 1:
            raise ValueError(f"{' and '.join(goals)} exclude each other: give one of them")
        if self.psnr is not None and not (self.width is None and self.init is None):
            raise ValueError("psnr chooses the width itself: give psnr, or else width or init")
        if self.encoding not in ENCODINGS:
            raise ValueError(f"encoding must be 'fourier' or 'none', got {self.encoding!r}")
        if self.init is not None:
            _initialization(self)
        if not (self.device is None or (isinstance(self.device, str) and self.device)):
            raise ValueError(f"device must be the name of a TensorFlow device such as 'GPU:0', got {self.device!r}")
        if not (isinstance(self.progress, bool) or callable(self.progress)):
            raise ValueError(f"progress must be True, False or a callable, got {self.progress!r}")

    @classmethod
    def from_keywords(cls, keywords: Mapping[str, Any]) -> "EncodeOptions":
        """Take the options out of a writer's keywords; others, and those that are None, are left alone."""
        names = {field.name for field in fields(cls)}
        return cls(**{name: value for name, value in keywords.items() if name in names and value is not None})


def _initialization(options: EncodeOptions) -> None:
    """Store the initialization itself, loaded if need be, once the options agree with it."""
    from .initialization import Initialization, load

    init = options.init
    if isinstance(init, str | os.PathLike):
        init = load(init)
        object.__setattr__(options, "init", init)
    if not isinstance(init, Initialization):
        raise ValueError(f"init must be an Initialization or the path of one, got {init!r}")
    shape = init.architecture
    for name, learned in (("width", shape.width), ("depth", shape.depth)):
        value = getattr(options, name)
        if value not in (None, learned):
            raise ValueError(f"{name} is {value}, but the initialization is for a network of {name} {learned}")
    if options.encoding == "none" and shape.frequencies:
        raise ValueError("encoding is 'none', but the initialization is for 'fourier'")


def _integer(options: EncodeOptions, name: str, low: int, high: int) -> None:
    """Check an integer option and store it as a plain int (NumPy's integers are welcome)."""
    value = getattr(options, name)
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool):
        raise ValueError(f"{name} must be an integer in {low}..{high}, got {value!r}")
    if not low <= number <= high:
        raise ValueError(f"{name} must be in {low}..{high}, got {number}")
    object.__setattr__(options, name, number)


def _positive(options: EncodeOptions, name: str, unit: str) -> None:
    """Check an option that is None or a positive finite number."""
    value = getattr(options, name)
    number = isinstance(value, Real) and not isinstance(value, bool)
    if value is not None and not (number and 0 < value < math.inf):
        raise ValueError(f"{name} must be a positive number of {unit}, got {value!r}")


def _optional(options: EncodeOptions, name: str, low: int, high: int) -> None:
    if getattr(options, name) is not None:
        _integer(options, name, low, high)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Options made definite for one image."""

    width: int
    depth: int
    frequencies: int
    """Per axis; 0 for plain coordinates."""
    growth: int
    """Ratio of successive frequencies in hundredths."""
    steps: int
    rate_weight: float
    """lambda of mean squared error + lambda * bits per pixel, samples in 0..1."""
    weights: int
    """Number of the network's weights, about."""
    budget_bytes: int | None
    """Size that the file must not exceed; lambda is only where the fit starts then."""


def make_plan(options: EncodeOptions, size: tuple[int, int], channels: int) -> Plan:
    """Choose what the options leave open for an image of this size in pixels; `psnr` aside, which takes a search."""
    pixels = size[0] * size[1]
    budget = options.target_bytes
    if options.bpp is not None:
        budget = max(1, int(options.bpp * pixels / 8))
    if budget is None:
        quality = 50 if options.quality is None else options.quality
        weights = usual_weights(pixels, channels) * FACTOR_PER_10_POINTS ** ((quality - 50) / 10)
    else:
        weights = 8 * budget / BITS_PER_WEIGHT
    return plan_for_weights(options, size, channels, weights, budget)


def plan_for_weights(
    options: EncodeOptions, size: tuple[int, int], channels: int, weights: float, budget_bytes: int | None = None
) -> Plan:
    """A plan whose network has about `weights` weights, where the options do not fix its shape."""
    pixels = size[0] * size[1]
    learned = learned_architecture(options)
    frequencies = FREQUENCIES if options.encoding == "fourier" else 0
    growth = _growth(max(size)) if frequencies else 100
    depth = options.depth or DEFAULT_DEPTH
    if learned is not None:
        if learned.channels != channels:
            raise ValueError(f"the initialization is for {learned.channels} channels, the image has {channels}")
        frequencies, growth, depth = learned.frequencies, learned.growth, learned.depth
    linear = 2 * (1 + 2 * frequencies) + depth + channels
    widths = QUALITY_WIDTHS if budget_bytes is None else TARGET_WIDTHS
    fixed = learned.width if learned else options.width
    width = fixed or _width_for(weights, linear, depth, widths)
    count, least = ((depth - 1) * units**2 + linear * units for units in (width, fixed or widths[0]))
    usual = usual_weights(pixels, channels)
    # A width larger than the image asks for means that the caller wants it used, and a tiny image has no smaller one:
    # there a bit must not cost as if it were one of few. By the image, not by `weights`: these lower lambda less than
    # they would lower the excess, so that a better quality would come out worse.
    excess = max(1.0, least / (usual if budget_bytes is None else weights))
    return Plan(
        width=width,
        depth=depth,
        frequencies=frequencies,
        growth=growth,
        steps=options.steps or _steps(options, count, pixels),
        rate_weight=RATE_WEIGHT / _more_channels(channels) / (weights / usual) ** RATE_WEIGHT_POWER / excess,
        weights=count,
        budget_bytes=budget_bytes,
    )


def usual_weights(pixels: int, channels: int) -> float:
    """Weights at quality 50."""
    return WEIGHTS_PER_PIXEL * pixels * _more_channels(channels)


def _more_channels(channels: int) -> float:
    return math.sqrt(max(1.0, channels / PICTURE_CHANNELS))


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


def _growth(longer: int) -> int:
    """Ratio of successive frequencies, in hundredths, that takes the last one to HIGHEST_FREQUENCY."""
    # The first frequency, pi, has one period over the longer side; the last shall have this many.
    periods: float = max(1.0, HIGHEST_FREQUENCY * min(longer, FREQUENCY_SIDE_MAX))
    return round(100 * math.pow(periods, 1 / (FREQUENCIES - 1)))
