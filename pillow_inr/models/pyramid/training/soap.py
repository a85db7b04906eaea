"""SOAP for a handful of small tensors, in NumPy: the pyramid's networks have a few thousand weights in all.

Adam in the slowly turning eigenbasis of Shampoo's preconditioner (Vyas et al. 2024, "SOAP: Improving and Stabilizing
Shampoo using Adam", algorithm 3). The eigenbasis follows by one step of orthogonal iteration at a time.
"""

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Tensors = dict[str, NDArray[np.float32]]

# Averaging of gradients, of their squares and of the preconditioner alike: Cool-chic 5 has the same.
BETA = 0.95
# Steps between two turns of the eigenbasis; at the start, where it changes quickly, every step.
REFRESH_EVERY = 10
REFRESH_UNTIL = 20
EPSILON = 1e-8


class Soap:
    """Moments and eigenbases of named tensors."""

    def __init__(self, weights: Mapping[str, NDArray[np.float32]], clip: float) -> None:
        """Start without memory.

        Args:
            weights: the tensors to be trained, of one or two axes.
            clip: norm that the gradient of all tensors together is cut down to.
        """
        self.clip = clip
        self.steps = 0
        self.mean = {name: np.zeros_like(weight) for name, weight in weights.items()}
        self.square = {name: np.zeros_like(weight) for name, weight in weights.items()}
        self.sides = {
            name: [_Side(length) for length in weight.shape]
            for name, weight in weights.items()
            if weight.ndim == 2 and min(weight.shape) > 1
        }

    def step(self, weights: Tensors, gradients: Mapping[str, NDArray[np.float32]], rate: float) -> None:
        """Replace each of the weights by what a step of learning rate `rate` makes of it."""
        self.steps += 1
        norm = math.sqrt(sum(float(np.square(gradient).sum()) for gradient in gradients.values()))
        shrink = np.float32(min(1.0, self.clip / max(norm, 1e-30)))
        for name, gradient in gradients.items():
            weights[name] = weights[name] - np.float32(rate) * self._update(name, gradient * shrink)

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
        square += np.float32(1 - BETA) * (np.square(gradient) - square)
        unbias = np.float32(1 - BETA**self.steps)
        update: NDArray[np.float32] = mean / unbias / (np.sqrt(square / unbias) + np.float32(EPSILON))
        return update


class _Side:
    """The preconditioner of one axis of a matrix, and its eigenbasis."""

    def __init__(self, length: int) -> None:
        self.covariance = np.zeros((length, length), np.float32)
        self.basis = np.eye(length, dtype=np.float32)

    def follow(self, products: NDArray[np.float32]) -> None:
        self.covariance += np.float32(1 - BETA) * (products - self.covariance)

    def refresh(self) -> None:
        self.basis = np.linalg.qr(self.covariance @ self.basis)[0]

    def into(self, columns: NDArray[np.float32]) -> NDArray[np.float32]:
        """Columns in terms of the eigenbasis."""
        return self.basis.T @ columns

    def back(self, columns: NDArray[np.float32]) -> NDArray[np.float32]:
        """Undo `into`."""
        return self.basis @ columns
