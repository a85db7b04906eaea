"""Where a pyramid's fit loses, and what other settings of it give: fits of crops, the loss at each stage.

    python benchmarks/pyramid_settings.py ../kodak/kodim05.png:128,0 ../kodak/kodim15.png:64,256 --set JOINT=0.9

Settings are constants of training/schedule.py or training/fit.py by their names; pairs are written 0.35:0.08. Columns
are the logarithm of the loss, mse + lambda * bits per pixel: of latents in training (the mean of the last five steps of
the joint part), of symbols before the networks are tuned, of the file. The networks' bits count as they would in an
image of 768x512 pixels, of which the crop is a part.
"""

import argparse
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
from common import machine, rgb_image, table
from numpy.typing import NDArray

from pillow_inr.encoding.schedule import StepSchedule
from pillow_inr.models.pyramid import structure
from pillow_inr.models.pyramid.latent_coding import weight_residual_bits
from pillow_inr.models.pyramid.plan import PRESET, base_index_for
from pillow_inr.models.pyramid.training import fit, schedule
from pillow_inr.models.pyramid.training.trainer import Outcome, Trainer

WHOLE_PIXELS = 768 * 512
LAST_STEPS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("crops", nargs="+", help="PATH or PATH:TOP,LEFT")
    parser.add_argument("--side", type=int, default=384)
    parser.add_argument("--rd-lambdas", type=float, nargs="+", default=[1e-3])
    parser.add_argument("--steps", type=int, default=308)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE")
    arguments = parser.parse_args()
    print(machine(), *arguments.set, flush=True)
    for setting in arguments.set:
        _change(*setting.split("="))
    trainer = Trainer(PRESET, 3, "CPU:0")
    crops = [_crop(crop, arguments.side) for crop in arguments.crops]
    lines = []
    for rd_lambda in arguments.rd_lambdas:
        found = [_fit(trainer, crop, rd_lambda, arguments.steps, arguments.seed) for crop in crops]
        for crop, row in zip(arguments.crops, found, strict=True):
            lines.append([f"{rd_lambda:g}", Path(crop).name, *map(_text, row)])
        lines.append([f"{rd_lambda:g}", "mean", *map(_text, np.mean(found, axis=0))])
    print(table(["lambda", "crop", "training", "symbols", "file", "PSNR dB", "bpp", "networks", "core s"], lines))


def _change(name: str, value: str) -> None:
    """Set a constant wherever the fit reads it."""
    numbers = [float(number) for number in value.split(":")]
    modules = [module for module in (schedule, fit) if hasattr(module, name)]
    if not modules:
        raise SystemExit(f"neither training/schedule.py nor training/fit.py has {name}")
    for module in modules:
        setattr(module, name, tuple(numbers) if len(numbers) > 1 else numbers[0])


def _crop(text: str, side: int) -> NDArray[np.float32]:
    path, _, place = text.partition(":")
    top, left = map(int, place.split(",")) if place else (0, 0)
    pixels = np.asarray(rgb_image(Path(path)), np.float32) / 255
    return np.ascontiguousarray(pixels[top : top + side, left : left + side])


class _Watched(fit._Run):
    """A run that keeps what it saw."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.losses: list[float] = []

    def loss(self, squared_error: float, bits: float) -> float:
        return (squared_error + self.lambda_per_bit * bits) / self.samples

    def _train_all(self, position: float, step: int) -> Outcome:
        outcome = super()._train_all(position, step)
        self.losses.append(self.loss(outcome.squared_error, outcome.bits))
        return outcome

    def _choose_symbols(self, steps: int) -> list[NDArray[np.float32]]:
        symbols = super()._choose_symbols(steps)
        given = symbols, self.image, self.weights
        self.before = self.loss(self.trainer.squared_error(*given), self.trainer.bits(*given))
        return symbols


def _fit(trainer: Trainer, crop: NDArray[np.float32], rd_lambda: float, steps: int, seed: int) -> list[float]:
    began = time.process_time()
    base_index = base_index_for(rd_lambda)
    first = trainer.latents(fit._first_latents(crop, base_index, rd_lambda, steps))
    base = structure.base_weights(PRESET, base_index, 3)
    run = _Watched(PRESET, trainer, trainer.image(crop), first, base, rd_lambda, seed, 1.0)
    run.train(StepSchedule(steps, None), None)
    fitted = run.result()
    assert fitted is not None
    network_bits = sum(map(weight_residual_bits, fitted.weight_residuals.values()))
    bits = fitted.rate_bits - network_bits + network_bits * run.pixels / WHOLE_PIXELS
    file_loss = 10 ** (-fitted.psnr_db / 10) + rd_lambda * bits / run.pixels
    losses = [math.log(loss) for loss in (np.mean(run.losses[-LAST_STEPS:]), run.before, file_loss)]
    return [*losses, fitted.psnr_db, bits / run.pixels, network_bits / 8, time.process_time() - began]


def _text(number: float) -> str:
    return f"{number:.0f}" if abs(number) > 100 else f"{number:.3f}"


if __name__ == "__main__":
    main()
