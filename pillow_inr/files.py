"""Writing a file so that it is there whole or not at all. Standard library only, knows no format."""

import contextlib
import errno
import os
import secrets
import stat
from pathlib import Path

PART_SUFFIX = ".pillow_inr-part"
"""How the names of unfinished files end, which a process that was killed may leave; they begin with a dot."""


def check_writable(path: Path) -> None:
    """Find out before a long fit that its result could not be written.

    Raises:
        OSError: the folder does not exist or may not be written to, the file may not, or the path is a folder.
    """
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if path.exists() and not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
    if _is_special(path):
        return
    folder = _target(path).parent
    if not folder.is_dir():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(folder))
    if not os.access(folder, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file next to its final name, then move it there: until then, whatever happens, an older one stays.

    It is on the disk before it gets the name, so that a loss of power does not leave an empty file either. A symbolic
    link stays one; an older file's permissions are kept. A pipe or a device is written to directly.

    Raises:
        OSError: the file cannot be written; an older one is as it was.
    """
    if _is_special(path):
        with path.open("wb", buffering=0) as file:
            _write_all(file.fileno(), data)
        return
    target = _target(path)
    part = target.parent / f".{secrets.token_hex(8)}{PART_SUFFIX}"
    try:
        with part.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            part.chmod(stat.S_IMODE(target.stat().st_mode))
        part.replace(target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    _sync_folder(target.parent)


def _target(path: Path) -> Path:
    """The file itself, where a path is a symbolic link to it."""
    return Path(os.path.realpath(path))


def _is_special(path: Path) -> bool:
    """Whether there is something that is neither a file nor a folder."""
    return path.exists() and not path.is_file() and not path.is_dir()


def _write_all(handle: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(handle, left) :]


def _sync_folder(folder: Path) -> None:
    """Have the name on the disk, too, on systems that can; the file is whole in any case."""
    if os.name == "nt":
        return
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
