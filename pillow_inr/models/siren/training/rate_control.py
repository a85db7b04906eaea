"""Steers a fit's coded weights to a given size in bytes.

Knows no image: it reads the rate and moves lambda and the quantization steps.
"""

import math
from typing import Protocol

from ..architecture import Architecture
from ..fitted import Budget, Fitted

# Share of the budget that the rate is steered to: the last optimizer steps move it by a percent, and it must not end
# above the budget.
BUDGET_SHARE = 0.98
# Response of log(lambda) to the logarithm of the relative error of the size, at each call; and bounds of log(lambda).
PROPORTIONAL_GAIN = 4.0
INTEGRAL_GAIN = 0.5
LOG_LAMBDA_SPAN = 7.0
# Share of the missing bits per weight by which quantization steps are refined at each call; its bound; and the schedule
# position where that ends, for weights could not follow later.
REFINE_GAIN = 0.5
REFINE_MAX_BITS = 0.2
REFINE_UNTIL = 0.9
# Coding takes longer than an optimizer step: how often, as part of the schedule, the estimate is compared with real
# bytes.
MEASURE_EVERY = 0.03


class Steered(Protocol):
    """What the control needs of a trainer."""

    architecture: Architecture
    rd_lambda: float

    def refine_quantization(self, bits: float) -> None:
        """Divide all quantization steps by 2^bits."""


class RateControl:
    """Proportional and integral control of lambda by the logarithm of the size.

    With e = log(bits / target), clipped to +-1/2, at each call:
    lambda = lambda_0 exp(INTEGRAL_GAIN * sum(e) + PROPORTIONAL_GAIN * e), the sum bounded by LOG_LAMBDA_SPAN.
    lambda acts through the optimizer, slowly; the quantization steps are moved directly as well.
    """

    def __init__(self, budget: Budget, rd_lambda: float) -> None:
        """Begin at a lambda."""
        self._budget = budget
        self._first_lambda = rd_lambda
        self._integral = 0.0
        self._measured_at = -1.0
        self._correction = 1.0

    def steer(self, trainer: Steered, fitted: Fitted, position: float) -> None:
        """Set lambda, and move the quantization steps, for the calls that follow.

        Args:
            fitted: the network as it is now.
            position: of the schedule, 0..1.
        """
        if position - self._measured_at > MEASURE_EVERY:
            self._measured_at = position
            self._correction = 8 * self._budget.coded_bytes(fitted) / max(fitted.rate_bits, 1.0)
        bits = max(fitted.rate_bits * self._correction, 8.0)
        target = 8 * BUDGET_SHARE * self._budget.bytes
        error = min(max(math.log(bits / target), -0.5), 0.5)
        self._integral = min(max(self._integral + INTEGRAL_GAIN * error, -LOG_LAMBDA_SPAN), LOG_LAMBDA_SPAN)
        trainer.rd_lambda = self._first_lambda * math.exp(self._integral + PROPORTIONAL_GAIN * error)
        if position < REFINE_UNTIL:
            missing = (target - bits) / trainer.architecture.weight_count
            trainer.refine_quantization(min(max(REFINE_GAIN * missing, -REFINE_MAX_BITS), REFINE_MAX_BITS))
