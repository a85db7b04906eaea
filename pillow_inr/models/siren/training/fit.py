"""The fit: from an image to a network's weights and their quantization steps, within a schedule or a deadline.

Alone, with `training` and `network`, imports Keras and TensorFlow. Knows no file and no entropy coder: the rate it
trains under is the Laplace model's estimate. The host's random state, thread settings and Keras back end are left
alone.
"""

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from ....encoding.progress import Report
from ....errors import FitError
from ....imaging.metrics import psnr_db
from ....imaging.samples import Samples, Scale
from ....runtime.pool import borrowed
from ....runtime.tensorflow import device_name
from ..architecture import Architecture
from ..fitted import Budget, Fitted
from .trainer import BATCH_PIXELS, WEIGHT_DECAY, Trainer, peak_rate

# Part of the schedule after which weights are rounded in training and the rate counts.
RATE_PHASE_START = 0.05
# Until here tensors may change between being coded as differences from an initialization and being coded whole: a
# change moves every rounded weight, and the rest of the schedule must make good for that.
REFERENCES_FINAL = 0.5
# Fits, each more cautious than the one before, should it diverge.
ATTEMPTS = 3
# Part of the schedule, and steps, after which a fit is broken off for a more cautious one if it has got nowhere.
JUDGED_AT = 0.1
JUDGED_STEPS = 150
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


def fit(
    image: Samples,
    architecture: Architecture,
    *,
    scale: Scale,
    steps: int,
    rd_lambda: float,
    seed: int = 0,
    deadline: float | None = None,
    initial: Sequence[NDArray[np.float32]] | None = None,
    device: str | None = None,
    overhead_bytes: float = 0,
    budget: Budget | None = None,
    report: Report | None = None,
) -> Fitted:
    """Fit a SIREN to an image under mean squared error + rd_lambda * bits per pixel.

    Args:
        image: shape (height, width, channels).
        scale: makes network values of the samples; their mean squared error is the distortion.
        steps: optimizer steps, >= 1; fewer are made when the deadline comes first.
        rd_lambda: lambda; distortion is the mean over samples in 0..1, rate is in bits per pixel.
        deadline: reading of `time.perf_counter` at which the fit ends; the schedule shrinks to what fits before it.
        initial: weights to start from, as `Architecture.shapes` lists them; by default drawn by `seed`.
        device: a TensorFlow device name such as "CPU:0" or "GPU:1"; by default TensorFlow's choice, the first GPU
            when there is one.
        overhead_bytes: what the file will hold beside coded weights; only the reported bits per pixel need it.
        budget: a size for the coded weights, towards which lambda is moved from `rd_lambda`.
        report: called about five times a second.
    Raises:
        BackendError: Keras runs on another back end than TensorFlow, or there is no such device.
        FitError: the fit diverged at each of several learning rates.
    Source: SIREN, Sitzmann et al. 2020; encoding and quantization, Strümpler et al. 2022; Muon, Jordan et al. 2024.
    """
    name = device_name(device)
    with tf.device(name), _borrowed_trainer(image, architecture, name) as trainer:
        rate = peak_rate(architecture.width)
        for attempt in range(ATTEMPTS):
            learning_rate_divisor = 2.0**attempt
            slow, decay = rate / math.sqrt(learning_rate_divisor), WEIGHT_DECAY * learning_rate_divisor
            trainer.start(image, scale, architecture.frequency_ratio, rd_lambda, seed, slow, decay, initial)
            call_steps = trainer.call_steps if budget is None else min(trainer.call_steps, steps // CONTROLS + 1)
            schedule = _Schedule(steps, call_steps, deadline)
            patient = attempt == ATTEMPTS - 1
            fitted = _run(trainer, schedule, patient, overhead_bytes, budget, report)
            if fitted is not None:
                return fitted
    raise FitError(f"the fit diverged {ATTEMPTS} times; try another seed, a smaller width or depth")


# About what a trainer's compiled code takes.
MEGABYTES = 60
# Nothing compiled depends on it.
ANY_FREQUENCY_RATIO = 100


@contextmanager
def _borrowed_trainer(image: Samples, architecture: Architecture, device: str) -> Iterator[Trainer]:
    """A trainer for images like this one, an idle one if there is one."""
    height, width, _ = image.shape
    batch = min(BATCH_PIXELS, _power_of_two_from(height * width))
    longest_side = _power_of_two_from(max(height, width))
    alike = replace(architecture, frequency_ratio=ANY_FREQUENCY_RATIO)
    key = "siren", alike, batch, longest_side, device
    with borrowed(key, MEGABYTES, lambda: Trainer(alike, batch, longest_side, device)) as trainer:
        try:
            yield trainer
        finally:
            trainer.release()


def _power_of_two_from(number: int) -> int:
    """The smallest power of two that is at least `number`."""
    return 1 << (number - 1).bit_length()


def _run(
    trainer: Trainer,
    schedule: "_Schedule",
    patient: bool,
    overhead_bytes: float,
    budget: Budget | None,
    report: Report | None,
) -> Fitted | None:
    """Run the schedule to its end; None when the fit diverged or, unless `patient`, got nowhere."""
    judged = patient
    control = _RateControl(budget, trainer.rd_lambda) if budget else None
    in_rate_phase = False
    mse, rate_bits = math.inf, 0.0
    while schedule.position < 1.0:
        if not in_rate_phase and schedule.position >= RATE_PHASE_START:
            trainer.start_rate_phase()
            in_rate_phase = True
        if in_rate_phase and schedule.position <= max(REFERENCES_FINAL, RATE_PHASE_START):
            trainer.choose_references()
        count, last = schedule.next_call(1.0 if in_rate_phase else RATE_PHASE_START)
        mse, rate_bits = trainer.advance(schedule.step, count, schedule.position, last, in_rate_phase)
        schedule.advance(count, last)
        if trainer.diverged(schedule.step, mse, rate_bits):
            return None
        if not judged and schedule.position >= JUDGED_AT and schedule.step >= JUDGED_STEPS:
            judged = True
            if trainer.has_not_learned(mse):
                return None
        if control is not None and in_rate_phase:
            control.steer(trainer, trainer.result(mse, rate_bits), schedule.position)
        if report is not None:
            bpp = (rate_bits + 8 * overhead_bytes) / trainer.pixels
            report(schedule.step, schedule.expected_steps, psnr_db(mse), bpp)
    return trainer.result(mse, rate_bits)


class _RateControl:
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

    def steer(self, trainer: Trainer, fitted: Fitted, position: float) -> None:
        """Set lambda, and shift the quantization steps, for the steps that follow."""
        if position - self.measured > MEASURE_EVERY:
            self.measured = position
            self.correction = 8 * self.budget.coded_bytes(fitted) / max(fitted.rate_bits, 1.0)
        bits = max(fitted.rate_bits * self.correction, 8.0)
        aim = 8 * BUDGET_AIM * self.budget.bytes
        error = min(max(math.log(bits / aim), -0.5), 0.5)
        self.integral = min(max(self.integral + INTEGRAL_GAIN * error, -RD_LAMBDA_SPAN), RD_LAMBDA_SPAN)
        trainer.rd_lambda = self.usual * math.exp(self.integral + PROPORTIONAL_GAIN * error)
        if position < LAST_PUSH:
            wanting = (aim - bits) / trainer.architecture.weight_count
            trainer.refine_steps(min(max(PUSH_GAIN * wanting, -PUSH_MAX), PUSH_MAX))


class _Schedule:
    """Where the fit stands, 0..1, when both a number of steps and a deadline may end it."""

    def __init__(self, steps: int, call_steps: int, deadline: float | None) -> None:
        self.steps = steps
        self.call_steps = call_steps
        self.deadline = deadline
        self.step = 0
        self.position = 0.0
        self.started = time.perf_counter()

    @property
    def expected_steps(self) -> int:
        """Steps of the whole fit, as far as can be told now."""
        return self.step if self.position >= 1.0 else max(self.step, round(self.step + self._remaining()))

    def _remaining(self) -> float:
        """Steps left: by count, or by the time at the speed so far."""
        by_count = float(max(self.steps - self.step, 1))
        if self.deadline is None or not self.step:
            return by_count
        now = time.perf_counter()
        by_time = (self.deadline - now) * self.step / (now - self.started)
        return min(by_count, max(by_time, 1.0))

    def next_call(self, phase_end: float) -> tuple[int, float]:
        """Steps of the next call, and the position it ends at."""
        left = self._remaining()
        in_phase = max(1, round(left * (phase_end - self.position) / (1.0 - self.position)))
        count = min(self.call_steps, in_phase)
        last = phase_end if count == in_phase else self.position + (1.0 - self.position) * count / left
        return count, last

    def advance(self, count: int, last: float) -> None:
        self.step += count
        self.position = last
