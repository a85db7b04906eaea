"""The bytes of an .inr file -> its network -> pixels of any region at any resolution; NumPy and constriction only."""

import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .. import cost
from ..entropy import quantization
from ..errors import DamagedFileError, FormatError, LimitError
from ..format import container
from ..imaging.coordinates import Axis
from ..imaging.resampling import Resampling, mix
from ..imaging.samples import Samples, Scale
from .pyramid.synthesis import Region
from .pyramid.tiles import Tiles
from .siren import synthesis as siren_synthesis
from .siren import weight_coding
from .siren.architecture import Architecture
from .siren.synthesis import Grid

if TYPE_CHECKING:
    from .siren.initialization import Initialization

# Reducing an image averages points in each pixel, or details alias: one for every SPACING pixels of the image along
# each axis, but beyond a reduction to REDUCTION_FREE no more than take REDUCTION_WORK multiplications in all (a
# twentieth of a second on four cores), so that a thumbnail of a large image stays cheap. Measured in
# docs/experiments.md section 10.
SPACING = 2
POINTS_MAX = 16
REDUCTION_FREE = 8
REDUCTION_WORK = 3e9
# Pixels of a result of another resolution than the image's that are made at once, along each axis.
_BLOCK = 256

Size = tuple[int, int]
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Network:
    """A file's SIREN and what is needed to evaluate it."""

    header: container.Header
    architecture: Architecture
    weights: list[NDArray[np.float32]]
    """Kernels and biases as `Architecture.shapes` lists them."""
    chunks: tuple[container.Chunk, ...]

    def pixels(self, size: Size | None = None, box: Box | None = None) -> Samples:
        """Evaluate a region of the image at a resolution.

        Args:
            size: width and height of the result; by default one pixel for each of the image's in the box.
            box: left, upper, right and lower edge of the region in pixels of the image, fractions too; by default all.
        Returns:
            Shape (height, width, channels), of the file's sample type. Enlarged, the network is evaluated between the
            image's pixels; reduced, each pixel is the mean of several points.
        Raises:
            ValueError: the size is not two positive integers, or the box is empty or not within the image.
            LimitError: it takes more than `limits` allow.
        """
        x0, y0, x1, y1 = check_box(box, self.header.size)
        width, height = check_size(size, (x0, y0, x1, y1))
        points = self._points((width, height), max((x1 - x0) / width, (y1 - y0) / height))
        columns, rows = self.header.size
        longer = max(columns, rows)
        return self.evaluate(
            Grid(
                Axis(columns, longer, x0, x1, width * points),
                Axis(rows, longer, y0, y1, height * points),
                points,
            )
        )

    def evaluate(self, grid: Grid) -> Samples:
        """Samples on a grid, shape (height, width, channels).

        Raises:
            LimitError: it takes more than `limits` allow.
        """
        points = grid.across.count, grid.down.count
        size = points[0] // grid.points, points[1] // grid.points
        cost.of_siren(self.header, points, size).check()
        return siren_synthesis.synthesize(self.architecture, self.weights, grid, Scale.of(self.header))

    def _points(self, size: Size, reduction: float) -> int:
        """Points along each axis of a pixel of the result, when a pixel covers `reduction` pixels of the image."""
        points = max(1, min(math.ceil(reduction / SPACING), POINTS_MAX))
        affordable = math.isqrt(int(REDUCTION_WORK / (self.architecture.weight_count * math.prod(size))))
        least = min(points, 2) if reduction <= REDUCTION_FREE else 1
        return max(least, min(points, affordable))


@dataclass(frozen=True)
class PyramidNetwork:
    """A file's pyramids, one for each tile, and what is needed to evaluate them."""

    header: container.Header
    tiles: Tiles
    chunks: tuple[container.Chunk, ...]

    def pixels(self, size: Size | None = None, box: Box | None = None) -> Samples:
        """Evaluate a region of the image at a resolution.

        A pyramid is not a function of positions, as a SIREN is: it has values at the image's pixels only. So it is
        evaluated there, no further than the region needs, and other resolutions are made of these values: reduced,
        each pixel is the mean over the area that it covers; enlarged, the image's pixels are interpolated (cubic
        convolution), which shows no more detail than they have. Where a file's preview has the resolution that is
        asked for, the tiles are left alone.

        Args:
            size: width and height of the result; by default one pixel for each of the image's in the box.
            box: left, upper, right and lower edge of the region in pixels of the image, fractions too; by default all.
        Returns:
            Shape (height, width, channels), of the file's sample type.
        Raises:
            ValueError: the size is not two positive integers, or the box is empty or not within the image.
            FormatError: the data of a tile is damaged.
            LimitError: it takes more than `limits` allow.
        """
        x0, y0, x1, y1 = check_box(box, self.header.size)
        width, height = check_size(size, (x0, y0, x1, y1))
        small = self._preview_pixels((width, height), (x0, y0, x1, y1))
        if small is not None:
            return small
        across = Resampling(self.header.size[0], x0, x1, width)
        down = Resampling(self.header.size[1], y0, y1, height)
        whole = Region(*down.needed(0, height), *across.needed(0, width))
        cost.of_pyramid(self.header, (whole.left, whole.top, whole.right, whole.bottom), (width, height)).check()
        # Before memory is taken for the result.
        self.tiles.decode_ahead(whole)
        scale = Scale.of(self.header)
        pixels: Samples = np.zeros((height, width, self.header.channels), scale.dtype)
        if across.is_identity and down.is_identity:
            for part, values in self.tiles.values(whole):
                place = np.s_[
                    part.top - whole.top : part.bottom - whole.top, part.left - whole.left : part.right - whole.left
                ]
                pixels[place] = scale.to_samples(values)
            return pixels
        for top in range(0, height, _BLOCK):
            for left in range(0, width, _BLOCK):
                rows, columns = (top, min(top + _BLOCK, height)), (left, min(left + _BLOCK, width))
                pixels[slice(*rows), slice(*columns)] = scale.to_samples(self._resampled(down, across, rows, columns))
        return pixels

    def _preview_pixels(self, size: Size, box: Box) -> Samples | None:
        """What `pixels` is asked for, where the preview has as many pixels in the box."""
        preview = self._preview()
        if preview is None:
            return None
        scales = [small / whole for small, whole in zip(preview.header.size, self.header.size, strict=True)] * 2
        left, upper, right, lower = (
            min(edge * scale, end) for edge, scale, end in zip(box, scales, preview.header.size * 2, strict=True)
        )
        if size[0] > right - left or size[1] > lower - upper:
            return None
        return preview.pixels(size, (left, upper, right, lower))

    def _preview(self) -> "PyramidNetwork | None":
        """The file within the file that shows the whole image smaller (docs/format.md section 9.8).

        Raises:
            FormatError: it is damaged, or not of this image's kind.
        """
        data = next((chunk.data for chunk in self.chunks if chunk.kind == container.CHUNK_PREVIEW), None)
        if data is None:
            return None
        header, payload, chunks = container.unpack(data)
        same = (header.pixel_format, header.samples) == (self.header.pixel_format, self.header.samples)
        if header.model != container.MODEL_PYRAMID or header.tile != container.TILE_NONE or chunks or not same:
            raise FormatError("chunks: the preview must be one pyramid of the image's samples, without chunks")
        if any(small > whole for small, whole in zip(header.size, self.header.size, strict=True)):
            raise FormatError("chunks: the preview is larger than the image")
        return PyramidNetwork(header, Tiles(header, payload), ())

    def _resampled(
        self, down: Resampling, across: Resampling, rows: tuple[int, int], columns: tuple[int, int]
    ) -> NDArray[np.float32]:
        """Network values of a block of the result, shape (rows, columns, channels)."""
        total = np.zeros((rows[1] - rows[0], columns[1] - columns[0], self.header.channels), np.float32)
        for part, values in self.tiles.values(Region(*down.needed(*rows), *across.needed(*columns))):
            lines = mix(down.weights(rows, (part.top, part.bottom)), values)
            horizontal = across.weights(columns, (part.left, part.right))
            total += mix(horizontal, lines.swapaxes(0, 1)).swapaxes(0, 1)
        return np.clip(total, 0.0, 1.0, out=total)


def check_box(box: Box | None, size: Size) -> Box:
    """The region of an image of this size that a box names.

    Raises:
        ValueError: it is not four numbers, empty, or not within the image.
    """
    if box is None:
        return 0.0, 0.0, float(size[0]), float(size[1])
    try:
        x0, y0, x1, y1 = map(float, box)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"box must be four numbers (left, upper, right, lower), got {box!r}") from None
    if not (0 <= x0 < x1 <= size[0] and 0 <= y0 < y1 <= size[1]):
        raise ValueError(f"box must be a region within the image of {size[0]}x{size[1]} pixels, got {box!r}")
    return x0, y0, x1, y1


def check_size(size: Size | None, box: Box) -> Size:
    """Width and height in pixels of what shows a box.

    Raises:
        ValueError: they are not two positive integers that an image can have.
    """
    if size is None:
        return max(1, round(box[2] - box[0])), max(1, round(box[3] - box[1]))
    try:
        width, height = map(operator.index, size)
    except (TypeError, ValueError):
        raise ValueError(f"size must be two integers (width, height), got {size!r}") from None
    if not (1 <= width <= container.SIDE_MAX and 1 <= height <= container.SIDE_MAX):
        raise ValueError(f"size must be two integers in 1..{container.SIDE_MAX}, got {size!r}")
    return width, height


def decode(data: bytes, size: Size | None = None, box: Box | None = None, *, cut: bool = False) -> Samples:
    """Pixels of a file, or of a region of it, as the `pixels` of its network.

    Args:
        cut: whether the end of the file may be missing, as for `read_cut_network`.
    Raises:
        FormatError, ValueError: as `read_network` and its `pixels`.
        LimitError: also when there is not as much memory as it takes.
    """
    header, _ = container.read_header(data)
    if header.model == container.MODEL_SIREN:
        # Before weights are made of symbols, of which a few bytes may hold millions.
        chosen = check_size(size, check_box(box, header.size))
        cost.of_siren(header, chosen, chosen).check()
    try:
        return (read_cut_network if cut else read_network)(data).pixels(size, box)
    except MemoryError as error:
        raise LimitError("there is not enough memory to decode the file") from error


def read_cut_network(data: bytes) -> PyramidNetwork:
    """What is there of a file whose end is missing: a pyramid's tiles, each on its own; the others are black.

    Raises:
        FormatError: not an .inr file that this release reads, or what is there is damaged.
        DamagedFileError: no tile is there as a whole. A SIREN needs all of its weights.
    """
    header, payload = container.read_cut(data)
    if header.model == container.MODEL_PYRAMID:
        tiles = Tiles(header, payload, cut=True)
        if tiles.whole:
            return PyramidNetwork(header, tiles, ())
    raise DamagedFileError(f"the file is cut off: {len(data)} bytes of {header.file_bytes}, too few for any pixel")


def read_network(data: bytes) -> Network | PyramidNetwork:
    """The network in a file; the data of a pyramid's tiles is decoded as far as `pixels` needs it, not before.

    Raises:
        FormatError: the file is damaged, or not an .inr file that this release reads.
        LimitError: its weights take more than `limits` allow.
        MissingInitializationError: its weights are differences from an initialization that is not known here.
    """
    header, payload, chunks = container.unpack(data)
    if header.model == container.MODEL_PYRAMID:
        if any(chunk.kind == container.CHUNK_INITIALIZATION for chunk in chunks):
            raise FormatError("chunks: a pyramid has no initialization")
        return PyramidNetwork(header, Tiles(header, payload), chunks)
    architecture = Architecture.of(header)
    cost.of_siren(header, (1, 1), (1, 1)).check()
    references = _named_reference_weights(architecture, chunks)
    # All of them before memory is taken for weights: whether the stream is in order is seen at its end.
    tensors = list(weight_coding.decode_tensors(payload, architecture.shapes, header.coding))
    weights = [
        quantization.dequantize(tensor.symbols, quantization.step_size(tensor.step_index), reference)
        for tensor, reference in zip(tensors, references, strict=True)
    ]
    return Network(header, architecture, weights, chunks)


def reference_weights(
    init: "Initialization | None", differences: Sequence[bool]
) -> list[NDArray[np.float32] | np.float32]:
    """What is added to each tensor's dequantized symbols."""
    return [init.weights[index] if init and chosen else np.float32(0) for index, chosen in enumerate(differences)]


def _named_reference_weights(
    architecture: Architecture, chunks: Sequence[container.Chunk]
) -> list[NDArray[np.float32] | np.float32]:
    """`reference_weights` the initialization that a file names, if it names one (docs/format.md section 7)."""
    tensors = len(architecture.shapes)
    found = [chunk for chunk in chunks if chunk.kind == container.CHUNK_INITIALIZATION]
    if not found:
        return reference_weights(None, [False] * tensors)
    from .siren import initialization  # most files have none: its imports would cost them 7 ms

    if len(found) > 1 or not found[0].required:
        raise FormatError("chunks: there must be at most one of kind 1, the initialization, marked as required")
    identity, differences = initialization.read_reference(found[0].data, tensors)
    init = initialization.find(identity)
    if init.architecture != architecture:
        raise FormatError(f"chunks: the initialization {identity.hex()} is for another network than the header's")
    return reference_weights(init, differences)
