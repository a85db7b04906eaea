"""Shares blocks of work among threads, and limits their number."""

import os
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

# More threads hardly help, and each holds a few blocks in memory.
THREADS_MAX = 16

_Block = TypeVar("_Block")

_most: int | None = None


def limit_cores(threads: int) -> None:
    """Limit the cores that this process uses, for processes that share a machine."""
    global _most
    _most = threads


def cores() -> int:
    """The number of cores that this process may use."""
    found = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return found if _most is None else min(found, _most)


def share(blocks: Sequence[_Block], work: Callable[[Iterator[_Block]], None]) -> None:
    """Process blocks in several threads. After an error, or Ctrl-C, no further block is begun.

    Args:
        blocks: what there is to do.
        work: called in each thread with an iterator over the blocks, which all threads share.
    """
    threads = min(cores(), THREADS_MAX, len(blocks))
    # Each thread takes a new block when it is ready, so a core that is busy elsewhere does not delay the others.
    # Threads can share the iterator of a list.
    queue = list(blocks)
    left = iter(queue)
    if threads <= 1:
        work(left)
        return
    # Here: limits ask for the number of cores when a file is opened, which must stay cheap.
    from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait

    with ThreadPoolExecutor(threads) as pool:
        tasks = [pool.submit(work, left) for _ in range(threads)]
        try:
            wait(tasks, return_when=FIRST_EXCEPTION)
        finally:
            queue.clear()  # after Ctrl-C or an error: the threads end after their current blocks
        try:
            while tasks:
                tasks.pop(0).result()
        finally:
            tasks.clear()  # an error holds this frame, and would be held by its task: a circle
