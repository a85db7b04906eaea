import itertools
import math

import pytest

from pillow_inr.models.pyramid import plan as pyramid_plan
from pillow_inr.models.pyramid.plan import (
    ANALYSED_BASES,
    BASE_RD_LAMBDAS,
    EFFORT_STEPS,
    PRESET,
    RD_LAMBDA_RANGE,
    STEP_CORE_SECONDS,
    TILE_LOG2,
    TIMED_STEPS_MAX,
    base_index_for,
    make_plan,
    quality_rd_lambda,
    rd_lambda_for,
)
from pillow_inr.options import EncodeOptions, image_rd_lambda
from tests.support.container import BASE_WEIGHTS_COUNTS, TILE_NONE

KODAK = (768, 512)


def steps(size: tuple[int, int] = KODAK, share: float = 1.0, **options: object) -> int:
    return make_plan(EncodeOptions(**options), size, 1e-3, share).steps  # type: ignore[arg-type]


def test_each_effort_takes_about_twice_the_steps_of_the_one_before() -> None:
    by_effort = [steps(effort=effort) for effort in range(10)]
    assert by_effort == list(EFFORT_STEPS)
    assert by_effort[0] == 0
    assert all(1.9 <= later / earlier <= 2.1 for earlier, later in itertools.pairwise(by_effort[1:]))
    assert steps() == by_effort[3]


@pytest.mark.parametrize("effort", [1, 3, 9])
def test_large_images_take_as_many_steps_as_usual_ones_and_small_ones_more(effort: int) -> None:
    assert steps((40000, 30000), effort=effort) == steps((4000, 3000), effort=effort) == steps(effort=effort)
    assert steps((384, 256), effort=effort) == 2 * steps(effort=effort)
    assert steps((64, 64), effort=effort) == steps((1, 1), effort=effort) == 8 * steps(effort=effort)


def test_given_steps_replace_the_effort() -> None:
    assert steps(steps=7, effort=9) == steps((8, 8), steps=7) == 7
    assert (steps(steps=1000, share=0.1), steps(steps=100, share=0.1), steps(steps=1, share=0.1)) == (100, 60, 1)


def test_a_time_limit_alone_gives_as_many_steps_as_it_has_time_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pyramid_plan.threads, "cores", lambda: 4)
    assert steps((4000, 3000), time_limit=60) == round(60 * 4 / (12 * STEP_CORE_SECONDS))
    assert steps((4000, 3000), time_limit=0.01) == 1
    assert steps((64, 64), time_limit=60) == TIMED_STEPS_MAX
    assert steps(time_limit=3, effort=5) == steps(effort=5)


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
