"""How far a fit is when both a number of steps and a deadline may end it. Standard library only."""

import time


class Schedule:
    """Progress of a fit from 0 to 1: by steps, or by time at the speed so far, whichever ends sooner.

    Args:
        steps: optimizer steps of the whole fit, >= 1.
        deadline: reading of `time.perf_counter` at which the fit ends; None if only steps end it.
        untimed_steps: first steps that tell nothing about the speed, since they compile.
    """

    def __init__(self, steps: int, deadline: float | None, *, untimed_steps: int = 0) -> None:
        self.steps = steps
        self.deadline = deadline
        self.step = 0
        """Steps made."""
        self.progress = 0.0
        self._untimed_steps = untimed_steps
        self._started = time.perf_counter()

    @property
    def expected_steps(self) -> int:
        """Steps of the whole fit, as far as can be told now."""
        return self.step if self.progress >= 1.0 else max(self.step, round(self.step + self.remaining()))

    def remaining(self) -> float:
        """Steps left, at least 1."""
        by_count = float(max(self.steps - self.step, 1))
        timed = self.step - self._untimed_steps
        if self.deadline is None or timed <= 0:
            return by_count
        now = time.perf_counter()
        by_time = (self.deadline - now) * timed / max(now - self._started, 1e-6)
        return min(by_count, max(by_time, 1.0))

    def advance(self) -> None:
        """Count a step."""
        progress = self.progress + (1.0 - self.progress) / self.remaining()
        self.advance_to(1.0 if self.step + 1 >= self.steps else progress, 1)

    def advance_to(self, progress: float, count: int) -> None:
        """Count steps that took the fit to this progress."""
        self.progress = progress
        self.step += count
        if self.step == self._untimed_steps:
            self._started = time.perf_counter()
