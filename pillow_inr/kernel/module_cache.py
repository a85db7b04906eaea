"""Keeps the compiled kernel in the user's cache folder. Only what is quickly imported: opening a file needs it.

What lies in the folder is machine code that will be run: only files that belong to this user, in a folder that nobody
else may write to, are read. A checksum reveals one that was not written to its end.
"""

import contextlib
import os
import stat
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

_CHECKSUM_BYTES = 4
_OWN_FOLDER, _OWN_FILE = 0o700, 0o600
_OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH
_FLAGS = getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)


def folder() -> Path | None:
    """This user's folder for it; None if the user has no home. (platformdirs takes longer than reading the file.)"""
    if sys.platform == "win32":
        places = [os.environ.get("LOCALAPPDATA", "")]
    elif sys.platform == "darwin":
        places = ["~/Library/Caches"]
    else:
        places = [os.environ.get("XDG_CACHE_HOME", ""), "~/.cache"]
    for place in places:
        with contextlib.suppress(RuntimeError):  # a user without a home
            place = str(Path(place).expanduser())
        path = Path(place)
        if path.is_absolute():  # also what the XDG specification asks for
            return path / "pillow_inr"
    return None


def processor() -> bytes:
    """What tells processors with different instructions apart, as far as it is known cheaply."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError), Path("/proc/cpuinfo").open("rb") as file:
            lines = file.read(1 << 14).split(b"\n")
            return b"".join(line for line in lines[:60] if line[:5] in (b"flags", b"Featu"))
    import platform

    return f"{platform.machine()} {platform.processor()}".encode()


def load(path: Path) -> bytes | None:
    """Read what `store` wrote; None if it is not there, not whole, or not this user's alone."""
    try:
        if not _is_ours(os.lstat(path.parent), stat.S_ISDIR):
            return None
        with os.fdopen(os.open(path, os.O_RDONLY | _FLAGS), "rb") as file:
            if not _is_ours(os.fstat(file.fileno()), stat.S_ISREG):
                return None
            data = file.read()
    except OSError:
        return None
    checksum, code = data[:_CHECKSUM_BYTES], data[_CHECKSUM_BYTES:]
    return code if _checksum(code) == checksum else None


def store(path: Path, code: bytes) -> None:
    """Write a file for `load`, completely or not at all. Where that is not possible, nothing happens."""
    import secrets  # here: it takes a while, and what is stored is mostly there

    part = path.with_name(f".{secrets.token_hex(8)}.part")
    with contextlib.suppress(OSError):
        path.parent.mkdir(_OWN_FOLDER, parents=True, exist_ok=True)
        if not _is_ours(os.lstat(path.parent), stat.S_ISDIR):
            return
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FLAGS
            with os.fdopen(os.open(part, flags, _OWN_FILE), "wb") as file:
                file.write(_checksum(code) + code)
            part.replace(path)
        except OSError:
            part.unlink(missing_ok=True)


def _checksum(code: bytes) -> bytes:
    return zlib.crc32(code).to_bytes(_CHECKSUM_BYTES, "little")


def _is_ours(status: os.stat_result, is_kind: Callable[[int], bool]) -> bool:
    if not is_kind(status.st_mode):
        return False
    # Windows keeps other users out of a user's folders by other means.
    return not hasattr(os, "geteuid") or (status.st_uid == os.geteuid() and not status.st_mode & _OTHERS_MAY_WRITE)
