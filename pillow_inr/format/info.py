"""What a file tells of itself without being decoded, by name. Standard library only: opening a file asks for it."""

from collections.abc import Sequence
from typing import Any

from ..imaging import metrics
from ..models.siren.architecture import Architecture
from . import container
from .metadata import read_psnr


def facts(header: container.Header, chunks: Sequence[container.Chunk]) -> dict[str, Any]:
    """What header and chunks tell of a file, as it stands in `Image.info`."""
    known = {
        **model_facts(header),
        "bits_per_pixel": metrics.bits_per_pixel(header.file_bytes, *header.size),
        "format_version": container.FORMAT_VERSION,
        "dtype": header.dtype,
        "channels": header.channels,
    }
    if header.samples is not None:
        ranges = header.samples.ranges
        known["range"] = ranges[0] if len(ranges) == 1 else ranges
    psnr_db = read_psnr(chunks)
    return known if psnr_db is None else known | {"psnr": psnr_db}


def model_facts(header: container.Header) -> dict[str, Any]:
    """What the header tells of its model."""
    if header.model == container.MODEL_PYRAMID:
        # A tile's side in pixels, 0 for an image that is one pyramid.
        tile = 1 << header.tile if header.tile else 0
        return {"model": "pyramid", "preset": header.preset, "prior": header.prior, "tile": tile}
    return {
        "model": "siren",
        "width": header.width,
        "depth": header.depth,
        "encoding": "fourier" if header.encoding else "none",
        "weights": Architecture.of(header).weight_count,
    }
