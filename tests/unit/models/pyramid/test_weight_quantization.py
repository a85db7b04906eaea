import numpy as np

from pillow_inr.models.pyramid import latent_coding, structure
from pillow_inr.models.pyramid.latent_coding import WeightResidual, weight_residual_bits
from pillow_inr.models.pyramid.structure import as_floats
from pillow_inr.models.pyramid.training.soap import Tensors
from pillow_inr.models.pyramid.weight_quantization import Cost, quantize_weights

PRESET = 1
BASE = structure.base_weights(PRESET, 0, 3)


def floats() -> Tensors:
    return as_floats(PRESET, BASE)


def quantized(wanted: Tensors, weight: float, lambda_per_bit: float = 1.0) -> dict[str, WeightResidual]:
    """With the squared distance of a network's weights, so many times, as its distortion or its rate's cost."""

    def cost(of_context: bool) -> Cost:
        def distance(weights: Tensors) -> float:
            names = [name for name in wanted if structure.is_context(name) == of_context]
            return weight * sum(float(np.square(wanted[name] - weights[name]).sum()) for name in names)

        return distance

    return quantize_weights(PRESET, wanted, BASE, lambda_per_bit, cost(False), cost(True))


def test_base_weights_need_no_residuals() -> None:
    wanted = floats()
    weight_residuals = quantized(wanted, 1e9)
    assert not any(weight_residual.symbols.any() for weight_residual in weight_residuals.values())


def test_residuals_that_do_not_pay_are_dropped() -> None:
    wanted = floats()
    wanted["s1"] = wanted["s1"] + np.float32(0.01)
    weight_residuals = quantized(wanted, 1e-6)
    assert not any(weight_residual.symbols.any() for weight_residual in weight_residuals.values())


def test_costlier_errors_get_finer_steps() -> None:
    wanted = floats()
    rng = np.random.default_rng(0)
    wanted["s1"] = wanted["s1"] + rng.normal(0, 0.05, wanted["s1"].shape).astype(np.float32)
    exponents, bits = [], []
    for weight in (1e4, 1e6, 1e8):
        weight_residuals = quantized(wanted, weight)
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
    weight_residuals = quantized(wanted, 1.0, 1e-9)
    latent_coding.apply(BASE, weight_residuals)  # checks the limits


def test_each_network_is_measured_by_what_depends_on_it() -> None:
    wanted = floats()
    rng = np.random.default_rng(0)
    for name in ("a2", "s1"):
        wanted[name] = wanted[name] + rng.normal(0, 0.05, wanted[name].shape).astype(np.float32)
    seen: dict[str, set[str]] = {"distortion": set(), "rate": set()}

    def cost(kind: str) -> Cost:
        def measured(weights: Tensors) -> float:
            seen[kind] |= {name for name in wanted if not np.array_equal(weights[name], last[name])}
            last.update(weights)
            return 0.0

        last = dict(as_floats(PRESET, BASE))
        return measured

    quantize_weights(PRESET, wanted, BASE, 1.0, cost("distortion"), cost("rate"))
    assert "a2" in seen["rate"] and "s1" in seen["distortion"]
