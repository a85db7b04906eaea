"""Makes one conformance vector: `python tests/vectors/make.py NAME MODE WIDTH DEPTH ENCODING COLUMNS ROWS [INIT]`.

MODE is one of Pillow's, or "bands": five channels of floating point, each with a range of its own. With NAME as the
only argument the weights are random, not fitted: see `drawn`.

Vectors are frozen: every later release must decode them, so this refuses to overwrite one. `grey`,
`grey_alpha`, `rgb`, `rgba`, `plain` and `difference` were made when files had coding 0. A new one needs a line in
`SHA256SUMS` (`sha256sum`).
"""

import io
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

import pillow_inr
from pillow_inr.models.siren import weight_coding
from tests.support import container


def fitted(mode: str, width: int, depth: int, encoding: str, columns: int, rows: int, init: str | None = None) -> bytes:
    """An image of ramps, a disc and a ridge, encoded."""
    x, y = np.meshgrid(np.linspace(-1, 1, columns), np.linspace(-1, 1, rows))
    planes = [(x + 1) / 2, (y + 1) / 2, x**2 + y**2 < 0.5, np.exp(-2 * (x - y) ** 2)]
    if mode == "bands":
        pixels = np.stack([10.0**index * plane - 7 for index, plane in enumerate([*planes, x * y])], axis=-1)
        pixels = pixels.astype(np.float32)
    elif mode == "I;16":
        pixels = np.rint(300 + 40000 * planes[3]).astype(np.uint16)
    else:
        order = {"L": [2], "LA": [0, 3], "RGB": [0, 1, 2], "RGBA": [0, 1, 2, 3]}[mode]
        pixels = np.rint(255 * np.stack([planes[index] for index in order], axis=-1)).astype(np.uint8)
        pixels = pixels.squeeze()
    learned = pillow_inr.register_initialization(init) if init else None
    metadata = {"exif": b"II*\0\x08\0\0\0\0\0\0\0\0\0", "xmp": "<x/>", "comment": "a vector", "dpi": (72, 300.5)}
    data = pillow_inr.encode(
        pixels, width=width, depth=depth, encoding=encoding, init=learned, steps=800, icc_profile=b"RGB ", **metadata
    )
    print(f"{Image.open(io.BytesIO(data)).info['psnr'] if mode != 'bands' else 0} dB")
    return data


def drawn() -> bytes:
    """A network with features that fits of tiny images lack: column offsets, biases of both signs, a bias of zeros."""
    rng = np.random.default_rng(1)
    fields = {"encoding": container.ENCODING_FOURIER, "frequencies": 3, "frequency_ratio": 200, "width": 12, "depth": 3}
    header = container.header(size=(9, 7), pixel_format=3, payload_bytes=0, chunks_bytes=0, **fields)
    tensors = []
    for position, shape in enumerate(header.model.architecture(header.channels).shapes):
        spread = 40 * 4.0 ** -rng.integers(0, 3, shape[-1])
        symbols = np.rint(rng.laplace(0, spread, shape)).astype(np.int32)
        tensors.append(weight_coding.CodedTensor(symbols * (position != 3), 152 - position))
    payload = weight_coding.encode_tensors(tensors)
    return container.pack(replace(header, payload_bytes=len(payload)), payload)


def main() -> None:
    name, *image = sys.argv[1:]
    folder = Path(__file__).parent
    path = folder / f"{name}.inr"
    if path.exists():
        sys.exit(f"{path} is frozen")
    if image:
        mode, width, depth, encoding, columns, rows, *init = image
        data = fitted(mode, int(width), int(depth), encoding, int(columns), int(rows), *init)
    else:
        data = drawn()
    header, payload, _ = container.unpack(data)
    tensors = container.siren_tensors(header, payload)
    path.write_bytes(data)
    pixels = pillow_inr.decode(data)
    np.savez_compressed(
        folder / f"{name}.npz",
        # Pillow cannot store every array.
        **({"pixels": pixels} if header.samples else {}),
        step_indices=[tensor.step_index for tensor in tensors],
        symbols=np.concatenate([tensor.symbols.ravel() for tensor in tensors]),
    )
    if header.samples is None:
        Image.fromarray(pixels).save(folder / f"{name}.png")
    print(f"{path}: {len(data)} bytes")


if __name__ == "__main__":
    main()
