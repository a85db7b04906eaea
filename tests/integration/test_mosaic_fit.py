"""Fits of mosaics: several small networks, one part of the image after another."""

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("tensorflow")

import pillow_inr
from tests.support.checks import psnr
from tests.support.fits import no_compiling  # noqa: F401

pytestmark = pytest.mark.keras


def _half_textured(channels: int = 3) -> np.ndarray:
    """200×150 pixels: flat on the left, waves on the right."""
    x, y = np.meshgrid(np.arange(200), np.arange(150))
    waves = 128 + 60 * np.sin(x * x / 300) * np.cos(y * y / 400) * (x >= 100)
    return np.repeat(np.rint(waves).astype(np.uint8)[..., None], channels, axis=2)


@pytest.mark.usefixtures("no_compiling")
def test_a_mosaic_is_fitted_part_by_part() -> None:
    image = _half_textured()
    reports: list[tuple[int, int]] = []
    data = pillow_inr.encode(
        image, width=10, depth=3, steps=120, quality=70, progress=lambda step, steps, *_: reports.append((step, steps))
    )
    header = pillow_inr.read_header(data)
    assert header.model.networks > 1
    assert psnr(image, pillow_inr.decode(data)) > 25
    # One report for all networks, whose steps add up.
    assert [step for step, _ in reports] == sorted(step for step, _ in reports)
    assert reports[-1] == (120 * header.model.networks, 120 * header.model.networks)
    again = pillow_inr.encode(image, width=10, depth=3, steps=120, quality=70)
    assert again == data
    box = (90, 40, 140, 110)
    region = pillow_inr.decode(data, box=box).astype(int)
    assert np.abs(region - pillow_inr.decode(data)[40:110, 90:140]).max() <= 1


@pytest.mark.usefixtures("no_compiling")
def test_a_mosaic_keeps_its_budget_and_its_transparent_parts() -> None:
    image = _half_textured(4)
    image[..., 3] = 255
    image[:, :110, 3] = 0
    data = pillow_inr.encode(Image.fromarray(image), width=10, depth=3, steps=120, target_bytes=3000)
    assert len(data) <= 3000
    decoded = pillow_inr.decode(data)
    assert pillow_inr.read_header(data).model.networks > 1
    assert (decoded[:, :110] == 0).all()
    assert psnr(image[:, 110:], decoded[:, 110:]) > 18
