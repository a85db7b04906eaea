import contextlib
import threading

import numpy as np
import pytest

from pillow_inr.models.siren.training.sampling import Sampler
from tests.support.checks import LEVELS, gradient


def _draw(image: np.ndarray, batch: int, steps: int, seed: int) -> tuple[np.ndarray, ...]:
    with contextlib.closing(Sampler(image, LEVELS, batch, steps, seed)) as sampler:
        return sampler.draw()


def test_a_step_draws_one_pixel_of_every_run() -> None:
    image = gradient(20, 12)
    columns, rows, samples = _draw(image, 16, 50, seed=1)
    assert columns.shape == rows.shape == (50, 16)
    assert samples.shape == (50, 16, 3)
    np.testing.assert_array_equal(samples, image[rows, columns] * np.float32(1 / 255))
    # 240 pixels in 16 runs of 15, in reading order.
    np.testing.assert_array_equal((rows * 20 + columns) // 15, np.tile(np.arange(16), (50, 1)))
    # In the course of the steps every pixel of a run is drawn.
    assert len(np.unique((rows * 20 + columns)[:, 0])) == 15


def test_a_pass_draws_every_pixel_of_a_run_once() -> None:
    columns, rows, _ = _draw(gradient(20, 12), 16, 45, seed=3)
    # Three passes over runs of 15 pixels.
    places = ((rows * 20 + columns) % 15).reshape(3, 15, 16)
    np.testing.assert_array_equal(np.sort(places, axis=1), np.tile(np.arange(15)[:, None], (3, 1, 16)))
    assert (places[0] != places[1]).any()
    assert (places[0, :, 0] != places[0, :, 1]).any()


def test_passes_continue_from_draw_to_draw() -> None:
    with contextlib.closing(Sampler(gradient(20, 12), LEVELS, 16, 4, seed=3)) as sampler:
        draws = [sampler.draw() for _ in range(4)]
    index = np.concatenate([rows * 20 + columns for columns, rows, _ in draws])
    assert len(np.unique(index[:15])) == 240


def test_runs_of_unequal_length_lose_no_pixel() -> None:
    columns, rows, _ = _draw(gradient(7, 5), 16, 3, seed=3)
    # 35 pixels in 16 runs of 2 or 3: a pass of 3 steps takes one pixel of a shorter run twice.
    counts = np.bincount((rows * 7 + columns).ravel(), minlength=35)
    assert set(counts) == {1, 2}
    assert (counts == 2).sum() == 3 * 16 - 35


def test_a_batch_as_large_as_the_image_draws_each_pixel_once() -> None:
    columns, rows, samples = _draw(gradient(4, 4), 16, 3, seed=1)
    np.testing.assert_array_equal(rows * 4 + columns, np.tile(np.arange(16), (3, 1)))
    np.testing.assert_allclose(255 * samples, np.tile(gradient(4, 4).reshape(1, 16, 3), (3, 1, 1)), rtol=1e-6)


def test_a_batch_larger_than_the_image_draws_all_of_it() -> None:
    columns, rows, _ = _draw(gradient(3, 3), 16, 2, seed=1)
    for index in rows * 3 + columns:
        assert set(np.bincount(index, minlength=9)) == {1, 2}


def test_the_seed_fixes_the_draws() -> None:
    first, second, other = (_draw(gradient(20, 12), 16, 3, seed)[0] for seed in (5, 5, 6))
    np.testing.assert_array_equal(first, second)
    assert (first != other).any()


def test_draws_differ_and_follow_from_the_seed() -> None:
    with contextlib.closing(Sampler(gradient(20, 12), LEVELS, 16, 3, seed=5)) as sampler:
        first, second = sampler.draw()[0], sampler.draw()[0]
    assert (first != second).any()
    np.testing.assert_array_equal(first, _draw(gradient(20, 12), 16, 3, seed=5)[0])


def test_ctrl_c_while_the_thread_starts_leaves_none(monkeypatch: pytest.MonkeyPatch) -> None:
    started = []
    start = threading.Thread.start

    def interrupted(thread: threading.Thread) -> None:
        start(thread)
        started.append(thread)
        raise KeyboardInterrupt

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt) as caught:  # which keeps the sampler, as a traceback may
        Sampler(gradient(20, 12), LEVELS, 16, 5, seed=1)
    started[0].join(10)
    assert not started[0].is_alive()
    assert caught.value
