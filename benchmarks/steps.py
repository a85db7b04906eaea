"""Times of optimizer steps and of decodes, as shares of the speed of the machine's matrix products.

Uses two internals of pillow_inr: the pixels of a step, and the part of the fit after which weights are rounded.
"""

import statistics
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from common import median_seconds
from PIL import Image
from sgemm import Sgemm, SgemmRate

import pillow_inr


class Network(NamedTuple):
    """Width and depth of a network, on the command line 48x4."""

    width: int
    depth: int

    @classmethod
    def parse(cls, text: str) -> "Network":
        width, depth = text.split("x")
        return cls(int(width), int(depth))

    def __str__(self) -> str:
        return f"{self.width}x{self.depth}"


@dataclass(frozen=True)
class Work:
    """Multiplies and adds per pixel."""

    weights: int
    first_kernel: int

    @classmethod
    def of(cls, data: bytes) -> "Work":
        header = pillow_inr.read_header(data)
        architecture = header.model.architecture(header.channels)
        rows, columns = architecture.shapes[0]
        return cls(architecture.weight_count, rows * columns)

    @property
    def fit(self) -> int:
        return 6 * self.weights

    @property
    def fit_needed(self) -> int:
        return 6 * self.weights - 2 * self.first_kernel

    @property
    def decode(self) -> int:
        return 2 * self.weights

    @property
    def decode_needed(self) -> int:
        return 2 * (self.weights - self.first_kernel)


class Interval(NamedTuple):
    """The steps between two progress reports of a fit."""

    position: float
    """Middle of the interval, as a part of the network's fit, 0..1."""
    seconds: float
    """Time of one step."""


class Fit(NamedTuple):
    """File of a fit and the times of its steps."""

    data: bytes
    intervals: list[Interval]

    def phases(self) -> dict[str, float]:
        """Seconds per step while weights are floats ("float"), and while they are rounded and have a rate ("rate")."""
        boundary = _rate_phase_start()
        parts = {
            "float": [interval.seconds for interval in self.intervals if interval.position < boundary],
            "rate": [interval.seconds for interval in self.intervals if interval.position >= boundary],
        }
        return {name: statistics.median(times) for name, times in parts.items() if times}


def _rate_phase_start() -> float:
    from pillow_inr.models.siren.training import fit

    return fit.RATE_PHASE_START


def pixels_per_step(size: tuple[int, int]) -> int:
    """Pixels of a training batch: a power of two that holds a small image (models/siren/training/fit.py)."""
    from pillow_inr.models.siren.training import trainer

    return min(trainer.BATCH_PIXELS, 1 << (size[0] * size[1] - 1).bit_length())


def fit_steps(image: Image.Image, network: Network, steps: int) -> Fit:
    """Fit for a number of steps and time them. The speed of decoding does not depend on the number."""
    reports: list[tuple[int, float]] = []

    def report(step: int, *_: object) -> None:
        reports.append((step, time.perf_counter()))

    data = pillow_inr.encode(image, width=network.width, depth=network.depth, steps=steps, progress=report)
    # Of a mosaic, each network makes all steps.
    intervals = [
        Interval((first + last) / 2 % steps / steps, (end - start) / (last - first))
        for (first, start), (last, end) in pairwise(reports)
    ]
    return Fit(data, intervals)


class Measured(NamedTuple):
    """Medians over rounds."""

    seconds: float
    gflops: float
    share: float
    numpy_share: float
    needed_share: float

    @classmethod
    def of(cls, times: Sequence[float], sgemm: Sequence[SgemmRate], work: float, needed: float) -> "Measured":
        """Medians from times and sgemm of each round, and from the operations: all, and those needed."""
        rates = [work / time / 1e9 for time in times]
        share = statistics.median(rate / other.fastest for rate, other in zip(rates, sgemm, strict=True))
        numpy_share = statistics.median(rate / other.numpy for rate, other in zip(rates, sgemm, strict=True))
        return cls(statistics.median(times), statistics.median(rates), share, numpy_share, share * needed / work)

    def cells(self, scale: float, width: str) -> list[str]:
        """Cells of a table: the time, then COLUMNS."""
        shares = (self.share, self.numpy_share, self.needed_share)
        return [
            format(scale * self.seconds, width),
            f"{self.gflops:.0f}",
            *(f"{100 * share:.0f} %" for share in shares),
        ]


COLUMNS = ("GFLOP/s", "share of sgemm", "of NumPy's", "needed only")


def measure_fit(
    sgemm: Sgemm, image: Image.Image, network: Network, steps: int, rounds: int
) -> tuple[dict[str, Measured], bytes]:
    """Measurements of each phase, and a file of the network."""
    data = fit_steps(image, network, steps=1).data  # compiles
    work = Work.of(data)
    pixels = pixels_per_step(image.size)
    times: dict[str, list[float]] = defaultdict(list)
    sgemm_rates = []
    for _ in range(rounds):
        sgemm_rates.append(sgemm.measure())
        for phase, step_seconds in fit_steps(image, network, steps).phases().items():
            times[phase].append(step_seconds)
    figures = {
        phase: Measured.of(values, sgemm_rates, work.fit * pixels, work.fit_needed * pixels)
        for phase, values in times.items()
    }
    return figures, data


def measure_decode(sgemm: Sgemm, data: bytes, rounds: int) -> Measured:
    work = Work.of(data)
    width, height = pillow_inr.read_header(data).size
    times, sgemm_rates = [], []
    pillow_inr.decode(data)  # the first one imports
    for _ in range(rounds):
        sgemm_rates.append(sgemm.measure())
        times.append(median_seconds(lambda: pillow_inr.decode(data), 3))
    pixels = width * height
    return Measured.of(times, sgemm_rates, work.decode * pixels, work.decode_needed * pixels)
