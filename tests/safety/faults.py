"""Faults injected into saves, for real: what is left of an older file, of the new one, and beside them.

    python -m tests.safety.faults --count 100

Saves run in processes of their own, which are killed (kill -9) or interrupted (Ctrl-C) at random moments, meet a full
disk (a small tmpfs where root may mount one, otherwise a limit on the size of files) or a folder that may not be
written to. Afterwards the file must be the older one to the byte, or a whole one that decodes. `Image.save` cannot
promise that, since Pillow empties the file before it asks a plugin: it is counted, and not a failure.
"""

import argparse
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pillow_inr
from pillow_inr import files
from pillow_inr.errors import FormatError

ROOT = Path(__file__).parent.parent.parent
OLDER = ROOT / "tests" / "vectors" / "rgb.inr"
NEWER = ROOT / "tests" / "vectors" / "pyramid" / "photo.inr"

# Saves one result again and again, without its fit, so that most faults hit the writing. The file is followed by
# megabytes of metadata, or the moment would be too short to be hit.
LOOP = """
import os, sys, tempfile
import pillow_inr
from PIL import Image
from pillow_inr import codec, container
header, payload, _ = container.unpack(open(sys.argv[3], "rb").read())
chunks = container.pack_chunks([container.Chunk(100, bytes(8_000_000))])
import dataclasses
data = container.pack(dataclasses.replace(header, chunks_bytes=len(chunks)), payload, chunks)
codec.encode = lambda *_: data
image = Image.new("RGB", (4, 4))
def save(path):
    if sys.argv[1] == "pillow_inr.save":
        pillow_inr.save(image, path)
    elif sys.argv[1] == "Image.save":
        image.save(path)
    else:
        import imageio.v3 as iio, numpy as np
        iio.imwrite(path, np.zeros((4, 4, 3), np.uint8))
with tempfile.TemporaryDirectory() as folder:
    save(os.path.join(folder, "first.inr"))  # whatever is imported by the first is imported now
if "nobody" in sys.argv and os.geteuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
print("ready", flush=True)
try:
    while True:
        save(sys.argv[2])
        if len(sys.argv) > 4:
            break
except KeyboardInterrupt:
    sys.exit(130)
except OSError as error:
    sys.exit(f"OSError: {error}")
"""
WAYS = ("pillow_inr.save", "imageio.imwrite", "Image.save")


class Faults:
    """A folder with a file in it, faults on saves to it, and what came of them."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.folder = Path(tempfile.mkdtemp())
        self.path = self.folder / "x.inr"
        self.counts: Counter[tuple[str, str, str]] = Counter()
        self.lost = 0

    def start(self, way: str, *arguments: str, **options: object) -> subprocess.Popen[bytes]:
        """A process that saves in a loop."""
        command = [sys.executable, "-c", LOOP, way, str(self.path), str(NEWER), *arguments]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, **options)  # type: ignore[call-overload,no-any-return]

    def note(self, fault: str, way: str) -> None:
        """Look at what a fault left, and make everything as it was."""
        outcome = self._outcome()
        if outcome == "LOST" and way != "Image.save":
            self.lost += 1
        self.counts[fault, way, outcome] += 1
        for left in self.folder.iterdir():
            if left.name.endswith(files.PART_SUFFIX):
                self.counts[fault, way, "unfinished file beside it"] += 1
                left.unlink()
        shutil.copyfile(OLDER, self.path)

    def _outcome(self) -> str:
        if not self.path.exists():
            return "LOST"
        data = self.path.read_bytes()
        if data == OLDER.read_bytes():
            return "older file, untouched"
        try:
            pillow_inr.decode(data)
        except FormatError:
            return "LOST"
        return "new file, whole"

    def signals(self, way: str, name: str, number: int, count: int) -> None:
        """Processes stopped at random moments."""
        for _ in range(count):
            with self.start(way) as child:
                assert child.stdout is not None
                child.stdout.readline()
                time.sleep(self.rng.uniform(0, 0.1))
                child.send_signal(number)
            self.note(name, way)

    def command_line(self, count: int) -> None:
        """`pillow-inr encode`, its fit included, killed at random moments."""
        source = ROOT / "samples" / "kodim15.png"
        command = [sys.executable, "-m", "pillow_inr", "encode", str(source), "--out", str(self.path), "--force"]
        command += ["--model", "siren", "--width", "8", "--depth", "2", "--effort", "0"]
        for number in range(count):
            signalled = (signal.SIGKILL, signal.SIGINT)[number % 2]
            with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as child:
                try:
                    child.wait(self.rng.uniform(0, 20))
                except subprocess.TimeoutExpired:
                    child.send_signal(signalled)
            self.note("kill -9" if signalled == signal.SIGKILL else "Ctrl-C", "pillow-inr encode")

    def full_disk(self, count: int) -> str:
        """Saves where a megabyte is left."""
        mounted = self.folder / "small"
        mounted.mkdir()
        made = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(mounted)], capture_output=True, check=False
        )
        what = "full disk" if made.returncode == 0 else "limit on a file's size"
        outer, self.path = self.path, mounted / "x.inr"
        try:
            for way in WAYS:
                shutil.copyfile(OLDER, self.path)
                for _ in range(count):
                    with self.start(way, "once", preexec_fn=None if made.returncode == 0 else _small_files) as child:
                        child.communicate()
                    self.note(what, way)
                    for left in mounted.iterdir():
                        if left != self.path:
                            left.unlink()
        finally:
            self.path = outer
            if made.returncode == 0:
                subprocess.run(["umount", str(mounted)], check=True)
        return what

    def read_only(self, count: int) -> None:
        """Saves into a folder of somebody else's."""
        self.folder.chmod(0o755)
        for way in WAYS:
            for _ in range(count):
                with self.start(way, "once", "nobody") as child:
                    child.communicate()
                self.note("read-only folder", way)


def _small_files() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=60, help="faults of each signal and way of saving (60)")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    faults = Faults(arguments.seed)
    shutil.copyfile(OLDER, faults.path)
    steps: list[Callable[[], object]] = [
        lambda: faults.full_disk(max(1, arguments.count // 20)),
        lambda: faults.read_only(max(1, arguments.count // 20)),
        lambda: faults.command_line(max(2, arguments.count // 5)),
    ]
    for way in WAYS:
        for name, number in (("kill -9", signal.SIGKILL), ("Ctrl-C", signal.SIGINT)):
            faults.signals(way, name, number, arguments.count)
    for step in steps:
        step()
    shutil.rmtree(faults.folder)
    print(f"{'fault':24} {'save':20} {'what came of it':28} times")
    for (fault, way, outcome), times in sorted(faults.counts.items()):
        print(f"{fault:24} {way:20} {outcome:28} {times}")
    injected = sum(times for (_, _, outcome), times in faults.counts.items() if "beside" not in outcome)
    print(f"{injected} faults; {faults.lost} files lost of those that are promised to last (all but Image.save's)")
    return int(faults.lost > 0)


if __name__ == "__main__":
    sys.exit(main())
