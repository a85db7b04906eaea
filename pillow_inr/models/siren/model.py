"""SIRENs in a file: opens them, evaluates them on any region at any resolution, tells where their bits are.

NumPy and constriction only.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

import numpy as np
from numpy.typing import NDArray

from ...entropy.quantization import dequantize, step_size
from ...errors import FormatError
from ...format import file as file_format
from ...format.chunks import CHUNK_INITIALIZATION, Chunk
from ...format.file import File
from ...format.header import Box, Header, Size
from ...imaging import metrics
from ...imaging.coordinates import Axis
from ...imaging.region import check_box, check_size
from ...imaging.samples import Samples, Scale
from ...imaging.transparency import Transparency
from ...runtime.tensorflow import needs_keras
from . import mosaic_coding
from .architecture import Architecture
from .cost import evaluation_cost
from .header import CODING_MOSAIC, SirenHeader
from .synthesis import Grid, Network, synthesize

if TYPE_CHECKING:
    from ...encoding.source_image import SourceImage
    from ..base import Breakdown
    from .keras_model import ImageModel

# Reducing an image averages points in each pixel, or details alias: one for every SPACING pixels of the image along
# each axis, but beyond a reduction to REDUCTION_FREE no more than take REDUCTION_WORK multiplications in all (a
# twentieth of a second on four cores), so that a thumbnail of a large image stays cheap. Measured in
# docs/experiments.md section 10.
SPACING = 2
POINTS_MAX = 16
REDUCTION_FREE = 8
REDUCTION_WORK = 3e9
PSNR_PIXELS = 1 << 19
"""Pixels on which the PSNR is measured at most; a larger image is sampled at every n-th row and column."""
# Points at which transparency is looked up at once.
_CUT_POINTS = 1 << 18


@dataclass(frozen=True)
class StoredSiren:
    """A file's SIRENs and what is needed to evaluate them."""

    header: Header[SirenHeader]
    architecture: Architecture
    networks: tuple[Network, ...]
    chunks: tuple[Chunk, ...]
    transparency: Transparency | None

    def pixels(self, size: Size | None = None, box: Box | None = None) -> Samples:
        """Evaluate a region at a resolution, as `StoredModel.pixels`.

        Enlarged, the network is evaluated between the image's pixels; reduced, a pixel is the mean of several points.
        """
        x0, y0, x1, y1 = check_box(box, self.header.size)
        width, height = check_size(size, (x0, y0, x1, y1))
        points = self._points((width, height), max((x1 - x0) / width, (y1 - y0) / height))
        columns, rows = self.header.size
        longer = max(columns, rows)
        across = Axis(columns, longer, x0, x1, width * points)
        return self.evaluate(Grid(across, Axis(rows, longer, y0, y1, height * points), points))

    def evaluate(self, grid: Grid) -> Samples:
        """Samples on a grid, shape (height, width, channels).

        Raises:
            LimitError: it takes more than `limits` allow.
        """
        points = grid.across.count, grid.down.count
        size = points[0] // grid.points, points[1] // grid.points
        header, model = self.header, self.header.model
        evaluation_cost(
            self.architecture, header.dtype, header.payload_bytes, points, size, model.networks, model.overlap
        ).check()
        samples = synthesize(self.architecture, self.networks, grid, Scale.of(self.header))
        if self.transparency is not None:
            _cut_out(samples, self.transparency, grid)
        return samples

    def sampled_mse(self, source: "SourceImage") -> float:
        """Mean squared error on at most PSNR_PIXELS pixels: every n-th row and column of a larger image."""
        every = math.ceil(math.sqrt(source.pixels / PSNR_PIXELS))
        across, down = (Axis.of_pixels(length, max(source.size)).every(every) for length in source.size)
        decoded = self.evaluate(Grid(across, down))
        shown = source.shown(slice(None, None, every), slice(None, None, every))
        return metrics.mse(shown, decoded, source.scale.to_normalized)

    def preview(self) -> None:
        """None: any resolution is evaluated as quickly."""

    def to_keras(self) -> "ImageModel":
        """The network as a Keras model from positions to colours.

        Raises:
            BackendError: TensorFlow is missing, or Keras runs on another back end.
        """
        with needs_keras("a Keras model"):
            from .keras_model import image_model
        scale = Scale.of(self.header)
        limits = () if self.header.samples is None else (scale.low.tolist(), (scale.low + scale.span).tolist())
        return image_model(self.architecture, self.networks, self.header.size, *limits)

    def _points(self, size: Size, reduction: float) -> int:
        """Points along each axis of a pixel of the result, when a pixel covers `reduction` pixels of the image."""
        points = max(1, min(math.ceil(reduction / SPACING), POINTS_MAX))
        affordable = math.isqrt(int(REDUCTION_WORK / (self.architecture.weight_count * math.prod(size))))
        least = min(points, 2) if reduction <= REDUCTION_FREE else 1
        return max(least, min(points, affordable))


class SirenFormat:
    """Opens files that hold a SIREN (`ModelFormat`)."""

    def open(self, file: File[SirenHeader]) -> StoredSiren:
        """Decode the weights."""
        header = file.header
        architecture = header.model.architecture(header.channels)
        model, shapes = header.model, architecture.shapes
        evaluation_cost(
            architecture, header.dtype, header.payload_bytes, (1, 1), (1, 1), model.networks, model.overlap
        ).check()
        references = _reference_weights(architecture, model, file.chunks)
        parts, decoded = mosaic_coding.decode_networks(file.payload, header.size, model, shapes)
        # All of them before memory is taken for weights: only the end of the stream shows whether it is in order.
        tensors = list(decoded)
        weights = [
            dequantize(tensor.symbols, step_size(tensor.step_index), reference)
            for tensor, reference in zip(tensors, references * len(parts), strict=True)
        ]
        networks = tuple(
            Network(part, weights[index * len(shapes) : (index + 1) * len(shapes)]) for index, part in enumerate(parts)
        )
        return StoredSiren(header, architecture, networks, file.chunks, Transparency.of(header, file.chunks))

    def open_truncated(self, header: Header[SirenHeader], payload: bytes) -> NoReturn:
        """Refuse: a SIREN needs all of its weights."""
        raise file_format.too_short(header, payload)

    def breakdown(self, file: File[SirenHeader]) -> "Breakdown":
        """The bits of each layer; reference weights are not looked for."""
        from .breakdown import breakdown

        return breakdown(file)


FORMAT = SirenFormat()


def _cut_out(samples: Samples, transparency: Transparency, grid: Grid) -> None:
    """Multiply alpha, the last channel, by the share of a pixel's points that show; pixels without any become 0."""
    height, width, _ = samples.shape
    points = grid.points
    columns = min(width, _CUT_POINTS // points**2)
    rows = _CUT_POINTS // (columns * points**2)
    for top in range(0, height, rows):
        lines = grid.down.pixels(points * top, points * min(top + rows, height))
        for left in range(0, width, columns):
            across = grid.across.pixels(points * left, points * min(left + columns, width))
            block = samples[top : top + rows, left : left + columns]
            shows = ~transparency.mask(lines, across).reshape(len(block), points, -1, points)
            share = shows.mean(axis=(1, 3))
            block[..., -1] = np.rint(block[..., -1] * share)
            block[share == 0] = 0


def _reference_weights(
    architecture: Architecture, model: SirenHeader, chunks: Sequence[Chunk]
) -> list[NDArray[np.float32] | np.float32]:
    """What is added to each tensor's dequantized symbols: reference weights where the file names them, else 0."""
    found = [chunk for chunk in chunks if chunk.kind == CHUNK_INITIALIZATION]
    if not found:
        return [np.float32(0)] * len(architecture.shapes)
    if model.coding == CODING_MOSAIC:
        raise FormatError("chunks: networks of coding 2 have no initialization")
    from . import initialization, reference_store  # most files name none: these imports would cost them 7 ms

    if len(found) > 1 or not found[0].required:
        raise FormatError("chunks: there must be at most one of kind 1, the initialization, marked as required")
    identity, differences = initialization.read_reference(found[0].data, len(architecture.shapes))
    init = reference_store.find(identity)
    if init.architecture != architecture:
        raise FormatError(f"chunks: the initialization {identity.hex()} is for another network than the header's")
    return list(init.references(differences))
