"""Canonical form of a SIREN: of all equivalent networks, the one whose biases are cheapest to code.

Only writers need it; a reader accepts any network.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def normalize(symbols: Sequence[NDArray[np.int32]]) -> list[NDArray[np.int32]]:
    """Negate and reorder the units of the sine layers so that their biases are nonnegative and ascending.

    The network's function does not change. Sine is odd, so negating a unit's column of the kernel and its bias negates
    its output, which negating its row of the next kernel undoes; and units may be permuted. A layer of N units thus has
    N! 2^N equivalent forms, and coding sorted biases as differences saves up to log2(N! 2^N) bits.

    Args:
        symbols: kernels and biases in file order, as `Architecture.shapes` lists them, in -32767..32767.
    Returns:
        The same symbols, negated and moved; same shapes and dtypes. Normalizing again changes nothing.
    Source: Hecht-Nielsen 1990, "On the algebraic structure of feedforward network weight spaces" (the symmetries, for
        odd activations); docs/format.md section 4.8.

    >>> kernel, bias, following = np.array([[5, 6]]), np.array([-2, 1]), np.array([[3], [4]])
    >>> [tensor.tolist() for tensor in normalize([kernel, bias, following, np.array([9])])]
    [[[6, -5]], [1, 2], [[4], [-3]], [9]]
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
