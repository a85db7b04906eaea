"""The kernel as wasmtime runs it: compiled once for this machine, and a store and an instance for each thread.

Code from strangers' files cannot get out of an instance: it has its own memory, and no way to call anything.
"""

import atexit
import os
import zlib
from functools import cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

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
    with _lock:
        return _kernel()


@cache
def _kernel() -> Kernel | None:
    try:
        import wasmtime
    except (ImportError, OSError, RuntimeError):  # not installed, or no library of it for this machine
        return None
    engine = wasmtime.Engine()
    code = _KERNEL.read_bytes()
    path = _cache_path(code)
    compiled = module_cache.load(path) if path else None
    if compiled is not None:
        try:
            return Kernel(engine, wasmtime.Module.deserialize(engine, compiled))
        except wasmtime.WasmtimeError:  # of another processor or release
            pass
    module = wasmtime.Module(engine, code)
    if path:
        module_cache.store(path, bytes(module.serialize()))
    return Kernel(engine, module)


def _cache_path(code: bytes) -> Path | None:
    folder = module_cache.folder()
    if folder is None:
        return None
    import wasmtime

    # Not its version: to find that out takes longer than to decode a picture. wasmtime itself refuses another's code.
    wasmtime_status = Path(wasmtime.__file__).stat()
    machine = b"%d %d " % (wasmtime_status.st_mtime_ns, wasmtime_status.st_size) + module_cache.processor()
    return folder / f"kernel-{zlib.crc32(code):08x}-{zlib.crc32(machine):08x}.bin"


# wasmtime's own objects complain when they are released after their modules.
atexit.register(_kernel.cache_clear)
if hasattr(os, "register_at_fork"):
    # A forked process has none of the threads that may hold the lock.
    os.register_at_fork(after_in_child=lambda: globals().update(_lock=Lock()))
