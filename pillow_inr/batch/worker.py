"""Does the work on one image of a batch, in any process on any machine: read, encode, measure, write."""

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
from ..runtime import quiet
from ..runtime.threads import limit_cores
from ..storage import atomic, remote
from .manifest import DONE, FAILED, Record

if TYPE_CHECKING:
    from ..encoding.source_image import Encoded, SourceImage

writing = threading.Lock()
"""Held while a file is written. Acquire it before ending the process."""

# Libraries that are imported later read their number of threads here.
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class Task:
    """An image to encode."""

    source: str
    """Path or URL."""
    output: str
    """Path or URL of the .inr file."""
    below: str
    """Path of the output relative to the output folder, as in the manifest."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Options of `pillow_inr.encode`; JSON values, `init` a path."""
    threads: int = 1
    """Threads that the encode may use, >= 1."""
    strip: bool = False
    """Whether to leave out metadata, except a colour profile, and turn the image upright."""


def work(task: Task) -> Record:
    """Encode an image. Afterwards the complete .inr file exists, or the record says why not.

    Raises:
        BackendError: TensorFlow is missing or unusable, so no other image can be encoded here either.
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
    except Exception as error:  # a bug, here or in a library, must not end the batch
        frame = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(frame.filename).name}:{frame.lineno}"
        return failed(task, f"unexpected {type(error).__name__} at {place}: {sources.reason(error)}")


def read(source: str) -> bytes:
    """The bytes of a source, a path or a URL.

    Raises:
        OSError: it cannot be read.
        ImportError: see `remote.read`.
    """
    return remote.read(source) if remote.is_url(source) else Path(source).read_bytes()


def failed(task: Task, error: str, attempts: int = 1) -> Record:
    """The record of a task that failed."""
    return Record(status=FAILED, error=error, attempts=attempts, **_named(task))


def _named(task: Task) -> dict[str, Any]:
    """The fields that every record of a task has."""
    return {
        "source": task.source,
        "output": task.below,
        "options": recorded_options(task),
        "version": __version__,
        "worker": f"{platform.node()}:{os.getpid()}",
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def recorded_options(task: Task) -> dict[str, Any]:
    """The options as the manifest records them."""
    return {**task.options, **({"strip": True} if task.strip else {})}


def _done(task: Task) -> Record:
    data = read(task.source)
    content = sources.read_to_encode(io.BytesIO(data), PurePosixPath(task.source).suffix, upright=task.strip)
    kept = {**content.metadata, **dict.fromkeys(metadata.STRIPPED if task.strip else ())}
    with warnings.catch_warnings(record=True) as notes:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", UserWarning)
        source = api.source_image(content.pixels, kept, has_alpha=content.has_alpha)
        started = time.perf_counter()
        # The process that started the batch shows its progress.
        encoded = api.encode_source(source, EncodeOptions(progress=False, **task.options))
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
        warning="; ".join(filter(None, (content.note, *(str(warned.message) for warned in notes)))) or None,
        **figures,
        **_named(task),
    )


def _figures(source: "SourceImage", encoded: "Encoded") -> dict[str, Any]:
    """Fields of the record that compare the whole decoded image with its source."""
    from ..imaging import metrics
    from ..imaging.ms_ssim import ms_ssim

    decoded, shown = encoded.model.pixels(), source.shown()
    mse = metrics.mse(shown, decoded, source.scale.to_normalized)
    return {
        "width": source.size[0],
        "height": source.size[1],
        "channels": source.channels,
        "dtype": source.samples.dtype.name,
        "bpp": metrics.bits_per_pixel(len(encoded.data), *source.size),
        "psnr": round(metrics.psnr_db(mse), 4) if mse else None,
        "exact": not mse,
        "ms_ssim": ms_ssim(shown, decoded, source.scale),
    }


def limit_threads(threads: int) -> None:
    """Limit the threads of this process; libraries that have started theirs already keep them."""
    limit_cores(threads)
    for name in THREAD_VARIABLES:
        os.environ.setdefault(name, str(threads))


def _limit_tensorflow(threads: int) -> None:
    try:
        with quiet.importing():
            import tensorflow as tf
    except ImportError:
        return  # the fit reports it
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
