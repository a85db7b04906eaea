"""How an image is shared out among networks: by the bits that its regions need."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pillow_inr.encoding.source_image import SourceImage
from pillow_inr.format.metadata import Metadata
from pillow_inr.imaging.samples import as_samples
from pillow_inr.models.siren import mosaic
from pillow_inr.models.siren.detail import SIDE, Detail
from pillow_inr.models.siren.division import Region
from pillow_inr.models.siren.plan import Plan
from pillow_inr.options import EncodeOptions, rd_lambda


def _source(array: NDArray[np.generic]) -> SourceImage:
    return SourceImage.of(as_samples(array), Metadata())


def _noise(width: int, height: int, spread: float = 60.0, channels: int = 3) -> NDArray[np.uint8]:
    values = np.random.default_rng(0).normal(128, spread, (height, width, channels))
    return values.clip(0, 255).astype(np.uint8)


def _plan(array: NDArray[np.generic], **options: object) -> Plan:
    return mosaic.Planner(_source(array), EncodeOptions(model="siren", **options)).plan()


def test_bits_follow_from_the_spectrum() -> None:
    """One cosine in each block: half the logarithm of its squared coefficient over theta, and nothing for the mean."""
    wave = np.cos(np.pi * (2 * np.arange(SIDE) + 1) * 3 / (2 * SIDE))
    block = np.broadcast_to(wave, (SIDE, SIDE)).astype(np.float32)
    image = np.tile(0.5 + 0.25 * block, (3, 5))[..., None]
    # The range of the samples is 0.5 times that of the cosine.
    normalized = (image - image.min()) / (image.max() - image.min())
    coefficient = np.ptp(normalized) / np.ptp(wave) * SIDE / np.sqrt(2)
    theta = 3 * 1e-3 / (2 * np.log(2))
    expected = 15 * np.log2(coefficient**2 / theta) / 2
    assert Detail(_source(image)).bits(1e-3).total == pytest.approx(expected, rel=1e-4)
    assert Detail(_source(image)).bits(1e3).total == 0


def test_flat_and_tiny_images_need_no_bits() -> None:
    assert Detail(_source(np.full((40, 60, 3), 9, np.uint8))).bits(1e-6).total == pytest.approx(0, abs=1e-6)
    assert Detail(_source(_noise(5, 7))).bits(1e-6).total == 0
    assert Detail(_source(_noise(1, 300))).bits(1e-6).total == 0


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_bits_fall_with_lambda_and_add_up(channels: int) -> None:
    detail = Detail(_source(_noise(96, 64, channels=channels)))
    totals = [detail.bits(rd_lambda).total for rd_lambda in (1e-4, 1e-3, 1e-2, 1e-1)]
    assert totals == sorted(totals, reverse=True)
    bits = detail.bits(1e-3)
    halves = Region(0, 0, 96, 64).halves()
    assert sum(bits.of(half) for half in halves) == pytest.approx(bits.total)


def test_a_large_image_is_sampled() -> None:
    """Blocks that are looked at stand for those that are not."""
    large = np.tile(_noise(64, 64), (24, 24, 1))
    detail = Detail(_source(large))
    assert detail.every == 2
    assert detail.bits(1e-3).total == pytest.approx(
        24 * 24 * Detail(_source(large[:64, :64])).bits(1e-3).total, rel=0.1
    )


def test_detail_draws_networks() -> None:
    image = np.full((256, 512, 3), 100, np.uint8)
    image[:, 256:] = _noise(256, 256)
    plan = _plan(image, quality=40)
    parts = mosaic.parts_of(plan, (512, 256))
    assert len(parts) == plan.header.networks > 4
    assert [part.core for part in parts if part.core.left < 256] == [Region(0, 0, 256, 256)]
    assert plan.header.networks == 1 + sum(plan.splits) == len(plan.shares)


def test_quality_is_monotone() -> None:
    image = _noise(300, 200, 40)
    plans = [_plan(image, quality=quality) for quality in range(1, 101, 9)]
    weights = [plan.weights for plan in plans]
    assert sorted(weights) == pytest.approx(weights, rel=0.1)
    assert weights[-1] > 20 * weights[0]
    for quality, plan in zip(range(1, 101, 9), plans, strict=True):
        assert plan.rd_lambda == rd_lambda(EncodeOptions(quality=quality), 3)
        assert plan.taper == mosaic.TAPER
        assert plan.width <= 2 * mosaic.WIDTHS[5]


def test_a_given_shape_is_taken_exactly() -> None:
    plan = _plan(_noise(300, 200), width=64, depth=3, steps=17)
    assert (plan.width, plan.depth, plan.steps) == (64, 3, 17)
    assert plan.header.architecture(3).widths == (64, 48, 36)


def test_lambda_falls_where_a_given_network_is_more_than_the_image_needs() -> None:
    usual = rd_lambda(EncodeOptions(), 3)
    assert _plan(_noise(300, 200), width=64).rd_lambda == usual
    quiet = [_plan(_noise(300, 200, 2), width=width).rd_lambda for width in (8, 64, 192)]
    assert usual > quiet[0] > quiet[1] >= quiet[2]
    assert quiet[2] == pytest.approx(usual * mosaic.LEAST_LAMBDA)


def test_a_budget_sets_weights_and_lambda() -> None:
    image = _noise(300, 200, 30)
    plans = [_plan(image, target_bytes=budget) for budget in (300, 3_000, 10_000, 60_000)]
    assert [plan.budget_bytes for plan in plans] == [300, 3_000, 10_000, 60_000]
    for plan in plans[1:]:
        assert plan.weights * mosaic.BITS_PER_WEIGHT / 8 == pytest.approx(plan.budget_bytes, rel=0.2)
    lambdas = [plan.rd_lambda for plan in plans]
    assert lambdas == sorted(lambdas, reverse=True)


def test_more_networks_get_fewer_steps_each() -> None:
    image = _noise(300, 200)
    few, many = _plan(image, quality=20, effort=3), _plan(image, quality=70, effort=3)
    assert many.header.networks > few.header.networks
    assert many.steps < few.steps
    efforts = [_plan(image, width=48, quality=40, effort=effort).steps for effort in range(10)]
    assert efforts == sorted(set(efforts))


def test_more_time_makes_fewer_and_larger_networks() -> None:
    image = _noise(300, 200)
    quick, patient = _plan(image, quality=40, effort=3), _plan(image, quality=40, effort=9)
    assert patient.width > quick.width
    assert patient.header.networks < quick.header.networks


@pytest.mark.parametrize(
    ("array", "options", "expected"),
    [
        (_noise(128, 128), {}, False),
        (_noise(129, 128), {}, True),
        (_noise(300, 200), {"encoding": "none"}, False),
        (_noise(300, 200), {"encoding": "fourier"}, True),
    ],
)
def test_what_gets_a_mosaic(array: NDArray[np.uint8], options: dict[str, str], expected: bool) -> None:
    assert mosaic.suits(_source(array), EncodeOptions(**options)) == expected


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 700), st.integers(1, 700), st.integers(1, 100))
def test_parts_tile_an_image_of_any_shape(width: int, height: int, quality: int) -> None:
    image = np.add.outer(np.arange(height), 3 * np.arange(width)).astype(np.uint8)
    plan = _plan(image, quality=quality)
    parts = mosaic.parts_of(plan, (width, height))
    assert len(parts) == plan.header.networks
    assert sum(np.prod(part.core.size) for part in parts) == width * height
    for part in parts[1:]:
        assert max(part.core.size) >= mosaic.LEAST_SIDE
