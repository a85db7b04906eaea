"""The decoder of pyramids written from docs/format.md agrees with the package: the document is enough."""

from pathlib import Path

import numpy as np
import pytest

from pillow_inr import pyramid, pyramid_coding, symbol_rows
from pillow_inr.container import PIXEL_FORMAT_SAMPLES, SampleFormat
from pillow_inr.decoding import PyramidNetwork, read_network
from pillow_inr.errors import FormatError

from . import plain_pyramid
from .checks import VECTORS
from .pyramids import draw_file, draw_stream

PRIORS = (Path(pyramid.__file__).parent / "pyramid_priors.bin").read_bytes()
FILES = {
    "rgb": lambda: draw_file((17, 11)),
    "escapes": lambda: draw_file((9, 14), seed=1, prior=pyramid.PRIORS - 1, spread=40.0),
    "grey": lambda: draw_file((5, 1), pixel_format=0),
    "grey_alpha": lambda: draw_file((1, 6), pixel_format=1),
    "rgba": lambda: draw_file((6, 5), pixel_format=3),
    "bands": lambda: draw_file(
        (4, 5), pixel_format=PIXEL_FORMAT_SAMPLES, samples=SampleFormat("uint16", 5, ((3.0, 9000.0),))
    ),
    "tiles": lambda: draw_file((258, 2), tile=8),
    **{path.stem: path.read_bytes for path in sorted((VECTORS / "pyramid").glob("*.inr"))},
}


@pytest.mark.parametrize("name", FILES)
def test_files_decode_alike(name: str) -> None:
    data = FILES[name]()
    (width, height, channels), tiles, pixels = plain_pyramid.decode(data, PRIORS)
    network = read_network(data)
    assert isinstance(network, PyramidNetwork)
    for tile, (tensors, grids) in zip(network.tiles.all(), tiles, strict=True):
        ours = network.tiles.pyramid(tile)
        assert {name: values.ravel().tolist() for name, values in ours.tensors.items()} == tensors
        assert [grid.tolist() for grid in ours.grids] == grids
    assert network.pixels().shape == (height, width, channels)
    # Of so few pixels a single one that is rounded differently is more than one of a thousand.
    difference = np.abs(network.pixels().astype(float) - np.array(pixels))
    assert difference.max() <= 1


def test_the_document_and_the_code_have_one_table() -> None:
    assert tuple(plain_pyramid.SCALES) == symbol_rows.DECAYS


def test_damaged_streams_are_read_or_refused_alike() -> None:
    stream = draw_stream(np.random.default_rng(0), (4, 3), spread=3.0)
    outcomes = set()
    for bit in np.random.default_rng(1).integers(0, 8 * len(stream), 24):
        damaged = bytearray(stream)
        damaged[bit // 8] ^= 1 << bit % 8
        try:
            ours = [grid.tolist() for grid in pyramid_coding.decode(bytes(damaged), 0, 0, 3, (4, 3)).grids]
        except FormatError:
            ours = None
        try:
            theirs = plain_pyramid.decode_pyramid(bytes(damaged), 0, plain_pyramid.prior(0, 0, 3, PRIORS), 4, 3)[1]
        except ValueError:
            theirs = None
        assert ours == theirs
        outcomes.add(ours is None)
    assert outcomes == {True, False}
