"""How a fit reports its progress: to a callback, or as a progress bar on standard error."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

Report = Callable[[int, int, float, float], object]
"""Called with step, number of steps, PSNR in dB and estimated bits per pixel."""


def reporting(progress: bool | Report) -> AbstractContextManager[Report | None]:
    """The callback for the option `progress`: None, the given one, or that of a bar shown while the context lasts."""
    if progress is True:
        return bar("fitting")
    return nullcontext(progress or None)


@contextmanager
def bar(
    title: str, console: "Console | None" = None, transient: bool = False, unit: str = "steps"
) -> Iterator[Callable[..., None]]:
    """Show a bar while the context lasts.

    Args:
        title: text before the bar.
        console: where to show it; by default standard error.
        transient: whether the bar disappears at the end.
        unit: what is counted, in the plural.

    Yields:
        The function to call with step, number of steps, PSNR in dB and, where known, bits per pixel.
    """
    # Imported here because rich takes longer to import than opening a file may take.
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
    # Asked once: while TensorFlow starts, standard error is a pipe (`runtime/quiet.py`).
    console = console or Console(stderr=True, force_terminal=Console(stderr=True).is_terminal)
    with Progress(*columns, console=console, transient=transient) as progress:
        task = progress.add_task(title, total=None, state="preparing", left="")

        def report(step: int, steps: int, psnr_db: float, bits_per_pixel: float | None = None) -> None:
            state = f"{step}/{steps} {unit}  {psnr_db:.2f} dB"
            if bits_per_pixel is not None:
                state += f"  {bits_per_pixel:.3f} bpp"
            progress.update(task, completed=step, total=steps, state=state, left="left")

        yield report
