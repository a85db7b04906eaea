"""The Pillow plugin: opening (lazily), saving, and the translation of errors into those that Pillow's users expect.

Imports neither NumPy nor the codec until pixels are needed, because opening must take milliseconds.
"""

import io
import math
import os
import threading
from typing import IO, TYPE_CHECKING, Any

from PIL import Image, ImageFile, UnidentifiedImageError

from ..errors import BackendError, DamagedFileError, FitError, FormatError, UnsupportedFileError
from ..format import file as file_format
from ..format.file import Outline
from ..format.header import HEADER_MAX_BYTES, Box, Header, ModelHeader, Size
from ..format.info import file_info
from ..format.metadata import Metadata
from ..format.signature import FORMAT, MAGIC
from ..imaging.pillow import as_mode, check_pixels, mode_of
from ..imaging.region import check_box, check_size
from ..models import reader

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL._imaging import PixelAccess

    from ..imaging.samples import Samples
    from ..models.base import StoredModel

# Threads may render the same image, whose file has only one position. A global lock, as an image with one could not be
# copied.
_reading = threading.Lock()


def _renew_lock() -> None:
    """Replace the lock after a fork: another thread may have held it, and nobody would release the child's copy."""
    global _reading
    _reading = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


class InrImageFile(ImageFile.ImageFile):
    """An .inr file. Opening it reads header and metadata; the first access to pixels decodes it."""

    format = FORMAT
    format_description = "Implicit neural representation"
    n_frames = 1
    is_animated = False
    # Class-level defaults, because _open does not run when an image is unpickled.
    _header: Header[ModelHeader] | None = None
    _data: bytes | None = None
    """The whole file once it has been read, a few kilobytes, from which any region can be rendered."""
    _model: "StoredModel | None" = None
    _preview_size: Size | None = None
    """Of a smaller version that the file has; it serves thumbnails without the image's tiles."""
    _loaded = False

    def _open(self) -> None:
        assert self.fp is not None
        if not self.fp.read(len(MAGIC)).startswith(MAGIC):
            raise SyntaxError("not an .inr file")
        try:
            header, chunks = self._outline()
            info = file_info(header, chunks) | Metadata.from_chunks(chunks).info()
        except (DamagedFileError, UnsupportedFileError) as error:
            raise OSError(str(error)) from error
        except FormatError as error:
            # Not SyntaxError, whose message Pillow would drop. No other format starts with our signature.
            raise UnidentifiedImageError(str(error)) from error
        self._header = header
        self._preview_size = reader.preview_size(header, chunks)
        self._size = header.size
        self._mode = mode_of(header)
        self.info.update(info)

    def _outline(self) -> Outline:
        assert self.fp is not None
        try:
            return reader.read_outline(self.fp)
        except DamagedFileError:
            if not ImageFile.LOAD_TRUNCATED_IMAGES:
                raise
        # The chunks come last, so they are missing, and with them the metadata.
        self.fp.seek(0)
        header = reader.read_header(self.fp.read(HEADER_MAX_BYTES))
        if header.model.needs_whole_file:
            raise DamagedFileError("the file is cut off, and its model cannot be shown in part")
        return Outline(header, ())

    def draft(self, mode: str | None, size: tuple[int, int] | None) -> tuple[str, tuple[int, int, float, float]] | None:
        """Ask for a smaller version of the whole image, the largest one that fits into `size`.

        Args:
            mode: ignored; the mode stays.
            size: largest width and height.
        Returns:
            Mode and box of the image to be loaded; None if pixels are loaded already or `size` is not smaller.
        """
        if self._loaded or self._header is None or size is None:
            return None
        columns, rows = self._header.size
        scale = min(size[0] / columns, size[1] / rows)
        if not 0 < scale < 1:
            return None
        self._size = max(1, math.ceil(columns * scale - 1e-9)), max(1, math.ceil(rows * scale - 1e-9))
        return self.mode, (0, 0, float(self._size[0]), float(self._size[1]))

    def thumbnail(
        self,
        size: tuple[float, float],
        resample: Image.Resampling = Image.Resampling.BICUBIC,
        reducing_gap: float | None = 2.0,
    ) -> None:
        """Make this image a thumbnail, as `Image.thumbnail`; a large file's preview serves if it is large enough."""
        columns, rows = self.size
        shrink = min(size[0] / columns, size[1] / rows)
        if not self._preview_serves((int(columns * shrink), int(rows * shrink))):
            super().thumbnail(size, resample, reducing_gap)
            return
        # Without a gap Pillow calls `resize`, instead of asking `draft` for twice the thumbnail's size.
        super().thumbnail(size, resample, None)
        if self.size != (columns, rows):
            self._forget_file()

    def _preview_serves(self, size: tuple[float, float]) -> bool:
        """Whether a version of the whole image of this size, smaller than the image, may be made from the preview."""
        preview = self._preview_size
        if preview is None or self._loaded or self._header is None or size == self._header.size:
            return False
        return size[0] <= preview[0] and size[1] <= preview[1]

    def resize(
        self,
        size: "tuple[int, int] | list[int] | NDArray[Any]",
        resample: int | None = None,
        box: tuple[float, float, float, float] | None = None,
        reducing_gap: float | None = None,
    ) -> Image.Image:
        """A resized copy, as `Image.resize`; from the preview of a large file if that has at least as many pixels."""
        preview, whole = self._preview_size, box is None and resample != Image.Resampling.NEAREST
        if preview is not None and whole and self._preview_serves((size[0], size[1])):
            samples = self._preview_samples(preview)
            if samples is not None:
                return self._picture(samples, preview).resize(size, resample, None, reducing_gap)
        return super().resize(size, resample, box, reducing_gap)

    def load(self) -> "PixelAccess | None":
        """Decode all pixels; only the first call does so."""
        if self._header is not None and not self._loaded:
            samples = self._preview_samples(self.size) if self._preview_serves(self.size) else None
            if samples is None:
                samples = self._evaluate(self.size, None)
            try:
                self.load_prepare()
                self.frombytes(memoryview(as_mode(samples, self.mode, self._header)))  # type: ignore[arg-type]
            except MemoryError as error:
                raise OSError("there is not enough memory to load the image") from error
            self._forget_file()
        return super().load()

    def _forget_file(self) -> None:
        """Keep the pixels alone, which are there now."""
        self._loaded, self._model = True, None  # decoded tiles take up to 90 MB
        file, self.fp = self.fp, None
        if self._exclusive_fp and file is not None:
            file.close()

    def render(self, size: Size | None = None, box: Box | None = None) -> Image.Image:
        """Decode a region of the image at any resolution. This image is neither loaded nor changed.

        Args:
            size: width and height of the result; by default that of the box, in pixels of the image.
            box: left, upper, right and lower edge of the region in pixels of the image, fractions allowed; by default
                the whole image.
        Returns:
            A new image of the file's mode, with a copy of this image's `info`, as from `crop` and `resize`. Enlarging
            evaluates a SIREN between the image's pixels and interpolates those of a pyramid; reducing averages.
        Raises:
            ValueError: the size is not two positive integers or exceeds Pillow's limit on pixels, the box is not a
                region within the image, or the image was closed before the file was read.
            OSError: the file is damaged, or its evaluation takes more than `pillow_inr.limits` allows.
        """
        if self._header is None:
            raise ValueError("render needs the .inr file, of which this image holds nothing")
        region = check_box(box, self._header.size)
        size = check_size(size, region)
        check_pixels(size, self._header.channels)
        return self._picture(self._evaluate(size, region), size)

    def _picture(self, samples: "Samples", size: Size) -> Image.Image:
        """A new image of this one's mode and `info`."""
        assert self._header is not None
        mode = mode_of(self._header)
        picture = Image.frombytes(mode, size, memoryview(as_mode(samples, mode, self._header)))  # type: ignore[arg-type]
        picture.info = self.info.copy()  # without its profile the picture would have other colours
        return picture

    def _evaluate(self, size: Size, box: Box | None) -> "Samples":
        try:
            return reader.evaluate(self._model or self._opened(size), size, box)
        except FormatError as error:
            raise OSError(str(error)) from error

    def _preview_samples(self, size: Size) -> "Samples | None":
        """The preview at a size; None if the model has none, whatever the chunks say."""
        try:
            preview = (self._model or self._opened(size)).preview()
            return None if preview is None else reader.evaluate(preview, size, None)
        except FormatError as error:
            raise OSError(str(error)) from error

    def _opened(self, size: Size) -> "StoredModel":
        """Open the model and keep it, with the tiles that it decodes, for regions that are asked for next."""
        assert self._header is not None
        data = self._whole_file()
        cut = ImageFile.LOAD_TRUNCATED_IMAGES and len(data) < self._header.file_bytes
        self._model = reader.open_for(data, self._header, size, cut=cut)
        return self._model

    def _whole_file(self) -> bytes:
        with _reading:
            if self._data is None:
                if self.fp is None or getattr(self.fp, "closed", False):
                    raise ValueError("Operation on closed image")
                assert self._header is not None
                self.fp.seek(0, io.SEEK_END)
                available = self.fp.tell()
                self.fp.seek(0)
                self._data = self.fp.read(min(self._header.file_bytes, available))
            return self._data

    def verify(self) -> None:
        """Compare the checksum without decoding. As with other formats, reopen the file afterwards."""
        if self._header is not None and not self._loaded:
            try:
                file_format.unpack(self._whole_file(), self._header)
            except FormatError as error:
                raise SyntaxError(str(error)) from error
        super().verify()

    def __getstate__(self) -> list[Any]:
        return [*super().__getstate__(), self._data]

    def __setstate__(self, state: list[Any]) -> None:
        self._loaded = True
        self._data = state.pop()
        if self._data is not None:
            self._header = reader.read_header(self._data)
        super().__setstate__(state)


def save(image: Image.Image, fp: IO[bytes]) -> None:
    """Encode an image and write it, for `Image.save`, whose keywords are in `image.encoderinfo`."""
    from .. import api
    from ..imaging import depth
    from ..options import EncodeOptions, wishes

    options = EncodeOptions.from_keywords(wishes(image.encoderinfo, image.info))
    check_writable(fp)
    depth.warn_if_reduced(image)
    source = api.source_image(image, image.encoderinfo)
    try:
        data = api.encode_source(source, options).data
    except (BackendError, FitError) as error:
        raise OSError(f"cannot write INR: {error}") from error
    # Written in one piece at the end, so that an error leaves nothing half-written.
    fp.write(data)


def check_writable(fp: IO[bytes]) -> None:
    """Check, before a long fit, that a file object takes bytes; with the errors that its `write` would raise.

    Raises:
        TypeError: it has no `write`, or is open for text.
        ValueError: it is closed.
        io.UnsupportedOperation: it is open for reading only.
    """
    if not callable(getattr(fp, "write", None)):
        raise TypeError(f"expected a path or a file open for writing, got {fp!r}")
    if getattr(fp, "closed", False):
        raise ValueError("I/O operation on closed file")
    writable = getattr(fp, "writable", None)
    if callable(writable) and not writable():
        raise io.UnsupportedOperation("the file is not open for writing")
    if hasattr(fp, "encoding"):  # also wrappers of text files, such as those of tempfile and codecs
        raise TypeError("an .inr file is bytes, but this file is open for text: open it in binary mode")


def save_all(image: Image.Image, fp: IO[bytes]) -> None:
    """As `save`, for `save_all=True`, which is allowed for a single frame."""
    if image.encoderinfo.get("append_images") or getattr(image, "n_frames", 1) > 1:
        raise OSError("cannot write several frames as INR: save each to a file of its own")
    save(image, fp)
