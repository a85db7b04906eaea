"""Soft rounding: what stands for rounding to integers while latents are trained, for rounding has no gradient.

Source: Agustsson and Theis 2020, "Universally Quantized Neural Compression", section 4.1; with noise between two
applications, as C3 (Kim et al. 2023) and Cool-chic 5 have it.
"""

from keras import ops

from .graph import Tensor


def noisy_soft_round(values: Tensor, temperature: Tensor, noise: Tensor) -> Tensor:
    """s(s(y) + u) for soft rounding s and noise u.

    Args:
        values: latents in units of symbols, any shape, float32.
        temperature: scalar, > 0.
        noise: same shape; 0 leaves integers as they are.
    """
    return soft_round(soft_round(values, temperature) + noise, temperature)


def soft_round(values: Tensor, temperature: Tensor) -> Tensor:
    """s(y) = floor(y) + 1/2 + tanh(r / T) / (2 tanh(1 / (2 T))), with r = y - floor(y) - 1/2.

    For T -> 0 this is rounding to the nearest integer, for T -> infinity the identity. Integers and their midpoints
    stay where they are at every T. The paper writes alpha for 1 / T.

    Args:
        values: y, any shape, float32.
        temperature: T, scalar, > 0.
    """
    below = ops.floor(values)
    bent = ops.tanh((values - below - 0.5) / temperature)
    return below + 0.5 + 0.5 * bent / ops.tanh(0.5 / temperature)
