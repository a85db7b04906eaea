"""Hides what native libraries print on standard error; for processes of our own, such as the command line's.

TensorFlow prints a dozen lines there when it starts, and has no setting against it.
"""

import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import TextIO

from ..errors import BackendError, FitError


@lru_cache(maxsize=1)
def _terminal() -> TextIO:
    """The original standard error; never closed, because TensorFlow's logger keeps using it."""
    return os.fdopen(os.dup(2), "w")


@contextmanager
def capture_native_stderr() -> Iterator[None]:
    """Collect what native code writes to file descriptor 2, and print it only after an unexpected error."""
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    if sys.stderr is None:  # it was closed when the process began: descriptor 2 may be any file by now
        yield
        return
    sys.stderr.flush()
    python_stderr = sys.stderr
    terminal = _terminal()
    with tempfile.TemporaryFile() as collected:
        os.dup2(collected.fileno(), 2)
        sys.stderr = terminal
        try:
            yield
        except (KeyboardInterrupt, BackendError, FitError):
            raise
        except BaseException:
            collected.seek(0)
            terminal.write(collected.read().decode(errors="replace"))
            raise
        finally:
            terminal.flush()
            os.dup2(terminal.fileno(), 2)
            sys.stderr = python_stderr
