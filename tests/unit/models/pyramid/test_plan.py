import itertools
import math

import pytest

from pillow_inr.models.pyramid import plan as pyramid_plan
from pillow_inr.models.pyramid.plan import (
    ANALYSED_BASES,
    BASE_RD_LAMBDAS,
    EFFORT_SECONDS,
    EFFORT_STEPS,
    LARGE_STEPS,
    PRESET,
    RD_LAMBDA_RANGE,
    TILE_LOG2,
    base_index_for,
    make_plan,
    quality_rd_lambda,
    rd_lambda_for,
)
from pillow_inr.options import EncodeOptions, image_rd_lambda
from tests.support.container import BASE_WEIGHTS_COUNTS, TILE_NONE

KODAK = (768, 512)


def steps(size: tuple[int, int] = KODAK, milliseconds: float = 400, share: float = 1.0, **options: object) -> int:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pyramid_plan, "MILLISECONDS_PER_MEGAPIXEL_STEP", milliseconds)
        return make_plan(EncodeOptions(**options), size, 1e-3, share).steps  # type: ignore[arg-type]


def test_efforts_become_steps() -> None:
    by_effort = [steps(effort=effort) for effort in range(10)]
    assert by_effort == sorted(by_effort)
    assert steps() == by_effort[5] == round(60_000 / (400 * math.prod(KODAK) / 1e6))
    assert steps(milliseconds=800) == pytest.approx(steps() / 2, abs=1)
    assert len(EFFORT_SECONDS) == 10
    assert steps(effort=0, milliseconds=1e6) == EFFORT_STEPS[0]
    assert steps(effort=9, milliseconds=0.1) == EFFORT_STEPS[1]


def test_small_images_take_no_more_steps_than_usual_ones() -> None:
    assert steps((65, 8)) == steps((300, 200)) == steps() > steps((1200, 1000))


def test_icons_take_fewer_steps() -> None:
    assert steps((64, 64)) == steps((8, 8)) == pytest.approx(pyramid_plan.ICON_SHARE * steps((65, 64)), abs=1)
    assert steps((8, 8), steps=900) == 900


def test_large_images_take_longer_rather_than_few_steps() -> None:
    assert steps((4000, 3000)) == steps((40000, 30000)) == LARGE_STEPS
    assert steps((4000, 3000), effort=0) == steps(effort=0) == EFFORT_STEPS[0]


def test_given_steps_and_time_limits_replace_the_effort() -> None:
    assert steps(steps=7, effort=9) == 7
    assert steps(time_limit=3) == EFFORT_STEPS[1]
    assert steps(time_limit=3, effort=5) == steps()
    assert (steps(steps=1000, share=0.1), steps(steps=100, share=0.1), steps(steps=1, share=0.1)) == (100, 60, 1)


def test_high_qualities_go_further() -> None:
    pixels = math.prod(KODAK)
    for quality in (1, 50, 90):
        options = EncodeOptions(quality=quality)
        assert quality_rd_lambda(options, 3, pixels) == image_rd_lambda(options, 3, pixels)
    assert quality_rd_lambda(EncodeOptions(), 3, 1024) == image_rd_lambda(EncodeOptions(), 3, 1024)
    weights = [quality_rd_lambda(EncodeOptions(quality=quality), 3, pixels) for quality in range(90, 101)]
    ratios = [later / earlier for earlier, later in itertools.pairwise(weights)]
    assert ratios == pytest.approx([ratios[0]] * 10)
    assert weights[-1] == pytest.approx(5e-5 / 32)


def test_the_nearest_base_weights_are_chosen() -> None:
    assert len(BASE_RD_LAMBDAS) + ANALYSED_BASES == BASE_WEIGHTS_COUNTS[PRESET]
    assert [base_index_for(weight) for weight in BASE_RD_LAMBDAS] == list(range(len(BASE_RD_LAMBDAS)))
    assert base_index_for(1.0) == 0
    assert base_index_for(1e-9) == len(BASE_RD_LAMBDAS) - 1


def test_large_images_are_tiled() -> None:
    for size, tile in (
        ((1, 1), TILE_NONE),
        ((2048, 1024), TILE_NONE),
        ((2048, 1025), TILE_LOG2),
        ((4096, 1), TILE_NONE),
        ((1, 4097), TILE_LOG2),  # as a single pyramid would have a longer side than the format allows
    ):
        assert make_plan(EncodeOptions(), size, 1e-3).header.tile == tile


def test_the_first_lambda_falls_with_the_bits() -> None:
    weights = [rd_lambda_for(2.0**power) for power in range(-30, 30)]
    assert weights == sorted(weights, reverse=True)
    assert (weights[-1], weights[0]) == RD_LAMBDA_RANGE
    assert rd_lambda_for(pyramid_plan.BITS_AT_1E3) == pytest.approx(1e-3)
