"""Blocks of work shared among threads."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import TypeVar

# More threads than this do not pay: memory, at most a few blocks a thread, is bounded with them.
THREADS_MAX = 16

_Block = TypeVar("_Block")


_most: int | None = None


def limit_cores(threads: int) -> None:
    """Have this process use no more than so many cores, as one of several that share them."""
    global _most
    _most = threads


def cores() -> int:
    """Cores that this process may use."""
    found = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return found if _most is None else min(found, _most)


def share(blocks: list[_Block], work: Callable[[Iterator[_Block]], None]) -> None:
    """Let threads work on blocks until there are no more; after an error, or Ctrl-C, no block is begun any more.

    Args:
        blocks: emptied when something goes wrong.
        work: takes blocks from an iterator that all threads share.
    """
    threads = min(cores(), THREADS_MAX, len(blocks))
    # Each thread takes the next block when it is ready for one: a core that is busy with something else holds up none
    # of the others. (An iterator of a list may be shared.)
    left = iter(blocks)
    if threads <= 1:
        work(left)
        return
    with ThreadPoolExecutor(threads) as pool:
        tasks = [pool.submit(work, left) for _ in range(threads)]
        try:
            wait(tasks, return_when=FIRST_EXCEPTION)
        finally:
            blocks.clear()  # after Ctrl-C or an error the threads, which are waited for, end with their blocks
        for task in tasks:
            task.result()
