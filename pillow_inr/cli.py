"""The command `pillow-inr`: encode, decode, info, learn. Opens files, prints, sets the exit code; nothing else."""

import io
import math
import random
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

import click
from PIL import Image, ImageOps
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from . import __version__, api, metrics, plugin, progress
from .architecture import Architecture
from .config import EFFORT_SECONDS, ENCODINGS, EncodeOptions, make_plan
from .container import DEPTH_MAX, WIDTH_MAX
from .errors import BackendError, FitError
from .native_log import held_back

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# What a single file can fail with; anything else is a defect of ours and shows its traceback.
_FILE_ERRORS = (OSError, ValueError, BackendError, FitError, MemoryError)
_PATHS = click.Path(path_type=Path)

_Command = TypeVar("_Command", bound=Callable[..., None])


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Example: pillow-inr encode photo.png && pillow-inr decode photo.inr -o copy.png",
)
@click.version_option(__version__, prog_name="pillow-inr")
def main() -> None:
    """Store images as small neural networks (.inr files), and get them back.

    Each COMMAND has a --help of its own. Encoding fits a network to the image and takes seconds to minutes;
    decoding a fraction of a second a megapixel.
    """


def _encode_options(command: _Command) -> _Command:
    """The options of an encode, in the order of their help."""
    for option in reversed(
        (
            click.option("-q", "--quality", type=int, help="1 (small) to 100 (good).  [default: 50]"),
            click.option("--target-bytes", type=int, metavar="BYTES", help="Never exceed this size, and come near it."),
            click.option("--bpp", type=float, help="The same in bits per pixel."),
            click.option("--psnr", type=float, metavar="DB", help="Reach this PSNR, in up to four fits."),
            click.option(
                "-e",
                "--effort",
                type=int,
                help=f"0 (seconds) to {len(EFFORT_SECONDS) - 1} (minutes): how long to fit.  [default: 5]",
            ),
            click.option(
                "-w",
                "--width",
                type=int,
                help=f"Units of each sine layer, 1 to {WIDTH_MAX}.  [default: from quality and size]",
            ),
            click.option("-d", "--depth", type=int, help=f"Sine layers, 1 to {DEPTH_MAX}.  [default: 4]"),
            click.option("--encoding", type=click.Choice(ENCODINGS), default="fourier", show_default=True),
            click.option("--init", type=_PATHS, metavar="FILE", help="Start from weights that 'learn' wrote."),
            click.option("--steps", type=int, help="Optimizer steps, instead of those of the effort."),
            click.option("--time-limit", type=float, metavar="SECONDS", help="Time to take, instead of an effort."),
            click.option("--seed", type=int, default=0, show_default=True, help="Makes a fit repeatable."),
            click.option("--device", help="TensorFlow device, such as CPU:0 or GPU:0."),
        )
    ):
        command = option(command)
    return command


@main.command(epilog="Example: pillow-inr encode *.png --out small --width 48 --depth 4")
@click.argument("inputs", nargs=-1, required=True, type=_PATHS)
@click.option("-o", "--out", type=_PATHS, help="Output file, or folder.  [default: beside the input]")
@click.option("-f", "--force", is_flag=True, help="Overwrite files that exist.")
@click.option("--quiet", is_flag=True, help="Print errors only.")
@_encode_options
def encode(inputs: tuple[Path, ...], out: Path | None, force: bool, quiet: bool, **keywords: Any) -> None:
    """Encode images, of any format that Pillow opens, to .inr files."""
    try:
        options = EncodeOptions.from_keywords(keywords)
    except (OSError, ValueError) as error:
        raise click.UsageError(str(error)) from error
    if options.init is not None:
        api.register_initialization(options.init)  # to decode what it was used for
    console = Console(stderr=True, quiet=quiet, highlight=False)

    def encode_one(source: Path, target: Path) -> None:
        image = _load(source)
        start = time.perf_counter()
        bar = progress.bar(source.name, console, transient=console.is_terminal)
        with bar as show, held_back(), warnings.catch_warnings(record=True) as notes:
            warnings.simplefilter("always", UserWarning)
            data = api.encode(image, **{**vars(options), "progress": show})
        seconds = time.perf_counter() - start
        for note in notes:
            console.print(f"{escape(str(source))}: {note.message}", style="yellow", soft_wrap=True)
        api.write_atomically(target, data)
        rate = metrics.bits_per_pixel(len(data), *image.size)
        psnr = Image.open(io.BytesIO(data)).info["psnr"]
        figures = f"{len(data):,} bytes  {rate:.3f} bpp  {psnr:.2f} dB  {seconds:.1f} s"
        console.print(f"{escape(str(target))}  {figures}", soft_wrap=True)

    _for_each(inputs, out, ".inr", force, encode_one)


@main.command(epilog="Example: pillow-inr decode photo.inr -o photo.png")
@click.argument("inputs", nargs=-1, required=True, type=_PATHS)
@click.option(
    "-o",
    "--out",
    type=_PATHS,
    help="Output file (its ending names the format), or folder.  [default: NAME.png]",
)
@click.option("-f", "--force", is_flag=True, help="Overwrite files that exist.")
@click.option("--init", multiple=True, type=_PATHS, metavar="FILE", help="Initialization that the inputs name.")
@click.option("--quiet", is_flag=True, help="Print errors only.")
def decode(inputs: tuple[Path, ...], out: Path | None, force: bool, init: tuple[Path, ...], quiet: bool) -> None:
    """Decode .inr files to PNG, or to any format that Pillow writes."""
    try:
        for path in init:
            api.register_initialization(path)
    except (OSError, ValueError) as error:
        raise click.UsageError(str(error)) from error
    console = Console(stderr=True, quiet=quiet, highlight=False)

    def decode_one(source: Path, target: Path) -> None:
        if target.suffix.lower() == plugin.EXTENSION:
            raise OSError(f"{target} would be fitted anew: use encode for that")
        image = _load(source, [plugin.FORMAT])
        file_format = Image.registered_extensions().get(target.suffix.lower())
        if file_format is None:
            raise OSError(f"Pillow knows no format with the ending {target.suffix!r} of {target}")
        stream = io.BytesIO()
        image.save(stream, file_format)
        api.write_atomically(target, stream.getvalue())
        console.print(f"{escape(str(target))}  {image.width}×{image.height} {image.mode}", soft_wrap=True)

    _for_each(inputs, out, ".png", force, decode_one)


@main.command()
@click.argument("inputs", nargs=-1, required=True, type=_PATHS)
def info(inputs: tuple[Path, ...]) -> None:
    """Show what .inr files hold, without decoding them."""
    table = Table("file", "size", "mode", "network", "encoding", box=None, pad_edge=False)
    for heading in ("weights", "bytes", "bpp"):
        table.add_column(heading, justify="right")

    def row(source: Path) -> None:
        header = api.read_header(source)
        facts = plugin.facts(header, ())
        table.add_row(
            escape(str(source)),
            f"{header.size[0]}×{header.size[1]}",
            plugin.mode_of(header),
            f"{facts['model']} {header.width}×{header.depth}",
            facts["encoding"],
            f"{facts['weights']:,}",
            f"{header.file_bytes:,}",
            f"{facts['bits_per_pixel']:.3f}",
        )

    failed = _count_failures(inputs, row)
    if table.row_count:
        # As wide as it is where no terminal sets a limit, so that grep finds whole names.
        Console(highlight=False, width=None if sys.stdout.isatty() else 1000).print(table)
    sys.exit(1 if failed else 0)


@main.command(epilog="Example: pillow-inr learn photos -o photos.npz --width 48 --time-limit 3600")
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("-o", "--out", type=_PATHS, required=True, help="Output file, .npz.")
@click.option("-f", "--force", is_flag=True, help="Overwrite a file that exists.")
@click.option("-q", "--quality", type=int, default=50, show_default=True, help="Chooses the width, as for encode.")
@click.option("-w", "--width", type=int, help="Units of each sine layer.  [default: from quality and size]")
@click.option("-d", "--depth", type=int, help="Sine layers.  [default: 4]")
@click.option("--encoding", type=click.Choice(ENCODINGS), default="fourier", show_default=True)
@click.option("--steps", type=click.IntRange(1), default=60, show_default=True, help="Optimizer steps of each fit.")
@click.option("--rounds", type=click.IntRange(1), default=1000, show_default=True, help="Fits to learn from.")
@click.option("--time-limit", type=click.FloatRange(0, min_open=True), metavar="SECONDS", help="End after this time.")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True)
@click.option("--device", help="TensorFlow device, such as CPU:0 or GPU:0.")
@click.option("--quiet", is_flag=True, help="Print errors only.")
def learn(
    folder: Path,
    out: Path,
    force: bool,
    steps: int,
    rounds: int,
    time_limit: float | None,
    seed: int,
    device: str | None,
    quiet: bool,
    **keywords: Any,
) -> None:
    """Learn initial weights, for 'encode --init', from a FOLDER of images like those to be encoded.

    The weights suit one network on RGB images. They help fits of fewer than about a hundred steps.
    """
    try:
        options = EncodeOptions.from_keywords(keywords)
    except ValueError as error:
        raise click.UsageError(str(error)) from error

    def learn_to(target: Path) -> None:
        if target.exists() and not force:
            raise FileExistsError(f"{target} exists: --force overwrites it")
        api.check_writable(target)
        paths = _images_in(folder)
        sides = [max(size) for size in paths.values()]
        # The middle one decides what the options leave open.
        size = sorted(paths.values(), key=math.prod)[len(paths) // 2]
        plan = make_plan(options, size, channels=3)
        architecture = Architecture(
            width=plan.width, depth=plan.depth, channels=3, frequencies=plan.frequencies, growth=plan.growth
        )
        console = Console(stderr=True, quiet=quiet, highlight=False)
        with progress.bar("learning", console, transient=console.is_terminal, unit="rounds") as report, held_back():
            initialization = _learning().learn(
                _endless(list(paths), seed),
                architecture,
                max(sides),
                steps=steps,
                rounds=rounds,
                time_limit=time_limit,
                seed=seed,
                device=device,
                report=report,
            )
        stream = io.BytesIO()
        initialization.save(stream)
        api.write_atomically(target, stream.getvalue())
        console.print(
            f"{escape(str(target))}  {plan.width}×{plan.depth}  {initialization.identity.hex()}  "
            f"{stream.tell():,} bytes",
            soft_wrap=True,
        )

    sys.exit(1 if _count_failures((out,), learn_to) else 0)


def _learning() -> ModuleType:
    try:
        from . import learn as learning
    except ImportError as error:
        raise BackendError(f"learning needs Keras on TensorFlow, which cannot be imported here: {error}") from error
    return learning


def _images_in(folder: Path) -> dict[Path, tuple[int, int]]:
    """Images in a folder that Pillow can open, and their sizes."""
    sizes = {}
    for path in sorted(folder.iterdir()):
        try:
            with Image.open(path) as image:
                sizes[path] = image.size
        except (OSError, ValueError):
            continue
    if not sizes:
        raise OSError(f"no image that Pillow can open in {folder}")
    return sizes


def _endless(paths: list[Path], seed: int) -> "Iterator[NDArray[np.uint8]]":
    """The images' RGB pixels, in another order each time round."""
    import numpy as np

    order = random.Random(seed)
    while True:
        for path in order.sample(paths, len(paths)):
            yield np.asarray(_load(path).convert("RGB"))


def _load(source: Path, formats: list[str] | None = None) -> Image.Image:
    """The pixels of a file, turned upright."""
    try:
        with Image.open(source, formats=formats) as image:
            image.load()
            # An .inr file does not hold EXIF data yet, so the orientation must be in the pixels.
            return ImageOps.exif_transpose(image)
    except OSError:
        raise
    except Exception as error:  # Pillow's plugins raise whatever they like on damaged files
        raise OSError(f"cannot be read: {error}") from error


def _for_each(
    inputs: tuple[Path, ...], out: Path | None, suffix: str, force: bool, work: Callable[[Path, Path], None]
) -> None:
    """Do the work on every input; a file that fails is reported, the others go on; exit code 1 if any failed."""
    if out is not None and len(inputs) > 1 and out.suffix.lower() in Image.registered_extensions():
        raise click.UsageError(f"--out must be a folder for several inputs, got {out}")
    into_folder = out is not None and (out.is_dir() or len(inputs) > 1)
    written: set[Path] = set()

    def one(source: Path) -> None:
        target = source.with_suffix(suffix) if out is None else out
        if out is not None and into_folder:
            out.mkdir(parents=True, exist_ok=True)
            target = out / source.with_suffix(suffix).name
        if target.exists() and source.exists() and target.samefile(source):
            raise FileExistsError("this is the input itself: name another --out")
        if target in written:
            raise FileExistsError(f"{target} was made from another input just now")
        if target.exists() and not force:
            raise FileExistsError(f"{target} exists: --force overwrites it")
        api.check_writable(target)
        work(source, target)
        written.add(target)

    sys.exit(1 if _count_failures(inputs, one) else 0)


def _count_failures(inputs: tuple[Path, ...], work: Callable[[Path], None]) -> int:
    """Do the work on every input and print what went wrong."""
    failed = 0
    for source in inputs:
        try:
            work(source)
        except _FILE_ERRORS as error:
            failed += 1
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            click.secho(f"pillow-inr: {source}: {reason}", err=True, fg="red")
    return failed
