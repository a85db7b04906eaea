"""`pillow-inr compare` and `pillow-inr view`: a table and pictures of one image."""

import math
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from PIL import Image
from rich.console import Console
from rich.table import Table

from .. import api
from ..format.metadata import NAMES, read_psnr
from ..imaging import metrics
from ..inputs import sources
from ..inputs.finding import Item
from ..inputs.sources import FILE_ERRORS, reason
from ..options import DEFAULT_QUALITY, EncodeOptions
from . import files, fitting, running
from .files import Outputs
from .running import Run

if TYPE_CHECKING:
    from ..models.base import StoredModel
    from ..report.compare import Result

_LABEL = "pillow_inr"
PICTURE_ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".svg", ".pdf")
"""Endings of the pictures that matplotlib writes and most programs open."""


def picture_format(ending: str) -> str:
    """matplotlib's name of the format of a picture, by the ending of its name."""
    return ending.rpartition(".")[2]


@click.command(
    short_help="Compare an image with JPEG, WebP, AVIF at equal bytes.",
    epilog="Example: pillow-inr compare photo.png --quality 40",
)
@click.argument("image")
@click.option(
    "-o",
    "--out",
    metavar="FILE",
    help="Picture: png, jpg, webp, tif, svg, pdf.  [default: NAME.compare.png]",
)
@files.output_options
@click.option(
    "--inr", type=click.Path(path_type=Path), metavar="FILE", help="An .inr file of the image, instead of a new fit."
)
@fitting.encode_options
def compare(image: str, out: str | None, force: bool, quiet: bool, inr: Path | None, **keywords: Any) -> None:
    """Compare an .inr file of an IMAGE with JPEG, WebP, AVIF and JPEG 2000 files of at most the same size.

    Prints a table and writes a picture of all results, whole and in detail. Each other format gets the highest quality
    whose file is not larger. Options of the fit are those of encode. Transparent images are compared on white.
    """
    options = fitting.checked(keywords)
    setting = _settings(keywords)
    if inr is not None and setting:
        raise click.UsageError(f"with --inr nothing is fitted, but there are options of a fit: {setting}")
    item = Item.named(image)
    outputs = Outputs(out, ".compare.png", [item], force, endings=PICTURE_ENDINGS)
    console = running.console(quiet)
    run = Run.of(item)

    def compare_one(item: Item) -> None:
        target = outputs.target(item)
        from ..report import compare as comparison

        original = comparison.comparable(sources.load(item.source))
        stored = _inr_result(original, inr, options, setting or f"quality={DEFAULT_QUALITY}", console)
        results = [stored]
        for codec in comparison.available():
            with console.status(f"{codec.label} …"):
                results.append(comparison.best_within(original, codec, stored.bytes))
        outputs.write(target, comparison.picture(original, results, picture_format(outputs.ending(target))), item)
        if not quiet:
            tables = console if outputs.to_stdout else _stdout()
            tables.print(_comparison_table(results, original.size))
            if any(result.too_large for result in results):
                tables.print("* the smallest file of this format, larger than the .inr file")
        console.print(files.shown(target))

    run.each(compare_one)
    run.exit()


def _stdout() -> Console:
    return Console(highlight=False, width=None if sys.stdout and sys.stdout.isatty() else 1000)


def _inr_result(
    original: Image.Image, inr: Path | None, options: EncodeOptions, setting: str, console: Console
) -> "Result":
    from ..report import compare as comparison

    if inr is None:
        start = time.perf_counter()
        data = fitting.fit(original, options, title="fitting", console=console, metadata=dict.fromkeys(NAMES)).data
        seconds = time.perf_counter() - start
        return comparison.measure(original, data, label=_LABEL, setting=setting, seconds=seconds)
    try:
        api.read_header(inr)  # `measure` would open other formats as well
        return comparison.measure(original, inr.read_bytes(), label=_LABEL, setting=inr.name)
    except (OSError, ValueError) as error:
        raise ValueError(f"{inr}: {reason(error)}") from error


def _settings(keywords: Mapping[str, Any]) -> str:
    """The options given for a fit, written like the settings of the other formats; empty if there are none.

    Args:
        keywords: as the user typed them: an initialization is its path.
    """
    return " ".join(
        f"{name}={value:g}" if isinstance(value, float) else f"{name}={value}"
        for name, value in EncodeOptions.from_keywords(keywords).given.items()
    )


def _comparison_table(results: "list[Result]", size: tuple[int, int]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("codec", no_wrap=True)
    table.add_column("setting", overflow="fold")
    for heading in ("bytes", "bpp", "dB", "seconds"):
        table.add_column(heading, justify="right", no_wrap=True)
    for result in results:
        table.add_row(
            result.label,
            result.setting,
            f"{result.bytes:,}" + "*" * result.too_large,
            f"{metrics.bits_per_pixel(result.bytes, *size):.3f}",
            metrics.psnr_text(result.psnr_db).removesuffix(" dB"),
            "-" if result.seconds is None else f"{result.seconds:.3f}",
        )
    return table


@click.command(
    short_help="Plot an .inr file: image, error, weights or symbols.",
    epilog="Example: pillow-inr view photo.inr --original photo.png",
)
@click.argument("file", metavar="FILE.inr")
@click.option("--original", metavar="IMAGE", help="The original image: adds a map of the error.")
@click.option(
    "-o",
    "--out",
    metavar="FILE",
    help="Plot: png, jpg, webp, tif, svg, pdf.  [default: NAME.view.png]",
)
@files.output_options
@click.option("--init", multiple=True, type=click.Path(), metavar="FILE", help="Initialization that the file needs.")
def view(file: str, original: str | None, out: str | None, force: bool, quiet: bool, init: tuple[str, ...]) -> None:
    """Plot an .inr file: its image, the error, histograms of its weights or symbols, and the bytes of its parts."""
    files.register_initializations(init)
    item = Item.named(file)
    outputs = Outputs(out, ".view.png", [item], force, endings=PICTURE_ENDINGS)
    console = running.console(quiet)
    run = Run.of(item)

    def view_one(item: Item) -> None:
        target = outputs.target(item)
        from ..inputs import originals
        from ..models import reader
        from ..report import breakdown, plots

        file = reader.read_file(sources.read_bytes(item.source))
        model = reader.open_model(file)
        pixels = originals.upright_pixels(model, whole=original is not None)
        reference = None
        if original is not None:
            try:
                reference = originals.read_original(Path(original), pixels.shape)
            except FILE_ERRORS as error:
                raise ValueError(f"{original}: {reason(error)}") from error
        plot = plots.view(
            breakdown.of_file(file),
            pixels,
            reference,
            title=_title(item.source, model),
            file_format=picture_format(outputs.ending(target)),
        )
        outputs.write(target, plot, item)
        console.print(files.shown(target))

    run.each(view_one)
    run.exit()


def _title(path: Path, model: "StoredModel") -> str:
    header = model.header
    psnr_db = read_psnr(model.chunks)
    name = click.format_filename(path, shorten=True)
    return (
        f"{name}: {header.size[0]}×{header.size[1]} pixels, {header.channels} × {header.dtype}, "
        f"{header.file_bytes:,} bytes, {header.bits_per_pixel:.3f} bits per pixel"
        + ("" if psnr_db is None else ", no error" if psnr_db == math.inf else f", {metrics.psnr_text(psnr_db)}")
    )
