"""Train the pyramid's analysis network together with the base weights that it serves, on photographs.

The loss of a crop is log(mean squared error + lambda * bits per pixel) of what the base weights' networks make of the
analysis network's latents, soft-rounded with noise (Balle et al. 2017, "End-to-end optimized image compression"; Blard
et al. 2024, "Overfitted image coding at reduced complexity"). Each crop has one lambda, near that of one of the base
weights; SOAP trains all networks. The learning rate is constant, and falls to 0 in the last part; averages over steps
are what is kept (Polyak and Juditsky 1992). Do not train on images on which results are reported.

Everything is written in keras.ops: it runs on TensorFlow, and on JAX on a GPU machine (KERAS_BACKEND=jax, --batch 32).
Photographs are read from folders, or from a file that --pack made of them, for a machine without them. The state is
saved every few minutes; a run that finds one in its output folder goes on from there, also to a later end.
"""

import argparse
import math
import pickle
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import keras
import numpy as np
from common import image_paths, machine, rgb_image
from keras import ops
from numpy.typing import NDArray
from PIL import Image
from train_base_weights import packed_base_weights

from pillow_inr.models.pyramid import analysis, structure
from pillow_inr.models.pyramid.plan import ANALYSED_BASES, PRESET, TRAINED_RD_LAMBDAS
from pillow_inr.models.pyramid.structure import LEVELS, base_weights_path
from pillow_inr.models.pyramid.training import graph
from pillow_inr.models.pyramid.training.soap import Soap, Tensors
from pillow_inr.models.pyramid.training.soft_rounding import noisy_soft_round

CHANNELS = 3
SIDE = 256
# Part of the crops that show fewer pixels, enlarged by up to ENLARGEMENT: large photographs are softer than small ones.
ENLARGED = 0.5
ENLARGEMENT = 4.0
LEARNING_RATE = 8e-3
BASE_LEARNING_RATE = 4e-3
WARMUP_STEPS = 40
# Part of the training at a constant learning rate.
STABLE = 0.6
CLIP = 1.0
BASE_CLIP = 3.0
# Temperature of soft rounding at the beginning and at the end, and standard deviation of the noise in symbols.
TEMPERATURES = (0.35, 0.15)
DEVIATION = 0.2
AVERAGE_DECAY = 0.998
# Crops of a step have this many lambdas.
GROUPS = 2
SAVE_SECONDS = 240
PACKED_SIDE = 384
PRESET_SIZES = structure.PRESETS[PRESET]

Photograph = NDArray[np.uint8]


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
    crops: int = 0

    def __post_init__(self) -> None:
        self.average, self.average_bases = dict(self.network), [dict(base) for base in self.bases]
        self.optimizer = Soap(self.network, CLIP)
        self.base_optimizers = [Soap(base, BASE_CLIP) for base in self.bases]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photographs", type=Path, nargs="+", help=f"folders of photographs of {SIDE}x{SIDE} or more")
    parser.add_argument("--output", type=Path, default=Path("build/analysis"))
    parser.add_argument("--crops", type=int, default=30_000, help="crops of the whole training")
    parser.add_argument("--batch", type=int, default=2, help=f"crops of a step, a multiple of {GROUPS}")
    parser.add_argument("--minutes", type=float, default=math.inf, help="save and end after this time")
    parser.add_argument("--pack", type=int, metavar="N", help="write N random parts of 384x384 to PHOTOGRAPHS.npy; end")
    parser.add_argument("--from-shipped", action="store_true", help="begin with the package's networks")
    parser.add_argument("--evaluate", type=Path, nargs="*", default=[], help="images to report on now and then")
    arguments = parser.parse_args()
    print(machine(), keras.backend.backend())
    photographs = _read(arguments.photographs)
    arguments.output.mkdir(parents=True, exist_ok=True)
    if arguments.pack:
        np.save(arguments.output / "photographs.npy", _packed(photographs, arguments.pack))
        return
    state = _resumed(arguments.output, arguments.from_shipped)
    judged = [np.asarray(rgb_image(path), np.float32)[:SIDE, :SIDE] / 255 for path in arguments.evaluate]
    train(state, photographs, judged, arguments)


def train(
    state: State, photographs: Sequence[Photograph], judged: Sequence[Any], arguments: argparse.Namespace
) -> None:
    """Go on with a training until all crops are seen, or its minutes are over."""
    gradients = _differentiated(_loss)
    pool = ThreadPoolExecutor(GROUPS)
    began = saved = time.perf_counter()
    losses: dict[int, list[float]] = {}
    while state.crops < arguments.crops and time.perf_counter() - began < 60 * arguments.minutes:
        position = state.crops / arguments.crops
        pace = min(1.0, (state.steps + 1) / WARMUP_STEPS, max(0.01, (1 - position) / (1 - STABLE)))
        temperature = TEMPERATURES[0] + (TEMPERATURES[1] - TEMPERATURES[0]) * position
        inputs = _inputs(state, photographs, arguments.batch, temperature)
        groups = list(pool.map(lambda group: (group[0], gradients(*group[1])), inputs))
        state.optimizer.step(state.network, _mean([found[1] for _, found in groups]), LEARNING_RATE * pace)
        for index in {index for index, _ in groups}:
            of_base = _mean([found[2] for other, found in groups if other == index])
            state.base_optimizers[index].step(state.bases[index], of_base, BASE_LEARNING_RATE * pace)
            losses.setdefault(index, []).extend(found[0] for other, found in groups if other == index)
        state.steps += 1
        state.crops += arguments.batch
        _average(state)
        ended = state.crops >= arguments.crops
        if ended or time.perf_counter() - saved > SAVE_SECONDS:
            saved = time.perf_counter()
            _save(state, arguments.output)
            means = {
                f"{TRAINED_RD_LAMBDAS[index]:g}": round(float(np.mean(found)), 3) for index, found in losses.items()
            }
            print(f"{state.crops} crops, {saved - began:.0f} s, log(loss) {means} {_report(state, judged)}", flush=True)
            losses = {}
    _save(state, arguments.output)


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

    values = images - 0.5
    down = []
    for level in range(LEVELS):
        values = convolve(f"down{level}", ops.average_pool(values, 2, padding="same") if level else values)
        if level < analysis.DEEP_LEVELS:
            values = values + convolve(f"deep{level}", values)
        down.append(values)
    latents = [convolve(f"grid{LEVELS - 1}", values)[..., 0]]
    for level in reversed(range(LEVELS - 1)):
        enlarged = ops.repeat(ops.repeat(values, 2, axis=1), 2, axis=2)
        values = convolve(f"join{level}", ops.concatenate([down[level], enlarged], -1))
        values = values + convolve(f"up{level}", values)
        latents.append(convolve(f"grid{level}", values)[..., 0])
    return latents[::-1]


def crop_costs(base: dict[str, Any], grids: Sequence[Any], crop: Any) -> tuple[Any, Any]:
    """Squared error of a crop, summed over samples, and bits of its symbols or what stands for them."""
    margin = graph.margin_of(PRESET_SIZES)
    decoded = graph.synthesize(PRESET_SIZES, base, [_extended(grid, margin) for grid in grids])
    target = ops.reshape(ops.moveaxis(crop, -1, 0), (CHANNELS, -1))
    bits = graph.symbol_bits(
        PRESET_SIZES, base, [ops.pad(grid, ((margin, margin), (margin, margin))) for grid in grids]
    )
    return ops.sum(ops.square(decoded - target)), ops.sum(bits)


def _extended(grid: Any, margin: int) -> Any:
    """A grid with its outermost cells repeated beyond its edges."""
    for axis in (0, 1):
        length = grid.shape[axis]
        grid = ops.take(grid, np.clip(np.arange(-margin, length + margin), 0, length - 1), axis)
    return grid


def _loss(weights: dict[str, Any], base: dict[str, Any], images: Any, settings: Any, noise: Sequence[Any]) -> Any:
    """Mean over crops of log(loss).

    Args:
        settings: conditions of the network, temperature, deviation of the noise, lambda.
        noise: standard normal, in the latents' shapes.
    """
    temperature, deviation, rd_lambda = settings[-3], settings[-2], settings[-1]
    latents = network(weights, images, settings[:-3])
    soft = [
        noisy_soft_round(grid, temperature, deviation * normal) for grid, normal in zip(latents, noise, strict=True)
    ]
    errors, bits = _costs_of_all(base, soft, images)
    return ops.mean(ops.log((errors / CHANNELS + rd_lambda * bits) / SIDE**2))


def _costs_of_all(base: dict[str, Any], grids: Sequence[Any], images: Any) -> tuple[Any, Any]:
    """`crop_costs` of each crop; grids and images have an axis for them."""
    if keras.backend.backend() == "jax":
        mapped: tuple[Any, Any] = ops.vectorized_map(lambda given: crop_costs(base, *given), (list(grids), images))
        return mapped
    costs = [_compiled_costs()(base, [grid[at] for grid in grids], images[at]) for at in range(images.shape[0])]
    return ops.stack([error for error, _ in costs]), ops.stack([bits for _, bits in costs])


@cache
def _compiled_costs() -> Callable[..., tuple[Any, Any]]:
    """XLA for the networks of the base weights alone: its convolutions on CPUs are slow."""
    import tensorflow as tf

    compiled: Callable[..., tuple[Any, Any]] = tf.function(crop_costs, autograph=False, jit_compile=True)
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
        return value, tape.gradient(value, (weights, base))

    return lambda *inputs: as_arrays(*traced(*inputs))


def _inputs(
    state: State, photographs: Sequence[Photograph], batch: int, temperature: float
) -> Iterator[tuple[int, tuple[Any, ...]]]:
    """For each group of a step: number of its base weights, and what `_loss` takes."""
    random = state.random
    for _ in range(GROUPS):
        index, offset = int(random.integers(len(TRAINED_RD_LAMBDAS))), float(random.uniform(-0.5, 0.5))
        images = np.stack([_crop(photographs, random) for _ in range(batch // GROUPS)])
        rd_lambda = TRAINED_RD_LAMBDAS[index] * 4**offset
        settings = np.array([*analysis.conditions(index, offset), temperature, DEVIATION, rd_lambda], np.float32)
        shapes = [(len(images), *shape) for shape in structure.grid_sizes((SIDE, SIDE))]
        noise = [random.standard_normal(shape, np.float32) for shape in shapes]
        yield index, (state.network, state.bases[index], images, settings, noise)


def _crop(photographs: Sequence[Photograph], random: np.random.Generator) -> NDArray[np.float32]:
    """A random part of a photograph, each pixel of all of them as likely, shape (SIDE, SIDE, 3), in 0..1."""
    areas = np.array([math.prod(photograph.shape[:2]) for photograph in photographs], float)
    photograph = photographs[random.choice(len(photographs), p=areas / areas.sum())]
    enlarged = random.random() < ENLARGED
    side = round(SIDE / random.uniform(1.0, ENLARGEMENT)) if enlarged else SIDE
    top, left = (int(random.integers(length - side + 1)) for length in photograph.shape[:2])
    crop = photograph[top : top + side, left : left + side]
    if enlarged:
        crop = np.asarray(Image.fromarray(crop).resize((SIDE, SIDE), Image.Resampling.BICUBIC))
    return crop[:, :: random.choice([-1, 1])].astype(np.float32) / 255


def _mean(gradients: Sequence[Tensors]) -> Tensors:
    return {name: np.mean([found[name] for found in gradients], axis=0) for name in gradients[0]}


def _average(state: State) -> None:
    decay = np.float32(min(AVERAGE_DECAY, (1 + state.steps) / (10 + state.steps)))
    pairs = [(state.average, state.network), *zip(state.average_bases, state.bases, strict=True)]
    for average, present in pairs:
        for name, values in present.items():
            average[name] = decay * average[name] + (1 - decay) * values


def _report(state: State, judged: Sequence[NDArray[np.float32]]) -> str:
    """Means over images of log(loss), PSNR in dB and bits per pixel of rounded latents, for each lambda."""
    texts = []
    for index, rd_lambda in enumerate(TRAINED_RD_LAMBDAS):
        found = []
        for image in judged:
            latents = network(state.average, image[None], analysis.conditions(index, 0.0))
            error, bits = crop_costs(state.average_bases[index], [ops.round(grid[0]) for grid in latents], image)
            mse, bits_per_pixel = float(error) / image.size, float(bits) / SIDE**2
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
        return State(dict(analysis.weights()), bases)
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


def _read(paths: Sequence[Path]) -> list[Photograph]:
    """Photographs of folders, or of the files of --pack."""
    found: list[Photograph] = []
    for path in paths:
        found += np.load(path) if path.suffix == ".npy" else [np.asarray(rgb_image(each)) for each in image_paths(path)]
    return found


def _packed(photographs: Sequence[Photograph], count: int) -> Photograph:
    """Random parts of photographs, shape (count, 384, 384, 3): 100 of them have 44 MB."""
    random = np.random.default_rng(0)
    parts = []
    for index in random.permutation(np.arange(count) % len(photographs)):
        photograph = photographs[index]
        top, left = (int(random.integers(length - PACKED_SIDE + 1)) for length in photograph.shape[:2])
        parts.append(photograph[top : top + PACKED_SIDE, left : left + PACKED_SIDE])
    return np.stack(parts)


if __name__ == "__main__":
    main()
