"""The writer of coding 0, as releases before coding 1 had it: the package reads coding 0 only, and tests need files."""

from collections.abc import Sequence

import numpy as np

from pillow_inr.distributions import laplace, uniform
from pillow_inr.entropy import CodedTensor
from pillow_inr.range_coder import Encoder
from pillow_inr.scale_search import scale_lengths


def encode_tensors(tensors: Sequence[CodedTensor]) -> bytes:
    """docs/format.md section 4.4."""
    encoder = Encoder()
    steps, scales = [144, 144], [24, 24]
    for position, tensor in enumerate(tensors):
        kind = position % 2
        magnitude = int(np.abs(tensor.symbols).max()).bit_length()
        encoder.put(tensor.step_index - steps[kind], laplace(22, 8))
        encoder.put(magnitude, uniform(16))
        steps[kind] = tensor.step_index
        if magnitude:
            index = int(scale_lengths([tensor.symbols], magnitude, 0)[0].argmin())
            encoder.put(index - scales[kind], laplace(22, 8))
            encoder.put(tensor.symbols, laplace(index, magnitude))
            scales[kind] = index
    return encoder.to_bytes()
