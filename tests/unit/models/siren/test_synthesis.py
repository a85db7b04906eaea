import math
import time
from fractions import Fraction

import numpy as np
import pytest

from pillow_inr.entropy.quantization import STEP_INDEX_MAX, SYMBOL_MAX, step_size
from pillow_inr.imaging.coordinates import Axis
from pillow_inr.imaging.samples import Scale
from pillow_inr.models.siren import synthesis as siren_synthesis
from pillow_inr.models.siren.architecture import Architecture
from pillow_inr.runtime import threads
from tests.support.checks import synthesize
from tests.support.networks import whole

PLAIN = Architecture(width=3, depth=2, channels=2, frequencies=0, frequency_ratio=100)
ENCODED = Architecture(width=6, depth=3, channels=3, frequencies=4, frequency_ratio=150)


def _weights(architecture: Architecture, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.normal(0, 0.1, shape).astype(np.float32) for shape in architecture.shapes]


def _level(architecture: Architecture, weights: list[np.ndarray], column: int, row: int, size: tuple) -> list[float]:
    """One pixel in plain Python, following docs/format.md sections 4 and 5."""
    longer = max(size)
    values = []
    for index, length in ((column, size[0]), (row, size[1])):
        position = (2 * index + 1 - length) / longer
        angles = [
            position * math.pi * (architecture.frequency_ratio / 100) ** i for i in range(architecture.frequencies)
        ]
        values += [position, *map(math.sin, angles), *map(math.cos, angles)]
    for layer in range(architecture.depth + 1):
        kernel, bias = weights[2 * layer], weights[2 * layer + 1]
        values = [
            sum(value * float(kernel[i, j]) for i, value in enumerate(values)) + float(bias[j])
            for j in range(len(bias))
        ]
        if layer < architecture.depth:
            values = [math.sin(30 * value) for value in values]
    return [255 * min(max(value, 0), 1) for value in values]


def test_shapes_and_count_by_hand() -> None:
    assert PLAIN.shapes == ((2, 3), (3,), (3, 3), (3,), (3, 2), (2,))
    assert PLAIN.weight_count == 6 + 3 + 9 + 3 + 6 + 2
    # Kodak's usual network: 66 features, 4 layers of 48, 3 colours.
    kodak = Architecture(width=48, depth=4, channels=3, frequencies=16, frequency_ratio=140)
    assert kodak.weight_count == 66 * 48 + 3 * 48 * 48 + 48 * 3 + 4 * 48 + 3 == 10419


def test_widths_taper() -> None:
    def widths(width: int, depth: int, taper: int) -> tuple[int, ...]:
        made = Architecture(width=width, depth=depth, channels=3, frequencies=1, frequency_ratio=100, taper=taper)
        assert [shape[0] for shape in made.shapes[1:-1:2]] == list(made.widths)
        return made.widths

    assert widths(48, 5, 75) == (48, 36, 27, 20, 15)  # 20.25, 15.1875: each from the first, not from the one before
    assert widths(48, 3, 100) == (48, 48, 48)
    assert widths(2, 3, 75) == (2, 2, 1)  # halves up: 1.5; 1.125
    assert widths(1024, 15, 1) == (1024, 10, *[1] * 13)
    assert widths(1, 4, 1) == (1, 1, 1, 1)
    # 5 * 0.5 = 2.5 exactly: a sum of floats must not decide.
    assert widths(5, 2, 50) == (5, 3)
    for taper in range(1, 101):
        exact = [Fraction(1000) * Fraction(taper, 100) ** layer for layer in range(15)]
        assert widths(1000, 15, taper) == tuple(max(1, math.floor(one + Fraction(1, 2))) for one in exact)
        assert list(widths(1000, 15, taper)) == sorted(widths(1000, 15, taper), reverse=True)


@pytest.mark.parametrize("architecture", [PLAIN, ENCODED])
@pytest.mark.parametrize("size", [(7, 4), (1, 5), (1, 1)])
def test_synthesis_agrees_with_plain_python(architecture: Architecture, size: tuple[int, int]) -> None:
    weights = _weights(architecture)
    weights[-1] += 0.5
    pixels = synthesize(architecture, weights, size)
    assert pixels.shape == (size[1], size[0], architecture.channels)
    assert pixels.dtype == np.uint8
    for row in range(size[1]):
        for column in range(size[0]):
            expected = _level(architecture, weights, column, row, size)
            # Within a rounding of the level: 1e-2 of one covers float32.
            assert np.abs(pixels[row, column] - np.array(expected)).max() <= 0.51


@pytest.mark.parametrize("block", [1, 7, 40, 10**6])
def test_pixels_do_not_depend_on_the_block(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = _weights(ENCODED)
    whole = synthesize(ENCODED, weights, (37, 23)).astype(int)
    monkeypatch.setattr(siren_synthesis, "BLOCK_POINTS", block)
    parts = synthesize(ENCODED, weights, (37, 23)).astype(int)
    assert np.abs(parts - whole).max() <= 1
    assert (parts != whole).mean() <= 1e-3


def test_the_largest_weights_a_file_can_hold_overflow_nowhere() -> None:
    largest = np.float32(SYMBOL_MAX * step_size(STEP_INDEX_MAX))
    weights = [np.full(shape, largest) for shape in ENCODED.shapes]
    assert synthesize(ENCODED, weights, (4, 4)).shape == (4, 4, 3)


@pytest.mark.parametrize("points", [2, 3, 5])
@pytest.mark.parametrize("block", [10, 4096])
def test_a_pixel_of_several_points_is_their_mean(points: int, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = _weights(ENCODED)
    weights[-1] += 0.5
    fine = synthesize(ENCODED, weights, (14 * points, 9 * points)).astype(float)
    monkeypatch.setattr(siren_synthesis, "BLOCK_POINTS", block)
    means = fine.reshape(9, points, 14, points, 3).mean(axis=(1, 3))
    assert np.abs(synthesize(ENCODED, weights, (14, 9), points) - means).max() <= 1.0


def test_values_are_limited_before_they_are_averaged() -> None:
    """A point brighter than white is white: it must not outshine its neighbours."""
    weights = [np.zeros(shape, np.float32) for shape in PLAIN.shapes]
    weights[-1] += np.float32([5.0, -5.0])
    assert synthesize(PLAIN, weights, (2, 2), 2).tolist() == [[[255, 0]] * 2] * 2


def test_ctrl_c_ends_the_evaluation_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """The threads do not finish all remaining blocks first."""
    blocks = []

    class Interrupted(Scale):
        def to_samples(self, values: np.ndarray) -> np.ndarray:
            blocks.append(len(values))
            if len(blocks) == 1:
                raise KeyboardInterrupt
            time.sleep(0.02)  # time for the other thread to be told
            return super().to_samples(values)

    monkeypatch.setattr(threads, "cores", lambda: 2)
    axis = Axis.of_pixels(500, 500)
    scale = Interrupted("uint8", PLAIN.channels, ((0.0, 255.0),))
    with pytest.raises(KeyboardInterrupt):
        siren_synthesis.synthesize(PLAIN, whole(_weights(PLAIN), (500, 500)), siren_synthesis.Grid(axis, axis), scale)
    assert len(blocks) < 30  # of 63
