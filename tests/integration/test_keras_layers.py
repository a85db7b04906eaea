"""The Keras model computes what the NumPy decoder computes."""

import math

import numpy as np
import pytest

keras = pytest.importorskip("keras")

import tensorflow as tf  # noqa: E402

from pillow_inr.imaging.coordinates import Axis  # noqa: E402
from pillow_inr.imaging.samples import Scale  # noqa: E402
from pillow_inr.models.siren import keras_layers  # noqa: E402
from pillow_inr.models.siren import synthesis as siren_synthesis  # noqa: E402
from pillow_inr.models.siren.architecture import Architecture  # noqa: E402
from tests.support.networks import whole  # noqa: E402

pytestmark = pytest.mark.keras


def _model(architecture: Architecture, seed: int | None = None) -> keras.Model:
    return keras.Sequential(keras_layers.build_layers(architecture, seed))


def _positions(width: int, height: int) -> np.ndarray:
    axes = [Axis.of_pixels(length, max(width, height)).positions() for length in (width, height)]
    x, y = np.meshgrid(*axes)
    return np.stack([x.ravel(), y.ravel()], axis=1)


@pytest.mark.parametrize(
    "architecture",
    [
        Architecture(width=48, depth=4, channels=3, frequencies=16, frequency_ratio=140),
        Architecture(width=64, depth=5, channels=4, frequencies=16, frequency_ratio=175),
        Architecture(width=28, depth=10, channels=3, frequencies=0, frequency_ratio=100),
        Architecture(width=5, depth=1, channels=1, frequencies=3, frequency_ratio=355),
    ],
    ids=lambda a: f"{a.width}x{a.depth}-{a.frequencies}",
)
@pytest.mark.parametrize("size", [(61, 40), (3, 200)])
def test_synthesis_agrees_with_keras_before_rounding(architecture: Architecture, size: tuple[int, int]) -> None:
    model = _model(architecture, seed=3)
    weights = [np.asarray(weight).copy() for weight in model.trainable_variables]
    assert tuple(weight.shape for weight in weights) == architecture.shapes
    # Weights with which no value is clipped to 0 or 1.
    weights[-2] /= 4 * np.abs(weights[-2]).sum(axis=0)
    weights[-1][:] = 0.5
    model.set_weights(weights)
    grid = siren_synthesis.Grid(*(Axis.of_pixels(length, max(size)) for length in size))
    ours = siren_synthesis.synthesize(
        architecture, whole(weights, size), grid, Scale("float32", architecture.channels, ((0.0, 1.0),))
    )
    theirs = np.asarray(model(_positions(*size))).reshape(ours.shape)
    assert 0.2 < theirs.min() < theirs.max() < 0.8
    assert np.abs(ours - theirs).max() <= 1e-4


def test_sine_and_its_gradient() -> None:
    angle = tf.constant(np.linspace(-200, 200, 100001), tf.float32)
    exact = np.asarray(angle, np.float64)
    with tf.GradientTape() as tape:
        tape.watch(angle)
        value = keras_layers.sine(angle)
    assert np.abs(np.asarray(value) - np.sin(exact)).max() < 2e-6
    assert np.abs(np.asarray(tape.gradient(value, angle)) - np.cos(exact)).max() < 2e-6


def test_initializer_is_that_of_the_paper() -> None:
    first = np.asarray(keras_layers.SirenInitializer(first=True, seed=1)((66, 500)))
    hidden = np.asarray(keras_layers.SirenInitializer(seed=1)((64, 500)))
    for values, limit in ((first, 1 / 66), (hidden, math.sqrt(6 / 64) / 30)):
        assert np.abs(values).max() <= limit
        assert values.std() == pytest.approx(limit / math.sqrt(3), rel=0.02)


def test_model_survives_serialization(tmp_path) -> None:  # type: ignore[no-untyped-def]
    model = _model(Architecture(width=6, depth=2, channels=3, frequencies=4, frequency_ratio=140), seed=1)
    path = tmp_path / "siren.keras"
    model.save(path)
    again = keras.models.load_model(path)
    positions = _positions(9, 5)
    np.testing.assert_array_equal(np.asarray(model(positions)), np.asarray(again(positions)))
    layer = keras_layers.SineDense(7, first=True, w0=20.0, seed=5, name="layer")
    assert keras_layers.SineDense.from_config(layer.get_config()).get_config() == layer.get_config()
    initializer = keras_layers.SirenInitializer(first=True, w0=20.0, seed=5)
    assert keras_layers.SirenInitializer.from_config(initializer.get_config()).get_config() == initializer.get_config()


def test_seed_fixes_the_weights_and_no_seed_does_not() -> None:
    architecture = Architecture(width=6, depth=2, channels=3, frequencies=4, frequency_ratio=140)

    def first_kernel(seed: int | None) -> np.ndarray:
        return np.asarray(_model(architecture, seed).trainable_variables[0])

    assert (first_kernel(1) == first_kernel(1)).all()
    assert (first_kernel(1) != first_kernel(2)).any()
    assert (first_kernel(None) != first_kernel(None)).any()
