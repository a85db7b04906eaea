"""A file is complete or absent, whatever happens while it is written. Longer: `python -m tests.safety.faults`."""

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

import numpy as np
import pytest
from PIL import Image

import pillow_inr
from pillow_inr import codec
from pillow_inr.encoding.source_image import Encoded
from pillow_inr.errors import FitError
from pillow_inr.storage import atomic
from tests.support import container
from tests.support.checks import VECTORS, gradient
from tests.support.waiting import wait_until

posix = pytest.mark.skipif(os.name == "nt", reason="permissions and links are those of POSIX")
not_root = pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may write everywhere")

# Where a write may end: what is replaced, and by what in its place.
STEPS: dict[str, tuple[Any, str]] = {
    "create": (Path, "touch"),
    "open": (Path, "open"),
    "fsync": (os, "fsync"),
    "replace": (Path, "replace"),
}


class Failing(io.BytesIO):
    """A file whose writing fails half-way."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error

    def write(self, data: Any) -> int:
        raise self.error


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
        atomic.write_atomically(path, b"newer")
    assert path.read_bytes() == b"older"
    assert list(tmp_path.iterdir()) == [path]
    atomic.write_atomically(path, b"newer")
    assert path.read_bytes() == b"newer"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left on device")])
def test_an_error_of_the_writing_itself(error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.inr"
    path.write_bytes(b"older")
    with monkeypatch.context() as patch, pytest.raises(type(error)):
        patch.setattr(Path, "open", lambda *_, **__: Failing(error))
        atomic.write_atomically(path, b"newer")
    assert path.read_bytes() == b"older"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("step", ["chmod", "replace"])
def test_ctrl_c_late_leaves_one_whole_file(step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.inr"
    path.write_bytes(b"older")
    done = getattr(Path, step)

    def interrupted(*arguments: Any) -> None:
        done(*arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Path, step, interrupted)
        atomic.write_atomically(path, b"newer")
    assert path.read_bytes() == (b"newer" if step == "replace" else b"older")
    assert list(tmp_path.iterdir()) == [path]


def test_what_the_system_lacks_costs_no_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.inr"
    path.write_bytes(b"older")

    def fail(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(Path, "chmod", fail)  # as on FAT
    monkeypatch.setattr(os, "chown", fail, raising=False)
    atomic.write_atomically(path, b"newer")
    assert path.read_bytes() == b"newer"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_device_that_is_full_is_an_error() -> None:
    with pytest.raises(OSError, match="No space left"):
        atomic.write_atomically(Path("/dev/full"), b"data")
    assert stat.S_ISCHR(Path("/dev/full").stat().st_mode)


@posix
def test_a_pipe_is_written_to_and_stays_one(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    data = bytes(range(256)) * 1000  # more than a pipe holds
    writer = threading.Thread(target=atomic.write_atomically, args=(pipe, data))
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
        atomic.check_writable(link)
        atomic.write_atomically(link, data)
        assert link.is_symlink()
        assert target.read_bytes() == data
    assert [path.name for path in target.parent.iterdir()] == ["x.inr"]


@posix
def test_a_file_has_the_permissions_of_others_or_of_the_older_one(tmp_path: Path) -> None:
    new, other = tmp_path / "new", tmp_path / "other"
    other.write_bytes(b"")
    atomic.write_atomically(new, b"")
    assert stat.S_IMODE(new.stat().st_mode) == stat.S_IMODE(other.stat().st_mode)
    new.chmod(0o600)
    atomic.write_atomically(new, b"")
    assert stat.S_IMODE(new.stat().st_mode) == 0o600


@posix
def test_what_replaces_a_private_file_is_private_while_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.inr"
    path.write_bytes(b"older")
    path.chmod(0o600)
    modes = []
    sync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda handle: (modes.append(os.fstat(handle).st_mode), sync(handle)))
    atomic.write_atomically(path, b"newer")
    assert stat.S_IMODE(modes[0]) == 0o600


@posix
def test_an_older_file_keeps_its_owner_but_not_the_right_to_run_as_it(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root may give files away")
    path = tmp_path / "x.inr"
    path.write_bytes(b"older")
    os.chown(path, 12345, 23456)
    path.chmod(0o4664)
    atomic.write_atomically(path, b"newer")
    status = path.stat()
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (12345, 23456, 0o664)


@posix
def test_threads_that_write_do_not_touch_the_umask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "umask", lambda _: pytest.fail("a file of another thread's would get other permissions"))
    atomic.write_atomically(tmp_path / "x.inr", b"data")
    atomic.write_atomically(tmp_path / "x.inr", b"data")


@posix
def test_a_deleted_file_that_is_open_is_written_to(tmp_path: Path) -> None:
    path = tmp_path / "x.inr"
    with path.open("w+b") as file:
        path.unlink()
        link = Path(f"/proc/self/fd/{file.fileno()}")  # what /dev/stdout may be
        if not link.exists():
            pytest.skip("needs /proc")
        atomic.check_writable(link)
        atomic.write_atomically(link, b"data")
        assert file.read() == b"data"
    assert not list(tmp_path.iterdir())


def test_names_as_long_as_can_be(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 251 + ".inr")
    atomic.check_writable(path)
    atomic.write_atomically(path, b"data")
    assert path.read_bytes() == b"data"
    for write in (atomic.check_writable, lambda path: atomic.write_atomically(path, b"data")):
        with pytest.raises(OSError):
            write(tmp_path / ("n" * 300))
    assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_written_is_found_before(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="missing"):
        atomic.check_writable(tmp_path / "missing" / "x.inr")
    with pytest.raises(IsADirectoryError):
        atomic.check_writable(tmp_path)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OSError):
        atomic.check_writable(tmp_path / "file" / "x.inr")


@posix
def test_links_in_a_circle_are_found_before(tmp_path: Path) -> None:
    loop = tmp_path / "loop.inr"
    loop.symlink_to(loop)
    for write in (atomic.check_writable, lambda path: atomic.write_atomically(path, b"data")):
        with pytest.raises(OSError):
            write(loop)
    assert loop.is_symlink()


@posix
def test_anothers_file_in_a_folder_like_tmp_is_found_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.inr"
    path.write_bytes(b"older")
    monkeypatch.setattr(os, "geteuid", lambda: tmp_path.stat().st_uid + 12345)
    monkeypatch.setattr(os, "access", lambda *_: True)
    atomic.check_writable(path)
    tmp_path.chmod(0o1777)
    atomic.check_writable(tmp_path / "new.inr")
    with pytest.raises(PermissionError):
        atomic.check_writable(path)


@posix
@not_root
def test_permissions_are_asked_for_before(tmp_path: Path) -> None:
    path = tmp_path / "x.inr"
    path.write_bytes(b"older")
    path.chmod(0o400)
    with pytest.raises(PermissionError):
        atomic.check_writable(path)
    path.chmod(0o600)
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError):
        atomic.check_writable(path)
    tmp_path.chmod(0o700)


def test_many_threads_write_one_file_whole(tmp_path: Path) -> None:
    path = tmp_path / "x.inr"
    versions = [bytes([number]) * 100_000 for number in range(8)]
    path.write_bytes(versions[0])
    threads = [threading.Thread(target=atomic.write_atomically, args=(path, data)) for data in versions]
    for thread in threads:
        thread.start()
    for _ in range(50):
        assert path.read_bytes() in versions
    for thread in threads:
        thread.join()
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_another_one_replaced_meanwhile_is_replaced_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.inr"
    path.write_bytes(b"older")
    target = atomic._target

    def replaced(asked: Path) -> Path:
        found = target(asked)
        (tmp_path / "other").write_bytes(b"another writer's")
        (tmp_path / "other").replace(path)
        return found

    monkeypatch.setattr(atomic, "_target", replaced)
    # Were it taken for a pipe or a device, it would be emptied before it is written.
    monkeypatch.setattr(atomic, "_write_all", lambda *_: pytest.fail("written in place"))
    atomic.write_atomically(path, b"newer")
    assert path.read_bytes() == b"newer"


def _save(path: Path) -> None:
    pillow_inr.save(gradient(12, 9), path)


def _imageio(path: Path) -> None:
    iio = pytest.importorskip("imageio.v3")
    iio.imwrite(path, gradient(12, 9))


def _command_line(path: Path) -> None:
    testing = pytest.importorskip("click.testing")
    from pillow_inr.cli import commands

    source = path.parent / "source.png"
    Image.fromarray(gradient(12, 9)).save(source)
    result = testing.CliRunner().invoke(
        commands.main, ["encode", str(source), "--out", str(path), "--force", "--quiet"]
    )
    if result.exit_code:
        raise OSError(result.output)


def encoded(data: bytes) -> Encoded:
    return Encoded(data, 30.0, container.open_model(data))


SAVERS: list[Callable[[Path], None]] = [_save, _imageio, _command_line]


@pytest.mark.parametrize("save", SAVERS)
@pytest.mark.parametrize("error", [FitError("the fit diverged"), MemoryError(), KeyboardInterrupt()])
def test_a_fit_that_fails_leaves_the_older_file(
    error: BaseException, save: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.inr"
    path.write_bytes(b"older")

    def fail(*_: object) -> bytes:
        raise error

    monkeypatch.setattr(codec, "encode_source", fail)
    with pytest.raises((type(error), OSError)):
        save(path)
    assert path.read_bytes() == b"older"
    monkeypatch.setattr(codec, "encode_source", lambda *_: encoded((VECTORS / "rgb.inr").read_bytes()))
    save(path)
    assert path.read_bytes() == (VECTORS / "rgb.inr").read_bytes()
    assert {file.name for file in tmp_path.iterdir()} <= {"x.inr", "source.png"}


def test_the_plugin_validates_before_work_and_writes_once(monkeypatch: pytest.MonkeyPatch) -> None:
    writes: list[bytes] = []

    class Counting(io.BytesIO):
        def write(self, data: Any) -> int:
            writes.append(bytes(data))
            return super().write(data)

    monkeypatch.setattr(codec, "encode_source", lambda *_: Encoded(b"whole", 30.0, None))
    image = Image.fromarray(gradient(12, 9))
    with pytest.raises(ValueError, match="depth"):
        image.save(Counting(), "INR", depth=99)
    with pytest.raises(ValueError, match="divide them, or convert them"):
        Image.fromarray(np.array([[0, 70000]], np.int32)).save(Counting(), "INR")
    assert not writes
    image.save(Counting(), "INR")
    assert writes == [b"whole"]


def test_pillow_removes_what_it_made_for_a_save_that_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And empties an older file before it asks the plugin, which docs/guide.md says."""

    def fail(*_: object) -> bytes:
        raise FitError("the fit diverged")

    monkeypatch.setattr(codec, "encode_source", fail)
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
from pillow_inr.storage import atomic
data = bytes(4_000_000)
print("ready", flush=True)
while True:
    atomic.write_atomically(Path(sys.argv[1]), data)
"""


KILLED_AT = """
import os, signal, sys
from pathlib import Path
from pillow_inr.storage import atomic
owner, _, name = sys.argv[2].rpartition(".")
setattr({"os": os, "Path": Path}[owner], name, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
atomic.write_atomically(Path(sys.argv[1]), b"newer")
"""


@posix
@pytest.mark.parametrize("step", ["Path.open", "os.fsync", "Path.chmod", "Path.replace"])
def test_what_a_killed_process_leaves_is_in_nobodys_way(step: str, tmp_path: Path) -> None:
    path = tmp_path / "x.inr"
    path.write_bytes(b"older")
    child = subprocess.run([sys.executable, "-c", KILLED_AT, str(path), step], check=False)
    assert child.returncode == -signal.SIGKILL
    assert path.read_bytes() == b"older"
    left = [file.name for file in tmp_path.iterdir() if file != path]
    assert len(left) == 1
    assert left[0].startswith(".")
    assert left[0].endswith(atomic.PART_SUFFIX)
    atomic.check_writable(path)
    atomic.write_atomically(path, b"newest")
    assert path.read_bytes() == b"newest"


@posix
def test_a_killed_process_leaves_a_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "x.inr"
    path.write_bytes(b"older")
    for written in (False, True):  # killed as it begins, and after it has replaced the older file
        with subprocess.Popen([sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            child.stdout.readline()
            if written:
                wait_until(lambda: path.stat().st_size == 4_000_000)
            child.send_signal(signal.SIGKILL)
        assert len(path.read_bytes()) in (5, 4_000_000)
    left = [file for file in tmp_path.iterdir() if file != path]
    assert all(file.name.startswith(".") and file.name.endswith(atomic.PART_SUFFIX) for file in left)
    assert len(left) <= 2
