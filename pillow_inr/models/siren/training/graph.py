"""The SIREN's optimizer steps as TensorFlow graphs that XLA compiles: network, rate, optimizers.

Knows no image and no schedule: a `Call` brings all that is needed of them.
"""

import math
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from ....runtime.program import Function
from ..architecture import Architecture
from ..keras_layers import build_layers
from .backpropagation import backpropagated
from .rounding import first_kernel_bits, laplace_bits, rounded, snapped

# Learning rate of Adam on biases and the output layer, relative to Muon's.
ADAM_RATIO = 0.25
WARMUP_STEPS = 30
# Learning rates at the end of the schedule, relative to their peaks.
FINAL_LEARNING_RATE = 0.001
# First quantization step of a tensor relative to the standard deviation of its weights.
INITIAL_QUANTIZATION_STEP = 0.15
# Factor on that in the first layer of plain coordinates: its weights are frequencies, and an error in them shifts the
# phase by radians at the image's border.
PLAIN_QUANTIZATION_STEP = 0.1
# Adam's peak learning rate on the logarithms of quantization steps; it follows the cosine too.
QUANTIZATION_LEARNING_RATE = 5e-3
# Part of the way to the value that it is rounded to which each weight goes in an optimizer step at the end of the
# schedule; before, the part is in proportion to the schedule's position.
SETTLING = 3e-3


class Call(NamedTuple):
    """Arguments of one call of a compiled function: tensors within it, arrays and numbers outside."""

    columns: Any
    """Columns of the pixels of each optimizer step, shape (call_steps, batch), int32."""
    rows: Any
    """Rows of these pixels, likewise."""
    values: Any
    """Normalized samples of these pixels, shape (call_steps, batch, channels), float32."""
    across: Any
    """Features of every column, shape (longest_side, axis features), float32."""
    down: Any
    """Features of every row, likewise."""
    lambda_per_bit: Any
    """lambda divided by the image's pixels."""
    learning_rate: Any
    """Peak learning rate of Muon."""
    weight_decay: Any
    """Decoupled weight decay of Muon's matrices."""
    step: Any
    """Optimizer steps made before this call, int32."""
    count: Any
    """Optimizer steps to make, int32, at most call_steps."""
    first: Any
    """Schedule position, 0..1, of the first of them."""
    pace: Any
    """By how much each of them advances the position."""
    rounds: Any
    """1 where weights are rounded and the rate counts, else 0."""
    counts: Any = ()
    """Number of weights in each tensor that are no padding, shape (tensors,), float32; () in a program that serves
    networks of one width only."""


def call_signature(architecture: Architecture, batch: int, call_steps: int, longest_side: int, pads: bool) -> Call:
    """Shapes and types of a call: all of an image that compiled code depends on.

    Args:
        pads: whether narrower networks are padded to the architecture.
    """
    pixels = tf.TensorSpec([call_steps, batch], tf.int32)
    table = tf.TensorSpec([longest_side, architecture.axis_features])
    number, integer = tf.TensorSpec([]), tf.TensorSpec([], tf.int32)
    values = tf.TensorSpec([call_steps, batch, architecture.channels])
    counts = tf.TensorSpec([len(architecture.shapes)]) if pads else ()
    return Call(
        pixels, pixels, values, table, table, number, number, number, integer, integer, number, number, number, counts
    )


def initial_weights(architecture: Architecture, seed: int) -> list[NDArray[np.float32]]:
    """Weights as `Architecture.shapes` lists them, drawn by a seed (Sitzmann et al. 2020, section 3.2)."""
    layers = _built_layers(architecture, seed)
    return [variable.numpy() for layer in layers for variable in layer.trainable_variables]


def _built_layers(architecture: Architecture, seed: int) -> list[Any]:
    layers = build_layers(architecture, seed)[2:]  # all but input and encoding, which tables replace
    for layer, (inputs, _) in zip(layers, architecture.shapes[::2], strict=True):
        layer.build((None, inputs))
    return layers


def initial_log_quantization_steps(weights: Sequence[Any], architecture: Architecture, counts: Any = ()) -> tf.Tensor:
    """Logarithms of the first quantization steps, from the root mean square of each tensor's weights.

    Args:
        weights: tensors, arrays or variables as `Architecture.shapes` lists them.
        counts: as `Call.counts`.
    """
    # A bias tensor is small and each of its weights moves a whole unit: half the step.
    ratio = [INITIAL_QUANTIZATION_STEP * (1.0 if len(weight.shape) == 2 else 0.5) for weight in weights]
    if not architecture.frequencies:
        ratio[:2] = [PLAIN_QUANTIZATION_STEP * relative for relative in ratio[:2]]
    means = [tf.reduce_mean(tf.square(weight)) for weight in weights]
    if counts != ():
        means = [
            mean * math.prod(weight.shape) / counts[at]
            for at, (mean, weight) in enumerate(zip(means, weights, strict=True))
        ]
    deviation = tf.stack([tf.sqrt(mean + 1e-12) for mean in means])
    return tf.math.log(deviation * tf.constant(ratio, tf.float32))


class Graph:
    """Variables of a network, its quantization steps and its optimizers, and the functions that advance them.

    Weights W of a tensor with reference R (zeros, or initial weights) and quantization step s stand for
    R + s round((W - R) / s). The loss is mse + lambda_per_bit * bits; the bits are those of `rounding.laplace_bits`.
    Muon moves the matrices, Adam all else. Create it within the graph of a `Program`; it lives while that traces.
    """

    def __init__(self, architecture: Architecture) -> None:
        self.architecture = architecture
        self.layers = _built_layers(architecture, seed=0)
        self.weights = [variable for layer in self.layers for variable in layer.trainable_variables]
        self.references = [keras.Variable(np.zeros(w.shape, np.float32), trainable=False) for w in self.weights]
        tensors = len(self.weights)
        self.log_quantization_steps = keras.Variable(
            np.zeros(tensors, np.float32), dtype="float32", name="log_quantization_steps"
        )
        # Muon is for matrices that mix many inputs into many outputs; plain coordinates are two inputs.
        small = ["output"] if architecture.frequencies else ["output", "sine_0"]
        self.decaying = self.weights[0 if architecture.frequencies else 2 : -2 : 2]
        self.optimizer = keras.optimizers.Muon(
            learning_rate=0.0,
            exclude_layers=small,
            adam_lr_ratio=ADAM_RATIO,
            adam_beta_2=0.99,
            weight_decay=None,
            rms_rate=None,
            name="muon",
        )
        self.optimizer.build(self.weights)
        self.quantization_optimizer = keras.optimizers.Adam(QUANTIZATION_LEARNING_RATE, beta_2=0.99, name="adam")
        self.quantization_optimizer.build([self.log_quantization_steps])

    def functions(self, call: Call) -> dict[str, Function]:
        """The functions of a `Program`.

        Args:
            call: shapes and types of a call.
        """
        # Partials, not methods: TensorFlow counts how often a function is traced by its code, which all graphs share,
        # and warns when that is often.
        steps = tf.function(partial(Graph._steps, self), jit_compile=True)
        return {
            "steps": Function(steps, (call,)),
            "weights": Function(lambda: [tf.identity(variable.value) for variable in self.weights]),
            "log quantization steps": Function(lambda: tf.identity(self.log_quantization_steps.value)),
            "set weights": _assignment(self.weights),
            "set references": _assignment(self.references),
            "set log quantization steps": _assignment([self.log_quantization_steps]),
        }

    def _steps(self, call: Call) -> tuple[tf.Tensor, tf.Tensor]:
        """Optimizer steps: mean squared error over them, and the bits at their end.

        One program serves both phases, since each takes seconds to compile. In the first one weights are not rounded,
        the rate has no weight, and the bits are those that rounding by INITIAL_QUANTIZATION_STEP would give.
        """
        total = tf.constant(0.0)
        variables = [*self.weights, self.log_quantization_steps]
        index = tf.constant(0)
        # Not `for index in tf.range(count)`: XLA would compile the loop anew for every count.
        while index < call.count:
            position = call.first + call.pace * tf.cast(index, tf.float32)
            warmup, cosine = _pace(position, call.step + index)
            features = self._features(call, index)
            with tf.GradientTape() as tape:
                quantized, rate_bits = self._quantized(self.log_quantization_steps, call, call.rounds)
            mse, upstream = backpropagated(features, call.values[index], quantized)
            gradients = tape.gradient(
                [*quantized, rate_bits], variables, output_gradients=[*upstream, call.lambda_per_bit * call.rounds]
            )
            self._settle(quantized, SETTLING * position * call.rounds)
            self._update(gradients[:-1], call.learning_rate * warmup * cosine, call.weight_decay)
            _apply(
                self.quantization_optimizer,
                gradients[-1:],
                [self.log_quantization_steps],
                QUANTIZATION_LEARNING_RATE * cosine * call.rounds,
            )
            total += mse
            index += 1
        first = initial_log_quantization_steps(self.weights, self.architecture, call.counts)
        log_steps = tf.where(call.rounds > 0, self.log_quantization_steps.value, first)
        return total / tf.cast(call.count, tf.float32), self._quantized(log_steps, call, tf.constant(1.0))[1]

    def _features(self, call: Call, index: tf.Tensor) -> tf.Tensor:
        """The network's input features for the pixels of an optimizer step, shape (batch, features)."""
        columns, rows = call.columns[index], call.rows[index]
        return tf.concat([tf.gather(call.across, columns), tf.gather(call.down, rows)], axis=1)

    def _settle(self, quantized: Sequence[tf.Tensor], part: tf.Tensor) -> None:
        """Move each weight W a part of the way to the value Q that it is rounded to: W <- W + part (Q - W).

        Otherwise weights near the middle between two symbols go to and fro to the end of the schedule, each time by a
        whole quantization step, and the others cannot make good for it.

        Source: oscillation dampening, Nagel et al. 2022, "Overcoming oscillations in quantization-aware training", here
        as a decoupled decay instead of a term of the loss; docs/experiments.md section 18.
        """
        for weight, settled in zip(self.weights, quantized, strict=True):
            weight.assign(weight + part * (settled - weight))

    def _update(self, gradients: Sequence[tf.Tensor], learning_rate: tf.Tensor, weight_decay: tf.Tensor) -> None:
        """Decoupled weight decay W <- (1 - decay * learning rate) W of Muon's matrices, then an optimizer step."""
        for matrix in self.decaying:
            matrix.assign(matrix - matrix * weight_decay * learning_rate)
        _apply(self.optimizer, gradients, self.weights, learning_rate)

    def _quantized(
        self, log_quantization_steps: tf.Tensor, call: Call, rounds: tf.Tensor
    ) -> tuple[list[tf.Tensor], tf.Tensor]:
        """Weights rounded to their quantization steps, gradients passed straight through, and their rate in bits.

        Args:
            rounds: 1 to round, 0 to leave the weights as they are.
        """
        quantized = []
        rate_bits = tf.constant(0.0)
        for index, weight in enumerate(self.weights):
            quantization_step = snapped(tf.exp(log_quantization_steps[index]))
            reference = self.references[index].value
            symbols = rounded((weight - reference) / quantization_step, rounds)
            quantized.append(reference + symbols * quantization_step)
            if call.counts != ():
                rate_bits += laplace_bits(symbols, call.counts[index])
            else:
                rate_bits += laplace_bits(symbols) if index else first_kernel_bits(symbols)
        return quantized, rate_bits


def _pace(position: tf.Tensor, step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Factors of the learning rates: a linear warm-up, and half a cosine from 1 to FINAL_LEARNING_RATE.

    At optimizer step n and schedule position p they are min(1, (n + 1) / WARMUP_STEPS) and
    f + (1 - f) (1 + cos(pi p)) / 2 with f = FINAL_LEARNING_RATE (Loshchilov and Hutter 2017, "SGDR", equation 5,
    without restarts). Quantization steps follow the cosine too: one that snaps to its neighbour in the last optimizer
    steps costs half a dB.
    """
    warmup = tf.minimum(1.0, (tf.cast(step, tf.float32) + 1.0) / WARMUP_STEPS)
    return warmup, (1.0 + FINAL_LEARNING_RATE) / 2 + (1.0 - FINAL_LEARNING_RATE) / 2 * tf.cos(math.pi * position)


def _apply(
    optimizer: keras.Optimizer,
    gradients: Sequence[tf.Tensor],
    variables: Sequence[keras.Variable],
    learning_rate: tf.Tensor,
) -> None:
    """As `optimizer.apply`, which sums gradients over replicas by a custom gradient (see `backpropagated`)."""
    for gradient, variable in zip(gradients, variables, strict=True):
        optimizer.update_step(gradient, variable, learning_rate)
    optimizer.iterations.assign_add(1)


def _assignment(variables: Sequence[keras.Variable]) -> Function:
    def assign(*values: tf.Tensor) -> tf.Operation:
        return tf.group(*(variable.value.assign(value) for variable, value in zip(variables, values, strict=True)))

    return Function(assign, tuple(tf.TensorSpec(variable.shape) for variable in variables))
