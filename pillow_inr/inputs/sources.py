"""Reads images and arrays from files and pipes, and says in one sentence why one cannot be read."""

import contextlib
import io
import stat
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import IO, TYPE_CHECKING, Any, NamedTuple, TypeVar

from PIL import Image, ImageFile, UnidentifiedImageError

from ..errors import BackendError, FitError
from ..format.signature import EXTENSION, FORMAT, INRIMAGE, INRIMAGE_COMPLAINT
from ..imaging import depth
from ..imaging.exif_tags import read_directories
from ..imaging.orientation import orientation_of, samples_upright
from ..imaging.orientation import upright as turned_upright
from ..imaging.source_metadata import metadata_of, metadata_of_tiff
from . import deep, formats
from .finding import STDIN

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Pixels = Image.Image | NDArray[np.generic]

_Result = TypeVar("_Result")


class Content(NamedTuple):
    """What was read from a file."""

    pixels: "Pixels"
    file_format: str | None = None
    """Pillow's name of the format; None if Pillow did not open it."""
    metadata: Mapping[str, Any] = MappingProxyType({})
    """By name, of an image that is given as an array; images have their own."""
    has_alpha: bool = False
    """Whether the last channel of an array is alpha."""
    note: str = ""
    """What the user should know: that the file holds more, or that something is lost."""


# Errors that a file or its content can cause. Any other error is a bug and shows its traceback.
FILE_ERRORS = (OSError, ValueError, BackendError, FitError, MemoryError, Image.DecompressionBombError)


def is_stream(path: Path) -> bool:
    """Whether a path is standard input, a pipe or a device: what has no name of its own and can be read only once."""
    if path == STDIN:
        return True
    try:
        mode = path.stat().st_mode
    except OSError:  # there is none, or it is reported when it is opened
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def opened(path: Path) -> contextlib.AbstractContextManager[IO[bytes]]:
    """A file, a pipe or standard input, open for reading once from its beginning to its end.

    Raises:
        OSError: it cannot be opened.
    """
    if path != STDIN:
        return path.open("rb")
    if sys.stdin is None:
        raise OSError("standard input is closed")
    return contextlib.nullcontext(sys.stdin.buffer)


def read_bytes(path: Path, at_most: int = -1) -> bytes:
    """The bytes of a file, a pipe or standard input.

    Args:
        at_most: how many to read; by default all.
    Raises:
        OSError: it cannot be read.
    """
    with opened(path) as file:
        return file.read(at_most)


def read(source: Path | IO[bytes], suffix: str, upright: bool) -> "Pixels":
    """Read an image, or an array if the file is one of NumPy's.

    Args:
        suffix: the ending of the file's name, with its dot.
        upright: rotate the image as its EXIF orientation says; needed where EXIF data are not kept.
    Raises:
        OSError: it cannot be read.
    """
    return _read(_reopenable(source), suffix, upright).pixels


def read_to_encode(source: Path | IO[bytes], suffix: str, upright: bool) -> "Content":
    """As `read`, with metadata and a note for the user.

    Raises:
        OSError: also if it is an .inr file.
    """
    source = _reopenable(source)
    content = _read(source, suffix, upright)
    if content.file_format == FORMAT:
        raise OSError(formats.ALREADY_INR)
    frames = _frame_count(source) if content.file_format else 1
    note = f"the first of its {frames} images is stored" if frames > 1 else ""
    return content._replace(note="; ".join(filter(None, (note, content.note))))


def _reopenable(source: Path | IO[bytes]) -> Path | IO[bytes]:
    """The source, or its bytes if it is a pipe, which cannot be opened twice."""
    return io.BytesIO(read_bytes(source)) if isinstance(source, Path) and is_stream(source) else source


def _read(source: Path | IO[bytes], suffix: str, upright: bool) -> "Content":
    if suffix.lower() in formats.ARRAY_SUFFIXES or (not suffix and formats.is_array_data(_prefix(source))):
        return Content(load_array(source))
    try:
        return _of_image(source, suffix, lambda image: _content(image, source, upright))
    except OSError:
        # Pillow has no mode for bands and some sample types of TIFF.
        if formats.is_tiff_data(_prefix(source)):
            with contextlib.suppress(OSError):
                data = _whole(source)
                if (bands := deep.tiff_samples(data)) is not None:
                    metadata = metadata_of_tiff(data)
                    return Content(bands.upright, metadata=metadata.info(), has_alpha=bands.has_alpha)
        raise


def _content(image: Image.Image, source: Path | IO[bytes], upright: bool) -> "Content":
    """An opened image, or its samples where Pillow would show other ones."""
    assert isinstance(image, ImageFile.ImageFile)
    if not depth.is_reduced(image):
        return Content(_turned(_loaded(image), upright), image.format)
    found = deep.samples_of(image, _whole(source))
    if found is None:
        return Content(_turned(_loaded(image), upright), image.format, note=deep.loss(image))
    samples = found.upright
    metadata = metadata_of(_loaded(image), {}, has_colours=samples.ndim == 3 and samples.shape[2] >= 3)
    if upright:
        samples = samples_upright(samples, orientation_of(metadata.exif, metadata.xmp))
    return Content(samples, image.format, metadata.info(), has_alpha=found.has_alpha)


def _turned(image: Image.Image, upright: bool) -> Image.Image:
    return turned_upright(image) if upright else image


def _whole(source: Path | IO[bytes]) -> bytes:
    with _as_file(source) as file:
        return file.read()


def _prefix(source: Path | IO[bytes]) -> bytes:
    if isinstance(source, Path):
        return read_bytes(source, formats.PREFIX_BYTES)
    source.seek(0)
    prefix = source.read(formats.PREFIX_BYTES)
    source.seek(0)
    return prefix


def load(source: Path | IO[bytes], suffix: str = "") -> Image.Image:
    """Load the image in a file, the first one of several.

    Args:
        suffix: ending of the file's name, if the source is not a path.
    Raises:
        OSError: it cannot be read.
    """
    return _of_image(source, suffix, _loaded)


def size(path: Path) -> tuple[int, int]:
    """Width and height of the image in a file, without its pixels.

    Raises:
        OSError: it cannot be read.
    """
    return _of_image(path, "", lambda image: image.size)


def _loaded(image: Image.Image) -> Image.Image:
    factor = depth.grey_factor(image)
    try:
        image.load()
    except OSError as error:
        if isinstance(image, ImageFile.StubImageFile):  # which other programs may read, such as HDF5
            raise OSError(formats.NO_READER) from error
        raise
    if factor != 1 and isinstance(image.info.get("transparency"), int):
        image.info["transparency"] *= factor  # which Pillow leaves as it stands in the file
    read_directories(image)
    return image


def _of_image(source: Path | IO[bytes], suffix: str, work: Callable[[Image.Image], _Result]) -> _Result:
    """What a function returns for an open image."""
    source = _reopenable(source)
    suffix = suffix or (source.suffix if isinstance(source, Path) else "")
    if formats.is_unopened_raw(suffix):
        raise OSError(formats.RAW_ADVICE)
    if suffix.lower() == EXTENSION and _prefix(source).startswith(INRIMAGE):
        raise OSError(INRIMAGE_COMPLAINT)  # which Pillow would say in a warning
    try:
        with _opened(source, suffix) as image:
            return work(image)
    except (OSError, Image.DecompressionBombError):
        raise
    except Exception as error:  # Pillow's plugins raise all kinds of errors for damaged files
        with _as_file(source) as file:
            raise OSError(formats.tiff_advice(file) or f"cannot be read: {_told(error)}") from error


def _opened(source: Path | IO[bytes], suffix: str) -> Image.Image:
    """Open an image with Pillow or one of its plugins, which may be installed although nobody has imported it."""
    try:
        return Image.open(source)
    except UnidentifiedImageError as error:
        if not str(error).startswith("cannot identify"):
            raise  # it says more
        if formats.register_plugin(suffix, _prefix(source)):
            with contextlib.suppress(UnidentifiedImageError):
                return Image.open(source)
        with _as_file(source) as file:
            raise OSError(formats.why_not_opened(suffix, file)) from error


def _as_file(source: Path | IO[bytes]) -> contextlib.AbstractContextManager[IO[bytes]]:
    if isinstance(source, Path):
        return source.open("rb")
    source.seek(0)
    return contextlib.nullcontext(source)


def _frame_count(source: Path | IO[bytes]) -> int:
    """The number of images in a file; 1 if it cannot be counted because a later one is damaged."""
    with contextlib.suppress(Exception), Image.open(source) as image:
        return getattr(image, "n_frames", 1)
    return 1


def load_array(source: Path | IO[bytes]) -> "NDArray[np.generic]":
    """Load the array in an .npy file, or the only one in an .npz file.

    Raises:
        OSError: it cannot be read.
    """
    import numpy as np

    prefix = _prefix(source)
    if not formats.is_array_data(prefix):  # NumPy would advise to load it as a pickle
        raise OSError("cannot be read: not one of NumPy's files" if prefix else "the file is empty")
    try:
        loaded = np.load(source, allow_pickle=False)
        if isinstance(loaded, np.lib.npyio.NpzFile):
            with loaded:
                if len(loaded.files) != 1:
                    raise ValueError(f"it holds {len(loaded.files)} arrays, expected one")
                loaded = loaded[loaded.files[0]]
    except OSError:
        raise
    except Exception as error:  # NumPy raises all kinds of errors for damaged files
        raise OSError(f"cannot be read: {_told(error)}") from error
    array: NDArray[np.generic] = loaded
    return array


def reason(error: BaseException) -> str:
    """The message of an error, without the number and path that the system adds."""
    if isinstance(error, UnidentifiedImageError) and str(error).startswith("cannot identify"):
        return "not an image that Pillow can open"  # Pillow's message repeats the path
    return (error.strerror if isinstance(error, OSError) else "") or _told(error)


def _told(error: BaseException) -> str:
    return str(error) or type(error).__name__
