"""The control that steers coded weights to a size, on a trainer that only notes what it is told."""

import math

import numpy as np
import pytest

from pillow_inr.models.siren.architecture import Architecture
from pillow_inr.models.siren.fitted import Budget, Fitted
from pillow_inr.models.siren.training import rate_control
from pillow_inr.models.siren.training.rate_control import BUDGET_SHARE, MEASURE_EVERY, REFINE_MAX_BITS, RateControl

SMALL = Architecture(width=8, depth=2, channels=3, frequencies=8, frequency_ratio=150)


class FakeTrainer:
    """What the rate control moves."""

    def __init__(self, rd_lambda: float) -> None:
        self.rd_lambda = rd_lambda
        self.architecture = SMALL
        self.refined: list[float] = []

    def refine_quantization(self, bits: float) -> None:
        self.refined.append(bits)


def _fitted(rate_bits: float) -> Fitted:
    return Fitted([], [], 30.0, rate_bits, [])


def _control(budget_bytes: int = 1000, coded_share: float = 1.0) -> tuple[RateControl, FakeTrainer, list[float]]:
    """A control whose coder takes this share of the estimate, its trainer, and the estimates that were coded."""
    coded: list[float] = []

    def coded_bytes(fitted: Fitted) -> int:
        coded.append(fitted.rate_bits)
        return round(coded_share * fitted.rate_bits / 8)

    return RateControl(Budget(budget_bytes, coded_bytes), 1e-3), FakeTrainer(1e-3), coded


def test_too_many_bits_raise_lambda_and_coarsen_the_steps() -> None:
    control, trainer, _ = _control()
    control.steer(trainer, _fitted(8 * 1200), 0.3)
    assert trainer.rd_lambda > 1e-3
    assert -REFINE_MAX_BITS <= trainer.refined[0] < 0
    once = trainer.rd_lambda
    control.steer(trainer, _fitted(8 * 1200), 0.31)
    assert trainer.rd_lambda > once  # the integral grows


def test_too_few_bits_lower_lambda_and_refine_the_steps() -> None:
    control, trainer, _ = _control()
    control.steer(trainer, _fitted(8 * 800), 0.3)
    assert trainer.rd_lambda < 1e-3
    assert 0 < trainer.refined[0] <= REFINE_MAX_BITS


def test_a_size_just_below_the_budget_is_left_as_it_is() -> None:
    control, trainer, _ = _control()
    control.steer(trainer, _fitted(8 * 1000 * BUDGET_SHARE), 0.3)
    assert BUDGET_SHARE < 1
    assert trainer.rd_lambda == pytest.approx(1e-3)
    assert trainer.refined[0] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("rate_bits", [0.0, 1e9])
def test_lambda_and_refinements_are_bounded(rate_bits: float) -> None:
    control, trainer, _ = _control()
    for _ in range(1000):
        control.steer(trainer, _fitted(rate_bits), 0.5)
    span = math.exp(rate_control.LOG_LAMBDA_SPAN + rate_control.PROPORTIONAL_GAIN / 2)
    assert 1e-3 / span * 0.999 <= trainer.rd_lambda <= 1e-3 * span * 1.001
    assert max(map(abs, trainer.refined)) <= REFINE_MAX_BITS
    # It comes back: the integral has not run away.
    for _ in range(60):
        control.steer(trainer, _fitted(8e4 if rate_bits == 0 else 80.0), 0.6)
    assert (trainer.rd_lambda > 1e-3) == (rate_bits == 0)


def test_steps_are_left_alone_at_the_end() -> None:
    control, trainer, _ = _control()
    control.steer(trainer, _fitted(8 * 1200), rate_control.REFINE_UNTIL)
    assert trainer.refined == []
    assert trainer.rd_lambda > 1e-3


def test_real_bytes_count_and_are_measured_now_and_then() -> None:
    control, trainer, coded = _control(coded_share=0.9)
    positions = np.linspace(0.05, 0.99, 200)
    for position in positions:
        control.steer(trainer, _fitted(8 * 1000 * BUDGET_SHARE / 0.9), position)
    assert trainer.rd_lambda == pytest.approx(1e-3, rel=0.02)
    assert 0.9 / MEASURE_EVERY / 2 <= len(coded) <= 1 / MEASURE_EVERY + 1
