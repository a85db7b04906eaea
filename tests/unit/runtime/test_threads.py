"""Blocks of work shared among threads."""

import gc
import weakref
from collections.abc import Iterator

import pytest

from pillow_inr.runtime import threads


class FailedError(Exception):
    """An error that can be watched."""


@pytest.mark.parametrize("cores", [1, 2, 5])
def test_each_block_is_processed_once(cores: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "cores", lambda: cores)
    seen: list[int] = []
    threads.share(range(20), seen.extend)
    assert sorted(seen) == list(range(20))


@pytest.mark.parametrize("cores", [1, 3])
def test_an_error_ends_the_work_and_is_held_by_nothing(cores: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """What its frames hold, such as decoders with their memory, must not wait for a collection of circles."""
    monkeypatch.setattr(threads, "cores", lambda: cores)
    begun: list[int] = []

    def work(blocks: Iterator[int]) -> None:
        for block in blocks:
            begun.append(block)
            raise FailedError

    gc.collect()
    gc.disable()
    try:
        try:
            threads.share(range(50), work)
        except FailedError as error:
            watched = weakref.ref(error)
        assert watched() is None
    finally:
        gc.enable()
    assert len(begun) <= cores
