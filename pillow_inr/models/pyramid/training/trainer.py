"""The trainer of a pyramid: NumPy arrays in and out of the compiled passes over an image's tiles.

One trainer serves images of all sizes, or all small ones of any usual number of channels, and several fits at a time.
Knows neither schedule nor deadline nor file.
"""

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ....runtime.pool import borrowed
from ....runtime.program import Program
from ..structure import shapes
from .graph import TILE
from .passes import NOISE_OFFSETS, Grids, Image, Latents, Passes, Step, noise_count
from .soap import Tensors

__all__ = [
    "NOISE_OFFSETS",
    "Costs",
    "Grids",
    "Image",
    "Latents",
    "Outcome",
    "Step",
    "TileNumbers",
    "Trainer",
    "shared_trainer",
]

# What a trainer's graphs and compiled code take, measured.
MEGABYTES = 190
# Images with no longer side than SMALL_SIDE share a trainer for these channels and these tiles: compiling one takes
# longer than the whole fit of such an image, and an icon fills a small part of a larger tile.
SMALL_SIDE = 128
SMALL_TILE = 64
SMALL_CHANNELS = 4


TileNumbers = NDArray[np.int32]
"""Of some of an image's tiles, shape (tiles,)."""


class Outcome(NamedTuple):
    """What a pass over the image measured."""

    gradients: Tensors
    """Gradients of the loss with respect to the networks' weights."""
    squared_error: float
    """Summed over samples."""
    bits: float


class Costs(NamedTuple):
    """Where the loss of an image is."""

    squared_errors: NDArray[np.float32]
    """Of each pixel, summed over its samples, shape (height, width)."""
    bits: list[NDArray[np.float32]]
    """Of each symbol; the grids finest first, in their shapes."""


class Trainer:
    """A compiled program for images of a number of channels, or fewer; it keeps nothing of any image.

    The samples, and the weights, of channels that an image lacks are zeros. Their error is 0, and so are the gradients
    of all that leads there.
    """

    def __init__(self, preset: int, channels: int, device: str, tile: int = TILE) -> None:
        self.shapes = shapes(preset, channels)
        self.channels = channels
        self.tile = tile
        self.program = Program(lambda: Passes(preset, channels, tile).functions(), device)
        self.noise = _noise_pool(noise_count(preset, tile))

    def image(self, values: NDArray[np.float32]) -> Image:
        """Cut an image's normalized samples, shape (height, width, channels), into tiles."""
        height, width, channels = values.shape
        tile = self.tile
        rows, columns = -(-height // tile), -(-width // tile)
        filled = np.pad(values, ((0, rows * tile - height), (0, columns * tile - width), (0, 0)), "edge")
        filled = np.pad(filled, ((0, 0), (0, 0), (0, self.channels - channels)))
        tiles = filled.reshape(rows, tile, columns, tile, self.channels).transpose(0, 2, 4, 1, 3)
        places = np.stack(np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij"), -1).reshape(-1, 2) * tile
        return Image(
            tiles.reshape(-1, self.channels, tile**2),
            places.astype(np.int32),
            np.array([height, width], np.int32),
        )

    def latents(self, values: Sequence[NDArray[np.float32]]) -> Latents:
        """Latents at the beginning of a fit, with moments of 0; values as `structure.grid_sizes` shapes them."""
        zeros = [np.zeros(grid.shape, np.float32) for grid in values]
        return Latents(list(values), zeros, zeros)

    def advance(self, latents: Latents, image: Image, weights: Tensors, step: Step) -> tuple[Latents, Outcome]:
        """Make an optimizer step of the latents; the outcome is that of the latents before it."""
        moved, found = self.program.run("advance", latents, image, self._padded(weights), step, self.noise)
        return moved, _outcome(found, weights)

    def gradients(self, grids: Grids, image: Image, weights: Tensors, lambda_per_bit: float) -> Outcome:
        """Gradients of the networks for symbols that stay."""
        found = self.program.run("gradients", grids, image, self._padded(weights), np.float32(lambda_per_bit))
        return _outcome(found, weights)

    def squared_error(self, grids: Grids, image: Image, weights: Tensors, tiles: TileNumbers | None = None) -> float:
        """Squared error, summed over samples, of the decoded image clipped to 0..1, or of some of its tiles."""
        found = self._run_on("squared_errors", grids, image, weights, tiles)
        return float(found.sum(dtype=np.float64))

    def pixels(self, image: Image, tiles: TileNumbers) -> int:
        """How many of an image's pixels lie in some of its tiles."""
        return int(np.clip(image.size - image.places[tiles], 0, self.tile).prod(axis=1).sum())

    def bits(self, grids: Grids, image: Image, weights: Tensors, tiles: TileNumbers | None = None) -> float:
        """Bits of all symbols, or of those of some tiles."""
        found = self._run_on("bits", grids, image, weights, tiles)
        return float(sum(part.sum(dtype=np.float64) for part in found))

    def costs(self, grids: Grids, image: Image, weights: Tensors) -> Costs:
        """What each pixel of the decoded image, clipped to 0..1, and each symbol add to the loss."""
        squared_errors = self._run_on("squared_errors", grids, image, weights, None)
        bits = self._run_on("bits", grids, image, weights, None)
        height, width = image.size
        tiles = -(-int(height) // self.tile), -(-int(width) // self.tile)

        def joined(parts: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.float32]:
            side = math.isqrt(parts.shape[1])
            whole = parts.reshape(*tiles, side, side).swapaxes(1, 2).reshape(tiles[0] * side, tiles[1] * side)
            return whole[: shape[0], : shape[1]]

        return Costs(
            joined(squared_errors, (int(height), int(width))),
            [joined(part, grid.shape) for part, grid in zip(bits, grids, strict=True)],
        )

    def _run_on(self, name: str, grids: Grids, image: Image, weights: Tensors, tiles: TileNumbers | None) -> Any:
        chosen = np.arange(len(image.places), dtype=np.int32) if tiles is None else tiles
        return self.program.run(name, grids, image, self._padded(weights), chosen)

    def _padded(self, weights: Tensors) -> Tensors:
        return {name: _padded(weights[name], shape) for name, shape in self.shapes.items()}


@lru_cache(maxsize=2)
def _noise_pool(count: int) -> NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal(count, np.float32)


def _outcome(found: tuple[Tensors, np.float32, np.float32], weights: Tensors) -> Outcome:
    gradients, squared_error, bits = found
    cropped = {name: _cropped(gradient, weights[name].shape) for name, gradient in gradients.items()}
    return Outcome(cropped, float(squared_error), float(bits))


def _padded(weights: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """A tensor for fewer channels, with zeros for those that it lacks."""
    if weights.shape == shape:
        return weights
    result = np.zeros(shape, np.float32)
    _by_channel(result)[tuple(map(slice, _by_channel(weights).shape))] = _by_channel(weights)
    return result


def _cropped(gradient: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """The part of a tensor's gradient that belongs to fewer channels."""
    if gradient.shape == shape:
        return gradient
    part: tuple[int, ...] = _by_channel(np.empty(shape, np.bool_)).shape
    return _by_channel(gradient)[tuple(map(slice, part))].reshape(shape)


def _by_channel(tensor: NDArray[Any]) -> NDArray[Any]:
    """A view of a tensor in which each channel has its own index: a 3x3 kernel has columns for 9 taps of each."""
    rows, *columns = tensor.shape
    return tensor.reshape(rows, 9, rows) if columns == [9 * rows] else tensor


def shared_trainer(preset: int, channels: int, size: tuple[int, int], device: str) -> AbstractContextManager[Trainer]:
    """A trainer for an image on a device, which other fits may use at the same time: compiling takes seconds.

    Args:
        size: of the image in pixels.
        device: a TensorFlow device name.
    """
    small = max(size) <= SMALL_SIDE and channels <= SMALL_CHANNELS
    if small:
        channels = SMALL_CHANNELS
    tile = SMALL_TILE if small else TILE
    key = "pyramid", preset, channels, tile, device
    return borrowed(key, MEGABYTES, lambda: Trainer(preset, channels, device, tile), shared=True)
