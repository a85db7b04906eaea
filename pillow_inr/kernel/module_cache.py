"""Keeps the compiled kernel in the user's cache folder. Only what is quickly imported: opening a file needs it.

What lies in the folder is machine code that will be run: only files that belong to this user, in a folder that nobody
else may write to, are read. A checksum reveals one that was not written to its end.
"""

import contextlib
import os
import stat
import zlib
from pathlib import Path

from ..runtime import user_cache

_CHECKSUM_BYTES = 4
_OWN_FILE = 0o600
_FLAGS = getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)


def load(path: Path) -> bytes | None:
    """Read what `store` wrote; None if it is not there, not whole, or not this user's alone."""
    try:
        if not user_cache.is_private(os.lstat(path.parent), stat.S_ISDIR):
            return None
        with os.fdopen(os.open(path, os.O_RDONLY | _FLAGS), "rb") as file:
            if not user_cache.is_private(os.fstat(file.fileno()), stat.S_ISREG):
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
        path.parent.mkdir(user_cache.PRIVATE, parents=True, exist_ok=True)
        if not user_cache.is_private(os.lstat(path.parent), stat.S_ISDIR):
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
