import numpy as np

from pillow_inr.sampling import Sampler

from .checks import gradient


def test_a_step_takes_one_pixel_of_every_run() -> None:
    image = gradient(20, 12)
    columns, rows, samples = Sampler(image, 16, seed=1).draw(50)
    assert columns.shape == rows.shape == (50, 16)
    assert samples.shape == (50, 16, 3)
    np.testing.assert_array_equal(samples, image[rows, columns])
    # 240 pixels in 16 runs of 15, in reading order.
    np.testing.assert_array_equal((rows * 20 + columns) // 15, np.tile(np.arange(16), (50, 1)))
    # Over the steps every pixel has its turn.
    assert len(np.unique((rows * 20 + columns)[:, 0])) == 15


def test_a_batch_larger_than_the_image_takes_all_of_it() -> None:
    columns, rows, _ = Sampler(gradient(3, 3), 16, seed=1).draw(2)
    for index in rows * 3 + columns:
        assert set(np.bincount(index, minlength=9)) == {1, 2}


def test_the_seed_fixes_the_draws() -> None:
    first, second, other = (Sampler(gradient(20, 12), 16, seed).draw(3)[0] for seed in (5, 5, 6))
    np.testing.assert_array_equal(first, second)
    assert (first != other).any()


def test_no_steps_are_no_draws() -> None:
    assert Sampler(gradient(4, 4), 8, seed=0).draw(0)[2].shape == (0, 8, 3)
