"""Scalar quantization: float weights <-> integer symbols, and the table of steps. Knows no entropy model."""

import math

import numpy as np
from numpy.typing import NDArray

# Step index k means (8 + k % 8) * 2^(k // 8 - 29): eight steps an octave, 1.5e-8 to 60, each exact in binary.
STEP_INDEX_MAX = 255
_STEPS_PER_OCTAVE = 8
_SMALLEST_EXPONENT = -29
SYMBOL_MAX = 32767
_NONE = np.float32(0)


def step_size(index: int) -> float:
    """The quantization step of an index k in 0..255: (8 + k % 8) * 2^(k // 8 - 29).

    Source: docs/format.md section 4.5.

    >>> step_size(144), step_size(145)
    (0.00390625, 0.00439453125)
    """
    octave, fraction = divmod(index, _STEPS_PER_OCTAVE)
    return math.ldexp(_STEPS_PER_OCTAVE + fraction, octave + _SMALLEST_EXPONENT)


def step_index(step: float) -> int:
    """Index of the quantization step nearest to `step` > 0, at most 1/16 off; clipped to the range of the table."""
    mantissa, exponent = math.frexp(step)  # mantissa in 0.5..1, so twice the steps span 8..16
    eighths = round(mantissa * 2 * _STEPS_PER_OCTAVE)
    index = (exponent - 4 - _SMALLEST_EXPONENT) * _STEPS_PER_OCTAVE + eighths - _STEPS_PER_OCTAVE
    return min(max(index, 0), STEP_INDEX_MAX)


def quantize(weights: NDArray[np.float32], step: float, rounding: float = 0.5) -> NDArray[np.int32]:
    """Map weights to integer multiples of the quantization step, with an optional dead zone.

        symbol = sign(w) * rint(max(|w| / step - (rounding - 1/2), 0)),    rint with ties to even

    With rounding = 1/2 this is the nearest multiple; towards 1 it becomes truncation, and the dead zone around 0 widens
    from one step to two. Smaller magnitudes are more frequent, so they cost fewer bits.

    Args:
        weights: any shape, float32, finite.
        step: width of one bin in weight units, > 0.
        rounding: fraction of a step from which a magnitude is rounded up, 0.5..1.
    Returns:
        Symbols, same shape, int32 in -32767..32767. `dequantize` misses a weight by at most rounding * step, if its
        magnitude is below 32767.5 * step.
    Raises:
        ValueError: the step is not positive, or a weight is not finite.
    Source: Sullivan 1996, "Efficient scalar quantization of exponential and Laplacian random variables" (dead zone).

    >>> quantize(np.array([0.55, 0.65, -1.7], np.float32), step=1.0, rounding=0.6).tolist()
    [0, 1, -2]
    """
    if not step > 0:
        raise ValueError(f"quantization step must be positive, got {step}")
    if not np.isfinite(weights).all():
        raise ValueError("weights must be finite")
    scaled = weights.astype(np.float64) / step
    # The maximum with 0 keeps a small weight from changing its sign.
    shrunk = np.sign(scaled) * np.maximum(np.abs(scaled) - (rounding - 0.5), 0.0)
    symbols: NDArray[np.float64] = np.clip(np.rint(shrunk), -SYMBOL_MAX, SYMBOL_MAX)
    return symbols.astype(np.int32)


def dequantize(
    symbols: NDArray[np.int32], step: float, reference: NDArray[np.float32] | np.float32 = _NONE
) -> NDArray[np.float32]:
    """Reconstruct weights: reference + symbol * step, rounded once to float32.

    Args:
        symbols: any shape, int32.
        step: quantization step in weight units.
        reference: the shared initialization's weights, same shape as the symbols; 0 for a network of its own.
    Returns:
        float32, same shape.
    Source: docs/format.md section 4.5.
    """
    return (symbols.astype(np.float64) * step + reference).astype(np.float32)
