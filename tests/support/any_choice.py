"""Writers that choose at random wherever docs/format.md leaves a choice.

No release writes such streams, but all must read them.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pillow_inr.entropy.distributions import generalized_normal, laplace, onesided, uniform
from pillow_inr.entropy.range_coder import Encoder
from pillow_inr.models.siren.weight_coders import row_groups
from pillow_inr.models.siren.weight_coding import CodedTensor


def encode_tensors(rng: np.random.Generator, tensors: Sequence[CodedTensor], coding: int) -> bytes:
    """Code these tensors (docs/format.md sections 4.4 and 4.8)."""
    writer = _Writer(rng)
    predicted = [144, 144]
    for position, tensor in enumerate(tensors):
        writer.step(tensor.step_index, predicted[position % 2])
        predicted[position % 2] = tensor.step_index
        if coding == 0:
            writer.laplace(tensor.symbols, position % 2)
        else:
            writer.tensor(tensor.symbols, position, len(tensors))
    return writer.encoder.to_bytes()


def encode_mosaic(rng: np.random.Generator, splits: Sequence[bool], networks: Sequence[Sequence[CodedTensor]]) -> bytes:
    """Code a division and these networks (docs/format.md section 11)."""
    writer = _Writer(rng)
    for split in splits:
        writer.encoder.encode(int(split), uniform(2))
    predicted = [144] * len(networks[0])
    scales: list[dict[str | int, int]] = [{"bias": 8} for _ in predicted]
    for tensors in networks:
        for position, tensor in enumerate(tensors):
            writer.step(tensor.step_index, predicted[position])
            predicted[position] = tensor.step_index
            writer.predicted = {"bias": 8} if position == 0 else scales[position]
            writer.tensor(tensor.symbols, position, len(tensors))
    return writer.encoder.to_bytes()


class _Writer:
    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.encoder = Encoder()
        self.predicted: dict[str | int, int] = {"bias": 8}

    def step(self, index: int, predicted: int) -> None:
        self.encoder.encode(index - predicted, laplace(22, 8))

    def tensor(self, symbols: NDArray[np.int32], position: int, tensors: int) -> None:
        """All of a tensor behind its step index."""
        if position == 0:
            self.first_kernel(symbols)
        elif position == tensors - 1:
            self.one_shape(symbols, "last")
        elif position % 2:
            self.bias(symbols)
        else:
            self.kernel(symbols)

    def magnitude(self, values: NDArray[np.int32]) -> int:
        """The smallest magnitude that holds the values, or a larger one."""
        smallest = int(np.abs(values).max()).bit_length()
        chosen = min(15, smallest + int(self.rng.choice([0, 0, 0, 1, 2])))
        self.encoder.encode(chosen, uniform(16))
        return chosen

    def scale(self, role: str | int) -> int:
        index = int(self.rng.integers(64))
        self.encoder.encode(index - self.predicted.get(role, 24), laplace(22, 8))
        self.predicted[role] = index
        return index

    def number(self, below: int) -> int:
        chosen = int(self.rng.integers(below))
        self.encoder.encode(chosen, uniform(below))
        return chosen

    def laplace(self, symbols: NDArray[np.int32], kind: int) -> None:
        magnitude = self.magnitude(symbols)
        if magnitude:
            self.encoder.encode(symbols, laplace(self.scale(kind), magnitude))

    def first_kernel(self, symbols: NDArray[np.int32]) -> None:
        magnitude = self.magnitude(symbols)
        if not magnitude:
            return
        groups = row_groups(len(symbols))
        scales = [self.scale("first")]
        shape = self.number(5)
        for _ in range(max(groups)):
            scales.append(int(self.rng.integers(64)))
            self.encoder.encode(scales[-1] - scales[-2], laplace(14, 6))
        for row, group in zip(symbols, groups, strict=True):
            self.encoder.encode(row, generalized_normal(scales[group], magnitude, shape))

    def kernel(self, symbols: NDArray[np.int32]) -> None:
        magnitude = self.magnitude(symbols)
        if not magnitude:
            return
        index, shape = self.scale("kernel"), self.number(5)
        offsets = np.zeros(symbols.shape[1], np.int32)
        if self.number(2):
            offsets = self.rng.integers(-7, 8, symbols.shape[1]).astype(np.int32)
            self.encoder.encode(offsets, laplace(10, 3))
        for column, offset in zip(symbols.T, offsets.tolist(), strict=True):
            self.encoder.encode(column, generalized_normal(min(63, max(0, index + 3 * offset)), magnitude, shape))

    def bias(self, symbols: NDArray[np.int32]) -> None:
        differences = np.diff(symbols, prepend=np.int32(0))
        rising = bool((differences >= 0).all()) and bool(self.rng.integers(2))
        magnitude = self.magnitude(differences if rising else symbols)
        if not magnitude:
            return
        self.encoder.encode(int(rising), uniform(2))
        if rising:
            self.encoder.encode(differences, onesided(self.scale("bias"), magnitude))
        else:
            self.generalized_normal(symbols, magnitude, "bias")

    def one_shape(self, symbols: NDArray[np.int32], role: str) -> None:
        magnitude = self.magnitude(symbols)
        if magnitude:
            self.generalized_normal(symbols, magnitude, role)

    def generalized_normal(self, symbols: NDArray[np.int32], magnitude: int, role: str) -> None:
        index, shape = self.scale(role), self.number(5)
        self.encoder.encode(symbols, generalized_normal(index, magnitude, shape))
