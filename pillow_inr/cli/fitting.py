"""Fitting on the command line: the options of an encode, the progress bar, warnings, Ctrl-C."""

import atexit
import os
import sys
import threading
import warnings
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import click
from PIL import Image
from rich.console import Console
from rich.markup import escape

from .. import api
from ..format.ranges import DEPTH_MAX, WIDTH_MAX
from ..models.registry import model_names
from ..models.siren import reference_store
from ..models.siren.plan import MOSAIC_DEPTH
from ..options import DEFAULT_EFFORT, DEFAULT_QUALITY, EFFORT_MAX, ENCODINGS, EncodeOptions
from ..runtime.native_log import capture_native_stderr
from . import bars, running

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..encoding.source_image import Encoded

# Longest title before a bar: a longer one would leave no room for the bar in 80 columns.
TITLE_LENGTH = 22

_Command = TypeVar("_Command", bound=Callable[..., None])
_T = TypeVar("_T")

_ENCODE_OPTIONS = (
    click.option(
        "-q",
        "--quality",
        type=int,
        metavar="N",
        help=f"1 to 100: higher means better quality and a larger file.  [default: {DEFAULT_QUALITY}]",
    ),
    click.option("--target-bytes", type=int, metavar="BYTES", help="Size, instead of --quality; never exceeded."),
    click.option("--bpp", type=float, metavar="BITS", help="The same, in bits per pixel."),
    click.option("--psnr", type=float, metavar="DB", help="PSNR to reach, instead of --quality, in several fits."),
    click.option(
        "-e",
        "--effort",
        type=int,
        metavar="N",
        help=f"0 (seconds) to {EFFORT_MAX} (minutes): how long to fit.  [default: {DEFAULT_EFFORT}]",
    ),
    click.option(
        "--time-limit",
        type=float,
        metavar="SECONDS",
        help="Time for the whole encode; with --effort or --steps it may end sooner.",
    ),
    click.option(
        "-m",
        "--model",
        type=click.Choice(model_names()),
        default=EncodeOptions.model,
        show_default=True,
        help="auto: the better one for small and simple images, else the pyramid.",
    ),
    click.option(
        "-w",
        "--width",
        type=int,
        metavar="N",
        help=f"SIREN: units of a network's first sine layer, 1 to {WIDTH_MAX}.  [default: from the image]",
    ),
    click.option(
        "-d",
        "--depth",
        type=int,
        metavar="N",
        help=f"SIREN: number of sine layers, 1 to {DEPTH_MAX}.  [default: {MOSAIC_DEPTH}]",
    ),
    click.option(
        "--encoding",
        type=click.Choice(ENCODINGS),
        help=f"SIREN: input of the network; none for plain coordinates.  [default: {ENCODINGS[0]}]",
    ),
    click.option(
        "--init",
        type=click.Path(),
        metavar="FILE",
        help="SIREN: initialization from 'pillow-inr learn', an .npz file.",
    ),
    click.option("--steps", type=int, metavar="N", help="Optimizer steps, instead of --effort."),
    click.option("--seed", type=int, default=EncodeOptions.seed, show_default=True, metavar="N", help="Random seed."),
    click.option("--device", metavar="NAME", help="TensorFlow device, such as CPU:0.  [default: first GPU, else CPU]"),
)


def encode_options(command: _Command) -> _Command:
    """Add the options of an encode, in the order in which the help lists them."""
    for option in reversed(_ENCODE_OPTIONS):
        command = option(command)
    return command


def checked(keywords: Mapping[str, Any]) -> EncodeOptions:
    """The options of an encode; an invalid one ends the command with code 2."""
    try:
        return reference_store.resolved(EncodeOptions.from_keywords(keywords))
    except (OSError, ValueError) as error:
        raise click.UsageError(str(error)) from error


def fit(
    image: "Image.Image | NDArray[np.generic]",
    options: EncodeOptions,
    *,
    title: str,
    console: Console,
    metadata: Mapping[str, Any],
    has_alpha: bool = False,
) -> "Encoded":
    """Encode an image, with a progress bar if messages go to a terminal.

    Args:
        image: an image or an array.
        options: of the encode.
        title: text before the bar and before warnings.
        console: where messages go.
        metadata: as for `api.source_image`: None leaves out what the image has.
        has_alpha: as for `api.source_image`.
    """
    shown = Console(stderr=True, quiet=console.quiet or not console.is_terminal)
    title = running.spelled(title)
    short = title if len(title) <= TITLE_LENGTH else f"{title[: TITLE_LENGTH - 1]}…"
    with (
        bars.bar(short, shown) as report,
        capture_native_stderr(),
        warnings.catch_warnings(record=True) as notes,
    ):
        warnings.simplefilter("always", UserWarning)
        source = api.source_image(image, metadata, has_alpha=has_alpha)
        encoded = in_background(lambda: api.encode_source(source, replace(options, progress=report)))
    for note in notes:
        console.print(f"{escape(title)}: {running.literal(str(note.message))}", style="yellow")
    return encoded


def in_background(work: Callable[[], _T]) -> _T:
    """Work on another thread, so that Ctrl-C takes effect at once on this one; returns the result.

    TensorFlow sometimes calls Python from C++. A KeyboardInterrupt raised in such a call is lost or aborts the process.
    """
    future: Future[_T] = Future()

    def do() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    thread = threading.Thread(target=do, daemon=True)
    thread.start()
    try:
        while thread.is_alive():
            thread.join(0.2)  # without a timeout, Windows would not notice Ctrl-C
    except KeyboardInterrupt:
        atexit.register(_leave)
        raise
    return future.result()


def _leave() -> None:
    """End the process before Python tears down what the other thread still uses."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    os._exit(running.INTERRUPTED)
