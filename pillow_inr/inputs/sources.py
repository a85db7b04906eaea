"""Finds the files that paths, folders and patterns name, and reads images and arrays from them."""

import glob
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import IO, TYPE_CHECKING

from PIL import Image, UnidentifiedImageError

from ..errors import BackendError, FitError
from ..format.signature import EXTENSION
from ..imaging.exif_tags import read_directories
from ..imaging.orientation import upright as turned_upright
from ..storage import remote

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ARRAY_SUFFIXES = (".npy", ".npz")
"""Name endings of NumPy's files."""

# Errors that a file or its content can cause. Any other error is a bug and shows its traceback.
FILE_ERRORS = (OSError, ValueError, BackendError, FitError, MemoryError, Image.DecompressionBombError)


@dataclass(frozen=True)
class Item:
    """An input file."""

    source: Path
    below: PurePath
    """Its path relative to the folder or pattern that was given; its name if the file itself was given."""
    problem: str | None = None
    """Why it cannot be read, if that is known already."""

    @classmethod
    def named(cls, path: str | Path) -> "Item":
        """The file at a path, which need not exist."""
        return cls(Path(path), PurePath(Path(path).name))


def opens_as_image(path: Path) -> bool:
    """Whether Pillow recognizes the format of a file; False for .inr files."""
    if path.suffix.lower() == EXTENSION:
        return False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            Image.open(path).close()
    except UnidentifiedImageError:
        return False
    except Exception:  # reported when the image is read
        return True
    return True


def is_inr(path: Path) -> bool:
    """Whether a file is an .inr file by its name."""
    return path.suffix.lower() == EXTENSION


def find(inputs: Sequence[str], accepts: Callable[[Path], bool], wanted: str) -> list[Item]:
    """The files that paths, folders and patterns name.

    Args:
        accepts: chooses among the files of folders and patterns.
        wanted: what messages call an accepted file, such as "image".
    Returns:
        Files, sorted within each input. An input that leads to no file is an item with a problem.
    """
    items = []
    for text in inputs:
        try:
            items += _expand(text, accepts, wanted)
        except OSError as error:  # a folder without read permission
            items.append(Item(Path(error.filename or text), PurePath(text), error.strerror))
    return items


def _expand(text: str, accepts: Callable[[Path], bool], wanted: str) -> list[Item]:
    path = Path(text)
    if path.is_dir():
        found = [Item(file, file.relative_to(path)) for file in _files_below(path) if accepts(file)]
        return found or [Item(path, PurePath(path.name), f"no {wanted} in this folder")]
    if path.exists() or not glob.has_magic(text):
        return [Item.named(path)]
    root = Path(*remote.before_wildcards(path.parts))
    matches = [Path(match) for match in sorted(glob.glob(text, recursive=True))]  # noqa: PTH207 (takes absolute paths)
    files = dict.fromkeys(file for match in matches for file in (_files_below(match) if match.is_dir() else [match]))
    found = [Item(file, file.relative_to(root)) for file in files if accepts(file)]
    return found or [Item(path, PurePath(path.name), f"no {wanted} matches this pattern")]


def _files_below(folder: Path) -> Iterator[Path]:
    """All files in and below a folder, sorted by name, without hidden files, hidden folders and linked folders."""
    for path in sorted(folder.iterdir()):
        if not path.name.startswith("."):
            if path.is_dir() and not path.is_symlink():
                yield from _files_below(path)
            elif path.is_file():
                yield path


def load(source: Path | IO[bytes]) -> Image.Image:
    """Load the image in a file, the first one of several.

    Raises:
        OSError: it cannot be read.
    """
    try:
        with Image.open(source) as image:
            image.load()
            read_directories(image)
            return image
    except (OSError, Image.DecompressionBombError):
        raise
    except Exception as error:  # Pillow's plugins raise all kinds of errors for damaged files
        raise OSError(f"cannot be read: {str(error) or type(error).__name__}") from error


def read(file: Path | IO[bytes], suffix: str, upright: bool) -> "Image.Image | NDArray[np.generic]":
    """Read an image, or an array if the file's name ends in .npy or .npz.

    Args:
        suffix: the ending of the file's name, with its dot.
        upright: rotate the image as its EXIF orientation says; needed where EXIF data are not kept.
    Raises:
        OSError: it cannot be read.
    """
    if suffix.lower() in ARRAY_SUFFIXES:
        return load_array(file)
    image = load(file)
    return turned_upright(image) if upright else image


def frame_count(source: Path) -> int:
    """The number of images in a file."""
    with Image.open(source) as image:
        return getattr(image, "n_frames", 1)


def load_array(source: Path | IO[bytes]) -> "NDArray[np.generic]":
    """Load the array in an .npy file, or the only one in an .npz file.

    Raises:
        OSError: it cannot be read.
    """
    import numpy as np

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
        raise OSError(f"cannot be read: {str(error) or type(error).__name__}") from error
    array: NDArray[np.generic] = loaded
    return array


def reason(error: BaseException) -> str:
    """The message of an error, without the number and path that the system adds."""
    if isinstance(error, UnidentifiedImageError) and str(error).startswith("cannot identify"):
        return "not an image that Pillow can open"  # Pillow's message repeats the path
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return text or type(error).__name__
