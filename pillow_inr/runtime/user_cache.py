"""The user's cache folder: machine code that lies there will be run, so nobody else may write to it.

Only what is quickly imported: opening a file needs it.
"""

import contextlib
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path

PRIVATE = 0o700
"""Mode of a folder that is this user's alone."""
_OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH


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


def is_private(status: os.stat_result, is_kind: Callable[[int], bool]) -> bool:
    """Whether a file or folder belongs to this user, and nobody else may write to it."""
    if not is_kind(status.st_mode):
        return False
    # Windows keeps other users out of a user's folders by other means.
    return not hasattr(os, "geteuid") or (status.st_uid == os.geteuid() and not status.st_mode & _OTHERS_MAY_WRITE)
