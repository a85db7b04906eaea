"""The command `pillow-inr batch`: what it asks for and prints."""

import sys
import time
from collections.abc import Sequence
from statistics import fmean
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from ..batch import planning
from ..batch.manifest import Record
from ..batch.planning import Plan
from ..errors import BackendError
from ..inputs.sources import reason
from ..options import EncodeOptions
from . import fitting, running


@click.command(epilog="Example: pillow-inr batch photos --out small --quality 40 --effort 3")
@click.argument("inputs", nargs=-1, required=True)
@click.option("-o", "--out", metavar="FOLDER", required=True, help="Output folder, a path or a URL.")
@click.option(
    "--manifest",
    metavar="FILE",
    help="Where the outcome of each image is recorded.  [default: manifest.jsonl in FOLDER]",
)
@click.option(
    "-j",
    "--processes",
    type=click.IntRange(1),
    metavar="N",
    help="Number of processes, each with one image.  [default: cores / threads]",
)
@click.option(
    "--threads", type=click.IntRange(1), default=1, show_default=True, metavar="N", help="Threads per process."
)
@click.option("--scheduler", metavar="ADDRESS", help="Encode on the workers of the Dask cluster at this address.")
@click.option("-f", "--force", is_flag=True, help="Encode finished images again; overwrite files that no batch wrote.")
@click.option("--strip", is_flag=True, help="Leave out metadata, except a colour profile; turn images upright.")
@click.option("--quiet", is_flag=True, help="Print errors only.")
@fitting.encode_options
def batch_command(
    inputs: tuple[str, ...],
    out: str,
    manifest: str | None,
    processes: int | None,
    threads: int,
    scheduler: str | None,
    force: bool,
    strip: bool,
    quiet: bool,
    **keywords: Any,
) -> None:
    """Encode many images to .inr files, on all cores or on a cluster.

    INPUTS are files, folders (all images in and below them), quoted patterns, URLs of these, and lists: @photos.txt
    with one path per line, or @manifest.jsonl. After an interruption, or with more images, run the same command again:
    it skips images that it has finished with the same options and from the same bytes.
    """
    fitting.checked(keywords)
    # The manifest holds only options that differ from their defaults.
    options = EncodeOptions.from_keywords(keywords).given
    started = time.perf_counter()
    with _Show(running.console(quiet)) as show:
        try:
            records = planning.encode_many(
                inputs,
                out,
                processes=processes,
                threads=threads,
                scheduler=scheduler,
                manifest_path=manifest,
                force=force,
                strip=strip,
                on_plan=show.plan,
                on_record=show.record,
                say=show.say,
                **options,
            )
        except KeyboardInterrupt:
            show.error(f"interrupted: {show.done} of {show.total} finished, nothing half-written")
            sys.exit(running.INTERRUPTED)
        except (OSError, ValueError, ImportError, BackendError) as error:
            where = f"{error.filename}: " if isinstance(error, OSError) and error.filename else ""
            show.error(f"{where}{reason(error)}")
            sys.exit(1)
    if not quiet:
        show.say(summary(records, show.written, time.perf_counter() - started))
        show.say(show.counts())
    sys.exit(int(any(not record.done for record in records)))


class _Show:
    """What is printed while a batch runs: one line per image, and on a terminal a bar below them."""

    def __init__(self, console: Console) -> None:
        self.total = 0
        self.written = 0
        self._earlier = self._failed = self._bytes = 0
        self._plan = Plan([], [], [])
        self._console = console
        self._bar = Progress(
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("images  {task.fields[bytes]:,} bytes"),
            TimeRemainingColumn(),
            TextColumn("left"),
            console=console,
            transient=True,
            disable=console.quiet or not console.is_terminal,
            speed_estimate_period=600,
        )
        self._task = self._bar.add_task("", total=None, bytes=0)

    def __enter__(self) -> "_Show":
        if not self._bar.disable:  # to stop a disabled bar would print an empty line
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if not self._bar.disable:
            self._bar.stop()

    @property
    def done(self) -> int:
        """Number of images that are encoded, in this run or an earlier one."""
        return self._earlier + self.written

    def plan(self, plan: Plan) -> None:
        """Note the work to be done."""
        to_do = len(plan.failed) + len(plan.tasks)
        self._plan = plan
        self._earlier = len(plan.finished)
        self.total = self._earlier + to_do
        self._bar.update(self._task, total=to_do)
        if self._earlier:
            self.say(f"{self._earlier} of {self.total} were finished before")

    def record(self, record: Record) -> None:
        """Print the outcome of an image."""
        if record.done:
            self.written += 1
            self._bytes += record.bytes or 0
            count = f"{self.done + self._failed:>{len(str(self.total))}}/{self.total}"
            self.say(f"{count}  {running.spelled(record.output)}  {_figures(record)}")
            if record.warning is not None:
                self.say(f"{' ' * len(count)}  {record.warning}")
        else:
            self._failed += 1
            self.error(f"{running.spelled(record.source)}: {record.error}")
        self._bar.update(self._task, advance=1, bytes=self._bytes)

    def counts(self) -> str:
        """The last line: how many files came to what end."""
        failed = self._failed - self._plan.empty
        skipped = self._plan.skipped.summary([(self._earlier, "finished before")])
        return f"{self.written} written, {failed} failed, {skipped}"

    def say(self, message: str | Table) -> None:
        """Print a message above the bar."""
        self._console.print(running.literal(message) if isinstance(message, str) else message)

    def error(self, message: str) -> None:
        """Print an error, even if nothing else is printed."""
        quiet, self._console.quiet = self._console.quiet, False
        self._console.print(f"pillow-inr: {running.literal(message)}", style="red")
        self._console.quiet = quiet


def _figures(record: Record) -> str:
    quality = "exact" if record.psnr is None else f"{record.psnr:.2f} dB"
    return f"{record.bytes:,} bytes  {record.bpp:.3f} bpp  {quality}  {record.seconds:.1f} s"


def summary(records: Sequence[Record], encoded: int, seconds: float) -> Table:
    """A table of the results of a batch.

    Args:
        records: of all images.
        encoded: number of images that were encoded in this run.
        seconds: duration of this run.
    """
    done = [record for record in records if record.done]
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(style="bold")
    table.add_column()
    failed = len(records) - len(done)
    table.add_row("images", f"{len(done):,} of {len(records):,}{f', {failed:,} failed' if failed else ''}")
    if done:
        sources = sum(record.source_bytes or 0 for record in done)
        size = sum(record.bytes or 0 for record in done)
        pixels = sum((record.width or 0) * (record.height or 0) for record in done)
        table.add_row("bytes", f"{size:,} of {sources:,} ({size / max(sources, 1):.1%}), {8 * size / pixels:.3f} bpp")
        for name, unit, digits in (("psnr", " dB", 2), ("ms_ssim", "", 4), ("seconds", " s", 1)):
            figures = [value for record in done if (value := getattr(record, name)) is not None]
            if figures:
                shown = [f"{value:.{digits}f}{unit}" for value in (fmean(figures), min(figures), max(figures))]
                table.add_row(_TITLES[name], f"{shown[0]} mean, {shown[1]} to {shown[2]}")
    if encoded:
        table.add_row("time", f"{seconds:.0f} s, {60 * encoded / seconds:.1f} images a minute")
    return table


_TITLES = {"psnr": "PSNR", "ms_ssim": "MS-SSIM", "seconds": "encode"}
