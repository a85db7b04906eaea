"""Where the bits of a SIREN's payload are, layer by layer."""

from typing import Any, NamedTuple

from ...entropy.quantization import step_size
from ...format.file import File
from ..base import Breakdown, Histogram, Row
from . import weight_coding
from .header import SirenHeader
from .weight_coding import CodedTensor


class Layer(NamedTuple):
    """A layer of the network: the sine layers in order, then the linear output."""

    kernel: CodedTensor
    bias: CodedTensor
    kernel_bits: float
    """Length in the stream, parameters included."""
    bias_bits: float

    @property
    def bits(self) -> float:
        """Length in the stream."""
        return self.kernel_bits + self.bias_bits

    @property
    def weight_count(self) -> int:
        """Number of weights, biases included."""
        return self.kernel.symbols.size + self.bias.symbols.size


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
            Row("end of the stream", ("", "", ""), end_bits),
        ],
        element="weight",
        histograms_title="kernels: quantized weights",
        json=_json(file.header.model, layers, end_bits),
    )


def measure_layers(file: File[SirenHeader]) -> list[Layer]:
    """Symbols and lengths of each layer; where the file names reference weights, symbols of residuals."""
    header = file.header
    shapes = header.model.architecture(header.channels).shapes
    tensors = list(weight_coding.measure_tensors(file.payload, shapes, header.model.coding))
    pairs = zip(tensors[::2], tensors[1::2], strict=True)
    return [Layer(kernel, bias, kernel_bits, bias_bits) for (kernel, kernel_bits), (bias, bias_bits) in pairs]


def _lines(file: File[SirenHeader], layers: list[Layer]) -> list[tuple[str, str]]:
    model = file.header.model
    encoding = "plain coordinates"
    if model.frequencies:
        encoding = f"{model.frequencies} Fourier frequencies an axis, ratio {model.frequency_ratio / 100:.2f}"
    weights = sum(layer.weight_count for layer in layers)
    return [
        ("network", f"SIREN, {model.depth} sine layers of {model.width} units"),
        ("input", encoding),
        ("weights", f"{weights:,}, {sum(layer.bits for layer in layers) / weights:.2f} bits each"),
    ]


def _row(layers: list[Layer], index: int) -> Row:
    layer, number = layers[index], index + 1
    kind = "sine" if number < len(layers) else "linear"
    step = f"{step_size(layer.kernel.step_index):.2g}"
    return Row(
        label=f"{number} {kind}",
        columns=("×".join(map(str, layer.kernel.symbols.shape)), f"{layer.weight_count:,}", step),
        bits=layer.bits,
        elements=layer.weight_count,
        share_label=f"layer {number}",
        histogram=Histogram(f"{kind} layer {number}", f"weight / step ({step})", layer.kernel.symbols),
    )


def _json(model: SirenHeader, layers: list[Layer], end_bits: float) -> dict[str, Any]:
    return {
        "frequencies": model.frequencies,
        "growth": model.frequency_ratio / 100,
        "layers": [
            {
                "layer": number,
                "bits": layer.bits,
                "kernel": _tensor(layer.kernel, layer.kernel_bits),
                "bias": _tensor(layer.bias, layer.bias_bits),
            }
            for number, layer in enumerate(layers, 1)
        ],
        "end_bits": end_bits,
    }


def _tensor(tensor: CodedTensor, bits: float) -> dict[str, Any]:
    return {"shape": tensor.symbols.shape, "step": step_size(tensor.step_index), "bits": bits}
