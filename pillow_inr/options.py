"""What a caller may ask of an encode, checked once; each model's `plan` makes it definite for an image.

Standard library only: importing the package and checking options stays cheap.
"""

import math
import operator
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from numbers import Real
from typing import Any, Protocol

from .format.info import FACTS, MARKERS
from .format.metadata import NAMES as METADATA_NAMES
from .format.metadata import is_same
from .format.ranges import DEPTH_MAX, WIDTH_MAX
from .models.registry import AUTO, MODELS, model_names

ENCODINGS = ("fourier", "none")
_TEXT_OPTIONS = ("model", "encoding", "init", "device")
EFFORT_MAX = 9
DEFAULT_EFFORT = 3
DEFAULT_QUALITY = 50
STEPS_MAX = 10_000_000
# lambda of mean squared error + lambda * bits per pixel, samples in 0..1, at qualities 0 and 100; between them its
# logarithm is linear in quality. One scale for both models.
RD_LAMBDAS = (2e-2, 5e-5)
# Above this number of channels lambda is divided by sqrt(channels / PICTURE_CHANNELS): the bands of a stack are alike,
# and need more bits than one picture but fewer than as many pictures.
PICTURE_CHANNELS = 4
# Below this number of pixels lambda shrinks with the pixel count, so that a tiny image is not starved of bits.
SHARED_PIXELS = 4096

ProgressCallback = Callable[[int, int, float, float], object]
"""Called with step, steps, PSNR in dB and estimated bits per pixel."""


class LearnedWeights(Protocol):
    """An initialization (`models.siren.initialization.Initialization`), as far as options know one."""

    @property
    def architecture(self) -> Any:
        """The network that it is for."""


@dataclass(frozen=True, kw_only=True)
class EncodeOptions:
    """Options of an encode; every field has a default, and each value is checked at construction.

    Raises:
        ValueError: a value is outside its range; the message names the option, the value and what is allowed.
    """

    model: str = AUTO
    """"siren", "pyramid" or "auto". "auto" means the SIREN if `width`, `depth`, `encoding` or `init` is given, the
    better of both for small and simple images, else the pyramid."""
    width: int | None = None
    """Units of the first sine layer of each network, 1..1024; by default chosen from the goal and the image."""
    depth: int | None = None
    """Number of sine layers, 1..15; by default 5, or 4 where all have the same width."""
    quality: int | None = None
    """1..100, by default 50: higher means better quality and a larger file; one scale for both models."""
    target_bytes: int | None = None
    """Size in bytes, instead of `quality`: the file comes near it and never exceeds it."""
    bpp: float | None = None
    """Size in bits per pixel, instead of `quality`: as `target_bytes`."""
    psnr: float | None = None
    """PSNR in dB to reach, instead of `quality`, in several fits; a warning says if none reached it."""
    effort: int | None = None
    """0..9: how long to fit; each takes about twice the time of the one before. By default 3, about a minute for the
    pyramid of 12 megapixels and 20 seconds for a SIREN on 4 cores; or, if only `time_limit` is given, as long as that
    allows."""
    steps: int | None = None
    """Optimizer steps, instead of `effort`; a step of a pyramid is a pass over the image."""
    time_limit: float | None = None
    """Seconds for the whole encode; with `effort` or `steps` it may end sooner."""
    seed: int = 0
    """Random seed of the initial weights, the drawn pixels and the noise, 0..2147483647."""
    encoding: str | None = None
    """Input of a SIREN: "fourier", by default, or "none" for plain coordinates."""
    init: str | os.PathLike[str] | LearnedWeights | None = None
    """Initialization of a SIREN, or the path of its .npz file; it fixes width, depth and encoding."""
    device: str | None = None
    """TensorFlow device, such as "CPU:0" or "GPU:0"; by default the first GPU if there is one, else the CPU."""
    progress: bool | ProgressCallback | None = None
    """A line on standard error about the fits: True from the start, False never, None after three seconds if it is a
    terminal or this is a notebook. Or a callable that gets step, steps, PSNR in dB, estimated bits per pixel."""

    def __post_init__(self) -> None:
        _optional(self, "width", 1, WIDTH_MAX)
        _optional(self, "depth", 1, DEPTH_MAX)
        _optional(self, "quality", 1, 100)
        _optional(self, "target_bytes", 1, 2**31 - 1)
        _optional(self, "effort", 0, EFFORT_MAX)
        _optional(self, "steps", 1, STEPS_MAX)
        _integer(self, "seed", 0, 2**31 - 1)
        _positive(self, "time_limit", "seconds")
        _positive(self, "bpp", "bits per pixel")
        _positive(self, "psnr", "dB")
        goals = self._given(("quality", "target_bytes", "bpp", "psnr"))
        if len(goals) > 1:
            raise ValueError(f"{' and '.join(goals)} exclude each other: give one of them")
        if self.psnr is not None and not (self.width is None and self.init is None):
            raise ValueError("psnr chooses the width itself: give psnr, or else width or init")
        if self.model not in model_names():
            *others, last = map(repr, model_names())
            raise ValueError(f"model must be {', '.join(others)} or {last}, got {self.model!r}")
        if self.encoding not in (None, *ENCODINGS):
            raise ValueError(f"encoding must be 'fourier' or 'none', got {self.encoding!r}")
        for entry in MODELS:
            own = self._given(entry.own_options)
            if own and self.model not in (AUTO, entry.name):
                raise ValueError(f"model is {self.model!r}, which has no {' or '.join(own)}: leave out either")
        if not (self.init is None or isinstance(self.init, str | os.PathLike) or hasattr(self.init, "architecture")):
            raise ValueError(f"init must be an Initialization or the path of one, got {self.init!r}")
        if not (self.device is None or (isinstance(self.device, str) and self.device)):
            raise ValueError(f"device must be the name of a TensorFlow device such as 'GPU:0', got {self.device!r}")
        if not (self.progress is None or isinstance(self.progress, bool) or callable(self.progress)):
            raise ValueError(f"progress must be None, True, False or a callable, got {self.progress!r}")

    def _given(self, names: Iterable[str]) -> list[str]:
        """The options among these that are given."""
        return [name for name in names if getattr(self, name) is not None]

    @property
    def given(self) -> dict[str, Any]:
        """The options that differ from their defaults, by name, without `progress`."""
        values = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "progress"}
        return {name: value for name, value in values.items() if value != getattr(EncodeOptions, name)}

    @property
    def chosen_model(self) -> str:
        """Name of the model that the options ask for; "auto" if the image decides."""
        return next((entry.name for entry in MODELS if self._given(entry.own_options)), self.model)

    @classmethod
    def from_keywords(cls, keywords: Mapping[str, Any]) -> "EncodeOptions":
        """Take the options out of the keywords of a save; other keywords, and those that are None, are ignored."""
        names = {field.name for field in fields(cls)}
        return cls(**{name: value for name, value in keywords.items() if name in names and value is not None})


def wishes(keywords: Mapping[str, Any], info: Mapping[Any, Any]) -> dict[str, Any]:
    """The keywords of a save without what an opened file's `info` says of that file (`image.save(path, **image.info)`).

    Such a keyword has the image's own value of that name. It does not count as an option if others, which are no
    options, were passed back as well, or if it is a text where an option is none (any text of a PNG stands in `info`).
    Where the keywords hold the facts of an .inr file that is not this image, none of these is an option.

    Args:
        keywords: of the save; metadata stay.
        info: the image's.
    """
    names = {field.name for field in fields(EncodeOptions)}
    ours = names.union(METADATA_NAMES)
    passed_back = {name for name in keywords if name in info and is_same(keywords[name], info[name])}
    dropped: set[str] = set()
    if keywords.keys() >= MARKERS and not passed_back >= MARKERS:
        dropped = {*FACTS, *(keywords.keys() - ours)}
    elif passed_back - ours:
        dropped = passed_back - set(METADATA_NAMES)
    dropped |= {name for name in passed_back & names - set(_TEXT_OPTIONS) if isinstance(keywords[name], str)}
    return {name: value for name, value in keywords.items() if name not in dropped}


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


def rd_lambda(options: EncodeOptions, channels: int) -> float:
    """lambda of the loss MSE + lambda * bits per pixel, samples in 0..1, for the options' quality q.

    lambda = 0.02 * (5e-5 / 0.02)^(q / 100) / lambda_divisor(channels)
    """
    low, high = RD_LAMBDAS
    quality = DEFAULT_QUALITY if options.quality is None else options.quality
    return low * math.pow(high / low, quality / 100) / lambda_divisor(channels)


def image_rd_lambda(options: EncodeOptions, channels: int, pixels: int) -> float:
    """`rd_lambda` * min(1, pixels / SHARED_PIXELS): smaller for an image of few pixels.

    Most of a tiny image's file is header and network. At the full lambda one bit of them would cost more than any
    colour is worth.
    """
    return rd_lambda(options, channels) * min(1.0, pixels / SHARED_PIXELS)


def lambda_divisor(channels: int) -> float:
    """sqrt(max(1, channels / PICTURE_CHANNELS)): what lambda is divided by for a stack of many channels."""
    return math.sqrt(max(1.0, channels / PICTURE_CHANNELS))


def budget_bytes(options: EncodeOptions, size: tuple[int, int]) -> int | None:
    """Size that the file of an image of this width and height must not exceed; None if the options name none."""
    if options.bpp is not None:
        return max(1, int(options.bpp * size[0] * size[1] / 8))
    return options.target_bytes
