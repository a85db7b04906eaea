"""A file is there whole or not at all, whatever happens while it is written (`files`); the long part of these tests is
`python -m tests.safety.faults`."""

import errno
import io
import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from PIL import Image

import pillow_inr
from pillow_inr import cli, codec, files
from pillow_inr.errors import FitError

from .checks import VECTORS, gradient

posix = pytest.mark.skipif(os.name == "nt", reason="permissions and links are those of POSIX")
not_root = pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may write everywhere")

# Where a write may end: what is replaced, and by what in its place.
STEPS: dict[str, tuple[Any, str]] = {
    "open": (Path, "open"),
    "fsync": (os, "fsync"),
    "chmod": (Path, "chmod"),
    "replace": (Path, "replace"),
}


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left on device"), MemoryError()]
)
def test_an_error_at_any_step_leaves_the_older_file_and_no_other(
    step: str, error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.inr"
    path.write_bytes(b"older")

    def fail(*_: object, **__: object) -> None:
        raise error

    with monkeypatch.context() as patch, pytest.raises(type(error)):
        patch.setattr(*STEPS[step], fail)
        files.write_atomically(path, b"newer")
    assert path.read_bytes() == b"older"
    assert list(tmp_path.iterdir()) == [path]
    files.write_atomically(path, b"newer")
    assert path.read_bytes() == b"newer"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_device_that_is_full_is_an_error() -> None:
    with pytest.raises(OSError, match="No space left"):
        files.write_atomically(Path("/dev/full"), b"data")
    assert stat.S_ISCHR(Path("/dev/full").stat().st_mode)


@posix
def test_a_pipe_is_written_to_and_stays_one(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    data = bytes(range(256)) * 1000  # more than a pipe holds
    writer = threading.Thread(target=files.write_atomically, args=(pipe, data))
    writer.start()
    assert pipe.read_bytes() == data
    writer.join()
    assert stat.S_ISFIFO(pipe.stat().st_mode)


@posix
def test_a_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    target, link = tmp_path / "folder" / "x.inr", tmp_path / "link.inr"
    link.symlink_to(target)
    for data in (b"first", b"second"):
        files.check_writable(link)
        files.write_atomically(link, data)
        assert link.is_symlink()
        assert target.read_bytes() == data
    assert [path.name for path in target.parent.iterdir()] == ["x.inr"]


@posix
def test_a_file_has_the_permissions_of_others_or_of_the_older_one(tmp_path: Path) -> None:
    new, other = tmp_path / "new", tmp_path / "other"
    other.write_bytes(b"")
    files.write_atomically(new, b"")
    assert stat.S_IMODE(new.stat().st_mode) == stat.S_IMODE(other.stat().st_mode)
    new.chmod(0o600)
    files.write_atomically(new, b"")
    assert stat.S_IMODE(new.stat().st_mode) == 0o600


def test_names_as_long_as_can_be(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 251 + ".inr")
    files.check_writable(path)
    files.write_atomically(path, b"data")
    assert path.read_bytes() == b"data"
    with pytest.raises(OSError):
        files.write_atomically(tmp_path / ("n" * 300), b"data")
    assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_written_is_found_before(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="missing"):
        files.check_writable(tmp_path / "missing" / "x.inr")
    with pytest.raises(IsADirectoryError):
        files.check_writable(tmp_path)


@posix
@not_root
def test_permissions_are_asked_for_before(tmp_path: Path) -> None:
    path = tmp_path / "x.inr"
    path.write_bytes(b"older")
    path.chmod(0o400)
    with pytest.raises(PermissionError):
        files.check_writable(path)
    path.chmod(0o600)
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError):
        files.check_writable(path)
    tmp_path.chmod(0o700)


def test_many_threads_write_one_file_whole(tmp_path: Path) -> None:
    path = tmp_path / "x.inr"
    versions = [bytes([number]) * 100_000 for number in range(8)]
    path.write_bytes(versions[0])
    threads = [threading.Thread(target=files.write_atomically, args=(path, data)) for data in versions]
    for thread in threads:
        thread.start()
    for _ in range(50):
        assert path.read_bytes() in versions
    for thread in threads:
        thread.join()
    assert list(tmp_path.iterdir()) == [path]


def _save(path: Path) -> None:
    pillow_inr.save(gradient(12, 9), path)


def _imageio(path: Path) -> None:
    iio = pytest.importorskip("imageio.v3")
    iio.imwrite(path, gradient(12, 9))


def _command_line(path: Path) -> None:
    source = path.parent / "source.png"
    Image.fromarray(gradient(12, 9)).save(source)
    result = CliRunner().invoke(cli.main, ["encode", str(source), "--out", str(path), "--force", "--quiet"])
    if result.exit_code:
        raise OSError(result.output)


SAVERS: list[Callable[[Path], None]] = [_save, _imageio, _command_line]


@pytest.mark.parametrize("save", SAVERS)
def test_a_fit_that_fails_leaves_the_older_file(
    save: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.inr"
    path.write_bytes(b"older")

    def fail(*_: object) -> bytes:
        raise FitError("the fit diverged")

    monkeypatch.setattr(codec, "encode", fail)
    with pytest.raises((FitError, OSError)):
        save(path)
    assert path.read_bytes() == b"older"
    monkeypatch.setattr(codec, "encode", lambda *_: (VECTORS / "rgb.inr").read_bytes())
    save(path)
    assert path.read_bytes() == (VECTORS / "rgb.inr").read_bytes()
    assert {file.name for file in tmp_path.iterdir()} <= {"x.inr", "source.png"}


def test_the_plugin_validates_before_work_and_writes_once(monkeypatch: pytest.MonkeyPatch) -> None:
    writes: list[bytes] = []

    class Counting(io.BytesIO):
        def write(self, data: Any) -> int:
            writes.append(bytes(data))
            return super().write(data)

    monkeypatch.setattr(codec, "encode", lambda *_: b"whole")
    image = Image.fromarray(gradient(12, 9))
    with pytest.raises(ValueError, match="depth"):
        image.save(Counting(), "INR", depth=99)
    with pytest.raises(OSError, match="cannot write mode"):
        Image.new("I", (2, 2)).save(Counting(), "INR")
    assert not writes
    image.save(Counting(), "INR")
    assert writes == [b"whole"]


def test_pillow_removes_what_it_made_for_a_save_that_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And empties an older file before it asks the plugin, which docs/guide.md says."""

    def fail(*_: object) -> bytes:
        raise FitError("the fit diverged")

    monkeypatch.setattr(codec, "encode", fail)
    image = Image.fromarray(gradient(12, 9))
    with pytest.raises(OSError, match="diverged"):
        image.save(tmp_path / "new.inr")
    assert not (tmp_path / "new.inr").exists()
    (tmp_path / "older.inr").write_bytes(b"older")
    with pytest.raises(OSError, match="diverged"):
        image.save(tmp_path / "older.inr")
    assert (tmp_path / "older.inr").read_bytes() == b""


KILLED = """
import sys
from pathlib import Path
from pillow_inr import files
data = bytes(4_000_000)
print("ready", flush=True)
while True:
    files.write_atomically(Path(sys.argv[1]), data)
"""


@posix
def test_a_killed_process_leaves_a_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "x.inr"
    path.write_bytes(b"older")
    for wait in (0.0, 0.02):
        with subprocess.Popen([sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            child.stdout.readline()
            threading.Event().wait(wait)
            child.send_signal(signal.SIGKILL)
        assert len(path.read_bytes()) in (5, 4_000_000)
    left = [file for file in tmp_path.iterdir() if file != path]
    assert all(file.name.startswith(".") and file.name.endswith(files.PART_SUFFIX) for file in left)
    assert len(left) <= 2
