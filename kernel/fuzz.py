"""Fuzz the kernel's native build with libFuzzer and AddressSanitizer (Linux, x86-64).

    pip install ziglang==0.17.1 atheris
    python kernel/fuzz.py --executions 10000000 --output build/fuzz_kernel

The compiler is ziglang's; libFuzzer and the runtime of AddressSanitizer are those that atheris brings along. Inputs
that reach new code go to OUTPUT/corpus, with which a later run begins; findings to OUTPUT/crash-*.
"""

import argparse
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

UNTRACED = ("make_side", "make_laplace", "make_onesided", "make_rows")
SOURCE = Path(__file__).parent
MODELS = SOURCE.parent / "pillow_inr" / "models" / "pyramid"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--executions", type=int, default=1_000_000)
    parser.add_argument("--output", type=Path, default=Path("build/fuzz_kernel"))
    arguments = parser.parse_args()
    corpus = arguments.output / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    program = build(arguments.output)
    names = ("base_weights.bin", "base_weights_1.bin")
    weights = {f"INR_BASE_WEIGHTS_{preset}": str(MODELS / name) for preset, name in enumerate(names)}
    options = [f"-runs={arguments.executions}", "-max_len=2048", f"-artifact_prefix={arguments.output}/"]
    done = subprocess.run([program, *options, corpus], env={**os.environ, **weights}, check=False)
    raise SystemExit(done.returncode)


def build(output: Path) -> Path:
    """Compile the target; returns the program."""
    runtime = Path(str(metadata.distribution("atheris").locate_file("asan_with_fuzzer.so"))).resolve()
    compiler = [sys.executable, "-m", "ziglang", "cc", "-O2", "-g", "-std=gnu11", "-march=x86_64_v2", "-fPIC"]
    # Loops that fill tables do not depend on the input; traced, they would take most of the time.
    untraced = output / "untraced.txt"
    untraced.write_text("".join(f"fun:{name}\n" for name in UNTRACED))
    instrumented = ["-Xclang", "-fsanitize=address", "-fsanitize=fuzzer-no-link,undefined", "-fno-sanitize-recover=all"]
    instrumented += ["-Xclang", f"-fsanitize-coverage-ignorelist={untraced}"]
    target, program = output / "target.o", output / "fuzz"
    subprocess.run([*compiler, *instrumented, "-c", SOURCE / "fuzz.c", "-o", target], check=True)
    subprocess.run([*compiler, "-c", SOURCE / "fuzz_main.c", "-o", output / "main.o"], check=True)
    # GCC links, because zig would bring a runtime of its own.
    link: list[str | Path] = [
        "gcc",
        target,
        output / "main.o",
        runtime,
        f"-Wl,-rpath,{runtime.parent}",
        "-lm",
        "-o",
        program,
    ]
    subprocess.run(link, check=True)
    return program


if __name__ == "__main__":
    main()
