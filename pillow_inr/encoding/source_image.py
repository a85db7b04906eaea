"""The image to be stored, whichever model stores it: samples, their format, metadata; and the file around a payload."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from ..format import file as file_format
from ..format.chunks import Chunk, pack_chunks
from ..format.file import File
from ..format.header import CRC_BYTES, Box, F, Header, Size
from ..format.metadata import Metadata, psnr_chunk
from ..format.pixel_format import SampleFormat
from ..imaging import metrics, samples, transparency
from ..imaging.resampling import Resampling
from ..imaging.samples import Samples, Scale
from ..imaging.transparency import Mask

# Side of the regions in which a large image is compared with its source.
_REGION_SIDE = 1024


class BudgetError(ValueError):
    """No file is as short as the caller asks for."""


class DecodedModel(Protocol):
    """A model that can be compared with its source (`models.base.StoredModel`)."""

    @property
    def header(self) -> Header[Any]:
        """The header of its file."""

    def pixels(self, size: Size | None = None, box: Box | None = None) -> Samples:
        """Evaluate a region of the image at a resolution."""

    def sampled_mse(self, source: "SourceImage") -> float:
        """Mean squared error against the source, where all pixels are too dear on some of them."""


class Encoded(NamedTuple):
    """A file, and what was found out about it while it was made."""

    data: bytes
    psnr_db: float
    """As the file states it: of a SIREN above half a megapixel, on every n-th row and column."""
    model: DecodedModel
    """The file's model, opened from the payload."""

    def loss(self, rd_lambda: float, pixels: int) -> float:
        """Mean squared error + lambda * bits per pixel."""
        return float(10 ** (-self.psnr_db / 10) + rd_lambda * 8 * len(self.data) / pixels)


@dataclass(frozen=True)
class SourceImage:
    """The image to be stored."""

    samples: Samples
    """Shape (height, width, channels); transparent pixels continue those around them."""
    pixel_format: int
    sample_format: SampleFormat | None
    metadata: Metadata
    transparent: Mask | None = None
    """The pixels that the file names as fully transparent, shape (height, width); None if it names none. A model may
    show anything there."""

    @classmethod
    def of(cls, array: Samples, metadata: Metadata, transparent: Mask | None = None) -> "SourceImage":
        """The image in an array from `samples.as_samples`, some of whose pixels may be fully transparent."""
        pixel_format, sample_format = samples.format_of(array)
        plain = cls(array.reshape(*array.shape[:2], -1), pixel_format, sample_format, metadata)
        if transparent is None:
            return plain
        smooth = transparency.filled(plain.samples, transparent, plain.scale)
        return replace(plain, samples=smooth, transparent=transparent)

    def without_chunk(self) -> "SourceImage":
        """The image for a file that has no room to name transparent pixels: a model approximates their alpha."""
        samples = self.samples.copy()
        samples[..., -1][self.transparent] = 0
        return replace(self, samples=samples, transparent=None)

    def shown(self, rows: slice = slice(None), columns: slice = slice(None)) -> Samples:
        """Samples as a reader sees them: 0 where the file names transparent pixels."""
        part = self.samples[rows, columns]
        if self.transparent is None:
            return part
        part = part.copy()
        part[self.transparent[rows, columns]] = 0
        return part

    @cached_property
    def transparency_chunks(self) -> list[Chunk]:
        """The chunk that names transparent pixels, if there are any."""
        return [] if self.transparent is None else [transparency.to_chunk(self.transparent)]

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.samples.shape[1], self.samples.shape[0]

    @property
    def pixels(self) -> int:
        """Number of pixels."""
        return math.prod(self.size)

    @property
    def channels(self) -> int:
        """Samples per pixel."""
        return int(self.samples.shape[2])

    @property
    def hidden(self) -> Mask | None:
        """`transparent`, unless these are all pixels: a fit needs some to reach."""
        return None if self.transparent is None or self.transparent.all() else self.transparent

    @property
    def is_flat(self) -> bool:
        """Whether all pixels have one colour."""
        first = self.samples[0, 0]
        return all((row == first).all() for row in self.samples)

    @cached_property
    def is_opaque(self) -> bool:
        """Whether the last channel has its largest value everywhere, as the alpha of an opaque image."""
        return all((self.scale.to_normalized(row)[..., -1] == 1.0).all() for row in self.samples)

    @property
    def scale(self) -> Scale:
        """The map between its samples and normalized ones."""
        ranges = self.sample_format.ranges if self.sample_format else ((0.0, 255.0),)
        return Scale(self.samples.dtype.name, self.channels, ranges)

    def header(self, model: F, payload_bytes: int = 0, chunks_bytes: int = 0) -> Header[F]:
        """The header of its file."""
        return Header(
            size=self.size,
            pixel_format=self.pixel_format,
            samples=self.sample_format,
            model=model,
            payload_bytes=payload_bytes,
            chunks_bytes=chunks_bytes,
        )

    def pack(
        self, model: F, payload: bytes, chunks: Sequence[Chunk], open_model: Callable[[File[Any]], DecodedModel]
    ) -> Encoded:
        """Make the file of a payload, with the metadata and the PSNR that is measured on it.

        Args:
            model: the model's header fields.
            payload: the coded model.
            chunks: what the payload needs beside it.
            open_model: opens the model again, as a reader will.
        """
        needed = [*chunks, *self.transparency_chunks]
        stored = open_model(File(self.header(model, len(payload)), payload, tuple(needed)))
        psnr_db = metrics.psnr_db(stored.sampled_mse(self))
        beside = [*needed, *self.metadata.to_chunks(), psnr_chunk(psnr_db)]
        header = self.header(model, len(payload), len(pack_chunks(beside)))
        return Encoded(file_format.pack(header, payload, beside), psnr_db, stored)

    def frame_bytes(self, model: F, chunks: Sequence[Chunk], longest: int) -> int:
        """Upper bound of what its file holds beside a payload of at most `longest` bytes."""
        beside = pack_chunks([*chunks, *self.transparency_chunks, *self.metadata.to_chunks(), psnr_chunk(0.0)])
        header = self.header(model, longest // 4 * 4, len(beside))
        return header.header_bytes + len(beside) + CRC_BYTES

    def too_small(self, least: int, budget: int) -> BudgetError:
        """The error for a budget that no file fits into."""
        metadata_bytes = len(pack_chunks(self.metadata.to_chunks()))
        hint = f", {metadata_bytes} of them metadata (exif=None and so on leave it out)" if metadata_bytes else ""
        return BudgetError(f"this image takes at least {least} bytes{hint}, got a target of {budget}")

    def mse(self, stored: DecodedModel) -> float:
        """Mean squared error of a model over the whole image, normalized samples."""
        total = 0.0
        for left, top, right, bottom in self.tile_boxes(_REGION_SIDE):
            decoded = stored.pixels(box=(left, top, right, bottom))
            part = self.shown(slice(top, bottom), slice(left, right))
            total += metrics.mse(part, decoded, self.scale.to_normalized) * part.size
        return total / self.samples.size

    def tile_boxes(self, side: int) -> Iterator[tuple[int, int, int, int]]:
        """Left, upper, right, lower edges of squares of this side that make up the image, row by row."""
        width, height = self.size
        for top in range(0, height, side):
            for left in range(0, width, side):
                yield left, top, min(left + side, width), min(top + side, height)

    def reduced(self, size: tuple[int, int]) -> "SourceImage":
        """The same image with fewer pixels, each the mean over its area; without metadata."""
        width, height = self.size
        across, down = Resampling(width, 0, width, size[0]), Resampling(height, 0, height, size[1])
        horizontal = across.weights((0, size[0]), (0, width))
        values = np.empty((size[1], size[0], self.channels), np.float32)
        for row in range(size[1]):
            first, last = down.needed(row, row + 1)
            rows = self.scale.to_normalized(self.samples[first:last])
            if self.transparent is not None:
                rows[..., -1][self.transparent[first:last]] = 0
            mean = down.weights((row, row + 1), (first, last))[0]
            values[row] = horizontal @ np.einsum("r,rxc->xc", mean, rows)
        return replace(self, samples=self.scale.to_samples(values), metadata=Metadata(), transparent=None)

    def is_failed_fit(self, file: Encoded, rd_lambda: float) -> bool:
        """Whether a file shows the image worse than a single colour would, fitted with this lambda."""
        lambda_per_bit = rd_lambda / self.pixels
        # The cheap test first: the variance takes a pass over all samples.
        return metrics.is_failed_fit(file.psnr_db, 0.0, lambda_per_bit) and metrics.is_failed_fit(
            file.psnr_db, self.variance, lambda_per_bit
        )

    def mean(self) -> NDArray[np.float64]:
        """The mean colour as normalized samples, shape (channels,)."""
        normalized = self.scale.to_normalized
        total = sum(normalized(row).sum(axis=0, dtype="f8") for row in self.samples)
        mean: NDArray[np.float64] = total / self.pixels
        return mean

    @cached_property
    def variance(self) -> float:
        """Mean squared error of the mean colour, normalized samples."""
        normalized, mean = self.scale.to_normalized, self.mean()
        return float(sum(((normalized(row) - mean) ** 2).sum() for row in self.samples) / self.samples.size)
