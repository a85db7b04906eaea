"""What users of other formats expect, feature by feature, with the real Pillow and libraries that use it.

feature: tests (here unless another file is named)

- register on import, by a function: test_pillow test_registration; test_unregister_and_register; test_registration.py
- accept on the prefix: test_pillow test_other_files_named_inr
- lazy open, pixels at load: test_pillow test_opening_reads_the_header_only; test_metadata_is_there_…, test_load_…
- draft: test_draft_…, test_a_thumbnail_…, test_thumbnails_of_…; test_reader test_thumbnails_…
- verify: test_pillow test_verify
- seek, tell, n_frames, is_animated, save_all: test_pillow test_frames, test_several_frames_are_refused
- EXIF, ICC, XMP, comment, dpi: test_open_and_save_keeps_…, test_metadata_…, test_the_profile_…; test_metadata.py
- other info keys: test_pillow test_info_says_what_the_file_knows
- modes, 16-bit grey: test_modes_…, test_colours_of_more_bits_…; unsupported: test_pillow test_modes_without_meaning_…
- parameters checked: test_pillow test_bad_options_…; test_a_bad_value_of_metadata_…; quality, effort: test_options.py
- threads, the host's globals: test_many_files_…, test_a_save_leaves_the_hosts_state_alone
- options at opening: test_draft_…, test_render_…
- truncated files: test_truncated_files_…, test_damaged_metadata_…; test_pillow test_damage_is_…
- limits before memory is taken: test_pillow test_opening_reads_…; test_reader test_bad_sizes_…; test_metadata.py
- file objects: test_pillow test_paths_and_file_objects; test_parser_…
- versions, py.typed, MIME: test_the_package_says_…, test_the_registered_names_…
- arrays: test_api.py, test_samples.py, the tests of imageio here
- documentation: test_docs.py, test_plain_decoder.py
"""

import contextlib
import copy
import gc
import inspect
import io
import pickle
import sys
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFile, ImageOps

import pillow_inr
from pillow_inr.format.metadata import Metadata
from pillow_inr.imaging.pillow import to_samples
from pillow_inr.imaging.source_metadata import metadata_of
from pillow_inr.plugins import pillow
from tests.support.checks import QUICK, SAMPLES, VECTORS, as_samples, gradient, psnr, with_chunks
from tests.support.container import Chunk, SampleFormat
from tests.support.fits import no_fit  # noqa: F401

RGB = VECTORS / "rgb.inr"
SAMPLE = SAMPLES / "kodim15.inr"
EXIF = Image.Exif()
EXIF[0x0112] = 6
EXIF[0x010F] = "maker"
# The header of a profile names its colour space; code that only copies the profile reads nothing else.
PROFILE = bytes(16) + b"RGB " + bytes(108)
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description xmlns:dc="http://purl.org/dc/elements/1.1/" dc:format="image/x-inr"/></rdf:RDF></x:xmpmeta>'
)
METADATA = {"exif": EXIF.tobytes(), "icc_profile": PROFILE, "xmp": XMP, "comment": b"a note", "dpi": (300.0, 150.0)}


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A vector with metadata of every kind added."""
    path = tmp_path_factory.mktemp("described") / "described.inr"
    path.write_bytes(with_chunks(RGB.read_bytes(), *Metadata(**METADATA).to_chunks()))
    return path


def _saved(image: Image.Image, **options: Any) -> Image.Image:
    stream = io.BytesIO()
    image.save(stream, "INR", **{**QUICK, **options})
    return Image.open(stream)


# Registration


def test_unregister_and_register() -> None:
    pillow_inr.unregister()
    try:
        assert ".inr" not in Image.registered_extensions()
        assert "INR" not in {*Image.OPEN, *Image.ID, *Image.SAVE, *Image.SAVE_ALL, *Image.MIME}
        with pytest.raises(OSError, match="cannot identify"):
            Image.open(RGB)
    finally:
        pillow_inr.register()
    pillow_inr.register()
    assert Image.registered_extensions()[".inr"] == "INR"
    assert Image.ID.count("INR") == 1
    with Image.open(RGB) as image:
        assert image.format == "INR"


def test_the_registered_names_are_those_that_applications_ask_for() -> None:
    assert Image.registered_extensions()[".inr"] == "INR"
    assert Image.MIME["INR"] == "image/x-inr"
    with Image.open(RGB) as image:
        assert image.get_format_mimetype() == "image/x-inr"


def test_the_package_says_its_versions_and_has_types() -> None:
    assert pillow_inr.__version__.count(".") == 2
    assert pillow_inr.FORMAT_VERSION == 2
    assert (Path(inspect.getfile(pillow_inr)).parent / "py.typed").exists()


# Metadata


def test_metadata_is_there_before_the_pixels(described: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pillow.InrImageFile, "load", lambda self: pytest.fail("decoded"))
    with Image.open(described) as image:
        assert {name: image.info[name] for name in METADATA} == METADATA
        assert image.getexif()[0x010F] == "maker"
        pytest.importorskip("defusedxml")
        assert image.getxmp()["xmpmeta"]["RDF"]["Description"]["format"] == "image/x-inr"


@pytest.mark.usefixtures("no_fit")
def test_open_and_save_keeps_metadata_and_none_drops_it(described: Path) -> None:
    with Image.open(described) as image:
        kept = _saved(image)
        assert {name: kept.info.get(name) for name in METADATA} == METADATA
        dropped = _saved(image, **dict.fromkeys(METADATA))
        assert not METADATA.keys() & dropped.info.keys()
        replaced = _saved(image, comment="another", exif=Image.Exif())
        assert replaced.info["comment"] == b"another"
        assert not replaced.getexif()


@pytest.mark.usefixtures("no_fit")
def test_metadata_of_other_formats_comes_along() -> None:
    stream = io.BytesIO()
    Image.fromarray(gradient(12, 9)).save(stream, "JPEG", **METADATA)
    with Image.open(stream) as jpeg:
        saved = _saved(jpeg)
        for name in ("icc_profile", "xmp", "comment", "dpi"):
            assert saved.info[name] == jpeg.info[name]
        assert dict(saved.getexif()) == dict(jpeg.getexif())


def test_metadata_goes_on_to_other_formats(described: Path) -> None:
    stream = io.BytesIO()
    with Image.open(described) as image:
        image.save(stream, "PNG", exif=image.getexif(), icc_profile=image.info["icc_profile"], dpi=image.info["dpi"])
    with Image.open(stream) as png:
        assert png.getexif()[0x0112] == 6
        assert png.info["icc_profile"] == PROFILE


def test_the_profile_of_other_colours_is_not_kept() -> None:
    image = Image.new("CMYK", (4, 4))
    image.info["icc_profile"] = bytes(16) + b"CMYK" + bytes(108)
    assert metadata_of(image, {}, has_colours=True).icc_profile is None
    assert metadata_of(image, {"icc_profile": PROFILE}, has_colours=True).icc_profile == PROFILE
    grey = Image.new("L", (4, 4))
    grey.info["icc_profile"] = PROFILE
    assert metadata_of(grey, {}, has_colours=False).icc_profile is None
    grey.info["icc_profile"] = bytes(16) + b"GRAY" + bytes(108)
    assert metadata_of(grey, {}, has_colours=False).icc_profile is not None


def test_orientation_is_a_tag_and_exif_transpose_acts_on_it(described: Path) -> None:
    with Image.open(described) as image:
        assert image.size == (32, 20)
        upright = ImageOps.exif_transpose(image)
        assert upright.size == (20, 32)
        assert 0x0112 not in upright.getexif()


def test_damaged_metadata_is_an_error_of_opening() -> None:
    with pytest.raises(OSError, match="exif is damaged"):
        Image.open(io.BytesIO(with_chunks(RGB.read_bytes(), Chunk(2, b"?"))))
    whole = with_chunks(RGB.read_bytes(), *Metadata(comment=b"x" * 90).to_chunks())
    with pytest.raises(OSError, match="cut off"):
        Image.open(io.BytesIO(whole[:-20]))


@pytest.mark.keras
def test_a_bad_value_of_metadata_is_named_before_the_fit() -> None:
    with pytest.raises(ValueError, match="dpi must be two positive numbers"):
        Image.new("RGB", (4, 4)).save(io.BytesIO(), "INR", dpi=3, steps=10**7)


# Modes


@pytest.mark.keras
@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "I;16", "F"])
def test_modes_stored_as_they_are(mode: str) -> None:
    array: np.ndarray = gradient(12, 9, {"I;16": 1, "F": 1}.get(mode, len(mode))).squeeze()
    if mode == "I;16":
        array = array.astype(np.uint16) * 100 + 7000
    if mode == "F":
        array = array.astype(np.float32) / 50 - 2
    image = Image.fromarray(array)
    assert image.mode == mode
    opened = _saved(image, steps=300)
    assert (opened.mode, opened.size) == (mode, (12, 9))
    decoded = np.asarray(opened)
    assert decoded.dtype == array.dtype
    assert (decoded.min(), decoded.max()) >= (array.min(), 0)
    span = float(array.max()) - float(array.min())
    if mode in ("LA", "RGBA"):  # the colours of transparent pixels are dropped
        array = array * (array[..., -1:] > 0)
    assert opened.info["psnr"] == pytest.approx(psnr(array, decoded, span), abs=0.02)
    assert opened.info["psnr"] > 20
    if mode in ("I;16", "F"):
        assert opened.info["range"] == (array.min(), array.max())


@pytest.mark.parametrize("mode", ["1", "P", "PA", "CMYK", "YCbCr", "LAB", "HSV", "I;16B"])
def test_modes_converted_as_pillow_does(mode: str) -> None:
    image = Image.new(mode, (5, 4))
    expected = {"1": "L", "PA": "RGBA", "I;16B": "I;16"}.get(mode, "RGB")
    array = to_samples(image)
    np.testing.assert_array_equal(array, np.asarray(image if mode == "I;16B" else image.convert(expected)))


@pytest.mark.keras
@pytest.mark.parametrize(("dtype", "mode"), [("uint16", "RGB"), ("float32", "RGBA")])
def test_colours_of_more_bits_open_as_8_bit_ones(dtype: str, mode: str) -> None:
    levels = gradient(12, 9, len(mode))
    array = levels.astype(np.uint16) * 257 if dtype == "uint16" else levels.astype(np.float32) / 255
    data = pillow_inr.encode(array, **QUICK)
    with Image.open(io.BytesIO(data)) as image:
        assert (image.mode, image.info["dtype"]) == (mode, dtype)
        full = pillow_inr.decode(data)
        assert full.dtype == dtype
        assert np.abs(np.asarray(image) - full / full.dtype.type(257 if dtype == "uint16" else 1 / 255)).max() <= 1


@pytest.mark.keras
def test_floating_point_colours_beyond_one_are_shown_from_lowest_to_highest() -> None:
    array = gradient(12, 9).astype(np.float32) * 4 - 100
    data = pillow_inr.encode(array, **QUICK)
    with Image.open(io.BytesIO(data)) as image:
        low, high = image.info["range"]
        assert (low, high) == (-100, 920)
        expected = (pillow_inr.decode(data).astype(float) + 100) / 1020 * 255
        assert np.abs(np.asarray(image) - expected).max() <= 0.51


def test_floating_point_colours_over_the_whole_range_of_float32_can_be_shown() -> None:
    most = float(np.finfo(np.float32).max)
    data = as_samples(RGB.read_bytes(), SampleFormat("float32", 3, ((-most, most),)))
    with Image.open(io.BytesIO(data)) as image, Image.open(RGB) as expected:
        assert np.abs(np.asarray(image).astype(int) - np.asarray(expected)).max() <= 1


# Lazy and cheap


def test_draft_chooses_any_size_of_the_same_shape() -> None:
    with Image.open(SAMPLE) as image:
        assert image.draft("L", (200, 200)) == ("RGB", (0, 0, 200.0, 134.0))
        assert image.size == (200, 134)
        assert image.draft(None, (96, 64)) == ("RGB", (0, 0, 96.0, 64.0))
        image.load()
        assert np.asarray(image).shape == (64, 96, 3)
        assert image.draft(None, (20, 20)) is None
    with Image.open(SAMPLE) as image:
        for size in (None, (768, 512), (5000, 5000), (0, 5)):
            assert image.draft(None, size) is None
        assert image.size == (768, 512)


def test_a_thumbnail_evaluates_few_points(monkeypatch: pytest.MonkeyPatch) -> None:
    from pillow_inr.models.siren import synthesis as siren_synthesis

    points = []
    synthesize = siren_synthesis.synthesize

    def counted(architecture: Any, weights: Any, grid: siren_synthesis.Grid, scale: Any) -> np.ndarray:
        points.append(grid.across.count * grid.down.count)
        return synthesize(architecture, weights, grid, scale)

    monkeypatch.setattr(siren_synthesis, "synthesize", counted)
    with Image.open(SAMPLE) as image:
        image.thumbnail((64, 64))
        assert image.size == (64, 43)
    assert sum(points) <= 768 * 512 / 4 * 1.05


@pytest.mark.keras
@pytest.mark.parametrize("mode", ["I;16", "F"])
def test_thumbnails_of_16_bits_and_floating_point(mode: str) -> None:
    array = gradient(12, 9, 1)[:, :, 0].astype(np.uint16 if mode == "I;16" else np.float32) * 4
    opened = _saved(Image.fromarray(array), steps=400)
    full = opened.render().resize((4, 3), Image.Resampling.BICUBIC)
    opened.thumbnail((4, 4))
    assert (opened.mode, opened.size) == (mode, (4, 3))
    # Between the few pixels the network is free: 24 to 46 dB, by seed.
    assert psnr(np.asarray(full), np.asarray(opened), 1020) > 22


def test_load_happens_once_and_closes_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    image = Image.open(RGB)
    file = image.fp
    assert file is not None
    first = image.tobytes()
    assert file.closed
    monkeypatch.setattr("pillow_inr.models.reader.evaluate", lambda *_, **__: pytest.fail("decoded again"))
    assert image.tobytes() == first


# What else Pillow does with an image file


def test_render_gives_any_region_at_any_size(described: Path) -> None:
    with Image.open(described) as image:
        part = image.render(size=(40, 30), box=(4, 2, 12, 8))
        assert (part.mode, part.size) == ("RGB", (40, 30))
        np.testing.assert_array_equal(np.asarray(part), pillow_inr.decode(RGB, size=(40, 30), box=(4, 2, 12, 8)))
        image.load()
        np.testing.assert_array_equal(np.asarray(image.render()), np.asarray(image))
        image.putpixel((0, 0), (1, 2, 3))
        assert image.render().getpixel((0, 0)) != (1, 2, 3)  # from the file, not the changed pixels


def test_what_is_rendered_has_the_metadata_as_what_is_cropped(described: Path) -> None:
    with Image.open(described) as image:
        part = image.render(size=(40, 30), box=(4, 2, 12, 8))
        assert {name: part.info[name] for name in METADATA} == METADATA
        assert part.info == image.crop((4, 2, 12, 8)).info
        assert ImageOps.exif_transpose(part).size == (30, 40)
        part.info.clear()
        assert image.info["comment"] == b"a note"


def test_copies_and_pickles_render_or_say_why_not() -> None:
    unpickled = pickle.loads(pickle.dumps(Image.open(RGB)))
    assert np.asarray(unpickled).shape == (20, 32, 3)
    assert unpickled.render(size=(8, 5)).size == (8, 5)
    assert unpickled.format_description == "Implicit neural representation"
    assert np.asarray(copy.copy(Image.open(RGB))).shape == (20, 32, 3)  # a plain image, as with any format
    closed = Image.open(RGB)
    closed.close()
    with pytest.raises(ValueError, match="closed"):
        closed.render()
    with pytest.raises(ValueError, match=r"needs the \.inr file"):
        pillow.InrImageFile.__new__(pillow.InrImageFile).render()


def test_render_of_a_damaged_file_is_an_oserror() -> None:
    data = bytearray(RGB.read_bytes())
    data[-9] ^= 1
    with Image.open(io.BytesIO(bytes(data))) as image, pytest.raises(OSError, match="checksum"):
        image.render()


def test_parser_of_a_file_with_metadata(described: Path) -> None:
    parser = ImageFile.Parser()
    data = described.read_bytes()
    for start in range(0, len(data), 40):
        parser.feed(data[start : start + 40])
    image = parser.close()
    assert image.info["comment"] == b"a note"
    np.testing.assert_array_equal(np.asarray(image), np.asarray(Image.open(described)))


def test_many_files_and_one_file_in_many_threads(described: Path) -> None:
    paths = [RGB, described, VECTORS / "grey.inr", VECTORS / "rgba.inr"] * 8
    expected = [np.asarray(Image.open(path)) for path in paths]
    with ThreadPoolExecutor(8) as pool:
        for pixels, usual in zip(pool.map(lambda path: np.asarray(Image.open(path)), paths), expected, strict=True):
            np.testing.assert_array_equal(pixels, usual)
    with Image.open(RGB) as shared, ThreadPoolExecutor(8) as pool:
        for part in pool.map(lambda _: shared.render(size=(9, 7)), range(16)):
            np.testing.assert_array_equal(np.asarray(part), pillow_inr.decode(RGB, size=(9, 7)))


def test_threads_may_load_and_render_one_image_that_nothing_was_read_of() -> None:
    class Slow(io.BytesIO):
        def seek(self, *arguments: int) -> int:
            position = super().seek(*arguments)
            time.sleep(0.002)  # lets another thread run
            return position

    with Image.open(Slow(RGB.read_bytes())) as shared, ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(task) for task in [lambda: shared.render(size=(3, 2)), shared.load] * 4]:
            done.result()


def test_file_objects_need_no_more_than_pillow_asks_for() -> None:
    """Pillow's documentation asks for read, seek and tell, but not for a result of seek."""

    class File(io.BytesIO):
        def seek(self, *arguments: int) -> None:  # type: ignore[override]
            super().seek(*arguments)

    np.testing.assert_array_equal(np.asarray(Image.open(File(RGB.read_bytes()))), np.asarray(Image.open(RGB)))


def test_truncated_files_are_an_oserror_also_when_truncation_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    with pytest.raises(OSError, match="cut off"):
        Image.open(io.BytesIO(RGB.read_bytes()[:-30])).load()


@pytest.mark.keras
def test_a_save_leaves_the_hosts_state_alone() -> None:
    import random

    import keras

    random.seed(1)
    np.random.seed(1)  # the host's state
    expected = random.Random(1).random(), np.random.RandomState(1).rand(), keras.config.floatx()
    _saved(Image.fromarray(gradient(12, 9)))
    assert (random.random(), np.random.rand(), keras.config.floatx()) == expected


# imageio


@pytest.fixture(scope="module")
def stack() -> np.ndarray:
    """A multispectral image: six bands of 16 bits."""
    planes = gradient(12, 9, 3).astype(np.uint16) * 11
    return np.concatenate([planes, planes[::-1] + 300], axis=2)


@pytest.fixture(scope="module")
def stack_file(stack: np.ndarray) -> bytes:
    pytest.importorskip("tensorflow")
    return pillow_inr.encode(stack, **{**QUICK, "steps": 400}, dpi=(72, 72))


@pytest.mark.keras
def test_imageio_reads_what_pillow_has_no_mode_for(stack: np.ndarray, stack_file: bytes, tmp_path: Path) -> None:
    iio = pytest.importorskip("imageio.v3")
    path = tmp_path / "stack.inr"
    path.write_bytes(stack_file)
    for source in (path, str(path), stack_file, io.BytesIO(stack_file)):
        read = iio.imread(source)
        assert (read.dtype, read.shape) == (np.uint16, stack.shape)
        assert psnr(stack, read, float(stack.max() - stack.min())) > 20
    assert iio.imread(path, size=(6, 5), box=(0, 0, 12, 9)).shape == (5, 6, 6)
    properties = iio.improps(path)
    assert (properties.shape, properties.dtype, properties.is_batch) == (stack.shape, np.uint16, False)
    assert iio.improps(path, index=...).shape == (1, *stack.shape)
    metadata = iio.immeta(path)
    assert (metadata["channels"], metadata["dpi"], "mode" in metadata) == (6, (72.0, 72.0), False)
    with pytest.raises(OSError, match="6 channels of uint16, for which Pillow has no mode"):
        Image.open(path)


@pytest.mark.usefixtures("no_fit")
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("shape", [(9, 12), (9, 12, 1), (9, 12, 3), (9, 12, 5)])
def test_imageio_keeps_type_and_shape(dtype: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    iio = pytest.importorskip("imageio.v3")
    array = np.linspace(3, 250, int(np.prod(shape))).reshape(shape).astype(dtype)
    data = iio.imwrite("<bytes>", array, extension=".inr", plugin="inr", **QUICK)
    path = tmp_path / "x.inr"
    path.write_bytes(data)
    for read in (iio.imread(path), iio.imread(data, extension=".inr"), iio.imread(data, plugin="inr")):
        assert (read.dtype, read.shape) == (array.dtype, shape)
        assert (array.min() <= read.min(), read.max() <= array.max()) == (True, True)


def test_imageio_takes_what_its_pillow_plugin_takes(described: Path) -> None:
    iio = pytest.importorskip("imageio.v3")
    assert iio.imread(described, mode="L").shape == (20, 32)
    assert iio.imread(described, rotate=True).shape == (32, 20, 3)
    assert iio.imread(described, index=...).shape == (1, 20, 32, 3)
    assert iio.imread(described, plugin="pillow").shape == (20, 32, 3)
    assert [image.shape for image in iio.imiter(described)] == [(20, 32, 3)]
    metadata = iio.immeta(described)
    assert (metadata["Make"], metadata["Orientation"], metadata["comment"]) == ("maker", 6, b"a note")
    theirs = iio.immeta(described, plugin="pillow")
    assert {name: metadata[name] for name in ("mode", "shape")} == {name: theirs[name] for name in ("mode", "shape")}
    with pytest.raises(ValueError, match="none of index 1"):
        iio.imread(described, index=1)
    with pytest.raises(ValueError, match="size and box exclude mode"):
        iio.imread(described, mode="L", size=(3, 3))


def test_imageio_names_damage_and_other_files(tmp_path: Path) -> None:
    iio = pytest.importorskip("imageio.v3")
    path = tmp_path / "x.inr"
    path.write_bytes(RGB.read_bytes()[:-9])
    with pytest.raises(OSError, match="cut off"):
        iio.imread(path)
    with pytest.raises(OSError, match="cut off"):
        iio.imread(RGB.read_bytes()[:-9], extension=".inr")
    path.write_bytes(b"something else altogether")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # imageio's other plugins leave the file open
        with pytest.raises(OSError, match="Could not find a backend"):
            iio.imread(path)
        gc.collect()  # otherwise the warning comes at the next collection
    with pytest.raises(OSError, match="can not handle the given uri"):
        iio.imread(path, plugin="inr")
    with pytest.raises(OSError, match="exif is damaged"):
        iio.immeta(with_chunks(RGB.read_bytes(), Chunk(2, b"?")))
    # Malformed EXIF data matter only when the tags are read.
    tagless = with_chunks(RGB.read_bytes(), *Metadata(exif=b"no tags").to_chunks())
    assert iio.immeta(tagless)["exif"] == b"no tags"
    with pytest.raises(OSError, match="for rotate Pillow must read the file, but: not a TIFF file"):
        iio.imread(tagless, rotate=True)
    with pytest.raises(OSError, match="for mode Pillow must read the file"):
        iio.imread(VECTORS / "bands.inr", mode="L")


def test_imageio_writes_one_image_a_file(tmp_path: Path) -> None:
    iio = pytest.importorskip("imageio.v3")
    with pytest.raises(ValueError, match="holds one image, got 2"):
        iio.imwrite(tmp_path / "x.inr", [gradient(4, 4)] * 2)
    with pytest.raises(TypeError, match="widht"):
        iio.imwrite(tmp_path / "x.inr", gradient(4, 4), widht=3)
    with pytest.raises(OSError, match="can not handle the given uri"):
        iio.imwrite(tmp_path / "x.png", gradient(4, 4), plugin="inr")


@pytest.mark.usefixtures("no_fit")
def test_a_second_write_of_imageio_does_not_spoil_the_first(tmp_path: Path) -> None:
    iio = pytest.importorskip("imageio.v3")
    path = tmp_path / "x.inr"
    with iio.imopen(path, "w") as file:
        file.write(gradient(4, 4), **QUICK)
        with pytest.raises(ValueError, match="this one has been written"):
            file.write(gradient(4, 4), **QUICK)
    assert iio.imread(path).shape == (4, 4, 3)


def test_a_failing_write_of_imageio_leaves_the_older_file(tmp_path: Path) -> None:
    iio = pytest.importorskip("imageio.v3")
    path = tmp_path / "x.inr"
    path.write_bytes(b"older")
    with pytest.raises(ValueError, match="width"):
        iio.imwrite(path, gradient(4, 4), width=0)
    assert path.read_bytes() == b"older"


def test_imageio_v2_reads_through_the_plugin(described: Path) -> None:
    v2 = pytest.importorskip("imageio.v2")
    assert v2.imread(described).shape == (20, 32, 3)
    assert v2.imread(described, format="inr").shape == (20, 32, 3)
    with contextlib.closing(v2.get_reader(described)) as reader:
        assert len(reader) == 1
        assert reader.get_data(0).shape == (20, 32, 3)
        assert reader.get_meta_data()["comment"] == b"a note"
    assert [image.shape for image in v2.mimread(described)] == [(20, 32, 3)]


# Other libraries


@pytest.mark.usefixtures("no_fit")
def test_scikit_image(tmp_path: Path) -> None:
    skimage = pytest.importorskip("skimage.io")
    path = tmp_path / "x.inr"
    path.write_bytes(RGB.read_bytes())
    np.testing.assert_array_equal(skimage.imread(str(path)), pillow_inr.decode(path))
    assert skimage.imread(str(path), as_gray=True).shape == (20, 32)
    assert skimage.imread_collection(str(tmp_path / "*.inr"))[0].shape == (20, 32, 3)
    skimage.imsave(str(tmp_path / "y.inr"), gradient(12, 9).astype(np.uint16) * 257, check_contrast=False)
    assert skimage.imread(str(tmp_path / "y.inr")).dtype == np.uint16


@pytest.mark.usefixtures("no_fit")
def test_matplotlib(tmp_path: Path) -> None:
    matplotlib = pytest.importorskip("matplotlib.image")
    path = tmp_path / "x.inr"
    matplotlib.imsave(path, gradient(12, 9), pil_kwargs=QUICK)
    read = matplotlib.imread(path)
    assert (read.shape, read.dtype) == ((9, 12, 4), np.uint8)  # imsave writes alpha for every format
    with Image.open(path) as image:
        assert image.info["dpi"] == (100.0, 100.0)


def test_dask(tmp_path: Path) -> None:
    dask_image = pytest.importorskip("dask.array.image")
    for index in range(3):
        (tmp_path / f"{index}.inr").write_bytes(RGB.read_bytes())
    images = dask_image.imread(str(tmp_path / "*.inr"))
    assert images.shape == (3, 20, 32, 3)
    np.testing.assert_array_equal(images[1].compute(), pillow_inr.decode(RGB))


@pytest.mark.keras
@pytest.mark.usefixtures("no_fit")
def test_keras_utilities(tmp_path: Path) -> None:
    import keras

    image = keras.utils.load_img(RGB, target_size=(10, 16))
    assert image.size == (16, 10)
    keras.utils.save_img(tmp_path / "x.inr", gradient(12, 9), **QUICK)
    assert np.asarray(Image.open(tmp_path / "x.inr")).shape == (9, 12, 3)


@pytest.mark.keras
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_numcodecs_finds_the_codec_by_its_entry_point(dtype: str) -> None:
    numcodecs = pytest.importorskip("numcodecs")
    codec = numcodecs.get_codec({"id": "inr", **QUICK})
    assert codec.get_config() == {"id": "inr", **QUICK}
    chunk = np.linspace(0, 200, 9 * 12 * 4).reshape(1, 9, 12, 4).astype(dtype)
    out = np.empty_like(chunk)
    data = codec.encode(chunk)
    codec.decode(data, out=out)
    np.testing.assert_array_equal(out[0], codec.decode(data))
    np.testing.assert_array_equal(out[0], pillow_inr.decode(data))
    assert out.dtype == dtype


def test_numcodecs_names_what_it_cannot_store() -> None:
    numcodecs = pytest.importorskip("numcodecs")
    with pytest.raises(ValueError, match="width must be in"):
        numcodecs.get_codec({"id": "inr", "width": 0})
    codec = numcodecs.get_codec({"id": "inr"})
    with pytest.raises(ValueError, match="got float64"):
        codec.encode(np.zeros((4, 4)))
    with pytest.raises(ValueError, match="shape"):
        codec.encode(np.zeros((2, 4, 4, 3), np.uint8))


def test_opening_and_rendering_need_no_tensorflow() -> None:
    import subprocess

    script = (
        "import sys, io, pillow_inr; from PIL import Image; im = Image.open(sys.argv[1]); im.thumbnail((8, 8)); "
        "Image.open(sys.argv[1]).render(size=(3, 3)); assert not {'tensorflow', 'keras'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script, str(RGB)], check=True)
