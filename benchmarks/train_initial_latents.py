"""Learn the filters that predict a pyramid's initial latents, from photographs.

The package stores them in pillow_inr/models/pyramid/training/initial_latents.npy. Crops are fitted with each set of
base weights. Least squares then predict the symbols of a fit from the image around them, with the ridge that is best
on crops left aside. Short fits start from the present filters, or from zeros with --from-zeros; long fits start from
zeros. Do not learn from images on which results are reported.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from common import image_paths, machine, rgb_image
from numpy.typing import NDArray
from rich.progress import track

from pillow_inr.imaging.samples import Scale
from pillow_inr.models.pyramid.plan import BASE_RD_LAMBDAS
from pillow_inr.models.pyramid.structure import BASE_WEIGHTS_COUNT, LEVELS
from pillow_inr.models.pyramid.training import fit as pyramid_fit
from pillow_inr.models.pyramid.training import initial_latents

SIZE = (384, 256)
PRESET = 0
SCALE = Scale("uint8", 3, ((0.0, 255.0),))
# Ridge per latent; features are in 0..1 and nearly equal at neighbours.
RIDGES = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
LEFT_ASIDE = 4  # every fourth crop

Crop = NDArray[np.uint8]
Grids = Sequence[NDArray[np.int32]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="photographs, each at least 384x256")
    parser.add_argument("--output", type=Path, default=Path("build/initial_latents.npy"))
    parser.add_argument("--crops", type=int, default=32)
    parser.add_argument("--steps", type=int, default=250)
    parser.add_argument("--from-zeros", action="store_true")
    arguments = parser.parse_args()
    print(machine())
    if arguments.from_zeros:
        zeros = np.zeros((BASE_WEIGHTS_COUNT, LEVELS, 1 + initial_latents.FEATURES), np.float32)
        initial_latents._filters = lambda: zeros  # type: ignore[assignment]
    crops = _crops(arguments.folder, arguments.crops)
    filters = [_learned(crops, base_index, arguments.steps) for base_index in range(BASE_WEIGHTS_COUNT)]
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    np.save(arguments.output, np.stack(filters).astype(np.float32))


def _crops(folder: Path, count: int) -> list[Crop]:
    random = np.random.default_rng(3)
    width, height = SIZE
    crops = []
    for path in random.permutation(np.array(image_paths(folder)))[:count]:
        photograph = np.asarray(rgb_image(path))
        top = random.integers(0, photograph.shape[0] - height + 1)
        left = random.integers(0, photograph.shape[1] - width + 1)
        crops.append(photograph[top : top + height, left : left + width])
    return crops


def _learned(crops: Sequence[Crop], base_index: int, steps: int) -> NDArray[np.float64]:
    """Filters of all levels for one set of base weights, shape (LEVELS, 1 + FEATURES)."""
    rd_lambda = BASE_RD_LAMBDAS[base_index]
    fits = [
        pyramid_fit.fit(crop, scale=SCALE, preset=PRESET, base_index=base_index, rd_lambda=rd_lambda, steps=steps).grids
        for crop in track(crops, f"lambda {rd_lambda:g}")
    ]
    inputs: list[list[NDArray[np.float64]]] = [[] for _ in range(LEVELS)]
    for crop in crops:
        for level, planes in enumerate(initial_latents.features(SCALE.to_normalized(crop))):
            inputs[level].append(np.stack([plane.ravel() for plane in planes], 1).astype(np.float64))
    return np.stack([_regressed(inputs[level], fits, level) for level in range(LEVELS)])


def _regressed(inputs: Sequence[NDArray[np.float64]], fits: Sequence[Grids], level: int) -> NDArray[np.float64]:
    outputs = [fit[level].ravel().astype(np.float64) for fit in fits]
    aside = [index % LEFT_ASIDE == 0 for index in range(len(fits))]

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
