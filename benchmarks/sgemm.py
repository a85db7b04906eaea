"""The machine's speed in float32 matrix products."""

import statistics
from collections import defaultdict
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from common import seconds, table
from numpy.typing import NDArray

SIZES = (1024, 2048)
RUNS = 3


class SgemmRate(NamedTuple):
    """GFLOP/s of square products at one time."""

    fastest: float
    numpy: float


class Sgemm:
    """Speed of square matrix products in NumPy and TensorFlow, in GFLOP/s."""

    def __init__(self) -> None:
        self.seen: dict[str, list[float]] = defaultdict(list)
        rng = np.random.default_rng(0)
        self.products: list[tuple[str, int, Callable[[], object]]] = []
        for size in SIZES:
            square = rng.standard_normal((size, size), np.float32)
            self.products += [(f"NumPy {size}", size, _numpy_product(square))]
            self.products += [(f"TensorFlow {size}", size, _tensorflow_product(square))]

    def measure(self) -> SgemmRate:
        """Time all products once more, each as the best of a few runs."""
        now = {}
        for name, size, product in self.products:
            now[name] = 2 * size**3 / min(seconds(product) for _ in range(RUNS)) / 1e9
            self.seen[name].append(now[name])
        return SgemmRate(max(now.values()), max(rate for name, rate in now.items() if name.startswith("NumPy")))

    def summary(self) -> str:
        lines = [
            [name, f"{statistics.median(rates):.0f}", f"{min(rates):.0f} to {max(rates):.0f}", str(len(rates))]
            for name, rates in self.seen.items()
        ]
        return table(["sgemm, float32 squares", "median GFLOP/s", "range", "measured"], lines)


def _numpy_product(square: NDArray[np.float32]) -> Callable[[], object]:
    return lambda: square @ square


def _tensorflow_product(square: NDArray[np.float32]) -> Callable[[], object]:
    import tensorflow as tf

    tensor = tf.constant(square)
    # Reading a value waits for the product on an asynchronous device.
    return lambda: float(tf.matmul(tensor, tensor)[0, 0])
