"""Fitted networks -> a payload: quantizes and codes them, in at most a given number of bytes if need be."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from ...encoding.bisection import last_that_fits
from ...entropy import quantization
from . import canonical, mosaic_coding, weight_coding
from .architecture import Architecture
from .fitted import Fitted
from .initialization import Initialization
from .weight_coding import CodedTensor

# Ways to code a network in fewer bytes, in order: first more weights are rounded towards zero, for other quantization
# steps than those it was trained for cost a dB; then steps are coarser.
_CODINGS = [
    *((rounding / 100, 0) for rounding in range(50, 100, 2)),
    *((1.0, coarser) for coarser in range(quantization.STEP_INDEX_MAX + 1)),
]


@dataclass(frozen=True)
class Packing:
    """How the networks of a file are coded."""

    splits: tuple[bool, ...] | None = None
    """Of a mosaic, as `mosaic_coding.encode_mosaic` takes them; None for a single network of coding 1."""
    init: Initialization | None = None
    """The initialization from which some tensors may be stored as differences."""

    def coded(self, networks: Sequence[Fitted], rounding: float = 0.5, coarser: int = 0) -> bytes:
        """Quantize and code the networks.

        Args:
            networks: of all parts in order.
            rounding: fraction of a quantization step from which a weight's magnitude is rounded up, 0.5..1.
            coarser: number by which step indices are raised.
        """
        quantized = [self._quantized(network, rounding, coarser) for network in networks]
        if self.splits is None:
            return weight_coding.encode_tensors(quantized[0])
        return mosaic_coding.encode_mosaic(self.splits, quantized)

    def coded_within(self, networks: Sequence[Fitted], limit: int) -> bytes:
        """Code the networks in at most `limit` bytes, by the first of _CODINGS that is short enough.

        The last coding, of zeros alone, must be.
        """

        @cache
        def coded(index: int) -> bytes:
            return self.coded(networks, *_CODINGS[index])

        if len(coded(0)) <= limit:
            return coded(0)
        # Counted from the shortest, the first coding that fits is the last.
        shortest = len(_CODINGS) - 1
        longest = last_that_fits(shortest, lambda index: len(coded(shortest - index)) <= limit)
        return coded(shortest - max(longest, 0))

    def least_bytes(self, architecture: Architecture, networks: int) -> int:
        """Length of a payload of zeros, the shortest there is."""
        return len(self.coded([blank(architecture)] * networks, coarser=quantization.STEP_INDEX_MAX))

    def network_bytes(self, network: Fitted) -> int:
        """Bytes of a network that is coded alone."""
        return len(weight_coding.encode_tensors(self._quantized(network, 0.5, 0)))

    def _quantized(self, fitted: Fitted, rounding: float, coarser: int) -> list[CodedTensor]:
        steps = [quantization.step_index(step) + coarser for step in fitted.steps]
        indices = [min(index, quantization.STEP_INDEX_MAX) for index in steps]
        references = self.init.references(fitted.differences) if self.init else [np.float32(0)] * len(indices)
        symbols = [
            quantization.quantize(weights - reference, quantization.step_size(index), rounding)
            for weights, reference, index in zip(fitted.weights, references, indices, strict=True)
        ]
        # Differences hold for a unit of the initialization at its own place and sign.
        if not any(fitted.differences):
            symbols = canonical.normalize(symbols)
        return list(map(CodedTensor, symbols, indices))


def blank(architecture: Architecture) -> Fitted:
    """A network of zeros, for a part where anything will do."""
    weights = [np.zeros(shape, np.float32) for shape in architecture.shapes]
    return Fitted(weights, [1.0] * len(weights), math.inf, 0.0, [False] * len(weights))
