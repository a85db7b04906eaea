"""Samples of more than 8 bits, of other types, or in bands: kept where an array can hold them, named where not."""

import io
import struct
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import pillow_inr
from pillow_inr import api
from pillow_inr.imaging import depth
from pillow_inr.imaging.exif_tags import exif_tags
from pillow_inr.imaging.pillow import to_samples
from pillow_inr.inputs import sources
from pillow_inr.models.selection import encode_single_colour
from tests.support.fits import no_fit  # noqa: F401

COLOURS = np.random.default_rng(0).integers(0, 65536, (5, 6, 3)).astype(np.uint16)
ALPHA = np.concatenate([COLOURS, COLOURS[..., :1]], axis=-1)


def _png(samples: NDArray[np.uint16], *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG of 16 bits by hand: Pillow writes none."""
    height, width, channels = samples.shape
    kind = {2: 4, 3: 2, 4: 6}[channels]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    return _packed_png((width, height, 16, kind), rows, *chunks)


def _packed_png(form: tuple[int, int, int, int], rows: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    header = struct.pack(">IIBBBBB", *form, 0, 0, 0)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    packed = (
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


def _tiff(samples: NDArray[Any], **options: Any) -> bytes:
    tifffile = pytest.importorskip("tifffile")
    stream = io.BytesIO()
    tifffile.imwrite(stream, samples, **options)
    return stream.getvalue()


def _ppm(samples: NDArray[np.uint16], white: int) -> bytes:
    return b"P6\n6 5\n%d\n" % white + samples.astype(">u2").tobytes()


def _content(data: bytes) -> sources.Content:
    return sources.read_to_encode(io.BytesIO(data), "", upright=False)


@pytest.mark.keras
@pytest.mark.quick
@pytest.mark.parametrize("samples", [COLOURS, ALPHA, COLOURS[..., :2]], ids=["RGB", "RGBA", "LA"])
def test_16_bit_png_keeps_its_bits(samples: NDArray[np.uint16]) -> None:
    content = _content(_png(samples, (b"tEXt", b"Comment\0deep")))
    np.testing.assert_array_equal(content.pixels, samples)
    assert (content.note, content.metadata) == ("", {"comment": b"deep"})


@pytest.mark.keras
def test_the_transparent_colour_of_a_16_bit_png_becomes_alpha() -> None:
    key = struct.pack(">HHH", *COLOURS[1, 2].tolist())
    pixels = np.asarray(_content(_png(COLOURS, (b"tRNS", key))).pixels)
    np.testing.assert_array_equal(pixels[..., :3], COLOURS)
    assert np.argwhere(pixels[..., 3] == 0).tolist() == [[1, 2]]
    assert set(pixels[..., 3].ravel().tolist()) == {0, 65535}


@pytest.mark.keras
def test_a_damaged_16_bit_png_is_an_error_of_the_file() -> None:
    data = _png(COLOURS)
    with pytest.raises(OSError, match=r"damaged|truncated|cut off"):
        _content(data[:-40])


@pytest.mark.parametrize(
    ("samples", "options"),
    [
        (COLOURS, {"photometric": "rgb"}),
        (COLOURS, {"photometric": "rgb", "compression": "zlib"}),
        (COLOURS, {"photometric": "rgb", "byteorder": ">"}),
        (ALPHA, {"photometric": "rgb", "extrasamples": ["unassalpha"]}),
        (COLOURS.astype(np.float32), {"photometric": "rgb"}),
        (np.concatenate([ALPHA, COLOURS[..., :1]], axis=-1), {"photometric": "minisblack", "planarconfig": "contig"}),
        (COLOURS[..., 0].astype(np.int8), {}),
        (COLOURS[..., 0].astype(np.uint32) + 2**31, {}),
        (COLOURS[..., 0].astype(np.float64), {}),
    ],
)
def test_tiff_keeps_its_sample_type(samples: NDArray[Any], options: dict[str, Any]) -> None:
    content = _content(_tiff(samples, **options))
    np.testing.assert_array_equal(content.pixels, samples)
    assert np.asarray(content.pixels).dtype == samples.dtype
    assert content.note == ""


def test_planes_of_a_tiff_become_channels() -> None:
    planes = np.moveaxis(COLOURS, -1, 0).copy()
    content = _content(_tiff(planes, photometric="rgb", planarconfig="separate"))
    np.testing.assert_array_equal(content.pixels, COLOURS)


def test_a_deep_tiff_is_turned_upright_as_pillow_turns_a_shallow_one() -> None:
    turned = {"photometric": "rgb", "extratags": [(274, "H", 1, 6, True)]}
    levels = (COLOURS >> 8).astype(np.uint8)
    shallow = np.asarray(_content(_tiff(levels, **turned)).pixels)
    assert shallow.shape == (6, 5, 3)
    np.testing.assert_array_equal(np.asarray(_content(_tiff(COLOURS, **turned)).pixels) >> 8, shallow)


@pytest.mark.parametrize("white", [65535, 4095])
def test_deep_ppm_is_scaled_as_pillow_scales_pgm(white: int) -> None:
    samples = COLOURS if white == 65535 else COLOURS >> 4
    pixels = np.asarray(_content(_ppm(samples, white)).pixels)
    np.testing.assert_array_equal(pixels, np.rint(samples * (65535 / white)))
    assert pixels.dtype == np.uint16


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "I;16", "I", "F", "CMYK", "P", "1"])
def test_what_pillow_holds_is_left_to_pillow(mode: str) -> None:
    for name in ("PNG", "TIFF", "PPM", "JPEG2000"):
        stream = io.BytesIO()
        try:
            Image.new(mode, (3, 2)).save(stream, name)
        except (OSError, KeyError):
            continue
        with Image.open(stream) as image:
            assert not depth.is_reduced(image)  # type: ignore[arg-type]


def test_a_loss_is_named_where_no_library_reads_the_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    files = {
        "Pillow reads 8 bits of its deeper samples: 'pip install tifffile' keeps them": _tiff(
            COLOURS, photometric="rgb"
        ),
        "its signed samples are read as unsigned: 'pip install tifffile' keeps them": _tiff(
            COLOURS[..., 0].astype(np.int8)
        ),
        "its unsigned samples are read as signed: 'pip install tifffile' keeps them": _tiff(
            COLOURS[..., 0].astype(np.uint32)
        ),
    }
    bands = _tiff(np.zeros((5, 6, 5), np.uint8), photometric="minisblack", planarconfig="contig")
    monkeypatch.setitem(sys.modules, "tifffile", None)
    for note, data in files.items():
        content = _content(data)
        assert isinstance(content.pixels, Image.Image)
        assert content.note == note
    with pytest.raises(OSError, match=r"5 bands of 8 bits.*pip install tifffile, or store its samples as an array"):
        _content(bands)


def test_deep_jpeg2000_is_named() -> None:
    imagecodecs = pytest.importorskip("imagecodecs")
    assert _content(imagecodecs.jpeg2k_encode(COLOURS, level=0)).note == "Pillow reads 8 bits of its deeper samples"


@pytest.mark.parametrize("channels", [2, 4])
def test_transparent_pixels_of_deep_samples_come_back_transparent(channels: int) -> None:
    samples = ALPHA[..., -channels:].copy()
    samples[1:3, 2:, -1] = 0
    options = {"photometric": "rgb" if channels == 4 else "minisblack", "planarconfig": "contig"}
    for data in (_png(samples), _tiff(samples, **options, extrasamples=["unassalpha"])):
        content = _content(data)
        source = api.source_image(content.pixels, {}, has_alpha=content.has_alpha)
        decoded = api.decode(encode_single_colour(source).data)
        assert np.array_equal(decoded[..., -1] == 0, samples[..., -1] == 0)


def test_bands_that_are_no_alpha_are_not_taken_for_it() -> None:
    bands = np.concatenate([COLOURS, COLOURS[..., :1] * 0], axis=-1)
    assert not _content(_tiff(bands, photometric="rgb", extrasamples=["unspecified"])).has_alpha


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_premultiplied_samples_are_divided_by_alpha(dtype: type) -> None:
    white = 65535 if dtype is np.uint16 else 1
    premultiplied = (np.array([[[0.25, 0.5, 0.0, 0.5], [0.0, 0.0, 0.0, 0.0]]]) * white).astype(dtype)
    data = _tiff(premultiplied, photometric="rgb", planarconfig="contig", extrasamples=["assocalpha"])
    straight = np.array([[[0.5, 1.0, 0.0, 0.5], [0.0, 0.0, 0.0, 0.0]]]) * white
    assert np.allclose(np.asarray(_content(data).pixels), straight, atol=white / 30000)


@pytest.mark.usefixtures("no_fit")
def test_image_save_says_that_pillow_has_reduced_the_samples(tmp_path: Path) -> None:
    files = {"a.png": _png(COLOURS), "a.ppm": _ppm(COLOURS, 65535), "a.tif": _tiff(COLOURS, photometric="rgb")}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
        with Image.open(tmp_path / name) as image:
            with pytest.warns(UserWarning, match="'pillow-inr encode' keeps") as warned:
                image.save(tmp_path / "a.inr")
            assert [warning.filename for warning in warned] == [__file__]
            with pytest.warns(UserWarning, match="'pillow-inr encode' keeps"):
                pillow_inr.encode(image)


@pytest.mark.usefixtures("no_fit")
def test_image_save_says_nothing_where_pillow_keeps_the_samples(tmp_path: Path) -> None:
    for name in ("a.png", "a.ppm", "a.tif", "a.jp2"):
        Image.new("RGB", (6, 5), (1, 2, 3)).save(tmp_path / name)
        with Image.open(tmp_path / name) as image:
            image.save(tmp_path / "a.inr")


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_the_transparent_value_of_a_grey_png_of_any_depth_becomes_alpha(bits: int) -> None:
    row = b"\0" + bytes(
        [{1: 0b01000000, 2: 0b00011011, 4: 0x01, 8: 1}[bits]]
    )  # its second pixel is 1, except of 8 bits
    width = 1 if bits == 8 else 2
    data = _packed_png((width, 1, bits, 0), row, (b"tRNS", b"\0\x01"))
    alpha = to_samples(_content(data).pixels)[..., 1]  # type: ignore[arg-type]
    assert alpha.tolist() == [[0] if bits == 8 else [255, 0]]


def test_values_above_the_maximum_of_a_ppm_are_white() -> None:
    pixels = np.asarray(_content(_ppm(COLOURS, 1000)).pixels)
    assert (pixels[COLOURS >= 1000] == 65535).all()
    np.testing.assert_allclose(pixels[COLOURS < 1000], COLOURS[COLOURS < 1000] * 65.535, atol=0.5)


def test_bytes_after_a_deep_ppm_are_left_alone_and_missing_ones_named() -> None:
    data = _ppm(COLOURS, 65535)
    np.testing.assert_array_equal(_content(data + b"\n").pixels, COLOURS)
    np.testing.assert_array_equal(_content(data + data).pixels, COLOURS)
    for cut in (1, 2):
        with pytest.raises(OSError, match="cut off"):
            _content(data[:-cut])


def test_a_tiff_that_pillow_does_not_open_has_its_limit_on_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    bands = _tiff(np.zeros((40, 50, 5), np.uint16), photometric="minisblack", planarconfig="contig")
    assert np.shape(_content(bands).pixels) == (40, 50, 5)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1200)
    with pytest.raises(Image.DecompressionBombError, match="50x40 pixels of 5 channels"):
        _content(bands)


@pytest.mark.parametrize("channels", [2, 5])
def test_bands_that_only_tifffile_reads_are_turned_upright(channels: int) -> None:
    bands = np.arange(3 * 4 * channels, dtype=np.uint16).reshape(3, 4, channels)
    data = _tiff(bands, photometric="minisblack", planarconfig="contig", extratags=[(274, 3, 1, 6, True)])
    assert np.array_equal(np.asarray(_content(data).pixels), np.rot90(bands, -1))


def test_a_tiff_that_pillow_does_not_open_keeps_its_tags() -> None:
    bands = np.zeros((5, 6, 5), np.uint8)
    tags = [(315, "s", 0, "me", True), (274, "H", 1, 6, True)]
    options = {"photometric": "minisblack", "planarconfig": "contig", "resolution": (300, 300), "resolutionunit": 2}
    content = _content(_tiff(bands, extratags=tags, **options))
    assert np.shape(content.pixels) == (6, 5, 5)
    assert content.metadata["dpi"] == (300, 300)
    kept = exif_tags(content.metadata["exif"])
    assert kept[315] == "me"
    assert {256, 257, 274, 277}.isdisjoint(kept)


def test_a_deep_tiff_in_which_0_is_white_is_no_negative(monkeypatch: pytest.MonkeyPatch) -> None:
    data = _tiff(COLOURS[..., 0], photometric="miniswhite")
    np.testing.assert_array_equal(_content(data).pixels, 65535 - COLOURS[..., 0])
    shallow = _tiff((COLOURS[..., 0] >> 8).astype(np.uint8), photometric="miniswhite")
    np.testing.assert_array_equal(np.asarray(_content(shallow).pixels), 255 - (COLOURS[..., 0] >> 8))
    monkeypatch.setitem(sys.modules, "tifffile", None)
    assert _content(data).note == (
        "its samples are read with black and white exchanged: 'pip install tifffile' keeps them"
    )


def test_alpha_of_a_type_whose_transparent_pixels_no_file_names_is_approximated() -> None:
    samples = np.full((5, 6, 4), 700, np.uint32)
    samples[1, 2, 3] = 0
    content = _content(_tiff(samples, photometric="rgb", planarconfig="contig", extrasamples=["unassalpha"]))
    assert content.has_alpha
    source = api.source_image(content.pixels, {}, has_alpha=content.has_alpha)
    assert source.transparent is None
    assert np.asarray(api.decode(encode_single_colour(source).data)).shape == samples.shape
