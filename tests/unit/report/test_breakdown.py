"""The breakdown of a file: its parts add up to its bytes, the bits of its layers to those of the payload."""

import math
from pathlib import Path

import numpy as np
import pytest

from pillow_inr.errors import DamagedFileError
from pillow_inr.format import metadata
from pillow_inr.format.metadata import Metadata
from pillow_inr.models.siren import weight_coding
from pillow_inr.models.siren.breakdown import measure_layers
from tests.support import container
from tests.support.checks import SAMPLES, VECTORS, with_chunks

RGB = VECTORS / "rgb.inr"
FILES = [SAMPLES / "kodim15.inr", *sorted(VECTORS.glob("*.inr")), *sorted((VECTORS / "siren").glob("*.inr"))]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_parts_and_bits_add_up(path: Path) -> None:
    data = path.read_bytes()
    file = container.take_apart(data)
    assert sum(part.bytes for part in file.parts) == len(data)
    payload_bits = 8 * file.header.payload_bytes
    assert sum(row.bits for row in file.model.rows) == pytest.approx(payload_bits)
    # The last row, the end of the stream, is within the last two words; a mosaic's has its division, too: a flag for
    # each region, of which there are at most twice as many as networks.
    networks = file.header.model.networks
    assert 0 < file.model.rows[-1].bits <= 64 + (2 * networks if networks > 1 else 0)
    assert all(layer.kernel.bits > 0 and layer.bias.bits > 0 for layer in measure_layers(container.read_file(data)))


def test_layers_are_those_of_the_network() -> None:
    data = RGB.read_bytes()
    layers = measure_layers(container.read_file(data))
    header, payload, _ = container.unpack(data)
    architecture = header.model.architecture(header.channels)
    tensors = list(weight_coding.decode_tensors(payload, architecture.shapes, header.model.coding))
    found = [tensor for layer in layers for tensor in (layer.kernel, layer.bias)]
    assert len(layers) == header.model.depth + 1
    assert sum(layer.weight_count for layer in layers) == architecture.weight_count
    for tensor, expected in zip(found, tensors, strict=True):
        np.testing.assert_array_equal(tensor.symbols, expected.symbols)


def test_layers_of_a_mosaic_are_those_of_all_its_networks() -> None:
    data = (VECTORS / "siren" / "mosaic.inr").read_bytes()
    layers = measure_layers(container.read_file(data))
    header, payload, _ = container.unpack(data)
    architecture, tensors = header.model.architecture(header.channels), container.siren_tensors(header, payload)
    assert header.model.networks == 5 and len(layers) == header.model.depth + 1
    assert sum(layer.weight_count for layer in layers) == 5 * architecture.weight_count
    found = [tensors_of for layer in layers for tensors_of in (layer.kernel, layer.bias)]
    for position, tensors_of in enumerate(found):
        own = tensors[position :: len(architecture.shapes)]
        assert tensors_of.shape == architecture.shapes[position]
        np.testing.assert_array_equal(tensors_of.symbols, np.concatenate([tensor.symbols for tensor in own]))
    breakdown = container.take_apart(data).model
    assert breakdown.json["networks"] == 5 and breakdown.json["widths"] == [12, 9, 7]
    assert breakdown.lines[0] == ("networks", "5 SIRENs, 3 sine layers of 12, 9, 7 units, blended over 4 pixels")


def test_bits_are_the_information_of_the_symbols() -> None:
    # An all-zero tensor is coded as the difference of its step index and its magnitude, one of 16.
    kernel = weight_coding.CodedTensor(np.zeros((2, 3), np.int32), 144)
    bias = weight_coding.CodedTensor(np.zeros(3, np.int32), 144)
    payload = weight_coding.encode_tensors([kernel, bias, kernel, bias])
    measured = list(weight_coding.measure_tensors(payload, [(2, 3), (3,)] * 2, 1))
    # The most probable of 511 integers under a Laplace distribution of scale 3.
    step_bits = -math.log2(1 - math.exp(-1 / 6))
    assert [bits for _, bits in measured] == pytest.approx([step_bits + 4] * 4, abs=0.01)


def test_chunks_are_named() -> None:
    kept = Metadata(exif=b"exif", dpi=(72.0, 72.0)).to_chunks()
    data = with_chunks(RGB.read_bytes(), *kept, metadata.psnr_chunk(30.0))
    parts = container.take_apart(data).parts
    assert [part.name for part in parts] == ["header", "weights", "exif", "dpi", "psnr", "checksum"]
    assert [part.label for part in parts][2:5] == ["EXIF", "dpi", "PSNR"]
    assert sum(part.bytes for part in parts) == len(data)


def test_damage_is_noticed() -> None:
    data = bytearray(RGB.read_bytes())
    data[40] ^= 1
    with pytest.raises(DamagedFileError):
        container.take_apart(bytes(data))
