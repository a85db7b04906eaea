"""Train the base weights of the pyramid's newest preset, pillow_inr/models/pyramid/base_weights_1.bin, on photographs.

For each lambda, every crop gets its own networks, tied to the mean of all by a spring (Zhang et al. 2015, "Deep
learning with Elastic Averaging SGD", section 3). That mean is a better start for a fit to one image than networks that
serve all images at once. Latents always start from zero, as in an encoder. The networks begin as the base weights of
preset 0. Smaller lambdas have the networks of the smallest that is trained, for larger symbols: so short a training
does not bring latents there (docs/experiments.md section 20). Do not train on images on which results are reported.

Each lambda's networks, and the latents of all crops, are written to the output folder when they are trained, and not
trained again: several runs, each with some of the lambdas, may fill one folder. Once it has all, they are packed.
train_initial_latents.py takes the same folder.
"""

import argparse
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from common import image_paths, machine, rgb_image
from numpy.typing import NDArray

from pillow_inr.models.pyramid import structure
from pillow_inr.models.pyramid.plan import BASE_RD_LAMBDAS, PRESET, TRAINED_RD_LAMBDAS
from pillow_inr.models.pyramid.training import schedule
from pillow_inr.models.pyramid.training.soap import Soap, Tensors
from pillow_inr.models.pyramid.training.trainer import NOISE_OFFSETS, Image, Trainer
from pillow_inr.runtime.tensorflow import device_name

SIZE = (384, 256)
CHANNELS = 3
START_PRESET = 0
# Spring: after each epoch, at the first learning rate, networks move this part of the way to their mean.
SPRING = 0.05
# Bound of the gradients, which are those of log(loss), so that each crop counts alike.
CLIP = 3.0
KERNEL_DEVIATION = 0.1
# Largest weight of symbols that the file's 16 bits hold, with room for one step of rounding.
SKIP_MAX = 1.99


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+", help="photographs, each at least 384x256")
    parser.add_argument("--output", type=Path, default=Path("build/base_weights"))
    parser.add_argument("--crops", type=int, default=72)
    parser.add_argument("--epochs", type=int, default=150, help="epochs for each lambda")
    parser.add_argument("--rd-lambdas", type=float, nargs="+", default=TRAINED_RD_LAMBDAS)
    parser.add_argument("--from-shipped", action="store_true", help="start from the present base weights of the preset")
    arguments = parser.parse_args()
    print(machine())
    arguments.output.mkdir(parents=True, exist_ok=True)
    paths = {rd_lambda: arguments.output / f"{rd_lambda:g}.npz" for rd_lambda in TRAINED_RD_LAMBDAS}
    trainer = Trainer(PRESET, CHANNELS, device_name(None))
    crops = [trainer.image(crop) for crop in random_crops(arguments.folders, arguments.crops)]
    for rd_lambda in arguments.rd_lambdas:
        if not paths[rd_lambda].exists():
            start = _shipped(rd_lambda) if arguments.from_shipped else _start(rd_lambda)
            networks, latents = _train(trainer, crops, start, rd_lambda, arguments.epochs)
            np.savez(latents_path(arguments.output, rd_lambda), *latents)
            np.savez(paths[rd_lambda], **networks)
    if all(path.exists() for path in paths.values()):
        trained = {rd_lambda: dict(np.load(path)) for rd_lambda, path in paths.items()}
        packed = packed_base_weights(trained)
        others = structure.base_weights_path(PRESET).read_bytes()[len(packed) :]  # those of the analysis network
        (arguments.output / f"base_weights_{PRESET}.bin").write_bytes(packed + others)


def packed_base_weights(trained: Mapping[float, Tensors]) -> bytes:
    """Base weights as the package stores them, from networks for each lambda of TRAINED_RD_LAMBDAS."""
    return b"".join(_packed(_networks_of(trained, rd_lambda)) for rd_lambda in BASE_RD_LAMBDAS)


def latents_path(folder: Path, rd_lambda: float) -> Path:
    """Where the latents of all crops are: an array for each level, shape (crops, rows, columns)."""
    return folder / f"{rd_lambda:g}.latents.npz"


def random_crops(folders: Sequence[Path], count: int) -> list[NDArray[np.float32]]:
    """Take a random crop from each of some photographs, shape (height, width, 3), in 0..1."""
    random = np.random.default_rng(1)
    width, height = SIZE
    crops = []
    for path in random.permutation(np.array([path for folder in folders for path in image_paths(folder)]))[:count]:
        photograph = np.asarray(rgb_image(path), np.float32) / 255
        top = random.integers(0, photograph.shape[0] - height + 1)
        left = random.integers(0, photograph.shape[1] - width + 1)
        crop = photograph[top : top + height, left : left + width]
        crops.append(np.ascontiguousarray(crop[:, :: random.choice([-1, 1])]))
    return crops


def symbol_factor(rd_lambda: float) -> float:
    """How many times as large as the trained ones the symbols of a smaller lambda are."""
    return math.sqrt(max(1.0, TRAINED_RD_LAMBDAS[-1] / rd_lambda))


def for_larger_symbols(networks: Tensors, factor: float) -> Tensors:
    """Networks that compute the same of symbols `factor` times as large."""
    weights = {name: np.array(values) for name, values in networks.items()}
    for name in ("a1", "s1", "ss"):
        weights[name] /= np.float32(factor)
    # Of the context model's two outputs, the mean is in symbols, and the scale the logarithm of symbols.
    weights["as"][1] /= np.float32(factor)
    weights["a3"][0] *= np.float32(factor)
    weights["a3b"][0] *= np.float32(factor)
    weights["a3b"][1] += np.float32(np.log(factor))
    return weights


def _networks_of(trained: Mapping[float, Tensors], rd_lambda: float) -> Tensors:
    """The networks trained for a lambda; below the least, its networks for larger symbols."""
    return for_larger_symbols(trained[max(rd_lambda, TRAINED_RD_LAMBDAS[-1])], symbol_factor(rd_lambda))


def _shipped(rd_lambda: float) -> Tensors:
    base = structure.base_weights(PRESET, TRAINED_RD_LAMBDAS.index(rd_lambda), CHANNELS)
    return structure.as_floats(PRESET, base)


def _start(rd_lambda: float) -> Tensors:
    """Networks to start from, whose smoothing and kernels change nothing yet."""
    base = structure.base_weights(START_PRESET, TRAINED_RD_LAMBDAS.index(rd_lambda), CHANNELS)
    weights = structure.as_floats(START_PRESET, base)
    # The last context, the second grid's cell, is the middle of nine now.
    for name in ("a1", "as"):
        weights[name] = np.insert(weights[name], [-1] * 4, 0.0, axis=1)
    random = np.random.default_rng(0)
    started = {}
    for name, shape in structure.shapes(PRESET, CHANNELS).items():
        started[name] = np.zeros(shape, np.float32)
        if name in weights:
            started[name][tuple(map(slice, weights[name].shape))] = weights[name]
    started["pf"][:, 0] = 1.0
    started["kf"][:] = KERNEL_DEVIATION * random.standard_normal(started["kf"].shape)
    return started


def _train(
    trainer: Trainer, crops: Sequence[Image], start: Tensors, rd_lambda: float, epochs: int
) -> tuple[Tensors, list[NDArray[np.float32]]]:
    """Train networks for one lambda: the mean of a set for each crop; and the crops' latents, level by level."""
    random = np.random.default_rng(2)
    rates = schedule.latent_learning_rates(rd_lambda, schedule.USUAL.latent_learning_rate)
    networks = [dict(start) for _ in crops]
    optimizers = [Soap(start, CLIP, schedule.network_factors(rd_lambda)) for _ in crops]
    zeros = [np.zeros(shape, np.float32) for shape in structure.grid_sizes(SIZE)]
    latents = [trainer.latents(zeros) for _ in crops]
    samples = math.prod(SIZE) * CHANNELS
    began = time.perf_counter()
    mean = start
    for epoch in range(epochs):
        position = epoch / epochs
        pace = schedule.pace(position)
        losses = []
        for index in random.permutation(len(crops)):
            weights = networks[index]
            offsets = random.integers(0, NOISE_OFFSETS, len(crops[index].places), np.int32)
            step = schedule.joint_step(schedule.USUAL, rates, position, epoch, CHANNELS * rd_lambda, offsets)
            latents[index], outcome = trainer.advance(latents[index], crops[index], weights, step)
            loss = (outcome.squared_error + CHANNELS * rd_lambda * outcome.bits) / samples
            losses.append(math.log(loss))
            gradients = {name: gradient / np.float32(samples * loss) for name, gradient in outcome.gradients.items()}
            optimizers[index].step(weights, gradients, schedule.NETWORK_LEARNING_RATE * pace)
        mean = {name: np.mean([weights[name] for weights in networks], axis=0) for name in start}
        for weights in networks:
            for name, centre in mean.items():
                weights[name] = weights[name] + np.float32(SPRING * pace) * (centre - weights[name])
        if epoch % 10 == 0 or epoch + 1 == epochs:
            seconds = time.perf_counter() - began
            print(f"lambda {rd_lambda:g} epoch {epoch} log(loss) {np.mean(losses):.4f} {seconds:.0f} s", flush=True)
    return mean, [np.stack(grids) for grids in zip(*(grids.values for grids in latents), strict=True)]


def _packed(weights: Tensors) -> bytes:
    """Base weights as stored in the package, int16; synthesis weights must be below 2."""
    weights = dict(weights)
    # Scaling a unit's weights before the rectifier and dividing those behind it changes nothing; this evens them out.
    before = np.maximum(np.abs(weights["s1"]).max(axis=1), np.abs(weights["s1b"]))
    behind = np.abs(weights["s2"]).max(axis=0)
    factor = np.sqrt(np.maximum(behind, 1e-6) / np.maximum(before, 1e-6))
    weights["s1"], weights["s1b"] = weights["s1"] * factor[:, None], weights["s1b"] * factor
    weights["s2"] = weights["s2"] / factor
    # Neither does scaling what smoothing and kernels give.
    excess = np.float32(max(1.0, np.abs(weights["ss"]).max() / SKIP_MAX))
    weights["pf"] = weights["pf"] * np.sqrt(excess)  # along both axes
    weights["kf"] = weights["kf"] * excess
    for name in ("s1", "ss"):
        weights[name] = weights[name] / excess
    # Only grids of very large symbols have means this far from 0, and these are coarse.
    limit = (2**15 - 1) / 2**structure.CONTEXT_BITS
    weights["a3b"] = np.clip(weights["a3b"], -limit, limit)
    parts: list[NDArray[np.int64]] = []
    for name, shape in structure.shapes(PRESET, CHANNELS).items():
        bits = structure.CONTEXT_BITS if structure.is_context(name) else structure.STORED_BITS
        integers = np.rint(np.ldexp(weights[name].reshape(shape).astype(np.float64), bits))
        if np.abs(integers).max() > np.iinfo(np.int16).max:
            raise SystemExit(f"tensor {name} does not fit into 16 bits")
        parts.append(integers.ravel())
    return np.concatenate(parts).astype("<i2").tobytes()


if __name__ == "__main__":
    main()
