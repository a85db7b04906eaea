"""Runs a command on one input after another: prints errors, goes on after a failure, and ends after Ctrl-C."""

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from rich.console import Console
from rich.markup import escape

from ..inputs.sources import FILE_ERRORS, Item, reason

INTERRUPTED = 130
"""Exit code after Ctrl-C: 128 plus the number of the signal, as shells have it."""


def console(quiet: bool = False) -> Console:
    """The console for messages: standard error, with colour on a terminal."""
    return Console(stderr=True, quiet=quiet, highlight=False, soft_wrap=True)


class Run:
    """Work on inputs one after another. A failure is reported, and does not stop the others."""

    def __init__(self, items: Sequence[Item]) -> None:
        self.items = items
        self.done = 0
        self.failed = 0

    @property
    def count(self) -> str:
        """The position of the current input, such as "3/20  "; empty for a single input."""
        total = len(self.items)
        return f"{self.done + self.failed + 1:>{len(str(total))}}/{total}  " if total > 1 else ""

    @property
    def failures(self) -> str:
        """The number of failures, such as "  2 failed"; empty if there are none."""
        return f"  {self.failed} failed" if self.failed else ""

    def each(self, work: Callable[[Item], None]) -> None:
        """Do the work on every input. Ctrl-C ends the process with code 130."""
        try:
            for item in self.items:
                try:
                    if item.problem is not None:
                        raise OSError(item.problem)
                    work(item)
                except FILE_ERRORS as error:
                    self.failed += 1
                    complain(item.source, error)
                else:
                    self.done += 1
        except KeyboardInterrupt:
            finished = f": {self.done} of {len(self.items)} finished" if len(self.items) > 1 else ""
            _print_error(f"interrupted{finished}, nothing half-written")
            sys.exit(INTERRUPTED)

    def exit(self) -> NoReturn:
        """End the process; the exit code is 1 if an input failed, else 0."""
        sys.exit(1 if self.failed else 0)


def complain(path: Path, error: BaseException) -> None:
    """Print an error about a file, in one line."""
    other = getattr(error, "filename", None)
    where = "" if other is None or Path(os.fsdecode(other)) == path else f"{os.fsdecode(other)}: "
    _print_error(f"{path}: {where}{reason(error)}")


def _print_error(message: str) -> None:
    console().print(f"pillow-inr: {escape(message)}", style="red")
