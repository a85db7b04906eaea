"""A mosaic of SIRENs as one Keras layer: a network for each part of the image, blended where parts meet.

Importing this module imports TensorFlow, so only `keras_model` does. It computes the same function as `synthesis`, for
single positions instead of a grid; a test compares the two.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from .architecture import W0, Architecture
from .division import Part, Region
from .keras_jets import propagate
from .keras_layers import build_layers, sine


@keras.saving.register_keras_serializable(package="pillow_inr")
class Mosaic(keras.layers.Layer):  # type: ignore[misc]
    """Positions (n, 2), float64, x before y, -> normalized samples (n, channels), float32, not clipped.

    The sum of the parts' networks, each times its weight and at its own positions. Positions are those of the image
    (docs/format.md section 5). Beyond the image's edges its outermost parts go on with the same weights.

    Args:
        parts: which together cover the image, as `division.divided` returns them.
        image_size: width and height of the image in pixels.
        architecture: that of every network.
    Source: docs/format.md section 11.
    """

    def __init__(
        self, parts: Sequence[Part], image_size: tuple[int, int], architecture: Architecture, **kwargs: Any
    ) -> None:
        super().__init__(dtype="float64", **kwargs)
        self.input_spec = keras.InputSpec(shape=(None, 2))
        # How many positions a part has is known only at run time, and XLA compiles for fixed shapes.
        self.supports_jit = False
        self.architecture = architecture
        self.image_size = tuple(image_size)
        self._places = _Places(parts, image_size)
        # In one list, for Keras does not look for layers in lists of lists in all of its releases.
        self._network_layers = [
            layer for index in range(len(parts)) for layer in build_layers(architecture, prefix=f"part_{index}_")[1:]
        ]

    @property
    def parts(self) -> list[Part]:
        """The parts of the image."""
        return self._places.parts

    @property
    def networks(self) -> list[list[Any]]:
        """The layers of each part's network: they map its own positions to normalized samples."""
        count = self.architecture.depth + 2
        return [self._network_layers[at : at + count] for at in range(0, len(self._network_layers), count)]

    @property
    def widest(self) -> int:
        """The most features of any layer inside."""
        return max(columns for shape in self.architecture.shapes for columns in shape)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create the weights of all networks."""
        inputs = [2, *(kernel[0] for kernel in self.architecture.shapes[::2])]
        for network in self.networks:
            for layer, features in zip(network, inputs, strict=True):
                layer.build((input_shape[0], features))
        self.built = True

    def call(self, positions: tf.Tensor) -> tf.Tensor:
        """Normalized samples, shape (n, channels), float32."""
        # A loop over tensors: with a copy of the operations for each of 256 networks TensorFlow takes minutes to begin.
        weights = [[weight.value for layer in network for weight in layer.weights] for network in self.networks]
        tensors = [tf.stack(of_parts) for of_parts in zip(*weights, strict=True)]
        encoding = self._network_layers[0]

        def add(index: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            found = self._places.find(index, positions)

            def added() -> tf.Tensor:
                near = tf.gather(positions, found)
                values = encoding(self._places.own(index, near))
                own = [tensor[index] for tensor in tensors]
                for kernel, bias in zip(own[:-2:2], own[1:-2:2], strict=True):
                    values = sine(W0 * (tf.matmul(values, kernel) + bias))
                values = tf.matmul(values, own[-2]) + own[-1]
                weight = self._places.weight(index, near)[0]
                return tf.tensor_scatter_nd_add(total, found[:, None], values * tf.cast(weight, tf.float32))

            return index + 1, tf.cond(tf.size(found) > 0, added, lambda: total)

        total = tf.zeros((tf.shape(positions)[0], self.architecture.channels), tf.float32)
        return tf.while_loop(lambda index, _: index < len(weights), add, (tf.constant(0), total))[1]

    def compute_output_spec(self, positions: Any) -> Any:
        """Shape and dtype of the samples."""
        return keras.KerasTensor((positions.shape[0], self.architecture.channels), dtype="float32")

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments for an equal layer, as lists of numbers."""
        config: dict[str, Any] = super().get_config()
        config.pop("dtype", None)
        return {
            **config,
            "parts": [[list(region) for region in part] for part in self.parts],
            "image_size": list(self.image_size),
            "architecture": asdict(self.architecture),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Mosaic":
        """The layer of `get_config`."""
        arguments = dict(config)
        parts = [Part(Region(*core), Region(*support)) for core, support in arguments.pop("parts")]
        columns, rows = arguments.pop("image_size")
        return cls(parts, (columns, rows), Architecture(**arguments.pop("architecture")), **arguments)


@propagate.register
def _(layer: Mosaic, positions: tf.Tensor) -> tf.Tensor:
    # At a hard edge, without an overlap, derivatives are those of the part that the position belongs to.
    total = tf.zeros((len(positions), 4, layer.architecture.channels), tf.float64)
    places = layer._places
    for index, network in enumerate(layer.networks):
        found = places.find(index, positions)
        if not len(found):
            continue
        near = tf.gather(positions, found)
        jet = places.own(index, near)
        for part_layer in network:
            jet = propagate(part_layer, jet)
        # The network's derivatives are by its own positions, which change `scale` times as fast as the image's.
        scale = places.scale[index]
        jet = _product(places.weight(index, near), jet * np.stack([np.ones(1), scale, scale, scale**2])[:, None])
        total = tf.tensor_scatter_nd_add(total, found[:, None], tf.transpose(jet, (1, 0, 2)))
    return tf.transpose(total, (1, 0, 2))


def _product(weight: tf.Tensor, jet: tf.Tensor) -> tf.Tensor:
    """The jet of w f from those of w and f: laplacian(w f) = w laplacian(f) + 2 grad w . grad f + f laplacian(w)."""
    w, w_x, w_y, w_laplacian = tf.unstack(weight)
    f, f_x, f_y, f_laplacian = tf.unstack(jet)
    laplacian = w * f_laplacian + 2 * (w_x * f_x + w_y * f_y) + f * w_laplacian
    return tf.stack([w * f, w * f_x + f * w_x, w * f_y + f * w_y, laplacian])


class _Places:
    """Where the parts are, in units of the image's positions.

    Not in pixels, for a position converted to pixels could come to lie on the other side of an edge. Arrays are
    float64, shape (parts, 2) for x and y, or (parts, 1).
    """

    def __init__(self, parts: Sequence[Part], image_size: tuple[int, int]) -> None:
        self.parts = list(parts)
        """The parts, in pixels."""
        size = np.array(image_size, np.float64)
        longer = size.max()
        edges = np.array([(part.edges(0), part.edges(1)) for part in parts], np.float64)
        outer_low, low, high, outer_high = np.moveaxis(edges, -1, 0)
        self.scale = longer / (high - low).max(axis=1, keepdims=True)
        """How many times as fast as the image's positions a part's own change."""
        self.middle = (low + high - size) / longer
        """The origin of its own positions."""
        first, falls, last = ((2 * edge - size) / longer for edge in (outer_low, 2 * high - outer_high, outer_high))
        self.first = np.where(low == 0, -np.inf, first)
        """Lower end of its support, which belongs to it; without end at the image's edge."""
        self.last = np.where(high == size, np.inf, last)
        """Upper end, which does not."""
        # Infinitely far from here a step is over, or has not begun: then there is none.
        self.rise = _Step(np.where(low > outer_low, first, -np.inf), 4 * (low - outer_low) / longer)
        self.fall = _Step(np.where(high < outer_high, falls, np.inf), 4 * (outer_high - high) / longer)

    def find(self, index: tf.Tensor | int, positions: tf.Tensor) -> tf.Tensor:
        """Which positions a part's support holds: indices, shape (m,), int64. Those that are NaN are in every part."""
        first, last = tf.gather(self.first, index), tf.gather(self.last, index)
        return tf.where(~tf.reduce_any((positions < first) | (positions >= last), axis=1))[:, 0]

    def own(self, index: tf.Tensor | int, positions: tf.Tensor) -> tf.Tensor:
        """A part's own positions, shape (m, 2), from those of the image."""
        return (positions - tf.gather(self.middle, index)) * tf.gather(self.scale, index)

    def weight(self, index: tf.Tensor | int, positions: tf.Tensor) -> tf.Tensor:
        """The jet of a part's weight at positions within its support, shape (4, m, 1)."""
        rise, rise_1, rise_2 = self.rise.at(index, positions)
        step, step_1, step_2 = self.fall.at(index, positions)
        fall = 1 - step
        along_axes = rise * fall, rise_1 * fall - rise * step_1, rise_2 * fall - 2 * rise_1 * step_1 - rise * step_2
        (x, y), (x_1, y_1), (x_2, y_2) = (tf.split(values, 2, axis=1) for values in along_axes)
        return tf.stack([x * y, x_1 * y, x * y_1, x_2 * y + x * y_2])


class _Step:
    """Smooth steps S((u - start) / length) for each part along each axis."""

    def __init__(self, start: NDArray[np.float64], length: NDArray[np.float64]) -> None:
        self.start = start
        self.length = np.where(np.isfinite(start), length, 1.0)

    def at(self, index: tf.Tensor | int, u: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """A part's steps and their first and second derivatives, shape (m, 2) each."""
        start, length = tf.gather(self.start, index), tf.gather(self.length, index)
        t = tf.clip_by_value((u - start) / length, 0.0, 1.0)
        value = t**3 * (10 - 15 * t + 6 * t**2)
        first = 30 * t**2 * (1 - t) ** 2
        second = 60 * t * (1 - t) * (1 - 2 * t)
        return value, first / length, second / length**2
