"""What fixes a pyramid apart from its symbols: levels, presets, tensors, and the base weights of its networks.

Knows neither how integers are coded nor what is computed with them.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...errors import FormatError
from .header import BASE_WEIGHTS_COUNTS

Tensors = Mapping[str, NDArray[np.int64]]
"""Integers of each tensor, in the order of `shapes`; value = integer * 2^-fraction_bits(preset, name)."""

Grid = NDArray[np.signedinteger[Any]]
"""Symbols of a level, shape (rows, columns)."""
SYMBOL_MAX = 4095
"""Largest magnitude of a symbol."""


class Pyramid(NamedTuple):
    """The content of a stream."""

    tensors: dict[str, NDArray[np.int64]]
    """Integers of all tensors, as `shapes` lists them."""
    grids: list[Grid]
    """Symbols of each latent grid, finest first."""


# Latent grids of 1/1 to 1/64 of the image's resolution.
LEVELS = 7
# Neighbours of a symbol in its own grid that the context model sees, as (rows down, columns right), nearest first; a
# preset takes the first few. All lie in earlier wavefronts x + 2 y (docs/format.md section 9.5).
NEIGHBOURS = (
    (0, -1),
    (-1, 0),
    (-1, -1),
    (-1, 1),
    (0, -2),
    (-2, 0),
    (-1, -2),
    (-2, 1),
    (-2, -1),
    (0, -3),
    (-3, 0),
    (-2, 2),
    (-2, -2),
    (-1, -3),
)
KERNEL_SIDE = 5
"""Of the kernels of the finest grid."""
CONTEXT_BITS = 12
# Bits after the binary point of stored base weights of the synthesis network.
STORED_BITS = 14
# Integers of tensors are below these in magnitude: sums of products in the context model then stay below 2^53, which
# float64 holds exactly.
CONTEXT_LIMIT = 1 << 20
SYNTHESIS_LIMIT = 1 << 24
# Of each preset; the stored base weights are those for three channels.
_BASE_WEIGHTS_FILES = tuple(Path(__file__).parent / name for name in ("base_weights.bin", "base_weights_1.bin"))
_BASE_CHANNELS = 3


@dataclass(frozen=True)
class Preset:
    """Sizes of the networks."""

    spatial: int
    """Number of contexts in a symbol's own grid, the first of NEIGHBOURS."""
    cross: tuple[int, ...]
    """Contexts from coarser grids, the next one first: side of the square of cells around the symbol's place."""
    context_width: int
    """Units of each of the context model's two hidden layers."""
    synthesis_width: int
    """Units of the synthesis network's hidden layer."""
    residual_convolutions: int
    """Number of 3x3 residual convolutions after it; also the margin, in pixels, that these need around a region."""
    smoothing: int = 0
    """Taps on each side of the symmetric filter that each grid passes before the coarser ones join it; 0 for none."""
    synthesis_bits: int = 14
    """Bits after the binary point of the synthesis network's integers: large symbols need finer weights."""
    kernels: int = 0
    """Number of 5x5 kernels of the finest grid whose results are inputs of the hidden layer, too."""

    @property
    def contexts(self) -> int:
        """Inputs of the context model."""
        return self.spatial + sum(side**2 for side in self.cross)

    @property
    def features(self) -> int:
        """Inputs of the hidden layer."""
        return LEVELS + self.kernels


PRESETS = (
    Preset(spatial=12, cross=(3, 1), context_width=24, synthesis_width=48, residual_convolutions=2),
    Preset(
        spatial=12,
        cross=(3, 3, 1, 1, 1, 1),
        context_width=24,
        synthesis_width=48,
        residual_convolutions=2,
        smoothing=3,
        kernels=4,
        synthesis_bits=18,
    ),
)


def shapes(preset: int, channels: int) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the tensors of a pyramid, in file order (docs/format.md section 9.2)."""
    sizes = PRESETS[preset]
    inputs, units, width = sizes.contexts, sizes.context_width, sizes.synthesis_width
    named: dict[str, tuple[int, ...]] = {
        "a1": (units, inputs),
        "a1b": (units,),
        "a2": (units, units),
        "a2b": (units,),
        "a3": (2, units),
        "a3b": (2, LEVELS),
        "as": (2, inputs),
        "up": (LEVELS - 1, 4),
    }
    if sizes.smoothing:
        named["pf"] = (LEVELS, sizes.smoothing + 1)
    if sizes.kernels:
        named["kf"] = (sizes.kernels, KERNEL_SIDE**2)
    named |= {
        "s1": (width, sizes.features),
        "s1b": (width,),
        "s2": (channels, width),
        "s2b": (channels,),
        "ss": (channels, sizes.features),
    }
    for index in range(sizes.residual_convolutions):
        named[f"r{index}"] = (channels, 9 * channels)
        named[f"r{index}b"] = (channels,)
    return named


def fraction_bits(preset: int, name: str) -> int:
    """Bits after the binary point of a tensor's integers."""
    return CONTEXT_BITS if is_context(name) else PRESETS[preset].synthesis_bits


def is_context(name: str) -> bool:
    """Whether a tensor belongs to the context network, and not to synthesis."""
    return name.startswith("a")


def limit(name: str) -> int:
    """What a tensor's integers are below in size."""
    return CONTEXT_LIMIT if is_context(name) else SYNTHESIS_LIMIT


def named(integers: NDArray[np.int32], preset: int, channels: int) -> dict[str, NDArray[np.int64]]:
    """Integers of all tensors, one behind another, by the names of `shapes`."""
    sizes = shapes(preset, channels)
    parts = np.split(integers.astype(np.int64), np.cumsum([math.prod(shape) for shape in sizes.values()])[:-1])
    return {name: part.reshape(shape) for (name, shape), part in zip(sizes.items(), parts, strict=True)}


def flat(tensors: Tensors) -> NDArray[np.int32]:
    """The integers of all tensors, one behind another: undoes `named`."""
    return np.concatenate([values.ravel() for values in tensors.values()]).astype(np.int32)


def channels_of(tensors: Tensors) -> int:
    """Samples per pixel that networks make."""
    return len(tensors["s2b"])


def as_floats(preset: int, tensors: Tensors) -> dict[str, NDArray[np.float32]]:
    """Values that the tensors' integers stand for."""
    return {
        name: np.ldexp(integers.astype(np.float64), -fraction_bits(preset, name)).astype(np.float32)
        for name, integers in tensors.items()
    }


def check_tensors(tensors: Tensors) -> None:
    """Compare the tensors with their limits.

    Raises:
        FormatError: an integer is too large for exact sums.
    """
    for name, values in tensors.items():
        largest = int(np.abs(values).max())
        if largest >= limit(name):
            raise FormatError(
                f"payload: an integer of tensor {name} is {largest} in size, expected below {limit(name)}"
            )


def grid_sizes(size: tuple[int, int]) -> list[tuple[int, int]]:
    """Rows and columns of each grid, finest first, of an image of this width and height."""
    width, height = size
    return [(-(-height >> level), -(-width >> level)) for level in range(LEVELS)]


@lru_cache(maxsize=16)
def base_weights(preset: int, index: int, channels: int) -> dict[str, NDArray[np.int64]]:
    """Base weights of all tensors, adapted to a number of channels; do not write to them.

    Args:
        preset: index into PRESETS.
        index: of the set of base weights, 0 to below BASE_WEIGHTS_COUNTS[preset].
        channels: samples per pixel, 1..64.
    Source: docs/format.md section 9.3, which calls them the prior.
    """
    stored = _stored(preset, index)
    if channels == _BASE_CHANNELS:
        return stored
    alpha = channels in (2, 4)
    colours = channels - alpha
    # RGB with alpha has the three rows as they are, everything else their mean.
    same = colours == _BASE_CHANNELS
    adapted = {}
    for name, shape in shapes(preset, channels).items():
        values = stored[name]
        if values.shape == shape:
            adapted[name] = values
            continue
        result = np.zeros(shape, np.int64)
        if len(shape) == 2 and shape[1] == 9 * channels:
            taps = values.reshape(_BASE_CHANNELS, 9, _BASE_CHANNELS)
            own = result.reshape(channels, 9, channels)
            if same:
                own[:colours, :, :colours] = taps
            else:
                diagonal = np.arange(colours)
                own[diagonal, :, diagonal] = np.diagonal(taps, axis1=0, axis2=2).sum(axis=1) // _BASE_CHANNELS
        else:
            result[:colours] = values if same else values.sum(axis=0) // _BASE_CHANNELS
            if alpha and name == "s2b":
                result[-1] = 1 << PRESETS[preset].synthesis_bits  # opaque
        adapted[name] = result
    return _locked(adapted)


def base_weights_path(preset: int) -> Path:
    """The file that holds all sets of base weights of a preset."""
    return _BASE_WEIGHTS_FILES[preset]


@lru_cache(maxsize=sum(BASE_WEIGHTS_COUNTS))
def _stored(preset: int, index: int) -> dict[str, NDArray[np.int64]]:
    sets = np.fromfile(base_weights_path(preset), "<i2").reshape(BASE_WEIGHTS_COUNTS[preset], -1)
    finer = PRESETS[preset].synthesis_bits - STORED_BITS
    tensors = named(sets[index].astype(np.int32), preset, _BASE_CHANNELS)
    return _locked({name: values << (0 if is_context(name) else finer) for name, values in tensors.items()})


def _locked(tensors: dict[str, NDArray[np.int64]]) -> dict[str, NDArray[np.int64]]:
    """The same arrays, which are shared from now on."""
    for values in tensors.values():
        values.flags.writeable = False
    return tensors
