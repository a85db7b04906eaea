"""Wall and CPU time of opening .inr files, beside a JPEG of each: first in a process, later, thumbnails, two threads.

    python benchmarks/opening.py kodim15.inr photo.inr icon.inr

CPU is that of the process, user and system, all threads; medians. The first decode of a process includes Python's start
and all imports, Pillow's and NumPy's too, but the compiled kernel is in the user's cache folder by then.
"""

import argparse
import io
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from common import machine, table, wall_and_cpu
from PIL import Image

import pillow_inr  # noqa: F401
from pillow_inr.kernel.module import kernel

FIRST = "import sys; from PIL import Image; import pillow_inr; Image.open(sys.argv[1]).load()"
FIRST += "; import resource; u = resource.getrusage(0); print(u.ru_utime + u.ru_stime)"
PROCESSES = 9
FILES = 16
JPEG_QUALITY = 75


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--repeats", type=int, default=9)
    arguments = parser.parse_args()
    print(machine(), "- the kernel decodes" if kernel() else "- NumPy decodes")
    rows = [row for path in arguments.files for row in _rows(path, arguments.repeats)]
    print(table(["file", "what", "wall ms", "CPU ms"], rows))
    assert "tensorflow" not in sys.modules


def _rows(path: Path, repeats: int) -> list[list[str]]:
    data = path.read_bytes()
    jpeg = io.BytesIO()
    with Image.open(path) as image:
        size = image.size
        image.convert("RGB").save(jpeg, "JPEG", quality=JPEG_QUALITY)
    name = f"{path.name}, {size[0]}x{size[1]}, {len(data):,} bytes"
    rows = [[name, "first in a process", *_first(path)]]
    uses: dict[str, Callable[[], object]] = {
        "open": lambda: Image.open(io.BytesIO(data)),
        "open and load": lambda: Image.open(io.BytesIO(data)).load(),
        "thumbnail 256": lambda: Image.open(io.BytesIO(data)).thumbnail((256, 256)),
        "thumbnail 512": lambda: Image.open(io.BytesIO(data)).thumbnail((512, 512)),
        f"JPEG of quality {JPEG_QUALITY}": lambda: Image.open(jpeg).load(),
    }
    rows += [["", what, *_timed(use, repeats)] for what, use in uses.items()]
    one, two = (_threads(data, count) for count in (1, 2))
    return [*rows, ["", f"{FILES} loads, two threads against one", f"{one / two:.2f} times", ""]]


def _first(path: Path) -> tuple[str, str]:
    walls, cpus = [], []
    for _ in range(PROCESSES + 1):
        began = time.perf_counter()
        done = subprocess.run([sys.executable, "-c", FIRST, str(path)], capture_output=True, text=True, check=True)
        walls.append(time.perf_counter() - began)
        cpus.append(float(done.stdout))
    # The very first one may have compiled the kernel.
    return _text(statistics.median(walls[1:])), _text(statistics.median(cpus[1:]))


def _timed(use: Callable[[], object], repeats: int) -> tuple[str, str]:
    use()
    walls, cpus = zip(*(wall_and_cpu(use) for _ in range(repeats)), strict=True)
    return _text(statistics.median(walls)), _text(statistics.median(cpus))


def _threads(data: bytes, threads: int) -> float:
    """Seconds for loading several files in so many threads, each of which decodes alone."""
    from pillow_inr.runtime import threads as pillow_inr_threads

    pillow_inr_threads.limit_cores(1)
    try:
        with ThreadPoolExecutor(threads) as pool:
            began = time.perf_counter()
            list(pool.map(lambda _: Image.open(io.BytesIO(data)).load(), range(FILES)))
            return time.perf_counter() - began
    finally:
        pillow_inr_threads.limit_cores(1 << 10)


def _text(seconds: float) -> str:
    milliseconds = 1000 * seconds
    return f"{milliseconds:.0f}" if milliseconds >= 20 else f"{milliseconds:.2f}"


if __name__ == "__main__":
    main()
