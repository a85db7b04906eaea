"""Effort 0: pyramids without a fit."""

import io
import subprocess
import sys
import threading
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

import pillow_inr
from pillow_inr import codec
from pillow_inr.encoding.source_image import SourceImage
from pillow_inr.format.metadata import Metadata
from pillow_inr.models.pyramid import instant, tile_fits
from pillow_inr.models.pyramid import plan as pyramid_plan
from pillow_inr.models.pyramid.plan import EFFORT_STEPS
from pillow_inr.options import EncodeOptions
from pillow_inr.runtime import threads
from tests.support import container
from tests.support.checks import SAMPLES, psnr
from tests.support.pyramid_checks import FakeFit


def photograph(size: tuple[int, int] = (150, 110)) -> NDArray[np.uint8]:
    with Image.open(SAMPLES / "kodim15.png") as opened:
        return np.asarray(opened.crop((300, 100, 300 + size[0], 100 + size[1])))


def instantly(image: NDArray[Any], **options: Any) -> bytes:
    return codec.encode(image, EncodeOptions(effort=0, **options))


@pytest.fixture(autouse=True)
def no_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise AssertionError("a fit was made")

    monkeypatch.setattr(tile_fits, "_load_fit", fail)


def test_neither_tensorflow_nor_keras_is_imported() -> None:
    script = (
        "import sys; from PIL import Image; import pillow_inr\n"
        f"Image.open({str(SAMPLES / 'kodim15.png')!r}).crop((0, 0, 40, 30)).save('/dev/null', 'INR', effort=0)\n"
        "print([name for name in ('tensorflow', 'keras', 'rich', 'click') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_a_higher_quality_shows_more_in_more_bytes() -> None:
    image = photograph()
    files = [instantly(image, quality=quality) for quality in (10, 30, 50, 70, 90)]
    quality = [psnr(image, pillow_inr.decode(data)) for data in files]
    assert quality == sorted(quality)
    assert [len(data) for data in files] == sorted(len(data) for data in files)
    assert quality[2] > 29


def test_the_file_says_what_it_is_and_how_near() -> None:
    image = photograph()
    with Image.open(io.BytesIO(instantly(image))) as opened:
        assert opened.info["psnr"] == pytest.approx(psnr(image, np.asarray(opened)), abs=0.01)
        assert opened.info["model"] == "pyramid"


@pytest.mark.parametrize(
    "image",
    [
        photograph((64, 40)).mean(axis=2).astype(np.uint8),
        photograph((1, 1)),
        photograph((300, 1)),
        photograph((50, 41)).astype(np.uint16) * 257,
        photograph((50, 41)).astype(np.float32) / 255,
        np.dstack([photograph((50, 41)), np.full((41, 50), 255, np.uint8)]),
    ],
    ids=["grey", "one pixel", "one row", "16 bits", "floating point", "opaque"],
)
def test_images_of_all_kinds(image: NDArray[Any]) -> None:
    shown = pillow_inr.decode(instantly(image))
    assert shown.shape == image.shape
    assert shown.dtype == image.dtype
    largest = float(np.max(image))
    assert np.abs(shown.astype(float) - image).mean() < 0.15 * largest
    if image.shape[-1] == 4:
        assert (shown[..., 3] == 255).all()


@pytest.mark.parametrize("kind", ["transparent", "translucent", "bands"])
def test_what_the_network_does_not_know_is_fitted(kind: str) -> None:
    colours = photograph((20, 16))
    alpha = np.full((16, 20), 200 if kind == "translucent" else 255, np.uint8)
    alpha[3, 4] = 0 if kind == "transparent" else alpha[3, 4]
    image = np.repeat(colours, 2, axis=2).astype(np.float32) if kind == "bands" else np.dstack([colours, alpha])
    with pytest.raises(AssertionError, match="a fit was made"):
        instantly(image, model="pyramid")


def test_steps_ask_for_a_fit() -> None:
    with pytest.raises(AssertionError, match="a fit was made"):
        instantly(photograph((20, 16)), model="pyramid", steps=3)


def test_goals_are_met_by_trials() -> None:
    image = photograph()
    small = instantly(image, target_bytes=1500)
    assert 1000 < len(small) <= 1500
    good = instantly(image, psnr=31.0)
    assert 31.0 <= psnr(image, pillow_inr.decode(good)) < 33.5


def test_tiles_are_those_of_their_parts_and_the_same_on_any_number_of_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pyramid_plan, "WHOLE_PIXELS", 100)
    monkeypatch.setattr(pyramid_plan, "TILE_LOG2", 8)
    image = photograph((300, 280))
    reports: list[tuple[int, int, float, float]] = []
    data = instantly(image, progress=lambda *report: reports.append(report))
    assert container.open_model(data).header.model.tile == 8
    assert [report[:2] for report in reports] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert reports[-1][2] == pytest.approx(psnr(image, pillow_inr.decode(data)), abs=0.05)
    assert 8 * len(data) / (300 * 280) == pytest.approx(reports[-1][3], rel=0.02)
    monkeypatch.setattr(threads, "_most", 1)
    assert instantly(image) == data


def test_after_an_error_no_thread_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    before = threading.active_count()

    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        instantly(photograph(), progress=fail)
    assert threading.active_count() == before


def test_grey_is_shown_as_well_as_colours() -> None:
    image = photograph()
    grey = np.asarray(Image.fromarray(image).convert("L"))
    of_colours = psnr(image, pillow_inr.decode(instantly(image)))
    assert psnr(grey, pillow_inr.decode(instantly(grey))) > of_colours
    with_alpha = pillow_inr.decode(instantly(np.dstack([grey, np.full_like(grey, 255)])))
    assert psnr(grey, with_alpha[..., 0]) > of_colours
    assert (with_alpha[..., 1] == 255).all()


def test_what_the_network_fails_on_is_fitted() -> None:
    noise = np.random.default_rng(0).integers(0, 2, (64, 64, 3)).astype(np.uint8) * 255
    with pytest.raises(AssertionError, match="a fit was made"):
        instantly(noise, model="pyramid", quality=80)


def test_opaque_and_alpha() -> None:
    def serves(image: NDArray[np.uint8]) -> bool:
        return instant.serves(SourceImage.of(image, Metadata()))

    grey = photograph((5, 4))[..., :1]
    assert serves(grey)
    assert serves(np.dstack([grey, np.full_like(grey, 255)]))
    assert not serves(np.dstack([grey, np.full_like(grey, 254)]))
    assert not serves(np.repeat(grey, 5, axis=2))


def drawing(size: tuple[int, int] = (150, 110)) -> NDArray[np.uint8]:
    image = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(image)
    for line in range(0, size[1], 15):
        draw.text((2, line), "The quick brown fox jumps over", fill=(20, 20, 30))
    return np.asarray(image)


@pytest.mark.parametrize(
    ("image", "drawn"),
    [
        (photograph(), False),
        (photograph()[..., :1], False),
        (drawing(), True),
        (np.zeros((3, 5, 3), np.uint8), True),
        (np.zeros((5, 1, 3), np.uint8), False),
        (np.zeros((1, 1, 1), np.uint8), False),
        (np.repeat(photograph(), 2, axis=1), False),
    ],
    ids=["photograph", "grey", "drawing", "flat", "one column", "one pixel", "enlarged"],
)
def test_drawn_images_are_told_from_photographs(image: NDArray[np.uint8], drawn: bool) -> None:
    assert instant.is_drawn(SourceImage.of(image, Metadata())) == drawn


@pytest.mark.parametrize("effort", [2, 4])
def test_short_fits_of_photographs_alone_begin_with_the_network(effort: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The network makes fits of drawings worse; these get as many steps as fits without it need."""
    for image, begins in ((np.tile(photograph((400, 400)), (2, 3, 1)), True), (drawing((1200, 800)), False)):
        fits = FakeFit()
        monkeypatch.setattr(tile_fits, "_load_fit", lambda fits=fits: fits.fit)
        monkeypatch.setattr(SourceImage, "is_failed_fit", lambda *_: False)
        pillow_inr.encode(image, model="pyramid", effort=effort)
        assert (fits.calls[0]["latents"] is not None) == begins
        assert fits.calls[0]["steps"] == (EFFORT_STEPS[effort] if begins else 50)
