"""Registers .inr files with Pillow. The plugin itself is loaded when the first file is opened or saved.

This keeps the import fast, and it has to be so: pillow_inr may be imported while PIL.ImageFile, which the plugin needs,
is only half imported.
"""

import sys
from typing import IO, TYPE_CHECKING, Any

from PIL import Image

from ..format.signature import EXTENSION, FORMAT, INRIMAGE, INRIMAGE_COMPLAINT, MAGIC, MIME
from . import import_hook

if TYPE_CHECKING:
    from PIL import ImageFile

_MIMETYPES = "mimetypes"


def register() -> None:
    """Make Pillow open and save .inr files; calling it again changes nothing."""
    Image.register_open(FORMAT, _open, _accept)
    Image.register_save(FORMAT, _save)
    Image.register_save_all(FORMAT, _save_all)
    Image.register_extension(FORMAT, EXTENSION)
    Image.register_mime(FORMAT, MIME)
    import_hook.after_import([_MIMETYPES], _add_mime_type)


def unregister() -> None:
    """Make Pillow forget .inr files; calling it again changes nothing."""
    if FORMAT in Image.ID:
        Image.ID.remove(FORMAT)  # first: for each name in ID, Image.open in another thread looks into OPEN
    registries: tuple[dict[str, Any], ...] = (Image.OPEN, Image.SAVE, Image.SAVE_ALL, Image.MIME)
    for registry in registries:
        registry.pop(FORMAT, None)
    for extension in [extension for extension, name in Image.EXTENSION.items() if name == FORMAT]:
        del Image.EXTENSION[extension]
    import_hook.cancel(_add_mime_type)
    if _MIMETYPES in sys.modules:
        _mimetypes().types_map.pop(EXTENSION, None)


def _mimetypes() -> Any:
    __import__(_MIMETYPES)  # if another thread is importing it, this waits
    return sys.modules[_MIMETYPES]


def _add_mime_type() -> None:
    """Let `mimetypes` guess the type of .inr files; its own import takes milliseconds, so this waits for it."""
    mimetypes = _mimetypes()
    if mimetypes.inited:
        mimetypes.add_type(MIME, EXTENSION)
    else:
        mimetypes.types_map[EXTENSION] = MIME  # the defaults, from which its first use makes the tables


def _accept(prefix: bytes) -> bool | str:
    if prefix.startswith(INRIMAGE):
        return INRIMAGE_COMPLAINT
    return prefix.startswith(MAGIC)


def _open(fp: IO[bytes], filename: str | bytes) -> "ImageFile.ImageFile":
    from . import pillow

    return pillow.InrImageFile(fp, filename)


def _save(image: Image.Image, fp: IO[bytes], filename: str | bytes) -> None:
    from . import pillow

    pillow.save(image, fp)


def _save_all(image: Image.Image, fp: IO[bytes], filename: str | bytes) -> None:
    from . import pillow

    pillow.save_all(image, fp)
