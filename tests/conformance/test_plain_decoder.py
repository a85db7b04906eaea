"""The decoder written from docs/format.md agrees with the package: the document is enough."""

import ast
import math
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pillow_inr
from pillow_inr.entropy import distributions
from pillow_inr.errors import FormatError
from pillow_inr.format.header import Header
from pillow_inr.models.siren import initialization, mosaic_coding, weight_coding
from pillow_inr.models.siren.architecture import Architecture
from tests.support import (
    any_choice,
    coding0,
    container,
    mosaics,
    plain_decoder,
    plain_file,
    plain_mosaic,
    plain_pyramid,
)
from tests.support.checks import VECTORS, any_number_of_symbols, check_pixels, with_checksum
from tests.vectors import inventory
from tests.vectors.inventory import Vector, name_of

WRITERS = {0: coding0.encode_tensors, 1: weight_coding.encode_tensors}
CODINGS = pytest.mark.parametrize("coding", WRITERS)
SIRENS = [vector for vector in inventory.VECTORS if not vector.is_pyramid]


@pytest.fixture(autouse=True)
def _initializations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PILLOW_INR_INITS", str(VECTORS / "inits"))


@pytest.mark.parametrize("module", [plain_file, plain_decoder, plain_mosaic, plain_pyramid])
def test_the_second_decoder_is_plain(module: Any) -> None:
    """It imports only the standard library and its own modules: no NumPy, no constriction, nothing of the package."""
    allowed = {
        "ast",
        "bisect",
        "collections",
        "dataclasses",
        "functools",
        "hashlib",
        "io",
        "itertools",
        "math",
        "operator",
    }
    allowed |= {
        "pathlib",
        "re",
        "struct",
        "typing",
        "zipfile",
        "zlib",
        "plain_file",
        "plain_decoder",
        "plain_mosaic",
        "",
    }
    for node in ast.walk(ast.parse(Path(module.__file__).read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [name.name for name in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        assert {name.split(".")[0] for name in names} <= allowed


def _compare(data: bytes, decoded: plain_decoder.Decoded) -> None:
    header, payload, _ = container.unpack(data)
    ours = container.siren_tensors(header, payload)
    for (step_index, symbols), tensor in zip(decoded.tensors, ours, strict=True):
        assert (step_index, symbols) == (tensor.step_index, tensor.symbols.ravel().tolist())
    pixels = pillow_inr.decode(data)
    file = decoded.file
    assert pixels.shape == (file.height, file.width, *([file.channels] if file.axis else []))
    _agree(np.array(decoded.pixels).reshape(pixels.shape), pixels, header)


def _agree(theirs: np.ndarray, ours: np.ndarray, header: Header[Any]) -> None:
    """Like `check_pixels`, but allows any number of samples to be rounded differently: the images are tiny."""
    if header.samples is None:
        assert np.abs(theirs - ours).max() <= 1
    else:
        check_pixels(theirs, ours, header)


@pytest.mark.parametrize("vector", SIRENS, ids=[name_of(vector.path) for vector in SIRENS])
def test_vectors_decode_alike(vector: Vector) -> None:
    _compare(vector.data, vector.siren)


def test_initializations_are_read_alike() -> None:
    for path in sorted((VECTORS / "inits").glob("*.npz")):
        ours, theirs = initialization.load(path), plain_decoder.load_initialization(path.read_bytes())
        assert ours.identity == theirs.identity
        assert [weight.ravel().tolist() for weight in ours.weights] == theirs.tensors


def test_the_document_and_the_code_have_one_table() -> None:
    assert tuple(plain_decoder.TABLE) == distributions.DECAYS


def _plain_weights(payload: bytes, shapes: Any, coding: int) -> list[tuple[int, list[int]]]:
    return plain_decoder.decode_weights(plain_decoder.RangeDecoder(payload), shapes, coding)


@CODINGS
def test_cumulative_frequencies_of_a_long_table(coding: int) -> None:
    """The largest alphabet, which no vector has: its symbols must land in the same intervals."""
    symbols = [np.array(values, np.int32) for values in ([[-32767], [16383]], [-5], [[32767]], [1])]
    payload = WRITERS[coding]([weight_coding.CodedTensor(tensor, 200) for tensor in symbols])
    theirs = _plain_weights(payload, [tensor.shape for tensor in symbols], coding)
    assert theirs == [(200, tensor.ravel().tolist()) for tensor in symbols]


def _outcomes(payload: bytes, shapes: Any, coding: int) -> tuple[Any, Any]:
    """Tensors from both decoders; None from one that refuses the payload."""
    try:
        with any_number_of_symbols():
            decoded = list(weight_coding.decode_tensors(payload, shapes, coding))
        ours = [(tensor.step_index, tensor.symbols.ravel().tolist()) for tensor in decoded]
    except FormatError:
        ours = None
    try:
        theirs = _plain_weights(payload, shapes, coding)
    except plain_file.InvalidError:
        theirs = None
    return ours, theirs


@CODINGS
def test_damaged_payloads_are_read_or_refused_alike(coding: int) -> None:
    rng = np.random.default_rng(0)
    shapes = [(6, 4), (4,), (4, 4), (4,), (4, 2), (2,)]
    tensors = [
        weight_coding.CodedTensor(np.rint(rng.laplace(0, 3, shape)).astype(np.int32), 150 + i)
        for i, shape in enumerate(shapes)
    ]
    # Coding 1 has one sorted bias and one that is not.
    tensors[1] = weight_coding.CodedTensor(np.sort(np.abs(tensors[1].symbols)), 151)
    payload = WRITERS[coding](tensors)
    refused = set()
    for bit in range(0, 8 * len(payload)):
        damaged = bytearray(payload)
        damaged[bit // 8] ^= 1 << bit % 8
        ours, theirs = _outcomes(bytes(damaged), shapes, coding)
        assert ours == theirs
        refused.add(ours is None)
    assert refused == {True, False}


words = st.binary(max_size=60).map(lambda data: data[: len(data) // 4 * 4])


@CODINGS
@given(words, st.integers(1, 3), st.integers(1, 2), st.integers(0, 2))
def test_any_payload_is_read_or_refused_alike(
    coding: int, payload: bytes, width: int, depth: int, frequencies: int
) -> None:
    shapes = Architecture(width=width, depth=depth, channels=2, frequencies=frequencies, frequency_ratio=200).shapes
    ours, theirs = _outcomes(payload, shapes, coding)
    assert ours == theirs


def _mosaic_outcomes(payload: bytes, header: Header[Any]) -> tuple[Any, Any]:
    """Cores and tensors of a payload of coding 2 from both decoders; None from one that refuses it."""
    model, shapes = header.model, header.model.architecture(header.channels).shapes
    try:
        with any_number_of_symbols():
            parts, tensors = mosaic_coding.decode_networks(payload, header.size, model, shapes)
            symbols = [(tensor.step_index, tensor.symbols.ravel().tolist()) for tensor in tensors]
        ours = [tuple(part.core) for part in parts], symbols
    except FormatError:
        ours = None
    file = plain_file.parse(container.pack(container.changed(header, payload_bytes=len(payload)), payload))
    decoder = plain_decoder.RangeDecoder(payload)
    try:
        plain_parts = plain_decoder.decode_parts(decoder, file)
        theirs = (
            [tuple(part) for part in plain_parts],
            plain_decoder.decode_weights(decoder, shapes, 2, len(plain_parts)),
        )
    except plain_file.InvalidError:
        theirs = None
    return ours, theirs


@pytest.mark.parametrize("first", [0, *(pytest.param(bit, marks=pytest.mark.slow) for bit in (1, 2))])
def test_damaged_mosaics_are_read_or_refused_alike(first: int) -> None:
    splits = [True, True, False, False, True, False, False]
    header = mosaics.header_of((12, 8), networks=4, width=4, frequencies=1, frequency_ratio=150)
    networks = mosaics.drawn_networks(np.random.default_rng(5), header)
    payload = mosaic_coding.encode_mosaic(splits, networks)
    assert _mosaic_outcomes(payload, header)[0] is not None
    refused = set()
    for bit in range(first, 8 * len(payload), 3):
        damaged = bytearray(payload)
        damaged[bit // 8] ^= 1 << bit % 8
        ours, theirs = _mosaic_outcomes(bytes(damaged), header)
        assert ours == theirs
        refused.add(ours is None)
    assert refused == {True, False}


@given(
    words,
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
    st.integers(0, 2),
    st.integers(1, 5),
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(1, 100),
)
def test_any_payload_of_a_mosaic_is_read_or_refused_alike(
    payload: bytes, size: tuple[int, int], overlap: int, networks: int, width: int, depth: int, taper: int
) -> None:
    header = mosaics.header_of(size, overlap=overlap, networks=networks, width=width, depth=depth, taper=taper)
    ours, theirs = _mosaic_outcomes(payload, header)
    assert ours == theirs


sample_formats = st.sampled_from(
    [
        None,
        container.SampleFormat("uint8", 0, ((3.0, 240.0),)),
        container.SampleFormat("uint8", 2, ((0.0, 9.0), (7.0, 7.0))),
        container.SampleFormat("uint16", 1, ((300.0, 65535.0),)),
        container.SampleFormat("uint16", 5, ((0.0, 1000.0),)),
        container.SampleFormat("float32", 3, ((-1.0, 1.0), (0.0, 0.0), (-1e-3, 1e30))),
    ]
)


@settings(max_examples=40)
@given(
    st.tuples(st.integers(1, 5), st.integers(1, 5)),
    st.integers(0, 3),
    sample_formats,
    st.none() | st.tuples(st.integers(1, 6), st.integers(100, 200)),
    st.integers(1, 5),
    st.integers(1, 4),
    st.integers(0, 1),
    st.integers(0, 2**32 - 1),
)
def test_drawn_files_decode_alike(
    size: tuple[int, int],
    mode: int,
    samples: container.SampleFormat | None,
    fourier: tuple[int, int] | None,
    width: int,
    depth: int,
    coding: int,
    seed: int,
) -> None:
    """Random networks of moderate weights, coded with choices that no writer makes."""
    fields: dict[str, Any] = {"pixel_format": 4, "samples": samples} if samples else {"pixel_format": mode}
    if fourier:
        fields |= {"encoding": container.ENCODING_FOURIER, "frequencies": fourier[0], "frequency_ratio": fourier[1]}
    rng = np.random.default_rng(seed)
    header = container.header(
        size=size, width=width, depth=depth, coding=coding, payload_bytes=0, chunks_bytes=0, **fields
    )
    tensors = [
        weight_coding.CodedTensor(
            np.rint(rng.laplace(0, 4, shape)).astype(np.int32), 144 - 16 * (len(shape) == 2) + int(rng.integers(8))
        )
        for shape in header.model.architecture(header.channels).shapes
    ]
    payload = any_choice.encode_tensors(rng, tensors, coding)
    data = container.pack(container.changed(header, payload_bytes=len(payload)), payload)
    _compare(data, plain_decoder.decode(data))


@settings(max_examples=40)
@given(
    st.tuples(st.integers(1, 14), st.integers(1, 14)),
    st.integers(0, 3),
    sample_formats,
    st.none() | st.tuples(st.integers(1, 4), st.integers(100, 200)),
    st.tuples(st.integers(1, 5), st.integers(1, 3), st.integers(1, 100)),
    st.integers(0, 3),
    st.integers(0, 2**32 - 1),
)
def test_drawn_mosaics_decode_alike(
    size: tuple[int, int],
    mode: int,
    samples: container.SampleFormat | None,
    fourier: tuple[int, int] | None,
    shape: tuple[int, int, int],
    overlap: int,
    seed: int,
) -> None:
    """Random divisions and networks, coded with choices that no writer makes."""
    fields: dict[str, Any] = {"pixel_format": 4, "samples": samples} if samples else {"pixel_format": mode}
    if fourier:
        fields |= {"frequencies": fourier[0], "frequency_ratio": fourier[1]}
    rng = np.random.default_rng(seed)
    splits = mosaics.random_splits(rng, size, overlap, 0.6)
    width, depth, taper = shape
    header = mosaics.header_of(
        size, networks=1 + sum(splits), overlap=overlap, width=width, depth=depth, taper=taper, **fields
    )
    networks = [
        [
            weight_coding.CodedTensor(
                np.rint(rng.laplace(0, 4, shape)).astype(np.int32) * (rng.random() < 0.9),
                144 - 16 * (len(shape) == 2) + int(rng.integers(8)),
            )
            for shape in header.model.architecture(header.channels).shapes
        ]
        for _ in range(1 + sum(splits))
    ]
    payload = any_choice.encode_mosaic(rng, splits, networks)
    data = container.pack(container.changed(header, payload_bytes=len(payload)), payload)
    _compare(data, plain_decoder.decode(data))


def _accepted(data: bytes) -> tuple[bool, bool]:
    """Whether the package accepts a file and its preview, and whether the second decoder does."""
    try:
        pillow_inr.decode(data)
        preview = container.open_model(data).preview()
        if preview is not None:
            preview.pixels()
        ours = True
    except FormatError:
        ours = False
    try:
        if plain_file.parse(data).model:
            plain_pyramid.decode(data, inventory.BASE_WEIGHTS)
        else:
            plain_decoder.decode(data, inventory.initializations())
        theirs = True
    except plain_file.InvalidError:
        theirs = False
    return ours, theirs


def _file(fields: bytes, payload: bytes = b"", chunks: bytes = b"") -> bytes:
    """A file whose header is spelled out up to the payload length."""
    lengths = container.pack_varint(len(payload)) + container.pack_varint(len(chunks))
    return with_checksum(b"\x89INR\r\n" + fields + lengths + payload + chunks + bytes(4))


ZERO_SIREN = coding0.encode_tensors(
    [weight_coding.CodedTensor(np.zeros(s, np.int32), 144) for s in ((2, 1), 1, (1, 1), 1)]
)
SIREN, PYRAMID = "01 00 01 01 00 00 01 01 00", "01 01 01 01 00 00 00 00 00"
MOSAIC = "01 00 01 01 00 00 01 01 02 64 01 00"
ONE = struct.pack("<f", 1.0).hex()


@pytest.mark.parametrize(
    ("fields", "valid"),
    [
        (SIREN, True),
        ("00 00 01 01 00 00 01 01 00", False),  # version 0
        ("02 00 01 01 00 00 01 01 00", False),  # a newer one
        ("01 02 01 01 00 00 01 01 00", False),  # an unknown model
        ("01 00 00 01 00 00 01 01 00", False),  # no columns
        ("01 00 01 00 00 00 01 01 00", False),  # no rows
        ("01 00 81 00 01 00 00 01 01 00", False),  # a varint too long by a byte
        ("01 00 81 80 80 80 80 00 01 00 00 01 01 00", False),  # of six bytes
        ("01 00 01 01 05 00 01 01 00", False),  # an unknown pixel format
        ("01 00 01 01 00 02 01 01 00", False),  # an unknown encoding
        ("01 00 01 01 00 01 00 00 01 01 00", False),  # Fourier with no frequency
        ("01 00 01 01 00 01 21 00 01 01 00", False),  # with 33
        ("01 00 01 01 00 00 00 01 00", False),  # width 0
        ("01 00 01 01 00 00 81 08 01 00", False),  # width 1025
        ("01 00 01 01 00 00 01 00 00", False),  # depth 0
        ("01 00 01 01 00 00 01 10 00", False),  # depth 16
        ("01 00 01 01 00 00 01 01 03", False),  # an unknown coding
        ("01 00 01 01 00 00 01 01 02 64 01 00", True),  # a mosaic of one
        ("01 00 01 01 00 00 01 01 02 01 01 40", True),  # taper 1, overlap 64
        ("01 00 01 01 00 00 01 01 02 00 01 00", False),  # taper 0
        ("01 00 01 01 00 00 01 01 02 65 01 00", False),  # taper 101
        ("01 00 01 01 00 00 01 01 02 64 00 00", False),  # no network
        ("01 00 01 01 00 00 01 01 02 64 02 00", False),  # two for one pixel
        ("01 00 01 01 00 00 01 01 02 64 81 00 00", False),  # a number of networks too long by a byte
        ("01 00 01 01 00 00 01 01 02 64 81 80 40 00", False),  # 1048577 of them
        ("01 00 01 01 00 00 01 01 02 64 01 41", False),  # overlap 65
        ("01 00 01 01 04 00 00 00 03 09 00 01 01 00", True),  # one plane of 8 bits
        ("01 00 01 01 04 00 01 00 03 09 00 01 01 00", True),  # one channel
        ("01 00 01 01 04 00 00 00 09 03 00 01 01 00", False),  # a range that falls
        ("01 00 01 01 04 03 00 00 03 09 00 01 01 00", False),  # an unknown sample type
        ("01 00 01 01 04 00 41 00 03 09 00 01 01 00", False),  # 65 channels
        ("01 00 01 01 04 00 01 01 03 09 00 01 01 00", False),  # a range for each of one channel
        ("01 00 01 01 04 00 00 01 03 09 00 01 01 00", False),  # for each of none
        ("01 00 01 01 04 00 01 02 03 09 00 01 01 00", False),  # ranges 2
        (f"01 00 01 01 04 02 00 00 {ONE} {ONE} 00 01 01 00", True),
        (f"01 00 01 01 04 02 00 00 {ONE} 0000807f 00 01 01 00", False),  # up to infinity
        (f"01 00 01 01 04 02 00 00 0000c07f {ONE} 00 01 01 00", False),  # from what is no number
    ],
)
def test_headers_of_sirens_are_read_or_refused_alike(fields: str, valid: bool) -> None:
    assert _accepted(_file(bytes.fromhex(fields), ZERO_SIREN)) == (valid, valid)


@pytest.mark.parametrize(
    ("fields", "valid"),
    [
        (PYRAMID, True),
        ("01 01 01 01 00 01 06 00 00", True),
        ("01 01 01 01 00 02 00 00 00", False),  # an unknown preset
        ("01 01 01 01 00 00 04 00 00", False),  # an unknown prior
        ("01 01 01 01 00 01 0e 00 00", False),
        ("01 01 01 01 00 00 00 01 00", False),  # tiles of 2
        ("01 01 01 01 00 00 00 07 00", False),
        ("01 01 01 01 00 00 00 0d 00", False),
        ("01 01 01 01 00 00 00 00 01", False),  # an unknown coding
        ("01 01 81 20 01 00 00 00 00 00", False),  # 4097 pixels without tiles
        ("01 01 01 81 20 00 00 00 00 00", False),
        ("01 01 01 01 00 00 00 08 00", False),  # tiles, but no table of them
    ],
)
def test_headers_of_pyramids_are_read_or_refused_alike(fields: str, valid: bool) -> None:
    assert _accepted(_file(bytes.fromhex(fields))) == (valid, valid)


@pytest.mark.parametrize(
    ("words", "valid"), [((0,), True), ((1, 0), True), ((1,), False), ((0, 0), False), ((2**32 - 1, 0), False)]
)
def test_tables_of_tiles_are_read_or_refused_alike(words: tuple[int, ...], valid: bool) -> None:
    payload = struct.pack(f"<{len(words)}I", *words)
    assert _accepted(_file(bytes.fromhex("01 01 01 01 00 00 00 08 00"), payload)) == (valid, valid)


REFERENCE = bytes(8) + b"\1"
SMALL = initialization.load(VECTORS / "inits" / "small.npz").identity


@pytest.mark.parametrize(
    ("fields", "chunks", "valid"),
    [
        *[(fields, chunks, valid) for fields in (SIREN, PYRAMID) for chunks, valid in (
            (b"\x09\0", True),
            (b"\x7f\x01x", True),
            (b"\x09\x02x", False),  # more than there is
            (b"\x09", False),  # no length
            (b"\x09\x81\0x", False),  # a length too long by a byte
            (b"\0\0", False),  # kind 0
            (b"\x80\0", False),
            (b"\xff\0", False),  # unknown, and required
            (b"\x82\0", False),  # metadata that are required are none
            (b"\x88\0", False),
            (b"\x09\0" * 1024, True),
            (b"\x09\0" * 1025, False),
            (b"\x01\x09" + REFERENCE, False),  # an initialization that is not required
            (b"\x81\x09" + REFERENCE, False),  # unknown to the SIREN, and a pyramid has none
        )],
        (SIREN, b"\x81\x09" + SMALL + b"\1", False),  # for another network
        (SIREN, (b"\x81\x09" + SMALL + b"\1") * 2, False),
        (SIREN, b"\x81\x09" + SMALL + b"\0", False),  # no differences
        (SIREN, b"\x81\x09" + SMALL + b"\x10", False),  # of a tensor that is not there
        (SIREN, b"\x81\x08" + SMALL, False),
        (SIREN, b"\x81\x0a" + SMALL + b"\1\0", False),
        (SIREN, b"\x08\x01x", True),  # a SIREN has no preview
        (MOSAIC, b"\x09\0", True),
        (MOSAIC, b"\x81\x09" + SMALL + b"\1", False),  # nor has a mosaic an initialization
        (PYRAMID, b"\x08\x01x", False),
        (PYRAMID, b"\x08\x00\x08\x00", False),  # the first counts
    ],
)  # fmt: skip
def test_chunks_are_read_or_refused_alike(fields: str, chunks: bytes, valid: bool) -> None:
    payload = b"" if fields == PYRAMID else ZERO_SIREN
    assert _accepted(_file(bytes.fromhex(fields), payload, chunks)) == (valid, valid)


@pytest.mark.parametrize(
    ("fields", "valid"),
    [
        ("01 01 01 01 00 00 00 00 00", True),
        ("01 01 01 01 00 00 03 00 00", True),  # another prior
        ("01 01 02 01 00 00 00 00 00", False),  # wider than the image
        ("01 01 01 02 00 00 00 00 00", False),
        ("01 01 01 01 02 00 00 00 00", False),  # other samples
        ("01 01 01 01 04 00 00 00 00 ff 00 00 00 00", False),
        ("01 01 01 01 00 00 00 08 00", False),  # tiles
        ("01 00 01 01 00 00 01 01 00", False),  # a SIREN
    ],
)
def test_previews_are_read_or_refused_alike(fields: str, valid: bool) -> None:
    inner = _file(bytes.fromhex(fields), b"" if fields[3:5] == "01" else ZERO_SIREN)
    outer = bytes.fromhex(PYRAMID)
    for preview, expected in (
        (inner, valid),
        (inner[:-1] + bytes([inner[-1] ^ 1]), False),
        (inner + b"\0", False),
        (inner[:-1], False),
        (_file(bytes.fromhex(fields), b"", b"\x09\0"), False),
    ):
        chunk = b"\x08" + container.pack_varint(len(preview)) + preview
        assert _accepted(_file(outer, b"", chunk)) == (expected, expected)


def test_what_is_not_the_file_is_refused_alike() -> None:
    data = _file(bytes.fromhex(SIREN), ZERO_SIREN)
    for changed in (
        b"",
        data[:-1],
        data + b"\0",
        data[:-1] + b"\0",
        b"\x89INR\n\n" + data[6:],
        data.replace(b"\r\n", b"\n"),
    ):
        assert _accepted(changed) == (False, False)
    odd = b"\x89INR\r\n" + bytes.fromhex(SIREN) + b"\x02\0" + bytes(2)
    assert _accepted(with_checksum(odd + bytes(4))) == (False, False)


MUTABLE = [
    "siren/pixel",
    "siren/uint8_plane",
    "siren/largest_coding0",
    "siren/mosaic_hard",
    "siren/mosaic_one",
    "siren/difference_last",
    "pyramid/nothing_coded",
    "pyramid/prior",
]


@settings(max_examples=150)
@given(
    st.sampled_from(MUTABLE), st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=3)
)
def test_changed_bytes_are_read_or_refused_alike(name: str, changes: list[tuple[int, int]]) -> None:
    """With a matching checksum, both decoders accept a file or both refuse it."""
    damaged = bytearray((VECTORS / f"{name}.inr").read_bytes())
    for place, byte in changes:
        # Never the signature.
        damaged[6 + place % (len(damaged) - 10)] = byte
    data = with_checksum(bytes(damaged))
    try:
        parsed, _, _ = container.unpack(data)
    except FormatError:
        with pytest.raises(plain_file.InvalidError):
            plain_file.parse(data)
        return
    # The second decoder is slow.
    if math.prod(parsed.size) > 400 or (
        not parsed.model.number
        and parsed.model.networks * parsed.model.architecture(parsed.channels).weight_count > 2000
    ):
        plain_file.parse(data)
        return
    ours, theirs = _accepted(data)
    assert ours == theirs
