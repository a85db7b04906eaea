"""Real faults injected into saves, and what they leave: the older file, the new one, unfinished files. POSIX only.

    python tests/safety/faults.py --count 60 --jobs 2

Saves run in processes of their own (`saver`), which are killed (kill -9) or interrupted (Ctrl-C) at random moments of
writing or, in the rows "fit", of fitting; which meet a full disk (a small tmpfs where root may mount one, otherwise a
limit on the size of files); or a folder or a file system that may not be written to. Afterwards the file must be the
older one to the byte, or a new one that decodes. A fault counts if the process ended as expected. If it had finished
before, there was no fault; any other end is a failure of this program.

`Image.save` cannot promise that, since Pillow empties the file before it calls a plugin: its losses are counted, but
are no failure.
"""

import argparse
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from os import geteuid
from pathlib import Path

import pillow_inr
from pillow_inr.errors import FormatError
from pillow_inr.storage import atomic

TESTS = Path(__file__).parent.parent
SAVER = Path(__file__).with_name("saver.py")
OLDER = (TESTS / "vectors" / "rgb.inr").read_bytes()
PHOTO = TESTS.parent / "samples" / "kodim15.png"
# saver.REFUSED, FAILED and INTERRUPTED, which would import imageio.
REFUSED, FAILED, INTERRUPTED = 3, 4, 130
ENDS = {signal.SIGKILL: (-signal.SIGKILL,), signal.SIGINT: (INTERRUPTED, -signal.SIGINT)}
NAMES = {signal.SIGKILL: "kill -9", signal.SIGINT: "Ctrl-C"}

PROMISED = ("pillow_inr.save", "imageio.imwrite", "pillow-inr encode")
NOT_PROMISED = "Image.save"
WAYS = (*PROMISED, NOT_PROMISED)
COLUMNS = ("faults", "older", "new", "lost", "beside", "no fault", "odd")

# A write of the 8 MB takes some 10 ms, so that several fit in; a fit some 0.2 s.
WRITING_SECONDS, FITTING_SECONDS, COMMAND_SECONDS = 0.1, 2.0, 12.0
PATIENCE_SECONDS = 120
PAGE = 4096

Fault = Callable[[random.Random, Path], bool | None]
"""Disturbs a save to this path; returns whether it did, or None if the process ended in an unexpected way."""


@contextmanager
def saver(way: str, path: Path, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process that saves to this path, as soon as it is ready."""
    command = [sys.executable, str(SAVER), way, str(path), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
        assert child.stdout is not None
        if child.stdout.readline() != b"ready\n":
            child.kill()
            raise RuntimeError(f"{way} did not get ready")
        yield child


def stopped(way: str, number: signal.Signals, fit: bool) -> Fault:
    def fault(rng: random.Random, path: Path) -> bool | None:
        with saver(way, path, *(["--fit"] if fit else [])) as child:
            time.sleep(rng.uniform(0, FITTING_SECONDS if fit else WRITING_SECONDS))
            end = _send(child, number)
            if end not in ENDS[number]:
                print(f"odd: {way} ended with {end} after {NAMES[number]}", file=sys.stderr)
                return None
            return True

    return fault


def stopped_command(number: signal.Signals) -> Fault:
    """The command from its start, TensorFlow's import included."""

    def fault(rng: random.Random, path: Path) -> bool | None:
        command = [sys.executable, "-m", "pillow_inr", "encode", str(PHOTO), f"--out={path}", "--force"]
        command += ["--model=siren", "--width=8", "--depth=2", "--effort=0"]
        # A shell's background jobs ignore Ctrl-C, and so would what they start.
        command[1:1] = [
            "-c",
            "import os, signal, sys; signal.signal(2, signal.SIG_DFL); os.execv(sys.executable, sys.argv[1:])",
        ]
        command.insert(3, sys.executable)
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as child:
            time.sleep(rng.uniform(0, COMMAND_SECONDS))
            return _send(child, number) != 0

    return fault


def _send(child: "subprocess.Popen[bytes]", number: signal.Signals) -> int | None:
    """Exit status of the process after a signal; None if it did not end."""
    child.send_signal(number)
    try:
        return child.wait(PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        return None


def full(way: str, mounts: bool) -> Fault:
    """No disk space left, or not enough for the whole file."""

    def fault(rng: random.Random, path: Path) -> bool | None:
        free = rng.randrange(4) * PAGE
        more = free + rng.randrange(1, 20 * PAGE)
        if mounts:
            filler = path.with_name("filler")
            filler.write_bytes(bytes(shutil.disk_usage(path.parent).free - free))
            return _once(way, path, FAILED, f"--more={more}")
        return _once(way, path, FAILED, f"--largest={max(free, 1)}", f"--more={more}")

    return fault


def read_only_folder(way: str) -> Fault:
    """Another user's folder, or one without the permission; the file in it may be written to, or not."""

    def fault(rng: random.Random, path: Path) -> bool | None:
        path.chmod(rng.choice((0o644, 0o666)))
        path.parent.chmod(0o555)
        try:
            return _once(way, path, REFUSED, *(["--nobody"] if geteuid() == 0 else []))
        finally:
            path.parent.chmod(0o755)

    return fault


def read_only_disk(way: str) -> Fault:
    def fault(_: random.Random, path: Path) -> bool | None:
        subprocess.run(["mount", "-o", "remount,ro", str(path.parent)], check=True)
        try:
            return _once(way, path, REFUSED)
        finally:
            subprocess.run(["mount", "-o", "remount,rw", str(path.parent)], check=True)

    return fault


def _once(way: str, path: Path, expected: int, *options: str) -> bool | None:
    with saver(way, path, "--once", *options) as child:
        status = child.wait(PATIENCE_SECONDS)
    # Image.save opens a file that may be written to, wherever it lies: then it is no fault.
    return False if status == 0 else True if status == expected else None


def outcome(path: Path) -> str:
    """Which file a fault left."""
    data = path.read_bytes() if path.exists() else b""
    if data == OLDER:
        return "older"
    try:
        pillow_inr.decode(data)
    except FormatError:
        return "lost"
    return "new"


@contextmanager
def place(mount: bool) -> Iterator[Path]:
    """An older file in a folder of its own, or in a file system of 64 kB."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        if mount:
            subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k,mode=755", "tmpfs", folder], check=True)
        try:
            path = Path(folder) / "x.inr"
            path.write_bytes(OLDER)
            yield path
        finally:
            if mount:
                subprocess.run(["umount", folder], check=True)


def inject(fault: Fault, mount: bool, seed: str) -> Counter[str]:
    """Inject one fault and count its outcome."""
    with place(mount) as path:
        took_place = fault(random.Random(seed), path)
        if took_place is None:
            return Counter(odd=1, **{outcome(path): 1})
        beside = sum(other.name.endswith(atomic.PART_SUFFIX) for other in path.parent.iterdir())
        return Counter({"faults" if took_place else "no fault": 1, outcome(path): 1, "beside": beside})


def plan(count: int, mounts: bool) -> Iterator[tuple[str, str, Fault, bool, int]]:
    """Name of the fault, way to save, fault, whether it needs a file system of its own, number of repetitions."""
    few = max(1, count // 10)
    for way in WAYS:
        for number, name in NAMES.items():
            yield name, way, stopped(way, number, False), False, count
            yield f"{name}, fit", way, stopped(way, number, True), False, few
        yield "full disk" if mounts else "limit on size", way, full(way, mounts), mounts, max(1, count // 3)
        yield "read-only folder", way, read_only_folder(way), False, few
        if mounts:
            yield "read-only disk", way, read_only_disk(way), True, few
    for number, name in NAMES.items():
        yield f"{name}, from start", PROMISED[2], stopped_command(number), False, few


def can_mount() -> bool:
    try:
        with place(True):
            return True
    except (OSError, subprocess.CalledProcessError):
        return False


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=60, help="times of kill -9 and Ctrl-C each for each way (60)")
    parser.add_argument("--jobs", type=int, default=2, help="processes at a time (2)")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    mounts = can_mount()
    start = time.perf_counter()
    rows: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    with ThreadPoolExecutor(arguments.jobs) as pool:
        injected = [
            ((name, way), pool.submit(inject, fault, mount, f"{arguments.seed} {name} {way} {number}"))
            for name, way, fault, mount, times in plan(arguments.count, mounts)
            for number in range(times)
        ]
        for row, future in injected:
            rows[row].update(future.result())
    print(
        f"full disk: {'a tmpfs of 64 kB' if mounts else 'a limit on the size of files, as nothing can be mounted here'}"
    )
    print(f"{'fault':22} {'save':18}" + "".join(f"{column:>9}" for column in COLUMNS))
    for (name, way), counts in rows.items():
        print(f"{name:22} {way:18}" + "".join(f"{counts[column]:9}" for column in COLUMNS))
    return _verdict(rows, time.perf_counter() - start)


def _verdict(rows: dict[tuple[str, str], Counter[str]], seconds: float) -> int:
    promised: Counter[str] = Counter()
    other: Counter[str] = Counter()
    for (_, way), counts in rows.items():
        (promised if way in PROMISED else other).update(counts)
    print(
        "older: the older file to the byte; new: a new one that decodes; beside: unfinished files (.*"
        f"{atomic.PART_SUFFIX}); no fault: the save succeeded; odd: an end that should not be"
    )
    print(
        f"{promised['faults'] + other['faults']} faults in {seconds:.0f} s. Files lost of those promised to last: "
        f"{promised['lost']} of {promised['faults']}. Expected not to hold: {NOT_PROMISED} lost {other['lost']} of "
        f"{other['faults']}, since Pillow empties the file first."
    )
    return int(promised["lost"] + promised["odd"] + other["odd"] > 0)


if __name__ == "__main__":
    sys.exit(main())
