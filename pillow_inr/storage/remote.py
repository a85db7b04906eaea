"""Reads, writes and lists files at URLs (s3://, gs://, file:// and more). Knows no format; imports fsspec when used."""

import contextlib
import errno
import glob
import os
import re
import secrets
from collections.abc import Iterator, Sequence
from itertools import takewhile
from pathlib import Path, PurePosixPath
from typing import Any

from . import atomic

# On these file systems a file appears only once it is complete. On all others it is written under a temporary name and
# renamed, which is as safe but takes more requests.
_APPEAR_WHOLE = {"abfs", "az", "gcs", "gs", "memory", "s3", "s3a"}
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")


def is_url(text: str) -> bool:
    """Whether a text is a URL rather than a path; C:/photos is a path."""
    return _URL.match(text) is not None


def join(folder: str, below: str) -> str:
    """The URL of a file, from the URL of a folder and the path relative to it, with forward slashes."""
    return f"{folder.rstrip('/')}/{below}"


def read(url: str) -> bytes:
    """Read all bytes of a file.

    Raises:
        OSError: it cannot be read; FileNotFoundError if it does not exist.
        ImportError: fsspec is missing, or the package that it needs for such URLs; the message says what to install.
    """
    with _as_os_errors(url):
        system, path = _open(url)
        data: bytes = system.cat_file(path)
        return data


def write(url: str, data: bytes) -> None:
    """Write a file, and the folders it needs. The new file replaces an older one only when it is complete.

    Raises:
        OSError: it cannot be written.
        ImportError: see `read`.
    """
    with _as_os_errors(url):
        system, path = _open(url)
        protocols = {system.protocol} if isinstance(system.protocol, str) else set(system.protocol)
        if "file" in protocols:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            atomic.write_atomically(Path(path), data)
        elif protocols & _APPEAR_WHOLE:
            system.pipe_file(path, data)
        else:
            _write_aside(system, path, data)


def expand(url: str) -> list[tuple[str, str]]:
    """List the files that a URL names: all files in and below a folder, or the matches of `s3://photos/**/*.jpg`.

    A URL with http or https always names one file.

    Returns:
        Pairs, sorted: the URL of a file, and its path relative to the folder or to the part before the wildcards. If
        the URL names a single file, or nothing, the only pair is the URL itself and its last part.
    Raises:
        OSError: the folder cannot be listed.
        ImportError: see `read`.
    """
    if url.startswith(("http://", "https://")):
        return [(url, PurePosixPath(url.partition("?")[0]).name)]
    with _as_os_errors(url):
        base = "/".join(before_wildcards(url.split("/")))
        system, root = _open(base)
        # find() on a file returns that file.
        found = system.find(root) if base == url else _matches(system, _open(url)[1])
    below = [path.removeprefix(root).lstrip("/") for path in found]
    if base == url and below in ([], [""]):
        return [(url, PurePosixPath(root).name)]
    return [(join(base, path), path) for path in sorted(below) if path]


def sizes(folder: str) -> dict[str, int]:
    """The size in bytes of each file in and below a folder, by its relative path; {} if there is no folder.

    Raises:
        OSError: the folder cannot be listed.
        ImportError: see `read`.
    """
    with _as_os_errors(folder):
        system, root = _open(folder)
        found = system.find(root, detail=True)
        return {path.removeprefix(root).lstrip("/"): facts["size"] for path, facts in found.items()}


def _open(url: str) -> tuple[Any, str]:
    """The file system of a URL, and the path on it."""
    try:
        from fsspec.core import url_to_fs
    except ImportError as error:
        raise ImportError(f"{url}: URLs need fsspec: pip install 'pillow-inr[cluster]'") from error
    system, path = url_to_fs(url)
    # A cached listing would not show what other processes have written since.
    system.invalidate_cache()
    return system, path


@contextlib.contextmanager
def _as_os_errors(url: str) -> Iterator[None]:
    """Turn other errors into OSError: file systems raise whatever their libraries do."""
    try:
        yield
    except FileNotFoundError as error:  # whose message is often the path alone
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), url) from error
    except (OSError, ImportError):
        raise
    except Exception as error:
        raise OSError(f"{url}: {str(error) or type(error).__name__}") from error


def _matches(system: Any, pattern: str) -> set[str]:
    """The files that a pattern matches, and those below the folders that it matches."""
    found = set()
    for path, facts in system.glob(pattern, detail=True).items():
        found |= set(system.find(path)) if facts["type"] == "directory" else {path}
    return found


def _write_aside(system: Any, path: str, data: bytes) -> None:
    folder = path.rpartition("/")[0]
    part = f"{folder}/.{secrets.token_hex(8)}{atomic.PART_SUFFIX}"
    system.makedirs(folder, exist_ok=True)
    try:
        system.pipe_file(part, data)
        system.mv(part, path)
    except BaseException:
        with contextlib.suppress(Exception):  # report the first error, not this one
            system.rm_file(part)
        raise


def before_wildcards(parts: Sequence[str]) -> Sequence[str]:
    """The parts of a path or a URL that precede the first one with a wildcard; all of them if there is none."""
    return list(takewhile(lambda part: not glob.has_magic(part), parts))
