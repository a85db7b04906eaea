"""The kernel, compiled for this machine once and kept in the user's cache folder.

Streams from strangers are decoded in its sandbox: it has its own memory, and no way to call anything.
"""

import atexit
import os
import zlib
from functools import cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

from ..runtime import threads, user_cache
from . import module_cache

if TYPE_CHECKING:
    import wasmtime

_KERNEL = Path(__file__).with_name("kernel.wasm")


class Kernel(NamedTuple):
    """The compiled kernel."""

    engine: "wasmtime.Engine"
    module: "wasmtime.Module"


_lock = Lock()


def kernel() -> Kernel | None:
    """The compiled kernel; None where wasmtime is not installed or does not run."""
    with _lock:  # `cache` alone would compile it in each of several threads that come first
        return _kept_kernel()


@cache
def _kept_kernel() -> Kernel | None:
    return load_kernel()


def load_kernel() -> Kernel | None:
    """Compile the kernel, or take what was compiled before; the first time in a process."""
    try:
        import wasmtime
    except (ImportError, OSError, RuntimeError):  # not installed, or no library of it for this machine
        return None
    try:
        config = wasmtime.Config()
        config.parallel_compilation = False  # its threads would not be there in a forked process, which would wait
        config.memory_init_cow = False  # would hold a file descriptor of the host for a few kilobytes of tables
        engine = wasmtime.Engine(config)
        compiled = _compiled(engine)
        # Each thread needs one, and each takes some gigabytes of addresses, not of memory.
        stores = [wasmtime.Store(engine) for _ in range(min(threads.cores(), threads.THREADS_MAX))]
        held = [wasmtime.Instance(store, compiled, []) for store in stores]
    except wasmtime.WasmtimeError:  # no memory that may be run, or too few addresses (`ulimit -v`)
        return None
    del held
    return Kernel(engine, compiled)


def _compiled(engine: "wasmtime.Engine") -> "wasmtime.Module":
    import wasmtime

    code = _KERNEL.read_bytes()
    path = _cache_path(code)
    stored = module_cache.load(path) if path else None
    if stored is not None:
        try:
            return wasmtime.Module.deserialize(engine, stored)
        except wasmtime.WasmtimeError:  # of another processor or release
            pass
    module = wasmtime.Module(engine, code)
    if path:
        module_cache.store(path, bytes(module.serialize()))
    return module


def _cache_path(code: bytes) -> Path | None:
    folder = user_cache.folder()
    if folder is None:
        return None
    import wasmtime

    # Not its version: to find that out takes longer than to decode a picture. wasmtime itself refuses another's code.
    try:
        wasmtime_status = Path(wasmtime.__file__).stat()
    except OSError:  # in a frozen program
        return None
    machine = b"%d %d " % (wasmtime_status.st_mtime_ns, wasmtime_status.st_size) + user_cache.processor()
    return folder / f"kernel-{zlib.crc32(code):08x}-{zlib.crc32(machine):08x}.bin"


def _renew_lock() -> None:
    """A forked process has none of the threads that may hold the lock."""
    global _lock
    _lock = Lock()


# wasmtime's own objects complain when they are released after their modules.
atexit.register(_kept_kernel.cache_clear)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)
