"""Train the pyramid's analysis network together with the base weights that it serves, on photographs.

The loss of a crop is log(mean squared error + lambda * bits per pixel) of what the base weights' networks make of the
analysis network's latents, soft-rounded with noise (Balle et al. 2017, "End-to-end optimized image compression"; Blard
et al. 2024, "Overfitted image coding at reduced complexity"). Each step has one lambda, near that of one of the base
weights; SOAP trains all networks. Do not train on images on which results are reported.

The first part has one lambda alone. Its network learns at first what the filters find with which fits begin, then the
best for the base weights of fits as they are, then both are trained together: so latents keep the order that fits have
given them, most in the coarse grids. Trained together from the beginning, the finer grids take all of the brightness,
the coarse ones stay empty, and low rates are out of reach (docs/experiments.md sections 23 and 24). Its networks, for
symbols of other sizes, are what the second part begins with. In each part the learning rate is constant, and falls to 0
towards the end; averages over steps are what is kept (Polyak and Juditsky 1992).

Everything is written in keras.ops: it runs on TensorFlow, and on JAX on a GPU machine (KERAS_BACKEND=jax, --batch 32).
On CPUs run it with OPENBLAS_NUM_THREADS=1: threads of NumPy's products would be in the steps' way.
Photographs are read from folders, or from a file that --pack made of them, for a machine without them. The state is
saved every few minutes; a run that finds one in its output folder goes on from there, also to a later end.
"""

import argparse
import math
import pickle
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import crops
import keras
import numpy as np
from common import machine, rgb_image
from crops import Photograph
from keras import ops
from numpy.typing import NDArray
from train_base_weights import for_larger_symbols, packed_base_weights

from pillow_inr.models.pyramid import analysis, structure
from pillow_inr.models.pyramid.plan import ANALYSED_BASES, PRESET, TRAINED_RD_LAMBDAS
from pillow_inr.models.pyramid.structure import LEVELS, base_weights_path
from pillow_inr.models.pyramid.training import graph, initial_latents
from pillow_inr.models.pyramid.training.soap import Soap, Tensors
from pillow_inr.models.pyramid.training.soft_rounding import noisy_soft_round

CHANNELS = 3
WARMUP_STEPS = 40
# Part of each part of the training at a constant learning rate.
STABLE = 0.5
CLIP = 1.0
BASE_CLIP = 3.0
# Standard deviation of the noise in symbols.
DEVIATION = 0.2
AVERAGE_DECAY = 0.998
# Steps that are computed at a time, each from the networks as they were before the others; and one that waits.
WORKERS = 2
# The first part: its steps, those until which the network learns what filters find, those until which base weights stay
# as they are, those over which their learning rate rises, and the number of its base weights.
FIRST_STEPS = 13_000
FILTER_STEPS = 400
FIXED_STEPS = 1_500
RISING_STEPS = 400
FIRST_BASE = 2
# Sides of crops in the two parts: coarse grids need room once the others are trained.
SIDES = (128, 192)
# Sizes of symbols go with this power of lambda when the first part's networks are spread over the base weights.
SYMBOL_POWER = -0.42
# Squared errors at a crop's edges count 1 + EDGE_WEIGHT times as much in training, falling to once at EDGE_PIXELS from
# them: edges are where tiles meet, and a jump there is seen.
EDGE_WEIGHT = 4.0
EDGE_PIXELS = 6
SAVE_SECONDS = 240
JUDGED_SIDE = 256
PRESET_SIZES = structure.PRESETS[PRESET]


class Part(NamedTuple):
    """A part of the training."""

    begin: int
    """Steps that are made before it."""
    end: int
    bases: Sequence[int]
    """Numbers of the base weights that it trains."""
    learning_rate: float
    base_learning_rate: float
    temperatures: tuple[float, float]
    """Of soft rounding, at the beginning and at the end."""
    side: int
    """Of its crops in pixels."""

    def position(self, step: int) -> float:
        return (step - self.begin) / (self.end - self.begin)


class Settings(NamedTuple):
    """What a step's loss needs beside networks, crops and noise; arrays of float32."""

    conditions: Any
    """Of the analysis network, shape (analysis.CONDITIONS,)."""
    temperature: Any
    rd_lambda: Any


@dataclass
class State:
    """All that a run needs to go on; the networks by name, the base weights' one behind another."""

    network: Tensors
    bases: list[Tensors]
    average: Tensors = field(init=False)
    average_bases: list[Tensors] = field(init=False)
    optimizer: Soap = field(init=False)
    base_optimizers: list[Soap] = field(init=False)
    random: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))
    steps: int = 0
    spread: bool = False
    """Whether the second part has begun."""

    def __post_init__(self) -> None:
        self.begin_part()

    def begin_part(self) -> None:
        """Forget what averages and optimizers know."""
        self.average, self.average_bases = dict(self.network), [dict(base) for base in self.bases]
        self.optimizer = Soap(self.network, CLIP)
        self.base_optimizers = [Soap(base, BASE_CLIP) for base in self.bases]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "photographs", type=Path, nargs="+", help=f"folders of photographs of {max(SIDES)}x{max(SIDES)} or more"
    )
    parser.add_argument("--output", type=Path, default=Path("build/analysis"))
    parser.add_argument("--steps", type=int, default=60_000, help="of the whole training")
    parser.add_argument("--batch", type=int, default=1, help="crops of a step")
    parser.add_argument("--minutes", type=float, default=math.inf, help="save and end after this time")
    parser.add_argument("--pack", type=int, metavar="N", help="write N random parts of 384x384 to PHOTOGRAPHS.npy; end")
    parser.add_argument("--from-shipped", action="store_true", help="begin with the package's networks")
    parser.add_argument("--evaluate", type=Path, nargs="*", default=[], help="images to report on now and then")
    arguments = parser.parse_args()
    print(machine(), keras.backend.backend())
    photographs = crops.read(arguments.photographs)
    arguments.output.mkdir(parents=True, exist_ok=True)
    if arguments.pack:
        np.save(arguments.output / "photographs.npy", crops.packed(photographs, arguments.pack))
        return
    state = _resumed(arguments.output, arguments.from_shipped)
    judged = [np.asarray(rgb_image(path), np.float32)[:JUDGED_SIDE, :JUDGED_SIDE] / 255 for path in arguments.evaluate]
    train(state, photographs, judged, arguments)


def train(
    state: State, photographs: Sequence[Photograph], judged: Sequence[Any], arguments: argparse.Namespace
) -> None:
    """Go on with a training until all steps are made, or its minutes are over."""
    deadline = time.perf_counter() + 60 * arguments.minutes
    if not state.spread:
        first = Part(0, FIRST_STEPS, [FIRST_BASE], 3e-3, 1.5e-3, (0.3, 0.14), SIDES[0])
        _train_part(state, first, photographs, judged, arguments, deadline)
        if state.steps >= FIRST_STEPS:
            _spread(state)
    if state.spread:
        bases = range(len(TRAINED_RD_LAMBDAS))
        second = Part(FIRST_STEPS, arguments.steps, bases, 1.2e-3, 6e-4, (0.2, 0.13), SIDES[1])
        _train_part(state, second, photographs, judged, arguments, deadline)
    _save(state, arguments.output)


def _train_part(
    state: State,
    part: Part,
    photographs: Sequence[Photograph],
    judged: Sequence[Any],
    arguments: argparse.Namespace,
    deadline: float,
) -> None:
    """Go on with a part of the training to its end, or until the deadline."""
    gradients, filter_gradients = _differentiated(_loss), _differentiated(_filter_loss)
    end = min(part.end, arguments.steps)
    began = saved = time.perf_counter()
    losses: dict[int, list[float]] = {}
    with ThreadPoolExecutor(WORKERS) as pool:

        def begun() -> Any:
            index, inputs = _inputs(state, part, photographs, arguments.batch)
            function = filter_gradients if state.steps < FILTER_STEPS else gradients
            return pool.submit(lambda: (index, function(*inputs)))

        flight = deque(begun() for _ in range(WORKERS + 1))
        while state.steps < end and time.perf_counter() < deadline:
            index, (loss, of_network, of_base) = flight.popleft().result()
            position = part.position(state.steps)
            pace = min(1.0, (state.optimizer.steps + 1) / WARMUP_STEPS, max(0.01, (1 - position) / (1 - STABLE)))
            state.optimizer.step(state.network, of_network, part.learning_rate * pace)
            if state.steps >= FIXED_STEPS:
                pace *= min(1.0, (state.steps - FIXED_STEPS + 1) / RISING_STEPS)
                state.base_optimizers[index].step(state.bases[index], of_base, part.base_learning_rate * pace)
            losses.setdefault(index, []).append(loss)
            state.steps += 1
            _average(state)
            flight.append(begun())
            if state.steps >= end or time.perf_counter() - saved > SAVE_SECONDS:
                saved = time.perf_counter()
                _save(state, arguments.output)
                means = {f"{TRAINED_RD_LAMBDAS[at]:g}": round(float(np.mean(found)), 3) for at, found in losses.items()}
                print(f"{state.steps} steps, {saved - began:.0f} s, log(loss) {means}", flush=True)
                print(_report(state, part.bases, judged), flush=True)
                losses = {}


def _spread(state: State) -> None:
    """Let the first part's base weights and its network begin the second part for all lambdas."""
    base = state.average_bases[FIRST_BASE]
    sizes = [(rd_lambda / TRAINED_RD_LAMBDAS[FIRST_BASE]) ** SYMBOL_POWER for rd_lambda in TRAINED_RD_LAMBDAS]
    state.bases = [for_larger_symbols(base, size) for size in sizes]
    state.network = dict(state.average)
    for layer in analysis.layers():
        of_lambda = np.zeros((analysis.CONDITIONS, 2 * layer.outputs), np.float32)
        if layer.name.startswith("grid"):
            for index, size in enumerate(sizes):
                of_lambda += analysis.conditions(index, 0.0)[:, None] * np.float32([size - 1, 0])
        state.network[f"{layer.name}.condition"] = of_lambda
    state.spread = True
    state.begin_part()


def network(weights: dict[str, Any], images: Any, conditions: Any) -> list[Any]:
    """`analysis.analyse` in operations of Keras, for images of shape (images, height, width, 3), sides divisible by 64.

    Returns:
        Latents, finest first, each of shape (images, rows, columns).
    """
    layers = {layer.name: layer for layer in analysis.layers()}

    def convolve(name: str, values: Any) -> Any:
        layer = layers[name]
        gain, shift = ops.split(ops.matmul(conditions, weights[f"{name}.condition"]), 2)
        shape = (layer.side, layer.side, layer.inputs, layer.outputs)
        kernel = ops.reshape(weights[name], shape) * (1 + gain)
        values = ops.conv(values, kernel, padding="same") + weights[f"{name}.bias"] * (1 + gain) + shift
        return values if name.startswith("grid") else ops.hard_silu(values)

    values, coarse = _split(images - 0.5)
    down = []
    for level in range(LEVELS):
        if level:
            values = ops.average_pool(values, 2, padding="same")
        if level == analysis.COARSE_LEVEL:
            values = ops.concatenate([values, coarse], -1)
        values = convolve(f"down{level}", values)
        if level < analysis.DEEP_LEVELS:
            values = values + convolve(f"deep{level}", values)
        down.append(values)
    latents = [convolve(f"grid{LEVELS - 1}", values)[..., 0]]
    for level in reversed(range(LEVELS - 1)):
        joined = down[level]
        if level != analysis.COARSE_LEVEL - 1:
            joined = ops.concatenate([joined, ops.repeat(ops.repeat(values, 2, axis=1), 2, axis=2)], -1)
        values = convolve(f"join{level}", joined)
        values = values + convolve(f"up{level}", values)
        latents.append(convolve(f"grid{level}", values)[..., 0])
    return latents[::-1]


def _split(colours: Any) -> tuple[Any, Any]:
    """`analysis.split`, for colours of shape (images, height, width, 3)."""
    coarse = colours
    for _ in range(analysis.COARSE_LEVEL):
        coarse = ops.average_pool(coarse, 2, padding="same")
    enlarged = coarse
    for _ in range(analysis.COARSE_LEVEL):
        _, height, width, _ = enlarged.shape
        enlarged = ops.image.resize(enlarged, (2 * height, 2 * width), "bilinear", data_format="channels_last")
    return colours - enlarged, coarse


def crop_costs(base: dict[str, Any], grids: Sequence[Any], crop: Any, edge_weight: float = 0.0) -> tuple[Any, Any]:
    """Squared error of a crop, summed over samples, and bits of its symbols or what stands for them.

    Args:
        edge_weight: what is added to the weight of samples at the edges.
    """
    margin = graph.margin_of(PRESET_SIZES)
    decoded = graph.synthesize(PRESET_SIZES, base, [_extended(grid, margin) for grid in grids])
    target = ops.reshape(ops.moveaxis(crop, -1, 0), (CHANNELS, -1))
    bits = graph.symbol_bits(
        PRESET_SIZES, base, [ops.pad(grid, ((margin, margin), (margin, margin))) for grid in grids]
    )
    weights = _edge_weights(crop.shape[0], crop.shape[1], edge_weight)
    return ops.sum(ops.square(decoded - target) * weights), ops.sum(bits)


def _edge_weights(height: int, width: int, edge_weight: float) -> NDArray[np.float32]:
    """The weight of each pixel of a crop, shape (pixels,), mean 1."""
    down, across = (np.minimum(np.arange(side), np.arange(side)[::-1]) for side in (height, width))
    distance = np.minimum(down[:, None], across)
    weights = 1 + edge_weight * np.maximum(0, 1 - distance / EDGE_PIXELS)
    return np.asarray(weights / weights.mean(), np.float32).ravel()


def _extended(grid: Any, margin: int) -> Any:
    """A grid with its outermost cells repeated beyond its edges."""
    for axis in (0, 1):
        length = grid.shape[axis]
        grid = ops.take(grid, np.clip(np.arange(-margin, length + margin), 0, length - 1), axis)
    return grid


def _loss(weights: dict[str, Any], base: dict[str, Any], images: Any, settings: Settings, noise: Sequence[Any]) -> Any:
    """Mean over crops of log(loss).

    Args:
        noise: normal, with DEVIATION, in the latents' shapes.
    """
    latents = network(weights, images, settings.conditions)
    soft = [noisy_soft_round(grid, settings.temperature, normal) for grid, normal in zip(latents, noise, strict=True)]
    errors, bits = _costs_of_all(base, soft, images)
    pixels = images.shape[1] * images.shape[2]
    return ops.mean(ops.log((errors / CHANNELS + settings.rd_lambda * bits) / pixels))


def _filter_loss(
    weights: dict[str, Any], base: dict[str, Any], images: Any, settings: Settings, found: Sequence[Any]
) -> Any:
    """Mean squared difference of the latents from those that filters find, mean over grids; base weights do nothing."""
    latents = network(weights, images, settings.conditions)
    return ops.mean(ops.stack([ops.mean(ops.square(a - b)) for a, b in zip(latents, found, strict=True)]))


def _costs_of_all(base: dict[str, Any], grids: Sequence[Any], images: Any) -> tuple[Any, Any]:
    """`crop_costs` of each crop in training; grids and images have an axis for them."""
    if keras.backend.backend() == "jax":
        mapped: tuple[Any, Any] = ops.vectorized_map(
            lambda given: crop_costs(base, *given, edge_weight=EDGE_WEIGHT), (list(grids), images)
        )
        return mapped
    costs = [_compiled_costs()(base, [grid[at] for grid in grids], images[at]) for at in range(images.shape[0])]
    return ops.stack([error for error, _ in costs]), ops.stack([bits for _, bits in costs])


def _use_one_core_a_step() -> None:
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(1)


@cache
def _compiled_costs() -> Callable[..., tuple[Any, Any]]:
    """XLA for the networks of the base weights alone: its convolutions on CPUs are slow."""
    import tensorflow as tf

    compiled: Callable[..., tuple[Any, Any]] = tf.function(
        partial(crop_costs, edge_weight=EDGE_WEIGHT), autograph=False, jit_compile=True
    )
    return compiled


def _differentiated(loss: Callable[..., Any]) -> Callable[..., tuple[float, Tensors, Tensors]]:
    """A function that gives the loss and its gradients for the first two arguments, as NumPy's arrays."""

    def as_arrays(value: Any, gradients: Any) -> tuple[float, Tensors, Tensors]:
        first, second = ({name: np.asarray(part) for name, part in named.items()} for named in gradients)
        return float(value), first, second

    if keras.backend.backend() == "jax":
        import jax

        compiled = jax.jit(jax.value_and_grad(loss, (0, 1)))
        return lambda *inputs: as_arrays(*compiled(*inputs))
    import tensorflow as tf

    @tf.function(autograph=False)
    def traced(weights: Any, base: Any, *others: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch((weights, base))
            value = loss(weights, base, *others)
        return value, tape.gradient(value, (weights, base), unconnected_gradients="zero")

    return lambda *inputs: as_arrays(*traced(*inputs))


def _inputs(state: State, part: Part, photographs: Sequence[Photograph], batch: int) -> tuple[int, tuple[Any, ...]]:
    """For a step: number of its base weights, and what `_loss` or `_filter_loss` takes."""
    random = state.random
    index = part.bases[random.integers(len(part.bases))]
    offset = float(random.uniform(-0.5, 0.5)) if len(part.bases) > 1 else 0.0
    images = np.stack([crops.random_crop(photographs, part.side, random) for _ in range(batch)])
    early, late = part.temperatures
    settings = Settings(
        analysis.conditions(index, offset),
        np.float32(early + (late - early) * part.position(state.steps)),
        np.float32(TRAINED_RD_LAMBDAS[index] * 4**offset),
    )
    # Steps in flight keep the networks that they were begun with.
    given = dict(state.network), dict(state.bases[index]), images, settings
    if state.steps < FILTER_STEPS:
        found = zip(*(initial_latents.analyse(image, index) for image in images), strict=True)
        return index, (*given, list(map(np.stack, found)))
    shapes = [(batch, *shape) for shape in structure.grid_sizes((part.side, part.side))]
    return index, (*given, [np.float32(DEVIATION) * random.standard_normal(shape, np.float32) for shape in shapes])


def _average(state: State) -> None:
    decay = np.float32(min(AVERAGE_DECAY, state.optimizer.steps / (9 + state.optimizer.steps)))
    pairs = [(state.average, state.network), *zip(state.average_bases, state.bases, strict=True)]
    for average, present in pairs:
        for name, values in present.items():
            average[name] = decay * average[name] + (1 - decay) * values


def _report(state: State, bases: Sequence[int], judged: Sequence[NDArray[np.float32]]) -> str:
    """Means over images of log(loss), PSNR in dB and bits per pixel of rounded latents, for each lambda."""
    texts = []
    for index in bases:
        found, rd_lambda = [], TRAINED_RD_LAMBDAS[index]
        for image in judged:
            latents = network(state.average, image[None], analysis.conditions(index, 0.0))
            error, bits = crop_costs(state.average_bases[index], [ops.round(grid[0]) for grid in latents], image)
            mse, bits_per_pixel = float(error) / image.size, CHANNELS * float(bits) / image.size
            found.append((math.log(mse + rd_lambda * bits_per_pixel), -10 * math.log10(mse), bits_per_pixel))
        if found:
            loss, psnr, rate = np.mean(found, axis=0)
            texts.append(f"{rd_lambda:g}: {loss:.3f} ({psnr:.2f} dB {rate:.3f})")
    return "; ".join(texts)


def _resumed(output: Path, from_shipped: bool = False) -> State:
    """The state that a run has left, or that of a training that begins."""
    if (output / "state.pkl").exists():
        kept: dict[str, Any] = pickle.loads((output / "state.pkl").read_bytes())
        state = State(kept["network"], kept["bases"])
        vars(state).update(kept)
        return state
    indices = range(len(TRAINED_RD_LAMBDAS))
    first = ANALYSED_BASES if from_shipped else 0
    bases = [structure.as_floats(PRESET, structure.base_weights(PRESET, first + index, CHANNELS)) for index in indices]
    if from_shipped:
        return State(dict(analysis.weights()), bases, steps=FIRST_STEPS, spread=True)
    random = np.random.default_rng(0)
    started = {}
    for layer in analysis.layers():
        for name, shape in layer.shapes.items():
            started[name] = np.zeros(shape, np.float32)
        if not layer.name.startswith("grid"):  # latents begin at zero
            deviation = math.sqrt(2 / (layer.side**2 * layer.inputs))  # He et al. 2015
            started[layer.name] = np.float32(deviation * random.standard_normal(layer.shapes[layer.name]))
    return State(started, bases)


def _save(state: State, output: Path) -> None:
    """Leave the state, and what the package takes: the averages over steps."""
    partial = output / "state.part"
    partial.write_bytes(pickle.dumps(vars(state)))
    partial.replace(output / "state.pkl")
    parts = [state.average[name].ravel() for layer in analysis.layers() for name in layer.shapes]
    np.save(output / "analysis.npy", np.concatenate(parts).astype(np.float16))
    trained = dict(zip(TRAINED_RD_LAMBDAS, state.average_bases, strict=True))
    packed = packed_base_weights(trained)
    others = base_weights_path(PRESET).read_bytes()[: len(packed)]  # those for fits
    (output / f"base_weights_{PRESET}.bin").write_bytes(others + packed)


if __name__ == "__main__":
    _use_one_core_a_step()
    main()
