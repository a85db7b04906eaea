"""The SIREN's encoder: budgets, the search for a PSNR, deadlines; mostly with a fake in place of the fit."""

import math
import time
import warnings
from typing import Any

import numpy as np
import pytest

import pillow_inr
from pillow_inr import codec
from pillow_inr.encoding.deadline import Deadline
from pillow_inr.encoding.source_image import Encoded, SourceImage
from pillow_inr.format.metadata import Metadata
from pillow_inr.models.base import EncodeJob
from pillow_inr.models.siren import encoder as siren_encoder
from pillow_inr.models.siren import mosaic, networks, reference_store, simple, weight_coding
from pillow_inr.models.siren import plan as siren_plan
from pillow_inr.models.siren.architecture import Architecture
from pillow_inr.models.siren.fitted import Fitted
from pillow_inr.models.siren.initialization import Initialization
from pillow_inr.models.siren.packing import Packing
from pillow_inr.models.siren.plan import Plan, plan_for_weights, usual_weights
from pillow_inr.options import EncodeOptions
from tests.support import container
from tests.support.checks import QUICK, gradient, psnr
from tests.support.fits import SIZE


@pytest.fixture(autouse=True)
def fakes_are_no_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SourceImage, "is_failed_fit", lambda *_: False)


class FakeFit:
    """In place of the fit: weights at random, so that what the codec does with them can be seen quickly."""

    def __init__(self, seed: int, spread: float = 1.0, differences: bool = False) -> None:
        self.rng = np.random.default_rng(seed)
        self.spread = spread
        self.differences = differences
        self.arguments: dict[str, Any] = {}

    def fit(self, image: np.ndarray, architecture: Architecture, **arguments: Any) -> Fitted:
        self.arguments = arguments
        weights = [self.rng.laplace(0, self.spread, shape).astype(np.float32) for shape in architecture.shapes]
        steps = [2.0 ** self.rng.uniform(-6, -1) for _ in weights]
        differences = [self.differences and bool(self.rng.integers(2)) for _ in weights]
        return Fitted(weights, steps, 30.0, 1000.0, differences)


def _least_bytes(image: np.ndarray, monkeypatch: pytest.MonkeyPatch, **options: Any) -> int:
    monkeypatch.setattr(networks, "_load_fit", lambda: FakeFit(0).fit)
    with pytest.raises(ValueError, match=r"at least \d+ bytes, got a target of 1$") as error:
        codec.encode(image, EncodeOptions(model="siren", target_bytes=1, **options))
    return int(str(error.value).split("at least ")[1].split()[0])


@pytest.mark.parametrize("channels", [1, 4])
@pytest.mark.parametrize("options", [{}, {"width": 20, "depth": 3}, {"encoding": "none"}])
def test_a_budget_is_kept_whatever_the_fit_returns(
    channels: int, options: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = gradient(200, 130, channels)
    least = _least_bytes(image, monkeypatch, **options)
    rng = np.random.default_rng(channels)
    for seed, budget in enumerate([least, least + 1, *(least + rng.geometric(0.005, 5)).tolist()]):
        monkeypatch.setattr(networks, "_load_fit", lambda seed=seed: FakeFit(seed, spread=10.0 ** (seed % 3 - 1)).fit)
        data = codec.encode(image, EncodeOptions(model="siren", target_bytes=budget, **options))
        assert len(data) <= budget
        assert pillow_inr.decode(data).shape == image.shape


def test_the_least_size_is_exact_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    image = gradient(200, 130)
    least = _least_bytes(image, monkeypatch)
    assert 30 < least < 100
    monkeypatch.setattr(networks, "_load_fit", lambda: FakeFit(0, spread=0.0).fit)
    assert len(codec.encode(image, EncodeOptions(model="siren", target_bytes=least))) <= least
    with pytest.raises(ValueError, match=f"at least {least} bytes, got a target of {least - 1}"):
        codec.encode(image, EncodeOptions(model="siren", target_bytes=least - 1))
    with pytest.raises(ValueError, match=f"at least {least} bytes, got a target of 1$"):
        codec.encode(image, EncodeOptions(model="siren", bpp=1e-6))


def test_a_budget_holds_the_chunk_of_an_initialization_too(monkeypatch: pytest.MonkeyPatch) -> None:
    architecture = Architecture(width=6, depth=2, channels=3, frequencies=4, frequency_ratio=140)
    rng = np.random.default_rng(1)
    init = Initialization(architecture, tuple(rng.normal(0, 0.1, shape) for shape in architecture.shapes))
    monkeypatch.setattr(reference_store, "_registered", {init.identity: init})
    image = gradient(40, 30)
    least = _least_bytes(image, monkeypatch, init=init)
    for seed in range(8):
        monkeypatch.setattr(networks, "_load_fit", lambda seed=seed: FakeFit(seed, differences=True).fit)
        data = codec.encode(image, EncodeOptions(init=init, target_bytes=least + 20 * seed))
        assert len(data) <= least + 20 * seed
        assert pillow_inr.decode(data).shape == image.shape


def test_what_fits_is_coded_as_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    architecture = Architecture(width=12, depth=3, channels=3, frequencies=8, frequency_ratio=140)
    fitted = FakeFit(3).fit(gradient(4, 4), architecture)
    usual = Packing().coded([fitted])
    assert Packing().coded_within([fitted], len(usual)) == usual
    assert Packing().coded_within([fitted], 10**9) == usual
    # A little less room: weights are rounded towards zero, the steps stay.
    shorter = Packing().coded_within([fitted], len(usual) - 4)
    assert 0.95 * len(usual) < len(shorter) < len(usual)
    before, after = (
        list(weight_coding.decode_tensors(payload, architecture.shapes, container.CODING_GENERALIZED_NORMAL))
        for payload in (usual, shorter)
    )
    assert [tensor.step_index for tensor in before] == [tensor.step_index for tensor in after]
    # Much less: coarser steps, as fine as the room allows.
    for share in (0.7, 0.4, 0.2):
        limit = int(share * len(usual))
        assert 0.6 * limit < len(Packing().coded_within([fitted], limit)) <= limit


def test_rounding_and_coarser_steps_shorten() -> None:
    architecture = Architecture(width=12, depth=3, channels=3, frequencies=8, frequency_ratio=140)
    fitted = FakeFit(4).fit(gradient(4, 4), architecture)
    rounded = [len(Packing().coded([fitted], rounding=rounding)) for rounding in (0.5, 0.6, 0.7, 0.8, 1.0)]
    assert rounded == sorted(rounded, reverse=True)
    coarser = [len(Packing().coded([fitted], coarser=coarser)) for coarser in (0, 4, 8, 16, 32, 64, 255)]
    assert coarser == sorted(coarser, reverse=True)
    assert coarser[-1] < 40


@pytest.mark.keras
def test_budgets_are_kept_by_short_fits() -> None:
    rng = np.random.default_rng(5)
    smooth = gradient(12, 10)
    for seed, budget in enumerate((60, 75, 100, 75, 400, 400)):
        height = int(rng.integers(6, 11))
        noise = rng.integers(0, 256, (height, 12, 3), dtype=np.uint8)
        image = noise if seed % 2 else smooth[:height]
        data = codec.encode(image, EncodeOptions(**{**QUICK, "steps": 60}, target_bytes=budget, seed=seed))
        assert len(data) <= budget
        assert pillow_inr.decode(data).shape == image.shape


class FakeSearch:
    """In place of `encode_plan`: PSNR and bytes follow from a plan's weights."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, at_1000: float, per_doubling: float, limit: float = 99) -> None:
        self.at_1000, self.per_doubling, self.limit = at_1000, per_doubling, limit
        self.weights: list[int] = []
        self.deadlines: list[float | None] = []
        monkeypatch.setattr(siren_encoder, "encode_plan", self.encode_plan)
        monkeypatch.setattr(mosaic, "suits", lambda source, options: False)

    def psnr(self, weights: int) -> float:
        return min(self.at_1000 + self.per_doubling * math.log2(weights / 1000), self.limit)

    def encode_plan(self, picture: SourceImage, plan: Plan, options: EncodeOptions, deadline: Deadline) -> Encoded:
        self.weights.append(plan.weights)
        self.deadlines.append(deadline.at)
        assert plan.budget_bytes is None
        return Encoded(bytes(plan.weights), self.psnr(plan.weights), None)

    def encode(self, goal: float, **options: Any) -> bytes:
        image = np.broadcast_to(np.uint8(0), (512, 768, 3))
        return codec.encode(image, EncodeOptions(model="siren", psnr=goal, **options))


@pytest.mark.parametrize("per_doubling", [2.0, 2.3, 3.0])
@pytest.mark.parametrize("goal", [26.0, 28.0, 30.0, 31.5, 33.0])
def test_a_psnr_is_reached_by_the_smallest_of_the_trials(
    goal: float, per_doubling: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = FakeSearch(monkeypatch, 30 - 3 * per_doubling, per_doubling)
    weights = len(search.encode(goal))
    assert len(search.weights) <= siren_encoder.PSNR_FITS
    assert weights == min(tried for tried in search.weights if search.psnr(tried) >= goal)
    assert search.psnr(weights) < goal + 1.5


def _first_plan() -> Plan:
    """Where a search begins."""
    return plan_for_weights(EncodeOptions(), (768, 512), 3, usual_weights(768 * 512, 3))


def test_a_psnr_met_at_once_takes_one_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    search = FakeSearch(monkeypatch, 30, 2.0)
    usual = _first_plan().weights
    assert len(search.encode(search.psnr(usual) - siren_encoder.PSNR_TOLERANCE / 2)) == usual
    assert search.weights == [usual]


def test_a_width_just_below_the_goal_does_not_end_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    search = FakeSearch(monkeypatch, 30, siren_encoder.DB_PER_DOUBLING)
    usual = _first_plan().weights
    goal = search.psnr(usual) + 0.05  # so little above that the same width comes up again
    assert len(search.encode(goal)) > usual
    assert len(search.weights) == 2


def test_a_psnr_out_of_reach_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    search = FakeSearch(monkeypatch, 20, 2.0, limit=31.25)
    with pytest.warns(UserWarning, match=r"psnr=40 dB was not reached: the file has 31\.25 dB"):
        data = search.encode(40)
    assert search.psnr(len(data)) == 31.25
    assert len(search.weights) == len(set(search.weights)) <= siren_encoder.PSNR_FITS


def test_a_psnr_below_what_the_smallest_network_has_ends_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    search = FakeSearch(monkeypatch, 30, 0.0)
    data = search.encode(5)
    assert len(data) == min(search.weights)
    assert len(search.weights) == len(set(search.weights))


@pytest.mark.parametrize("goal", [24.0, 31.0, 36.0])
@pytest.mark.parametrize("per_halving", [1.0, 1.5, 2.2])
def test_a_mosaic_is_searched_for_by_lambda(goal: float, per_halving: float, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: dict[float, float] = {}

    def encode_plan(picture: SourceImage, plan: Plan, options: EncodeOptions, deadline: Deadline) -> Any:
        tried[plan.rd_lambda] = 30 - per_halving * math.log2(plan.rd_lambda / 1e-3)
        return Encoded(bytes(round(1 / plan.rd_lambda)), tried[plan.rd_lambda], None)

    monkeypatch.setattr(siren_encoder, "encode_plan", encode_plan)
    image = np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8)
    data = codec.encode(image, EncodeOptions(model="siren", psnr=goal))
    assert len(tried) <= siren_encoder.PSNR_FITS
    best = max(rd_lambda for rd_lambda, reached in tried.items() if reached >= goal)
    assert len(data) == round(1 / best)
    assert tried[best] < goal + 1.0


def test_a_time_limit_becomes_a_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeFit(0)
    monkeypatch.setattr(networks, "_load_fit", lambda: fake.fit)
    start = time.perf_counter()
    codec.encode(gradient(20, 10), EncodeOptions(model="siren", time_limit=50))
    # Less what measuring the PSNR will take, which is next to nothing here.
    assert start + 49.9 <= fake.arguments["deadline"] <= time.perf_counter() + 50
    codec.encode(gradient(20, 10), EncodeOptions(model="siren"))
    assert fake.arguments["deadline"] is None
    assert fake.arguments["budget"] is None


def test_the_search_for_a_psnr_shares_the_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    search = FakeSearch(monkeypatch, 20, 2.0, limit=25)
    start = time.perf_counter()
    with pytest.warns(UserWarning):
        search.encode(40, time_limit=80)
    shares = [deadline - start for deadline in search.deadlines if deadline is not None]
    # The fakes take no time: the first fit gets a quarter, the second a third of the rest, the last all of it.
    assert shares == pytest.approx([80 / left for left in range(siren_encoder.PSNR_FITS, 0, -1)][: len(shares)], abs=1)
    assert max(shares) <= 80 + 1


@pytest.mark.keras
def test_a_psnr_is_searched_for_by_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    # Two widths are compiled instead of PSNR_FITS.
    for module in (siren_encoder, siren_plan):
        monkeypatch.setattr(module, "QUALITY_WIDTHS", (8, 10))
    image = gradient(*SIZE)
    # Not pytest.warns: that raises TensorFlow's own warnings, which pyproject.toml has ignored.
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        warnings.filterwarnings("always", "psnr=")
        data = codec.encode(image, EncodeOptions(model="siren", psnr=90, steps=40, depth=2))
    reached = psnr(image, pillow_inr.decode(data))
    assert [str(warning.message) for warning in caught] == [
        f"psnr=90 dB was not reached: the file has {reached:.2f} dB"
    ]


def test_simple_pictures_take_narrow_networks_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Widths double until that does not pay; the best is fitted in earnest."""
    losses = {(8, 600): 5.0, (16, 600): 3.0, (32, 600): 4.0, (16, 900): 2.0}
    fits: list[tuple[int, int]] = []

    def encode_plan(picture: SourceImage, plan: Any, options: EncodeOptions, deadline: Deadline) -> Any:
        assert plan.rd_lambda == 1e-3
        fits.append((plan.width, plan.steps))
        # 100 bytes, whose bits are worth 0.4 here, and the rest as an error.
        error = losses[fits[-1]] - 1e-3 * 800 / picture.pixels
        return Encoded(bytes(100), -10 * math.log10(error), None)

    monkeypatch.setattr(siren_encoder, "encode_plan", encode_plan)
    picture = SourceImage.of(gradient(20, 10), Metadata())

    def encode(rival: float, **options: Any) -> Encoded | None:
        fits.clear()
        job = EncodeJob(picture, EncodeOptions(**options), Deadline())
        trial = simple.try_simple(job, 1e-3, rival)
        return trial and simple.finish_simple(job, trial)

    found = encode(2.6, steps=900)
    assert fits == [(8, 600), (16, 600), (32, 600), (16, 900)]
    assert found is not None and found.loss(1e-3, picture.pixels) == pytest.approx(2.0)
    encode(2.6, steps=600, psnr=90)
    assert fits == [(8, 600), (16, 600), (32, 600)]
    assert encode(2.4, steps=900) is None
    assert fits == [(8, 600)]
