"""`pillow-inr encode`."""

import time
from typing import TYPE_CHECKING, Any

import click

from ..format.metadata import STRIPPED
from ..format.signature import EXTENSION
from ..imaging import metrics
from ..inputs import finding, sources
from ..inputs.finding import Item
from ..inputs.formats import ALREADY_INR
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

    INPUTS are files, folders (all images in and below them; --out then gets the same subfolders), patterns in quotes,
    such as 'photos/**/*.jpg', or - for standard input; --out - is standard output. Arrays are read from .npy files.
    Metadata (EXIF, XMP, colour profile, comment, dpi) are kept.
    """
    options = fitting.checked(keywords)
    found = finding.find(inputs, finding.IMAGES)
    outputs = Outputs(out, EXTENSION, found.items, force, endings=[EXTENSION], renames=True)
    console = running.console(quiet)
    run = Run(found)
    written = 0
    started = time.perf_counter()

    def encode_one(item: Item) -> None:
        nonlocal written
        if finding.is_inr(item.source):
            raise OSError(ALREADY_INR)
        target = outputs.target(item)
        content = sources.read_to_encode(item.source, item.source.suffix, upright=strip)
        if content.note:
            console.print(f"{running.shown(item.source)}: {running.literal(content.note)}", style="yellow")
        start = time.perf_counter()
        title = f"{run.count}{running.spelled(item.source.name)}"
        metadata = {**content.metadata, **dict.fromkeys(STRIPPED if strip else ())}
        encoded = fitting.fit(
            content.pixels, options, title=title, console=console, metadata=metadata, has_alpha=content.has_alpha
        )
        seconds = time.perf_counter() - start
        outputs.write(target, encoded.data, item)
        written += len(encoded.data)
        console.print(f"{run.count}{files.shown(target)}  {_figures(encoded)}  {seconds:.1f} s")
        if note := outputs.note(item):
            console.print(f"{running.shown(item.source)}: {running.literal(note)}", style="yellow")

    run.each(encode_one)
    if run.has_several:
        console.print(f"{run.summary()}; {written:,} bytes, {_duration(started)}")
    run.exit()


def _figures(encoded: "Encoded") -> str:
    rate = metrics.bits_per_pixel(len(encoded.data), *encoded.model.header.size)
    return f"{len(encoded.data):,} bytes  {rate:.3f} bpp  {metrics.psnr_text(encoded.psnr_db)}"


def _duration(started: float) -> str:
    seconds = time.perf_counter() - started
    return f"{seconds:.1f} s" if seconds < 60 else f"{int(seconds // 60)} min {int(seconds % 60)} s"
