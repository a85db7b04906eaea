"""Files of the command line: which ones the inputs mean, how they are read, where outputs go."""

import glob
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, TypeVar

import click
from PIL import Image, UnidentifiedImageError

from . import api, files, plugin

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ARRAY_SUFFIXES = (".npy", ".npz")
"""Endings of files of arrays, NumPy's own."""

_Command = TypeVar("_Command", bound=Callable[..., None])


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


def output_options(command: _Command) -> _Command:
    """Options of the commands that write files."""
    for option in (
        click.option("--quiet", is_flag=True, help="Print errors only."),
        click.option("-f", "--force", is_flag=True, help="Overwrite files that exist."),
    ):
        command = option(command)
    return command


def register_initializations(paths: Sequence[str]) -> None:
    """Make files readable that name these; a path that is none ends the command with code 2."""
    try:
        for path in paths:
            api.register_initialization(path)
    except (OSError, ValueError) as error:
        raise click.UsageError(str(error)) from error


def opens_as_image(path: Path) -> bool:
    """Whether Pillow knows the format of a file, .inr aside."""
    if path.suffix.lower() == plugin.EXTENSION:
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
    return path.suffix.lower() == plugin.EXTENSION


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


class Outputs:
    """Where the outputs of a command go.

    Args:
        out: as the user gave it: a file or a folder, or None for places beside the inputs.
        suffix: ending of outputs whose name is not given.
        items: the inputs.
        force: whether files may be overwritten.
    Raises:
        click.UsageError: several inputs and one output.
    """

    def __init__(self, out: str | None, suffix: str, items: Sequence[Item], force: bool) -> None:
        self.out = None if out is None else Path(out)
        self.suffix = suffix
        self.force = force
        self._made: dict[Path, Path] = {}
        several = len(items) > 1 or any(item.below != PurePath(item.source.name) for item in items)
        self._folder = self.out is not None and (
            several or _is_folder(self.out) or not self.out.suffix or str(out).endswith((os.sep, "/"))
        )
        if several and self.out is not None and not _is_folder(self.out) and _names_a_file(self.out):
            raise click.UsageError(f"--out must be a folder for several inputs, got {out}")

    def target(self, item: Item) -> Path:
        """The output for an input, which may be written there.

        Raises:
            OSError: it may not.
        """
        path = self._place(item)
        if path.exists() and item.source.exists() and path.samefile(item.source):
            raise FileExistsError("this is the input itself: name another --out")
        if path in self._made:
            raise FileExistsError(f"{path} was made from another input, {self._made[path]}: rename one of them")
        if path.exists() and not self.force:
            raise FileExistsError(f"{path} exists: --force overwrites it")
        files.check_writable(path)
        return path

    def made(self, path: Path, item: Item) -> None:
        """Remember that an output is there now."""
        self._made[path] = item.source

    def _place(self, item: Item) -> Path:
        if self.out is None:
            return item.source.with_suffix(self.suffix)
        if not self._folder:
            return self.out
        path = self.out / item.below.with_suffix(self.suffix)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # it may not be looked at: said when something is to be written there
        return False


def _names_a_file(path: Path) -> bool:
    return path.suffix.lower() in (*ARRAY_SUFFIXES, *Image.registered_extensions())


def load(source: Path) -> Image.Image:
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


def frame_count(source: Path) -> int:
    """How many images a file holds."""
    with Image.open(source) as image:
        return getattr(image, "n_frames", 1)


def load_array(source: Path) -> "NDArray[np.generic]":
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
