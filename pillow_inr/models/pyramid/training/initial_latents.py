"""An image -> the latents that a pyramid's fit begins with, by linear filters learned from fits of photographs.

A fit that begins near its end needs fewer optimizer steps (docs/experiments.md section 12). The filters are not part of
the format: no decoder knows them.
"""

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..analysis import COLOURS, colours_of, halved
from ..structure import LEVELS

# Pixels to each side of a cell that its filter reaches, at the cell's own resolution and at half of it.
_REACH = 2
_COARSE_REACH = 1
FEATURES = COLOURS * ((2 * _REACH + 1) ** 2 + (2 * _COARSE_REACH + 1) ** 2)
_FILE = Path(__file__).with_name("initial_latents.npy")


def analyse(values: NDArray[np.float32], base_index: int) -> list[NDArray[np.float32]]:
    """Estimate the latents of an image: bias + sum of weight * feature, for each level's filter.

    Args:
        values: normalized samples, shape (height, width, channels).
        base_index: number of the base weights that the fit starts from.
    Returns:
        For each level, finest first, estimates of its symbols, float32, in the shape of its grid.
    """
    latents = []
    for (bias, *weights), planes in zip(_filters()[base_index], features(values), strict=True):
        total = np.float32(bias)
        for weight, plane in zip(weights, planes, strict=True):
            total = total + weight * plane
        latents.append(np.asarray(total, np.float32))
    return latents


def features(values: NDArray[np.float32]) -> Iterator[Iterator[NDArray[np.float32]]]:
    """The filters' inputs: for each level, finest first, FEATURES planes in the shape of its grid.

    Args:
        values: normalized samples, shape (height, width, channels); other than three colours count as grey.
    """
    fine = colours_of(values)
    for _ in range(LEVELS):
        coarse = halved(fine)
        yield _planes(fine, coarse)
        fine = coarse


def _planes(fine: NDArray[np.float32], coarse: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
    _, rows, columns = fine.shape
    yield from _displaced(fine, _REACH)
    for plane in _displaced(coarse, _COARSE_REACH):
        yield plane.repeat(2, axis=0).repeat(2, axis=1)[:rows, :columns]


def _displaced(image: NDArray[np.float32], reach: int) -> Iterator[NDArray[np.float32]]:
    """Each colour displaced by up to `reach` pixels each way; pixels beyond an edge repeat those at the edge."""
    _, rows, columns = image.shape
    padded = np.pad(image, ((0, 0), (reach, reach), (reach, reach)), "edge")
    for plane in padded:
        for down in range(2 * reach + 1):
            for right in range(2 * reach + 1):
                yield plane[down : down + rows, right : right + columns]


@lru_cache(maxsize=1)
def _filters() -> NDArray[np.float32]:
    """Biases and filters, shape (base weights, LEVELS, 1 + FEATURES)."""
    filters: NDArray[np.float32] = np.load(_FILE, allow_pickle=False)
    return filters
