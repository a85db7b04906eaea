"""The decoder written from docs/format.md agrees with the package: the document is enough."""

import numpy as np
import pytest

import pillow_inr
from pillow_inr import container, entropy
from pillow_inr.errors import FormatError

from . import plain_decoder
from .checks import VECTORS


@pytest.mark.parametrize("name", ["grey", "grey_alpha", "rgb", "rgba", "plain", "difference"])
def test_vectors_decode_alike(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PILLOW_INR_INITS", str(VECTORS / "inits"))
    data = (VECTORS / f"{name}.inr").read_bytes()
    (width, height, channels), tensors, pixels = plain_decoder.decode(data, _initialization())
    _, payload, _ = container.unpack(data)
    ours = entropy.decode_tensors(payload, [(len(symbols),) for _, symbols in tensors])
    for (step_index, symbols), tensor in zip(tensors, ours, strict=True):
        assert (step_index, symbols) == (tensor.step_index, tensor.symbols.tolist())
    theirs = np.array(pixels).reshape(height, width, channels)
    difference = np.abs(theirs - pillow_inr.decode(data).reshape(theirs.shape).astype(int))
    assert difference.max() <= 1
    assert (difference > 0).mean() <= 1e-3


def _initialization() -> tuple[list[int], list[list[float]]]:
    """The vectors' initialization: width, depth, channels, frequencies, growth; its tensors."""
    with np.load(VECTORS / "inits" / "small.npz") as archive:
        architecture = archive["architecture"].tolist()
        names = [f"{kind}_{layer}" for layer in range(1, architecture[1] + 2) for kind in ("kernel", "bias")]
        return architecture, [archive[name].ravel().tolist() for name in names]


def test_the_document_and_the_code_have_one_table() -> None:
    assert tuple(plain_decoder.TABLE) == entropy.DECAYS


def test_cumulative_frequencies_of_a_long_table() -> None:
    """Beside the vectors' small alphabets, the largest: its symbols must land in the same intervals."""
    symbols = np.array([-32767, -5, 0, 1, 16383, 32767], np.int32)
    payload = entropy.encode_tensors([entropy.CodedTensor(symbols, 200)])
    assert plain_decoder.decode_weights(payload, [6]) == [(200, symbols.tolist())]


def test_damaged_payloads_are_read_or_refused_alike() -> None:
    rng = np.random.default_rng(0)
    shapes = [(6, 4), (4,)]
    tensors = [
        entropy.CodedTensor(np.rint(rng.laplace(0, 3, shape)).astype(np.int32), 150 + i)
        for i, shape in enumerate(shapes)
    ]
    payload = entropy.encode_tensors(tensors)
    outcomes = set()
    for bit in range(0, 8 * len(payload)):
        damaged = bytearray(payload)
        damaged[bit // 8] ^= 1 << bit % 8
        try:
            ours = [(t.step_index, t.symbols.ravel().tolist()) for t in entropy.decode_tensors(bytes(damaged), shapes)]
        except FormatError:
            ours = None
        try:
            theirs = plain_decoder.decode_weights(bytes(damaged), [24, 4])
        except ValueError:
            theirs = None
        assert ours == theirs
        outcomes.add(ours is None)
    assert outcomes == {True, False}
