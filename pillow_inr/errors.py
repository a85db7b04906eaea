"""The exception types of pillow_inr. The plugins translate them into those that Pillow and imageio expect."""


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
