"""Memory and time per step of encoding a 50-megapixel and a 768x512 image, each in a process of its own."""

import argparse
import json
import statistics
import subprocess
import sys
import time

from common import Peak, machine, photograph_like, resident_mb
from PIL import Image


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", choices=["siren", "pyramid"], default="siren")
    parser.add_argument(
        "--steps", type=int, default=600, help="steps of the fit; with a pyramid, of each tile (10 are enough)"
    )
    parser.add_argument("--size", type=int, nargs=2, default=(8192, 6144))
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        _child(tuple(arguments.size), arguments.model, arguments.steps)
        return
    print(machine())
    # In turn, so that other load on the machine affects both alike.
    sizes = (768, 512), arguments.size
    runs = [[_measure(size, arguments.model, arguments.steps) for size in sizes] for _ in range(arguments.runs)]
    small, large = ({name: statistics.median(run[i][name] for run in runs) for name in runs[0][i]} for i in (0, 1))
    for name, figures in (("768x512", small), ("x".join(map(str, arguments.size)), large)):
        print(
            f"{name}: TensorFlow imported {figures['tensorflow_mb']:.0f} MB, image decoded "
            f"{figures['image_mb']:.0f} MB more, peak of the encode {figures['peak_mb']:.0f} MB above both; "
            f"{figures['ms_per_step']:.2f} ms/step; load {figures['load_s']:.1f} s, "
            f"its peak {figures['load_peak_mb']:.0f} MB above the encode's"
        )
    ratios = sorted(run[1]["ms_per_step"] / run[0]["ms_per_step"] for run in runs)
    print("time per step, large / small:", ", ".join(f"{ratio:.2f}" for ratio in ratios))


def _measure(size: tuple[int, int], model: str, steps: int) -> dict[str, float]:
    options = ["--model", model, "--steps", str(steps), "--size", *map(str, size)]
    command = [sys.executable, __file__, "--child", *options]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def _child(size: tuple[int, int], model: str, steps: int) -> None:
    import keras  # noqa: F401
    import tensorflow as tf

    tf.constant(0.0)
    tensorflow_mb = resident_mb()
    Image.MAX_IMAGE_PIXELS = None
    image = photograph_like(size)
    base = resident_mb()
    import pillow_inr

    times: list[tuple[int, float]] = []

    def report(step: int, *_: object) -> None:
        times.append((step, time.perf_counter()))

    with Peak() as peak:
        network = {"width": 48, "depth": 4} if model == "siren" else {"model": model}
        data = pillow_inr.encode(image, **network, steps=steps, progress=report)
    (first, start), (last, end) = times[0], times[-1]
    start_load = time.perf_counter()
    with Peak() as load_peak:
        pillow_inr.decode(data)
    figures = {
        "tensorflow_mb": tensorflow_mb,
        "image_mb": base - tensorflow_mb,
        "peak_mb": peak.mb - base,
        "ms_per_step": 1000 * (end - start) / (last - first),
        "load_s": time.perf_counter() - start_load,
        "load_peak_mb": load_peak.mb - peak.mb,
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
