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
        OSError: the folder does not exist or may not be written to, the file may not be replaced, the path is a folder,
            or no file can have this name.
    """
    older = _status(path)
    if older is not None:
        if stat.S_ISDIR(older.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        if not _is_at(_target(path), older):
            return
    folder = _target(path).parent
    if not folder.is_dir():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(folder))
    if not os.access(folder, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))
    if older is not None and _is_guarded(folder.stat(), older):
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), str(path))


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file next to its final name, then move it there: until then, whatever happens, an older one stays.

    It is on the disk before it gets the name, so that a loss of power does not leave an empty file either. A symbolic
    link stays one; an older file's permissions are kept, its owner and group where that is allowed; another hard link
    keeps the older file. A pipe or a device is written to directly.

    Raises:
        OSError: the file cannot be written; an older one is as it was.
    """
    older, target = _status(path), _target(path)
    if older is not None and not _is_at(target, older):
        with path.open("wb", buffering=0) as file:
            _write_all(file.fileno(), data)
        return
    part = target.parent / f".{secrets.token_hex(8)}{PART_SUFFIX}"
    try:
        # What replaces a private file is never anybody else's to read, not even for the moment of writing.
        part.touch(0o666 if older is None else 0o600, exist_ok=False)
        with part.open("r+b") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if older is not None:
            _inherit(part, older)
        part.replace(target)
    except BaseException:
        with contextlib.suppress(OSError):  # the first error is the one to tell of
            part.unlink(missing_ok=True)
        raise
    _sync_folder(target.parent)


def _status(path: Path) -> os.stat_result | None:
    """What is there; None if nothing is. An error if nothing can be: of a name too long, or links in a circle."""
    try:
        return path.stat()
    except FileNotFoundError:
        return None


def _target(path: Path) -> Path:
    """The file itself, where a path is a symbolic link to it."""
    return Path(os.path.realpath(path))


def _is_at(target: Path, older: os.stat_result) -> bool:
    """Whether it is a file, and has this name: not a pipe, nor a deleted file that /dev/stdout still leads to.

    That it is still the same file is not asked: another process or thread may have replaced it a moment ago.
    """
    return stat.S_ISREG(older.st_mode) and _status(target) is not None


def _is_guarded(folder: os.stat_result, older: os.stat_result) -> bool:
    """Whether it is another user's file in a folder such as /tmp, where nobody but its owner may replace it."""
    if os.name == "nt" or not folder.st_mode & stat.S_ISVTX:
        return False
    return os.geteuid() not in (0, folder.st_uid, older.st_uid)


def _inherit(part: Path, older: os.stat_result) -> None:
    """Give a new file the owner, group and permissions of the older one, as far as the system lets us."""
    if os.name != "nt":
        with contextlib.suppress(OSError):
            os.chown(part, older.st_uid if os.geteuid() == 0 else -1, older.st_gid)
    # Not those to run as another user. Some file systems have no permissions to set: no reason to lose a fit.
    with contextlib.suppress(OSError):
        part.chmod(stat.S_IMODE(older.st_mode) & 0o777)


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
