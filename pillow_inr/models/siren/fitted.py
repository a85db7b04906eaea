"""What a fit of a SIREN returns, and the size that it is asked to meet; NumPy only, so that encoders know it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Fitted:
    """A fitted network, not yet quantized."""

    weights: list[NDArray[np.float32]]
    """Kernels and biases as `Architecture.shapes` lists them."""
    steps: list[float]
    """Quantization step that each tensor was trained for."""
    psnr_db: float
    """PSNR of the rounded network, over the pixels of the last steps."""
    rate_bits: float
    """Estimated length of the coded weights."""
    differences: list[bool]
    """Whether each tensor was trained to be stored as differences from its initial weights."""


@dataclass(frozen=True)
class Budget:
    """A size for the coded weights."""

    bytes: int
    coded_bytes: Callable[[Fitted], int]
    """Measures what a network's weights take now."""
