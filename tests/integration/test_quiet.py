"""Scripts that save: what they print, and what of their process has changed afterwards."""

import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

pytest.importorskip("tensorflow")

pytestmark = pytest.mark.keras

BEGIN = """
import io, logging, os, sys, threading, warnings
import numpy as np
import pillow_inr
from PIL import Image

def save(**options):
    image = Image.fromarray(np.arange(12 * 9 * 3, dtype=np.uint8).reshape(9, 12, 3))
    image.save(io.BytesIO(), "INR", seed=1, **options)

SIREN = dict(width=8, depth=2, steps=20)
"""
STATE = """
def state():
    descriptors = [os.readlink(f"/proc/self/fd/{name}") for name in (0, 1, 2)] if os.path.exists("/proc") else []
    loggers = [(logger.level, list(logger.handlers), logger.disabled) for logger in (logging.root,)]
    streams = sys.stdin, sys.stdout, sys.stderr, sys.excepthook, warnings.showwarning
    count = len(os.listdir("/dev/fd"))
    return dict(os.environ), list(warnings.filters), loggers, streams, descriptors, count, logging.lastResort

before = state()
"""


def run(script: str) -> tuple[str, str]:
    """Output and errors of a script that succeeds."""
    done = subprocess.run([sys.executable, "-c", BEGIN + script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def test_a_script_that_saves_prints_nothing_and_its_process_stays_as_it_was() -> None:
    changed = "print([pair for pair in zip(before, state()) if pair[0] != pair[1]])"
    script = f"{STATE}\nsave(**SIREN)\nsave(model='pyramid', steps=2)\n{changed}\n"
    assert run(script) == ("[]\n", "")


def test_lines_of_other_threads_all_arrive() -> None:
    script = """
done, count = threading.Event(), 0

def talk():
    global count
    while not done.wait(0.01):
        print(f"python {count}", file=sys.stderr)
        os.write(2, b"native %d\\n" % count)
        count += 1

thread = threading.Thread(target=talk)
thread.start()
save(**SIREN)
done.set()
thread.join()
print(count)
"""
    output, errors = run(script)
    expected = [f"{source} {index}" for index in range(int(output)) for source in ("python", "native")]
    assert errors.splitlines() == expected
    assert int(output) > 10


@pytest.mark.slow
def test_a_script_that_has_imported_tensorflow_keeps_its_log_and_its_settings() -> None:
    script = f"""
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "0"
import tensorflow as tf
import keras
tf.get_logger().setLevel("INFO")
handlers = list(tf.get_logger().handlers)
{STATE}
print("SAVING", file=sys.stderr, flush=True)
save(**SIREN)
assert before == state()
assert tf.get_logger().level == logging.INFO and tf.get_logger().handlers == handlers
print(os.environ["TF_CPP_MIN_LOG_LEVEL"], os.environ["TF2_BEHAVIOR"])
"""
    output, errors = run(script)
    assert output == "0 1\n"
    # Not which lines: they differ between releases of TensorFlow.
    assert "XLA" in errors.partition("SAVING")[2]


def test_a_command_that_reads_a_deep_png_prints_nothing_of_tensorflow(tmp_path: Path) -> None:
    head = (b"IHDR", struct.pack(">IIBBBBB", 3, 2, 16, 2, 0, 0, 0))
    parts = [head, (b"IDAT", zlib.compress((b"\0" + b"\1\2" * 9) * 2)), (b"IEND", b"")]
    png = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in parts
    )
    (tmp_path / "a.png").write_bytes(png)
    (tmp_path / "cut.png").write_bytes(png[:-20])
    command = [sys.executable, "-m", "pillow_inr", "encode", tmp_path / "a.png", tmp_path / "cut.png"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    first, second, *_ = done.stderr.splitlines()
    assert "a.inr" in first
    assert second.endswith("the PNG file is damaged")
    assert "cuInit" not in done.stderr
