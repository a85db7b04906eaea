"""Draws the pixels of each optimizer step from the image as it is, so that a large image needs no copy."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from ....imaging.samples import Samples, Scale
from ....imaging.transparency import Mask

Draw = tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float32]]


class Sampler:
    """Mini-batches of an image: one pixel from each of `batch` equal runs of pixels in reading order.

    Each run gives its pixels without replacement, so that the optimizer steps within the memory of the optimizer's
    momentum see about the whole image once: that halves the batch which a fit needs (docs/experiments.md section 9).
    Independent draws learn less, and in a large image each is a cache miss. A batch of at least as many pixels as the
    image has takes all of them, some twice. Hidden pixels are never drawn.
    """

    def __init__(
        self, image: Samples, scale: Scale, batch: int, steps: int, seed: int, hidden: Mask | None = None
    ) -> None:
        """Start drawing.

        Args:
            image: shape (height, width, channels).
            scale: turns its samples into normalized ones.
            batch: pixels of an optimizer step.
            steps: optimizer steps of a draw.
            seed: makes the draws repeatable.
            hidden: pixels to leave out, shape (height, width), not all of them.
        """
        height, self.width, channels = image.shape
        self.samples = image.reshape(-1, channels)
        self.scale = scale
        self.shown = None if hidden is None else np.flatnonzero(~hidden)
        count = height * self.width if self.shown is None else len(self.shown)
        runs = np.arange(batch + 1) * count // batch
        self.starts = runs[:-1]
        self.lengths = np.maximum(np.diff(runs), 1)
        self.steps = steps
        self.random = np.random.default_rng(seed)
        self.offsets = self._offsets()
        # In a large image a pixel is a cache miss: the next draw is made while the network is trained on this one.
        self.pool = ThreadPoolExecutor(1)
        try:
            self.next = self.pool.submit(self._draw)
        except BaseException:
            # Ctrl-C while the thread starts: the pool does not know it yet, and the process would wait for it forever.
            self.pool.shutdown(wait=False)
            raise

    def draw(self) -> Draw:
        """Columns and rows, shape (steps, batch), and normalized samples, shape (steps, batch, channels)."""
        ready = self.next.result()
        self.next = self.pool.submit(self._draw)
        return ready

    def _draw(self) -> Draw:
        index = self.starts + np.stack([next(self.offsets) for _ in range(self.steps)])
        if self.shown is not None:
            index = self.shown[index]
        rows, columns = np.divmod(index, self.width)
        return columns.astype(np.int32), rows.astype(np.int32), self.scale.to_normalized(self.samples[index])

    def _offsets(self) -> Iterator[NDArray[np.int64]]:
        """Place of the pixel in each run, step by step: one random order for all runs, each with a start of its own."""
        while True:
            first = self.random.integers(self.lengths)
            for place in self.random.permutation(int(self.lengths.max())):
                yield (first + place) % self.lengths

    def close(self) -> None:
        """End the thread that makes the draws."""
        self.pool.shutdown(cancel_futures=True)
