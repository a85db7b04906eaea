"""The trainer: takes up one image after another and fits a network to it, call by call.

Knows neither schedule nor deadline: those are `fit`'s.
"""

import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from ....imaging.coordinates import Axis, encode_axis
from ....imaging.metrics import psnr_db
from ....imaging.samples import Samples, Scale
from ....imaging.transparency import Mask
from ....runtime.program import Program
from ..architecture import Architecture
from ..fitted import Fitted
from .graph import WARMUP_STEPS, Call, Graph, call_signature, initial_log_quantization_steps, initial_weights
from .padding import counts, cropped, padded
from .rounding import snapped
from .sampling import Sampler

# Pixels of an optimizer step. At equal time half as many cost a tenth of the rate, twice as many some percent on small
# networks and nothing on large ones (docs/experiments.md section 9).
BATCH_PIXELS = 8192
# Muon's learning rate on all matrices but the output layer's. It falls above a width: an update changes a unit's input
# in proportion to the layer's width.
MUON_LEARNING_RATE = 5e-3
MUON_LEARNING_RATE_WIDTH = 64
# Muon's decoupled weight decay. Muon's updates have one size whatever the gradient's: without decay the hidden
# matrices grow until the network is chaotic, and with too much of it they stay small and blur.
WEIGHT_DECAY = 1.5
# Mean squared error, relative to the samples' variance, above which a network has not learned anything.
NOT_LEARNED = 0.6
# Work of one call of the compiled function, in multiply-adds: about 0.2 s on 4 cores. Fixed, not timed, so that a
# fit is repeatable.
CALL_WORK = 2.5e10
CALL_STEPS_MAX = 50


def peak_learning_rate(width: int) -> float:
    """Muon's peak learning rate for networks of a width."""
    return MUON_LEARNING_RATE * min(1.0, MUON_LEARNING_RATE_WIDTH / width)


def megabytes(architecture: Architecture) -> float:
    """Estimate of what a trainer takes: compiled code, as measured at depths 1 to 8, and 16 bytes for each weight."""
    return 30 + 14 * architecture.depth + 16e-6 * architecture.weight_count


class Trainer:
    """A compiled program for one architecture, and the image that it works on.

    It serves one fit after another, because compiling takes seconds. Compiled code depends on an image's number of
    channels, on the pixels of an optimizer step, and on a length that no side exceeds; tables bring all else, such as
    the ratio of frequencies, which depends on the image's size. A trainer that pads serves narrower networks, and
    images of fewer channels, as well.
    """

    def __init__(
        self, architecture: Architecture, batch: int, longest_side: int, device: str, pads: bool = False
    ) -> None:
        self.compiled = architecture
        self.architecture = architecture
        self.pads = pads
        self.sampler: Sampler | None = None
        self.longest_side = longest_side
        self.batch = batch
        self.call_steps = max(1, min(CALL_STEPS_MAX, int(CALL_WORK / (batch * 3 * architecture.weight_count))))
        call = call_signature(architecture, batch, self.call_steps, longest_side, pads)
        self.program = Program(lambda: Graph(architecture).functions(call), device)

    def start(
        self,
        image: Samples,
        scale: Scale,
        architecture: Architecture,
        rd_lambda: float,
        seed: int,
        learning_rate: float,
        weight_decay: float,
        initial: Sequence[NDArray[np.float32]] | None = None,
        hidden: Mask | None = None,
        axes: tuple[Axis, Axis] | None = None,
    ) -> None:
        """Take up an image, with new optimizers.

        Args:
            image: shape (height, width, channels).
            scale: turns its samples into normalized ones.
            architecture: of the network; the trainer's own but for the ratio of frequencies or, in a trainer that pads,
                a narrower one.
            rd_lambda: lambda, for a rate in bits per pixel.
            seed: draws pixels and, without `initial`, the first weights.
            learning_rate: Muon's peak learning rate.
            weight_decay: decoupled weight decay of Muon's matrices.
            initial: weights to start from, except for the output bias, which starts at the image's mean colour.
            hidden: pixels where anything will do, shape (height, width), not all of them.
            axes: the network's axes whose cells are the image's columns and rows; by default those of a whole image.
        """
        height, width, channels = image.shape
        self.pixels = width * height
        shown = image.reshape(-1, channels) if hidden is None else image[~hidden]
        self.shown_pixels = len(shown)
        self.architecture = architecture
        self.release()
        self.sampler = Sampler(image, scale, self.batch, self.call_steps, seed, hidden)
        longer = max(width, height)
        axes = axes or (Axis.of_pixels(width, longer), Axis.of_pixels(height, longer))
        self.tables = [self._feature_table(axis) for axis in axes]
        self.counts = counts(architecture) if self.pads else ()
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.rd_lambda = rd_lambda
        self.program.run("initialize")
        sample = scale.to_normalized(shown[:: max(1, self.shown_pixels // 65536)])
        self.variance = float(sample.var(axis=0).mean())
        weights = initial_weights(self.architecture, seed) if initial is None else list(initial)
        self.program.run("set weights", *padded([*weights[:-1], sample.mean(axis=0)], self.compiled))
        self.initial = None if initial is None else list(initial)
        self._refer([False] * len(weights))
        # Compile now, with no steps to make, so that the schedule's clock sees steps only.
        self.advance(0, 0, 0.0, 0.0, in_rate_phase=False)

    def _feature_table(self, axis: Axis) -> NDArray[np.float32]:
        frequencies, ratio = self.architecture.frequencies, self.architecture.frequency_ratio
        features = encode_axis(axis.positions(), frequencies, ratio)
        return np.pad(features, ((0, self.longest_side - axis.count), (0, 0)))

    def diverged(self, step: int, mse: float, rate_bits: float) -> bool:
        """Whether error or rate is not finite or, long after the warm-up, the error exceeds the best constant's."""
        # The error is that of weights before the last optimizer step, the rate of those after it.
        if not (math.isfinite(mse) and math.isfinite(rate_bits)):
            return True
        return step > 4 * WARMUP_STEPS and mse > 1.5 * self.variance + 1e-3

    def has_not_learned(self, mse: float) -> bool:
        """Whether the network has hardly learned more than the image's mean colour.

        That happens with noise, which cannot be learned, and where updates are too large: large flat areas with sharp
        edges, such as screenshots of text, need a lower learning rate.
        """
        return mse > NOT_LEARNED * self.variance + 1e-4

    def start_rate_phase(self) -> None:
        """Choose the first quantization steps from the weights as they are."""
        self.program.run(
            "set log quantization steps", initial_log_quantization_steps(self._weights(), self.architecture)
        )

    def _weights(self) -> list[NDArray[np.float32]]:
        return cropped(self.program.run("weights"), self.architecture)

    def refine_quantization(self, bits: float) -> None:
        """Divide all quantization steps by 2^bits: each weight then takes about that many bits more."""
        self.program.run(
            "set log quantization steps", self.program.run("log quantization steps") - np.float32(bits * math.log(2.0))
        )

    def choose_references(self) -> None:
        """Code each tensor as differences from its initial weights where their mean magnitude is less than its own.

        Under a Laplace model the smaller mean magnitude takes fewer bits.
        """
        if self.initial is None:
            return
        weights = self._weights()
        self._refer(
            [
                bool(np.abs(weight - start).mean() < np.abs(weight).mean())
                for weight, start in zip(weights, self.initial, strict=True)
            ]
        )

    def _refer(self, differences: list[bool]) -> None:
        self.differences = differences
        starts = self.initial or [np.zeros(shape, np.float32) for shape in self.architecture.shapes]
        references = [start * np.float32(difference) for start, difference in zip(starts, differences, strict=True)]
        self.program.run("set references", *padded(references, self.compiled))

    def advance(self, step: int, count: int, first: float, last: float, in_rate_phase: bool) -> tuple[float, float]:
        """Make some optimizer steps.

        Args:
            step: optimizer steps made before.
            count: optimizer steps to make, at most `call_steps`.
            first: position of the schedule, 0..1, at their beginning; `last` at their end.
            in_rate_phase: whether weights are rounded and the rate counts.
        Returns:
            Mean squared error over these steps, and the rate in bits at their end.
        """
        assert self.sampler is not None
        columns, rows, values = self.sampler.draw()
        across, down = self.tables
        # Samples of the padding are zeros, too, so that the mean over samples is smaller by this factor.
        share = self.architecture.channels / self.compiled.channels
        if self.pads:
            values = np.pad(values, ((0, 0), (0, 0), (0, self.compiled.channels - values.shape[2])))
        call = Call(
            columns=columns,
            rows=rows,
            values=values,
            across=across,
            down=down,
            lambda_per_bit=np.float32(self.rd_lambda / self.shown_pixels * share),
            learning_rate=np.float32(self.learning_rate),
            weight_decay=np.float32(self.weight_decay),
            step=np.int32(step),
            count=np.int32(count),
            first=np.float32(first),
            pace=np.float32((last - first) / max(count, 1)),
            rounds=np.float32(in_rate_phase),
            counts=self.counts,
        )
        mse, rate_bits = self.program.run("steps", call)
        return float(mse) / share, float(rate_bits)

    def release(self) -> None:
        """Let go of the image."""
        if self.sampler is not None:
            self.sampler.close()
            self.sampler = None

    def result(self, mse: float, rate_bits: float) -> Fitted:
        """The fitted network."""
        steps = [float(step) for step in snapped(tf.exp(self.program.run("log quantization steps")))]
        return Fitted(self._weights(), steps, psnr_db(mse), rate_bits, self.differences)
