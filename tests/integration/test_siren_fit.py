"""The training loop on small images; quality on photographs is held by benchmarks/."""

import random
import time
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow")

import keras
import tensorflow as tf

from pillow_inr.entropy import quantization
from pillow_inr.errors import BackendError, FitError
from pillow_inr.imaging.samples import Scale
from pillow_inr.models.siren.architecture import Architecture
from pillow_inr.models.siren.fitted import Budget, Fitted
from pillow_inr.models.siren.training import fit, trainer
from pillow_inr.runtime import pool
from tests.support.checks import LEVELS, gradient

pytestmark = pytest.mark.keras

SMALL = Architecture(width=8, depth=2, channels=3, frequencies=8, frequency_ratio=150)


def _fit(image: np.ndarray, **changes: object) -> Fitted:
    arguments: dict = {"steps": 60, "rd_lambda": 1e-4, **changes}
    return fit.fit(image, SMALL, scale=LEVELS, **arguments)


@pytest.fixture(scope="module")
def fitted() -> Fitted:
    return _fit(gradient(40, 30), steps=400, rd_lambda=1e-5)


def test_a_smooth_image_is_learned(fitted: Fitted) -> None:
    assert fitted.psnr_db > 25
    assert [weight.shape for weight in fitted.weights] == list(SMALL.shapes)
    assert all(weight.dtype == np.float32 for weight in fitted.weights)


def test_steps_are_ones_the_file_can_name(fitted: Fitted) -> None:
    for step in fitted.steps:
        assert quantization.step_size(quantization.step_index(step)) == pytest.approx(step, rel=1e-6)


def test_weights_settle_where_they_are_rounded_to() -> None:
    fitted = _fit(gradient(40, 30), steps=1500, rd_lambda=1e-5)
    in_steps = [weight / step for weight, step in zip(fitted.weights, fitted.steps, strict=True)]
    distances = [float(np.abs(tensor - np.rint(tensor)).mean()) for tensor in in_steps]
    # The sine layers' biases, which Adam moves slowly: 0.33 where nothing draws them, for then they gather at the
    # middle between two symbols; 0.25 if they were anywhere.
    assert max(distances[1:-2:2]) < 0.2


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


def test_a_deadline_ends_the_fit_early_but_whole() -> None:
    reports: list[tuple[int, int, float, float]] = []
    _fit(gradient(40, 30), steps=1)  # compiles
    # A million steps would take an hour.
    deadline = time.perf_counter() + 2.0
    fitted = _fit(gradient(40, 30), steps=10**6, deadline=deadline, report=lambda *report: reports.append(report))
    assert abs(time.perf_counter() - deadline) < 0.5
    assert reports[-1][0] == reports[-1][1] < 10**6
    assert fitted.psnr_db > 20


def test_a_deadline_in_the_past_still_gives_a_network() -> None:
    reports: list[tuple[int, int, float, float]] = []
    fitted = _fit(
        gradient(40, 30), steps=10**6, deadline=time.perf_counter(), report=lambda *report: reports.append(report)
    )
    assert reports[-1][0] < 3 * trainer.CALL_STEPS_MAX
    assert [weight.shape for weight in fitted.weights] == list(SMALL.shapes)
    assert all(np.isfinite(weight).all() for weight in fitted.weights)


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
        pool._entries.clear()
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


def test_sizes_that_are_alike_share_a_trainer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their frequencies are not the same: these are in tables."""
    image = gradient(40, 30)
    alike = [
        Architecture(width=8, depth=2, channels=3, frequencies=4, frequency_ratio=frequency_ratio)
        for frequency_ratio in (110, 150)
    ]
    options: dict[str, Any] = {"scale": Scale("uint8", 3, ((0.0, 255.0),)), "steps": 60, "rd_lambda": 1e-3}
    usual = [fit.fit(image, architecture, **options) for architecture in alike]
    pool._entries.clear()
    fit.fit(image, alike[0], **options)
    monkeypatch.setattr(fit, "Trainer", lambda *_: pytest.fail("compiled again"))
    other = fit.fit(image, alike[1], **options)
    assert all(np.array_equal(*pair) for pair in zip(other.weights, usual[1].weights, strict=True))
    assert usual[0].psnr_db != usual[1].psnr_db


@pytest.mark.parametrize(("width", "channels"), [(6, 1), (8, 3), (20, 4)])
def test_a_padded_network_is_fitted_like_one_of_its_own_width(width: int, channels: int) -> None:
    """In few optimizer steps: rounding differs in the last bits, and training amplifies that."""
    architecture = Architecture(width=width, depth=3, channels=channels, frequencies=4, frequency_ratio=150)
    wide = Architecture(width=32, depth=3, channels=4, frequencies=4, frequency_ratio=100)
    image, scale = gradient(40, 30), Scale("uint8", channels, ((0.0, 255.0),))
    image = np.concatenate([image, image], axis=2)[:, :, :channels]
    found = []
    for compiled, pads in ((architecture, False), (wide, True)):
        one = trainer.Trainer(compiled, 1024, 64, "/device:CPU:0", pads)
        one.start(image, scale, architecture, 1e-3, 5, 5e-3, 1.5)
        one.advance(0, 3, 0.0, 0.1, False)
        one.start_rate_phase()
        found.append((*one.advance(3, 3, 0.1, 0.2, True), one.result(1.0, 0.0)))
        one.release()
    (mse, bits, own), (padded_mse, padded_bits, padded) = found
    assert padded_mse == pytest.approx(mse, rel=1e-3)
    assert padded_bits == pytest.approx(bits, rel=1e-2)
    assert padded.steps == pytest.approx(own.steps, rel=0.1)
    for weight, expected in zip(padded.weights, own.weights, strict=True):
        np.testing.assert_allclose(weight, expected, atol=0.02 * np.abs(expected).max() + 1e-4)


def test_small_images_share_a_trainer_whatever_their_width_and_channels(monkeypatch: pytest.MonkeyPatch) -> None:
    _fit(gradient(40, 30), steps=1)
    monkeypatch.setattr(fit, "Trainer", lambda *_: pytest.fail("compiled again"))
    for width, channels, size in ((4, 1, (5, 3)), (32, 4, (128, 128)), (10, 2, (1, 100))):
        architecture = Architecture(width=width, depth=2, channels=channels, frequencies=8, frequency_ratio=120)
        image = np.repeat(gradient(*size)[:, :, :1], channels, axis=2)
        scale = Scale("uint8", channels, ((0.0, 255.0),))
        fitted = fit.fit(image, architecture, scale=scale, steps=3, rd_lambda=1e-4)
        assert [weight.shape for weight in fitted.weights] == list(architecture.shapes)


def test_another_back_end_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(BackendError, match="KERAS_BACKEND=tensorflow"):
        _fit(gradient(4, 4))


def test_divergence_is_reported_not_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer, "MUON_LEARNING_RATE", 1e4)
    monkeypatch.setattr(fit, "ATTEMPTS", 2)
    with pytest.raises(FitError, match="diverged 2 times"):
        _fit(gradient(40, 30), steps=400)


class Starts:
    """Notes the learning rate and weight decay of every start of a trainer."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.made: list[tuple[float, float]] = []
        start = trainer.Trainer.start

        def noted(trainer: trainer.Trainer, image: np.ndarray, *arguments: Any) -> None:
            self.made.append(arguments[4:6])
            start(trainer, image, *arguments)

        monkeypatch.setattr(trainer.Trainer, "start", noted)


def test_a_fit_that_got_nowhere_starts_anew_with_more_caution(monkeypatch: pytest.MonkeyPatch) -> None:
    starts = Starts(monkeypatch)
    judged: list[float] = []

    def has_not_learned(trainer: trainer.Trainer, mse: float) -> bool:
        judged.append(mse)
        return True

    monkeypatch.setattr(trainer.Trainer, "has_not_learned", has_not_learned)
    reports: list[tuple[int, int, float, float]] = []
    fitted = _fit(gradient(40, 30), steps=400, report=lambda *report: reports.append(report))
    # The last attempt is not judged: something is better than nothing.
    assert (len(starts.made), len(judged)) == (fit.ATTEMPTS, fit.ATTEMPTS - 1)
    assert fitted.psnr_db > 15
    (rate, decay), *others = starts.made
    assert (rate, decay) == (trainer.peak_learning_rate(SMALL.width), trainer.WEIGHT_DECAY)
    for attempt, (slower, stronger) in enumerate(others, 1):
        assert slower == pytest.approx(rate / 2 ** (attempt / 2))
        assert stronger == pytest.approx(decay * 2**attempt)
    # Judged once in each attempt, early, and the whole schedule is run afterwards.
    steps = [report[0] for report in reports]
    assert max(steps[: steps.index(max(steps[:8]))], default=0) <= 2 * fit.JUDGED_STEPS
    assert steps[-1] == 400


def test_a_fit_that_diverges_once_starts_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    starts = Starts(monkeypatch)
    answers = iter([True])
    monkeypatch.setattr(trainer.Trainer, "diverged", lambda *_: next(answers, False))
    assert _fit(gradient(40, 30)).weights
    assert len(starts.made) == 2


def test_an_ordinary_fit_is_judged_once_and_starts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    starts = Starts(monkeypatch)
    judged: list[float] = []
    has_not_learned = trainer.Trainer.has_not_learned
    monkeypatch.setattr(
        trainer.Trainer, "has_not_learned", lambda self, mse: judged.append(mse) or has_not_learned(self, mse)
    )
    _fit(gradient(40, 30), steps=400)
    assert (len(starts.made), len(judged)) == (1, 1)


def test_short_fits_and_flat_images_are_not_called_stuck(monkeypatch: pytest.MonkeyPatch) -> None:
    starts = Starts(monkeypatch)
    _fit(np.full((30, 40, 3), 90, np.uint8), steps=400)
    monkeypatch.setattr(trainer.Trainer, "has_not_learned", lambda *_: pytest.fail("judged"))
    _fit(gradient(40, 30), steps=fit.JUDGED_STEPS - 1)
    assert len(starts.made) == 2


def test_a_budget_steers_a_fit() -> None:
    sizes = []
    for size in (150, 400):
        budget = Budget(size, lambda fitted: round(fitted.rate_bits / 8))
        sizes.append(_fit(gradient(40, 30), steps=400, budget=budget).rate_bits / 8)
    assert 0.7 * 150 < sizes[0] < 1.15 * 150
    assert sizes[0] < sizes[1] < 1.15 * 400
