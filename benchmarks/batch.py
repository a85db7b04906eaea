"""Images per minute of `pillow-inr batch` on all cores and of one process on one core; memory; recovery after a kill.

Needs Linux.

python benchmarks/batch.py FOLDER --size 384x256 --count 100 --effort 1
"""

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from common import image_paths, machine, rgb_image
from PIL import Image

from pillow_inr.batch import manifest

PAGE = os.sysconf("SC_PAGE_SIZE")


def reduced(folder: Path, count: int, size: tuple[int, int], target: Path) -> list[Path]:
    """The first images of a folder, reduced to a size; upright ones to that size turned by 90 degrees."""
    paths = []
    for path in image_paths(folder)[:count]:
        image = rgb_image(path)
        turned = size if image.width >= image.height else size[::-1]
        paths.append(target / f"{path.stem}.png")
        image.resize(turned, Image.Resampling.LANCZOS).save(paths[-1])
    return paths


def command(paths: list[Path], out: Path, options: list[str]) -> list[str]:
    listed = out.with_suffix(".txt")
    listed.write_text("\n".join(map(str, paths)))
    return [sys.executable, "-m", "pillow_inr", "batch", f"@{listed}", "--out", str(out), "--quiet", *options]


def started(arguments: list[str], cores: set[int] | None = None) -> "subprocess.Popen[bytes]":
    limit: Callable[[], None] | None = None if cores is None else lambda: os.sched_setaffinity(0, cores)
    return subprocess.Popen(arguments, preexec_fn=limit)


class Memory:
    """Highest resident memory of each child of a process, sampled five times a second."""

    def __init__(self, parent: int) -> None:
        self.most: Counter[int] = Counter()
        self._parent = parent
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def _watch(self) -> None:
        while not self._end.wait(0.2):
            with contextlib.suppress(OSError):
                for number in children(self._parent):
                    resident = int(Path(f"/proc/{number}/statm").read_text().split()[1]) * PAGE
                    self.most[number] = max(self.most[number], resident)

    def __enter__(self) -> "Memory":
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()


def children(parent: int) -> list[int]:
    return [int(number) for number in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]


def alone(paths: list[Path], out: Path, options: list[str], count: int) -> float:
    """Images per minute of one process on one core, for `count` images of which the first one compiles."""
    begun = time.perf_counter()
    started(command(paths, out, [*options, "-j", "1"]), {min(os.sched_getaffinity(0))}).wait()
    whole = time.perf_counter() - begun
    # Reading, measuring and the manifest take their time here as in a batch.
    usual = sorted(record.seconds or 0.0 for record in manifest.read(out / manifest.NAME))[len(paths) // 2]
    others = (count - len(paths)) * usual
    print(f"one process, one core: {len(paths)} images in {whole:.0f} s, {usual:.2f} s the median image")
    return 60 * count / (whole + others)


def together(paths: list[Path], out: Path, options: list[str]) -> float:
    begun = time.perf_counter()
    with started(command(paths, out, options)) as process, Memory(process.pid) as memory:
        status = process.wait()
    seconds = time.perf_counter() - begun
    most = sorted(memory.most.values(), reverse=True)
    done = sum(record.done for record in manifest.read(out / manifest.NAME))
    print(f"batch: {done} of {len(paths)} images in {seconds:.0f} s, status {status}")
    print(
        f"most memory of each process: {', '.join(f'{resident / 1e6:.0f} MB' for resident in most if resident > 1e8)}"
    )
    return 60 * len(paths) / seconds


def killed(paths: list[Path], out: Path, options: list[str]) -> bool:
    """Kill the command half-way and start it again: is every image there, and was only what was in work repeated?"""
    arguments = command(paths, out, options)
    book = out / manifest.NAME
    with started(arguments) as process:
        while not book.exists() or book.read_bytes().count(b"\n") < len(paths) // 2:
            time.sleep(0.1)
        workers = children(process.pid)
        process.kill()
    ended = time.perf_counter()
    while any(alive(number) for number in workers):
        time.sleep(0.1)
    seconds, count = time.perf_counter() - ended, len(book.read_bytes().splitlines())
    print(f"killed -9 with {count} records; its processes had ended {seconds:.1f} s later")
    before = {record.output: (out / record.output).stat().st_mtime_ns for record in manifest.read(book)}
    left = [path.name for path in out.glob(".*") if path.is_file()]
    status = started(arguments).wait()
    records = manifest.read(book)
    touched = [name for name, modified in before.items() if (out / name).stat().st_mtime_ns != modified]
    lines = Counter(manifest.Record.from_json(line).output for line in book.read_text().splitlines())
    whole = sum(1 for record in records if record.done and (out / record.output).stat().st_size == record.bytes)
    print(
        f"started again: status {status}, {whole} of {len(paths)} whole, {len(touched)} encoded again, "
        f"{sum(count > 1 for count in lines.values())} recorded twice, {len(left)} unfinished files left"
    )
    return whole == len(paths) and not touched and max(lines.values()) == 1 and status == 0


def alive(number: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{number}/stat").read_text()
    except FileNotFoundError:
        return False


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", default="384x256")
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--alone", type=int, default=20, help="number of images for the one process")
    parser.add_argument("--killed", type=int, default=24, help="number of images for the kill")
    parser.add_argument("--effort", default="1")
    parser.add_argument("--processes", help="processes of the batch; by default its own choice")
    parser.add_argument("--threads", default="1")
    arguments = parser.parse_args()
    print(machine())
    width, height = map(int, arguments.size.split("x"))
    options = ["--effort", arguments.effort, "--threads", arguments.threads]
    many = [*options, *(["-j", arguments.processes] if arguments.processes else [])]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "sources").mkdir()
        paths = reduced(arguments.folder, arguments.count, (width, height), folder / "sources")
        print(f"{len(paths)} images of {arguments.size}, effort {arguments.effort}")
        one = alone(paths[: arguments.alone], folder / "alone", [*options, "--threads", "1"], len(paths))
        all_cores = together(paths, folder / "together", many)
        print(f"images per minute: {one:.2f} one process, {all_cores:.2f} batch: {all_cores / one:.2f} times as many")
        held = killed(paths[: arguments.killed], folder / "killed", many)
    return int(not held)


if __name__ == "__main__":
    sys.exit(main())
