"""Last layers by least squares: they bring an image nearer than the base weights, for fewer bits than that is worth."""

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pillow_inr.models.pyramid import instant, latent_coding, output_layers, structure, synthesis
from pillow_inr.models.pyramid.header import TILE_NONE, PyramidHeader
from pillow_inr.models.pyramid.latent_coding import WeightResidual, no_residuals, weight_residual_bits
from pillow_inr.models.pyramid.plan import PyramidPlan
from pillow_inr.models.pyramid.structure import Grid
from tests.support.checks import SAMPLES

PRESET, BASE_INDEX, RD_LAMBDA = 1, 9, 1e-3
PLAN = PyramidPlan(
    header=PyramidHeader(preset=PRESET, base_index=BASE_INDEX, tile=TILE_NONE), steps=0, rd_lambda=RD_LAMBDA
)


def photograph(width: int, height: int) -> NDArray[np.float32]:
    with Image.open(SAMPLES / "kodim15.png") as opened:
        return np.asarray(opened.crop((300, 100, 300 + width, 100 + height)), np.float32) / 255


def symbols(values: NDArray[np.float32]) -> list[Grid]:
    return [np.rint(latent).astype(np.int16) for latent in instant.latents(values, PLAN)]


def adapted(values: NDArray[np.float32], grids: list[Grid], rd_lambda: float) -> dict[str, WeightResidual]:
    return output_layers.adapted(values, grids, PRESET, BASE_INDEX, rd_lambda).weight_residuals


def squared_error(values: NDArray[np.float32], grids: list[Grid], residuals: dict[str, WeightResidual]) -> float:
    height, width, channels = values.shape
    tensors = latent_coding.apply(structure.base_weights(PRESET, BASE_INDEX, channels), residuals)
    shown = synthesis.synthesize(tensors, grids, (width, height), channels, PRESET)
    return float(np.square(values - shown.clip(0, 1)).mean())


def test_the_whole_image_gains_although_windows_are_looked_at() -> None:
    values = photograph(420, 300)
    grids = symbols(values)
    found = adapted(values, grids, RD_LAMBDA)
    bits = sum(map(weight_residual_bits, found.values()))
    before = squared_error(values, grids, no_residuals(PRESET, 3))
    after = squared_error(values, grids, found)
    assert after < 0.97 * before
    assert after + RD_LAMBDA * bits / (420 * 300) < before
    assert {name for name in found if found[name].symbols.any()} <= {"s2", "s2b", "ss", "r1", "r1b"}


def test_bits_that_cost_too_much_are_not_spent() -> None:
    values = photograph(64, 48)
    assert not any(residual.symbols.any() for residual in adapted(values, symbols(values), 10.0).values())


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_the_convolution_that_made_an_image_is_found(channels: int) -> None:
    grids = symbols(photograph(96, 80))
    wanted = no_residuals(PRESET, channels)
    random = np.random.default_rng(0)
    for name in ("r1", "r1b"):
        wanted[name].symbols[:] = random.integers(-2000, 2000, wanted[name].symbols.shape)
    tensors = latent_coding.apply(structure.base_weights(PRESET, BASE_INDEX, channels), wanted)
    made = synthesis.synthesize(tensors, grids, (96, 80), channels, PRESET).clip(0, 1)
    assert squared_error(made, grids, adapted(made, grids, 1e-9)) < 0.05 * squared_error(
        made, grids, no_residuals(PRESET, channels)
    )


@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 40), (70, 2), (33, 33)])
def test_small_images(width: int, height: int) -> None:
    values = photograph(width, height)
    grids = symbols(values)
    assert squared_error(values, grids, adapted(values, grids, 1e-6)) <= squared_error(
        values, grids, no_residuals(PRESET, 3)
    )
