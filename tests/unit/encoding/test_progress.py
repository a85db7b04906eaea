"""Who sees a line about an encode: by the option `progress`, standard error and the kind of process."""

import io
import multiprocessing.process
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from pillow_inr import codec
from pillow_inr.batch import worker
from pillow_inr.encoding import progress
from pillow_inr.encoding.progress_line import Line
from pillow_inr.encoding.source_image import Encoded
from pillow_inr.models import reader
from pillow_inr.models.base import EncodeJob
from pillow_inr.models.selection import encode_single_colour
from pillow_inr.options import EncodeOptions
from tests.support.checks import QUICK
from tests.support.terminal import Terminal


class ZMQInteractiveShell:
    """Stands in for IPython's."""


class ColabShell(ZMQInteractiveShell):
    """Stands in for that of a kernel of another make."""


class TerminalInteractiveShell:
    """Stands in for that of the command `ipython`."""


def set_stderr(stream: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the module another standard error; the process's own is pytest's."""
    monkeypatch.setattr(progress, "sys", SimpleNamespace(stderr=stream, modules=sys.modules))


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    made = Terminal()
    set_stderr(made, monkeypatch)
    return made


def handed_on(option: Any) -> Any:
    """What encoders get of an option."""
    with progress.shown(EncodeOptions(progress=option)) as options:
        return options.progress


@pytest.mark.parametrize(("option", "asked"), [(None, False), (True, True)])
def test_a_terminal_gets_a_line(option: Any, asked: bool, terminal: Terminal) -> None:
    line = handed_on(option)
    assert isinstance(line, Line)
    assert (line._asked, line._redraws, line._stream) == (asked, True, terminal)
    assert not line._thread.is_alive()


def test_other_options_stay(terminal: Terminal) -> None:
    given = EncodeOptions(width=9, seed=3)
    with progress.shown(given) as options:
        assert replace(options, progress=None) == given


def test_false_and_callables_are_handed_on(terminal: Terminal) -> None:
    def callback(*_: object) -> None:
        pass

    assert handed_on(False) is False
    assert handed_on(callback) is callback
    assert terminal.getvalue() == ""


def closed() -> io.StringIO:
    made = io.StringIO()
    made.close()
    return made


@pytest.mark.parametrize("stream", [None, io.StringIO(), object(), closed()], ids=["none", "file", "odd", "closed"])
def test_without_a_terminal_there_is_no_line_unless_asked(stream: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    set_stderr(stream, monkeypatch)
    assert handed_on(None) is False
    line = handed_on(True)
    assert line is False if stream is None else not line._redraws


@pytest.mark.parametrize(
    ("shell", "is_notebook"),
    [(ZMQInteractiveShell(), True), (ColabShell(), True), (TerminalInteractiveShell(), False), (None, False)],
)
def test_notebooks_get_a_line(shell: Any, is_notebook: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    set_stderr(io.StringIO(), monkeypatch)
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))  # type: ignore[arg-type]
    assert isinstance(handed_on(None), Line) == is_notebook


def test_the_window_of_idle_is_no_terminal(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "idlelib", SimpleNamespace())  # type: ignore[arg-type]
    assert handed_on(None) is False


def test_processes_of_multiprocessing_show_none_unless_asked(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(multiprocessing.process, "parent_process", lambda: object())
    assert handed_on(None) is False
    assert isinstance(handed_on(True), Line)


def test_of_two_encodes_the_first_shows_a_line(terminal: Terminal) -> None:
    first, second = threading.Barrier(2), threading.Barrier(2)

    def encode(number: int) -> bool:
        if number:
            first.wait(10)
        with progress.shown(EncodeOptions()) as options:
            if not number:
                first.wait(10)
            second.wait(10)
            return isinstance(options.progress, Line)

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(encode, range(2))) == [True, False]
    assert isinstance(handed_on(None), Line)


def test_an_error_makes_room_for_the_next_line(terminal: Terminal) -> None:
    with pytest.raises(KeyboardInterrupt), progress.shown(EncodeOptions()):
        raise KeyboardInterrupt
    assert isinstance(handed_on(None), Line)


def test_a_fit_tells_the_line_that_it_begins(terminal: Terminal) -> None:
    line = Line(terminal, asked=False, redraws=True)
    assert progress.begun(line) is line
    assert line._fit.number == 1
    assert [progress.begun(option) for option in (None, True, False, print)] == [None, None, None, print]


@pytest.mark.parametrize("option", [None, True])
def test_an_encode_has_one_line_for_all_its_fits(
    option: Any, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")

    def encode(job: EncodeJob) -> Encoded:
        for psnr_db in (20.0, 30.0):
            report = progress.begun(job.options.progress)
            assert report is not None
            report(2, 2, psnr_db, 1.5)
        return encode_single_colour(job.source)

    monkeypatch.setattr(reader, "encoder", lambda name: encode)
    Image.new("L", (4, 4)).save(io.BytesIO(), "INR", progress=option)
    assert terminal.lines[0].startswith("pillow_inr: fit 2, 100% [###" if option else "")
    assert len(terminal.lines) == (2 if option else 1)


def test_a_worker_of_a_batch_shows_none(terminal: Terminal, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    seen: list[EncodeOptions] = []

    def encode_source(source: Any, options: EncodeOptions) -> Encoded:
        seen.append(options)
        return encode_single_colour(source)

    monkeypatch.setattr(codec, "encode_source", encode_source)
    Image.new("L", (4, 4), 7).save(tmp_path / "a.png")
    record = worker._done(worker.Task(str(tmp_path / "a.png"), str(tmp_path / "a.inr"), "a.inr"))
    assert record.done
    assert [options.progress for options in seen] == [False]


@pytest.mark.keras
def test_a_save_prints_nothing_where_there_is_no_terminal(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pillow_inr.encoding.progress_line.DELAY", 0.0)
    file = io.BytesIO()
    Image.linear_gradient("L").resize((12, 9)).save(file, "INR", **QUICK)
    assert file.getvalue()
    assert "pillow_inr" not in "".join(capfd.readouterr())
