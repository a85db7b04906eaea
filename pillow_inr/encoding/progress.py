"""How a fit reports where it is: to whom it wishes, or as a progress bar on standard error."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

Report = Callable[[int, int, float, float], object]
"""Called with step, steps, PSNR in dB and estimated bits per pixel."""


def reporting(progress: bool | Report) -> AbstractContextManager[Report | None]:
    """What a fit should call, by the option `progress`: nothing, a function, or a bar that lasts as long as this."""
    if progress is True:
        return bar("fitting")
    return nullcontext(progress or None)


@contextmanager
def bar(
    title: str, console: "Console | None" = None, transient: bool = False, unit: str = "steps"
) -> Iterator[Callable[..., None]]:
    """Show a bar while the context lasts.

    Args:
        title: stands before the bar.
        console: where to show it; by default standard error.
        transient: whether it disappears at the end.
        unit: what is counted.

    Yields:
        What to call with step, steps, PSNR in dB and, if there are any, bits per pixel.
    """
    # Imported here: rich takes longer to import than opening a file may take.
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[state]}", markup=False),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[left]}"),
    )
    with Progress(*columns, console=console or Console(stderr=True), transient=transient) as progress:
        task = progress.add_task(title, total=None, state="preparing", left="")

        def report(step: int, steps: int, psnr_db: float, bits_per_pixel: float | None = None) -> None:
            state = f"{step}/{steps} {unit}  {psnr_db:.2f} dB"
            if bits_per_pixel is not None:
                state += f"  {bits_per_pixel:.3f} bpp"
            progress.update(task, completed=step, total=steps, state=state, left="left")

        yield report
