"""Waits for what another thread or process does: for the event itself, never for a time in which it should happen."""

import os
import time
from collections.abc import Callable
from pathlib import Path

PATIENCE_SECONDS = 120
"""Only a test that fails waits as long as this: machines that others share may be slow."""


def wait_until(happened: Callable[[], object]) -> None:
    """Return as soon as something has happened."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not happened():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def is_alive(process: int) -> bool:
    """Whether a process runs; one that has ended may stay in the list, as a zombie, until its parent looks."""
    try:
        return ") Z " not in Path(f"/proc/{process}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def announce(mark: Path) -> None:
    """Make a file with this process's number: whoever sees it may kill the process."""
    part = mark.with_name(f"{mark.name}.part")
    part.write_text(str(os.getpid()))
    part.replace(mark)
