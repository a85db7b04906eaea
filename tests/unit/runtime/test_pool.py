"""What is kept compiled, and what is dropped, with objects that compile nothing."""

import weakref
from collections.abc import Iterator
from threading import Barrier, Thread

import pytest

from pillow_inr.runtime import pool


class Made:
    """Something that takes memory."""


@pytest.fixture(autouse=True)
def empty_pool(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(pool, "_entries", {})
    monkeypatch.setattr(pool, "MEGABYTES_MAX", 100)
    yield


def _use(key: str, megabytes: float = 40) -> Made:
    with pool.borrowed(key, megabytes, Made) as made:
        return made


def test_what_was_made_is_lent_again() -> None:
    assert _use("a") is _use("a")


def test_the_least_recently_used_is_dropped_and_freed() -> None:
    dropped, kept = weakref.ref(_use("a")), weakref.ref(_use("b"))
    _use("a")
    _use("c")
    assert kept() is None
    assert dropped() is _use("a")


def test_one_larger_than_the_bound_is_made_and_is_alone() -> None:
    first = weakref.ref(_use("a"))
    _use("large", 1000)
    assert first() is None
    assert list(pool._entries) == ["large"]


def test_an_object_in_use_is_not_lent_unless_shared() -> None:
    for shared in (False, True):
        key = f"shared {shared}"
        with (
            pool.borrowed(key, 10, Made, shared=shared) as one,
            pool.borrowed(key, 10, Made, shared=shared) as other,
        ):
            assert (one is other) == shared


def test_an_object_is_kept_after_an_error() -> None:
    with pytest.raises(ZeroDivisionError), pool.borrowed("a", 10, Made) as made:
        raise ZeroDivisionError
    assert _use("a") is made


def test_threads_take_turns() -> None:
    barrier = Barrier(4)

    def work() -> None:
        barrier.wait()
        for number in range(200):
            _use(str(number % 5), 30)

    threads = [Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(entry.megabytes for entry in pool._entries.values()) <= 100


def test_memory_is_returned_where_the_library_can(monkeypatch: pytest.MonkeyPatch) -> None:
    pool.return_memory()

    def none(_: object) -> None:
        raise OSError

    monkeypatch.setattr(pool.ctypes, "CDLL", none)  # as on Windows
    pool.return_memory()
