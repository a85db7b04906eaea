"""Runs a command on one input after another: prints errors, counts, goes on after a failure, and ends after Ctrl-C."""

import codecs
import contextlib
import io
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import click
from rich.console import Console
from rich.markup import escape

from ..inputs.finding import STDIN, Found, Item, Skipped
from ..inputs.sources import FILE_ERRORS, reason

INTERRUPTED = 130
"""Exit code after Ctrl-C: 128 plus the number of the signal, as shells have it."""


# What stands for characters that an encoding such as ASCII lacks; a question mark for all others.
_SPELLINGS = {"×": "x", "…": "...", "–": "-", "—": "-", "·": "*", "⁻": "^-", "’": "'"}
# Control characters of ASCII and Latin-1, and the separators of lines and paragraphs.
_CONTROLS = re.compile("[\0-\x1f\x7f-\x9f\u2028\u2029]")
_ERROR_HANDLER = "pillow_inr-spelled"


def print_in_any_encoding() -> None:
    """Let standard output and error print every text, whatever their encoding.

    What the encoding lacks is spelled otherwise. Bytes of file names that are no text come out as they are.
    """
    codecs.register_error(_ERROR_HANDLER, _spelled)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_ERROR_HANDLER)


def _spelled(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    character = error.object[error.start]
    # A byte of a file name, as Python's "surrogateescape" hides it; single ones are no text of UTF-16 and UTF-32.
    if "\udc80" <= character <= "\udcff" and not error.encoding.startswith(("utf-16", "utf-32")):
        return bytes([ord(character) - 0xDC00]), error.start + 1
    return _SPELLINGS.get(character, "?"), error.start + 1


@contextlib.contextmanager
def plain_warnings() -> Iterator[None]:
    """Print warnings of Pillow and others as messages of this program, without the place in their source."""

    def show(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
        context = click.get_current_context(silent=True)
        console(bool(context and context.params.get("quiet"))).print(
            f"pillow-inr: warning: {literal(str(message).strip())}", style="yellow"
        )

    before = warnings.showwarning
    warnings.showwarning = show
    try:
        yield
    finally:
        warnings.showwarning = before


def console(quiet: bool = False) -> Console:
    """The console for messages: standard error, with colour on a terminal."""
    return Console(stderr=True, quiet=quiet, highlight=False, soft_wrap=True)


def spelled(text: str) -> str:
    """A text with its control characters, which a terminal would obey, as Python spells them.

    >>> print(spelled("a\\x1b[2Jb.png"))
    a\\x1b[2Jb.png
    """
    return _CONTROLS.sub(lambda match: ascii(match[0])[1:-1], text)


def literal(text: str) -> str:
    """A text for messages as it is: markup means nothing, and control characters are spelled."""
    return escape(spelled(text))


def shown(path: Path) -> str:
    """A path for messages, in which markup means nothing."""
    return "standard input" if path == STDIN else literal(str(path))


class Run:
    """Work on inputs one after another. A failure is reported, and does not stop the others."""

    def __init__(self, found: Found) -> None:
        self.items = found.items
        self.skipped = found.skipped
        self.done = 0
        self.failed = 0
        self._empty = 0
        """Folders and patterns that led to no file."""

    @classmethod
    def of(cls, item: Item) -> "Run":
        """For the only input of a command."""
        return cls(Found([item], Skipped()))

    @property
    def count(self) -> str:
        """The position of the current input, such as "3/20  "; empty for a single input."""
        total = len(self.items)
        position = self.done + self.failed + self._empty + 1
        return f"{position:>{len(str(total))}}/{total}  " if total > 1 else ""

    def each(self, work: Callable[[Item], None]) -> None:
        """Do the work on every input. Ctrl-C ends the process with code 130."""
        try:
            for item in self.items:
                try:
                    if item.problem is not None:
                        raise OSError(item.problem)
                    work(item)
                except FILE_ERRORS as error:
                    if item.is_file:
                        self.failed += 1
                    else:
                        self._empty += 1
                    complain(item.source, error)
                else:
                    self.done += 1
        except KeyboardInterrupt:
            finished = f": {self.done} of {len(self.items)} finished" if len(self.items) > 1 else ""
            _print_error(f"interrupted{finished}, nothing half-written")
            sys.exit(INTERRUPTED)

    @property
    def has_several(self) -> bool:
        """Whether the last line says how many inputs there were: not for a single one, unless others were left out."""
        return len(self.items) > 1 or bool(self.skipped)

    def summary(self, verb: str = "written") -> str:
        """How many inputs came to what end, such as "3 written, 1 failed, 2 skipped: 2 not images (.txt)"."""
        return f"{self.done} {verb}, {self.failed} failed, {self.skipped.summary()}"

    def exit(self) -> NoReturn:
        """End the process; the exit code is 1 if an input failed or led to no file, else 0."""
        sys.exit(1 if self.failed or self._empty else 0)


def complain(path: Path, error: BaseException) -> None:
    """Print an error about a file, in one line."""
    other = getattr(error, "filename", None)
    where = "" if other is None or Path(os.fsdecode(other)) == path else f"{literal(os.fsdecode(other))}: "
    _print_error(f"{shown(path)}: {where}{literal(reason(error))}")


def _print_error(markup: str) -> None:
    console().print(f"pillow-inr: {markup}", style="red")
