"""How far a fit has come, when both a number of optimizer steps and a deadline may end it.

Learning rates and phases follow the position, 0..1, not the step: so a fit that a deadline cuts short runs through all
of its phases, only faster. Knows no model.
"""

import time


class Schedule:
    """Position of a fit, 0 at its beginning and 1 at its end."""

    def __init__(self, steps: int, deadline: float | None) -> None:
        """Begin now.

        Args:
            steps: optimizer steps, >= 1; fewer when the deadline comes first, but at least one.
            deadline: reading of `time.perf_counter` at which the fit should end; None for no limit.
        """
        self.steps = steps
        self.deadline = deadline
        self.step = 0
        self.position = 0.0
        self.restart_clock()

    def restart_clock(self) -> None:
        """Estimate the speed from the optimizer steps after this call alone: those before it have also compiled."""
        self._started = time.perf_counter()
        self._untimed = self.step

    @property
    def expected_steps(self) -> int:
        """Optimizer steps of the whole fit, as far as can be told now."""
        return self.step if self.position >= 1.0 else max(self.step, round(self.step + self._left()))

    def _left(self) -> float:
        """Optimizer steps left, at least 1: by their number or, at the speed so far, until the deadline."""
        by_number = float(max(self.steps - self.step, 1))
        timed = self.step - self._untimed
        if self.deadline is None or not timed:
            return by_number
        now = time.perf_counter()
        by_time = (self.deadline - now) * timed / max(now - self._started, 1e-6)
        return min(by_number, max(by_time, 1.0))


class StepSchedule(Schedule):
    """A schedule that advances by single optimizer steps, of which the first also compiles."""

    def advance(self) -> None:
        """Count an optimizer step."""
        self.position += (1.0 - self.position) / self._left()
        self.step += 1
        if self.step == 1:
            self.restart_clock()
        if self.step >= self.steps:
            self.position = 1.0


class CallSchedule(Schedule):
    """A schedule that advances by calls, each of several optimizer steps; no call extends beyond a phase."""

    def __init__(self, steps: int, call_steps: int, deadline: float | None) -> None:
        """Begin now.

        Args:
            call_steps: optimizer steps that one call makes at most.
        """
        super().__init__(steps, deadline)
        self.call_steps = call_steps

    def next_call(self, phase_end: float) -> tuple[int, float]:
        """Optimizer steps of the next call, and the position at its end.

        Args:
            phase_end: position at which the present phase ends, 0..1.
        """
        left = self._left()
        in_phase = max(1, round(left * (phase_end - self.position) / (1.0 - self.position)))
        count = min(self.call_steps, in_phase)
        return count, phase_end if count == in_phase else self.position + (1.0 - self.position) * count / left

    def advance(self, count: int, position: float) -> None:
        """Count the optimizer steps of a call that ended at a position."""
        self.step += count
        self.position = position
