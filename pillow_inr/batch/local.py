"""Images encoded by processes of this machine."""

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path

from ..errors import BackendError
from ..runtime.native_log import capture_native_stderr
from ..runtime.threads import cores
from . import worker
from .manifest import Record
from .worker import Task

MEMORY_PER_PROCESS = 2 << 30
"""Bytes that a process of a batch takes at most, of images up to 16 megapixels: most of them are TensorFlow's, which
compiles (docs/experiments.md section 14). Held to account by benchmarks/batch.py."""
DEATHS_MAX = 3
"""Processes that may die with an image before it is given up: it may be the image that kills them."""


def usual_processes(threads: int) -> int:
    """As many processes as cores have room for and memory is free for, but one."""
    by_cores = cores() // threads
    return max(1, min(by_cores, _free_memory() // MEMORY_PER_PROCESS))


def _free_memory() -> int:
    """Bytes that processes may take; where the system does not tell, no number of them is too many."""
    found = [_numbers(Path("/proc/meminfo")).get("MemAvailable:", 1 << 52) * 1024]
    for folder, limit, used, cached in _CONTAINERS:
        with contextlib.suppress(OSError, ValueError):  # other systems have others; a limit may be "max"
            most, taken = (int(Path(folder, name).read_text()) for name in (limit, used))
            # Files that were read count as taken, and make room when it is needed.
            found.append(most - taken + _numbers(Path(folder, "memory.stat")).get(cached, 0))
    return min(found)


def _numbers(path: Path) -> dict[str, int]:
    """The numbers of a file with a name and a number in each line; none where there is no such file."""
    try:
        lines = [line.split() for line in path.read_text().splitlines()]
    except OSError:
        return {}
    return {words[0]: int(words[1]) for words in lines if len(words) > 1 and words[1].isdigit()}


# Where Linux tells what a container may take: folder, its files, and the name in memory.stat. Version 2, and 1.
_CONTAINERS = (
    ("/sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"),
    ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)


def run(tasks: Iterable[Task], processes: int, work: Callable[[Task], Record] = worker.work) -> Iterator[Record]:
    """Have processes do tasks, one at a time each; tasks are taken from the iterable as processes become free.

    A process that dies is replaced, and its image begun again. Ending the iteration early, as Ctrl-C does, ends all
    processes; files that they have not finished are not there.

    Args:
        work: does a task; an importable function.
    Yields:
        The record of each task, failed ones as well, as they come.
    Raises:
        BackendError: no fit is possible here.
    """
    # Nothing is ever sent. The processes read, and end when this end of it is closed, which the system does, too.
    lifeline, held = multiprocessing.Pipe(duplex=False)
    slots = [_Slot(work, lifeline) for _ in range(processes)]
    try:
        yield from _records(iter(tasks), slots)
    finally:
        held.close()
        for slot in slots:
            slot.discard()
        lifeline.close()


def _records(tasks: Iterator[Task], slots: list["_Slot"]) -> Iterator[Record]:
    busy: dict[Future[Record], _Slot] = {}
    free = list(slots)
    while True:
        while free and (task := next(tasks, None)) is not None:
            slot = free.pop()
            busy[slot.begin(task)] = slot
        if not busy:
            return
        ended, _ = wait(busy, timeout=1.0, return_when=FIRST_COMPLETED)  # on Windows, Ctrl-C waits for the limit
        for future in ended:
            slot = busy.pop(future)
            record = slot.outcome(future)
            if record is None:
                busy[slot.again()] = slot
            else:
                free.append(slot)
                yield record


class _Slot:
    """A place for a process: an executor of its own, so that one that dies takes no other image with it."""

    def __init__(self, work: Callable[[Task], Record], lifeline: Connection) -> None:
        self._work = work
        self._lifeline = lifeline
        self._executor: ProcessPoolExecutor | None = None
        self._started: Future[int] | None = None
        self._task: Task | None = None
        self._attempts = 0
        self._starts = 0

    def begin(self, task: Task) -> Future[Record]:
        """Have the process do a task, another process if that one has died meanwhile."""
        self._task, self._attempts = task, 0
        try:
            return self.again()
        except BrokenProcessPool:
            self.discard()
            self._attempts = 0
            return self.again()

    def again(self) -> Future[Record]:
        assert self._task is not None
        threads = self._task.threads
        with _as_for_workers(threads):
            if self._executor is None:
                # Not forked: threads of the caller's, TensorFlow's among them, would be missing in the copy.
                context = multiprocessing.get_context("spawn")
                self._executor = ProcessPoolExecutor(1, context, _prepare, (os.getpid(), self._lifeline, threads))
                self._started = self._executor.submit(os.getpid)
            self._attempts += 1
            return self._executor.submit(_quietly, self._work, self._task)

    def outcome(self, future: Future[Record]) -> Record | None:
        """The record of what has ended; None if its process died and another one may try.

        Raises:
            BackendError: no process gets as far as to begin.
        """
        assert self._task is not None
        try:
            return replace(future.result(), attempts=self._attempts)
        except BrokenProcessPool:
            self._count_starts()
            self.discard()
            if self._attempts < DEATHS_MAX:
                return None
            error = f"{DEATHS_MAX} processes died while they encoded it: is there too little memory?"
            return worker.failed(self._task, error, self._attempts)

    def _count_starts(self) -> None:
        """Tell a process that died with an image from one that never began."""
        assert self._started is not None
        if self._started.exception() is None:
            self._starts = 0
            return
        self._starts += 1
        self._attempts -= 1
        if self._starts >= DEATHS_MAX:
            raise BackendError(
                "no process can be started that encodes: a program that calls this needs to do so below "
                "`if __name__ == '__main__':`, for the processes import it"
            )

    def discard(self) -> None:
        """Leave the process to end by itself."""
        if self._executor is not None:
            self._executor.shutdown(wait=False, cancel_futures=True)
        self._executor = self._started = None


@contextlib.contextmanager
def _as_for_workers(threads: int) -> Iterator[None]:
    """Start processes that use so many threads and do not hear of Ctrl-C, not even before they can say so.

    A process imports the program that it belongs to first, NumPy maybe, which then looks at its environment.
    """
    before = {name: os.environ.get(name) for name in worker.THREAD_VARIABLES}
    mask = getattr(signal, "pthread_sigmask", None)
    blocked = mask(signal.SIG_BLOCK, {signal.SIGINT}) if mask else set()
    for name in worker.THREAD_VARIABLES:
        os.environ.setdefault(name, str(threads))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
        if mask:
            mask(signal.SIG_SETMASK, blocked)


def _prepare(parent: int, lifeline: Connection, threads: int) -> None:
    """What a process does first."""
    # Ctrl-C reaches all processes of a terminal; the parent decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent, lifeline), daemon=True).start()
    worker.limit_threads(threads)


def _quietly(work: Callable[[Task], Record], task: Task) -> Record:
    """Do a task without what TensorFlow prints on the terminal of all."""
    with capture_native_stderr():
        return work(task)


def _end_with(parent: int, lifeline: Connection) -> None:
    """End this process when its parent has, or wishes so: nobody would write down what it does."""
    with contextlib.suppress(EOFError, OSError):
        # A process that the program has forked meanwhile may hold the other end, too.
        while not lifeline.poll(1.0) and os.getppid() == parent:
            pass
    with worker.writing:
        os._exit(1)
