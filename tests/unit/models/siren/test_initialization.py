"""Initializations: their file, their identity, and how a decoder finds them."""

import hashlib
import io
import os
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example as given_example
from hypothesis import given
from hypothesis import strategies as st

import pillow_inr
from pillow_inr.errors import FormatError, MissingInitializationError
from pillow_inr.models.siren import reference_store
from pillow_inr.models.siren.architecture import Architecture
from pillow_inr.models.siren.initialization import Initialization, load, pack_reference, read_reference
from tests.support.checks import VECTORS

pytestmark = pytest.mark.decoding

SMALL = Architecture(width=4, depth=1, channels=3, frequencies=1, frequency_ratio=100)


def example(architecture: Architecture = SMALL, seed: int = 0) -> Initialization:
    rng = np.random.default_rng(seed)
    return Initialization(architecture, tuple(rng.normal(0, 0.1, shape) for shape in architecture.shapes))


def _arrays(init: Initialization) -> dict[str, np.ndarray]:
    buffer = io.BytesIO()
    init.save(buffer)
    buffer.seek(0)
    with np.load(buffer) as archive:
        return dict(archive)


def test_file_round_trip(tmp_path: Path) -> None:
    init = example()
    init.save(tmp_path / "a.npz")
    again = load(tmp_path / "a.npz")
    assert again == init
    assert again.architecture == SMALL
    for a, b in zip(again.weights, init.weights, strict=True):
        assert a.dtype == np.float32
        assert not a.flags.writeable
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(a, a.astype(np.float16))


def test_identity_by_hand() -> None:
    init = example()
    data = struct.pack("<5I", 4, 1, 3, 1, 100) + b"".join(w.astype("<f2").tobytes() for w in init.weights)
    assert init.identity == hashlib.sha256(data).digest()[:8]
    assert example(seed=1) != init
    # The same values in another precision or memory order are the same initialization.
    doubles = tuple(np.asfortranarray(weight.astype(np.float64)) for weight in init.weights)
    assert Initialization(SMALL, doubles) == init


def test_float32_files_are_read(tmp_path: Path) -> None:
    init = example()
    arrays = {name: array.astype("<f4") if array.ndim > 1 else array for name, array in _arrays(init).items()}
    np.savez_compressed(tmp_path / "a.npz", **arrays)
    assert load(tmp_path / "a.npz") == init


@pytest.mark.parametrize(
    ("name", "value", "match"),
    [
        ("architecture", np.array([4, 1, 3, 1]), "architecture is"),
        ("architecture", np.array([4, 1, 3, 1, 100], np.int32), "int32"),
        ("architecture", np.array([4, 0, 3, 1, 100]), "depth is 0"),
        ("architecture", np.array([2000, 1, 3, 1, 100]), "width is 2000"),
        ("architecture", np.array([4, 1, 5, 1, 100]), "channels is 5"),
        ("architecture", np.array([4, 1, 3, 33, 100]), "frequencies is 33"),
        ("architecture", np.array([4, 1, 3, 1, -1]), "growth is -1"),
        ("architecture", np.array([4, 2, 3, 1, 100]), "its arrays are not"),
        ("kernel_1", np.zeros((6, 5), np.float16), r"kernel_1 is float16 \(6, 5\)"),
        ("kernel_1", np.zeros((6, 4), np.float64), "kernel_1 is float64"),
        ("kernel_1", np.zeros((6, 4), ">f2"), "kernel_1 is >f2"),
        ("kernel_1", np.zeros((600, 400), np.float16), "too many"),
        ("kernel_1", np.full((6, 4), None), "kernel_1"),
        ("bias_2", np.full(3, np.nan, np.float16), "not finite"),
        ("bias_2", np.full(3, 1e6, np.float32), "beyond float16"),
        ("other", np.zeros(3), "its arrays are not"),
    ],
)
def test_other_arrays_are_refused(tmp_path: Path, name: str, value: np.ndarray, match: str) -> None:
    np.savez(tmp_path / "a.npz", **{**_arrays(example()), name: value})
    with pytest.raises(ValueError, match=rf"a\.npz is not an initialization: .*{match}"):
        load(tmp_path / "a.npz")


def test_missing_and_damaged_files(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    with pytest.raises(FileNotFoundError):
        load(path)
    path.write_bytes(b"hello")
    with pytest.raises(ValueError, match="not an initialization"):
        load(path)
    example().save(path)
    data = path.read_bytes()
    for length in range(0, len(data), 7):
        path.write_bytes(data[:length])
        with pytest.raises(ValueError, match="not an initialization"):
            load(path)
    for position in range(0, len(data), 3):
        damaged = bytearray(data)
        damaged[position] ^= 0xFF
        path.write_bytes(bytes(damaged))
        try:
            load(path)
        except ValueError:
            continue


def test_a_small_file_that_claims_gigabytes_takes_no_memory(tmp_path: Path) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"shape": (10**9, 4), "fortran_order": False, "descr": "<f2"})
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        for name, array in _arrays(example()).items():
            buffer = io.BytesIO()
            np.save(buffer, array)
            archive.writestr(f"{name}.npy", header.getvalue() if name == "kernel_1" else buffer.getvalue())
    with pytest.raises(ValueError, match="kernel_1 is float16"):
        load(tmp_path / "a.npz")


def test_found_where_registered_or_in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference_store, "_registered", {})
    init, other = example(), example(seed=1)
    with pytest.raises(MissingInitializationError, match=f"{init.identity.hex()}.*register_initialization.*PILLOW_INR"):
        reference_store.find(init.identity)
    assert pillow_inr.register_initialization(init) == init
    assert reference_store.find(init.identity) is init
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a.npz").write_bytes(b"another .npz")
    other.save(tmp_path / "folder" / "b.npz")
    monkeypatch.setenv("PILLOW_INR_INITS", os.pathsep.join(map(str, (tmp_path / "no", tmp_path / "folder"))))
    assert reference_store.find(other.identity) == other
    assert pillow_inr.register_initialization(str(tmp_path / "folder" / "b.npz")) == other


def test_reference_by_hand_and_back() -> None:
    flags = [True, False, False, True, False, False, False, False, True, False]
    data = pack_reference(bytes(range(8)), flags)
    assert data == bytes([0, 1, 2, 3, 4, 5, 6, 7, 0b00001001, 0b00000001])
    assert read_reference(data, 10) == (bytes(range(8)), flags)
    for wrong in (data[:-1], data + b"\0", bytes(10), bytes(9) + b"\x04"):
        with pytest.raises(FormatError, match="the initialization"):
            read_reference(wrong, 10)


def test_vector_needs_its_initialization(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference_store, "_registered", {})
    with pytest.raises(MissingInitializationError):
        pillow_inr.decode(VECTORS / "difference.inr")
    monkeypatch.setenv("PILLOW_INR_INITS", str(VECTORS / "inits"))
    assert pillow_inr.decode(VECTORS / "difference.inr").dtype == np.uint8


def _members() -> dict[str, bytes]:
    members = {}
    for name, array in _arrays(example()).items():
        buffer = io.BytesIO()
        np.save(buffer, array)
        members[f"{name}.npy"] = buffer.getvalue()
    return members


def _load_or_refuse(data: bytes, folder: Path) -> None:
    (folder / "a.npz").write_bytes(data)
    try:
        assert len(load(folder / "a.npz").identity) == 8
    except ValueError as error:
        assert "a.npz is not an initialization: " in str(error)


def _archive(members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, member in members.items():
            archive.writestr(name, member)
    return buffer.getvalue()


ARRAY = b"\x93NUMPY\x01\x00"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("initializations")


@given(
    st.sampled_from(sorted(_members())),
    st.lists(st.tuples(st.integers(0, 127), st.sampled_from([*range(32, 127), 0, 10, 255])), max_size=4),
    st.none() | st.binary(max_size=30) | st.text("(){}[]'\\,:<f2L 01#-", max_size=40).map(str.encode),
)
@given_example("kernel_1.npy", [], b"(")  # NumPy lets pass what Python's tokenizer raises
@given_example("kernel_1.npy", [], b"\x27\x27\x27")
@given_example("kernel_1.npy", [], b"{[]: 1}")  # and TypeError
@given_example("kernel_1.npy", [], b"00001")
@given_example("kernel_1.npy", [], b"(" * 900)
@given_example("kernel_1.npy", [], b"{'descr': '<f2', 'fortran_order': False, 'shape': (6L, 4L)}")  # and warns
def test_odd_members_are_refused(folder: Path, name: str, changes: list[tuple[int, int]], header: bytes | None) -> None:
    """Behind checksums of the archive that fit."""
    members = _members()
    member = bytearray(members[name])
    for place, byte in changes:
        member[place] = byte
    if header is not None:
        member = bytearray(ARRAY + len(header).to_bytes(2, "little") + header + member[128:])
    _load_or_refuse(_archive({**members, name: bytes(member)}), folder)


@given(
    st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]),
    st.lists(st.tuples(st.integers(0, 2**16), st.integers(0, 255)), max_size=3),
    st.binary(max_size=50),
    st.booleans(),
)
def test_changed_archives_are_read_or_refused(
    folder: Path, method: int, changes: list[tuple[int, int]], anything: bytes, whole: bool
) -> None:
    data = bytearray(_archive(_members(), method))
    for place, byte in changes:
        data[place % len(data)] = byte
    _load_or_refuse(bytes(data) if whole else anything, folder)


def test_other_compression_is_refused(tmp_path: Path) -> None:
    """Their decompressors raise errors of their own."""
    for method in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        (tmp_path / "a.npz").write_bytes(_archive(_members(), method))
        with pytest.raises(ValueError, match="neither stored nor deflated"):
            load(tmp_path / "a.npz")


@given(st.binary(min_size=8, max_size=8), st.lists(st.booleans(), min_size=1, max_size=32).filter(any))
def test_references_round_trip(identity: bytes, flags: list[bool]) -> None:
    assert read_reference(pack_reference(identity, flags), len(flags)) == (identity, flags)


@given(st.binary(max_size=14), st.integers(2, 16).map(lambda layers: 2 * layers))
def test_any_bytes_are_a_reference_or_refused(data: bytes, tensors: int) -> None:
    try:
        identity, flags = read_reference(data, tensors)
    except FormatError as error:
        assert "the initialization" in str(error)
    else:
        assert len(flags) == tensors
        assert pack_reference(identity, flags) == data
