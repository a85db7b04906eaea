"""Registers .inr files with Pillow. The plugin itself is loaded when the first file is opened or saved.

This keeps the import fast, and it has to be so: pillow_inr may be imported while PIL.ImageFile, which the plugin needs,
is only half imported.
"""

from typing import IO, TYPE_CHECKING, Any

from PIL import Image

from ..format.signature import EXTENSION, FORMAT, INRIMAGE, INRIMAGE_COMPLAINT, MAGIC, MIME

if TYPE_CHECKING:
    from PIL import ImageFile


def register() -> None:
    """Make Pillow open and save .inr files; calling it again changes nothing."""
    Image.register_open(FORMAT, _open, _accept)
    Image.register_save(FORMAT, _save)
    Image.register_save_all(FORMAT, _save_all)
    Image.register_extension(FORMAT, EXTENSION)
    Image.register_mime(FORMAT, MIME)


def unregister() -> None:
    """Make Pillow forget .inr files; calling it again changes nothing."""
    if FORMAT in Image.ID:
        Image.ID.remove(FORMAT)  # first: for each name in ID, Image.open in another thread looks into OPEN
    registries: tuple[dict[str, Any], ...] = (Image.OPEN, Image.SAVE, Image.SAVE_ALL, Image.MIME)
    for registry in registries:
        registry.pop(FORMAT, None)
    for extension in [extension for extension, name in Image.EXTENSION.items() if name == FORMAT]:
        del Image.EXTENSION[extension]


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
