import math
from itertools import combinations, pairwise

import numpy as np
import pytest

from pillow_inr.architecture import Architecture
from pillow_inr.config import (
    DEFAULT_DEPTH,
    EFFORT_SECONDS,
    FREQUENCIES,
    FREQUENCY_SIDE_MAX,
    FULL_BATCH,
    HIGHEST_FREQUENCY,
    QUALITY_WIDTHS,
    RATE_WEIGHT,
    STEPS_PER_SECOND_MAX,
    TARGET_WIDTHS,
    WEIGHTS_PER_PIXEL,
    EncodeOptions,
    make_plan,
    plan_for_weights,
)
from pillow_inr.initialization import Initialization

KODAK = (768, 512)


def _initialization() -> Initialization:
    architecture = Architecture(width=4, depth=1, channels=3, frequencies=1, growth=100)
    return Initialization(architecture, tuple(np.zeros(shape, np.float32) for shape in architecture.shapes))


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("width", 1, 1024),
        ("depth", 1, 15),
        ("quality", 1, 100),
        ("target_bytes", 1, 2**31 - 1),
        ("effort", 0, 9),
        ("seed", 0, 2**31 - 1),
    ],
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
        ("bpp", 0),
        ("bpp", -0.5),
        ("bpp", math.inf),
        ("bpp", "1"),
        ("psnr", 0.0),
        ("psnr", math.nan),
        ("psnr", True),
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


@pytest.mark.parametrize("value", [0.01, 1, 30.0, np.float32(0.5), np.int64(2)])
def test_positive_numbers_of_all_kinds_are_welcome(value: float) -> None:
    assert EncodeOptions(bpp=value).bpp == EncodeOptions(psnr=value).psnr == value


GOALS = {"quality": 50, "target_bytes": 1000, "bpp": 0.5, "psnr": 30.0}


@pytest.mark.parametrize(("one", "other"), list(combinations(GOALS, 2)))
def test_goals_exclude_each_other(one: str, other: str) -> None:
    with pytest.raises(ValueError, match=f"{one} and {other} exclude each other: give one of them"):
        EncodeOptions(**{one: GOALS[one], other: GOALS[other]})


def test_all_goals_given_are_named() -> None:
    with pytest.raises(ValueError, match="quality and target_bytes and bpp and psnr exclude"):
        EncodeOptions(**GOALS)


def test_a_psnr_chooses_the_width_itself() -> None:
    for fixed in ({"width": 48}, {"init": _initialization()}):
        with pytest.raises(ValueError, match="psnr chooses the width itself"):
            EncodeOptions(psnr=30, **fixed)
    assert EncodeOptions(psnr=30, depth=3, steps=10, encoding="none").depth == 3


def test_given_shape_is_taken_exactly() -> None:
    plan = make_plan(EncodeOptions(width=64, depth=5), KODAK, 3)
    assert (plan.width, plan.depth) == (64, 5)
    plan = make_plan(EncodeOptions(width=300, target_bytes=100), KODAK, 3)
    assert (plan.width, plan.depth, plan.budget_bytes) == (300, DEFAULT_DEPTH, 100)
    assert make_plan(EncodeOptions(steps=7), KODAK, 3).steps == 7


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("options", [{}, {"width": 5, "depth": 1}, {"encoding": "none"}, {"target_bytes": 300}])
def test_weights_are_counted_as_the_architecture_does(channels: int, options: dict) -> None:
    plan = make_plan(EncodeOptions(**options), KODAK, channels)
    architecture = Architecture(
        width=plan.width, depth=plan.depth, channels=channels, frequencies=plan.frequencies, growth=plan.growth
    )
    # A plan's count is approximate: it leaves out the output layer's biases.
    assert plan.weights == architecture.weight_count - channels


def test_kodak_gets_twelve_frequencies() -> None:
    plan = make_plan(EncodeOptions(), KODAK, 3)
    assert (plan.frequencies, plan.growth) == (12, 155)
    plain = make_plan(EncodeOptions(encoding="none"), KODAK, 3)
    assert (plain.frequencies, plain.growth) == (0, 100)


def test_highest_frequency_follows_the_resolution() -> None:
    for longer in (1, 3, 32, 500, 4000):
        plan = make_plan(EncodeOptions(), (longer, 1), 3)
        periods = (plan.growth / 100) ** (plan.frequencies - 1)
        # Rounding the ratio to hundredths moves the highest frequency by at most 6 %.
        assert plan.frequencies == FREQUENCIES
        assert periods == pytest.approx(max(1.0, HIGHEST_FREQUENCY * longer), rel=0.06)
        assert make_plan(EncodeOptions(), (1, longer), 3).growth == plan.growth
    growths = [make_plan(EncodeOptions(), (longer, 1), 3).growth for longer in range(1, FREQUENCY_SIDE_MAX, 50)]
    assert growths == sorted(growths)
    assert growths[0] == 100
    assert make_plan(EncodeOptions(), (10**6, 1), 3).growth == make_plan(EncodeOptions(), (4096, 1), 3).growth


@pytest.mark.parametrize("fixed", [{}, {"width": 64}, {"depth": 2}, {"encoding": "none"}])
@pytest.mark.parametrize("size", [(1, 1), (16, 16), (64, 64), (160, 160), KODAK, (8000, 6000)])
def test_quality_is_monotone_and_bounded(size: tuple[int, int], fixed: dict) -> None:
    plans = [make_plan(EncodeOptions(quality=quality, **fixed), size, 3) for quality in range(1, 101)]
    widths = [plan.width for plan in plans]
    assert widths == sorted(widths)
    assert QUALITY_WIDTHS[0] <= widths[0] <= widths[-1] <= QUALITY_WIDTHS[1]
    weights = [plan.rate_weight for plan in plans]
    assert all(finer < coarser for coarser, finer in pairwise(weights))


def test_quality_50_is_the_default() -> None:
    assert make_plan(EncodeOptions(), KODAK, 3) == make_plan(EncodeOptions(quality=50), KODAK, 3)
    plan = make_plan(EncodeOptions(), KODAK, 3)
    assert plan.rate_weight == pytest.approx(RATE_WEIGHT, rel=0.05)
    assert plan.weights == pytest.approx(WEIGHTS_PER_PIXEL * math.prod(KODAK), rel=0.05)


def test_bits_cost_less_where_a_network_is_larger_than_the_image_asks_for() -> None:
    weights = [make_plan(EncodeOptions(width=width), KODAK, 3).rate_weight for width in (48, 64, 96, 128)]
    assert weights == sorted(weights, reverse=True)
    icons = [make_plan(EncodeOptions(), (side, side), 3).rate_weight for side in (1, 8, 32, 64, 200)]
    assert icons == sorted(icons)


@pytest.mark.parametrize("size", [(1, 1), (64, 64), KODAK])
def test_budgets_are_monotone_and_bounded(size: tuple[int, int]) -> None:
    budgets = [round(10 * 1.2**power) for power in range(70)]
    plans = [make_plan(EncodeOptions(target_bytes=budget), size, 3) for budget in budgets]
    assert [plan.budget_bytes for plan in plans] == budgets
    widths = [plan.width for plan in plans]
    assert widths == sorted(widths)
    assert (widths[0], widths[-1]) == TARGET_WIDTHS


def test_bits_per_pixel_become_bytes() -> None:
    for bpp, size, expected in ((1, (8, 8), 8), (0.25, KODAK, 12288), (1.5, (3, 3), 1), (1e-9, (8, 8), 1)):
        by_rate = make_plan(EncodeOptions(bpp=bpp), size, 3)
        assert by_rate.budget_bytes == expected
        assert by_rate == make_plan(EncodeOptions(target_bytes=expected), size, 3)
    assert make_plan(EncodeOptions(), KODAK, 3).budget_bytes is None
    assert make_plan(EncodeOptions(psnr=30), KODAK, 3).budget_bytes is None


def test_efforts_become_steps() -> None:
    by_effort = [make_plan(EncodeOptions(effort=effort, width=48), KODAK, 3).steps for effort in range(10)]
    assert len(EFFORT_SECONDS) == 10
    assert by_effort == sorted(set(by_effort))
    # In proportion to the documented seconds, whatever the network.
    assert by_effort[9] / by_effort[0] == pytest.approx(EFFORT_SECONDS[9] / EFFORT_SECONDS[0], rel=0.01)


def test_more_weights_get_fewer_steps() -> None:
    steps = [make_plan(EncodeOptions(width=width), KODAK, 3).steps for width in (8, 48, 96, 192, 384)]
    assert steps == sorted(steps, reverse=True)
    assert steps[2] > steps[3] > steps[4] > 0
    assert steps[0] == EFFORT_SECONDS[5] * STEPS_PER_SECOND_MAX
    assert make_plan(EncodeOptions(width=1024, depth=15, effort=0), KODAK, 4).steps >= 1


def test_small_images_get_more_steps_up_to_a_limit() -> None:
    side = math.isqrt(FULL_BATCH)
    sizes = [(8, 8), (side // 2, side), (side + 1, side), KODAK, (8000, 6000)]
    steps = [make_plan(EncodeOptions(width=96), size, 3).steps for size in sizes]
    assert steps[0] == EFFORT_SECONDS[5] * STEPS_PER_SECOND_MAX
    assert steps[0] > steps[1] > steps[2]
    assert steps[2] == steps[3] == steps[4]  # from a full batch on, the image's size does not matter


def test_plan_for_weights_has_about_so_many() -> None:
    for weights in (2000, 10_000, 50_000):
        assert plan_for_weights(EncodeOptions(), KODAK, 3, weights).weights == pytest.approx(weights, rel=0.2)
    plans = [plan_for_weights(EncodeOptions(), KODAK, 3, 1.1**power) for power in range(150)]
    for before, after in pairwise(plans):
        assert before.width <= after.width
        assert before.rate_weight > after.rate_weight
    assert plan_for_weights(EncodeOptions(depth=1), KODAK, 3, 540).width == 10


def test_an_initialization_fixes_the_network() -> None:
    init = _initialization()
    shape = init.architecture
    plan = make_plan(EncodeOptions(init=init, target_bytes=200), KODAK, shape.channels)
    assert (plan.width, plan.depth) == (shape.width, shape.depth)
    assert (plan.frequencies, plan.growth) == (shape.frequencies, shape.growth)
    with pytest.raises(ValueError, match="channels"):
        make_plan(EncodeOptions(init=init), KODAK, shape.channels % 4 + 1)
