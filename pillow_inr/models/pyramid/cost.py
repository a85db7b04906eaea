"""What evaluating a pyramid takes, from numbers in its header. Standard library only."""

from ...cost import Cost, fixed_bytes, result_bytes
from ...runtime.threads import THREADS_MAX, cores

Size = tuple[int, int]

# What takes as long as this many multiplications: a pixel, for its symbols and the first layers of its synthesis; a
# wavefront of a grid (60 microseconds) and a tile (3 milliseconds), however few pixels they have.
PYRAMID_WORK = 1850
WAVEFRONT_WORK = 10**6
TILE_WORK = 10**8
# Bytes of a pixel while its grids are decoded; bytes of a tile's networks.
_DECODING_BYTES = 20
_TENSORS_BYTES = 1 << 16
NETWORKS_BYTES = 8 << 20
"""Memory for networks that those of other tiles are coded against."""
# Bytes of a pixel in each thread that makes samples of a tile.
_THREAD_BYTES = 4
CACHED_BYTES = 6
"""Bytes of a pixel for as long as its grids are cached."""
CACHE_BYTES = 90 << 20
"""Memory for decoded tiles, so that regions side by side decode a tile once: enough for 16 million pixels."""
# One part of a result while it is made, as normalized samples in double precision.
_PART_BYTES = 24 << 20


def evaluation_cost(
    image: Size,
    tile_side: int,
    chain_side: int,
    channels: int,
    dtype: str,
    payload_bytes: int,
    box: tuple[int, int, int, int],
    size: Size,
) -> Cost:
    """Upper bounds for a result of `size` pixels that needs the image's pixels in `box`: left, upper, right, lower.

    Args:
        image: width and height of the image.
        tile_side: side of its tiles; at least its longer side if it has none.
        chain_side: networks are coded against each other in squares of so many tiles a side; 0 if they are not.
        channels: samples per pixel.
        dtype: type of a sample.
        payload_bytes: length of the payload.
        box: edges of the region, whole pixels.
        size: width and height of the result.
    """
    left, upper, right, lower = box
    columns, tile_columns = _covered(left, right, image[0], tile_side)
    rows, tile_rows = _covered(upper, lower, image[1], tile_side)
    pixels, tiles = columns * rows, tile_columns * tile_rows
    # The layers that mix samples: 60 multiplications for each and 20 for each pair.
    work_per_pixel = PYRAMID_WORK + 60 * channels + 20 * channels**2
    # All levels together have fewer than twice the wavefronts of the finest.
    wavefronts = 2 * (columns * tile_rows + 2 * rows * tile_columns)
    largest = min(tile_side, image[0]) * min(tile_side, image[1])
    cached = min(CACHED_BYTES * pixels + _TENSORS_BYTES * tiles, max(CACHE_BYTES, CACHED_BYTES * largest))
    threads = min(cores(), THREADS_MAX)
    fixed = fixed_bytes(payload_bytes, channels) + _PART_BYTES + (_DECODING_BYTES + threads * _THREAD_BYTES) * largest
    if chain_side:
        fixed += NETWORKS_BYTES
        # In each square touched, of a row and a column of tiles the networks alone are decoded.
        chains = (tile_columns // chain_side + 2) * (tile_rows // chain_side + 2)
        tiles += 2 * (chain_side - 1) * chains
    return Cost(
        work_per_pixel * pixels + WAVEFRONT_WORK * wavefronts + TILE_WORK * tiles,
        fixed + cached + result_bytes(size, channels, dtype),
    )


def _covered(first: int, last: int, length: int, tile_side: int) -> tuple[int, int]:
    """Pixels and tiles along one axis of all tiles that pixels from `first` to before `last` lie in."""
    first_tile, last_tile = first // tile_side, (last - 1) // tile_side
    return min((last_tile + 1) * tile_side, length) - first_tile * tile_side, last_tile - first_tile + 1
