"""Work that replaces fits in the processes of a batch. The source file says what to do."""

import os
import signal
import time
from dataclasses import replace
from pathlib import Path

from pillow_inr.batch import worker
from pillow_inr.batch.manifest import Record
from pillow_inr.batch.worker import Task


def job(task: Task) -> Record:
    """Copy the text; or die, always or the first time; or take long; or raise."""
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
