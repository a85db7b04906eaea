"""COIN and Strümpler et al.'s pipeline, each for a bounded time, beside pillow_inr on the same image.

The baselines' full schedules take hours on a CPU, so their time is extrapolated: the median step here times the
steps of the schedule. The PSNR that the schedule reaches is the authors' published mean over the 24 images of Kodak.
With --folder, pillow_inr must reach that mean over a folder of images.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from adaround import ADAROUND_ITERATIONS
from baseline_methods import COIN_STEPS, STRUMPLER_STEPS, Outcome, coin, strumpler
from common import decoded, image_paths, machine, psnr, rgb_image, table
from PIL import Image

import pillow_inr


class Ours(NamedTuple):
    """Results of pillow_inr, means over images."""

    name: str
    seconds: float
    psnr: float
    bpp: float


def main() -> None:
    arguments = _arguments()
    image = rgb_image(arguments.image)
    pixels = np.asarray(image)
    print(f"{machine()}; {arguments.image.name}, {image.width}x{image.height}", flush=True)
    outcomes = []
    if "coin" in arguments.methods:
        for width, layers in arguments.coin:
            steps = arguments.steps or COIN_STEPS
            outcomes.append(coin(pixels, width=width, layers=layers, seconds=arguments.seconds, steps=steps))
    if "strumpler" in arguments.methods:
        for width in arguments.strumpler:
            steps = arguments.steps or STRUMPLER_STEPS
            bits = arguments.bits
            outcomes.append(strumpler(pixels, width=width, bits=bits, seconds=arguments.seconds, steps=steps))
    images = [rgb_image(path) for path in image_paths(arguments.folder)] if arguments.folder else [image]
    shapes = {each.size: each for each in (image, *images)}
    _fit_all(list(shapes.values()), {"quality": arguments.quality, "steps": 1})  # compiles
    beside = _fit_all([image], {"quality": arguments.quality, "time_limit": arguments.seconds})
    print(
        f"\nThe same image, {arguments.seconds:g} s each, compiling left out\n\n{_table(outcomes, beside)}", flush=True
    )
    for outcome in outcomes:
        # A PSNR that a baseline reached here holds for this image alone.
        alone = outcome.finished and arguments.target is None
        print("\n" + _comparison(outcome, [image] if alone else images, arguments), flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("image", type=Path)
    parser.add_argument("--seconds", type=float, default=60, help="time limit of each method")
    parser.add_argument("--steps", type=int, help="end the baselines after this number of steps, if that is sooner")
    parser.add_argument("--methods", nargs="+", choices=["coin", "strumpler"], default=["coin", "strumpler"])
    parser.add_argument("--coin", type=_size, nargs="+", default=[(28, 10)], metavar="WIDTHxLAYERS")
    parser.add_argument("--strumpler", type=int, nargs="+", default=[48], metavar="WIDTH")
    parser.add_argument("--bits", type=int, choices=[7, 8], default=8, help="bits per weight of Strümpler et al.")
    parser.add_argument("--quality", type=int, default=50, help="quality of pillow_inr")
    parser.add_argument("--max-effort", type=int, choices=range(10), default=6, help="highest effort to try")
    parser.add_argument(
        "--target", type=float, help="PSNR in dB that pillow_inr must reach; by default the published one"
    )
    parser.add_argument("--folder", type=Path, help="images over whose mean pillow_inr must reach it")
    return parser.parse_args()


def _size(text: str) -> tuple[int, int]:
    width, layers = text.split("x")
    return int(width), int(layers)


def _fit_all(images: Sequence[Image.Image], options: dict[str, Any]) -> Ours:
    rows = []
    for image in images:
        start = time.perf_counter()
        data = pillow_inr.encode(image, **options)
        elapsed = time.perf_counter() - start
        rows.append((elapsed, psnr(np.asarray(image), decoded(data)), 8 * len(data) / (image.width * image.height)))
    name = " ".join(["pillow_inr", *(f"{name} {value:g}" for name, value in options.items())])
    return Ours(name, *map(float, np.mean(rows, axis=0)))


def _table(outcomes: Sequence[Outcome], beside: Ours) -> str:
    header = ["method", "steps", "s/step", "XLA", "AdaRound", "PSNR dB", "bpp", "full schedule", "published mean dB"]
    lines = []
    for outcome in outcomes:
        steps = f"{outcome.steps} of {outcome.schedule_steps}"
        xla = "yes" if outcome.compiled else "no"
        adaround = "-"
        if outcome.adaround_iterations is not None:
            adaround = f"{outcome.adaround_iterations} of {ADAROUND_ITERATIONS}"
        cells = [f"{outcome.step_seconds:.3f}", xla, adaround, f"{outcome.psnr:.2f}", f"{outcome.bpp:.3f}"]
        published = "-" if outcome.published is None else f"{outcome.published:.2f}"
        lines.append([outcome.name, steps, *cells, _duration(outcome.schedule_seconds), published])
    ours = [f"{beside.psnr:.2f}", f"{beside.bpp:.3f}", _duration(beside.seconds)]
    return table(header, [*lines, [beside.name, "-", "-", "yes", "-", *ours, "-"]])


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _comparison(outcome: Outcome, images: Sequence[Image.Image], arguments: argparse.Namespace) -> str:
    """Wall time to the PSNR of a baseline's full schedule: of the baseline, of pillow_inr, and their ratio."""
    target, source = _target(outcome, arguments.target)
    if target is None:
        return f"{outcome.name}: no published PSNR of this size; give --target"
    schedule = (
        f"{outcome.name}: {outcome.schedule_steps} steps x {outcome.step_seconds:.3f} s = "
        f"{_duration(outcome.schedule_seconds)} "
        f"({'run in full' if outcome.finished else f'extrapolated from {outcome.steps} steps'}) "
        f"for {target:.2f} dB ({source}) at {outcome.bpp:.3f} bpp."
    )
    over = f"mean of {len(images)} images" if len(images) > 1 else arguments.image.name
    ours = _first_to_reach(images, target, arguments)
    if ours.psnr < target:
        return f"{schedule}\n{ours.name} ({over}): {ours.psnr:.2f} dB only, at {ours.bpp:.3f} bpp."
    ratio = outcome.schedule_seconds / ours.seconds
    return (
        f"{schedule}\n{ours.name} ({over}): {ours.psnr:.2f} dB at {ours.bpp:.3f} bpp in {ours.seconds:.1f} s: "
        f"{ratio:,.0f} times less wall time, {100 * (ours.bpp / outcome.bpp - 1):+.0f} % bytes."
    )


def _target(outcome: Outcome, given: float | None) -> tuple[float | None, str]:
    if given is not None:
        return given, "as given"
    if outcome.finished:
        return outcome.psnr, "reached here"
    return outcome.published, "published mean over Kodak"


def _first_to_reach(images: Sequence[Image.Image], target: float, arguments: argparse.Namespace) -> Ours:
    """Fits of the lowest effort that reaches a PSNR, or of the highest effort if none does."""
    for effort in range(arguments.max_effort + 1):
        ours = _fit_all(images, {"quality": arguments.quality, "effort": effort})
        if ours.psnr >= target:
            break
    return ours


if __name__ == "__main__":
    main()
