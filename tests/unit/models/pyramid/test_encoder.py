"""The pyramid's encoder: files of all kinds of samples, goals, tiles, collapse; with a fake in place of the fit."""

import io
import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import pillow_inr
from pillow_inr import codec
from pillow_inr.encoding.source_image import SourceImage
from pillow_inr.format.metadata import Metadata, read_psnr
from pillow_inr.models.pyramid import encoder as pyramid_encoder
from pillow_inr.models.pyramid import plan as pyramid_plan
from pillow_inr.models.pyramid import tile_fits
from pillow_inr.models.pyramid.model import StoredPyramid
from pillow_inr.models.siren import plan as siren_plan
from pillow_inr.models.siren import simple as siren_simple
from pillow_inr.options import EncodeOptions, rd_lambda
from tests.support import container
from tests.support.checks import QUICK, gradient, psnr
from tests.support.fits import SIZE, no_compiling  # noqa: F401
from tests.support.pyramid_checks import FakeFit


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeFit:
    """The fit is a fake, and its random files count as no failure."""
    found = FakeFit()
    monkeypatch.setattr(SourceImage, "is_failed_fit", lambda *_: False)
    monkeypatch.setattr(tile_fits, "_load_fit", lambda: found.fit)
    monkeypatch.setattr(pyramid_encoder, "COLLAPSE_DB", -1000.0)
    return found


def pyramid(**options: Any) -> EncodeOptions:
    return EncodeOptions(model="pyramid", **{"steps": 10, **options})


IMAGES: dict[str, NDArray[Any]] = {
    **{f"{channels} channels": gradient(23, 17, channels)[..., :channels] for channels in (2, 3, 4)},
    "grey": gradient(23, 17, 1)[..., 0],
    "an axis of one channel": gradient(23, 17, 1),
    "16 bits": gradient(23, 17, 1)[..., 0].astype(np.uint16) * 200,
    "floating point": gradient(23, 17, 3).astype(np.float32) / 7 - 3,
    "seven channels": np.repeat(gradient(23, 17, 1), 7, axis=2).astype(np.float32),
    "one pixel": gradient(1, 1),
    "one row": gradient(300, 1),
    "one column": gradient(1, 300),
}


@pytest.mark.parametrize("name", IMAGES)
def test_files_of_all_samples(name: str, fake: FakeFit) -> None:
    image = IMAGES[name]
    data = codec.encode(image, pyramid())
    header, _, chunks = container.unpack(data)
    assert (header.model.number, header.model.tile, header.shape) == (
        container.MODEL_PYRAMID,
        container.TILE_NONE,
        image.shape,
    )
    decoded = pillow_inr.decode(data)
    assert (decoded.shape, decoded.dtype) == (image.shape, image.dtype)
    if image.dtype == np.uint8:
        assert read_psnr(chunks) == pytest.approx(max(psnr(image, decoded), 0.0), abs=0.006)
    assert fake.calls[0]["shape"] == (*image.shape[:2], header.channels)
    assert fake.calls[0]["scale"].to_normalized(image.reshape(*image.shape[:2], -1)).max() <= 1


def test_metadata_go_along(fake: FakeFit) -> None:
    data = codec.encode(gradient(8, 8), pyramid(), Metadata(comment=b"hello"))
    assert Metadata.from_chunks(container.unpack(data)[2]).comment == b"hello"


def test_bits_of_tiny_images_are_not_as_dear(fake: FakeFit) -> None:
    codec.encode(gradient(16, 32), pyramid(quality=50))
    assert fake.calls[0]["rd_lambda"] == pytest.approx(1e-3 / 8)


def test_quality_effort_and_seed_reach_the_fit(fake: FakeFit) -> None:
    codec.encode(gradient(80, 70), EncodeOptions(model="pyramid", quality=100, effort=3, seed=9, device="CPU:0"))
    call = fake.calls[0]
    assert call["rd_lambda"] == pytest.approx(5e-5 / 32)
    assert (call["seed"], call["device"], call["deadline"], call["report"]) == (9, "CPU:0", None, None)
    assert call["steps"] == round(pyramid_plan.SMALL_FACTOR_MAX * pyramid_plan.EFFORT_STEPS[3])
    assert call["base_index"] == pyramid_plan.base_index_for(5e-5 / 32) + pyramid_plan.ANALYSED_BASES


@pytest.mark.parametrize(
    ("quality", "steps", "base_index"),
    [(50, 25, 9), (50, 200, 9), (50, 201, 2), (88, 25, 10), (97, 25, 13), (97, 300, 6)],
)
def test_short_fits_begin_with_the_base_weights_of_the_analysis_network(
    quality: int, steps: int, base_index: int, fake: FakeFit
) -> None:
    codec.encode(gradient(80, 70), pyramid(quality=quality, steps=steps))
    (call,) = fake.calls
    assert call["base_index"] == base_index
    assert (call["latents"] is None) == (base_index < pyramid_plan.ANALYSED_BASES)


def test_images_that_the_analysis_network_does_not_know_get_more_steps(fake: FakeFit) -> None:
    bands = np.repeat(gradient(400, 300), 2, axis=2)
    for effort, steps in ((0, 50), (1, 50), (5, 181)):
        codec.encode(bands, EncodeOptions(model="pyramid", effort=effort))
        assert (fake.calls[-1]["steps"], fake.calls[-1]["latents"]) == (steps, None)
    codec.encode(bands, pyramid(steps=3))
    assert fake.calls[-1]["steps"] == 3


def _least_bytes(image: NDArray[Any]) -> int:
    with pytest.raises(ValueError, match=r"at least \d+ bytes, got a target of 1$") as error:
        codec.encode(image, pyramid(target_bytes=1))
    return int(str(error.value).split("at least ")[1].split()[0])


@pytest.mark.parametrize("spread", [0.0, 0.01, 1.0, 100.0])
def test_a_budget_is_kept_whatever_the_fit_returns(spread: float, fake: FakeFit) -> None:
    fake.spread = spread
    image = gradient(60, 50)
    least = _least_bytes(image)
    for budget in (least, least + 1, least + 7, 2 * least, 1000, 4000):
        data = codec.encode(image, pyramid(target_bytes=budget))
        assert len(data) <= budget
        assert pillow_inr.decode(data).shape == image.shape
    assert least < 60


def test_a_budget_is_used(fake: FakeFit) -> None:
    image = gradient(80, 70)
    for budget in (2500, 4000, 8000):
        assert 0.6 * budget < len(codec.encode(image, pyramid(target_bytes=budget))) <= budget
    assert 0.6 < len(codec.encode(image, pyramid(bpp=4))) * 8 / (80 * 70 * 4) <= 1


def test_a_psnr_is_searched_for(fake: FakeFit, monkeypatch: pytest.MonkeyPatch) -> None:
    def mse(*_: object) -> float:
        psnr_db = 30 - 2.5 * np.log(fake.calls[-1]["rd_lambda"] / 1e-3)
        return float(10 ** (-psnr_db / 10))

    monkeypatch.setattr(StoredPyramid, "sampled_mse", mse)
    for goal in (26.0, 30.0, 35.0):
        data = codec.encode(gradient(40, 30), pyramid(psnr=goal))
        assert goal <= (read_psnr(container.unpack(data)[2]) or 0) + 0.005 < goal + 0.6
    with pytest.warns(UserWarning, match="psnr=90 dB was not reached"):
        codec.encode(gradient(40, 30), pyramid(psnr=90))


def test_a_time_limit_becomes_a_deadline(fake: FakeFit) -> None:
    start = time.perf_counter()
    codec.encode(gradient(20, 10), EncodeOptions(model="pyramid", time_limit=50))
    assert start + 49.9 <= fake.calls[0]["deadline"] <= time.perf_counter() + 50
    assert fake.calls[0]["steps"] == pyramid_plan.TIMED_STEPS_MAX


@pytest.fixture
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pyramid_plan, "WHOLE_PIXELS", 256 * 256)
    monkeypatch.setattr(pyramid_plan, "TILE_LOG2", 8)


def test_tiles(fake: FakeFit, small_tiles: None) -> None:
    reports: list[tuple[int, int]] = []
    image = gradient(520, 300)
    data = codec.encode(image, pyramid(time_limit=100, progress=lambda step, steps, *_: reports.append((step, steps))))
    header = container.read_header(data)[0]
    assert (header.model.tile, header.model.tiles(header.size)) == (8, (3, 2))
    shapes_ = [call["shape"] for call in fake.calls]
    assert shapes_ == [(256, 256, 3), (256, 256, 3), (256, 8, 3), (44, 256, 3), (44, 256, 3), (44, 8, 3)]
    # The first one tells what is known before a fit.
    assert reports == [(0, 60), *((10 * tile + step, 60) for tile in range(6) for step in (1, 10))]
    # The time is shared by pixels: the fakes take none of it.
    now = time.perf_counter()
    assert fake.calls[0]["deadline"] - now == pytest.approx(100 * 256 * 256 / (520 * 300), abs=3)
    assert fake.calls[-1]["deadline"] - now == pytest.approx(100, abs=3)
    whole = pillow_inr.decode(data)
    assert whole.shape == image.shape
    assert read_psnr(container.unpack(data)[2]) == pytest.approx(psnr(image, whole), abs=0.006)
    np.testing.assert_allclose(pillow_inr.decode(data, box=(200, 100, 400, 280)), whole[100:280, 200:400], atol=1)


def test_large_images_carry_a_preview(fake: FakeFit, small_tiles: None, monkeypatch: pytest.MonkeyPatch) -> None:
    image = gradient(600, 300)
    assert container.unpack(codec.encode(image, pyramid()))[2][0].kind != container.CHUNK_PREVIEW
    monkeypatch.setattr(pyramid_encoder, "PREVIEW_FROM", 600 * 300 - 1)
    fake.calls.clear()
    data = codec.encode(image, pyramid(steps=1000))
    header, _, chunks = container.unpack(data)
    assert header.model.tile and [chunk.kind for chunk in chunks].count(container.CHUNK_PREVIEW) == 1
    (preview,) = (chunk.data for chunk in chunks if chunk.kind == container.CHUNK_PREVIEW)
    small = pillow_inr.decode(preview)
    assert small.shape == (256, 512, 3)
    first, *others = fake.calls
    assert (first["shape"], first["steps"]) == ((256, 512, 3), 200)
    assert {first["rd_lambda"] / call["rd_lambda"] for call in others} == {4.0}
    with Image.open(io.BytesIO(data)) as opened, Image.open(io.BytesIO(preview)) as shown:
        opened.thumbnail((64, 64))
        shown.load()
        shown.thumbnail((64, 64), reducing_gap=None)
        np.testing.assert_array_equal(np.asarray(opened), np.asarray(shown))
    assert {call["steps"] for call in others} == {1000}


def test_a_reduced_picture_is_made_of_means() -> None:
    image = gradient(120, 80).astype(np.uint16) * 99
    small = SourceImage.of(image, Metadata(comment=b"long")).reduced((30, 10))
    assert (small.size, small.samples.dtype, small.metadata) == ((30, 10), np.uint16, Metadata())
    means = image.reshape(10, 8, 30, 4, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(small.samples, means, atol=2)


def test_budgets_of_tiled_images(fake: FakeFit, small_tiles: None) -> None:
    image = gradient(520, 300)
    least = _least_bytes(image)
    for budget in (least, 3 * least, 20_000):
        assert len(codec.encode(image, pyramid(target_bytes=budget))) <= budget


def _stripes() -> NDArray[np.uint8]:
    return np.repeat(np.tile([0, 255], 20)[:, None], 30, axis=1).astype(np.uint8)


def test_a_collapsed_fit_is_made_again(fake: FakeFit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pyramid_encoder, "COLLAPSE_DB", 3.0)
    codec.encode(_stripes(), pyramid(seed=2**31 - 1))
    assert [call["seed"] for call in fake.calls] == [2**31 - 1, 0]


@pytest.mark.parametrize(
    ("image", "options"),
    [
        (np.full((40, 30), 77, np.uint8), {}),
        # Not flat, but what it holds is not worth its bits.
        (np.tile(np.uint8([100, 101]), (40, 15)), {"quality": 1}),
    ],
)
def test_what_is_flat_does_not_collapse(
    image: NDArray[Any], options: dict[str, Any], fake: FakeFit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pyramid_encoder, "COLLAPSE_DB", 3.0)
    codec.encode(image, pyramid(**options))
    assert len(fake.calls) == 1


def test_memory_of_the_fit_is_that_of_a_tile(fake: FakeFit, small_tiles: None) -> None:
    """The fit sees no more than a tile; measuring the PSNR decodes regions."""
    boxes: list[Any] = []
    original: Callable[..., Any] = StoredPyramid.pixels

    def pixels(self: Any, size: Any = None, box: Any = None) -> Any:
        boxes.append(box)
        return original(self, size, box)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StoredPyramid, "pixels", pixels)
        patch.setattr("pillow_inr.encoding.source_image._REGION_SIDE", 256)
        codec.encode(gradient(520, 300), pyramid())
    assert boxes[0] == (0, 0, 256, 256)
    assert len(boxes) == 6


# Fits of three channels, which are compiled once; others run as they are.
@pytest.mark.keras
@pytest.mark.slow
def test_round_trip_through_a_fit() -> None:
    image = gradient(40, 30)
    short = codec.encode(image, pyramid(steps=5))
    longer = codec.encode(image, pyramid(steps=150))
    assert psnr(image, pillow_inr.decode(longer)) > max(psnr(image, pillow_inr.decode(short)), 30)
    assert codec.encode(image, pyramid(steps=5)) == short
    assert codec.encode(image, pyramid(steps=5, seed=1)) != short


@pytest.mark.keras
@pytest.mark.slow
def test_bytes_and_psnr_agree_with_the_last_report() -> None:
    reports: list[tuple[int, int, float, float]] = []
    image = gradient(40, 30)
    data = codec.encode(image, pyramid(steps=100, progress=lambda *report: reports.append(report)))
    step, steps, psnr_db, bpp = reports[-1]
    assert step == steps == 100
    assert bpp * 40 * 30 / 8 == pytest.approx(len(data), abs=60)  # frame, mask and scale indices
    assert psnr_db == pytest.approx(psnr(image, pillow_inr.decode(data)), abs=0.2)


@pytest.mark.keras
@pytest.mark.slow
def test_goals_are_met_by_fits() -> None:
    image = gradient(40, 30)
    for budget in (100, 300):
        assert len(codec.encode(image, pyramid(target_bytes=budget, steps=20))) <= budget
    assert psnr(image, pillow_inr.decode(codec.encode(image, pyramid(psnr=25, steps=20)))) >= 25


@pytest.mark.keras
@pytest.mark.slow
@pytest.mark.usefixtures("no_compiling")
@pytest.mark.parametrize("channels", [1, 4, 6])
def test_fits_of_other_channels(channels: int) -> None:
    image = np.repeat(gradient(40, 30, 2), 3, axis=2)[..., :channels].astype(np.float32)
    decoded = pillow_inr.decode(codec.encode(image, pyramid(steps=100)))
    assert decoded.shape == image.shape
    assert psnr(image, decoded) > 20


@pytest.mark.keras
@pytest.mark.slow
def test_auto_fits_both_models_to_a_small_image(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(siren_plan, "DEFAULT_DEPTH", QUICK["depth"])
    monkeypatch.setattr(siren_simple, "SIMPLE_WIDTHS", (8,))
    monkeypatch.setattr(siren_plan, "QUALITY_WIDTHS", (8, 8))
    image = gradient(*SIZE)
    options = {"steps": 60, "quality": 40}
    cost = []
    for model in ("pyramid", "siren", "auto"):
        data = codec.encode(image, EncodeOptions(model=model, **options))
        error = 10 ** (-psnr(image, pillow_inr.decode(data)) / 10)
        cost.append(error + rd_lambda(EncodeOptions(**options), 3) * 8 * len(data) / math.prod(SIZE))
    assert cost[2] == pytest.approx(min(cost[:2]))
