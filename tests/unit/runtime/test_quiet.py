"""What leaves a process through descriptor 2 while TensorFlow starts; lines of its log are written here by hand."""

import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pillow_inr.errors import FitError
from pillow_inr.runtime import quiet

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="descriptors are listed in /dev/fd")

LOG = [
    b"WARNING: All log messages before absl::InitializeLog() is called are written to STDERR\n",
    b"I0000 00:00:1795972786.438067   22981 port.cc:153] oneDNN custom operations are on.\n",
    b"E0000 00:00:1795972788.900099   22981 cuda_platform.cc:52] failed call to cuInit\n",
    b"2026-11-29 17:01:02.123456: I tensorflow/core/util/port.cc:113] oneDNN custom operations are on.\n",
    b"To enable the following instructions: AVX2 FMA, rebuild TensorFlow.\n",
]
FATAL = b"F0000 00:00:1795972788.900099   22981 x.cc:1] Check failed\n"
OTHERS = [
    b"line\n",
    b"\n",
    b"2026-11-29 17:01:02.123456 my log\n",
    b"In the end\n",
    b"W0000\n",
    FATAL,
    b"12",
    b"I00",
    b"\r5 %",
]


@pytest.fixture(autouse=True)
def started_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quiet, "_imported_here", True)


def written(work: Callable[[], object]) -> bytes:
    """What arrives where descriptor 2 leads, while some work is done."""
    kept = os.dup(2)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        try:
            work()
        finally:
            os.dup2(kept, 2)
            os.close(kept)
        file.seek(0)
        return file.read()


def descriptors() -> list[Path]:
    return sorted(Path("/dev/fd").iterdir())


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 8))), st.integers(1, 60))
def test_all_but_the_log_arrives_in_order_however_it_is_cut(lines: list[tuple[bool, int]], size: int) -> None:
    """A line without an end is followed by another's beginning, so that pieces of the log need lines of their own."""
    chosen = [(is_log, LOG[index % len(LOG)] if is_log else OTHERS[index]) for is_log, index in lines]
    text, expected = b"", b""
    for is_log, line in chosen:
        if is_log and text and not text.endswith(b"\n"):
            text, expected = text + b"\n", expected + b"\n"
        text += line
        expected += b"" if is_log else line

    def work() -> None:
        with quiet.first_use():
            for start in range(0, len(text), size):
                os.write(2, text[start : start + size])

    assert written(work) == expected


def test_a_line_is_passed_on_at_once() -> None:
    """Not at the end only: another thread may show how far it has come."""
    seen: list[bytes] = []
    read, write = os.pipe()

    def work() -> None:
        os.dup2(write, 2)
        with quiet.first_use():
            os.write(2, b"\r50 %")
            seen.append(os.read(read, 100))

    written(work)
    os.close(read)
    os.close(write)
    assert seen == [b"\r50 %"]


def test_what_was_held_back_is_shown_after_an_unexpected_error() -> None:
    def fails(error: Exception) -> None:
        with quiet.first_use():
            os.write(2, LOG[2] + b"mine\n")
            raise error

    def work(error: Exception) -> None:
        with pytest.raises(type(error)):
            fails(error)

    assert written(lambda: work(RuntimeError("internal"))) == b"mine\n" + LOG[2]
    assert written(lambda: work(FitError("diverged"))) == b"mine\n"


def test_nothing_is_left_open_and_threads_share_the_pipe() -> None:
    before = descriptors(), threading.active_count()
    barrier = threading.Barrier(4)

    def one() -> None:
        barrier.wait()
        for index in range(20):
            with quiet.first_use():
                os.write(2, LOG[0] + b"%d\n" % index)

    def work() -> None:
        threads = [threading.Thread(target=one) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert sorted(written(work).split()) == sorted(b"%d" % index for index in range(20) for _ in range(4))
    assert (descriptors(), threading.active_count()) == before


def test_a_process_started_meanwhile_keeps_its_voice() -> None:
    code = "import sys, time; time.sleep(0.5); sys.stderr.write('late\\n')"

    def work() -> None:
        with quiet.first_use():
            child = subprocess.Popen([sys.executable, "-S", "-c", code])
        child.wait()
        for thread in threading.enumerate():
            if thread is not threading.current_thread() and "_pass_on" in thread.name:
                thread.join()

    assert written(work) == b"late\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks")
def test_a_forked_process_has_its_own_standard_error() -> None:
    """Also if another thread held the lock, or descriptor 2 led through the pipe."""

    def fork() -> None:
        with quiet._hidden(), quiet._lock:
            child = os.fork()
            if not child:
                os.write(2, LOG[1])  # the parent would hide it
                with quiet._hidden():
                    os.write(2, b"child\n")
                os._exit(0)
            os.waitpid(child, 0)
        os.write(2, b"parent\n")

    assert written(fork) == LOG[1] + b"child\nparent\n"


def test_an_error_is_not_replaced_by_that_of_its_log() -> None:
    def broken() -> None:
        read, write = os.pipe()
        os.dup2(write, 2)
        os.close(write)
        os.close(read)
        with pytest.raises(RuntimeError, match="mine"), quiet._hidden():
            os.write(2, LOG[1])
            raise RuntimeError("mine")

    assert written(broken) == b""


def test_a_host_that_has_imported_tensorflow_keeps_its_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quiet, "_imported_here", False)
    monkeypatch.setitem(sys.modules, "tensorflow", sys)

    def work() -> None:
        with quiet.importing(), quiet.first_use():
            os.write(2, LOG[0])

    assert written(work) == LOG[0]


def test_a_process_without_standard_error_can_fit() -> None:
    kept = os.dup(2)
    os.close(2)
    try:
        with quiet.first_use():
            pass
    finally:
        os.dup2(kept, 2)
        os.close(kept)
