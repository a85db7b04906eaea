"""Exact derivatives of a SIREN's Keras layers: a rule for each type of layer. Knows no file.

Forward-mode differentiation, layer by layer, in float64. A jet, shape (4, n, features), holds values u, their
derivatives u_x and u_y, and their Laplacians. An affine map acts on all four alike, apart from the offset of the
values; for the sine, with grad u = (u_x, u_y),

    grad sin(u) = cos(u) grad u,    laplacian sin(u) = cos(u) laplacian(u) - sin(u) |grad u|^2.

Modules that have layers of their own register the rules of these with `propagate`.
"""

from functools import singledispatch
from typing import Any

import keras
import tensorflow as tf

from .keras_layers import CoordinateEncoding, SineDense


@singledispatch
def propagate(layer: Any, jet: tf.Tensor) -> tf.Tensor:
    """The jet of a layer's output from the jet of its input, or from positions (n, 2), float64, in the first layer.

    Raises:
        TypeError: there is no rule for the layer.
    """
    raise TypeError(f"cannot differentiate the layer {layer.name!r} ({type(layer).__name__})")


@propagate.register
def _(layer: CoordinateEncoding, positions: tf.Tensor) -> tf.Tensor:
    scales = layer.scales
    parts = []
    for axis in range(2):
        position = positions[:, axis : axis + 1]
        angles = position * scales
        sine, cosine = tf.sin(angles), tf.cos(angles)
        value = tf.concat([position, sine, cosine], axis=1)
        first = tf.concat([tf.ones_like(position), scales * cosine, -scales * sine], axis=1)
        second = tf.concat([tf.zeros_like(position), -(scales**2) * sine, -(scales**2) * cosine], axis=1)
        gradient = [tf.zeros_like(first), tf.zeros_like(first)]
        gradient[axis] = first
        parts.append(tf.stack([value, *gradient, second]))
    return tf.concat(parts, axis=2)


@propagate.register
def _(layer: SineDense, jet: tf.Tensor) -> tf.Tensor:
    angle, by_x, by_y, laplacian = tf.unstack(layer.w0 * _affine(layer, jet))
    sine, cosine = tf.sin(angle), tf.cos(angle)
    curvature = cosine * laplacian - sine * (by_x * by_x + by_y * by_y)
    return tf.stack([sine, cosine * by_x, cosine * by_y, curvature])


@propagate.register
def _(layer: keras.layers.Dense, jet: tf.Tensor) -> tf.Tensor:
    if layer.activation is not keras.activations.linear:
        raise TypeError(f"cannot differentiate the activation of the layer {layer.name!r}")
    return _affine(layer, jet)


def _affine(layer: Any, jet: tf.Tensor) -> tf.Tensor:
    product = tf.tensordot(jet, tf.cast(layer.kernel, tf.float64), 1)
    return shifted(product, tf.cast(layer.bias, tf.float64))


def shifted(jet: tf.Tensor, offset: tf.Tensor) -> tf.Tensor:
    """Add an offset to the values of a jet; derivatives do not change."""
    return tf.concat([jet[:1] + offset, jet[1:]], axis=0)
