"""Files of the command line: where outputs go, and which initializations are known."""

import errno
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePath
from typing import TypeVar

import click
from PIL import Image

from .. import api
from ..inputs import formats
from ..inputs.finding import Item, output_names
from ..inputs.sources import is_stream
from ..storage import atomic
from . import running

STDOUT = Path("-")
"""Stands for standard output. A file of this name has the path ./- for users, and an absolute one here."""
_STDOUT_NAMES = ("-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1")

_Command = TypeVar("_Command", bound=Callable[..., None])


def output_options(command: _Command) -> _Command:
    """Add the options of commands that write files."""
    for option in (
        click.option("--quiet", is_flag=True, help="Print errors only."),
        click.option("-f", "--force", is_flag=True, help="Overwrite files that exist."),
    ):
        command = option(command)
    return command


def register_initializations(paths: Sequence[str]) -> None:
    """Register initializations, so that files that refer to them can be read.

    Raises:
        click.UsageError: a path is not that of an initialization; it ends the command with code 2.
    """
    try:
        for path in paths:
            api.register_initialization(path)
    except (OSError, ValueError) as error:
        raise click.UsageError(str(error)) from error


class Outputs:
    """Where the outputs of a command go.

    Args:
        out: the user's file or folder, "-" for standard output; None puts outputs beside their inputs.
        suffix: ending of outputs whose name is not given.
        items: the inputs.
        force: whether files may be overwritten.
        endings: those that an output may have; all if there are none.
        renames: whether an output whose name another input has taken gets the next one of `finding.output_names`;
            otherwise it is refused.
    Raises:
        click.UsageError: there are several inputs, and out is a file; or a pipe has no output; or binary data would go
            to a terminal.
    """

    def __init__(
        self,
        out: str | None,
        suffix: str,
        items: Sequence[Item],
        force: bool,
        *,
        endings: Sequence[str] = (),
        renames: bool = False,
    ) -> None:
        self.out = None if out is None else _path(out)
        self.suffix = suffix
        self.force = force
        self._endings = endings
        self._made: dict[Path, Path] = {}
        several = len(items) > 1 or any(item.below != PurePath(item.source.name) for item in items)
        self._folder = self.out is not None and _is_meant_as_folder(self.out, str(out), several)
        self._check(items, several)
        self._places: dict[Item, Path] = {}
        self._renamed: dict[Item, str] = {}
        """Why inputs have outputs with other names than usual."""
        # Without those that cannot be read: folders, of which / and . have no name.
        self._assign([item for item in items if item.problem is None and item.source.name], renames)

    def _check(self, items: Sequence[Item], several: bool) -> None:
        if several and self.out is not None and (not self._folder or _names_a_file(self.out)):
            raise click.UsageError(f"--out must be a folder for several inputs, got {self.out}")
        if (self.out is None or self._folder) and any(is_stream(item.source) for item in items):
            raise click.UsageError("a pipe has no name to make the output's from: give --out FILE, or --out -")
        if self.to_stdout and sys.stdout is None:
            raise click.UsageError("--out -: standard output is closed")
        if self.to_stdout and sys.stdout.isatty():
            raise click.UsageError("--out - would write binary data to the terminal: redirect it, as in > FILE")

    def _assign(self, items: Sequence[Item], renames: bool) -> None:
        takers: dict[Path, Item] = {}
        for item in items:
            names = self._names(item)
            usual = place = next(names)
            while renames and place in takers:
                place = next(names)
            if place != usual:
                self._renamed[item] = f"the name {usual} goes to {takers[usual].source}"
            takers.setdefault(place, item)
            self._places[item] = place

    def _names(self, item: Item) -> Iterator[Path]:
        if self.out is None:
            return output_names(item.source, self.suffix)
        if self._folder:
            return output_names(self.out / item.below, self.suffix)
        return iter([self.out])

    @property
    def to_stdout(self) -> bool:
        """Whether the output goes to standard output."""
        return self.out == STDOUT

    def note(self, item: Item) -> str:
        """Why the output for an input has another name than usual; empty if it has not."""
        return self._renamed.get(item, "")

    def target(self, item: Item) -> Path:
        """The path of the output for an input.

        Raises:
            OSError: it cannot be written, or must not be overwritten.
            ValueError: its ending is not that of what is written.
        """
        if item not in self._places:
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(item.source))
        path = self._places[item]
        if self._endings and self.ending(path) not in self._endings:
            raise ValueError(f"{path} does not end in {_listed(self._endings)}: other programs would not recognize it")
        if is_stream(path):
            return path
        if self._folder:
            path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and item.source.exists() and path.samefile(item.source):
            raise FileExistsError("this is the input itself: name another --out")
        if path in self._made:
            raise FileExistsError(f"{path} was made from another input, {self._made[path]}: rename one of them")
        if path.exists() and not self.force:
            raise FileExistsError(f"{path} exists: --force overwrites it")
        atomic.check_writable(path)
        return path

    def ending(self, path: Path) -> str:
        """The ending that decides the format of an output, in lower case; the usual one where it has no name."""
        return formats.ending(f"_{self.suffix}" if is_stream(path) else path)

    def write(self, path: Path, data: bytes, item: Item) -> None:
        """Write the output for an input. A file is complete or absent.

        Raises:
            OSError: it cannot be written.
        """
        if path == STDOUT:
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
        else:
            atomic.write_atomically(path, data)
            self._made[path] = item.source


def shown(path: Path) -> str:
    """The path of an output for messages, in which markup means nothing."""
    return "standard output" if path == STDOUT else running.literal(str(path))


def _path(out: str) -> Path:
    if out in _STDOUT_NAMES:
        return STDOUT
    path = Path(out)
    return path.absolute() if path == STDOUT else path


def _is_meant_as_folder(out: Path, text: str, several: bool) -> bool:
    if is_stream(out) or _is(out, Path.is_file):
        return False
    return several or _is(out, Path.is_dir) or not out.suffix or text.endswith((os.sep, "/"))


def _is(path: Path, kind: Callable[[Path], bool]) -> bool:
    try:
        return kind(path)
    except OSError:  # no permission to look: reported when the output is written
        return False


def _names_a_file(path: Path) -> bool:
    return not _is(path, Path.is_dir) and formats.ending(path) in (
        *formats.ARRAY_SUFFIXES,
        *Image.registered_extensions(),
    )


def _listed(endings: Sequence[str]) -> str:
    return " or ".join(filter(None, (", ".join(endings[:-1]), endings[-1])))
