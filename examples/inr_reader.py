"""What tf_dataset.py and torch_dataset.py share: an .inr file -> the pixels that a training step asks for.

Imports neither TensorFlow nor torch: processes that only decode need not load them.
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
    """The .inr files in and below a folder, sorted.

    Raises:
        ValueError: there are none.
    """
    paths = sorted(folder.rglob("*.inr"))
    if not paths:
        raise ValueError(f"{folder}: no .inr files")
    return paths


@dataclass(frozen=True)
class Reader:
    """Decodes a file at the resolution that training wants, as a whole or a random region of it; can be pickled."""

    size: tuple[int, int] | None = None
    """Width and height of the result; None for the image's own."""
    crop: tuple[float, float] | None = None
    """None for the whole image. Otherwise a random region: how many pixels of the image one of the result spans, drawn
    between these two. (1, 1) is the image's own resolution, (0.5, 2) from enlarged twice to reduced to a half. Needs
    `size`."""

    def __call__(self, path: Path, seed: int | None = None) -> NDArray[np.generic]:
        """The pixels of a file.

        Args:
            seed: of the random region; None for another one each time.
        Returns:
            Shape (height, width, channels), uint8 of ordinary images.
        Raises:
            OSError: the file cannot be read.
            ValueError: it is damaged, or no .inr file; with its path.
        """
        if multiprocessing.parent_process() is not None:
            threads.limit_cores(1)  # this process is one of several, and together they use all cores
        data = path.read_bytes()
        try:
            box = self.random_region(pillow_inr.read_header(data).size, seed) if self.crop else None
            pixels = pillow_inr.decode(data, size=self.size, box=box)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
        return np.atleast_3d(pixels)

    def batch(self, paths: Sequence[Path], seeds: Sequence[int]) -> NDArray[np.generic]:
        """The pixels of several files, shape (images, height, width, channels).

        Raises:
            OSError, ValueError: as for one of them; also where they differ in shape.
        """
        return np.stack([self(path, seed) for path, seed in zip(paths, seeds, strict=True)])

    def random_region(self, image: tuple[int, int], seed: int | None) -> tuple[float, float, float, float]:
        """Left, upper, right, lower edge of a region of an image of some size; smaller than asked for where that is."""
        if self.size is None or self.crop is None:
            raise ValueError("a random region needs size and crop")
        rng = random.Random(seed)
        scale = min(rng.uniform(*self.crop), image[0] / self.size[0], image[1] / self.size[1])
        width, height = (min(scale * side, whole) for side, whole in zip(self.size, image, strict=True))
        # Whole pixels: at the image's own resolution nothing is interpolated then.
        left, upper = rng.randint(0, int(image[0] - width)), rng.randint(0, int(image[1] - height))
        return left, upper, left + width, upper + height


def parser(description: str | None) -> argparse.ArgumentParser:
    """The arguments that both examples take."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("folder", type=Path)
    made.add_argument("--size", type=int, nargs=2, metavar=("WIDTH", "HEIGHT"))
    made.add_argument(
        "--crop", type=float, nargs=2, metavar=("LEAST", "MOST"), help="pixels that one spans; see Reader"
    )
    made.add_argument("--dtype", choices=("uint8", "float32"), default="uint8")
    made.add_argument("--batch", type=int, default=8)
    made.add_argument("--epochs", type=int, default=2)
    return made


def reader_of(options: argparse.Namespace) -> Reader:
    """The reader that they ask for."""
    return Reader(options.size and tuple(options.size), options.crop and tuple(options.crop))


def read(batches: Iterable[Any], images: int, epochs: int) -> None:
    """Read so many images a few times and print how fast that was: the first time, processes start."""
    for epoch in range(epochs):
        begun = time.perf_counter()
        *_, last = (f"{type(batch).__name__} {tuple(batch.shape)} {batch.dtype}" for batch in batches)
        print(f"epoch {epoch + 1}: {images / (time.perf_counter() - begun):.1f} images/s, {last}")
