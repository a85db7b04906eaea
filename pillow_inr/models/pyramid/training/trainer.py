"""The trainer of a pyramid: compiled functions that advance latents, and give the gradients of the networks.

An image is worked on in tiles of one shape: each is a call of the same compiled function, and TensorFlow runs as many
at once as there are cores. What handles whole grids depends on no shape either, so that one trainer, compiled once,
serves images of all sizes. Knows neither schedule nor deadline nor what a file holds.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from ....runtime.threads import cores
from ..structure import LEVELS, PRESETS, shapes
from .graph import TILE, inside, patch_cells, rate_bits, synthesize
from .patches import cut, joined
from .soap import Tensors

# A tile's noise, one number for each cell of its patches, begins anywhere in a pool of so many: drawing anew takes
# longer than all other arithmetic on grids.
TILE_NOISE = sum(patch_cells(level) ** 2 for level in range(LEVELS))
NOISE_OFFSETS = 1 << 20
EPSILON = 1e-8

Grids = list[tf.Tensor]


class Latents(NamedTuple):
    """The grids in training, finest first, and Adam's memory of them."""

    values: Grids
    """In units of symbols, float32."""
    mean: Grids
    square: Grids


class Image(NamedTuple):
    """An image cut into tiles."""

    values: tf.Tensor
    """Network values to reach, shape (tiles, channels, TILE * TILE), float32; the last tiles are filled up."""
    places: tf.Tensor
    """Row and column of each tile's first pixel, shape (tiles, 2), int32."""
    size: tf.Tensor
    """Height and width in pixels, int32."""


class Step(NamedTuple):
    """What a step is told; scalars and two arrays, float32 tensors but for the last."""

    temperature: tf.Tensor
    """Of soft rounding."""
    deviation: tf.Tensor
    """Of the noise, in symbols."""
    rates: tf.Tensor
    """Learning rate of each grid, in symbols, shape (LEVELS,)."""
    decays: tf.Tensor
    """Adam's two, and what is left of the initial zeros: shape (4,)."""
    lambda_per_bit: tf.Tensor
    """Squared error, summed over samples, that a bit is worth."""
    offsets: tf.Tensor
    """Where in the pool each tile's noise begins, shape (tiles,), int32."""


class Outcome(NamedTuple):
    """What a pass over the image found."""

    gradients: Tensors
    """Of the networks' weights."""
    squared_error: float
    """Summed over samples."""
    bits: float


class _Tile(NamedTuple):
    """What the compiled functions are given of a tile."""

    values: tf.Tensor
    place: tf.Tensor
    size: tf.Tensor
    patches: list[tf.Tensor]


class Trainer:
    """Compiled functions for images of a number of channels."""

    def __init__(self, preset: int, channels: int) -> None:
        self.preset = PRESETS[preset]
        self.names = list(shapes(preset, channels))
        self.pool = tf.constant(np.random.default_rng(0).standard_normal(NOISE_OFFSETS + TILE_NOISE, np.float32))
        scalar = tf.TensorSpec([])
        grids = [tf.TensorSpec([None, None])] * LEVELS
        patches = [tf.TensorSpec([patch_cells(level)] * 2) for level in range(LEVELS)]
        weights = {name: tf.TensorSpec(shape) for name, shape in shapes(preset, channels).items()}
        pixels = tf.TensorSpec([None, channels, TILE * TILE])
        image = Image(pixels, tf.TensorSpec([None, 2], tf.int32), tf.TensorSpec([2], tf.int32))
        offsets = tf.TensorSpec([None], tf.int32)
        step = Step(scalar, scalar, tf.TensorSpec([LEVELS]), tf.TensorSpec([4]), scalar, offsets)
        self.results = patches, weights, scalar, scalar
        # Partials, not methods: TensorFlow counts how often a function is traced by its code, which all trainers share,
        # and warns when that is often.
        compiled = partial(tf.function, autograph=False)
        self._tile_gradients = compiled(partial(Trainer._gradients_of_tile, self), jit_compile=True)
        self._tile_quality = compiled(partial(Trainer._quality_of_tile, self), jit_compile=True)
        told = [Latents(grids, grids, grids), image, weights, step]
        self._train = compiled(partial(Trainer._trained, self), input_signature=told)
        self._tune = compiled(partial(Trainer._tuned, self), input_signature=[grids, image, weights, scalar])
        self._judge = compiled(partial(Trainer._judged, self), input_signature=[grids, image, weights])

    def image(self, values: NDArray[np.float32]) -> Image:
        """Take up an image's network values, shape (height, width, channels)."""
        height, width, channels = values.shape
        rows, columns = -(-height // TILE), -(-width // TILE)
        filled = np.pad(values, ((0, rows * TILE - height), (0, columns * TILE - width), (0, 0)), "edge")
        tiles = filled.reshape(rows, TILE, columns, TILE, channels).transpose(0, 2, 4, 1, 3)
        places = np.stack(np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij"), -1).reshape(-1, 2) * TILE
        return Image(
            tf.constant(tiles.reshape(-1, channels, TILE * TILE)),
            tf.constant(places, tf.int32),
            tf.constant([height, width], tf.int32),
        )

    def latents(self, values: Sequence[NDArray[np.float32]]) -> Latents:
        """Latents without memory."""
        zeros = [tf.zeros(grid.shape) for grid in values]
        return Latents([tf.constant(grid) for grid in values], zeros, zeros)

    def advance(self, latents: Latents, image: Image, weights: Tensors, step: Step) -> tuple[Latents, Outcome]:
        """Move the latents by one step, and say how the networks should move."""
        moved, found = self._train(latents, image, self._constants(weights), step)
        return moved, self._outcome(found)

    def gradients(self, grids: Grids, image: Image, weights: Tensors, lambda_per_bit: float) -> Outcome:
        """How the networks should move while the symbols stay."""
        found = self._tune(grids, image, self._constants(weights), tf.constant(lambda_per_bit, tf.float32))
        return self._outcome(found)

    def quality(self, grids: Grids, image: Image, weights: Tensors) -> tuple[float, float]:
        """Squared error of the decoded image, clipped to 0..1, and the bits of these symbols."""
        squared_error, bits = self._judge(grids, image, self._constants(weights))
        return float(squared_error), float(bits)

    def _constants(self, weights: Tensors) -> dict[str, tf.Tensor]:
        return {name: tf.constant(weights[name]) for name in self.names}

    def _outcome(self, found: tuple[dict[str, tf.Tensor], tf.Tensor, tf.Tensor]) -> Outcome:
        gradients, squared_error, bits = found
        named = {name: gradient.numpy() for name, gradient in gradients.items()}
        return Outcome(named, float(squared_error), float(bits))

    def _trained(
        self, latents: Latents, image: Image, weights: dict[str, tf.Tensor], step: Step
    ) -> tuple[Latents, tuple[dict[str, tf.Tensor], tf.Tensor, tf.Tensor]]:
        def gradients(tile: _Tile, offset: tf.Tensor) -> Any:
            noise = tf.slice(self.pool, [offset], [TILE_NOISE]) * step.deviation
            return self._tile_gradients(tile, weights, step.lambda_per_bit, step.temperature, noise)

        pulls, *found = self._over_tiles(gradients, latents.values, image, self.results, step.offsets)
        return _adam(latents, pulls, _tiles(image.size), step), _summed(*found)

    def _tuned(
        self, grids: Grids, image: Image, weights: dict[str, tf.Tensor], lambda_per_bit: tf.Tensor
    ) -> tuple[dict[str, tf.Tensor], tf.Tensor, tf.Tensor]:
        # Soft rounding leaves whole numbers alone: at no noise this is what the symbols themselves do.
        warm, silence = tf.constant(0.1), tf.zeros([TILE_NOISE])

        def gradients(tile: _Tile) -> Any:
            return self._tile_gradients(tile, weights, lambda_per_bit, warm, silence)

        _, *found = self._over_tiles(gradients, grids, image, self.results)
        return _summed(*found)

    def _judged(self, grids: Grids, image: Image, weights: dict[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        def quality(tile: _Tile) -> Any:
            return self._tile_quality(tile, weights)

        squared_errors, bits = self._over_tiles(quality, grids, image, self.results[2:])
        return tf.reduce_sum(squared_errors), tf.reduce_sum(bits)

    def _over_tiles(
        self, function: Callable[..., Any], grids: Grids, image: Image, results: Any, *others: tf.Tensor
    ) -> Any:
        """A function's results on each tile, stacked; as many tiles at once as there are cores.

        Args:
            results: shapes and types of one tile's.
            others: more of each tile for the function.
        """
        patches = [cut(grid, level, _tiles(image.size)) for level, grid in enumerate(grids)]

        def one(elements: Any) -> Any:
            values, place, patches, *more = elements
            return function(_Tile(values, place, image.size, patches), *more)

        return tf.map_fn(
            one,
            (image.values, image.places, patches, *others),
            parallel_iterations=cores(),
            fn_output_signature=results,
        )

    def _gradients_of_tile(
        self,
        tile: _Tile,
        weights: dict[str, tf.Tensor],
        lambda_per_bit: tf.Tensor,
        temperature: tf.Tensor,
        noise: tf.Tensor,
    ) -> tuple[list[tf.Tensor], dict[str, tf.Tensor], tf.Tensor, tf.Tensor]:
        """Gradients with respect to patches and weights, squared error and bits of one tile."""
        with tf.GradientTape() as tape:
            tape.watch((tile.patches, weights))
            noises = tf.split(noise, [patch_cells(level) ** 2 for level in range(LEVELS)])
            patches = [
                _soften(patch, temperature, tf.reshape(normal, patch.shape))
                for patch, normal in zip(tile.patches, noises, strict=True)
            ]
            bits = self._bits(tile, patches, weights)
            # No clamp here: it would leave bright pixels without a gradient.
            error = synthesize(self.preset, weights, patches) - tile.values
            squared_error = _inside_sum(tile, tf.square(error))
            loss = squared_error + lambda_per_bit * bits
        return *tape.gradient(loss, (tile.patches, weights)), squared_error, bits

    def _quality_of_tile(self, tile: _Tile, weights: dict[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        decoded = tf.clip_by_value(synthesize(self.preset, weights, tile.patches), 0.0, 1.0)
        return _inside_sum(tile, tf.square(decoded - tile.values)), self._bits(tile, tile.patches, weights)

    def _bits(self, tile: _Tile, patches: list[tf.Tensor], weights: dict[str, tf.Tensor]) -> tf.Tensor:
        within = [inside(tile.place, tile.size, level) for level in range(LEVELS)]
        zeros_beyond = [patch * mask for patch, mask in zip(patches, within, strict=True)]
        counted = [tf.reshape(inside(tile.place, tile.size, level, 0), [-1]) for level in range(LEVELS)]
        return rate_bits(self.preset, weights, zeros_beyond, tf.concat(counted, 0))


@lru_cache(maxsize=8)
def shared_trainer(preset: int, channels: int, device: str | None) -> Trainer:
    """The trainer of all fits on the current device: it keeps nothing of them, and compiling takes seconds."""
    return Trainer(preset, channels)


def _tiles(size: tf.Tensor) -> tf.Tensor:
    """Rows and columns of tiles that an image of this height and width fills."""
    return -(-size // TILE)


def _summed(
    gradients: dict[str, tf.Tensor], squared_errors: tf.Tensor, bits: tf.Tensor
) -> tuple[dict[str, tf.Tensor], tf.Tensor, tf.Tensor]:
    """The image's gradients, squared error and bits from its tiles'."""
    summed = {name: tf.reduce_sum(parts, 0) for name, parts in gradients.items()}
    return summed, tf.reduce_sum(squared_errors), tf.reduce_sum(bits)


def _adam(latents: Latents, pulls: list[tf.Tensor], tiles: tf.Tensor, step: Step) -> Latents:
    """Adam on the latents, from the gradients of all tiles' patches."""
    first, second, left, left_square = tf.unstack(step.decays)
    moved = []
    for level, (values, mean, square) in enumerate(zip(*latents, strict=True)):
        gradient = joined(pulls[level], level, tiles, tf.shape(values))
        mean = first * mean + (1.0 - first) * gradient
        square = second * square + (1.0 - second) * tf.square(gradient)
        update = mean / (1.0 - left) / (tf.sqrt(square / (1.0 - left_square)) + EPSILON)
        moved.append((values - step.rates[level] * update, mean, square))
    return Latents(*map(list, zip(*moved, strict=True)))


def _inside_sum(tile: _Tile, values: tf.Tensor) -> tf.Tensor:
    """Sum over the image's pixels of what a tile has for each of its own, shape (channels, TILE * TILE)."""
    return tf.reduce_sum(values * tf.reshape(inside(tile.place, tile.size, 0, 0), [1, -1]))


def _soften(values: tf.Tensor, temperature: tf.Tensor, noise: tf.Tensor) -> tf.Tensor:
    """What stands for rounded latents: soft rounding, noise, soft rounding (Cool-chic 5)."""
    return _soft_round(_soft_round(values, temperature) + noise, temperature)


def _soft_round(values: tf.Tensor, temperature: tf.Tensor) -> tf.Tensor:
    """Rounding that is smooth, the more so the higher the temperature (Agustsson and Theis 2020)."""
    below = tf.floor(values)
    bent = tf.tanh((values - below - 0.5) / temperature)
    return below + 0.5 + 0.5 * bent / tf.tanh(0.5 / temperature)
