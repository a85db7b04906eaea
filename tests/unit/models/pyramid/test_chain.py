"""Tiles whose networks are coded against those of the tile beside them."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import pillow_inr
from pillow_inr.errors import FormatError, LimitError, UnsupportedFileError
from pillow_inr.models.pyramid import chain, latent_coding, structure
from pillow_inr.models.pyramid.chain import Chain
from pillow_inr.models.pyramid.header import CHAIN_SIDE, CODING_CHAINED, CODING_PYRAMID, PyramidHeader
from pillow_inr.models.pyramid.model import StoredPyramid
from pillow_inr.models.pyramid.tiles import Tiles
from tests.support import container
from tests.support.container import open_model
from tests.support.pyramid_checks import FakeFit
from tests.support.pyramids import draw_file

TILE = 256
# 3 x 2 tiles, the last ones smaller.
SIZE = 2 * TILE + 9, TILE + 5


def chained(size: tuple[int, int] = SIZE, **fields: Any) -> bytes:
    return draw_file(size, tile=8, coding=CODING_CHAINED, **fields)


def tiles_of(data: bytes) -> Tiles:
    model = open_model(data)
    assert isinstance(model, StoredPyramid)
    return model.tiles


def residuals(tensors: structure.Tensors, base: structure.Tensors) -> int:
    return max(int(np.abs(tensors[name] - base[name]).max()) for name in base)


@pytest.mark.parametrize(
    ("row", "column", "expected"),
    [
        (0, 0, None),
        (0, 1, (0, 0)),
        (1, 0, (0, 0)),
        (1, 1, (1, 0)),
        (2, CHAIN_SIDE - 1, (2, CHAIN_SIDE - 2)),
        (2, CHAIN_SIDE, (1, CHAIN_SIDE)),
        (CHAIN_SIDE, CHAIN_SIDE + 1, (CHAIN_SIDE, CHAIN_SIDE)),
        (CHAIN_SIDE, CHAIN_SIDE, None),
    ],
)
def test_the_reference_is_the_tile_to_the_left_or_that_above(
    row: int, column: int, expected: tuple[int, int] | None
) -> None:
    assert PyramidHeader(tile=8, coding=CODING_CHAINED).reference(row, column) == expected
    assert PyramidHeader(tile=8).reference(row, column) is None


def test_networks_add_up_along_the_chain() -> None:
    """A tile's integers are those of its reference and the differences in its stream."""
    tiles = tiles_of(chained())
    found = [tiles.decode_tile(tile).tensors for tile in tiles.all()]
    base = structure.base_weights(0, 0, 3)
    for tile, reference in zip(tiles.all(), [base, found[0], found[1], found[0], found[3], found[4]], strict=True):
        alone = latent_coding.decode_tensors(tiles.stream(tile), reference)
        assert residuals(found[tile.number], alone) == 0
        assert residuals(found[tile.number], reference) > 0


def test_a_tile_needs_no_grid_of_another_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last tile alone: the networks of three others are decoded, and no pyramid."""
    data = chained()
    *_, last = tiles_of(data).all()
    expected = tiles_of(data)
    whole = [expected.decode_tile(tile) for tile in expected.all()][-1]
    decoded: list[bytes] = []
    plain: Callable[..., Any] = chain.decoding.decode_tensors

    def counted(data: bytes, *rest: Any) -> Any:
        decoded.append(data)
        return plain(data, *rest)

    monkeypatch.setattr(chain.decoding, "decode_tensors", counted)
    tiles = tiles_of(data)
    alone = tiles.decode_tile(last)
    streams = [tiles.stream(tile) for tile in tiles.all()]
    assert decoded == [streams[0], streams[3], streams[4]]
    assert residuals(alone.tensors, whole.tensors) == 0
    for grid, other in zip(alone.grids, whole.grids, strict=True):
        assert np.array_equal(grid, other)


def test_regions_and_threads_see_the_same_pixels() -> None:
    data = chained()
    whole = pillow_inr.decode(data)
    box = TILE - 3, TILE - 2, 2 * TILE + 4, TILE + 3
    assert np.array_equal(pillow_inr.decode(data, box=box), whole[box[1] : box[3], box[0] : box[2]])
    tiles = tiles_of(data)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda tile: tiles.decode_tile(tile).tensors, reversed(list(tiles.all()))))
    again = tiles_of(data)
    for tensors, tile in zip(reversed(found), again.all(), strict=True):
        assert residuals(tensors, again.decode_tile(tile).tensors) == 0


def test_few_networks_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain, "NETWORKS_BYTES", 1)
    tiles = tiles_of(chained())
    networks = Chain(tiles.header, lambda number: tiles.payload[tiles.starts[number] : tiles.ends[number]])
    for tile in tiles.all():
        assert residuals(networks.base(tile.number), tiles.base(tile)) == 0
        assert len(networks._networks) <= 1


def test_numpy_and_the_kernel_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    tiles = tiles_of(chained(preset=1, base_index=2))
    expected = [tiles.base(tile) for tile in tiles.all()]
    monkeypatch.setattr(chain.decoding, "kernel", lambda: None)
    tiles = tiles_of(chained(preset=1, base_index=2))
    for tile, base in zip(tiles.all(), expected, strict=True):
        assert residuals(tiles.base(tile), base) == 0


def test_one_pyramid_has_no_chain() -> None:
    with pytest.raises(FormatError, match="coding is 1"):
        PyramidHeader(coding=CODING_CHAINED)


def test_newer_codings_are_refused() -> None:
    data = bytearray(chained())
    place = data.index(bytes([0, 0, 8, CODING_CHAINED]))
    data[place + 3] = 2
    with pytest.raises(UnsupportedFileError, match="coding 2"):
        container.read_header(bytes(data))


def test_damage_of_a_reference_is_reported() -> None:
    tiles = tiles_of(chained())
    first, second, *_ = tiles.all()
    start, end = tiles.starts[first.number], tiles.ends[first.number]
    tiles.payload = tiles.payload[:start] + b"\xff" * int(end - start) + tiles.payload[end:]
    with pytest.raises((FormatError, LimitError)):
        tiles.decode_tile(second)


def test_fits_start_from_and_are_coded_against_the_tile_beside(monkeypatch: pytest.MonkeyPatch) -> None:
    from pillow_inr.models.pyramid import plan, tile_fits

    fits = FakeFit()
    monkeypatch.setattr(tile_fits, "_load_fit", lambda: fits.fit)
    monkeypatch.setattr(plan, "WHOLE_PIXELS", 1)
    monkeypatch.setattr(plan, "TILE_LOG2", 8)
    image = np.random.default_rng(0).integers(0, 256, (TILE + 5, TILE + 9, 3), np.uint8)
    data = pillow_inr.encode(image, model="pyramid", steps=2)
    assert container.unpack(data)[0].model.coding == CODING_CHAINED
    bases = [call["base"] for call in fits.calls[-4:]]
    tiles = tiles_of(data)
    for tile, base in zip(tiles.all(), bases, strict=True):
        assert residuals(tiles.base(tile), base) == 0
    assert residuals(bases[1], bases[0]) > 0


def test_without_a_fit_tiles_stand_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    from pillow_inr.models.pyramid import plan

    monkeypatch.setattr(plan, "WHOLE_PIXELS", 1)
    monkeypatch.setattr(plan, "TILE_LOG2", 8)
    image = np.random.default_rng(0).integers(90, 99, (40, 300, 3), np.uint8)
    data = pillow_inr.encode(image, model="pyramid", effort=0)
    assert container.unpack(data)[0].model.coding == CODING_PYRAMID
