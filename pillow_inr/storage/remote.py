"""Files that URLs name, through fsspec: s3://, gs://, file:// and more. Knows no format; imports fsspec when used."""

import contextlib
import glob
import re
import secrets
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from . import atomic

# File systems on which a file appears whole, or not at all, once its last byte is written. On others, or those not
# listed here, it is written beside its name and then moved: more requests, nothing else.
_APPEAR_WHOLE = {"abfs", "az", "gcs", "gs", "memory", "s3", "s3a"}
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")


def is_url(text: str) -> bool:
    """Whether a text names a file by a URL, and not by a path: C:/photos is a path."""
    return _URL.match(text) is not None


def join(folder: str, below: str) -> str:
    """The URL of a file, from that of a folder and the path below it, with forward slashes."""
    return f"{folder.rstrip('/')}/{below}"


def read(url: str) -> bytes:
    """All bytes of a file.

    Raises:
        OSError: it cannot be read; a FileNotFoundError if there is none.
        ImportError: fsspec is missing, or the package that it needs for such URLs; the message says what to install.
    """
    with _as_os_errors(url):
        system, path = _open(url)
        data: bytes = system.cat_file(path)
        return data


def write(url: str, data: bytes) -> None:
    """Write a file so that it is there whole or not at all; an older one stays until then. Folders are made.

    Raises:
        OSError: it cannot be written.
        ImportError: as of `read`.
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
    """The files that a URL names: of a folder all in and below it, of a pattern (`s3://photos/**/*.jpg`) its matches.

    Those whose names, or whose folders' names below it, begin with a dot are left out. A URL of http or https is
    that of one file.

    Returns:
        Pairs of a file's URL and its path below the folder, or below what stands before the wildcards, in order of
        the names. A URL of one file, or of none, comes back with the name alone: reading it tells.
    Raises:
        OSError: the folder cannot be listed.
        ImportError: as of `read`.
    """
    if url.startswith(("http://", "https://")):
        return [(url, PurePosixPath(url.partition("?")[0]).name)]
    with _as_os_errors(url):
        base = _before_wildcards(url)
        system, root = _open(base)
        # Of a file, find() is a list of itself.
        found = system.find(root) if base == url else _matches(system, _open(url)[1])
    below = [path.removeprefix(root).lstrip("/") for path in found]
    if base == url and below in ([], [""]):
        return [(url, PurePosixPath(root).name)]
    return [(join(base, path), path) for path in sorted(below) if path and not _is_hidden(path)]


def sizes(folder: str) -> dict[str, int]:
    """The bytes of every file in a folder and below it, by its path below, from one listing; {} if there is no folder.

    Raises:
        OSError: the folder cannot be listed.
        ImportError: as of `read`.
    """
    with _as_os_errors(folder):
        system, root = _open(folder)
        found = system.find(root, detail=True)
        return {path.removeprefix(root).lstrip("/"): facts["size"] for path, facts in found.items()}


def _open(url: str) -> tuple[Any, str]:
    """The file system of a URL, and the path there."""
    try:
        from fsspec.core import url_to_fs
    except ImportError as error:
        raise ImportError(f"{url}: URLs need fsspec: pip install 'pillow-inr[cluster]'") from error
    system, path = url_to_fs(url)
    # What another process has written meanwhile would not be in a listing that was kept.
    system.invalidate_cache()
    return system, path


@contextlib.contextmanager
def _as_os_errors(url: str) -> Iterator[None]:
    """File systems raise whatever their libraries do: of credentials, of the network, of names."""
    try:
        yield
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
        with contextlib.suppress(Exception):  # the first error is the one to tell of
            system.rm_file(part)
        raise


def _before_wildcards(url: str) -> str:
    parts = url.split("/")
    fixed = next((index for index, part in enumerate(parts) if glob.has_magic(part)), len(parts))
    return "/".join(parts[:fixed])


def _is_hidden(path: str) -> bool:
    return any(part.startswith(".") for part in path.split("/"))
