"""Makes the conformance vectors of mosaics (docs/format.md section 11): `python -m tests.vectors.make_mosaic`.

Like make_edges.py, whose rules hold here. Divisions are spelled out as their flags; symbols are drawn.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import pillow_inr
from pillow_inr.models.siren.mosaic_coding import encode_mosaic
from pillow_inr.models.siren.weight_coding import CodedTensor
from tests.support import any_choice, container, plain_decoder
from tests.support.container import Chunk
from tests.vectors import make_edges
from tests.vectors.make_edges import (
    FOLDER,
    FOURIER,
    Draw,
    holes,
    pack,
    samples,
    settled,
    sorted_biases,
    tensors_of,
    write,
)

# Least distance of a sample from a tie of rounding; the larger images have thousands of them.
MARGIN = 0.0002

Change = Callable[[int, list[CodedTensor]], object]


def mosaic(
    size: tuple[int, int],
    flags: str,
    *,
    chunks: Sequence[Chunk] = (),
    change: Change = lambda index, tensors: None,
    sparse: float = 0.0,
    any_choices: bool = False,
    **fields: Any,
) -> Draw:
    """A mosaic. `flags` are those of the division; `change` may alter the tensors of each network."""
    splits = [flag == "1" for flag in flags]
    networks = 1 + sum(splits)
    header = container.header(
        size=size,
        payload_bytes=0,
        chunks_bytes=0,
        **{"pixel_format": 2, "coding": container.CODING_MOSAIC, "networks": networks, **fields},
    )

    def draw(rng: np.random.Generator) -> bytes:
        drawn = [tensors_of(rng, header.model.architecture(header.channels), sparse) for _ in range(networks)]
        for index, tensors in enumerate(drawn):
            change(index, tensors)
        if any_choices:
            return pack(header, any_choice.encode_mosaic(rng, splits, drawn), chunks)
        return pack(header, encode_mosaic(splits, drawn), chunks)

    return draw


def some_zeros(index: int, tensors: list[CodedTensor]) -> None:
    """Every third tensor of every other network has zeros alone: the next predicts its scale from farther back."""
    for position in range(index % 3, len(tensors), 3) if index % 2 else ():
        tensors[position].symbols[:] = 0


def every_other_sorted(index: int, tensors: list[CodedTensor]) -> None:
    some_zeros(index, tensors)
    if index % 2 == 0:
        sorted_biases(tensors)


def largest(index: int, tensors: list[CodedTensor]) -> None:
    """The second network is at the limits of symbols and steps."""
    if index == 1:
        make_edges.largest(tensors)


def mosaics() -> dict[str, Draw]:
    fourier = {**FOURIER, "frequencies": 5, "frequency_ratio": 160}
    usual = {**fourier, "width": 12, "depth": 3, "taper": 75}
    plain = {"width": 4, "depth": 2, "taper": 100, "overlap": 0}
    return {
        # Four parts left of the middle, one right of it.
        "mosaic": mosaic((41, 29), "111001000", overlap=2, change=every_other_sorted, **usual),
        "mosaic_hard": mosaic((7, 5), "111101001010110", pixel_format=0, **plain),
        "mosaic_alpha": mosaic((19, 13), "110", pixel_format=3, overlap=3, chunks=holes(13, 19), **usual),
        "mosaic_int16": mosaic(
            (12, 17), "10100", overlap=1, **samples("int16", 2, (-1024.0, 3071.0), (0.0, 9.0)), **usual
        ),
        "mosaic_choices": mosaic((16, 9), "110010100", overlap=1, change=every_other_sorted, any_choices=True, **usual),
        "mosaic_largest": mosaic((8, 5), "10100", overlap=1, width=7, depth=2, taper=100, change=largest),
        "mosaic_one": mosaic((9, 6), "", pixel_format=1, width=6, depth=15, taper=90, overlap=64),
        "mosaic_many": mosaic((15, 10), 149 * "1", pixel_format=0, width=1, depth=1, taper=1, overlap=0, sparse=0.5),
    }


def main() -> None:
    make_edges.MARGIN = MARGIN
    for name, draw in mosaics().items():
        path = FOLDER / "siren" / f"{name}.inr"
        if path.exists():
            continue
        data, decoded = settled(name, draw, plain_decoder.decode)
        arrays = {
            "pixels": pillow_inr.decode(data),
            "step_indices": np.array([step for step, _ in decoded.tensors]),
            "symbols": np.concatenate([symbols for _, symbols in decoded.tensors]).astype(np.int32),
        }
        write(path, data, arrays)


if __name__ == "__main__":
    main()
