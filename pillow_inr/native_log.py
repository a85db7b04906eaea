"""Holds back what native libraries print on standard error; for the command line, whose process is its own.

TensorFlow writes a dozen lines there when it starts, which no setting of its own silences.
"""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def held_back() -> Iterator[None]:
    """Collect what is written to file descriptor 2 from outside Python; print it only if the context fails."""
    sys.stderr.flush()
    python_stderr = sys.stderr
    with tempfile.TemporaryFile() as collected, os.fdopen(os.dup(2), "w") as original:
        os.dup2(collected.fileno(), 2)
        sys.stderr = original
        try:
            yield
        except BaseException:
            collected.seek(0)
            original.buffer.write(collected.read())
            raise
        finally:
            original.flush()
            os.dup2(original.fileno(), 2)
            sys.stderr = python_stderr
