"""The analysis network in NumPy."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pillow_inr.models.pyramid import analysis, structure
from pillow_inr.models.pyramid import synthesis as pyramid_synthesis
from pillow_inr.models.pyramid.analysis import Convolution, analyse, conditioned, layers
from pillow_inr.models.pyramid.plan import ANALYSED_BASES, BASE_RD_LAMBDAS, PRESET
from pillow_inr.models.pyramid.structure import LEVELS, grid_sizes
from pillow_inr.models.pyramid.training import initial_latents
from tests.support.checks import SAMPLES, psnr

Estimate = Callable[[NDArray[np.float32], int], list[NDArray[np.float32]]]
RNG = np.random.default_rng(0)


# The network, and the linear filters that fits begin with.
both = pytest.mark.parametrize("estimate", [analyse, initial_latents.analyse], ids=["network", "filters"])


@both
@pytest.mark.parametrize(("width", "height", "channels"), [(1, 1, 3), (7, 130, 1), (33, 20, 4), (16, 9, 7), (5, 6, 2)])
def test_latents_have_the_grids_shapes(estimate: Estimate, width: int, height: int, channels: int) -> None:
    latents = estimate(RNG.random((height, width, channels), np.float32), 0)
    assert [latent.shape for latent in latents] == grid_sizes((width, height))
    assert all(latent.dtype == np.float32 for latent in latents)


@pytest.mark.parametrize("base_index", range(len(BASE_RD_LAMBDAS)))
def test_of_a_photograph_they_show_what_it_shows(base_index: int) -> None:
    """With the base weights, without any step of a fit."""
    with Image.open(SAMPLES / "kodim15.png") as opened:
        image = np.asarray(opened.crop((300, 100, 492, 228)))
    latents = [np.rint(latent) for latent in analyse(image.astype(np.float32) / 255, base_index)]
    base = structure.base_weights(PRESET, ANALYSED_BASES + base_index, 3)
    shown = pyramid_synthesis.synthesize(base, latents, (192, 128), 3, PRESET)  # type: ignore[arg-type]
    least = 20 + 2 * min(base_index, 3)
    assert psnr(image, np.rint(255 * shown.clip(0, 1))) > least


@both
def test_alpha_does_not_count_and_other_channels_are_their_mean(estimate: Estimate) -> None:
    grey = RNG.random((20, 30, 1), np.float32)
    alike = estimate(np.repeat(grey, 3, axis=2), 1)
    for image in (grey, np.concatenate([grey, 1 - grey], 2), np.repeat(grey, 5, axis=2)):
        for found, expected in zip(estimate(image, 1), alike, strict=True):
            np.testing.assert_allclose(found, expected, atol=1e-4)
    colour = RNG.random((20, 30, 3), np.float32)
    opaque = np.concatenate([colour, np.ones_like(grey)], 2)
    for found, expected in zip(estimate(opaque, 1), estimate(colour, 1), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_symbols_double_from_one_set_of_base_weights_to_the_next_beyond_those_trained() -> None:
    image = RNG.random((16, 16, 3), np.float32)
    for finer, finest in zip(analyse(image, 4, 0.25), analyse(image, 6, 0.25), strict=True):
        np.testing.assert_array_equal(4 * finer, finest)


@pytest.mark.parametrize("side", [1, 3])
@pytest.mark.parametrize("shape", [(1, 1), (5, 3), (40, 70)])
def test_a_convolution_is_the_sum_over_its_taps(
    side: int, shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Several strips, and several pieces of a row.
    monkeypatch.setattr(analysis, "_STRIP", 400)
    monkeypatch.setattr(analysis, "_PRODUCT", 500)
    plane = RNG.standard_normal((2, *shape)).astype(np.float32)
    kernel, bias = RNG.standard_normal((4, 2 * side**2)), RNG.standard_normal((4, 1))
    convolution = Convolution(kernel.astype(np.float32), bias.astype(np.float32), False)
    expected = _by_definition(plane, kernel, bias, side)
    np.testing.assert_allclose(analysis._convolve(plane, convolution), expected, atol=1e-4)
    activated = analysis._convolve(plane, convolution._replace(activated=True))
    np.testing.assert_allclose(activated, expected * np.clip(expected / 6 + 0.5, 0, 1), atol=1e-4)


def _by_definition(
    plane: NDArray[np.float32], kernel: NDArray[np.float64], bias: NDArray[np.float64], side: int
) -> NDArray[np.float64]:
    inputs, rows, columns = plane.shape
    taps = kernel.reshape(-1, side, side, inputs)
    result = np.empty((len(kernel), rows, columns))
    for row in range(rows):
        for column in range(columns):
            total = bias[:, 0].copy()
            for down in range(side):
                for right in range(side):
                    y, x = row + down - side // 2, column + right - side // 2
                    if 0 <= y < rows and 0 <= x < columns:
                        total += taps[:, down, right] @ plane[:, y, x]
            result[:, row, column] = total
    return result


def test_the_network_has_the_size_that_was_asked_for() -> None:
    numbers = sum(math.prod(shape) for layer in layers() for shape in layer.shapes.values())
    assert 15_000 <= numbers <= 100_000
    assert analysis._FILE.stat().st_size < 300_000
    assert np.load(analysis._FILE).shape == (numbers,)
    multiplications = sum(layer.side**2 * layer.inputs * layer.outputs / 4 ** int(layer.name[-1]) for layer in layers())
    assert 5000 <= multiplications <= 15_000


def test_lambda_joins_the_kernels() -> None:
    weights = analysis.weights()
    found = conditioned(1, 0.5)["up2"]
    # One number for each of the base weights but the third, and the distance from the lambda of these.
    gain, shift = np.split(np.array([0.0, 1.0, 0.0, 0.5]) @ weights["up2.condition"], 2)
    np.testing.assert_allclose(found.kernel[3], weights["up2"][:, 3] * (1 + gain[3]), rtol=1e-5)
    np.testing.assert_allclose(found.bias[3, 0], weights["up2.bias"][3] * (1 + gain[3]) + shift[3], rtol=1e-5)
    assert len(conditioned(0, 0.0)) == sum(1 for _ in layers()) == 7 + 4 + 6 + 6 + LEVELS
