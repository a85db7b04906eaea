"""Makes one conformance vector: `python tests/vectors/make.py NAME MODE WIDTH DEPTH ENCODING COLUMNS ROWS [INIT]`.

Vectors are frozen: every later release must decode them, so this refuses to overwrite one.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

import pillow_inr
from pillow_inr import container, entropy
from pillow_inr.architecture import Architecture


def main() -> None:
    name, mode, width, depth, encoding, columns, rows = sys.argv[1:8]
    init = pillow_inr.register_initialization(sys.argv[8]) if sys.argv[8:] else None
    folder = Path(__file__).parent
    path = folder / f"{name}.inr"
    if path.exists():
        sys.exit(f"{path} is frozen")
    x, y = np.meshgrid(np.linspace(-1, 1, int(columns)), np.linspace(-1, 1, int(rows)))
    planes = [(x + 1) / 2, (y + 1) / 2, x**2 + y**2 < 0.5, np.exp(-2 * (x - y) ** 2)]
    order = {"L": [2], "LA": [0, 3], "RGB": [0, 1, 2], "RGBA": [0, 1, 2, 3]}[mode]
    pixels = np.rint(255 * np.stack([planes[index] for index in order], axis=-1)).astype(np.uint8)
    options = {"width": int(width), "depth": int(depth), "encoding": encoding, "init": init}
    data = pillow_inr.encode(pixels, **options, steps=800)
    header, payload, _ = container.unpack(data)
    tensors = list(entropy.decode_tensors(payload, Architecture.of(header).shapes))
    path.write_bytes(data)
    np.savez_compressed(
        folder / f"{name}.npz",
        step_indices=[tensor.step_index for tensor in tensors],
        symbols=np.concatenate([tensor.symbols.ravel() for tensor in tensors]),
    )
    Image.fromarray(pillow_inr.decode(data), None if mode != "LA" else "LA").save(folder / f"{name}.png")
    error = np.mean((pillow_inr.decode(data).reshape(pixels.shape).astype(float) - pixels) ** 2)
    print(f"{path}: {len(data)} bytes, {10 * np.log10(255**2 / error):.1f} dB")


if __name__ == "__main__":
    main()
