"""Writes a file so that it is complete or absent, whatever happens. Standard library only; knows no file format."""

import contextlib
import errno
import os
import secrets
import stat
from pathlib import Path

PART_SUFFIX = ".pillow_inr-part"
"""Ending of the names of unfinished files, which begin with a dot. A process that is killed may leave one."""


def check_writable(path: Path) -> None:
    """Check, before a long fit, that its result can be written.

    Raises:
        OSError: the folder does not exist or is not writable, the file must not be replaced, the path is a folder, or
            the file system does not allow the name.
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
    """Write a file under a temporary name beside the path, then rename it. Until then an older file stays as it is.

    The data are on the disk before the rename, so a power failure cannot leave an empty file. A symbolic link stays a
    link. The new file gets the permissions of the older one, and its owner and group where that is allowed; other hard
    links keep the older file. A pipe or a device is written to directly.

    Raises:
        OSError: the file cannot be written; an older one is unchanged.
    """
    older, target = _status(path), _target(path)
    if older is not None and not _is_at(target, older):
        with path.open("wb", buffering=0) as file:
            _write_all(file.fileno(), data)
        return
    part = target.parent / f".{secrets.token_hex(8)}{PART_SUFFIX}"
    try:
        # The replacement of a private file must not be readable by others, not even while it is written.
        part.touch(0o666 if older is None else 0o600, exist_ok=False)
        with part.open("r+b") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if older is not None:
            _inherit(part, older)
        part.replace(target)
    except BaseException:
        with contextlib.suppress(OSError):  # report the first error, not this one
            part.unlink(missing_ok=True)
        raise
    _sync_folder(target.parent)


def _status(path: Path) -> os.stat_result | None:
    """The status of a file, None if there is none; an OSError if there can be none, as with too long a name."""
    try:
        return path.stat()
    except FileNotFoundError:
        return None


def _target(path: Path) -> Path:
    """The path of the file itself, after all symbolic links."""
    return Path(os.path.realpath(path))


def _is_at(target: Path, older: os.stat_result) -> bool:
    """Whether there is a regular file at the path: not a pipe, nor a deleted file to which /dev/stdout still leads.

    It need not be the same file any more: another process or thread may have replaced it a moment ago.
    """
    return stat.S_ISREG(older.st_mode) and _status(target) is not None


def _is_guarded(folder: os.stat_result, older: os.stat_result) -> bool:
    """Whether the file is another user's, in a folder such as /tmp where only the owner may replace it (sticky bit)."""
    if os.name == "nt" or not folder.st_mode & stat.S_ISVTX:
        return False
    return os.geteuid() not in (0, folder.st_uid, older.st_uid)


def _inherit(part: Path, older: os.stat_result) -> None:
    """Give the new file the owner, group and permissions of the older one, as far as the system allows it."""
    if os.name != "nt":
        with contextlib.suppress(OSError):
            os.chown(part, older.st_uid if os.geteuid() == 0 else -1, older.st_gid)
    # Without the set-user-ID and set-group-ID bits. On file systems without permissions this fails, which is harmless.
    with contextlib.suppress(OSError):
        part.chmod(stat.S_IMODE(older.st_mode) & 0o777)


def _write_all(handle: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(handle, left) :]


def _sync_folder(folder: Path) -> None:
    """Flush the rename to the disk where the system can; without this the file is complete, too."""
    if os.name == "nt":
        return
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
