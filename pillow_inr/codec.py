"""Samples -> an .inr file: hands the image to the encoder that the options name, and judges the result."""

import numpy as np
from numpy.typing import NDArray

from .encoding import progress
from .encoding.deadline import Deadline
from .encoding.source_image import Encoded, SourceImage
from .errors import FitError, warn_caller
from .format.chunks import pack_chunks
from .format.metadata import Metadata
from .imaging import samples
from .models import reader
from .models.base import EncodeJob
from .options import EncodeOptions, budget_bytes, image_rd_lambda

# A file of a given size names its transparent pixels if that takes at most this part of it. With less, an image whose
# outline is long would have no colours.
TRANSPARENCY_SHARE = 0.25


def encode(array: NDArray[np.generic], options: EncodeOptions, metadata: Metadata | None = None) -> bytes:
    """Fit a model to an image and pack it into an .inr file.

    Args:
        array: as for `samples.as_samples`, shape (height, width) or (height, width, 1..64 channels); uint8 of two to
            four channels is grey and alpha, RGB, RGBA. float16 and float64 become float32, truth values 0 and 255.
        options: of the encode.
        metadata: stored beside the image.
    Returns:
        The whole file.
    Raises:
        ValueError: the array is not such an image, or holds infinities or NaN.
        BackendError: TensorFlow is missing or not usable.
        FitError: the fit diverged.
    Warns:
        UserWarning: no file reached the PSNR that was asked for, or nothing better than one colour fits the size.
    """
    return encode_source(SourceImage.of(samples.as_samples(array), metadata or Metadata()), options).data


def encode_source(source: SourceImage, options: EncodeOptions) -> Encoded:
    """As `encode`, of an image whose samples are checked; the file comes with its PSNR and its model."""
    if not _has_room_for_transparency(source, budget_bytes(options, source.size)):
        source = source.without_chunk()
    encoder = reader.encoder(options.chosen_model)
    with progress.shown(options) as watched:
        file = encoder(EncodeJob(source, watched, Deadline.after(options.time_limit)))
    if source.is_failed_fit(file, image_rd_lambda(options, source.channels, source.pixels)):
        file = _instead_of(file, source, options)
    if options.psnr is not None and file.psnr_db < options.psnr:
        warn_caller(f"psnr={options.psnr:g} dB was not reached: the file has {file.psnr_db:.2f} dB")
    return file


def _has_room_for_transparency(source: SourceImage, budget: int | None) -> bool:
    """Whether a file can name the transparent pixels: they leave enough of the budget, and a reader takes them."""
    try:
        length = len(pack_chunks(source.transparency_chunks))
    except OverflowError:
        return False
    return budget is None or length <= TRANSPARENCY_SHARE * budget


def _instead_of(file: Encoded, source: SourceImage, options: EncodeOptions) -> Encoded:
    """Replace a file that is worse than a single colour: by that colour, if a size was asked for."""
    budget = budget_bytes(options, source.size)
    if budget is None:
        raise FitError(
            f"the fit diverged: {file.psnr_db:.2f} dB are worse than a single colour; try another seed or more steps"
        )
    from .models.selection import encode_single_colour

    flat = encode_single_colour(source)
    if len(flat.data) <= budget and flat.psnr_db > file.psnr_db:
        file = flat
    warn_caller(f"{budget} bytes: nothing better than a single colour was found, {file.psnr_db:.2f} dB")
    return file
