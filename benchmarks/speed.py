"""Speed and memory of fit and decode, relative to the machine's matrix products in the same run.

Square float32 matrix products (sgemm) are timed before every measurement, in NumPy and in TensorFlow. A share is the
ratio of a speed to that of the fastest product at that moment; the median of the ratios is printed, so other load on
the machine, which slows both, hardly changes it. "of NumPy's" is the share of NumPy's fastest product, the only one
available to decode.

A step counts as 6 x weights x pixels: a multiply and an add in the forward product and in the two backward ones. The
first layer needs no gradient of its inputs, and decode evaluates it per column and row instead of per pixel; "needed
only" is the share without these products. A decoded pixel counts as 2 x weights.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from common import decoded, highest_resident_mb, machine, photograph_like, psnr, resident_mb, rgb_image, seconds, table
from PIL import Image
from sgemm import Sgemm
from steps import COLUMNS, Network, Work, fit_steps, measure_decode, measure_fit, pixels_per_step

import pillow_inr

SAMPLE = Path(__file__).parent.parent / "samples" / "kodim15.png"
# "psnr" comes first because it measures compiling, which later sections find done.
SECTIONS = ("psnr", "fit", "decode", "memory", "growth")
KODAK_SIZE = (768, 512)
LARGE_SIZE = (8192, 6144)
GROWTH_SIZES = ((384, 256), (768, 512), (1536, 1024), (3072, 2048))
GROWTH_WIDTHS = (32, 48, 64, 96, 128)
GROWTH_DEPTHS = (2, 3, 4, 5, 6, 8)


def main() -> None:
    arguments = _arguments()
    if arguments.child:
        _decode_in_child(arguments.child)
        return
    print(machine())
    import tensorflow  # noqa: F401  # before any clock starts

    sgemm = Sgemm()
    sgemm.measure()
    sgemm.seen.clear()  # the first products start threads
    image = rgb_image(arguments.image)
    sections = {
        "fit": lambda: _fit_section(sgemm, image, arguments),
        "decode": lambda: _decode_section(sgemm, arguments),
        "psnr": lambda: _psnr_section(image, arguments),
        "memory": lambda: _memory_section(arguments),
        "frequency_ratio": lambda: _growth_section(sgemm, arguments),
    }
    for name in SECTIONS:
        if name in arguments.only:
            sections[name]()
    if sgemm.seen:
        print("\n" + sgemm.summary())


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("image", type=Path, nargs="?", default=SAMPLE)
    parser.add_argument("--networks", type=Network.parse, nargs="+", default=[Network(48, 4), (64, 5), (96, 5)])
    parser.add_argument("--only", type=_sections, default=SECTIONS, help=f"of {','.join(SECTIONS)}")
    parser.add_argument("--steps", type=int, default=400, help="steps of a timed fit")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--psnr", type=_numbers, default=(27.0, 28.0, 29.0, 30.0), help="target PSNR in dB")
    parser.add_argument("--effort", type=int, default=3, help="efforts of the fits that should reach it")
    parser.add_argument(
        "--large", type=int, nargs=2, default=LARGE_SIZE, help="size of the image for the memory of decode"
    )
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    arguments.networks = [Network(*network) for network in arguments.networks]
    return arguments


def _sections(text: str) -> list[str]:
    names = text.split(",")
    unknown = set(names) - set(SECTIONS)
    if unknown:
        raise argparse.ArgumentTypeError(f"no such section: {', '.join(sorted(unknown))}")
    return names


def _numbers(text: str) -> list[float]:
    return [float(part) for part in text.split(",")]


def _fit_section(sgemm: Sgemm, image: Image.Image, arguments: argparse.Namespace) -> None:
    lines = []
    for network in arguments.networks:
        phases, data = measure_fit(sgemm, image, network, arguments.steps, arguments.rounds)
        for phase, figures in phases.items():
            lines.append([str(network), f"{Work.of(data).weights}", phase, *figures.cells(1000, ".2f")])
    header = ["network", "weights", "phase", "ms/step", *COLUMNS]
    print(f"\nFit, {pixels_per_step(image.size)} pixels a step, compiling left out\n\n" + table(header, lines))


def _decode_section(sgemm: Sgemm, arguments: argparse.Namespace) -> None:
    lines = []
    for network in arguments.networks:
        data = fit_steps(photograph_like(KODAK_SIZE), network, steps=1).data
        figures = measure_decode(sgemm, data, arguments.rounds)
        lines.append([str(network), f"{Work.of(data).weights}", *figures.cells(1, ".3f")])
    header = ["network", "weights", "seconds", *COLUMNS]
    print(f"\nDecode of {KODAK_SIZE[0]}x{KODAK_SIZE[1]}\n\n" + table(header, lines))


def _psnr_section(image: Image.Image, arguments: argparse.Namespace) -> None:
    lines = [_psnr_line(image, network, arguments) for network in arguments.networks]
    header = ["network", *(f"s to {target:g} dB" for target in arguments.psnr)]
    header += ["file dB", "file bytes", "s in all", "s to compile"]
    print(
        f"\nSeconds to a PSNR on {arguments.image.name} within fits of effort {arguments.effort}, by their progress "
        "(PSNR of the pixels of the last steps; that of the file includes all losses)\n\n" + table(header, lines)
    )


def _psnr_line(image: Image.Image, network: Network, arguments: argparse.Namespace) -> list[str]:
    cold = seconds(lambda: fit_steps(image, network, steps=1))
    warm = seconds(lambda: fit_steps(image, network, steps=1))
    reports: list[tuple[float, float]] = []
    start = time.perf_counter()

    def report(_step: int, _steps: int, psnr_db: float, _bpp: float) -> None:
        reports.append((time.perf_counter() - start, psnr_db))

    options = {"width": network.width, "depth": network.depth, "effort": arguments.effort}
    data = pillow_inr.encode(image, **options, progress=report)
    total = time.perf_counter() - start
    passed = [_first_time(reports, target) for target in arguments.psnr]
    reached = psnr(np.asarray(image), decoded(data))
    return [str(network), *passed, f"{reached:.2f}", f"{len(data)}", f"{total:.1f}", f"{cold - warm:.1f}"]


def _first_time(reports: Iterable[tuple[float, float]], target: float) -> str:
    return next((f"{time:.1f}" for time, psnr_db in reports if psnr_db >= target), "-")


def _memory_section(arguments: argparse.Namespace) -> None:
    width, height = arguments.large
    lines = []
    for network in arguments.networks:
        data = fit_steps(photograph_like((width, height)), network, steps=1).data
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "large.inr"
            path.write_bytes(data)
            command = [sys.executable, __file__, "--child", str(path)]
            done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
        figures = json.loads(done.stdout)
        extra = figures["peak_mb"] - figures["before_mb"] - figures["output_mb"]
        cells = [figures["seconds"], figures["output_mb"], figures["before_mb"], extra]
        lines.append([str(network), *(f"{value:.0f}" for value in cells)])
    header = ["network", "seconds", "output MB", "MB before", "peak MB above both"]
    print(f"\nDecode of {width}x{height} in a process of its own\n\n" + table(header, lines))


def _decode_in_child(path: Path) -> None:
    """Decode a file and print time and memory as JSON."""
    Image.MAX_IMAGE_PIXELS = None
    data = path.read_bytes()
    before = resident_mb()
    start = time.perf_counter()
    pixels = pillow_inr.decode(data)
    figures = {
        "seconds": time.perf_counter() - start,
        "output_mb": pixels.nbytes / 2**20,
        "before_mb": before,
        "peak_mb": highest_resident_mb(),
    }
    print(json.dumps(figures))


def _growth_section(sgemm: Sgemm, arguments: argparse.Namespace) -> None:
    """Grow one dimension at a time, from width 64, depth 5 and 768x512."""
    middle = Network(64, 5)
    sweeps = {
        "pixels": [(size, middle) for size in GROWTH_SIZES],
        "width": [(KODAK_SIZE, Network(width, middle.depth)) for width in GROWTH_WIDTHS],
        "depth": [(KODAK_SIZE, Network(middle.width, depth)) for depth in GROWTH_DEPTHS],
    }
    header = ["image", "network", "weights", "ms/step", "share", "decode s", "share"]
    for name, cases in sweeps.items():
        lines = [_growth_line(sgemm, size, network, arguments) for size, network in cases]
        print(f"\nGrowth with {name} (steps with rounded weights)\n\n" + table(header, lines), flush=True)


def _growth_line(sgemm: Sgemm, size: tuple[int, int], network: Network, arguments: argparse.Namespace) -> list[str]:
    image = photograph_like(size)
    phases, data = measure_fit(sgemm, image, network, arguments.steps, arguments.rounds)
    step = phases["rate"]
    decode = measure_decode(sgemm, data, arguments.rounds)
    return [
        f"{size[0]}x{size[1]}",
        str(network),
        f"{Work.of(data).weights}",
        f"{1000 * step.seconds:.2f}",
        f"{100 * step.share:.0f} %",
        f"{decode.seconds:.3f}",
        f"{100 * decode.share:.0f} %",
    ]


if __name__ == "__main__":
    main()
