"""Its payload: the normalized mean colour, a float32 for each channel."""

from dataclasses import dataclass
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from pillow_inr.encoding.source_image import SourceImage
from pillow_inr.format import file as file_format
from pillow_inr.format.chunks import Chunk
from pillow_inr.format.file import File
from pillow_inr.format.header import Box, Header, Size
from pillow_inr.imaging.region import check_box, check_size
from pillow_inr.imaging.samples import Samples, Scale
from pillow_inr.models.base import Breakdown, Row

from .header import ConstantHeader


@dataclass(frozen=True)
class StoredConstant:
    header: Header[ConstantHeader]
    colour: NDArray[np.float32]
    chunks: tuple[Chunk, ...]

    def pixels(self, size: Size | None = None, box: Box | None = None) -> Samples:
        width, height = check_size(size, check_box(box, self.header.size))
        return np.tile(Scale.of(self.header).to_samples(self.colour), (height, width, 1))

    def sampled_mse(self, source: SourceImage) -> float:
        return source.mse(self)

    def to_keras(self) -> NoReturn:
        raise ValueError("a constant has no Keras model")


class ConstantFormat:
    def open(self, file: File[ConstantHeader]) -> StoredConstant:
        return StoredConstant(file.header, np.frombuffer(file.payload, "<f4"), file.chunks)

    def open_truncated(self, header: Header[ConstantHeader], payload: bytes) -> NoReturn:
        raise file_format.too_short(header, payload)

    def breakdown(self, file: File[ConstantHeader]) -> Breakdown:
        bits = 8.0 * len(file.payload)
        return Breakdown(
            part="colour",
            lines=[("model", "one colour")],
            headings=("colour", "bits", "bits/channel"),
            rows=[Row("mean", (), bits, elements=file.header.channels, share_label="mean")],
            element="channel",
            histograms_title="",
            json={"colour_bits": bits},
        )


FORMAT = ConstantFormat()
