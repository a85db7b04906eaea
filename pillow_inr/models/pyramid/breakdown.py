"""Where the bits of a pyramid's payload are, grid by grid."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...format.file import File
from ..base import Breakdown, Histogram, Row
from . import latent_coding
from .header import PyramidHeader
from .structure import LEVELS
from .tiles import Tiles


class LatentGrid(NamedTuple):
    """A latent grid, over all tiles."""

    level: int
    """0 for the finest."""
    symbols: NDArray[np.int32]
    """Shape (cells,)."""
    bits: float
    """Length in the stream."""

    @property
    def nonzero(self) -> int:
        """Number of cells that are not 0."""
        return int(np.count_nonzero(self.symbols))


def breakdown(file: File[PyramidHeader]) -> Breakdown:
    """Decode the symbols and measure what they take.

    Raises:
        FormatError: the payload is damaged.
        LimitError: decoding it takes more than `limits` allow.
    """
    file.header.cost().check()
    grids = measure_grids(file)
    # The table of tiles and all else that is in no grid counts with the networks.
    network_bits = 8 * len(file.payload) - sum(grid.bits for grid in grids)
    return Breakdown(
        part="pyramid",
        lines=_lines(file),
        headings=("grid", "cells", "not 0", "bits", "bits/cell"),
        rows=[*map(_row, grids), Row("networks", ("", ""), network_bits, share_label="networks")],
        element="cell",
        histograms_title="symbols of the grids",
        json=_json(grids, network_bits),
    )


def measure_grids(file: File[PyramidHeader]) -> list[LatentGrid]:
    """Symbols and lengths of each grid, finest first."""
    symbols: list[list[NDArray[np.int32]]] = [[] for _ in range(LEVELS)]
    bits = [0.0] * LEVELS
    tiles = Tiles(file.header, file.payload)
    for tile in tiles.all():
        pyramid = tiles.decode_tile(tile)
        lengths = latent_coding.grid_bits(pyramid.tensors, pyramid.grids, file.header.model.preset)
        for level, (grid, length) in enumerate(zip(pyramid.grids, lengths, strict=True)):
            symbols[level].append(grid.ravel())
            bits[level] += length
    return [LatentGrid(level, np.concatenate(symbols[level]), bits[level]) for level in range(LEVELS)]


def _lines(file: File[PyramidHeader]) -> list[tuple[str, str]]:
    model = file.header.model
    across, down = model.tiles(file.header.size)
    tiles = f"{across}×{down} of {model.tile_side} pixels a side" if model.tile_side else "none"
    return [("model", f"pyramid, preset {model.preset}, prior {model.base_index}"), ("tiles", tiles)]


def _row(grid: LatentGrid) -> Row:
    label, cells = f"1/{1 << grid.level}", grid.symbols.size
    axis = f"{grid.nonzero:,} of {cells:,} are not 0"
    return Row(
        label=label,
        columns=(f"{cells:,}", f"{grid.nonzero:,}"),
        bits=grid.bits,
        elements=cells,
        share_label=label,
        histogram=Histogram(f"grid {label}", axis, grid.symbols),
    )


def _json(grids: list[LatentGrid], network_bits: float) -> dict[str, Any]:
    return {
        "grids": [
            {"level": grid.level, "cells": grid.symbols.size, "nonzero": grid.nonzero, "bits": grid.bits}
            for grid in grids
        ],
        "network_bits": network_bits,
    }
