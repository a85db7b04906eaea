"""Pixels -> the bytes of an .inr file: chooses the model and hands over. The way back is `decoding`."""

import time
import warnings
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from .encoding.source_image import BudgetError, Encoded, Picture
from .errors import FitError
from .format.metadata import Metadata
from .imaging import samples
from .models.pyramid import encoder as pyramid_encoder
from .models.siren import encoder as siren_encoder
from .options import EncodeOptions, budget_bytes, image_rd_lambda

# Up to so many pixels, or when the pyramid's file has no more bytes or bits per pixel than that, a SIREN is tried, too,
# and the better file kept: none is better at all icons, and flat or smooth images take a SIREN a tenth of the bytes.
SMALL_PIXELS = 128 * 128
SMALL_BYTES = 4096
SMALL_BPP = 0.2


def encode(array: NDArray[np.generic], options: EncodeOptions, metadata: Metadata | None = None) -> bytes:
    """Fit a model to an image and pack it into an .inr file.

    Args:
        array: uint8, uint16 or float32, shape (height, width) or (height, width, 1..64 channels); uint8 of two to
            four channels is grey and alpha, RGB, RGBA. float16 and float64 become float32, truth values 0 and 255.
        metadata: to be stored beside the image.
    Returns:
        The whole file.
    Raises:
        ValueError: the array is not such an image, or holds infinities or NaN.
        BackendError: TensorFlow is not there or not usable.
        FitError: the fit diverged.
    Warns:
        UserWarning: no file reached the PSNR that was asked for, or nothing better than one colour fits the size.
    """
    picture = Picture.of(samples.as_samples(array), metadata or Metadata())
    deadline = None if options.time_limit is None else time.perf_counter() + options.time_limit
    file = _encode(picture, options, deadline)
    if picture.is_failed_fit(file, image_rd_lambda(options, picture.channels, picture.pixels)):
        file = _instead_of(file, picture, options)
    if options.psnr is not None and file.psnr_db < options.psnr:
        warnings.warn(f"psnr={options.psnr:g} dB was not reached: the file has {file.psnr_db:.2f} dB", stacklevel=2)
    return file.data


def _instead_of(file: Encoded, picture: Picture, options: EncodeOptions) -> Encoded:
    """What takes the place of a file that is worse than a single colour: that colour, if a size was asked for."""
    budget = budget_bytes(options, picture.size)
    if budget is None:
        raise FitError(
            f"the fit diverged: {file.psnr_db:.2f} dB are worse than a single colour; try another seed or more steps"
        )
    flat = siren_encoder.encode_flat(picture)
    if len(flat.data) <= budget and flat.psnr_db > file.psnr_db:
        file = flat
    warnings.warn(f"{budget} bytes: nothing better than a single colour was found, {file.psnr_db:.2f} dB", stacklevel=3)
    return file


def _encode(picture: Picture, options: EncodeOptions, deadline: float | None) -> Encoded:
    if options.chosen_model == "siren":
        return siren_encoder.encode(picture, options, deadline)
    if options.chosen_model == "pyramid":
        return _pyramid(picture, options, deadline)
    return _auto(picture, options, deadline)


def _pyramid(picture: Picture, options: EncodeOptions, deadline: float | None) -> Encoded:
    return pyramid_encoder.encode(picture, options, deadline).file


def _auto(picture: Picture, options: EncodeOptions, deadline: float | None) -> Encoded:
    """The pyramid, or the SIREN where that is better."""
    if picture.is_flat:
        flat = siren_encoder.encode_flat(picture)
        if len(flat.data) <= (budget_bytes(options, picture.size) or len(flat.data)):
            return flat
    half = deadline
    if picture.pixels <= SMALL_PIXELS and deadline is not None:
        half = (time.perf_counter() + deadline) / 2
    try:
        trial = pyramid_encoder.encode(picture, options, half)
    except (BudgetError, FitError) as error:
        return _siren_or(picture, options, deadline, error)
    if not _doubtful(picture, trial, deadline):
        return trial.file
    try:
        siren = _siren_against(trial, picture, options, deadline)
    except (BudgetError, FitError):
        return trial.file
    return min(trial.file, siren or trial.file, key=_selection_cost(picture, options))


def _doubtful(picture: Picture, trial: pyramid_encoder.Trial, deadline: float | None) -> bool:
    """Whether a SIREN may do better than a pyramid's file, and there is time for it."""
    if picture.pixels <= SMALL_PIXELS or pyramid_encoder.has_collapsed(picture, trial):
        return True
    late = deadline is not None and time.perf_counter() >= deadline
    length = len(trial.file.data)
    return not late and (length <= SMALL_BYTES or 8 * length <= SMALL_BPP * picture.pixels)


def _siren_against(
    trial: pyramid_encoder.Trial, picture: Picture, options: EncodeOptions, deadline: float | None
) -> Encoded | None:
    """A SIREN's file of what may be a simple picture; None if it is not."""
    rival = trial.file.loss(trial.rd_lambda, picture.pixels)
    if options.psnr is None and budget_bytes(options, picture.size) is None:
        return siren_encoder.encode_simple(picture, options, trial.rd_lambda, rival, deadline)
    if siren_encoder.may_be_simple(picture, options, trial.rd_lambda, rival, deadline):
        return siren_encoder.encode(picture, options, deadline)
    return None


def _siren_or(picture: Picture, options: EncodeOptions, deadline: float | None, failure: Exception) -> Encoded:
    """The SIREN's file, or else the pyramid's failure."""
    try:
        return siren_encoder.encode(picture, options, deadline)
    except (BudgetError, FitError):
        raise failure from None


def _selection_cost(picture: Picture, options: EncodeOptions) -> Callable[[Encoded], tuple[float, ...]]:
    """What is least for the file that serves the options best."""
    goal = options.psnr
    if goal is not None:
        return lambda file: (0, len(file.data)) if file.psnr_db >= goal else (1, -file.psnr_db)
    if budget_bytes(options, picture.size) is not None:
        return lambda file: (-file.psnr_db,)
    bit = image_rd_lambda(options, picture.channels, picture.pixels)
    return lambda file: (file.loss(bit, picture.pixels),)
