"""The compiled kernel is read from the user's own folder only, and only whole."""

import os
import stat
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pillow_inr.kernel import module, module_cache
from pillow_inr.runtime import user_cache

posix = pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
CODE = b"machine code"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "kernel-1.bin"


def test_what_was_stored_is_loaded(path: Path) -> None:
    assert module_cache.load(path) is None
    module_cache.store(path, CODE)
    assert module_cache.load(path) == CODE
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


@posix
def test_nobody_else_may_write_it(path: Path) -> None:
    module_cache.store(path, CODE)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    path.chmod(0o620)
    assert module_cache.load(path) is None
    path.chmod(0o600)
    path.parent.chmod(0o777)
    assert module_cache.load(path) is None
    module_cache.store(path.with_name("other"), CODE)
    assert not path.with_name("other").exists()


@posix
def test_files_of_another_user_are_not_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module_cache.store(path, CODE)
    monkeypatch.setattr(os, "geteuid", lambda: 1 << 20)
    assert module_cache.load(path) is None


@posix
def test_links_are_not_followed(path: Path, tmp_path: Path) -> None:
    module_cache.store(tmp_path / "cache" / "true", CODE)
    path.symlink_to(path.with_name("true"))
    assert module_cache.load(path) is None
    (tmp_path / "link").symlink_to(path.parent)
    assert module_cache.load(tmp_path / "link" / "true") is None


@pytest.mark.parametrize("keep", [0, 3, 10, -1])
def test_half_written_files_are_not_used(path: Path, keep: int) -> None:
    module_cache.store(path, CODE)
    path.write_bytes(path.read_bytes()[:keep])
    assert module_cache.load(path) is None


def test_where_nothing_can_be_written_nothing_happens(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    module_cache.store(tmp_path / "file" / "kernel-1.bin", CODE)
    module_cache.store(Path("/proc/none/kernel-1.bin"), CODE)


@pytest.mark.parametrize("found", [None, b"", b"not machine code"])
def test_the_kernel_compiles_without_a_cache(found: bytes | None, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wasmtime")
    stored: list[bytes] = []
    monkeypatch.setattr(module_cache, "load", lambda path: found)
    monkeypatch.setattr(module_cache, "store", lambda path, code: stored.append(code))
    made = module.load_kernel()
    assert made is not None
    assert len(stored) == 1
    monkeypatch.setattr(module_cache, "load", lambda path: stored[0])
    assert module.load_kernel() is not None
    assert len(stored) == 1


def test_without_a_folder_nothing_is_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wasmtime")
    monkeypatch.setattr(user_cache, "folder", lambda: None)
    monkeypatch.setattr(module_cache, "store", lambda path, code: pytest.fail("stored"))
    assert module.load_kernel() is not None


def test_without_wasmtime_there_is_no_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wasmtime", None)
    assert module.load_kernel() is None


def test_where_wasmtime_does_not_run_there_is_no_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    wasmtime = pytest.importorskip("wasmtime")

    def fail(*given: object) -> None:
        raise wasmtime.WasmtimeError("mmap failed to reserve 0x104000000 bytes")

    for name in ("Engine", "Instance"):
        with monkeypatch.context() as patch:
            patch.setattr(wasmtime, name, fail)
            assert module.load_kernel() is None


def test_several_threads_that_come_first_load_it_once(monkeypatch: pytest.MonkeyPatch) -> None:
    loads: list[int] = []

    def load() -> None:
        loads.append(1)
        time.sleep(0.05)

    monkeypatch.setattr(module, "load_kernel", load)
    module._kept_kernel.cache_clear()
    try:
        with ThreadPoolExecutor(4) as pool:
            assert [task.result() for task in [pool.submit(module.kernel) for _ in range(4)]] == [None] * 4
    finally:
        module._kept_kernel.cache_clear()
    assert len(loads) == 1
