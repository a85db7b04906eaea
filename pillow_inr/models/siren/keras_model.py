"""A stored SIREN as a Keras model: colours at any position, and their exact derivatives. Knows no file.

Importing this module imports TensorFlow, so `api.to_keras` does so only when it is called.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray

from ...imaging.coordinates import Axis
from ...runtime.tensorflow import check_backend
from .architecture import Architecture
from .keras_jets import propagate, shifted
from .keras_layers import build_layers
from .keras_mosaic import Mosaic
from .synthesis import Network

# Batch size of `predict`, in positions. With Keras's default of 32 a photograph would take a minute.
PREDICT_BATCH = 1 << 14
# Float64 numbers in one layer's jet of a block of positions, 16 MB; about five such arrays exist at a time.
BLOCK_NUMBERS = 1 << 21


@keras.saving.register_keras_serializable(package="pillow_inr")
class ImageModel(keras.Sequential):  # type: ignore[misc]
    """A `keras.Sequential` from positions to colours that also computes exact derivatives of the colours.

    `model(positions)` maps positions (n, 2), float64, to colours (n, channels), float32. A position is (x, y) with x to
    the right and y down; the image's longer side spans -1..1 from edge to edge, and (0, 0) is the middle of the image
    (docs/format.md section 5). Colours are not clipped: 0..1 for 8-bit images, otherwise in the units of the data.

    The weights may be trained further; derivatives always use the current weights. Before loading a saved model in
    another process, import this module there.
    """

    def __init__(
        self, layers: Sequence[Any] | None = None, image_size: tuple[int, int] = (1, 1), **kwargs: Any
    ) -> None:
        super().__init__(layers, **kwargs)
        self.image_size = image_size
        """Width and height of the stored image in pixels."""

    @property
    def pixel_size(self) -> float:
        """Distance between neighbouring pixels of the stored image, in units of position."""
        return 2.0 / max(self.image_size)

    def positions(self, size: tuple[int, int] | None = None) -> NDArray[np.float64]:
        """Positions of pixel centres, row by row.

        Args:
            size: width and height of a grid over the area of the image, at least 1 each; by default the image's size.
        Returns:
            float64, shape (height * width, 2), x before y.
        Raises:
            ValueError: a side is below 1.
        """
        columns, rows = self.image_size if size is None else size
        if columns < 1 or rows < 1:
            raise ValueError(f"size must be at least (1, 1), got {size}")
        longer = max(self.image_size)
        x, y = (
            Axis(length, longer, 0.0, length, count).positions()
            for count, length in zip((columns, rows), self.image_size, strict=True)
        )
        return np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)

    def predict(self, x: Any, batch_size: int | None = None, **kwargs: Any) -> Any:
        """`keras.Model.predict` with larger batches for arrays. Note that Keras rounds float64 arrays to float32."""
        if batch_size is None and hasattr(x, "shape"):
            batch_size = PREDICT_BATCH
        return super().predict(x, batch_size=batch_size, **kwargs)

    def gradient(self, positions: ArrayLike) -> NDArray[np.float64]:
        """Exact derivatives of every channel by x and by y.

        Args:
            positions: shape (n, 2), as `positions()` returns them.
        Returns:
            float64, shape (n, channels, 2), per unit of position. Multiply by `pixel_size` for derivatives per pixel.
        Raises:
            ValueError: `positions` has another shape.
        Source: Sitzmann et al. 2020, section 3: the derivative of a SIREN is a SIREN.
        """
        return np.concatenate([jet[1:3].transpose(1, 2, 0) for jet in self._jets(positions)])

    def laplacian(self, positions: ArrayLike) -> NDArray[np.float64]:
        """The exact Laplacian of every channel, the sum of its second derivatives by x and by y.

        Args:
            positions: shape (n, 2), as `positions()` returns them.
        Returns:
            float64, shape (n, channels), per square unit of position. Multiply by `pixel_size`^2 for values per pixel.
        Raises:
            ValueError: `positions` has another shape.
        """
        return np.concatenate([jet[3] for jet in self._jets(positions)])

    def _jets(self, positions: ArrayLike) -> Iterator[NDArray[np.float64]]:
        """Values, derivatives by x and by y, and Laplacian, shape (4, n, channels), block by block."""
        points = np.asarray(positions, np.float64)
        if points.ndim != 2 or points.shape[1] != 2:
            raise ValueError(f"positions must have the shape (n, 2), got {points.shape}")
        widest = max(layer.widest if isinstance(layer, Mosaic) else layer.output.shape[-1] for layer in self.layers)
        block = max(1, BLOCK_NUMBERS // (4 * widest))
        for start in range(0, max(len(points), 1), block):
            jet = tf.constant(points[start : start + block])
            for layer in self.layers:
                jet = propagate(layer, jet)
            yield jet.numpy()

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments for an equal model, weights apart."""
        return {**super().get_config(), "image_size": self.image_size}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> "ImageModel":
        """The model of `get_config`."""
        model: ImageModel = super().from_config(config, custom_objects)
        columns, rows = config["image_size"]
        model.image_size = columns, rows
        return model


@keras.saving.register_keras_serializable(package="pillow_inr")
class DataRange(keras.layers.Layer):  # type: ignore[misc]
    """Normalized samples, 0..1, to the units of the data: low + value * (high - low), channel by channel.

    Args:
        low: the value that 0 stands for, one per channel.
        high: the value that 1 stands for, one per channel.
    """

    def __init__(self, low: Sequence[float], high: Sequence[float], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.low = [float(value) for value in low]
        self.high = [float(value) for value in high]

    @property
    def span(self) -> NDArray[np.float64]:
        """high - low of each channel."""
        return np.subtract(self.high, self.low)

    def call(self, values: tf.Tensor) -> tf.Tensor:
        """Values in the units of the data, same shape."""
        return tf.constant(self.low, values.dtype) + values * tf.constant(self.span, values.dtype)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Shape of the values."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments for an equal layer."""
        return {**super().get_config(), "low": self.low, "high": self.high}


def image_model(
    architecture: Architecture,
    networks: Sequence[Network],
    size: tuple[int, int],
    low: Sequence[float] | None = None,
    high: Sequence[float] | None = None,
) -> ImageModel:
    """The Keras model of a stored network: its layers one after another; of several networks: a `Mosaic` of them.

    Args:
        networks: of all parts of the image.
        size: image width and height in pixels.
        low: the value that the normalized sample 0 stands for, one per channel; by default 0.
        high: the value that the normalized sample 1 stands for, one per channel; by default 1.
    Raises:
        BackendError: Keras runs on another back end than TensorFlow.
    """
    check_backend()
    if len(networks) == 1:
        layers = build_layers(architecture)
    else:
        parts = [network.part for network in networks]
        layers = [keras.Input((2,), dtype="float64"), Mosaic(parts, size, architecture, name="mosaic")]
    if low is not None and high is not None:
        layers.append(DataRange(low, high, dtype="float32", name="range"))
    model = ImageModel(layers, image_size=size, name="image")
    model.set_weights([tensor for network in networks for tensor in network.weights])
    return model


@propagate.register
def _(layer: DataRange, jet: tf.Tensor) -> tf.Tensor:
    return shifted(jet * layer.span, tf.constant(layer.low, tf.float64))
