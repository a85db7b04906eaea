"""Images encoded by the workers of a Dask cluster. Writes no manifest; imports distributed when used."""

import contextlib
import gc
import queue
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from .._version import __version__
from ..errors import BackendError
from ..storage import remote
from . import cluster_worker, worker
from .cluster_worker import TOPIC
from .manifest import Record
from .worker import Task

DEATHS_MAX = 3
"""Workers that may die with an image before it is given up: it may be the image that kills them."""
TIMEOUT_SECONDS = 20
"""How long a scheduler may take to answer, and a worker that has finished an image."""

# Tasks that the scheduler has, for each worker. Fewer, and workers wait while a result is on its way to the client and
# the next task on its way back; more only take memory there.
_AHEAD = 3
# How often workers are counted, since some come and go; how often it is said that there are none.
_COUNT_SECONDS = 10
_REMIND_SECONDS = 60
# How long a file written on another machine may take to be seen on this one: a while, with NFS.
_SEEN_SECONDS = 70
Say = Callable[[str], None]


def run(tasks: Iterable[Task], scheduler: str, say: Say) -> Iterator[Record]:
    """Have the workers of a cluster do tasks; a few for each worker are taken from the iterable at a time.

    What a worker had begun when it died is begun again on another. What no worker has begun is taken back when the
    iteration ends early, as after Ctrl-C.

    Args:
        scheduler: address of the Dask scheduler, such as tcp://10.0.0.1:8786.
        say: is given messages on the cluster, such as that it has no workers yet.
    Yields:
        The record of each task, failed ones as well, as they come.
    Raises:
        BackendError: distributed is missing, or a worker cannot do the work: another release of this package, no
            TensorFlow, files that it does not see.
        ConnectionError: no scheduler answers, or it has gone.
    """
    with contextlib.closing(_connected(scheduler)) as client:
        from distributed.comm import CommClosedError

        flow = _Flow(client, scheduler, say)
        try:
            yield from flow.records(tasks)
        except CommClosedError as error:
            raise _gone(scheduler) from error
        finally:
            flow.cancel()


def _connected(scheduler: str) -> Any:
    try:
        from distributed import Client
    except ImportError as error:
        raise BackendError("a cluster needs Dask: pip install 'pillow-inr[cluster]'") from error
    try:
        return Client(scheduler, timeout=TIMEOUT_SECONDS, set_as_default=False, name="pillow-inr")
    except Exception as error:  # a TimeoutError, a ValueError of the address, an AssertionError of a name that is none
        reason = str(error) or "is there such a name?"
    # A client left to the end of the process would wait for the scheduler there once more. Hence not in the handler
    # either: the error keeps the client.
    gc.collect()
    raise ConnectionError(
        f"no Dask scheduler answers at {scheduler}: start one there with 'dask scheduler', and let this machine reach"
        f" its port ({reason})"
    )


@dataclass
class _Entry:
    """A task that the scheduler has."""

    task: Task
    future: Any = None
    begun: list[str] = field(default_factory=list)
    """The workers that began it."""
    given_up: int = 0
    """How often Dask has given it up."""


class _Flow:
    """Tasks on their way to workers and back."""

    def __init__(self, client: Any, scheduler: str, say: Say) -> None:
        self._client = client
        self._scheduler = scheduler
        self._say = say
        self._entries: dict[str, _Entry] = {}
        self._news: queue.SimpleQueue[str] = queue.SimpleQueue()
        """Keys of entries that may have come to an end."""
        self._resources: dict[str, int] = {}
        self._slots = 0
        self._counted = self._reminded = float("-inf")
        self._seen: set[str | None] = set()
        client.subscribe_topic(TOPIC, self._begun)

    def records(self, tasks: Iterable[Task]) -> Iterator[Record]:
        prepared = False
        for task in tasks:
            if not prepared:
                self._prepare(task)
                prepared = True
            self._submit(_Entry(task))
            yield from self._ended(0)
            while len(self._entries) >= _AHEAD * self._workers():
                yield from self._ended(1)
        while self._entries:
            self._workers()
            yield from self._ended(1)

    def cancel(self) -> None:
        """Take back what is left."""
        futures = [entry.future for entry in self._entries.values()]
        self._entries.clear()
        with contextlib.suppress(Exception):  # where the scheduler has gone, there is nothing to take back
            self._client.unsubscribe_topic(TOPIC)
            self._client.cancel(futures)

    def _prepare(self, task: Task) -> None:
        """Wait for workers; find out what is wrong with them before the first task of many."""
        while not self._workers():
            time.sleep(1)
        workers = self._client.scheduler_info(n_workers=-1)["workers"]
        if any(worker["resources"].get("GPU") for worker in workers.values()):
            self._resources = {"GPU": 1}
            self._counted = float("-inf")
        if any(worker["nthreads"] > 1 for worker in workers.values()):
            self._say("workers with several threads do one image at a time: start them with --nthreads 1")
        answers = self._client.run(cluster_worker.check, _for_worker(task), __version__, on_error="return")
        for address, answer in answers.items():
            if isinstance(answer, Exception):
                raise _unfit(address, answer) from answer

    def _workers(self) -> int:
        """How many processes can work now."""
        now = time.monotonic()
        if now - self._counted >= (_COUNT_SECONDS if self._slots else 1):
            workers = self._client.scheduler_info(n_workers=-1)["workers"].values()
            fit = [worker for worker in workers if all(worker["resources"].get(name) for name in self._resources)]
            self._slots = sum(worker["status"] == "running" for worker in fit)
            self._counted = now
            self._remind(now, sum(worker["status"] == "paused" for worker in fit))
        return self._slots

    def _remind(self, now: float, paused: int) -> None:
        if (self._slots and not paused) or now - self._reminded < _REMIND_SECONDS:
            return
        self._reminded = now
        if paused:
            # TensorFlow keeps memory that it has had, so that such a worker may never go on.
            self._say(f"{paused} workers paused, near their --memory-limit: docs/cluster.md tells how to set it")
        else:
            gpu = ' --resources "GPU=1"' if self._resources else ""
            self._say(f"no workers: waiting for 'dask worker {self._scheduler} --nthreads 1{gpu}'")

    def _submit(self, entry: _Entry) -> None:
        key = uuid4().hex
        self._entries[key] = entry
        entry.future = self._client.submit(
            cluster_worker.work,
            _for_worker(entry.task),
            __version__,
            key,
            key=("pillow-inr", key),
            pure=False,
            resources=self._resources or None,
        )
        self._watch(key)

    def _watch(self, key: str) -> None:
        self._entries[key].future.add_done_callback(lambda _: self._news.put(key))

    def _begun(self, event: tuple[float, Any]) -> None:
        """A worker has begun a task; called from a thread of Dask's."""
        key, worker = event[1]
        entry = self._entries.get(key)
        if entry is not None:
            entry.begun.append(worker)
            if len(entry.begun) > DEATHS_MAX:
                self._news.put(key)

    def _ended(self, seconds: float) -> Iterator[Record]:
        """The records of those that have ended; waits for the first one, at most so long."""
        with contextlib.suppress(queue.Empty):
            key = self._news.get(seconds > 0, seconds)
            while True:
                if key in self._entries and (record := self._outcome(key)):
                    yield record
                key = self._news.get_nowait()

    def _outcome(self, key: str) -> Record | None:
        """What became of a task; None if it goes on."""
        entry = self._entries[key]
        future, status = entry.future, entry.future.status
        if len(entry.begun) > DEATHS_MAX and status != "finished":
            self._client.cancel([future])
            return self._failed(key, f"{DEATHS_MAX} workers died while they encoded it")
        if status == "finished":
            return self._done(key)
        if status == "error":
            return self._error(key, future.exception(TIMEOUT_SECONDS))
        if status == "cancelled":
            raise _gone(self._scheduler)
        self._watch(key)  # its worker died before the result was fetched
        return None

    def _done(self, key: str) -> Record | None:
        entry = self._entries[key]
        try:
            record: Record = entry.future.result(TIMEOUT_SECONDS)
        except TimeoutError:
            self._watch(key)
            return None
        del self._entries[key]
        self._check_output(entry.task, record)
        attempts = max(len(entry.begun), 1)
        options = worker.recorded_options(entry.task)
        return replace(record, source=entry.task.source, options=options, attempts=attempts)

    def _error(self, key: str, error: BaseException) -> Record | None:
        from distributed import KilledWorker

        entry = self._entries[key]
        if isinstance(error, KilledWorker):
            # It was with dying workers, perhaps only in line behind what killed them.
            entry.given_up += 1
            if max(len(entry.begun), entry.given_up) >= DEATHS_MAX:
                return self._failed(key, "its workers died: see their logs, and how much memory they have")
            del self._entries[key]
            self._submit(entry)
            return None
        if isinstance(error, FileNotFoundError) and not Path(error.filename).exists():
            return self._failed(key, str(error))
        if isinstance(error, BackendError | FileNotFoundError | ImportError):
            raise _unfit("; ".join(entry.begun[-1:]) or "a worker", error) from error
        return self._failed(key, f"{type(error).__name__}: {error}")

    def _failed(self, key: str, error: str) -> Record:
        entry = self._entries.pop(key)
        return worker.failed(entry.task, error, max(len(entry.begun), 1))

    def _check_output(self, task: Task, record: Record) -> None:
        """Once for each worker: what it writes is there on this machine as well."""
        if record.status != "done" or record.worker in self._seen or remote.is_url(task.output):
            return
        self._seen.add(record.worker)
        until = time.monotonic() + _SEEN_SECONDS
        while not Path(task.output).exists():
            if time.monotonic() > until:
                raise BackendError(
                    f"{record.worker} wrote {task.output}, which is not there on this machine: {_SHARED}"
                )
            time.sleep(1)


_SHARED = "paths must lie on a file system that all machines share; or use URLs such as s3://"


def _gone(scheduler: str) -> ConnectionError:
    return ConnectionError(f"the Dask scheduler at {scheduler} has gone, or was told to drop its tasks")


def _unfit(worker: str, error: BaseException) -> BackendError:
    """What to tell about a worker that can do no task."""
    if isinstance(error, ModuleNotFoundError) and str(error.name).partition(".")[0] == "pillow_inr":
        return BackendError(f"{worker} has no pillow_inr: install the release of this machine there, {__version__}")
    if isinstance(error, FileNotFoundError):
        return BackendError(f"{worker} does not see {error.filename or error}: {_SHARED}")
    return BackendError(f"{worker} cannot encode: {error}")


def _for_worker(task: Task) -> Task:
    """The task with paths that do not depend on the folder that a process works in, and a folder for its output."""
    if not remote.is_url(task.output):
        Path(task.output).parent.mkdir(parents=True, exist_ok=True)
    init = task.options.get("init")
    options = {**task.options, "init": _whole(init)} if isinstance(init, str) else task.options
    return replace(task, source=_whole(task.source), output=_whole(task.output), options=options)


def _whole(path: str) -> str:
    return path if remote.is_url(path) else str(Path(path).absolute())
