"""What the client of a Dask cluster has its workers do, in their processes; imports distributed when used."""

import errno
import importlib.util
import os
import threading
from pathlib import Path

from .._version import __version__
from ..errors import BackendError
from ..storage import remote
from . import worker
from .manifest import Record
from .worker import Task

TOPIC = "pillow-inr"
"""The name under which workers tell what they begin. Dask knows only what is with a worker, so could not tell an image
that kills workers from one that waits there behind it."""

# A process has one TensorFlow, whose threads and memory are meant for one image.
_alone = threading.Lock()
_threads: int | None = None


def work(task: Task, version: str, key: str) -> Record:
    """Do a task, alone in this process whatever threads it has.

    Args:
        version: the client's release.
        key: told to the client when the task begins, with the address of this worker.
    Raises:
        BackendError, FileNotFoundError: as of `check`.
    """
    from distributed import get_worker

    global _threads
    with _alone:
        dask_worker = get_worker()
        dask_worker.log_event(TOPIC, (key, dask_worker.address))
        check(task, version)
        _threads = task.threads
        return worker.work(task)


def check(task: Task, version: str) -> None:
    """Whether this worker can do a task.

    Raises:
        BackendError: it has another release of this package, no TensorFlow, or one with another number of threads.
        FileNotFoundError: it does not see the source, or the folder for the output.
    """
    if __version__ != version:
        raise BackendError(f"it has pillow_inr {__version__}, this machine {version}")
    if _threads not in (None, task.threads):
        raise BackendError(
            f"TensorFlow has {_threads} threads there for good: start it anew, or give --threads {_threads}"
        )
    if importlib.util.find_spec("tensorflow") is None:
        raise BackendError("it has no TensorFlow: pip install tensorflow")
    for path in (task.source, task.output):
        needed = Path(path) if path == task.source else Path(path).parent
        if not remote.is_url(path) and not needed.exists():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(needed))
