"""Learning an initialization: short fits of many images, each of which draws the common start towards its end.

Uses the fit's own trainer, so that what is learned suits its optimizer. Knows no files.
"""

import time
from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from ....errors import FitError
from ....imaging.samples import Scale
from ....runtime.tensorflow import device_name
from ..architecture import Architecture
from ..initialization import Initialization
from .trainer import BATCH_PIXELS, WEIGHT_DECAY, Trainer, peak_rate

Report = Callable[[int, int, float], object]
"""Called with round, rounds and the mean PSNR in dB of late."""

# How far the start moves towards the end of a fit, in the first round and in the last one, falling geometrically: the
# first rounds find the way, the last ones average over images.
FIRST_PULL = 0.5
LAST_PULL = 0.02
# Peak learning rate of these fits, relative to a file's. At its full rate Muon rewrites the matrices, the ends of
# two fits have little in common, and their mean tends to a network of nearly rank one: 340 rounds of 150 steps gave a
# start from which fits of 60 to 1000 steps end 0.3 to 1.1 dB below those from a random one. 280 rounds of 60 steps at a
# fifth: 0.9 dB above after 60 steps. Rate and steps were changed together, on two images.
RATE_RATIO = 0.2
# Weight of a round in the reported PSNR.
_RECENT = 0.1


def learn(
    images: Iterator[NDArray[np.uint8]],
    architecture: Architecture,
    longest_side: int,
    *,
    steps: int = 60,
    rounds: int = 1000,
    time_limit: float | None = None,
    seed: int = 0,
    device: str | None = None,
    report: Report | None = None,
) -> Initialization:
    """Learn initial weights from which a fit of `steps` steps gets far.

    Args:
        images: uint8, shape (height, width, channels), at least one; one is taken a round.
        longest_side: no image has a longer one.
        steps: of each fit; no weight is rounded in it.
        rounds: fewer are made when `time_limit`, in seconds, ends first.
        device: as for a fit.
    Raises:
        BackendError: as for a fit.
        FitError: every fit diverged.
    Source: Reptile, Nichol et al. 2018 (serial version, decaying step size); for SIRENs, Tancik et al. 2021.
    """
    name = device_name(device)
    with tf.device(name):
        return _learn(images, architecture, longest_side, steps, rounds, time_limit, seed, name, report)


def _learn(
    images: Iterator[NDArray[np.uint8]],
    architecture: Architecture,
    longest_side: int,
    steps: int,
    rounds: int,
    time_limit: float | None,
    seed: int,
    device: str,
    report: Report | None,
) -> Initialization:
    started = time.perf_counter()
    side = 1 << (longest_side - 1).bit_length()
    trainer = Trainer(architecture, min(BATCH_PIXELS, side * side), side, device)
    initial: list[NDArray[np.float32]] | None = None
    scale = Scale("uint8", architecture.channels, ((0.0, 255.0),))
    rate = RATE_RATIO * peak_rate(architecture.width)
    mean_psnr = None
    for index in range(rounds):
        position = index / rounds
        if time_limit is not None:
            position = max(position, (time.perf_counter() - started) / time_limit)
        if position >= 1.0:
            break
        trainer.start(next(images), scale, architecture.frequency_ratio, 0.0, seed + index, rate, WEIGHT_DECAY, initial)
        if initial is None:
            # What all fits of the first seed would start from, apart from the image's mean colour.
            initial = trainer.result(1.0, 0.0).weights
        mse = _run(trainer, steps)
        if mse is None:
            continue
        pull = FIRST_PULL * (LAST_PULL / FIRST_PULL) ** position
        fitted = trainer.result(mse, 0.0)
        initial = [start + np.float32(pull) * (end - start) for start, end in zip(initial, fitted.weights, strict=True)]
        mean_psnr = fitted.psnr_db if mean_psnr is None else mean_psnr + _RECENT * (fitted.psnr_db - mean_psnr)
        if report is not None:
            report(index + 1, rounds, mean_psnr)
    trainer.release()
    if initial is None or mean_psnr is None:
        raise FitError("every fit diverged, or there was no time for one: nothing was learned")
    return Initialization(architecture, tuple(initial))


def _run(trainer: Trainer, steps: int) -> float | None:
    """One fit on the whole schedule; the mean squared error at its end, None when it diverged."""
    step, mse = 0, 0.0
    while step < steps:
        count = min(trainer.call_steps, steps - step)
        mse, rate_bits = trainer.advance(step, count, step / steps, (step + count) / steps, in_rate_phase=False)
        step += count
        if trainer.diverged(step, mse, rate_bits):
            return None
    return mse
