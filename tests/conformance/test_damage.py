"""Every truncation and every flipped bit of a small file of each model, in every way to read a file.

Damage is tried once as it is, for the checksum to notice, and once with a recomputed checksum, for the layers beneath:
they must all return an image or all refuse the file. Only documented exceptions may be raised.
"""

import io
import math
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import pillow_inr
from pillow_inr.errors import FormatError
from pillow_inr.format.metadata import Metadata, psnr_chunk
from pillow_inr.imaging.transparency import to_chunk
from pillow_inr.models.pyramid import latent_coding, structure
from pillow_inr.models.pyramid.tiles import pack_streams
from tests.support import container
from tests.support.checks import VECTORS, with_checksum, with_chunks
from tests.support.container import Chunk
from tests.support.mosaics import drawn_mosaic
from tests.support.pyramids import draw_grids, header_of, with_preview

iio = pytest.importorskip("imageio.v3")

# Larger files would take minutes here; the tests of the codec and of tiles cover files that ask for more.
PIXELS_MAX = 1000
WEIGHTS_MAX = 5000


def _siren() -> bytes:
    """Pixel format 4, Fourier or not, and a chunk of each kind of data."""
    described = Metadata(comment=b"note", dpi=(72.0, 72.0)).to_chunks()
    return with_chunks((VECTORS / "siren" / "uint8_plane.inr").read_bytes(), Chunk(9, b"?"), *described, psnr_chunk(30))


def _mosaic() -> bytes:
    """Three parts that overlap, transparent pixels across them."""
    mask = np.add.outer(np.arange(6), np.arange(9)) % 4 > 2
    return with_chunks(drawn_mosaic((9, 6), [True, False, True, False, False]), to_chunk(mask), psnr_chunk(30))


def _pyramid() -> bytes:
    """A table of one tile, coded grids, a preview."""
    rng = np.random.default_rng(0)
    none = latent_coding.no_residuals(0, 1)
    files = []
    for size, tile in (((5, 4), 8), ((2, 2), 0)):
        header = header_of(size, pixel_format=0, tile=tile)
        stream = latent_coding.encode(0, structure.base_weights(0, 0, 1), none, draw_grids(rng, size))
        payload = pack_streams(header.model, [stream])
        files.append(container.pack(replace(header, payload_bytes=len(payload)), payload))
    return with_preview(with_chunks(files[0], psnr_chunk(30)), files[1])


FILES = {"siren": _siren, "mosaic": _mosaic, "pyramid": _pyramid}
MODELS = pytest.mark.parametrize("model", FILES)


def _decode(data: bytes) -> np.ndarray | None:
    try:
        return pillow_inr.decode(data)
    except FormatError:
        return None


def _dissect(data: bytes) -> bool | None:
    try:
        return bool(container.take_apart(data))
    except FormatError:
        return None


def _load(data: bytes) -> np.ndarray | None:
    try:
        with Image.open(io.BytesIO(data)) as image:
            image.load()
            return np.asarray(image)
    except OSError:  # of which UnidentifiedImageError is one
        return None


def _verify(data: bytes) -> bool | None:
    try:
        with Image.open(io.BytesIO(data)) as image:
            try:
                image.verify()
            except SyntaxError:
                return None
    except OSError:
        return None
    return True


def _imread(data: bytes) -> np.ndarray | None:
    try:
        return np.asarray(iio.imread(data))
    except OSError:
        return None


READERS: tuple[Callable[[bytes], object], ...] = (_decode, _dissect, _load, _verify, _imread)


def _truncated(data: bytes) -> Iterator[bytes]:
    for length in range(len(data)):
        yield data[:length]


def _flipped(data: bytes) -> Iterator[bytes]:
    for bit in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        yield bytes(damaged)


def _is_small(data: bytes) -> bool:
    """Whether the header asks for a small image and network, if it is valid; other tests cover its limits."""
    try:
        header, _ = container.read_header(data)
    except FormatError:
        return True
    weights = 0
    if header.model.number == container.MODEL_SIREN:
        weights = header.model.networks * header.model.architecture(header.channels).weight_count
    return math.prod(header.size) <= PIXELS_MAX and weights <= WEIGHTS_MAX


def _readers(data: bytes) -> tuple[Callable[[bytes], object], ...]:
    """The readers that see this file: without our signature imageio tries other formats; Pillow checks sizes first."""
    chosen = READERS if data.startswith(container.MAGIC) else READERS[:-1]
    return chosen if _is_small(data) else tuple(read for read in chosen if read not in (_load, _verify))


@MODELS
def test_the_files_are_read(model: str) -> None:
    data = FILES[model]()
    assert len(data) < 250
    assert all(read(data) is not None for read in READERS)
    # The checksum of the whole file is that of the untouched one.
    assert with_checksum(data) == data


@MODELS
@pytest.mark.parametrize("damage", [_truncated, _flipped])
def test_each_damage_is_noticed(model: str, damage: Callable[[bytes], Iterator[bytes]]) -> None:
    for damaged in damage(FILES[model]()):
        for read in _readers(damaged):
            assert read(damaged) is None, read


@MODELS
def test_each_truncation_behind_a_checksum_that_fits_is_noticed(model: str) -> None:
    for damaged in _truncated(FILES[model]()[:-4]):
        whole = damaged + zlib.crc32(damaged).to_bytes(4, "little")
        for read in _readers(whole):
            assert read(whole) is None, read


@MODELS
def test_each_flip_behind_a_checksum_that_fits_is_read_or_refused_alike(model: str) -> None:
    taken = refused = 0
    for flipped in _flipped(FILES[model]()[:-4]):
        damaged = with_checksum(flipped + bytes(4))
        if not (_is_small(damaged) and damaged.startswith(container.MAGIC)):
            continue
        pixels, read, shown = _decode(damaged), _imread(damaged), _load(damaged)
        taken, refused = taken + (pixels is not None), refused + (pixels is None)
        assert (read is None) == (pixels is None)
        if pixels is not None:
            assert pixels.dtype.name in container.DTYPES
            np.testing.assert_array_equal(read, pixels)
        # Opening an image reads its metadata, too, and needs a mode for it.
        assert shown is None or pixels is not None
        if shown is not None:
            assert shown.shape[:2] == pixels.shape[:2]
        # Nor do these decode a pyramid's preview, or look for the initialization.
        assert pixels is None or _dissect(damaged) is not None
        assert shown is None or _verify(damaged) is not None
    assert taken > 20 and refused > 100
