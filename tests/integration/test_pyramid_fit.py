import time
from typing import Any

import numpy as np
import pytest
from PIL import Image

import pillow_inr
from pillow_inr.errors import BackendError, FitError
from pillow_inr.imaging.samples import Scale
from tests.support.checks import SAMPLES

pytestmark = pytest.mark.keras

SCALE = Scale("uint8", 3, ((0.0, 255.0),))


def picture(width: int = 50, height: int = 40) -> np.ndarray:
    down, across = np.mgrid[:height, :width] / 8
    values = np.stack([np.sin(down), np.cos(across), np.sin(down + across)], axis=2)
    return np.rint(127 + 100 * values).astype(np.uint8)


def fit(image: np.ndarray, **options: Any) -> Any:
    from pillow_inr.models.pyramid.training import fit as pyramid_fit

    given = {"preset": 0, "base_index": 2, "rd_lambda": 1e-3, "steps": 10, **options}
    return pyramid_fit.fit(image, scale=SCALE, **given)


def test_more_steps_are_better_and_a_fit_is_repeatable() -> None:
    short, again, longer = fit(picture()), fit(picture()), fit(picture(), steps=60)
    assert all(np.array_equal(one, other) for one, other in zip(short.grids, again.grids, strict=True))
    assert longer.psnr_db > short.psnr_db + 3
    assert fit(picture(), seed=1).psnr_db != short.psnr_db


def test_a_higher_lambda_takes_fewer_bits() -> None:
    fine, coarse = (fit(picture(), rd_lambda=weight, steps=60) for weight in (1e-4, 1e-2))
    assert coarse.rate_bits < fine.rate_bits and coarse.psnr_db < fine.psnr_db


@pytest.mark.parametrize("channels", [1, 3])
def test_a_short_fit_gains_on_what_the_analysis_network_finds(channels: int) -> None:
    with Image.open(SAMPLES / "kodim15.png") as opened:
        crop = np.asarray(opened.crop((300, 100, 556, 292)))
    image = crop if channels == 3 else crop[..., 1]

    def loss(**options: Any) -> float:
        data = pillow_inr.encode(image, model="pyramid", quality=50, **options)
        mse = np.square((pillow_inr.decode(data) - image.astype(float)) / 255).mean()
        return float(mse + 1e-3 * 8 * len(data) / (256 * 192))

    without = loss(effort=0)
    assert loss(steps=6) < without
    assert loss(steps=25) < 0.97 * without


def test_bright_and_flat_images_do_not_collapse() -> None:
    for value in (255, 0):
        image = np.full((40, 50, 3), value, np.uint8)
        image[10:12, 5:45] = 255 - value
        mean = ((image - image.mean((0, 1))) ** 2).mean()
        assert fit(image, steps=80, rd_lambda=2e-4).psnr_db > 10 * np.log10(255**2 / mean) + 5


def test_a_deadline_ends_the_fit() -> None:
    fit(picture())  # compiles
    reports: list[tuple[int, int, float, float]] = []
    started = time.perf_counter()
    fitted = fit(picture(), steps=100_000, deadline=started + 1.0, report=lambda *report: reports.append(report))
    step, steps, psnr_db, bpp = reports[-1]
    assert 1 < step == steps < 100_000
    assert (psnr_db, bpp) == (fitted.psnr_db, fitted.rate_bits / (50 * 40))


def test_a_fit_that_diverges_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    from pillow_inr.models.pyramid.training import schedule

    monkeypatch.setattr(schedule, "NETWORK_LEARNING_RATE", float("nan"))
    with pytest.raises(FitError, match="diverged 3 times"):
        fit(picture())


def test_unknown_devices_are_named() -> None:
    with pytest.raises(BackendError, match="TPU"):
        fit(picture(), device="TPU:3")
