"""SOAP for a few small tensors, in NumPy: the pyramid's networks have a few thousand weights in all.

Adam in the eigenbasis of Shampoo's preconditioner. For a matrix G of gradients, L <- b L + (1 - b) G G^T and
R <- b R + (1 - b) G^T G have eigenbases Q_L and Q_R; Adam is applied to Q_L^T G Q_R, and its update is turned back. An
eigenbasis follows by one step of orthogonal iteration at a time, Q <- qr(L Q).
Source: Vyas et al. 2024, "SOAP: Improving and Stabilizing Shampoo using Adam", algorithms 3 and 4.
"""

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Tensors = dict[str, NDArray[np.float32]]

# b: decay of the averages of gradients, of their squares and of the preconditioner alike, as in Cool-chic 5.
BETA = 0.95
# Optimizer steps between two updates of the eigenbases; at first, while they change quickly, every step updates them.
REFRESH_EVERY = 10
REFRESH_UNTIL = 20
EPSILON = 1e-8


class Soap:
    """Moments and eigenbases of named tensors."""

    def __init__(
        self, weights: Mapping[str, NDArray[np.float32]], clip: float, factors: Mapping[str, float] | None = None
    ) -> None:
        """Start with averages of 0.

        Args:
            weights: the tensors to be trained, of one or two axes. Vectors are trained by Adam.
            clip: norm that the gradient of all tensors together is cut down to.
            factors: what the learning rate of some tensors is multiplied by.
        """
        self.clip = clip
        self.factors = factors or {}
        self.steps = 0
        self.mean = {name: np.zeros_like(weight) for name, weight in weights.items()}
        self.square = {name: np.zeros_like(weight) for name, weight in weights.items()}
        self.sides = {
            name: [_Side(length) for length in weight.shape]
            for name, weight in weights.items()
            if weight.ndim == 2 and min(weight.shape) > 1
        }

    def step(self, weights: Tensors, gradients: Mapping[str, NDArray[np.float32]], learning_rate: float) -> None:
        """Make an optimizer step: replace each tensor in `weights`."""
        self.steps += 1
        norm = math.sqrt(sum(float(np.square(gradient).sum()) for gradient in gradients.values()))
        shrink = np.float32(min(1.0, self.clip / max(norm, 1e-30)))
        for name, gradient in gradients.items():
            rate = np.float32(learning_rate * self.factors.get(name, 1.0))
            weights[name] = weights[name] - rate * self._update(name, gradient * shrink)

    def _update(self, name: str, gradient: NDArray[np.float32]) -> NDArray[np.float32]:
        mean, square = self.mean[name], self.square[name]
        mean += np.float32(1 - BETA) * (gradient - mean)
        sides = self.sides.get(name)
        if sides is None:
            return self._adam(mean, square, gradient)
        left, right = sides
        left.follow(gradient @ gradient.T)
        right.follow(gradient.T @ gradient)
        turned = self._adam(left.into(right.into(mean.T).T), square, left.into(right.into(gradient.T).T))
        update = left.back(right.back(turned.T).T)
        if self.steps <= REFRESH_UNTIL or self.steps % REFRESH_EVERY == 0:
            left.refresh()
            right.refresh()
        return update

    def _adam(
        self, mean: NDArray[np.float32], square: NDArray[np.float32], gradient: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Adam's update m / (sqrt(v) + epsilon) with the bias of both averages corrected; v is updated here."""
        square += np.float32(1 - BETA) * (np.square(gradient) - square)
        unbias = np.float32(1 - BETA**self.steps)
        update: NDArray[np.float32] = mean / unbias / (np.sqrt(square / unbias) + np.float32(EPSILON))
        return update


class _Side:
    """The preconditioner of one axis of a matrix (L or R), and its eigenbasis Q."""

    def __init__(self, length: int) -> None:
        self.covariance = np.zeros((length, length), np.float32)
        self.basis = np.eye(length, dtype=np.float32)

    def follow(self, products: NDArray[np.float32]) -> None:
        self.covariance += np.float32(1 - BETA) * (products - self.covariance)

    def refresh(self) -> None:
        self.basis = np.linalg.qr(self.covariance @ self.basis)[0]

    def into(self, columns: NDArray[np.float32]) -> NDArray[np.float32]:
        """Turn columns into the eigenbasis: Q^T columns."""
        return self.basis.T @ columns

    def back(self, columns: NDArray[np.float32]) -> NDArray[np.float32]:
        """Turn columns back: Q columns."""
        return self.basis @ columns
