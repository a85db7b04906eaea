"""The bytes of a file: header, chunks, checksum; by hand, at the ends of each range, and damaged."""

import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pillow_inr.errors import DamagedFileError, FormatError, UnsupportedFileError
from pillow_inr.format.header import Header
from tests.support import container
from tests.support.checks import check_rejects, header, with_checksum
from tests.support.container import Chunk

pytestmark = pytest.mark.decoding

NUMBERS = {
    "uint8": st.integers(0, 255),
    "uint16": st.integers(0, 65535),
    "float32": st.floats(allow_nan=False, allow_infinity=False, width=32),
    "int8": st.integers(-128, 127),
    "int16": st.integers(-32768, 32767),
    "int32": st.integers(-(2**31), 2**31 - 1),
    "uint32": st.integers(0, 2**32 - 1),
}


def _sample_formats(dtype: str) -> st.SearchStrategy[container.SampleFormat]:
    bounds = st.tuples(NUMBERS[dtype], NUMBERS[dtype]).map(lambda pair: _range(dtype, *sorted(pair)))
    ranges = st.integers(0, 64).flatmap(
        lambda channels: st.tuples(
            st.just(channels),
            st.lists(bounds, min_size=1, max_size=1)
            | st.lists(bounds, min_size=max(channels, 1), max_size=max(channels, 1)),
        )
    )
    return ranges.map(lambda drawn: container.SampleFormat(dtype, drawn[0], tuple(drawn[1])))


def _range(dtype: str, low: float, high: float) -> tuple[float, float]:
    return float(low), float(min(high, low + 65535) if dtype in ("int32", "uint32") else high)


mosaics = st.fixed_dictionaries(
    {
        "coding": st.just(container.CODING_MOSAIC),
        "taper": st.integers(1, 100),
        "networks": st.integers(1, 1 << 20),
        "overlap": st.integers(0, 64),
    }
)
headers = st.builds(
    lambda fourier, pixels, coding, **fields: container.header(
        pixel_format=pixels if isinstance(pixels, int) else container.PIXEL_FORMAT_SAMPLES,
        samples=None if isinstance(pixels, int) else pixels,
        encoding=container.ENCODING_FOURIER if fourier else container.ENCODING_NONE,
        frequencies=fourier[0] if fourier else 0,
        frequency_ratio=fourier[1] if fourier else 100,
        **coding,
        **fields,
    ),
    pixels=st.integers(0, 3) | st.sampled_from(container.DTYPES).flatmap(_sample_formats),
    fourier=st.none() | st.tuples(st.integers(1, 32), st.integers(100, 355)),
    size=st.tuples(st.integers(1, 2**24 - 1), st.integers(1, 2**24 - 1)),
    width=st.integers(1, 1024),
    depth=st.integers(1, 15),
    payload_bytes=st.integers(0, (1 << 28) - 1).map(lambda words: 4 * words),
    chunks_bytes=st.integers(0, (1 << 30) - 1),
    coding=st.fixed_dictionaries({"coding": st.integers(0, 1)}) | mosaics,
)


def test_smallest_file_byte_by_byte() -> None:
    plain = header(
        size=(1, 1),
        pixel_format=0,
        encoding=container.ENCODING_NONE,
        frequencies=0,
        frequency_ratio=100,
        width=1,
        depth=1,
        payload_bytes=4,
        coding=container.CODING_LAPLACE,
    )
    expected = bytes.fromhex(
        "89 49 4e 52 0d 0a"  # signature: 0x89 I N R CR LF
        "01 00"  # format version 1, model siren
        "01 01"  # 1 by 1 pixels
        "00 00"  # L, plain coordinates
        "01 01 00"  # width 1, depth 1, Laplace coding
        "04 00"  # 4 bytes of payload, no chunks
        "aa bb cc dd"  # the payload
        "2b fd 21 61"  # CRC-32 of all before, little-endian
    )
    data = container.pack(plain, bytes.fromhex("aabbccdd"))
    assert data == expected
    assert container.unpack(data) == (plain, bytes.fromhex("aabbccdd"), ())


def test_variable_length_integers_by_hand() -> None:
    # 300 = 2 * 128 + 44: the low seven bits first, with the continuation bit; then 2.
    assert container.pack_varint(300) == bytes([0x80 | 44, 2])
    assert container.pack_varint(0) == b"\0"
    assert container.pack_varint(127) == b"\x7f"
    assert container.pack_varint(128) == b"\x80\x01"


def test_header_of_a_stack_byte_by_byte() -> None:
    stack = container.SampleFormat("uint16", 5, ((1.0, 2.0), (0.0, 65535.0), (3.0, 3.0), (0.0, 256.0), (258.0, 515.0)))
    data = header(pixel_format=4, samples=stack).pack()
    expected = bytes.fromhex(
        "04"  # pixel format: samples
        "01 05 01"  # uint16, 5 channels, a range each
        "0100 0200  0000 ffff  0300 0300  0000 0001  0201 0302"  # lowest and highest, little-endian
        "01"  # Fourier encoding, as in any header
    )
    assert data[10 : 10 + len(expected)] == expected
    plane = header(pixel_format=4, samples=container.SampleFormat("float32", 0, ((-1.0, 0.5),)))
    assert plane.pack()[10:22] == bytes.fromhex("04 02 00 00  000080bf 0000003f")
    assert (plane.shape, plane.channels, plane.dtype) == ((3, 5), 1, "float32")
    assert header(pixel_format=4, samples=container.SampleFormat("uint8", 1, ((0.0, 9.0),))).shape == (3, 5, 1)
    assert header(pixel_format=0).shape == (3, 5)


@pytest.mark.parametrize(
    ("position", "value", "match"),
    [
        (10, 5, r"pixel format is 5, expected 0\.\.4"),
        (6, 2, "format version is 2, but its samples are of version 1"),
        (11, 5, "format version is 1, but its samples are of version 2"),
        (11, 7, r"sample type is 7, expected 0\.\.6"),
        (11, 6, "samples of uint32 range from .* more than 65535"),
        (12, 65, r"channels is 65, expected 0\.\.64"),
        (13, 1, r"ranges is 1, expected 0\.\.0"),
        (16, 0xC0, "range from -1.0 to -2.0"),  # highest -2
        (21, 0x7F, "finite"),  # highest is infinite
    ],
)
def test_malformed_sample_formats_are_refused(position: int, value: int, match: str) -> None:
    data = bytearray(header(pixel_format=4, samples=container.SampleFormat("float32", 1, ((-1.0, 0.5),))).pack())
    if position == 16:
        data[18:22] = bytes.fromhex("000000c0")
    elif position == 21:
        data[18:22] = bytes.fromhex("0000807f")
    elif position == 11:
        data[14:22] = bytes(8) if value == 5 else bytes.fromhex("00000000 00000100")
    if position not in (16, 21):
        data[position] = value
    with pytest.raises(FormatError, match=match):
        container.read_header(bytes(data))


@given(headers)
def test_header_round_trip(original: Header[Any]) -> None:
    data = original.pack()
    assert len(data) <= container.HEADER_MAX_BYTES
    assert container.read_header(data) == (original, len(data))


@pytest.mark.parametrize("dtype", container.DTYPES)
def test_the_format_version_is_the_lowest_that_has_the_samples(dtype: str) -> None:
    made = header(pixel_format=4, samples=container.SampleFormat(dtype, 0, ((0.0, 1.0),)))
    assert made.format_version == made.pack()[6] == (1 if dtype in ("uint8", "uint16", "float32") else 2)


def test_overhead_of_a_plain_rgb_photograph() -> None:
    photograph = header(size=(768, 512), frequencies=16, width=48, depth=4, payload_bytes=6800)
    assert photograph.file_bytes - 6800 <= 32


@pytest.mark.parametrize(
    ("field", "low", "high"),
    [
        ("frequencies", 1, 32),
        ("frequency_ratio", 100, 355),
        ("width", 1, 1024),
        ("depth", 1, 15),
        ("coding", 0, 2),
        ("chunks_bytes", 0, (1 << 30) - 1),
    ],
)
def test_ranges_at_both_ends(field: str, low: int, high: int) -> None:
    for value in (low, high):
        made = header(**{field: value})
        assert getattr(made if hasattr(made, field) else made.model, field) == value
    for value in (low - 1, high + 1):
        with pytest.raises(FormatError, match=str(value)):
            header(**{field: value})


@pytest.mark.parametrize(
    ("field", "low", "high", "otherwise"), [("taper", 1, 100, 100), ("networks", 1, 1 << 20, 1), ("overlap", 0, 64, 0)]
)
def test_fields_of_mosaics_at_both_ends(field: str, low: int, high: int, otherwise: int) -> None:
    for value in (low, high):
        assert getattr(header(coding=container.CODING_MOSAIC, **{field: value}).model, field) == value
    for value in (low - 1, high + 1):
        with pytest.raises(FormatError, match=rf"header: {field} is {value}, expected {low}\.\.{high}"):
            header(coding=container.CODING_MOSAIC, **{field: value})
    for coding in (container.CODING_LAPLACE, container.CODING_GENERALIZED_NORMAL):
        assert getattr(header(coding=coding).model, field) == otherwise
        for value in {low, high} - {otherwise}:
            with pytest.raises(FormatError, match=rf"{field} is {value}, expected {otherwise}\.\.{otherwise}"):
                header(coding=coding, **{field: value})


def test_fields_of_a_mosaic_byte_by_byte() -> None:
    made = header(coding=container.CODING_MOSAIC, width=300, taper=75, networks=300, overlap=4)
    expected = bytes.fromhex(
        "01 04 28"  # Fourier encoding, 4 frequencies, ratio 1.40
        "ac02 02"  # width 300, depth 2
        "02 4b ac02 04"  # a mosaic: taper 75, 300 networks, overlap 4
        "08 00"  # 8 bytes of payload, no chunks
    )
    assert made.pack()[11:] == expected
    assert container.read_header(made.pack()) == (made, 11 + len(expected))
    for length in range(11, 11 + len(expected)):
        with pytest.raises(DamagedFileError, match="cut off in "):
            container.read_header(made.pack()[:length])
    assert made.model.label == "300 of 300×2"
    assert made.model.info(3)["networks"] == 300
    assert "networks" not in header(coding=container.CODING_MOSAIC).model.info(3)


def test_the_longest_header() -> None:
    stack = container.SampleFormat("int32", 64, tuple((-float(low), 0.0) for low in range(64)))
    fields = {"width": 1024, "coding": container.CODING_MOSAIC, "networks": 1 << 20, "size": (2**24 - 1, 2**24 - 1)}
    parts = {"payload_bytes": 2**30 - 4, "chunks_bytes": 2**30 - 1}
    assert len(header(**fields, **parts).pack()) == 39
    longest = header(pixel_format=4, samples=stack, **fields, **parts).pack()
    assert len(longest) == 554 <= container.HEADER_MAX_BYTES
    text = (Path(__file__).parents[3] / "docs" / "format.md").read_text(encoding="utf-8")
    assert "17 to 554 bytes, 17 to 39 with pixel formats 0 to 3" in text


@pytest.mark.parametrize("size", [(0, 1), (1, 0), (2**24, 1), (1, 2**24)])
def test_image_sides_at_both_ends(size: tuple[int, int]) -> None:
    with pytest.raises(FormatError, match="image"):
        header(size=size)


def test_payload_is_whole_words() -> None:
    with pytest.raises(FormatError, match="multiple of 4"):
        header(payload_bytes=6)


def test_newer_version_is_named() -> None:
    data = bytearray(container.pack(header(), bytes(8)))
    data[6] = 3
    with pytest.raises(UnsupportedFileError, match=r"version 3.*versions up to 2.*upgrade"):
        container.read_header(bytes(data))
    data[6] = 0
    with pytest.raises(FormatError, match="format version is 0"):
        container.read_header(bytes(data))


@pytest.mark.parametrize(
    ("position", "value", "match"),
    [(7, 2, "model 2.*upgrade"), (7, 9, "model 9.*siren and pyramid"), (16, 3, "coding 3.*reads 0 to 2.*upgrade")],
)
def test_unknown_models_and_codings_are_named(position: int, value: int, match: str) -> None:
    data = bytearray(container.pack(header(), bytes(8)))
    data[position] = value
    with pytest.raises(UnsupportedFileError, match=match):
        container.read_header(bytes(data))


def test_other_formats_are_named() -> None:
    check_rejects(b"#INRIMAGE-4#{\nXDIM=4\n", "INRIMAGE-4 volume")
    check_rejects(b"hello, world", "not an .inr file")
    check_rejects(b"", "not an .inr file")
    check_rejects(container.MAGIC.replace(b"\r\n", b"\n") + bytes(30), "not an .inr file")


def test_integers_longer_than_needed_are_refused() -> None:
    start = container.MAGIC + bytes([1, 0])
    check_rejects(start + b"\x80\x00" + bytes(30), "shortest form")
    check_rejects(start + b"\xff" * 30, "longer than 5 bytes")


def test_every_truncation_and_bit_flip_is_noticed() -> None:
    data = container.pack(header(), bytes(range(8)), container.pack_chunks((Chunk(5, b"note"),)))
    data = container.pack(header(chunks_bytes=6), bytes(range(8)), container.pack_chunks((Chunk(5, b"note"),)))
    assert container.unpack(data)[2] == (Chunk(5, b"note"),)
    for length in range(len(data)):
        check_rejects(data[:length])
    for bit in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        check_rejects(bytes(damaged))
    check_rejects(data + b"\0", "1 bytes follow")


def test_bit_flips_under_a_repaired_checksum_raise_nothing_else() -> None:
    data = container.pack(header(chunks_bytes=6), bytes(8), container.pack_chunks((Chunk(5, b"note"),)))
    for bit in range(8 * (len(data) - 4)):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        try:
            container.unpack(with_checksum(bytes(damaged)))
        except FormatError:
            continue


def test_optional_chunks_are_kept_and_required_ones_refused() -> None:
    chunks = (Chunk(1, b""), Chunk(127, bytes(300)))
    packed = container.pack_chunks(chunks)
    assert packed[:2] == b"\x01\x00"
    data = container.pack(header(chunks_bytes=len(packed)), bytes(8), packed)
    assert container.unpack(data)[2] == chunks
    packed = container.pack_chunks((Chunk(10, b"x", required=True),))
    check_rejects(container.pack(header(chunks_bytes=len(packed)), bytes(8), packed), "chunk of kind 10")


@pytest.mark.parametrize("packed", [b"\x05", b"\x05\x04abc", b"\x00\x00", b"\x80\x00"])
def test_malformed_chunks_are_refused(packed: bytes) -> None:
    check_rejects(container.pack(header(chunks_bytes=len(packed)), bytes(8), packed), "chunk")


def test_a_cut_off_file_says_how_much_is_missing() -> None:
    data = container.pack(header(), bytes(8))
    with pytest.raises(DamagedFileError, match=rf"{len(data) - 1} bytes of {len(data)}"):
        container.unpack(data[:-1])


def test_chunks_are_counted() -> None:
    packed = container.pack_chunks([Chunk(9, b"")] * container.CHUNKS_MAX)
    assert len(container.read_chunks(packed)) == 1024
    with pytest.raises(FormatError, match="more than 1024"):
        container.read_chunks(packed + b"\x09\x00")


def _pyramid(**changes: object) -> Header[Any]:
    fields: dict[str, object] = {"size": (5, 3), "pixel_format": 2, "payload_bytes": 8, "chunks_bytes": 0, "coding": 0}
    return container.header(model=container.MODEL_PYRAMID, **{**fields, **changes})  # type: ignore[arg-type]


def test_header_of_a_pyramid_byte_by_byte() -> None:
    expected = bytes.fromhex(
        "89 49 4e 52 0d 0a  01 01"  # signature, format version 1, model pyramid
        "ac 02 03 02"  # 300 by 3 pixels, RGB
        "00 00 08 00"  # preset 0, prior 0, tiles of 2^8 pixels, coding 0
        "08 00"  # 8 bytes of payload, no chunks
    )
    header = _pyramid(size=(300, 3), tile=8)
    assert header.pack() == expected
    assert container.read_header(expected) == (header, len(expected))
    assert header.model.tiles(header.size) == (2, 1)
    assert _pyramid().model.tiles((5, 3)) == (1, 1)


@given(
    st.integers(0, 3) | st.sampled_from(container.DTYPES).flatmap(_sample_formats),
    st.tuples(st.integers(1, 4096), st.integers(1, 4096), st.just(0))
    | st.tuples(st.integers(1, 2**24 - 1), st.integers(1, 2**24 - 1), st.integers(8, 12)),
    st.sampled_from([(0, 0), (0, 3), (1, 0), (1, 6)]),
)
def test_header_of_a_pyramid_round_trip(
    pixels: int | container.SampleFormat, shape: tuple[int, int, int], networks: tuple[int, int]
) -> None:
    preset, base_index = networks
    given = {"pixel_format": pixels} if isinstance(pixels, int) else {"pixel_format": 4, "samples": pixels}
    original = _pyramid(size=shape[:2], tile=shape[2], preset=preset, base_index=base_index, **given)
    assert container.read_header(original.pack()) == (original, len(original.pack()))


@pytest.mark.parametrize(
    ("position", "value", "match"),
    [
        (11, container.PRESET_COUNT, "preset .*upgrade"),
        (12, container.BASE_WEIGHTS_COUNTS[0], "prior .*upgrade"),
        (14, 2, "coding 2.*upgrade"),
    ],
)
def test_what_newer_releases_write_in_pyramids_is_named(position: int, value: int, match: str) -> None:
    data = bytearray(_pyramid().pack())
    data[position] = value
    with pytest.raises(UnsupportedFileError, match=match):
        container.read_header(bytes(data))


@pytest.mark.parametrize("tile", [1, 7, 13, 255])
def test_tiles_outside_their_range_are_refused(tile: int) -> None:
    with pytest.raises(FormatError, match=rf"tile is {tile}, expected 8\.\.12"):
        _pyramid(tile=tile)


def test_a_large_image_is_in_tiles() -> None:
    assert _pyramid(size=(4096, 4096)).model.tiles((4096, 4096)) == (1, 1)
    assert _pyramid(size=(4097, 4096), tile=12).model.tiles((4097, 4096)) == (2, 1)
    with pytest.raises(FormatError, match="4096 a side"):
        _pyramid(size=(4097, 1))


NAMES = {
    0: "signature|start with",
    6: "format version",
    7: "model",
    8: "image width",
    9: "image height",
    10: "pixel format",
    11: "encoding",
    12: "frequencies",
    14: "width",
    15: "depth",
    16: "coding",
    17: "payload length",
}
LONGEST = container.pack_varint(2**35 - 1)


@pytest.mark.parametrize(
    ("position", "value"),
    [
        (0, b"\x88"),
        (6, b"\0"),
        (6, b"\2"),
        (7, b"\2"),
        (8, b"\0"),
        (8, container.pack_varint(2**24)),
        (8, LONGEST),
        (9, b"\0"),
        (9, container.pack_varint(2**24)),
        (10, b"\5"),
        (11, b"\2"),
        (12, b"\0"),
        (12, b"\x21"),
        (14, b"\0"),
        (14, container.pack_varint(1025)),
        (15, b"\0"),
        (15, b"\x10"),
        (16, b"\3"),
        (17, b"\6"),
        (17, container.pack_varint(2**30)),
        (17, LONGEST),
    ],
)
def test_fields_outside_their_ranges_are_named(position: int, value: bytes) -> None:
    data = header().pack()
    # Each field of this header has one byte.
    assert len(data) == 19
    with pytest.raises(FormatError, match=NAMES[position]):
        container.read_header(data[:position] + value + data[position + 1 :])


def test_a_header_cut_off_is_damage_in_a_named_field() -> None:
    for data in (header().pack(), header(pixel_format=4, samples=container.SampleFormat("uint8", 0, ((1, 2),))).pack()):
        for length in range(len(container.MAGIC), len(data)):
            with pytest.raises(DamagedFileError, match="cut off in "):
                container.read_header(data[:length])


@given(st.integers(0, 2**35 - 1))
def test_variable_length_integers_round_trip(value: int) -> None:
    packed = container.pack_varint(value)
    reader = container.FieldReader(packed + b"rest", "test")
    assert reader.varint("field") == value
    assert reader.position == len(packed) <= 5


@given(st.binary(max_size=8))
def test_any_bytes_are_a_variable_length_integer_or_refused(data: bytes) -> None:
    reader = container.FieldReader(data, "test")
    try:
        value = reader.varint("field")
    except FormatError as error:
        assert "field" in str(error)
    else:
        assert container.pack_varint(value) == data[: reader.position]


def _read_or_refused(data: bytes) -> None:
    """A header has a single encoding, so packing what was read gives the same bytes."""
    try:
        parsed, length = container.read_header(data)
    except FormatError:
        return
    assert parsed.pack() == data[:length]


# Valid beginnings of a header, so that random bytes reach the later fields.
beginnings = st.sampled_from([b"", container.MAGIC, container.MAGIC + b"\1\0\1\1", container.MAGIC + b"\1\1\1\1"])


@given(beginnings, st.binary(max_size=40))
def test_any_bytes_are_a_header_or_refused(beginning: bytes, data: bytes) -> None:
    _read_or_refused(beginning + data)


changes = st.lists(st.tuples(st.integers(0, 2**16), st.integers(0, 255)), min_size=1, max_size=4)


def _changed(data: bytes, places: list[tuple[int, int]], first: int = 0) -> bytes:
    changed = bytearray(data)
    for place, byte in places:
        changed[first + place % (len(data) - first)] = byte
    return bytes(changed)


@given(headers, changes)
def test_changed_headers_are_read_or_refused(original: Header[Any], places: list[tuple[int, int]]) -> None:
    _read_or_refused(_changed(original.pack(), places, len(container.MAGIC)))


chunk_lists = st.lists(
    st.builds(Chunk, st.integers(1, 127), st.binary(max_size=140))
    | st.builds(Chunk, st.just(1), st.binary(), st.just(True)),
    max_size=6,
)


@given(chunk_lists)
def test_chunks_round_trip(chunks: list[Chunk]) -> None:
    assert container.read_chunks(container.pack_chunks(chunks)) == tuple(chunks)


@given(st.binary(max_size=60) | st.builds(_changed, chunk_lists.filter(bool).map(container.pack_chunks), changes))
def test_any_bytes_are_chunks_or_refused(data: bytes) -> None:
    try:
        chunks = container.read_chunks(data)
    except FormatError:
        return
    assert container.pack_chunks(chunks) == data


@given(st.binary(max_size=12).map(lambda data: data[: len(data) // 4 * 4]), chunk_lists, changes, st.integers(0, 9))
def test_changed_files_are_taken_apart_or_refused(
    payload: bytes, chunks: list[Chunk], places: list[tuple[int, int]], cut: int
) -> None:
    packed = container.pack_chunks(chunks)
    parsed = header(payload_bytes=len(payload), chunks_bytes=len(packed))
    data = container.pack(parsed, payload, packed)
    assert container.unpack(data) == (parsed, payload, tuple(chunks))
    assert container.read_outline(io.BytesIO(data)) == (parsed, tuple(chunks))
    data = with_checksum(_changed(data, places, len(container.MAGIC)))
    for changed in (data, data[: len(data) - cut]):
        try:
            taken = container.unpack(changed)
        except FormatError:
            taken = None
        else:
            assert container.pack(taken[0], taken[1], container.pack_chunks(taken[2])) == changed
        try:
            outline = container.read_outline(io.BytesIO(changed))
        except FormatError:
            assert taken is None
        else:
            # Reading the outline checks neither the checksum nor the bytes after the chunks.
            assert taken is None or outline == (taken[0], taken[2])
