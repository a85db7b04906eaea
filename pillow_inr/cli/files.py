"""Files of the command line: where outputs go, initializations."""

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
        atomic.check_writable(path)
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
