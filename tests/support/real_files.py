"""Small files of all formats that Pillow writes, in all modes that each allows, and odd ones of their kinds."""

import contextlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

SIZE = (24, 16)
MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "LAB", "HSV", "I;16", "I;16B", "I", "F")
# Endings of the formats whose files Pillow also opens.
ENDINGS = {
    "BLP": "blp",
    "BMP": "bmp",
    "DDS": "dds",
    "DIB": "dib",
    "EPS": "eps",
    "GIF": "gif",
    "ICNS": "icns",
    "ICO": "ico",
    "IM": "im",
    "JPEG": "jpg",
    "JPEG2000": "jp2",
    "MPO": "mpo",
    "MSP": "msp",
    "PCX": "pcx",
    "PNG": "png",
    "PPM": "ppm",
    "QOI": "qoi",
    "SGI": "sgi",
    "SPIDER": "spi",
    "TGA": "tga",
    "TIFF": "tif",
    "WEBP": "webp",
    "AVIF": "avif",
    "XBM": "xbm",
}


@dataclass(frozen=True)
class File:
    """A file for a folder of many."""

    name: str
    data: bytes
    mode: str
    """Pillow's mode, or NumPy's type, that the .inr file must have."""


def picture(mode: str) -> Image.Image:
    """A picture that looks different however it is turned, in a mode: a ramp, brighter to the lower right."""
    x, y = np.meshgrid(np.arange(SIZE[0]), np.arange(SIZE[1]))
    ramp = (4 * x + 9 * y).astype(np.uint8)
    if mode in ("I;16", "I;16B"):
        return Image.fromarray(ramp.astype(np.uint16) * 257).convert(mode)
    if mode == "I":
        return Image.fromarray(ramp.astype(np.int32) * 100 - 1000)
    if mode == "F":
        return Image.fromarray(ramp.astype(np.float32) / 256)
    colours = Image.fromarray(np.stack([ramp, ramp // 2, 255 - ramp], axis=-1))
    if mode in ("RGBA", "LA", "PA"):
        alpha = np.where(x < 6, 0, 255).astype(np.uint8)
        colours.putalpha(Image.fromarray(alpha))
    if mode == "PA":
        palette = colours.convert("RGB").quantize(16)
        palette.putalpha(colours.getchannel("A"))
        return palette
    return colours.quantize(16) if mode == "P" else colours.convert(mode)


def stored_mode(image: Image.Image) -> str:
    """The mode of the .inr file of an opened image, by the table in docs/guide.md."""
    mode = {
        **dict.fromkeys(("P", "PA", "RGBX", "CMYK", "YCbCr", "LAB", "HSV", "RGBa"), "RGB"),
        **dict.fromkeys(("1", "La"), "L"),
        **dict.fromkeys(("I;16B", "I;16L", "I;16N"), "I;16"),
    }.get(image.mode, image.mode)
    if image.palette is None and image.mode == "P":
        return mode
    if image.has_transparency_data:
        return {"L": "LA", "RGB": "RGBA", "I;16": "LA"}.get(mode, mode)
    return mode


def _saved(image: Image.Image, file_format: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.copy().save(stream, file_format, **options)  # a save leaves its settings in the image
    return stream.getvalue()


def _of_pillow(name: str, data: bytes) -> File:
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        return File(name, data, stored_mode(image))


def _all_modes() -> Iterator[File]:
    """Each format in each mode, as far as Pillow writes it and opens it again."""
    Image.init()
    for file_format, ending in ENDINGS.items():
        for mode in MODES:
            with contextlib.suppress(OSError, KeyError, ValueError):
                yield _of_pillow(f"{file_format}_{mode.replace(';', '_')}.{ending}", _saved(picture(mode), file_format))


def _variants() -> Iterator[File]:
    """Options that change how pixels, palettes and transparency are stored."""
    rgb, rgba, grey, palette = (picture(mode) for mode in ("RGB", "RGBA", "L", "P"))
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", "a ramp")
    turned = Image.Exif()
    turned[274] = 6
    deep = picture("I;16")
    yield _of_pillow("png_key.png", _saved(rgb, "PNG", transparency=rgb.getpixel((0, 0))))
    yield _of_pillow("png_grey_key.png", _saved(grey, "PNG", transparency=grey.getpixel((0, 0))))
    yield _of_pillow("png_bit_key.png", _saved(picture("1"), "PNG", transparency=0))
    yield _of_pillow("png_deep_key.png", _saved(deep, "PNG", transparency=0))
    yield _of_pillow("png_palette_key.png", _saved(palette, "PNG", transparency=0))
    yield _of_pillow("png_palette_alpha.png", _saved(rgba.quantize(8), "PNG"))
    yield _of_pillow("png_text.png", _saved(rgb, "PNG", pnginfo=text, dpi=(300, 300)))
    yield _of_pillow("gif_key.gif", _saved(palette, "GIF", transparency=0, comment=b"a ramp"))
    yield _of_pillow("gif_moving.gif", _saved(palette, "GIF", save_all=True, append_images=[palette.rotate(180)]))
    yield _of_pillow("webp_lossless.webp", _saved(rgba, "WEBP", lossless=True))
    yield _of_pillow("webp_exif.webp", _saved(rgb, "WEBP", exif=turned))
    yield _of_pillow("jpeg_turned.jpg", _saved(rgb, "JPEG", exif=turned, progressive=True))
    yield _of_pillow("jpeg_adobe.jpg", _saved(picture("CMYK"), "JPEG", comment="inks"))
    yield _of_pillow("ico_sizes.ico", _saved(rgba.resize((64, 64)), "ICO", sizes=[(16, 16), (32, 32)]))
    yield _of_pillow("tga_rle.tga", _saved(rgba, "TGA", compression="tga_rle"))
    for compression in ("tiff_lzw", "tiff_deflate", "packbits", "tiff_adobe_deflate"):
        yield _of_pillow(f"tiff_{compression}.tif", _saved(rgba, "TIFF", compression=compression))
    yield _of_pillow("tiff_fax.tif", _saved(picture("1"), "TIFF", compression="group4"))
    yield _of_pillow("tiff_jpeg.tif", _saved(rgb, "TIFF", compression="jpeg"))
    yield _of_pillow("tiff_turned.tif", _saved(rgb, "TIFF", tiffinfo={274: 8, 315: "me"}))
    yield _of_pillow("tiff_pages.tif", _saved(rgb, "TIFF", save_all=True, append_images=[grey]))
    yield _of_pillow("one_pixel.png", _saved(Image.new("RGBA", (1, 1), (1, 2, 3, 0)), "PNG"))
    yield _of_pillow("one_row.bmp", _saved(grey.crop((0, 0, 24, 1)), "BMP"))


def array(dtype: str, *channels: int) -> NDArray[Any]:
    """An array of the picture's size in a type, brighter to the lower right."""
    ramp = np.asarray(picture("L")).astype(np.int32)
    ramp = {"bool": ramp > 110}.get(dtype, ramp // 2 - 60 if dtype.startswith("int") else ramp).astype(dtype)
    return np.stack([ramp] * channels[0], axis=-1) if channels else ramp


def _arrays() -> Iterator[File]:
    for dtype in ("uint8", "uint16", "float32", "int8", "int16", "int32", "uint32", "float64", "float16", "bool"):
        stored = {"float64": "float32", "float16": "float32", "bool": "uint8"}.get(dtype, dtype)
        for channels in ((), (3,), (7,)):
            stream = io.BytesIO()
            np.save(stream, array(dtype, *channels))
            yield File(f"{dtype}_{'x'.join(map(str, channels)) or 'plane'}.npy", stream.getvalue(), stored)


def all_files() -> list[File]:
    """More than a hundred files, no two of one name."""
    files = [*_all_modes(), *_variants(), *_arrays()]
    assert len({file.name for file in files}) == len(files)
    return files
