"""Preloaded by the workers of a test cluster: replaces the fit by work without TensorFlow that may also go wrong.

The source file says what to do: "copy", "slow", "die", "defect" or "missing package".
"""

import os
import signal
import socket
import time
from dataclasses import replace
from pathlib import Path

from pillow_inr.batch import worker
from pillow_inr.batch.manifest import Record
from pillow_inr.batch.worker import Task


def work(task: Task) -> Record:
    text = Path(task.source).read_text()
    if text == "die":
        time.sleep(0.2)  # running out of memory takes at least as long
        os.kill(os.getpid(), signal.SIGKILL)
    if text == "defect":
        raise TypeError("an odd image")
    if text == "missing package":
        raise ImportError("Install s3fs to access S3")
    started = time.monotonic()
    time.sleep(0.3 if text == "slow" else 0.02)
    Path(task.output).write_text(text if text == "copy" else f"{started} {time.monotonic()}")
    here = f"{socket.gethostname()}:{os.getpid()}"
    return replace(worker.failed(task, "", 1), status="done", error=None, worker=here)


worker.work = work
