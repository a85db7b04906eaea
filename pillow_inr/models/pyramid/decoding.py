"""A tile's stream -> symbols -> samples: by the kernel where it runs, otherwise in NumPy.

Both give the same symbols; samples differ by rounding errors of single precision. The kernel gives way to other
threads, so tiles may be decoded on all cores; NumPy's many short steps would wait for the interpreter's lock.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...entropy.symbol_budget import symbol_budget
from ...kernel.module import kernel
from . import structure
from .region import Region
from .structure import Pyramid

# Rows of a grid above and below those of a region that its samples may depend on, and more.
_MARGIN = 16


def gains_by_threads() -> bool:
    """Whether several threads decode faster than one."""
    return kernel() is not None


def decode(data: bytes, preset: int, base: structure.Tensors, size: tuple[int, int]) -> Pyramid:
    """Decode a tile's stream, as `latent_coding.decode`. The kernel's grids are int16, those of NumPy int32.

    Raises:
        FormatError: no encoder writes such a stream.
        LimitError: it stands for more symbols than its length allows, or there is no memory.
    """
    if kernel() is None:
        from . import latent_coding

        return latent_coding.decode(data, preset, base, size)
    from ...kernel import instance

    channels = structure.channels_of(base)
    with instance.borrowed() as decoder:
        decoder.begin(preset, channels, size, data, structure.flat(base))
        decoder.decode(symbol_budget(len(data)))
        grids = [_copy(grid) for grid in decoder.grids(structure.grid_sizes(size))]
        return Pyramid(structure.named(decoder.tensors(), preset, channels), grids)


def decode_tensors(data: bytes, preset: int, base: structure.Tensors) -> structure.Tensors:
    """Decode the networks alone of a tile's stream, as `latent_coding.decode_tensors`.

    Raises:
        FormatError: no encoder writes such a stream.
    """
    if kernel() is None:
        from . import latent_coding

        return latent_coding.decode_tensors(data, base)
    from ...kernel import instance

    channels = structure.channels_of(base)
    with instance.borrowed() as decoder:
        decoder.begin(preset, channels, (1, 1), data, structure.flat(base))
        decoder.decode_tensors(symbol_budget(len(data)))
        return structure.named(decoder.tensors(), preset, channels)


def synthesize(
    pyramid: Pyramid, size: tuple[int, int], channels: int, preset: int, region: Region, *, as_bytes: bool = False
) -> NDArray[Any]:
    """Samples of a region of a tile.

    Args:
        pyramid: decoded tile.
        size: width and height of the tile in pixels.
        channels: samples per pixel.
        preset: index into `structure.PRESETS`.
        region: pixels of the tile.
        as_bytes: uint8 in 0..255, rounded, in place of float32 in 0..1.
    Returns:
        Shape (rows, columns, channels), a new array.
    Raises:
        LimitError: there is no memory for it.
    """
    if kernel() is None:
        return _synthesized_by_numpy(pyramid, size, channels, preset, region, as_bytes)
    from ...kernel import instance

    with instance.borrowed() as decoder:
        decoder.begin(preset, channels, size, b"", structure.flat(pyramid.tensors))
        for level, place in enumerate(decoder.grids(structure.grid_sizes(size))):
            grid = pyramid.grids[level]
            if grid.strides[0]:  # else all zeros, as the place is
                rows = slice(max(0, (region.top >> level) - _MARGIN), (region.bottom >> level) + _MARGIN)
                place[rows] = grid[rows]
        return decoder.synthesize(region, np.uint8 if as_bytes else np.float32).copy()


def _synthesized_by_numpy(
    pyramid: Pyramid, size: tuple[int, int], channels: int, preset: int, region: Region, as_bytes: bool
) -> NDArray[Any]:
    from . import synthesis

    values = synthesis.synthesize(*pyramid, size, channels, preset, region)
    # fmax turns NaN into 0.
    np.fmax(values, 0.0, out=values)
    np.minimum(values, 1.0, out=values)
    return np.rint(values * np.float32(255)).astype(np.uint8) if as_bytes else values


def _copy(grid: NDArray[np.int16]) -> structure.Grid:
    """A copy; one of zeros takes no memory."""
    return grid.copy() if grid.any() else np.broadcast_to(np.int16(0), grid.shape)
