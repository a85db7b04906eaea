"""The Pillow plugin: registration, lazy opening, saving; turns our errors into those Pillow's users expect.

Imports neither NumPy nor the codec until pixels are needed: registering must cost milliseconds.
"""

import io
from typing import IO, TYPE_CHECKING, Any

from PIL import Image, ImageFile, UnidentifiedImageError

from . import container, metrics
from .architecture import Architecture
from .config import EncodeOptions
from .errors import BackendError, DamagedFileError, FitError, FormatError, UnsupportedFileError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL._imaging import PixelAccess

FORMAT = "INR"
EXTENSION = ".inr"
MIME = "image/x-inr"

# What a mode that the file cannot hold is turned into first. Modes neither here nor in container.MODES have no
# meaning as 8-bit colours and are refused: converting them would lose most of what they hold.
_CONVERTED = {
    "P": "RGB",
    "1": "L",
    "La": "LA",
    "PA": "RGBA",
    "RGBa": "RGBA",
    "RGBX": "RGB",
    "CMYK": "RGB",
    "YCbCr": "RGB",
    "LAB": "RGB",
    "HSV": "RGB",
}
_WITH_ALPHA = {"L": "LA", "RGB": "RGBA"}


def register() -> None:
    """Make Pillow open and save .inr files; calling it again changes nothing."""
    Image.register_open(FORMAT, InrImageFile, _accept)
    Image.register_save(FORMAT, _save)
    Image.register_save_all(FORMAT, _save_all)
    Image.register_extension(FORMAT, EXTENSION)
    Image.register_mime(FORMAT, MIME)


def unregister() -> None:
    """Make Pillow forget .inr files; calling it again changes nothing."""
    if FORMAT in Image.ID:
        Image.ID.remove(FORMAT)  # first: Image.open in another thread looks up in OPEN what it finds here
    registries: tuple[dict[str, Any], ...] = (Image.OPEN, Image.SAVE, Image.SAVE_ALL, Image.MIME)
    for registry in registries:
        registry.pop(FORMAT, None)
    for extension in [extension for extension, name in Image.EXTENSION.items() if name == FORMAT]:
        del Image.EXTENSION[extension]


def _accept(prefix: bytes) -> bool | str:
    if prefix.startswith(container.INRIMAGE):
        return container.INRIMAGE_COMPLAINT
    return prefix.startswith(container.MAGIC)


class InrImageFile(ImageFile.ImageFile):
    """An .inr file: opening it reads the header, the first access to pixels evaluates the network."""

    format = FORMAT
    format_description = "Implicit neural representation"
    n_frames = 1
    is_animated = False
    # Bytes still to be decoded. A class-level default, for an unpickled image never ran _open.
    _pending_bytes = 0

    def _open(self) -> None:
        assert self.fp is not None
        prefix = self.fp.read(container.HEADER_MAX_BYTES)
        if not prefix.startswith(container.MAGIC):
            raise SyntaxError("not an .inr file")
        try:
            header, _ = container.read_header(prefix)
        except (DamagedFileError, UnsupportedFileError) as error:
            raise OSError(str(error)) from error
        except FormatError as error:
            # Not SyntaxError: Pillow would drop its text, and no other format starts with our signature.
            raise UnidentifiedImageError(str(error)) from error
        self._size = header.size
        self._mode = header.mode
        self._pending_bytes = header.file_bytes
        self.info.update(facts(header))

    def load(self) -> "PixelAccess | None":
        """Decode the pixels, once."""
        if self._pending_bytes:
            from . import codec

            data = self._read()
            try:
                pixels = codec.decode(data)
            except FormatError as error:
                raise OSError(str(error)) from error
            self.load_prepare()
            self.frombytes(memoryview(pixels))  # type: ignore[arg-type]  # any buffer will do
            self._pending_bytes = 0
            if self._exclusive_fp and self.fp is not None:
                self.fp.close()
            self.fp = None
        return super().load()

    def verify(self) -> None:
        """Compare the checksum without decoding; as with other formats, reopen the file to use it."""
        if self._pending_bytes:
            try:
                container.unpack(self._read())
            except FormatError as error:
                raise SyntaxError(str(error)) from error
        super().verify()

    def _read(self) -> bytes:
        if self.fp is None:
            raise ValueError("Operation on closed image")
        # A header may claim gigabytes: ask for no more than there is.
        available = self.fp.seek(0, io.SEEK_END)
        self.fp.seek(0)
        return self.fp.read(min(self._pending_bytes, available))


def facts(header: container.Header) -> dict[str, Any]:
    """What a header tells of its file, as it stands in `Image.info`."""
    architecture = Architecture.of(header)
    return {
        "model": "siren",
        "width": header.width,
        "depth": header.depth,
        "encoding": "fourier" if header.encoding else "none",
        "weights": architecture.weight_count,
        "bits_per_pixel": metrics.bits_per_pixel(header.file_bytes, *header.size),
        "format_version": container.FORMAT_VERSION,
    }


def to_pixels(image: Image.Image) -> "NDArray[np.uint8]":
    """The samples of an image, shape (height, width, channels), after the conversion that its mode needs.

    Raises:
        OSError: an .inr file cannot hold the image's mode.
        ValueError: the image has no pixels.
    """
    import numpy as np

    if not (image.width and image.height):
        raise ValueError("cannot write empty image as INR")
    mode = _CONVERTED.get(image.mode, image.mode)
    if mode in _WITH_ALPHA and "transparency" in image.info:
        mode = _WITH_ALPHA[mode]  # one colour, or entries of a palette, are transparent
    if mode not in container.MODES:
        raise OSError(f"cannot write mode {image.mode} as INR")
    pixels = np.asarray(image if image.mode == mode else image.convert(mode))
    return pixels.reshape(image.height, image.width, -1)


def _save(image: Image.Image, fp: IO[bytes], filename: str | bytes) -> None:
    from . import codec

    options = EncodeOptions.from_keywords(image.encoderinfo)
    try:
        data = codec.encode(to_pixels(image), options)
    except (BackendError, FitError) as error:
        raise OSError(f"cannot write INR: {error}") from error
    # Written once, at the end: an error before this leaves nothing half-written.
    fp.write(data)


def _save_all(image: Image.Image, fp: IO[bytes], filename: str | bytes) -> None:
    if image.encoderinfo.get("append_images") or getattr(image, "n_frames", 1) > 1:
        raise OSError("cannot write several frames as INR: save each to a file of its own")
    _save(image, fp, filename)
