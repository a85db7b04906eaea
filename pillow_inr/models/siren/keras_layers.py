"""The SIREN as Keras layers on TensorFlow, its initializer, and the model of an architecture.

Importing this module imports TensorFlow, so only `training` and the other Keras modules do. The layers compute the same
function as `synthesis`, which decodes without TensorFlow; a test compares the two.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from .architecture import W0, Architecture

# Cody-Waite split of pi: _PI_HIGH has so few bits that k * _PI_HIGH is exact in float32 for k < 2^13.
_PI_HIGH = 3.140625
_PI_LOW = math.pi - _PI_HIGH
# Minimax polynomials on [-pi/2, pi/2]: odd for the sine, error below 7e-8; even for the cosine, error below 1.1e-6,
# which is enough for a gradient.
_SINE_TERMS = (2.5976e-06, -1.9805e-04, 8.3329608e-03, -1.6666648e-01, 1.0)
_COSINE_TERMS = (-2.6e-07, 2.4760495e-05, -1.3887316e-03, 4.1666524e-02, -4.9999994e-01, 1.0)


def _reduce(angle: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Range reduction: angle - k pi for the nearest integer k, and the sign (-1)^k of sine and cosine."""
    turns = tf.round(angle * np.float32(1 / math.pi))
    rest = angle - turns * np.float32(_PI_HIGH) - turns * np.float32(_PI_LOW)
    odd = turns - 2.0 * tf.floor(turns * 0.5)
    return rest, 1.0 - 2.0 * odd


def _polynomial(squared: tf.Tensor, terms: tuple[float, ...]) -> tf.Tensor:
    result = tf.fill(tf.shape(squared), np.float32(terms[0]))
    for term in terms[1:]:
        result = result * squared + np.float32(term)
    return result


@tf.custom_gradient  # type: ignore[untyped-decorator]
def sine(angle: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
    """sin(angle) by range reduction and a minimax polynomial; its gradient is the cosine, computed alike.

    Under XLA on a CPU it takes a tenth of the time of `tf.sin`, whose kernel is not vectorized there
    (docs/experiments.md).

    Args:
        angle: float32, any shape, |angle| up to a few thousand radians.
    """
    return sine_value(angle), lambda upstream: sine_gradient(angle, upstream)


def sine_value(angle: tf.Tensor) -> tf.Tensor:
    """`sine` without its gradient."""
    rest, sign = _reduce(angle)
    return rest * sign * _polynomial(rest * rest, _SINE_TERMS)


def sine_gradient(angle: tf.Tensor, upstream: tf.Tensor) -> tf.Tensor:
    """upstream * cos(angle): the gradient of `sine`, from that with respect to its values."""
    # Recomputing the reduction is cheaper than the memory traffic of storing it.
    rest, sign = _reduce(angle)
    return upstream * sign * _polynomial(rest * rest, _COSINE_TERMS)


@keras.saving.register_keras_serializable(package="pillow_inr")
class SirenInitializer(keras.initializers.Initializer):  # type: ignore[misc]
    """Uniform initialization of a SIREN's kernel with n inputs.

    U(-1/n, 1/n) in the first layer, U(-sqrt(6/n) / w0, sqrt(6/n) / w0) in all others, which keeps the distribution of
    activations the same from layer to layer (Sitzmann et al. 2020, section 3.2 and supplement 1.5).
    """

    def __init__(self, first: bool = False, w0: float = W0, seed: int | None = None) -> None:
        self.first = first
        self.w0 = w0
        self.seed = seed

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Any:
        """A random kernel, shape (inputs, units)."""
        inputs = shape[0]
        limit = 1.0 / inputs if self.first else math.sqrt(6.0 / inputs) / self.w0
        return keras.random.uniform(shape, -limit, limit, dtype=dtype, seed=self.seed)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments for an equal initializer."""
        return {"first": self.first, "w0": self.w0, "seed": self.seed}


@keras.saving.register_keras_serializable(package="pillow_inr")
class CoordinateEncoding(keras.layers.Layer):  # type: ignore[misc]
    """Fourier features: positions (n, 2), x before y, -> inputs of the network (n, 2 (1 + 2 frequencies)), float32.

    For each axis the position, its sines and its cosines; just the position if `frequencies` is 0 (docs/format.md
    section 5, `encode_axis`). Angles are computed in float64: at the highest frequency of a 50-megapixel image a
    float32 position would be off by a tenth of a pixel.

    Args:
        frequencies: number of frequencies per axis.
        frequency_ratio: ratio of successive frequencies in hundredths.
    """

    def __init__(self, frequencies: int, frequency_ratio: int, **kwargs: Any) -> None:
        super().__init__(trainable=False, dtype="float64", **kwargs)
        self.input_spec = keras.InputSpec(shape=(None, 2))
        self.frequencies = frequencies
        self.frequency_ratio = frequency_ratio

    @property
    def scales(self) -> NDArray[np.float64]:
        """Angular frequencies pi (ratio / 100)^i, in radians per unit of position."""
        return np.asarray(np.pi * (self.frequency_ratio / 100.0) ** np.arange(self.frequencies), np.float64)

    def call(self, positions: tf.Tensor) -> tf.Tensor:
        """Features of positions; float64 (n, 2) -> float32 (n, 2 + 4 frequencies)."""
        scales = self.scales
        parts = []
        for axis in range(2):
            position = positions[:, axis : axis + 1]
            angles = position * scales
            parts += [position, tf.sin(angles), tf.cos(angles)]
        return tf.cast(tf.concat(parts, axis=1), tf.float32)

    def compute_output_spec(self, positions: Any) -> Any:
        """Shape and dtype of the features."""
        return keras.KerasTensor((positions.shape[0], 2 + 4 * self.frequencies), dtype="float32")

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments for an equal layer."""
        config: dict[str, Any] = super().get_config()
        config.pop("trainable", None)
        config.pop("dtype", None)
        # Models saved by earlier releases call the ratio "growth".
        return {**config, "frequencies": self.frequencies, "growth": self.frequency_ratio}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "CoordinateEncoding":
        """The layer of `get_config`."""
        arguments = dict(config)
        return cls(frequency_ratio=arguments.pop("growth"), **arguments)


@keras.saving.register_keras_serializable(package="pillow_inr")
class SineDense(keras.layers.Layer):  # type: ignore[misc]
    """A sine layer: sin(w0 (x K + b)) (Sitzmann et al. 2020, section 3).

    Args:
        units: outputs of the layer.
        first: whether the layer is the network's first, whose kernel starts from a wider range.
        w0: frequency factor.
        seed: makes the initial weights repeatable.
    """

    def __init__(self, units: int, first: bool = False, w0: float = W0, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.first = first
        self.w0 = w0
        self.seed = seed

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create kernel and bias."""
        inputs = input_shape[-1]
        assert inputs is not None
        kernel_seed, bias_seed = _spread(self.seed, 2)
        self.kernel = self.add_weight(
            shape=(inputs, self.units),
            name="kernel",
            initializer=SirenInitializer(self.first, self.w0, kernel_seed),
        )
        # U(-1/sqrt(n), 1/sqrt(n)) as in the authors' PyTorch code; the paper does not say.
        limit = 1.0 / math.sqrt(inputs)
        self.bias = self.add_weight(
            shape=(self.units,),
            name="bias",
            initializer=keras.initializers.RandomUniform(-limit, limit, seed=bias_seed),
        )
        self.built = True

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Activations of the layer, shape (n, units)."""
        return sine(self.w0 * (tf.matmul(inputs, self.kernel) + self.bias))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Shape of the activations, (n, units)."""
        return (*input_shape[:-1], self.units)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments for an equal layer."""
        return {
            **super().get_config(),
            "units": self.units,
            "first": self.first,
            "w0": self.w0,
            "seed": self.seed,
        }


def _spread(seed: int | None, count: int) -> list[int] | list[None]:
    """Independent seeds derived from one. Without one, all are None: Keras's global generator draws the weights."""
    if seed is None:
        return [None] * count
    return [int(word) for word in np.random.SeedSequence(seed).generate_state(count)]


def build_layers(architecture: Architecture, seed: int | None = None, prefix: str = "") -> list[Any]:
    """The layers of the model from positions to normalized samples, beginning with the input.

    Together they map positions (n, 2), float64, x before y, scaled as in `coordinates.Axis`, to normalized samples
    (n, channels), float32: 0 for the lowest value, 1 for the highest, not clipped.

    Args:
        seed: makes the initial weights repeatable without touching Keras's global seed.
        prefix: of the layers' names.
    """
    seeds = _spread(seed, architecture.depth + 1)
    layers: list[Any] = [
        keras.Input((2,), dtype="float64"),
        CoordinateEncoding(architecture.frequencies, architecture.frequency_ratio, name=f"{prefix}encoding"),
    ]
    for index, width in enumerate(architecture.widths):
        name = f"{prefix}sine_{index}"
        layers.append(SineDense(width, first=index == 0, seed=seeds[index], dtype="float32", name=name))
    initializer = SirenInitializer(seed=seeds[-1])
    name = f"{prefix}output"
    layers.append(keras.layers.Dense(architecture.channels, kernel_initializer=initializer, dtype="float32", name=name))
    return layers
