"""The trainer: a network, its optimizers, and the compiled functions that advance them step by step.

Knows neither schedule nor deadline nor device: those are `fit`'s.
"""

import math
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from ....imaging.coordinates import Axis, encode_axis
from ....imaging.metrics import psnr_db
from ....imaging.samples import Samples, Scale
from ..architecture import Architecture
from ..fitted import Fitted
from ..keras_layers import build_model
from .sampling import Sampler

# Pixels a step sees. At equal time half of it is worse by a tenth of the rate, twice as many by some percent on small
# networks and not at all on large ones (docs/experiments.md section 9).
BATCH_PIXELS = 8192
# Muon's rate on all matrices but the output layer's, up to a width above which it falls: each update turns a unit's
# input by as much as the layer is wide.
MUON_RATE = 5e-3
MUON_RATE_WIDTH = 64
# Muon's decoupled weight decay. Muon's updates have one size whatever the gradient's: without decay the hidden
# matrices grow until the network is chaotic, and with too much of it they stay small and blur.
WEIGHT_DECAY = 1.5
# Rate of Adam on biases and the output layer, relative to Muon's.
ADAM_RATIO = 0.25
WARMUP_STEPS = 30
# Mean squared error, relative to the samples' variance, above which a network is no good yet.
NOT_LEARNED = 0.6
# Where the schedule ends, relative to its peak.
FINAL_RATE = 0.001
# First quantization step of a tensor relative to the standard deviation of its weights.
INITIAL_STEP = 0.15
# The same for the first layer of plain coordinates, relative to the others: its weights are frequencies, and an error
# in them shifts the phase by radians at the image's border.
PLAIN_FIRST_STEP = 0.1
# Adam's peak rate on log steps; it follows the cosine too.
STEP_RATE = 5e-3
# exp(-1 / (2 b)) of the smallest and, nearly, the largest scale b that the file can name.
DECAY_RANGE = (3.4e-4, 0.9999)
# Work of one call of the compiled function, in multiply-adds: about 0.2 s on 4 cores. Fixed, not timed, so that a
# fit is repeatable.
CALL_WORK = 2.5e10
CALL_STEPS_MAX = 50


def peak_rate(width: int) -> float:
    """Muon's peak rate for networks of a width."""
    return MUON_RATE * min(1.0, MUON_RATE_WIDTH / width)


class _Call(NamedTuple):
    """What one call of a compiled function works on; tensors all."""

    columns: tf.Tensor
    """Of the pixels of each step, shape (call_steps, batch), int32; `rows` likewise."""
    rows: tf.Tensor
    values: tf.Tensor
    """Network values to reach there, shape (call_steps, batch, channels), float32."""
    across: tf.Tensor
    """Features of every column, shape (longest_side, axis features), float32; `down` of every row."""
    down: tf.Tensor
    lambda_per_bit: tf.Tensor
    """lambda divided by the image's pixels."""
    rate: tf.Tensor
    """Peak learning rate."""
    decay: tf.Tensor
    """Muon's weight decay."""
    step: tf.Tensor
    """Steps made before this call."""
    count: tf.Tensor
    """Steps to make."""
    first: tf.Tensor
    """Schedule position of the first of them, and by how much each step advances it."""
    pace: tf.Tensor


class Trainer:
    """A network of one architecture, its optimizers, and the compiled functions that advance them.

    Serves one fit after another: compiling takes seconds, and TensorFlow never gives back the 60 MB that compiled
    code takes. So nothing of an image is compiled in but its number of channels, the pixels of a step, and a length
    that no side exceeds: the growth of the frequencies, which goes with the image's size, is in tables.
    """

    def __init__(self, architecture: Architecture, batch: int, longest_side: int) -> None:
        self.architecture = architecture
        self.sampler: Sampler | None = None
        self.longest_side = longest_side
        self.batch = batch
        self.call_steps = max(1, min(CALL_STEPS_MAX, int(CALL_WORK / (batch * 3 * architecture.weight_count))))
        self.layers = build_model(architecture, seed=0).layers[1:]  # all but the encoding, which tables replace
        self.weights = [variable for layer in self.layers for variable in layer.trainable_variables]
        # What each tensor is coded as differences from: zeros, or its weights in the initialization.
        self.references = [keras.Variable(np.zeros(w.shape, np.float32), trainable=False) for w in self.weights]
        tensors = len(self.weights)
        self.log_steps = keras.Variable(np.zeros(tensors, np.float32), dtype="float32", name="log_steps")
        # Muon is for matrices that mix many inputs into many outputs; plain coordinates are two inputs.
        small = ["output"] if architecture.frequencies else ["output", "sine_0"]
        self.optimizer = keras.optimizers.Muon(
            learning_rate=0.0,
            exclude_layers=small,
            adam_lr_ratio=ADAM_RATIO,
            adam_beta_2=0.99,
            weight_decay=0.0,
            adam_weight_decay=None,
            rms_rate=None,
            name="muon",
        )
        self.optimizer.build(self.weights)
        self.step_optimizer = keras.optimizers.Adam(STEP_RATE, beta_2=0.99, name="adam")
        self.step_optimizer.build([self.log_steps])
        # Partials, not methods: TensorFlow counts how often a function is traced by its code, which all trainers share,
        # and warns when that is often.
        self.float_steps = tf.function(partial(Trainer._float_steps, self), jit_compile=True)
        self.rate_steps = tf.function(partial(Trainer._rate_steps, self), jit_compile=True)
        state = [*self.optimizer.variables, *self.step_optimizer.variables]
        self.fresh_state = [(variable, variable.numpy()) for variable in state]

    def start(
        self,
        image: Samples,
        scale: Scale,
        frequency_ratio: int,
        rd_lambda: float,
        seed: int,
        rate: float,
        decay: float,
        initial: Sequence[NDArray[np.float32]] | None = None,
    ) -> None:
        """Take up an image, with new weights, or the given ones, new optimizers, a peak rate and a weight decay.

        Args:
            growth: ratio of the frequencies in hundredths, in place of the architecture's.
        """
        height, width, channels = image.shape
        self.pixels = width * height
        self.release()
        self.sampler = Sampler(image, scale, self.batch, self.call_steps, seed)
        self.tables = [self._feature_table(length, max(width, height), frequency_ratio) for length in (width, height)]
        self.rate = tf.constant(rate, tf.float32)
        self.decay = tf.constant(decay, tf.float32)
        self.rd_lambda = rd_lambda
        fresh = initial or build_model(self.architecture, seed).trainable_variables
        for variable, value in (*zip(self.weights, fresh, strict=True), *self.fresh_state):
            variable.assign(value)
        sample = scale.to_normalized(image.reshape(-1, channels)[:: max(1, self.pixels // 65536)])
        self.variance = float(sample.var(axis=0).mean())
        self.layers[-1].bias.assign(sample.mean(axis=0))
        self.initial = None if initial is None else list(initial)
        self._refer([False] * len(self.weights))
        # Compile now, with no steps to make, so that the schedule's clock sees steps only.
        for in_rate_phase in (False, True):
            self.advance(0, 0, 0.0, 0.0, in_rate_phase)

    def _feature_table(self, length: int, longer: int, frequency_ratio: int) -> tf.Tensor:
        features = encode_axis(
            Axis.of_pixels(length, longer).positions(), self.architecture.frequencies, frequency_ratio
        )
        return tf.constant(np.pad(features, ((0, self.longest_side - length), (0, 0))))

    def diverged(self, step: int, mse: float, rate_bits: float) -> bool:
        """Whether the fit has gone wrong: no number, or worse than the best constant when warm-up is long over."""
        # The error is that of weights before the last step, the rate of those after it.
        if not (math.isfinite(mse) and math.isfinite(rate_bits)):
            return True
        return step > 4 * WARMUP_STEPS and mse > 1.5 * self.variance + 1e-3

    def has_not_learned(self, mse: float) -> bool:
        """Whether the network has hardly learned more than the image's mean colour.

        Noise explains that, or a network thrown about by its updates: large flat areas with sharp edges, such as
        screenshots of text, take a slower pace.
        """
        return mse > NOT_LEARNED * self.variance + 1e-4

    def start_rate_phase(self) -> None:
        """Choose the first quantization steps from the weights as they are."""
        self.log_steps.assign(self._initial_log_steps())

    def refine_steps(self, bits: float) -> None:
        """Make all quantization steps so much smaller that a weight takes so many bits more."""
        self.log_steps.assign(self.log_steps - bits * math.log(2.0))

    def choose_references(self) -> None:
        """Let each tensor be coded as differences from its initial weights where these are nearer to it than 0 is.

        Under a Laplace model the mean magnitude tells which of the two is shorter.
        """
        if self.initial is None:
            return
        weights = [weight.numpy() for weight in self.weights]
        self._refer(
            [
                bool(np.abs(weight - start).mean() < np.abs(weight).mean())
                for weight, start in zip(weights, self.initial, strict=True)
            ]
        )

    def _refer(self, differences: list[bool]) -> None:
        self.differences = differences
        starts = self.initial or [np.zeros(reference.shape, np.float32) for reference in self.references]
        for reference, start, difference in zip(self.references, starts, differences, strict=True):
            reference.assign(start * np.float32(difference))

    def _initial_log_steps(self) -> tf.Tensor:
        # A bias tensor is small and each of its weights moves a whole unit: half the step.
        ratio = [INITIAL_STEP * (1.0 if len(weight.shape) == 2 else 0.5) for weight in self.weights]
        if not self.architecture.frequencies:
            ratio[:2] = [PLAIN_FIRST_STEP * step for step in ratio[:2]]
        deviation = tf.stack([tf.sqrt(tf.reduce_mean(tf.square(weight)) + 1e-12) for weight in self.weights])
        return tf.math.log(deviation * tf.constant(ratio, tf.float32))

    def advance(self, step: int, count: int, first: float, last: float, in_rate_phase: bool) -> tuple[float, float]:
        """Make `count` steps, at most `call_steps`, going from schedule position `first` to `last`.

        Returns:
            Mean squared error over these steps, and the rate in bits at their end.
        """
        assert self.sampler is not None
        function = self.rate_steps if in_rate_phase else self.float_steps
        columns, rows, values = self.sampler.draw()
        across, down = self.tables
        call = _Call(
            columns=tf.constant(columns),
            rows=tf.constant(rows),
            values=tf.constant(values),
            across=across,
            down=down,
            lambda_per_bit=tf.constant(self.rd_lambda / self.pixels, tf.float32),
            rate=self.rate,
            decay=self.decay,
            step=tf.constant(step),
            count=tf.constant(count),
            first=tf.constant(first, tf.float32),
            pace=tf.constant((last - first) / max(count, 1), tf.float32),
        )
        mse, rate_bits = function(call)
        return float(mse), float(rate_bits)

    def _float_steps(self, call: _Call) -> tuple[tf.Tensor, tf.Tensor]:
        total = tf.constant(0.0)
        index = tf.constant(0)
        # Not `for index in tf.range(count)`: XLA would compile the loop anew for every count.
        while index < call.count:
            self._set_learning_rates(call, index)
            features = self._features(call, index)
            with tf.GradientTape() as tape:
                mse = self._distortion(features, call.values[index], [weight.value for weight in self.weights])
            self.optimizer.apply(tape.gradient(mse, self.weights), self.weights)
            total += mse
            index += 1
        return total / tf.cast(call.count, tf.float32), self._quantized(self._initial_log_steps())[1]

    def _rate_steps(self, call: _Call) -> tuple[tf.Tensor, tf.Tensor]:
        total = tf.constant(0.0)
        variables = [*self.weights, self.log_steps]
        index = tf.constant(0)
        while index < call.count:
            self._set_learning_rates(call, index)
            features = self._features(call, index)
            with tf.GradientTape() as tape:
                rounded, rate_bits = self._quantized(self.log_steps)
                mse = self._distortion(features, call.values[index], rounded)
                loss = mse + call.lambda_per_bit * rate_bits
            gradients = tape.gradient(loss, variables)
            self.optimizer.apply(gradients[:-1], self.weights)
            self.step_optimizer.apply(gradients[-1:], [self.log_steps])
            total += mse
            index += 1
        return total / tf.cast(call.count, tf.float32), self._quantized(self.log_steps)[1]

    def _features(self, call: _Call, index: tf.Tensor) -> tf.Tensor:
        """The network's input features for the pixels of a step, shape (batch, features)."""
        columns, rows = call.columns[index], call.rows[index]
        return tf.concat([tf.gather(call.across, columns), tf.gather(call.down, rows)], axis=1)

    def _set_learning_rates(self, call: _Call, index: tf.Tensor) -> None:
        """Warm-up over the first steps, then half a cosine down to FINAL_RATE over the rest of the schedule.

        Quantization steps must settle too: one that snaps to its neighbour in the last steps costs half a dB.
        """
        position = call.first + call.pace * tf.cast(index, tf.float32)
        warmup = tf.minimum(1.0, (tf.cast(call.step + index, tf.float32) + 1.0) / WARMUP_STEPS)
        cosine = (1.0 + FINAL_RATE) / 2 + (1.0 - FINAL_RATE) / 2 * tf.cos(math.pi * position)
        self.optimizer.learning_rate = call.rate * warmup * cosine
        self.optimizer.weight_decay = call.decay
        self.step_optimizer.learning_rate = STEP_RATE * cosine

    def _distortion(self, values: tf.Tensor, wanted: tf.Tensor, weights: Sequence[Any]) -> tf.Tensor:
        """Mean squared error over one batch. No clamp here: it would leave bright pixels without a gradient."""
        for layer, kernel, bias in zip(self.layers, weights[::2], weights[1::2], strict=True):
            values, _ = layer.stateless_call([kernel, bias], [], values)
        return tf.reduce_mean(tf.square(values - wanted))

    def _quantized(self, log_steps: tf.Tensor) -> tuple[list[tf.Tensor], tf.Tensor]:
        """Weights rounded to their steps, gradients passed straight through, and their rate in bits."""
        rounded = []
        rate_bits = tf.constant(0.0)
        for index, weight in enumerate(self.weights):
            step = _snap(tf.exp(log_steps[index]))
            reference = self.references[index].value
            scaled = (weight - reference) / step
            symbols = scaled + tf.stop_gradient(tf.round(scaled) - scaled)
            rounded.append(reference + symbols * step)
            rate_bits += _laplace_bits(symbols)
        return rounded, rate_bits

    def release(self) -> None:
        """Let go of the image."""
        if self.sampler is not None:
            self.sampler.close()
            self.sampler = None

    def result(self, mse: float, rate_bits: float) -> Fitted:
        """The fitted network."""
        weights = [weight.numpy() for weight in self.weights]
        steps = [float(step) for step in _snap(tf.exp(self.log_steps.value))]
        return Fitted(weights, steps, psnr_db(mse), rate_bits, self.differences)


def _snap(step: tf.Tensor) -> tf.Tensor:
    """The nearest step size that the file can name, gradient passed straight through (see quantization.step_size)."""
    octave = tf.exp(math.log(2.0) * tf.floor(tf.math.log(step) / math.log(2.0)))
    snapped = tf.round(step / octave * 8.0) / 8.0 * octave
    return step + tf.stop_gradient(snapped - step)


def _laplace_bits(symbols: tf.Tensor) -> tf.Tensor:
    """Code length in bits of symbols under the quantized Laplace distribution that suits them best.

    With d = exp(-1 / (2 b)) for the scale b, the probability of 0 is 1 - d and that of +-k is d^(2k - 1) (1 - d^2) / 2.
    For a share z of zeros and a mean magnitude m, the likelihood is largest where (1 + 2 m) d^2 + z d = 2 m - 1 + z.
    The length is stationary in d there, so its gradient needs none through d.
    """
    magnitude = tf.abs(symbols)
    zeros = tf.cast(magnitude < 0.5, tf.float32)
    share, mean = tf.reduce_mean(zeros), tf.reduce_mean(magnitude)
    square = 1.0 + 2.0 * mean
    decay = (tf.sqrt(share * share + 4.0 * square * (2.0 * mean - 1.0 + share)) - share) / (2.0 * square)
    decay = tf.stop_gradient(tf.clip_by_value(decay, *DECAY_RANGE))
    others = (1.0 - 2.0 * magnitude) * tf.math.log(decay) - tf.math.log((1.0 - decay * decay) / 2.0)
    return tf.reduce_sum(zeros * -tf.math.log(1.0 - decay) + (1.0 - zeros) * others) / math.log(2.0)
