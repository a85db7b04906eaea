"""The last layers of a pyramid's synthesis, fitted to an image by least squares: what needs no optimizer.

For given symbols the hidden units h and features f of each pixel are known. Where all residual convolutions
but the last are 0, as in base weights of preset 1, samples are linear in what follows:

    v = s2 h + ss f + s2b,    o = v + r * v + rb

with r and rb the last residual convolution. Least squares are solved for (s2, ss, s2b) with r = 0, then for (r, rb).
"""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import decoding, latent_coding, structure, synthesis
from .latent_coding import WeightResidual, weight_residual_bits
from .region import Region
from .structure import PRESETS, Grid, Pyramid
from .weight_quantization import Tensors, quantize_weights

# The pixels that count lie in windows of this side, so many down and across, spread evenly: many small ones, for what
# none of them shows may come out wrong.
_SIDE = 16
_WINDOWS = 12
# Part of the mean square of what a weight is multiplied by that pulls it towards the base weight.
_PULL = 1e-5
_REACH = 1


class Adapted(NamedTuple):
    """Networks for an image and its symbols."""

    weight_residuals: dict[str, WeightResidual]
    """Of every tensor."""
    squared_error: float
    """Of the image that they show, summed over normalized samples."""


def adapted(
    values: NDArray[np.float32], grids: Sequence[Grid], preset: int, base_index: int, rd_lambda: float
) -> Adapted:
    """Weight residuals of the last convolution or of all last layers, or none: of least distortion + lambda * rate.

    The windows find the layers and choose between them, the whole image decides whether they are used.

    Args:
        values: normalized samples, shape (height, width, channels).
        grids: symbols, finest first.
        preset: index into `structure.PRESETS`.
        base_index: number of the base weights.
        rd_lambda: lambda of mean squared error + lambda * bits per pixel.
    """
    height, width, channels = values.shape
    base = structure.base_weights(preset, base_index, channels)
    samples = _Samples(values, grids, structure.as_floats(preset, base), preset)
    # The error of the windows stands for that of the image.
    lambda_per_bit = rd_lambda * channels * samples.pixels / (height * width)
    plain = samples.weights
    layers = samples.with_convolution(plain), samples.with_convolution(samples.with_output(plain))
    solved = min(layers, key=samples.squared_error)
    found = quantize_weights(preset, solved, base, lambda_per_bit, samples.squared_error, lambda _: 0.0)

    def measured(residuals: dict[str, WeightResidual]) -> Adapted:
        pyramid = Pyramid(latent_coding.apply(base, residuals), list(grids))
        shown = decoding.synthesize(pyramid, (width, height), channels, preset, Region(0, height, 0, width))
        return Adapted(residuals, float(np.square(values - shown).sum(dtype=np.float64)))

    def cost(networks: Adapted) -> float:
        bits = sum(map(weight_residual_bits, networks.weight_residuals.values()))
        return networks.squared_error + float(rd_lambda * channels * bits)

    return min(map(measured, (latent_coding.no_residuals(preset, channels), found)), key=cost)


class _Samples:
    """Some of an image's pixels, and what their samples are computed from."""

    def __init__(self, values: NDArray[np.float32], grids: Sequence[Grid], weights: Tensors, preset: int) -> None:
        self.weights = weights
        self.convolution = f"r{PRESETS[preset].residual_convolutions - 1}"
        height, width, _ = values.shape
        whole, regions = Region(0, height, 0, width), list(_windows((height, width)))
        # Shape (channels, windows, rows, columns).
        self.targets = np.stack([np.moveaxis(values[region.within(whole)], 2, 0) for region in regions], 1)
        self.pixels = self.targets[0].size
        # Shape (inputs, windows, rows + 2, columns + 2).
        self.inputs = synthesis.last_inputs(weights, grids, preset, [region.grown(_REACH) for region in regions])

    def squared_error(self, weights: Tensors) -> float:
        """Summed over the samples, clipped to 0..1 as decoders clip them."""
        outputs = self._output(weights)
        shown = _inner(outputs) + self._change(weights, outputs)
        return float(np.square(self.targets - shown.clip(0, 1)).sum(dtype=np.float64))

    def with_output(self, weights: Tensors) -> Tensors:
        """With the best s2, ss and s2b where there is no convolution."""
        missing = self.targets - _inner(self._output(weights))
        change = _solved(_inner(self.inputs), missing)
        units = weights["s2"].shape[1]
        return {
            **weights,
            "s2": weights["s2"] + change[:, :units],
            "ss": weights["ss"] + change[:, units:-1],
            "s2b": weights["s2b"] + change[:, -1],
        }

    def with_convolution(self, weights: Tensors) -> Tensors:
        """With the best last residual convolution."""
        outputs, name = self._output(weights), self.convolution
        missing = self.targets - _inner(outputs) - self._change(weights, outputs)
        around = _neighbours(outputs)
        change = _solved(np.concatenate([around, np.ones_like(around[:1])]), missing)
        return {
            **weights,
            name: weights[name] + change[:, :-1],
            f"{name}b": weights[f"{name}b"] + change[:, -1],
        }

    def _output(self, weights: Tensors) -> NDArray[np.float32]:
        matrix = np.concatenate([weights["s2"], weights["ss"], weights["s2b"][:, None]], 1)
        return _mixed(matrix, self.inputs)

    def _change(self, weights: Tensors, outputs: NDArray[np.float32]) -> NDArray[np.float32]:
        bias = weights[f"{self.convolution}b"][:, None, None, None]
        return _mixed(weights[self.convolution], _neighbours(outputs)) + bias


def _windows(shape: tuple[int, int]) -> Iterator[Region]:
    sides = [min(_SIDE, length) for length in shape]
    starts = [
        np.linspace(0, length - side, min(_WINDOWS, math.ceil(length / side))).astype(int)
        for length, side in zip(shape, sides, strict=True)
    ]
    for top in starts[0]:
        for left in starts[1]:
            yield Region(int(top), int(top) + sides[0], int(left), int(left) + sides[1])


def _inner(values: NDArray[np.float32]) -> NDArray[np.float32]:
    return values[..., _REACH:-_REACH, _REACH:-_REACH]


def _neighbours(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """The 3×3 neighbourhood of each inner pixel, tap by tap, then channel by channel."""
    rows, columns = (length - 2 * _REACH for length in values.shape[2:])
    return np.concatenate(
        [values[..., down : down + rows, right : right + columns] for down in range(3) for right in range(3)]
    )


def _mixed(matrix: NDArray[np.float32], inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    return (matrix @ inputs.reshape(len(inputs), -1)).reshape(len(matrix), *inputs.shape[1:])


def _solved(inputs: NDArray[np.float32], missing: NDArray[np.float32]) -> NDArray[np.float32]:
    """Change of the weights w that brings w inputs nearest to what is missing, shape (outputs, inputs).

    (X X^T + p I) W^T = X Y^T, with p a part of each input's mean square.
    """
    given = inputs.reshape(len(inputs), -1).astype(np.float64)
    gram = given @ given.T
    gram[np.diag_indices_from(gram)] += _PULL * np.trace(gram) / len(gram)
    solution: NDArray[np.float32] = np.linalg.solve(gram, given @ missing.reshape(len(missing), -1).T).T.astype(
        np.float32
    )
    return solution
