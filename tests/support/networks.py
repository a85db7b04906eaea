"""Networks of whole images and of mosaics, from weights made by hand."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pillow_inr.models.siren.architecture import Architecture
from pillow_inr.models.siren.division import Part, Region, divided
from pillow_inr.models.siren.synthesis import Network


def whole(weights: Sequence[NDArray[np.float32]], size: tuple[int, int]) -> tuple[Network]:
    """One network, which shows the whole image."""
    image = Region(0, 0, *size)
    return (Network(Part(image, image), weights),)


def mosaic(architecture: Architecture, size: tuple[int, int], overlap: int, largest: int) -> tuple[Network, ...]:
    """Random networks for parts of at most `largest` pixels; samples lie within 0.1..0.9, so that none is clipped."""
    rng = np.random.default_rng(0)
    networks = []
    for part in divided(size, overlap, lambda region: math.prod(region.size) > largest):
        weights = [rng.normal(0, 0.05 / math.sqrt(shape[0]), shape) for shape in architecture.shapes]
        weights[-2] *= 0.3 / np.abs(weights[-2]).sum(axis=0)
        weights[-1] = rng.uniform(0.4, 0.6, weights[-1].shape)
        networks.append(Network(part, [weight.astype(np.float32) for weight in weights]))
    return tuple(networks)


def exact(
    architecture: Architecture, weights: Sequence[NDArray[np.float32]], positions: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Outputs of a network at its own positions, shape (n, 2), in float64, as specified in docs/format.md section 5."""
    scales = np.pi * (architecture.frequency_ratio / 100) ** np.arange(architecture.frequencies)
    features = []
    for axis in range(2):
        angles = positions[:, axis : axis + 1] * scales
        features += [positions[:, axis : axis + 1], np.sin(angles), np.cos(angles)]
    values = np.concatenate(features, axis=1)
    in_float64 = [weight.astype(np.float64) for weight in weights]
    for kernel, bias in zip(in_float64[:-2:2], in_float64[1:-2:2], strict=True):
        values = np.sin(30 * (values @ kernel + bias))
    return values @ in_float64[-2] + in_float64[-1]
