"""The trainer: a network, its optimizers, and the compiled functions that advance them step by step.

Knows neither schedule nor deadline nor device: those are `fit`'s.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from .architecture import Architecture
from .metrics import psnr_db
from .network import build_model
from .pixels import LEVELS, axis_coordinates, encode_axis

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


class Trainer:
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
