"""The training loop on small images; quality on photographs is held by benchmarks/."""

import random

import numpy as np
import pytest

pytest.importorskip("tensorflow")

import keras
import tensorflow as tf

from pillow_inr import fit, quantization, training
from pillow_inr.architecture import Architecture
from pillow_inr.errors import BackendError, FitError

from .checks import gradient

pytestmark = pytest.mark.keras

SMALL = Architecture(width=8, depth=2, channels=3, frequencies=8, growth=150)


def _fit(image: np.ndarray, **changes: object) -> fit.Fitted:
    arguments: dict = {"steps": 60, "rate_weight": 1e-4, **changes}
    return fit.fit(image, SMALL, **arguments)


@pytest.fixture(scope="module")
def fitted() -> fit.Fitted:
    return _fit(gradient(40, 30), steps=400, rate_weight=1e-5)


def test_a_smooth_image_is_learned(fitted: fit.Fitted) -> None:
    assert fitted.psnr_db > 25
    assert [weight.shape for weight in fitted.weights] == list(SMALL.shapes)
    assert all(weight.dtype == np.float32 for weight in fitted.weights)


def test_steps_are_ones_the_file_can_name(fitted: fit.Fitted) -> None:
    for step in fitted.steps:
        assert quantization.step_size(quantization.step_index(step)) == pytest.approx(step, rel=1e-6)


def test_a_fit_is_repeatable_and_leaves_random_states_alone() -> None:
    image = gradient(200, 100)  # more pixels than a batch, so that they are drawn
    random.seed(5)
    np.random.seed(5)
    tf.random.set_seed(5)
    expected = random.random(), np.random.rand(), float(tf.random.uniform(()))
    random.seed(5)
    np.random.seed(5)
    tf.random.set_seed(5)
    first = _fit(image, seed=7)
    assert (random.random(), np.random.rand(), float(tf.random.uniform(()))) == expected
    second, other = _fit(image, seed=7), _fit(image, seed=8)
    for a, b in zip(first.weights, second.weights, strict=True):
        np.testing.assert_array_equal(a, b)
    assert any((a != b).any() for a, b in zip(first.weights, other.weights, strict=True))


def test_reports_count_up_to_the_last_step() -> None:
    reports: list[tuple[int, int, float, float]] = []
    fitted = _fit(gradient(40, 30), steps=130, overhead_bytes=25, report=lambda *report: reports.append(report))
    steps = [report[0] for report in reports]
    assert steps == sorted(set(steps))
    assert reports[-1][:2] == (130, 130)
    assert all(report[1] == 130 for report in reports)
    assert reports[-1][2] == fitted.psnr_db
    assert reports[-1][3] == pytest.approx((fitted.rate_bits + 200) / 1200)


def test_time_limit_ends_the_fit_early_but_whole() -> None:
    reports: list[tuple[int, int, float, float]] = []
    # A million steps would take an hour; that this returns at all is the point.
    fitted = _fit(gradient(40, 30), steps=10**6, time_limit=4.0, report=lambda *report: reports.append(report))
    assert reports[-1][0] == reports[-1][1] < 10**6
    assert fitted.psnr_db > 20


def test_an_exception_of_the_callback_ends_the_fit() -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _fit(gradient(40, 30), report=stop)


def test_unknown_devices_are_named() -> None:
    with pytest.raises(BackendError, match=r"'GPU:7'.*CPU:0"):
        _fit(gradient(4, 4), device="GPU:7")
    assert _fit(gradient(4, 4), device="cpu", steps=2).weights


def test_graphs_are_no_place_for_a_fit() -> None:
    with tf.Graph().as_default(), pytest.raises(BackendError, match="graph"):
        _fit(gradient(4, 4))


def test_the_hosts_precision_does_not_matter() -> None:
    image = gradient(12, 9)
    expected = _fit(image, steps=20).weights
    keras.config.set_dtype_policy("mixed_float16")
    try:
        fit._idle.clear()
        for weight, usual in zip(_fit(image, steps=20).weights, expected, strict=True):
            np.testing.assert_array_equal(weight, usual)
    finally:
        keras.config.set_dtype_policy("float32")


def test_a_trainer_serves_one_image_after_another(monkeypatch: pytest.MonkeyPatch) -> None:
    first = _fit(gradient(40, 30))
    _fit(255 - gradient(40, 30), seed=3)
    monkeypatch.setattr(fit, "Trainer", lambda *_: pytest.fail("compiled again"))
    for weight, usual in zip(_fit(gradient(40, 30)).weights, first.weights, strict=True):
        np.testing.assert_array_equal(weight, usual)


def test_another_back_end_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(BackendError, match="KERAS_BACKEND=tensorflow"):
        _fit(gradient(4, 4))


def test_divergence_is_reported_not_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "MUON_RATE", 1e4)
    monkeypatch.setattr(fit, "ATTEMPTS", 2)
    with pytest.raises(FitError, match="diverged 2 times"):
        _fit(gradient(40, 30), steps=400)


def test_schedule_meets_both_ends() -> None:
    for steps in (1, 2, 3, 7, 130):
        schedule = fit._Schedule(steps, 50, None)
        made = 0
        for phase_end in (fit.RATE_PHASE_START, 1.0):
            while schedule.position < phase_end:
                count, last = schedule.next_call(phase_end)
                schedule.advance(count, last)
                made += count
            assert schedule.position == phase_end
        assert schedule.step == made == max(steps, 2)
