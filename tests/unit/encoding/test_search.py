"""The search for a lambda, on trials that follow a formula."""

import math
import time
from dataclasses import dataclass, field, replace

import pytest

from pillow_inr.encoding.deadline import Deadline
from pillow_inr.encoding.search import FIT_SHARE, FITS, MORE_FITS, PROBE_SHARE, PROBES, Goal, search

BOUNDS = (1e-6, 1.0)


@dataclass(frozen=True)
class Trial:
    rd_lambda: float
    share: float
    bytes: float
    psnr_db: float


@dataclass
class Codec:
    """Bytes and PSNR fall with log(lambda); a short trial is off by some."""

    slope: float = -0.7
    short: float = 1.2
    most_db: float = 99.0
    trials: list[Trial] = field(default_factory=list)
    ends: list[float | None] = field(default_factory=list)

    def __call__(self, rd_lambda: float, share: float, deadline: Deadline) -> Trial:
        position = math.log(rd_lambda / 1e-3)
        bytes_ = 20_000 * math.exp(self.slope * position) * (1.0 if share == 1 else self.short)
        psnr_db = min(30 - 2.0 * position - (share < 1), self.most_db)
        self.trials.append(Trial(rd_lambda, share, bytes_, psnr_db))
        self.ends.append(deadline.at)
        return self.trials[-1]


def size_goal(budget: float) -> Goal[Trial]:
    return Goal(
        metric=lambda trial: math.log(trial.bytes),
        target=math.log(0.96 * budget),
        met=lambda trial: trial.bytes <= budget,
        tolerance=0.08,
        slope=-0.7,
        gain=-0.14,
        cost=lambda trial: trial.bytes if trial.bytes > budget else -trial.psnr_db,
    )


def psnr_goal(psnr_db: float) -> Goal[Trial]:
    return Goal(
        metric=lambda trial: trial.psnr_db,
        target=psnr_db + 0.15,
        met=lambda trial: trial.psnr_db >= psnr_db,
        tolerance=0.3,
        slope=-2.0,
        gain=1.5,
        cost=lambda trial: trial.bytes if trial.psnr_db >= psnr_db else -trial.psnr_db,
    )


@pytest.mark.parametrize("slope", [-0.4, -0.7, -1.2])
@pytest.mark.parametrize("budget", [4000, 15_000, 80_000])
def test_a_size_is_reached_and_not_exceeded(budget: float, slope: float) -> None:
    codec = Codec(slope)
    found = search(codec, size_goal(budget), 1e-3, BOUNDS, Deadline())
    assert 0.85 * budget < found.bytes <= budget
    assert sum(trial.share < 1 for trial in codec.trials) <= PROBES
    assert sum(trial.share == 1 for trial in codec.trials) <= FITS


@pytest.mark.parametrize("goal", [25.0, 30.0, 36.0])
def test_a_psnr_is_reached_by_the_smallest(goal: float) -> None:
    codec = Codec()
    found = search(codec, psnr_goal(goal), 1e-3, BOUNDS, Deadline())
    assert goal <= found.psnr_db < goal + 0.5
    assert found.bytes == min(trial.bytes for trial in codec.trials if trial.psnr_db >= goal)


def test_a_goal_out_of_reach_ends_with_the_best() -> None:
    codec = Codec(most_db=31.0)
    found = search(codec, psnr_goal(60), 1e-3, BOUNDS, Deadline())
    assert found.psnr_db == 31.0
    assert len(codec.trials) <= PROBES + FITS + MORE_FITS
    assert all(BOUNDS[0] <= trial.rd_lambda <= BOUNDS[1] for trial in codec.trials)


def test_a_good_guess_takes_one_probe_and_one_fit() -> None:
    codec = Codec(short=math.exp(0.14))
    search(codec, size_goal(20_000 / 0.96), 1e-3, BOUNDS, Deadline())
    assert [trial.share for trial in codec.trials] == [PROBE_SHARE, 1.0]


def test_no_probe_is_made_that_would_take_as_long_as_a_fit() -> None:
    codec = Codec()
    search(codec, replace(size_goal(20_800), gain=None), 1e-3, BOUNDS, Deadline())
    assert [trial.share for trial in codec.trials] == [1.0]


def test_trials_share_the_time_and_none_follows_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    codec = Codec(most_db=20.0)
    now = time.perf_counter()
    search(codec, psnr_goal(60), 1e-3, BOUNDS, Deadline(now + 100))
    ends = [end - now for end in codec.ends if end is not None]
    # The trials take no time here.
    shares = [PROBE_SHARE] * PROBES + [FIT_SHARE] * (FITS + MORE_FITS - 1) + [1.0]
    assert ends == pytest.approx([100 * share for share in shares][: len(ends)], abs=1)
    late = Codec(most_db=20.0)
    search(late, psnr_goal(60), 1e-3, BOUNDS, Deadline(now - 1))
    assert sum(trial.share == 1 for trial in late.trials) == 1


@dataclass
class Noisy(Codec):
    """Short trials tell next to nothing."""

    def __call__(self, rd_lambda: float, share: float, deadline: Deadline) -> Trial:
        trial = super().__call__(rd_lambda, share, deadline)
        if share < 1:
            self.trials[-1] = trial = Trial(rd_lambda, share, 2000.0, 19.0)
        return trial


def test_short_trials_that_mislead_do_little_harm() -> None:
    for budget in (4000, 15_000, 80_000):
        found = search(Noisy(slope=-0.5), size_goal(budget), 1e-3, BOUNDS, Deadline())
        assert 0.5 * budget < found.bytes <= budget
    for goal in (25.0, 30.0, 36.0):
        assert search(Noisy(), psnr_goal(goal), 1e-3, BOUNDS, Deadline()).psnr_db >= goal
