"""Two published ways to store an image as a coordinate network, as their authors ran them, in Keras on TensorFlow.

COIN (Dupont et al. 2021, arXiv 2103.03123; github.com/EmilienDupont/coin) and Strümpler et al. 2022 (arXiv 2112.04267;
github.com/YannickStruempler/inr_based_compression). They use nothing of pillow_inr: full-image steps, tf.sin, the
authors' optimizers and schedules. A step runs with or without XLA, whichever is faster here, since that changes
nothing in the result. Both originals ran on a GPU, Strümpler et al.'s in mixed precision; here they run in float32.
"""

import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import constriction
import keras
import numpy as np
import tensorflow as tf
from adaround import largest, nearest, nearest_symbols, round_network, step_size
from common import psnr
from numpy.typing import NDArray

W0 = 30.0
# Steps timed with and without XLA before the faster is chosen; the first of them compiles.
TRIAL_STEPS = 3
# PyTorch's; Keras has 1e-7.
ADAM_EPSILON = 1e-8

COIN_STEPS = 50_000
COIN_RATE = 2e-4
# Units and sine layers of the paper's appendix A, and the mean PSNR over Kodak in dB of the authors' results.json.
COIN_PUBLISHED = {(20, 5): 23.205, (30, 5): 24.641, (28, 10): 26.412, (40, 10): 28.408, (49, 13): 30.644}

STRUMPLER_STEPS = 25_000
STRUMPLER_RATE = 5e-4
STRUMPLER_L1 = 1e-5
STRUMPLER_FREQUENCIES = 16
STRUMPLER_GROWTH = 1.4
# "3 hidden layers" are those between the first and the output: four sine layers.
STRUMPLER_LAYERS = 4
PLATEAU_PATIENCE = 500
PLATEAU_FACTOR = 0.5
PLATEAU_THRESHOLD = 1e-4
RETRAINING_STEPS = 300
RETRAINING_RATE = 1e-6
# Shares of a bounded run that are left for AdaRound and for quantization-aware retraining. Their shares of the full
# schedule are less: 1,000 iterations of each of five layers, and 300 steps, beside 25,000 steps.
ADAROUND_SHARE = 0.1
RETRAINING_SHARE = 0.1
# Units of a layer, and the mean PSNR over Kodak in dB at 8 bits (collected in github.com/aegroto/nif).
STRUMPLER_PUBLISHED = {32: 25.655, 48: 27.147, 64: 28.433, 96: 30.580, 128: 32.186}

Step = Callable[[], tuple[tf.Tensor, tf.Tensor]]
"""Make an optimizer step; return its loss and the score by which the best weights are chosen."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Result of a bounded run of a method."""

    name: str
    steps: int
    schedule_steps: int
    step_seconds: float
    """Median."""
    compiled: bool
    """Whether XLA was the faster way to run a step."""
    psnr: float
    bpp: float
    published: float | None
    """Mean PSNR over Kodak of the full schedule at this size in dB, where it is known."""
    adaround_iterations: int | None = None
    """Per layer; None without AdaRound."""

    @property
    def schedule_seconds(self) -> float:
        """Wall time of the full schedule at this run's speed; in its favour, without AdaRound and retraining."""
        return self.schedule_steps * self.step_seconds

    @property
    def finished(self) -> bool:
        return self.steps >= self.schedule_steps


def coin(image: NDArray[np.uint8], *, width: int, layers: int, seconds: float, steps: int = COIN_STEPS) -> Outcome:
    """COIN: a plain SIREN, Adam at a fixed rate on the whole image, weights stored as float16 without entropy coding.

    Args:
        image: uint8, shape (height, width, 3).
        seconds: time limit of the run.
    Source: the authors' main.py, siren.py, training.py and util.py. As there, the weights of highest PSNR in the
        schedule's second half are kept; a run that ends earlier keeps the last. Their float16 network also
        computes in float16; this one computes in float32 with float16 weights, which loses less.
    """
    height, columns, _ = image.shape
    model = _sine_network(2, width, layers, uniform_bias=False)
    inputs = tf.constant(_coin_positions(height, columns))
    targets = tf.constant(image.reshape(-1, 3).astype(np.float32) / 255)
    variables = model.trainable_variables
    optimizer = keras.optimizers.Adam(COIN_RATE, epsilon=ADAM_EPSILON)
    optimizer.build(variables)

    def step() -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            predicted = model(inputs)
            loss = tf.reduce_mean(tf.square(predicted - targets))
        optimizer.apply(tape.gradient(loss, variables), variables)
        levels = tf.round(tf.clip_by_value(predicted, 0.0, 1.0) * 255.0) / 255.0
        return loss, tf.reduce_mean(tf.square(levels - targets))

    run = _Run(step, variables, seconds, COIN_STEPS, keep_from=COIN_STEPS // 2)
    run.train(steps)
    for variable in variables:
        variable.assign(tf.cast(tf.cast(variable.value, tf.float16), tf.float32))
    weights = sum(math.prod(variable.shape) for variable in variables)
    return Outcome(
        name=f"COIN {width}x{layers}",
        steps=run.steps,
        schedule_steps=COIN_STEPS,
        step_seconds=run.step_seconds,
        compiled=run.compiled,
        psnr=psnr(image, _to_image(model(inputs), image.shape)),
        bpp=16 * weights / (height * columns),
        published=COIN_PUBLISHED.get((width, layers)),
    )


def strumpler(
    image: NDArray[np.uint8], *, width: int, bits: int, seconds: float, steps: int = STRUMPLER_STEPS
) -> Outcome:
    """Strümpler et al., basic: encoded positions, L1 on the weights, AdaRound, retraining, range coding.

    Args:
        image: uint8, shape (height, width, 3).
        bits: per weight, 7 or 8 in the paper.
        seconds: time limit of the run; a tenth of it is for AdaRound, a tenth for retraining.
    Source: the authors' examples/run_basic_kodak.sh, training.py, modules.py and Quantizer.py; AdaRound in adaround.py.
    """
    height, columns, _ = image.shape
    inputs = tf.constant(_encoded(_grid(height, columns)))
    model = _sine_network(inputs.shape[1], width, STRUMPLER_LAYERS, uniform_bias=True)
    targets = tf.constant(image.reshape(-1, 3).astype(np.float32) / 127.5 - 1)
    variables = model.trainable_variables
    optimizer = keras.optimizers.Adam(STRUMPLER_RATE, epsilon=ADAM_EPSILON)
    optimizer.build(variables)

    def step() -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            penalty = tf.add_n([tf.reduce_sum(tf.abs(variable.value)) for variable in variables])
            loss = tf.reduce_mean(tf.square(model(inputs) - targets)) + STRUMPLER_L1 * penalty
        optimizer.apply(tape.gradient(loss, variables), variables)
        return loss, loss

    plateau = _Plateau(optimizer)
    run = _Run(step, variables, seconds * (1 - ADAROUND_SHARE - RETRAINING_SHARE), STRUMPLER_STEPS, keep_from=0)
    run.train(steps, plateau.after_step)
    sizes = [step_size(variable.numpy(), bits) for variable in variables]
    iterations = round_network(model.layers, inputs, sizes, bits, seconds * ADAROUND_SHARE)
    _retrain(model, inputs, targets, sizes, bits, seconds * RETRAINING_SHARE)
    symbols = [nearest_symbols(variable.numpy(), size, bits) for variable, size in zip(variables, sizes, strict=True)]
    coded_bytes = _range_coded_bytes(np.concatenate([part.ravel() for part in symbols]), bits)
    for variable, size in zip(variables, sizes, strict=True):
        variable.assign(nearest(variable.numpy(), size, bits))
    return Outcome(
        name=f"Strümpler {width}, {bits} bits",
        steps=run.steps,
        schedule_steps=STRUMPLER_STEPS,
        step_seconds=run.step_seconds,
        compiled=run.compiled,
        psnr=psnr(image, _to_image(model(inputs) / 2 + 0.5, image.shape)),
        bpp=8 * (coded_bytes + 4 * len(sizes)) / (height * columns),
        published=STRUMPLER_PUBLISHED.get(width) if bits == 8 else None,
        adaround_iterations=iterations,
    )


def _sine_network(inputs: int, width: int, layers: int, *, uniform_bias: bool) -> keras.Model:
    """Sine layers sin(30 (x W + b)) and a linear output.

    Kernels start as in Sitzmann et al. 2020, section 3.2: U(-1/n, 1/n) in the first layer and
    U(-sqrt(6/n)/30, sqrt(6/n)/30) in the others, for n inputs. Biases start in the same range or, as by PyTorch's
    default, from U(-1/sqrt(n), 1/sqrt(n)).
    """
    stack: list[Any] = [keras.Input((inputs,))]
    for index in range(layers + 1):
        count = width if index else inputs
        limit = math.sqrt(6 / count) / W0 if index else 1 / count
        bias_limit = 1 / math.sqrt(count) if uniform_bias else limit
        stack.append(
            keras.layers.Dense(
                width if index < layers else 3,
                activation=_sine if index < layers else None,
                kernel_initializer=keras.initializers.RandomUniform(-limit, limit, seed=2 * index),
                bias_initializer=keras.initializers.RandomUniform(-bias_limit, bias_limit, seed=2 * index + 1),
            )
        )
    return keras.Sequential(stack)


def _sine(values: tf.Tensor) -> tf.Tensor:
    return tf.sin(W0 * values)


def _coin_positions(rows: int, columns: int) -> NDArray[np.float32]:
    """Row and column of every pixel, from -1 on, both scaled by the rows minus one: beyond 1 in a wide image."""
    indices = np.stack(np.mgrid[:rows, :columns], axis=-1).reshape(-1, 2)
    return (2 * (indices / max(rows - 1, 1) - 0.5)).astype(np.float32)


def _grid(rows: int, columns: int) -> NDArray[np.float64]:
    """Row and column of every pixel, each from -1 to 1."""
    indices = np.stack(np.mgrid[:rows, :columns], axis=-1).reshape(-1, 2)
    return 2 * (indices / np.maximum([rows - 1, columns - 1], 1) - 0.5)


def _encoded(positions: NDArray[np.float64]) -> NDArray[np.float32]:
    """Positions with their sines and cosines at frequencies pi, 1.4 pi, ..."""
    angles = [np.pi * STRUMPLER_GROWTH**power * positions for power in range(STRUMPLER_FREQUENCIES)]
    waves = [wave for angle in angles for wave in (np.sin(angle), np.cos(angle))]
    return np.concatenate([positions, *waves], axis=1).astype(np.float32)


def _to_image(values: tf.Tensor, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    return np.rint(255 * np.clip(values.numpy(), 0, 1)).astype(np.uint8).reshape(shape)


class _Plateau:
    """PyTorch's ReduceLROnPlateau: halves the rate when the loss has not fallen for a number of steps."""

    def __init__(self, optimizer: keras.optimizers.Optimizer) -> None:
        self.optimizer = optimizer
        self.best = math.inf
        self.waited = 0

    def after_step(self, loss: float) -> None:
        if loss < self.best * (1 - PLATEAU_THRESHOLD):
            self.best = loss
            self.waited = 0
            return
        self.waited += 1
        if self.waited > PLATEAU_PATIENCE:
            self.optimizer.learning_rate = PLATEAU_FACTOR * float(self.optimizer.learning_rate)
            self.waited = 0


class _Run:
    """Steps until a time limit or a number of steps, their times, and the weights that scored best."""

    def __init__(
        self, step: Step, variables: Sequence[keras.Variable], seconds: float, schedule_steps: int, keep_from: int
    ) -> None:
        """`keep_from`: the first step whose weights may be kept as the best."""
        self.ways = {compiled: tf.function(step, jit_compile=compiled) for compiled in (False, True)}
        self.variables = variables
        self.seconds = seconds
        self.schedule_steps = schedule_steps
        self.keep_from = keep_from
        self.steps = 0
        self.times: list[float] = []
        self.best = math.inf
        self.best_weights: list[NDArray[np.float32]] | None = None

    @property
    def step_seconds(self) -> float:
        return statistics.median(self.times)

    def train(self, steps: int, after_step: Callable[[float], None] = lambda loss: None) -> None:
        """Choose with or without XLA, then make one step or more; leaves the best weights."""
        trials = {compiled: self._trial(compiled, after_step) for compiled in self.ways}
        self.compiled = trials[True] < trials[False]
        end = time.perf_counter() + self.seconds
        while not self.times or (self.steps < steps and time.perf_counter() < end):
            self.times.append(self._one_step(self.compiled, after_step))
        for variable, weights in zip(self.variables, self.best_weights or [], strict=False):
            variable.assign(weights)

    def _trial(self, compiled: bool, after_step: Callable[[float], None]) -> float:
        return min([self._one_step(compiled, after_step) for _ in range(TRIAL_STEPS)][1:])

    def _one_step(self, compiled: bool, after_step: Callable[[float], None]) -> float:
        start = time.perf_counter()
        loss, score = map(float, self.ways[compiled]())
        after_step(loss)
        self.steps += 1
        if self.steps > self.keep_from and score < self.best:
            self.best = score
            self.best_weights = [variable.numpy() for variable in self.variables]
        return time.perf_counter() - start


def _retrain(
    model: keras.Model, inputs: tf.Tensor, targets: tf.Tensor, sizes: Sequence[float], bits: int, seconds: float
) -> None:
    """Quantization-aware retraining: rounded weights, straight-through gradients; leaves the best weights."""
    variables = model.trainable_variables
    optimizer = keras.optimizers.Adam(RETRAINING_RATE, epsilon=ADAM_EPSILON)
    optimizer.build(variables)

    def rounded(variable: keras.Variable, size: float) -> tf.Tensor:
        symbols = tf.clip_by_value(tf.round(variable.value / size), -largest(bits), largest(bits))
        return variable.value + tf.stop_gradient(symbols * size - variable.value)

    def step() -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            weights = [rounded(variable, size) for variable, size in zip(variables, sizes, strict=True)]
            predicted, _ = model.stateless_call(weights, [], inputs)
            loss = tf.reduce_mean(tf.square(predicted - targets))
        optimizer.apply(tape.gradient(loss, variables), variables)
        return loss, loss

    _Run(step, variables, seconds, RETRAINING_STEPS, keep_from=0).train(RETRAINING_STEPS)


def _range_coded_bytes(symbols: NDArray[np.int32], bits: int) -> int:
    """Bytes of symbols coded with their own frequencies, the table of frequencies included.

    The table is the authors': one byte, then a count for each symbol, all with the bits that the largest needs.
    """
    shifted = symbols + np.int32(largest(bits))
    counts = np.bincount(shifted, minlength=2**bits)
    model = constriction.stream.model.Categorical(counts.astype(np.float64), perfect=False)
    encoder = constriction.stream.queue.RangeEncoder()
    encoder.encode(shifted, model)
    table_bits = len(counts) * int(counts.max()).bit_length()
    return 4 * len(encoder.get_compressed()) + 1 + math.ceil(table_bits / 8)
