"""The pool of what took long to make, with objects that stand in for trainers."""

import weakref
from collections.abc import Callable, Iterator

import pytest

from pillow_inr.runtime import pool
from pillow_inr.runtime.pool import borrowed

MEGABYTES_MAX = 300


class Made:
    """Notes how many there were."""

    count = 0

    def __init__(self) -> None:
        Made.count += 1


@pytest.fixture(autouse=True)
def empty(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(pool, "_entries", {})
    monkeypatch.setattr(pool, "MEGABYTES_MAX", MEGABYTES_MAX)
    monkeypatch.setattr(Made, "count", 0)
    yield


def use(key: str, megabytes: float = 10, make: Callable[[], Made] = Made) -> Made:
    with borrowed(key, megabytes, make) as made:
        return made


def test_what_was_used_is_used_again() -> None:
    first = use("a")
    assert use("b") is not first
    assert use("a") is first
    assert Made.count == 2


def test_the_least_recently_used_goes_first() -> None:
    third = MEGABYTES_MAX / 3
    for key in "abc":
        use(key, third)
    use("a", third)
    use("d", third)
    assert list(pool._entries) == ["c", "a", "d"]


def test_room_is_made_before_anything_is_made() -> None:
    use("a", MEGABYTES_MAX)

    def make() -> Made:
        assert not pool._entries
        return Made()

    use("b", 1, make)


def test_what_is_larger_than_the_bound_is_kept_alone() -> None:
    use("a")
    large = use("b", 2 * MEGABYTES_MAX)
    assert list(pool._entries) == ["b"]
    assert use("b", 2 * MEGABYTES_MAX) is large


def test_what_goes_is_freed_at_once() -> None:
    freed = weakref.ref(use("a", MEGABYTES_MAX))
    assert freed() is not None
    use("b")
    assert freed() is None


def test_what_is_lent_is_lent_once_unless_it_is_shared() -> None:
    with borrowed("a", 10, Made) as first, borrowed("a", 10, Made) as second:
        assert first is not second
    assert len(pool._entries) == 1
    with borrowed("s", 10, Made, shared=True) as first, borrowed("s", 10, Made, shared=True) as second:
        assert first is second


def test_an_error_does_not_lose_what_was_lent() -> None:
    first = use("a")
    with pytest.raises(KeyboardInterrupt), borrowed("a", 10, Made):
        raise KeyboardInterrupt
    assert use("a") is first


def test_what_cannot_be_made_is_not_kept() -> None:
    def fail() -> Made:
        raise MemoryError

    with pytest.raises(MemoryError):
        use("a", 10, fail)
    assert not pool._entries


def test_memory_is_returned_on_every_system(monkeypatch: pytest.MonkeyPatch) -> None:
    pool.return_memory()
    monkeypatch.setattr(pool, "_c_library", lambda: None)
    pool.return_memory()
