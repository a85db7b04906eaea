"""Decides who sees the progress of an encode: a callback, a terminal or notebook (`progress_line`), or nobody."""

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TextIO

from ..options import EncodeOptions
from .progress_line import Line

Report = Callable[[int, int, float, float], object]
"""Called with step, number of steps, PSNR in dB and estimated bits per pixel."""

# Held while a line is shown: two in one place would overwrite each other.
_showing = threading.Lock()


@contextmanager
def shown(options: EncodeOptions) -> Iterator[EncodeOptions]:
    """Show a line while the context lasts, if the option `progress` asks for one or standard error is a terminal.

    Yields:
        The options for the encoders: `progress` is a callback, the line's or the caller's, or else False.
    """
    line = _line(options.progress)
    if line is None or not _showing.acquire(blocking=False):
        yield replace(options, progress=options.progress if callable(options.progress) else False)
        return
    try:
        with line:
            yield replace(options, progress=line)
    finally:
        _showing.release()


def begun(progress: bool | Report | None, expected_seconds: float | None = None) -> Report | None:
    """The callback for a fit that begins now; None if there is none.

    Args:
        expected_seconds: what the fit will take, as far as is known before its first step.
    """
    if isinstance(progress, Line):
        progress.begin_fit(expected_seconds)
    return progress if callable(progress) else None


def _line(progress: bool | Report | None) -> Line | None:
    """The line to show, if any."""
    stream = sys.stderr
    if stream is None or callable(progress) or progress is False:
        return None
    # Asked now: while TensorFlow starts, standard error is a pipe (`runtime/quiet.py`).
    redraws = _is_terminal(stream) or _is_in_notebook()
    if progress is None and (not redraws or _is_one_of_many()):
        return None
    return Line(stream, asked=progress is True, redraws=redraws)


def _is_terminal(stream: TextIO) -> bool:
    # The window of IDLE says that it is one, but does not go back at a carriage return.
    if "idlelib" in sys.modules:
        return False
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError, OSError):  # a stream of the host's own, or a closed one
        return False


def _is_in_notebook() -> bool:
    """Whether this is the kernel of a Jupyter notebook, or of one of its kin."""
    # Not imported: a program without IPython stays without it.
    get_shell = getattr(sys.modules.get("IPython"), "get_ipython", None)
    if get_shell is None:
        return False
    return any(kind.__name__ == "ZMQInteractiveShell" for kind in type(get_shell()).__mro__)


def _is_one_of_many() -> bool:
    """Whether this process works for another one, whose terminal it shares with others of its kind."""
    # Not imported: a process that multiprocessing has started has it, others need not take the time.
    module = sys.modules.get("multiprocessing.process")
    return module is not None and module.parent_process() is not None
