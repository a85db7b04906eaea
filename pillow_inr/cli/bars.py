"""The progress bar of the commands that fit."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


@contextmanager
def bar(title: str, console: Console, unit: str = "steps") -> Iterator[Callable[..., None]]:
    """Show a bar while the context lasts; it disappears at the end.

    Args:
        title: text before the bar.
        console: where to show it.
        unit: what is counted, in the plural.

    Yields:
        The function to call with step, number of steps, PSNR in dB and, where known, bits per pixel.
    """
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[state]}", markup=False),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[left]}"),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(title, total=None, state="preparing", left="")

        def report(step: int, steps: int, psnr_db: float, bits_per_pixel: float | None = None) -> None:
            state = f"{step}/{steps} {unit}  {psnr_db:.2f} dB"
            if bits_per_pixel is not None:
                state += f"  {bits_per_pixel:.3f} bpp"
            progress.update(task, completed=step, total=steps, state=state, left="left")

        yield report
