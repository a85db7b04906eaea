"""`EncodeOptions`: ranges, options that exclude each other, lambda, budget."""

import math
from itertools import combinations, pairwise

import numpy as np
import pytest

from pillow_inr.models.registry import model_names
from pillow_inr.models.siren.architecture import Architecture
from pillow_inr.models.siren.initialization import Initialization
from pillow_inr.options import RD_LAMBDAS, EncodeOptions, budget_bytes, rd_lambda

KODAK = (768, 512)


def initialization() -> Initialization:
    architecture = Architecture(width=4, depth=1, channels=3, frequencies=1, frequency_ratio=100)
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
    for fixed in ({"width": 48}, {"init": initialization()}):
        with pytest.raises(ValueError, match="psnr chooses the width itself"):
            EncodeOptions(psnr=30, **fixed)
    assert EncodeOptions(psnr=30, depth=3, steps=10, encoding="none").depth == 3


SIREN = {"width": 48, "depth": 3, "encoding": "fourier", "init": initialization()}


@pytest.mark.parametrize("name", SIREN)
def test_options_of_a_siren_choose_it(name: str) -> None:
    for model in ("auto", "siren"):
        assert EncodeOptions(model=model, **{name: SIREN[name]}).chosen_model == "siren"
    with pytest.raises(ValueError, match=rf"model is 'pyramid', which has no {name}: leave out either"):
        EncodeOptions(model="pyramid", **{name: SIREN[name]})


def test_models_are_named() -> None:
    assert [EncodeOptions(model=model).chosen_model for model in model_names()] == list(model_names())
    assert EncodeOptions().model == "auto"
    with pytest.raises(ValueError, match="model must be 'auto', 'siren' or 'pyramid', got 'hash'"):
        EncodeOptions(model="hash")
    with pytest.raises(ValueError, match="no width or depth"):
        EncodeOptions(model="pyramid", width=48, depth=3)


def test_quality_is_lambda_on_a_logarithmic_scale() -> None:
    assert rd_lambda(EncodeOptions(quality=50), 3) == pytest.approx(1e-3)
    assert rd_lambda(EncodeOptions(quality=100), 3) == pytest.approx(RD_LAMBDAS[1])
    assert rd_lambda(EncodeOptions(), 3) == rd_lambda(EncodeOptions(quality=50), 3)
    weights = [rd_lambda(EncodeOptions(quality=quality), 4) for quality in range(1, 101)]
    assert [after / before for before, after in pairwise(weights)] == pytest.approx([400**-0.01] * 99)


def test_bits_cost_less_in_stacks_of_many_channels() -> None:
    weights = [rd_lambda(EncodeOptions(), channels) for channels in (1, 4, 16, 64)]
    assert weights == pytest.approx([1e-3, 1e-3, 5e-4, 2.5e-4])


def test_bits_per_pixel_become_a_budget() -> None:
    for bpp, size, expected in ((1, (8, 8), 8), (0.25, KODAK, 12288), (1.5, (3, 3), 1), (1e-9, (8, 8), 1)):
        assert budget_bytes(EncodeOptions(bpp=bpp), size) == expected
    assert budget_bytes(EncodeOptions(target_bytes=7), KODAK) == 7
    assert budget_bytes(EncodeOptions(psnr=30), KODAK) is None
