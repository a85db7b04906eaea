"""The parts of `tests.safety.load` at a small scale, and how failed fits are handled."""

import math
import multiprocessing
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

import pillow_inr
from pillow_inr.errors import FitError
from pillow_inr.format import metadata
from pillow_inr.imaging import metrics
from pillow_inr.models.siren import plan as siren_plan
from pillow_inr.models.siren.model import StoredSiren
from tests.safety import load


@pytest.mark.decoding
@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="descriptors are counted where Linux shows them")
def test_opens_leave_nothing_behind() -> None:
    # In its own process, because TensorFlow's threads in this one allocate and free memory.
    code = "from tests.safety import load; held, text = load.opens(240); raise SystemExit(None if held else text)"
    subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=True)


@pytest.mark.decoding
def test_an_error_that_is_no_number_is_not_taken_for_none() -> None:
    assert metrics.psnr_db(0.0) == math.inf
    assert metrics.psnr_db(math.nan) == metrics.psnr_db(math.inf) == -math.inf
    # The chunk cannot hold -inf; 0 dB tells as well that the fit failed.
    assert metadata.read_psnr([metadata.psnr_chunk(-math.inf)]) == 0.0


@pytest.mark.decoding
def test_what_is_worse_than_one_colour_is_lost() -> None:
    variance = 0.04
    assert not metrics.is_failed_fit(metrics.psnr_db(variance), variance)
    assert not metrics.is_failed_fit(math.inf, 0.0)
    assert not metrics.is_failed_fit(40.0, 0.0)  # a flat picture, exact but for rounding
    assert metrics.is_failed_fit(metrics.psnr_db(2 * variance), variance)
    assert metrics.is_failed_fit(-math.inf, variance)
    # At such a high lambda a good fit may leave the colour out.
    assert not metrics.is_failed_fit(metrics.psnr_db(2 * variance), variance, lambda_per_bit=variance / 500)


@pytest.mark.keras
def test_no_number_is_stored() -> None:
    held, text = load.values()
    assert held, text


@pytest.mark.keras
def test_threads_save_and_open_as_one_does() -> None:
    held, text = load.threads(2, 64)
    assert held, text


@pytest.mark.keras
@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="processes are not forked here")
def test_a_process_forked_from_a_fit_decodes_and_refuses_to_fit() -> None:
    held, text = load.processes(1, "fork")
    assert held, text


@pytest.mark.keras
@pytest.mark.parametrize(("model", "options"), [("siren", load.SIREN), ("pyramid", {"model": "pyramid", "steps": 4})])
def test_a_finite_explosion_is_an_error(model: str, options: dict[str, object]) -> None:
    with load.hasty(model, 1e5), pytest.raises(FitError, match="diverged"):
        pillow_inr.encode(load.picture(0), **options)


@pytest.mark.keras
def test_a_file_that_came_out_lost_is_not_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    # What the file shows is judged, not the fit's own estimate.
    monkeypatch.setattr(StoredSiren, "sampled_mse", lambda *_: 10**-0.2)
    with pytest.raises(FitError, match="worse than a single colour"):
        pillow_inr.encode(load.picture(1), **load.SIREN)


@pytest.mark.keras
@pytest.mark.parametrize("model", ["siren", "pyramid", "auto"])
def test_a_tiny_budget_gets_one_colour_rather_than_a_ruin(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # All networks have the shape of the other tests'.
    monkeypatch.setattr(siren_plan, "TARGET_WIDTHS", (8, 8))
    monkeypatch.setattr(siren_plan, "DEFAULT_DEPTH", 2)
    image = load.picture(2)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="50 bytes: nothing better than a single colour")
        data = pillow_inr.encode(image, model=model, target_bytes=50, steps=20)
    assert len(data) <= 50
    error = ((pillow_inr.decode(data) - image.astype(float)) ** 2).mean()
    assert error <= 1.3 * image.var(axis=(0, 1)).mean() + 1e-3 * 255**2
