"""Encode images by local processes and by a Dask cluster of which one worker is killed: files, repeated work, speed.

Needs the extra `cluster`. Exits with 1 if a file is missing or differs between the two.
"""

import argparse
import contextlib
import os
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from common import image_paths, machine, rgb_image
from distributed import Client, LocalCluster
from PIL import Image

from pillow_inr.batch.manifest import Record
from pillow_inr.batch.planning import encode_many

# Tasks of --overhead. Their files are not images, so a worker is done with them at once.
TASKS = 3000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--kill", action="store_true", help="kill a worker when a third of the images are done")
    parser.add_argument("--count", type=int, default=24)
    parser.add_argument("--size", default="384x256")
    parser.add_argument("--effort", type=int, default=0)
    parser.add_argument("--steps", type=int, help="steps of each fit, for a trial; by default the effort's")
    parser.add_argument(
        "--overhead", action="store_true", help="measure only the time that scheduler and client take for a task"
    )
    options = parser.parse_args()
    if options.folder is None and not options.overhead:
        parser.error("name a folder of images, or --overhead")
    with tempfile.TemporaryDirectory() as name:
        sys.exit(overhead(Path(name), options.workers) if options.overhead else compare(Path(name), options))


def compare(work: Path, options: argparse.Namespace) -> int:
    how = {"effort": options.effort} if options.steps is None else {"steps": options.steps}
    sources = reduced(options.folder, work / "sources", options.size, options.count)
    print(f"{machine()}; {len(sources)} images of {options.size}, {how}, {options.workers} processes, 1 thread each")
    start = time.perf_counter()
    local = encode_many(work / "sources", work / "local", processes=options.workers, threads=1, **how)
    report("local", local, time.perf_counter() - start)
    with cluster(options.workers) as address:
        killer = Killer(len(sources) // 3 if options.kill else None)
        start = time.perf_counter()
        clustered = encode_many(
            work / "sources", work / "cluster", scheduler=address, threads=1, on_record=killer, **how
        )
        report("cluster", clustered, time.perf_counter() - start)
    if options.kill:
        print(f"killed process {killer.killed}; {sum(record.attempts > 1 for record in clustered)} images begun again")
    equal = [files_equal(work, record.output) for record in local]
    print(f"{sum(equal)} of {len(sources)} files have the same bytes")
    return 0 if sum(equal) == len(sources) else 1


def reduced(folder: Path, target: Path, size: str, count: int) -> list[Path]:
    """The first images of a folder at this size, cropped to its proportions."""
    width, height = map(int, size.split("x"))
    target.mkdir()
    made = []
    for path in image_paths(folder)[:count]:
        image = rgb_image(path)
        scale = max(width / image.width, height / image.height)
        image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.LANCZOS)
        made.append(target / f"{path.stem}.png")
        image.crop((0, 0, width, height)).save(made[-1])
    return made


class Killer:
    """Kills the worker that wrote a given record; by then it works on another image."""

    def __init__(self, after: int | None) -> None:
        self.after = after
        self.seen = 0
        self.killed: int | None = None

    def __call__(self, record: Record) -> None:
        self.seen += 1
        if self.seen == self.after:
            time.sleep(0.5)
            self.killed = int(record.worker.rpartition(":")[2])
            os.kill(self.killed, signal.SIGKILL)


@contextlib.contextmanager
def cluster(workers: int) -> Iterator[str]:
    with LocalCluster(
        n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=None, memory_limit=0
    ) as started:
        yield started.scheduler_address


def report(name: str, records: list[Record], seconds: float) -> None:
    done = sum(record.done for record in records)
    print(
        f"{name}: {done} of {len(records)} done in {seconds:.0f} s, {60 * done / seconds:.1f} images per minute",
        flush=True,
    )


def files_equal(work: Path, output: str) -> bool:
    paths = [work / engine / output for engine in ("local", "cluster")]
    return all(path.exists() for path in paths) and paths[0].read_bytes() == paths[1].read_bytes()


def overhead(work: Path, workers: int) -> int:
    paths = [work / f"{number}.png" for number in range(TASKS)]
    for path in paths:
        path.write_bytes(b"not an image")
    print(f"{machine()}; {TASKS} files that are not images, {workers} workers")
    with cluster(workers) as address, Client(address, set_as_default=False) as client:
        # The scheduler runs in this process, so the time is that of both.
        client.wait_for_workers(workers)
        before, start = cpu_seconds(), time.perf_counter()
        records = encode_many(paths, work / "out", scheduler=address)
        seconds, used = time.perf_counter() - start, cpu_seconds() - before
    print(f"{len(records) / seconds:.0f} records/s with manifest")
    print(f"{1000 * used / TASKS:.2f} ms of a core for each, client and scheduler together")
    print(f"{appends(work / 'manifest'):.0f} lines/s appended with fsync in {work.parent}")
    return 0


def cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def appends(path: Path) -> float:
    """Lines of a manifest's length per second, each on the disk before the next."""
    line, start, count = b"x" * 599 + b"\n", time.perf_counter(), 0
    with path.open("ab", buffering=0) as file:
        while time.perf_counter() - start < 3:
            file.write(line)
            os.fsync(file.fileno())
            count += 1
    return count / (time.perf_counter() - start)


if __name__ == "__main__":
    main()
