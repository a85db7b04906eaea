"""`image.save(path, **image.info)`: what `info` says of an opened file is no wish for the next one."""

import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

import pillow_inr
from pillow_inr import codec
from pillow_inr.encoding.source_image import Encoded, SourceImage
from pillow_inr.format.info import FACTS, MARKERS
from pillow_inr.format.metadata import NAMES
from pillow_inr.models.selection import encode_single_colour
from pillow_inr.options import EncodeOptions, wishes
from tests.support.checks import SAMPLES, VECTORS, gradient

FILES = [VECTORS / "rgb.inr", *sorted(SAMPLES.glob("*.inr"))[:3]]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The options of each encode that differ from their defaults; nothing is fitted."""
    seen: list[dict[str, Any]] = []

    def encode_source(source: SourceImage, options: EncodeOptions) -> Encoded:
        seen.append(options.given)
        return encode_single_colour(source)

    monkeypatch.setattr(codec, "encode_source", encode_source)
    return seen


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_info_of_an_inr_file_holds_no_options(asked: list[dict[str, Any]], path: Path, tmp_path: Path) -> None:
    with Image.open(path) as image:
        info = image.info
        assert info.keys() <= FACTS | set(NAMES)
        assert info.keys() >= MARKERS
        small = image.resize((9, 7))
        small.save(io.BytesIO(), "INR", **info)
        pillow_inr.encode(small, **info)
        pillow_inr.save(small, tmp_path / "a.inr", **info)
        # Another image, which knows nothing of the file or was another file.
        Image.new("RGB", (3, 2)).save(io.BytesIO(), "INR", **info)
        pillow_inr.encode(gradient(3, 2), **info)
        with Image.open(VECTORS / "grey.inr") as other:
            other.resize((9, 7)).save(io.BytesIO(), "INR", **info)
        assert asked == [{}] * 6


def test_what_differs_is_a_wish(asked: list[dict[str, Any]]) -> None:
    with Image.open(VECTORS / "rgb.inr") as image:
        image.save(io.BytesIO(), "INR", **{**image.info, "quality": 30})
        image.save(io.BytesIO(), "INR", **{**image.info, "width": 13})
        image.save(io.BytesIO(), "INR", **{**image.info, "psnr": 33})
        # Without the others of `info`, an option is an option, also where the file has the same.
        image.save(io.BytesIO(), "INR", width=image.info["width"], exif=None)
        pillow_inr.encode(image, width=image.info["width"])
        width = image.info["width"]
    assert asked == [{"quality": 30}, {"width": 13}, {"psnr": 33}, {"width": width}, {"width": width}]


def test_metadata_that_are_passed_back_stay(asked: list[dict[str, Any]]) -> None:
    image = Image.new("RGB", (3, 2))
    image.save(stream := io.BytesIO(), "INR", comment="hello", dpi=(72, 72))
    stored = Image.open(stream)
    stored.save(again := io.BytesIO(), "INR", **stored.info)
    stored.save(bare := io.BytesIO(), "INR", **{**stored.info, "comment": None})
    assert Image.open(again).info["comment"] == b"hello"
    assert "comment" not in Image.open(bare).info


@pytest.mark.parametrize(
    ("file_format", "keywords"),
    [
        ("JPEG", {"progressive": True, "quality": 30, "comment": "hello"}),
        ("PNG", {"dpi": (72, 72)}),
        ("GIF", {"transparency": 0, "background": 0, "duration": 40, "loop": 0, "comment": "hello"}),
        ("WEBP", {"quality": 10}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("BMP", {}),
        ("ICO", {}),
        ("TGA", {"compression": "tga_rle", "id_section": b"hello"}),
        ("IM", {}),
        ("PCX", {}),
        ("JPEG2000", {}),
    ],
)
@pytest.mark.filterwarnings("ignore:IM image format")
def test_the_info_of_any_format_is_safe(
    asked: list[dict[str, Any]], file_format: str, keywords: dict[str, Any]
) -> None:
    stream = io.BytesIO()
    picture = Image.fromarray(gradient(16, 16)).convert("P" if file_format == "GIF" else "RGB")
    picture.save(stream, file_format, **keywords)
    with Image.open(stream) as image:
        image.load()
        image.save(passed := io.BytesIO(), "INR", **image.info)
        image.save(plain := io.BytesIO(), "INR")
    assert passed.getvalue() == plain.getvalue()
    assert asked == [{}, {}]


def test_texts_of_png_are_no_options(asked: list[dict[str, Any]]) -> None:
    texts = PngInfo()
    for name, value in {"seed": "1234", "steps": "20", "model": "a model", "quality": "90", "Comment": "x"}.items():
        texts.add_text(name, value)
    Image.new("RGB", (3, 2)).save(stream := io.BytesIO(), "PNG", pnginfo=texts)
    with Image.open(stream) as image:
        image.load()
        image.save(io.BytesIO(), "INR", **image.info)
        pillow_inr.encode(image, **{**image.info, "quality": 20})
    assert asked == [{}, {"quality": 20}]


def test_values_that_cannot_be_compared_are_wishes() -> None:
    class Odd:
        def __eq__(self, other: object) -> bool:
            raise TypeError("no comparison")

    assert wishes({"quality": 3}, {"quality": Odd()}) == {"quality": 3}
