"""A fitted pyramid's networks -> weight residuals, with the quantization steps of least distortion + lambda * rate.

Knows the bits of weight residuals; distortion and rate of the image come from the `cost` callback.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ....entropy.quantization import SYMBOL_MAX
from .. import structure
from ..latent_coding import WeightResidual, weight_residual_bits
from ..structure import as_floats
from .soap import Tensors

Cost = Callable[[Tensors], float]
"""Weights as float32 -> squared error of the image + lambda times the bits of its symbols."""

# First exponents: quantization steps of 2^-6 in the context model and of 2^-9 in synthesis.
CONTEXT_EXPONENT = 6
SYNTHESIS_EXPONENT = 5
EXPONENT_MAX = 15


def quantize_weights(
    weights: Tensors, base: structure.Tensors, lambda_per_bit: float, cost: Cost
) -> dict[str, WeightResidual]:
    """Choose each tensor's quantization step, one tensor after another; coarsest is to store no weight residuals.

    Args:
        weights: as trained, float32; shapes as `structure.shapes` lists them.
        base: the base weights, as `structure.base_weights` gives them.
        lambda_per_bit: squared error that a bit is worth.
        cost: measures weights; called about four times for each tensor.
    """
    wanted = {name: _integers(name, weights[name]) - base[name] for name in base}
    weight_residuals = {name: _weight_residual(wanted[name], _first_exponent(name)) for name in base}
    rounded = {name: as_floats(name, weight_residuals[name].added_to(base[name])) for name in base}
    for name in base:

        def total(weight_residual: WeightResidual, name: str = name) -> float:
            changed = {**rounded, name: as_floats(name, weight_residual.added_to(base[name]))}
            return cost(changed) + lambda_per_bit * weight_residual_bits(weight_residual)

        weight_residuals[name] = _best(wanted[name], weight_residuals[name], total)
        rounded[name] = as_floats(name, weight_residuals[name].added_to(base[name]))
    return weight_residuals


def _best(wanted: NDArray[np.int64], first: WeightResidual, total: Callable[[WeightResidual], float]) -> WeightResidual:
    """Coarser or else finer quantization steps than the first while the total falls; no residuals if that is less."""
    best, least = first, total(first)
    for direction in (1, -1):
        exponent = first.exponent + direction
        while 0 <= exponent <= EXPONENT_MAX and best.symbols.any():
            weight_residual = _weight_residual(wanted, exponent)
            measured = total(weight_residual)
            if measured >= least:
                break
            best, least = weight_residual, measured
            exponent += direction
        if best is not first:
            break
    none = WeightResidual(0, np.zeros_like(first.symbols))
    return none if best.symbols.any() and total(none) <= least else best


def _first_exponent(name: str) -> int:
    return CONTEXT_EXPONENT if structure.is_context(name) else SYNTHESIS_EXPONENT


def _weight_residual(wanted: NDArray[np.int64], exponent: int) -> WeightResidual:
    symbols = np.clip(np.rint(np.ldexp(wanted.astype(np.float64), -exponent)), -SYMBOL_MAX, SYMBOL_MAX)
    return WeightResidual(exponent, symbols.astype(np.int32))


def _integers(name: str, weights: NDArray[np.float32]) -> NDArray[np.int64]:
    """Nearest integers of a tensor, within half of the file's limit, for rounding to a quantization step may add."""
    most = structure.limit(name) // 2
    scaled = np.ldexp(weights.astype(np.float64), structure.fraction_bits(name))
    return np.clip(np.rint(scaled), -most, most).astype(np.int64)
