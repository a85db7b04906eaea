"""Work of the command line on one input after another: what is printed, what a failure or Ctrl-C leads to."""

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from rich.console import Console
from rich.markup import escape

from ..inputs.sources import FILE_ERRORS, Item, reason

INTERRUPTED = 130
"""Exit code after Ctrl-C, as of a shell's own commands: 128 and the signal's number."""


def console(quiet: bool = False) -> Console:
    """Where messages go: standard error, in colour on a terminal only."""
    return Console(stderr=True, quiet=quiet, highlight=False, soft_wrap=True)


class Run:
    """Work on inputs one after another: one that fails is reported, and the others go on."""

    def __init__(self, items: Sequence[Item]) -> None:
        self.items = items
        self.done = 0
        self.failed = 0

    @property
    def count(self) -> str:
        """Which of several inputs it is, such as "3/20  "; nothing for a single one."""
        total = len(self.items)
        return f"{self.done + self.failed + 1:>{len(str(total))}}/{total}  " if total > 1 else ""

    @property
    def failures(self) -> str:
        """How many failed, such as "  2 failed"; nothing if none did."""
        return f"  {self.failed} failed" if self.failed else ""

    def each(self, work: Callable[[Item], None]) -> None:
        """Do the work on every input; Ctrl-C ends the process, with code 130."""
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
        """End the process, with code 1 if an input failed."""
        sys.exit(1 if self.failed else 0)


def complain(path: Path, error: BaseException) -> None:
    """Print in one line what went wrong with a file."""
    other = getattr(error, "filename", None)
    where = "" if other is None or Path(os.fsdecode(other)) == path else f"{os.fsdecode(other)}: "
    _print_error(f"{path}: {where}{reason(error)}")


def _print_error(message: str) -> None:
    console().print(f"pillow-inr: {escape(message)}", style="red")
