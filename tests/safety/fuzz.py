"""Coverage-guided fuzzing of the readers with atheris (pip install atheris; Linux, Python 3.11 to 3.13).

    python -m tests.safety.fuzz whole_file --seconds 600
    python -m tests.safety.fuzz all --seconds 1200 --jobs 4 --keep found

`all` runs every target, each for that long. What it finds it leaves in the folder of --keep as TARGET/crash-*,
timeout-* or oom-*, and ends with status 1. Inputs that reach new code go to TARGET/corpus there; those in tests/corpus
are where it begins, and what the tests run.
"""

import argparse
import dataclasses
import os
import random
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

CORPUS = Path(__file__).parent.parent / "corpus"
# Bytes of an input, seconds that one execution may take, and megabytes.
LONGEST = 2048
SLOWEST = 20
LARGEST = 3000


class Result(NamedTuple):
    target: str
    executions: int
    findings: list[Path]
    log: Path
    status: int


def fuzz_here(target: str, arguments: list[str]) -> None:
    """Fuzz one target in this process, which ends with it."""
    import atheris

    with atheris.instrument_imports(include=["pillow_inr"]):
        from tests.safety.fuzz_targets import TARGETS
    options = {"custom_mutator": mutated} if target in ("whole_file", "salvaged_file", "file_parts") else {}
    atheris.Setup([sys.argv[0], *arguments], TARGETS[target], **options)
    atheris.Fuzz()


def mutated(data: bytes, longest: int, seed: int) -> bytes:
    """A mutation of a file without its checksum: every other one leaves the lengths in its header right."""
    import atheris

    from pillow_inr.errors import FormatError
    from tests.support import container

    choice = random.Random(seed).randrange(4)
    try:
        header, start = container.read_header(data)
    except FormatError:
        choice = 0
    if choice < 2:
        return atheris.Mutate(data, longest)  # type: ignore[no-any-return]
    payload = data[start : start + header.payload_bytes]
    chunks = data[start + header.payload_bytes :][: header.chunks_bytes]
    if choice == 2:
        payload = atheris.Mutate(payload, longest) if payload else os.urandom(4)
    else:
        chunks = atheris.Mutate(chunks, longest) if chunks else os.urandom(2)
    payload += bytes(-len(payload) % 4)
    header = dataclasses.replace(header, payload_bytes=len(payload), chunks_bytes=len(chunks))
    whole = header.pack() + payload + chunks
    return whole if len(whole) <= longest else data


def fuzz(target: str, seconds: int, keep: Path) -> Result:
    """Fuzz one target in a process of its own."""
    folder = keep / target
    (folder / "corpus").mkdir(parents=True, exist_ok=True)
    log = folder / "log"
    command = [sys.executable, "-m", "tests.safety.fuzz", target, "--here", str(folder / "corpus")]
    if (CORPUS / target).is_dir():
        command.append(str(CORPUS / target))
    command += [f"-max_total_time={seconds}", f"-max_len={LONGEST}", f"-timeout={SLOWEST}", f"-rss_limit_mb={LARGEST}"]
    command += [f"-artifact_prefix={folder}/", "-print_final_stats=1", "-verbosity=1"]
    # One core each: the products of these small networks would only wait for threads.
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    before = set(folder.iterdir())
    with log.open("wb") as output:
        ended = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, env=environment, check=False)
    counts = re.findall(r"number_of_executed_units: (\d+)|^#(\d+)", log.read_text(errors="replace"), re.MULTILINE)
    executions = max((int(first or second) for first, second in counts), default=0)
    findings = sorted(path for path in set(folder.iterdir()) - before if path.is_file() and path != log)
    return Result(target, executions, findings, log, ended.returncode)


def main() -> int:
    from tests.safety.fuzz_targets import TARGETS

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="+", choices=["all", *TARGETS])
    parser.add_argument("--seconds", type=int, default=600, help="for each target (600)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="targets fuzzed at a time (cores)")
    parser.add_argument("--keep", type=Path, default=Path("fuzzing"), help="folder of what is found (fuzzing)")
    arguments = parser.parse_args()
    targets = list(TARGETS) if "all" in arguments.targets else arguments.targets
    with ThreadPoolExecutor(arguments.jobs) as pool:
        results = list(pool.map(lambda name: fuzz(name, arguments.seconds, arguments.keep), targets))
    print(f"{'target':16} {'executions':>12} findings")
    for result in results:
        print(f"{result.target:16} {result.executions:12,} {len(result.findings)}")
        for finding in result.findings:
            print(f"    {finding}, see {result.log}")
        if result.status and not result.findings:
            print(f"    ended with status {result.status}, see {result.log}")
    print(f"{'all':16} {sum(result.executions for result in results):12,} {sum(len(r.findings) for r in results)}")
    # A target that did not run at all is no success.
    return int(any(result.findings or result.status or not result.executions for result in results))


if __name__ == "__main__":
    if "--here" in sys.argv:
        fuzz_here(sys.argv[1], sys.argv[3:])
    sys.exit(main())
