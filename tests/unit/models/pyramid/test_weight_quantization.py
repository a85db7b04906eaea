import numpy as np

from pillow_inr.models.pyramid import latent_coding, structure
from pillow_inr.models.pyramid.latent_coding import weight_residual_bits
from pillow_inr.models.pyramid.structure import as_floats
from pillow_inr.models.pyramid.training.soap import Tensors
from pillow_inr.models.pyramid.training.weight_quantization import quantize_weights

PRESET = 1
BASE = structure.base_weights(PRESET, 0, 3)


def floats() -> Tensors:
    return as_floats(PRESET, BASE)


def distance(wanted: Tensors, weight: float, weights: Tensors) -> float:
    return weight * sum(float(np.square(wanted[name] - weights[name]).sum()) for name in wanted)


def test_base_weights_need_no_residuals() -> None:
    wanted = floats()
    weight_residuals = quantize_weights(PRESET, wanted, BASE, 1.0, lambda weights, _: distance(wanted, 1e9, weights))
    assert not any(weight_residual.symbols.any() for weight_residual in weight_residuals.values())


def test_residuals_that_do_not_pay_are_dropped() -> None:
    wanted = floats()
    wanted["s1"] = wanted["s1"] + np.float32(0.01)
    weight_residuals = quantize_weights(PRESET, wanted, BASE, 1.0, lambda weights, _: distance(wanted, 1e-6, weights))
    assert not any(weight_residual.symbols.any() for weight_residual in weight_residuals.values())


def test_costlier_errors_get_finer_steps() -> None:
    wanted = floats()
    rng = np.random.default_rng(0)
    wanted["s1"] = wanted["s1"] + rng.normal(0, 0.05, wanted["s1"].shape).astype(np.float32)
    exponents, bits = [], []
    for weight in (1e4, 1e6, 1e8):
        weight_residuals = quantize_weights(
            PRESET, wanted, BASE, 1.0, lambda weights, _, weight=weight: distance(wanted, weight, weights)
        )
        exponents.append(weight_residuals["s1"].exponent)
        bits.append(weight_residual_bits(weight_residuals["s1"]))
        rounded = latent_coding.apply(BASE, weight_residuals)
        step = 2.0 ** (weight_residuals["s1"].exponent - structure.PRESETS[PRESET].synthesis_bits)
        assert np.abs(as_floats(PRESET, rounded)["s1"] - wanted["s1"]).max() <= 0.51 * step + 2.0**-14
    assert exponents == sorted(exponents, reverse=True) and len(set(exponents)) == 3
    assert bits == sorted(bits)


def test_weights_beyond_the_format_come_back_within_it() -> None:
    wanted = floats()
    wanted["a1"] = wanted["a1"] + np.float32(1e6)
    weight_residuals = quantize_weights(PRESET, wanted, BASE, 1e-9, lambda weights, _: distance(wanted, 1.0, weights))
    latent_coding.apply(BASE, weight_residuals)  # checks the limits
