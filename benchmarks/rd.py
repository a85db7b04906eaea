"""Rate and distortion of pillow_inr and of classical codecs on a folder of images: a CSV, tables, BD-rates, a plot.

Each row is written to the CSV at once. With --resume a run continues where it was stopped, or adds another sweep of
pillow_inr under its own label. The classical codecs come first, then pillow_inr; nothing runs beside what is timed.
"""

import argparse
import csv
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import rd_report
from codecs_pillow import CODECS
from common import decoded, image_paths, machine, psnr, rgb_image, seconds
from numpy.typing import NDArray
from PIL import Image
from rd_report import Row

import pillow_inr
from pillow_inr.report import compare
from pillow_inr.report.compare import Codec

OURS = "pillow_inr"
# An encoder that takes longer than this, in seconds, runs once; a faster one three times, of which the best counts.
BRIEF = 0.3
# MS-SSIM halves the image four times, and its window of 11 pixels must fit into the last. It takes hundreds of bytes a
# pixel.
MS_SSIM_SIDE_MIN = 11 * 2**4
MS_SSIM_PIXELS_MAX = 1 << 21

T = TypeVar("T")
Key = tuple[str, str, str]
"""Label, setting and image, which identify a row of the CSV."""


class Original(NamedTuple):
    """An image to be coded."""

    path: Path
    halved: bool

    @property
    def name(self) -> str:
        return f"{self.path.name}/2" if self.halved else self.path.name

    def read(self) -> Image.Image:
        image = rgb_image(self.path)
        return image.reduce(2) if self.halved else image


def main() -> None:
    arguments = _arguments()
    print(machine())
    arguments.output.mkdir(parents=True, exist_ok=True)
    path = arguments.output / "rd.csv"
    if not arguments.report_only:
        _measure(arguments, path)
    rd_report.report(path, arguments.anchors, arguments.anchor_names, tuple(arguments.window))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", help="images; not needed with --report-only")
    parser.add_argument("--output", type=Path, default=Path("build/rd"), help="folder of rd.csv and rd.png")
    parser.add_argument(
        "--resume", action="store_true", help="keep the rows of an existing CSV and add what is missing"
    )
    parser.add_argument("--report-only", action="store_true", help="tables and plot of an existing CSV")
    names = [codec.name for codec in CODECS]
    parser.add_argument("--halved", action="store_true", help="images of half the width and height")
    parser.add_argument("--codecs", nargs="+", choices=[*names, OURS], default=[*names, OURS])
    parser.add_argument("--every", type=int, default=1, metavar="N", help="every Nth setting of the classical codecs")
    ours = parser.add_argument_group(OURS)
    ours.add_argument(
        "--qualities",
        type=_integers,
        default=[10, 20, 30, 40, 50, 60, 70, 80],
        help="comma-separated, such as 20,35,50",
    )
    ours.add_argument("--model", choices=["auto", "siren", "pyramid"], default="auto")
    ours.add_argument("--effort", type=int)
    ours.add_argument("--steps", type=int)
    ours.add_argument("--time-limit", type=float)
    ours.add_argument(
        "--compiled", action="store_true", help="make two steps first, so that seconds are without compiling"
    )
    ours.add_argument("--label", help="name of this sweep in tables and plot; by default from the options")
    report = parser.add_argument_group("report")
    report.add_argument("--anchors", type=Path, nargs="+", default=[], help="JSON of published curves, by name")
    report.add_argument("--anchor-names", nargs="+", default=rd_report.ANCHOR_NAMES, metavar="NAME")
    report.add_argument("--window", type=float, nargs=2, default=(27.0, 40.0), help="PSNR range of BD-rates in dB")
    arguments = parser.parse_args()
    if not (arguments.folder or arguments.report_only):
        parser.error("the folder of images is missing")
    return arguments


def _integers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def _measure(arguments: argparse.Namespace, path: Path) -> None:
    if path.exists() and not arguments.resume:
        sys.exit(f"{path} exists: give --resume to add to it, or another --output")
    import tensorflow  # noqa: F401  # before any clock starts

    done = {_key(row) for row in rd_report.read_rows(path)} if path.exists() else set()
    images = [Original(path, arguments.halved) for path in image_paths(arguments.folder)]
    for codec in CODECS:
        if codec.name in arguments.codecs:
            _write(path, _classical_rows(replace(codec, values=codec.values[:: arguments.every]), images, done))
    if OURS in arguments.codecs:
        _write(path, _our_rows(arguments, images, done))


def _key(row: Row) -> Key:
    return row.label, row.setting, row.image


def _write(path: Path, rows: Iterator[Row]) -> None:
    """Append rows to the CSV, each as soon as it is made."""
    with path.open("a", newline="") as file:
        writer = csv.writer(file)
        if not file.tell():
            writer.writerow(Row._fields)
        for row in rows:
            writer.writerow(row)
            file.flush()
            print(
                f"{row.label:<24} {row.image:<16}{row.setting:<24}{row.bpp:>8.4f} bpp{row.psnr:>8.2f} dB"
                f"{row.encode_seconds:>9.3f} s{row.encode_cpu_seconds:>9.2f} s CPU{row.decode_seconds:>8.3f} s",
                flush=True,
            )


def _classical_rows(codec: Codec, images: list[Original], done: set[Key]) -> Iterator[Row]:
    for original in images:
        for value in codec.values:
            if (codec.label, codec.setting(value), original.name) not in done:
                encode = partial(compare.save, codec=codec, value=value)
                yield _row(codec.name, codec.label, codec.setting(value), original, encode, runs=3)


def _our_rows(arguments: argparse.Namespace, images: list[Original], done: set[Key]) -> Iterator[Row]:
    """One fit per row. Its seconds include compiling if the shape is new, unless --compiled is given."""
    given = {"effort": arguments.effort, "steps": arguments.steps, "time_limit": arguments.time_limit}
    numbers = {name: value for name, value in given.items() if value is not None}
    label = arguments.label or _default_label(arguments.model, numbers)
    for original in images:
        for quality in arguments.qualities:
            setting = " ".join(f"{name}={value:g}" for name, value in {"quality": quality, **numbers}.items())
            if (label, setting, original.name) not in done:
                encode = partial(pillow_inr.encode, quality=quality, model=arguments.model, **numbers)
                if arguments.compiled:
                    encode(original.read(), steps=2)
                yield _row(OURS, label, setting, original, encode, runs=1)


def _default_label(model: str, numbers: dict[str, float]) -> str:
    units = {"effort": "effort {:g}", "steps": "{:g} steps", "time_limit": "{:g} s"}
    return " ".join([OURS, model, *(units[name].format(value) for name, value in numbers.items())])


def _row(
    codec: str, label: str, setting: str, original: Original, encode: Callable[[Image.Image], bytes], *, runs: int
) -> Row:
    image = original.read()
    pixels = np.asarray(image)
    before = time.process_time()
    data, encode_seconds, encodes = _timed(lambda: encode(image), runs)
    encode_cpu_seconds = (time.process_time() - before) / encodes
    result, decode_seconds, _ = _timed(lambda: decoded(data), 3)
    return Row(
        codec=codec,
        label=label,
        setting=setting,
        image=original.name,
        width=image.width,
        height=image.height,
        bytes=len(data),
        bpp=8 * len(data) / (image.width * image.height),
        psnr=psnr(pixels, result),
        ms_ssim=_ms_ssim(pixels, result),
        encode_seconds=encode_seconds,
        encode_cpu_seconds=encode_cpu_seconds,
        decode_seconds=decode_seconds,
    )


def _timed(function: Callable[[], T], runs: int) -> tuple[T, float, int]:
    """A result, the shortest wall time of several calls, or of one call if that is long, and the number of calls."""
    results: list[T] = []
    times: list[float] = []
    while not times or (len(times) < runs and times[0] < BRIEF):
        times.append(seconds(lambda: results.append(function())))
    return results[-1], min(times), len(times)


def _ms_ssim(reference: NDArray[np.uint8], result: NDArray[np.uint8]) -> float:
    """TensorFlow's multi-scale SSIM of RGB, the mean over channels; NaN if the image is too small or too large."""
    if min(reference.shape[:2]) < MS_SSIM_SIDE_MIN or reference[..., 0].size > MS_SSIM_PIXELS_MAX:
        return float("nan")
    import tensorflow as tf

    return float(tf.image.ssim_multiscale(tf.constant(reference), tf.constant(result), 255))


if __name__ == "__main__":
    main()
