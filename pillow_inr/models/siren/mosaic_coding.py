"""A mosaic of SIRENs <-> one range-coded stream: how the image is divided, then the weights of each part's network.

Writes coding 2 and reads all codings (docs/format.md section 11); a file of codings 0 and 1 has one part.
"""

from collections.abc import Iterator, Sequence

from ...entropy.distributions import uniform
from ...entropy.range_coder import Decoder, Encoder, MeteredDecoder
from ...errors import FormatError
from . import weight_coding
from .division import Part, Region, divided
from .header import CODING_MOSAIC, SirenHeader
from .weight_coders import DeltaCodedIndex, Kernel, SineBias, WeightCoder
from .weight_coding import CodedTensor


def encode_mosaic(splits: Sequence[bool], networks: Sequence[Sequence[CodedTensor]]) -> bytes:
    """Range-code a division and the weights of its parts into one stream of coding 2.

    Args:
        splits: whether each region is halved, in the order in which `division.divided` asks.
        networks: of the parts in order, at least one; tensors as for `weight_coding.encode_tensors`.
    Returns:
        Little-endian 32-bit words.
    Source: docs/format.md section 11.
    """
    encoder = Encoder()
    for split in splits:
        encoder.encode(int(split), uniform(2))
    steps, coders = _coders(len(networks[0]))
    for tensors in networks:
        weight_coding.encode_network(encoder, tensors, steps, coders)
    return encoder.to_bytes()


def decode_networks(
    payload: bytes, size: tuple[int, int], model: SirenHeader, shapes: Sequence[tuple[int, ...]]
) -> tuple[list[Part], Iterator[CodedTensor]]:
    """Decode a payload of any coding: where each network is, and the tensors of one network after another.

    Args:
        payload: a multiple of 4 bytes. Compare its checksum first: the coder turns damaged bytes into plausible
            symbols without complaint.
        size: width and height of the image.
        model: the header fields.
        shapes: of a network's tensors, in file order.
    Returns:
        The parts, and the tensors in file order; damage is noticed while iterating.
    Raises:
        FormatError: a parameter is outside its range, or the stream does not fit its symbols.
        LimitError: the stream claims more symbols than its length allows.
    """
    if model.coding != CODING_MOSAIC:
        tensors = weight_coding.decode_tensors(payload, shapes, model.coding)
        return divided(size, 0, lambda _: False), tensors
    decoder = Decoder(payload)
    return _parts(decoder, size, model), _tensors(decoder, model.networks, shapes)


def measure_networks(
    payload: bytes, size: tuple[int, int], model: SirenHeader, shapes: Sequence[tuple[int, ...]]
) -> Iterator[tuple[CodedTensor, float]]:
    """The tensors of `decode_networks`, each with its rate in bits, parameters included."""
    if model.coding != CODING_MOSAIC:
        return weight_coding.measure_tensors(payload, shapes, model.coding)
    decoder = MeteredDecoder(payload)
    _parts(decoder, size, model)
    return weight_coding.metered(decoder, _tensors(decoder, model.networks, shapes))


def _parts(decoder: Decoder, size: tuple[int, int], model: SirenHeader) -> list[Part]:
    count = 1

    def is_split(_: Region) -> bool:
        nonlocal count
        split = bool(decoder.decode_one(uniform(2)))
        count += split
        if count > model.networks:
            raise FormatError(f"payload: the image is divided into more than {model.networks} parts")
        return split

    parts = divided(size, model.overlap, is_split)
    if len(parts) < model.networks:
        raise FormatError(f"payload: the image is divided into {len(parts)} parts, expected {model.networks}")
    return parts


def _tensors(decoder: Decoder, networks: int, shapes: Sequence[tuple[int, ...]]) -> Iterator[CodedTensor]:
    steps, coders = _coders(len(shapes))
    for _ in range(networks):
        yield from weight_coding.decode_network(decoder, shapes, steps, coders)
    decoder.finish()


def _coders(tensor_count: int) -> tuple[list[DeltaCodedIndex], list[WeightCoder]]:
    """Step index and coder of each tensor, none of them shared: each predicts from that tensor one network before."""
    hidden = [(SineBias(), Kernel()) for _ in range(tensor_count // 2 - 1)]
    return [weight_coding.step_index() for _ in range(tensor_count)], weight_coding.weight_coders(hidden)
