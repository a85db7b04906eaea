"""The trainer's graph beside the decoder's arithmetic, on sizes that fill no whole number of tiles."""

import numpy as np
import pytest

from pillow_inr.models.pyramid import frequency_tables, latent_coding, structure
from pillow_inr.models.pyramid import synthesis as pyramid_synthesis
from pillow_inr.models.pyramid.context import ContextModel, predict_grid
from pillow_inr.models.pyramid.structure import as_floats, grid_sizes

pytestmark = pytest.mark.keras

SIZE = (150, 70)
CPU = "/device:CPU:0"


@pytest.mark.parametrize("preset", range(len(structure.PRESETS)))
@pytest.mark.parametrize(("channels", "shared"), [(1, False), (3, False), (1, True), (2, True), (3, True), (4, True)])
def test_the_graph_is_the_function_that_decoders_compute(channels: int, shared: bool, preset: int) -> None:
    """Also where small images of all channels share a trainer; here the tiles of one of 150x70 pixels do."""
    from pillow_inr.models.pyramid.training.trainer import SMALL_CHANNELS, SMALL_TILE, Trainer

    rng = np.random.default_rng(channels)
    grids = [np.rint(rng.laplace(0, 1.5, shape)).astype(np.int32) for shape in grid_sizes(SIZE)]
    tensors = structure.base_weights(preset, 2, channels)
    weights = as_floats(preset, tensors)
    decoded = np.clip(pyramid_synthesis.synthesize(tensors, grids, SIZE, channels, preset), 0, 1)
    trainer = Trainer(preset, SMALL_CHANNELS, CPU, SMALL_TILE) if shared else Trainer(preset, channels, CPU)
    symbols = [grid.astype(np.float32) for grid in grids]
    image = trainer.image(decoded)
    squared_error, bits = trainer.squared_error(symbols, image, weights), trainer.bits(symbols, image, weights)
    assert squared_error < 1e-6 * decoded.size
    parts = [np.array([tile], np.int32) for tile in range(len(image.places))]
    assert sum(trainer.bits(symbols, image, weights, part) for part in parts) == pytest.approx(bits)
    errors = [trainer.squared_error(symbols, image, weights, part) for part in parts]
    assert sum(errors) == pytest.approx(squared_error)
    costs = trainer.costs(symbols, trainer.image(decoded), weights)
    assert (costs.squared_errors.sum(), sum(map(np.sum, costs.bits))) == pytest.approx((squared_error, bits), rel=1e-3)
    assert [part.shape for part in costs.bits] == grid_sizes(SIZE)
    if preset == 0:
        assert bits == pytest.approx(sum(latent_coding.grid_bits(tensors, grids)), rel=0.02)  # rows are coarser
    model = ContextModel(tensors, preset)
    for level, (grid, found) in enumerate(zip(grids, costs.bits, strict=True)):
        predicted = predict_grid(model, level, grid, grids[level + 1 :])
        bins = np.clip(grid.ravel() - predicted.means + 17, 0, 34)
        lengths = frequency_tables.bits()[predicted.rows, bins].reshape(grid.shape)
        usual = lengths < 10  # the estimate is bounded; rows are coarser
        assert found[usual].sum() == pytest.approx(lengths[usual].sum(), rel=0.02)


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_small_images_of_few_channels_have_the_gradients_of_a_trainer_of_their_own(channels: int) -> None:
    from pillow_inr.models.pyramid.training.trainer import SMALL_CHANNELS, SMALL_TILE, Trainer, shared_trainer

    rng = np.random.default_rng(channels)
    size = (50, 41)
    weights = as_floats(0, structure.base_weights(0, 1, channels))
    grids = [np.rint(rng.normal(0, 1, shape)).astype(np.float32) for shape in grid_sizes(size)]
    values = rng.random((size[1], size[0], channels), np.float32)
    own = Trainer(0, channels, CPU)
    with shared_trainer(0, channels, size, CPU) as shared:
        assert (shared.channels, shared.tile) == (SMALL_CHANNELS, SMALL_TILE)
        found = shared.gradients(grids, shared.image(values), weights, 0.01)
    expected = own.gradients(grids, own.image(values), weights, 0.01)
    assert found.squared_error == pytest.approx(expected.squared_error, rel=1e-4)
    assert found.bits == pytest.approx(expected.bits, rel=1e-4)
    for name, gradient in expected.gradients.items():
        assert found.gradients[name].shape == weights[name].shape
        np.testing.assert_allclose(found.gradients[name], gradient, rtol=1e-3, atol=1e-3 * np.abs(gradient).max())


@pytest.mark.parametrize(("size", "channels"), [((129, 20), 3), ((20, 129), 3), ((20, 20), 5)])
def test_what_is_larger_or_has_more_channels_keeps_a_trainer_of_its_own(
    size: tuple[int, int], channels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pillow_inr.models.pyramid.training import graph, trainer

    made: list[tuple[object, ...]] = []
    monkeypatch.setattr(trainer, "borrowed", lambda key, *_, **__: made.append(key))
    trainer.shared_trainer(0, channels, size, CPU)
    assert made == [("pyramid", 0, channels, graph.TILE, CPU)]


def test_gradients_are_those_of_differences() -> None:
    """Of latents, through soft rounding at no noise; edges and corners, whose continuation the gradient folds back."""
    from pillow_inr.models.pyramid.training.schedule import ADAM
    from pillow_inr.models.pyramid.training.trainer import Latents, Step, Trainer

    rng = np.random.default_rng(0)
    weights = as_floats(1, structure.base_weights(1, 2, 3))
    trainer = Trainer(1, 3, CPU)
    image = trainer.image(rng.random((SIZE[1], SIZE[0], 3), np.float32))
    start = [rng.normal(0, 1, shape).astype(np.float32) for shape in grid_sizes(SIZE)]
    offsets = np.zeros(2, np.int32)

    def step(values: list[np.ndarray]) -> tuple[Latents, float]:
        told = Step(0.5, 0.0, np.zeros(7), 0.0, np.array([*ADAM, *ADAM]), 0.003, offsets)
        latents, outcome = trainer.advance(trainer.latents(values), image, weights, told)
        return latents, outcome.squared_error + 0.003 * outcome.bits

    moved, _ = step(start)
    for level, place in (
        (0, (0, 0)),
        (0, (69, 149)),
        (0, (31, 127)),
        (1, (34, 0)),
        (3, (8, 18)),
        (6, (1, 2)),
        (6, (0, 1)),
    ):
        losses = []
        for change in (0.02, -0.02):
            values = [grid.copy() for grid in start]
            values[level][place] += change
            losses.append(step(values)[1])
        slope = (losses[0] - losses[1]) / 0.04
        gradient = float(moved.mean[level][place]) / (1 - ADAM[0])
        assert gradient == pytest.approx(slope, rel=0.1, abs=0.05)

    # The first step with damping: each latent moves by its gradient's share of itself and half of the grid's mean.
    damped = Step(0.5, 0.0, np.full(7, 0.1), 0.5, np.array([*ADAM, *ADAM]), 0.003, offsets)
    damped_latents, _ = trainer.advance(trainer.latents(start), image, weights, damped)
    for level in (0, 3):
        gradients = moved.mean[level] / (1 - ADAM[0])
        size = np.abs(gradients)
        expected = start[level] - 0.1 * gradients / (size + 0.5 * size.mean())
        np.testing.assert_allclose(damped_latents.values[level], expected, atol=1e-4)
