"""Symbols <-> bytes: range coding under entropy models that are rebuilt from integers in the file.

Writes coding 1, reads codings 0 and 1 (docs/format.md section 4). Knows the order of a network's tensors, neither the
network's function nor a header.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...entropy.quantization import STEP_INDEX_MAX
from ...entropy.range_coder import Decoder, Encoder, MeteredDecoder
from .weight_coders import (
    DeltaCodedIndex,
    FirstKernel,
    GeneralizedNormal,
    Kernel,
    Laplace,
    SineBias,
    WeightCoder,
    WeightDecoder,
    row_groups,
)

_FIRST_STEP_INDEX = 144
# Expected side information, as networks fitted to Kodak images have it.
_PARAMETER_BITS = 17  # of a tensor: step and scale index 5 to 6 each, magnitude 4, shape or flag 1 to 3
_FREQUENCY_BITS = 2.5
_CODER_END_BITS = 24  # half of the last two words


@dataclass(frozen=True)
class CodedTensor:
    """One weight tensor as integers."""

    symbols: NDArray[np.int32]
    step_index: int
    """Names the quantization step, 0..255."""


def side_information_bytes(shapes: Sequence[tuple[int, ...]]) -> float:
    """Expected bytes that a stream holds beside coded symbols: the tensors' parameters and the end of the coder.

    Offsets of columns are not counted: a stream has them where they save more than they take.

    Args:
        shapes: of a network's tensors, in file order.
    """
    frequencies = max(row_groups(shapes[0][0]))
    return (_PARAMETER_BITS * len(shapes) + _FREQUENCY_BITS * frequencies + _CODER_END_BITS) / 8


def encode_tensors(tensors: Sequence[CodedTensor]) -> bytes:
    """Range-code the weights of a network with their parameters into one stream of coding 1.

    Args:
        tensors: kernels and biases in file order, as `Architecture.shapes` has them; symbols in -32767..32767. A
            network in its normal form (`normal_form.normalize`) takes 1 to 2 % less than another.
    Returns:
        Little-endian 32-bit words as bytes.
    Source: docs/format.md section 4.8.
    """
    encoder = Encoder()
    steps = _step_indices()
    for position, (tensor, coder) in enumerate(zip(tensors, _weight_coders(len(tensors)), strict=True)):
        steps[position % 2].encode(encoder, tensor.step_index)
        coder.encode(encoder, tensor.symbols)
    return encoder.to_bytes()


def decode_tensors(payload: bytes, shapes: Sequence[tuple[int, ...]], coding: int) -> Iterator[CodedTensor]:
    """Undo `encode_tensors`, or the writer of coding 0 in earlier releases, tensor by tensor.

    Args:
        payload: a multiple of 4 bytes whose checksum was compared before: the coder itself turns damaged bytes into
            plausible symbols without complaint.
        shapes: of the tensors of a network, in file order.
        coding: 0 or 1.
    Raises:
        FormatError: a tensor parameter is outside its range, or the stream does not fit its symbols.
    """
    return _tensors(Decoder(payload), shapes, coding)


def measure_tensors(
    payload: bytes, shapes: Sequence[tuple[int, ...]], coding: int
) -> Iterator[tuple[CodedTensor, float]]:
    """As `decode_tensors`, each tensor with the bits that it takes in the stream, its parameters included."""
    decoder = MeteredDecoder(payload)
    before = 0.0
    for tensor in _tensors(decoder, shapes, coding):
        yield tensor, decoder.bits_taken - before
        before = decoder.bits_taken


def _tensors(decoder: Decoder, shapes: Sequence[tuple[int, ...]], coding: int) -> Iterator[CodedTensor]:
    steps = _step_indices()
    coders: Sequence[WeightDecoder] = _weight_coders(len(shapes)) if coding else _laplace_decoders(len(shapes))
    for position, (shape, coder) in enumerate(zip(shapes, coders, strict=True)):
        step_index = steps[position % 2].decode(decoder)
        yield CodedTensor(coder.decode(decoder, shape), step_index)
    decoder.finish()


def _step_indices() -> list[DeltaCodedIndex]:
    """Of kernels and of biases."""
    return [DeltaCodedIndex("step index", _FIRST_STEP_INDEX, STEP_INDEX_MAX) for _ in range(2)]


def _laplace_decoders(tensor_count: int) -> list[Laplace]:
    """Coding 0, tensor by tensor."""
    return [Laplace(), Laplace()] * (tensor_count // 2)


def _weight_coders(tensor_count: int) -> list[WeightCoder]:
    """Coding 1, tensor by tensor."""
    hidden: list[WeightCoder] = [SineBias(), Kernel()] * (tensor_count // 2 - 1)
    return [FirstKernel(), *hidden, GeneralizedNormal()]
