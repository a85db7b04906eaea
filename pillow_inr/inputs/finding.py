"""Finds the files that paths, folders and patterns name, and counts those that are left out."""

import contextlib
import glob
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path, PurePath
from typing import TypeVar

from ..format.signature import INRIMAGE
from ..storage import remote
from . import formats

STDIN = Path("-")
"""Stands for standard input. A file of this name has the path ./- for users, and an absolute one in an `Item`."""

_Path = TypeVar("_Path", bound=PurePath)

# Why files are left out: the word for one, and for several.
HIDDEN = ("hidden file", "hidden files")
NOT_FILES = ("pipe or device", "pipes or devices")
NOT_IMAGES = ("not an image", "not images")
INR_FILES = (".inr file", ".inr files")
NOT_INR_FILES = ("not an .inr file", "not .inr files")
ARRAYS = ("array", "arrays")
# Endings that a summary lists before it breaks off.
_ENDINGS_SHOWN = 6

Why = tuple[str, str]


@dataclass(frozen=True)
class Item:
    """An input file."""

    source: Path
    below: PurePath
    """Its path relative to the folder or pattern that was given; its name if the file itself was given."""
    problem: str | None = None
    """Why it cannot be read, if that is known already."""
    is_file: bool = True
    """False if it stands for a folder or a pattern that leads to no file."""

    @classmethod
    def named(cls, path: str | Path) -> "Item":
        """The file at a path, which need not exist."""
        return cls(Path(path), PurePath(Path(path).name))


@dataclass(frozen=True)
class Wanted:
    """What a command looks for in folders and patterns."""

    name: str
    """What messages call one such file."""
    why_not: Callable[[Path], Why | None]
    """Why a regular file is left out; None if it is wanted."""


@dataclass
class Skipped:
    """The files that were left out."""

    files: dict[str, Why] = field(default_factory=dict)
    """Each file, by its path or URL, and why."""
    linked_folders: set[str] = field(default_factory=set)

    def __len__(self) -> int:
        return len(self.files)

    def add(self, others: "Skipped") -> None:
        """Count the files of others as well, each file once."""
        self.files |= others.files
        self.linked_folders |= others.linked_folders

    def forget(self, keys: Iterable[str]) -> None:
        """Do not count files that were named by themselves as well."""
        for name in keys:
            self.files.pop(name, None)

    def summary(self, others: Sequence[tuple[int, str]] = ()) -> str:
        """How many were left out and why, such as "3 skipped: 2 not images (.txt, .xmp), 1 hidden file".

        Args:
            others: numbers of inputs that were skipped for reasons of the caller's, and these reasons.
        """
        by_reason: dict[Why, list[str]] = defaultdict(list)
        for name, why in self.files.items():
            by_reason[why].append(name)
        parts = [f"{number} {reason}" for number, reason in others if number]
        parts += [_reason(why, names) for why, names in by_reason.items()]
        total = len(self) + sum(number for number, _ in others)
        text = f"{total} skipped" + (f": {', '.join(parts)}" if parts else "")
        if self.linked_folders:
            number = len(self.linked_folders)
            text += f"; {number} linked folder{'s' * (number > 1)} not followed"
        return text


def _reason(why: Why, names: Sequence[str]) -> str:
    text = f"{len(names)} {why[len(names) > 1]}"
    if why not in (NOT_IMAGES, NOT_INR_FILES):
        return text
    endings = sorted({formats.ending(name) or "no ending" for name in names})
    shown = ", ".join(endings[:_ENDINGS_SHOWN]) + ", …" * (len(endings) > _ENDINGS_SHOWN)
    return f"{text} ({shown})"


@dataclass
class Found:
    """What inputs name."""

    items: list[Item]
    skipped: Skipped


def why_no_image(path: Path) -> Why | None:
    """Why a file is not to be encoded; None if it is an image or an array, by its name or its content."""
    if formats.is_image_name(path) or formats.is_array_name(path):
        return None
    prefix = _prefix(path)
    if prefix.startswith(INRIMAGE):  # an image of another format with our ending: the reader says so
        return None
    if formats.is_inr_name(path) or formats.is_inr_data(prefix):
        return INR_FILES
    return None if formats.is_image_data(path, prefix) else NOT_IMAGES


def why_no_picture(path: Path) -> Why | None:
    """As `why_no_image`, where arrays are not wanted either."""
    return ARRAYS if formats.is_array_name(path) else why_no_image(path)


def why_no_inr(path: Path) -> Why | None:
    """Why a file is not to be decoded; None if it is an .inr file, by its name or its content."""
    return None if formats.is_inr_name(path) or formats.is_inr_data(_prefix(path)) else NOT_INR_FILES


IMAGES = Wanted("image", why_no_image)
PICTURES = Wanted("image", why_no_picture)
INRS = Wanted(".inr file", why_no_inr)


def is_inr(path: Path) -> bool:
    """Whether a file is an .inr file by its content; False for a pipe, which can be read only once."""
    return path.is_file() and formats.is_inr_data(_prefix(path))


def _prefix(path: Path) -> bytes:
    """The first bytes of a file; empty if it cannot be read, which is reported where it is wanted by its name."""
    with contextlib.suppress(OSError), path.open("rb") as file:
        return file.read(formats.PREFIX_BYTES)
    return b""


def find(inputs: Sequence[str], wanted: Wanted, *, once: bool = True) -> Found:
    """The files that paths, folders and patterns name; "-" is standard input.

    Args:
        once: whether a file that is named several times is found once.
    Returns:
        Files, sorted within each input. An input that leads to no file is an item with a problem.
    """
    skipped = Skipped()
    items = [item for text in inputs for item in _expand(text, wanted, skipped)]
    first = {key(item.source): item for item in reversed(items)}
    skipped.forget(first)
    return Found([item for item in items if not once or item is first[key(item.source)]], skipped)


def key(path: Path) -> str:
    """A path that is the same for the same file, however it was spelled; links to a file stay files of their own."""
    return str(path) if path == STDIN else str(Path(os.path.realpath(path.parent), path.name))


def _expand(text: str, wanted: Wanted, skipped: Skipped) -> Iterator[Item]:
    path = Path(text)
    if text == str(STDIN):
        yield Item(STDIN, PurePath("-"))
    elif path.is_dir():
        yield from _of_tree(_walk(path), path, wanted, skipped) or [_nothing(path, f"no {wanted.name} in this folder")]
    elif not path.exists() and (problem := _only_for_batch(text)):
        yield Item(path, PurePath(path.name), problem)
    elif path.exists() or not glob.has_magic(text):
        yield Item.named(_file(path))
    else:
        root = Path(*remote.before_wildcards(path.parts))
        matches = sorted(glob.glob(text, recursive=True))  # noqa: PTH207 (takes absolute paths)
        entries = dict.fromkeys(entry for match in matches for entry in _matched(Path(match)))
        yield from _of_tree(entries, root, wanted, skipped) or [
            _nothing(path, f"no {wanted.name} matches this pattern")
        ]


def _only_for_batch(text: str) -> str:
    """What to do with an input that only a batch reads; empty if it is no such input."""
    if remote.is_url(text):
        return "only 'pillow-inr batch' reads URLs: download the file, or pipe it in and name it -"
    return "only 'pillow-inr batch' reads lists of files" if text.startswith("@") else ""


def _file(path: Path) -> Path:
    """The path of a file, so that one of the name "-" is not taken for standard input."""
    return path.absolute() if path == STDIN else path


def _nothing(path: Path, problem: str | None) -> Item:
    return Item(path, PurePath(path.name), problem, is_file=False)


def _matched(path: Path) -> Iterator["_Entry"]:
    if path.is_dir():
        yield from _walk(path)
    else:
        yield _Entry(path)


@dataclass(frozen=True)
class _Entry:
    """What a walk through a folder meets."""

    path: Path
    hidden: bool = False
    """Whether its name, or that of a folder on the way, begins with a dot."""
    problem: str | None = None
    """Why this folder cannot be listed."""


def _walk(folder: Path, hidden: bool = False) -> Iterator[_Entry]:
    """All files in and below a folder, sorted by name, and folders that are links or cannot be listed."""
    try:
        paths = sorted(folder.iterdir())
    except OSError as error:
        yield _Entry(folder, hidden, error.strerror or str(error))
        return
    for path in paths:
        is_hidden = hidden or path.name.startswith(".")
        if path.is_dir() and not path.is_symlink():
            yield from _walk(path, is_hidden)
        else:
            yield _Entry(path, is_hidden)


def _of_tree(entries: Iterable[_Entry], root: Path, wanted: Wanted, skipped: Skipped) -> list[Item]:
    """The wanted files; notes the others."""
    items = []
    for entry in entries:
        path = entry.path
        if entry.problem is not None:
            if not entry.hidden:
                items.append(_nothing(path, entry.problem))
        elif path.is_dir():
            if not entry.hidden:
                skipped.linked_folders.add(key(path))
        elif (why := HIDDEN if entry.hidden else _why_not(path, wanted)) is None:
            items.append(Item(_file(path), path.relative_to(root)))
        else:
            skipped.files[key(path)] = why
    return items


def _why_not(path: Path, wanted: Wanted) -> Why | None:
    if path.exists() and not path.is_file():
        return NOT_FILES  # to open a pipe would wait for its writer
    return wanted.why_not(path)


def output_names(below: _Path, suffix: str) -> Iterator[_Path]:
    """Names for the output of an input, best first: photo.inr, photo.jpg.inr, photo.jpg.2.inr, …"""
    yield below.with_suffix(suffix)
    yield below.with_name(below.name + suffix)
    yield from (below.with_name(f"{below.name}.{number}{suffix}") for number in count(2))
