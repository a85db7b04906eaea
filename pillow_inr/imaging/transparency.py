"""Fully transparent pixels: found, filled with smooth colours, kept as a chunk (docs/format.md section 10).

Nobody sees the colour of such a pixel, so it may have any; and a model that approximates alpha would leave it slightly
opaque, so the file says which pixels are transparent, exactly.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .. import cost, limits
from ..errors import FormatError
from ..format.chunks import CHUNK_TRANSPARENCY, Chunk
from ..format.fields import VARINT_BYTES_MAX, pack_varint
from ..format.header import Header, ModelHeader, Size
from .samples import Samples, Scale

# Above what any row holds: a column has 24 bits, and a move twice as many values.
_NUMBER_MAX = 1 << 27
_BLOCK_BYTES = 1 << 20

Mask = NDArray[np.bool_]
"""True where a pixel is fully transparent, shape (height, width)."""


def transparent_pixels(samples: Samples) -> Mask | None:
    """The fully transparent pixels of an image; None if it has none, or if a file cannot name them.

    Args:
        samples: shape (height, width) or (height, width, channels); the last of two or four channels is alpha.
    """
    if samples.ndim < 3 or not cost.may_name_transparent_pixels(samples.shape[2], samples.dtype.name):
        return None
    mask: Mask = samples[..., -1] == 0
    return mask if mask.any() else None


def with_transparent_colour(samples: Samples, colour: int | tuple[int, ...]) -> NDArray[np.uint16]:
    """Samples with alpha: 0 for the pixels of one colour, else 65535.

    Args:
        samples: integers in 0..65535, shape (height, width) or (height, width, channels).
        colour: a value for each channel.
    Returns:
        Shape (height, width, channels + 1).
    """
    samples = samples.reshape(*samples.shape[:2], -1)
    opaque = (samples != np.asarray(colour)).any(axis=-1, keepdims=True)
    return np.concatenate([samples, opaque * 0xFFFF], axis=-1).astype(np.uint16)


def filled(samples: Samples, mask: Mask, scale: Scale) -> Samples:
    """A copy whose transparent pixels continue the others smoothly, alpha too: a model codes them with few bits.

    Each becomes the mean of the pixels around it that show, at the finest resolution at which there are any (push-pull,
    Gortler et al. 1996, "The Lumigraph", section 3.4.3).

    Args:
        samples: shape (height, width, channels).
        mask: which pixels to fill; 0 in all channels if these are all.
        scale: of the samples.
    """
    normalized = np.empty(samples.shape, np.float32)
    shows = (~mask).astype(np.float32)
    for row, pixels in enumerate(samples):
        normalized[row] = scale.to_normalized(pixels) * shows[row, :, np.newaxis]
    for channel in range(samples.shape[2]):  # one at a time: it takes several times the memory of a channel
        normalized[..., channel] = _push_pull(normalized[..., channel], shows)
    result = samples.copy()
    result[mask] = scale.to_samples(normalized[mask])
    return result


def _push_pull(sums: NDArray[np.float32], weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Weighted means where weights are positive, elsewhere those of coarser levels.

    Args:
        sums: values times weights, shape (height, width).
        weights: at least 0, same shape.
    Returns:
        Same shape.
    """
    means = np.divide(sums, weights, out=np.zeros_like(sums), where=weights > 0)
    if weights.min() > 0 or max(sums.shape) == 1:
        return means
    coarse = _push_pull(_halved(sums), _halved(weights))
    wide = _doubled(_doubled(coarse).T).T
    return np.where(weights > 0, means, wide[: sums.shape[0], : sums.shape[1]])


def _halved(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Sums over squares of 2 x 2; an odd last row or column counts alone."""
    rows, columns = values.shape
    even = np.pad(values, ((0, rows % 2), (0, columns % 2)))
    return even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]


def _doubled(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Twice the rows, by linear interpolation."""
    padded = np.pad(values, ((1, 1), (0, 0)), "edge")
    rows = np.empty((2 * len(values), values.shape[1]), np.float32)
    rows[::2] = 0.75 * values + 0.25 * padded[:-2]
    rows[1::2] = 0.75 * values + 0.25 * padded[2:]
    return rows


def to_chunk(mask: Mask) -> Chunk:
    """Write which pixels are transparent: where each row changes, against the row above (docs/format.md section 10).

    Raises:
        OverflowError: the chunk would unpack to more bytes than a reader takes, as noise of many megapixels does.
    """
    numbers: list[int] = []
    above = np.empty(0, np.int64)
    for row in mask:
        changes = np.flatnonzero(np.diff(row, prepend=False))
        if len(changes) == len(above):
            moves = changes - above
            numbers += [0, *np.where(moves < 0, -2 * moves - 1, 2 * moves).tolist()]
        else:
            numbers += [len(changes) + 1, *np.diff(changes, prepend=0).tolist()]
        above = changes
    data = b"".join(map(pack_varint, numbers))
    if len(data) > limits.METADATA_MAX:
        raise OverflowError(f"more than {limits.METADATA_MAX} bytes are needed to name the transparent pixels")
    return Chunk(CHUNK_TRANSPARENCY, zlib.compress(data, 9), required=True)


@dataclass(frozen=True)
class Transparency:
    """The transparent pixels that a file names."""

    size: Size
    changes: NDArray[np.int32]
    """Columns at which a pixel differs from the one to its left, row by row; left of each row all is opaque."""
    edges: NDArray[np.int64]
    """Index of each row's first change, and after the last row's last one, shape (height + 1,)."""

    @classmethod
    def of(cls, header: Header[ModelHeader], chunks: Sequence[Chunk]) -> "Transparency | None":
        """What a file's chunks tell; None if it has no such chunk.

        Raises:
            FormatError: the chunk is malformed, occurs twice, or the samples have no alpha.
            LimitError: reading it takes more than `limits` allow.
        """
        found = [chunk for chunk in chunks if chunk.kind == CHUNK_TRANSPARENCY and chunk.required]
        if not found:
            return None
        if len(found) > 1:
            raise _malformed("there must be at most one such chunk")
        if not cost.may_name_transparent_pixels(header.channels, header.dtype) or header.ranges[-1][0] != 0:
            raise _malformed("it needs samples of 8 or 16 bits whose last channel is alpha, from 0")
        cost.of_transparency(header.size, len(found[0].data)).check()
        return cls._parsed(header.size, _numbers(_decompressed(found[0].data, header.size)))

    @classmethod
    def _parsed(cls, size: Size, numbers: NDArray[np.int32]) -> "Transparency":
        width, height = size
        edges = np.zeros(height + 1, np.int64)
        at = end = 0
        above = np.empty(0, np.int64)
        for row in range(height):
            if at >= len(numbers):
                raise _malformed("it ends before the last row")
            moved, count = numbers[at] == 0, len(above) if numbers[at] == 0 else int(numbers[at]) - 1
            if count:
                coded = numbers[at + 1 : at + 1 + count]
                if len(coded) < count:
                    raise _malformed("it ends within a row")
                above = above + _signed(coded) if moved else np.cumsum(coded, dtype=np.int64)
                if above[0] < 0 or above[-1] >= width or (count > 1 and np.diff(above).min() < 1):
                    raise _malformed(f"the changes of a row must rise within 0..{width - 1}")
                numbers[end : end + count] = above  # in the place of numbers that have been read
            elif len(above):
                above = above[:0]
            at += 1 + count
            end += count
            edges[row + 1] = end
        if at < len(numbers):
            raise _malformed("bytes follow its last row")
        return cls(size, numbers[:end], edges)

    def mask(self, rows: slice | NDArray[np.intp], columns: slice | NDArray[np.intp]) -> Mask:
        """The pixels in these rows and columns, of which there is at least one."""
        width, height = self.size
        lines = np.arange(*rows.indices(height)) if isinstance(rows, slice) else rows
        places = np.arange(*columns.indices(width)) if isinstance(columns, slice) else columns
        left, right = int(places.min()), int(places.max()) + 1
        flips = np.zeros((len(lines), right - left), bool)
        starts, ends = self.edges[lines], self.edges[lines + 1]
        for line in np.flatnonzero(ends > starts):
            changes = self.changes[starts[line] : ends[line]]
            first, last = np.searchsorted(changes, (left, right))
            flips[line, changes[first:last] - left] = True
            flips[line, 0] ^= bool(first % 2)
        return np.logical_xor.accumulate(flips, axis=1)[:, places - left]


def _signed(coded: NDArray[np.int32]) -> NDArray[np.int32]:
    """0, -1, 1, -2, 2 … of 0, 1, 2, 3, 4 …"""
    return np.where(coded % 2 == 1, -(coded + 1) // 2, coded // 2)


def _numbers(data: bytes) -> NDArray[np.int32]:
    """The varints (docs/format.md section 1) that make up some bytes; those too large for a row as _NUMBER_MAX."""
    groups = np.frombuffer(data, np.uint8)
    if len(groups) and groups[-1] >= 0x80:
        raise _malformed("it is cut off")
    numbers = np.empty(np.count_nonzero(groups < 0x80), np.int32)
    start = filled = 0
    while start < len(groups):  # in blocks: it takes many times their memory
        block = groups[start : start + _BLOCK_BYTES]
        last = np.flatnonzero(block < 0x80)
        values = _block_numbers(block, last)
        numbers[filled : filled + len(values)] = values
        filled += len(values)
        start += int(last[-1]) + 1
    return numbers


def _block_numbers(groups: NDArray[np.uint8], last: NDArray[np.intp]) -> NDArray[np.int64]:
    """The varints in a block that may be cut off, by the index of each one's last byte."""
    lengths = np.diff(last, prepend=-1)
    if not len(last) or (lengths > VARINT_BYTES_MAX).any() or ((groups[last] == 0) & (lengths > 1)).any():
        raise _malformed("a number is longer than it may be")
    place = np.arange(last[-1] + 1) - np.repeat(last - lengths + 1, lengths)
    parts = (groups[: last[-1] + 1] & 0x7F).astype(np.int64) << 7 * place
    return np.minimum(np.add.reduceat(parts, last - lengths + 1), _NUMBER_MAX)


def _decompressed(data: bytes, size: Size) -> bytes:
    bytes_max = cost.transparency_bytes_max(size)
    decompressor = zlib.decompressobj()
    try:
        numbers = decompressor.decompress(data, bytes_max + 1)
    except zlib.error as error:
        raise _malformed(str(error)) from error
    if len(numbers) > bytes_max:
        raise _malformed(f"it has more than {bytes_max} bytes")
    if not decompressor.eof or decompressor.unused_data:
        raise _malformed("its compressed data does not end where the chunk ends")
    return numbers


def _malformed(what: str) -> FormatError:
    return FormatError(f"chunks: transparency is malformed: {what}")
