"""Train the base weights of the pyramid, pillow_inr/models/pyramid/base_weights.bin, on a folder of photographs.

First one set of networks is trained on crops of all photographs, at a middle lambda. Then, for each lambda, every crop
gets its own set, tied to the mean of all by a spring (Zhang et al. 2015, "Deep learning with Elastic Averaging SGD",
section 3). That mean is a better start for a fit to one image than networks that serve all images at once. Latents
always start from zero, as in an encoder. Do not train on images on which results are reported.
"""

import argparse
import math
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from common import image_paths, machine, rgb_image
from numpy.typing import NDArray

from pillow_inr.models.pyramid import structure
from pillow_inr.models.pyramid.plan import BASE_RD_LAMBDAS
from pillow_inr.models.pyramid.training.soap import Soap, Tensors
from pillow_inr.models.pyramid.training.trainer import NOISE_OFFSETS, Image, Step, Trainer
from pillow_inr.runtime.tensorflow import device_name

SIZE = (384, 256)
CHANNELS = 3
PRESET = 0
START_RD_LAMBDA = 1e-3
START_EPOCHS = 250
# Spring: after each epoch, at the first learning rate, networks move this part of the way to their mean.
SPRING = 0.05
# Bound of the gradients, which are those of log(loss), so that each crop counts alike.
CLIP = 3.0
LATENT_RATE, LATENT_GROWTH = 0.16, 1.3
# Initial upsampling filter: bicubic, as in Cool-chic.
BICUBIC = (-0.0351562, 0.2617187, 0.8789063, -0.1054687)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="photographs, each at least 384x256")
    parser.add_argument("--output", type=Path, default=Path("build/base_weights.bin"))
    parser.add_argument("--crops", type=int, default=72)
    parser.add_argument("--epochs", type=int, default=150, help="epochs for each lambda")
    parser.add_argument("--start", type=Path, help=".npz of networks to start from, written by an earlier run")
    arguments = parser.parse_args()
    print(machine())
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    trainer = Trainer(PRESET, CHANNELS, device_name(None))
    crops = _crops(trainer, arguments.folder, arguments.crops)
    if arguments.start:
        start: Tensors = dict(np.load(arguments.start))
    else:
        start = _train(trainer, crops, _random(), START_RD_LAMBDA, START_EPOCHS, together=True)
        np.savez(arguments.output.with_suffix(".start.npz"), **start)
    trained = []
    for rd_lambda in BASE_RD_LAMBDAS:
        trained.append(_train(trainer, crops, start, rd_lambda, arguments.epochs, together=False))
        np.savez(arguments.output.with_suffix(f".{rd_lambda:g}.npz"), **trained[-1])
    arguments.output.write_bytes(b"".join(map(_packed, trained)))


def _crops(trainer: Trainer, folder: Path, count: int) -> list[Image]:
    """Take a random crop from each of some photographs."""
    random = np.random.default_rng(1)
    width, height = SIZE
    crops = []
    for path in random.permutation(np.array(image_paths(folder)))[:count]:
        photograph = np.asarray(rgb_image(path), np.float32) / 255
        top = random.integers(0, photograph.shape[0] - height + 1)
        left = random.integers(0, photograph.shape[1] - width + 1)
        crop = photograph[top : top + height, left : left + width]
        crops.append(trainer.image(crop[:, :: random.choice([-1, 1])]))
    return crops


def _random() -> Tensors:
    """Random networks to start from."""
    random = np.random.default_rng(0)
    sizes = {"a1": 0.2, "a2": 0.2, "a3": 0.1, "s1": 0.1, "s2": 0.04}
    weights = {
        name: np.asarray(sizes.get(name, 0.0) * random.standard_normal(shape), np.float32)
        for name, shape in structure.shapes(PRESET, CHANNELS).items()
    }
    weights["up"][:] = BICUBIC
    return weights


def _train(
    trainer: Trainer, crops: Sequence[Image], start: Tensors, rd_lambda: float, epochs: int, together: bool
) -> Tensors:
    """Train networks for one lambda: a set for all crops together, or the mean of a set for each crop."""
    random = np.random.default_rng(2)
    networks = [dict(start)] * len(crops) if together else [dict(start) for _ in crops]
    optimizers = [Soap(start, CLIP)] * len(crops) if together else [Soap(start, CLIP) for _ in crops]
    zeros = [np.zeros(shape, np.float32) for shape in structure.grid_sizes(SIZE)]
    latents = [trainer.latents(zeros) for _ in crops]
    samples = math.prod(SIZE) * CHANNELS
    began = time.perf_counter()
    mean = start
    for epoch in range(epochs):
        position = epoch / epochs
        pace = 0.01 + 0.99 * 0.5 * (1.0 + math.cos(math.pi * position))
        losses = []
        for index in random.permutation(len(crops)):
            weights = networks[index]
            offsets = random.integers(0, NOISE_OFFSETS, len(crops[index].places), np.int32)
            step = _step(position, pace, epoch, rd_lambda, offsets)
            latents[index], outcome = trainer.advance(latents[index], crops[index], weights, step)
            loss = (outcome.squared_error + CHANNELS * rd_lambda * outcome.bits) / samples
            losses.append(math.log(loss))
            gradients = {name: gradient / np.float32(samples * loss) for name, gradient in outcome.gradients.items()}
            optimizers[index].step(weights, gradients, 1e-2 * pace)
        mean = {name: np.mean([weights[name] for weights in networks], axis=0) for name in start}
        if not together:
            for weights in networks:
                for name, centre in mean.items():
                    weights[name] = weights[name] + np.float32(SPRING * pace) * (centre - weights[name])
        if epoch % 10 == 0 or epoch + 1 == epochs:
            seconds = time.perf_counter() - began
            print(f"lambda {rd_lambda:g} epoch {epoch} log(loss) {np.mean(losses):.4f} {seconds:.0f} s", flush=True)
    return mean


def _step(position: float, pace: float, epoch: int, rd_lambda: float, offsets: NDArray[np.int32]) -> Step:
    rates = [LATENT_RATE * LATENT_GROWTH**level * pace for level in range(structure.LEVELS)]
    return Step(
        temperature=np.float32(0.35 - 0.27 * position),
        deviation=np.float32(0.22 - 0.07 * position),
        learning_rates=np.array(rates, np.float32),
        decays=np.array([0.9, 0.97, 0.9 ** (epoch + 1), 0.97 ** (epoch + 1)], np.float32),
        lambda_per_bit=np.float32(CHANNELS * rd_lambda),
        offsets=offsets,
    )


def _packed(weights: Tensors) -> bytes:
    """Base weights as stored in the package, int16; synthesis weights must be below 2."""
    weights = dict(weights)
    # Scaling a unit's weights before the rectifier and dividing those behind it changes nothing; this evens them out.
    before, behind = np.abs(weights["s1"]).max(axis=1), np.abs(weights["s2"]).max(axis=0)
    factor = np.sqrt(np.maximum(behind, 1e-6) / np.maximum(before, 1e-6))
    weights["s1"], weights["s1b"] = weights["s1"] * factor[:, None], weights["s1b"] * factor
    weights["s2"] = weights["s2"] / factor
    parts: list[NDArray[np.int64]] = []
    for name, shape in structure.shapes(PRESET, CHANNELS).items():
        integers = np.rint(np.ldexp(weights[name].reshape(shape).astype(np.float64), structure.fraction_bits(name)))
        if np.abs(integers).max() > np.iinfo(np.int16).max:
            raise SystemExit(f"tensor {name} does not fit into 16 bits")
        parts.append(integers.ravel())
    return np.concatenate(parts).astype("<i2").tobytes()


if __name__ == "__main__":
    main()
