"""What the workers of a Dask cluster run; imports distributed when used."""

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
"""The topic under which workers announce what they begin. Dask itself knows only which tasks a worker holds, so it
cannot tell an image that kills workers from one that waits behind it."""

# TensorFlow's threads and memory, of which a process has one set, are meant for one image at a time.
_alone = threading.Lock()
_threads: int | None = None


def work(task: Task, version: str, key: str) -> Record:
    """Do a task; a worker with several threads does one at a time.

    Args:
        version: the client's release of pillow_inr.
        key: announced to the client when the task begins, with the address of this worker.
    Raises:
        BackendError, FileNotFoundError: see `check`.
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
    """Check that this worker can do a task.

    Raises:
        BackendError: it has another release of pillow_inr, no TensorFlow, or a TensorFlow that runs with another number
            of threads.
        FileNotFoundError: it does not see the source, or the folder of the output.
    """
    if __version__ != version:
        raise BackendError(f"it has pillow_inr {__version__}, this machine {version}")
    if _threads not in (None, task.threads):
        raise BackendError(
            f"TensorFlow runs with {_threads} threads there: restart the worker, or give --threads {_threads}"
        )
    if importlib.util.find_spec("tensorflow") is None:
        raise BackendError("it has no TensorFlow: pip install tensorflow")
    for path in (task.source, task.output):
        needed = Path(path) if path == task.source else Path(path).parent
        if not remote.is_url(path) and not needed.exists():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(needed))
