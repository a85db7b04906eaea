"""Metadata and PSNR of a file: round trips, keywords of a save, malformed chunks."""

import io
import math
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pillow_inr import limits
from pillow_inr.errors import FormatError
from pillow_inr.format import metadata
from pillow_inr.format.metadata import Metadata, psnr_chunk, read_psnr
from tests.support.container import Chunk

pytestmark = pytest.mark.decoding

texts = st.none() | st.binary(max_size=200)


@given(st.builds(Metadata, exif=texts, icc_profile=texts, xmp=texts, comment=texts, dpi=st.none()))
def test_round_trip(original: Metadata) -> None:
    chunks = original.to_chunks()
    assert Metadata.from_chunks([Chunk(100, b"other"), *chunks]) == original
    assert set(original.info()) == {name for name in metadata.NAMES if getattr(original, name) is not None}
    assert not any(chunk.required for chunk in chunks)


def test_chunks_by_hand() -> None:
    chunks = Metadata(comment=b"hello", dpi=(72.0, 300.0)).to_chunks()
    assert [(chunk.kind, chunk.required) for chunk in chunks] == [(5, False), (6, False)]
    assert zlib.decompress(chunks[0].data) == b"hello"
    assert chunks[1].data == bytes.fromhex("00009042 00009643")
    assert Metadata().to_chunks() == []


def test_keywords_come_before_info_and_none_drops() -> None:
    info = {"exif": b"old", "xmp": b"x", "comment": b"c", "dpi": (72, 72), "unrelated": 1}
    assert Metadata.of({}, info) == Metadata(exif=b"old", xmp=b"x", comment=b"c", dpi=(72.0, 72.0))
    assert Metadata.of({"exif": b"new", "xmp": None, "quality": 3}, info) == Metadata(
        exif=b"new", comment=b"c", dpi=(72.0, 72.0)
    )
    assert Metadata.of(dict.fromkeys(metadata.NAMES), info) == Metadata()


def test_what_pillow_users_pass_is_taken() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    taken = Metadata.of({"exif": exif, "xmp": "<x/>", "comment": "grüße", "dpi": (299.9994, 300)}, {})
    assert taken.exif == exif.tobytes()
    assert (taken.xmp, taken.comment) == (b"<x/>", "grüße".encode())
    assert taken.dpi == (pytest.approx(299.9994), 300)


@pytest.mark.parametrize(
    ("keywords", "match"),
    [
        ({"exif": 5}, "exif must be bytes, got 5"),
        ({"exif": "2020"}, "exif must be bytes, got '2020'"),
        ({"icc_profile": "sRGB.icc"}, "icc_profile must be bytes, got 'sRGB.icc'"),
        ({"dpi": 72}, "dpi must be two positive numbers, got 72"),
        ({"dpi": (0, 72)}, "dpi"),
        ({"dpi": (72, math.inf)}, "dpi"),
        ({"dpi": (72, 72, 72)}, "dpi"),
        ({"dpi": (1e-60, 72)}, "dpi"),
        ({"dpi": (1e60, 72)}, "dpi"),
    ],
)
def test_bad_keywords_are_named_and_bad_info_is_left_out(keywords: dict, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        Metadata.of(keywords, {})
    assert Metadata.of({}, keywords) == Metadata()


def test_text_that_is_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "METADATA_MAX", 10)
    with pytest.raises(ValueError, match="11 bytes, more than 10"):
        Metadata.of({"exif": bytes(6)}, {"xmp": bytes(5)})
    full, empty, bomb = (zlib.compress(bytes(count)) for count in (10, 0, 10**6))
    assert Metadata.from_chunks([Chunk(2, full), Chunk(4, empty)]).exif == bytes(10)
    for chunks in ([Chunk(4, bomb)], [Chunk(2, full), Chunk(4, zlib.compress(b"x"))]):
        with pytest.raises(FormatError, match="with xmp there are more than 10 bytes"):
            Metadata.from_chunks(chunks)


@pytest.mark.parametrize(
    "chunk",
    [
        Chunk(2, b"not compressed"),
        Chunk(3, zlib.compress(b"cut off")[:-1]),
        Chunk(4, zlib.compress(b"x") + b"more"),
        Chunk(5, b""),
        Chunk(6, bytes(7)),
        Chunk(6, bytes(8)),
        Chunk(6, bytes.fromhex("0000c07f 00009642")),
    ],
)
def test_malformed_chunks_are_refused(chunk: Chunk) -> None:
    with pytest.raises(FormatError, match="chunks: "):
        Metadata.from_chunks([chunk])


def test_of_several_chunks_the_first_counts() -> None:
    assert Metadata.from_chunks([Chunk(5, zlib.compress(b"a")), Chunk(5, b"?")]).comment == b"a"


def test_psnr() -> None:
    assert psnr_chunk(28.125).data == (2812).to_bytes(2, "little")
    assert read_psnr([psnr_chunk(28.12)]) == 28.12
    assert read_psnr([psnr_chunk(math.inf)]) == math.inf
    assert read_psnr([psnr_chunk(-3.0)]) == 0.0
    assert read_psnr([psnr_chunk(1e9)]) == 655.34
    assert read_psnr([]) is None
    with pytest.raises(FormatError, match="psnr has 1 bytes"):
        read_psnr([Chunk(7, b"x")])


def test_pillows_own_formats_give_what_is_stored() -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    stream = io.BytesIO()
    Image.new("RGB", (4, 4)).save(stream, "JPEG", exif=exif, comment="note", dpi=(96, 96), xmp=b"<x/>")
    opened = Image.open(stream)
    kept = Metadata.of({}, opened.info)
    assert (kept.exif, kept.comment, kept.dpi, kept.xmp) == (opened.info["exif"], b"note", (96.0, 96.0), b"<x/>")


positive = st.floats(min_value=0, exclude_min=True, allow_infinity=False, width=32)


@given(positive, positive, st.integers(0, 65535))
def test_resolution_and_psnr_round_trip(horizontal: float, vertical: float, hundredths: int) -> None:
    chunks = Metadata(dpi=(horizontal, vertical)).to_chunks()
    assert Metadata.from_chunks(chunks).dpi == (horizontal, vertical)
    psnr_db = read_psnr([Chunk(7, struct.pack("<H", hundredths))])
    assert psnr_db is not None
    assert psnr_chunk(psnr_db).data == struct.pack("<H", hundredths)


@st.composite
def odd_chunks(draw: st.DrawFn) -> Chunk:
    """A chunk of any bytes, or of a compressed stream with bytes changed, cut off or added."""
    kind = draw(st.integers(2, 8))
    if draw(st.booleans()):
        return Chunk(kind, draw(st.binary(max_size=12)))
    data = bytearray(zlib.compress(draw(st.binary(max_size=60))))
    for place, byte in draw(st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), max_size=2)):
        data[place % len(data)] = byte
    return Chunk(kind, bytes(data)[: draw(st.integers(0, 100))] + draw(st.binary(max_size=2)))


@given(st.lists(odd_chunks(), max_size=4))
def test_any_chunks_are_metadata_or_refused(chunks: list[Chunk]) -> None:
    try:
        found = Metadata.from_chunks(chunks)
    except FormatError as error:
        assert str(error).startswith("chunks: ")
    else:
        assert all(isinstance(value, bytes | tuple) for value in found.info().values())
    try:
        psnr_db = read_psnr(chunks)
    except FormatError as error:
        assert "psnr" in str(error)
    else:
        assert psnr_db is None or psnr_db >= 0
