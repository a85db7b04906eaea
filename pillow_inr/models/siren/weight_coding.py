"""Weight symbols of a SIREN <-> a range-coded stream of bytes.

Writes coding 1 and reads codings 0 and 1 (docs/format.md section 4). Knows the order of the tensors and which coder
each one uses; knows neither the network's function nor the header.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

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
# Expected side information in bits, measured on networks fitted to Kodak images.
_PARAMETER_BITS = 17  # per tensor: step and scale index 5 to 6 each, magnitude 4, shape or flag 1 to 3
_FREQUENCY_BITS = 2.5  # per scale index of a frequency
_CODER_END_BITS = 24  # the part of the last two words that goes unused, on average


@dataclass(frozen=True)
class CodedTensor:
    """One quantized weight tensor."""

    symbols: NDArray[np.int32]
    """Multiples of the quantization step, -32767..32767, of the tensor's shape."""
    step_index: int
    """Index of the quantization step, 0..255 (`quantization.step_size`)."""


def side_information_bytes(shapes: Sequence[tuple[int, ...]]) -> float:
    """Expected bytes of a stream besides its symbols: the tensors' parameters and the end of the range coder.

    Column offsets are left out, since a writer only uses them where they save more than they cost.

    Args:
        shapes: of the network's tensors, in file order.
    """
    frequencies = max(row_groups(shapes[0][0]))
    return (_PARAMETER_BITS * len(shapes) + _FREQUENCY_BITS * frequencies + _CODER_END_BITS) / 8


def encode_tensors(tensors: Sequence[CodedTensor]) -> bytes:
    """Range-code the weights of a network and their parameters into one stream of coding 1.

    Args:
        tensors: kernels and biases in file order, as `Architecture.shapes` lists them; symbols in -32767..32767. A
            network in canonical form (`canonical.normalize`) takes 1 to 2 % fewer bytes.
    Returns:
        Little-endian 32-bit words.
    Source: docs/format.md section 4.8.
    """
    encoder = Encoder()
    encode_network(encoder, tensors, _step_indices(len(tensors)), _weight_coders(len(tensors)))
    return encoder.to_bytes()


def decode_tensors(payload: bytes, shapes: Sequence[tuple[int, ...]], coding: int) -> Iterator[CodedTensor]:
    """Decode the stream of `encode_tensors`, or one of coding 0 from an earlier release, tensor by tensor.

    Args:
        payload: a multiple of 4 bytes. Compare its checksum first: the coder turns damaged bytes into plausible
            symbols without complaint.
        shapes: of the network's tensors, in file order.
        coding: 0 or 1.
    Yields:
        The tensors in file order; damage is noticed while iterating.
    Raises:
        FormatError: a parameter is outside its range, or the stream does not fit its symbols.
        LimitError: the stream claims more symbols than its length allows.
    """
    return _tensors(Decoder(payload), shapes, coding)


def measure_tensors(
    payload: bytes, shapes: Sequence[tuple[int, ...]], coding: int
) -> Iterator[tuple[CodedTensor, float]]:
    """As `decode_tensors`, but each tensor comes with its rate in bits, parameters included."""
    decoder = MeteredDecoder(payload)
    return metered(decoder, _tensors(decoder, shapes, coding))


def _tensors(decoder: Decoder, shapes: Sequence[tuple[int, ...]], coding: int) -> Iterator[CodedTensor]:
    coders: Sequence[WeightDecoder] = _weight_coders(len(shapes)) if coding else _laplace_decoders(len(shapes))
    yield from decode_network(decoder, shapes, _step_indices(len(shapes)), coders)
    decoder.finish()


def encode_network(
    encoder: Encoder,
    tensors: Sequence[CodedTensor],
    steps: Sequence[DeltaCodedIndex],
    coders: Sequence[WeightCoder],
) -> None:
    """Write a network's tensors in file order, each with its own step index and coder, which tensors may share."""
    for tensor, step, coder in zip(tensors, steps, coders, strict=True):
        step.encode(encoder, tensor.step_index)
        coder.encode(encoder, tensor.symbols)


def decode_network(
    decoder: Decoder,
    shapes: Sequence[tuple[int, ...]],
    steps: Sequence[DeltaCodedIndex],
    coders: Sequence[WeightDecoder],
) -> Iterator[CodedTensor]:
    """Read what `encode_network` wrote."""
    for shape, step, coder in zip(shapes, steps, coders, strict=True):
        step_index = step.decode(decoder)
        yield CodedTensor(coder.decode(decoder, shape), step_index)


def metered(decoder: MeteredDecoder, tensors: Iterable[CodedTensor]) -> Iterator[tuple[CodedTensor, float]]:
    """Tensors while they are decoded, each with its rate in bits, parameters included."""
    before = decoder.bits_taken
    for tensor in tensors:
        yield tensor, decoder.bits_taken - before
        before = decoder.bits_taken


def step_index() -> DeltaCodedIndex:
    """A sequence of step indices."""
    return DeltaCodedIndex("step index", _FIRST_STEP_INDEX, STEP_INDEX_MAX)


def weight_coders(hidden: Iterable[tuple[WeightCoder, WeightCoder]]) -> list[WeightCoder]:
    """The coder of each tensor.

    Args:
        hidden: the coders of each sine layer's bias and of the kernel that follows it.
    """
    return [FirstKernel(), *chain.from_iterable(hidden), GeneralizedNormal()]


def _step_indices(tensor_count: int) -> list[DeltaCodedIndex]:
    """The sequence of each tensor's step index; kernels share one, and biases share one."""
    return [step_index(), step_index()] * (tensor_count // 2)


def _laplace_decoders(tensor_count: int) -> list[Laplace]:
    """The decoder of each tensor in coding 0; kernels share one, and biases share one."""
    return [Laplace(), Laplace()] * (tensor_count // 2)


def _weight_coders(tensor_count: int) -> list[WeightCoder]:
    """The coder of each tensor in coding 1; kernels after the first share one, and biases share one."""
    return weight_coders([(SineBias(), Kernel())] * (tensor_count // 2 - 1))
