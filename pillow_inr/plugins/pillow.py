"""The Pillow plugin: lazy opening, saving; turns our errors into those Pillow's users expect.

Imports neither NumPy nor the codec until pixels are needed: opening must cost milliseconds.
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
from ..options import EncodeOptions

if TYPE_CHECKING:
    from PIL._imaging import PixelAccess

    from ..imaging.samples import Samples

# Threads may render one image, whose file has one position. Of the module: an image with a lock could not be copied.
_reading = threading.Lock()


def _renew_lock() -> None:
    """A process forked while another thread held the lock has a copy that nobody will release."""
    global _reading
    _reading = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


class InrImageFile(ImageFile.ImageFile):
    """An .inr file: opening it reads header and metadata, the first access to pixels decodes it."""

    format = FORMAT
    format_description = "Implicit neural representation"
    n_frames = 1
    is_animated = False
    # Class-level defaults, for an unpickled image never ran _open.
    _header: Header[ModelHeader] | None = None
    _data: bytes | None = None
    """The whole file, once it was read: a few kilobytes, from which any region can be rendered."""
    _loaded = False

    def _open(self) -> None:
        assert self.fp is not None
        if not self.fp.read(len(MAGIC)).startswith(MAGIC):
            raise SyntaxError("not an .inr file")
        try:
            header, chunks = self._outline()
            known = file_info(header, chunks) | Metadata.from_chunks(chunks).info()
        except (DamagedFileError, UnsupportedFileError) as error:
            raise OSError(str(error)) from error
        except FormatError as error:
            # Not SyntaxError: Pillow would drop its text, and no other format starts with our signature.
            raise UnidentifiedImageError(str(error)) from error
        self._header = header
        self._size = header.size
        self._mode = mode_of(header)
        self.info.update(known)

    def _outline(self) -> Outline:
        assert self.fp is not None
        try:
            return reader.read_outline(self.fp)
        except DamagedFileError:
            if not ImageFile.LOAD_TRUNCATED_IMAGES:
                raise
        # Chunks come last, so they are lost, and metadata with them.
        self.fp.seek(0)
        header = reader.read_header(self.fp.read(HEADER_MAX_BYTES))
        if header.model.needs_whole_file:
            raise DamagedFileError("the file is cut off, and its model cannot be shown in part")
        return Outline(header, ())

    def draft(self, mode: str | None, size: tuple[int, int] | None) -> tuple[str, tuple[int, int, float, float]] | None:
        """Load fewer pixels, of the whole image: as many as fit into `size`. The mode stays.

        Returns:
            Mode and box of the image to come; None when pixels are there already, or `size` would not be smaller.
        """
        if self._loaded or self._header is None or size is None:
            return None
        columns, rows = self._header.size
        scale = min(size[0] / columns, size[1] / rows)
        if not 0 < scale < 1:
            return None
        self._size = max(1, math.ceil(columns * scale - 1e-9)), max(1, math.ceil(rows * scale - 1e-9))
        return self.mode, (0, 0, float(self._size[0]), float(self._size[1]))

    def load(self) -> "PixelAccess | None":
        """Decode all pixels, once."""
        if self._header is not None and not self._loaded:
            samples = self._evaluate(self.size, None)
            try:
                self.load_prepare()
                self.frombytes(memoryview(as_mode(samples, self.mode, self._header)))  # type: ignore[arg-type]
            except MemoryError as error:
                raise OSError("there is not enough memory to load the image") from error
            self._loaded = True
            file, self.fp = self.fp, None
            if self._exclusive_fp and file is not None:
                file.close()
        return super().load()

    def render(self, size: Size | None = None, box: Box | None = None) -> Image.Image:
        """Decode a region of the image at any resolution; neither loads nor changes this image.

        Args:
            size: width and height of the result; by default one pixel for each of the image's in the box.
            box: left, upper, right and lower edge of the region in pixels of the image, fractions too; by default all.
        Returns:
            A new image of the file's mode, with this image's `info`, as `crop` and `resize` give it. Enlarged, a SIREN
            is evaluated between the image's pixels, a pyramid's pixels are interpolated; reduced, pixels are means.
        Raises:
            ValueError: the size is not two positive integers or larger than Pillow's limit on pixels, the box is not
                a region within the image, or the image was closed before anything was read.
            OSError: the file is damaged, or its evaluation takes too much work.
        """
        if self._header is None:
            raise ValueError("render needs the .inr file, of which this image holds nothing")
        region = check_box(box, self._header.size)
        size = check_size(size, region)
        check_pixels(size, self._header.channels)
        samples = self._evaluate(size, region)
        mode = mode_of(self._header)
        rendered = Image.frombytes(mode, size, memoryview(as_mode(samples, mode, self._header)))  # type: ignore[arg-type]
        rendered.info = self.info.copy()  # without its profile a picture is shown in other colours
        return rendered

    def _evaluate(self, size: Size, box: Box | None) -> "Samples":
        assert self._header is not None
        data = self._whole_file()
        cut = ImageFile.LOAD_TRUNCATED_IMAGES and len(data) < self._header.file_bytes
        try:
            return reader.decode(data, self._header, size, box, cut=cut)
        except FormatError as error:
            raise OSError(str(error)) from error

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
        """Compare the checksum without decoding; as with other formats, reopen the file to use it."""
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
    """What `Image.save` does for this format; its keywords are in `image.encoderinfo`."""
    from .. import api

    options = EncodeOptions.from_keywords(image.encoderinfo)
    source = api.source_image(image, image.encoderinfo)
    try:
        data = api.encode_source(source, options).data
    except (BackendError, FitError) as error:
        raise OSError(f"cannot write INR: {error}") from error
    # Written once, at the end: an error before this leaves nothing half-written.
    fp.write(data)


def save_all(image: Image.Image, fp: IO[bytes]) -> None:
    """The same for `save_all=True`, of which a single frame is allowed."""
    if image.encoderinfo.get("append_images") or getattr(image, "n_frames", 1) > 1:
        raise OSError("cannot write several frames as INR: save each to a file of its own")
    save(image, fp)
