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
# Optimizer steps of effort 0..9. README.md has the seconds they take.
EFFORT_STEPS = (100, 200, 400, 800, 1500, 3000, 5000, 8000, 14000, 25000)
STEPS_MAX = 10_000_000
# Fourier frequencies per axis (Strümpler et al. 2022, section 4.1: 16 with ratio 1.4 on Kodak).
FREQUENCIES = 16
# Highest frequency in periods per pixel; a higher one adds noise between the pixels, a lower one blurs edges.
HIGHEST_FREQUENCY = 0.2
# Images above this side get no higher frequencies: a network of their rate cannot use them.
FREQUENCY_SIDE_MAX = 4096
# Weights per pixel, and lambda, at quality 50; the first grows and the second falls by a factor per 10 points.
WEIGHTS_PER_PIXEL = 0.027
RATE_WEIGHT = 4e-3
FACTOR_PER_10_POINTS = 1.5
QUALITY_WIDTHS = (8, 192)
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
    quality: int = 50
    """1..100: size of the network where `width` is not given, and how finely its weights are stored."""
    effort: int = 5
    """0..9: how long to fit."""
    steps: int | None = None
    """Optimizer steps, instead of those of `effort`."""
    time_limit: float | None = None
    """Seconds after which the fit ends, if it has not made its steps by then."""
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
        _integer(self, "quality", 1, 100)
        _integer(self, "effort", 0, len(EFFORT_STEPS) - 1)
        _optional(self, "steps", 1, STEPS_MAX)
        _integer(self, "seed", 0, 2**31 - 1)
        if self.time_limit is not None:
            limit = self.time_limit
            number = isinstance(limit, Real) and not isinstance(limit, bool)
            if not (number and 0 < limit < math.inf):
                raise ValueError(f"time_limit must be a positive number of seconds, got {limit!r}")
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


def make_plan(options: EncodeOptions, size: tuple[int, int], channels: int) -> Plan:
    """Choose what the options leave open for an image of this size in pixels."""
    learned = learned_architecture(options)
    frequencies = FREQUENCIES if options.encoding == "fourier" else 0
    growth = _growth(max(size)) if frequencies else 100
    depth = options.depth or DEFAULT_DEPTH
    if learned is not None:
        if learned.channels != channels:
            raise ValueError(f"the initialization is for {learned.channels} channels, the image has {channels}")
        frequencies, growth, depth = learned.frequencies, learned.growth, learned.depth
    factor = FACTOR_PER_10_POINTS ** ((options.quality - 50) / 10)
    budget = WEIGHTS_PER_PIXEL * factor * size[0] * size[1]
    linear = 2 * (1 + 2 * frequencies) + depth + channels
    width = learned.width if learned else options.width or _width_for(budget, linear, depth)
    # A network of more weights than the quality asks for means that the caller wants them used, and a tiny image
    # has no smaller one: there a bit must not cost as if it were one of few.
    excess = max(1.0, ((depth - 1) * width**2 + linear * width) / budget)
    return Plan(
        width=width,
        depth=depth,
        frequencies=frequencies,
        growth=growth,
        steps=options.steps or EFFORT_STEPS[options.effort],
        rate_weight=RATE_WEIGHT / factor / excess,
    )


def learned_architecture(options: EncodeOptions) -> "Architecture | None":
    """The network that the options' initialization is for."""
    architecture: Architecture | None = getattr(options.init, "architecture", None)
    return architecture


def _width_for(weights: float, linear: int, depth: int) -> int:
    """Width, a multiple of 4, at which a network has about `weights` = (depth - 1) * width^2 + linear * width."""
    squares = depth - 1
    width = (math.sqrt(linear**2 + 4 * squares * weights) - linear) / (2 * squares) if squares else weights / linear
    return min(max(4 * round(width / 4), QUALITY_WIDTHS[0]), QUALITY_WIDTHS[1])


def _growth(longer: int) -> int:
    """Ratio of successive frequencies, in hundredths, that takes the last one to HIGHEST_FREQUENCY."""
    # The first frequency, pi, has one period over the longer side; the last shall have this many.
    periods: float = max(1.0, HIGHEST_FREQUENCY * min(longer, FREQUENCY_SIDE_MAX))
    return round(100 * math.pow(periods, 1 / (FREQUENCIES - 1)))
