"""The Keras model of a mosaic: its colours equal the decoder's, its derivatives those of the blended function."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

keras = pytest.importorskip("keras")

import tensorflow as tf  # noqa: E402

import pillow_inr  # noqa: E402
from pillow_inr.entropy.quantization import quantize, step_size  # noqa: E402
from pillow_inr.imaging.coordinates import Axis  # noqa: E402
from pillow_inr.imaging.samples import Scale  # noqa: E402
from pillow_inr.models.siren import keras_model, mosaic_coding  # noqa: E402
from pillow_inr.models.siren.architecture import Architecture  # noqa: E402
from pillow_inr.models.siren.division import divided  # noqa: E402
from pillow_inr.models.siren.keras_mosaic import Mosaic  # noqa: E402
from pillow_inr.models.siren.synthesis import Grid, Network, synthesize  # noqa: E402
from pillow_inr.models.siren.weight_coding import CodedTensor  # noqa: E402
from tests.support import container, networks  # noqa: E402

pytestmark = pytest.mark.keras

ARCHITECTURE = Architecture(width=12, depth=3, channels=3, frequencies=4, frequency_ratio=150, taper=75)
PLAIN = Architecture(width=6, depth=1, channels=1, frequencies=0, frequency_ratio=100)
# Halved at x = 26, both halves at y = 22: four parts meet there. Some quarters are halved once more.
SIZE = (53, 45)
LARGEST = 600
OVERLAP = 3
BOTH = pytest.mark.parametrize("overlap", [OVERLAP, 0])


def _mosaic(overlap: int = OVERLAP, architecture: Architecture = ARCHITECTURE) -> tuple[Network, ...]:
    return networks.mosaic(architecture, SIZE, overlap, LARGEST)


def _model(mosaic: tuple[Network, ...], architecture: Architecture = ARCHITECTURE) -> keras_model.ImageModel:
    return keras_model.image_model(architecture, mosaic, SIZE)


def _position(x: float, y: float) -> list[float]:
    """The position of a point in pixels."""
    return [(2 * x - SIZE[0]) / max(SIZE), (2 * y - SIZE[1]) / max(SIZE)]


def _positions() -> np.ndarray:
    """Positions all over the image, where parts are blended, around crossings, and beyond the edges."""
    rng = np.random.default_rng(1)
    anywhere = rng.uniform(0, SIZE, (60, 2))
    at_edges = np.stack([rng.uniform(23, 29, 30), rng.uniform(0, SIZE[1], 30)], axis=1)
    at_crossing = rng.uniform((23, 19), (29, 25), (30, 2))
    beyond = rng.uniform(-10, 70, (30, 2))
    points = np.concatenate([anywhere, at_edges, at_crossing, beyond])
    return np.array([_position(*point) for point in points])


def _exact(architecture: Architecture, mosaic: tuple[Network, ...], overlap: int, positions: np.ndarray) -> np.ndarray:
    """The blended networks in float64, as specified in docs/format.md section 11."""
    points = (positions * max(SIZE) + SIZE) / 2
    total = np.zeros((len(points), architecture.channels))
    for part, weights in mosaic:
        weight = np.ones(len(points))
        for axis in range(2):
            p, low, high = points[:, axis], part.core[axis], part.core[axis + 2]
            for edge, inside in ((low, p - low), (high, high - p)):
                if edge not in (0, SIZE[axis]):
                    t = np.clip((inside + overlap) / (2 * overlap), 0, 1) if overlap else np.array(inside >= 0, float)
                    weight = weight * t**3 * (10 - 15 * t + 6 * t**2)
        middle = np.array([part.core.left + part.core.right, part.core.top + part.core.bottom])
        own = (2 * points - middle) / part.core.longer
        total += weight[:, None] * networks.exact(architecture, weights, own)
    return total


def test_the_division_has_a_crossing_and_parts_of_several_sizes() -> None:
    cores = [network.part.core for network in _mosaic()]
    assert (
        sum((26, 22) in ((c.left, c.top), (c.right, c.bottom), (c.left, c.bottom), (c.right, c.top)) for c in cores)
        == 4
    )
    assert len({core.size for core in cores}) >= 3
    assert [network.part.core for network in _mosaic(0)] == cores


@BOTH
@pytest.mark.parametrize("architecture", [ARCHITECTURE, PLAIN], ids=["tapered", "plain"])
def test_values_are_those_of_the_decoder(architecture: Architecture, overlap: int) -> None:
    mosaic = _mosaic(overlap, architecture)
    model = _model(mosaic, architecture)
    assert [type(layer) for layer in model.layers] == [Mosaic]
    scale = Scale("float32", architecture.channels, ((0.0, 1.0),))
    # Pixel centres; between them; all of a region whose cells have odd edges.
    for start, stop, counts in [
        ((0, 0), SIZE, SIZE),
        ((0, 0), SIZE, (101, 77)),
        ((20.3, 11.1), (47.7, 44.2), (40, 31)),
    ]:
        grid = Grid(
            *(Axis(length, max(SIZE), *cells) for length, *cells in zip(SIZE, start, stop, counts, strict=True))
        )
        expected = synthesize(architecture, mosaic, grid, scale).reshape(-1, architecture.channels)
        assert 0.05 < expected.min() < expected.max() < 0.95
        positions = np.stack(np.meshgrid(grid.across.positions(), grid.down.positions()), axis=-1).reshape(-1, 2)
        values = np.asarray(model(positions))
        assert values.dtype == np.float32
        np.testing.assert_allclose(values, expected, atol=1e-5)
    np.testing.assert_allclose(
        model.predict(model.positions(), verbose=0), np.asarray(model(model.positions())), atol=1e-4
    )


@BOTH
@pytest.mark.parametrize("architecture", [ARCHITECTURE, PLAIN], ids=["tapered", "plain"])
def test_derivatives_are_those_of_central_differences(architecture: Architecture, overlap: int) -> None:
    mosaic = _mosaic(overlap, architecture)
    model = _model(mosaic, architecture)
    points = _positions()

    def value(x: float, y: float) -> np.ndarray:
        return _exact(architecture, mosaic, overlap, points + np.array([x, y]))

    np.testing.assert_allclose(np.asarray(model(points)), value(0, 0), atol=1e-5)
    step = 1e-5
    first = [(value(step, 0) - value(-step, 0)) / (2 * step), (value(0, step) - value(0, -step)) / (2 * step)]
    gradient, laplacian = model.gradient(points), model.laplacian(points)
    assert gradient.dtype == laplacian.dtype == np.float64
    np.testing.assert_allclose(gradient, np.stack(first, axis=-1), atol=1e-6 * np.abs(gradient).max())
    around = value(step, 0) + value(-step, 0) + value(0, step) + value(0, -step)
    second = (around - 4 * value(0, 0)) / step**2
    np.testing.assert_allclose(laplacian, second, atol=1e-4 * np.abs(laplacian).max())


def test_derivatives_are_continuous_across_the_ends_of_a_blend() -> None:
    model = _model(_mosaic())
    for x in (26 - OVERLAP, 26, 26 + OVERLAP):
        sides = np.array([_position(x + offset, 22.7) for offset in (-1e-9, 0, 1e-9)])
        for derivative in (model.gradient(sides), model.laplacian(sides)):
            assert np.ptp(derivative, axis=0).max() <= 1e-5 * np.abs(derivative).max()


def test_keras_itself_finds_the_same_gradient() -> None:
    model = _model(_mosaic())
    positions = tf.constant(_positions())
    with tf.GradientTape() as tape:
        tape.watch(positions)
        values = model(positions)
    jacobian = tape.batch_jacobian(values, positions).numpy()
    ours = model.gradient(positions)
    np.testing.assert_allclose(jacobian, ours, atol=1e-4 * np.abs(ours).max())


@BOTH
def test_weights_sum_to_one_everywhere(overlap: int) -> None:
    alike = [np.zeros(shape, np.float32) for shape in ARCHITECTURE.shapes[:-1]]
    colour = np.array([0.25, 0.5, 2.0], np.float32)
    model = _model(tuple(Network(network.part, [*alike, colour]) for network in _mosaic(overlap)))
    positions = _positions()
    np.testing.assert_allclose(np.asarray(model(positions)), np.tile(colour, (len(positions), 1)), rtol=1e-6)
    assert np.abs(model.gradient(positions)).max() < 1e-11
    assert np.abs(model.laplacian(positions)).max() < 1e-9


def test_without_overlap_an_edge_belongs_to_the_part_that_begins_there() -> None:
    mosaic = _mosaic(0)
    model = _model(mosaic)
    for x, y in [(26, 22), (26, 30.5), (3.5, 22), (0, 0), SIZE]:
        (owner,) = (
            network
            for network in mosaic
            if all(
                low <= p < high or p == high == length
                for p, low, high, length in zip((x, y), network.part.core[:2], network.part.core[2:], SIZE, strict=True)
            )
        )
        core = owner.part.core
        own = [[(2 * x - core.left - core.right) / core.longer, (2 * y - core.top - core.bottom) / core.longer]]
        expected = networks.exact(ARCHITECTURE, list(owner.weights), np.array(own))
        np.testing.assert_allclose(np.asarray(model(np.array([_position(x, y)]))), expected, atol=1e-5)
        assert np.isfinite(model.laplacian([_position(x, y)])).all()


def test_networks_are_evaluated_where_they_show() -> None:
    model = _model(_mosaic())
    layer = model.layers[0]
    counted = []
    encoding = layer.networks[0][0]
    call = encoding.call
    encoding.call = lambda values: counted.append(values.shape[0]) or call(values)
    positions = model.positions()
    model(positions)
    supports = [math.prod(part.support.size) for part in layer.parts]
    assert counted == supports
    assert len(positions) < sum(counted) < 2 * len(positions)
    counted.clear()
    model(positions[:5])
    assert counted == [5]


@pytest.mark.parametrize(
    "limits", [{}, {"low": [-2.0, 0.0, 10.0], "high": [2.0, 65535.0, 11.0]}], ids=["levels", "range"]
)
def test_save_and_load(limits: dict[str, list[float]], tmp_path: Path) -> None:
    mosaic = _mosaic()
    model = keras_model.image_model(ARCHITECTURE, mosaic, SIZE, **limits)
    model.save(tmp_path / "image.keras")
    again = keras.models.load_model(tmp_path / "image.keras")
    assert isinstance(again, keras_model.ImageModel)
    assert again.image_size == SIZE
    assert again.layers[0].parts == [network.part for network in mosaic]
    positions = _positions()
    np.testing.assert_array_equal(np.asarray(again(positions)), np.asarray(model(positions)))
    np.testing.assert_array_equal(again.gradient(positions), model.gradient(positions))
    np.testing.assert_array_equal(again.laplacian(positions), model.laplacian(positions))
    if limits:
        span = np.subtract(limits["high"], limits["low"])
        np.testing.assert_allclose(model.gradient(positions), _model(mosaic).gradient(positions) * span[:, None])


def test_an_equal_layer_from_its_configuration() -> None:
    mosaic = _mosaic()
    layer = _model(mosaic).layers[0]
    config = json.loads(json.dumps(layer.get_config()))
    again = Mosaic.from_config(config)
    assert again.get_config() == layer.get_config()
    assert (again.parts, again.architecture) == ([network.part for network in mosaic], ARCHITECTURE)
    again.build((None, 2))
    again.set_weights(layer.get_weights())
    np.testing.assert_array_equal(again(_positions()), layer(_positions()))


def test_training_changes_all_networks_and_their_derivatives() -> None:
    model = _model(_mosaic())
    positions = model.positions()
    before = model.get_weights()
    gradient = model.gradient(positions)
    assert len(before) == len(model.trainable_weights) == len(_mosaic()) * len(ARCHITECTURE.shapes)
    targets = np.tile(np.linspace(0, 1, len(positions))[:, None], (1, 3)).astype(np.float32)
    model.compile(keras.optimizers.Adam(1e-3), "mse")
    losses = model.fit(positions, targets, batch_size=512, epochs=3, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    assert all((old != new).any() for old, new in zip(before, model.get_weights(), strict=True))
    assert np.abs(model.gradient(positions) - gradient).max() > 0.01


@pytest.mark.parametrize("numbers", [1, 5000])
def test_derivatives_do_not_depend_on_the_block(numbers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model = _model(_mosaic())
    points = _positions()[::5]
    gradient, laplacian = model.gradient(points), model.laplacian(points)
    monkeypatch.setattr(keras_model, "BLOCK_NUMBERS", numbers)
    np.testing.assert_allclose(model.gradient(points), gradient, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(model.laplacian(points), laplacian, rtol=1e-9, atol=1e-9)


def test_no_positions_and_no_numbers() -> None:
    model = _model(_mosaic())
    assert np.asarray(model(np.empty((0, 2)))).shape == (0, 3)
    assert model.gradient(np.empty((0, 2))).shape == (0, 3, 2)
    assert model.laplacian(np.empty((0, 2))).shape == (0, 3)
    assert np.isnan(np.asarray(model(np.array([[np.nan, 0.0]])))).all()


def test_a_mosaic_in_a_file() -> None:
    step = 120
    splits: list[bool] = []
    divided(SIZE, OVERLAP, lambda region: splits.append(math.prod(region.size) > LARGEST) or splits[-1])
    tensors = [
        [CodedTensor(quantize(weight, step_size(step)), step) for weight in network.weights] for network in _mosaic()
    ]
    payload = mosaic_coding.encode_mosaic(splits, tensors)
    header = container.header(
        size=SIZE,
        pixel_format=2,
        width=ARCHITECTURE.width,
        depth=ARCHITECTURE.depth,
        frequencies=ARCHITECTURE.frequencies,
        frequency_ratio=ARCHITECTURE.frequency_ratio,
        taper=ARCHITECTURE.taper,
        coding=2,
        networks=len(tensors),
        overlap=OVERLAP,
        payload_bytes=len(payload),
        chunks_bytes=0,
    )
    data = container.pack(header, payload)
    model = pillow_inr.to_keras(data)
    assert [layer.name for layer in model.layers] == ["mosaic"]
    levels = 255 * np.asarray(model(model.positions())).reshape(SIZE[1], SIZE[0], 3)
    assert np.abs(levels - pillow_inr.decode(data)).max() <= 0.51
