"""Preloaded by the workers of a test: work without TensorFlow, and what may go wrong in a worker.

The source file says what is done: "copy", "slow", "die", "die once", "defect", "missing package". A worker that dies
waits for files with which the test says what has reached the client (`tests.integration.test_cluster.recorded`).
"""

import os
import signal
import socket
import time
from dataclasses import replace
from itertools import count
from pathlib import Path

from pillow_inr.batch import worker
from pillow_inr.batch.manifest import Record
from pillow_inr.batch.worker import Task
from tests.support.waiting import announce, wait_until

LIVES = {"die": 3, "die once": 1}
"""How many workers such a task kills."""

_made: list[str] = []
"""The outputs of this process."""


def work(task: Task) -> Record:
    text = Path(task.source).read_text()
    if text in LIVES:
        _die(task, LIVES[text])
    if text == "defect":
        raise TypeError("an odd image")
    if text == "missing package":
        raise ImportError("Install s3fs to access S3")
    started = time.monotonic()
    time.sleep(0.1 if text == "slow" else 0.02)
    _made.append(task.output)
    Path(task.output).write_text(f"{started} {time.monotonic()}" if text == "slow" else text)
    process = f"{socket.gethostname()}:{os.getpid()}"
    return replace(worker.failed(task, "", 1), status="done", error=None, worker=process)


def _die(task: Task, lives: int) -> None:
    attempt = next(number for number in count(1) if not Path(f"{task.output}.attempt{number}").exists())
    announce(Path(f"{task.output}.attempt{attempt}"))
    wait_until(Path(f"{task.output}.begun{attempt}").exists)
    if attempt <= lives:
        # A record that the client has not fetched yet would be lost, and made once more.
        wait_until(lambda: all(Path(f"{output}.recorded").exists() for output in _made))
        os.kill(os.getpid(), signal.SIGKILL)
    elif lives > 1:
        wait_until(Path(f"{task.output}.recorded").exists)
        raise RuntimeError("it was given up")


worker.work = work
