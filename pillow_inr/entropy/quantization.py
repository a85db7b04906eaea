"""Float weights <-> integer symbols at a quantization step that an integer index names; knows no entropy model."""

import math

import numpy as np
from numpy.typing import NDArray

# Step index k means (8 + k % 8) * 2 ** (k // 8 - 29): eight steps an octave, 1.5e-8 to 60, each exact in binary.
STEP_INDEX_MAX = 255
_STEPS_PER_OCTAVE = 8
_SMALLEST_EXPONENT = -29
SYMBOL_MAX = 32767
_NONE = np.float32(0)


def step_size(index: int) -> float:
    """The quantization step that a step index in 0..255 names (docs/format.md section 4)."""
    octave, fraction = divmod(index, _STEPS_PER_OCTAVE)
    return math.ldexp(_STEPS_PER_OCTAVE + fraction, octave + _SMALLEST_EXPONENT)


def step_index(step: float) -> int:
    """Index of the step size nearest to `step` > 0, clipped to the range of the table."""
    mantissa, exponent = math.frexp(step)  # mantissa in 0.5..1, so twice the steps span 8..16
    eighths = round(mantissa * 2 * _STEPS_PER_OCTAVE)
    index = (exponent - 4 - _SMALLEST_EXPONENT) * _STEPS_PER_OCTAVE + eighths - _STEPS_PER_OCTAVE
    return min(max(index, 0), STEP_INDEX_MAX)


def quantize(weights: NDArray[np.float32], step: float, rounding: float = 0.5) -> NDArray[np.int32]:
    """Map weights to integer multiples of the quantization step: the nearest, ties to even, or nearer to zero.

    Args:
        weights: any shape, float32, finite.
        step: width of one bin in weight units, > 0.
        rounding: fraction of a step from which a magnitude is rounded up, 0.5..1.
    Returns:
        Symbols, same shape, int32 in -32767..32767. `dequantize` misses a weight by at most rounding * step, if it
        is below 32767.5 * step.
    Raises:
        ValueError: the step is not positive, or a weight is not finite.
    """
    if not step > 0:
        raise ValueError(f"quantization step must be positive, got {step}")
    if not np.isfinite(weights).all():
        raise ValueError("weights must be finite")
    scaled = weights.astype(np.float64) / step
    # Magnitudes lose what the threshold has above a half, but never change sign.
    shrunk = np.sign(scaled) * np.maximum(np.abs(scaled) - (rounding - 0.5), 0.0)
    symbols: NDArray[np.float64] = np.clip(np.rint(shrunk), -SYMBOL_MAX, SYMBOL_MAX)
    return symbols.astype(np.int32)


def dequantize(
    symbols: NDArray[np.int32], step: float, reference: NDArray[np.float32] | np.float32 = _NONE
) -> NDArray[np.float32]:
    """Weights that symbols stand for: reference + symbol * step, rounded once to float32 (format.md section 4.5)."""
    return (symbols.astype(np.float64) * step + reference).astype(np.float32)
