"""Zeros around the weights of a narrow network, with which it runs in a program compiled for a wider one.

A unit whose weights are all zeros has the value sin(0) = 0, passes no gradient on and gets none, so training never
moves it. Nor does it change Muon's update of the other weights: rows and columns of zeros leave a matrix's singular
values as they are. Only the rate must know of the zeros (`rounding.laplace_bits`).
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..architecture import Architecture

Weights = list[NDArray[np.float32]]


def padded(weights: Sequence[NDArray[np.float32]], architecture: Architecture) -> Weights:
    """Weights with zeros after them, in the shapes of a network that is at least as wide, with as many channels."""
    return [
        np.pad(weight, [(0, more - length) for more, length in zip(shape, weight.shape, strict=True)])
        for weight, shape in zip(weights, architecture.shapes, strict=True)
    ]


def cropped(weights: Sequence[NDArray[np.float32]], architecture: Architecture) -> Weights:
    """The inverse of `padded`: the weights of the narrower network."""
    return [weight[tuple(map(slice, shape))] for weight, shape in zip(weights, architecture.shapes, strict=True)]


def counts(architecture: Architecture) -> NDArray[np.float32]:
    """Number of weights in each tensor of a network."""
    return np.array([math.prod(shape) for shape in architecture.shapes], np.float32)
