"""The one of all equivalent networks that codes shortest. Writers alone need it: readers take any network."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def normalize(symbols: Sequence[NDArray[np.int32]]) -> list[NDArray[np.int32]]:
    """Negate and reorder the units of the sine layers so that biases are nonnegative and rise.

    The network's function stays: sine is odd, so that a unit whose inputs change their sign changes its own, which the
    next kernel undoes; and the order of units is free. What is saved is a sign and a place for each unit.

    Args:
        symbols: kernels and biases of a network in file order, as `Architecture.shapes` has them; symbols in
            -32767..32767.
    Returns:
        The symbols of the same weights, negated and moved; same shapes and types.
    """
    tensors = list(symbols)
    for kernel in range(0, len(tensors) - 2, 2):
        bias, following = kernel + 1, kernel + 2
        signs = np.where(tensors[bias] < 0, -1, 1).astype(np.int32)
        order = np.argsort(tensors[bias] * signs, kind="stable")
        tensors[kernel] = (tensors[kernel] * signs)[:, order]
        tensors[bias] = (tensors[bias] * signs)[order]
        tensors[following] = (tensors[following] * signs[:, None])[order]
    return tensors
