"""What is to be stored, whichever model stores it: samples, their format, metadata; and the file around a payload."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..format import container
from ..format.metadata import Metadata, psnr_chunk
from ..imaging import metrics, samples
from ..imaging.coordinates import Axis
from ..imaging.resampling import Resampling
from ..imaging.samples import Samples, Scale
from ..models.reader import Network, PyramidNetwork, read_network
from ..models.siren.synthesis import Grid

# Pixels on which a SIREN's PSNR is measured at most: that of a larger image comes from every n-th row and column.
PSNR_PIXELS = 1 << 19
# Side of the regions in which a pyramid's is measured.
PSNR_SIDE = 1024


class BudgetError(ValueError):
    """No file is as short as the caller asks for."""


class Encoded(NamedTuple):
    """An image, packed."""

    data: bytes
    psnr_db: float

    def loss(self, rd_lambda: float, pixels: int) -> float:
        """Mean squared error + lambda * bits per pixel."""
        return float(10 ** (-self.psnr_db / 10) + rd_lambda * 8 * len(self.data) / pixels)


@dataclass(frozen=True)
class Picture:
    """What is to be stored."""

    samples: Samples
    """Shape (height, width, channels)."""
    pixel_format: int
    sample_format: container.SampleFormat | None
    metadata: Metadata

    @classmethod
    def of(cls, array: Samples, metadata: Metadata) -> "Picture":
        """The picture in an array from `samples.as_samples`."""
        pixel_format, sample_format = samples.format_of(array)
        return cls(array.reshape(*array.shape[:2], -1), pixel_format, sample_format, metadata)

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
    def is_flat(self) -> bool:
        """Whether all pixels have one colour."""
        first = self.samples[0, 0]
        return all((row == first).all() for row in self.samples)

    @property
    def scale(self) -> Scale:
        """What makes network values of its samples."""
        ranges = self.sample_format.ranges if self.sample_format else ((0.0, 255.0),)
        return Scale(self.samples.dtype.name, self.channels, ranges)

    def header(self, fields: Mapping[str, Any], payload_bytes: int = 0, chunks_bytes: int = 0) -> container.Header:
        """The header of its file.

        Args:
            fields: those of a model.
        """
        return container.Header(
            size=self.size,
            pixel_format=self.pixel_format,
            samples=self.sample_format,
            payload_bytes=payload_bytes,
            chunks_bytes=chunks_bytes,
            **fields,
        )

    def pack(self, fields: Mapping[str, Any], payload: bytes, chunks: Sequence[container.Chunk] = ()) -> Encoded:
        """The file of a payload, with the metadata and the PSNR that was measured on it.

        Args:
            fields: those of a model in the header.
            chunks: what the payload needs beside it.
        """
        psnr_db = self.psnr_db(self._file(fields, payload, chunks))
        beside = [*chunks, *self.metadata.to_chunks(), psnr_chunk(psnr_db)]
        return Encoded(self._file(fields, payload, beside), psnr_db)

    def _file(self, fields: Mapping[str, Any], payload: bytes, chunks: Sequence[container.Chunk]) -> bytes:
        packed = container.pack_chunks(chunks)
        return container.pack(self.header(fields, len(payload), len(packed)), payload, packed)

    def frame_bytes(self, fields: Mapping[str, Any], chunks: Sequence[container.Chunk], longest: int) -> int:
        """What its file holds beside a payload of at most `longest` bytes, at most."""
        beside = container.pack_chunks([*chunks, *self.metadata.to_chunks(), psnr_chunk(0.0)])
        header = self.header(fields, longest // 4 * 4, len(beside))
        return len(header.pack()) + len(beside) + container.CRC_BYTES

    def too_small(self, least: int, budget: int) -> BudgetError:
        """What to raise for a budget that nothing fits into."""
        metadata_bytes = len(container.pack_chunks(self.metadata.to_chunks()))
        hint = f", {metadata_bytes} of them metadata (exif=None and so on leave it out)" if metadata_bytes else ""
        return BudgetError(f"this image takes at least {least} bytes{hint}, got a target of {budget}")

    def psnr_db(self, data: bytes) -> float:
        """PSNR of a file against this picture, relative to the range of the samples."""
        network = read_network(data)
        if isinstance(network, PyramidNetwork):
            return metrics.psnr_db(self._pyramid_mse(network))
        return metrics.psnr_db(self._siren_mse(network))

    def _siren_mse(self, network: Network) -> float:
        every = math.ceil(math.sqrt(self.pixels / PSNR_PIXELS))
        across, down = (Axis.of_pixels(length, max(self.size)).every(every) for length in self.size)
        decoded = network.evaluate(Grid(across, down))
        return metrics.mse(self.samples[::every, ::every], decoded, self.scale.to_normalized)

    def _pyramid_mse(self, network: PyramidNetwork) -> float:
        total = 0.0
        for left, top, right, bottom in self.regions(PSNR_SIDE):
            decoded = network.pixels(box=(left, top, right, bottom))
            part = self.samples[top:bottom, left:right]
            total += metrics.mse(part, decoded, self.scale.to_normalized) * part.size
        return total / self.samples.size

    def regions(self, side: int) -> Iterator[tuple[int, int, int, int]]:
        """Left, upper, right, lower edges of squares of this side that make up the image, row by row."""
        width, height = self.size
        for top in range(0, height, side):
            for left in range(0, width, side):
                yield left, top, min(left + side, width), min(top + side, height)

    def reduced(self, size: tuple[int, int]) -> "Picture":
        """The same picture with fewer pixels, each the mean over its area; without metadata."""
        width, height = self.size
        across, down = Resampling(width, 0, width, size[0]), Resampling(height, 0, height, size[1])
        horizontal = across.weights((0, size[0]), (0, width))
        values = np.empty((size[1], size[0], self.channels), np.float32)
        for row in range(size[1]):
            first, last = down.needed(row, row + 1)
            rows = self.scale.to_normalized(self.samples[first:last])
            mean = down.weights((row, row + 1), (first, last))[0]
            values[row] = horizontal @ np.einsum("r,rxc->xc", mean, rows)
        return replace(self, samples=self.scale.to_samples(values), metadata=Metadata())

    def is_failed_fit(self, file: Encoded, rd_lambda: float) -> bool:
        """Whether a file shows the picture worse than a single colour would, fitted with this lambda."""
        bit = rd_lambda / self.pixels
        # Beyond that of a flat picture no file is; the variance takes a pass over all samples.
        return metrics.is_failed_fit(file.psnr_db, 0.0, bit) and metrics.is_failed_fit(file.psnr_db, self.variance, bit)

    def mean(self) -> NDArray[np.float64]:
        """The mean colour in network values, shape (channels,)."""
        values = self.scale.to_normalized
        mean: NDArray[np.float64] = sum(values(row).sum(axis=0, dtype="f8") for row in self.samples) / self.pixels
        return mean

    @cached_property
    def variance(self) -> float:
        """Mean squared error of the mean colour, in network values."""
        values, mean = self.scale.to_normalized, self.mean()
        return float(sum(((values(row) - mean) ** 2).sum() for row in self.samples) / self.samples.size)
