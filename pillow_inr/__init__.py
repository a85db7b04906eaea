"""Images as small neural networks: importing this package teaches Pillow and imageio to read and write .inr files.

    import pillow_inr
    from PIL import Image

    Image.open("photo.png").save("photo.inr", width=48, depth=4)
    Image.open("photo.inr").show()

Opening needs NumPy and constriction; only saving imports TensorFlow.
"""

from . import imageio_support, plugin
from .api import decode, encode, read_header, register_initialization, save, to_keras
from .config import EncodeOptions
from .container import FORMAT_VERSION, Header
from .errors import (
    BackendError,
    DamagedFileError,
    FitError,
    FormatError,
    MissingInitializationError,
    UnsupportedFileError,
)

__version__ = "0.1.0"

__all__ = [
    "FORMAT_VERSION",
    "BackendError",
    "DamagedFileError",
    "EncodeOptions",
    "FitError",
    "FormatError",
    "Header",
    "MissingInitializationError",
    "UnsupportedFileError",
    "decode",
    "encode",
    "read_header",
    "register_initialization",
    "save",
    "to_keras",
]

plugin.register()
imageio_support.register()
