"""Many threads, processes and opens at once, and fits that fail: same results, no leaks, no failure unnoticed.

    python -m tests.safety.load

Prints a line for each part and ends with status 1 if one failed. POSIX only (fork). tests/test_load.py runs the parts
with small numbers.
"""

import argparse
import gc
import io
import multiprocessing
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import pillow_inr
from pillow_inr.errors import BackendError, FitError

VECTORS = Path(__file__).parent.parent / "vectors"
FILES = [
    VECTORS / "rgb.inr",
    VECTORS / "grey16.inr",
    VECTORS / "pyramid" / "grey.inr",
    VECTORS / "pyramid" / "photo.inr",
]
SIREN = {"model": "siren", "width": 8, "depth": 2, "steps": 40}
PYRAMID = {"model": "pyramid", "steps": 3}
SAVERS, OPENERS = 8, 32
# Allocators keep some memory. This much would be 300 bytes for each of 10,000 leaked files.
GROWTH_BYTES = 3 << 20
PATIENCE_SECONDS = 120

Found = tuple[bool, str]
"""Whether a part held, and what it saw."""


def picture(number: int) -> NDArray[np.uint8]:
    """A small image of random size, with noise that is hard to fit; one trainer serves all sizes."""
    rng = np.random.default_rng(number)
    height, width = rng.integers(9, 12, 2)
    slopes = np.add.outer(np.linspace(0, 150, height), np.linspace(0, 70, width))[..., None]
    return (slopes + rng.integers(0, 36, (height, width, 3))).astype(np.uint8)


def encoded(number: int) -> bytes:
    return pillow_inr.encode(picture(number), **(PYRAMID if number % 2 else SIREN), seed=number)


def pixels(path: Path) -> NDArray[Any]:
    with Image.open(path) as image:
        return np.asarray(image)


def threads(saves: int, opens: int) -> Found:
    """Threads that save and threads that open, in one process, get the same bytes and pixels as a single thread."""
    paths = [FILES[number % len(FILES)] for number in range(opens)]
    expected = [pixels(path) for path in FILES]
    alone = [encoded(number) for number in range(saves)]
    with ThreadPoolExecutor(SAVERS) as savers, ThreadPoolExecutor(OPENERS) as openers:
        saved = savers.map(encoded, range(saves))
        opened = openers.map(pixels, paths)
        other_pixels = sum(not np.array_equal(one, expected[n % len(FILES)]) for n, one in enumerate(opened))
        other_files = sum(one != data for one, data in zip(saved, alone, strict=True))
    text = f"{SAVERS} threads saved {saves} files, {other_files} other than those of one thread; "
    text += f"{OPENERS} threads opened {opens}, {other_pixels} with other pixels"
    return not (other_pixels or other_files), text


# What worker processes do. TensorFlow's threads are not there after a fork: a fit would wait for them for ever.
RIGHT = {"fork": {"fork: decoded", "fork: fit refused"}, "spawn": {"spawn: decoded", "spawn: fitted"}}


def processes(workers: int, method: str) -> Found:
    """Worker processes, forked from one that has fitted or spawned: what they decode and fit is the same."""
    expected = [pixels(path) for path in FILES], encoded(0)
    context = multiprocessing.get_context(method)
    seen = Counter(_ask(context, task, expected) for task in (_decodes, _fits) for _ in range(workers))
    return set(seen) == RIGHT[method], ", ".join(f"{what} {count}x" for what, count in seen.items())


def _ask(context: Any, task: Callable[..., None], expected: Any) -> str:
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=task, args=(sender, expected), daemon=True)
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", DeprecationWarning
        )  # Python 3.12 warns of a fork beside threads: it is the test
        process.start()
    sender.close()
    try:
        answer = receiver.recv() if receiver.poll(PATIENCE_SECONDS) else "no answer"
    except EOFError:
        answer = "died"
    receiver.close()
    process.kill()
    process.join()
    return f"{context.get_start_method()}: {answer}"


def _decodes(answer: Any, expected: Any) -> None:
    same = all(np.array_equal(pixels(path), right) for path, right in zip(FILES, expected[0], strict=True))
    answer.send("decoded" if same else "decoded otherwise")


def _fits(answer: Any, expected: Any) -> None:
    try:
        answer.send("fitted" if encoded(0) == expected[1] else "fitted otherwise")
    except BackendError:
        answer.send("fit refused")


def opens(count: int) -> Found:
    """Opens in all ways, also of damaged files and without a close: descriptors and memory as before."""
    for number in range(max(count // 10, 8 * len(FILES))):
        _open(number)
    before = _resources()
    for number in range(count):
        _open(number)
    after = _resources()
    text = (
        f"{count} opens: descriptors {before[0]} -> {after[0]}, memory {before[1] / 1e6:.1f} -> {after[1] / 1e6:.1f} MB"
    )
    return after[0] == before[0] and after[1] - before[1] <= GROWTH_BYTES, text


def _open(number: int) -> None:
    path = FILES[number % len(FILES)]
    match number // len(FILES) % 6:
        case 0:
            pixels(path)
        case 1:
            pillow_inr.decode(path)
        case 2:
            with Image.open(path) as image:
                image.verify()
        case 3:
            Image.open(path).thumbnail((5, 5))
        case 4:  # left to the garbage collector, which complains of it
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ResourceWarning)
                Image.open(path)
        case 5:
            damaged = bytearray(path.read_bytes())
            damaged[-9] ^= 1
            try:
                Image.open(io.BytesIO(damaged)).load()
            except OSError:
                return
            raise AssertionError(f"{path.name}: the damage was not noticed")


def _resources() -> tuple[int, int]:
    """Open descriptors and resident memory in bytes."""
    gc.collect()
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * 4096
    return len(list(Path("/proc/self/fd").iterdir())), resident


def values() -> Found:
    """What is no number, or infinite, is refused in each type that can hold it."""
    refused = 0
    bad = [np.nan, np.inf, -np.inf]
    arrays = [np.full((4, 5, channels), 0.5, dtype) for channels in (1, 3, 5) for dtype in (np.float32, np.float64)]
    for array in arrays:
        for value in bad:
            array[2, 3, 0] = value
            try:
                pillow_inr.encode(array, **SIREN)
            except ValueError:
                refused += 1
    for value in bad:
        image = Image.new("F", (4, 3))
        image.putpixel((1, 1), float(value))
        try:
            image.save(io.BytesIO(), "INR", **SIREN)
        except (OSError, ValueError):
            refused += 1
    asked = len(bad) * (len(arrays) + 1)
    return refused == asked, f"{refused} of {asked} images with NaN or infinities refused"


@contextmanager
def hasty(model: str, factor: float) -> Iterator[None]:
    """Learning rates that are too high by a factor."""
    from pillow_inr.models.pyramid.training import schedule
    from pillow_inr.models.siren.training import trainer

    # Not the rate of the quantization steps, which is compiled into the trainer that other fits share.
    changed: list[tuple[Any, str, Any]] = [(trainer, "MUON_LEARNING_RATE", trainer.MUON_LEARNING_RATE * factor)]
    if model == "pyramid":
        changed = [(schedule, "NETWORK_LEARNING_RATE", schedule.NETWORK_LEARNING_RATE * factor)]
        for name, usual in ("USUAL", schedule.USUAL), ("ANALYSED", schedule.ANALYSED):
            faster = usual._replace(latent_learning_rate=factor * usual.latent_learning_rate)
            changed.append((schedule, name, faster))
    before = [getattr(module, name) for module, name, _ in changed]
    for module, name, value in changed:
        setattr(module, name, value)
    try:
        yield
    finally:
        for (module, name, _), value in zip(changed, before, strict=True):
            setattr(module, name, value)


def divergence(seeds: int) -> Found:
    """Fits driven apart by high learning rates: an error or a picture, never a file that is worse than one colour."""
    seen: Counter[str] = Counter()
    for model, options in (("siren", SIREN), ("pyramid", {"model": "pyramid", "steps": 12})):
        for factor in (1e1, 1e2, 1e3, 1e5, 1e8, 1e20, float("nan")):
            for seed in range(seeds):
                with hasty(model, factor):
                    seen[f"{model}: {_outcome(options, seed)}"] += 1
    text = ", ".join(f"{what} {count}x" for what, count in sorted(seen.items()))
    return not any("worse" in what for what in seen) and any("error" in what for what in seen), text


def _outcome(options: dict[str, Any], seed: int) -> str:
    reference = picture(seed)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            data = pillow_inr.encode(reference, **options, seed=seed)
    except FitError:
        return "error"
    decoded = pillow_inr.decode(data).astype(float)
    flat = reference.mean(axis=(0, 1))
    mean_colour, error = ((flat - reference) ** 2).mean(), ((decoded - reference) ** 2).mean()
    # A level more or less is what rounding to 8 bits may add.
    return "a picture" if error <= 1.25 * mean_colour + 1e-3 * 255**2 else "worse than one colour"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--opens", type=int, default=10_000)
    parser.add_argument("--saves", type=int, default=64)
    arguments = parser.parse_args()
    parts: list[tuple[str, Callable[[], Found]]] = [
        ("opens", lambda: opens(arguments.opens)),
        ("values", values),
        ("threads", lambda: threads(arguments.saves, 32 * arguments.saves)),
        ("fork", lambda: processes(4, "fork")),
        ("spawn", lambda: processes(4, "spawn")),
        ("divergence", lambda: divergence(4)),
    ]
    failed = 0
    for name, part in parts:
        started = time.perf_counter()
        held, text = part()
        failed += not held
        print(f"{name:10} {'held' if held else 'FAILED'}  {text} ({time.perf_counter() - started:.0f} s)", flush=True)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
