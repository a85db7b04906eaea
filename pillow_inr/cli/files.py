"""Files of the command line: where outputs go, and which initializations are known."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path, PurePath
from typing import TypeVar

import click
from PIL import Image

from .. import api
from ..inputs.sources import ARRAY_SUFFIXES, Item
from ..storage import atomic

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
        out: the user's file or folder; None puts outputs beside their inputs.
        suffix: ending of outputs whose name is not given.
        items: the inputs.
        force: whether files may be overwritten.
    Raises:
        click.UsageError: there are several inputs, and out is a file.
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
        """The path of the output for an input.

        Raises:
            OSError: it cannot be written, or must not be overwritten.
        """
        path = self._place(item)
        if path.exists() and item.source.exists() and path.samefile(item.source):
            raise FileExistsError("this is the input itself: name another --out")
        if path in self._made:
            raise FileExistsError(f"{path} was made from another input, {self._made[path]}: rename one of them")
        if path.exists() and not self.force:
            raise FileExistsError(f"{path} exists: --force overwrites it")
        atomic.check_writable(path)
        return path

    def made(self, path: Path, item: Item) -> None:
        """Note that the output for an input has been written."""
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
    except OSError:  # no permission to look: reported when the output is written
        return False


def _names_a_file(path: Path) -> bool:
    return path.suffix.lower() in (*ARRAY_SUFFIXES, *Image.registered_extensions())
