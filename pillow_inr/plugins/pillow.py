"""The Pillow plugin: lazy opening, saving; turns our errors into those Pillow's users expect.

Imports neither NumPy nor the codec until pixels are needed: opening must cost milliseconds.
"""

import contextlib
import io
import math
import os
import threading
from collections.abc import Mapping
from typing import IO, TYPE_CHECKING, Any

from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from ..errors import BackendError, DamagedFileError, FitError, FormatError, UnsupportedFileError
from ..format import container
from ..format.info import facts
from ..format.metadata import Metadata
from ..format.signature import EXTENSION as EXTENSION
from ..format.signature import FORMAT as FORMAT
from ..format.signature import MAGIC
from ..options import EncodeOptions

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL._imaging import PixelAccess

    from ..imaging.samples import Samples
    from ..models.reader import Box, Size

# Modes that are stored as they are, and what the others are turned into first. A mode that is in neither has no meaning
# as colours of 8 or 16 bits and is refused: converting it would lose most of what it holds.
_STORED = (*container.MODES, "I;16", "F")
_CONVERTED = {
    "P": "RGB",
    "1": "L",
    "I;16B": "I;16",
    "I;16L": "I;16",
    "I;16N": "I;16",
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
# Samples that are made colours of 8 bits at once.
_BLOCK_SAMPLES = 1 << 20
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
    _header: container.Header | None = None
    _data: bytes | None = None
    """The whole file, once it was read: a few kilobytes, from which any region can be rendered."""
    _loaded = False

    def _open(self) -> None:
        assert self.fp is not None
        if not self.fp.read(len(MAGIC)).startswith(MAGIC):
            raise SyntaxError("not an .inr file")
        try:
            header, chunks = self._outline()
            known = facts(header, chunks) | Metadata.from_chunks(chunks).info()
        except (DamagedFileError, UnsupportedFileError) as error:
            raise OSError(str(error)) from error
        except FormatError as error:
            # Not SyntaxError: Pillow would drop its text, and no other format starts with our signature.
            raise UnidentifiedImageError(str(error)) from error
        self._header = header
        self._size = header.size
        self._mode = mode_of(header)
        self.info.update(known)

    def _outline(self) -> tuple[container.Header, tuple[container.Chunk, ...]]:
        assert self.fp is not None
        try:
            return container.read_outline(self.fp)
        except DamagedFileError:
            if not ImageFile.LOAD_TRUNCATED_IMAGES:
                raise
        # Chunks come last, so they are lost. A SIREN may need one; and, cut off, it cannot be decoded anyway.
        self.fp.seek(0)
        header, _ = container.read_header(self.fp.read(container.HEADER_MAX_BYTES))
        if header.model == container.MODEL_SIREN:
            raise DamagedFileError("the file is cut off, and a SIREN needs all of its weights")
        return header, ()

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
                self.frombytes(memoryview(_as_mode(samples, self.mode, self._header)))  # type: ignore[arg-type]
            except MemoryError as error:
                raise OSError("there is not enough memory to load the image") from error
            self._loaded = True
            file, self.fp = self.fp, None
            if self._exclusive_fp and file is not None:
                file.close()
        return super().load()

    def render(self, size: "Size | None" = None, box: "Box | None" = None) -> Image.Image:
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
        from ..models import reader

        region = reader.check_box(box, self._header.size)
        size = reader.check_size(size, region)
        check_pixels(size, self._header.channels)
        samples = self._evaluate(size, region)
        mode = mode_of(self._header)
        rendered = Image.frombytes(mode, size, memoryview(_as_mode(samples, mode, self._header)))  # type: ignore[arg-type]
        rendered.info = self.info.copy()  # without its profile a picture is shown in other colours
        return rendered

    def _evaluate(self, size: "Size", box: "Box | None") -> "Samples":
        from ..models import reader

        assert self._header is not None
        data = self._whole_file()
        cut = ImageFile.LOAD_TRUNCATED_IMAGES and len(data) < self._header.file_bytes
        try:
            return reader.decode(data, size, box, cut=cut)
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
                container.unpack(self._whole_file())
            except FormatError as error:
                raise SyntaxError(str(error)) from error
        super().verify()

    def __getstate__(self) -> list[Any]:
        return [*super().__getstate__(), self._data]

    def __setstate__(self, state: list[Any]) -> None:
        self._loaded = True
        self._data = state.pop()
        if self._data is not None:
            self._header = container.read_header(self._data)[0]
        super().__setstate__(state)


def mode_of(header: container.Header) -> str:
    """Pillow's mode of a file. Colours of 16 bits or floating point, for which it has none, become those of 8 bits.

    Raises:
        UnidentifiedImageError: the file has more channels than any mode.
    """
    if header.channels > len(container.MODES):
        # This error lets imageio go on to our own plugin.
        raise UnidentifiedImageError(
            f"the file holds {header.channels} channels of {header.dtype}, for which Pillow has no mode: "
            "pillow_inr.decode and imageio give them as an array"
        )
    if header.channels == 1:
        return {"uint8": "L", "uint16": "I;16", "float32": "F"}[header.dtype]
    return container.MODES[header.channels - 1]


def _as_mode(samples: "Samples", mode: str, header: container.Header) -> "Samples":
    """Samples of a file as those of its mode, contiguous."""
    import numpy as np

    if samples.dtype == np.uint8 or mode in ("I;16", "F"):
        return samples
    levels = np.empty(samples.shape, np.uint8)
    rows = max(1, _BLOCK_SAMPLES // samples[0].size)
    for top in range(0, len(samples), rows):
        levels[top : top + rows] = _levels(samples[top : top + rows], header)
    return levels


def _levels(samples: "Samples", header: container.Header) -> "Samples":
    """Samples of 16 bits or floating point as colours of 8 bits."""
    import numpy as np

    if samples.dtype == np.uint16:
        return (samples // 257).astype(np.uint8)  # black to black, white to white
    assert header.samples is not None
    # Floating point is 0..1 by custom; what goes beyond is shown from its lowest to its highest value.
    low = min(0.0, *(low for low, _ in header.samples.ranges))
    high = max(1.0, *(high for _, high in header.samples.ranges))
    factor = 255.0 / (high - low)
    # In this order nothing overflows: the difference may be larger than float32 can be.
    levels: Samples = np.rint(samples * factor - low * factor).astype(np.uint8)
    return levels


def check_pixels(size: "Size", channels: int) -> None:
    """Hold a size to Pillow's limit; more channels than Pillow's modes have count as more pixels.

    Raises:
        ValueError: it has more than twice as many pixels as PIL.Image.MAX_IMAGE_PIXELS, where Image.open refuses, too.
    """
    limit = Image.MAX_IMAGE_PIXELS
    most_channels = len(container.MODES)
    if limit is not None and size[0] * size[1] * max(channels, most_channels) > 2 * limit * most_channels:
        raise ValueError(
            f"{size[0]}x{size[1]} pixels of {channels} channels are more than {2 * limit} of {most_channels} "
            "(twice PIL.Image.MAX_IMAGE_PIXELS, which can be raised or set to None)"
        )


def exif_tags(data: bytes | None) -> Image.Exif:
    """The tags of EXIF data; none where they are damaged."""
    tags = Image.Exif()
    with contextlib.suppress(Exception):  # Pillow raises whatever it likes on damaged data
        tags.load(data or b"")
    return tags


def upright(image: Image.Image) -> Image.Image:
    """The image turned as its EXIF data say; as it is, without these, where they are damaged."""
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # as above
        image.info.pop("exif")
        return image


def to_samples(image: Image.Image) -> "NDArray[np.generic]":
    """The samples of an image, shape (height, width) or (height, width, 2..4), after the conversion its mode needs.

    Raises:
        OSError: an .inr file cannot hold the image's mode.
        ValueError: the image has no pixels.
    """
    import numpy as np

    if not (image.width and image.height):
        raise ValueError("cannot write empty image as INR")
    mode = _stored_mode(image)
    if mode not in _STORED:
        raise OSError(f"cannot write mode {image.mode} as INR")
    return np.asarray(image if mode in (image.mode, "I;16") else image.convert(mode))


def _stored_mode(image: Image.Image) -> str:
    mode = _CONVERTED.get(image.mode, image.mode)
    if mode in _WITH_ALPHA and "transparency" in image.info:
        mode = _WITH_ALPHA[mode]  # one colour, or entries of a palette, are transparent
    return mode


def metadata_of(image: Image.Image, keywords: Mapping[str, Any]) -> Metadata:
    """What is to be stored beside an image: what the keywords say, and what the image itself has otherwise."""
    info: dict[Any, Any] = dict(image.info)
    profile = info.get("icc_profile")
    # Converting leaves the profile of the colours that were: one of CMYK would spoil every picture shown with it.
    space = b"RGB " if _stored_mode(image).startswith("RGB") else b"GRAY"
    if isinstance(profile, bytes) and profile[16:20] != space:
        del info["icc_profile"]
    return Metadata.of(keywords, info)


def save(image: Image.Image, fp: IO[bytes]) -> None:
    """What `Image.save` does for this format; its keywords are in `image.encoderinfo`."""
    from .. import codec

    options = EncodeOptions.from_keywords(image.encoderinfo)
    beside = metadata_of(image, image.encoderinfo)
    try:
        data = codec.encode(to_samples(image), options, beside)
    except (BackendError, FitError) as error:
        raise OSError(f"cannot write INR: {error}") from error
    # Written once, at the end: an error before this leaves nothing half-written.
    fp.write(data)


def save_all(image: Image.Image, fp: IO[bytes]) -> None:
    """The same for `save_all=True`, of which a single frame is allowed."""
    if image.encoderinfo.get("append_images") or getattr(image, "n_frames", 1) > 1:
        raise OSError("cannot write several frames as INR: save each to a file of its own")
    save(image, fp)
