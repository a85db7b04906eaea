"""Random pyramids, which need no fit, and files of them."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from pillow_inr.format.header import Header
from pillow_inr.models.pyramid import latent_coding, structure
from pillow_inr.models.pyramid.chain import Chain
from pillow_inr.models.pyramid.context import Grid
from pillow_inr.models.pyramid.latent_coding import WeightResidual
from pillow_inr.models.pyramid.tiles import Tiles, pack_streams
from tests.support import container

SPREAD = 1.5


def draw_weight_residuals(
    rng: np.random.Generator, channels: int, spread: float = 2.0, preset: int = 0
) -> dict[str, WeightResidual]:
    """Random weight residuals for all tensors."""
    return {
        name: WeightResidual(int(rng.integers(5)), np.rint(rng.laplace(0, spread, shape)).astype(np.int32))
        for name, shape in structure.shapes(preset, channels).items()
    }


def draw_grids(rng: np.random.Generator, size: tuple[int, int], spread: float = SPREAD) -> list[Grid]:
    """Random symbols of all latent grids, larger in coarser grids."""
    return [
        np.rint(rng.laplace(0, spread * 1.3**level, shape)).clip(-4095, 4095).astype(np.int32)
        for level, shape in enumerate(structure.grid_sizes(size))
    ]


def draw_stream(
    rng: np.random.Generator,
    size: tuple[int, int],
    channels: int = 3,
    spread: float = SPREAD,
    base: structure.Tensors | None = None,
    preset: int = 0,
) -> bytes:
    """The stream of one pyramid; its networks are differences from `base`, by default the first base weights."""
    residuals = draw_weight_residuals(rng, channels, preset=preset)
    base = base or structure.base_weights(preset, 0, channels)
    return latent_coding.encode(preset, base, residuals, draw_grids(rng, size, spread))


def header_of(size: tuple[int, int], **fields: Any) -> Header[Any]:
    """The header of a pyramid, RGB by default."""
    given: dict[str, Any] = {
        "pixel_format": 2,
        "payload_bytes": 0,
        "chunks_bytes": 0,
        "coding": container.CODING_PYRAMID,
        **fields,
    }
    return container.header(size=size, model=container.MODEL_PYRAMID, **given)


def joined(header: Header[Any], draw: Callable[[tuple[int, int], structure.Tensors], bytes]) -> bytes:
    """A payload of streams, each drawn for the size of its tile and for what its networks are differences from."""
    streams: list[bytes] = []
    chain = Chain(header, streams.__getitem__)
    # An empty table of streams is enough to list the tiles.
    table = bytes(4 * math.prod(header.model.tiles(header.size)) if header.model.tile else 0)
    for tile in Tiles(replace(header, payload_bytes=len(table)), table).all():
        streams.append(draw(tile.size, chain.base(tile.number)))
    return pack_streams(header.model, streams)


def with_preview(data: bytes, preview: bytes) -> bytes:
    """A file with another one as its preview."""
    header, payload, chunks = container.unpack(data)
    packed = container.pack_chunks([*chunks, container.Chunk(container.CHUNK_PREVIEW, preview)])
    return container.pack(replace(header, chunks_bytes=len(packed)), payload, packed)


def draw_file(size: tuple[int, int], seed: int = 0, spread: float = SPREAD, **fields: Any) -> bytes:
    """A file of random symbols; tiled if the field `tile` is set."""
    rng = np.random.default_rng(seed)
    header = header_of(size, **fields)

    def draw(size: tuple[int, int], base: structure.Tensors) -> bytes:
        return draw_stream(rng, size, header.channels, spread, base, header.model.preset)

    payload = joined(header, draw)
    return container.pack(replace(header, payload_bytes=len(payload)), payload)
