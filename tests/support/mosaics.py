"""Mosaics for tests: random divisions and weights, whole files of them."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pillow_inr.format.header import Header
from pillow_inr.models.siren.division import Region, divided
from pillow_inr.models.siren.mosaic_coding import encode_mosaic
from pillow_inr.models.siren.weight_coding import CodedTensor
from tests.support import container

Size = tuple[int, int]


def recalled(splits: Sequence[bool]) -> Callable[[Region], bool]:
    """The answers for `division.divided`, one after another."""
    answers = iter(splits)
    return lambda _: next(answers)


def random_splits(rng: np.random.Generator, size: Size, overlap: int, likely: float) -> list[bool]:
    """The answers for a random division."""
    splits: list[bool] = []

    def is_split(_: Region) -> bool:
        splits.append(bool(rng.random() < likely))
        return splits[-1]

    divided(size, overlap, is_split)
    return splits


def header_of(size: Size, **fields: Any) -> Header[Any]:
    """The header of a mosaic without payload and chunks: grey and alpha, unless `fields` say otherwise."""
    usual = {"pixel_format": 1, "payload_bytes": 0, "chunks_bytes": 0, "coding": container.CODING_MOSAIC}
    return container.header(size=size, **{**usual, "width": 3, "depth": 2, "taper": 75, "overlap": 1, **fields})


def drawn_networks(rng: np.random.Generator, header: Header[Any], spread: float = 2.0) -> list[list[CodedTensor]]:
    """Random tensors for each network; every second first bias is sorted."""
    networks = []
    for index in range(header.model.networks):
        tensors = [
            CodedTensor(
                np.rint(rng.laplace(0, spread, shape)).astype(np.int32), 144 - 16 * (len(shape) == 2) + index % 8
            )
            for shape in header.model.architecture(header.channels).shapes
        ]
        if index % 2:
            tensors[1] = CodedTensor(np.sort(np.abs(tensors[1].symbols)), tensors[1].step_index)
        networks.append(tensors)
    return networks


def drawn_mosaic(size: Size, splits: Sequence[bool], seed: int = 0, **fields: Any) -> bytes:
    """A file of random networks."""
    header = header_of(size, networks=1 + sum(splits), **fields)
    payload = encode_mosaic(splits, drawn_networks(np.random.default_rng(seed), header))
    return container.pack(container.changed(header, payload_bytes=len(payload)), payload)
