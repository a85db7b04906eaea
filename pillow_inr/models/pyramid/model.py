"""A pyramid in a file: opens it, evaluates any region at any resolution, tells where its bits are.

NumPy, and wasmtime or constriction.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

import numpy as np
from numpy.typing import NDArray

from ...errors import FormatError
from ...format import file as file_format
from ...format.chunks import CHUNK_INITIALIZATION, CHUNK_PREVIEW, Chunk, first_chunk
from ...format.fields import FieldReader
from ...format.file import File
from ...format.header import Box, Header, Size
from ...format.header import read_header as parse_header
from ...imaging.region import check_box, check_size
from ...imaging.resampling import Resampling, mix
from ...imaging.samples import Samples, Scale
from ...imaging.transparency import Mask, Transparency
from .header import TILE_NONE, PyramidHeader, read
from .region import Region
from .tiles import Part, Tiles, share

if TYPE_CHECKING:
    from ...encoding.source_image import SourceImage
    from ..base import Breakdown

# Pixels along each axis that are made at once of a result of another resolution than the image's.
_BLOCK = 256


@dataclass(frozen=True)
class StoredPyramid:
    """A file's pyramids, one for each tile, and what is needed to evaluate them.

    A pyramid is not a function of position: it has values at the image's pixels only. It is evaluated there, no further
    than a region needs, and other resolutions are made of these values. Reduced, each pixel is the mean over the area
    that it covers; enlarged, the image's pixels are interpolated (cubic convolution), which adds no detail.
    """

    header: Header[PyramidHeader]
    tiles: Tiles
    chunks: tuple[Chunk, ...]
    transparency: Transparency | None = None

    def pixels(self, size: Size | None = None, box: Box | None = None) -> Samples:
        """Evaluate a region at a resolution, as `StoredModel.pixels`."""
        x0, y0, x1, y1 = check_box(box, self.header.size)
        width, height = check_size(size, (x0, y0, x1, y1))
        across = Resampling(self.header.size[0], x0, x1, width)
        down = Resampling(self.header.size[1], y0, y1, height)
        needed = Region(*down.needed(0, height), *across.needed(0, width))
        self.header.cost((width, height), (needed.left, needed.top, needed.right, needed.bottom)).check()
        # Damage is met before memory is taken for the result.
        self.tiles.decode_ahead(needed)
        if across.is_identity and down.is_identity:
            return self._own_pixels(needed)
        return self._resampled_pixels(down, across)

    def sampled_mse(self, source: "SourceImage") -> float:
        """Mean squared error over the whole image."""
        return source.mse(self)

    def to_keras(self) -> NoReturn:
        """Refuse: a pyramid is no function of position."""
        raise ValueError(
            "the file holds a pyramid, grids of symbols that are no function of position: encode with model='siren' "
            "for a Keras model"
        )

    def _own_pixels(self, region: Region) -> Samples:
        """The image's own pixels in a region."""
        scale = Scale.of(self.header)
        as_bytes = self.header.samples is None  # the kernel rounds more quickly
        pixels: Samples = np.zeros((*region.shape, self.header.channels), scale.dtype)

        def fill(part: Part) -> None:
            values = self.tiles.values(part, as_bytes=as_bytes)
            rows, columns = part.region.within(region)
            pixels[rows, columns] = values if as_bytes else scale.to_samples(values)
            if self.transparency is not None:
                pixels[rows, columns][self._mask(part.region)] = 0

        self.tiles.for_each_part(region, fill)
        return pixels

    def _resampled_pixels(self, down: Resampling, across: Resampling) -> Samples:
        """Pixels of another resolution, block by block."""
        scale = Scale.of(self.header)
        pixels: Samples = np.zeros((down.count, across.count, self.header.channels), scale.dtype)

        def fill(corner: tuple[int, int]) -> None:
            top, left = corner
            rows, columns = (top, min(top + _BLOCK, down.count)), (left, min(left + _BLOCK, across.count))
            pixels[slice(*rows), slice(*columns)] = scale.to_samples(self._resampled(down, across, rows, columns))

        share([(y, x) for y in range(0, down.count, _BLOCK) for x in range(0, across.count, _BLOCK)], fill)
        return pixels

    def _resampled(
        self, down: Resampling, across: Resampling, rows: tuple[int, int], columns: tuple[int, int]
    ) -> NDArray[np.float32]:
        """Normalized samples of a block of the result, shape (rows, columns, channels).

        Where the file names transparent pixels, each pixel's colour counts as much as its alpha (premultiplied alpha).
        """
        total = np.zeros((rows[1] - rows[0], columns[1] - columns[0], self.header.channels), np.float32)
        for tile_part in self.tiles.parts(Region(*down.needed(*rows), *across.needed(*columns))):
            values, part = self.tiles.values(tile_part), tile_part.region
            if self.transparency is not None:
                values[self._mask(part), -1] = 0.0
                values[..., :-1] *= values[..., -1:]
            lines = mix(down.weights(rows, (part.top, part.bottom)), values)
            horizontal = across.weights(columns, (part.left, part.right))
            total += mix(horizontal, lines.swapaxes(0, 1)).swapaxes(0, 1)
        if self.transparency is not None:
            alpha = total[..., -1:]
            np.divide(total[..., :-1], alpha, out=total[..., :-1], where=alpha > 0)
        return np.clip(total, 0.0, 1.0, out=total)

    def _mask(self, part: Region) -> Mask:
        """Which pixels of a region are transparent."""
        assert self.transparency is not None
        return self.transparency.mask(slice(part.top, part.bottom), slice(part.left, part.right))

    def preview(self) -> "StoredPyramid | None":
        """The file within the file that shows the whole image smaller (docs/format.md section 9.8).

        Raises:
            FormatError: it is damaged, or not of this image's kind.
        """
        data = first_chunk(self.chunks, CHUNK_PREVIEW)
        if data is None:
            return None
        try:
            header = parse_header(data, _pyramids_only)
            file = file_format.unpack(data, header)
        except FormatError as error:
            raise FormatError(f"chunks: the preview cannot be read: {error}") from error
        same = (header.pixel_format, header.samples) == (self.header.pixel_format, self.header.samples)
        if not same or file.chunks or header.model.tile != TILE_NONE:
            raise _no_preview()
        if any(small > whole for small, whole in zip(header.size, self.header.size, strict=True)):
            raise FormatError("chunks: the preview is larger than the image")
        return FORMAT.open(file)


class PyramidFormat:
    """Opens files that hold pyramids (`ModelFormat`); the tiles are decoded when pixels need them."""

    def open(self, file: File[PyramidHeader]) -> StoredPyramid:
        """Read the table of tiles."""
        if first_chunk(file.chunks, CHUNK_INITIALIZATION) is not None:
            raise FormatError("chunks: a pyramid has no initialization")
        transparency = Transparency.of(file.header, file.chunks)
        return StoredPyramid(file.header, Tiles(file.header, file.payload), file.chunks, transparency)

    def open_truncated(self, header: Header[PyramidHeader], payload: bytes) -> StoredPyramid:
        """Open the tiles that are there as a whole; the others are black."""
        tiles = Tiles(header, payload, cut=True)
        if not tiles.complete:
            raise file_format.too_short(header, payload)
        return StoredPyramid(header, tiles, ())

    def breakdown(self, file: File[PyramidHeader]) -> "Breakdown":
        """The bits of each grid over all tiles, and those of the networks."""
        from .breakdown import breakdown

        return breakdown(file)


FORMAT = PyramidFormat()


def _pyramids_only(number: int) -> Callable[[FieldReader], PyramidHeader]:
    if number != PyramidHeader.number:
        raise _no_preview()
    return read


def _no_preview() -> FormatError:
    return FormatError("chunks: the preview must be one pyramid of the image's samples, without chunks")
