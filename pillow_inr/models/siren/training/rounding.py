"""Quantization in training: the quantization steps that a file can name, and the rate of rounded weights.

Source: docs/format.md section 4 (steps and scales); straight-through gradients, Bengio et al. 2013.
"""

import math

import tensorflow as tf

from ..weight_coders import row_groups

# exp(-1 / (2 b)) of the smallest and, nearly, the largest scale b that the file can name.
DECAY_RANGE = (3.4e-4, 0.9999)


def snapped(quantization_step: tf.Tensor) -> tf.Tensor:
    """The nearest quantization step that the file can name, with the gradient of the identity.

    For 2^e <= s < 2^(e + 1) that is round(8 s / 2^e) 2^e / 8: eight steps per octave, as in `quantization.step_size`.

    Args:
        quantization_step: s, any shape, float32, > 0.
    """
    octave = tf.exp(math.log(2.0) * tf.floor(tf.math.log(quantization_step) / math.log(2.0)))
    nearest = tf.round(quantization_step / octave * 8.0) / 8.0 * octave
    return quantization_step + tf.stop_gradient(nearest - quantization_step)


def rounded(values: tf.Tensor, rounds: tf.Tensor) -> tf.Tensor:
    """Values rounded to integers, with the gradient of the identity (straight-through estimator).

    Args:
        values: any shape, float32.
        rounds: 1 to round, 0 to leave the values as they are.
    """
    return values + tf.stop_gradient(rounds * (tf.round(values) - values))


def first_kernel_bits(symbols: tf.Tensor) -> tf.Tensor:
    """`laplace_bits` of the first kernel, each frequency with a distribution of its own, as `FirstKernel` codes it.

    Args:
        symbols: shape (2 + 4 F, units), float32, integers.
    """
    groups = row_groups(symbols.shape[0])
    rows = [[row for row, group in enumerate(groups) if group == wanted] for wanted in range(max(groups) + 1)]
    return tf.add_n([laplace_bits(tf.gather(symbols, group)) for group in rows])


def laplace_bits(symbols: tf.Tensor, count: tf.Tensor | None = None) -> tf.Tensor:
    """Code length in bits of symbols under the quantized Laplace distribution that suits them best, a scalar.

    With d = exp(-1 / (2 b)) for the scale b, P(0) = 1 - d and P(k) = P(-k) = d^(2k - 1) (1 - d^2) / 2 for k > 0. For
    a share z of zeros and a mean magnitude m, the likelihood is largest where (1 + 2 m) d^2 + z d = 2 m - 1 + z.
    Limits: d -> 0 for m -> 0, where the length vanishes; d -> 1 for m -> infinity; d is clipped to DECAY_RANGE. At the
    optimum the length is stationary in d, so its gradient does not go through d.
    Source: maximum likelihood; the distribution is that of docs/format.md section 4.3.

    Args:
        symbols: any shape, float32, integers.
        count: how many of the symbols are coded, if not all; the others are zeros.
    """
    magnitude = tf.abs(symbols)
    zeros = tf.cast(magnitude < 0.5, tf.float32)
    if count is None:
        share, mean = tf.reduce_mean(zeros), tf.reduce_mean(magnitude)
    else:
        uncoded = float(math.prod(symbols.shape)) - count
        share, mean = (tf.reduce_sum(zeros) - uncoded) / count, tf.reduce_sum(magnitude) / count
    square = 1.0 + 2.0 * mean
    decay = (tf.sqrt(share * share + 4.0 * square * (2.0 * mean - 1.0 + share)) - share) / (2.0 * square)
    decay = tf.stop_gradient(tf.clip_by_value(decay, *DECAY_RANGE))
    others = (1.0 - 2.0 * magnitude) * tf.math.log(decay) - tf.math.log((1.0 - decay * decay) / 2.0)
    total = tf.reduce_sum(zeros * -tf.math.log(1.0 - decay) + (1.0 - zeros) * others)
    return (total if count is None else total + uncoded * tf.math.log(1.0 - decay)) / math.log(2.0)
