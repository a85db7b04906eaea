"""Images as small neural networks. Importing this package lets Pillow and imageio read and write .inr files.

    import pillow_inr
    from PIL import Image

    Image.open("photo.png").save("photo.inr", width=48, depth=4)
    Image.open("photo.inr").show()

Opening needs NumPy, and wasmtime or constriction. Only saving imports TensorFlow.
"""

from typing import TYPE_CHECKING, Any

from . import limits
from ._version import __version__ as __version__
from .plugins import imageio_support, registration

if TYPE_CHECKING:
    from . import cost
    from .api import decode, encode, read_header, register_initialization, save, to_keras
    from .errors import (
        BackendError,
        DamagedFileError,
        FitError,
        FormatError,
        LimitError,
        MissingInitializationError,
        UnsupportedFileError,
    )
    from .format.header import FORMAT_VERSION, Header
    from .options import EncodeOptions

__all__ = [
    "FORMAT_VERSION",
    "BackendError",
    "DamagedFileError",
    "EncodeOptions",
    "FitError",
    "FormatError",
    "Header",
    "LimitError",
    "MissingInitializationError",
    "UnsupportedFileError",
    "cost",
    "decode",
    "encode",
    "limits",
    "read_header",
    "register",
    "register_initialization",
    "save",
    "to_keras",
    "unregister",
]


def register() -> None:
    """Let Pillow and imageio read and write .inr files, as importing this package does. Idempotent."""
    registration.register()
    imageio_support.register()


def unregister() -> None:
    """Undo `register`: afterwards neither Pillow nor imageio knows .inr files. Idempotent."""
    registration.unregister()
    imageio_support.unregister()


if not TYPE_CHECKING:  # a type checker would accept every misspelt name as Any

    def __getattr__(name: str) -> Any:
        """Import the public names when the first one is used: programs that only open files with Pillow need none."""
        if name in __all__:
            from . import api, cost, errors, options
            from .format import header

            if name == "cost":
                return cost
            for module in (api, options, header, errors):
                if hasattr(module, name):
                    return globals().setdefault(name, getattr(module, name))
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})


register()
