"""`pillow-inr encode`."""

import time
from typing import TYPE_CHECKING, Any

import click
from PIL import Image
from rich.markup import escape

from ..format.metadata import STRIPPED
from ..format.signature import EXTENSION
from ..imaging import metrics
from ..inputs import sources
from ..inputs.sources import Item
from ..storage import atomic
from . import files, fitting, running
from .files import Outputs
from .running import Run

if TYPE_CHECKING:
    from ..encoding.source_image import Encoded


@click.command(epilog="Example: pillow-inr encode photos --out small --quality 40")
@click.argument("inputs", nargs=-1, required=True)
@click.option("-o", "--out", metavar="PATH", help="Output file, or folder.  [default: beside the input]")
@files.output_options
@click.option("--strip", is_flag=True, help="Drop metadata, except a colour profile; turn the image upright.")
@fitting.encode_options
def encode(inputs: tuple[str, ...], out: str | None, force: bool, quiet: bool, strip: bool, **keywords: Any) -> None:
    """Encode images of any format that Pillow opens to .inr files.

    INPUTS are files, folders (all images in and below them; --out then gets the same subfolders) or patterns in quotes,
    such as 'photos/**/*.jpg'. Arrays are read from .npy files. Metadata (EXIF, XMP, colour profile, comment, dpi)
    are kept.
    """
    options = fitting.checked(keywords)
    items = sources.find(inputs, sources.opens_as_image, "image")
    outputs = Outputs(out, EXTENSION, items, force)
    console = running.console(quiet)
    run = Run(items)
    written = 0
    started = time.perf_counter()

    def encode_one(item: Item) -> None:
        nonlocal written
        target = outputs.target(item)
        if target.suffix.lower() != EXTENSION:
            raise ValueError(f"{target} does not end in {EXTENSION}: other programs would not recognize it")
        image = sources.read(item.source, item.source.suffix, upright=strip)
        if isinstance(image, Image.Image) and (frames := sources.frame_count(item.source)) > 1:
            console.print(f"{escape(str(item.source))}: the first of its {frames} images is stored", style="yellow")
        start = time.perf_counter()
        title = f"{run.count}{item.source.name}"
        dropped = STRIPPED if strip else ()
        encoded = fitting.fit(image, options, title=title, console=console, left_out=dropped)
        seconds = time.perf_counter() - start
        atomic.write_atomically(target, encoded.data)
        outputs.made(target, item)
        written += len(encoded.data)
        console.print(f"{run.count}{escape(str(target))}  {_figures(encoded)}  {seconds:.1f} s")

    run.each(encode_one)
    if len(items) > 1:
        console.print(f"{run.done} of {len(items)} files  {written:,} bytes{run.failures}  {_duration(started)}")
    run.exit()


def _figures(encoded: "Encoded") -> str:
    rate = metrics.bits_per_pixel(len(encoded.data), *encoded.model.header.size)
    return f"{len(encoded.data):,} bytes  {rate:.3f} bpp  {metrics.psnr_text(encoded.psnr_db)}"


def _duration(started: float) -> str:
    seconds = time.perf_counter() - started
    return f"{seconds:.1f} s" if seconds < 60 else f"{int(seconds // 60)} min {int(seconds % 60)} s"
