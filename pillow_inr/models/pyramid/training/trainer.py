"""The trainer of a pyramid: NumPy arrays in and out of the compiled passes over an image's tiles.

One trainer serves images of all sizes, and several fits at a time. Knows neither schedule nor deadline nor file.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ....runtime.pool import borrowed
from ....runtime.program import Program
from ..structure import shapes
from .graph import TILE
from .passes import NOISE_OFFSETS, TILE_NOISE, Grids, Image, Latents, Passes, Step
from .soap import Tensors

__all__ = ["NOISE_OFFSETS", "Grids", "Image", "Latents", "Outcome", "Step", "Trainer", "shared_trainer"]

# What a trainer's graphs and compiled code take, measured.
MEGABYTES = 190


class Outcome(NamedTuple):
    """What a pass over the image measured."""

    gradients: Tensors
    """Gradients of the loss with respect to the networks' weights."""
    squared_error: float
    """Summed over samples."""
    bits: float


class Trainer:
    """A compiled program for images of a number of channels; it keeps nothing of any image."""

    def __init__(self, preset: int, channels: int, device: str) -> None:
        self.names = list(shapes(preset, channels))
        self.program = Program(lambda: Passes(preset, channels).functions(), device)

    def image(self, values: NDArray[np.float32]) -> Image:
        """Cut an image's normalized samples, shape (height, width, channels), into tiles."""
        height, width, channels = values.shape
        rows, columns = -(-height // TILE), -(-width // TILE)
        filled = np.pad(values, ((0, rows * TILE - height), (0, columns * TILE - width), (0, 0)), "edge")
        tiles = filled.reshape(rows, TILE, columns, TILE, channels).transpose(0, 2, 4, 1, 3)
        places = np.stack(np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij"), -1).reshape(-1, 2) * TILE
        return Image(
            tiles.reshape(-1, channels, TILE * TILE),
            places.astype(np.int32),
            np.array([height, width], np.int32),
        )

    def latents(self, values: Sequence[NDArray[np.float32]]) -> Latents:
        """Latents at the beginning of a fit, with moments of 0; values as `structure.grid_sizes` shapes them."""
        zeros = [np.zeros(grid.shape, np.float32) for grid in values]
        return Latents(list(values), zeros, zeros)

    def advance(self, latents: Latents, image: Image, weights: Tensors, step: Step) -> tuple[Latents, Outcome]:
        """Make an optimizer step of the latents; the outcome is that of the latents before it."""
        moved, found = self.program.run("advance", latents, image, self._ordered(weights), step, _noise_pool())
        return moved, _outcome(found)

    def gradients(self, grids: Grids, image: Image, weights: Tensors, lambda_per_bit: float) -> Outcome:
        """Gradients of the networks for symbols that stay."""
        return _outcome(self.program.run("gradients", grids, image, self._ordered(weights), np.float32(lambda_per_bit)))

    def quality(self, grids: Grids, image: Image, weights: Tensors) -> tuple[float, float]:
        """Squared error, summed over samples, of the decoded image clipped to 0..1; and the bits of the symbols."""
        squared_error, bits = self.program.run("quality", grids, image, self._ordered(weights))
        return float(squared_error), float(bits)

    def _ordered(self, weights: Tensors) -> Tensors:
        return {name: weights[name] for name in self.names}


@lru_cache(maxsize=1)
def _noise_pool() -> NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal(NOISE_OFFSETS + TILE_NOISE, np.float32)


def _outcome(found: tuple[Tensors, np.float32, np.float32]) -> Outcome:
    gradients, squared_error, bits = found
    return Outcome(gradients, float(squared_error), float(bits))


def shared_trainer(preset: int, channels: int, device: str) -> AbstractContextManager[Trainer]:
    """A trainer on a device, which other fits may use at the same time: compiling takes seconds.

    Args:
        device: a TensorFlow device name.
    """
    key = "pyramid", preset, channels, device
    return borrowed(key, MEGABYTES, lambda: Trainer(preset, channels, device), shared=True)
