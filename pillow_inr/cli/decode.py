"""`pillow-inr decode`."""

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from rich.markup import escape

from .. import api
from ..format.metadata import NAMES
from ..format.pixel_format import DTYPES, MODES
from ..format.signature import EXTENSION, FORMAT
from ..imaging.pillow import upright
from ..inputs import sources
from ..inputs.sources import ARRAY_SUFFIXES, Item
from ..plugins.pillow import InrImageFile
from ..storage import atomic
from . import files, running
from .files import Outputs
from .running import Run

if TYPE_CHECKING:
    from ..format.header import Box, Size

# TIFF tags for metadata that Pillow's other formats take as keywords.
_TIFF_XMP = 700
_TIFF_COMMENT = 270
# Modes of more than 8 bits per sample.
_DEEP = ("I;16", "F")


def _size(ctx: click.Context, param: click.Parameter, value: str | None) -> "Size | None":
    """Parse width and height, such as 640x480."""
    if value is None:
        return None
    try:
        width, height = (int(number) for number in value.lower().replace("×", "x").split("x"))
    except ValueError:
        raise click.BadParameter(f"{value!r} is not a width and a height in pixels, such as 640x480") from None
    return width, height


def _box(ctx: click.Context, param: click.Parameter, value: str | None) -> "Box | None":
    """Parse the edges of a region, such as 10,20,110.5,90."""
    if value is None:
        return None
    try:
        x0, y0, x1, y1 = (float(number) for number in value.split(","))
    except ValueError:
        raise click.BadParameter(f"{value!r} is not left, upper, right, lower edge, such as 10,20,110.5,90") from None
    return x0, y0, x1, y1


@click.command(epilog="Example: pillow-inr decode photo.inr --box 100,50,200,150 --size 800x800 --out detail.png")
@click.argument("inputs", nargs=-1, required=True)
@click.option(
    "-o",
    "--out",
    metavar="PATH",
    help="Output file, whose ending chooses the format, or folder.  [default: beside the input]",
)
@files.output_options
@click.option("--format", "ending", metavar="ENDING", help="Format if --out names no file.  [default: png]")
@click.option(
    "--size", callback=_size, metavar="WxH", help="Output width and height, at any resolution.  [default: as stored]"
)
@click.option(
    "--box", callback=_box, metavar="X0,Y0,X1,Y1", help="Region in pixels of the stored image; fractions allowed."
)
@click.option("--init", multiple=True, type=click.Path(), metavar="FILE", help="Initialization that the inputs need.")
def decode(
    inputs: tuple[str, ...],
    out: str | None,
    force: bool,
    quiet: bool,
    ending: str | None,
    size: "Size | None",
    box: "Box | None",
    init: tuple[str, ...],
) -> None:
    """Decode .inr files to PNG, or to any format that Pillow writes.

    INPUTS are files, folders (all .inr files in and below them) or patterns in quotes. Images are turned upright by
    their EXIF orientation. Metadata are kept where the output format can hold them. Outputs .npy and .npz are arrays of
    the samples as stored: 8 bits, 16 bits or floating point, with any number of channels.
    """
    files.register_initializations(init)
    suffix = f".{(ending or 'png').lstrip('.').lower()}"
    if ending and not _can_write(suffix):
        raise click.UsageError(f"--format: {_unknown_format(suffix)}")
    items = sources.find(inputs, sources.is_inr, ".inr file")
    outputs = Outputs(out, suffix, items, force)
    console = running.console(quiet)
    run = Run(items)

    def decode_one(item: Item) -> None:
        target = outputs.target(item)
        if target.suffix.lower() == EXTENSION:
            raise OSError(f"{target} would need a new fit: use encode instead")
        if not _can_write(target.suffix):
            raise OSError(_unknown_format(target.suffix))
        is_array = target.suffix.lower() in ARRAY_SUFFIXES
        convert = _as_array if is_array else _as_image
        data, description = convert(item.source, target, size, box)
        atomic.write_atomically(target, data)
        outputs.made(target, item)
        console.print(f"{run.count}{escape(str(target))}  {description}")
        warning = "" if is_array else _lost_precision(item.source)
        if warning:
            console.print(f"{escape(str(target))}: {warning}", style="yellow")

    run.each(decode_one)
    if len(items) > 1:
        console.print(f"{run.done} of {len(items)} files{run.failures}")
    run.exit()


def _can_write(suffix: str) -> bool:
    suffix = suffix.lower()
    return suffix in ARRAY_SUFFIXES or Image.registered_extensions().get(suffix) in Image.SAVE


def _unknown_format(suffix: str) -> str:
    return f"no format with the ending {suffix!r} can be written; try png, jpg, webp, tif or npy"


def _as_array(source: Path, target: Path, size: "Size | None", box: "Box | None") -> tuple[bytes, str]:
    import numpy as np

    array = api.decode(source, size=size, box=box)
    stream = io.BytesIO()
    if target.suffix.lower() == ".npy":
        np.save(stream, array, allow_pickle=False)
    else:
        np.savez_compressed(stream, pixels=array)
    return stream.getvalue(), f"{'×'.join(map(str, array.shape))} {array.dtype}"


def _as_image(source: Path, target: Path, size: "Size | None", box: "Box | None") -> tuple[bytes, str]:
    header = api.read_header(source)
    if header.channels > len(MODES):
        raise OSError(f"{header.channels} channels of {header.dtype}, for which Pillow has no mode: use --format npy")
    with Image.open(source, formats=[FORMAT]) as opened:
        assert isinstance(opened, InrImageFile)
        image = opened.render(size, box)
    image = upright(image)
    data = _save(image, Image.registered_extensions()[target.suffix.lower()])
    return data, f"{image.width}×{image.height} {image.mode}"


def _save(image: Image.Image, file_format: str) -> bytes:
    stream = io.BytesIO()
    try:
        image.save(stream, file_format, **_metadata(image, file_format))
    except OSError as error:
        if "cannot write mode" in str(error):
            raise OSError(_unsupported_mode(image.mode, file_format)) from error
        raise
    except Exception as error:  # on unusual metadata Pillow's plugins raise all kinds
        raise OSError(f"cannot be written as {file_format}, with its metadata: {error}") from error
    if image.mode in _DEEP and file_format in Image.OPEN:
        # Some formats silently reduce such samples to 8 bits, which leaves nothing to be seen.
        with Image.open(stream) as written:
            if written.mode in ("L", "RGB"):
                raise OSError(_unsupported_mode(image.mode, file_format))
    return stream.getvalue()


def _unsupported_mode(mode: str, file_format: str) -> str:
    others = ".tif and .npy hold such samples" if mode in _DEEP else ".png, .webp and .tif hold transparency"
    return f"cannot write mode {mode} as {file_format}: {others}"


def _metadata(image: Image.Image, file_format: str) -> dict[str, Any]:
    """Keywords of `Image.save` that keep an image's metadata; a format ignores those that it cannot hold."""
    keywords = {name: image.info[name] for name in NAMES if name in image.info}
    xmp, comment = keywords.get("xmp"), keywords.get("comment", b"").decode(errors="replace")
    if file_format == "PNG":
        text = PngInfo()
        if xmp:
            text.add_itxt("XML:com.adobe.xmp", xmp.decode(errors="replace"))
        if comment:
            text.add_itxt("Comment", comment)
        keywords["pnginfo"] = text
    if file_format == "TIFF":
        tags = image.getexif()
        if xmp:
            tags[_TIFF_XMP] = xmp
        if comment:
            tags[_TIFF_COMMENT] = comment
        keywords["tiffinfo"] = tags
    return keywords


def _lost_precision(source: Path) -> str:
    """Warning that Pillow's modes hold fewer bits than the file; empty if they hold all."""
    header = api.read_header(source)
    if header.dtype == DTYPES[0] or header.channels == 1:
        return ""
    return f"8 bits a sample are left of its {header.dtype}, for which Pillow has no mode: --format npy keeps all"
