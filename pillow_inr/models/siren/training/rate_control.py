"""Steers a fit towards a size in bytes, while it runs."""

import math

from ..fitted import Budget, Fitted
from .trainer import Trainer

# Share of a budget that the rate is steered to: the last steps move it by a percent, and it must not end above.
BUDGET_AIM = 0.98
# Calls that a fit with a budget is divided into at least: the rate is steered between calls.
CONTROLS = 100
# Response of log(lambda) to the logarithm of the relative error of the size, at each call; and its bounds.
PROPORTIONAL_GAIN = 4.0
INTEGRAL_GAIN = 0.5
RD_LAMBDA_SPAN = 7.0
# Part of the bits per weight that are wanting by which steps are refined at each call; its bound; and when that ends.
PUSH_GAIN = 0.5
PUSH_MAX = 0.2
LAST_PUSH = 0.9
# Coding takes longer than a step: how often, as part of the schedule, the estimate is held against real bytes.
MEASURE_EVERY = 0.03


class RateControl:
    """Steers the coded weights to a given size: lambda by proportional and integral control of log(size).

    lambda works through the optimizer, slowly; the quantization steps are pushed the same way directly, except at the
    end, where the weights could not follow.
    """

    def __init__(self, budget: Budget, rd_lambda: float) -> None:
        self.budget = budget
        self.usual = rd_lambda
        self.integral = 0.0
        self.measured = -1.0
        self.correction = 1.0

    def steer(self, trainer: Trainer, fitted: Fitted, progress: float) -> None:
        """Set lambda, and shift the quantization steps, for the steps that follow.

        Args:
            fitted: the network as it is now.
            progress: of the schedule, 0..1.
        """
        if progress - self.measured > MEASURE_EVERY:
            self.measured = progress
            self.correction = 8 * self.budget.coded_bytes(fitted) / max(fitted.rate_bits, 1.0)
        bits = max(fitted.rate_bits * self.correction, 8.0)
        aim = 8 * BUDGET_AIM * self.budget.bytes
        error = min(max(math.log(bits / aim), -0.5), 0.5)
        self.integral = min(max(self.integral + INTEGRAL_GAIN * error, -RD_LAMBDA_SPAN), RD_LAMBDA_SPAN)
        trainer.rd_lambda = self.usual * math.exp(self.integral + PROPORTIONAL_GAIN * error)
        if progress < LAST_PUSH:
            wanting = (aim - bits) / trainer.architecture.weight_count
            trainer.refine_steps(min(max(PUSH_GAIN * wanting, -PUSH_MAX), PUSH_MAX))
