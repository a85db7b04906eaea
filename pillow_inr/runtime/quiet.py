"""Starts TensorFlow unnoticed in a host that has not imported it: neither log lines nor settings are left behind.

TensorFlow has no setting against the lines that it prints on file descriptor 2 when it is imported, when it looks for
devices and when it first compiles. Only during these moments descriptor 2 leads through a pipe. A thread passes on
what has not the form of TensorFlow's log, such as lines of the host's other threads, at once. A host that has imported
TensorFlow before keeps all of its output.
"""

import contextlib
import os
import re
import sys
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ..errors import BackendError, FitError
from . import compiled_code

# How lines of TensorFlow's log begin, digits as 0. Those of level F, before it aborts the process, are not hidden.
_LOG = (
    *(f"{level}0000 00:00:00".encode() for level in "IWE"),
    *(f"0000-00-00 00:00:00.000000: {level} ".encode() for level in "IWE"),
    b"WARNING: All log messages before absl::InitializeLog()",
    b"To enable the following instructions: ",
)
# Environment variables that importing TensorFlow, Keras and what they import set.
_VARIABLES = re.compile("TF_|TF2_|TPU_|KMP_|HDF5_PLUGIN_PATH$|ENABLE_RUNTIME_UPTIME_TELEMETRY$")
# A thread that holds the interpreter's lock must not wait for room in the pipe: the thread that empties it needs it.
_PIPE_BYTES = 1 << 20

_lock = threading.Lock()
_imported_here = False


@contextmanager
def importing() -> Iterator[None]:
    """A context in which TensorFlow is imported; the environment and the warnings' filters stay as they were."""
    global _imported_here
    # MS-SSIM imports TensorFlow alone, a fit Keras as well.
    if "tensorflow" in sys.modules and (not _imported_here or "keras" in sys.modules):
        yield
        return
    variables, filters = dict(os.environ), warnings.filters
    known = list(filters)
    try:
        with _hidden():
            yield
        _imported_here = True
    finally:
        _restore_environment(variables)
        if warnings.filters is filters:
            _restore_filters(known)


@contextmanager
def first_use(first: bool = True) -> Iterator[None]:
    """A context in which TensorFlow may use its devices or its compiler for the first time."""
    if first and _imported_here:
        with _hidden(), compiled_code.kept():
            yield
    else:
        yield


def _restore_environment(before: Mapping[str, str]) -> None:
    for name in set(os.environ) - set(before):
        if _VARIABLES.match(name):
            os.environ.pop(name, None)


def _restore_filters(before: list[Any]) -> None:
    filters: list[Any] = warnings.filters  # type: ignore[assignment]  # a list that the stubs call a sequence
    filters[:] = [entry for entry in filters if entry in before]
    with warnings.catch_warnings():
        pass  # tells the module that the filters have changed


@contextmanager
def _hidden() -> Iterator[None]:
    """Hold back TensorFlow's log; show it after an unexpected error."""
    pipe = _entered()
    try:
        yield
    except (KeyboardInterrupt, ImportError, BackendError, FitError):
        _left(pipe)
        raise
    except BaseException:
        _left(pipe)
        if pipe is not None:
            with contextlib.suppress(OSError):  # nobody reads any longer
                os.write(2, b"".join(pipe.held))
        raise
    else:
        _left(pipe)


class _Pipe:
    """Stands in for descriptor 2."""

    def __init__(self) -> None:
        self.users = 0
        self.held: list[bytes] = []
        self._original = os.dup(2)
        self._end, write = os.pipe()
        _enlarge(write)
        # A process that was started meanwhile keeps the pipe open: the thread serves it to its end.
        self._thread = threading.Thread(target=self._pass_on, daemon=True)
        self._thread.start()
        try:
            _flush()
            os.dup2(write, 2)
        finally:
            os.close(write)

    def close(self) -> None:
        """Give descriptor 2 back, and wait until everything that was written is passed on."""
        try:
            _flush()
        finally:
            self.give_back()
        self._thread.join(1.0)

    def give_back(self) -> None:
        """Let descriptor 2 lead where it led before."""
        os.dup2(self._original, 2)

    def _pass_on(self) -> None:
        rest = b""
        while data := os.read(self._end, 1 << 16):
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                self._line(line + b"\n")
            if not _may_be_log(rest):
                self._line(rest)
                rest = b""
        self._line(rest)
        os.close(self._end)
        os.close(self._original)

    def _line(self, line: bytes) -> None:
        if _is_log(line):
            self.held.append(line)
            return
        with contextlib.suppress(OSError):  # nobody reads any longer
            while line:
                line = line[os.write(self._original, line) :]


_pipe: _Pipe | None = None


def _entered() -> _Pipe | None:
    """The pipe, which all threads share; None where the process has no standard error."""
    global _pipe
    with _lock:
        if _pipe is None:
            try:
                _pipe = _Pipe()
            except OSError:
                return None
        _pipe.users += 1
        return _pipe


def _left(pipe: _Pipe | None) -> None:
    global _pipe
    if pipe is None:
        return
    with _lock:
        pipe.users -= 1
        if not pipe.users:
            if _pipe is pipe:
                _pipe = None
            pipe.close()


def _forget_pipe() -> None:
    """Give a forked process its standard error back: the thread that passes on what is written is its parent's."""
    global _lock, _pipe
    _lock = threading.Lock()
    if _pipe is not None:
        _pipe.give_back()
        _pipe = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pipe)


def _is_log(line: bytes) -> bool:
    return re.sub(rb"\d", b"0", line[:64]).startswith(_LOG)


def _may_be_log(line: bytes) -> bool:
    """Whether the beginning of a line is, or may become, that of a line of the log."""
    masked = re.sub(rb"\d", b"0", line[:64])
    return any(masked.startswith(start) or start.startswith(masked) for start in _LOG)


def _flush() -> None:
    with contextlib.suppress(Exception):  # a host may have put anything there, or nothing
        sys.stderr.flush()


def _enlarge(pipe: int) -> None:
    with contextlib.suppress(ImportError, AttributeError, OSError):  # Linux has a function for it
        import fcntl

        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
