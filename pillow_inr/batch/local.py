"""Encodes the images of a batch in processes of this machine. Writes no manifest."""

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from pathlib import Path

from ..errors import BackendError
from ..runtime.native_log import capture_native_stderr
from ..runtime.threads import cores
from . import worker
from .manifest import Record
from .worker import Task

MEMORY_PER_PROCESS = 2 << 30
"""Upper bound, in bytes, on the memory of one process for images of up to 16 megapixels. TensorFlow takes most of it
while it compiles (docs/experiments.md section 14). benchmarks/batch.py measures it."""
DEATHS_MAX = 3
"""An image is given up after this many of its processes have died: the image itself may be what kills them."""


def usual_processes(threads: int) -> int:
    """The default number of processes: as many as the cores and the free memory allow, at least one."""
    by_cores = cores() // threads
    return max(1, min(by_cores, _free_memory() // MEMORY_PER_PROCESS))


def _free_memory() -> int:
    """Bytes that new processes may take; practically unlimited where the system does not tell."""
    found = [_numbers(Path("/proc/meminfo")).get("MemAvailable:", 1 << 52) * 1024]
    for folder, limit, used, cached in _CONTAINERS:
        with contextlib.suppress(OSError, ValueError):  # there may be no such file, and the limit may be "max"
            most, taken = (int(Path(folder, name).read_text()) for name in (limit, used))
            # The cache of files counts as taken, although the system frees it on demand.
            found.append(most - taken + _numbers(Path(folder, "memory.stat")).get(cached, 0))
    return min(found)


def _numbers(path: Path) -> dict[str, int]:
    """The numbers in a file whose lines hold a name and a number; {} if there is no such file."""
    try:
        lines = [line.split() for line in path.read_text().splitlines()]
    except OSError:
        return {}
    return {words[0]: int(words[1]) for words in lines if len(words) > 1 and words[1].isdigit()}


# Where Linux keeps a container's memory limit, for cgroup versions 2 and 1: the folder, the files with the limit and
# the usage, and the name of the file cache in memory.stat.
_CONTAINERS = (
    ("/sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"),
    ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)


def run(tasks: Iterable[Task], processes: int, work: Callable[[Task], Record] = worker.work) -> Iterator[Record]:
    """Encode images in processes, one image at a time in each.

    A process that dies is replaced, and its image started again. When the iteration ends early, as after Ctrl-C, all
    processes end, and no unfinished file is left.

    Args:
        tasks: taken one by one, as processes become free.
        work: does a task; an importable function.
    Yields:
        The record of each task as it finishes, also of failed ones.
    Raises:
        BackendError: no process can start, or none can fit an image.
    """
    # Nothing is ever sent. Each process waits on the reading end and exits when the writing end closes, which the
    # system does if this process is killed.
    lifeline, held = multiprocessing.Pipe(duplex=False)
    # Ctrl-C raises KeyboardInterrupt in the main thread, but never here: no process is left half started.
    starter = ThreadPoolExecutor(1, "pillow-inr starter")
    slots = [_Slot(work, lifeline, starter) for _ in range(processes)]
    try:
        yield from _records(iter(tasks), slots)
    finally:
        held.close()
        starter.shutdown()
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
        ended, _ = wait(busy, timeout=1.0, return_when=FIRST_COMPLETED)  # on Windows a wait delays Ctrl-C
        for future in ended:
            slot = busy.pop(future)
            record = slot.outcome(future)
            if record is None:
                busy[slot.again()] = slot
            else:
                free.append(slot)
                yield record


class _Slot:
    """Room for one process. It has an executor of its own: an executor whose process dies loses all its tasks."""

    def __init__(self, work: Callable[[Task], Record], lifeline: Connection, starter: ThreadPoolExecutor) -> None:
        self._work = work
        self._lifeline = lifeline
        self._starter = starter
        self._executor: ProcessPoolExecutor | None = None
        self._started: Future[int] | None = None
        self._task: Task | None = None
        self._attempts = 0
        self._failed_starts = 0

    def begin(self, task: Task) -> Future[Record]:
        """Give the process a task; starts a process if there is none."""
        self._task, self._attempts = task, 0
        return self.again()

    def again(self) -> Future[Record]:
        """Give the process its task once more.

        Raises:
            BackendError: no process can start.
        """
        assert self._task is not None
        while True:
            try:
                if self._executor is None:
                    self._starter.submit(self._start, self._task.threads).result()
                assert self._executor is not None
                future = self._executor.submit(_quietly, self._work, self._task)
            except BrokenProcessPool:  # the process died before it got the task
                self._died_while_starting()
                self.discard()
            else:
                self._attempts += 1
                return future

    def _start(self, threads: int) -> None:
        with _environment_for_workers(threads):
            # Not a fork, in which the caller's threads, TensorFlow's among them, would be missing.
            context = multiprocessing.get_context("spawn")
            self._executor = ProcessPoolExecutor(1, context, _prepare, (os.getpid(), self._lifeline, threads))
            self._started = self._executor.submit(os.getpid)

    def outcome(self, future: Future[Record]) -> Record | None:
        """The record of a task that has ended; None if its process died and another one should try.

        Raises:
            BackendError: no process can start, or none can fit an image.
        """
        assert self._task is not None
        try:
            return replace(future.result(), attempts=self._attempts)
        except BrokenProcessPool:
            if self._died_while_starting():
                self._attempts -= 1
            self.discard()
            if self._attempts < DEATHS_MAX:
                return None
            error = f"{DEATHS_MAX} processes died while they encoded it: is there too little memory?"
            return worker.failed(self._task, error, self._attempts)

    def _died_while_starting(self) -> bool:
        """Whether a process that has died was never ready for a task."""
        assert self._started is not None
        if self._started.exception() is None:
            self._failed_starts = 0
            return False
        self._failed_starts += 1
        if self._failed_starts >= DEATHS_MAX:
            raise BackendError(
                "the processes of the batch die as they start: they import the program that calls encode_many, which"
                " must do so below `if __name__ == '__main__':`"
            )
        return True

    def discard(self) -> None:
        """Leave the process to end by itself."""
        if self._executor is not None:
            self._executor.shutdown(wait=False, cancel_futures=True)
        self._executor = self._started = None


# Environment variables belong to the whole process: two batches in threads would undo each other's.
_environment_lock = threading.Lock()


@contextlib.contextmanager
def _environment_for_workers(threads: int) -> Iterator[None]:
    """What a process inherits that is started meanwhile: the number of threads, and deafness to Ctrl-C.

    Before it runs any code of ours, a process imports the calling program, and with it perhaps NumPy, which reads these
    variables once.
    """
    with _environment_lock:
        missing = [name for name in worker.THREAD_VARIABLES if name not in os.environ]
        os.environ.update(dict.fromkeys(missing, str(threads)))
        try:
            with _interrupts_blocked():
                yield
        finally:
            for name in missing:
                os.environ.pop(name, None)


@contextlib.contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Block SIGINT in this thread, where the system can; the processes that it starts inherit that."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    # multiprocessing unblocks SIGINT when it starts this helper process, which it does before the first process.
    resource_tracker.ensure_running()
    usual = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, usual)


def _prepare(parent: int, lifeline: Connection, threads: int) -> None:
    """The first function of ours that a process runs."""
    # A terminal's Ctrl-C reaches all processes; the parent decides what follows.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent, lifeline), daemon=True).start()
    worker.limit_threads(threads)


def _quietly(work: Callable[[Task], Record], task: Task) -> Record:
    """Do a task; what TensorFlow prints stays off the terminal."""
    with capture_native_stderr():
        return work(task)


def _end_with(parent: int, lifeline: Connection) -> None:
    """End this process when its parent has died or closes the pipe: nobody would record its results."""
    with contextlib.suppress(EOFError, OSError):
        # The pipe alone does not tell: a process that the program has forked meanwhile holds its other end, too.
        while not lifeline.poll(1.0) and os.getppid() == parent:
            pass
    with worker.writing:
        os._exit(1)
