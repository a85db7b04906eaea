"""Makes a conformance vector of a pyramid.

From the repository: `python -m tests.vectors.make_pyramid NAME KIND COLUMNS ROWS TILE PRESET PRIOR SPREAD [PREVIEW]`.
KIND is one of Pillow's L, LA, RGB, RGBA, or "uint16", or "bands" for five channels of floating point. PREVIEW is the
side of a square preview. The symbols are random; a larger SPREAD makes more of them escapes. Vectors are frozen: every
later release must decode them, so this refuses to overwrite one. They lie in the folder `pyramid`: an .inr file, and
its tensors, symbols and pixels as .npz. A new one needs a line in `SHA256SUMS` (`sha256sum`).
"""

import sys
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np

from pillow_inr.models.pyramid.model import StoredPyramid
from tests.support import container
from tests.support.container import MODES, PIXEL_FORMAT_SAMPLES, SampleFormat
from tests.support.pyramids import draw_file, with_preview

_SAMPLES = {
    "uint16": SampleFormat("uint16", 0, ((300.0, 41000.0),)),
    "bands": SampleFormat("float32", 5, tuple((-7.0, 10.0**index) for index in range(5))),
}


def main() -> None:
    name, kind, columns, rows, tile, preset, base_index, spread, *preview = sys.argv[1:]
    path = Path(__file__).parent / "pyramid" / f"{name}.inr"
    if path.exists():
        sys.exit(f"{path} is frozen")
    fields: dict[str, Any] = (
        {"pixel_format": PIXEL_FORMAT_SAMPLES, "samples": _SAMPLES[kind]}
        if kind in _SAMPLES
        else {"pixel_format": MODES.index(kind)}
    )
    size = int(columns), int(rows)
    fields |= {"preset": int(preset), "base_index": int(base_index)}
    data = draw_file(size, crc32(name.encode()), float(spread), tile=int(tile), **fields)
    small = {}
    if preview:
        side = int(preview[0])
        data = with_preview(data, draw_file((side, side), 1, float(spread), **fields))
        preview_model = container.open_model(data).preview()
        assert preview_model is not None
        small["preview"] = preview_model.pixels()
    network = container.open_model(data)
    assert isinstance(network, StoredPyramid)
    pyramids = [network.tiles.decode_tile(tile) for tile in network.tiles.all()]
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    np.savez_compressed(
        path.with_suffix(".npz"),
        pixels=network.pixels(),
        tensors=np.concatenate([values.ravel() for pyramid in pyramids for values in pyramid.tensors.values()]),
        **small,
        symbols=np.concatenate([grid.ravel() for pyramid in pyramids for grid in pyramid.grids]),
    )
    print(f"{path}: {len(data)} bytes")


if __name__ == "__main__":
    main()
