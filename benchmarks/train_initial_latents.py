"""Learn the filters that predict a pyramid's initial latents, from photographs.

The package stores them in pillow_inr/models/pyramid/training/initial_latents.npy. train_base_weights.py leaves the
latents of its crops; least squares predict them from the image around them, with the ridge that is best on crops left
aside. Run it with that program's folders. Short fits start from the filters, long fits from zeros. Do not learn from
images on which results are reported.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from common import machine
from numpy.typing import NDArray
from train_base_weights import latents_path, random_crops, symbol_factor

from pillow_inr.models.pyramid.plan import BASE_RD_LAMBDAS, TRAINED_RD_LAMBDAS
from pillow_inr.models.pyramid.structure import LEVELS
from pillow_inr.models.pyramid.training import initial_latents

# Ridge per latent; features are in 0..1 and nearly equal at neighbours.
RIDGES = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
LEFT_ASIDE = 4  # every fourth crop

Inputs = Sequence[NDArray[np.float64]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+", help="photographs, each at least 384x256")
    parser.add_argument("--output", type=Path, default=Path("build/base_weights"))
    parser.add_argument("--crops", type=int, default=24, help="at most as many as were trained on")
    arguments = parser.parse_args()
    print(machine())
    crops = random_crops(arguments.folders, arguments.crops)
    features = list(zip(*map(_features, crops), strict=True))
    filters = []
    for rd_lambda in TRAINED_RD_LAMBDAS:
        print(f"lambda {rd_lambda:g}")
        latents = np.load(latents_path(arguments.output, rd_lambda)).values()
        filters.append(np.array([_regressed(*given) for given in zip(features, latents, range(LEVELS), strict=True)]))
    smaller = BASE_RD_LAMBDAS[len(TRAINED_RD_LAMBDAS) :]
    filters += [filters[-1] * symbol_factor(rd_lambda) for rd_lambda in smaller]
    np.save(arguments.output / "initial_latents.npy", np.array(filters, np.float32))


def _features(crop: NDArray[np.float32]) -> list[NDArray[np.float64]]:
    """Inputs of each level's filters for a crop, shape (cells, FEATURES)."""
    return [
        np.stack([plane.ravel() for plane in planes], 1).astype(np.float64) for planes in initial_latents.features(crop)
    ]


def _regressed(inputs: Inputs, latents: NDArray[np.float32], level: int) -> NDArray[np.float64]:
    outputs = [np.rint(grid).ravel().astype(np.float64) for grid in latents[: len(inputs)]]
    aside = [index % LEFT_ASIDE == 0 for index in range(len(outputs))]

    def chosen(arrays: Sequence[NDArray[np.float64]], which: bool) -> NDArray[np.float64]:
        return np.concatenate([array for array, left in zip(arrays, aside, strict=True) if left == which])

    errors = []
    for ridge in RIDGES:
        bias, *weights = _solved(chosen(inputs, False), chosen(outputs, False), ridge)
        errors.append(np.square(chosen(inputs, True) @ weights + bias - chosen(outputs, True)).mean())
    explained = 1 - min(errors) / np.square(chosen(outputs, True)).mean()
    ridge = RIDGES[int(np.argmin(errors))]
    print(f"level {level}: {explained:.0%} of the squares, ridge {ridge:g}", flush=True)
    return _solved(np.concatenate(inputs), np.concatenate(outputs), ridge)


def _solved(inputs: NDArray[np.float64], outputs: NDArray[np.float64], ridge: float) -> NDArray[np.float64]:
    """Solve a ridge regression; return the bias, then the weights."""
    means, mean = inputs.mean(axis=0), outputs.mean()
    centred = inputs - means
    squares = centred.T @ centred + ridge * len(inputs) * np.eye(len(means))
    weights = np.linalg.solve(squares, centred.T @ (outputs - mean))
    return np.concatenate([[mean - means @ weights], weights])


if __name__ == "__main__":
    main()
