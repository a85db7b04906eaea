"""Whole files: the frozen vectors, damage to them, and round trips through a fit."""

import io
import math
import time
import tracemalloc
import warnings
from collections import namedtuple
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pytest
from PIL import Image

import pillow_inr
from pillow_inr import codec, container, entropy, initialization
from pillow_inr.architecture import Architecture
from pillow_inr.config import EncodeOptions, Plan, make_plan
from pillow_inr.errors import BackendError, FormatError
from pillow_inr.initialization import Initialization

from . import coding0
from .checks import QUICK, VECTORS, check_pixels, gradient, header, psnr, with_checksum

CODING_0 = ("grey", "grey_alpha", "rgb", "rgba", "plain", "difference")
NAMES = (
    *CODING_0,
    "bands",
    "described",
    "grey16",
    "grey_coding1",
    "rgb_coding1",
    "plain_coding1",
    "drawn_coding1",
)
WRITERS = {container.CODING_LAPLACE: coding0.encode_tensors, container.CODING_SHAPED: entropy.encode_tensors}


@pytest.fixture(autouse=True)
def _initializations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PILLOW_INR_INITS", str(VECTORS / "inits"))


def _vector(name: str) -> bytes:
    return (VECTORS / f"{name}.inr").read_bytes()


def test_no_vector_is_missing() -> None:
    assert sorted(path.stem for path in VECTORS.glob("*.inr")) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_vector_symbols_pixels_and_bytes(name: str) -> None:
    data = _vector(name)
    parsed, payload, chunks = container.unpack(data)
    architecture = Architecture.of(parsed)
    tensors = list(entropy.decode_tensors(payload, architecture.shapes, parsed.coding))
    with np.load(VECTORS / f"{name}.npz") as frozen:
        assert [tensor.step_index for tensor in tensors] == frozen["step_indices"].tolist()
        flat = np.concatenate([tensor.symbols.ravel() for tensor in tensors])
        np.testing.assert_array_equal(flat, frozen["symbols"])
        expected = frozen.get("pixels")
    pixels = pillow_inr.decode(data)
    if expected is None:
        with Image.open(VECTORS / f"{name}.png") as image:
            expected = np.asarray(image)
    check_pixels(expected, pixels, parsed)
    assert parsed.coding == (name not in CODING_0)
    assert container.pack(parsed, WRITERS[parsed.coding](tensors), container.pack_chunks(chunks)) == data


@pytest.mark.parametrize("name", ["plain", "drawn_coding1", "described"])
def test_every_truncation_and_bit_flip_of_a_vector(name: str) -> None:
    data = _vector(name)
    for length in range(len(data)):
        with pytest.raises(FormatError):
            pillow_inr.decode(data[:length])
    for bit in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(FormatError):
            pillow_inr.decode(bytes(damaged))


@pytest.mark.parametrize("name", ["plain", "plain_coding1", "grey16", "described"])
def test_bit_flips_under_a_repaired_checksum(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 300)
    data = _vector(name)
    # The header from the image's size on, payloads of the plain vectors, all chunks.
    header_bytes = container.read_header(data)[1]
    payload_end = header_bytes + container.read_header(data)[0].payload_bytes
    flipped_end = payload_end if name.startswith("plain") else header_bytes + 12
    for byte, bit in product((*range(8, flipped_end), *range(payload_end, len(data) - 4)), range(8)):
        damaged = bytearray(data)
        damaged[byte] ^= 1 << bit
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", Image.DecompressionBombWarning)
                Image.open(io.BytesIO(with_checksum(bytes(damaged))))
            assert pillow_inr.decode(with_checksum(bytes(damaged))).dtype.name in container.DTYPES
        except (FormatError, OSError, Image.DecompressionBombError):
            continue


def test_too_much_work_is_refused_before_any_is_done() -> None:
    huge = header(size=(9000, 9000), frequencies=32, width=1024, depth=15, payload_bytes=28)
    shapes = Architecture.of(huge).shapes
    payload = entropy.encode_tensors([entropy.CodedTensor(np.zeros(shape, np.int32), 144) for shape in shapes])
    assert len(payload) == huge.payload_bytes
    with pytest.raises(FormatError, match="multiplications"):
        pillow_inr.decode(container.pack(huge, payload))
    with pytest.raises(ValueError, match="too large for an image"):
        codec.encode(np.broadcast_to(np.uint8(0), (9000, 9000, 3)), EncodeOptions(width=1024, depth=15))


def test_memory_does_not_follow_a_long_side() -> None:
    """Features and activations of one row of 2^24 pixels would take gigabytes."""
    long = header(size=(2**22, 1), frequencies=32, width=64, depth=1, payload_bytes=8)
    payload = entropy.encode_tensors(
        [entropy.CodedTensor(np.zeros(shape, np.int32), 144) for shape in Architecture.of(long).shapes]
    )
    data = container.pack(header(**{**vars(long), "payload_bytes": len(payload)}), payload)
    tracemalloc.start()
    pillow_inr.decode(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 * 2**22 + 60e6


@pytest.mark.parametrize(
    ("array", "match"),
    [
        (np.zeros((2, 2, 3), np.int32), "uint8, uint16 or float32, got int32"),
        (np.zeros((2, 2, 65), np.uint8), r"\(2, 2, 65\)"),
        (np.zeros((2, 2, 0), np.uint8), r"\(2, 2, 0\)"),
        (np.full((2, 2), np.nan, np.float32), "finite"),
        (np.full((2, 2), 1e300), "finite"),
        (np.zeros((2,), np.uint8), r"\(2,\)"),
        (np.zeros((0, 2, 3), np.uint8), "empty"),
    ],
)
def test_arrays_that_are_no_images_are_refused(array: np.ndarray, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        codec.encode(array, EncodeOptions())


def test_without_tensorflow_the_error_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pillow_inr.fit", None)
    monkeypatch.delattr(pillow_inr, "fit", raising=False)
    with pytest.raises(BackendError, match="Keras on TensorFlow"):
        codec.encode(gradient(4, 4), EncodeOptions())


@pytest.mark.keras
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("encoding", ["fourier", "none"])
def test_round_trip(channels: int, encoding: str) -> None:
    image = gradient(23, 17, channels)
    decoded = pillow_inr.decode(codec.encode(image, EncodeOptions(encoding=encoding, **{**QUICK, "steps": 400})))
    assert decoded.shape == image.shape
    assert psnr(image, decoded) > 15


@pytest.mark.keras
def test_bytes_agree_with_the_last_report() -> None:
    reports: list[tuple[int, int, float, float]] = []
    image = gradient(64, 48)
    options = EncodeOptions(width=12, depth=3, steps=300, progress=lambda *report: reports.append(report))
    data = codec.encode(image, options)
    estimated = reports[-1][3] * 64 * 48 / 8
    # The estimate knows one Laplace model a tensor, not what coding 1 saves beyond it: most in small networks.
    assert -0.01 * len(data) - 8 <= estimated - len(data) <= 0.15 * len(data) + 8
    assert reports[-1][2] == pytest.approx(psnr(image, pillow_inr.decode(data)), abs=2.0)


@pytest.mark.keras
@pytest.mark.parametrize("size", [(1, 1), (3, 3), (1, 700), (700, 1)])
def test_tiny_and_thin_images(size: tuple[int, int]) -> None:
    image = gradient(*size)
    decoded = pillow_inr.decode(codec.encode(image, EncodeOptions(effort=1)))
    assert decoded.shape == image.shape
    assert psnr(image, decoded) > 30


@pytest.mark.keras
@pytest.mark.parametrize("level", [0, 100, 255])
def test_flat_images(level: int) -> None:
    image = np.full((60, 90, 3), level, np.uint8)
    assert psnr(image, pillow_inr.decode(codec.encode(image, EncodeOptions(width=16, depth=3, effort=2)))) > 40


@pytest.mark.keras
def test_a_bright_screenshot_does_not_collapse() -> None:
    image = np.full((120, 200, 3), 255, np.uint8)
    image[20:24, 10:150] = 30
    image[60:90, 40:120] = (220, 235, 255)
    assert image.mean() > 225
    decoded = pillow_inr.decode(codec.encode(image, EncodeOptions(width=24, depth=3, effort=3)))
    constant = np.broadcast_to(np.rint(image.mean((0, 1))).astype(np.uint8), image.shape)
    assert psnr(image, decoded) > psnr(image, constant) + 5


@pytest.mark.keras
def test_fully_transparent_parts_keep_their_place() -> None:
    image = np.zeros((60, 80, 4), np.uint8)
    image[15:45, 20:60] = (200, 60, 90, 255)
    decoded = pillow_inr.decode(codec.encode(image, EncodeOptions(width=24, depth=3, effort=3)))
    assert (decoded[2:12, :, 3] < 64).all()
    assert (decoded[22:38, 28:52, 3] > 192).all()


@dataclass
class FakeFitted:
    """As `training.Fitted`, which needs TensorFlow."""

    weights: list[np.ndarray]
    steps: list[float]
    psnr_db: float
    rate_bits: float
    differences: list[bool]


class FakeFit:
    """In place of the module `fit`: weights at random, so that what the codec does with them can be seen quickly."""

    def __init__(self, seed: int, spread: float = 1.0, differences: bool = False) -> None:
        self.rng = np.random.default_rng(seed)
        self.spread = spread
        self.differences = differences
        self.Fitted = FakeFitted
        self.Budget = namedtuple("Budget", "bytes coded_bytes")
        self.arguments: dict[str, Any] = {}

    def fit(self, image: np.ndarray, architecture: Architecture, **arguments: Any) -> FakeFitted:
        self.arguments = arguments
        weights = [self.rng.laplace(0, self.spread, shape).astype(np.float32) for shape in architecture.shapes]
        steps = [2.0 ** self.rng.uniform(-6, -1) for _ in weights]
        differences = [self.differences and bool(self.rng.integers(2)) for _ in weights]
        return FakeFitted(weights, steps, 30.0, 1000.0, differences)


def _least_bytes(image: np.ndarray, monkeypatch: pytest.MonkeyPatch, **options: Any) -> int:
    monkeypatch.setattr(codec, "_fitting", lambda: FakeFit(0))
    with pytest.raises(ValueError, match=r"at least \d+ bytes, got a target of 1$") as error:
        codec.encode(image, EncodeOptions(target_bytes=1, **options))
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
        monkeypatch.setattr(codec, "_fitting", lambda seed=seed: FakeFit(seed, spread=10.0 ** (seed % 3 - 1)))
        data = codec.encode(image, EncodeOptions(target_bytes=budget, **options))
        assert len(data) <= budget
        assert pillow_inr.decode(data).shape == image.shape


def test_the_least_size_is_exact_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    image = gradient(200, 130)
    least = _least_bytes(image, monkeypatch)
    assert 30 < least < 100
    monkeypatch.setattr(codec, "_fitting", lambda: FakeFit(0, spread=0.0))
    assert len(codec.encode(image, EncodeOptions(target_bytes=least))) <= least
    with pytest.raises(ValueError, match=f"at least {least} bytes, got a target of {least - 1}"):
        codec.encode(image, EncodeOptions(target_bytes=least - 1))
    with pytest.raises(ValueError, match=f"at least {least} bytes, got a target of 1$"):
        codec.encode(image, EncodeOptions(bpp=1e-6))


def test_a_budget_holds_the_chunk_of_an_initialization_too(monkeypatch: pytest.MonkeyPatch) -> None:
    architecture = Architecture(width=6, depth=2, channels=3, frequencies=4, growth=140)
    rng = np.random.default_rng(1)
    init = Initialization(architecture, tuple(rng.normal(0, 0.1, shape) for shape in architecture.shapes))
    monkeypatch.setattr(initialization, "_registered", {init.identity: init})
    image = gradient(40, 30)
    least = _least_bytes(image, monkeypatch, init=init)
    for seed in range(8):
        monkeypatch.setattr(codec, "_fitting", lambda seed=seed: FakeFit(seed, differences=True))
        data = codec.encode(image, EncodeOptions(init=init, target_bytes=least + 20 * seed))
        assert len(data) <= least + 20 * seed
        assert pillow_inr.decode(data).shape == image.shape


def test_what_fits_is_coded_as_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    architecture = Architecture(width=12, depth=3, channels=3, frequencies=8, growth=140)
    fitted = FakeFit(3).fit(gradient(4, 4), architecture)
    usual = codec._coded(fitted)
    assert codec._coded_within(fitted, None, len(usual)) == usual
    assert codec._coded_within(fitted, None, 10**9) == usual
    # A little less room: weights are rounded towards zero, the steps stay.
    shorter = codec._coded_within(fitted, None, len(usual) - 4)
    assert 0.95 * len(usual) < len(shorter) < len(usual)
    before, after = (
        list(entropy.decode_tensors(payload, architecture.shapes, container.CODING_SHAPED))
        for payload in (usual, shorter)
    )
    assert [tensor.step_index for tensor in before] == [tensor.step_index for tensor in after]
    # Much less: coarser steps, as fine as the room allows.
    for share in (0.7, 0.4, 0.2):
        limit = int(share * len(usual))
        assert 0.6 * limit < len(codec._coded_within(fitted, None, limit)) <= limit


def test_rounding_and_coarser_steps_shorten() -> None:
    architecture = Architecture(width=12, depth=3, channels=3, frequencies=8, growth=140)
    fitted = FakeFit(4).fit(gradient(4, 4), architecture)
    rounded = [len(codec._coded(fitted, rounding=rounding)) for rounding in (0.5, 0.6, 0.7, 0.8, 1.0)]
    assert rounded == sorted(rounded, reverse=True)
    coarser = [len(codec._coded(fitted, coarser=coarser)) for coarser in (0, 4, 8, 16, 32, 64, 255)]
    assert coarser == sorted(coarser, reverse=True)
    assert coarser[-1] < 40


@pytest.mark.keras
def test_budgets_are_kept_by_short_fits() -> None:
    rng = np.random.default_rng(5)
    smooth = gradient(32, 32)
    for seed, budget in enumerate((60, 75, 100, 75, 400, 400)):
        height = int(rng.integers(17, 33))  # one side stays, so that few networks are compiled
        noise = rng.integers(0, 256, (height, 32, 3), dtype=np.uint8)
        image = noise if seed % 2 else smooth[:height]
        data = codec.encode(image, EncodeOptions(target_bytes=budget, steps=60, seed=seed))
        assert len(data) <= budget
        assert pillow_inr.decode(data).shape == image.shape


class FakeSearch:
    """In place of `_encode_plan`: PSNR and bytes follow from a plan's weights."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, at_1000: float, per_doubling: float, limit: float = 99) -> None:
        self.at_1000, self.per_doubling, self.limit = at_1000, per_doubling, limit
        self.weights: list[int] = []
        self.deadlines: list[float | None] = []
        monkeypatch.setattr(codec, "_encode_plan", self.encode_plan)

    def psnr(self, weights: int) -> float:
        return min(self.at_1000 + self.per_doubling * math.log2(weights / 1000), self.limit)

    def encode_plan(
        self, image: np.ndarray, plan: Plan, options: EncodeOptions, deadline: float | None
    ) -> codec._Encoded:
        self.weights.append(plan.weights)
        self.deadlines.append(deadline)
        assert plan.budget_bytes is None
        return codec._Encoded(bytes(plan.weights), plan.weights, self.psnr(plan.weights))

    def encode(self, goal: float, **options: Any) -> bytes:
        image = np.broadcast_to(np.uint8(0), (512, 768, 3))
        return codec.encode(image, EncodeOptions(psnr=goal, **options))


@pytest.mark.parametrize("per_doubling", [2.0, 2.3, 3.0])
@pytest.mark.parametrize("goal", [26.0, 28.0, 30.0, 31.5, 33.0])
def test_a_psnr_is_reached_by_the_smallest_of_the_trials(
    goal: float, per_doubling: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = FakeSearch(monkeypatch, 30 - 3 * per_doubling, per_doubling)
    weights = len(search.encode(goal))
    assert len(search.weights) <= codec.PSNR_FITS
    assert weights == min(tried for tried in search.weights if search.psnr(tried) >= goal)
    assert search.psnr(weights) < goal + 1.5


def test_a_psnr_met_at_once_takes_one_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    search = FakeSearch(monkeypatch, 30, 2.0)
    usual = make_plan(EncodeOptions(), (768, 512), 3).weights
    assert len(search.encode(search.psnr(usual) - codec.PSNR_TOLERANCE / 2)) == usual
    assert search.weights == [usual]


def test_a_width_just_below_the_goal_does_not_end_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    search = FakeSearch(monkeypatch, 30, codec.DB_PER_DOUBLING)
    usual = make_plan(EncodeOptions(), (768, 512), 3).weights
    goal = search.psnr(usual) + 0.05  # so little above that the same width comes up again
    assert len(search.encode(goal)) > usual
    assert len(search.weights) == 2


def test_a_psnr_out_of_reach_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    search = FakeSearch(monkeypatch, 20, 2.0, limit=31.25)
    with pytest.warns(UserWarning, match=r"psnr=40 dB was not reached: the file has 31\.25 dB"):
        data = search.encode(40)
    assert search.psnr(len(data)) == 31.25
    assert len(search.weights) == len(set(search.weights)) <= codec.PSNR_FITS


def test_a_psnr_below_what_the_smallest_network_has_ends_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    search = FakeSearch(monkeypatch, 30, 0.0)
    data = search.encode(5)
    assert len(data) == min(search.weights)
    assert len(search.weights) == len(set(search.weights))


def test_a_time_limit_becomes_a_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeFit(0)
    monkeypatch.setattr(codec, "_fitting", lambda: fake)
    start = time.perf_counter()
    codec.encode(gradient(20, 10), EncodeOptions(time_limit=50))
    # Less what measuring the PSNR will take, which is next to nothing here.
    assert start + 49.9 <= fake.arguments["deadline"] <= time.perf_counter() + 50
    codec.encode(gradient(20, 10), EncodeOptions())
    assert fake.arguments["deadline"] is None
    assert fake.arguments["budget"] is None


def test_the_search_for_a_psnr_shares_the_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    search = FakeSearch(monkeypatch, 20, 2.0, limit=25)
    start = time.perf_counter()
    with pytest.warns(UserWarning):
        search.encode(40, time_limit=80)
    shares = [deadline - start for deadline in search.deadlines if deadline is not None]
    # The fakes take no time: the first fit gets a quarter, the second a third of the rest, the last all of it.
    assert shares == pytest.approx([80 / left for left in range(codec.PSNR_FITS, 0, -1)][: len(shares)], abs=1)
    assert max(shares) <= 80 + 1


@pytest.mark.keras
def test_a_psnr_is_searched_for_by_fits() -> None:
    image = gradient(40, 30)
    # Not pytest.warns: that raises TensorFlow's own warnings, which pyproject.toml has ignored.
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        warnings.filterwarnings("always", "psnr=")
        data = codec.encode(image, EncodeOptions(psnr=90, steps=20, depth=1))
    reached = psnr(image, pillow_inr.decode(data))
    assert [str(warning.message) for warning in caught] == [
        f"psnr=90 dB was not reached: the file has {reached:.2f} dB"
    ]
