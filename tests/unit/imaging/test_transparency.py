"""Which pixels are fully transparent: the chunk by hand, drawn masks, damage, and what readers see of them."""

import io
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

import pillow_inr
from pillow_inr import codec, limits
from pillow_inr.encoding.source_image import SourceImage
from pillow_inr.errors import FormatError
from pillow_inr.format.chunks import CHUNK_TRANSPARENCY, Chunk
from pillow_inr.format.fields import pack_varint
from pillow_inr.format.metadata import Metadata
from pillow_inr.imaging import transparency
from pillow_inr.imaging.pillow import to_samples
from pillow_inr.imaging.samples import Scale
from pillow_inr.imaging.transparency import Transparency, filled, to_chunk, transparent_pixels
from tests.support.checks import VECTORS, header, with_chunks
from tests.support.container import SampleFormat, open_model

pytestmark = pytest.mark.decoding

WHOLE = slice(None)
RGBA = Scale("uint8", 4, ((0.0, 255.0),))
masks = hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, max_side=12))


def _parsed(chunks: list[Chunk], size: tuple[int, int], **fields: Any) -> Transparency | None:
    return Transparency.of(header(size=size, **{"pixel_format": 3, **fields}), chunks)


def test_the_chunk_by_hand() -> None:
    mask = np.array([[0, 1, 1, 0], [0, 0, 1, 1], [1, 1, 1, 1], [0, 0, 0, 0]], bool)
    chunk = to_chunk(mask)
    assert (chunk.kind, chunk.required) == (CHUNK_TRANSPARENCY, True)
    assert zlib.decompress(chunk.data) == bytes.fromhex(
        "03 01 02"  # two changes, at column 1 and 2 columns on
        "02 02"  # one, at column 2
        "00 03"  # as many as above: 2 columns to the left, 2 * 2 - 1
        "01"  # none
    )
    read = _parsed([chunk], (4, 4))
    assert read is not None
    np.testing.assert_array_equal(read.mask(WHOLE, WHOLE), mask)


@given(masks)
def test_any_mask_comes_back(mask: np.ndarray) -> None:
    read = _parsed([to_chunk(mask)], mask.shape[::-1])
    assert read is not None
    np.testing.assert_array_equal(read.mask(WHOLE, WHOLE), mask)
    rows, columns = slice(1, None), slice(None, 3)
    np.testing.assert_array_equal(read.mask(rows, columns), mask[rows, columns])


@given(masks, st.data())
def test_any_part_of_a_mask_is_that_of_the_whole(mask: np.ndarray, data: st.DataObject) -> None:
    read = _parsed([to_chunk(mask)], mask.shape[::-1])
    assert read is not None
    rows, columns = (np.array(data.draw(st.lists(st.integers(0, n - 1), min_size=1))) for n in mask.shape)
    np.testing.assert_array_equal(read.mask(rows, columns), mask[rows][:, columns])


def test_numbers_above_what_a_row_holds_do_not_wrap_around() -> None:
    for raw in ("02 ff ff ff ff 7f", "ff ff ff ff 7f", "03 01 80 80 80 80 10", "02 01 00 fe ff ff ff 7f"):
        with pytest.raises(FormatError, match="transparency is malformed"):
            _parsed([Chunk(CHUNK_TRANSPARENCY, zlib.compress(bytes.fromhex(raw)), required=True)], (4, 2))


@given(st.lists(st.integers(0, 2**28), min_size=1, max_size=9), st.integers(5, 8))
def test_numbers_are_the_same_in_blocks(values: list[int], block: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transparency, "_BLOCK_BYTES", block)
        numbers = transparency._numbers(b"".join(map(pack_varint, values)))
    assert numbers.tolist() == [min(value, 1 << 27) for value in values]


@given(st.binary(max_size=20), st.tuples(st.integers(1, 4), st.integers(1, 4)))
def test_any_data_are_read_or_refused(data: bytes, size: tuple[int, int]) -> None:
    for content in (data, zlib.compress(data)):
        try:
            read = _parsed([Chunk(CHUNK_TRANSPARENCY, content, required=True)], size)
        except FormatError as error:
            assert "transparency is malformed" in str(error)
        else:
            assert read is not None
            assert read.mask(WHOLE, WHOLE).shape == size[::-1]


@pytest.mark.parametrize(
    ("fields", "count"),
    [
        ({"pixel_format": 2}, 1),  # no alpha
        ({"pixel_format": 0}, 1),
        ({"pixel_format": 4, "samples": SampleFormat("float32", 2, ((0.0, 1.0),))}, 1),
        ({"pixel_format": 4, "samples": SampleFormat("int16", 4, ((0.0, 1.0),))}, 1),
        ({"pixel_format": 4, "samples": SampleFormat("uint16", 2, ((0.0, 9.0), (1.0, 9.0)))}, 1),  # alpha above 0
        ({"pixel_format": 3}, 2),  # twice
    ],
)
def test_the_chunk_where_it_has_no_meaning_is_refused(fields: dict[str, Any], count: int) -> None:
    with pytest.raises(FormatError, match="transparency is malformed"):
        _parsed([to_chunk(np.ones((1, 2), bool))] * count, (2, 1), **fields)


def test_a_chunk_that_need_not_be_understood_is_another() -> None:
    assert _parsed([Chunk(CHUNK_TRANSPARENCY, b"?")], (2, 2), pixel_format=2) is None


@pytest.mark.parametrize("name", ["siren/transparent", "pyramid/transparent", "pyramid/transparent_tiles"])
def test_transparent_pixels_stay_transparent_at_any_size(name: str) -> None:
    data = (VECTORS / f"{name}.inr").read_bytes()
    model = open_model(data)
    width, height = model.header.size
    whole = model.pixels()
    hidden = (whole == 0).all(axis=-1)
    assert hidden.any()
    assert not hidden.all()
    box = (1, 1, min(width, 9), height)
    np.testing.assert_array_equal(model.pixels(box=box), whole[1:, 1 : box[2]])
    one = model.pixels(size=(1, 1))[0, 0, -1]
    top = np.iinfo(whole.dtype).max
    assert abs(one / top - whole[..., -1].mean() / top) < 0.1
    twice = model.pixels(size=(2 * width, 2 * height))
    if name.startswith("siren"):
        assert (twice[hidden.repeat(2, axis=0).repeat(2, axis=1)] == 0).all()
    else:
        assert twice[..., -1].min() == 0


def test_invisible_colours_do_not_darken_what_is_reduced() -> None:
    """The one pixel that shows gives the colour of them all: alpha is premultiplied while pixels are mixed."""
    data = (VECTORS / "pyramid" / "transparent.inr").read_bytes()
    mask = np.ones((10, 13), bool)
    mask[4, 6] = False
    data = with_chunks(data, to_chunk(mask))
    model = open_model(data)
    shown = model.pixels()[4, 6]
    assert shown[-1] > 20
    mixed = model.pixels(size=(1, 1))[0, 0]
    assert np.abs(mixed[:3].astype(int) - shown[:3]).max() <= 1
    assert mixed[-1] == round(shown[-1] / 130)


def test_filled_pixels_continue_those_around_them() -> None:
    samples = np.zeros((9, 7, 4), np.uint8)
    samples[:, :3] = (200, 100, 50, 255)
    samples[4, 6] = (10, 20, 30, 255)
    mask = transparent_pixels(samples)
    assert mask is not None
    smooth = filled(samples, mask, RGBA)
    np.testing.assert_array_equal(smooth[~mask], samples[~mask])
    assert (smooth[..., 3] == 255).all()
    low, high = np.array([10, 20, 30]), np.array([200, 100, 50])
    assert ((smooth[..., :3] >= low) & (smooth[..., :3] <= high)).all()
    assert (filled(np.full((3, 5, 4), 9, np.uint8), np.ones((3, 5), bool), RGBA) == 0).all()


def test_only_images_with_alpha_have_transparent_pixels() -> None:
    assert transparent_pixels(np.zeros((2, 2), np.uint8)) is None
    assert transparent_pixels(np.zeros((2, 2, 3), np.uint8)) is None
    assert transparent_pixels(np.ones((2, 2, 4), np.uint8)) is None


def _sticker(mode: str, garbage: int) -> Image.Image:
    """One colour with a hole; the pixels in the hole have the value `garbage`."""
    colour = {"RGBA": (30, 60, 90, 255), "LA": (70, 255)}[mode]
    image = Image.new(mode, (20, 14), colour)
    image.paste((*([garbage] * (len(colour) - 1)), 0), (5, 3, 12, 10))
    return image


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_invisible_colours_cost_nothing(mode: str) -> None:
    """One colour that shows is stored without a fit, whatever hides under the transparent pixels."""
    data = pillow_inr.encode(_sticker(mode, 0))
    assert data == pillow_inr.encode(_sticker(mode, 200))
    assert len(data) < 110
    with Image.open(io.BytesIO(data)) as image:
        assert image.mode == mode
        np.testing.assert_array_equal(np.asarray(image), np.asarray(_sticker(mode, 0)))
        assert image.info["psnr"] == float("inf")


def test_an_image_of_nothing_visible() -> None:
    data = pillow_inr.encode(Image.new("RGBA", (5, 4), (1, 2, 3, 0)))
    assert (pillow_inr.decode(data) == 0).all()


def test_channels_of_an_array_are_kept_where_the_last_is_zero() -> None:
    """Nobody says that the fourth channel of an array is alpha."""
    array = np.full((6, 5, 4), (9, 8, 7, 0), np.uint8)
    np.testing.assert_array_equal(pillow_inr.decode(pillow_inr.encode(array)), array)


def test_a_file_without_room_for_the_outline_approximates_it() -> None:
    image = np.asarray(_sticker("RGBA", 0))
    source = SourceImage.of(image, Metadata(), transparent_pixels(image))
    assert len(source.transparency_chunks) == 1
    plain = source.without_chunk()
    assert plain.transparency_chunks == []
    np.testing.assert_array_equal(plain.samples[..., -1], image[..., -1])
    np.testing.assert_array_equal(plain.shown(), plain.samples)
    np.testing.assert_array_equal(source.shown(), image)


def _keyed(mode: str, pixels: np.ndarray, key: int) -> tuple[Image.Image, np.ndarray]:
    """An image with a transparent value or palette entry, as Pillow's plugins open one, and where it is transparent."""
    if mode == "P":
        image = Image.fromarray(pixels).convert("L").quantize(8) if key % 2 else Image.fromarray(pixels, "P")
        if key % 2 == 0:
            image.putpalette(bytes(range(256)) * 3)
        entries = np.full(256, 255, np.uint8)
        entries[key % 8] = 0
        image.info["transparency"] = entries.tobytes() if key % 3 else key % 8
        return image, np.asarray(image) == key % 8
    if mode == "1":
        image = Image.fromarray(pixels > 100)
        image.info["transparency"] = 255
        return image, pixels > 100
    if mode == "I;16":
        image = Image.fromarray(pixels.astype(np.uint16) * 257)
        image.info["transparency"] = key * 257
        return image, pixels == key
    image = Image.fromarray(pixels).convert(mode)
    image.info["transparency"] = key if mode == "L" else (key, key, key)
    return image, pixels == key


@given(
    st.sampled_from(["1", "L", "RGB", "P", "I;16"]),
    hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=6), elements=st.integers(0, 7)),
    st.integers(0, 7),
)
def test_the_transparent_value_of_any_mode_becomes_alpha(mode: str, pixels: np.ndarray, key: int) -> None:
    image, hidden = _keyed(mode, pixels * (25 if mode == "1" else 1), key)
    samples = to_samples(image)
    assert samples.shape == (*hidden.shape, 4 if mode in ("RGB", "P") else 2)
    np.testing.assert_array_equal(samples[..., -1] == 0, hidden)
    assert set(samples[..., -1][~hidden].tolist()) <= {np.iinfo(samples.dtype).max}


def test_the_alpha_of_a_palette_is_kept() -> None:
    picture = Image.new("RGBA", (8, 8), (9, 9, 9, 0))
    picture.paste((255, 0, 0, 128), (2, 2, 6, 6))
    palette = picture.quantize(8)
    assert palette.mode == "P"
    assert "transparency" not in palette.info
    np.testing.assert_array_equal(to_samples(palette), np.asarray(picture))


@pytest.mark.parametrize("mode", ["LA", "La", "RGBA", "RGBa", "PA"])
def test_the_alpha_of_every_mode_is_kept(mode: str) -> None:
    picture = Image.new("RGBA", (4, 3), (200, 100, 50, 255))
    picture.putpixel((1, 1), (0, 0, 0, 0))
    made = {"La": lambda: picture.convert("LA").convert("La"), "RGBa": lambda: picture.convert("RGBa")}
    if mode == "PA":
        image = picture.convert("RGB").quantize(4)
        image.putalpha(picture.getchannel("A"))
    else:
        image = made.get(mode, lambda: picture.convert(mode))()
    assert image.mode == mode
    alpha = to_samples(image)[..., -1]
    assert np.argwhere(alpha == 0).tolist() == [[1, 1]]
    assert alpha.sum() == 11 * 255


@pytest.mark.parametrize("mode", ["I;16", "I"])
def test_a_transparent_value_of_deep_greys_becomes_alpha(mode: str) -> None:
    image = Image.fromarray(np.array([[0, 4000, 65535]], np.uint16))
    image = image if mode == "I;16" else image.convert("I")
    image.info["transparency"] = 4000
    samples = to_samples(image)
    assert samples.dtype == np.uint16
    assert samples[0].tolist() == [[0, 65535], [4000, 0], [65535, 65535]]


def test_a_transparent_value_that_cannot_be_kept_is_named() -> None:
    image = Image.fromarray(np.array([[-5, 4000]], np.int32))
    image.info["transparency"] = 4000
    with pytest.warns(UserWarning, match="transparent value 4000 is left out"):
        assert to_samples(image).tolist() == [[-5, 4000]]


def test_transparency_that_no_reader_would_take_is_approximated(monkeypatch: pytest.MonkeyPatch) -> None:
    image = _sticker("RGBA", 9)
    noise = np.random.default_rng(0).random((14, 20)) < 0.5
    image.putalpha(Image.fromarray(np.where(noise, 255, 0).astype(np.uint8)))
    monkeypatch.setattr(limits, "METADATA_MAX", 60)
    mask = transparent_pixels(np.asarray(image))
    assert mask is not None
    with pytest.raises(OverflowError):
        to_chunk(mask)
    source = SourceImage.of(np.asarray(image), Metadata(), mask)
    assert not codec._has_room_for_transparency(source, None)
    monkeypatch.undo()
    assert codec._has_room_for_transparency(SourceImage.of(np.asarray(image), Metadata(), mask), None)
