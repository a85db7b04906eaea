"""What autoload adds to the start of the interpreter and to `from PIL import Image`.

Runs in a throw-away environment of the same Python. Each round takes every case once, so that other load on the
machine affects all cases alike. Prints medians, and quartiles of the difference to the run without autoload in the
same round.
"""

import argparse
import os
import site
import statistics
import subprocess
import tempfile
import venv
from collections.abc import Callable
from pathlib import Path

from common import machine, seconds, table

import pillow_inr

SCRIPTS = {
    "start": "pass",
    "from PIL import Image": "from PIL import Image",
    "Image.open of a PNG": "from PIL import Image; Image.open({png!r}).load()",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=40)
    runs = parser.parse_args().runs
    print(machine())
    png = str(Path(__file__).parent.parent / "samples" / "kodim15.png")
    with tempfile.TemporaryDirectory() as name:
        without, enabled = (environment(Path(name) / folder) for folder in ("without", "enabled"))
        subprocess.run([enabled, "-m", "pillow_inr", "autoload", "enable"], check=True, stdout=subprocess.DEVNULL)
        rows = []
        for label, script in SCRIPTS.items():
            code = script.format(png=png)
            cases = {
                "without": runner(without, code),
                "enabled": runner(enabled, code),
                "PILLOW_INR_AUTOLOAD=0": runner(enabled, code, PILLOW_INR_AUTOLOAD="0"),
            }
            rows += measured(label, cases, runs)
    print(table(("script", "case", "ms", "more: quartile", "median", "quartile"), rows))


def environment(folder: Path) -> Path:
    """Make an environment that sees this interpreter's packages; return its Python."""
    venv.create(folder, with_pip=False, symlinks=os.name != "nt")
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    purelib = subprocess.run([python, "-I", "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    paths = [str(Path(pillow_inr.__file__).parent.parent), *site.getsitepackages()]
    (Path(purelib) / "borrowed.pth").write_text("\n".join(paths) + "\n")
    return python


def runner(python: Path, code: str, **variables: str) -> Callable[[], object]:
    variables = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")} | variables
    return lambda: subprocess.run([python, "-c", code], check=True, env=variables)


def measured(label: str, cases: dict[str, Callable[[], object]], runs: int) -> list[tuple[str, ...]]:
    times: dict[str, list[float]] = {case: [] for case in cases}
    for run in cases.values():
        run()  # the first one compiles
    for _ in range(runs):
        for case, run in cases.items():
            times[case].append(1000 * seconds(run))
    rows = []
    for case, values in times.items():
        more = [a - b for a, b in zip(values, times["without"], strict=True)]
        quartiles = statistics.quantiles(more, n=4)
        rows.append((label, case, f"{statistics.median(values):.2f}", *(f"{value:+.2f}" for value in quartiles)))
    return rows


if __name__ == "__main__":
    main()
