"""Programs frozen by PyInstaller open both models, and carry no TensorFlow unless they import it."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import pillow_inr
from pillow_inr.plugins import pyinstaller
from tests.support.checks import VECTORS

PROGRAM = """
import sys
import pillow_inr
from PIL import Image
for path in sys.argv[1:]:
    Image.open(path).save(path + ".png")
from pillow_inr.kernel.module import kernel
print("kernel" if kernel() else "NumPy")
"""
FILES = (VECTORS / "rgb.inr", VECTORS / "pyramid" / "grey.inr")


def test_pyinstaller_finds_the_hook() -> None:
    (folder,) = pyinstaller.get_hook_dirs()
    assert Path(folder, "hook-pillow_inr.py").is_file()
    project = tomllib.loads(Path(__file__).parents[2].joinpath("pyproject.toml").read_text())["project"]
    assert project["entry-points"]["pyinstaller40"] == {"hook-dirs": f"{pyinstaller.__name__}:get_hook_dirs"}


@pytest.mark.slow
def test_a_frozen_program_opens_both_models(tmp_path: Path) -> None:
    pytest.importorskip("PyInstaller")
    (tmp_path / "program.py").write_text(PROGRAM)
    options = ["--onedir", "--log-level", "ERROR", "--additional-hooks-dir", *pyinstaller.get_hook_dirs()]
    # The package under test, whatever is installed; no cache of PyInstaller's outside the test's folder.
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(pillow_inr.__file__).parents[1]),
        "PYINSTALLER_CONFIG_DIR": str(tmp_path / "config"),
    }
    build = [sys.executable, "-m", "PyInstaller", *options, "program.py"]
    subprocess.run(build, cwd=tmp_path, env=environment, check=True, capture_output=True)
    frozen, elsewhere = tmp_path / "dist" / "program", tmp_path / "elsewhere"
    assert not [path for path in frozen.rglob("*") if path.name in ("tensorflow", "keras", "imageio")]
    # A program that saves needs the source of the functions that TensorFlow turns into graphs.
    assert [path for path in frozen.rglob("graph.py") if path.parts[-3:-1] == ("siren", "training")]
    frozen.rename(elsewhere)
    copies = [tmp_path / f"{index}.inr" for index in range(len(FILES))]
    for path, copy in zip(FILES, copies, strict=True):
        copy.write_bytes(path.read_bytes())
    # Windows starts nothing without this one.
    needed = {name: os.environ[name] for name in ("SYSTEMROOT",) if name in os.environ}
    program = elsewhere / ("program.exe" if sys.platform == "win32" else "program")
    done = subprocess.run([program, *copies], cwd=tmp_path, env=needed, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "kernel"
    for path, copy in zip(FILES, copies, strict=True):
        with Image.open(path) as wanted, Image.open(Path(f"{copy}.png")) as shown:
            np.testing.assert_array_equal(np.asarray(shown), np.asarray(wanted))
