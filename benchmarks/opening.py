"""Median times of import, open and load of an .inr file, and whether TensorFlow or Keras were imported.

The first open and load of a process import the plugin and NumPy.
"""

import argparse
import statistics
import subprocess
import sys
from pathlib import Path

from common import machine, median_seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    path = parser.parse_args().file
    print(machine())

    code = (
        "import time; a = time.perf_counter(); import PIL.Image; b = time.perf_counter(); import pillow_inr; "
        "c = time.perf_counter(); im = PIL.Image.open(sys.argv[1]); d = time.perf_counter(); im.load(); "
        "e = time.perf_counter(); print(b - a, c - b, d - c, e - d)"
    )
    command = [sys.executable, "-c", f"import sys; {code}", str(path)]
    runs = [subprocess.run(command, capture_output=True, text=True, check=True).stdout.split() for _ in range(15)]
    pillow, ours, first_open, first_load = (1000 * statistics.median(float(run[i]) for run in runs) for i in range(4))
    print(f"import PIL.Image {pillow:.1f} ms, import pillow_inr on top {ours:.1f} ms")
    print(f"first Image.open of a process {first_open:.1f} ms, first load {first_load:.0f} ms")

    from PIL import Image

    import pillow_inr  # noqa: F401

    def opened() -> None:
        with Image.open(path):
            pass

    def loaded() -> None:
        with Image.open(path) as image:
            image.load()

    loaded()  # the first load imports NumPy and constriction
    print(f"Image.open {1000 * median_seconds(opened, 200):.3f} ms")
    print(f"Image.open + load {median_seconds(loaded, 9):.3f} s")
    print("tensorflow loaded:", "tensorflow" in sys.modules, "- keras loaded:", "keras" in sys.modules)


if __name__ == "__main__":
    main()
