"""One image in other formats at the size of its .inr file: search for the settings, results, a picture of all."""

import builtins
import io
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..encoding.bisection import last_that_fits
from ..imaging import metrics
from ..imaging.orientation import upright as turned_upright

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Side of the enlarged crop as a fraction of the image's longer side, and its limits in pixels.
CROP_PART = 0.2
CROP_SIDES = (48, 240)
# Fraction of the possible crop positions left out along each edge.
EDGE_PART = 0.04
# The picture: longer side of an image and width of a caption in inches, pixels per inch, and the ratio of width to
# height at which the number of columns aims.
PANEL_INCHES = 4.2
CAPTION_INCHES = 2.2
DPI = 110
PICTURE_ASPECT = 1.6


@dataclass(frozen=True, kw_only=True)
class Codec:
    """A file format that Pillow writes: fixed arguments, and one that controls the rate."""

    name: str
    """Name on the command line and in CSV files."""
    label: str
    """Name in tables and pictures."""
    format: str
    """Pillow's name for the file format."""
    fixed: Mapping[str, Any]
    swept: str
    """Name of the argument that controls the rate."""
    values: Sequence[float]
    """Values of the swept argument, from the smallest file to the largest."""
    listed: bool = False
    """Whether the swept argument takes a list of one value."""

    def keywords(self, value: float) -> dict[str, Any]:
        """Keywords of `Image.save` for a value of the swept argument."""
        return {**self.fixed, self.swept: [value] if self.listed else value}

    def setting(self, value: float) -> str:
        """A value of the swept argument as text, such as "quality=75"."""
        return f"{self.swept}={value:g}"


JPEG = Codec(
    name="jpeg",
    label="JPEG 4:2:0",
    format="JPEG",
    fixed={"optimize": True, "subsampling": "4:2:0"},
    swept="quality",
    values=range(1, 101),
)
WEBP = Codec(name="webp", label="WebP m6", format="WEBP", fixed={"method": 6}, swept="quality", values=range(101))
AVIF = Codec(
    name="avif",
    label="AVIF default",
    format="AVIF",
    # One thread: with more, libavif splits the picture by the number of cores, on which the bytes then depend.
    fixed={"max_threads": 1},
    swept="quality",
    values=range(101),
)
JPEG2000 = Codec(
    name="jpeg2000",
    label="JPEG 2000 9/7",
    format="JPEG2000",
    # Pillow's default, the reversible wavelet without a colour transform, takes twice the bytes.
    fixed={"irreversible": True, "mct": 1, "quality_mode": "rates"},
    swept="quality_layers",
    # Compression ratios, in steps of 2 %.
    values=[round(4000 / 1.02**step, 2) for step in range(412)],
    listed=True,
)
CODECS = (JPEG, WEBP, AVIF, JPEG2000)


@dataclass(frozen=True, kw_only=True)
class Result:
    """An image in one format at one setting."""

    label: str
    setting: str
    bytes: int
    data: builtins.bytes = field(repr=False)
    """The file."""
    image: Image.Image
    """The decoded image, in the original's mode."""
    psnr_db: float
    seconds: float | None = None
    """Time to encode with this setting; None for a file that existed before."""
    too_large: bool = False
    """Whether even this smallest file of the format is larger than allowed."""


def available() -> list[Codec]:
    """The CODECS that the installed Pillow reads and writes."""
    Image.init()
    return [codec for codec in CODECS if codec.format in Image.SAVE and codec.format in Image.OPEN]


def comparable(image: Image.Image) -> Image.Image:
    """Convert an image to what all formats can store: upright, 8-bit grey or RGB, transparency on white, no metadata.

    Raises:
        ValueError: the samples have more than 8 bits.
    """
    if image.mode.startswith(("I", "F")):
        raise ValueError(f"the other formats hold no samples as in mode {image.mode}: compare takes images of 8 bits")
    upright = turned_upright(image)
    mode = "L" if image.mode in ("1", "L", "LA", "La") else "RGB"
    if upright.has_transparency_data:
        white = Image.new("RGBA", upright.size, "white")
        upright = Image.alpha_composite(white, upright.convert("RGBA"))
    upright = upright.convert(mode)
    upright.info = {}
    return upright


def measure(original: Image.Image, data: bytes, **fields: Any) -> Result:
    """Decode a file and compare it with the original.

    Args:
        original: as from `comparable`.
        data: the file.
        fields: the other fields of the result: label, setting, seconds, too_large.
    Raises:
        OSError: the file cannot be read.
        ValueError: its image has another size, or samples of more than 8 bits.
    """
    with Image.open(io.BytesIO(data)) as opened:
        decoded = comparable(opened).convert(original.mode)
    if decoded.size != original.size:
        sizes = [f"{image.width}×{image.height}" for image in (decoded, original)]
        raise ValueError(f"it is an image of {sizes[0]} pixels, the original has {sizes[1]}")
    return Result(bytes=len(data), data=data, image=decoded, psnr_db=psnr_db(original, decoded), **fields)


def psnr_db(original: Image.Image, decoded: Image.Image) -> float:
    """PSNR in dB over all samples of two 8-bit images of the same mode and size."""
    return metrics.psnr_db(metrics.mse(np.asarray(original), np.asarray(decoded), _to_normalized))


def _to_normalized(row: NDArray[np.uint8]) -> NDArray[np.float32]:
    return row.astype(np.float32) / np.float32(255)


def best_within(image: Image.Image, codec: Codec, limit: int) -> Result:
    """Encode an image at the highest quality whose file has at most `limit` bytes, or at the lowest if none has."""
    files: dict[int, tuple[bytes, float]] = {}

    def fits(index: int) -> bool:
        if index not in files:
            start = time.perf_counter()
            data = save(image, codec, codec.values[index])
            files[index] = data, time.perf_counter() - start
        return len(files[index][0]) <= limit

    chosen = last_that_fits(len(codec.values), fits)
    index = max(chosen, 0)
    data, seconds = files[index]
    setting = codec.setting(codec.values[index])
    return measure(image, data, label=codec.label, setting=setting, seconds=seconds, too_large=chosen < 0)


def save(image: Image.Image, codec: Codec, value: float) -> bytes:
    """Encode an image at a value of the swept argument."""
    stream = io.BytesIO()
    image.save(stream, codec.format, **codec.keywords(value))
    return stream.getvalue()


def detailed_region(image: Image.Image) -> tuple[int, int, int, int]:
    """The box with the image's aspect ratio in which brightness changes most from pixel to pixel."""
    grey = np.asarray(image.convert("L"), np.float64)
    rows, columns = grey.shape
    longer = max(rows, columns)
    side = min(longer, max(CROP_SIDES[0], min(round(CROP_PART * longer), CROP_SIDES[1])))
    height, width = (max(1, round(side * length / longer)) for length in (rows, columns))
    changes = np.zeros((rows, columns))
    changes[:, 1:] += np.abs(np.diff(grey, axis=1))
    changes[1:] += np.abs(np.diff(grey, axis=0))
    # The square root prefers many moderate changes to a few hard edges.
    sums = np.zeros((rows + 1, columns + 1))
    sums[1:, 1:] = np.sqrt(changes).cumsum(axis=0).cumsum(axis=1)
    boxes = sums[height:, width:] - sums[:-height, width:] - sums[height:, :-width] + sums[:-height, :-width]
    # Scans and screenshots have hard lines along their edges.
    below, beside = (int(EDGE_PART * length) for length in (rows - height, columns - width))
    inner = boxes[below : len(boxes) - below, beside : boxes.shape[1] - beside]
    row, column = divmod(int(inner.argmax()), inner.shape[1])
    left, top = column + beside, row + below
    return left, top, left + width, top + height


def picture(original: Image.Image, results: Sequence[Result], file_format: str = "png") -> bytes:
    """Draw the original and all results, each whole and below it its most detailed region enlarged.

    Args:
        file_format: matplotlib's name of the picture's format.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    box = detailed_region(original)
    panels = [(f"original\n{original.width}×{original.height}", original), *((_caption(r), r.image) for r in results)]
    longer = max(original.size)
    width, height = (PANEL_INCHES * side / longer for side in original.size)
    width, height = max(width, CAPTION_INCHES) + 0.1, 2 * height + 0.65
    columns = _columns(len(panels), width / height)
    blocks = -(-len(panels) // columns)
    figure = Figure(figsize=(columns * width, blocks * height), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2 * blocks, columns, squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    for position, (caption, image) in enumerate(panels):
        block, column = divmod(position, columns)
        whole, crop = axes[2 * block, column], axes[2 * block + 1, column]
        whole.set_title(caption, fontsize=11)
        _show(whole, image, "antialiased")
        _frame(whole, box)
        _show(crop, image.crop(box), "nearest")
    stream = io.BytesIO()
    figure.savefig(stream, format=file_format)
    return stream.getvalue()


def _caption(entry: Result) -> str:
    mark = ", its smallest" if entry.too_large else ""
    return f"{entry.label}{mark}\n{entry.bytes:,} bytes, {metrics.psnr_text(entry.psnr_db)}"


def _columns(panels: int, aspect: float) -> int:
    """Number of columns that minimizes |ln(aspect of the picture / PICTURE_ASPECT)| + 0.5 * empty places.

    Args:
        panels: number of panels.
        aspect: width / height of a panel.
    """

    def cost(columns: int) -> float:
        blocks = -(-panels // columns)
        picture_aspect = columns * aspect / blocks
        return abs(math.log(picture_aspect / PICTURE_ASPECT)) + 0.5 * (columns * blocks - panels)

    return min(range(1, panels + 1), key=cost)


def _show(axis: "Axes", image: Image.Image, interpolation: str) -> None:
    axis.imshow(np.asarray(image), cmap="gray", vmin=0, vmax=255, interpolation=interpolation)


def _frame(axis: "Axes", box: tuple[int, int, int, int]) -> None:
    from matplotlib.patches import Rectangle

    left, top, right, bottom = box
    for colour, line in (("black", 2.5), ("white", 1.0)):
        axis.add_patch(
            Rectangle((left - 0.5, top - 0.5), right - left, bottom - top, fill=False, edgecolor=colour, linewidth=line)
        )
