"""A fitted pyramid's networks -> weight residuals, with the quantization steps of least distortion + lambda * rate.

Knows the bits of weight residuals; distortion and rate of the image come from the `cost` callback.
"""

import math
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from ...entropy.quantization import SYMBOL_MAX
from . import structure
from .latent_coding import WeightResidual, weight_residual_bits

Tensors = dict[str, NDArray[np.float32]]
Cost = Callable[[Tensors], float]
"""Of networks with these weights, float32."""

# Binary logarithms of the first quantization steps.
CONTEXT_STEP = -6
SYNTHESIS_STEP = -9
EXPONENT_MAX = 15
# Part of a step by which differences are also tried smaller before they are rounded.
DEAD_ZONE = 0.2


def quantize_weights(
    preset: int,
    weights: Tensors,
    base: structure.Tensors,
    lambda_per_bit: float,
    distortion: Cost,
    rate_cost: Cost,
    factors: Mapping[str, float] | None = None,
) -> dict[str, WeightResidual]:
    """Choose each tensor's quantization step, one tensor after another; coarsest is to store no weight residuals.

    Args:
        preset: index into `structure.PRESETS`.
        weights: as trained, float32; shapes as `structure.shapes` lists them.
        base: the base weights, as `structure.base_weights` gives them.
        lambda_per_bit: squared error that a bit is worth.
        distortion: squared error of the image, which depends on the synthesis network alone; called about four times
            for each of its tensors.
        rate_cost: lambda times the bits of the symbols, which depend on the context network alone; as often.
        factors: what the first quantization step of some tensors is multiplied by.
    Returns:
        Of every tensor.
    """
    wanted = {name: _integers(preset, name, weights[name]) - base[name] for name in base}
    weight_residuals = {
        name: _weight_residual(wanted[name], _first_exponent(preset, name, factors or {})) for name in base
    }

    def rounded_to(name: str, weight_residual: WeightResidual) -> Tensors:
        return structure.as_floats(preset, {name: weight_residual.added_to(base[name])})

    rounded = structure.as_floats(preset, {name: weight_residuals[name].added_to(base[name]) for name in base})
    for name in base:

        def total(weight_residual: WeightResidual, name: str = name) -> float:
            changed = {**rounded, **rounded_to(name, weight_residual)}
            cost = rate_cost if structure.is_context(name) else distortion
            return cost(changed) + lambda_per_bit * weight_residual_bits(weight_residual)

        weight_residuals[name] = _best(wanted[name], weight_residuals[name], total)
        rounded.update(rounded_to(name, weight_residuals[name]))
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
    # Small differences are worth less than their bits.
    thinned = _weight_residual(wanted, best.exponent, DEAD_ZONE)
    if best.symbols.any() and (measured := total(thinned)) < least:
        best, least = thinned, measured
    none = WeightResidual(0, np.zeros_like(first.symbols))
    return none if best.symbols.any() and total(none) <= least else best


def _first_exponent(preset: int, name: str, factors: Mapping[str, float]) -> int:
    step = CONTEXT_STEP if structure.is_context(name) else SYNTHESIS_STEP
    finer = round(math.log2(factors.get(name, 1.0)))
    return max(0, step + finer + structure.fraction_bits(preset, name))


def _weight_residual(wanted: NDArray[np.int64], exponent: int, dead_zone: float = 0.0) -> WeightResidual:
    """Differences in steps of 2^exponent, rounded to the nearest, or towards 0 if they are up to dead_zone larger."""
    steps = np.ldexp(wanted.astype(np.float64), -exponent)
    symbols = np.sign(steps) * np.maximum(np.rint(np.abs(steps) - dead_zone), 0.0)
    return WeightResidual(exponent, np.clip(symbols, -SYMBOL_MAX, SYMBOL_MAX).astype(np.int32))


def _integers(preset: int, name: str, weights: NDArray[np.float32]) -> NDArray[np.int64]:
    """Nearest integers of a tensor, within half of the file's limit, for rounding to a quantization step may add."""
    most = structure.limit(name) // 2
    scaled = np.ldexp(weights.astype(np.float64), structure.fraction_bits(preset, name))
    return np.clip(np.rint(scaled), -most, most).astype(np.int64)
