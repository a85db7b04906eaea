"""The fit of a pyramid: from an image to symbols of its latent grids and weight residuals of its networks.

The recipe is that of Cool-chic 5 (Orange-OpenSource), but it starts from base weights and takes a twentieth of the
optimizer steps: soft rounding and noise that decrease, SOAP on the networks, Adam on the latents, and in the end the
networks alone, on rounded latents. Knows no file.
"""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ....encoding.progress import Report
from ....encoding.schedule import StepSchedule
from ....errors import FitError
from ....imaging.metrics import is_failed_fit, psnr_db
from ....imaging.samples import Samples, Scale
from ....imaging.transparency import Mask
from ....runtime.tensorflow import device_name
from .. import latent_coding, structure
from ..context import SYMBOL_MAX
from ..latent_coding import WeightResidual, weight_residual_bits
from ..structure import LEVELS, as_floats
from . import initial_latents
from .soap import Soap, Tensors
from .trainer import NOISE_OFFSETS, Grids, Image, Latents, Outcome, Step, Trainer, shared_trainer
from .weight_quantization import quantize_weights

# Part of the schedule that trains networks and latents together; the rest trains networks on rounded latents.
JOINT = 0.9
# Learning rates at the beginning; half a cosine takes them down to FINAL_LEARNING_RATE times that. For the networks:
NETWORK_LEARNING_RATE = 1e-2
# For latents of the finest grid, in symbols, at lambda 1e-3; each coarser grid has LATENT_GROWTH times as much.
LATENT_LEARNING_RATE = 0.2
LATENT_GROWTH = 1.3
# It goes with this power of lambda, up to a maximum: at a higher lambda symbols are smaller (docs/experiments.md
# section 11).
LATENT_LEARNING_RATE_POWER = -0.42
LATENT_LEARNING_RATE_MAX = 0.3
FINAL_LEARNING_RATE = 0.01
# The networks' learning rate on rounded latents, relative to NETWORK_LEARNING_RATE; it falls linearly to 0.
TUNING_LEARNING_RATE = 0.1
# Norm that the gradient of all network weights together is cut down to.
NETWORK_CLIP = 0.1
# Smallest scale of a tensor's weight residuals, in the rate that training assumes for them.
SMALLEST_SCALE = 2.0**-9
# Adam's beta1 and beta2 for latents. In so few optimizer steps, a longer memory makes latents oscillate about rounding
# thresholds, which costs a tenth of the rate and more (docs/experiments.md section 11).
ADAM = (0.7, 0.92)
# Fits of fewer optimizer steps begin with latents from filters; longer ones gain nothing by them (docs/experiments.md
# section 12).
FILTERED_STEPS = 250
# Temperature of soft rounding, and standard deviation of the noise in symbols, at the beginning and at the end of the
# joint part (Cool-chic 5).
TEMPERATURES = (0.35, 0.08)
DEVIATIONS = (0.22, 0.15)
# Factors of all learning rates in successive attempts, should a fit diverge.
LEARNING_RATE_FACTORS = (1.0, 0.3, 0.1)
# Seconds between reports.
REPORT_EVERY = 0.2


@dataclass(frozen=True)
class Fitted:
    """A fitted pyramid, ready to be coded."""

    weight_residuals: dict[str, WeightResidual]
    """Of every tensor, as `structure.shapes` names them."""
    grids: list[NDArray[np.int32]]
    """Symbols of the latent grids, finest first."""
    psnr_db: float
    rate_bits: float
    """Estimated length of grids and weight residuals."""


def fit(
    image: Samples,
    *,
    scale: Scale,
    preset: int,
    base_index: int,
    rd_lambda: float,
    steps: int,
    seed: int = 0,
    hidden: Mask | None = None,
    deadline: float | None = None,
    device: str | None = None,
    report: Report | None = None,
) -> Fitted:
    """Fit a pyramid to an image under mean squared error + rd_lambda * bits per pixel.

    Args:
        image: shape (height, width, channels).
        scale: turns samples into normalized ones, whose mean squared error is the distortion.
        preset: index into `structure.PRESETS`.
        base_index: number of the base weights that the networks start from and are coded against.
        rd_lambda: lambda, for a distortion that is the mean over samples in 0..1 and a rate in bits per pixel.
        steps: optimizer steps, each a pass over the image, >= 1; fewer are made when the deadline comes first.
        seed: makes the noise repeatable.
        hidden: pixels where anything will do, shape (height, width).
        deadline: reading of `time.perf_counter` at which the fit ends; the schedule shrinks to what fits before it.
        device: a TensorFlow device name such as "CPU:0"; by default TensorFlow's choice.
        report: called about five times a second, and once with what the file will hold.
    Raises:
        BackendError: there is no such device, or TensorFlow is not usable here.
        FitError: the fit diverged at each of several learning rates.
    Source: Cool-chic 5 (Orange-OpenSource); C3, Kim et al. 2023; SOAP, Vyas et al. 2024.
    """
    height, width, channels = image.shape
    with shared_trainer(preset, channels, (width, height), device_name(device)) as trainer:
        values = scale.to_normalized(image)
        first = trainer.latents(_first_latents(values, base_index, steps))
        variance = float(values.var(axis=(0, 1), dtype=np.float64).mean())
        if hidden is not None:
            values[hidden] = np.nan
        target = trainer.image(values)
        base = structure.base_weights(preset, base_index, channels)
        for learning_rate_factor in LEARNING_RATE_FACTORS:
            run = _Run(trainer, target, first, base, rd_lambda, seed, learning_rate_factor)
            schedule = StepSchedule(steps, deadline)
            run.train(schedule, report)
            fitted = run.result()
            if fitted is not None and not is_failed_fit(fitted.psnr_db, variance, rd_lambda / (width * height)):
                if report is not None:
                    report(schedule.step, schedule.step, fitted.psnr_db, fitted.rate_bits / (width * height))
                return fitted
    raise FitError(f"the fit diverged {len(LEARNING_RATE_FACTORS)} times; try another seed or a lower quality")


def _first_latents(values: NDArray[np.float32], base_index: int, steps: int) -> list[NDArray[np.float32]]:
    if steps < FILTERED_STEPS:
        return initial_latents.analyse(values, base_index)
    height, width, _ = values.shape
    return [np.zeros(shape, np.float32) for shape in structure.grid_sizes((width, height))]


class _Run:
    """One attempt at an image: latents, networks and how they move."""

    def __init__(
        self,
        trainer: Trainer,
        image: Image,
        latents: Latents,
        base: dict[str, NDArray[np.int64]],
        rd_lambda: float,
        seed: int,
        learning_rate_factor: float,
    ) -> None:
        self.trainer = trainer
        self.image = image
        self.base = base
        self.learning_rate_factor = learning_rate_factor
        height, width = image.size
        (channels,) = base["s2b"].shape
        self.pixels = int(height * width)
        self.samples = self.pixels * channels
        # The trainer sums squared errors over all samples.
        self.lambda_per_bit = rd_lambda * channels
        usual = LATENT_LEARNING_RATE * math.pow(rd_lambda / 1e-3, LATENT_LEARNING_RATE_POWER)
        self.latent_learning_rate = learning_rate_factor * min(usual, LATENT_LEARNING_RATE_MAX)
        self.random = np.random.default_rng(seed)
        self.start = _floats(base)
        self.weights = dict(self.start)
        self.latents = latents
        self.symbols: Grids | None = None
        self.finite = True

    def train(self, schedule: StepSchedule, report: Report | None) -> None:
        """Run the schedule to its end, or until error or rate is not finite."""
        optimizer = Soap(self.weights, NETWORK_CLIP)
        reported = 0.0
        while schedule.position < 1.0 and self.finite:
            if schedule.position < JOINT:
                outcome = self._train_all(schedule.position / JOINT, schedule.step)
                learning_rate = NETWORK_LEARNING_RATE * _cosine(schedule.position / JOINT)
            else:
                if self.symbols is None:
                    self.symbols = quantize_latents(self.latents.values)
                    optimizer = Soap(self.weights, NETWORK_CLIP)
                assert self.symbols is not None
                outcome = self.trainer.gradients(self.symbols, self.image, self.weights, self.lambda_per_bit)
                tuning = NETWORK_LEARNING_RATE * TUNING_LEARNING_RATE
                learning_rate = tuning * (1.0 - schedule.position) / (1.0 - JOINT)
            self._move(optimizer, outcome, learning_rate * self.learning_rate_factor)
            schedule.advance()
            if report is not None and time.perf_counter() - reported > REPORT_EVERY:
                reported = time.perf_counter()
                report(schedule.step, schedule.expected_steps, self._psnr_db(outcome), outcome.bits / self.pixels)

    def _train_all(self, position: float, step: int) -> Outcome:
        pace = _cosine(position)
        learning_rates = [self.latent_learning_rate * LATENT_GROWTH**level * pace for level in range(LEVELS)]
        step_inputs = Step(
            temperature=np.float32(_between(TEMPERATURES, position)),
            deviation=np.float32(_between(DEVIATIONS, position)),
            learning_rates=np.array(learning_rates, np.float32),
            decays=np.array([*ADAM, *(decay ** (step + 1) for decay in ADAM)], np.float32),
            lambda_per_bit=np.float32(self.lambda_per_bit),
            offsets=self.random.integers(0, NOISE_OFFSETS, len(self.image.places), np.int32),
        )
        self.latents, outcome = self.trainer.advance(self.latents, self.image, self.weights, step_inputs)
        return outcome

    def _move(self, optimizer: Soap, outcome: Outcome, learning_rate: float) -> None:
        self.finite = math.isfinite(outcome.squared_error) and math.isfinite(outcome.bits)
        samples = np.float32(self.samples)
        with np.errstate(all="ignore"):  # the next error shows a step that overflowed
            gradients = {
                name: (gradient + self._rate_gradient(name)) / samples for name, gradient in outcome.gradients.items()
            }
            optimizer.step(self.weights, gradients, learning_rate)

    def _rate_gradient(self, name: str) -> NDArray[np.float32]:
        """Gradient of lambda times the bits of a tensor's weight residuals d.

        Under a Laplace distribution of their mean magnitude b these are |d| / (b ln 2) and a constant; b is held fixed,
        and the gradient goes to 0 linearly within SMALLEST_SCALE of d = 0.
        """
        difference = self.weights[name] - self.start[name]
        magnitude = np.abs(difference)
        scale = max(float(magnitude.mean()), SMALLEST_SCALE)
        lambda_over_scale = np.float32(self.lambda_per_bit / (scale * math.log(2.0)))
        gradient: NDArray[np.float32] = lambda_over_scale * difference / (magnitude + np.float32(SMALLEST_SCALE))
        return gradient

    def _psnr_db(self, outcome: Outcome) -> float:
        return psnr_db(outcome.squared_error / self.samples)

    def result(self) -> Fitted | None:
        """Symbols, and the networks rounded to what the file can hold; None when the run diverged."""
        if self.symbols is None:
            self.symbols = quantize_latents(self.latents.values)
        symbols = self.symbols
        assert symbols is not None
        # No error was computed after the last optimizer step.
        numbers = [*self.weights.values(), *symbols]
        if not (self.finite and all(np.isfinite(values).all() for values in numbers)):
            return None

        def cost(weights: Tensors) -> float:
            squared_error, bits = self.trainer.quality(symbols, self.image, weights)
            return float(squared_error + self.lambda_per_bit * bits)

        weight_residuals = quantize_weights(self.weights, self.base, self.lambda_per_bit, cost)
        rounded = _floats(latent_coding.apply(self.base, weight_residuals))
        squared_error, bits = self.trainer.quality(symbols, self.image, rounded)
        return Fitted(
            weight_residuals,
            [grid.astype(np.int32) for grid in symbols],
            psnr_db(squared_error / self.samples),
            bits + sum(map(weight_residual_bits, weight_residuals.values())),
        )


def quantize_latents(latents: Grids) -> Grids:
    """Round latents to the nearest integers within -SYMBOL_MAX..SYMBOL_MAX: the quantization step is 1.

    Args:
        latents: finest grid first, shape (rows, columns), float32.
    Returns:
        The symbols, still float32; NaN stays NaN.
    """
    return [np.clip(np.rint(values), -SYMBOL_MAX, SYMBOL_MAX) for values in latents]


def _floats(tensors: Mapping[str, NDArray[np.int64]]) -> Tensors:
    return {name: as_floats(name, integers) for name, integers in tensors.items()}


def _cosine(position: float) -> float:
    """f + (1 - f) (1 + cos(pi p)) / 2: half a cosine from 1 to f = FINAL_LEARNING_RATE (Loshchilov and Hutter 2017)."""
    return FINAL_LEARNING_RATE + (1.0 - FINAL_LEARNING_RATE) * 0.5 * (1.0 + math.cos(math.pi * position))


def _between(ends: tuple[float, float], position: float) -> float:
    return ends[0] + (ends[1] - ends[0]) * position
