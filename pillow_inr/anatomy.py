"""What a file consists of: the bytes of its parts, the bits and symbols of its weights. Evaluates no network."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from . import container, entropy, quantization
from .architecture import Architecture
from .metadata import CHUNK_NAMES

_LABELS = {"exif": "EXIF", "icc_profile": "ICC profile", "xmp": "XMP", "psnr": "PSNR"}


@dataclass(frozen=True)
class Tensor:
    """A kernel or a bias as the file holds it."""

    symbols: NDArray[np.int32]
    """The quantized weights, or their differences from an initialization."""
    step: float
    """The distance between two quantized values."""
    bits: float
    """What the tensor takes in the stream, its parameters included."""


@dataclass(frozen=True)
class Layer:
    """A layer of the network: the sine layers in order, then the linear output."""

    kernel: Tensor
    bias: Tensor

    @property
    def bits(self) -> float:
        """What the layer takes in the stream."""
        return self.kernel.bits + self.bias.bits

    @property
    def weight_count(self) -> int:
        """Number of its weights, biases included."""
        return self.kernel.symbols.size + self.bias.symbols.size


@dataclass(frozen=True)
class Part:
    """A piece of a file."""

    name: str
    bytes: int
    """Its kind and its length included, where it is a chunk."""

    @property
    def label(self) -> str:
        """The name as it is written in text."""
        return _LABELS.get(self.name, self.name)


@dataclass(frozen=True)
class Anatomy:
    """A file taken apart."""

    header: container.Header
    chunks: tuple[container.Chunk, ...]
    parts: tuple[Part, ...]
    """Header, weights, each chunk, checksum: their bytes make up the file's."""
    layers: tuple[Layer, ...]
    end_bits: float
    """What the range coder's end and its whole words take: with the layers' bits, those of the part "weights"."""


def dissect(data: bytes) -> Anatomy:
    """Take a file apart. An initialization that its weights need is not looked for.

    Raises:
        FormatError: the file is damaged, or not an .inr file that this release reads.
    """
    header, payload, chunks = container.unpack(data)
    tensors = [
        Tensor(tensor.symbols, quantization.step_size(tensor.step_index), bits)
        for tensor, bits in entropy.measure_tensors(payload, Architecture.of(header).shapes, header.coding)
    ]
    layers = tuple(Layer(*pair) for pair in zip(tensors[::2], tensors[1::2], strict=True))
    named = [Part(CHUNK_NAMES.get(chunk.kind, f"chunk {chunk.kind}"), _packed_bytes(chunk)) for chunk in chunks]
    return Anatomy(
        header=header,
        chunks=chunks,
        parts=(
            Part("header", len(header.pack())),
            Part("weights", len(payload)),
            *named,
            Part("checksum", container.CRC_BYTES),
        ),
        layers=layers,
        end_bits=8 * len(payload) - sum(layer.bits for layer in layers),
    )


def _packed_bytes(chunk: container.Chunk) -> int:
    return len(container.pack_chunks((chunk,)))
