"""Files of pyramids: tiles, regions and other resolutions, all kinds of samples, and what hostile ones claim."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pillow_inr.errors import FormatError
from pillow_inr.imaging.samples import Scale
from pillow_inr.models.pyramid import decoding, synthesis, tiles
from pillow_inr.models.pyramid.model import StoredPyramid
from pillow_inr.models.pyramid.region import Region
from pillow_inr.models.pyramid.structure import Pyramid
from pillow_inr.models.pyramid.tiles import Tiles, pack_streams
from tests.support import container
from tests.support.checks import VECTORS, with_checksum, with_chunks
from tests.support.container import PIXEL_FORMAT_SAMPLES, SampleFormat, open_model
from tests.support.pyramids import draw_file, header_of, with_preview

pytestmark = pytest.mark.decoding

SIZE = (300, 270)  # two tiles of 256 across and down, three of them narrow


def _read(data: bytes) -> StoredPyramid:
    network = open_model(data)
    assert isinstance(network, StoredPyramid)
    return network


@pytest.fixture(scope="module")
def tiled() -> bytes:
    return draw_file(SIZE, tile=8)


@pytest.mark.parametrize("tile", [0, 8])
def test_a_box_is_that_part_of_the_image(tile: int) -> None:
    network = _read(draw_file(SIZE, tile=tile))
    whole = network.pixels()
    assert whole.shape == (270, 300, 3)
    assert whole.std() > 10
    for left, top, right, bottom in [(0, 0, 1, 1), (250, 200, 263, 269), (299, 269, 300, 270), (10, 20, 30, 25)]:
        part = network.pixels(box=(left, top, right, bottom))
        assert np.abs(part.astype(int) - whole[top:bottom, left:right]).max() <= 1


def test_only_tiles_within_the_box_are_decoded(tiled: bytes) -> None:
    """Damage to another tile goes unnoticed."""
    header, payload, _ = container.unpack(tiled)
    tiles = Tiles(header, payload)
    second = list(tiles.all())[1]
    start = len(tiled) - 4 - len(payload) + int(tiles.ends[0])
    damaged = with_checksum(
        tiled[:start] + bytes(len(tiles.stream(second))) + tiled[start + len(tiles.stream(second)) :]
    )
    assert (_read(damaged).pixels(box=(0, 0, 256, 256)) == _read(tiled).pixels(box=(0, 0, 256, 256))).all()
    with pytest.raises(FormatError):
        _read(damaged).pixels()


@pytest.mark.parametrize("tile", [0, 8])
def test_reduced_each_pixel_is_a_mean(tile: int) -> None:
    network = _read(draw_file(SIZE, tile=tile))
    whole = network.pixels().astype(float)
    assert np.abs(network.pixels((30, 27)) - whole.reshape(27, 10, 30, 10, 3).mean(axis=(1, 3))).max() <= 1
    assert np.abs(network.pixels((1, 1)) - whole.mean(axis=(0, 1))).max() <= 1
    part = network.pixels((5, 5), box=(200, 150, 300, 250))
    assert np.abs(part - whole[150:250, 200:].reshape(5, 20, 5, 20, 3).mean(axis=(1, 3))).max() <= 1


def test_enlarged_by_an_odd_number_every_pixel_has_its_centre(tiled: bytes) -> None:
    network = _read(tiled)
    box = (240.0, 240.0, 270.0, 262.0)  # where four tiles meet
    part = network.pixels(box=box)
    large = network.pixels((90, 66), box)
    assert np.abs(large[1::3, 1::3].astype(int) - part).max() <= 1
    shifted = network.pixels((29, 22), (240.5, 240, 269.5, 262))
    assert shifted.shape == (22, 29, 3)


@pytest.mark.parametrize(
    "fields",
    [
        {"pixel_format": 0},
        {"pixel_format": 1},
        {"pixel_format": 3},
        {"pixel_format": PIXEL_FORMAT_SAMPLES, "samples": SampleFormat("uint16", 0, ((7.0, 60000.0),))},
        {"pixel_format": PIXEL_FORMAT_SAMPLES, "samples": SampleFormat("float32", 5, ((-1.0, 0.5),))},
        {"pixel_format": PIXEL_FORMAT_SAMPLES, "samples": SampleFormat("uint8", 2, ((0.0, 9.0), (3.0, 3.0)))},
    ],
)
def test_all_kinds_of_samples(fields: dict) -> None:
    network = _read(draw_file((13, 9), **fields))
    header = network.header
    pixels = network.pixels()
    assert pixels.dtype == header.dtype
    assert pixels.shape == (9, 13, header.channels)
    scale = Scale.of(header)
    assert (pixels >= scale.low).all() and (pixels <= scale.low + scale.span).all()
    assert network.pixels((26, 18)).shape == (18, 26, header.channels)


def test_tiles_are_decoded_once_while_there_is_room(tiled: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = []
    original = decoding.decode
    monkeypatch.setattr(decoding, "decode", lambda *given: decoded.append(given) or original(*given))
    network = _read(tiled)
    network.pixels((50, 50))
    assert len(decoded) == 4
    network.pixels()
    assert len(decoded) == 4
    monkeypatch.setattr(tiles, "CACHE_BYTES", 1)
    network = _read(tiled)
    network.pixels()
    network.pixels()
    assert len(decoded) == 12


@pytest.mark.parametrize("room", [1, 2, 3])
def test_no_tile_is_decoded_twice_for_one_result(tiled: bytes, monkeypatch: pytest.MonkeyPatch, room: int) -> None:
    """Tiles are decoded ahead only as long as the first of them stays in the cache."""
    network = _read(tiled)
    held = [tiles._held_bytes(network.tiles.decode_tile(tile)) for tile in network.tiles.all()]
    monkeypatch.setattr(tiles, "CACHE_BYTES", room * max(held))
    decoded = []
    original = decoding.decode
    monkeypatch.setattr(decoding, "decode", lambda *given: decoded.append(given) or original(*given))
    _read(tiled).pixels()
    assert len(decoded) == 4


def test_values_beyond_all_numbers_are_black(monkeypatch: pytest.MonkeyPatch) -> None:
    odd = np.array([[[np.nan, np.inf, -np.inf], [2, -1, 0.5]]], np.float32)
    monkeypatch.setattr(decoding, "kernel", lambda: None)
    monkeypatch.setattr(synthesis, "synthesize", lambda *given: odd.copy())
    values = decoding.synthesize(Pyramid({}, []), (2, 1), 3, 0, Region(0, 1, 0, 2))
    assert values.tolist() == [[[0, 1, 0], [1, 0, 0.5]]]
    rounded = decoding.synthesize(Pyramid({}, []), (2, 1), 3, 0, Region(0, 1, 0, 2), as_bytes=True)
    assert rounded.tolist() == [[[0, 255, 0], [255, 0, 128]]]


def _with_words(data: bytes, *words: int) -> bytes:
    """The file with another table of tiles."""
    header, payload, _ = container.unpack(data)
    changed = b"".join(word.to_bytes(4, "little") for word in words) + payload[4 * len(words) :]
    return container.pack(header, changed)


def test_tables_that_do_not_fit_are_refused(tiled: bytes) -> None:
    header, payload, _ = container.unpack(tiled)
    words = np.frombuffer(payload, "<u4", 4).tolist()
    open_model(_with_words(tiled, *words))
    for changed in ([*words[:3], words[3] + 1], [*words[:3], words[3] - 1], [2**32 - 1] * 4):
        with pytest.raises(FormatError, match="tiles end"):
            open_model(_with_words(tiled, *changed))
    huge = replace(header, size=(container.SIDE_MAX, container.SIDE_MAX))
    with pytest.raises(FormatError, match="for 4294967296 tiles"):
        open_model(container.pack(huge, payload))


def test_hostile_sizes_are_refused_before_memory_is_taken() -> None:
    for size in ((4097, 1), (1, 4097), (container.SIDE_MAX, container.SIDE_MAX)):
        with pytest.raises(FormatError, match="4096 a side"):
            header_of(size)
    # 2^24 tiles of nothing: a table of 4 bytes each, but more multiplications than allowed.
    count = 1 << 12
    header = header_of((container.SIDE_MAX, container.SIDE_MAX), tile=12, payload_bytes=4 * count**2)
    tiles = Tiles(header, bytes(4 * count**2))
    with pytest.raises(FormatError, match="WORK_MAX"):
        StoredPyramid(header, tiles, ()).pixels((10, 10))
    assert StoredPyramid(header, tiles, ()).pixels(box=(0, 0, 5, 5)).shape == (5, 5, 3)


def test_a_pyramid_has_no_initialization() -> None:
    data = with_chunks(draw_file((3, 2)), container.Chunk(1, bytes(9), required=True))
    with pytest.raises(FormatError, match="initialization"):
        open_model(data)


def test_flipped_bits_under_a_repaired_checksum_raise_nothing_else() -> None:
    data = draw_file((7, 5))
    for bit in range(0, 8 * 40):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        try:
            network = open_model(with_checksum(bytes(damaged)))
            if max(network.header.size) < 1000:
                network.pixels()
        except FormatError:
            continue


def test_a_preview_is_a_file_within_the_file(tiled: bytes) -> None:
    both = _read(with_preview(tiled, draw_file((30, 27), seed=7)))
    preview = both.preview()
    assert preview is not None
    np.testing.assert_array_equal(preview.pixels(), _read(draw_file((30, 27), seed=7)).pixels())
    assert preview.preview() is None
    # It is coarser: who asks for pixels of a resolution gets those of the image.
    np.testing.assert_array_equal(both.pixels((30, 27)), _read(tiled).pixels((30, 27)))


@pytest.mark.parametrize(
    ("preview", "text"),
    [
        (b"", "."),
        (draw_file((30, 27))[:-1], "."),
        (draw_file((30, 27), pixel_format=0), "must be one pyramid"),
        (draw_file((300, 27), tile=8), "must be one pyramid"),
        (draw_file((301, 27)), "larger than the image"),
        (with_preview(draw_file((30, 27)), draw_file((30, 27))), "must be one pyramid"),
        ((VECTORS / "rgb.inr").read_bytes(), "must be one pyramid"),
    ],
)
def test_previews_that_are_none_are_refused(preview: bytes, text: str) -> None:
    network = _read(with_preview(draw_file((300, 270)), preview))
    with pytest.raises(FormatError, match=text):
        network.preview()


sides = st.sampled_from([1, 255, 256, 257, 512, 600])


@given(st.tuples(sides, sides), st.data())
def test_streams_of_tiles_round_trip(size: tuple[int, int], data: st.DataObject) -> None:
    header = header_of(size, tile=8)
    count = header.model.tiles(header.size)[0] * header.model.tiles(header.size)[1]
    streams = [bytes(4 * words) for words in data.draw(st.lists(st.integers(0, 3), min_size=count, max_size=count))]
    streams = [stream[:-1] + b"x" if stream else stream for stream in streams]
    payload = pack_streams(header.model, streams)
    tiles = Tiles(replace(header, payload_bytes=len(payload)), payload)
    assert [tiles.stream(tile) for tile in tiles.all()] == streams
    assert sum(width * height for width, height in (tile.size for tile in tiles.all())) == size[0] * size[1]


@given(
    st.tuples(sides, sides),
    st.lists(st.integers(0, 4) | st.integers(0, 2**32 - 1), max_size=12),
    st.integers(0, 8),
)
def test_any_table_of_tiles_is_read_or_refused(size: tuple[int, int], words: list[int], rest: int) -> None:
    payload = b"".join(word.to_bytes(4, "little") for word in words) + bytes(4 * rest)
    try:
        tiles = Tiles(header_of(size, tile=8, payload_bytes=len(payload)), payload)
    except FormatError as error:
        assert "tiles" in str(error)
    else:
        streams = [tiles.stream(tile) for tile in tiles.all()]
        assert payload[4 * len(streams) :] == b"".join(streams)


def test_a_forked_process_does_not_wait_for_locks_that_nobody_holds(tiled: bytes) -> None:
    network = _read(tiled).tiles
    network._lock.acquire()
    network._busy[0] = network._lock
    network._process = -1
    assert network.decode_tile(next(network.all())).grids
