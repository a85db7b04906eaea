"""`pillow-inr learn`."""

import io
import math
import random
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console

from ..errors import BackendError
from ..imaging.orientation import upright
from ..inputs import finding, sources
from ..inputs.finding import Item
from ..inputs.sources import FILE_ERRORS
from ..models.siren.plan import DEFAULT_DEPTH, make_plan
from ..options import ENCODINGS, EncodeOptions
from ..runtime.native_log import capture_native_stderr
from . import bars, files, fitting, running
from .files import Outputs
from .running import Run

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@click.command(
    short_help="Learn initial weights from a folder of images.",
    epilog="Example: pillow-inr learn photos -o photos.npz --width 48 --time-limit 3600",
)
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("-o", "--out", metavar="FILE", required=True, help="Output file, .npz.")
@files.output_options
@click.option("-q", "--quality", type=int, default=15, show_default=True, help="Quality for which the width is chosen.")
@click.option("-w", "--width", type=int, help="Units of each sine layer.  [default: from quality and size]")
@click.option("-d", "--depth", type=int, help=f"Number of sine layers.  [default: {DEFAULT_DEPTH}]")
@click.option(
    "--encoding",
    type=click.Choice(ENCODINGS),
    default=ENCODINGS[0],
    show_default=True,
    help="Input of the network; none for plain coordinates.",
)
@click.option("--steps", type=click.IntRange(1), default=60, show_default=True, help="Optimizer steps of each fit.")
@click.option("--rounds", type=click.IntRange(1), default=1000, show_default=True, help="Number of fits.")
@click.option("--time-limit", type=click.FloatRange(0, min_open=True), metavar="SECONDS", help="Stop after this time.")
@click.option(
    "--seed", type=click.IntRange(0, 2**31 - 1), default=EncodeOptions.seed, show_default=True, help="Random seed."
)
@click.option("--device", metavar="NAME", help="TensorFlow device, such as CPU:0.  [default: first GPU, else CPU]")
def learn(
    folder: Path,
    out: str,
    force: bool,
    steps: int,
    rounds: int,
    time_limit: float | None,
    seed: int,
    device: str | None,
    quiet: bool,
    **keywords: Any,
) -> None:
    """Learn initial weights for 'encode --init' from a FOLDER of images like those to be encoded, also in subfolders.

    The weights are for one network shape and RGB images. They help fits of fewer than about a hundred steps.
    """
    options = fitting.checked(keywords)
    item = Item.named(folder if folder.name else folder.resolve())
    outputs = Outputs(out, ".npz", [item], force, endings=[".npz"])
    console = running.console(quiet)
    run = Run.of(item)
    images = Run(finding.find([str(folder)], finding.PICTURES))

    def learn_from(item: Item) -> None:
        target = outputs.target(item)
        sizes = _sizes(images)
        sides = [max(size) for size in sizes.values()]
        # The image of median size decides what the options leave open.
        size = sorted(sizes.values(), key=math.prod)[len(sizes) // 2]
        plan = make_plan(options, size, channels=3)
        shown = Console(stderr=True, quiet=quiet or not console.is_terminal)
        with bars.bar("learning", shown, unit="rounds") as report, capture_native_stderr():
            initialization = fitting.in_background(
                lambda: _learning().learn(
                    _endless(images, list(sizes), seed),
                    plan.header.architecture(channels=3),
                    max(sides),
                    steps=steps,
                    rounds=rounds,
                    time_limit=time_limit,
                    seed=seed,
                    device=device,
                    report=report,
                )
            )
        stream = io.BytesIO()
        initialization.save(stream)
        outputs.write(target, stream.getvalue(), item)
        console.print(
            f"{files.shown(target)}  {plan.width}×{plan.depth}  {initialization.identity.hex()}  "
            f"{stream.tell():,} bytes"
        )

    run.each(learn_from)
    if images.done or images.failed:
        console.print(images.summary("learned from"))
    run.failed += images.failed
    run.exit()


def _learning() -> ModuleType:
    try:
        from ..models.siren.training import meta_learning as learning
    except ImportError as error:
        raise BackendError(f"learning needs Keras on TensorFlow, which cannot be imported here: {error}") from error
    return learning


def _sizes(images: Run) -> dict[Path, tuple[int, int]]:
    """Width and height of each image that can be opened; the others are reported."""
    if not any(item.is_file for item in images.items):
        raise OSError(f"no image in this folder; {images.skipped.summary()}")
    sizes: dict[Path, tuple[int, int]] = {}
    images.each(lambda item: sizes.update({item.source: sources.size(item.source)}))
    if not sizes:
        raise OSError("no image that Pillow can open in this folder")
    return sizes


def _endless(images: Run, paths: list[Path], seed: int) -> "Iterator[NDArray[np.uint8]]":
    """RGB pixels of the upright images, endlessly, in a new order in each round.

    An image that turns out to be damaged is reported, counted as failed, and left out from then on.
    """
    import numpy as np

    order = random.Random(seed)
    while paths:
        for path in order.sample(paths, len(paths)):
            try:
                pixels = np.asarray(upright(sources.load(path)).convert("RGB"))
            except FILE_ERRORS as error:
                running.complain(path, error)
                paths.remove(path)
                images.done, images.failed = images.done - 1, images.failed + 1
            else:
                yield pixels
    raise OSError("no image in this folder can be read")
