"""The analysis network: an image -> the latents of all grids at once, in NumPy.

A U-shaped convolutional network, trained together with the base weights that it serves (benchmarks/train_analysis.py).
On its way down, each level halves the resolution by means of two by two pixels; on its way up, each level joins its
own features with the enlarged coarser ones and gives one grid of latents. The finest levels see no colours but how
they differ from those at an eighth of the resolution, and nothing of the coarser features: what smooth areas look like
is left to the coarse grids, where it takes few bits (docs/experiments.md section 24). The network belongs to the
encoder alone: no decoder knows it. Source: amortized inference for an overfitted codec, Blard et al. 2024, "Overfitted
image coding at reduced complexity".
"""

import math
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...runtime import threads
from .plan import TRAINED_RD_LAMBDAS
from .structure import LEVELS

Plane = NDArray[np.float32]
"""Features, shape (channels, rows, columns)."""

COLOURS = 3
# Features of each level, finest first.
WIDTHS = (12, 16, 24, 24, 24, 24, 24)
# The finest level that sees colours; those before it see differences from its colours, enlarged.
COARSE_LEVEL = 3
# Levels on the way down with a second, residual convolution.
DEEP_LEVELS = 4
# Numbers that describe lambda to each layer; the base weights that stand for no number of their own.
CONDITIONS = len(TRAINED_RD_LAMBDAS)
_PLAIN = 2
_FILE = Path(__file__).with_name("analysis.npy")
# Numbers in the columns of a product: they and its results stay in a core's cache.
_STRIP = 1 << 17
# OpenBLAS computes a product of up to this many multiplications on the calling thread.
_PRODUCT = 1 << 18


class Layer(NamedTuple):
    """A convolution with zeros around the image, as wide and high as its inputs."""

    name: str
    side: int
    """Of its square kernel in cells, 3 or 1."""
    inputs: int
    outputs: int

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Its tensors in file order: kernel, bias, and how lambda changes gain and bias."""
        return {
            self.name: (self.side**2 * self.inputs, self.outputs),
            f"{self.name}.bias": (self.outputs,),
            f"{self.name}.condition": (CONDITIONS, 2 * self.outputs),
        }


class Convolution(NamedTuple):
    """A layer's numbers for one lambda."""

    kernel: NDArray[np.float32]
    """Shape (outputs, taps * inputs), taps row by row."""
    bias: NDArray[np.float32]
    """Shape (outputs, 1)."""
    activated: bool


def layers() -> Iterator[Layer]:
    """All convolutions, in file order: down0, deep0, down1, …; then join, up and grid of each level, coarsest first."""
    for level, width in enumerate(WIDTHS):
        seen = COLOURS if level in (0, COARSE_LEVEL) else 0
        yield Layer(f"down{level}", 3, (WIDTHS[level - 1] if level else 0) + seen, width)
        if level < DEEP_LEVELS:
            yield Layer(f"deep{level}", 3, width, width)
    for level in reversed(range(LEVELS)):
        if level + 1 < LEVELS:
            coarser = 0 if level == COARSE_LEVEL - 1 else WIDTHS[level + 1]
            yield Layer(f"join{level}", 1, WIDTHS[level] + coarser, WIDTHS[level])
            yield Layer(f"up{level}", 3, WIDTHS[level], WIDTHS[level])
        yield Layer(f"grid{level}", 3, WIDTHS[level], 1)


def analyse(values: NDArray[np.float32], base_index: int, offset: float = 0.0) -> list[NDArray[np.float32]]:
    """Estimate the latents of an image.

    Args:
        values: normalized samples, shape (height, width, channels); other than three colours count as grey.
        base_index: number of the base weights, which were trained together with the network.
        offset: how far lambda is from that of the base weights: log(ratio) / log(4), about -0.5..0.5.
    Returns:
        For each level, finest first, estimates of its symbols, float32, in the shape of its grid.
    """
    trained = min(base_index, len(TRAINED_RD_LAMBDAS) - 1)
    convolutions = conditioned(trained, offset)

    def convolve(name: str, plane: Plane) -> Plane:
        return _convolve(plane, convolutions[name])

    plane, coarse = split(colours_of(values))
    down: list[Plane] = []
    for level in range(LEVELS):
        if level:
            plane = halved(plane)
        if level == COARSE_LEVEL:
            plane = np.concatenate([plane, coarse])
        plane = convolve(f"down{level}", plane)
        if level < DEEP_LEVELS:
            plane += convolve(f"deep{level}", plane)
        down.append(plane)
    latents = [convolve(f"grid{LEVELS - 1}", down.pop())[0]]
    for level in reversed(range(LEVELS - 1)):
        own = down.pop()
        joined = own if level == COARSE_LEVEL - 1 else np.concatenate([own, _doubled(plane, own.shape)])
        plane = convolve(f"join{level}", joined)
        plane += convolve(f"up{level}", plane)
        latents.append(convolve(f"grid{level}", plane)[0])
    # Base weights beyond those that are trained are the last of these, for symbols twice as large from one to the next.
    return [latent * np.float32(2 ** (base_index - trained)) for latent in reversed(latents)]


def conditions(base_index: int, offset: float) -> NDArray[np.float32]:
    """What the layers are told of lambda, shape (CONDITIONS,), for `analyse`'s arguments."""
    numbers = [float(base_index == index) for index in range(len(TRAINED_RD_LAMBDAS)) if index != _PLAIN]
    return np.array([*numbers, offset], np.float32)


def conditioned(base_index: int, offset: float) -> dict[str, Convolution]:
    """The network for one lambda: its gains and biases are linear in the conditions, and join the kernels.

    With c the conditions, a layer computes (1 + g c) (k * x) + (1 + g c) b + h c.
    """
    tensors = weights()
    result = {}
    for layer in layers():
        gain, shift = np.split(conditions(base_index, offset) @ tensors[f"{layer.name}.condition"], 2)
        result[layer.name] = Convolution(
            np.ascontiguousarray((tensors[layer.name] * (1 + gain)).T),
            (tensors[f"{layer.name}.bias"] * (1 + gain) + shift)[:, None],
            not layer.name.startswith("grid"),
        )
    return result


@lru_cache(maxsize=1)
def weights() -> dict[str, NDArray[np.float32]]:
    """The package's network: all tensors, by the names of `Layer.shapes`; do not write to them."""
    stored = np.load(_FILE).astype(np.float32)
    shapes = {name: shape for layer in layers() for name, shape in layer.shapes.items()}
    parts = np.split(stored, np.cumsum([math.prod(shape) for shape in shapes.values()])[:-1])
    return {name: part.reshape(shape) for (name, shape), part in zip(shapes.items(), parts, strict=True)}


def colours_of(values: NDArray[np.float32]) -> Plane:
    """Differences of an image's colours from middle grey, shape (3, height, width), as `analyse` takes them."""
    channels = values.shape[2]
    colours = values[..., : channels - (channels in (2, 4))]
    if colours.shape[2] != COLOURS:
        colours = np.repeat(colours.mean(axis=2, keepdims=True), COLOURS, axis=2)
    return np.ascontiguousarray(np.moveaxis(colours, 2, 0)) - np.float32(0.5)


def split(colours: Plane) -> tuple[Plane, Plane]:
    """Differences of colours from those at COARSE_LEVEL, and these, each of shape (3, its rows, its columns)."""
    planes = [colours]
    for _ in range(COARSE_LEVEL):
        planes.append(halved(planes[-1]))
    coarse = enlarged = planes.pop()
    for plane in reversed(planes):
        enlarged = _interpolated(enlarged, plane.shape)
    return colours - enlarged, coarse


def _convolve(plane: Plane, convolution: Convolution) -> Plane:
    """A convolution and its activation, strip by strip on all cores.

    A strip's columns and results stay in a core's cache. They are cut into so short products that the BLAS does not
    share them among threads of its own, which would be in each other's way.
    """
    kernel, bias, activated = convolution
    inputs, rows, columns = plane.shape
    side = 3 if kernel.shape[1] == 9 * inputs else 1
    pieces = -(-columns * kernel.size // _PRODUCT)
    length = -(-columns // pieces)
    reach = side // 2
    padded = np.pad(plane, ((0, 0), (reach, reach), (reach, reach + pieces * length - columns)))
    # Of each piece of a row its taps, shape (rows, pieces, side, side, inputs, length).
    taps = np.lib.stride_tricks.as_strided(
        padded,
        (rows, pieces, side, side, inputs, length),
        (*padded.strides[1:2], length * 4, *padded.strides[1:], padded.strides[0], 4),
        writeable=False,
    )
    result = np.empty((len(kernel), rows, pieces, length), np.float32)
    strip = max(1, _STRIP // (kernel.shape[1] * columns))

    def work(tops: Iterator[int]) -> None:
        for top in tops:
            part = taps[top : top + strip]
            values = kernel @ part.reshape(len(part), pieces, -1, length)
            values += bias
            result[:, top : top + strip] = np.moveaxis(_hard_silu(values) if activated else values, 2, 0)

    threads.share(range(0, rows, strip), work)
    return result.reshape(len(kernel), rows, -1)[:, :, :columns]


def _hard_silu(values: Plane) -> Plane:
    """x clip(x / 6 + 1/2, 0, 1) (Howard et al. 2019, "Searching for MobileNetV3", section 5.2)."""
    gate = values / np.float32(6)
    gate += np.float32(0.5)
    values *= np.clip(gate, 0, 1, out=gate)
    return values


def halved(plane: Plane) -> Plane:
    """Means of two by two cells; odd sides count their last cells twice."""
    channels, rows, columns = plane.shape
    even = np.pad(plane, ((0, 0), (0, rows % 2), (0, columns % 2)), "edge")
    halved: Plane = even.reshape(channels, (rows + 1) // 2, 2, (columns + 1) // 2, 2).mean(axis=(2, 4))
    return halved


def _interpolated(plane: Plane, shape: tuple[int, ...]) -> Plane:
    """Bilinear upsampling to twice the size, cut to shape (channels, rows, columns); cells beyond an edge repeat it."""
    for axis in (1, 2):
        before, after = (np.take(plane, _shifted(plane.shape[axis], by), axis) for by in (-1, 1))
        near = np.float32(0.75) * plane
        pairs = np.stack([near + np.float32(0.25) * before, near + np.float32(0.25) * after], axis + 1)
        plane = pairs.reshape(*pairs.shape[:axis], -1, *pairs.shape[axis + 2 :])
    return plane[:, : shape[1], : shape[2]]


def _shifted(length: int, by: int) -> NDArray[np.intp]:
    return np.clip(np.arange(length) + by, 0, length - 1)


def _doubled(plane: Plane, shape: tuple[int, ...]) -> Plane:
    """Nearest-neighbour upsampling, cut to shape (channels, rows, columns)."""
    return plane.repeat(2, axis=1).repeat(2, axis=2)[:, : shape[1], : shape[2]]
