"""The line that tells how far an encode has come: what it says, and the thread that draws it.

Knows neither options nor models. Who sees a line is decided in `progress`.
"""

import contextlib
import os
import shutil
import threading
import time
from dataclasses import dataclass, replace
from typing import Self, TextIO

# Seconds before a line appears that nobody asked for. With fewer, quick fits flicker; more look like a program that
# hangs.
DELAY = 3.0
# Seconds between two drawings: as often as fits report.
EVERY = 0.2
# The same where a drawing is a new line, as in a log file.
EVERY_LOGGED = 10.0
# Characters of the bar at most, and at least: with fewer it is left out.
BAR_WIDTHS = (20, 5)


@dataclass(frozen=True)
class _Reading:
    """What a fit has reported, and when."""

    step: int
    steps: int
    psnr_db: float
    bits_per_pixel: float
    at: float
    """Reading of `time.perf_counter`."""


@dataclass(frozen=True)
class _Fit:
    """What is known of the fit that runs. Replaced as a whole, since another thread draws it."""

    number: int = 0
    """Which of the encode's fits it is, from 1; 0 before the first."""
    ends: float | None = None
    """Reading of `time.perf_counter` when the fit was expected to end before it began."""
    first: _Reading | None = None
    """From here on the speed is measured: what came before has also compiled."""
    last: _Reading | None = None

    def reported(self, reading: _Reading) -> "_Fit":
        """The fit after one more reading; one that goes back, after a fit has diverged, starts the measurement anew.

        So does one after step 0, which tells what is known without an optimizer step.
        """
        goes_on = self.last is not None and reading.step >= self.last.step > 0
        return replace(self, first=self.first if goes_on else reading, last=reading)

    def seconds_left(self, now: float) -> float | None:
        """Seconds to the end of the fit at the speed so far; before that is known, as it was expected.

        Returns:
            None if nothing is known or the end is reached.
        """
        first, last = self.first, self.last
        if first is None or last is None or last.step <= first.step:
            return None if self.ends is None or (last and last.step >= last.steps) else max(0.0, self.ends - now)
        if last.step >= last.steps:
            return None
        speed = (last.step - first.step) / max(last.at - first.at, 1e-6)
        return max(0.0, (last.steps - last.step) / speed - (now - last.at))


class Line:
    """A line about an encode, a callback for its fits, and the context in which a thread of its own draws it.

    At the end of the context the thread has ended. The line stays, with a line break, if it was asked for and a fit
    has reported; otherwise it is cleared.
    """

    def __init__(self, stream: TextIO, *, asked: bool, redraws: bool) -> None:
        """Begin now; nothing is drawn before the context is entered.

        Args:
            stream: where to draw.
            asked: whether to draw from the start and leave the last line, instead of after `DELAY` and none.
            redraws: whether a carriage return begins the line anew, as on a terminal; otherwise each drawing is a line.
        """
        self._stream = stream
        self._asked = asked
        self._redraws = redraws
        self._started = time.perf_counter()
        self._fit = _Fit()
        self._text = ""
        """What stands there now."""
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._draw_often, name="pillow_inr progress", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        if self._asked and self._fit.last is not None:
            self.draw()
            if self._redraws:
                self._write("\n")
        elif self._redraws and self._text:
            self._write("\r" + " " * len(self._text) + "\r")

    def begin_fit(self, expected_seconds: float | None = None) -> None:
        """Note that a fit begins, and how long it is expected to take; an encode may make several."""
        ends = None if expected_seconds is None else time.perf_counter() + expected_seconds
        self._fit = _Fit(self._fit.number + 1, ends)

    def __call__(self, step: int, steps: int, psnr_db: float, bits_per_pixel: float) -> None:
        """Note what a fit reports."""
        self._fit = self._fit.reported(_Reading(step, steps, psnr_db, bits_per_pixel, time.perf_counter()))

    def draw(self) -> None:
        """Draw the line as it is now, unless that is what stands there."""
        room = max(1, _columns(self._stream) - 1)  # in the last column some terminals begin a new line
        text = _described(self._fit, self._started, time.perf_counter(), room)
        if text != self._text:
            self._write("\r" + text.ljust(min(len(self._text), room)) if self._redraws else text + "\n")
            self._text = text

    def _draw_often(self) -> None:
        pause = 0.0 if self._asked else DELAY
        while not self._ended.wait(pause):
            self.draw()
            pause = EVERY if self._redraws else EVERY_LOGGED

    def _write(self, text: str) -> None:
        with contextlib.suppress(Exception):  # a host may have put anything there; no save fails for a line
            self._stream.write(text)
            self._stream.flush()


def _described(fit: _Fit, started: float, now: float, room: int) -> str:
    """What the line says, in at most `room` characters; ASCII alone, which every terminal has, each one column wide."""
    head = "pillow_inr:" if fit.number < 2 else f"pillow_inr: fit {fit.number},"
    elapsed = _duration(now - started)
    seconds_left = fit.seconds_left(now)
    left = "" if seconds_left is None else f", {_duration(seconds_left)} left"
    if fit.last is None:
        return f"{head} preparing... {elapsed}{left}"[:room]
    share = min(1.0, fit.last.step / max(fit.last.steps, 1))
    before = f"{head} {int(100 * share):3d}%"
    after = f"{elapsed}{left}, {fit.last.psnr_db:.2f} dB, {fit.last.bits_per_pixel:.3f} bpp"
    bar = _bar(share, room - len(before) - len(after) - len("[]  "))
    return " ".join(filter(None, (before, bar, after)))[:room]


def _bar(share: float, width: int) -> str:
    most, least = BAR_WIDTHS
    width = min(width, most)
    return f"[{'#' * int(width * share):.<{width}}]" if width >= least else ""


def _duration(seconds: float) -> str:
    """Minutes and seconds, and hours if there are any.

    >>> print(_duration(7.9), _duration(125), _duration(3600))
    0:07 2:05 1:00:00
    """
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _columns(stream: TextIO) -> int:
    """Width of the terminal behind a stream; that of standard output, or 80, if this is none."""
    # While TensorFlow starts, standard error is a pipe (`runtime/quiet.py`), and a notebook's stream is no file.
    with contextlib.suppress(OSError, ValueError, AttributeError):
        if columns := os.get_terminal_size(stream.fileno()).columns:  # 0 if the terminal does not know
            return columns
    return shutil.get_terminal_size().columns
