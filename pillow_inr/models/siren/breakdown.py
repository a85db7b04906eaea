"""Where the bits of a SIREN's payload are, layer by layer; of a mosaic, the layers of all networks together."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...entropy.quantization import step_size
from ...format.file import File
from ..base import Breakdown, Histogram, Row
from . import mosaic_coding
from .header import SirenHeader
from .weight_coding import CodedTensor


class Tensors(NamedTuple):
    """The same tensor of all networks."""

    coded: list[CodedTensor]
    bits: float
    """Length in the stream, parameters included."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of each."""
        return self.coded[0].symbols.shape

    @property
    def size(self) -> int:
        """Number of weights of all."""
        return sum(tensor.symbols.size for tensor in self.coded)

    @property
    def step(self) -> float:
        """The quantization step, of several networks the median."""
        return step_size(sorted(tensor.step_index for tensor in self.coded)[len(self.coded) // 2])

    @property
    def symbols(self) -> NDArray[np.int32]:
        """The symbols of all, one network after another along the first axis."""
        return np.concatenate([tensor.symbols for tensor in self.coded])


class Layer(NamedTuple):
    """A layer of the networks: the sine layers in order, then the linear output."""

    kernel: Tensors
    bias: Tensors

    @property
    def bits(self) -> float:
        """Length in the stream."""
        return self.kernel.bits + self.bias.bits

    @property
    def weight_count(self) -> int:
        """Number of weights, biases included."""
        return self.kernel.size + self.bias.size


def breakdown(file: File[SirenHeader]) -> Breakdown:
    """Decode the symbols and measure what they take.

    Raises:
        FormatError: the payload is damaged.
    """
    layers = measure_layers(file)
    end_bits = 8 * len(file.payload) - sum(layer.bits for layer in layers)
    return Breakdown(
        part="weights",
        lines=_lines(file, layers),
        headings=("layer", "kernel", "weights", "step", "bits", "bits/weight"),
        rows=[
            *(_row(layers, number) for number in range(len(layers))),
            Row("end of the stream" if file.header.model.networks == 1 else "division, end", ("", "", ""), end_bits),
        ],
        element="weight",
        histograms_title="kernels: quantized weights",
        json=_json(file.header.model, layers, end_bits),
    )


def measure_layers(file: File[SirenHeader]) -> list[Layer]:
    """Symbols and lengths of each layer; where the file names reference weights, symbols of residuals."""
    header = file.header
    shapes = header.model.architecture(header.channels).shapes
    measured = list(mosaic_coding.measure_networks(file.payload, header.size, header.model, shapes))
    tensors = [_together(measured[position :: len(shapes)]) for position in range(len(shapes))]
    return [Layer(kernel, bias) for kernel, bias in zip(tensors[::2], tensors[1::2], strict=True)]


def _together(measured: Sequence[tuple[CodedTensor, float]]) -> Tensors:
    return Tensors([tensor for tensor, _ in measured], sum(bits for _, bits in measured))


def _lines(file: File[SirenHeader], layers: list[Layer]) -> list[tuple[str, str]]:
    model = file.header.model
    encoding = "plain coordinates"
    if model.frequencies:
        encoding = f"{model.frequencies} Fourier frequencies an axis, ratio {model.frequency_ratio / 100:.2f}"
    weights = sum(layer.weight_count for layer in layers)
    return [
        ("network" if model.networks == 1 else "networks", _network_text(model, file.header.channels)),
        ("input", encoding),
        ("weights", f"{weights:,}, {sum(layer.bits for layer in layers) / weights:.2f} bits each"),
    ]


def _network_text(model: SirenHeader, channels: int) -> str:
    count = "SIREN" if model.networks == 1 else f"{model.networks} SIRENs"
    widths = model.architecture(channels).widths
    units = f"{model.width}" if len(set(widths)) == 1 else ", ".join(map(str, widths))
    blended = f", blended over {2 * model.overlap} pixels" if model.networks > 1 and model.overlap else ""
    return f"{count}, {model.depth} sine layers of {units} units{blended}"


def _row(layers: list[Layer], index: int) -> Row:
    layer, number = layers[index], index + 1
    kind = "sine" if number < len(layers) else "linear"
    step = f"{layer.kernel.step:.2g}"
    return Row(
        label=f"{number} {kind}",
        columns=("×".join(map(str, layer.kernel.shape)), f"{layer.weight_count:,}", step),
        bits=layer.bits,
        elements=layer.weight_count,
        share_label=f"layer {number}",
        histogram=Histogram(f"{kind} layer {number}", f"weight / step ({step})", layer.kernel.symbols),
    )


def _json(model: SirenHeader, layers: list[Layer], end_bits: float) -> dict[str, Any]:
    widths = [layer.bias.shape[0] for layer in layers[:-1]]
    return {
        "frequencies": model.frequencies,
        "growth": model.frequency_ratio / 100,
        "networks": model.networks,
        "widths": widths,
        "overlap": model.overlap,
        "layers": [
            {
                "layer": number,
                "bits": layer.bits,
                "kernel": _tensor(layer.kernel),
                "bias": _tensor(layer.bias),
            }
            for number, layer in enumerate(layers, 1)
        ],
        "end_bits": end_bits,
    }


def _tensor(tensors: Tensors) -> dict[str, Any]:
    return {"shape": tensors.shape, "step": tensors.step, "bits": tensors.bits}
