"""The division of an image: parts tile it, supports cover it, and the weights of neighbours sum to 1."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pillow_inr.imaging.coordinates import Axis
from pillow_inr.models.siren.division import Part, Region, blend_weights, divided, smooth_step
from tests.support import mosaics, plain_mosaic

pytestmark = pytest.mark.decoding

sizes = st.tuples(st.integers(1, 60), st.integers(1, 60))


@st.composite
def divisions(draw: st.DrawFn) -> tuple[tuple[int, int], int, list[Part]]:
    size, overlap = draw(sizes), draw(st.integers(0, 5))
    rng, likely = np.random.default_rng(draw(st.integers(0, 2**32 - 1))), draw(st.sampled_from([0.3, 0.7, 1.0]))
    splits = mosaics.random_splits(rng, size, overlap, likely)
    return size, overlap, divided(size, overlap, mosaics.recalled(splits))


def test_a_division_by_hand() -> None:
    # 7 by 5 is wider than high: 3 and 4 columns. The left half, 3 by 5, is higher: 2 and 3 rows. Then 3 by 2 is wide.
    asked: list[Region] = []

    def is_split(region: Region) -> bool:
        asked.append(region)
        return region in (Region(0, 0, 7, 5), Region(0, 0, 3, 5), Region(0, 0, 3, 2))

    parts = divided((7, 5), 0, is_split)
    cores = [Region(0, 0, 1, 2), Region(1, 0, 3, 2), Region(0, 2, 3, 5), Region(3, 0, 7, 5)]
    assert [part.core for part in parts] == [part.support for part in parts] == cores
    # Depth first, the first half before the second.
    assert asked == [Region(0, 0, 7, 5), Region(0, 0, 3, 5), Region(0, 0, 3, 2), *cores]


def test_a_square_is_cut_into_left_and_right() -> None:
    assert Region(1, 2, 6, 7).halves() == (Region(1, 2, 3, 7), Region(3, 2, 6, 7))


@pytest.mark.parametrize(("size", "overlap"), [((8, 3), 2), ((3, 8), 2), ((2, 1), 0), ((256, 1), 64)])
def test_the_smallest_region_that_may_be_halved(size: tuple[int, int], overlap: int) -> None:
    assert len(divided(size, overlap, mosaics.recalled([True, False, False]))) == 2
    smaller = (size[0] - 1, size[1]) if size[0] > size[1] else (size[0], size[1] - 1)

    def never_asked(region: Region) -> bool:
        raise AssertionError(region)

    image = Region(0, 0, *smaller)
    assert divided(smaller, overlap, never_asked) == [Part(image, image)]


def test_supports_reach_beyond_shared_edges_alone() -> None:
    left, right = divided((20, 10), 3, mosaics.recalled([True, False, False]))
    assert left == Part(Region(0, 0, 10, 10), Region(0, 0, 13, 10))
    assert right == Part(Region(10, 0, 20, 10), Region(7, 0, 20, 10))
    assert left.edges(0) == (0, 0, 10, 13) and left.edges(1) == (0, 0, 10, 10)


@given(divisions())
def test_cores_tile_the_image_and_supports_surround_them(
    division: tuple[tuple[int, int], int, list[Part]],
) -> None:
    (width, height), overlap, parts = division
    covered = np.zeros((height, width), int)
    for core, support in parts:
        covered[core.top : core.bottom, core.left : core.right] += 1
        expected = [
            max(core.left - overlap, 0) if core.left else 0,
            max(core.top - overlap, 0) if core.top else 0,
            core.right + overlap if core.right < width else width,
            core.bottom + overlap if core.bottom < height else height,
        ]
        assert list(support) == expected
        assert min(support) >= 0 and support.right <= width and support.bottom <= height
    assert (covered == 1).all()


@given(divisions())
def test_the_second_decoder_divides_alike(division: tuple[tuple[int, int], int, list[Part]]) -> None:
    (width, height), overlap, parts = division
    cores = {part.core for part in parts}
    splits: list[bool] = []

    def is_split(region: Region) -> bool:
        splits.append(region not in cores)
        return splits[-1]

    divided((width, height), overlap, is_split)
    flags = iter(splits)
    theirs = plain_mosaic.divide(plain_mosaic.Part(0, 0, width, height), overlap, lambda: next(flags), len(parts))
    assert [tuple(part) for part in theirs] == [tuple(part.core) for part in parts]


def _weights(part: Part, axis: int, positions: np.ndarray) -> np.ndarray:
    """Of all positions: 0 outside the support."""
    low, _, _, high = part.edges(axis)
    inside = (positions >= low) & (positions < high)
    weights = inside.astype(float)
    blended = blend_weights(part.edges(axis), positions[inside])
    if blended is not None:
        weights[inside] = blended
    return weights


@given(divisions(), st.integers(0, 2**32 - 1))
def test_weights_sum_to_1_everywhere(division: tuple[tuple[int, int], int, list[Part]], seed: int) -> None:
    size, overlap, parts = division
    rng = np.random.default_rng(seed)
    # Centres of pixels, edges of pixels, positions between.
    across, down = (
        np.sort(np.concatenate([np.arange(length) + 0.5, np.arange(length), rng.uniform(0, length, 20)]))
        for length in size
    )
    total, blended = np.zeros((len(down), len(across))), np.zeros((len(down), len(across)), int)
    for part in parts:
        weights = np.outer(_weights(part, 1, down), _weights(part, 0, across))
        assert (weights >= 0).all()
        theirs = np.outer(
            [plain_mosaic.weight(q, part.core.top, part.core.bottom, size[1], overlap) for q in down],
            [plain_mosaic.weight(p, part.core.left, part.core.right, size[0], overlap) for p in across],
        )
        assert np.abs(weights - theirs).max() <= 1e-12
        total += weights
        blended += weights > 0
    assert np.abs(total - 1).max() <= 1e-12
    assert blended.max() <= 4


def test_a_part_far_from_its_edges_has_no_weights() -> None:
    assert blend_weights((0, 0, 20, 24), np.arange(16) + 0.5) is None
    assert blend_weights((6, 10, 30, 30), np.arange(14, 30) + 0.5) is None
    assert blend_weights((6, 10, 30, 30), np.zeros(0)) is None
    assert blend_weights((0, 0, 20, 20), np.arange(20) + 0.5) is None
    weights = blend_weights((6, 10, 30, 30), np.array([6.0, 10.0, 14.0, 29.0]))
    assert weights is not None and weights.tolist() == [0.0, 0.5, 1.0, 1.0]


def test_the_step_is_smooth() -> None:
    t = np.linspace(-0.5, 1.5, 20001)
    values = smooth_step(t)
    assert (np.diff(values) >= 0).all()
    np.testing.assert_allclose(values + smooth_step(1 - t), 1, atol=1e-14)
    for derivative in range(3):  # continuous, also at both ends
        assert np.abs(np.diff(values)).max() <= 60 * 1e-4, derivative
        values = np.gradient(values, t)


def test_a_part_has_coordinates_of_its_own() -> None:
    part = Part(Region(10, 4, 18, 8), Region(7, 1, 21, 11))
    across, down = part.axes(Axis.of_pixels(40, 40), Axis.of_pixels(20, 40))
    # Its longer side, of 8 pixels, spans -1..1.
    assert across.positions(10, 18).tolist() == [-0.875, -0.625, -0.375, -0.125, 0.125, 0.375, 0.625, 0.875]
    assert down.positions(4, 8).tolist() == [-0.375, -0.125, 0.125, 0.375]
    own_across, own_down = part.pixel_axes()
    assert own_across.positions().tolist() == across.positions(7, 21).tolist()
    assert own_down.positions().tolist() == down.positions(1, 11).tolist()
    for at in range(10, 18):
        assert plain_mosaic.Part(*part.core).place(at + 0.5, 5.5) == (across.positions()[at], down.positions()[5])
