"""`pillow-inr report`."""

from pathlib import Path

import click

from ..inputs.finding import Item
from . import files, running
from .files import Outputs
from .running import Run


@click.command(
    short_help="Write a web page about the images of a batch.",
    epilog="Example: pillow-inr report small/manifest.jsonl",
)
@click.argument("manifest")
@click.option("-o", "--out", metavar="FILE", help="The page, .html.  [default: report.html beside the manifest]")
@files.output_options
@click.option("--images", type=click.IntRange(0), default=3, show_default=True, help="Number of worst and best images.")
@click.option(
    "--outputs",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Folder of the .inr files.  [default: the manifest's]",
)
@click.option("--init", multiple=True, type=click.Path(), metavar="FILE", help="Initialization that the files need.")
def report(
    manifest: str, out: str | None, force: bool, quiet: bool, images: int, outputs: Path | None, init: tuple[str, ...]
) -> None:
    """Write a web page about the images in a MANIFEST of 'pillow-inr batch'.

    The page is a single file that loads nothing else. It shows the distributions of bytes, PSNR and time, and the worst
    and best images beside their originals and JPEG files of equal size. Missing originals are left out.
    """
    files.register_initializations(init)
    item = Item.named(manifest)
    page_path = out or str(item.source.with_name("report.html"))
    pages = Outputs(page_path, ".html", [item], force, endings=[".html", ".htm"])
    console = running.console(quiet)
    run = Run.of(item)

    def write(item: Item) -> None:
        target = pages.target(item)
        from ..report import page as reports

        with console.status("reading …") as status:
            page = reports.render(
                item.source,
                outputs=outputs,
                images=images,
                on_image=lambda number, count: status.update(f"image {number} of {count} …"),
            )
        pages.write(target, page, item)
        console.print(f"{files.shown(target)}  {len(page):,} bytes")

    run.each(write)
    run.exit()
