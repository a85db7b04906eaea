"""What users are told when a cluster cannot do its work."""

from .._version import __version__
from ..errors import BackendError

SHARED = "paths must lie on a file system that all machines share; or use URLs such as s3://"


def gone(scheduler: str) -> ConnectionError:
    """The error to raise when the scheduler answers no more, or cancels tasks."""
    return ConnectionError(f"the Dask scheduler at {scheduler} has gone, or was told to drop its tasks")


def unfit(worker: str, error: BaseException) -> BackendError:
    """The error to raise when a worker cannot encode at all."""
    if isinstance(error, ModuleNotFoundError) and error.name == "pillow_inr":
        return BackendError(f"{worker} has no pillow_inr: install the release of this machine there, {__version__}")
    if is_other_release(error):
        return BackendError(f"{worker} has another release of pillow_inr: install {__version__} there")
    if isinstance(error, FileNotFoundError):
        return BackendError(f"{worker} does not see {error.filename or error}: {SHARED}")
    return BackendError(f"{worker} cannot encode: {error}")


def is_other_release(error: BaseException) -> bool:
    """Whether a worker has a pillow_inr in which it did not find a module, or a name, that a task is made of.

    It unpickles a task before it can compare the releases.
    """
    if isinstance(error, ModuleNotFoundError):
        return str(error.name).startswith("pillow_inr.")
    return isinstance(error, AttributeError) and "pillow_inr" in str(error)
