"""The Keras model of a file: its colours equal the decoder's, its derivatives those of the function."""

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

keras = pytest.importorskip("keras")

import tensorflow as tf  # noqa: E402

import pillow_inr  # noqa: E402
from pillow_inr.errors import BackendError, FormatError  # noqa: E402
from pillow_inr.imaging.samples import Scale  # noqa: E402
from pillow_inr.models.siren import keras_model  # noqa: E402
from pillow_inr.models.siren.architecture import Architecture  # noqa: E402
from tests.support.checks import VECTORS  # noqa: E402
from tests.support.networks import whole  # noqa: E402

pytestmark = pytest.mark.keras

FOURIER = Architecture(width=12, depth=3, channels=3, frequencies=5, frequency_ratio=150)
PLAIN = Architecture(width=12, depth=2, channels=2, frequencies=0, frequency_ratio=100)
BOTH = pytest.mark.parametrize("architecture", [FOURIER, PLAIN], ids=["fourier", "plain"])
SIZE = (9, 6)
RANGE = {"low": [-2.0, 0.0, 10.0], "high": [2.0, 65535.0, 11.0]}


def _weights(architecture: Architecture) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.normal(0, 0.05 / math.sqrt(shape[0]), shape).astype(np.float32) for shape in architecture.shapes]


def _model(architecture: Architecture, **limits: list[float]) -> keras_model.ImageModel:
    return keras_model.image_model(architecture, whole(_weights(architecture), SIZE), SIZE, **limits)


def _exact(architecture: Architecture, positions: tf.Tensor) -> tf.Tensor:
    """The network in float64, as specified in docs/format.md section 5."""
    scales = np.pi * (architecture.frequency_ratio / 100) ** np.arange(architecture.frequencies)
    parts = []
    for axis in range(2):
        angles = positions[:, axis : axis + 1] * scales
        parts += [positions[:, axis : axis + 1], tf.sin(angles), tf.cos(angles)]
    values = tf.concat(parts, axis=1)
    weights = [tf.constant(weight, tf.float64) for weight in _weights(architecture)]
    for kernel, bias in zip(weights[:-2:2], weights[1:-2:2], strict=True):
        values = tf.sin(30 * (values @ kernel + bias))
    return values @ weights[-2] + weights[-1]


def _random_positions(count: int = 40) -> np.ndarray:
    return np.random.default_rng(1).uniform(-1, 1, (count, 2))


@pytest.mark.parametrize("path", sorted(VECTORS.glob("*.inr")), ids=lambda path: path.stem)
def test_values_are_those_of_the_decoder(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PILLOW_INR_INITS", str(VECTORS / "inits"))
    model = pillow_inr.to_keras(path)
    expected = pillow_inr.decode(path)
    assert model.image_size == (expected.shape[1], expected.shape[0])
    positions = model.positions()
    for values in (np.asarray(model(positions)), model.predict(positions, verbose=0)):
        assert values.dtype == np.float32
        scale = Scale.of(pillow_inr.read_header(path))
        if expected.dtype == np.uint8:
            values = 255 * values
        # Decoding clips samples to their range and rounds integers.
        limited = np.clip(values, scale.low, scale.low + scale.span).reshape(expected.shape)
        rounding = 0 if expected.dtype == np.float32 else 0.5
        span = np.broadcast_to(scale.span, expected.reshape(*expected.shape[:2], -1).shape).reshape(expected.shape)
        assert (np.abs(limited - expected) <= rounding + 1e-4 * span).all()


def test_one_network_is_a_model_of_its_layers() -> None:
    layers = {layer.name: type(layer).__name__ for layer in _model(FOURIER, **RANGE).layers}
    sines = dict.fromkeys(("sine_0", "sine_1", "sine_2"), "SineDense")
    assert layers == {"encoding": "CoordinateEncoding", **sines, "output": "Dense", "range": "DataRange"}


def test_values_are_in_the_units_of_the_data() -> None:
    positions = _random_positions()
    values = np.asarray(_model(FOURIER)(positions), np.float64)
    low, high = np.array(RANGE["low"]), np.array(RANGE["high"])
    scaled = np.asarray(_model(FOURIER, **RANGE)(positions))
    assert scaled.dtype == np.float32
    np.testing.assert_allclose(scaled, low + values * (high - low), rtol=1e-5, atol=1e-5)


def test_positions_are_those_of_the_format() -> None:
    model = _model(FOURIER)
    expected = [[(2 * i + 1 - 9) / 9, (2 * j + 1 - 6) / 9] for j in range(6) for i in range(9)]
    np.testing.assert_array_equal(model.positions(), expected)
    np.testing.assert_allclose(np.diff(model.positions()[:9, 0]), model.pixel_size)
    # A finer grid covers the same area: its cells reach the edges, and their means are the pixels that they divide.
    finer = model.positions((18, 12)).reshape(6, 2, 9, 2, 2)
    np.testing.assert_allclose(finer.mean(axis=(1, 3)).reshape(-1, 2), expected, atol=1e-15)
    np.testing.assert_array_equal(model.positions((1, 1)), [[0, 0]])
    with pytest.raises(ValueError, match=r"size .* \(0, 3\)"):
        model.positions((0, 3))


@BOTH
def test_derivatives_are_those_of_automatic_differentiation(architecture: Architecture) -> None:
    model = _model(architecture)
    points = _random_positions()
    positions = tf.constant(points)
    gradient, laplacian = model.gradient(points), model.laplacian(points)
    assert gradient.dtype == laplacian.dtype == np.float64
    assert gradient.shape == (40, architecture.channels, 2)
    assert laplacian.shape == (40, architecture.channels)
    for channel in range(architecture.channels):
        with tf.GradientTape(persistent=True) as outer:
            outer.watch(positions)
            with tf.GradientTape() as inner:
                inner.watch(positions)
                value = _exact(architecture, positions)[:, channel]
            first = inner.gradient(value, positions)
            by_x, by_y = first[:, 0], first[:, 1]
        second = outer.gradient(by_x, positions)[:, 0] + outer.gradient(by_y, positions)[:, 1]
        np.testing.assert_allclose(gradient[:, channel], first, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(laplacian[:, channel], second, rtol=1e-9, atol=1e-7)


def test_keras_itself_finds_the_same_gradient() -> None:
    model = _model(FOURIER, **RANGE)
    positions = tf.constant(_random_positions())
    with tf.GradientTape() as tape:
        tape.watch(positions)
        values = model(positions)
    jacobian = tape.batch_jacobian(values, positions).numpy()
    ours = model.gradient(positions)
    assert np.abs(jacobian - ours).max(axis=(0, 2)) == pytest.approx([0] * 3, abs=1e-4 * np.abs(ours).max())


@BOTH
def test_derivatives_are_those_of_central_differences(architecture: Architecture) -> None:
    model = _model(architecture)
    points = _random_positions()

    def value(x: float, y: float) -> np.ndarray:
        return np.asarray(_exact(architecture, tf.constant(points + np.array([x, y]))))

    step = 1e-5
    first = [(value(step, 0) - value(-step, 0)) / (2 * step), (value(0, step) - value(0, -step)) / (2 * step)]
    gradient = model.gradient(points)
    np.testing.assert_allclose(gradient, np.stack(first, axis=-1), atol=1e-6 * np.abs(gradient).max())
    around = value(step, 0) + value(-step, 0) + value(0, step) + value(0, -step)
    laplacian = model.laplacian(points)
    second = (around - 4 * value(0, 0)) / step**2
    np.testing.assert_allclose(laplacian, second, atol=1e-4 * np.abs(laplacian).max())


def test_one_unit_by_hand() -> None:
    # v(x, y) = 5 + 4 (0.5 sin(30 (0.02 x + 0.01 y + 0.03)) + 0.25) = 6 + 2 sin(0.6 x + 0.3 y + 0.9)
    architecture = Architecture(width=1, depth=1, channels=1, frequencies=0, frequency_ratio=100)
    weights = [[[0.02], [0.01]], [0.03], [[0.5]], [0.25]]
    arrays = [np.array(weight, np.float32) for weight in weights]
    model = keras_model.image_model(architecture, whole(arrays, (4, 2)), (4, 2), low=[5.0], high=[9.0])
    x, y = 0.5, -0.25
    angle = 0.6 * x + 0.3 * y + 0.9
    assert np.asarray(model(np.array([[x, y]]))) == pytest.approx(6 + 2 * math.sin(angle))
    assert model.gradient([[x, y]])[0, 0] == pytest.approx([1.2 * math.cos(angle), 0.6 * math.cos(angle)])
    assert model.laplacian([[x, y]])[0, 0] == pytest.approx(-2 * (0.36 + 0.09) * math.sin(angle))
    assert model.pixel_size == 0.5


@pytest.mark.parametrize("numbers", [1, 2000, 1 << 30])
def test_derivatives_do_not_depend_on_the_block(numbers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model = _model(FOURIER, **RANGE)
    points = _random_positions()
    gradient, laplacian = model.gradient(points), model.laplacian(points)
    monkeypatch.setattr(keras_model, "BLOCK_NUMBERS", numbers)
    np.testing.assert_allclose(model.gradient(points), gradient, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(model.laplacian(points), laplacian, rtol=1e-9, atol=1e-9)


def test_derivatives_follow_the_weights() -> None:
    model = _model(PLAIN)
    points = _random_positions()
    before = model.gradient(points)
    weights = model.get_weights()
    model.set_weights([*weights[:-2], 2 * weights[-2], weights[-1]])
    np.testing.assert_allclose(model.gradient(points), 2 * before)


@pytest.mark.parametrize("limits", [{}, RANGE], ids=["levels", "range"])
def test_save_and_load(limits: dict[str, list[float]], tmp_path: Path) -> None:
    model = _model(FOURIER, **limits)
    model.save(tmp_path / "image.keras")
    again = keras.models.load_model(tmp_path / "image.keras")
    assert isinstance(again, keras_model.ImageModel)
    assert again.image_size == SIZE
    positions = model.positions()
    np.testing.assert_array_equal(np.asarray(again(positions)), np.asarray(model(positions)))
    np.testing.assert_array_equal(again.gradient(positions), model.gradient(positions))
    np.testing.assert_array_equal(again.laplacian(positions), model.laplacian(positions))


@pytest.mark.slow
def test_a_saved_model_opens_in_another_process(tmp_path: Path) -> None:
    path = tmp_path / "image.keras"
    _model(FOURIER).save(path)
    code = f"import keras, pillow_inr.keras_model; print(keras.models.load_model({str(path)!r}).image_size)"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    assert done.stdout.strip() == str(SIZE)


def test_the_hosts_precision_does_not_matter() -> None:
    positions = _random_positions()
    expected = np.asarray(_model(FOURIER, **RANGE)(positions))
    keras.config.set_dtype_policy("mixed_float16")
    try:
        np.testing.assert_array_equal(np.asarray(_model(FOURIER, **RANGE)(positions)), expected)
    finally:
        keras.config.set_dtype_policy("float32")


def test_a_pixel_is_not_lost_to_float32_positions() -> None:
    # 8000 pixels wide, at the highest frequency that its pixels can show.
    architecture = Architecture(width=1, depth=1, channels=1, frequencies=25, frequency_ratio=140)
    highest = math.pi * 1.4**24
    assert 3000 * math.pi < highest < 4000 * math.pi
    kernel = np.zeros((2 * architecture.axis_features, 1), np.float32)
    kernel[architecture.frequencies] = 1 / 30
    arrays = [kernel, np.zeros(1, np.float32), np.ones((1, 1), np.float32), np.zeros(1, np.float32)]
    model = keras_model.image_model(architecture, whole(arrays, (8000, 1)), (8000, 1))
    positions = model.positions()
    expected = np.sin(np.sin(highest * positions[:, :1]))
    assert np.abs(np.asarray(model(positions)) - expected).max() < 1e-5
    assert np.abs(model.predict(positions, verbose=0) - expected).max() < 1e-3


def test_no_positions_have_no_colours() -> None:
    model = _model(FOURIER)
    assert np.asarray(model(np.empty((0, 2)))).shape == (0, 3)
    assert model.gradient(np.empty((0, 2))).shape == (0, 3, 2)
    assert model.laplacian(np.empty((0, 2))).shape == (0, 3)


@pytest.mark.parametrize("shape", [(2,), (5, 3), (4, 3, 2)])
def test_other_shapes_are_named(shape: tuple[int, ...]) -> None:
    model = _model(FOURIER)
    named = ", ".join(map(str, shape))
    for method in (model.gradient, model.laplacian):
        with pytest.raises(ValueError, match=rf"positions .*\(n, 2\), got \({named},?\)"):
            method(np.zeros(shape))
    with pytest.raises(ValueError, match=r"shape"):
        model(np.zeros(shape))


def test_layers_without_a_rule_are_named() -> None:
    model = _model(FOURIER)
    model.add(keras.layers.Dense(1, activation="relu", name="mine"))
    with pytest.raises(TypeError, match="activation of the layer 'mine'"):
        model.gradient(_random_positions())
    model.pop()
    model.add(keras.layers.ReLU(name="other"))
    with pytest.raises(TypeError, match=r"'other' \(ReLU\)"):
        model.gradient(_random_positions())


def test_damage_and_missing_back_ends_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    data = (VECTORS / "rgb.inr").read_bytes()
    with pytest.raises(FormatError):
        pillow_inr.to_keras(data[:-1])
    with monkeypatch.context() as patched:
        patched.setattr(keras.backend, "backend", lambda: "jax")
        with pytest.raises(BackendError, match="KERAS_BACKEND=tensorflow"):
            pillow_inr.to_keras(data)
    monkeypatch.setitem(sys.modules, "pillow_inr.models.siren.keras_model", None)
    with pytest.raises(BackendError, match="Keras on TensorFlow"):
        pillow_inr.to_keras(data)
