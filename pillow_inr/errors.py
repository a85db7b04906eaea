"""The exception types of pillow_inr; `plugin` alone turns them into those Pillow expects."""


class FormatError(ValueError):
    """The file is wrong: not an .inr file, or a field of it is outside what docs/format.md allows."""


class DamagedFileError(FormatError):
    """The file was an .inr file once: it is cut off, or its checksum does not fit its bytes."""


class UnsupportedFileError(FormatError):
    """The file may be in order, but it needs a newer release of pillow_inr than this one."""


class LimitError(FormatError):
    """The file may be in order, but reading it takes more than `pillow_inr.limits` allows."""


class MissingInitializationError(FormatError):
    """The file may be in order, but its weights are differences from an initialization that is not known here."""


class BackendError(RuntimeError):
    """TensorFlow or Keras, needed to fit a network, is missing or not usable as it is set up."""


class FitError(RuntimeError):
    """The fit did not arrive at a network worth storing."""
