"""The network of a fit as TensorFlow operations: its error on a batch, and the gradients."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from ..architecture import W0
from ..keras_layers import sine_gradient, sine_value


def backpropagated(
    features: tf.Tensor, wanted: tf.Tensor, weights: Sequence[tf.Tensor]
) -> tuple[tf.Tensor, list[tf.Tensor]]:
    """Mean squared error of a batch, and its gradient with respect to each weight tensor.

    The forward pass is that of `keras_layers`. Backpropagation is written out, for TensorFlow registers every custom
    gradient that it traces, such as that of `sine`, and never frees the graph that it belongs to. Values are not
    clamped: clamped pixels would have no gradient.

    Args:
        features: shape (batch, features), float32.
        wanted: shape (batch, channels), float32.
        weights: kernels and biases in turn, as `Architecture.shapes` lists them.
    """
    *hidden, (kernel, bias) = zip(weights[::2], weights[1::2], strict=True)
    values, inputs, angles = features, [features], []
    for hidden_kernel, hidden_bias in hidden:
        angles.append(W0 * (tf.matmul(values, hidden_kernel) + hidden_bias))
        values = sine_value(angles[-1])
        inputs.append(values)
    error = tf.matmul(values, kernel) + bias - wanted
    upstream = np.float32(1) / np.float32(error.shape.num_elements()) * (error * 2.0)
    gradients: list[tf.Tensor] = []
    for index in range(len(hidden), -1, -1):
        gradients[:0] = [tf.matmul(inputs[index], upstream, transpose_a=True), tf.reduce_sum(upstream, axis=0)]
        if index:
            passed = tf.matmul(upstream, weights[2 * index], transpose_b=True)
            upstream = sine_gradient(angles[index - 1], passed) * W0
    return tf.reduce_mean(tf.square(error)), gradients
