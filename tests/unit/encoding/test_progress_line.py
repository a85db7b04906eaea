"""The line about an encode, on a terminal and by a clock that stand where a test puts them."""

import io
import math
import os
import threading
from contextlib import suppress

import pytest

from pillow_inr.encoding import progress_line
from pillow_inr.encoding.progress_line import DELAY, EVERY, EVERY_LOGGED, Line
from tests.support.terminal import Clock, Terminal


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(progress_line, "time", made)
    monkeypatch.setenv("COLUMNS", "80")
    return made


class Pauses:
    """Stands in for the event that ends the thread: each pause lets its time go by; after a few the encode is over."""

    def __init__(self, clock: Clock, count: int) -> None:
        self.taken: list[float] = []
        self._clock = clock
        self._count = count

    def wait(self, seconds: float) -> bool:
        self.taken.append(seconds)
        self._clock.now += seconds
        return len(self.taken) > self._count


def quiet_line(terminal: io.StringIO, *, asked: bool = False, redraws: bool = True) -> Line:
    """A line whose thread draws nothing by itself."""
    line = Line(terminal, asked=asked, redraws=redraws)
    line._thread = threading.Thread(target=lambda: None)
    return line


def test_a_line_tells_what_a_fit_has_reported(clock: Clock) -> None:
    terminal = Terminal()
    line = Line(terminal, asked=False, redraws=True)
    clock.now += 4.0
    line.draw()
    assert terminal.lines == ["pillow_inr: preparing... 0:04"]
    line.begin_fit()
    clock.now += 1.0
    line(100, 1000, 20.0, 1.0)
    line.draw()
    assert terminal.lines == ["pillow_inr:  10% [##..................] 0:05, 20.00 dB, 1.000 bpp"]
    clock.now += 10.0
    line(350, 1000, 28.312, 0.3117)
    line.draw()
    assert terminal.lines == ["pillow_inr:  35% [#######.............] 0:15, 0:26 left, 28.31 dB, 0.312 bpp"]


def test_until_the_speed_is_known_the_time_left_is_what_was_expected(clock: Clock) -> None:
    terminal = Terminal()
    line = Line(terminal, asked=False, redraws=True)
    line.begin_fit(60.0)
    clock.now += 4.0
    line.draw()
    assert terminal.lines == ["pillow_inr: preparing... 0:04, 0:56 left"]
    line(0, 101, 30.0, 1.0)
    clock.now += 10.0
    line(1, 101, 30.0, 1.0)
    line.draw()
    assert terminal.lines == ["pillow_inr:   0% [....................] 0:14, 0:46 left, 30.00 dB, 1.000 bpp"]
    clock.now += 1.0
    line(3, 101, 30.0, 1.0)
    line.draw()
    assert "0:15, 0:49 left" in terminal.lines[0]


def test_seconds_left_go_by_between_reports(clock: Clock) -> None:
    terminal = Terminal()
    line = Line(terminal, asked=False, redraws=True)
    line.begin_fit()
    line(1, 41, 20.0, 1.0)
    clock.now += 10.0
    line(21, 41, 20.0, 1.0)
    for elapsed, left in ((0, 10), (4, 6), (9, 1), (30, 0)):
        clock.now = 110.0 + elapsed
        line.draw()
        assert f"0:{10 + elapsed}, 0:{left:02} left, " in terminal.lines[0]


def test_further_fits_are_counted_and_measured_anew(clock: Clock) -> None:
    terminal = Terminal()
    line = Line(terminal, asked=False, redraws=True)
    line.begin_fit()
    line(1, 60, 20.0, 1.0)
    clock.now += 50.0
    line(60, 60, 25.0, 0.5)
    line.draw()
    assert terminal.lines == ["pillow_inr: 100% [####################] 0:50, 25.00 dB, 0.500 bpp"]
    line.begin_fit()
    line.draw()
    assert terminal.lines == ["pillow_inr: fit 2, preparing... 0:50"]
    line(100, 600, 20.0, 1.0)
    clock.now += 1.0
    line(200, 600, 21.0, 1.0)
    line.draw()
    assert terminal.lines == ["pillow_inr: fit 2,  33% [#####...........] 0:51, 0:04 left, 21.00 dB, 1.000 bpp"]


def test_a_fit_that_begins_again_after_it_diverged_is_measured_anew(clock: Clock) -> None:
    terminal = Terminal()
    line = Line(terminal, asked=False, redraws=True)
    line.begin_fit()
    line(900, 1000, math.nan, 1.0)
    clock.now += 100.0
    line(1, 1000, math.inf, 1.0)
    line.draw()
    assert terminal.lines == ["pillow_inr:   0% [....................] 1:40, inf dB, 1.000 bpp"]
    clock.now += 1.0
    line(101, 1000, 20.0, 1.0)
    line.draw()
    assert "0:08 left" in terminal.lines[0]


@pytest.mark.parametrize("columns", [1, 2, 10, 30, 50, 60, 64, 70, 79, 80, 200])
def test_a_line_never_fills_the_terminal(columns: int, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    terminal = Terminal()
    line = Line(terminal, asked=False, redraws=True)
    for step in (0, 10, 20, 2000):
        if step:
            clock.now += 1000.0
            line(step, 2000, 28.31, 0.312)
        line.draw()
        (shown,) = terminal.lines
        assert len(shown) < max(columns, 2)
        assert not step or columns < 60 or "0.312 bpp" in shown
        assert not step or columns < 70 or "[" in shown
    assert all(len(part) < max(columns, 2) for part in terminal.getvalue().split("\r"))


def test_a_shorter_text_covers_a_longer_one(clock: Clock) -> None:
    terminal = Terminal()
    line = Line(terminal, asked=False, redraws=True)
    line.begin_fit()
    line(10, 2000, 28.31, 0.312)
    line.draw()
    line.begin_fit()
    line.draw()
    assert terminal.lines == ["pillow_inr: fit 2, preparing... 0:00"]


def test_what_stands_there_is_not_drawn_again(clock: Clock) -> None:
    terminal = Terminal()
    line = Line(terminal, asked=False, redraws=True)
    line.draw()
    before = terminal.getvalue()
    clock.now += 0.5
    line.draw()
    assert terminal.getvalue() == before


@pytest.mark.parametrize(
    ("asked", "redraws", "pauses"),
    [
        (False, True, [DELAY, EVERY, EVERY]),
        (True, True, [0.0, EVERY, EVERY]),
        (True, False, [0.0, EVERY_LOGGED, EVERY_LOGGED]),
    ],
)
def test_the_thread_begins_late_unless_asked_and_draws_often(
    asked: bool, redraws: bool, pauses: list[float], clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = Line(Terminal(), asked=asked, redraws=redraws)
    ended = Pauses(clock, 2)
    drawn: list[float] = []
    monkeypatch.setattr(line, "_ended", ended)
    monkeypatch.setattr(line, "draw", lambda: drawn.append(clock.now))
    line._draw_often()
    assert ended.taken == pauses
    assert drawn == [100.0 + pauses[0], 100.0 + pauses[0] + pauses[1]]


def test_a_short_encode_draws_nothing(clock: Clock) -> None:
    terminal = Terminal()
    with Line(terminal, asked=False, redraws=True) as line:
        line.begin_fit()
        line(10, 10, 20.0, 1.0)
        thread = line._thread
    assert terminal.getvalue() == ""
    assert not thread.is_alive()


@pytest.mark.parametrize("ending", [None, ValueError(), KeyboardInterrupt(), SystemExit()], ids=repr)
@pytest.mark.parametrize("asked", [False, True])
def test_the_end_clears_a_line_or_ends_it(asked: bool, ending: BaseException | None, clock: Clock) -> None:
    terminal = Terminal()
    with suppress(BaseException), quiet_line(terminal, asked=asked) as line:
        line.begin_fit()
        line(5, 10, 20.0, 1.0)
        line.draw()
        clock.now += 2.0
        if ending is not None:
            raise ending
    last = "pillow_inr:  50% [##########..........] 0:02, 20.00 dB, 1.000 bpp"
    assert terminal.lines == ([last, ""] if asked else [""])
    assert not line._thread.is_alive()


def test_a_line_that_was_asked_for_is_cleared_if_there_was_no_fit(clock: Clock) -> None:
    terminal = Terminal()
    with quiet_line(terminal, asked=True) as line:
        line.draw()
    assert terminal.lines == [""]


def test_a_file_gets_lines(clock: Clock) -> None:
    file = io.StringIO()
    with quiet_line(file, asked=True, redraws=False) as line:
        line.draw()
        clock.now += 10.0
        line.begin_fit()
        line(1, 3, 20.0, 1.0)
        line.draw()
        clock.now += 10.0
        line(3, 3, 25.0, 0.5)
    assert file.getvalue() == (
        "pillow_inr: preparing... 0:00\n"
        "pillow_inr:  33% [######..............] 0:10, 20.00 dB, 1.000 bpp\n"
        "pillow_inr: 100% [####################] 0:20, 25.00 dB, 0.500 bpp\n"
    )


def test_a_stream_that_fails_stops_nobody(clock: Clock) -> None:
    terminal = Terminal()
    with quiet_line(terminal, asked=True) as line:
        line(1, 3, 20.0, 1.0)
        terminal.close()
        line.draw()


def test_the_terminal_itself_knows_its_width(clock: Clock) -> None:
    termios = pytest.importorskip("termios")
    outside, inside = os.openpty()
    try:
        with os.fdopen(inside, "w") as terminal:
            for columns, expected in ((33, 33), (0, 80)):  # 0: it does not know
                termios.tcsetwinsize(inside, (24, columns))
                assert progress_line._columns(terminal) == expected
    finally:
        os.close(outside)
