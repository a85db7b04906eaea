"""Decode .inr files to the pixels that a training step needs; shared by tf_dataset.py and torch_dataset.py.

This module imports neither TensorFlow nor torch, so that processes that only decode need not load them.
"""

import argparse
import multiprocessing
import random
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import pillow_inr
from pillow_inr.runtime import threads


def inr_files(folder: Path) -> list[Path]:
    """Return the .inr files in and below a folder, sorted.

    Raises:
        ValueError: there are no such files.
    """
    paths = sorted(folder.rglob("*.inr"))
    if not paths:
        raise ValueError(f"{folder}: no .inr files")
    return paths


@dataclass(frozen=True)
class Reader:
    """Decodes a file, or a random region of it, at the resolution that training needs. It can be pickled."""

    size: tuple[int, int] | None = None
    """Width and height of the result in pixels; None for the image's own."""
    crop: tuple[float, float] | None = None
    """None for the whole image, or the lowest and highest scale of a random region; needs `size`.

    The scale is the number of image pixels that one pixel of the result spans, drawn uniformly between the two.
    (1, 1) keeps the image's own resolution; (0.5, 2) goes from enlarged twice to reduced to a half.
    """

    def __call__(self, path: Path, seed: int | None = None) -> NDArray[np.generic]:
        """Decode one file.

        Args:
            path: the .inr file.
            seed: chooses the random region; None takes another region each time.
        Returns:
            Shape (height, width, channels); uint8 for ordinary images.
        Raises:
            OSError: the file cannot be read.
            ValueError: the file is damaged or not an .inr file; the message begins with its path.
        """
        if multiprocessing.parent_process() is not None:
            threads.limit_cores(1)  # one of several processes that share the cores
        data = path.read_bytes()
        try:
            box = self.random_region(pillow_inr.read_header(data).size, seed) if self.crop else None
            pixels = pillow_inr.decode(data, size=self.size, box=box)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
        return np.atleast_3d(pixels)

    def batch(self, paths: Sequence[Path], seeds: Sequence[int]) -> NDArray[np.generic]:
        """Decode several files to one array of shape (images, height, width, channels).

        Raises:
            OSError, ValueError: as for a single file; ValueError also if the results differ in shape.
        """
        return np.stack([self(path, seed) for path, seed in zip(paths, seeds, strict=True)])

    def random_region(self, image: tuple[int, int], seed: int | None) -> tuple[float, float, float, float]:
        """Draw a region (left, upper, right, lower) of an image of this width and height, limited to the image."""
        if self.size is None or self.crop is None:
            raise ValueError("a random region needs size and crop")
        rng = random.Random(seed)
        scale = min(rng.uniform(*self.crop), image[0] / self.size[0], image[1] / self.size[1])
        width, height = (min(scale * side, whole) for side, whole in zip(self.size, image, strict=True))
        # Whole pixels, so that nothing is interpolated at the image's own resolution.
        left, upper = rng.randint(0, int(image[0] - width)), rng.randint(0, int(image[1] - height))
        return left, upper, left + width, upper + height


def parser(description: str | None) -> argparse.ArgumentParser:
    """Return a parser with the arguments of both examples."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("folder", type=Path)
    made.add_argument("--size", type=int, nargs=2, metavar=("WIDTH", "HEIGHT"))
    made.add_argument(
        "--crop",
        type=float,
        nargs=2,
        metavar=("LEAST", "MOST"),
        help="image pixels per pixel of the result; see Reader",
    )
    made.add_argument("--dtype", choices=("uint8", "float32"), default="uint8")
    made.add_argument("--batch", type=int, default=8)
    made.add_argument("--epochs", type=int, default=2)
    return made


def reader_of(options: argparse.Namespace) -> Reader:
    """Return the reader that the arguments describe."""
    return Reader(options.size and tuple(options.size), options.crop and tuple(options.crop))


def read(batches: Iterable[Any], images: int, epochs: int) -> None:
    """Read all batches `epochs` times and print images per second. The first epoch includes the start of processes."""
    for epoch in range(epochs):
        begun = time.perf_counter()
        *_, last = (f"{type(batch).__name__} {tuple(batch.shape)} {batch.dtype}" for batch in batches)
        print(f"epoch {epoch + 1}: {images / (time.perf_counter() - begun):.1f} images/s, {last}")
