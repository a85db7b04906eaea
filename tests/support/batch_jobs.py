"""Work for the processes of a batch in place of fits: the source file says what is done."""

import os
import signal
import time
from dataclasses import replace
from pathlib import Path

from pillow_inr.batch import worker
from pillow_inr.batch.manifest import Record
from pillow_inr.batch.worker import Task
from tests.support.waiting import PATIENCE_SECONDS, announce


def mark(task: Task) -> Path:
    """A file that is there once a process has begun a task that does not end well; it holds the process's number."""
    return Path(f"{task.output}.mark")


def job(task: Task) -> Record:
    """Copy the text; or die on the way, always or the first time; or hang; or fail."""
    text = Path(task.source).read_text()
    if text == "die" or (text == "die once" and not mark(task).exists()):
        announce(mark(task))
        os.kill(os.getpid(), signal.SIGKILL)
    if text == "hang":
        announce(mark(task))
        time.sleep(2 * PATIENCE_SECONDS)
    if text == "odd":
        raise TypeError("a defect")
    Path(task.output).write_text(text)
    return replace(worker.failed(task, ""), status="done", error=None)
