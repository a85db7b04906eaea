"""The Pillow plugin against the real Pillow."""

import codecs
import contextlib
import copy
import gzip
import io
import pickle
import tempfile
import types
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFile, UnidentifiedImageError

import pillow_inr
from pillow_inr import codec
from pillow_inr.errors import BackendError
from pillow_inr.imaging import pillow as pillow_modes
from pillow_inr.imaging.pillow import to_samples
from pillow_inr.models import reader
from pillow_inr.plugins import pillow, registration
from tests.support import container
from tests.support.checks import QUICK, SAMPLES, VECTORS, gradient, header, psnr
from tests.support.fits import no_fit  # noqa: F401
from tests.support.pyramids import draw_file, with_preview

pytestmark = pytest.mark.decoding

RGB = VECTORS / "rgb.inr"


def test_registration() -> None:
    registration.register()
    assert Image.registered_extensions()[".inr"] == "INR"
    assert Image.MIME["INR"] == "image/x-inr"
    with Image.open(RGB) as image:
        assert image.format == "INR"
        assert image.get_format_mimetype() == "image/x-inr"


@pytest.mark.parametrize("name", ["grey", "grey_alpha", "rgb", "rgba", "plain"])
def test_open_gives_the_vector_pixels(name: str) -> None:
    with Image.open(VECTORS / f"{name}.inr") as image, Image.open(VECTORS / f"{name}.png") as expected:
        assert (image.mode, image.size) == (expected.mode, expected.size)
        assert np.abs(np.asarray(image).astype(int) - np.asarray(expected)).max() <= 1


def test_info_says_what_the_file_knows() -> None:
    with Image.open(RGB) as image:
        parsed = pillow_inr.read_header(RGB)
        assert image.info == {
            "model": "siren",
            "width": parsed.model.width,
            "depth": parsed.model.depth,
            "encoding": "fourier",
            "weights": 635,
            "bits_per_pixel": 8 * RGB.stat().st_size / (image.width * image.height),
            "format_version": 1,
            "dtype": "uint8",
            "channels": 3,
        }
    with Image.open(VECTORS / "plain.inr") as image:
        assert image.info["encoding"] == "none"


def test_opening_reads_the_header_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "open_model", lambda file: pytest.fail("decoded"))
    data = RGB.read_bytes()
    header_bytes = container.read_header(data)[1]
    # Opening needs only the header, and so does Pillow's limit on pixels.
    assert Image.open(io.BytesIO(data[:header_bytes])).size == (32, 20)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(Image.DecompressionBombError):
        Image.open(RGB)


@pytest.mark.parametrize(
    "opener", [lambda path: path, lambda path: str(path), lambda path: io.BytesIO(path.read_bytes())]
)
def test_paths_and_file_objects(opener) -> None:  # type: ignore[no-untyped-def]
    with Image.open(opener(RGB)) as image:
        image.load()
        first = image.tobytes()
        image.load()
        assert image.tobytes() == first


def test_bytes_after_the_file_do_not_matter_and_streams_stay_open() -> None:
    stream = io.BytesIO(RGB.read_bytes() + b"after")
    assert Image.open(stream).getpixel((0, 0)) == Image.open(RGB).getpixel((0, 0))
    assert not stream.closed


def test_frames() -> None:
    with Image.open(RGB) as image:
        assert (image.n_frames, image.is_animated, image.tell()) == (1, False, 0)
        image.seek(0)
        with pytest.raises(EOFError):
            image.seek(1)


def test_pickle_copy_crop_and_thumbnail() -> None:
    whole = np.asarray(Image.open(RGB))
    for image in (
        pickle.loads(pickle.dumps(Image.open(RGB))),
        copy.copy(Image.open(RGB)),
        Image.open(RGB).copy(),
    ):
        np.testing.assert_array_equal(np.asarray(image), whole)
    np.testing.assert_array_equal(np.asarray(Image.open(RGB).crop((2, 1, 9, 6))), whole[1:6, 2:9])
    image = Image.open(RGB)
    image.thumbnail((8, 8))
    assert max(image.size) == 8


def test_pixels_can_be_changed_after_loading() -> None:
    with Image.open(VECTORS / "grey.inr") as image:
        image.putpixel((0, 0), 17)
        assert image.getpixel((0, 0)) == 17


def test_parser() -> None:
    parser = ImageFile.Parser()
    data = RGB.read_bytes()
    for start in range(0, len(data), 50):
        parser.feed(data[start : start + 50])
    np.testing.assert_array_equal(np.asarray(parser.close()), np.asarray(Image.open(RGB)))


def test_closed_images_say_so() -> None:
    with Image.open(RGB) as image:
        pass
    with pytest.raises(ValueError, match="closed"):
        image.load()


def test_threads_open_one_file_and_share_one_image() -> None:
    expected = np.asarray(Image.open(RGB))
    with ThreadPoolExecutor(8) as pool:
        for pixels in pool.map(lambda _: np.asarray(Image.open(RGB)), range(32)):
            np.testing.assert_array_equal(pixels, expected)


def test_verify() -> None:
    image = Image.open(RGB)
    image.verify()
    damaged = bytearray(RGB.read_bytes())
    damaged[-9] ^= 1
    with pytest.raises(SyntaxError, match="checksum"):
        Image.open(io.BytesIO(bytes(damaged))).verify()


def test_damage_is_an_oserror_with_a_reason() -> None:
    data = RGB.read_bytes()
    with pytest.raises(OSError, match="cut off"):
        Image.open(io.BytesIO(data[:-7])).load()
    with pytest.raises(OSError, match="cut off"):
        Image.open(io.BytesIO(data[:9]))
    damaged = bytearray(data)
    damaged[-9] ^= 1
    with pytest.raises(OSError, match="damaged"):
        Image.open(io.BytesIO(bytes(damaged))).load()


def test_every_flipped_bit_is_refused_by_open_or_load() -> None:
    data = (VECTORS / "plain.inr").read_bytes()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        for bit in range(8 * len(data)):
            damaged = bytearray(data)
            damaged[bit // 8] ^= 1 << bit % 8
            with pytest.raises((OSError, Image.DecompressionBombError)):
                Image.open(io.BytesIO(bytes(damaged))).load()


def test_newer_versions_and_bad_headers_are_named() -> None:
    data = bytearray(RGB.read_bytes())
    data[6] = 3
    with pytest.raises(OSError, match=r"version 3.*upgrade"):
        Image.open(io.BytesIO(bytes(data)))
    data[6] = 1
    data[10] = 9
    with pytest.raises(UnidentifiedImageError, match=r"pixel format is 9, expected 0\.\.4"):
        Image.open(io.BytesIO(bytes(data)))


def test_other_files_named_inr(tmp_path: Path) -> None:
    path = tmp_path / "x.inr"
    path.write_text("this is a text file\n" * 5)
    with pytest.raises(UnidentifiedImageError):
        Image.open(path)
    path.write_bytes(b"#INRIMAGE-4#{\nXDIM=4\nYDIM=4\n" + bytes(300))
    with pytest.raises(UnidentifiedImageError), pytest.warns(UserWarning, match="INRIMAGE-4"):
        Image.open(path)
    with pytest.raises(SyntaxError, match=r"not an \.inr file"):
        pillow.InrImageFile(io.BytesIO(b"text"))


def test_modes_without_meaning_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(pillow_modes._CONVERTED, "CMYK")
    with pytest.raises(OSError, match="cannot write mode CMYK as INR"):
        Image.new("CMYK", (4, 4)).save(tmp_path / "x.inr")
    assert not (tmp_path / "x.inr").exists()


def test_mode_i_is_kept_within_16_bits(tmp_path: Path) -> None:
    for value in (-(2**31), -1000, 70000, 2**31 - 1):
        Image.new("I", (4, 3), value).save(tmp_path / "x.inr")
        with Image.open(tmp_path / "x.inr") as image:
            assert (image.mode, image.info["dtype"], image.info["format_version"]) == ("I", "int32", 2)
            assert image.getextrema() == (value, value)
    wide = Image.new("I", (2, 1))
    wide.putpixel((0, 0), 65536)
    with pytest.raises(ValueError, match="differ by 65535 at most, these differ by 65536: divide them, or convert"):
        wide.save(tmp_path / "y.inr")


def test_empty_images_are_refused() -> None:
    with pytest.raises(ValueError, match="empty"):
        Image.new("RGB", (0, 4)).save(io.BytesIO(), "INR")


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"width": 0}, r"width must be in 1\.\.1024, got 0"),
        ({"depth": "a"}, r"depth must be an integer in 1\.\.15, got 'a'"),
        ({"quality": 101}, "quality"),
        ({"time_limit": -1}, "time_limit"),
    ],
)
def test_bad_options_are_named_before_any_work(options: dict, match: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=match):
        Image.new("RGB", (4, 4)).save(tmp_path / "x.inr", **options)
    assert not (tmp_path / "x.inr").exists()


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("1", "L"),
        ("P", "RGB"),
        ("PA", "RGBA"),
        ("La", "LA"),
        ("RGBa", "RGBA"),
        ("RGBX", "RGB"),
        ("CMYK", "RGB"),
        ("YCbCr", "RGB"),
        ("LAB", "RGB"),
        ("HSV", "RGB"),
        ("L", "L"),
        ("LA", "LA"),
        ("RGB", "RGB"),
        ("RGBA", "RGBA"),
    ],
)
def test_conversion_of_modes(mode: str, expected: str) -> None:
    image = Image.new(mode, (5, 4))
    assert to_samples(image).shape == ((4, 5, len(expected)) if len(expected) > 1 else (4, 5))


def test_transparent_palettes_become_alpha() -> None:
    image = Image.new("P", (5, 4), 1)
    image.info["transparency"] = 1
    pixels = to_samples(image)
    assert pixels.shape == (4, 5, 4)
    assert (pixels[:, :, 3] == 0).all()


def test_a_transparent_colour_becomes_alpha() -> None:
    image = Image.new("RGB", (5, 4), (1, 2, 3))
    image.info["transparency"] = (1, 2, 3)
    assert (to_samples(image)[:, :, 3] == 0).all()
    image = Image.new("L", (5, 4), 9)
    image.info["transparency"] = 9
    assert (to_samples(image)[:, :, 1] == 0).all()


def test_an_unusable_backend_is_an_oserror(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> bytes:
        raise BackendError("no TensorFlow here")

    monkeypatch.setattr(codec, "encode_source", fail)
    with pytest.raises(OSError, match="no TensorFlow here"):
        Image.new("RGB", (4, 4)).save(io.BytesIO(), "INR")


def test_a_header_that_claims_gigabytes_gets_what_there_is() -> None:
    huge = header(payload_bytes=2**30 - 4, chunks_bytes=2**30 - 1).pack()
    with pytest.raises(OSError, match="cut off"):
        Image.open(io.BytesIO(huge)).load()
    huge = header(payload_bytes=2**30 - 4, chunks_bytes=0).pack()
    with pytest.raises(OSError, match="cut off"):
        Image.open(io.BytesIO(huge)).load()
    with pytest.raises(SyntaxError, match="cut off"):
        Image.open(io.BytesIO(huge)).verify()


def test_several_frames_are_refused() -> None:
    frame = Image.new("RGB", (4, 4))
    with pytest.raises(OSError, match="several frames"):
        frame.save(io.BytesIO(), "INR", save_all=True, append_images=[frame])


@pytest.mark.keras
def test_save_and_open(tmp_path: Path) -> None:
    original = Image.fromarray(gradient(12, 9))
    path = tmp_path / "x.inr"
    original.save(path, dpi=(100, 100), unheard_of=1, **{**QUICK, "steps": 300})
    with Image.open(path) as image:
        assert (image.info["width"], image.info["depth"]) == (8, 2)
        assert image.info["bits_per_pixel"] == 8 * path.stat().st_size / 108
        assert psnr(np.asarray(original), np.asarray(image)) > 30


@pytest.mark.usefixtures("no_fit")
def test_save_onto_the_file_it_came_from(tmp_path: Path) -> None:
    path = tmp_path / "x.inr"
    path.write_bytes(RGB.read_bytes())
    with Image.open(path) as image:
        mean = np.asarray(image).mean(axis=(0, 1))
    with Image.open(path) as image:
        image.save(path)
    with Image.open(path) as image:
        assert image.info["width"] == 1
        assert np.abs(np.asarray(image) - mean).max() <= 0.51


@pytest.mark.usefixtures("no_fit")
@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_save_to_a_file_object(mode: str) -> None:
    stream = io.BytesIO()
    Image.new(mode, (12, 9)).save(stream, "INR", **QUICK)
    stream.seek(0)
    with Image.open(stream) as image:
        image.load()
        assert (image.mode, image.size) == (mode, (12, 9))


def _codecs_writer(path: Path) -> Any:
    return codecs.open(str(path), "w", "utf-8")


# ruff: noqa: SIM115 (the tests close what these open)
UNWRITABLE: dict[str, tuple[Callable[[Path], Any], type[Exception]]] = {
    "a text file": (lambda path: path.open("w"), TypeError),
    "text in memory": (lambda path: io.StringIO(), TypeError),
    "a temporary text file": (lambda path: tempfile.NamedTemporaryFile("w"), TypeError),
    "a spooled text file": (lambda path: tempfile.SpooledTemporaryFile(mode="w"), TypeError),
    "a writer of codecs": (_codecs_writer, TypeError),
    "text over bytes": (lambda path: io.TextIOWrapper(io.BytesIO()), TypeError),
    "a file open for reading": (lambda path: path.open("rb"), io.UnsupportedOperation),
    "an unbuffered file open for reading": (lambda path: path.open("rb", buffering=0), io.UnsupportedOperation),
    "a compressed file open for reading": (lambda path: gzip.open(path, "rb"), io.UnsupportedOperation),
    "a reader over bytes": (lambda path: io.BufferedReader(io.BytesIO()), io.UnsupportedOperation),  # type: ignore[arg-type]
    "a closed file": (lambda path: _closed(path.open("wb")), ValueError),
    "closed bytes": (lambda path: _closed(io.BytesIO()), ValueError),
    "no file": (lambda path: 7, TypeError),
}


def _closed(file: Any) -> Any:
    file.close()
    return file


@pytest.mark.parametrize("kind", UNWRITABLE)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # codecs.open
@pytest.mark.parametrize("save_all", [False, True])
def test_a_file_object_that_takes_no_bytes_is_refused_before_the_fit(
    kind: str, save_all: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("this is the fit")

    monkeypatch.setattr(codec, "encode_source", never)
    (tmp_path / "x").write_bytes(b"")
    make, error = UNWRITABLE[kind]
    file = make(tmp_path / "x")
    try:
        with pytest.raises(error):
            Image.fromarray(gradient(12, 9)).save(file, "INR", save_all=save_all)
    finally:
        if hasattr(file, "close"):
            file.close()


@pytest.mark.usefixtures("no_fit")
@pytest.mark.parametrize(
    "make",
    [
        lambda path: io.BytesIO(),
        lambda path: path.open("wb"),
        lambda path: path.open("wb", buffering=0),
        lambda path: path.open("r+b"),
        lambda path: gzip.open(path, "wb"),
        lambda path: tempfile.NamedTemporaryFile(),
        lambda path: tempfile.SpooledTemporaryFile(),
        lambda path: types.SimpleNamespace(write=lambda data: len(data), flush=lambda: None),
    ],
)
def test_every_file_object_that_takes_bytes_is_written(make: Callable[[Path], Any], tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"")
    file = make(tmp_path / "x")
    Image.fromarray(gradient(12, 9)).save(file, "INR")
    if hasattr(file, "close"):
        file.close()


@pytest.mark.keras
def test_an_error_during_the_fit_writes_nothing() -> None:
    def stop(*_: object) -> None:
        raise RuntimeError("stopped")

    stream = io.BytesIO()
    with pytest.raises(RuntimeError, match="stopped"):
        Image.new("RGB", (12, 9)).save(stream, "INR", progress=stop, **QUICK)
    assert stream.getvalue() == b""


def test_the_sample_is_the_photograph_it_says() -> None:
    with Image.open(SAMPLES / "kodim15.inr") as image, Image.open(SAMPLES / "kodim15.png") as original:
        assert image.size == original.size
        assert image.info["bits_per_pixel"] <= 0.16
        assert psnr(np.asarray(original), np.asarray(image)) >= 28.8


def test_regions_of_one_image_decode_a_tile_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from pillow_inr.models.pyramid import decoding

    decoded: list[object] = []
    original = decoding.decode
    monkeypatch.setattr(decoding, "decode", lambda *given: decoded.append(given) or original(*given))
    with Image.open(VECTORS / "pyramid" / "tiled.inr") as image:
        for left in (0, 3, 6):
            image.render(box=(left, 0, left + 4, 4))  # type: ignore[attr-defined]
        assert len(decoded) == 1


@pytest.fixture
def with_a_preview(monkeypatch: pytest.MonkeyPatch) -> Iterator[bytes]:
    """A file whose tiles must not be decoded, with a preview of 60x54 pixels."""
    from pillow_inr.models.pyramid import decoding

    original = decoding.decode

    def decode(*given: Any) -> Any:
        assert given[-1] == (60, 54), "a tile was decoded"
        return original(*given)

    monkeypatch.setattr(decoding, "decode", decode)
    yield with_preview(draw_file((300, 270), tile=8), draw_file((60, 54), seed=7))


@pytest.mark.parametrize("size", [(60, 60), (60, 54), (64, 54), (30, 30), (7, 300), (1, 1)])
@pytest.mark.parametrize("gap", [2.0, 1.5, None])
def test_thumbnails_come_from_the_preview(with_a_preview: bytes, size: tuple[int, int], gap: float | None) -> None:
    preview = Image.open(io.BytesIO(draw_file((60, 54), seed=7)))
    preview.load()
    with Image.open(io.BytesIO(with_a_preview)) as image:
        plain = Image.new("RGB", image.size)
        image.thumbnail(size, Image.Resampling.LANCZOS, gap)
        plain.thumbnail(size)
        assert image.size == plain.size
        expected = preview.resize(image.size, Image.Resampling.LANCZOS)
        np.testing.assert_array_equal(np.asarray(image), np.asarray(expected))
        image.load()
        np.testing.assert_array_equal(np.asarray(image), np.asarray(expected))


def test_what_is_as_large_as_the_image_is_the_image() -> None:
    """A preview may be as wide as the image."""
    data = draw_file((300, 20), tile=8)
    with Image.open(io.BytesIO(data)) as image, Image.open(io.BytesIO(with_preview(data, draw_file((300, 5))))) as both:
        np.testing.assert_array_equal(np.asarray(image), np.asarray(both))
    narrow = with_preview(draw_file((8, 700), tile=8), draw_file((1, 50)))
    with Image.open(io.BytesIO(narrow)) as image:
        assert image.draft(None, (4, 150)) is not None
        assert image.size == (2, 150)
        without = Image.open(io.BytesIO(draw_file((8, 700), tile=8)))
        without.draft(None, (4, 150))
        np.testing.assert_array_equal(np.asarray(image), np.asarray(without))


@pytest.mark.parametrize("size", [(60, 54), (32, 32), (1, 54)])
def test_resized_copies_come_from_the_preview(with_a_preview: bytes, size: tuple[int, int]) -> None:
    with Image.open(io.BytesIO(with_a_preview)) as image:
        assert image.resize(size).size == size
        assert image.resize(size, Image.Resampling.BOX, reducing_gap=2.0).size == size
        assert image.size == (300, 270)
        with pytest.raises(AssertionError, match="tile"):
            image.resize(size, Image.Resampling.NEAREST)


@pytest.mark.parametrize(
    "use",
    [
        lambda image: image.thumbnail((61, 61)),
        lambda image: image.resize((61, 20)),
        lambda image: image.resize((20, 20), box=(0, 0, 100, 100)),
        lambda image: image.draft(None, (90, 90)) and image.load(),
        lambda image: image.load(),
    ],
)
def test_what_needs_more_decodes_tiles(with_a_preview: bytes, use: Callable[[Image.Image], object]) -> None:
    with Image.open(io.BytesIO(with_a_preview)) as image, pytest.raises(AssertionError, match="tile"):
        use(image)


def test_without_a_preview_thumbnails_and_copies_are_pillows() -> None:
    data = draw_file((300, 270), tile=8)
    with Image.open(io.BytesIO(data)) as image, Image.open(io.BytesIO(data)) as other:
        other.load()
        np.testing.assert_array_equal(np.asarray(image.resize((20, 30))), np.asarray(other.resize((20, 30))))
        assert image.size == (300, 270)
    with Image.open(io.BytesIO(data)) as image:
        image.thumbnail((30, 30))
        assert image.size == (30, 27)


def test_a_loaded_image_is_resized_from_its_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    data = with_preview(draw_file((300, 270), tile=8), draw_file((60, 54), seed=7))
    with Image.open(io.BytesIO(data)) as image:
        image.paste((1, 2, 3), (0, 0, 300, 270))
        assert image.resize((2, 2)).getpixel((0, 0)) == (1, 2, 3)
        image.thumbnail((20, 20))
        assert image.getpixel((3, 3)) == (1, 2, 3)


def test_damaged_previews() -> None:
    """One that cannot be told is passed over, as a reader may do; one that is used must be whole."""
    tiled, small = draw_file((300, 270), tile=8), draw_file((60, 54), seed=7)
    with Image.open(io.BytesIO(with_preview(tiled, b"no file"))) as image:
        image.thumbnail((20, 20))
        assert image.size == (20, 18)
    damaged = with_preview(tiled, small[:-1])
    with Image.open(io.BytesIO(damaged)) as image, pytest.raises(OSError, match="the preview cannot be read"):
        image.thumbnail((20, 20))
    with Image.open(io.BytesIO(damaged)) as image:
        assert image.resize((100, 90)).size == (100, 90)


@pytest.mark.parametrize("truncated", [False, True])
def test_a_chunk_cannot_ask_for_more_pixels_than_the_image_has(
    truncated: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither by a preview larger than the image, nor by one of a model that has none, nor by one that is cut off."""
    asked: list[tuple[int, int]] = []
    original = reader.evaluate
    monkeypatch.setattr(reader, "evaluate", lambda model, size, box: asked.append(size) or original(model, size, box))
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", truncated)
    large = draw_file((600, 500))
    for file in (RGB.read_bytes(), draw_file((37, 23))):
        for chunk in (large, large[:30], draw_file((8, 8))[:30]):
            data = with_preview(file, chunk)
            with Image.open(io.BytesIO(data[:-2] if truncated else data)) as image:
                size = image.size
                with contextlib.suppress(OSError):
                    assert image.resize((4, 4)).size == (4, 4)
                with contextlib.suppress(OSError):
                    image.thumbnail((5, 5))
            assert all(width <= size[0] and height <= size[1] for width, height in asked)
    assert asked
