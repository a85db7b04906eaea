import contextlib

import numpy as np

from pillow_inr.sampling import Sampler

from .checks import gradient


def _draw(image: np.ndarray, batch: int, steps: int, seed: int) -> tuple[np.ndarray, ...]:
    with contextlib.closing(Sampler(image, batch, steps, seed)) as sampler:
        return sampler.draw()


def test_a_step_takes_one_pixel_of_every_run() -> None:
    image = gradient(20, 12)
    columns, rows, samples = _draw(image, 16, 50, seed=1)
    assert columns.shape == rows.shape == (50, 16)
    assert samples.shape == (50, 16, 3)
    np.testing.assert_array_equal(samples, image[rows, columns])
    # 240 pixels in 16 runs of 15, in reading order.
    np.testing.assert_array_equal((rows * 20 + columns) // 15, np.tile(np.arange(16), (50, 1)))
    # Over the steps every pixel has its turn.
    assert len(np.unique((rows * 20 + columns)[:, 0])) == 15


def test_a_batch_larger_than_the_image_takes_all_of_it() -> None:
    columns, rows, _ = _draw(gradient(3, 3), 16, 2, seed=1)
    for index in rows * 3 + columns:
        assert set(np.bincount(index, minlength=9)) == {1, 2}


def test_the_seed_fixes_the_draws() -> None:
    first, second, other = (_draw(gradient(20, 12), 16, 3, seed)[0] for seed in (5, 5, 6))
    np.testing.assert_array_equal(first, second)
    assert (first != other).any()


def test_draws_differ_and_follow_from_the_seed() -> None:
    with contextlib.closing(Sampler(gradient(20, 12), 16, 3, seed=5)) as sampler:
        first, second = sampler.draw()[0], sampler.draw()[0]
    assert (first != second).any()
    np.testing.assert_array_equal(first, _draw(gradient(20, 12), 16, 3, seed=5)[0])
