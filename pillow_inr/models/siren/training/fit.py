"""The fit: from an image to a network's weights and their quantization steps, within a schedule or a deadline.

Knows no file and no entropy coder: the rate it trains under is the Laplace model's estimate. The host's random state,
thread settings and Keras back end are left alone.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from ....encoding.progress import Report
from ....encoding.schedule import CallSchedule
from ....errors import FitError
from ....imaging.coordinates import Axis
from ....imaging.metrics import psnr_db
from ....imaging.samples import Samples, Scale
from ....imaging.transparency import Mask
from ....runtime.pool import borrowed
from ....runtime.tensorflow import device_name
from ..architecture import Architecture
from ..fitted import Budget, Fitted
from ..plan import SHARED_CHANNELS, SHARED_PIXELS, SHARED_WIDTH
from .rate_control import RateControl
from .trainer import BATCH_PIXELS, WEIGHT_DECAY, Trainer, megabytes, peak_learning_rate

# Part of the schedule after which weights are rounded in training and the rate counts.
RATE_PHASE_START = 0.05
# Until here tensors may change between being coded as differences from an initialization and being coded whole: a
# change moves every rounded weight, and the rest of the schedule must make good for that.
REFERENCES_FINAL = 0.5
# A fit that diverges is started anew with a lower learning rate, this many times in all.
ATTEMPTS = 3
# Part of the schedule, and number of optimizer steps, after which an attempt that has not learned anything is given up.
JUDGED_AT = 0.1
JUDGED_STEPS = 150
# Least number of calls of a fit with a budget: the rate is steered between calls.
BUDGET_CALLS = 100
# The trainer that narrow networks for small images share (`plan.SHARED_WIDTH`): the longest side that it is compiled
# for, if the image's is not longer, and pixels of an optimizer step.
SHARED_SIDE = 128
SHARED_BATCH = 1024
# The ratio of frequencies in a trainer's key: nothing compiled depends on it.
ANY_FREQUENCY_RATIO = 100


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
    hidden: Mask | None = None,
    axes: tuple[Axis, Axis] | None = None,
    device: str | None = None,
    overhead_bytes: float = 0,
    budget: Budget | None = None,
    report: Report | None = None,
) -> Fitted:
    """Fit a SIREN to an image under mean squared error + rd_lambda * bits per pixel.

    Args:
        image: shape (height, width, channels).
        scale: turns samples into normalized ones, whose mean squared error is the distortion.
        steps: optimizer steps, >= 1; fewer are made when the deadline comes first.
        rd_lambda: lambda, for a distortion that is the mean over samples in 0..1 and a rate in bits per pixel.
        deadline: reading of `time.perf_counter` at which the fit ends; the schedule shrinks to what fits before it.
        initial: weights to start from, as `Architecture.shapes` lists them; by default drawn by `seed`.
        hidden: pixels where anything will do, shape (height, width), not all of them.
        axes: the network's axes whose cells are the image's columns and rows; by default those of a whole image.
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
        for attempt in range(ATTEMPTS):
            divisor = 2.0**attempt
            learning_rate = peak_learning_rate(architecture.width) / math.sqrt(divisor)
            weight_decay = WEIGHT_DECAY * divisor
            trainer.start(
                image, scale, architecture, rd_lambda, seed, learning_rate, weight_decay, initial, hidden, axes
            )
            call_steps = trainer.call_steps if budget is None else min(trainer.call_steps, steps // BUDGET_CALLS + 1)
            schedule = CallSchedule(steps, call_steps, deadline)
            is_last = attempt == ATTEMPTS - 1
            fitted = _run(trainer, schedule, is_last, overhead_bytes, budget, report)
            if fitted is not None:
                return fitted
    raise FitError(f"the fit diverged {ATTEMPTS} times; try another seed, a smaller width or depth")


@contextmanager
def _borrowed_trainer(image: Samples, architecture: Architecture, device: str) -> Iterator[Trainer]:
    """Lend a trainer for images of this kind, for this fit alone."""
    height, width, _ = image.shape
    batch = min(BATCH_PIXELS, _power_of_two_from(height * width))
    longest_side = _power_of_two_from(max(height, width))
    alike = replace(architecture, frequency_ratio=ANY_FREQUENCY_RATIO)
    pads = height * width <= SHARED_PIXELS and alike.width <= SHARED_WIDTH and alike.channels <= SHARED_CHANNELS
    if pads:
        alike = replace(alike, width=SHARED_WIDTH, channels=SHARED_CHANNELS)
        batch, longest_side = SHARED_BATCH, max(longest_side, SHARED_SIDE)
    key = "siren", alike, batch, longest_side, device, pads
    with borrowed(key, megabytes(alike), lambda: Trainer(alike, batch, longest_side, device, pads)) as trainer:
        try:
            yield trainer
        finally:
            trainer.release()


def _power_of_two_from(number: int) -> int:
    """The smallest power of two that is at least `number`."""
    return 1 << (number - 1).bit_length()


def _run(
    trainer: Trainer,
    schedule: CallSchedule,
    is_last: bool,
    overhead_bytes: float,
    budget: Budget | None,
    report: Report | None,
) -> Fitted | None:
    """Run the schedule to its end; None when the fit diverged or, unless this attempt is the last, learned nothing."""
    judged = is_last
    control = RateControl(budget, trainer.rd_lambda) if budget else None
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
