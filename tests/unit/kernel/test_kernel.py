"""The kernel against NumPy: equal symbols, samples within rounding errors, the same streams refused."""

import re
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pillow_inr import limits
from pillow_inr.entropy import distributions
from pillow_inr.entropy.symbol_budget import symbol_budget
from pillow_inr.errors import FormatError, LimitError
from pillow_inr.models.pyramid import decoding, frequency_tables, latent_coding, structure, synthesis
from pillow_inr.models.pyramid.latent_coding import WeightResidual
from pillow_inr.models.pyramid.region import Region
from pillow_inr.models.pyramid.structure import Pyramid
from tests.support.pyramids import draw_grids, draw_stream, draw_weight_residuals

wasmtime = pytest.importorskip("wasmtime")

from pillow_inr.kernel import instance  # noqa: E402

SOURCE = Path(__file__).parents[3] / "kernel"
SIZES = [(1, 1), (1, 40), (40, 1), (2, 3), (17, 5), (70, 96), (129, 65)]


def check_equal(found: Pyramid, expected: Pyramid) -> None:
    assert found.tensors.keys() == expected.tensors.keys()
    for name, values in expected.tensors.items():
        assert np.array_equal(found.tensors[name], values), name
    for level, (grid, other) in enumerate(zip(found.grids, expected.grids, strict=True)):
        assert np.array_equal(grid, other), level


def decoded_wide(stream: bytes, preset: int, channels: int, size: tuple[int, int]) -> Pyramid:
    """By the kernel in double precision."""
    with instance.borrowed() as decoder:
        decoder.begin(preset, channels, size, stream, structure.flat(structure.base_weights(preset, 0, channels)))
        decoder.decode(symbol_budget(len(stream)), force_wide=True)
        assert not decoder.is_narrow()
        grids = [grid.copy() for grid in decoder.grids(structure.grid_sizes(size))]
        return Pyramid(structure.named(decoder.tensors(), preset, channels), grids)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("channels", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("preset", range(len(structure.PRESETS)))
def test_symbols_and_samples_are_those_of_numpy(size: tuple[int, int], channels: int, preset: int) -> None:
    stream = draw_stream(np.random.default_rng(3), size, channels, preset=preset)
    base = structure.base_weights(preset, 0, channels)
    expected = latent_coding.decode(stream, preset, base, size)
    check_equal(decoding.decode(stream, preset, base, size), expected)
    tensors = decoding.decode_tensors(stream, preset, base)
    assert all(np.array_equal(tensors[name], values) for name, values in expected.tensors.items())
    assert instance._idle[-1].is_narrow()
    check_equal(decoded_wide(stream, preset, channels, size), expected)
    whole = Region(0, size[1], 0, size[0])
    samples = synthesis.synthesize(*expected, size, channels, preset).clip(0, 1)
    assert np.abs(decoding.synthesize(expected, size, channels, preset, whole) - samples).max() < 1e-4
    rounded = decoding.synthesize(expected, size, channels, preset, whole, as_bytes=True)
    assert rounded.dtype == np.uint8
    assert np.abs(rounded.astype(int) - np.rint(samples * 255)).max() <= 1


@given(seed=st.integers(0, 99), edges=st.tuples(*[st.integers(0, 90)] * 4), preset=st.integers(0, 1))
@settings(deadline=None, max_examples=60)
def test_regions_are_parts_of_the_whole(seed: int, edges: tuple[int, ...], preset: int) -> None:
    """To the bit: no sample depends on the region that it is asked for with."""
    rng = np.random.default_rng(seed)
    size = (int(rng.integers(1, 90)), int(rng.integers(1, 90)))
    top, bottom = sorted(edge % size[1] for edge in edges[:2])
    left, right = sorted(edge % size[0] for edge in edges[2:])
    residuals = draw_weight_residuals(rng, 3, preset=preset)
    tensors = latent_coding.apply(structure.base_weights(preset, 0, 3), residuals)
    pyramid = Pyramid(tensors, draw_grids(rng, size))
    whole = decoding.synthesize(pyramid, size, 3, preset, Region(0, size[1], 0, size[0]))
    part = decoding.synthesize(pyramid, size, 3, preset, Region(top, bottom + 1, left, right + 1))
    assert np.array_equal(part, whole[top : bottom + 1, left : right + 1])


@given(seed=st.integers(0, 10**6), preset=st.integers(0, 1))
@settings(deadline=None, max_examples=40)
def test_large_weights_and_symbols(seed: int, preset: int) -> None:
    """Hidden units beyond 15 bits, escapes, and weights that only double precision holds."""
    rng = np.random.default_rng(seed)
    size = (int(rng.integers(1, 40)), int(rng.integers(1, 40)))
    residuals = {
        name: WeightResidual(int(rng.integers(0, 10)), np.rint(rng.laplace(0, 20, shape)).astype(np.int32))
        for name, shape in structure.shapes(preset, 3).items()
    }
    grids = draw_grids(rng, size, spread=float(rng.choice([1.0, 30.0, 900.0])))
    base = structure.base_weights(preset, 0, 3)
    stream = latent_coding.encode(preset, base, residuals, grids)
    check_equal(decoding.decode(stream, preset, base, size), latent_coding.decode(stream, preset, base, size))


def _answer(decode: object, *arguments: object) -> Pyramid | None:
    """What is decoded; None if it is refused. Of several faults one may be met before the other."""
    try:
        return decode(*arguments)  # type: ignore[operator, no-any-return]
    except FormatError:
        return None


@given(data=st.data(), preset=st.integers(0, 1))
@settings(deadline=None, max_examples=300)
def test_damaged_streams_get_the_same_answer(data: st.DataObject, preset: int) -> None:
    size = (9, 14)
    stream = bytearray(draw_stream(np.random.default_rng(5), size, preset=preset))
    for _ in range(data.draw(st.integers(1, 3))):
        stream[data.draw(st.integers(0, len(stream) - 1))] = data.draw(st.integers(0, 255))
    damaged = bytes(stream[: 4 * data.draw(st.integers(0, len(stream) // 4))])
    arguments = damaged, preset, structure.base_weights(preset, 0, 3), size
    found, expected = _answer(decoding.decode, *arguments), _answer(latent_coding.decode, *arguments)
    assert (found is None) == (expected is None)
    if found is not None and expected is not None:
        check_equal(found, expected)


@pytest.mark.parametrize("preset", [0, 1])
def test_the_budget_counts_what_numpy_counts(preset: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The least budget that is enough is the same for both, without escapes and with them, whose table counts, too."""
    size = (11, 7)
    base = structure.base_weights(preset, 0, 3)
    for spread in (0.3, 300.0):
        stream = draw_stream(np.random.default_rng(1), size, spread=spread, preset=preset)
        counted = len(stream) - 36
        refused = 1
        for step in reversed(range(20)):
            monkeypatch.setattr(limits, "SYMBOLS_PER_BYTE", (refused + (1 << step)) / counted)
            if _answer(latent_coding.decode, stream, preset, base, size) is None:
                refused += 1 << step
        for budget, enough in ((refused, False), (refused + 1, True)):
            with instance.borrowed() as decoder:
                decoder.begin(preset, 3, size, stream, structure.flat(base))
                if enough:
                    decoder.decode(budget)
                else:
                    with pytest.raises(LimitError, match="SYMBOLS_PER_BYTE"):
                        decoder.decode(budget)


def test_a_pyramid_of_nothing_takes_no_memory() -> None:
    residuals = latent_coding.no_residuals(1, 3)
    grids = [np.zeros(shape, np.int32) for shape in structure.grid_sizes((900, 700))]
    base = structure.base_weights(1, 0, 3)
    pyramid = decoding.decode(latent_coding.encode(1, base, residuals, grids), 1, base, (900, 700))
    assert not any(grid.strides[0] or grid.any() for grid in pyramid.grids)
    assert decoding.synthesize(pyramid, (900, 700), 3, 1, Region(690, 700, 880, 900)).shape == (10, 20, 3)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("begin", (2, 3, 8, 8, 0)),
        ("begin", (-1, 3, 8, 8, 0)),
        ("begin", (0, 0, 8, 8, 0)),
        ("begin", (0, 65, 8, 8, 0)),
        ("begin", (0, 3, 0, 8, 0)),
        ("begin", (0, 3, 8, 4097, 0)),
        ("begin", (0, 3, 8, 8, 3)),
        ("synthesize", (0, 9, 0, 8, 0)),
        ("synthesize", (-1, 8, 0, 8, 0)),
        ("synthesize", (0, 8, 5, 5, 0)),
        ("synthesize", (0, 8, 0, 2**31 - 1, 1)),
    ],
)
def test_calls_that_make_no_sense_are_refused(name: str, arguments: tuple[int, ...]) -> None:
    with instance.borrowed() as decoder:
        decoder.begin(0, 3, (8, 8), b"", structure.flat(structure.base_weights(0, 0, 3)))
        with pytest.raises(ValueError, match=name):
            decoder._check(name, *arguments)


@pytest.mark.parametrize(("field", "value"), [("grids", 2**31), ("pitches", 2**20), ("pitches", 3), ("pitches", -1)])
def test_addresses_outside_its_memory_are_not_followed(field: str, value: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even a kernel that a file has taken over gets at the memory of the process."""
    with instance.borrowed() as decoder:
        decoder.begin(0, 3, (8, 8), b"", structure.flat(structure.base_weights(0, 0, 3)))
        view = instance._View.from_buffer_copy(decoder._view(decoder._bytes()))
        getattr(view, field)[0] = value
        monkeypatch.setattr(decoder, "_view", lambda memory: view)
        with pytest.raises(FormatError, match="outside its memory"):
            decoder.grids(structure.grid_sizes((8, 8)))
        monkeypatch.undo()


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instance, "MEMORY_MAX", 8 << 20)
    monkeypatch.setattr(instance, "_idle", [])
    with instance.borrowed() as decoder, pytest.raises(LimitError, match="8 MB"):
        decoder.begin(0, 3, (4096, 4096), b"", structure.flat(structure.base_weights(0, 0, 3)))


def test_large_instances_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instance, "_idle", [])
    for side, kept in ((4096, 0), (64, 1)):
        with instance.borrowed() as decoder:
            decoder.begin(0, 3, (side, side), b"", structure.flat(structure.base_weights(0, 0, 3)))
        assert len(instance._idle) == kept


def test_threads_do_not_disturb_each_other() -> None:
    streams = [draw_stream(np.random.default_rng(seed), (60, 50), preset=seed & 1) for seed in range(4)]
    bases = [structure.base_weights(preset, 0, 3) for preset in (0, 1)]
    size = 60, 50
    expected = [latent_coding.decode(stream, seed & 1, bases[seed & 1], size) for seed, stream in enumerate(streams)]
    failed = []

    def decode(seed: int) -> None:
        try:
            for _ in range(5):
                check_equal(decoding.decode(streams[seed], seed & 1, bases[seed & 1], size), expected[seed])
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=decode, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed


def test_a_pyramid_is_decoded_once() -> None:
    stream = draw_stream(np.random.default_rng(3), (8, 8))
    with instance.borrowed() as decoder:
        decoder.begin(0, 3, (8, 8), stream, structure.flat(structure.base_weights(0, 0, 3)))
        decoder.decode(1 << 20)
        with pytest.raises(ValueError, match="decode"):
            decoder.decode(1 << 20)
        with pytest.raises(ValueError, match="resume"):
            decoder._check("resume")
        with pytest.raises(ValueError, match="expected"):
            decoder.begin(0, 3, (8, 8), stream, structure.flat(structure.base_weights(0, 0, 4)))


def test_a_large_tile_takes_several_calls() -> None:
    """So that Ctrl-C acts in between."""
    size = (1800, 1600)
    grids = [np.zeros(shape, np.int32) for shape in structure.grid_sizes(size)]
    for grid in grids:
        grid[::7, ::5] = 1
    residuals = latent_coding.no_residuals(1, 3)
    stream = latent_coding.encode(1, structure.base_weights(1, 0, 3), residuals, grids)
    calls = 0
    with instance.borrowed() as decoder:
        decoder.begin(1, 3, size, stream, structure.flat(structure.base_weights(1, 0, 3)))
        status = decoder._check("decode", 1 << 40, 0)
        while status == instance.Status.MORE:
            status, calls = decoder._check("resume"), calls + 1
        assert calls == 2
        for grid, found in zip(grids, decoder.grids(structure.grid_sizes(size)), strict=True):
            assert np.array_equal(grid, found)


@pytest.mark.parametrize("budget", [1e5, float("inf"), 1 << 70])
def test_any_budget_may_be_set(budget: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SYMBOLS_PER_BYTE", budget)
    decoding.decode(draw_stream(np.random.default_rng(3), (8, 8)), 0, structure.base_weights(0, 0, 3), (8, 8))


def test_a_trap_and_missing_memory_are_errors_of_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    def trap(*given: object) -> None:
        raise wasmtime.Trap("unreachable")

    def fail(*given: object) -> None:
        raise wasmtime.WasmtimeError("mmap failed")

    with instance.borrowed() as decoder:
        monkeypatch.setitem(decoder._functions, "decode", trap)
        with pytest.raises(FormatError, match="the kernel stopped"):
            decoder.decode(1)
        monkeypatch.undo()
    monkeypatch.setattr(instance, "_idle", [])
    monkeypatch.setattr(instance, "Instance", fail)
    with pytest.raises(LimitError, match="no memory"), instance.borrowed():
        pass


def test_parts_of_large_tiles_are_those_of_the_whole() -> None:
    """A part is given the rows of the grids around it only."""
    size = (20, 700)
    rng = np.random.default_rng(8)
    tensors = latent_coding.apply(structure.base_weights(1, 0, 3), draw_weight_residuals(rng, 3, preset=1))
    pyramid = Pyramid(tensors, draw_grids(rng, size))
    whole = decoding.synthesize(pyramid, size, 3, 1, Region(0, 700, 0, 20))
    for top, bottom in ((0, 1), (63, 64), (64, 128), (333, 400), (639, 641), (699, 700)):
        part = decoding.synthesize(pyramid, size, 3, 1, Region(top, bottom, 0, 20))
        assert np.array_equal(part, whole[top:bottom]), top


def _members(path: str, begin: str) -> list[str]:
    """Names in a C enumeration or structure."""
    text = (SOURCE / path).read_text()
    body = re.sub(r"//.*", "", text[text.index(begin) + len(begin) :].split("}")[0])
    return re.findall(r"(\w+)(?:\[\w+\])?\s*[,;]", body)


@pytest.mark.skipif(not SOURCE.exists(), reason="the source of the kernel is in the repository only")
def test_its_numbers_are_those_of_the_package() -> None:
    assert _members("platform.h", "enum Status {") == [status.name for status in instance.Status]
    assert _members("kernel.c", "typedef struct {") == [name for name, _ in instance._View._fields_]


def _constants(name: str) -> list[int]:
    text = (SOURCE / "tables.h").read_text()
    found = re.search(rf"{name}\[\d+\] = {{(.*?)}}", text, re.DOTALL)
    assert found
    return [int(number) for number in re.findall(r"(\d+)u", found[1])]


@pytest.mark.skipif(not SOURCE.exists(), reason="the source of the kernel is in the repository only")
def test_its_tables_are_those_of_the_package() -> None:
    assert _constants("LAPLACE_DECAYS") == list(distributions.DECAYS)
    assert _constants("RESIDUAL_DECAYS") == list(frequency_tables.DECAYS)
