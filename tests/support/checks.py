"""Assertions and images that several test modules share."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pillow_inr import limits
from pillow_inr.errors import FormatError
from pillow_inr.format.header import Header
from pillow_inr.imaging.coordinates import Axis
from pillow_inr.imaging.samples import Scale
from pillow_inr.models.siren import synthesis as siren_synthesis
from pillow_inr.models.siren.architecture import Architecture
from tests.support import container
from tests.support.networks import whole

ROOT = Path(__file__).parents[2]
VECTORS = ROOT / "tests" / "vectors"
SAMPLES = ROOT / "samples"

# A fit short enough for a test: quality is judged by benchmarks, not here. Images of `fits.SIZE` share its compiled
# code.
QUICK = {"width": 8, "depth": 2, "steps": 40}


# The scale of 8-bit RGB.
LEVELS = Scale("uint8", 3, ((0.0, 255.0),))


@contextmanager
def any_number_of_symbols() -> Iterator[None]:
    """Let a short stream claim any number of symbols: that limit is the package's, not the format's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits, "SYMBOLS_PER_BYTE", 1 << 30)
        yield


def header(**changes: object) -> Header[Any]:
    """A small valid header with some fields changed."""
    fields: dict[str, object] = {
        "size": (5, 3),
        "pixel_format": 2,
        "encoding": container.ENCODING_FOURIER,
        "frequencies": 4,
        "frequency_ratio": 140,
        "width": 8,
        "depth": 2,
        "payload_bytes": 8,
        "chunks_bytes": 0,
    }
    return container.header(**{**fields, **changes})  # type: ignore[arg-type]


def gradient(width: int, height: int, channels: int = 3) -> NDArray[np.uint8]:
    """A smooth image whose channels rise in different directions."""
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    planes = [x, y, 1 - x, (x + y) / 2][:channels]
    return np.rint(255 * np.stack(planes, axis=-1)).astype(np.uint8)


def psnr(reference: NDArray[Any], decoded: NDArray[Any], peak: float = 255.0) -> float:
    """PSNR in dB of two arrays, inf when they are equal."""
    assert reference.shape == decoded.shape
    mse = np.mean((reference.astype(float) - decoded.astype(float)) ** 2)
    return float(10 * np.log10(peak**2 / mse)) if mse else float("inf")


def synthesize(
    architecture: Architecture, weights: Sequence[NDArray[np.float32]], size: tuple[int, int], points: int = 1
) -> NDArray[np.uint8]:
    """The image of a network as 8-bit colours, shape (height, width, channels)."""
    across, down = (Axis(length, max(size), 0, length, length * points) for length in size)
    scale = Scale("uint8", architecture.channels, ((0.0, 255.0),))
    networks = whole(weights, size)
    return siren_synthesis.synthesize(architecture, networks, siren_synthesis.Grid(across, down, points), scale)


def check_pixels(expected: NDArray[Any], decoded: NDArray[Any], header: Header[Any]) -> None:
    """Assert that two decoders agree as far as docs/format.md section 5 demands."""
    assert decoded.dtype == header.dtype
    difference = np.abs(decoded.astype(float) - expected)
    if header.samples is None:
        assert difference.max() <= 1
        assert (difference > 0).mean() <= 1e-3
    else:
        low, high = np.array(header.samples.ranges).T
        assert (difference <= 1e-4 * (high - low) + (0 if header.dtype == "float32" else 1)).all()


def check_rejects(data: bytes, match: str | None = None) -> None:
    """Assert that unpacking the file raises FormatError."""
    with pytest.raises(FormatError, match=match):
        container.unpack(data)


def with_chunks(data: bytes, *chunks: container.Chunk) -> bytes:
    """The file with these chunks instead of its own."""
    parsed, payload, _ = container.unpack(data)
    packed = container.pack_chunks(chunks)
    return container.pack(replace(parsed, chunks_bytes=len(packed)), payload, packed)


def as_samples(data: bytes, samples: container.SampleFormat) -> bytes:
    """The file with its samples in another format; the network must have as many outputs."""
    header, payload, chunks = container.unpack(data)
    changed = replace(header, pixel_format=container.PIXEL_FORMAT_SAMPLES, samples=samples)
    return container.pack(changed, payload, container.pack_chunks(chunks))


def with_checksum(data: bytes) -> bytes:
    """The file with its last four bytes replaced by the checksum that fits the others."""
    import zlib

    return data[:-4] + zlib.crc32(data[:-4]).to_bytes(4, "little")


def fresh(code: str) -> str:
    """Run code in a new interpreter that treats warnings as errors; returns its output."""
    return fresh_warnings(code, "error")[0]


def fresh_warnings(code: str, filters: str) -> tuple[str, str]:
    """Run code in a new interpreter with this warning filter; returns its output and errors."""
    command = [sys.executable, "-W", filters, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip(), done.stderr.strip()
