"""Pictures of the report: original, decoded image, error and JPEG of one image, embedded as data URIs."""

import base64
import hashlib
import io
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..imaging.metrics import psnr_text
from ..imaging.samples import Samples, as_samples
from ..inputs import originals, sources
from ..models import reader
from . import compare

if TYPE_CHECKING:
    from ..batch.manifest import Record

# Longest side of an embedded picture, so that a page of a few images has a few megabytes.
SIDE_MAX = 1200
# Up to this number of pixels a picture is embedded without loss, above it as WebP of this quality: nobody sees a
# difference.
LOSSLESS_PIXELS = 1 << 18
QUALITY = 95
# The colour scale ends at this quantile of the errors.
ERROR_PART = 0.995
COLOURS = "magma"
_MIME = {"WEBP": "image/webp", "PNG": "image/png", "JPEG": "image/jpeg"}
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class View:
    """A picture on the page."""

    key: str
    label: str
    """Short name."""
    figures: str
    """Size, PSNR and setting, as text."""
    uri: str


@dataclass
class Views:
    """The pictures of one image, and notes on them: why one is missing, how it was converted."""

    width: int = 1
    height: int = 1
    """Width and height of the embedded pictures in pixels."""
    views: list[View] = field(default_factory=list)
    error: View | None = None
    notes: list[str] = field(default_factory=list)


def colours(count: int = 9) -> list[str]:
    """The colour scale of errors, from zero to the largest, as CSS colours."""
    return ["#" + bytes(colour).hex() for colour in _coloured(np.linspace(0, 1, count))]


def views_of(record: "Record", folder: Path, outputs: Path) -> Views:
    """The pictures of an image, as far as its files exist and can be read.

    Args:
        record: the image's line in the manifest.
        folder: where the original's path starts if no such file is found from the current folder.
        outputs: where the .inr file's path starts.
    """
    shown = Views()
    data = _attempt(shown, ".inr file", lambda: _bytes(record.output, record.output_sha256, [outputs], shown))
    decoded = None if data is None else _attempt(shown, ".inr file", lambda: _decoded(data))
    original = _attempt(shown, "original", lambda: _original(record, folder, decoded, shown))
    pictures = [picture for picture in (original, decoded) if picture is not None]
    if pictures:
        _fill(shown, record, original, decoded, _levels_of(pictures[0], shown), data or b"")
    return shown


def _attempt(shown: Views, name: str, read: Callable[[], _Result]) -> _Result | None:
    try:
        return read()
    except sources.FILE_ERRORS as error:
        shown.notes.append(f"The {name} is not shown: {sources.reason(error)}.")
        return None


def _found(text: str, folders: list[Path]) -> Path:
    if "://" in text:
        raise OSError("it is at a URL, and the report reads files only")
    for path in (folder / text for folder in folders):
        if path.is_file():  # not a pipe, where reading would block
            return path
    raise FileNotFoundError(f"there is no file {text}")


def _bytes(text: str, sha256: str | None, folders: list[Path], shown: Views) -> bytes:
    data = _found(text, folders).read_bytes()
    if sha256 not in (None, hashlib.sha256(data).hexdigest()):
        shown.notes.append(f"{text} has changed since it was listed.")
    return data


def _decoded(data: bytes) -> Samples:
    return originals.upright_pixels(reader.open_model(reader.read_file(data)), whole=True)


def _original(record: "Record", folder: Path, decoded: Samples | None, shown: Views) -> Samples:
    folders = [Path(), folder]
    _bytes(record.source, record.sha256, folders, shown)
    shape = None if decoded is None else decoded.shape
    return as_samples(originals.read_original(_found(record.source, folders), shape))


@dataclass(frozen=True)
class _Levels:
    """How samples are mapped to 8 bits for display."""

    low: float
    high: float
    unit: str
    """Unit of errors."""
    comparable: bool
    """Whether JPEG can store the samples."""

    def image(self, samples: Samples) -> Image.Image:
        """Samples as a grey or RGB image, on white where they are transparent."""
        channels = samples.shape[2]
        if channels > 4:
            samples = _mean(samples)
        elif not self.comparable:
            samples = samples[..., : 1 if channels < 3 else 3]
        if samples.dtype != np.uint8:
            part = (samples.astype(np.float64) - self.low) / ((self.high - self.low) or 1.0)
            samples = np.rint(255 * part.clip(0, 1)).astype(np.uint8)
        return compare.comparable(Image.fromarray(samples[..., 0] if samples.shape[2] == 1 else samples))


def _levels_of(samples: Samples, shown: Views) -> _Levels:
    channels = samples.shape[2]
    if samples.dtype == np.uint8:
        if channels > 4:
            shown.notes.append(f"Shown is the mean of its {channels} channels.")
        elif channels in (2, 4):
            shown.notes.append("What is transparent is shown, and compared with JPEG, on white.")
        return _Levels(0.0, 255.0, "levels", channels <= 4)
    values = _mean(samples) if channels > 4 else samples
    low, high = float(values.min()), float(values.max())
    left_out = {2: ", without alpha", 4: ", without alpha"}.get(channels, "")
    mean = f", the mean of {channels} channels" if channels > 4 else ""
    shown.notes.append(
        f"Samples of {samples.dtype.name} are shown with 8 bits{left_out}{mean}: {low:.6g} is black, {high:.6g} white. "
        "There is no JPEG of them."
    )
    return _Levels(low, high, "levels" if samples.dtype.kind in "iu" else "", False)


def _mean(samples: Samples) -> Samples:
    mean: Samples = samples.mean(axis=2, keepdims=True, dtype=np.float64)
    return mean


def _fill(
    shown: Views, record: "Record", original: Samples | None, decoded: Samples | None, levels: _Levels, data: bytes
) -> None:
    before, after = (None if samples is None else levels.image(samples) for samples in (original, decoded))
    if before is not None:
        size = f"{record.source_bytes:,} bytes" if isinstance(record.source_bytes, int) else ""
        _add(shown, "original", "original", size, before)
    if after is not None:
        psnr = "" if before is None or not levels.comparable else f", {psnr_text(compare.psnr_db(before, after))}"
        _add(shown, "inr", ".inr", f"{len(data):,} bytes{psnr}", after)
    if before is not None and after is not None and levels.comparable:
        _attempt(shown, "JPEG", lambda: _add_jpeg(shown, before, len(data)))
    if original is not None and decoded is not None:
        shown.error = _error_map(original, decoded, levels.unit)


def _add_jpeg(shown: Views, original: Image.Image, limit: int) -> None:
    jpeg = compare.best_within(original, compare.JPEG, limit)
    smallest = ", its smallest file" if jpeg.too_large else ""
    figures = f"{jpeg.bytes:,} bytes, {psnr_text(jpeg.psnr_db)}, {jpeg.setting}{smallest}"
    _add(shown, "jpeg", "JPEG", figures, jpeg.image, jpeg.data)


def _add(shown: Views, key: str, label: str, figures: str, image: Image.Image, file: bytes | None = None) -> None:
    """Add a picture; `file` is an encoded copy that browsers can show, if there is one."""
    small = _reduced(image, Image.Resampling.LANCZOS)
    if small is not image and not shown.views:
        sizes = [f"{each.width:,}×{each.height:,}" for each in (small, image)]
        shown.notes.append(f"Shown with {sizes[0]} of {sizes[1]} pixels.")
    shown.width, shown.height = small.size
    uri = _embedded(small) if file is None or small is not image else _uri(file, "JPEG")
    shown.views.append(View(key, label, figures, uri))


def _reduced(image: Image.Image, resampling: Image.Resampling) -> Image.Image:
    scale = SIDE_MAX / max(image.size)
    if scale >= 1:
        return image
    return image.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale))), resampling)


def _error_map(original: Samples, decoded: Samples, unit: str) -> View:
    """The mean absolute error over the channels, as colours."""
    error = np.zeros(original.shape[:2], np.float32)
    for channel in range(original.shape[2]):
        error += np.abs(original[..., channel].astype(np.float32) - decoded[..., channel].astype(np.float32))
    error /= original.shape[2]
    values = np.asarray(_reduced(Image.fromarray(error), Image.Resampling.BOX))
    top = float(np.quantile(values, ERROR_PART)) or float(values.max()) or 1.0
    if unit:
        top = max(1.0, float(math.ceil(top)))
    image = Image.fromarray(_coloured(values / top))
    return View("error", "error", f"{top:,.4g} {unit}".rstrip(), _embedded(image))


def _coloured(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Map values in 0..1 to RGB."""
    from matplotlib import colormaps

    rgb: NDArray[np.uint8] = np.ascontiguousarray(colormaps[COLOURS](values, bytes=True)[..., :3])
    return rgb


def _embedded(image: Image.Image) -> str:
    Image.init()
    stream = io.BytesIO()
    if "WEBP" not in Image.SAVE:  # Pillow was built without WebP
        image.save(stream, "PNG")
        return _uri(stream.getvalue(), "PNG")
    if image.width * image.height <= LOSSLESS_PIXELS:
        image.save(stream, "WEBP", lossless=True)
    else:
        image.save(stream, "WEBP", quality=QUALITY)
    return _uri(stream.getvalue(), "WEBP")


def _uri(data: bytes, name: str) -> str:
    return f"data:{_MIME[name]};base64,{base64.b64encode(data).decode()}"
