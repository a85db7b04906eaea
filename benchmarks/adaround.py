"""Quantization to a few bits as Strümpler et al. 2022 do it, with AdaRound (Nagel et al. 2020, arXiv 2004.10568).

Nearest rounding errs least in each weight, not in a layer's output. AdaRound rounds each weight down or up: gradient
descent on the error of the layer's output decides which. The settings are those of Strümpler et al.'s
examples/run_basic_kodak.sh and of the version of AIMET in their repository. The network's kind is not known here.

`python -m doctest benchmarks/adaround.py` checks that it does better than nearest rounding.
"""

import math
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

ADAROUND_ITERATIONS = 1000
# Of the sum over a layer's weights, beside the mean over pixels and units of the squared error of its outputs.
REGULARIZATION = 1e-4
# The rectified sigmoid is stretched from [0, 1] to [GAMMA, ZETA] and cut, so that it reaches 0 and 1.
ZETA = 1.1
GAMMA = -0.1
# The regularizer's exponent falls from the first to the second by a cosine: a high one lets weights move freely.
BETAS = (20.0, 2.0)
# Share of the iterations, from the first on, without the regularizer.
WARM_START = 0.2
# The defaults of PyTorch's Adam.
RATE = 1e-3
EPSILON = 1e-8

Activation = Callable[[tf.Tensor], tf.Tensor]


class Rounding(NamedTuple):
    """What AdaRound found for a kernel."""

    kernel: NDArray[np.float32]
    """Weights between the two neighbours, nearest to the one chosen: `nearest_symbols` gives the decisions.

    The original goes on from these values, not from multiples of the step, when it retrains.
    """
    iterations: int


def step_size(weights: NDArray[np.float32], bits: int) -> float:
    """Step of a symmetric uniform quantizer that just covers a tensor."""
    return max(float(np.abs(weights).max()), 1e-12) / largest(bits)


def largest(bits: int) -> int:
    """Largest symbol of a number of bits; the smallest is its negative."""
    return 2 ** (bits - 1) - 1


def nearest_symbols(weights: NDArray[np.float32], size: float, bits: int) -> NDArray[np.int32]:
    return np.clip(np.rint(weights / size), -largest(bits), largest(bits)).astype(np.int32)


def nearest(weights: NDArray[np.float32], size: float, bits: int) -> NDArray[np.float32]:
    return nearest_symbols(weights, size, bits) * np.float32(size)


def round_network(
    layers: Sequence[keras.layers.Dense], inputs: tf.Tensor, sizes: Sequence[float], bits: int, seconds: float
) -> int:
    """AdaRound for a chain of layers, in place; returns the iterations of the layer that had the fewest.

    A layer's target is its output in the network before quantization, after the activation. Its input comes from the
    layers before it with their kernels and biases rounded, so that it also makes up for their errors. Biases are
    rounded to nearest, as there: they are left as they are, and so is the bias of the layer at work.

    Args:
        inputs: float32, shape (pixels, units of the input): all pixels are used in each iteration.
        sizes: quantization steps of each layer's kernel and bias, in turn.
        seconds: time limit; each layer has an equal part of it.
    """
    exact = rounded = inputs
    iterations = ADAROUND_ITERATIONS
    for layer, size, bias_size in zip(layers, sizes[::2], sizes[1::2], strict=True):
        kernel, bias = layer.get_weights()
        exact = layer.activation(exact @ kernel + bias)
        found = adaround(kernel, bias, rounded, exact, layer.activation, size, bits, seconds / len(layers))
        layer.kernel.assign(found.kernel)
        rounded = layer.activation(rounded @ nearest(found.kernel, size, bits) + nearest(bias, bias_size, bits))
        iterations = min(iterations, found.iterations)
    return iterations


def adaround(
    kernel: NDArray[np.float32],
    bias: NDArray[np.float32],
    inputs: tf.Tensor,
    targets: tf.Tensor,
    activation: Activation,
    size: float,
    bits: int,
    seconds: float = math.inf,
) -> Rounding:
    """Choose between the two neighbours of each weight so that a layer's output comes near its target.

    Args:
        kernel: float32, shape (units of the input, units).
        inputs: float32, shape (pixels, units of the input).
        targets: float32, shape (pixels, units), after the activation.
        size: quantization step of the kernel.
        seconds: time limit, the first iteration, which compiles, left out. A run that it ends has been annealed by the
            share of the time that had passed instead of by the share of the iterations.

    >>> generator = np.random.default_rng(3)
    >>> draw = lambda *shape: generator.normal(size=shape).astype(np.float32)
    >>> inputs, kernel, bias = draw(256, 8) @ draw(8, 8), draw(8, 6) / 16, draw(6)
    >>> output = lambda weights: np.sin(inputs @ weights + bias)
    >>> size = step_size(kernel, 4)
    >>> found = adaround(kernel, bias, inputs, output(kernel), tf.sin, size, 4)
    >>> found.iterations
    1000
    >>> rounded = nearest(found.kernel, size, 4)
    >>> bool(np.all(np.abs(rounded - kernel) < size))
    True
    >>> error = lambda weights: float(np.mean(np.square(output(weights) - output(kernel))))
    >>> error(rounded) < 0.7 * error(nearest(kernel, size, 4))
    True
    """
    below = np.floor(kernel / size)
    fraction = kernel / size - below
    # The inverse of the rectified sigmoid: the search starts from the exact weights, its decisions from nearest.
    alpha = keras.Variable(-np.log((ZETA - GAMMA) / (fraction - GAMMA) - 1))
    optimizer = keras.optimizers.Adam(RATE, epsilon=EPSILON)
    optimizer.build([alpha])

    def soft_kernel(up: tf.Tensor) -> tf.Tensor:
        return tf.clip_by_value(below + up, -largest(bits), largest(bits)) * size

    @tf.function
    def step(regularization: tf.Tensor, beta: tf.Tensor) -> None:
        with tf.GradientTape() as tape:
            up = _rectified_sigmoid(alpha.value)
            error = tf.reduce_mean(tf.square(activation(inputs @ soft_kernel(up) + bias) - targets))
            penalty = tf.reduce_sum(1 - tf.abs(2 * up - 1) ** beta)
            loss = error + regularization * penalty
        optimizer.apply(tape.gradient(loss, [alpha]), [alpha])

    step(tf.constant(0.0), tf.constant(BETAS[0]))
    iterations = 1
    start = time.perf_counter()
    while (progress := max(iterations / ADAROUND_ITERATIONS, (time.perf_counter() - start) / seconds)) < 1:
        step(tf.constant(REGULARIZATION if progress >= WARM_START else 0.0), tf.constant(_beta(progress)))
        iterations += 1
    return Rounding(soft_kernel(_rectified_sigmoid(alpha.value)).numpy(), iterations)


def _rectified_sigmoid(alpha: tf.Tensor) -> tf.Tensor:
    return tf.clip_by_value(tf.sigmoid(alpha) * (ZETA - GAMMA) + GAMMA, 0.0, 1.0)


def _beta(progress: float) -> float:
    """Exponent of the regularizer at a share of the iterations."""
    annealed = max(progress - WARM_START, 0) / (1 - WARM_START)
    return BETAS[1] + (BETAS[0] - BETAS[1]) * (1 + math.cos(math.pi * annealed)) / 2
