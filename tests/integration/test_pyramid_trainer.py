"""The trainer's graph beside the decoder's arithmetic, on sizes that fill no whole number of tiles."""

import numpy as np
import pytest

from pillow_inr.models.pyramid import latent_coding, structure
from pillow_inr.models.pyramid import synthesis as pyramid_synthesis
from pillow_inr.models.pyramid.structure import as_floats, grid_sizes

pytestmark = pytest.mark.keras

SIZE = (150, 70)
CPU = "/device:CPU:0"


@pytest.mark.parametrize("channels", [1, 3])
def test_the_graph_is_the_function_that_decoders_compute(channels: int) -> None:
    from pillow_inr.models.pyramid.training.trainer import Trainer

    rng = np.random.default_rng(channels)
    grids = [np.rint(rng.laplace(0, 1.5, shape)).astype(np.int32) for shape in grid_sizes(SIZE)]
    tensors = structure.base_weights(0, 2, channels)
    weights = {name: as_floats(name, integers) for name, integers in tensors.items()}
    decoded = np.clip(pyramid_synthesis.synthesize(tensors, grids, SIZE, channels, 0), 0, 1)
    trainer = Trainer(0, channels, CPU)
    symbols = [grid.astype(np.float32) for grid in grids]
    squared_error, bits = trainer.quality(symbols, trainer.image(decoded), weights)
    assert squared_error < 1e-6 * decoded.size
    assert bits == pytest.approx(sum(latent_coding.grid_bits(tensors, grids)), rel=0.02)  # rows are coarser


def test_gradients_are_those_of_differences() -> None:
    """Of latents, through soft rounding at no noise; edges and corners, whose continuation the gradient folds back."""
    from pillow_inr.models.pyramid.training.fit import ADAM
    from pillow_inr.models.pyramid.training.trainer import Latents, Step, Trainer

    rng = np.random.default_rng(0)
    tensors = structure.base_weights(0, 2, 3)
    weights = {name: as_floats(name, integers) for name, integers in tensors.items()}
    trainer = Trainer(0, 3, CPU)
    image = trainer.image(rng.random((SIZE[1], SIZE[0], 3), np.float32))
    start = [rng.normal(0, 1, shape).astype(np.float32) for shape in grid_sizes(SIZE)]
    offsets = np.zeros(2, np.int32)

    def step(values: list[np.ndarray]) -> tuple[Latents, float]:
        told = Step(0.5, 0.0, np.zeros(7), np.array([*ADAM, *ADAM]), 0.003, offsets)
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
