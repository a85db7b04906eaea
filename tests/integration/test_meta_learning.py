"""Reptile meta-learning of an initialization, and fits that start from one, on small images."""

import itertools
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("click")
pytest.importorskip("tensorflow")

from click.testing import CliRunner

import pillow_inr
from pillow_inr import codec
from pillow_inr.cli.commands import main
from pillow_inr.entropy import quantization
from pillow_inr.errors import FitError, FormatError, MissingInitializationError
from pillow_inr.format.header import Header
from pillow_inr.models.siren import initialization, reference_store, weight_coding
from pillow_inr.models.siren.architecture import Architecture
from pillow_inr.models.siren.fitted import Fitted
from pillow_inr.models.siren.initialization import Initialization
from pillow_inr.models.siren.training import fit, meta_learning
from pillow_inr.models.siren.training.meta_learning import learn
from pillow_inr.options import EncodeOptions
from tests.support import container
from tests.support.checks import LEVELS, gradient, psnr, synthesize
from tests.support.fits import SIZE

pytestmark = pytest.mark.keras

# What `learn` chooses for images of this size and the width and depth of other tests' fits.
SMALL = Architecture(width=8, depth=2, channels=3, frequencies=12, frequency_ratio=106)


def _images() -> list[np.ndarray]:
    return [np.roll(gradient(*SIZE), shift, axis=2) for shift in range(3)]


@pytest.fixture(autouse=True, scope="module")
def one_trainer() -> Iterator[None]:
    """Compile the trainer of all runs of `learn` once; it starts each fit anew."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(meta_learning, "Trainer", cache(meta_learning.Trainer))
        yield


@pytest.fixture(scope="module")
def learned() -> Initialization:
    reports: list[tuple[int, int, float]] = []
    init = learn(itertools.cycle(_images()), SMALL, SIZE[0], steps=60, rounds=200, report=lambda *r: reports.append(r))
    assert [report[:2] for report in reports] == [(index + 1, 200) for index in range(200)]
    assert reports[-1][2] > reports[0][2]
    return init


@pytest.fixture
def known(learned: Initialization, monkeypatch: pytest.MonkeyPatch) -> Initialization:
    monkeypatch.setattr(reference_store, "_registered", {learned.identity: learned})
    return learned


def _psnr(fitted: Fitted, init: Initialization) -> float:
    """PSNR of the network as a file would store it."""
    rounded = [
        quantization.dequantize(quantization.quantize(weight - start, step), step, start)
        for weight, step, start in zip(fitted.weights, fitted.steps, init.references(fitted.differences), strict=True)
    ]
    return psnr(_images()[0], synthesize(SMALL, rounded, SIZE))


def test_a_fit_gets_further_from_what_was_learned(learned: Initialization) -> None:
    image = _images()[0]
    plain = fit.fit(image, SMALL, scale=LEVELS, steps=40, rd_lambda=1e-5)
    ahead = fit.fit(image, SMALL, scale=LEVELS, steps=40, rd_lambda=1e-5, initial=learned.weights)
    # Measured here, because the fit reports a mean over the steps of its last call, which are nearly all of them.
    assert _psnr(ahead, learned) > _psnr(plain, learned) + 1
    assert any(ahead.differences)
    assert not any(plain.differences)
    # State left in the trainer does not affect the next fit.
    for weight, usual in zip(
        fit.fit(image, SMALL, scale=LEVELS, steps=40, rd_lambda=1e-5).weights, plain.weights, strict=True
    ):
        np.testing.assert_array_equal(weight, usual)


def test_learning_is_repeatable_and_ends_in_time() -> None:
    arguments = {"steps": 5, "rounds": 2}
    first, second = (learn(itertools.cycle(_images()), SMALL, SIZE[0], **arguments) for _ in range(2))  # type: ignore[arg-type]
    assert first == second
    assert learn(itertools.cycle(_images()), SMALL, SIZE[0], steps=5, rounds=10**9, time_limit=3.0) != first


def test_divergence_everywhere_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pillow_inr.models.siren.training.trainer.Trainer.diverged", lambda *_: True)
    with pytest.raises(FitError, match="every fit diverged"):
        learn(itertools.cycle(_images()), SMALL, SIZE[0], steps=2, rounds=2)


def test_round_trip_as_differences(known: Initialization, monkeypatch: pytest.MonkeyPatch) -> None:
    image = _images()[1]
    reports: list[tuple[int, int, float, float]] = []
    options = EncodeOptions(init=known, steps=100, progress=lambda *report: reports.append(report))
    data = codec.encode(image, options)
    header, payload, chunks = container.unpack(data)
    assert header.model.architecture(header.channels) == SMALL
    assert [(chunk.kind, chunk.required) for chunk in chunks] == [(1, True), (7, False)]
    assert chunks[0].data[:8] == known.identity
    decoded = pillow_inr.decode(data)
    assert psnr(image, decoded) == pytest.approx(reports[-1][2], abs=2.0)
    # Without the reference weights the same symbols mean another network.
    assert psnr(pillow_inr.decode(container.pack(_without_chunks(header), payload)), decoded) < 25
    monkeypatch.setattr(reference_store, "_registered", {})
    with pytest.raises(MissingInitializationError, match=known.identity.hex()):
        pillow_inr.decode(data)


def _without_chunks(header: Header[Any]) -> Header[Any]:
    return replace(header, chunks_bytes=0)


def test_files_that_misuse_an_initialization_are_refused(known: Initialization) -> None:
    flags = initialization.pack_reference(known.identity, [True] * 6)
    right = container.Chunk(1, flags, required=True)

    def file(architecture: Architecture, *chunks: container.Chunk) -> bytes:
        tensors = [weight_coding.CodedTensor(np.zeros(shape, np.int32), 144) for shape in architecture.shapes]
        payload, packed = weight_coding.encode_tensors(tensors), container.pack_chunks(chunks)
        header = container.header(
            size=(5, 4),
            pixel_format=architecture.channels - 1,
            encoding=1,
            frequencies=architecture.frequencies,
            frequency_ratio=architecture.frequency_ratio,
            width=architecture.width,
            depth=architecture.depth,
            payload_bytes=len(payload),
            chunks_bytes=len(packed),
        )
        return container.pack(header, payload, packed)

    assert pillow_inr.decode(file(SMALL, right)).shape == (4, 5, 3)
    for chunks in ([right, right], [container.Chunk(1, flags)]):
        with pytest.raises(FormatError, match="at most one"):
            pillow_inr.decode(file(SMALL, *chunks))
    with pytest.raises(FormatError, match="another network"):
        pillow_inr.decode(file(Architecture(**{**vars(SMALL), "frequency_ratio": 151}), right))


def test_options_that_do_not_fit_are_refused(known: Initialization, tmp_path: Path) -> None:
    known.save(tmp_path / "init.npz")
    for init in (known, tmp_path / "init.npz", str(tmp_path / "init.npz")):
        assert reference_store.resolved(EncodeOptions(init=init, width=8, depth=2)).init == known
        with pytest.raises(ValueError, match="width is 9, but the initialization is for a network of width 8"):
            codec.encode(gradient(*SIZE), EncodeOptions(init=init, width=9))
    with pytest.raises(ValueError, match="encoding is 'none'"):
        codec.encode(gradient(*SIZE), EncodeOptions(init=known, encoding="none"))
    with pytest.raises(ValueError, match="init must be"):
        EncodeOptions(init=5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="3 channels, the image has 1"):
        codec.encode(gradient(8, 8, 1), EncodeOptions(init=known))


def test_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference_store, "_registered", {})
    (tmp_path / "photos").mkdir()
    for index, image in enumerate(_images()):
        Image.fromarray(image).save(tmp_path / "photos" / f"{index}.png")
    (tmp_path / "photos" / "notes.txt").write_text("hello")

    def run(*arguments: object) -> str:
        return CliRunner().invoke(main, [str(argument) for argument in arguments]).output

    learning = ["learn", tmp_path / "photos", "-o", tmp_path / "i.npz", "-w", 8, "-d", 2, "--steps", 30, "--rounds", 4]
    assert "8×2" in run(*learning)
    assert "--force" in run(*learning)
    init = initialization.load(tmp_path / "i.npz")
    photo = tmp_path / "photos" / "0.png"
    assert "dB" in run("encode", photo, "-o", tmp_path / "a.inr", "--init", tmp_path / "i.npz", "--steps", 40)
    reference_store._registered.clear()
    assert init.identity.hex() in run("decode", tmp_path / "a.inr")
    with pytest.raises(OSError, match=init.identity.hex()), Image.open(tmp_path / "a.inr") as image:
        image.load()
    assert "12×9" in run("decode", tmp_path / "a.inr", "--init", tmp_path / "i.npz")
    assert "No such file" in run("encode", photo, "--init", tmp_path / "no.npz")
    (tmp_path / "empty").mkdir()
    assert "no image" in run("learn", tmp_path / "empty", "-o", tmp_path / "j.npz")
    assert pillow_inr.decode(tmp_path / "a.inr").shape == (9, 12, 3)
