"""Fitting on the command line: the options of an encode, the bar while it runs, what it warns of, Ctrl-C."""

import atexit
import os
import sys
import threading
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import click
from PIL import Image
from rich.console import Console
from rich.markup import escape

from .. import api
from ..encoding import progress
from ..format.ranges import DEPTH_MAX, WIDTH_MAX
from ..models.registry import model_names
from ..models.siren import reference_store
from ..options import EFFORT_MAX, ENCODINGS, EncodeOptions
from ..runtime.native_log import capture_native_stderr
from . import running

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..encoding.source_image import Encoded

# What is left of a title before a bar: more would leave no room for the bar on 80 columns.
TITLE_LENGTH = 22

_Command = TypeVar("_Command", bound=Callable[..., None])
_T = TypeVar("_T")


def encode_options(command: _Command) -> _Command:
    """The options of an encode, in the order of their help."""
    for option in reversed(
        (
            click.option("-q", "--quality", type=int, metavar="N", help="1 (small) to 100 (good).  [default: 50]"),
            click.option("--target-bytes", type=int, metavar="BYTES", help="Never exceed this size, and come near it."),
            click.option("--bpp", type=float, metavar="BITS", help="The same in bits per pixel."),
            click.option("--psnr", type=float, metavar="DB", help="Reach this PSNR, in up to four fits."),
            click.option(
                "-e",
                "--effort",
                type=int,
                metavar="N",
                help=f"0 (seconds) to {EFFORT_MAX} (minutes): how long to fit.  [default: 5]",
            ),
            click.option(
                "--time-limit", type=float, metavar="SECONDS", help="Time an image may take, instead of an effort."
            ),
            click.option(
                "-m",
                "--model",
                type=click.Choice(model_names()),
                default="auto",
                show_default=True,
                help="The pyramid, a SIREN, or what suits the image.",
            ),
            click.option(
                "-w",
                "--width",
                type=int,
                metavar="N",
                help=f"SIREN: units of each sine layer, 1 to {WIDTH_MAX}.  [default: from quality and size]",
            ),
            click.option(
                "-d", "--depth", type=int, metavar="N", help=f"SIREN: sine layers, 1 to {DEPTH_MAX}.  [default: 4]"
            ),
            click.option(
                "--encoding", type=click.Choice(ENCODINGS), help="SIREN: input of the network.  [default: fourier]"
            ),
            click.option(
                "--init",
                type=click.Path(),
                metavar="FILE",
                help="SIREN: start from weights that 'pillow-inr learn' wrote.",
            ),
            click.option("--steps", type=int, metavar="N", help="Optimizer steps, instead of those of the effort."),
            click.option(
                "--seed", type=int, default=0, show_default=True, metavar="N", help="Another one gives another fit."
            ),
            click.option("--device", metavar="NAME", help="TensorFlow device, such as CPU:0 or GPU:0."),
        )
    ):
        command = option(command)
    return command


def checked(keywords: Mapping[str, Any]) -> EncodeOptions:
    """The options as given; bad ones end the command with code 2."""
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
    left_out: Sequence[str] = (),
) -> "Encoded":
    """Encode an image under a bar, which only a terminal shows.

    Args:
        image: an image or an array.
        options: of the encode.
        title: stands before the bar and before warnings.
        console: where messages go.
        left_out: names of metadata that are not stored.
    """
    bars = Console(stderr=True, quiet=console.quiet or not console.is_terminal)
    short = title if len(title) <= TITLE_LENGTH else f"{title[: TITLE_LENGTH - 1]}…"
    with (
        progress.bar(short, bars, transient=True) as report,
        capture_native_stderr(),
        warnings.catch_warnings(record=True) as notes,
    ):
        warnings.simplefilter("always", UserWarning)
        source = api.source_image(image, dict.fromkeys(left_out))
        encoded = in_background(lambda: api.encode_source(source, replace(options, progress=report)))
    for note in notes:
        console.print(f"{escape(title)}: {escape(str(note.message))}", style="yellow")
    return encoded


def in_background(work: Callable[[], _T]) -> _T:
    """The result of work on another thread, while this one waits for Ctrl-C.

    TensorFlow calls Python from C++ here and there; a KeyboardInterrupt raised in such a call is lost, or aborts the
    process. Here it is met at once.
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
            thread.join(0.2)  # without a limit, Windows would not tell of Ctrl-C
    except KeyboardInterrupt:
        atexit.register(_leave)
        raise
    return future.result()


def _leave() -> None:
    """End the process before Python takes down what the other thread still works with."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(running.INTERRUPTED)
