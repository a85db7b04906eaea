"""Positions of a fit by number of steps and by a clock that stands where a test puts it."""

import time
from itertools import product

import pytest

from pillow_inr.encoding import schedule
from pillow_inr.encoding.schedule import CallSchedule, StepSchedule


class Clock:
    """Stands in for `time`: seconds go by only when told."""

    def __init__(self) -> None:
        self.now = 100.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(schedule, "time", made)
    return made


def test_single_steps_are_evenly_spaced() -> None:
    steps = StepSchedule(4, None)
    positions = []
    while steps.position < 1:
        assert steps.expected_steps == 4
        steps.advance()
        positions.append(steps.position)
    assert positions == pytest.approx([0.25, 0.5, 0.75, 1.0])
    assert steps.step == steps.expected_steps == 4


def test_one_step_is_a_whole_fit() -> None:
    steps = StepSchedule(1, None)
    steps.advance()
    assert (steps.position, steps.step) == (1.0, 1)


def test_the_first_single_step_does_not_count_for_the_speed(clock: Clock) -> None:
    steps = StepSchedule(1000, clock.now + 60)
    clock.now += 50  # compiling
    steps.advance()
    for _ in range(4):
        clock.now += 1
        steps.advance()
    # Six seconds are left, at one step a second.
    assert steps.expected_steps == 5 + 6


def test_a_deadline_ends_single_steps(clock: Clock) -> None:
    steps = StepSchedule(10**6, clock.now + 20)
    while steps.position < 1:
        clock.now += 1
        steps.advance()
    assert steps.step == pytest.approx(20, abs=2)


def test_a_deadline_in_the_past_ends_a_fit_as_soon_as_a_step_was_timed(clock: Clock) -> None:
    steps = StepSchedule(10**6, clock.now - 1)
    while steps.position < 1:
        steps.advance()
    assert steps.step == 3


def test_calls_end_with_phases() -> None:
    calls = CallSchedule(100, 30, None)
    made = []
    while calls.position < 1:
        count, position = calls.next_call(0.05 if calls.position < 0.05 else 1.0)
        calls.advance(count, position)
        made.append((count, round(position, 6)))
    assert made == [(5, 0.05), (30, 0.35), (30, 0.65), (30, 0.95), (5, 1.0)]
    assert calls.expected_steps == calls.step == 100


def test_calls_grow_fewer_before_a_deadline(clock: Clock) -> None:
    calls = CallSchedule(10**6, 10, clock.now + 5)
    while calls.position < 1:
        count, position = calls.next_call(1.0)
        clock.now += 0.1 * count
        calls.advance(count, position)
    assert calls.step == pytest.approx(50, abs=10)


def test_every_phase_has_a_step() -> None:
    calls = CallSchedule(1, 50, None)
    assert calls.next_call(0.05) == (1, 0.05)
    calls.advance(1, 0.05)
    assert calls.next_call(1.0) == (1, 1.0)


def test_calls_meet_the_ends_of_phases_and_of_the_schedule() -> None:
    for steps, deadline in product((1, 2, 3, 7, 10, 19, 130), (None, time.perf_counter() + 1e6)):
        schedule = CallSchedule(steps, 50, deadline)
        made = 0
        for phase_end in (0.05, 1.0):
            while schedule.position < phase_end:
                count, last = schedule.next_call(phase_end)
                schedule.advance(count, last)
                made += count
            assert schedule.position == phase_end
        assert schedule.step == made == max(steps, 2)
