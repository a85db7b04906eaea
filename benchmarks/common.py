"""Shared by the benchmarks: description of the machine, images, PSNR, clocks, memory, tables, JPEG of a given size."""

import io
import os
import platform
import statistics
import sys
import threading
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pillow_inr.report import compare

IMAGE_SUFFIXES = {".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"}


def machine() -> str:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    names = ("tensorflow", "keras", "numpy", "pillow", "constriction")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    return f"{cores} cores, {platform.machine()}, Python {platform.python_version()}, {versions}"


def image_paths(folder: Path) -> list[Path]:
    """The images of a folder, sorted by name."""
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
    if not paths:
        raise SystemExit(f"{folder}: no images")
    return paths


def rgb_image(path: Path) -> Image.Image:
    with Image.open(path) as opened:
        return opened.convert("RGB")


def photograph_like(size: tuple[int, int]) -> Image.Image:
    """Draw smooth colours with some texture, of any size, in little memory."""
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 256, (48, 64, 3), dtype=np.uint8))
    return coarse.resize(size, Image.Resampling.BICUBIC)


def psnr(reference: NDArray[np.uint8], decoded: NDArray[np.uint8]) -> float:
    mse = np.mean((reference.astype(np.float64) - decoded) ** 2)
    return float(10 * np.log10(255**2 / mse)) if mse else float("inf")


def jpeg_of_size(image: Image.Image, size: int) -> bytes:
    """The JPEG (4:2:0, optimized) whose size is nearest to `size` bytes."""
    # All of them: sizes do not always grow with quality.
    coded = (compare.save(image, compare.JPEG, quality) for quality in range(1, 96))
    return min(coded, key=lambda data: abs(len(data) - size))


def decoded(data: bytes) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image)


def seconds(function: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def wall_and_cpu(function: Callable[[], object]) -> tuple[float, float]:
    """Wall seconds of one call, and CPU seconds of the process."""
    wall, cpu = time.perf_counter(), time.process_time()
    function()
    return time.perf_counter() - wall, time.process_time() - cpu


def median_seconds(function: Callable[[], object], runs: int) -> float:
    return statistics.median(seconds(function) for _ in range(runs))


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table: the first column aligned left, the others right."""
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]
    rule = [":" + "-" * (widths[0] - 1), *("-" * (width - 1) + ":" for width in widths[1:])]

    def line(cells: Sequence[str]) -> str:
        aligned = [cells[0].ljust(widths[0])]
        aligned += [cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True)]
        return "| " + " | ".join(aligned) + " |"

    return "\n".join(line(cells) for cells in (header, rule, *rows))


def resident_mb() -> float:
    """Resident memory of this process now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def highest_resident_mb() -> float:
    """Highest resident memory of this process since its program started.

    From /proc where that exists: on Linux a process inherits ru_maxrss from its parent, so a small child of a large
    process would report the parent's.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 2**10
    import resource  # not on Windows

    unit = 1 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


class Peak:
    """Highest resident memory while the context is open, sampled every 10 ms."""

    def __enter__(self) -> "Peak":
        self.mb = resident_mb()
        self.done = threading.Event()
        self.thread = threading.Thread(target=self._watch)
        self.thread.start()
        return self

    def _watch(self) -> None:
        while not self.done.wait(0.01):
            self.mb = max(self.mb, resident_mb())

    def __exit__(self, *_: object) -> None:
        self.done.set()
        self.thread.join()
