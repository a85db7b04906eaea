"""What a file tells without being decoded, by the names of `Image.info`. Standard library only: opening asks for it."""

from collections.abc import Sequence
from typing import Any

from .chunks import Chunk
from .header import Header, ModelHeader
from .metadata import read_psnr

MARKERS = frozenset({"bits_per_pixel", "format_version"})
"""Names that `Image.info` of any .inr file has, and no other."""
FACTS = MARKERS | {
    *("model", "dtype", "channels", "range", "psnr"),
    *("width", "depth", "encoding", "weights"),  # of a SIREN
    *("preset", "prior", "tile"),  # of a pyramid
}
"""All names that `Image.info` of an .inr file may have besides those of metadata."""


def file_info(header: Header[ModelHeader], chunks: Sequence[Chunk]) -> dict[str, Any]:
    """What header and chunks tell, metadata aside, as it stands in `Image.info`.

    Raises:
        FormatError: the PSNR chunk is damaged.
    """
    known = {
        **header.model.info(header.channels),
        "bits_per_pixel": header.bits_per_pixel,
        "format_version": header.format_version,
        "dtype": header.dtype,
        "channels": header.channels,
    }
    if header.samples is not None:
        ranges = header.samples.ranges
        known["range"] = ranges[0] if len(ranges) == 1 else ranges
    psnr_db = read_psnr(chunks)
    return known if psnr_db is None else known | {"psnr": psnr_db}
