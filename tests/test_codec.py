"""Whole files: the frozen vectors, damage to them, and round trips through a fit."""

import io
import tracemalloc
import warnings
from itertools import product

import numpy as np
import pytest
from PIL import Image

import pillow_inr
from pillow_inr import codec, container, entropy
from pillow_inr.architecture import Architecture
from pillow_inr.config import EncodeOptions
from pillow_inr.errors import BackendError, FormatError

from . import coding0
from .checks import QUICK, VECTORS, check_pixels, gradient, header, psnr, with_checksum

CODING_0 = ("grey", "grey_alpha", "rgb", "rgba", "plain", "difference")
NAMES = (
    *CODING_0,
    "bands",
    "described",
    "grey16",
    "grey_coding1",
    "rgb_coding1",
    "plain_coding1",
    "drawn_coding1",
)
WRITERS = {container.CODING_LAPLACE: coding0.encode_tensors, container.CODING_SHAPED: entropy.encode_tensors}


@pytest.fixture(autouse=True)
def _initializations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PILLOW_INR_INITS", str(VECTORS / "inits"))


def _vector(name: str) -> bytes:
    return (VECTORS / f"{name}.inr").read_bytes()


def test_no_vector_is_missing() -> None:
    assert sorted(path.stem for path in VECTORS.glob("*.inr")) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_vector_symbols_pixels_and_bytes(name: str) -> None:
    data = _vector(name)
    parsed, payload, chunks = container.unpack(data)
    architecture = Architecture.of(parsed)
    tensors = list(entropy.decode_tensors(payload, architecture.shapes, parsed.coding))
    with np.load(VECTORS / f"{name}.npz") as frozen:
        assert [tensor.step_index for tensor in tensors] == frozen["step_indices"].tolist()
        flat = np.concatenate([tensor.symbols.ravel() for tensor in tensors])
        np.testing.assert_array_equal(flat, frozen["symbols"])
        expected = frozen.get("pixels")
    pixels = pillow_inr.decode(data)
    if expected is None:
        with Image.open(VECTORS / f"{name}.png") as image:
            expected = np.asarray(image)
    check_pixels(expected, pixels, parsed)
    assert parsed.coding == (name not in CODING_0)
    assert container.pack(parsed, WRITERS[parsed.coding](tensors), container.pack_chunks(chunks)) == data


@pytest.mark.parametrize("name", ["plain", "drawn_coding1", "described"])
def test_every_truncation_and_bit_flip_of_a_vector(name: str) -> None:
    data = _vector(name)
    for length in range(len(data)):
        with pytest.raises(FormatError):
            pillow_inr.decode(data[:length])
    for bit in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(FormatError):
            pillow_inr.decode(bytes(damaged))


@pytest.mark.parametrize("name", ["plain", "plain_coding1", "grey16", "described"])
def test_bit_flips_under_a_repaired_checksum(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 300)
    data = _vector(name)
    # The header from the image's size on, payloads of the plain vectors, all chunks.
    header_bytes = container.read_header(data)[1]
    payload_end = header_bytes + container.read_header(data)[0].payload_bytes
    flipped_end = payload_end if name.startswith("plain") else header_bytes + 12
    for byte, bit in product((*range(8, flipped_end), *range(payload_end, len(data) - 4)), range(8)):
        damaged = bytearray(data)
        damaged[byte] ^= 1 << bit
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", Image.DecompressionBombWarning)
                Image.open(io.BytesIO(with_checksum(bytes(damaged))))
            assert pillow_inr.decode(with_checksum(bytes(damaged))).dtype.name in container.DTYPES
        except (FormatError, OSError, Image.DecompressionBombError):
            continue


def test_too_much_work_is_refused_before_any_is_done() -> None:
    huge = header(size=(9000, 9000), frequencies=32, width=1024, depth=15, payload_bytes=28)
    shapes = Architecture.of(huge).shapes
    payload = entropy.encode_tensors([entropy.CodedTensor(np.zeros(shape, np.int32), 144) for shape in shapes])
    assert len(payload) == huge.payload_bytes
    with pytest.raises(FormatError, match="multiplications"):
        pillow_inr.decode(container.pack(huge, payload))
    with pytest.raises(ValueError, match="too large for an image"):
        codec.encode(np.broadcast_to(np.uint8(0), (9000, 9000, 3)), EncodeOptions(width=1024, depth=15))


def test_memory_does_not_follow_a_long_side() -> None:
    """Features and activations of one row of 2^24 pixels would take gigabytes."""
    long = header(size=(2**22, 1), frequencies=32, width=64, depth=1, payload_bytes=8)
    payload = entropy.encode_tensors(
        [entropy.CodedTensor(np.zeros(shape, np.int32), 144) for shape in Architecture.of(long).shapes]
    )
    data = container.pack(header(**{**vars(long), "payload_bytes": len(payload)}), payload)
    tracemalloc.start()
    pillow_inr.decode(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 * 2**22 + 60e6


@pytest.mark.parametrize(
    ("array", "match"),
    [
        (np.zeros((2, 2, 3), np.int32), "uint8, uint16 or float32, got int32"),
        (np.zeros((2, 2, 65), np.uint8), r"\(2, 2, 65\)"),
        (np.zeros((2, 2, 0), np.uint8), r"\(2, 2, 0\)"),
        (np.full((2, 2), np.nan, np.float32), "finite"),
        (np.full((2, 2), 1e300), "finite"),
        (np.zeros((2,), np.uint8), r"\(2,\)"),
        (np.zeros((0, 2, 3), np.uint8), "empty"),
    ],
)
def test_arrays_that_are_no_images_are_refused(array: np.ndarray, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        codec.encode(array, EncodeOptions())


def test_without_tensorflow_the_error_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pillow_inr.fit", None)
    monkeypatch.delattr(pillow_inr, "fit", raising=False)
    with pytest.raises(BackendError, match="Keras on TensorFlow"):
        codec.encode(gradient(4, 4), EncodeOptions())


@pytest.mark.keras
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("encoding", ["fourier", "none"])
def test_round_trip(channels: int, encoding: str) -> None:
    image = gradient(23, 17, channels)
    decoded = pillow_inr.decode(codec.encode(image, EncodeOptions(encoding=encoding, **{**QUICK, "steps": 400})))
    assert decoded.shape == image.shape
    assert psnr(image, decoded) > 15


@pytest.mark.keras
def test_bytes_agree_with_the_last_report() -> None:
    reports: list[tuple[int, int, float, float]] = []
    image = gradient(64, 48)
    options = EncodeOptions(width=12, depth=3, steps=300, progress=lambda *report: reports.append(report))
    data = codec.encode(image, options)
    estimated = reports[-1][3] * 64 * 48 / 8
    # The estimate knows one Laplace model a tensor, not what coding 1 saves beyond it: most in small networks.
    assert -0.01 * len(data) - 8 <= estimated - len(data) <= 0.15 * len(data) + 8
    assert reports[-1][2] == pytest.approx(psnr(image, pillow_inr.decode(data)), abs=2.0)


@pytest.mark.keras
@pytest.mark.parametrize("size", [(1, 1), (3, 3), (1, 700), (700, 1)])
def test_tiny_and_thin_images(size: tuple[int, int]) -> None:
    image = gradient(*size)
    decoded = pillow_inr.decode(codec.encode(image, EncodeOptions(model="siren", effort=1)))
    assert decoded.shape == image.shape
    assert psnr(image, decoded) > 30


@pytest.mark.keras
@pytest.mark.parametrize("level", [0, 100, 255])
def test_flat_images(level: int) -> None:
    image = np.full((60, 90, 3), level, np.uint8)
    assert psnr(image, pillow_inr.decode(codec.encode(image, EncodeOptions(width=16, depth=3, effort=2)))) > 40


@pytest.mark.keras
def test_a_bright_screenshot_does_not_collapse() -> None:
    image = np.full((120, 200, 3), 255, np.uint8)
    image[20:24, 10:150] = 30
    image[60:90, 40:120] = (220, 235, 255)
    assert image.mean() > 225
    decoded = pillow_inr.decode(codec.encode(image, EncodeOptions(width=24, depth=3, effort=3)))
    constant = np.broadcast_to(np.rint(image.mean((0, 1))).astype(np.uint8), image.shape)
    assert psnr(image, decoded) > psnr(image, constant) + 5


@pytest.mark.keras
def test_fully_transparent_parts_keep_their_place() -> None:
    image = np.zeros((60, 80, 4), np.uint8)
    image[15:45, 20:60] = (200, 60, 90, 255)
    decoded = pillow_inr.decode(codec.encode(image, EncodeOptions(width=24, depth=3, effort=3)))
    assert (decoded[2:12, :, 3] < 64).all()
    assert (decoded[22:38, 28:52, 3] > 192).all()
