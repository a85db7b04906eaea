"""How learning rates, temperature and noise of a pyramid's fit go with lambda and from its first step to its last."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..structure import LEVELS
from .passes import Step

# Part of the schedule that trains networks and latents together; the rest trains networks on rounded latents.
JOINT = 0.95
# Learning rates at the beginning; half a cosine takes them down to FINAL_LEARNING_RATE times that. For the networks:
NETWORK_LEARNING_RATE = 1e-2
# A coarser grid's latents have LATENT_GROWTH times the learning rate of the next finer one's.
LATENT_GROWTH = 1.3
# It goes with this power of lambda: at a higher lambda symbols are smaller (docs/experiments.md section 11).
LATENT_LEARNING_RATE_POWER = -0.42
FINAL_LEARNING_RATE = 0.01
# The networks' learning rate rises to the usual one over this part of the joint part: base weights fit latents that
# are not there yet.
NETWORK_WARMUP = 0.2
# Below this lambda symbols grow with the root of lambda, and steps of weights that they are multiplied by shrink; the
# latents' learning rate grows no further (docs/experiments.md section 20).
LARGE_SYMBOLS_RD_LAMBDA = 2.5e-4
SYMBOL_WEIGHTS = ("a1", "as", "s1", "ss")
# The networks' learning rate on rounded latents, relative to NETWORK_LEARNING_RATE; it falls linearly to 0.
TUNING_LEARNING_RATE = 0.02
# Adam's beta1 and beta2 for latents. In so few optimizer steps, a longer memory makes latents oscillate about rounding
# thresholds, which costs a tenth of the rate and more (docs/experiments.md section 11).
ADAM = (0.7, 0.92)
# Temperature of soft rounding, and standard deviation of the noise in symbols, at the beginning and at the end of the
# joint part (Cool-chic 5).
TEMPERATURES = (0.35, 0.08)
DEVIATIONS = (0.22, 0.15)


class Beginning(NamedTuple):
    """How a fit begins."""

    position: float
    """Where in the course of learning rates, temperature and noise, 0..1."""
    latent_learning_rate: float
    """At position 0, for latents of the finest grid, in symbols, at lambda 1e-3."""
    damping: float
    """How much of the grid's mean gradient is added to what Adam divides each latent's step by: settled latents, whose
    gradients are small, then move less."""

    def course(self, position: float) -> float:
        """Position in the whole course of a position in the joint part."""
        return self.position + (1.0 - self.position) * position


USUAL = Beginning(0.0, 0.2, 0.0)
# Latents of the analysis network are good: the usual beginning would lose that (docs/experiments.md sections 23, 24).
ANALYSED = Beginning(0.5, 0.1, 1.0)
# In fewer steps than these a fit that begins at ANALYSED's position ends worse than what it began with.
BRIEF_STEPS = 20
BRIEF_POSITION = 0.7


def analysed(steps: int) -> Beginning:
    """How a fit of a number of optimizer steps begins with what the analysis network found."""
    return ANALYSED._replace(position=BRIEF_POSITION) if steps < BRIEF_STEPS else ANALYSED


def latent_learning_rates(rd_lambda: float, at_1e3: float) -> list[float]:
    """Adam's first learning rate for each grid, finest first, in symbols.

    Args:
        rd_lambda: lambda of the loss.
        at_1e3: that of the finest grid at lambda 1e-3.
    """
    usual = max(rd_lambda, LARGE_SYMBOLS_RD_LAMBDA)
    finest = at_1e3 * math.pow(usual / 1e-3, LATENT_LEARNING_RATE_POWER)
    return [finest * LATENT_GROWTH**level for level in range(LEVELS)]


def network_factors(rd_lambda: float) -> dict[str, float]:
    """What the networks' learning rate is multiplied by, for tensors that need a smaller one."""
    factor = math.sqrt(rd_lambda / LARGE_SYMBOLS_RD_LAMBDA)
    return dict.fromkeys(SYMBOL_WEIGHTS, factor) if factor < 1 else {}


def pace(position: float) -> float:
    """Part of the first learning rate: half a cosine from 1 to f = FINAL_LEARNING_RATE (Loshchilov and Hutter 2017).

    f + (1 - f) (1 + cos(pi p)) / 2 at position p.

    Args:
        position: in the joint part, 0..1.
    """
    return FINAL_LEARNING_RATE + (1.0 - FINAL_LEARNING_RATE) * 0.5 * (1.0 + math.cos(math.pi * position))


def network_learning_rate(position: float, beginning: Beginning) -> float:
    """Learning rate of the networks at a position in the joint part: the base weights wait for the latents."""
    return NETWORK_LEARNING_RATE * pace(beginning.course(position)) * min(1.0, position / NETWORK_WARMUP)


def tuning_learning_rate(position: float) -> float:
    """Learning rate of the networks on rounded latents, at a position in the whole schedule, JOINT..1."""
    return NETWORK_LEARNING_RATE * TUNING_LEARNING_RATE * (1.0 - position) / (1.0 - JOINT)


def joint_step(
    beginning: Beginning,
    latent_rates: Sequence[float],
    position: float,
    step: int,
    lambda_per_bit: float,
    offsets: NDArray[np.int32],
) -> Step:
    """Inputs of an optimizer step of the joint part.

    Args:
        beginning: of the fit.
        latent_rates: first learning rates, as `latent_learning_rates`.
        position: in the joint part, 0..1.
        step: its index, from 0.
        lambda_per_bit: squared error, summed over samples, that a bit is worth.
        offsets: where in the pool each tile's noise begins, shape (tiles,).
    """
    course = beginning.course(position)
    return Step(
        temperature=np.float32(_between(TEMPERATURES, course)),
        deviation=np.float32(_between(DEVIATIONS, course)),
        learning_rates=np.asarray(np.array(latent_rates) * pace(course), np.float32),
        damping=np.float32(beginning.damping),
        decays=np.array([*ADAM, *(decay ** (step + 1) for decay in ADAM)], np.float32),
        lambda_per_bit=np.float32(lambda_per_bit),
        offsets=offsets,
    )


def _between(ends: tuple[float, float], position: float) -> float:
    return ends[0] + (ends[1] - ends[0]) * position
