"""The fit: from an image to a network's weights and their quantization steps, within a schedule or a deadline.

Alone, with `training` and `network`, imports Keras and TensorFlow. Knows no file and no entropy coder: the rate it
trains under is the Laplace model's estimate. The host's random state, thread settings and Keras back end are left
alone.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from . import training
from .architecture import Architecture
from .errors import BackendError, FitError
from .metrics import psnr_db
from .training import Fitted, Trainer

Report = Callable[[int, int, float, float], object]
"""Called with step, steps, PSNR in dB and estimated bits per pixel."""

# Part of the schedule after which weights are rounded in training and the rate counts.
RATE_PHASE_START = 0.4
# Until here tensors may change between being coded as differences from an initialization and being coded whole: a
# change moves every rounded weight, and the rest of the schedule must make good for that.
REFERENCES_FINAL = 0.5
# Fits at half the rate of the one before, should it diverge.
ATTEMPTS = 3


def fit(
    image: NDArray[np.uint8],
    architecture: Architecture,
    *,
    steps: int,
    rate_weight: float,
    seed: int = 0,
    initial: Sequence[NDArray[np.float32]] | None = None,
    time_limit: float | None = None,
    device: str | None = None,
    overhead_bytes: float = 0,
    report: Report | None = None,
) -> Fitted:
    """Fit a SIREN to an image under mean squared error + rate_weight * bits per pixel.

    Args:
        image: uint8, shape (height, width, channels).
        steps: optimizer steps, >= 1; fewer are made when `time_limit` ends first.
        rate_weight: lambda; distortion is the mean over samples in 0..1, rate is in bits per pixel.
        initial: weights to start from, as `Architecture.shapes` lists them; by default drawn by `seed`.
        time_limit: seconds for the whole call; the schedule shrinks to what fits into them.
        device: a TensorFlow device name such as "CPU:0" or "GPU:1"; by default TensorFlow's choice, the first GPU
            when there is one.
        overhead_bytes: what the file will hold beside coded weights; only the reported bits per pixel need it.
        report: called about five times a second.
    Raises:
        BackendError: Keras runs on another back end than TensorFlow, or there is no such device.
        FitError: the fit diverged at each of several learning rates.
    Source: SIREN, Sitzmann et al. 2020; encoding and quantization, Strümpler et al. 2022; Muon, Jordan et al. 2024.
    """
    deadline = None if time_limit is None else time.perf_counter() + time_limit
    with tf.device(device_name(device)), _borrowed_trainer(image, architecture, device) as trainer:
        for attempt in range(ATTEMPTS):
            trainer.start(image, rate_weight, seed, training.MUON_RATE / 2**attempt, initial)
            fitted = _run(trainer, steps, deadline, overhead_bytes, report)
            if fitted is not None:
                return fitted
    raise FitError(f"the fit diverged {ATTEMPTS} times; try another seed, a smaller width or depth")


# Trainers that no fit is using, oldest first. A trainer serves all images of its shape; a dict's own operations are
# atomic, so that fits in several threads never share one.
_idle: dict[tuple[Architecture, int, int, str | None], Trainer] = {}
IDLE_MAX = 8


@contextmanager
def _borrowed_trainer(image: NDArray[np.uint8], architecture: Architecture, device: str | None) -> Iterator[Trainer]:
    """A trainer for images like this one, an idle one if there is one."""
    height, width, _ = image.shape
    batch = min(training.BATCH_PIXELS, _power_of_two_from(height * width))
    longest_side = _power_of_two_from(max(height, width))
    key = architecture, batch, longest_side, device
    trainer = _idle.pop(key, None) or Trainer(architecture, batch, longest_side)
    try:
        yield trainer
    finally:
        trainer.release()
        _idle[key] = trainer
        for old in list(_idle)[:-IDLE_MAX]:
            _idle.pop(old, None)


def _power_of_two_from(number: int) -> int:
    """The smallest power of two that is at least `number`."""
    return 1 << (number - 1).bit_length()


def device_name(device: str | None) -> str | None:
    """TensorFlow's name of a device, once it is sure that a network can be fitted here at all.

    Raises:
        BackendError: it cannot, or there is no such device.
    """
    if keras.backend.backend() != "tensorflow":
        raise BackendError(
            f"pillow_inr fits on Keras's TensorFlow back end, but Keras runs on {keras.backend.backend()!r}: "
            "set KERAS_BACKEND=tensorflow before Keras is first imported"
        )
    if not tf.executing_eagerly() or tf.distribute.has_strategy():
        raise BackendError("a network cannot be fitted inside a TensorFlow graph, function or distribution strategy")
    if device is None:
        return None
    names = [logical.name for logical in tf.config.list_logical_devices()]
    wanted = device.upper().removeprefix("/").removeprefix("DEVICE:")
    wanted = wanted if ":" in wanted else f"{wanted}:0"
    for name in names:
        if name.upper() == f"/DEVICE:{wanted}":
            return str(name)
    known = ", ".join(name.removeprefix("/device:") for name in names)
    raise BackendError(f"device {device!r} is not one that TensorFlow sees here: {known}")


def _run(
    trainer: Trainer, steps: int, deadline: float | None, overhead_bytes: float, report: Report | None
) -> Fitted | None:
    """Run the schedule to its end; None when the fit diverged."""
    schedule = _Schedule(steps, trainer.call_steps, deadline)
    in_rate_phase = False
    outcome = None
    while schedule.position < 1.0:
        if not in_rate_phase and schedule.position >= RATE_PHASE_START:
            trainer.start_rate_phase()
            in_rate_phase = True
        if in_rate_phase and schedule.position <= max(REFERENCES_FINAL, RATE_PHASE_START):
            trainer.choose_references()
        count, last = schedule.next_call(1.0 if in_rate_phase else RATE_PHASE_START)
        outcome = trainer.advance(schedule.step, count, schedule.position, last, in_rate_phase)
        schedule.advance(count, last)
        mse, rate_bits = outcome
        if trainer.diverged(schedule.step, mse):
            return None
        if report is not None:
            bpp = (rate_bits + 8 * overhead_bytes) / trainer.pixels
            report(schedule.step, schedule.expected_steps, psnr_db(mse), bpp)
    assert outcome is not None
    return trainer.result(*outcome)


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
        by_count = (1.0 - self.position) * self.steps
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
