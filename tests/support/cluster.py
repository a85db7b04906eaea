"""A Dask cluster of processes, as its users have one; prints its address, and ends with its input.

python -m tests.support.cluster WORKERS THREADS [PRELOAD [RESOURCE]]
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any

ROOT = Path(__file__).parents[2]


@contextmanager
def cluster(log: Path, workers: int, threads: int = 1, *more: str) -> Iterator[tuple[str, "Popen[str]"]]:
    """The address of a cluster, and the process with its scheduler."""
    command = [sys.executable, "-m", "tests.support.cluster", str(workers), str(threads), *more]
    with (
        log.open("w") as errors,
        Popen(command, cwd=ROOT, stdin=PIPE, stdout=PIPE, stderr=errors, text=True) as process,
    ):
        assert process.stdout
        address = process.stdout.readline().strip()
        assert address, log.read_text()
        yield address, process


def main(workers: str, threads: str, preload: str = "", resource: str = "") -> None:
    from distributed import LocalCluster

    options: dict[str, Any] = {"preload": [preload] if preload else []}
    if resource:
        options["resources"] = {resource: 1}
    with LocalCluster(
        n_workers=int(workers),
        threads_per_worker=int(threads),
        processes=True,
        host="127.0.0.1",
        dashboard_address=None,
        memory_limit=0,
        **options,
    ) as started:
        print(started.scheduler_address, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
