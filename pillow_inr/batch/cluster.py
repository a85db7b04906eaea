"""Encodes the images of a batch on the workers of a Dask cluster. Writes no manifest; imports distributed when used."""

import contextlib
import gc
import pickle
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
from . import cluster_errors, cluster_worker, worker
from .cluster_worker import TOPIC
from .manifest import Record
from .worker import Task

DEATHS_MAX = 3
"""An image is given up after this many of its workers have died: the image itself may be what kills them."""
TIMEOUT_SECONDS = 20
"""How long a scheduler may take to answer, and a worker to hand over a record."""

# Tasks per worker that the scheduler holds. With fewer, workers idle while a record travels to the client and the next
# task travels back; more only take memory on the scheduler.
_AHEAD = 3
# How often workers are counted, since they come and go, and how often the user is told that there are none.
_COUNT_SECONDS = 10
_REMIND_SECONDS = 60
# How long a file that another machine has written may stay invisible on this one: a minute with the usual NFS cache.
_SEEN_SECONDS = 70
Say = Callable[[str], None]


def run(tasks: Iterable[Task], scheduler: str, say: Say) -> Iterator[Record]:
    """Encode images on the workers of a cluster.

    When a worker dies, another one starts its image again. When the iteration ends early, as after Ctrl-C, tasks that
    no worker has begun are cancelled.

    Args:
        tasks: taken a few at a time, as workers become free; the folders of their outputs exist.
        scheduler: address of the Dask scheduler, such as tcp://10.0.0.1:8786.
        say: called with messages about the cluster, such as that it has no workers yet.
    Yields:
        The record of each task as it finishes, also of failed ones.
    Raises:
        BackendError: distributed is missing, or a worker cannot encode: it has another release of pillow_inr or no
            TensorFlow, or does not see the files.
        ConnectionError: no scheduler answers, or it has gone.
    """
    with contextlib.closing(_connected(scheduler)) as client:
        from distributed.comm import CommClosedError

        flow = _Flow(client, scheduler, say)
        try:
            yield from flow.records(tasks)
        except CommClosedError as error:
            raise cluster_errors.gone(scheduler) from error
        finally:
            flow.cancel()


def _connected(scheduler: str) -> Any:
    try:
        from distributed import Client
    except ImportError as error:
        raise BackendError("a cluster needs Dask: pip install 'pillow-inr[cluster]'") from error
    try:
        return Client(scheduler, timeout=TIMEOUT_SECONDS, set_as_default=False, name="pillow-inr")
    except Exception as error:  # TimeoutError, ValueError for a bad address, AssertionError for an unknown host
        reason = str(error) or "is there such a host?"
    # A client that is still there when the process ends would wait for the scheduler once more. The error refers to it,
    # so collect it outside of the handler.
    gc.collect()
    raise ConnectionError(
        f"no Dask scheduler answers at {scheduler}: start one there with 'dask scheduler', and let this machine reach"
        f" its port ({reason})"
    )


@dataclass
class _Entry:
    """A task that the scheduler holds."""

    task: Task
    future: Any = None
    begun: list[str] = field(default_factory=list)
    """Addresses of the workers that began it, one for each attempt."""
    given_up: int = 0
    """How often Dask has given it up, with a KilledWorker error."""


class _Flow:
    """Sends tasks to the workers and collects their records."""

    def __init__(self, client: Any, scheduler: str, say: Say) -> None:
        self._client = client
        self._scheduler = scheduler
        self._say = say
        self._entries: dict[str, _Entry] = {}
        self._news: queue.SimpleQueue[str] = queue.SimpleQueue()
        """Keys of entries that may have ended."""
        self._resources: dict[str, int] = {}
        """What Dask must reserve for a task."""
        self._slots = 0
        """Tasks that can run at a time."""
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
        """Cancel the tasks that are left."""
        futures = [entry.future for entry in self._entries.values()]
        self._entries.clear()
        with contextlib.suppress(Exception):  # the scheduler may have gone, and its tasks with it
            self._client.unsubscribe_topic(TOPIC)
            self._client.cancel(futures)

    def _prepare(self, task: Task) -> None:
        """Wait for workers, and check them before the first task is sent."""
        while not self._workers():
            time.sleep(1)
        workers = self._client.scheduler_info(n_workers=-1)["workers"]
        if any(worker["resources"].get("GPU") for worker in workers.values()):
            self._resources = {"GPU": 1}
            self._counted = float("-inf")
        if any(worker["nthreads"] > 1 for worker in workers.values()):
            self._say("workers with several threads do one image at a time: start them with --nthreads 1")
        check = _Call(cluster_worker.check, (_for_worker(task), __version__))
        answers = self._client.run(pickle.loads, pickle.dumps(check), on_error="return")
        for address, answer in answers.items():
            if isinstance(answer, Exception):
                raise cluster_errors.unfit(address, answer) from answer

    def _workers(self) -> int:
        """Count the workers that can take tasks now, from time to time."""
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
            # TensorFlow never gives memory back, so a paused worker may stay paused.
            self._say(f"{paused} workers paused, near their --memory-limit: docs/cluster.md tells how to set it")
        else:
            gpu = ' --resources "GPU=1"' if self._resources else ""
            self._say(f"no workers: waiting for 'dask worker {self._scheduler} --nthreads 1{gpu}'")

    def _submit(self, entry: _Entry) -> None:
        key = uuid4().hex
        self._entries[key] = entry
        work = _Call(cluster_worker.work, (_for_worker(entry.task), __version__, key))
        entry.future = self._client.submit(
            pickle.loads,
            pickle.dumps(work),
            key=("pillow-inr", key),
            pure=False,
            resources=self._resources or None,
        )
        self._watch(key)

    def _watch(self, key: str) -> None:
        self._entries[key].future.add_done_callback(lambda _: self._news.put(key))

    def _begun(self, event: tuple[float, Any]) -> None:
        """A worker has begun a task; called from one of Dask's threads."""
        key, worker = event[1]
        entry = self._entries.get(key)
        if entry is not None:
            entry.begun.append(worker)
            if len(entry.begun) > DEATHS_MAX:
                self._news.put(key)

    def _ended(self, seconds: float) -> Iterator[Record]:
        """The records of tasks that have ended; waits for the first one for at most this time."""
        with contextlib.suppress(queue.Empty):
            key = self._news.get(seconds > 0, seconds)
            while True:
                if key in self._entries and (record := self._outcome(key)):
                    yield record
                key = self._news.get_nowait()

    def _outcome(self, key: str) -> Record | None:
        """The record of a task that may have ended; None if it has not."""
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
            raise cluster_errors.gone(self._scheduler)
        self._watch(key)  # its worker died before the record was fetched
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
            # Dask blames every task that a dying worker held, also those that waited behind the one that killed it.
            entry.given_up += 1
            if max(len(entry.begun), entry.given_up) >= DEATHS_MAX:
                return self._failed(key, "its workers died: see their logs, and how much memory they have")
            del self._entries[key]
            self._submit(entry)
            return None
        if isinstance(error, FileNotFoundError) and not Path(error.filename).exists():
            return self._failed(key, str(error))
        if isinstance(error, BackendError | FileNotFoundError | ImportError) or cluster_errors.is_other_release(error):
            raise cluster_errors.unfit("; ".join(entry.begun[-1:]) or "a worker", error) from error
        return self._failed(key, f"{type(error).__name__}: {error}")

    def _failed(self, key: str, error: str) -> Record:
        entry = self._entries.pop(key)
        return worker.failed(entry.task, error, max(len(entry.begun), 1))

    def _check_output(self, task: Task, record: Record) -> None:
        """Check, once for each worker, that its output is visible on this machine."""
        if record.status != "done" or record.worker in self._seen or remote.is_url(task.output):
            return
        self._seen.add(record.worker)
        until = time.monotonic() + _SEEN_SECONDS
        while not Path(task.output).exists():
            if time.monotonic() > until:
                raise BackendError(
                    f"{record.worker} wrote {task.output}, which is not there on this machine: {cluster_errors.SHARED}"
                )
            time.sleep(1)


@dataclass(frozen=True)
class _Call:
    """A function call that `pickle.loads` makes, and whose result it returns.

    A worker with another release may lack the function. If Dask had to unpickle it, that would end the worker; like
    this, it is an ordinary error of the task.
    """

    function: Callable[..., object]
    arguments: tuple[object, ...]

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self.function, self.arguments


def _for_worker(task: Task) -> Task:
    """The task with absolute paths: workers have working directories of their own."""
    init = task.options.get("init")
    options = {**task.options, "init": _absolute(init)} if isinstance(init, str) else task.options
    return replace(task, source=_absolute(task.source), output=_absolute(task.output), options=options)


def _absolute(path: str) -> str:
    return path if remote.is_url(path) else str(Path(path).absolute())
