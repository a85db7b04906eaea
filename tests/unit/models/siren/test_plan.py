import math
from itertools import pairwise

import pytest

from pillow_inr.models.siren.architecture import Architecture
from pillow_inr.models.siren.plan import (
    DEFAULT_DEPTH,
    EFFORT_SECONDS,
    FREQUENCIES,
    FREQUENCY_SIDE_MAX,
    FULL_BATCH,
    HIGHEST_FREQUENCY,
    QUALITY_WIDTHS,
    RD_LAMBDA,
    STEPS_PER_SECOND_MAX,
    TARGET_WIDTHS,
    WEIGHTS_PER_PIXEL,
    make_plan,
    plan_for_weights,
)
from pillow_inr.options import EncodeOptions, rd_lambda
from tests.unit.test_options import KODAK, initialization


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
        width=plan.width,
        depth=plan.depth,
        channels=channels,
        frequencies=plan.frequencies,
        frequency_ratio=plan.frequency_ratio,
    )
    # A plan's count is approximate: it leaves out the output layer's biases.
    assert plan.weights == architecture.weight_count - channels


def test_kodak_gets_twelve_frequencies() -> None:
    plan = make_plan(EncodeOptions(), KODAK, 3)
    assert (plan.frequencies, plan.frequency_ratio) == (12, 155)
    plain = make_plan(EncodeOptions(encoding="none"), KODAK, 3)
    assert (plain.frequencies, plain.frequency_ratio) == (0, 100)


def test_highest_frequency_follows_the_resolution() -> None:
    for longer in (1, 3, 32, 500, 4000):
        plan = make_plan(EncodeOptions(), (longer, 1), 3)
        periods = (plan.frequency_ratio / 100) ** (plan.frequencies - 1)
        # Rounding the ratio to hundredths moves the highest frequency by at most 6 %.
        assert plan.frequencies == FREQUENCIES
        assert periods == pytest.approx(max(1.0, HIGHEST_FREQUENCY * longer), rel=0.06)
        assert make_plan(EncodeOptions(), (1, longer), 3).frequency_ratio == plan.frequency_ratio
    ratios = [make_plan(EncodeOptions(), (longer, 1), 3).frequency_ratio for longer in range(1, FREQUENCY_SIDE_MAX, 50)]
    assert ratios == sorted(ratios)
    assert ratios[0] == 100
    assert (
        make_plan(EncodeOptions(), (10**6, 1), 3).frequency_ratio
        == make_plan(EncodeOptions(), (4096, 1), 3).frequency_ratio
    )


@pytest.mark.parametrize("fixed", [{}, {"width": 64}, {"depth": 2}, {"encoding": "none"}])
@pytest.mark.parametrize("size", [(1, 1), (16, 16), (64, 64), (160, 160), KODAK, (8000, 6000)])
def test_quality_is_monotone_and_bounded(size: tuple[int, int], fixed: dict) -> None:
    plans = [make_plan(EncodeOptions(quality=quality, **fixed), size, 3) for quality in range(1, 101)]
    widths = [plan.width for plan in plans]
    assert widths == sorted(widths)
    assert QUALITY_WIDTHS[0] <= widths[0] <= widths[-1] <= QUALITY_WIDTHS[1]
    lambdas = [plan.rd_lambda for plan in plans]
    assert all(finer < coarser for coarser, finer in pairwise(lambdas))


@pytest.mark.parametrize("channels", [3, 16])
def test_lambda_is_that_of_the_quality(channels: int) -> None:
    for quality in (1, 15, 50, 100):
        options = EncodeOptions(quality=quality)
        plan = make_plan(options, KODAK, channels)
        assert plan.rd_lambda == pytest.approx(rd_lambda(options, channels))


def test_weights_follow_lambda_as_measured() -> None:
    # At quality 15.3 lambda is RD_LAMBDA; from about 40 on quality chooses the largest network.
    plan = make_plan(EncodeOptions(quality=15), KODAK, 3)
    assert plan.rd_lambda == pytest.approx(RD_LAMBDA, rel=0.05)
    assert plan.weights == pytest.approx(WEIGHTS_PER_PIXEL * math.prod(KODAK), rel=0.05)
    assert make_plan(EncodeOptions(quality=33), KODAK, 3).weights == pytest.approx(6 * plan.weights, rel=0.2)
    assert make_plan(EncodeOptions(quality=100), KODAK, 3).width == QUALITY_WIDTHS[1]


def test_lambda_falls_where_a_network_is_larger_than_the_image_warrants() -> None:
    lambdas = [make_plan(EncodeOptions(width=width), KODAK, 3).rd_lambda for width in (48, 64, 96, 128)]
    assert lambdas == sorted(lambdas, reverse=True)
    icons = [make_plan(EncodeOptions(), (side, side), 3).rd_lambda for side in (1, 8, 32, 64, 200)]
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
    assert steps[0] == EFFORT_SECONDS[3] * STEPS_PER_SECOND_MAX
    assert make_plan(EncodeOptions(width=1024, depth=15, effort=0), KODAK, 4).steps >= 1


def test_small_images_get_more_steps_up_to_a_limit() -> None:
    side = math.isqrt(FULL_BATCH)
    sizes = [(8, 8), (side // 2, side), (side + 1, side), KODAK, (8000, 6000)]
    steps = [make_plan(EncodeOptions(width=96), size, 3).steps for size in sizes]
    assert steps[0] == EFFORT_SECONDS[3] * STEPS_PER_SECOND_MAX
    assert steps[0] > steps[1] > steps[2]
    assert steps[2] == steps[3] == steps[4]  # from a full batch on, the image's size does not matter


def test_plan_for_weights_has_about_that_number_of_weights() -> None:
    for weights in (2000, 10_000, 50_000):
        assert plan_for_weights(EncodeOptions(), KODAK, 3, weights).weights == pytest.approx(weights, rel=0.2)
    plans = [plan_for_weights(EncodeOptions(), KODAK, 3, 1.1**power) for power in range(150)]
    for before, after in pairwise(plans):
        assert before.width <= after.width
        assert before.rd_lambda > after.rd_lambda
    assert plan_for_weights(EncodeOptions(depth=1), KODAK, 3, 540).width == 10


def test_an_initialization_fixes_the_network() -> None:
    init = initialization()
    shape = init.architecture
    plan = make_plan(EncodeOptions(init=init, target_bytes=200), KODAK, shape.channels)
    assert (plan.width, plan.depth) == (shape.width, shape.depth)
    assert (plan.frequencies, plan.frequency_ratio) == (shape.frequencies, shape.frequency_ratio)
    with pytest.raises(ValueError, match="channels"):
        make_plan(EncodeOptions(init=init), KODAK, shape.channels % 4 + 1)
