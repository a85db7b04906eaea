"""The writer of coding 0 from earlier releases: the package only reads coding 0, but tests need files of it."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pillow_inr.entropy.distributions import laplace, laplace_frequencies, uniform
from pillow_inr.entropy.range_coder import Encoder
from pillow_inr.models.siren.weight_coding import CodedTensor


def encode_tensors(tensors: Sequence[CodedTensor]) -> bytes:
    """Code the tensors as docs/format.md section 4.4 describes."""
    encoder = Encoder()
    steps, scales = [144, 144], [24, 24]
    for position, tensor in enumerate(tensors):
        kind = position % 2
        magnitude = int(np.abs(tensor.symbols).max()).bit_length()
        encoder.encode(tensor.step_index - steps[kind], laplace(22, 8))
        encoder.encode(magnitude, uniform(16))
        steps[kind] = tensor.step_index
        if magnitude:
            index = _scale_index(tensor.symbols, magnitude)
            encoder.encode(index - scales[kind], laplace(22, 8))
            encoder.encode(tensor.symbols, laplace(index, magnitude))
            scales[kind] = index
    return encoder.to_bytes()


def _scale_index(symbols: NDArray[np.int32], magnitude: int) -> int:
    """Choose as those releases did, so that packing the symbols of a vector again gives the same bytes."""
    histogram = np.bincount(symbols.ravel() + 2**magnitude - 1, minlength=2 ** (magnitude + 1) - 1)
    used = histogram > 0
    near = min(round(4 * math.log2(max(float(np.abs(symbols).mean()), 1 / 16) * 16)), 63)

    def bits(index: int) -> float:
        frequencies = laplace_frequencies(index, magnitude)
        return float(-(histogram[used] * np.log2(frequencies[used] / frequencies.sum())).sum())

    return min(range(max(0, near - 4), min(63, near + 4) + 1), key=bits)
