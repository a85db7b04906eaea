"""Work on one image of a batch, in whichever process or machine it runs: read, encode, measure, write."""

import hashlib
import io
import os
import platform
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from .. import api
from .._version import __version__
from ..errors import BackendError
from ..format import metadata
from ..inputs import sources
from ..options import EncodeOptions
from ..runtime.threads import limit_cores
from ..storage import atomic, remote
from .manifest import DONE, FAILED, Record

if TYPE_CHECKING:
    from ..encoding.source_image import Encoded, SourceImage

writing = threading.Lock()
"""Held while a file is written: who would end the process waits for it."""

# A library that is imported later looks here for the number of its threads.
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class Task:
    """An image to be encoded."""

    source: str
    """Path or URL."""
    output: str
    """Path or URL of the .inr file."""
    below: str
    """The same below the folder of all, as it stands in the manifest."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Of the encode; JSON values, but for what `init` may be."""
    threads: int = 1
    """That the encode may use."""
    strip: bool = False
    """Whether to leave out metadata, but for a colour profile, and turn the image upright."""


def work(task: Task) -> Record:
    """Do a task: the .inr file is there afterwards, whole, or the record tells why not.

    Raises:
        BackendError: TensorFlow is not there or not usable, so that no other task can be done here either.
    """
    limit_threads(task.threads)
    if "tensorflow" not in sys.modules:
        _limit_tensorflow(task.threads)
    try:
        return _done(task)
    except BackendError:
        raise
    except sources.FILE_ERRORS as error:
        return failed(task, f"{type(error).__name__}: {sources.reason(error)}")
    except Exception as error:  # a defect, of this package or another: no reason to lose the other images
        frame = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(frame.filename).name}:{frame.lineno}"
        return failed(task, f"unexpected {type(error).__name__} at {place}: {sources.reason(error)}")


def read(source: str) -> bytes:
    """The bytes of a source, path or URL.

    Raises:
        OSError: it cannot be read.
        ImportError: as of `remote.read`.
    """
    return remote.read(source) if remote.is_url(source) else Path(source).read_bytes()


def failed(task: Task, error: str, attempts: int = 1) -> Record:
    """The record of a task that came to nothing."""
    return Record(status=FAILED, error=error, attempts=attempts, **_named(task))


def _named(task: Task) -> dict[str, Any]:
    """What every record of a task has."""
    return {
        "source": task.source,
        "output": task.below,
        "options": recorded_options(task),
        "version": __version__,
        "worker": f"{platform.node()}:{os.getpid()}",
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def recorded_options(task: Task) -> dict[str, Any]:
    """The options as they stand in the manifest."""
    return {**task.options, **({"strip": True} if task.strip else {})}


def _done(task: Task) -> Record:
    data = read(task.source)
    image = sources.read(io.BytesIO(data), PurePosixPath(task.source).suffix, upright=task.strip)
    source = api.source_image(image, dict.fromkeys(metadata.STRIPPED) if task.strip else {})
    started = time.perf_counter()
    with warnings.catch_warnings(record=True) as notes:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", UserWarning)
        encoded = api.encode_source(source, EncodeOptions(**task.options))
    seconds = time.perf_counter() - started
    figures = _figures(source, encoded)
    if remote.is_url(task.output):
        remote.write(task.output, encoded.data)
    else:
        output = Path(task.output)
        output.parent.mkdir(parents=True, exist_ok=True)
        with writing:
            atomic.write_atomically(output, encoded.data)
    return Record(
        status=DONE,
        sha256=hashlib.sha256(data).hexdigest(),
        source_bytes=len(data),
        bytes=len(encoded.data),
        seconds=round(seconds, 3),
        output_sha256=hashlib.sha256(encoded.data).hexdigest(),
        warning="; ".join(str(note.message) for note in notes) or None,
        **figures,
        **_named(task),
    )


def _figures(source: "SourceImage", encoded: "Encoded") -> dict[str, Any]:
    """Fields of the record that compare the whole decoded image with its source."""
    from ..imaging import metrics
    from ..imaging.ms_ssim import ms_ssim

    decoded = encoded.model.pixels()
    mse = metrics.mse(source.samples, decoded, source.scale.to_normalized)
    return {
        "width": source.size[0],
        "height": source.size[1],
        "channels": source.channels,
        "dtype": source.samples.dtype.name,
        "bpp": metrics.bits_per_pixel(len(encoded.data), *source.size),
        "psnr": round(metrics.psnr_db(mse), 4) if mse else None,
        "exact": not mse,
        "ms_ssim": ms_ssim(source.samples, decoded, source.scale),
    }


def limit_threads(threads: int) -> None:
    """Keep this process to a number of threads, as far as its libraries have not begun already."""
    limit_cores(threads)
    for name in THREAD_VARIABLES:
        os.environ.setdefault(name, str(threads))


def _limit_tensorflow(threads: int) -> None:
    try:
        import tensorflow as tf
    except ImportError:
        return  # the fit says so
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
