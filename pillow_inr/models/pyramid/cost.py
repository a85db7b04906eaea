"""What evaluating a pyramid takes, from numbers in its header. Standard library only."""

from ...cost import Cost, fixed_bytes, result_bytes

Size = tuple[int, int]

# What takes as long as this many multiplications: a pixel, for its symbols and the first layers of its synthesis; a
# wavefront of a grid (60 microseconds) and a tile (3 milliseconds), however few pixels they have.
PYRAMID_WORK = 1850
WAVEFRONT_WORK = 10**6
TILE_WORK = 10**8
# Bytes of a pixel while its grids are decoded, and for as long as they are kept.
_DECODING_BYTES = 20
_KEPT_BYTES = 6
_TENSORS_BYTES = 1 << 16
KEPT_BYTES = 90 << 20
"""Memory for decoded tiles, so that regions side by side decode a tile once: enough for 16 million pixels."""
# One part of a result while it is made, as normalized samples in double precision.
_PART_BYTES = 24 << 20


def evaluation_cost(
    image: Size,
    tile_side: int,
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
        channels: samples per pixel.
        dtype: type of a sample.
        payload_bytes: length of the payload.
        box: edges of the region, whole pixels.
        size: width and height of the result.
    """
    across, down = (
        (
            min((last - 1) // tile_side * tile_side + tile_side, length) - first // tile_side * tile_side,
            (last - 1) // tile_side - first // tile_side + 1,
        )
        for first, last, length in zip(box[:2], box[2:], image, strict=True)
    )
    pixels, tiles = across[0] * down[0], across[1] * down[1]
    # The layers that mix samples: 60 multiplications for each and 20 for each pair.
    work_per_pixel = PYRAMID_WORK + 60 * channels + 20 * channels**2
    # All levels together have fewer than twice the wavefronts of the finest.
    wavefronts = 2 * (across[0] * down[1] + 2 * down[0] * across[1])
    largest = min(tile_side, image[0]) * min(tile_side, image[1])
    kept = min(_KEPT_BYTES * pixels + _TENSORS_BYTES * tiles, max(KEPT_BYTES, _KEPT_BYTES * largest))
    fixed = fixed_bytes(payload_bytes, channels) + _PART_BYTES + _DECODING_BYTES * largest
    return Cost(
        work_per_pixel * pixels + WAVEFRONT_WORK * wavefronts + TILE_WORK * tiles,
        fixed + kept + result_bytes(size, channels, dtype),
    )
