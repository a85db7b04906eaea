"""What one process has compiled serves the next, and changes no byte of a file."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("tensorflow")

pytestmark = [pytest.mark.keras, pytest.mark.skipif(sys.platform != "linux", reason="names the cache folder of Linux")]

SCRIPT = """
import io, sys
{first}
import numpy as np
import pillow_inr
image = np.arange(12 * 9 * 3, dtype=np.uint8).reshape(9, 12, 3)
sys.stdout.buffer.write(pillow_inr.encode(image, model="pyramid", steps=4))
"""


def saved(cache: Path, first: str = "") -> bytes:
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache)}
    return subprocess.run(
        [sys.executable, "-c", SCRIPT.format(first=first)], capture_output=True, check=True, env=environment
    ).stdout


def compiled(cache: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in cache.glob("pillow_inr/xla-*/*")}


def test_the_next_process_takes_what_was_compiled(tmp_path: Path) -> None:
    data = saved(tmp_path)
    kept = compiled(tmp_path)
    assert kept
    assert saved(tmp_path) == data
    assert compiled(tmp_path) == kept


def test_a_host_that_uses_tensorflow_keeps_its_settings(tmp_path: Path) -> None:
    saved(tmp_path, "import tensorflow")
    assert not compiled(tmp_path)
