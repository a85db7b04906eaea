"""Files to be worked on: which ones paths, folders and patterns mean, and how they are read."""

import glob
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import IO, TYPE_CHECKING

from PIL import Image, UnidentifiedImageError

from ..errors import BackendError, FitError
from ..format.signature import EXTENSION
from ..imaging.pillow import upright as turned_upright

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ARRAY_SUFFIXES = (".npy", ".npz")
"""Endings of files of arrays, NumPy's own."""

# What work on a single file can fail with; anything else is a defect of ours and shows its traceback.
FILE_ERRORS = (OSError, ValueError, BackendError, FitError, MemoryError, Image.DecompressionBombError)


@dataclass(frozen=True)
class Item:
    """An input file."""

    source: Path
    below: PurePath
    """Where it lies below the folder that was asked for; its name alone, if it was asked for itself."""
    problem: str | None = None
    """Why there is nothing to work on."""

    @classmethod
    def named(cls, path: str | Path) -> "Item":
        """The file of this path, whether it is there or not."""
        return cls(Path(path), PurePath(Path(path).name))


def opens_as_image(path: Path) -> bool:
    """Whether Pillow knows the format of a file, .inr aside."""
    if path.suffix.lower() == EXTENSION:
        return False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            Image.open(path).close()
    except UnidentifiedImageError:
        return False
    except Exception:  # whatever is wrong with it is said when its turn comes
        return True
    return True


def is_inr(path: Path) -> bool:
    """Whether a file is an .inr file by its name."""
    return path.suffix.lower() == EXTENSION


def find(inputs: Sequence[str], accepts: Callable[[Path], bool], wanted: str) -> list[Item]:
    """The files that paths, folders and patterns name; of the latter two, those that are accepted.

    Args:
        wanted: what an accepted file is called, such as "image".
    """
    items = []
    for text in inputs:
        try:
            items += _expand(text, accepts, wanted)
        except OSError as error:  # a folder that may not be read
            items.append(Item(Path(error.filename or text), PurePath(text), error.strerror))
    return items


def _expand(text: str, accepts: Callable[[Path], bool], wanted: str) -> list[Item]:
    path = Path(text)
    if path.is_dir():
        found = [Item(file, file.relative_to(path)) for file in _files_below(path) if accepts(file)]
        return found or [Item(path, PurePath(path.name), f"no {wanted} in this folder")]
    if path.exists() or not glob.has_magic(text):
        return [Item.named(path)]
    root = _before_wildcards(path)
    matches = [Path(match) for match in sorted(glob.glob(text, recursive=True))]  # noqa: PTH207 (absolute ones, too)
    files = dict.fromkeys(file for match in matches for file in (_files_below(match) if match.is_dir() else [match]))
    found = [Item(file, file.relative_to(root)) for file in files if accepts(file)]
    return found or [Item(path, PurePath(path.name), f"no {wanted} matches this pattern")]


def _files_below(folder: Path) -> Iterator[Path]:
    """All files in a folder and in those below it, in order of their names; without hidden ones and linked folders."""
    for path in sorted(folder.iterdir()):
        if not path.name.startswith("."):
            if path.is_dir() and not path.is_symlink():
                yield from _files_below(path)
            elif path.is_file():
                yield path


def _before_wildcards(pattern: Path) -> Path:
    parts = pattern.parts
    fixed = next(index for index, part in enumerate(parts) if glob.has_magic(part))
    return Path(*parts[:fixed])


def load(source: Path | IO[bytes]) -> Image.Image:
    """The image in a file, its pixels loaded; the first one of several.

    Raises:
        OSError: it cannot be read.
    """
    try:
        with Image.open(source) as image:
            image.load()
            return image
    except (OSError, Image.DecompressionBombError):
        raise
    except Exception as error:  # Pillow's plugins raise whatever they like on damaged files
        raise OSError(f"cannot be read: {str(error) or type(error).__name__}") from error


def read(file: Path | IO[bytes], suffix: str, upright: bool) -> "Image.Image | NDArray[np.generic]":
    """What a file holds: an image, or an array by the ending of its name.

    Args:
        suffix: that ending, with its dot.
        upright: whether an image is turned as its EXIF data say: where these are left out, its pixels must be.
    Raises:
        OSError: it cannot be read.
    """
    if suffix.lower() in ARRAY_SUFFIXES:
        return load_array(file)
    image = load(file)
    return turned_upright(image) if upright else image


def frame_count(source: Path) -> int:
    """How many images a file holds."""
    with Image.open(source) as image:
        return getattr(image, "n_frames", 1)


def load_array(source: Path | IO[bytes]) -> "NDArray[np.generic]":
    """The array in an .npy file, or the only one in an .npz file.

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
    except Exception as error:  # NumPy raises whatever it likes on damaged files
        raise OSError(f"cannot be read: {str(error) or type(error).__name__}") from error
    array: NDArray[np.generic] = loaded
    return array


def reason(error: BaseException) -> str:
    """What an error says, without what the system adds to it."""
    if isinstance(error, UnidentifiedImageError) and str(error).startswith("cannot identify"):
        return "not an image that Pillow can open"  # without its path once more
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return text or type(error).__name__
