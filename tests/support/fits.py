"""What keeps tests that encode short: one size of image for their fits, and files that need no fit.

A trainer is compiled for an architecture (channels included) and a power of two of pixels and of the longer side, in
seconds; after that a short fit takes hundredths of a second. So images to be fitted have the size SIZE, and networks
the shape in `checks.QUICK`, unless size or shape is what the test is about.
"""

import math
import zlib
from importlib import import_module
from typing import Any, cast

import pytest

from pillow_inr import codec
from pillow_inr.encoding.source_image import Encoded, SourceImage
from pillow_inr.models.selection import encode_single_colour
from pillow_inr.options import EncodeOptions
from pillow_inr.runtime import pool
from tests.support import pyramids

SIZE = (12, 9)
# For the few fits that need a larger image.
LARGER_SIZE = (64, 48)


@pytest.fixture
def no_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Encode every image of this process as its mean colour: for tests that need some .inr file of it."""

    def encode_source(source: SourceImage, options: EncodeOptions) -> Encoded:
        return encode_single_colour(source)

    monkeypatch.setattr(codec, "encode_source", encode_source)


def encode_drawn(source: SourceImage, options: EncodeOptions) -> Encoded:
    """A pyramid of random symbols drawn by the samples: equal images give equal files, others different pixels."""
    seed = zlib.crc32(source.samples.tobytes(), source.samples.shape[1])
    data = pyramids.draw_file(
        source.size, seed, pixel_format=source.pixel_format, samples=source.sample_format, spread=3.0
    )
    return Encoded(data, math.nan, cast(Any, None))


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Encode with `encode_drawn`: for tests that any change of the samples or their order must fail."""
    monkeypatch.setattr(codec, "encode_source", encode_drawn)


@pytest.fixture
def no_compiling(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run TensorFlow's graphs without XLA, in trainers of this test alone: for shapes that no other test fits."""
    tf = import_module("tensorflow")
    function = tf.function

    def uncompiled(*given: Any, jit_compile: bool | None = None, **options: Any) -> Any:
        return function(*given, **options)

    monkeypatch.setattr(tf, "function", uncompiled)
    monkeypatch.setattr(pool, "_entries", {})
