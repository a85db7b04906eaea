"""TensorFlow as fits and Keras models need it: whether it is there and usable, and what its devices are called.

Imports it inside functions only.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from ..errors import BackendError
from . import quiet

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@contextmanager
def needs_keras(what: str) -> Iterator[None]:
    """Turn a failing import in this context into a BackendError that says what needs it; see also `quiet`.

    Args:
        what: begins the sentence, such as "fitting a network".
    """
    try:
        with quiet.importing():
            yield
    except ImportError as error:
        raise BackendError(f"{what} needs Keras on TensorFlow, which cannot be imported here: {error}") from error


def decode_png(data: bytes) -> "NDArray[np.uint16]":
    """Decode a PNG file with 16 bits a sample, of which Pillow keeps 8: shape (height, width, channels).

    Raises:
        BackendError: TensorFlow is missing.
        OSError: the file is damaged.
    """
    with needs_keras("reading 16 bits a sample from a PNG file"):
        import tensorflow as tf
    samples: NDArray[np.uint16] | None = None
    with quiet.first_use(), suppress(tf.errors.InvalidArgumentError):
        samples = tf.io.decode_png(data, dtype=tf.uint16).numpy()
    if samples is None:
        raise OSError("the PNG file is damaged")
    return samples


def check_backend() -> None:
    """Make sure that Keras runs on TensorFlow, for which this package's layers are written.

    Raises:
        BackendError: it runs on another back end.
    """
    import keras

    if keras.backend.backend() != "tensorflow":
        raise BackendError(
            f"pillow_inr needs Keras's TensorFlow back end, but Keras runs on {keras.backend.backend()!r}: "
            "set KERAS_BACKEND=tensorflow before Keras is first imported"
        )


def device_name(device: str | None) -> str:
    """TensorFlow's name of a device, once it is certain that a network can be fitted here at all.

    Args:
        device: a name such as "GPU:0"; None leaves the choice to TensorFlow.
    Raises:
        BackendError: no network can be fitted here, or there is no such device.
    """
    import tensorflow as tf

    check_backend()
    _check_process()
    if not tf.executing_eagerly() or tf.distribute.has_strategy():
        raise BackendError("a network cannot be fitted inside a TensorFlow graph, function or distribution strategy")
    if device is None:
        with quiet.first_use():
            return str(tf.identity(tf.zeros(())).device)  # where TensorFlow puts what nobody has placed
    with quiet.first_use():
        names = [logical.name for logical in tf.config.list_logical_devices()]
    wanted = device.upper().removeprefix("/").removeprefix("DEVICE:")
    wanted = wanted if ":" in wanted else f"{wanted}:0"
    for name in names:
        if name.upper() == f"/DEVICE:{wanted}":
            return str(name)
    known = ", ".join(name.removeprefix("/device:") for name in names)
    raise BackendError(f"device {device!r} is not one that TensorFlow sees here: {known}")


# The process in which fits began: TensorFlow's threads live in it, and in none that is forked from it.
_fitting_process: int | None = None


def _check_process() -> None:
    """Refuse to fit beside threads that a fork left behind: the fit would wait for ever, or abort the process."""
    global _fitting_process
    if _fitting_process not in (None, os.getpid()):
        raise BackendError(
            "this process was forked from one that has fitted networks, which TensorFlow does not survive: start it "
            "by multiprocessing.get_context('spawn') or 'forkserver', or fit in forked processes only"
        )
    _fitting_process = os.getpid()
