import numpy as np
import pytest

from pillow_inr.models.pyramid.training.soap import Soap


def test_the_first_step_of_a_vector_is_a_step_of_adam() -> None:
    weights = {"bias": np.zeros(3, np.float32)}
    Soap(weights, clip=10.0).step(weights, {"bias": np.array([2.0, -0.5, 0.0], np.float32)}, learning_rate=0.1)
    assert weights["bias"] == pytest.approx([-0.1, 0.1, 0.0], abs=1e-6)


def test_gradients_are_clipped_together() -> None:
    once, twice = ({"a": np.zeros(2, np.float32), "b": np.zeros((1, 2), np.float32)} for _ in range(2))
    gradients = {"a": np.array([3.0, 0.0], np.float32), "b": np.array([[0.0, 4.0]], np.float32)}
    long, short = Soap(once, clip=5.0), Soap(twice, clip=0.5)
    long.step(once, gradients, 0.1)
    short.step(twice, gradients, 0.1)
    assert short.mean["a"] == pytest.approx(long.mean["a"] / 10)
    assert short.mean["b"] == pytest.approx(long.mean["b"] / 10)


def test_a_rotated_valley_is_descended_faster_than_by_adam() -> None:
    # Curvatures 1 and 1e-3 along axes that are not the coordinates': Adam alone crawls along the valley.
    rng = np.random.default_rng(0)
    turn = np.linalg.qr(rng.standard_normal((4, 4)))[0].astype(np.float32)
    curvature = turn @ np.diag([1, 1e-3, 1, 1e-3]).astype(np.float32) @ turn.T
    start = rng.standard_normal((4, 6)).astype(np.float32)

    def descend(name_sides: bool) -> float:
        weights = {"matrix": start.copy()}
        optimizer = Soap(weights, clip=1e9)
        if not name_sides:
            optimizer.sides = {}
        for _ in range(150):
            optimizer.step(weights, {"matrix": curvature @ weights["matrix"]}, 0.02)
        return float(np.sum(weights["matrix"] * (curvature @ weights["matrix"])))

    assert descend(True) < 0.8 * descend(False)
