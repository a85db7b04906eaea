import math
from itertools import pairwise

import numpy as np
import pytest

from pillow_inr.config import EFFORT_STEPS, QUALITY_WIDTHS, EncodeOptions, make_plan

KODAK = (768, 512)


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [("width", 1, 1024), ("depth", 1, 15), ("quality", 1, 100), ("effort", 0, 9), ("seed", 0, 2**31 - 1)],
)
def test_integer_ranges_at_both_ends(name: str, low: int, high: int) -> None:
    for value in (low, high, np.int64(high)):
        assert getattr(EncodeOptions(**{name: value}), name) == value
    assert type(getattr(EncodeOptions(**{name: np.int64(high)}), name)) is int
    for value in (low - 1, high + 1):
        with pytest.raises(ValueError, match=rf"{name} must be in {low}\.\.{high}, got {value}"):
            EncodeOptions(**{name: value})
    for nonsense in ("a", 1.5, True, b"1", [1]):
        with pytest.raises(ValueError, match=f"{name} must be an integer"):
            EncodeOptions(**{name: nonsense})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("steps", 0),
        ("time_limit", 0),
        ("time_limit", -1.0),
        ("time_limit", math.inf),
        ("time_limit", math.nan),
        ("time_limit", "10"),
        ("time_limit", True),
        ("encoding", "hash"),
        ("device", ""),
        ("device", 0),
        ("progress", "yes"),
    ],
)
def test_other_nonsense_is_named(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=name):
        EncodeOptions(**{name: value})


def test_foreign_keywords_are_left_alone() -> None:
    options = EncodeOptions.from_keywords({"width": 9, "dpi": (100, 100), "depth": None, "exif": b""})
    assert options == EncodeOptions(width=9)


def test_unknown_options_are_refused_where_they_are_ours() -> None:
    with pytest.raises(TypeError, match="widht"):
        EncodeOptions(widht=48)  # type: ignore[call-arg]


def test_given_shape_is_taken_exactly() -> None:
    plan = make_plan(EncodeOptions(width=64, depth=5, effort=0), KODAK, 3)
    assert (plan.width, plan.depth, plan.steps) == (64, 5, EFFORT_STEPS[0])
    assert make_plan(EncodeOptions(steps=7), KODAK, 3).steps == 7


def test_kodak_gets_the_published_frequencies() -> None:
    plan = make_plan(EncodeOptions(), KODAK, 3)
    assert (plan.frequencies, plan.growth) == (16, 140)
    plain = make_plan(EncodeOptions(encoding="none"), KODAK, 3)
    assert (plain.frequencies, plain.growth) == (0, 100)


def test_highest_frequency_follows_the_resolution() -> None:
    for longer in (1, 3, 32, 500, 4000):
        plan = make_plan(EncodeOptions(), (longer, 1), 3)
        periods = (plan.growth / 100) ** (plan.frequencies - 1)
        # Rounding the ratio to hundredths moves the highest frequency by at most 8 %.
        assert periods == pytest.approx(max(1.0, 0.2 * longer), rel=0.08)
    assert make_plan(EncodeOptions(), (10**6, 1), 3).growth == make_plan(EncodeOptions(), (10**5, 1), 3).growth


def test_quality_is_monotone_and_bounded() -> None:
    for size in ((1, 1), (16, 16), KODAK, (8000, 6000)):
        plans = [make_plan(EncodeOptions(quality=quality), size, 3) for quality in range(1, 101)]
        widths = [plan.width for plan in plans]
        assert widths == sorted(widths)
        assert QUALITY_WIDTHS[0] <= widths[0] <= widths[-1] <= QUALITY_WIDTHS[1]
        weights = [plan.rate_weight for plan in plans]
        assert all(finer <= coarser * (1 + 1e-9) for coarser, finer in pairwise(weights))
