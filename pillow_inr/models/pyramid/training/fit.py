"""The fit of a pyramid: from an image to symbols of its latent grids and weight residuals of its networks.

The recipe is that of Cool-chic 5 (Orange-OpenSource), but it starts from base weights and takes a twentieth of the
optimizer steps: soft rounding and noise that decrease, SOAP on the networks, Adam on the latents, and in the end the
networks alone, on rounded latents. Knows no file.
"""

import math
import time
from collections.abc import Sequence
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
from ..latent_coding import WeightResidual, weight_residual_bits
from ..weight_quantization import quantize_weights
from . import initial_latents, schedule
from .soap import Soap, Tensors
from .symbol_choice import choose_symbols, round_to_nearest
from .trainer import NOISE_OFFSETS, Costs, Grids, Image, Latents, Outcome, TileNumbers, Trainer, shared_trainer

# Trials of other symbols than the nearest, for each step before; one takes half of a step's time.
TRIALS_PER_STEP = 0.05
# Tiles of an image on which the networks' quantization steps are tried, in some 70 passes over them: all of an image of
# 768x512 took a quarter of a short fit's time (docs/experiments.md section 21).
ROUNDING_TILES = 12
# Norm that the gradient of all network weights together is cut down to.
NETWORK_CLIP = 0.1
# Smallest scale of a tensor's weight residuals, in the rate that training assumes for them.
SMALLEST_SCALE = 2.0**-9
# Fits of fewer optimizer steps, or at a lower lambda, begin with latents from filters; others gain nothing by them
# (docs/experiments.md sections 12 and 20).
FILTERED_STEPS = 250
FILTERED_RD_LAMBDA = 1e-4
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
    networks: Tensors
    """The networks before they were rounded: where the fit of a tile beside this one may start from."""
    tensors: structure.Tensors
    """Their integers in the file: what those of a tile beside this one may be coded against."""


def fit(
    image: Samples,
    *,
    scale: Scale,
    preset: int,
    base_index: int,
    rd_lambda: float,
    steps: int,
    base: structure.Tensors | None = None,
    latents: Sequence[NDArray[np.float32]] | None = None,
    networks: Tensors | None = None,
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
        base_index: number of the base weights.
        rd_lambda: lambda, for a distortion that is the mean over samples in 0..1 and a rate in bits per pixel.
        steps: optimizer steps, each a pass over the image, >= 1; fewer are made when the deadline comes first.
        base: integers that the networks are coded against, such as those of a tile nearby; by default the base weights.
        latents: that the analysis network found, finest grid first: to start from, with a schedule that keeps what is
            good; by default filters or zeros.
        networks: to start from in place of `base`, such as the unrounded ones of a tile nearby.
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
        beginning = schedule.USUAL if latents is None else schedule.analysed(steps)
        first = _first_latents(values, base_index, rd_lambda, steps) if latents is None else latents
        variance = float(values.var(axis=(0, 1), dtype=np.float64).mean())
        if hidden is not None:
            values[hidden] = np.nan
        target = trainer.image(values)
        base = base or structure.base_weights(preset, base_index, channels)
        begun = trainer.latents(first)
        for learning_rate_factor in LEARNING_RATE_FACTORS:
            run = _Run(preset, trainer, target, begun, base, networks, beginning, rd_lambda, seed, learning_rate_factor)
            progress = StepSchedule(steps, deadline)
            run.train(progress, report)
            fitted = run.result()
            if fitted is not None and not is_failed_fit(fitted.psnr_db, variance, rd_lambda / (width * height)):
                if report is not None:
                    report(progress.step, progress.step, fitted.psnr_db, fitted.rate_bits / (width * height))
                return fitted
    raise FitError(f"the fit diverged {len(LEARNING_RATE_FACTORS)} times; try another seed or a lower quality")


def _first_latents(
    values: NDArray[np.float32], base_index: int, rd_lambda: float, steps: int
) -> list[NDArray[np.float32]]:
    if steps < FILTERED_STEPS or rd_lambda < FILTERED_RD_LAMBDA:
        return initial_latents.analyse(values, base_index)
    height, width, _ = values.shape
    return [np.zeros(shape, np.float32) for shape in structure.grid_sizes((width, height))]


class _Run:
    """One attempt at an image: latents, networks and how they move."""

    def __init__(
        self,
        preset: int,
        trainer: Trainer,
        image: Image,
        latents: Latents,
        base: structure.Tensors,
        networks: Tensors | None,
        beginning: schedule.Beginning,
        rd_lambda: float,
        seed: int,
        learning_rate_factor: float,
    ) -> None:
        self.preset = preset
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
        self.beginning = beginning
        rates = schedule.latent_learning_rates(rd_lambda, beginning.latent_learning_rate)
        self.latent_rates = [learning_rate_factor * rate for rate in rates]
        self.network_factors = schedule.network_factors(rd_lambda)
        self.random = np.random.default_rng(seed)
        self.base_weights = structure.as_floats(preset, base)
        self.weights = dict(networks or self.base_weights)
        self.latents = latents
        self.symbols: Grids | None = None
        # Loss and weights of the best step on symbols.
        self.best: tuple[float, Tensors] = math.inf, self.weights
        self.finite = True

    def train(self, steps: StepSchedule, report: Report | None) -> None:
        """Run the schedule to its end, or until error or rate is not finite."""
        optimizer = self._optimizer()
        reported = 0.0
        while steps.position < 1.0 and self.finite:
            if steps.position < schedule.JOINT:
                position = steps.position / schedule.JOINT
                outcome = self._train_all(position, steps.step)
                learning_rate = schedule.network_learning_rate(position, self.beginning)
            else:
                if self.symbols is None:
                    self.symbols = self._choose_symbols(steps.step)
                    optimizer = self._optimizer()
                outcome = self.trainer.gradients(self.symbols, self.image, self.weights, self.lambda_per_bit)
                self._keep_best(outcome)
                learning_rate = schedule.tuning_learning_rate(steps.position)
            self._move(optimizer, outcome, learning_rate * self.learning_rate_factor)
            steps.advance()
            if report is not None and time.perf_counter() - reported > REPORT_EVERY:
                reported = time.perf_counter()
                report(steps.step, steps.expected_steps, self._psnr_db(outcome), outcome.bits / self.pixels)
        if self.symbols is not None:
            self.weights = self.best[1]

    def _optimizer(self) -> Soap:
        return Soap(self.weights, NETWORK_CLIP, self.network_factors)

    def _keep_best(self, outcome: Outcome) -> None:
        """Keep the weights that an outcome is of; the steps on symbols may make things worse at first."""
        loss = outcome.squared_error + self.lambda_per_bit * outcome.bits
        if loss < self.best[0]:
            self.best = loss, dict(self.weights)

    def _choose_symbols(self, steps: int) -> Grids:
        def measure(symbols: Grids) -> Costs:
            return self.trainer.costs(symbols, self.image, self.weights)

        trials = round(steps * TRIALS_PER_STEP)
        return choose_symbols(self.latents.values, measure, self.lambda_per_bit, trials)

    def _train_all(self, position: float, step: int) -> Outcome:
        offsets = self.random.integers(0, NOISE_OFFSETS, len(self.image.places), np.int32)
        inputs = schedule.joint_step(self.beginning, self.latent_rates, position, step, self.lambda_per_bit, offsets)
        self.latents, outcome = self.trainer.advance(self.latents, self.image, self.weights, inputs)
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
        difference = self.weights[name] - self.base_weights[name]
        magnitude = np.abs(difference)
        scale = max(float(magnitude.mean()), SMALLEST_SCALE)
        lambda_over_scale = np.float32(self.lambda_per_bit / (scale * math.log(2.0)))
        gradient: NDArray[np.float32] = lambda_over_scale * difference / (magnitude + np.float32(SMALLEST_SCALE))
        return gradient

    def _psnr_db(self, outcome: Outcome) -> float:
        return psnr_db(outcome.squared_error / self.samples)

    def result(self) -> Fitted | None:
        """Symbols, and the networks rounded to what the file can hold; None when the run diverged."""
        symbols = round_to_nearest(self.latents.values) if self.symbols is None else self.symbols
        # No error was computed after the last optimizer step.
        numbers = [*self.weights.values(), *symbols]
        if not (self.finite and all(np.isfinite(values).all() for values in numbers)):
            return None

        tiles = _rounding_tiles(len(self.image.places))
        # The last tiles of a row or column are partly empty.
        scale = self.pixels / self.trainer.pixels(self.image, tiles)

        def distortion(weights: Tensors) -> float:
            return scale * self.trainer.squared_error(symbols, self.image, weights, tiles)

        def rate_cost(weights: Tensors) -> float:
            return float(scale * self.lambda_per_bit * self.trainer.bits(symbols, self.image, weights, tiles))

        weight_residuals = quantize_weights(
            self.preset, self.weights, self.base, self.lambda_per_bit, distortion, rate_cost, self.network_factors
        )
        tensors = latent_coding.apply(self.base, weight_residuals)
        rounded = structure.as_floats(self.preset, tensors)
        return Fitted(
            weight_residuals,
            [grid.astype(np.int32) for grid in symbols],
            psnr_db(self.trainer.squared_error(symbols, self.image, rounded) / self.samples),
            self.trainer.bits(symbols, self.image, rounded) + sum(map(weight_residual_bits, weight_residuals.values())),
            self.weights,
            tensors,
        )


def _rounding_tiles(count: int) -> TileNumbers:
    """Numbers of ROUNDING_TILES of an image's tiles, spread evenly over them; all if there are fewer."""
    return np.unique(np.linspace(0, count - 1, ROUNDING_TILES).round().astype(np.int32))
