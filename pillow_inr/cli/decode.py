"""`pillow-inr decode`."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from PIL import Image

from .. import api
from ..format.header import HEADER_MAX_BYTES
from ..format.metadata import Metadata
from ..format.pixel_format import DTYPES, MODES
from ..format.signature import EXTENSION, FORMAT
from ..imaging.export import can_write, export
from ..imaging.orientation import orientation_of, upright
from ..imaging.target_metadata import adapted
from ..inputs import finding, sources
from ..inputs.finding import Item
from ..inputs.formats import ARRAY_SUFFIXES
from ..plugins.pillow import InrImageFile
from . import files, running
from .files import Outputs
from .running import Run

if TYPE_CHECKING:
    from ..format.header import Box, Header, ModelHeader, Size


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

    INPUTS are files, folders (all .inr files in and below them), patterns in quotes, or - for standard input; --out -
    is standard output. Images are turned upright by their EXIF orientation. Metadata are kept where the output format
    can hold them. Outputs .npy and .npz are arrays of the samples as stored, of their type and with all channels.
    """
    files.register_initializations(init)
    suffix = f".{(ending or 'png').lstrip('.').lower()}"
    if ending and not _can_write(suffix):
        raise click.UsageError(f"--format: {_unknown_format(suffix)}")
    found = finding.find(inputs, finding.INRS)
    outputs = Outputs(out, suffix, found.items, force)
    console = running.console(quiet)
    run = Run(found)

    def decode_one(item: Item) -> None:
        source = _read(item.source)
        target = outputs.target(item)
        ending = outputs.ending(target)
        if ending == EXTENSION:
            raise OSError(f"{target} would need a new fit: use encode instead")
        if not _can_write(ending):
            raise OSError(_unknown_format(ending))
        convert = _as_array if ending in ARRAY_SUFFIXES else _as_image
        data, description, notes = convert(source, ending, size, box)
        outputs.write(target, data, item)
        console.print(f"{run.count}{files.shown(target)}  {description}")
        for note in notes:
            console.print(f"{files.shown(target)}: {running.literal(note)}", style="yellow")

    run.each(decode_one)
    if run.has_several:
        console.print(run.summary())
    run.exit()


def _read(path: Path) -> bytes:
    """The bytes of an .inr file, which may be a pipe. Other files are refused after their first bytes."""
    with sources.opened(path) as file:
        prefix = file.read(HEADER_MAX_BYTES)
        api.read_header(prefix)
        return prefix + file.read()


def _can_write(suffix: str) -> bool:
    file_format = Image.registered_extensions().get(suffix)
    return suffix in ARRAY_SUFFIXES or (file_format in Image.SAVE and can_write(file_format))


def _unknown_format(suffix: str) -> str:
    return f"no format with the ending {suffix!r} can be written; try png, jpg, webp, tif or npy"


def _as_array(source: bytes, ending: str, size: "Size | None", box: "Box | None") -> tuple[bytes, str, Sequence[str]]:
    import numpy as np

    array = api.decode(source, size=size, box=box)
    stream = io.BytesIO()
    if ending == ".npy":
        np.save(stream, array, allow_pickle=False)
    else:
        np.savez_compressed(stream, pixels=array)
    return stream.getvalue(), f"{'×'.join(map(str, array.shape))} {array.dtype}", ()


def _as_image(source: bytes, ending: str, size: "Size | None", box: "Box | None") -> tuple[bytes, str, Sequence[str]]:
    header = api.read_header(source)
    if header.channels > len(MODES):
        raise OSError(f"{header.channels} channels of {header.dtype}, for which Pillow has no mode: use --format npy")
    with Image.open(io.BytesIO(source), formats=[FORMAT]) as opened:
        assert isinstance(opened, InrImageFile)
        image = opened.render(size, box)
    metadata = Metadata.of({}, image.info)
    changed = box is not None or image.size != header.size or orientation_of(metadata.exif, metadata.xmp) != 1
    image = upright(image)
    metadata = adapted(metadata, image.size, changed)
    data, notes = export(image, metadata, Image.registered_extensions()[ending])
    return data, f"{image.width}×{image.height} {image.mode}", [*notes, *_lost_precision(header)]


def _lost_precision(header: "Header[ModelHeader]") -> list[str]:
    """Warning that Pillow's modes hold fewer bits than the file, if they do."""
    if header.dtype == DTYPES[0] or header.channels == 1:
        return []
    return [f"8 bits a sample are left of its {header.dtype}, for which Pillow has no mode: --format npy keeps all"]
