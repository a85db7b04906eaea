"""The decoder written from docs/format.md agrees with the package: the document is enough."""

import numpy as np
import pytest

import pillow_inr
from pillow_inr import container, distributions, entropy
from pillow_inr.architecture import Architecture
from pillow_inr.errors import FormatError

from . import coding0, plain_decoder
from .checks import VECTORS, check_pixels

WRITERS = {0: coding0.encode_tensors, 1: entropy.encode_tensors}
CODINGS = pytest.mark.parametrize("coding", WRITERS)


@pytest.mark.parametrize("name", sorted(path.stem for path in VECTORS.glob("*.inr")))
def test_vectors_decode_alike(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PILLOW_INR_INITS", str(VECTORS / "inits"))
    data = (VECTORS / f"{name}.inr").read_bytes()
    (width, height, channels), tensors, pixels = plain_decoder.decode(data, _initialization())
    header, payload, _ = container.unpack(data)
    ours = entropy.decode_tensors(payload, Architecture.of(header).shapes, header.coding)
    for (step_index, symbols), tensor in zip(tensors, ours, strict=True):
        assert (step_index, symbols) == (tensor.step_index, tensor.symbols.ravel().tolist())
    theirs = np.array(pixels).reshape(height, width, channels)
    check_pixels(theirs, pillow_inr.decode(data).reshape(theirs.shape), header)


def _initialization() -> tuple[list[int], list[list[float]]]:
    """The vectors' initialization: width, depth, channels, frequencies, growth; its tensors."""
    with np.load(VECTORS / "inits" / "small.npz") as archive:
        architecture = archive["architecture"].tolist()
        names = [f"{kind}_{layer}" for layer in range(1, architecture[1] + 2) for kind in ("kernel", "bias")]
        return architecture, [archive[name].ravel().tolist() for name in names]


def test_the_document_and_the_code_have_one_table() -> None:
    assert tuple(plain_decoder.TABLE) == distributions.DECAYS


@CODINGS
def test_cumulative_frequencies_of_a_long_table(coding: int) -> None:
    """Beside the vectors' small alphabets, the largest: its symbols must land in the same intervals."""
    symbols = [np.array(values, np.int32) for values in ([[-32767], [16383]], [-5], [[32767]], [1])]
    payload = WRITERS[coding]([entropy.CodedTensor(tensor, 200) for tensor in symbols])
    theirs = plain_decoder.decode_weights(payload, [tensor.shape for tensor in symbols], coding)
    assert theirs == [(200, tensor.ravel().tolist()) for tensor in symbols]


@CODINGS
def test_damaged_payloads_are_read_or_refused_alike(coding: int) -> None:
    rng = np.random.default_rng(0)
    shapes = [(6, 4), (4,), (4, 4), (4,), (4, 2), (2,)]
    tensors = [
        entropy.CodedTensor(np.rint(rng.laplace(0, 3, shape)).astype(np.int32), 150 + i)
        for i, shape in enumerate(shapes)
    ]
    # Coding 1 has one sorted bias and one that is not.
    tensors[1] = entropy.CodedTensor(np.sort(np.abs(tensors[1].symbols)), 151)
    payload = WRITERS[coding](tensors)
    outcomes = set()
    for bit in range(0, 8 * len(payload)):
        damaged = bytearray(payload)
        damaged[bit // 8] ^= 1 << bit % 8
        try:
            decoded = entropy.decode_tensors(bytes(damaged), shapes, coding)
            ours = [(tensor.step_index, tensor.symbols.ravel().tolist()) for tensor in decoded]
        except FormatError:
            ours = None
        try:
            theirs = plain_decoder.decode_weights(bytes(damaged), shapes, coding)
        except ValueError:
            theirs = None
        assert ours == theirs
        outcomes.add(ours is None)
    assert outcomes == {True, False}
