"""A cache of compiled programs, within a bound on memory: the least recently used are dropped.

Knows no TensorFlow: what is dropped is freed as soon as nothing else refers to it.
"""

import ctypes
import gc
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any, NamedTuple, TypeVar

# What may be kept in all: the trainers of a pyramid and of a SIREN of default depth, as `auto` uses them, or three such
# SIRENs. Less saves memory; more saves compiling where images of many kinds take turns.
MEGABYTES_MAX = 280

_Kept = TypeVar("_Kept")


class _Entry(NamedTuple):
    kept: Any
    megabytes: float


# By key, least recently used first.
_entries: dict[Hashable, _Entry] = {}
_lock = Lock()


@contextmanager
def borrowed(key: Hashable, megabytes: float, make: Callable[[], _Kept], *, shared: bool = False) -> Iterator[_Kept]:
    """Lend the object kept under a key, made if there is none, and keep it afterwards.

    Args:
        megabytes: estimate of what it takes.
        shared: whether other threads may use it at the same time.
    """
    with _lock:
        entry = _entries.pop(key, None)
        if entry is None:
            _make_room(megabytes)
        elif shared:
            _entries[key] = entry
    kept: _Kept = make() if entry is None else entry.kept
    if shared:
        _keep(key, _Entry(kept, megabytes))
    try:
        yield kept
    finally:
        _keep(key, _Entry(kept, megabytes))
        if entry is None:
            return_memory()


def _keep(key: Hashable, entry: _Entry) -> None:
    with _lock:
        _entries.pop(key, None)
        _make_room(entry.megabytes)
        _entries[key] = entry


def _make_room(megabytes: float) -> None:
    """Drop the least recently used until this much fits in, or nothing is left."""
    while _entries and sum(entry.megabytes for entry in _entries.values()) + megabytes > MEGABYTES_MAX:
        del _entries[next(iter(_entries))]


def return_memory() -> None:
    """Give memory that is free back to the operating system, where the C library has a function for it (glibc).

    Compiling takes some hundreds of megabytes for seconds, which the C library would otherwise hold on to.
    """
    gc.collect()
    trim = getattr(_c_library(), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _c_library() -> Any:
    try:
        return ctypes.CDLL(None)
    except (OSError, TypeError):  # Windows has no such handle
        return None
