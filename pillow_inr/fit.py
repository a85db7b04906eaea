"""The training loop: from an image to a network's weights and their quantization steps.

Alone, with `network`, imports Keras and TensorFlow. Knows no file and no entropy coder: the rate it trains under is
the Laplace model's estimate. The host's random state, thread settings and Keras back end are left alone.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from .architecture import Architecture
from .errors import BackendError, FitError
from .metrics import psnr_db
from .network import build_model
from .pixels import LEVELS, axis_coordinates, encode_axis

Report = Callable[[int, int, float, float], object]
"""Called with step, steps, PSNR in dB and estimated bits per pixel."""

# Pixels a step sees. Half of it trains noisier for the same time, twice as many takes half the steps: -0.1 to -0.3 dB
# either way at 10 s.
BATCH_PIXELS = 16384
# Muon's rate on all matrices but the output layer's, and its decoupled weight decay. Muon's updates have one size
# whatever the gradient's: without decay the hidden matrices grow until the network is chaotic, and a screenshot stops
# at 17 dB where decay reaches 41 dB; on photographs decay 0 to 4 makes no difference beyond 0.1 dB at equal bytes.
MUON_RATE = 5e-3
WEIGHT_DECAY = 3.0
# Rate of Adam on biases and the output layer, relative to Muon's.
ADAM_RATIO = 0.5
WARMUP_STEPS = 30
# Where the schedule ends, relative to its peak.
FINAL_RATE = 0.001
# Part of the schedule after which weights are rounded in training and the rate counts.
RATE_PHASE_START = 0.4
# First quantization step of a tensor relative to the standard deviation of its weights.
INITIAL_STEP = 0.15
# The same for the first layer of plain coordinates, relative to the others: its weights are frequencies, and an error
# in them shifts the phase by radians at the image's border.
PLAIN_FIRST_STEP = 0.1
# Adam's rate on log steps and log scales.
STEP_RATE = 5e-3
# Work of one call of the compiled function, in multiply-adds: about 0.2 s on 4 cores. Fixed, not timed, so that a
# fit is repeatable.
CALL_WORK = 2.5e10
CALL_STEPS_MAX = 50
ATTEMPTS = 3


@dataclass(frozen=True)
class Fitted:
    """A fitted network, not yet quantized."""

    weights: list[NDArray[np.float32]]
    """Kernels and biases as `Architecture.shapes` lists them."""
    steps: list[float]
    """Quantization step each tensor was trained for."""
    psnr_db: float
    """Of the rounded network, over the pixels of the last steps."""
    rate_bits: float
    """Estimated length of the coded weights."""


def fit(
    image: NDArray[np.uint8],
    architecture: Architecture,
    *,
    steps: int,
    rate_weight: float,
    seed: int = 0,
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
    with tf.device(_device_name(device)):
        deadline = None if time_limit is None else time.perf_counter() + time_limit
        for attempt in range(ATTEMPTS):
            trainer = _Trainer(image, architecture, rate_weight, seed, MUON_RATE / 2**attempt)
            fitted = _run(trainer, steps, deadline, overhead_bytes, report)
            if fitted is not None:
                return fitted
    raise FitError(f"the fit diverged {ATTEMPTS} times; try another seed, a smaller width or depth")


def _device_name(device: str | None) -> str | None:
    if keras.backend.backend() != "tensorflow":
        raise BackendError(
            f"pillow_inr fits on Keras's TensorFlow back end, but Keras runs on {keras.backend.backend()!r}: "
            "set KERAS_BACKEND=tensorflow before Keras is first imported"
        )
    if device is None:
        return None
    names = [logical.name for logical in tf.config.list_logical_devices()]
    wanted = device.upper() if ":" in device else f"{device.upper()}:0"
    for name in names:
        if name.upper().endswith(wanted.removeprefix("/")):
            return str(name)
    known = ", ".join(name.removeprefix("/device:") for name in names)
    raise BackendError(f"device {device!r} is not one that TensorFlow sees here: {known}")


def _run(
    trainer: "_Trainer", steps: int, deadline: float | None, overhead_bytes: float, report: Report | None
) -> Fitted | None:
    """Run the schedule to its end; None when the fit diverged."""
    trainer.compile()
    schedule = _Schedule(steps, trainer.call_steps, deadline)
    in_rate_phase = False
    outcome = None
    while schedule.position < 1.0:
        if not in_rate_phase and schedule.position >= RATE_PHASE_START:
            trainer.start_rate_phase()
            in_rate_phase = True
        count, last = schedule.next_call(1.0 if in_rate_phase else RATE_PHASE_START)
        outcome = trainer.advance(schedule.step, count, schedule.position, last, in_rate_phase)
        schedule.advance(count, last)
        mse, rate_bits = outcome
        if not math.isfinite(mse) or mse > trainer.divergence_mse(schedule.step):
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


class _Trainer:
    """The network, the optimizers and the compiled functions that advance them."""

    def __init__(
        self, image: NDArray[np.uint8], architecture: Architecture, rate_weight: float, seed: int, rate: float
    ) -> None:
        height, width, self.channels = image.shape
        self.size = width, height
        self.pixels = width * height
        self.plain = architecture.frequencies == 0
        self.rate_weight = rate_weight
        self.rate = rate
        self.batch = min(BATCH_PIXELS, self.pixels)
        runs = np.arange(self.batch + 1) * self.pixels // self.batch
        self.run_starts = tf.constant(runs[:-1], tf.int32)
        self.run_lengths = tf.constant(np.diff(runs), tf.float32)
        self.call_steps = max(1, min(CALL_STEPS_MAX, int(CALL_WORK / (self.batch * 3 * architecture.weight_count))))
        self.image = tf.constant(image.reshape(-1, self.channels))
        self.features = [
            tf.constant(
                encode_axis(axis_coordinates(length, max(self.size)), architecture.frequencies, architecture.growth)
            )
            for length in self.size
        ]
        sample = image.reshape(-1, self.channels)[:: max(1, self.pixels // 65536)].astype(np.float32) / LEVELS
        self.variance = float(sample.var(axis=0).mean())
        model = build_model(architecture, seed)
        model.layers[-1].bias.assign(sample.mean(axis=0))
        self.body = keras.Sequential([keras.Input((2 * architecture.axis_features,)), *model.layers[1:]])
        self.weights = self.body.trainable_variables
        self.seed = seed
        self._build_optimizers(architecture)

    def _build_optimizers(self, architecture: Architecture) -> None:
        tensors = len(self.weights)
        self.log_steps = keras.Variable(np.zeros(tensors, np.float32), name="log_steps")
        self.log_scales = keras.Variable(np.zeros(tensors, np.float32), name="log_scales")
        # Muon is for matrices that mix many inputs into many outputs; plain coordinates are two inputs.
        small = ["output", "sine_0"] if self.plain else ["output"]
        self.optimizer = keras.optimizers.Muon(
            learning_rate=self.rate,
            exclude_layers=small,
            adam_lr_ratio=ADAM_RATIO,
            adam_beta_2=0.99,
            weight_decay=WEIGHT_DECAY,
            adam_weight_decay=None,
            rms_rate=None,
        )
        self.optimizer.build(self.weights)
        self.step_optimizer = keras.optimizers.Adam(STEP_RATE, beta_2=0.99)
        self.step_optimizer.build([self.log_steps, self.log_scales])

    def compile(self) -> None:
        """Build both compiled functions before the clock of the schedule starts."""
        for in_rate_phase in (False, True):
            self.advance(0, 0, 0.0, 0.0, in_rate_phase)

    def divergence_mse(self, step: int) -> float:
        """Mean squared error above which a fit has gone wrong: worse than the best constant, warm-up over."""
        return math.inf if step < 4 * WARMUP_STEPS else 1.5 * self.variance + 1e-3

    def start_rate_phase(self) -> None:
        """Choose the first quantization steps and Laplace scales from the weights as they are."""
        log_steps, log_scales = self._initial_quantizers()
        self.log_steps.assign(log_steps)
        self.log_scales.assign(log_scales)

    def _initial_quantizers(self) -> tuple[tf.Tensor, tf.Tensor]:
        # A bias tensor is small and each of its weights moves a whole unit: half the step.
        ratio = [INITIAL_STEP * (1.0 if len(weight.shape) == 2 else 0.5) for weight in self.weights]
        if self.plain:
            ratio[:2] = [PLAIN_FIRST_STEP * step for step in ratio[:2]]
        deviation = tf.stack([tf.sqrt(tf.reduce_mean(tf.square(weight)) + 1e-12) for weight in self.weights])
        log_steps = tf.math.log(deviation * tf.constant(ratio, tf.float32))
        # Mean magnitude of normally distributed weights: 0.8 standard deviations.
        return log_steps, tf.math.log(0.8 / tf.constant(ratio, tf.float32))

    def advance(self, step: int, count: int, first: float, last: float, in_rate_phase: bool) -> tuple[float, float]:
        """Make `count` steps, going from schedule position `first` to `last`.

        Returns:
            Mean squared error over these steps, and the rate in bits at their end.
        """
        function = self._rate_steps if in_rate_phase else self._float_steps
        mse, rate_bits = function(
            self.image,
            tf.constant(step),
            tf.constant(count),
            tf.constant(first, tf.float32),
            tf.constant((last - first) / max(count, 1), tf.float32),
        )
        return float(mse), float(rate_bits)

    @tf.function(jit_compile=True)  # type: ignore[untyped-decorator]
    def _float_steps(
        self, image: tf.Tensor, step: tf.Tensor, count: tf.Tensor, first: tf.Tensor, pace: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        total = tf.constant(0.0)
        index = tf.constant(0)
        # Not `for index in tf.range(count)`: XLA would compile the loop anew for every count.
        while index < count:
            self._set_rates(step + index, first + pace * tf.cast(index, tf.float32))
            with tf.GradientTape() as tape:
                mse = self._distortion(image, step + index, self.weights)
            self.optimizer.apply(tape.gradient(mse, self.weights), self.weights)
            total += mse
            index += 1
        log_steps, log_scales = self._initial_quantizers()
        return total / tf.cast(count, tf.float32), self._quantized(log_steps, log_scales)[1]

    @tf.function(jit_compile=True)  # type: ignore[untyped-decorator]
    def _rate_steps(
        self, image: tf.Tensor, step: tf.Tensor, count: tf.Tensor, first: tf.Tensor, pace: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        total = tf.constant(0.0)
        quantizers = [self.log_steps, self.log_scales]
        variables = [*self.weights, *quantizers]
        index = tf.constant(0)
        while index < count:
            self._set_rates(step + index, first + pace * tf.cast(index, tf.float32))
            with tf.GradientTape() as tape:
                rounded, rate_bits = self._quantized(self.log_steps, self.log_scales)
                mse = self._distortion(image, step + index, rounded)
                loss = mse + self.rate_weight / self.pixels * rate_bits
            gradients = tape.gradient(loss, variables)
            self.optimizer.apply(gradients[:-2], self.weights)
            self.step_optimizer.apply(gradients[-2:], quantizers)
            total += mse
            index += 1
        return total / tf.cast(count, tf.float32), self._quantized(self.log_steps, self.log_scales)[1]

    def _set_rates(self, step: tf.Tensor, position: tf.Tensor) -> None:
        """Warm-up over the first steps, then half a cosine down to FINAL_RATE over the rest of the schedule."""
        warmup = tf.minimum(1.0, (tf.cast(step, tf.float32) + 1.0) / WARMUP_STEPS)
        cosine = (1.0 + FINAL_RATE) / 2 + (1.0 - FINAL_RATE) / 2 * tf.cos(math.pi * position)
        self.optimizer.learning_rate = self.rate * warmup * cosine

    def _distortion(self, image: tf.Tensor, step: tf.Tensor, weights: Sequence[Any]) -> tf.Tensor:
        """Mean squared error over one batch. No clamp here: it would leave bright pixels without a gradient."""
        index = self._batch(step)
        across, down = self.features
        width, _ = self.size
        features = tf.concat([tf.gather(across, index % width), tf.gather(down, index // width)], axis=1)
        values, _ = self.body.stateless_call(weights, [], features)
        levels = tf.gather(image, index)
        return tf.reduce_mean(tf.square(values - tf.cast(levels, tf.float32) / LEVELS))

    def _batch(self, step: tf.Tensor) -> tf.Tensor:
        """Indices of the pixels of a step, in reading order: one drawn from each of as many equal runs of pixels.

        All of a small image. Independent draws would learn no better, and in a large image each would be a cache miss.
        """
        uniform = tf.random.stateless_uniform((self.batch,), tf.stack([step, self.seed]))
        return self.run_starts + tf.cast(uniform * self.run_lengths, tf.int32)

    def _quantized(self, log_steps: tf.Tensor, log_scales: tf.Tensor) -> tuple[list[tf.Tensor], tf.Tensor]:
        """Weights rounded to their steps, gradients passed straight through, and their rate in bits."""
        rounded = []
        rate_bits = tf.constant(0.0)
        for index, weight in enumerate(self.weights):
            step = _snap(tf.exp(log_steps[index]))
            scaled = weight / step
            symbols = scaled + tf.stop_gradient(tf.round(scaled) - scaled)
            rounded.append(symbols * step)
            rate_bits += _laplace_bits(symbols, tf.exp(log_scales[index]))
        return rounded, rate_bits

    def result(self, mse: float, rate_bits: float) -> Fitted:
        """The fitted network."""
        weights = [np.asarray(weight) for weight in self.weights]
        steps = [float(step) for step in _snap(tf.exp(tf.convert_to_tensor(self.log_steps)))]
        return Fitted(weights, steps, psnr_db(mse), rate_bits)


def _snap(step: tf.Tensor) -> tf.Tensor:
    """The nearest step size that the file can name, gradient passed straight through (see quantization.step_size)."""
    octave = tf.exp(math.log(2.0) * tf.floor(tf.math.log(step) / math.log(2.0)))
    snapped = tf.round(step / octave * 8.0) / 8.0 * octave
    return step + tf.stop_gradient(snapped - step)


def _laplace_bits(symbols: tf.Tensor, scale: tf.Tensor) -> tf.Tensor:
    """Code length in bits of symbols under the quantized Laplace distribution of a scale, differentiable in both."""
    magnitude = tf.abs(symbols)
    zero = -tf.math.log(-tf.math.expm1(-0.5 / scale))
    others = (magnitude - 0.5) / scale + math.log(2.0) - tf.math.log(-tf.math.expm1(-1.0 / scale))
    return tf.reduce_sum(tf.where(magnitude > 0.5, others, zero)) / math.log(2.0)
