import hashlib
import math
from pathlib import Path

import numpy as np
import pytest

from pillow_inr.errors import FormatError
from pillow_inr.models.pyramid import structure
from pillow_inr.models.pyramid.header import BASE_WEIGHTS_COUNTS
from pillow_inr.models.pyramid.structure import PRESETS


def test_shapes_of_the_first_preset_by_hand() -> None:
    shapes = structure.shapes(0, 3)
    assert list(shapes)[:8] == ["a1", "a1b", "a2", "a2b", "a3", "a3b", "as", "up"]
    assert list(shapes)[8:] == ["s1", "s1b", "s2", "s2b", "ss", "r0", "r0b", "r1", "r1b"]
    assert (shapes["a1"], shapes["as"], shapes["a3b"]) == ((24, 22), (2, 22), (2, 7))
    assert (shapes["s1"], shapes["s2"], shapes["r1"]) == ((48, 7), (3, 48), (3, 27))


def test_what_the_second_preset_has_more() -> None:
    first, second = structure.shapes(0, 3), structure.shapes(1, 3)
    assert list(second)[7:11] == ["up", "pf", "kf", "s1"]
    changed = {"a1": (24, 34), "as": (2, 34), "pf": (7, 4), "kf": (4, 25), "s1": (48, 11), "ss": (3, 11)}
    assert second == {**first, **changed}


def test_grids_are_rounded_up() -> None:
    assert structure.grid_sizes((5, 65)) == [(65, 5), (33, 3), (17, 2), (9, 1), (5, 1), (3, 1), (2, 1)]
    assert structure.grid_sizes((1, 1)) == [(1, 1)] * 7


@pytest.mark.parametrize("preset", range(len(PRESETS)))
def test_contexts_lie_in_earlier_wavefronts(preset: int) -> None:
    assert len(set(structure.NEIGHBOURS)) == len(structure.NEIGHBOURS) >= PRESETS[preset].spatial
    assert all(right + 2 * down < 0 for down, right in structure.NEIGHBOURS)


@pytest.mark.parametrize("preset", range(len(PRESETS)))
def test_sums_stay_exact(preset: int) -> None:
    """Every partial sum of the context model is an integer below 2^53, whatever a file holds."""
    inputs, units = PRESETS[preset].contexts, PRESETS[preset].context_width
    weight, hidden, symbol, unit = structure.CONTEXT_LIMIT, 1 << 24, 4095 + 17 + 8191, 1 << 12
    assert inputs * weight * symbol + weight < 2**53
    assert units * weight * hidden + weight * unit < 2**53
    assert units * weight * hidden + inputs * weight * symbol * unit + weight * unit + (1 << 25) < 2**53


@pytest.mark.parametrize("name", ["base_weights.bin", "base_weights_1.bin"])
def test_base_weights_are_those_of_the_format(name: str) -> None:
    stored = Path(structure.__file__).with_name(name).read_bytes()
    assert hashlib.sha256(stored).hexdigest() in (Path(__file__).parents[4] / "docs" / "format.md").read_text()


@pytest.mark.parametrize(("preset", "name"), [(0, "base_weights.bin"), (1, "base_weights_1.bin")])
def test_the_file_holds_all_base_weights(preset: int, name: str) -> None:
    count = sum(math.prod(shape) for shape in structure.shapes(preset, 3).values())
    size = (Path(structure.__file__).parent / name).stat().st_size
    assert size == 2 * BASE_WEIGHTS_COUNTS[preset] * count


@pytest.mark.parametrize(
    ("preset", "number"),
    [(preset, number) for preset, count in enumerate(BASE_WEIGHTS_COUNTS) for number in range(count)],
)
@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5, 7, 64])
def test_base_weights_of_any_number_of_channels(preset: int, number: int, channels: int) -> None:
    tensors = structure.base_weights(preset, number, channels)
    assert {name: values.shape for name, values in tensors.items()} == structure.shapes(preset, channels)
    structure.check_tensors(tensors)
    stored = structure.base_weights(preset, number, 3)
    assert (tensors["a1"] == stored["a1"]).all()
    assert all((tensors[name] == stored[name]).all() for name in ("pf", "kf") if name in stored)
    if channels == 4:
        assert (tensors["s2"][:3] == stored["s2"]).all()
        assert (tensors["r0"].reshape(4, 9, 4)[:3, :, :3] == stored["r0"].reshape(3, 9, 3)).all()
    elif channels != 3:
        assert (tensors["s2"][0] == np.floor(stored["s2"].mean(axis=0))).all()
        taps = stored["r0"].reshape(3, 9, 3)
        mean = np.floor((taps[0, :, 0] + taps[1, :, 1] + taps[2, :, 2]) / 3)
        assert (tensors["r0"].reshape(channels, 9, channels)[0, :, 0] == mean).all()
    if channels in (2, 4):
        assert tensors["s2b"][-1] == 1 << PRESETS[preset].synthesis_bits
        assert not any(tensors[name][-1].any() for name in ("s2", "ss", "r0", "r1b"))


def test_base_weights_are_shared_and_read_only() -> None:
    with pytest.raises(ValueError, match="read-only"):
        structure.base_weights(0, 0, 1)["s2"][0] = 1


@pytest.mark.parametrize(("name", "limit"), [("a2", 1 << 20), ("s2", 1 << 24)])
def test_limits_of_tensors(name: str, limit: int) -> None:
    structure.check_tensors({name: np.array([1 - limit, limit - 1])})
    for value in (limit, -limit):
        with pytest.raises(FormatError, match=f"tensor {name} is {limit}"):
            structure.check_tensors({name: np.array([value])})
