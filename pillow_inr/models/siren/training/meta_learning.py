"""Reptile meta-learning of initial weights: many short fits, each of which pulls the common start towards its end.

Uses the fit's own trainer, so that the weights suit its optimizer. Knows no files.
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
from .trainer import BATCH_PIXELS, WEIGHT_DECAY, Trainer, peak_learning_rate

Report = Callable[[int, int, float], object]
"""Called with the round, the number of rounds, and a running mean of the PSNR in dB."""

# Reptile's step size in the first round and in the last one, falling geometrically: the first rounds find the way, the
# last ones average over images.
FIRST_PULL = 0.5
LAST_PULL = 0.02
# Peak learning rate of these fits, relative to that of a fit for a file. At Muon's full learning rate the ends of two
# fits have little in common, and their mean tends to a network of nearly rank one: after 340 rounds of 150 optimizer
# steps, fits of 60 to 1000 steps ended 0.3 to 1.1 dB below those from random weights. After 280 rounds of 60 steps at a
# fifth of the learning rate, fits of 60 steps ended 0.9 dB above. Measured on two images; learning rate and number of
# steps were changed together.
LEARNING_RATE_RATIO = 0.2
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
    """Learn initial weights from which a fit of a few optimizer steps reaches a high PSNR.

    Each round fits an image from the start w to weights v, and sets w <- w + e (v - w), where the step size e falls
    from FIRST_PULL to LAST_PULL.

    Args:
        images: uint8, shape (height, width, channels); each round takes one.
        longest_side: length in pixels that no side of an image exceeds.
        steps: optimizer steps of each fit; none of them rounds weights.
        rounds: number of fits; fewer are made when `time_limit`, in seconds, ends first.
        seed: draws the first weights and the pixels.
        device: as for `fit`.
        report: called after each round.
    Raises:
        BackendError: as for `fit`.
        FitError: every fit diverged, or there was no time for one.
    Source: Reptile, Nichol et al. 2018, algorithm 1; for SIRENs, Tancik et al. 2021.
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
    learning_rate = LEARNING_RATE_RATIO * peak_learning_rate(architecture.width)
    mean_psnr_db = None
    for index in range(rounds):
        position = index / rounds
        if time_limit is not None:
            position = max(position, (time.perf_counter() - started) / time_limit)
        if position >= 1.0:
            break
        image = next(images)
        trainer.start(image, scale, architecture, 0.0, seed + index, learning_rate, WEIGHT_DECAY, initial)
        if initial is None:
            # What a fit with this seed starts from, apart from the image's mean colour.
            initial = trainer.result(1.0, 0.0).weights
        mse = _run(trainer, steps)
        if mse is None:
            continue
        pull = FIRST_PULL * (LAST_PULL / FIRST_PULL) ** position
        fitted = trainer.result(mse, 0.0)
        initial = [start + np.float32(pull) * (end - start) for start, end in zip(initial, fitted.weights, strict=True)]
        mean_psnr_db = fitted.psnr_db if mean_psnr_db is None else _averaged(mean_psnr_db, fitted.psnr_db)
        if report is not None:
            report(index + 1, rounds, mean_psnr_db)
    trainer.release()
    if initial is None or mean_psnr_db is None:
        raise FitError("every fit diverged, or there was no time for one: nothing was learned")
    return Initialization(architecture, tuple(initial))


def _averaged(mean: float, value: float) -> float:
    return mean + _RECENT * (value - mean)


def _run(trainer: Trainer, steps: int) -> float | None:
    """Run a whole fit; the mean squared error at its end, or None when it diverged."""
    step, mse = 0, 0.0
    while step < steps:
        count = min(trainer.call_steps, steps - step)
        mse, rate_bits = trainer.advance(step, count, step / steps, (step + count) / steps, in_rate_phase=False)
        step += count
        if trainer.diverged(step, mse, rate_bits):
            return None
    return mse
