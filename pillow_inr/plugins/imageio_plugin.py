"""imageio's plugin "inr": reads and writes also what Pillow has no mode for, and any region at any resolution.

imageio imports this module at the first .inr file; `imageio_support` registers it.
"""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from types import EllipsisType
from typing import Any, NoReturn

import numpy as np
from imageio.core.request import URI_BYTES, URI_FILENAME, ImageMode, InitializationError, IOMode, Request
from imageio.core.v3_plugin_api import ImageProperties, PluginV3
from imageio.plugins.pillow import PillowPlugin
from PIL import ExifTags

from .. import api
from ..errors import BackendError, FitError, FormatError
from ..format.header import Box, Size
from ..format.info import file_info
from ..format.metadata import Metadata
from ..format.pixel_format import MODES
from ..format.signature import EXTENSION, MAGIC
from ..imaging.exif_tags import exif_tags
from ..imaging.pillow import mode_of
from ..imaging.samples import Samples
from ..models import reader
from ..storage import atomic
from .pillow import check_writable

_VOLUMES = (ImageMode.single_volume, ImageMode.multi_volume)


class InrPlugin(PluginV3):  # type: ignore[misc]  # imageio has no types
    """One .inr file, open for reading or writing."""

    def __init__(self, request: Request) -> None:
        super().__init__(request)
        self._written = False
        if request.mode.io_mode == IOMode.write:
            # Without a file name, only a caller who names this plugin gets here.
            if (request.extension or EXTENSION).lower() != EXTENSION:
                raise InitializationError(f"the plugin inr writes {EXTENSION} files only")
            return
        if not request.firstbytes.startswith(MAGIC):
            raise InitializationError("this is not an .inr file")
        self._data: bytes = request.get_file().read()
        try:
            self._header, self._chunks = reader.read_outline(BytesIO(self._data))
        except FormatError as error:
            self._refuse(error)

    def read(
        self,
        *,
        index: int | EllipsisType | None = None,
        size: Size | None = None,
        box: Box | None = None,
        **for_pillow: Any,
    ) -> Samples:
        """Decode the image, or a region of it at any resolution, to an array.

        Args:
            index: 0 or None; `...` adds an axis of length 1 in front.
            size: width and height of the result, as for `pillow_inr.decode`.
            box: edges of the region, as for `pillow_inr.decode`.
            for_pillow: mode, rotate and the other keywords of imageio's Pillow plugin, which then reads the file; they
                cannot be combined with size and box.
        Returns:
            Shape (height, width) or (height, width, channels), of the file's sample type.
        Raises:
            OSError: the file is damaged, or Pillow has no mode for it.
            ValueError: the index is not that of the only image, or size or box are not allowed.
        """
        _check_index(index)
        if for_pillow:
            if size is not None or box is not None:
                raise ValueError(f"size and box exclude {', '.join(for_pillow)}")
            pixels: Samples = self._read_with_pillow(**for_pillow)
        else:
            try:
                pixels = api.decode_bytes(self._data, self._header, size, box)
            except FormatError as error:
                self._refuse(error)
        return pixels[np.newaxis] if index is Ellipsis else pixels

    def _read_with_pillow(self, **arguments: Any) -> Samples:
        try:
            pixels: Samples = PillowPlugin(Request(self._data, "ri")).read(index=0, **arguments)
        except (InitializationError, SyntaxError) as error:  # too many channels, or damaged EXIF data
            raise OSError(f"for {', '.join(arguments)} Pillow must read the file, but: {error}") from error
        return pixels

    def iter(self, **arguments: Any) -> Iterator[Samples]:
        """Yield the only image."""
        yield self.read(**arguments)

    def write(self, ndimage: Any, *, is_batch: bool = False, **options: Any) -> bytes | None:
        """Encode an image; the options are those of `pillow_inr.encode`.

        Args:
            ndimage: an array as for `pillow_inr.encode`, or a list of one such array.
            is_batch: whether the first axis counts images; there must be exactly one.
        Returns:
            The file for the target "<bytes>", otherwise None.
        Raises:
            TypeError, ValueError: as `pillow_inr.encode`; or there are several images.
            OSError: TensorFlow is missing, the fit failed, or the file cannot be written. An older file stays.
        """
        if self._written:
            raise ValueError("an .inr file holds one image, and this one has been written")
        if self.request.mode.image_mode in _VOLUMES:
            raise ValueError("an .inr file holds an image and no volume: write each plane by itself with imwrite")
        path = Path(self.request.get_local_filename()) if self.request._uri_type == URI_FILENAME else None
        if path:
            atomic.check_writable(path)
        else:
            check_writable(self.request.get_file())
        if isinstance(ndimage, list | tuple) or is_batch:
            if len(ndimage) != 1:
                raise ValueError(f"an .inr file holds one image, got {len(ndimage)}")
            ndimage = ndimage[0]
        try:
            data = api.encode(np.asarray(ndimage), **options)
        except (BackendError, FitError) as error:
            raise OSError(f"cannot write INR: {error}") from error
        if path:
            atomic.write_atomically(path, data)
        else:
            self.request.get_file().write(data)
        self._written = True
        return data if self.request._uri_type == URI_BYTES else None

    def properties(self, index: int | EllipsisType | None = None) -> ImageProperties:
        """Shape and dtype of the image, without decoding it."""
        _check_index(index)
        batch = index is Ellipsis
        shape = (1, *self._header.shape) if batch else self._header.shape
        return ImageProperties(
            shape=shape, dtype=np.dtype(self._header.dtype), n_images=1 if batch else None, is_batch=batch
        )

    def metadata(self, index: int | EllipsisType | None = None, exclude_applied: bool = True) -> dict[str, Any]:
        """The entries of `Image.info`, Pillow's mode if there is one, and the EXIF tags by name; without decoding.

        "shape" is width and height, as from imageio's Pillow plugin.
        """
        _check_index(index)
        try:
            metadata = Metadata.from_chunks(self._chunks)
        except FormatError as error:
            self._refuse(error)
        info = file_info(self._header, self._chunks) | metadata.info() | {"shape": self._header.size}
        if self._header.channels <= len(MODES):
            info["mode"] = mode_of(self._header)
        exif = exif_tags(metadata.exif)
        return info | {ExifTags.TAGS[tag]: value for tag, value in exif.items() if tag in ExifTags.TAGS}

    def _refuse(self, error: FormatError) -> NoReturn:
        self.request.finish()
        raise OSError(str(error)) from error


class InrReader(InrPlugin):
    """The plugin for reading only, which is asked about bytes without a name before Pillow's (`imageio_support`)."""

    def __init__(self, request: Request) -> None:
        if request.mode.io_mode == IOMode.write:
            raise InitializationError("this plugin only reads")
        super().__init__(request)


def _check_index(index: int | EllipsisType | None) -> None:
    if index not in (None, 0, Ellipsis):
        raise ValueError(f"an .inr file holds one image, there is none of index {index}")
