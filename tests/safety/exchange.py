"""Compatibility between versions: files written in one environment decode to the same symbols in another.

    python -m tests.safety.exchange write FOLDER
    python -m tests.safety.exchange symbols FOLDER OUT.npz
    python -m tests.safety.exchange compare OUT.npz OTHER.npz...

`write` fits both models to tiny images of every mode and type, `symbols` needs no TensorFlow, `compare` ends with
status 1 if symbols differ in a bit or pixels by more than docs/format.md section 5 allows.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import pillow_inr
from pillow_inr.models.pyramid import plan as pyramid_plan
from pillow_inr.models.pyramid.model import StoredPyramid
from pillow_inr.models.siren.architecture import Architecture
from pillow_inr.models.siren.initialization import Initialization
from tests.support import container
from tests.support.checks import check_pixels, gradient

INIT = "init.npz"
SIREN: dict[str, Any] = {"model": "siren", "width": 12, "depth": 3, "steps": 200}
PYRAMID: dict[str, Any] = {"model": "pyramid", "steps": 20}
METADATA: dict[str, Any] = {"icc_profile": b"RGB ", "xmp": "<x/>", "comment": "exchanged", "dpi": (72, 300.5)}


def images() -> Iterator[tuple[str, Image.Image | NDArray[Any]]]:
    """An image of every mode and type, with enough detail that no grid is empty."""
    rng = np.random.default_rng(6)
    rough = np.clip(gradient(45, 31, 4) + rng.normal(0, 12, (31, 45, 4)), 0, 255).astype(np.uint8)
    for mode, channels in {"L": [0], "LA": [0, 3], "RGB": [0, 1, 2], "RGBA": [0, 1, 2, 3]}.items():
        yield mode, Image.fromarray(rough[:, :, channels].squeeze())
    yield "uint16", 300 + 150 * rough[:, :, 0].astype(np.uint16)
    yield "uint16_3", 300 + 150 * rough[:, :, :3].astype(np.uint16)
    yield "float32", rough[:, :, 1].astype(np.float32) / 7 - 20
    bands = [10.0**band * rough[:, :, band % 4] for band in range(5)]
    yield "float32_5", np.stack(bands, axis=2).astype(np.float32)


def drawn_initialization() -> Initialization:
    """An initialization of random weights."""
    architecture = Architecture(width=12, depth=3, channels=3, frequencies=8, frequency_ratio=150)
    rng = np.random.default_rng(7)
    return Initialization(
        architecture, tuple(rng.uniform(-0.1, 0.1, shape).astype(np.float32) for shape in architecture.shapes)
    )


def write(folder: Path) -> None:
    folder.mkdir(parents=True)
    files: dict[str, Callable[[], bytes]] = {}
    for name, image in images():
        files[f"siren_{name}"] = lambda image=image: pillow_inr.encode(image, **SIREN)
        files[f"pyramid_{name}"] = lambda image=image: pillow_inr.encode(image, **PYRAMID)
    picture = dict(images())["RGB"]
    learned = drawn_initialization()
    learned.save(folder / INIT)
    pillow_inr.register_initialization(learned)
    files["siren_init"] = lambda: pillow_inr.encode(picture, init=learned, steps=60)
    files["siren_plain"] = lambda: pillow_inr.encode(picture, **SIREN, encoding="none")
    files["siren_described"] = lambda: pillow_inr.encode(picture, **SIREN, **METADATA)
    files["siren_bytes"] = lambda: pillow_inr.encode(picture, model="siren", target_bytes=600, steps=200)
    files["pyramid_bytes"] = lambda: pillow_inr.encode(picture, model="pyramid", target_bytes=700, steps=20)
    files["pyramid_fine"] = lambda: pillow_inr.encode(picture, **PYRAMID, quality=90, **METADATA)
    files["auto_flat"] = lambda: pillow_inr.encode(Image.new("RGB", (40, 30), "teal"))
    for name, encoded in files.items():
        (folder / f"{name}.inr").write_bytes(encoded())
    # Force tiles for a small image.
    pyramid_plan.WHOLE_PIXELS, pyramid_plan.TILE_LOG2 = 0, 8
    tall = np.resize(gradient(30, 290), (290, 30, 3))
    (folder / "pyramid_tiles.inr").write_bytes(pillow_inr.encode(tall, **PYRAMID))
    print(f"{len(files) + 1} files of {sum(path.stat().st_size for path in folder.glob('*.inr'))} bytes")


def symbols_of(data: bytes) -> NDArray[np.int64]:
    """All integers in the streams of a file: step indices and weights of a SIREN, tensors and grids of a pyramid."""
    header, payload, _ = container.unpack(data)
    network = container.open_model(data)
    if isinstance(network, StoredPyramid):
        pyramids = [network.tiles.decode_tile(tile) for tile in network.tiles.all()]
        arrays = [array for pyramid in pyramids for array in (*pyramid.tensors.values(), *pyramid.grids)]
    else:
        tensors = container.siren_tensors(header, payload)
        arrays = [array for tensor in tensors for array in (np.array(tensor.step_index), tensor.symbols)]
    return np.concatenate([np.asarray(array).ravel() for array in arrays]).astype(np.int64)


def symbols(folder: Path, out: Path) -> None:
    pillow_inr.register_initialization(folder / INIT)
    arrays: dict[str, NDArray[Any]] = {}
    for path in sorted(folder.glob("*.inr")):
        data = path.read_bytes()
        arrays |= {
            f"{path.stem}:file": np.frombuffer(data, np.uint8),
            f"{path.stem}:symbols": symbols_of(data),
            f"{path.stem}:pixels": pillow_inr.decode(data),
        }
    with out.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]


def compare(paths: list[Path]) -> str:
    """Compare readings; returns a summary.

    Raises:
        AssertionError: the readers do not agree; the message names the file.
    """
    with np.load(paths[0]) as archive:
        expected = dict(archive)
    compared = 0
    for path in paths[1:]:
        with np.load(path) as archive:
            found = dict(archive)
        assert found.keys() == expected.keys(), f"{path} has other files than {paths[0]}"
        for key in expected:
            name, _, kind = key.partition(":")
            if kind != "pixels":
                assert np.array_equal(found[key], expected[key]), f"{name}: {kind} differ in {path}"
                compared += expected[key].size if kind == "symbols" else 0
                continue
            header = container.unpack(expected[f"{name}:file"].tobytes())[0]
            try:
                check_pixels(expected[key], found[key], header)
            except AssertionError as error:
                raise AssertionError(f"{name}: pixels differ in {path}") from error
    files = sum(key.endswith(":file") for key in expected)
    return f"{len(paths)} readings of {files} files agree: {compared} symbols are equal, and the pixels"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("write").add_argument("folder", type=Path)
    reading = commands.add_parser("symbols")
    reading.add_argument("folder", type=Path)
    reading.add_argument("out", type=Path)
    commands.add_parser("compare").add_argument("readings", type=Path, nargs="+")
    arguments = parser.parse_args()
    if arguments.command == "write":
        write(arguments.folder)
    elif arguments.command == "symbols":
        symbols(arguments.folder, arguments.out)
    else:
        try:
            print(compare(arguments.readings))
        except AssertionError as error:
            sys.exit(f"exchange: {error}")


if __name__ == "__main__":
    main()
