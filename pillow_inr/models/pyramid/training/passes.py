"""Passes over an image in tiles, as TensorFlow functions: gradients of latents and networks, error and rate.

Each tile is a call of one function that XLA compiles for one shape, and TensorFlow runs as many at once as there are
cores. What handles whole grids depends on no shape either, so that one program serves images of all sizes.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import tensorflow as tf

from ....runtime.program import Function
from ....runtime.threads import cores
from ..structure import LEVELS, PRESETS, shapes
from .graph import inside, margin_of, symbol_bits, synthesize
from .patches import cut, joined
from .soft_rounding import noisy_soft_round

# A tile's noise, one number for each cell of its patches, begins anywhere in a pool of this many: drawing anew takes
# longer than all other arithmetic on grids.
NOISE_OFFSETS = 1 << 20
EPSILON = 1e-8

Grids = list[Any]
"""Tensors within a function, arrays outside; finest first, shape (rows, columns), float32."""


class Latents(NamedTuple):
    """The grids in training and Adam's moments of their gradients."""

    values: Grids
    """In units of symbols."""
    mean: Grids
    square: Grids


class Image(NamedTuple):
    """An image cut into tiles; tensors within a function, arrays outside."""

    values: Any
    """Normalized samples to reach, shape (tiles, channels, its pixels), float32; the last tiles are filled up. Where it
    is NaN, anything will do."""
    places: Any
    """Row and column of each tile's first pixel, shape (tiles, 2), int32."""
    size: Any
    """Height and width in pixels, shape (2,), int32."""


class Step(NamedTuple):
    """Inputs of an optimizer step; float32 but for the last."""

    temperature: Any
    """Temperature of soft rounding, a scalar."""
    deviation: Any
    """Standard deviation of the noise in symbols, a scalar."""
    learning_rates: Any
    """Adam's for each grid, in symbols, shape (LEVELS,)."""
    damping: Any
    """d of `_adam`, a scalar."""
    decays: Any
    """Adam's beta1 and beta2, and each to the power of the steps made with this one: shape (4,)."""
    lambda_per_bit: Any
    """Squared error, summed over samples, that a bit is worth, a scalar."""
    offsets: Any
    """Where in the pool each tile's noise begins, shape (tiles,), int32."""


class _Tile(NamedTuple):
    """What the compiled functions are given of a tile."""

    values: tf.Tensor
    place: tf.Tensor
    size: tf.Tensor
    patches: list[tf.Tensor]


def patch_sides(preset: int, tile: int) -> list[int]:
    """Sides of a tile's patches, finest grid first, in cells."""
    return [(tile >> level) + 2 * margin_of(PRESETS[preset]) for level in range(LEVELS)]


def noise_count(preset: int, tile: int) -> int:
    """Numbers in the pool from which a tile's patches take their noise."""
    return NOISE_OFFSETS + _cells(patch_sides(preset, tile))


class Passes:
    """The functions for images of a number of channels in tiles of a size, and what they have in common.

    To be made within the graph of a `Program`, where it lives only while functions are traced.
    """

    def __init__(self, preset: int, channels: int, tile: int) -> None:
        self.preset = PRESETS[preset]
        self.channels = channels
        self.tile = tile
        self.margin = margin_of(self.preset)
        self.sides = patch_sides(preset, tile)
        self.pool = noise_count(preset, tile)
        patches = [tf.TensorSpec([side, side]) for side in self.sides]
        self.weights = {name: tf.TensorSpec(shape) for name, shape in shapes(preset, channels).items()}
        scalar = tf.TensorSpec([])
        self.results = patches, self.weights, scalar, scalar
        # Partials, not methods: TensorFlow counts how often a function is traced by its code, which all passes share,
        # and warns when that is often.
        compiled = partial(tf.function, autograph=False, jit_compile=True)
        self._tile_gradients = compiled(partial(Passes._gradients_of_tile, self))
        self._tile_errors = compiled(partial(Passes._errors_of_tile, self))
        self._tile_bits = compiled(partial(Passes._bits_of_tile, self))

    def functions(self) -> dict[str, Function]:
        """The functions of a `Program`."""
        scalar = tf.TensorSpec([])
        grids = [tf.TensorSpec([None, None])] * LEVELS
        latents = Latents(grids, grids, grids)
        pixels = tf.TensorSpec([None, self.channels, self.tile**2])
        image = Image(pixels, tf.TensorSpec([None, 2], tf.int32), tf.TensorSpec([2], tf.int32))
        offsets = tf.TensorSpec([None], tf.int32)
        step = Step(scalar, scalar, tf.TensorSpec([LEVELS]), scalar, tf.TensorSpec([4]), scalar, offsets)
        # No function has control flow of Python that depends on tensors.
        plain = tf.autograph.experimental.do_not_convert
        pool = tf.TensorSpec([self.pool])
        chosen = tf.TensorSpec([None], tf.int32)
        return {
            "advance": Function(plain(self._advance), (latents, image, self.weights, step, pool)),
            "gradients": Function(plain(self._gradients), (grids, image, self.weights, scalar)),
            "squared_errors": Function(plain(self._squared_errors), (grids, image, self.weights, chosen)),
            "bits": Function(plain(self._bits), (grids, image, self.weights, chosen)),
        }

    def _advance(
        self, latents: Latents, image: Image, weights: dict[str, tf.Tensor], step: Step, pool: tf.Tensor
    ) -> tuple[Latents, tuple[dict[str, tf.Tensor], tf.Tensor, tf.Tensor]]:
        """An optimizer step of the latents; and gradients of the weights, squared error and bits.

        Args:
            pool: standard normal noise, an argument because a constant would take memory in each copy of the graph.
        """

        def gradients(tile: _Tile, offset: tf.Tensor) -> Any:
            noise = tf.slice(pool, [offset], [_cells(self.sides)]) * step.deviation
            return self._tile_gradients(tile, weights, step.lambda_per_bit, step.temperature, noise)

        patch_gradients, *found = self._over_tiles(gradients, latents.values, image, self.results, step.offsets)
        return self._adam(latents, patch_gradients, image.size, step), _summed(*found)

    def _gradients(
        self, grids: Grids, image: Image, weights: dict[str, tf.Tensor], lambda_per_bit: tf.Tensor
    ) -> tuple[dict[str, tf.Tensor], tf.Tensor, tf.Tensor]:
        """Gradients of the weights, squared error and bits for symbols.

        Soft rounding without noise leaves integers as they are, so that the function compiled for training serves.
        """
        temperature, no_noise = tf.constant(0.1), tf.zeros([_cells(self.sides)])

        def gradients(tile: _Tile) -> Any:
            return self._tile_gradients(tile, weights, lambda_per_bit, temperature, no_noise)

        _, *found = self._over_tiles(gradients, grids, image, self.results)
        return _summed(*found)

    def _squared_errors(
        self, grids: Grids, image: Image, weights: dict[str, tf.Tensor], chosen: tf.Tensor
    ) -> tf.Tensor:
        """Squared error of each pixel of what is decoded from symbols, for the chosen tiles."""

        def errors(tile: _Tile) -> Any:
            return self._tile_errors(tile, weights)

        return self._over_tiles(errors, grids, image, tf.TensorSpec([self.tile**2]), chosen=chosen)

    def _bits(self, grids: Grids, image: Image, weights: dict[str, tf.Tensor], chosen: tf.Tensor) -> list[tf.Tensor]:
        """Bits of each symbol of the chosen tiles, grid by grid."""

        def bits(tile: _Tile) -> Any:
            return self._tile_bits(tile, weights)

        cells = [(self.tile >> level) ** 2 for level in range(LEVELS)]
        found = self._over_tiles(bits, grids, image, tf.TensorSpec([sum(cells)]), chosen=chosen)
        split: list[tf.Tensor] = tf.split(found, cells, 1)
        return split

    def _over_tiles(
        self,
        function: Callable[..., Any],
        grids: Grids,
        image: Image,
        results: Any,
        *others: tf.Tensor,
        chosen: tf.Tensor | None = None,
    ) -> Any:
        """Results of a function on each tile, stacked; it runs on as many tiles at once as there are cores.

        Args:
            results: shapes and types of its results on one tile.
            others: further arguments, each with an element for each tile.
            chosen: indices of the tiles; by default all.
        """
        patches = [
            cut(grid, self.tile >> level, self.margin, self._tiles(image.size)) for level, grid in enumerate(grids)
        ]
        elements = image.values, image.places, patches, *others
        if chosen is not None:
            elements = tf.nest.map_structure(lambda tensor: tf.gather(tensor, chosen), elements)

        def one(tile_elements: Any) -> Any:
            values, place, patches, *more = tile_elements
            return function(_Tile(values, place, image.size, patches), *more)

        return tf.map_fn(one, elements, parallel_iterations=cores(), fn_output_signature=results)

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
            noises = tf.split(noise, [side**2 for side in self.sides])
            patches = [
                noisy_soft_round(patch, temperature, tf.reshape(normal, patch.shape))
                for patch, normal in zip(tile.patches, noises, strict=True)
            ]
            bits = tf.reduce_sum(self._symbol_bits(tile, patches, weights))
            # Values are not clamped: clamped pixels would have no gradient.
            squared_error = tf.reduce_sum(self._pixel_errors(tile, synthesize(self.preset, weights, patches)))
            loss = squared_error + lambda_per_bit * bits
        return *tape.gradient(loss, (tile.patches, weights)), squared_error, bits

    def _errors_of_tile(self, tile: _Tile, weights: dict[str, tf.Tensor]) -> tf.Tensor:
        return self._pixel_errors(tile, tf.clip_by_value(synthesize(self.preset, weights, tile.patches), 0.0, 1.0))

    def _bits_of_tile(self, tile: _Tile, weights: dict[str, tf.Tensor]) -> tf.Tensor:
        return self._symbol_bits(tile, tile.patches, weights)

    def _symbol_bits(self, tile: _Tile, patches: list[tf.Tensor], weights: dict[str, tf.Tensor]) -> tf.Tensor:
        """Bits of each symbol of all grids, shape (cells,); 0 for cells that the image does not have."""
        within = [inside(self.tile, tile.place, tile.size, level, self.margin) for level in range(LEVELS)]
        zeros_beyond = [patch * mask for patch, mask in zip(patches, within, strict=True)]
        counted = [tf.reshape(inside(self.tile, tile.place, tile.size, level, 0), [-1]) for level in range(LEVELS)]
        return symbol_bits(self.preset, weights, zeros_beyond) * tf.concat(counted, 0)

    def _pixel_errors(self, tile: _Tile, decoded: tf.Tensor) -> tf.Tensor:
        """Squared error of each pixel, shape (pixels,), summed over its samples.

        Samples that the image does not have, or whose value is NaN, count 0.

        Args:
            decoded: shape (channels, pixels).
        """
        errors = tf.where(tf.math.is_nan(tile.values), 0.0, decoded - tile.values)
        counted = tf.reshape(inside(self.tile, tile.place, tile.size, 0, 0), [-1])
        return tf.reduce_sum(tf.square(errors), 0) * counted

    def _tiles(self, size: tf.Tensor) -> tf.Tensor:
        """Rows and columns of tiles that an image of this height and width fills, rounded up."""
        return -(-size // self.tile)

    def _adam(self, latents: Latents, patch_gradients: list[tf.Tensor], size: tf.Tensor, step: Step) -> Latents:
        """Adam on the latents: m <- b1 m + (1 - b1) g, v <- b2 v + (1 - b2) g^2, y <- y - r m' / (s + d S + EPSILON).

        m' = m / (1 - b1^n) and s = sqrt(v / (1 - b2^n)) at optimizer step n; d is the damping, S the mean of s over the
        grid: without damping each latent moves by about r, settled or not.
        Source: Kingma and Ba 2015, algorithm 1.

        Args:
            patch_gradients: for each grid, gradients of all tiles' patches.
            size: height and width of the image in pixels, shape (2,), int32.
        """
        first, second, left, left_square = tf.unstack(step.decays)
        moved = []
        for level, (values, mean, square) in enumerate(zip(*latents, strict=True)):
            gradient = joined(
                patch_gradients[level], self.tile >> level, self.margin, self._tiles(size), tf.shape(values)
            )
            mean = first * mean + (1.0 - first) * gradient
            square = second * square + (1.0 - second) * tf.square(gradient)
            root = tf.sqrt(square / (1.0 - left_square))
            update = mean / (1.0 - left) / (root + step.damping * tf.reduce_mean(root) + EPSILON)
            moved.append((values - step.learning_rates[level] * update, mean, square))
        return Latents(*map(list, zip(*moved, strict=True)))


def _cells(sides: list[int]) -> int:
    return sum(side**2 for side in sides)


def _summed(
    gradients: dict[str, tf.Tensor], squared_errors: tf.Tensor, bits: tf.Tensor
) -> tuple[dict[str, tf.Tensor], tf.Tensor, tf.Tensor]:
    """Sums over all tiles."""
    summed = {name: tf.reduce_sum(parts, 0) for name, parts in gradients.items()}
    return summed, tf.reduce_sum(squared_errors), tf.reduce_sum(bits)
