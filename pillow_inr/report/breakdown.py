"""What a file consists of: the bytes of its parts, the bits and symbols of its model. Makes no pixels."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .. import cost
from ..entropy import quantization
from ..format import container
from ..format.metadata import CHUNK_NAMES
from ..models.pyramid import latent_coding
from ..models.pyramid.structure import LEVELS
from ..models.pyramid.tiles import Tiles
from ..models.siren import weight_coding
from ..models.siren.architecture import Architecture

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
class Grid:
    """A grid of a pyramid, over all tiles."""

    level: int
    """0 for the finest."""
    symbols: NDArray[np.int32]
    """Of all its cells, shape (cells,)."""
    bits: float
    """What they take in the stream."""

    @property
    def nonzero(self) -> int:
        """Number of cells that are not 0."""
        return int(np.count_nonzero(self.symbols))


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
    """Header, what the model is made of, each chunk, checksum: their bytes make up the file's. The second is called
    "weights" in a SIREN, "pyramid" in a pyramid."""
    layers: tuple[Layer, ...] = ()
    """Of a SIREN."""
    grids: tuple[Grid, ...] = ()
    """Of a pyramid, finest first."""
    network_bits: float = 0.0
    """What a pyramid's networks take, the tiles' table and all that is not in a grid included: with the grids' bits,
    those of the part "pyramid"."""
    end_bits: float = 0.0
    """What a SIREN's range coder's end and its whole words take: with the layers' bits, those of the part "weights"."""


def dissect(data: bytes) -> Anatomy:
    """Take a file apart. An initialization that its weights need is not looked for.

    Raises:
        FormatError: the file is damaged, or not an .inr file that this release reads.
        LimitError: decoding a pyramid's symbols takes more than `limits` allow.
    """
    header, payload, chunks = container.unpack(data)
    pyramid = header.model == container.MODEL_PYRAMID
    named = [Part(CHUNK_NAMES.get(chunk.kind, f"chunk {chunk.kind}"), _packed_bytes(chunk)) for chunk in chunks]
    parts = (
        Part("header", len(header.pack())),
        Part("pyramid" if pyramid else "weights", len(payload)),
        *named,
        Part("checksum", container.CRC_BYTES),
    )
    if pyramid:
        cost.of_file(header).check()
        grids = _grids(header, payload)
        left_bits = 8 * len(payload) - sum(grid.bits for grid in grids)
        return Anatomy(header=header, chunks=chunks, parts=parts, grids=grids, network_bits=left_bits)
    layers = _layers(header, payload)
    end_bits = 8 * len(payload) - sum(layer.bits for layer in layers)
    return Anatomy(header=header, chunks=chunks, parts=parts, layers=layers, end_bits=end_bits)


def _layers(header: container.Header, payload: bytes) -> tuple[Layer, ...]:
    tensors = [
        Tensor(tensor.symbols, quantization.step_size(tensor.step_index), bits)
        for tensor, bits in weight_coding.measure_tensors(payload, Architecture.of(header).shapes, header.coding)
    ]
    return tuple(Layer(*pair) for pair in zip(tensors[::2], tensors[1::2], strict=True))


def _grids(header: container.Header, payload: bytes) -> tuple[Grid, ...]:
    symbols: list[list[NDArray[np.int32]]] = [[] for _ in range(LEVELS)]
    bits = [0.0] * LEVELS
    tiles = Tiles(header, payload)
    for tile in tiles.all():
        pyramid = tiles.pyramid(tile)
        amounts = latent_coding.grid_bits(pyramid.tensors, pyramid.grids, header.preset)
        for level, (grid, amount) in enumerate(zip(pyramid.grids, amounts, strict=True)):
            symbols[level].append(grid.ravel())
            bits[level] += amount
    return tuple(Grid(level, np.concatenate(symbols[level]), bits[level]) for level in range(LEVELS))


def _packed_bytes(chunk: container.Chunk) -> int:
    return len(container.pack_chunks((chunk,)))
