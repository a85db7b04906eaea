"""The trainer of a pyramid: compiled functions that advance latents, and give the gradients of the networks.

An image is worked on in tiles of one shape: each is a call of the same compiled function, and TensorFlow runs as many
at once as there are cores. The latents' own arithmetic (rounding, noise, Adam) is compiled for whole grids. Knows
neither schedule nor deadline nor what a file holds.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from .pyramid import LEVELS, PRESETS, grid_sizes, shapes
from .pyramid_graph import MARGIN, TILE, cells, rate_bits, synthesize
from .soap import Tensors

# Noise is drawn once for an image and laid over it at another place in every step: drawing takes longer than the step's
# other arithmetic on whole grids.
NOISE_SHIFTS = 64
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
    """Network values to reach, shape (rows of tiles, columns, channels, TILE * TILE), float32."""
    inside: tf.Tensor
    """1 for pixels of the image, 0 for those that fill its last tiles, shape (rows, columns, 1, TILE * TILE)."""
    counted: tf.Tensor
    """The same of the grids' cells, as `rate_bits` takes it."""
    noise: tf.Tensor
    """Normal, larger than the image by NOISE_SHIFTS each way."""


class Step(NamedTuple):
    """What a step is told; scalars and one array, all float32 tensors."""

    temperature: tf.Tensor
    """Of soft rounding."""
    deviation: tf.Tensor
    """Of the noise, in symbols."""
    rates: tf.Tensor
    """Learning rate of each grid, in symbols, shape (LEVELS,)."""
    decays: tf.Tensor
    """Adam's two, and what is left of the initial zeros: shape (4,)."""
    bit_weight: tf.Tensor
    """Squared error, summed over samples, that a bit is worth."""


class Outcome(NamedTuple):
    """What a pass over the image found."""

    gradients: Tensors
    """Of the networks' weights."""
    squared_error: float
    """Summed over samples."""
    bits: float


class _TileFunctions:
    """What is compiled for one tile: for images of all sizes the same, and most of what compiling takes."""

    def __init__(self, preset: int, channels: int) -> None:
        self.preset = PRESETS[preset]
        self.names = list(shapes(preset, channels))
        self.gradients = tf.function(partial(_TileFunctions._gradients, self), jit_compile=True)
        self.quality = tf.function(partial(_TileFunctions._quality, self), jit_compile=True)

    def _gradients(
        self,
        patches: list[tf.Tensor],
        values: tf.Tensor,
        inside: tf.Tensor,
        counted: tf.Tensor,
        weights: dict[str, tf.Tensor],
        bit_weight: tf.Tensor,
    ) -> tuple[list[tf.Tensor], tf.Tensor, tf.Tensor]:
        """Gradients with respect to patches and weights, squared error and bits of one tile."""
        sources = [*patches, *(weights[name] for name in self.names)]
        with tf.GradientTape() as tape:
            tape.watch(sources)
            named = dict(zip(self.names, sources[2 * LEVELS :], strict=True))
            bits = rate_bits(self.preset, named, sources[LEVELS : 2 * LEVELS], counted)
            # No clamp here: it would leave bright pixels without a gradient.
            error = synthesize(self.preset, named, sources[:LEVELS]) - values
            squared_error = tf.reduce_sum(tf.square(error) * inside)
            loss = squared_error + bit_weight * bits
        return tape.gradient(loss, sources), squared_error, bits

    def _quality(
        self,
        patches: list[tf.Tensor],
        values: tf.Tensor,
        inside: tf.Tensor,
        counted: tf.Tensor,
        weights: dict[str, tf.Tensor],
    ) -> tuple[tf.Tensor, tf.Tensor]:
        decoded = tf.clip_by_value(synthesize(self.preset, weights, patches[:LEVELS]), 0.0, 1.0)
        squared_error = tf.reduce_sum(tf.square(decoded - values) * inside)
        return squared_error, rate_bits(self.preset, weights, patches[LEVELS:], counted)


@lru_cache(maxsize=8)
def _tile_functions(preset: int, channels: int) -> _TileFunctions:
    return _TileFunctions(preset, channels)


class Trainer:
    """Compiled functions for images of one size and number of channels."""

    def __init__(self, preset: int, size: tuple[int, int], channels: int) -> None:
        self.preset = preset
        self.size = size
        self.channels = channels
        self.names = list(shapes(preset, channels))
        width, height = size
        self.rows, self.columns = -(-height // TILE), -(-width // TILE)
        self.sizes = grid_sizes(size)
        # Partials, not methods: TensorFlow counts how often a function is traced by its code, which all trainers share,
        # and warns when that is often.
        self.tile = _tile_functions(preset, channels)
        self.soften = tf.function(partial(Trainer._soften, self), jit_compile=True)
        self.cut = tf.function(partial(Trainer._cut, self), jit_compile=True)
        self.update = tf.function(partial(Trainer._update, self), jit_compile=True)
        self.train = tf.function(partial(Trainer._train, self))
        self.tune = tf.function(partial(Trainer._tune, self))
        self.judge = tf.function(partial(Trainer._judge, self))

    def image(self, values: NDArray[np.float32], seed: int) -> Image:
        """Take up an image's network values, shape (height, width, channels)."""
        width, height = self.size
        whole = (self.rows * TILE, self.columns * TILE)
        fill = ((0, whole[0] - height), (0, whole[1] - width))
        noise = np.random.default_rng(seed).standard_normal((height + NOISE_SHIFTS, width + NOISE_SHIFTS), np.float32)
        counted = [
            self._in_tiles(np.pad(np.ones(shape, np.float32), _to(self._whole(level), shape)), level)
            for level, shape in enumerate(self.sizes)
        ]
        inside = self._in_tiles(np.pad(np.ones((height, width), np.float32), fill), 0)
        tiles = [self._in_tiles(np.pad(values[..., channel], fill, "edge"), 0) for channel in range(self.channels)]
        return Image(
            values=tf.constant(np.stack(tiles, 2)),
            inside=tf.constant(inside[:, :, None]),
            counted=tf.constant(np.concatenate(counted, 2)),
            noise=tf.constant(noise),
        )

    def _whole(self, level: int) -> tuple[int, int]:
        """Rows and columns of a grid that fills all tiles."""
        return self.rows * cells(level), self.columns * cells(level)

    def _in_tiles(self, grid: NDArray[np.float32], level: int) -> NDArray[np.float32]:
        side = cells(level)
        return grid.reshape(self.rows, side, self.columns, side).swapaxes(1, 2).reshape(self.rows, self.columns, -1)

    def latents(self, values: Sequence[NDArray[np.float32]] | None = None) -> Latents:
        """Latents without memory: the given ones, or zeros."""
        zeros = [tf.zeros(shape) for shape in self.sizes]
        return Latents(zeros if values is None else [tf.constant(grid) for grid in values], zeros, zeros)

    def advance(
        self, latents: Latents, image: Image, weights: Tensors, step: Step, shifts: NDArray[np.int32]
    ) -> tuple[Latents, Outcome]:
        """Move the latents by one step, and say how the networks should move.

        Args:
            shifts: where in the noise each grid takes its own, shape (LEVELS, 2), 0..NOISE_SHIFTS.
        """
        moved, found = self.train(latents, image, self._constants(weights), step, tf.constant(shifts))
        return Latents(*moved), self._outcome(found)

    def gradients(self, grids: Grids, image: Image, weights: Tensors, bit_weight: float) -> Outcome:
        """How the networks should move while the symbols stay."""
        found = self.tune(grids, image, self._constants(weights), tf.constant(bit_weight, tf.float32))
        return self._outcome(found)

    def quality(self, grids: Grids, image: Image, weights: Tensors) -> tuple[float, float]:
        """Squared error of the decoded image, clipped to 0..1, and the bits of these symbols."""
        squared_error, bits = self.judge(grids, image, self._constants(weights))
        return float(squared_error), float(bits)

    def _constants(self, weights: Tensors) -> dict[str, tf.Tensor]:
        return {name: tf.constant(weights[name]) for name in self.names}

    def _outcome(self, found: tuple[list[tf.Tensor], tf.Tensor, tf.Tensor]) -> Outcome:
        gradients, squared_error, bits = found
        named = {name: gradient.numpy() for name, gradient in zip(self.names, gradients, strict=True)}
        return Outcome(named, float(squared_error), float(bits))

    def _train(
        self, latents: Latents, image: Image, weights: dict[str, tf.Tensor], step: Step, shifts: tf.Tensor
    ) -> tuple[Latents, tuple[list[tf.Tensor], tf.Tensor, tf.Tensor]]:
        noise = [tf.slice(image.noise, shifts[level], shape) for level, shape in enumerate(self.sizes)]
        slopes, patches = self.soften(latents.values, noise, step.temperature, step.deviation)
        found = self._over_tiles(patches, image, lambda *tile: self.tile.gradients(*tile, weights, step.bit_weight))
        pulls = [tf.stack(tiles) for tiles in zip(*(gradients[: 2 * LEVELS] for gradients, _, _ in found), strict=True)]
        return self.update(latents, slopes, pulls, step), self._summed(found)

    def _tune(
        self, grids: Grids, image: Image, weights: dict[str, tf.Tensor], bit_weight: tf.Tensor
    ) -> tuple[list[tf.Tensor], tf.Tensor, tf.Tensor]:
        return self._summed(
            self._over_tiles(self.cut(grids), image, lambda *tile: self.tile.gradients(*tile, weights, bit_weight))
        )

    def _judge(self, grids: Grids, image: Image, weights: dict[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        found = self._over_tiles(self.cut(grids), image, lambda *tile: self.tile.quality(*tile, weights))
        return tf.add_n([error for error, _ in found]), tf.add_n([bits for _, bits in found])

    def _over_tiles(self, patches: list[tf.Tensor], image: Image, function: Callable[..., Any]) -> list[Any]:
        """A function's results on each tile: of its patches, its pixels' values, and the two masks."""
        return [
            function(
                [patch[row, column] for patch in patches],
                image.values[row, column],
                image.inside[row, column],
                image.counted[row, column],
            )
            for row in range(self.rows)
            for column in range(self.columns)
        ]

    def _summed(self, found: list[Any]) -> tuple[list[tf.Tensor], tf.Tensor, tf.Tensor]:
        gradients = zip(*(gradients[2 * LEVELS :] for gradients, _, _ in found), strict=True)
        return (
            [tf.add_n(list(parts)) for parts in gradients],
            tf.add_n([error for _, error, _ in found]),
            tf.add_n([bits for _, _, bits in found]),
        )

    def _soften(
        self, latents: Grids, noise: Grids, temperature: tf.Tensor, deviation: tf.Tensor
    ) -> tuple[Grids, list[tf.Tensor]]:
        """What stands for the rounded latents, and its slope: soft rounding, noise, soft rounding (Cool-chic 5)."""
        grids, slopes = [], []
        for values, normal in zip(latents, noise, strict=True):
            once, first = _soft_round(values, temperature)
            twice, second = _soft_round(once + normal * deviation, temperature)
            grids.append(twice)
            slopes.append(first * second)
        return slopes, self._cut(grids)

    def _cut(self, grids: Grids) -> list[tf.Tensor]:
        """The tiles' patches of each grid, shape (rows, columns, side, side): continued ones, then those with zeros."""
        continued = [self._continue(grid, level) for level, grid in enumerate(grids)]
        zeros = [tf.pad(grid, self._beyond(level)) for level, grid in enumerate(grids)]
        return [self._patches(grid, level) for grids in (continued, zeros) for level, grid in enumerate(grids)]

    def _beyond(self, level: int) -> list[list[int]]:
        """Cells before and behind a grid along each axis, up to the margin around all tiles."""
        return [
            [MARGIN, MARGIN + whole - length]
            for whole, length in zip(self._whole(level), self.sizes[level], strict=True)
        ]

    def _continue(self, grid: tf.Tensor, level: int) -> tf.Tensor:
        for axis, (before, behind) in enumerate(self._beyond(level)):
            first, last = (grid[:1], grid[-1:]) if axis == 0 else (grid[:, :1], grid[:, -1:])
            grid = tf.concat([first] * before + [grid] + [last] * behind, axis)
        return grid

    def _patches(self, grid: tf.Tensor, level: int) -> tf.Tensor:
        side = cells(level)
        whole = side + 2 * MARGIN
        rows = tf.stack([grid[row * side : row * side + whole] for row in range(self.rows)])
        return tf.stack([rows[:, :, column * side : column * side + whole] for column in range(self.columns)], 1)

    def _update(self, latents: Latents, slopes: Grids, pulls: list[tf.Tensor], step: Step) -> Latents:
        """Adam on the latents, from the gradients of all tiles' patches."""
        values, means, squares = [], [], []
        first, second, left, left_square = tf.unstack(step.decays)
        for level in range(LEVELS):
            continued = self._joined(pulls[level], level)
            for axis in (0, 1):
                continued = self._folded(continued, level, axis)
            zeros = self._joined(pulls[LEVELS + level], level)
            (top, _), (before, _) = self._beyond(level)
            rows, columns = self.sizes[level]
            gradient = (continued + zeros[top : top + rows, before : before + columns]) * slopes[level]
            mean = first * latents.mean[level] + (1.0 - first) * gradient
            square = second * latents.square[level] + (1.0 - second) * tf.square(gradient)
            update = mean / (1.0 - left) / (tf.sqrt(square / (1.0 - left_square)) + EPSILON)
            values.append(latents.values[level] - step.rates[level] * update)
            means.append(mean)
            squares.append(square)
        return Latents(values, means, squares)

    def _joined(self, tiles: tf.Tensor, level: int) -> tf.Tensor:
        """Undo `_patches` for gradients: where patches overlap, they add up."""
        side = cells(level)
        tiles = tf.reshape(tiles, [self.rows, self.columns, side + 2 * MARGIN, side + 2 * MARGIN])
        rows = tf.add_n(
            [
                tf.pad(tiles[:, column], [[0, 0], [0, 0], [column * side, (self.columns - 1 - column) * side]])
                for column in range(self.columns)
            ]
        )
        return tf.add_n(
            [tf.pad(rows[row], [[row * side, (self.rows - 1 - row) * side], [0, 0]]) for row in range(self.rows)]
        )

    def _folded(self, gradient: tf.Tensor, level: int, axis: int) -> tf.Tensor:
        """Undo `_continue` along an axis for gradients: the edge takes what its continuation got."""
        before, length = self._beyond(level)[axis][0], self.sizes[level][axis]
        parts = tf.split(gradient, [before, length, gradient.shape[axis] - before - length], axis)
        first, last = (tf.reduce_sum(part, axis, keepdims=True) for part in (parts[0], parts[2]))
        behind = [[0, 0], [0, 0]]
        behind[axis] = [0, length - 1]
        ahead = [[0, 0], [0, 0]]
        ahead[axis] = [length - 1, 0]
        return parts[1] + tf.pad(first, behind) + tf.pad(last, ahead)


def _soft_round(values: tf.Tensor, temperature: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Rounding that is smooth, the more so the higher the temperature, and its slope (Agustsson and Theis 2020)."""
    below = tf.floor(values)
    bent = tf.tanh((values - below - 0.5) / temperature)
    half = 0.5 / tf.tanh(0.5 / temperature)
    return below + 0.5 + half * bent, half * (1.0 - bent * bent) / temperature


def _to(whole: tuple[int, int], shape: tuple[int, int]) -> list[tuple[int, int]]:
    return [(0, more - length) for more, length in zip(whole, shape, strict=True)]
