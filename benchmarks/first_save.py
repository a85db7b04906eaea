"""Seconds until an image is saved and opened again, in a fresh process and a second time in the same process.

The first save of a process also imports TensorFlow and compiles the fit; the first open imports NumPy and the decoder.
For each row: wall seconds and CPU seconds (user and system, all threads) of the first and of the second call, and the
load average before. Other work on the machine lengthens the wall time, and hardly the CPU time.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from common import machine, wall_and_cpu

SIREN = {"width": 64, "depth": 5}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("image", type=Path, nargs="?", default=Path("samples/kodim15.png"))
    parser.add_argument("--efforts", type=int, nargs="*", default=[0, 1, 3], help="of the pyramid")
    parser.add_argument("--siren-effort", type=int, help="by default that of a shape alone")
    parser.add_argument("--child", metavar="JSON", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        _child(arguments.image, json.loads(arguments.child))
        return
    print(f"{machine()}; {arguments.image}\n")
    print("| | first: wall s | CPU s | second: wall s | CPU s | load |")
    print("|:--|--:|--:|--:|--:|--:|", flush=True)
    pyramids = [{"model": "pyramid", "effort": effort} for effort in arguments.efforts]
    with tempfile.TemporaryDirectory() as folder:
        effort = {} if arguments.siren_effort is None else {"effort": arguments.siren_effort}
        for options in (*pyramids, {**SIREN, **effort}):
            path = Path(folder, "image.inr")
            name = ", ".join(f"{key}={value}" for key, value in options.items())
            _row(f"save: {name}", arguments.image, {"path": str(path), "options": options})
            _row(f"open: {path.stat().st_size} bytes", arguments.image, {"path": str(path)})


def _row(name: str, image: Path, job: dict[str, Any]) -> None:
    """Run a job twice in a process of its own and print a row of the table."""
    load = os.getloadavg()[0]
    command = [sys.executable, __file__, str(image), "--child", json.dumps(job)]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    print(f"| {name} |", *(f"{number:.2f} |" for number in (*json.loads(output), load)), flush=True)


def _child(image: Path, job: dict[str, Any]) -> None:
    """Import the package, then save or open twice; print four numbers, import included in the first two."""

    def work() -> None:
        from PIL import Image

        import pillow_inr  # noqa: F401

        if "options" not in job:
            Image.open(job["path"]).load()
            return
        with Image.open(image) as opened:
            opened.save(job["path"], **job["options"])

    print(json.dumps([*wall_and_cpu(work), *wall_and_cpu(work)]))


if __name__ == "__main__":
    main()
