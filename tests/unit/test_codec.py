"""Whole files: damaged vectors, round trips through a fit, the choice of the model."""

import io
import math
import sys
import time
import tracemalloc
import warnings
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
from PIL import Image

import pillow_inr
from pillow_inr import codec
from pillow_inr.encoding.source_image import BudgetError, Encoded
from pillow_inr.errors import BackendError, FitError, FormatError
from pillow_inr.models import selection
from pillow_inr.models.base import EncodeJob
from pillow_inr.models.pyramid import encoder as pyramid_encoder
from pillow_inr.models.pyramid import tile_fits
from pillow_inr.models.siren import encoder as siren_encoder
from pillow_inr.models.siren import networks as siren_networks
from pillow_inr.models.siren import simple, weight_coding
from pillow_inr.options import EncodeOptions
from tests.support import container
from tests.support.checks import QUICK, VECTORS, gradient, header, psnr, with_checksum
from tests.support.fits import LARGER_SIZE, SIZE, no_compiling  # noqa: F401

pytestmark = pytest.mark.decoding


@pytest.fixture(autouse=True)
def _initializations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PILLOW_INR_INITS", str(VECTORS / "inits"))


def _vector(name: str) -> bytes:
    return (VECTORS / f"{name}.inr").read_bytes()


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
    # The header from the image size on, the payload (all of it in the plain vectors), all chunks.
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
    shapes = huge.model.architecture(huge.channels).shapes
    payload = weight_coding.encode_tensors(
        [weight_coding.CodedTensor(np.zeros(shape, np.int32), 144) for shape in shapes]
    )
    assert len(payload) == huge.payload_bytes
    with pytest.raises(FormatError, match="multiplications"):
        pillow_inr.decode(container.pack(huge, payload))
    with pytest.raises(ValueError, match="too large for an image"):
        codec.encode(np.broadcast_to(np.uint8(0), (9000, 9000, 3)), EncodeOptions(width=1024, depth=15))


def test_memory_does_not_follow_a_long_side() -> None:
    """Features and activations of one row of 2^22 pixels would take gigabytes."""
    long = header(size=(2**22, 1), frequencies=32, width=64, depth=1, payload_bytes=8)
    payload = weight_coding.encode_tensors(
        [
            weight_coding.CodedTensor(np.zeros(shape, np.int32), 144)
            for shape in long.model.architecture(long.channels).shapes
        ]
    )
    data = container.pack(replace(long, payload_bytes=len(payload)), payload)
    tracemalloc.start()
    pillow_inr.decode(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 * 2**22 + 60e6


@pytest.mark.parametrize(
    ("array", "match"),
    [
        (np.zeros((2, 2, 3), np.int64), "uint8, uint16, float32, .*, got int64"),
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
    for model in ("siren", "pyramid"):
        monkeypatch.setitem(sys.modules, f"pillow_inr.models.{model}.training.fit", None)
        with pytest.raises(BackendError, match="Keras on TensorFlow"):
            codec.encode(gradient(4, 4), EncodeOptions(model=model))


@pytest.mark.keras
@pytest.mark.parametrize(
    ("channels", "encoding"), [(1, "fourier"), (2, "fourier"), (3, "fourier"), (4, "fourier"), (3, "none")]
)
def test_round_trip(channels: int, encoding: str) -> None:
    image = gradient(*SIZE, channels)
    decoded = pillow_inr.decode(codec.encode(image, EncodeOptions(encoding=encoding, **{**QUICK, "steps": 400})))
    assert decoded.shape == image.shape
    assert psnr(image, decoded) > 15


@pytest.mark.keras
def test_bytes_agree_with_the_last_report() -> None:
    reports: list[tuple[int, int, float, float]] = []
    image = gradient(*SIZE)
    options = EncodeOptions(**{**QUICK, "steps": 300}, progress=lambda *report: reports.append(report))
    data = codec.encode(image, options)
    estimated = reports[-1][3] * math.prod(SIZE) / 8
    # The estimate assumes a Laplace model per tensor. Coding 1 saves bits beyond it, most of all in small networks.
    assert -0.01 * len(data) - 8 <= estimated - len(data) <= 0.15 * len(data) + 8
    assert reports[-1][2] == pytest.approx(psnr(image, pillow_inr.decode(data)), abs=2.0)


@pytest.mark.keras
@pytest.mark.usefixtures("no_compiling")
@pytest.mark.parametrize("size", [(1, 1), (3, 3), (1, 700), (700, 1)])
def test_tiny_and_thin_images(size: tuple[int, int]) -> None:
    image = gradient(*size)
    decoded = pillow_inr.decode(codec.encode(image, EncodeOptions(model="siren", depth=QUICK["depth"], effort=1)))
    assert decoded.shape == image.shape
    assert psnr(image, decoded) > 30


@pytest.mark.keras
@pytest.mark.parametrize("level", [0, 100, 255])
def test_flat_images(level: int) -> None:
    image = np.full((*reversed(SIZE), 3), level, np.uint8)
    assert psnr(image, pillow_inr.decode(codec.encode(image, EncodeOptions(**{**QUICK, "steps": 400})))) > 40


@pytest.mark.keras
def test_a_bright_screenshot_does_not_collapse() -> None:
    image = np.full((*reversed(LARGER_SIZE), 3), 255, np.uint8)
    image[8:10, 3:48] = 30
    image[24:36, 13:38] = (220, 235, 255)
    assert image.mean() > 225
    decoded = pillow_inr.decode(codec.encode(image, EncodeOptions(**{**QUICK, "steps": 800})))
    constant = np.broadcast_to(np.rint(image.mean((0, 1))).astype(np.uint8), image.shape)
    assert psnr(image, decoded) > psnr(image, constant) + 5


@pytest.mark.keras
def test_fully_transparent_parts_keep_their_place() -> None:
    image = np.zeros((*reversed(SIZE), 4), np.uint8)
    image[2:7, 3:9] = (200, 60, 90, 255)
    decoded = pillow_inr.decode(codec.encode(image, EncodeOptions(**{**QUICK, "steps": 800})))
    assert (decoded[:1, :, 3] < 64).all()
    assert (decoded[3:6, 4:8, 3] > 192).all()


def encoded(length: int, psnr_db: float) -> Encoded:
    """A file of zeros, for tests that do not use its model."""
    return Encoded(bytes(length), psnr_db, None)  # type: ignore[arg-type]


class FakeEncoders:
    """Stand-ins for both models' encoders: files of given sizes and PSNR."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.files = {"pyramid": encoded(100, 30.0), "siren": encoded(100, 30.0)}
        self.errors: dict[str, Exception] = {}
        self.deadlines: dict[str, float | None] = {}
        self.has_collapsed = False
        self.simple = True
        monkeypatch.setattr(siren_encoder, "encode", lambda job: self.encode("siren", job))
        monkeypatch.setattr(simple, "may_be_simple", lambda *_: self.simple)
        monkeypatch.setattr(simple, "try_simple", self.try_simple)
        monkeypatch.setattr(simple, "finish_simple", lambda job, trial: trial.file)
        monkeypatch.setattr(
            pyramid_encoder, "fit_and_pack", lambda job: pyramid_encoder.Trial(self.encode("pyramid", job), 1e-3)
        )
        monkeypatch.setattr(pyramid_encoder, "has_collapsed", lambda source, trial: self.has_collapsed)

    def encode(self, model: str, job: EncodeJob) -> Encoded:
        self.deadlines[model] = job.deadline.at
        if model in self.errors:
            raise self.errors[model]
        return self.files[model]

    def try_simple(self, job: EncodeJob, rd_lambda: float, rival: float) -> simple.SimpleTrial | None:
        if not self.simple:
            return None
        file = self.encode("siren", job)
        return simple.SimpleTrial(file, None, file.loss(rd_lambda, job.source.pixels))  # type: ignore[arg-type]

    def chosen(self, size: tuple[int, int], **options: Any) -> str:
        """Encode, and return the name of the model whose file was chosen."""
        self.deadlines = {}
        data = codec.encode(gradient(*size), EncodeOptions(**options))
        return next(model for model, file in self.files.items() if file.data is data)


@pytest.fixture
def encoders(monkeypatch: pytest.MonkeyPatch) -> FakeEncoders:
    return FakeEncoders(monkeypatch)


LARGE = (129, 128)
SMALL = (128, 128)


def test_a_large_image_with_a_small_file_is_fitted_with_both(
    encoders: FakeEncoders, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = len(encoders.files["pyramid"].data)
    bpp = 8 * size / (LARGE[0] * LARGE[1])
    limits = ((size, 0.0, True), (size - 1, 0.0, False), (0, bpp, True), (0, 0.99 * bpp, False))
    for length, rate, both in limits:
        monkeypatch.setattr(selection, "SMALL_BYTES", length)
        monkeypatch.setattr(selection, "SMALL_BPP", rate)
        encoders.chosen(LARGE)
        assert list(encoders.deadlines) == (["pyramid", "siren"] if both else ["pyramid"])


def test_what_is_not_simple_is_a_pyramid(encoders: FakeEncoders) -> None:
    encoders.files["siren"] = encoded(100, 35.0)
    for size in (SMALL, LARGE):
        assert encoders.chosen(size) == "siren"
        assert encoders.chosen(size, psnr=32) == "siren"
    encoders.simple = False
    for size in (SMALL, LARGE):
        assert encoders.chosen(size) == "pyramid"
        assert encoders.chosen(size, psnr=25) == "pyramid"


def test_the_model_is_chosen_by_options_and_size(encoders: FakeEncoders, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selection, "SMALL_BYTES", 0)
    monkeypatch.setattr(selection, "SMALL_BPP", 0.0)
    for options, expected in (
        ({}, "pyramid"),
        ({"model": "pyramid"}, "pyramid"),
        ({"model": "siren"}, "siren"),
        ({"width": 9}, "siren"),
        ({"depth": 2}, "siren"),
        ({"encoding": "fourier"}, "siren"),
    ):
        assert encoders.chosen(LARGE, **options) == expected
        assert list(encoders.deadlines) == [expected]
    encoders.chosen(SMALL)
    assert list(encoders.deadlines) == ["pyramid", "siren"]
    assert encoders.chosen(SMALL, model="pyramid") == "pyramid"
    assert list(encoders.deadlines) == ["pyramid"]


@pytest.mark.parametrize(
    ("pyramid", "siren", "options", "better"),
    [
        ((100, 30.0), (100, 31.0), {}, "siren"),
        ((100, 30.0), (400, 30.1), {}, "pyramid"),
        ((100, 30.0), (400, 40.0), {"quality": 100}, "siren"),
        ((90, 30.0), (100, 30.1), {"target_bytes": 100}, "siren"),
        ((90, 30.2), (80, 30.1), {"bpp": 0.5}, "pyramid"),
        ((100, 33.0), (101, 39.0), {"psnr": 32}, "pyramid"),
        ((100, 31.0), (999, 32.0), {"psnr": 32}, "siren"),
    ],
)
def test_of_small_images_the_better_file_is_kept(
    pyramid: tuple[int, float], siren: tuple[int, float], options: dict, better: str, encoders: FakeEncoders
) -> None:
    encoders.files = {
        "pyramid": encoded(pyramid[0], pyramid[1]),
        "siren": encoded(siren[0], siren[1]),
    }
    assert encoders.chosen(SMALL, **options) == better


def test_both_models_share_the_time(encoders: FakeEncoders) -> None:
    encoders.files["siren"] = encoded(100, 31.0)
    for options, expected in (({"psnr": 29}, [30, 60]), ({}, [12, 60])):
        start = time.perf_counter()
        encoders.chosen(SMALL, time_limit=60, **options)
        ends = [end - start for end in encoders.deadlines.values() if end is not None]
        assert ends == pytest.approx(expected, abs=1)


@pytest.mark.parametrize(("siren_db", "steps"), [(29.9, [100, None]), (30.1, [100])])
def test_small_images_get_one_full_fit_of_the_model_that_is_ahead(
    siren_db: float, steps: list[int | None], encoders: FakeEncoders, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoders.files["siren"] = encoded(100, siren_db)
    fits: list[int | None] = []
    finished: list[object] = []
    fit_and_pack = pyramid_encoder.fit_and_pack
    monkeypatch.setattr(
        pyramid_encoder, "fit_and_pack", lambda job: fits.append(job.options.steps) or fit_and_pack(job)
    )
    monkeypatch.setattr(simple, "finish_simple", lambda job, trial: finished.append(trial) or trial.file)
    assert encoders.chosen((32, 32), effort=5) == ("pyramid" if len(steps) == 2 else "siren")
    assert (fits, len(finished)) == (steps, 2 - len(steps))


def test_one_model_serves_where_the_other_cannot(encoders: FakeEncoders) -> None:
    for size in (SMALL, LARGE):
        encoders.errors = {"pyramid": FitError("diverged")}
        assert encoders.chosen(size) == "siren"
    encoders.errors = {"siren": BudgetError("at least 60 bytes")}
    for size in (SMALL, LARGE):  # the large image has a small file, so both models are tried
        assert encoders.chosen(size, target_bytes=50) == "pyramid"
        assert list(encoders.deadlines) == ["pyramid", "siren"]
    encoders.errors["pyramid"] = BudgetError("at least 51 bytes")
    with pytest.raises(ValueError, match="at least 51 bytes"):
        encoders.chosen(SMALL, target_bytes=50)
    encoders.errors = {"pyramid": BackendError("no TensorFlow")}
    with pytest.raises(BackendError):
        encoders.chosen(SMALL)


def test_a_pyramid_that_collapsed_gives_way(encoders: FakeEncoders) -> None:
    encoders.has_collapsed = True
    encoders.files["siren"] = encoded(100, 31.0)
    assert encoders.chosen(LARGE) == "siren"
    assert encoders.chosen(LARGE, model="pyramid") == "pyramid"


def test_a_psnr_that_was_not_reached_is_told_once(encoders: FakeEncoders) -> None:
    for size in (SMALL, LARGE):
        with pytest.warns(UserWarning) as notes:
            encoders.chosen(size, psnr=40)
        assert [str(note.message) for note in notes] == ["psnr=40 dB was not reached: the file has 30.00 dB"]
        assert notes[0].filename == __file__  # not a line of the package


@pytest.mark.parametrize(
    "image",
    [
        np.full((1, 1, 3), (255, 0, 77), np.uint8),
        np.full((300, 200, 3), (1, 254, 128), np.uint8),
        np.full((30, 20), 3, np.uint8),
        np.full((30, 20, 4), (9, 8, 7, 0), np.uint8),
        np.full((30, 20), 54321, np.uint16),
        np.full((8, 2, 7), -1.5e-9, np.float32),
    ],
)
def test_one_colour_takes_no_fit(image: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    for encoder in (siren_networks, tile_fits):
        monkeypatch.setattr(encoder, "_load_fit", lambda: pytest.fail("there is nothing to fit"))
    data = codec.encode(image, EncodeOptions())
    assert len(data) <= 100
    np.testing.assert_array_equal(pillow_inr.decode(data), image)
    codec.encode(image, EncodeOptions(psnr=50))
    codec.encode(image, EncodeOptions(target_bytes=len(data)))
