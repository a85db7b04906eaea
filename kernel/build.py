"""Build the kernel with the pinned package ziglang, or check that the one in the package is what this source gives.

pip install ziglang==0.17.1
python kernel/build.py            # writes pillow_inr/kernel/kernel.wasm
python kernel/build.py --check    # compares byte for byte
"""

import argparse
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path

ZIGLANG = "0.17.1"
SOURCE = Path(__file__).parent
TARGET = SOURCE.parent / "pillow_inr" / "kernel" / "kernel.wasm"
FLAGS = [
    "--target=wasm32-freestanding",
    "-mcpu=generic+simd128+bulk_memory",
    "-O3",
    "-std=c11",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-ffreestanding",
    "-nostdlib",
    "-Wl,--no-entry",
    "-Wl,--strip-all",
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing, compare")
    arguments = parser.parse_args()
    built = build()
    if not arguments.check:
        TARGET.write_bytes(built)
        print(f"{TARGET.name}: {len(built)} bytes")
    elif built != TARGET.read_bytes():
        raise SystemExit(f"{TARGET} is not what its source gives: run python kernel/build.py, and commit the result")


def build() -> bytes:
    """The kernel as WebAssembly."""
    found = metadata.version("ziglang")
    if found != ZIGLANG:
        raise SystemExit(f"the kernel is built with ziglang {ZIGLANG}, this is {found}: pip install ziglang=={ZIGLANG}")
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "kernel.wasm"
        # Relative names, so that no path of this machine gets into the result.
        command = [sys.executable, "-m", "ziglang", "cc", *FLAGS, "-o", str(output), "kernel.c"]
        subprocess.run(command, cwd=SOURCE, check=True)
        return output.read_bytes()


if __name__ == "__main__":
    main()
