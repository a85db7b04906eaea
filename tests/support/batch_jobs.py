"""Work for the processes of a batch in place of fits: what is done is in the source file."""

import os
import signal
import time
from dataclasses import replace
from pathlib import Path

from pillow_inr.batch import worker
from pillow_inr.batch.manifest import Record
from pillow_inr.batch.worker import Task


def job(task: Task) -> Record:
    """Copies the text; or dies on the way, always or the first time; or takes long."""
    text = Path(task.source).read_text()
    mark = Path(f"{task.output}.mark")
    if text == "die" or (text == "die once" and not mark.exists()):
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if text == "slow":
        mark.touch()
        time.sleep(60)
    if text == "odd":
        raise TypeError("a defect")
    Path(task.output).write_text(text)
    return replace(worker.failed(task, ""), status="done", error=None)
