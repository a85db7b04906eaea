"""Random parts of photographs, for programs that train."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from common import image_paths, rgb_image
from numpy.typing import NDArray
from PIL import Image

Photograph = NDArray[np.uint8]

# Part of the crops that show fewer pixels, enlarged by up to ENLARGEMENT: large photographs are softer than small ones.
ENLARGED = 0.5
ENLARGEMENT = 4.0
PACKED_SIDE = 384


def read(paths: Sequence[Path]) -> list[Photograph]:
    """Photographs of folders, or of the files of --pack."""
    found: list[Photograph] = []
    for path in paths:
        found += np.load(path) if path.suffix == ".npy" else [np.asarray(rgb_image(each)) for each in image_paths(path)]
    return found


def packed(photographs: Sequence[Photograph], count: int) -> Photograph:
    """Random parts of photographs, shape (count, 384, 384, 3): 100 of them have 44 MB."""
    random = np.random.default_rng(0)
    parts = []
    for index in random.permutation(np.arange(count) % len(photographs)):
        photograph = photographs[index]
        top, left = (int(random.integers(length - PACKED_SIDE + 1)) for length in photograph.shape[:2])
        parts.append(photograph[top : top + PACKED_SIDE, left : left + PACKED_SIDE])
    return np.stack(parts)


def random_crop(photographs: Sequence[Photograph], side: int, random: np.random.Generator) -> NDArray[np.float32]:
    """A random part of a photograph, each pixel of all of them as likely, shape (side, side, 3), in 0..1."""
    areas = np.array([math.prod(photograph.shape[:2]) for photograph in photographs], float)
    photograph = photographs[random.choice(len(photographs), p=areas / areas.sum())]
    enlarged = random.random() < ENLARGED
    shown = round(side / random.uniform(1.0, ENLARGEMENT)) if enlarged else side
    top, left = (int(random.integers(length - shown + 1)) for length in photograph.shape[:2])
    crop = photograph[top : top + shown, left : left + shown]
    if enlarged:
        crop = np.asarray(Image.fromarray(crop).resize((side, side), Image.Resampling.BICUBIC))
    return crop[:, :: random.choice([-1, 1])].astype(np.float32) / 255
