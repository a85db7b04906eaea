"""What a caller may ask of an encode, checked once; `siren_plan` and `pyramid_plan` make it definite for an image.

Standard library only: importing the package and checking options stays cheap.
"""

import math
import operator
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from numbers import Real
from typing import TYPE_CHECKING, Any

from .format.container import DEPTH_MAX, WIDTH_MAX

if TYPE_CHECKING:
    from .models.siren.initialization import Initialization

ENCODINGS = ("fourier", "none")
MODELS = ("auto", "siren", "pyramid")
EFFORT_MAX = 9
DEFAULT_EFFORT = 5
DEFAULT_QUALITY = 50
STEPS_MAX = 10_000_000
# lambda of mean squared error + lambda * bits per pixel, samples in 0..1, at qualities 0 and 100; between them its
# logarithm is linear in quality. One scale for both models.
RD_LAMBDAS = (2e-2, 5e-5)
# Channels beyond a picture's own: bands of a stack are alike, so that as many times a picture's bits would be too much
# and the same for all of them too little. lambda falls by the root of their ratio.
PICTURE_CHANNELS = 4
# An image of fewer pixels has bits as dear, in all, as one of so many.
SHARED_PIXELS = 4096

ProgressCallback = Callable[[int, int, float, float], object]
"""Called with step, steps, PSNR in dB and estimated bits per pixel."""


@dataclass(frozen=True, kw_only=True)
class EncodeOptions:
    """Options of an encode; every field has a default, and each value is checked at construction.

    Raises:
        ValueError: a value is outside its range; the message names the option, the value and what is allowed.
        OSError: the file of `init` cannot be read.
    """

    model: str = "auto"
    """"siren", "pyramid", or "auto": the pyramid, the better of both for small images, and the SIREN where `width`,
    `depth`, `encoding` or `init` say how it is to be."""
    width: int | None = None
    """Units of each sine layer, 1..1024; by default chosen from `quality` and the image's size."""
    depth: int | None = None
    """Number of sine layers, 1..15; by default 4."""
    quality: int | None = None
    """1..100: how dear a bit is against an error, on one scale for both models; 50 by default."""
    target_bytes: int | None = None
    """Size in bytes that the file must not exceed, and comes near to, instead of `quality`."""
    bpp: float | None = None
    """The same in bits per pixel."""
    psnr: float | None = None
    """PSNR in dB to reach, instead of `quality`; several fits may be made, and a warning says when none reached it."""
    effort: int | None = None
    """0..9: how long to fit, from seconds to minutes; by default 5, on 4 cores about a minute for the pyramid of a
    768x512 image and 20 seconds for a SIREN, or what `time_limit` leaves time for."""
    steps: int | None = None
    """Optimizer steps, instead of those of `effort`; a pyramid's are passes over the image."""
    time_limit: float | None = None
    """Seconds for the encode; with `effort` or `steps` it may end sooner."""
    seed: int = 0
    """Of the initial weights and the drawn pixels, 0..2147483647."""
    encoding: str | None = None
    """A SIREN's input: "fourier", by default, or "none" for plain coordinates."""
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
        _optional(self, "effort", 0, EFFORT_MAX)
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
        if self.model not in MODELS:
            raise ValueError(f"model must be 'auto', 'siren' or 'pyramid', got {self.model!r}")
        if self.encoding not in (None, *ENCODINGS):
            raise ValueError(f"encoding must be 'fourier' or 'none', got {self.encoding!r}")
        if self.init is not None:
            _initialization(self)
        if self.model == "pyramid" and self._of_siren:
            raise ValueError(f"model is 'pyramid', which has no {' or '.join(self._of_siren)}: those are a SIREN's")
        if not (self.device is None or (isinstance(self.device, str) and self.device)):
            raise ValueError(f"device must be the name of a TensorFlow device such as 'GPU:0', got {self.device!r}")
        if not (isinstance(self.progress, bool) or callable(self.progress)):
            raise ValueError(f"progress must be True, False or a callable, got {self.progress!r}")

    @property
    def _of_siren(self) -> list[str]:
        """The options given that a SIREN alone has."""
        return [name for name in ("width", "depth", "encoding", "init") if getattr(self, name) is not None]

    @property
    def chosen_model(self) -> str:
        """The model that the options ask for; "auto" where the image decides."""
        return "siren" if self._of_siren else self.model

    @classmethod
    def from_keywords(cls, keywords: Mapping[str, Any]) -> "EncodeOptions":
        """Take the options out of a writer's keywords; others, and those that are None, are left alone."""
        names = {field.name for field in fields(cls)}
        return cls(**{name: value for name, value in keywords.items() if name in names and value is not None})


def _initialization(options: EncodeOptions) -> None:
    """Store the initialization itself, loaded if need be, once the options agree with it."""
    from .models.siren.initialization import Initialization, load

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


def rd_lambda(options: EncodeOptions, channels: int) -> float:
    """lambda of mean squared error + lambda * bits per pixel, samples in 0..1, that the options' quality stands for."""
    low, high = RD_LAMBDAS
    quality = DEFAULT_QUALITY if options.quality is None else options.quality
    return low * math.pow(high / low, quality / 100) / lambda_divisor(channels)


def image_rd_lambda(options: EncodeOptions, channels: int, pixels: int) -> float:
    """The same for an image of so many pixels: less for a tiny one.

    Most of its file is frame and network. With so few pixels to share them, a bit would cost more than any colour.
    """
    return rd_lambda(options, channels) * min(1.0, pixels / SHARED_PIXELS)


def lambda_divisor(channels: int) -> float:
    """By how much lambda is lower for so many channels than for a picture's."""
    return math.sqrt(max(1.0, channels / PICTURE_CHANNELS))


def budget_bytes(options: EncodeOptions, size: tuple[int, int]) -> int | None:
    """The size that the file must not exceed, of an image of so many pixels; None if the options name none."""
    if options.bpp is not None:
        return max(1, int(options.bpp * size[0] * size[1] / 8))
    return options.target_bytes
