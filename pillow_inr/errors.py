"""The exceptions of pillow_inr, which the plugins translate into those that Pillow and imageio expect; warnings."""

import sys


class FormatError(ValueError):
    """The file is not an .inr file, or one of its fields is outside the range in docs/format.md."""


class DamagedFileError(FormatError):
    """The file is cut off, or its checksum does not match its bytes."""


class UnsupportedFileError(FormatError):
    """The file may be valid, but reading it takes a newer release of pillow_inr."""


class LimitError(FormatError):
    """The file may be valid, but reading it takes more than `pillow_inr.limits` allows."""


class MissingInitializationError(FormatError):
    """The file may be valid, but its weights are differences from an initialization that is not registered."""


class BackendError(RuntimeError):
    """Fitting needs Keras on TensorFlow, which is missing or unusable as it is set up."""


class FitError(RuntimeError):
    """The fit diverged, or its result is worse than a single colour."""


def warn_caller(message: str) -> None:
    """Warn at the caller's line, whether it called a function of this package or Pillow's save."""
    import warnings  # here: opening a file needs none of these
    from itertools import takewhile
    from traceback import walk_stack

    own = takewhile(
        lambda step: step[0].f_globals.get("__name__", "").partition(".")[0] in ("pillow_inr", "PIL"),
        walk_stack(sys._getframe()),
    )
    warnings.warn(message, stacklevel=1 + len(list(own)))
